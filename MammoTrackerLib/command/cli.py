"""The `mammotracker` command: track, follow, batch, evaluate, benchmark."""

from __future__ import annotations

import argparse
import json
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from ..box import Box
from ..errors import MammoTrackerError
from ..temporary import private_temporary_files, tidy_end
from .console import standard_streams
from .packages import check_packages
from .tables import MANIFEST_COLUMNS, RESULT_COLUMNS, one_line

# Nothing else is imported here: a Python package that does not start is to be said in a sentence.
if TYPE_CHECKING:
    from rich.console import Console

    from ..mammogram import Mammogram
    from ..track import Track


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv
        Arguments without the program's name; those of the process by default.

    Returns
    -------
    int
        Exit code: 0, also when whoever reads the output stops reading; 2 for input that cannot
        be used, or output that cannot be written; or 130 when interrupted.

    Raises
    ------
    SystemExit
        With code 143 when the process is terminated by SIGTERM, 129 when its terminal closes, 2
        for arguments that make no sense, 0 after ``--help``.
    """
    end = None
    with standard_streams() as output:
        try:
            code = _run(argv)
        except SystemExit as error:
            code, end = error.code or 0, error
    if code == 0 and output.failure:
        with standard_streams():
            message = f"mammotracker: Cannot write to the console: {output.failure}."
            print(message, file=sys.stderr)
        return 2
    if end is not None:
        raise end
    return code


def _run(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        with tidy_end(), private_temporary_files(), warnings.catch_warnings():
            if not sys.warnoptions:  # warnings quote headers
                warnings.simplefilter("ignore")
            check_packages()
            arguments.run(arguments)
    except MammoTrackerError as error:
        message = str(error)
    except KeyboardInterrupt:
        print("mammotracker: interrupted.", file=sys.stderr)
        return 130
    except MemoryError:
        message = "Not enough memory: close other programs, or give smaller images."
    except Exception as error:  # of which the text may hold anything, so that it is not shown
        frame = traceback.extract_tb(error.__traceback__)[-1]
        message = (
            f"Unexpected {type(error).__name__} in {Path(frame.filename).name}, line "
            f"{frame.lineno}. Please report it."
        )
    else:
        return 0
    print(f"mammotracker: {one_line(message)}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mammotracker",
        description="Find the lesion of a prior mammogram again on the current one. "
        "For research only: not a medical device.",
    )
    parser.add_argument("--version", action="version", version=f"mammotracker {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    track = commands.add_parser(
        "track",
        help="find lesions of one prior on one current mammogram",
        description="Find lesions of a prior mammogram on the current one. Writes tracks.json, "
        "one lesion-N.mrk.json for 3D Slicer per lesion, and overlay.png.",
    )
    track.add_argument("prior", metavar="PRIOR", type=Path, help="DICOM, PNG, TIFF, NRRD, ...")
    track.add_argument("current", metavar="CURRENT", type=Path)
    _add_lesions(track, "the prior")
    _add_spacings(track)
    track.add_argument("--out", metavar="DIR", type=Path, required=True)
    _add_force(track)
    track.set_defaults(run=_track)

    _add_follow(commands)

    _add_batch(commands)

    evaluate = commands.add_parser(
        "evaluate",
        help="compare the results of `batch` with the truth in its table",
        description="Compare results with the columns current_x0 to current_y1 of the table. "
        "AO is the mean IoU, accuracy that of the lesions with IoU > 0, robustness the share "
        "with IoU = 0. The column patient says whose lesion it is, for the intervals; present "
        "is 0 where the lesion is not on the current mammogram.",
    )
    evaluate.add_argument("manifest", metavar="MANIFEST.csv", type=Path)
    evaluate.add_argument("results", metavar="RESULTS.csv", type=Path)
    evaluate.add_argument(
        "--plot", metavar="FILE.png", type=Path, help="draw the success plots (needs matplotlib)"
    )
    evaluate.set_defaults(run=_evaluate)

    benchmark = commands.add_parser(
        "benchmark",
        help="measure time and memory of each step on this machine",
        description="Measure time and memory of each step, beside SimpleITK's affine "
        "registration and, where installed, ANTs and elastix. Without images: a real film "
        "and its simulated follow-up, for which the true error is known.",
    )
    benchmark.add_argument("prior", metavar="PRIOR", type=Path, nargs="?")
    benchmark.add_argument("current", metavar="CURRENT", type=Path, nargs="?")
    benchmark.add_argument(
        "--box",
        metavar=("X0", "Y0", "X1", "Y1"),
        nargs=4,
        type=float,
        help="a lesion of PRIOR, in pixels",
    )
    _add_spacings(benchmark)
    benchmark.set_defaults(run=_benchmark)
    return parser


def _add_follow(commands: argparse._SubParsersAction) -> None:
    follow = commands.add_parser(
        "follow",
        help="find lesions of one exam on all others of that breast and view",
        description="Find lesions that are marked on one exam on 1 to 29 others, before and after "
        "it, and measure how they grew. Writes history.json, history.csv, strip.png, growth.png, "
        "and a lesion-N-exam-K.mrk.json for 3D Slicer per lesion and exam. Exams are followed in "
        "the order of their dates, or as given where one has none.",
    )
    follow.add_argument("exams", metavar="EXAM", type=Path, nargs="+", help="DICOM, PNG, TIFF, ...")
    follow.add_argument(
        "--on", metavar="EXAM", type=Path, required=True, help="the exam that lesions are marked on"
    )
    _add_lesions(follow, "that exam")
    follow.add_argument(
        "--spacing",
        metavar="MM",
        type=float,
        nargs="+",
        default=[],
        help="pixel size of all exams, or of each, where the files do not say it",
    )
    follow.add_argument(
        "--dates",
        metavar="YYYY-MM-DD",
        nargs="+",
        default=[],
        help="of each exam, where the files do not say it",
    )
    follow.add_argument("--out", metavar="DIR", type=Path, required=True)
    _add_force(follow)
    follow.set_defaults(run=_follow)


def _add_batch(commands: argparse._SubParsersAction) -> None:
    batch = commands.add_parser(
        "batch",
        help="find the lesions of a table of pairs or series, on one machine or many",
        description="Find the lesions of a table. Columns in: "
        f"{', '.join(MANIFEST_COLUMNS)}; paths are relative to the table. Columns out: "
        f"{', '.join(RESULT_COLUMNS)}. A row that fails says why in its message.",
    )
    batch.add_argument("manifest", metavar="MANIFEST.csv", type=Path)
    batch.add_argument(
        "--out",
        metavar="RESULTS.csv",
        type=Path,
        required=True,
        help="a CSV table; or RESULTS.parquet (needs pyarrow)",
    )
    batch.add_argument(
        "--resume", action="store_true", help="go on where an interrupted run stopped"
    )
    where = batch.add_mutually_exclusive_group()
    where.add_argument(
        "--workers",
        metavar="N",
        type=int,
        default=1,
        help="processes of one thread that track side by side; 0 for as many as this machine has "
        "cores and memory for; more than 1 need Dask",
    )
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        default="",
        help="of a running Dask scheduler, whose workers track: see Docs/cluster.md",
    )
    _add_force(batch)
    batch.set_defaults(run=_batch)


def _add_lesions(parser: argparse.ArgumentParser, exam: str) -> None:
    parser.add_argument(
        "--box",
        dest="boxes",
        metavar=("X0", "Y0", "X1", "Y1"),
        nargs=4,
        type=float,
        action="append",
        default=[],
        help=f"a lesion in pixels of {exam}, from its top-left corner; repeat for more",
    )
    parser.add_argument(
        "--lesions",
        metavar="FILE",
        type=Path,
        help="take lesions from a DICOM SR, also of CAD, or from a .mrk.json file or mask (PNG, "
        f"NRRD, NIfTI) of {exam}",
    )
    parser.add_argument(
        "--sr",
        action="store_true",
        help="write lesions.dcm, too: a DICOM SR, which needs DICOM exams and highdicom",
    )


def _check_lesions(arguments: argparse.Namespace) -> None:
    if not arguments.boxes and arguments.lesions is None:
        raise MammoTrackerError("There is no lesion to look for: give --box or --lesions.")


def _add_spacings(parser: argparse.ArgumentParser) -> None:
    for name in ("prior", "current"):
        parser.add_argument(
            f"--{name}-spacing",
            metavar="MM",
            type=float,
            help=f"pixel size of {name.upper()}, where its file does not say it",
        )


def _add_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="go on if laterality or view differ")


def _track(arguments: argparse.Namespace) -> None:
    from ..global_search import align
    from ..mammogram import Mammogram
    from ..memory import keep_freed_memory
    from ..output_folder import OutputFolder
    from ..pair import check_pair, pair_problems
    from ..reading.geometry import Geometry
    from ..reading.lesions import Lesion, read_lesions
    from ..tracker import LesionTracker
    from .outputs import is_own_result, quiet_framework, track_as_markup, tracks_as_json
    from .overlay import draw_overlay
    from .sr import FILE_NAME, pair_history, require_highdicom, write_sr

    _check_lesions(arguments)
    if arguments.sr:
        require_highdicom()
    keep_freed_memory()
    lesions = [Lesion(Box(*numbers)) for numbers in arguments.boxes]
    with OutputFolder(arguments.out, "lesion*", is_own_result) as folder:
        # Readers print what they find in a header.
        with quiet_framework():
            prior = Mammogram.read(arguments.prior, arguments.prior_spacing)
            current = Mammogram.read(arguments.current, arguments.current_spacing)
            if not arguments.force:
                check_pair(prior, current)
            remarks = [problem.message for problem in pair_problems(prior, current)]
            if arguments.lesions is not None:
                place = Geometry.of(arguments.prior, prior)
                read = read_lesions(arguments.lesions, [prior], geometry=place)
                lesions += read.lesions
                remarks += read.remarks
            boxes = [lesion.box for lesion in lesions]
            alignment = align(prior, current)
            tracks = LesionTracker().track(prior, current, boxes, alignment, arguments.force)
            geometry = Geometry.of(arguments.current, current)
        content = tracks_as_json(prior, current, alignment, tracks, remarks)
        (folder / "tracks.json").write_text(json.dumps(content, indent=2) + "\n")
        for number, track in enumerate(tracks, 1):
            (folder / f"lesion-{number}.mrk.json").write_text(
                json.dumps(track_as_markup(number, track, geometry), indent=2) + "\n"
            )
        draw_overlay(prior, current, tracks, folder / "overlay.png")
        if arguments.sr:
            write_sr(
                folder / FILE_NAME,
                [arguments.prior, arguments.current],
                [prior, current],
                [pair_history(track) for track in tracks],
                [lesion.tracking for lesion in lesions],
                [lesion.lesion_type for lesion in lesions],
            )
    for warning in (*remarks, *alignment.warnings):
        print(f"Warning: {warning}", file=sys.stderr)
    _print_tracks(tracks, current)
    report = f", {FILE_NAME}" if arguments.sr else ""
    where = one_line(str(arguments.out))
    print(f"Written to {where}: tracks.json, overlay.png, lesion-N.mrk.json for 3D Slicer{report}.")


def _print_tracks(tracks: Sequence[Track], current: Mammogram) -> None:
    from rich.markup import escape
    from rich.table import Table

    from ..track import Status
    from .outputs import size_mm

    table = Table(header_style="bold")
    for name in ("lesion", "status", "score", "box on the current (pixels)", "size (mm)", "why"):
        table.add_column(name)
    for number, track in enumerate(tracks, 1):
        place, size = "-", "-"
        if track.status is not Status.NOT_FOUND:
            place = ", ".join(f"{value:.1f}" for value in track.box.as_tuple())
            size = "{:.1f} x {:.1f}".format(*size_mm(track.box, current))
        table.add_row(
            str(number), track.status.value, f"{track.score:.2f}", place, size, escape(track.reason)
        )
    _console().print(table)


def _follow(arguments: argparse.Namespace) -> None:
    from .follow import run_follow

    _check_lesions(arguments)
    boxes = [Box(*numbers) for numbers in arguments.boxes]
    run_follow(
        arguments.exams, arguments.on, boxes, arguments.lesions, arguments.spacing,
        arguments.dates, arguments.out, arguments.force, arguments.sr, _console(),
    )  # fmt: skip


def _batch(arguments: argparse.Namespace) -> None:
    from .batch import run_batch

    if arguments.workers < 0:
        raise MammoTrackerError("The number of workers is negative: give 1 or more, or 0 for all.")
    run_batch(
        arguments.manifest, arguments.out, arguments.resume, arguments.force, arguments.workers,
        arguments.scheduler,
    )  # fmt: skip


def _evaluate(arguments: argparse.Namespace) -> None:
    from .evaluation import print_evaluation

    print_evaluation(_console(), arguments.manifest, arguments.results, arguments.plot)


def _benchmark(arguments: argparse.Namespace) -> None:
    from ..memory import keep_freed_memory
    from .benchmark import print_benchmark

    keep_freed_memory()
    given = (arguments.prior, arguments.current, arguments.box)
    if any(value is not None for value in given) and any(value is None for value in given):
        raise MammoTrackerError("Give PRIOR, CURRENT and --box together, or none of them.")
    print_benchmark(
        _console(),
        arguments.prior,
        arguments.current,
        Box(*arguments.box) if arguments.box else None,
        arguments.prior_spacing,
        arguments.current_spacing,
    )


def _console() -> Console:
    from rich.console import Console

    # A pipe or a file has no width of its own: do not break lines at 80 columns there.
    return Console(width=None if sys.stdout.isatty() else 160)


if __name__ == "__main__":
    sys.exit(main())

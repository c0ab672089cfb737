"""The `mammotracker` command, and what each of its sub-commands calls."""

from __future__ import annotations

import argparse
import json
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..box import Box
from ..errors import MammoTrackerError
from ..temporary import private_temporary_files, tidy_end
from .arguments import make_parser
from .console import standard_streams
from .packages import check_packages
from .tables.cells import one_line

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
    arguments = make_parser().parse_args(argv)
    try:
        with tidy_end(), private_temporary_files(), warnings.catch_warnings():
            if not sys.warnoptions:  # warnings quote headers
                warnings.simplefilter("ignore")
            check_packages()
            _RUN[arguments.command](arguments)
    except MammoTrackerError as error:
        message = str(error)
    except KeyboardInterrupt:
        print("mammotracker: interrupted.", file=sys.stderr)
        return 130
    except MemoryError:
        message = "Not enough memory: close other programs, or give smaller images."
    except OSError as error:
        reason = error.strerror or type(error).__name__
        message = (
            f"A file or folder cannot be read or written: {reason}. See whether all that you gave "
            "is there and yours to use, and whether the disk has room."
        )
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


def _check_lesions(arguments: argparse.Namespace) -> None:
    if not arguments.boxes and arguments.lesions is None:
        raise MammoTrackerError("There is no lesion to look for: give --box or --lesions.")


def _track(arguments: argparse.Namespace) -> None:
    from ..global_search import align
    from ..mammogram import Mammogram
    from ..memory import keep_freed_memory
    from ..output_folder import OutputFolder
    from ..pair import check_pair, pair_problems
    from ..reading.geometry import Geometry
    from ..reading.lesions import Lesion, absence_remarks, predicted_remarks, read_lesions
    from ..tracker import LesionTracker
    from .drawings.drawing import as_range
    from .drawings.overlay import draw_overlay
    from .outputs import is_own_result, quiet_framework, track_as_markup, tracks_as_json
    from .sr import FILE_NAME, check_files, pair_history, write_sr
    from .sr_groups import decisions_on

    _check_lesions(arguments)
    if arguments.sr:
        check_files([arguments.prior, arguments.current])
    keep_freed_memory()
    lesions = [Lesion(Box(*numbers)) for numbers in arguments.boxes]
    with OutputFolder(arguments.out, ("lesion*", "overlay-*.png"), is_own_result) as folder:
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
                remarks += [*read.remarks, *predicted_remarks(read.lesions)]
                remarks += absence_remarks(len(read.absences))
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
        pictures = as_range(draw_overlay(prior, current, tracks, folder / "overlay.png"))
        if arguments.sr:
            write_sr(
                folder / FILE_NAME,
                [arguments.prior, arguments.current],
                [prior, current],
                [pair_history(track) for track in tracks],
                [lesion.tracking for lesion in lesions],
                [lesion.lesion_type for lesion in lesions],
                decisions_on(enumerate(lesions)),
                [{0} if lesion.is_size_made_up else () for lesion in lesions],
            )
    for warning in (*remarks, *alignment.warnings):
        print(f"Warning: {warning}", file=sys.stderr)
    _print_tracks(tracks, current)
    report = f", {FILE_NAME}" if arguments.sr else ""
    where = one_line(str(arguments.out))
    print(f"Written to {where}: tracks.json, {pictures}, lesion-N.mrk.json for 3D Slicer{report}.")


def _print_tracks(tracks: Sequence[Track], current: Mammogram) -> None:
    from rich.markup import escape
    from rich.table import Table

    from ..track import Status, as_decimals
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
            str(number), track.status.value, as_decimals(track.score), place, size,
            escape(track.reason),
        )  # fmt: skip
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
    from .batch.run import run_batch

    if arguments.workers < 0:
        raise MammoTrackerError("The number of workers is negative: give 1 or more, or 0 for all.")
    run_batch(
        arguments.manifest, arguments.out, arguments.resume, arguments.force, arguments.workers,
        arguments.scheduler,
    )  # fmt: skip


def _evaluate(arguments: argparse.Namespace) -> None:
    from .evaluation import print_evaluation

    print_evaluation(_console(), arguments.manifest, arguments.results, arguments.plot)


def _report(arguments: argparse.Namespace) -> None:
    from .report.page import run_report

    run_report(arguments.results, arguments.manifest, arguments.out)


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


def _manifest(arguments: argparse.Namespace) -> None:
    from .archive.manifest import run_manifest

    run_manifest(
        arguments.folder, arguments.out, _console(), arguments.series, arguments.boxes,
        arguments.sr, arguments.embed_tables, arguments.workers, arguments.resume,
        arguments.patients,
    )  # fmt: skip


def _agreement(arguments: argparse.Namespace) -> None:
    from .readers.agreement import print_agreement

    print_agreement(_console(), arguments.first, arguments.second)


def _console() -> Console:
    from rich.console import Console

    # A pipe or a file has no width of its own: do not break lines at 80 columns there.
    return Console(width=None if sys.stdout.isatty() else 160)


_RUN = {
    "track": _track,
    "follow": _follow,
    "manifest": _manifest,
    "batch": _batch,
    "evaluate": _evaluate,
    "report": _report,
    "agreement": _agreement,
    "benchmark": _benchmark,
}


if __name__ == "__main__":
    sys.exit(main())

"""The arguments of the `mammotracker` command and its sub-commands."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from .. import __version__
from .tables.columns import MANIFEST_COLUMNS, RESULT_COLUMNS, SERIES


def make_parser() -> argparse.ArgumentParser:
    """Make the parser; the name of the command that was given is in ``command``."""
    parser = argparse.ArgumentParser(
        prog="mammotracker",
        description="Find the lesion of a prior mammogram again on the current one. "
        "For research only: not a medical device. Tables are CSV or, where pyarrow is installed, "
        "Parquet.",
    )
    parser.add_argument("--version", action="version", version=f"mammotracker {__version__}")
    commands = parser.add_subparsers(
        title="commands", dest="command", required=True, metavar="COMMAND"
    )

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

    _add_follow(commands)

    _add_manifest(commands)
    _add_batch(commands)

    evaluate = commands.add_parser(
        "evaluate",
        help="compare the results of `batch` with the truth in its table",
        description="Compare results with the columns current_x0 to current_y1 of the table. "
        "AO is the mean IoU, accuracy that of the lesions with IoU > 0, robustness the share "
        "with IoU = 0. The column patient says whose lesion it is, for the intervals; present "
        "is 0 where the lesion is not on the current mammogram.",
    )
    evaluate.add_argument(
        "manifest",
        metavar="MANIFEST.csv",
        type=Path,
        help="the table that was tracked, with true boxes, or the reviewed.csv of a reader",
    )
    evaluate.add_argument("results", metavar="RESULTS.csv", type=Path)
    evaluate.add_argument(
        "--plot", metavar="FILE.png", type=Path, help="draw the success plots (needs matplotlib)"
    )

    _add_report(commands)
    _add_agreement(commands)

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

    return parser


def _add_follow(commands: argparse._SubParsersAction) -> None:
    follow = commands.add_parser(
        "follow",
        help="find lesions of one exam on all others of that breast and view",
        description="Find lesions that are marked on one exam on 1 to 29 others, before and after "
        "it, and measure how they grew. Writes history.json, history.csv, strip.png, growth.png, "
        "and a lesion-N-exam-K.mrk.json for 3D Slicer per lesion and exam. Exams are followed in "
        "the order of their dates, and one that has none in its place among them.",
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
        help="pixel size of all exams whose files do not say it; or of each, which counts before "
        "the files",
    )
    follow.add_argument(
        "--dates",
        metavar="YYYY-MM-DD",
        nargs="+",
        default=[],
        help="of each exam, which counts before the files; an empty one does not",
    )
    follow.add_argument("--out", metavar="DIR", type=Path, required=True)
    _add_force(follow)


def _add_batch(commands: argparse._SubParsersAction) -> None:
    batch = commands.add_parser(
        "batch",
        help="find the lesions of a table of pairs or series, on one machine or many",
        description="Find the lesions of a table. Columns of pairs in: "
        f"{', '.join(MANIFEST_COLUMNS)}; paths are relative to the table. Columns out: "
        f"{', '.join(RESULT_COLUMNS)}. Of series, which have the column exam_group, in: "
        f"{', '.join(SERIES.manifest)}. A row that fails says why in its message.",
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
        nargs="?",
        const=0,
        default=1,
        help="processes of one thread that track side by side; without N, as many as this machine "
        "has cores and memory for; more than 1 need Dask",
    )
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        default="",
        help="of a running Dask scheduler, whose workers track: see Docs/cluster.md",
    )
    _add_force(batch)


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
        f"NRRD, NIfTI, JPEG, DICOM) of {exam}",
    )
    parser.add_argument(
        "--sr",
        action="store_true",
        help="write lesions.dcm, too: a DICOM SR, which needs DICOM exams and highdicom",
    )


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


def _add_manifest(commands: argparse._SubParsersAction) -> None:
    manifest = commands.add_parser(
        "manifest",
        help="write the table for `batch` from a folder of DICOM mammograms",
        description="Walk a folder of DICOM mammograms, of which only headers are read, and write "
        "all pairs (or series) that `batch` can track: each marked exam with each other exam of "
        "that breast and view or, without boxes, each exam with the next one. What is left out is "
        "counted by the reason. MANIFEST.csv.journal, beside it, keeps what was read for --resume.",
    )
    manifest.add_argument("folder", metavar="FOLDER", type=Path)
    manifest.add_argument("--out", metavar="MANIFEST.csv", type=Path, required=True)
    manifest.add_argument(
        "--series", action="store_true", help="write series of exams instead of pairs"
    )
    lesions = manifest.add_mutually_exclusive_group()
    lesions.add_argument(
        "--boxes",
        metavar="FILE.csv",
        type=Path,
        help="lesions: columns image (path or SOPInstanceUID), x0, y0, x1, y1 and, if you like, "
        "lesion_id and lesion_type",
    )
    lesions.add_argument(
        "--sr", action="store_true", help="lesions: the DICOM SRs in FOLDER, also of CAD"
    )
    lesions.add_argument(
        "--embed-tables",
        metavar="DIR",
        type=Path,
        help="lesions: the ROIs in EMBED's tables, whose images are in FOLDER",
    )
    manifest.add_argument(
        "--workers",
        metavar="N",
        type=_count,
        default=os.cpu_count() or 1,
        help="processes that read headers (default: one a processor)",
    )
    manifest.add_argument(
        "--resume", action="store_true", help="go on, or read only what is new since"
    )
    manifest.add_argument(
        "--patients",
        metavar="PRIVATE.csv",
        type=Path,
        help="write which PatientID each running number in the column patient is",
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _add_report(commands: argparse._SubParsersAction) -> None:
    report = commands.add_parser(
        "report",
        help="show the results of `batch` as a page with a picture of each lesion",
        description="Write a folder with index.html, a page for any browser that needs neither a "
        "server nor a network: how many lesions have each status, histograms, and a picture of "
        "each lesion beside what was found. If interrupted, the same command goes on.",
    )
    report.add_argument("results", metavar="RESULTS.csv", type=Path)
    report.add_argument(
        "--manifest",
        metavar="MANIFEST.csv",
        type=Path,
        help="the table of these results, which says where the images are; without it there are "
        "no pictures, distances and changes of size",
    )
    report.add_argument("--out", metavar="REPORT", type=Path, required=True)


def _add_agreement(commands: argparse._SubParsersAction) -> None:
    agreement = commands.add_parser(
        "agreement",
        help="compare what two readers decided",
        description="Compare two tables of the same results, as the reading list in Slicer writes "
        "them (reviewed-NAME.csv), lesion by lesion: the decisions, with Cohen's kappa, and the "
        "boxes, by distance and IoU. Intervals are from drawing patients.",
    )
    agreement.add_argument("first", metavar="A.csv", type=Path)
    agreement.add_argument("second", metavar="B.csv", type=Path)

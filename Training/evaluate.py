"""The paper's tables 2 and 3, figure 4 and the worst tracks, on a manifest with true boxes.

``python -m Training.evaluate MANIFEST.csv`` prints the model card's tables.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, groupby, pairwise
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.progress import track as progress
from rich.table import Table

from MammoTrackerLib import Box, LesionTracker, Mammogram, MammoTrackerError, Status, Track
from MammoTrackerLib.command.batch import (
    BOX_COLUMNS,
    FAILED,
    MANIFEST_COLUMNS,
    TRUTH_COLUMNS,
    read_box,
    read_rows,
    read_spacing,
)
from MammoTrackerLib.command.drawing import draw_box, draw_zoom
from MammoTrackerLib.command.evaluation import is_present
from MammoTrackerLib.command.scores import (
    WRONG_MM,
    Lesion,
    by_kind,
    draw_success,
    lesion_of,
    number_and_interval,
    print_found,
    print_scores,
)
from MammoTrackerLib.global_search import Alignment, align
from MammoTrackerLib.memory import keep_freed_memory
from MammoTrackerLib.metrics import bootstrap, mean_interval, overlaps, score
from MammoTrackerLib.output_folder import OutputFolder

AFFINE = "affine"
BSPLINE = "affine + B-spline"
SIAMFC = "SiamFC++ style"
TRACKING = "mask-guided tracking"
FULL = "MammoTracker"
PAPER_RANKING = "tracking x similarity"
WIDTH = 150
WORST = 10
COLORS = {"true": "#7ae582", "tracker": "#ffd23f", "registration": "#4cc9f0"}

Row = dict[str, str]


def read_manifest(manifest: Path) -> list[Row]:
    """Read a manifest's rows; the images stay on the disk.

    Raises
    ------
    MammoTrackerError
        If it cannot be read, lacks columns, or has no rows.
    """
    rows = list(read_rows(manifest, (*MANIFEST_COLUMNS, *TRUTH_COLUMNS)))
    if not rows:
        raise MammoTrackerError(f"{manifest} has no rows.")
    return rows


def pairs_of(rows: Sequence[Row]) -> list[list[Row]]:
    """Group the rows of each pair of images, in order."""
    key = ("prior", "current", "prior_spacing_mm", "current_spacing_mm")
    return [list(group) for _, group in groupby(rows, lambda row: [row[k] for k in key])]


def wrong_currents(pairs: Sequence[list[Row]]) -> Iterator[list[Row]]:
    """Yield, for each pair, the next one of another patient (or with another ``pair_id``).

    Raises
    ------
    MammoTrackerError
        If there is no other.
    """
    whose = [pair[0].get("patient") or pair[0]["pair_id"] for pair in pairs]
    for number in range(len(pairs)):
        others = chain(range(number + 1, len(pairs)), range(number))
        other = next((k for k in others if whose[k] != whose[number]), None)
        if other is None:
            raise MammoTrackerError("Wrong pairs need at least two patients.")
        yield pairs[other]


def read_exam(folder: Path, row: Row, exam: str) -> Mammogram:
    """Read a row's prior or current."""
    return Mammogram.read(folder / row[exam], read_spacing(row[f"{exam}_spacing_mm"]))


def box_of(row: Row, exam: str) -> Box:
    """Read a row's box on the prior or the current.

    Raises
    ------
    MammoTrackerError
        If it has none.
    """
    box = read_box(row, [f"{exam}_{name}" for name in BOX_COLUMNS])
    if box is None:
        raise MammoTrackerError(
            f"Lesion {row['lesion_id']} of pair {row['pair_id']} has no box in {exam}_x0 to "
            f"{exam}_y1: fill it, or the column present with 0 if the lesion is not there."
        )
    return box


def affine_box(alignment: Alignment, box: Box) -> Box:
    """Map a box by the affine part of an alignment alone."""
    affine = sitk.AffineTransform(2)
    affine.SetMatrix(alignment.matrix.ravel().tolist())
    affine.SetTranslation(alignment.offset.tolist())
    return replace(alignment, transform=affine).map_box(box)


def local_search_box(track: Track) -> Box:
    """Return what the local search alone answers: the box of the best tracking score."""
    if not track.candidates:
        return track.registration_box
    best = max(track.candidates, key=lambda candidate: candidate.tracking_score)
    return best.box if best.local_box is None else best.local_box


def paper_box(track: Track) -> Box:
    """Return the box of the best tracking x similarity score (paper, section 3.3)."""
    if not track.candidates:
        return track.registration_box
    return max(track.candidates, key=lambda candidate: candidate.score).box


def track_pair(
    trackers: dict[str, LesionTracker], prior: Mammogram, current: Mammogram, boxes: Sequence[Box]
) -> list[tuple[Track, dict[str, Box]]]:
    """Track a pair's lesions by every method.

    Parameters
    ----------
    trackers
        `FULL` is the one to judge; others, of other weights, give their local search's box.
    prior, current, boxes
        As for `LesionTracker.track`.

    Returns
    -------
    list
        For each box the track of `FULL`, and the box of every method.
    """
    alignment = align(prior, current)
    tracks = {
        name: tracker.track(prior, current, boxes, alignment, force=True)
        for name, tracker in trackers.items()
    }
    result = []
    for number, (box, track) in enumerate(zip(boxes, tracks[FULL], strict=True)):
        answers = {
            AFFINE: affine_box(alignment, box),
            BSPLINE: track.registration_box,
            TRACKING: local_search_box(track),
            PAPER_RANKING: paper_box(track),
            FULL: track.box,
        }
        answers |= {
            name: local_search_box(others[number])
            for name, others in tracks.items()
            if name != FULL
        }
        result.append((track, answers))
    return result


def track_all(
    manifest: Path, trackers: dict[str, LesionTracker], wrong_pairs: bool = False
) -> list[tuple[Row, Lesion]]:
    """Track every row of a manifest; only one pair's images are in memory.

    Parameters
    ----------
    manifest
        As for `mammotracker batch`, with true boxes.
    trackers
        As for `track_pair`.
    wrong_pairs
        Give every prior the current of another patient, where nothing can be found.

    Returns
    -------
    list
        Each row with its lesion. A pair that cannot be read or aligned is said so, and its
        lesions have failed.
    """
    pairs = pairs_of(read_manifest(manifest))
    currents = wrong_currents(pairs) if wrong_pairs else pairs
    methods = (AFFINE, BSPLINE, *trackers, TRACKING, PAPER_RANKING)
    result = []
    steps = progress(
        list(zip(pairs, currents, strict=True)), "Tracking", console=Console(stderr=True)
    )
    for rows, other in steps:
        there = [not wrong_pairs and is_present(row) for row in rows]
        truths = [box_of(row, "current") if is_there else None
                  for row, is_there in zip(rows, there, strict=True)]  # fmt: skip
        spacing = (1.0, 1.0)
        try:
            prior = read_exam(manifest.parent, rows[0], "prior")
            current = read_exam(manifest.parent, other[0], "current")
            spacing = current.spacing
            boxes = [box_of(row, "prior") for row in rows]
            tracked = [
                (track.status.value, answers)
                for track, answers in track_pair(trackers, prior, current, boxes)
            ]
        except MammoTrackerError as error:
            print(f"Pair {rows[0]['pair_id']} failed: {error}", file=sys.stderr)
            tracked = [(FAILED, dict.fromkeys(methods))] * len(rows)
        for row, truth, (status, answers) in zip(rows, truths, tracked, strict=True):
            result.append((row, lesion_of(row, truth, spacing, status, answers)))
    return result


def print_differences(console: Console, lesions: Sequence[Lesion], methods: Sequence[str]) -> None:
    """Print how much more AO each method has than the one before it, on the same lesions.

    Parameters
    ----------
    console
        Where the table goes.
    lesions
        Lesions that are there.
    methods
        In the order of the table; `PAPER_RANKING` is compared with `TRACKING` only.
    """
    chain_of = [method for method in methods if method != PAPER_RANKING]
    compared = list(pairwise(chain_of))
    if PAPER_RANKING in methods:
        compared.append((TRACKING, PAPER_RANKING))
    groups = by_kind(lesions)
    table = Table(
        title="Difference of AO, lesion by lesion, with 95 % interval",
        title_justify="left",
        header_style="bold",
    )
    table.add_column("")
    for kind in groups:
        table.add_column(kind, justify="right")
    for before, after in compared:
        cells = []
        for chosen in groups.values():
            truth = [lesion.truth for lesion in chosen]
            first, second = (
                overlaps([lesion.boxes[name] for lesion in chosen], truth)
                for name in (before, after)
            )
            low, high = mean_interval(second - first, [lesion.cluster for lesion in chosen])
            cells.append(f"{(second - first).mean():+.3f}\n{low:+.3f} to {high:+.3f}")
        table.add_row(f"{after}\n  minus {before}", *cells)
    console.print(table)


def print_configurations(
    console: Console, lesions: Sequence[Lesion], trackers: dict[str, LesionTracker]
) -> None:
    """Print the paper's table 3: the local search of each configuration."""
    table = Table(
        title="Configurations of the local search (the paper's table 3)",
        title_justify="left",
        header_style="bold",
    )
    for name in ("", "centre-ness", "template input"):
        table.add_column(name)
    measures = (
        ("AO", "average_overlap", 3),
        ("accuracy", "accuracy", 3),
        ("robustness", "robustness", 3),
        ("mean mm", "distance_mean", 2),
    )
    for name, _, _ in measures:
        table.add_column(name, justify="right")
    truth = [lesion.truth for lesion in lesions]
    spacings = [lesion.spacing for lesion in lesions]
    clusters = [lesion.cluster for lesion in lesions]
    for name, tracker in trackers.items():
        predicted = [lesion.boxes[name] for lesion in lesions]
        scores = score(predicted, truth, spacings)
        intervals = bootstrap(predicted, truth, spacings, clusters)
        table.add_row(
            name,
            "yes" if tracker.settings.centreness else "no",
            tracker.settings.template_input,
            *(
                number_and_interval(getattr(scores, field), intervals[field], digits)
                for _, field, digits in measures
            ),
        )
    console.print(table)


def print_statuses(lesions: Sequence[Lesion]) -> None:
    """Print how often each status is given, and how often it is wrong."""
    for status in (*(status.value for status in Status), FAILED):
        chosen = [lesion for lesion in lesions if lesion.status == status]
        if status == FAILED and not chosen:
            continue
        line = f"{status}: {len(chosen)} of {len(lesions)}"
        there = [lesion for lesion in chosen if lesion.truth is not None]
        if there:
            off = sum(lesion.distance(FULL) > WRONG_MM for lesion in there)
            line += f"; more than {WRONG_MM:g} mm off: {off}"
        if len(there) < len(chosen):
            line += f"; not there: {len(chosen) - len(there)}"
        print(line)
    print_found(lesions, FULL)


def draw_worst(manifest: Path, tracked: Sequence[tuple[Row, Lesion]], folder: Path) -> int:
    """Draw the ten tracks whose centres are farthest off.

    To the left the prior with the lesion's box, to the right the current mammogram with the
    true box, that of `FULL`, and that of registration, dashed; both in one scale.

    Parameters
    ----------
    manifest
        Where the rows come from.
    tracked
        From `track_all`.
    folder
        Where ``worst-01.png``, ... go; what a former run left there is replaced.

    Returns
    -------
    int
        How many were drawn.
    """
    known = [
        (lesion.distance(FULL), number, row, lesion)
        for number, (row, lesion) in enumerate(tracked, 1)
        if not np.isnan(lesion.distance(FULL))
    ]
    worst = sorted(known, key=lambda entry: -entry[0])[:WORST]
    with OutputFolder(folder, replaces="worst-*.png") as temporary:
        for rank, (distance, number, row, lesion) in enumerate(worst, 1):
            prior, current = (
                read_exam(manifest.parent, row, exam) for exam in ("prior", "current")
            )
            caption = (
                f"{rank}. row {number}: {lesion.kind}, {lesion.status}, {distance:.1f} mm off, "
                f"IoU {lesion.boxes[FULL].iou(lesion.truth):.2f}"
            )
            picture = draw_track(prior, current, box_of(row, "prior"), lesion, caption)
            picture.save(temporary / f"worst-{rank:02d}.png")
    return len(worst)


def draw_track(
    prior: Mammogram, current: Mammogram, box: Box, lesion: Lesion, caption: str
) -> Image.Image:
    """Draw one lesion on the prior and on the current mammogram, 1020 pixels wide."""
    panel, gap, head, foot = 500, 20, 30, 30
    boxes = {
        "true": lesion.truth,
        "registration": lesion.boxes[BSPLINE],
        "tracker": lesion.boxes[FULL],
    }
    corners = np.array([one.as_tuple() for one in boxes.values()])
    low, high = corners[:, :2].min(0), corners[:, 2:].max(0)
    extents = np.array([(high - low) * current.spacing, [box.width, box.height] * np.array(
        prior.spacing)])  # fmt: skip
    side_mm = max(40.0, 1.2 * extents.max())

    canvas = Image.new("RGB", (2 * panel + gap, head + panel + foot), "#16181d")
    draw = ImageDraw.Draw(canvas)
    left = draw_zoom(canvas, prior, box.center, side_mm, (0, head, panel, head + panel))
    right = draw_zoom(
        canvas,
        current,
        tuple((low + high) / 2),
        side_mm,
        (panel + gap, head, 2 * panel + gap, head + panel),
    )
    draw_box(draw, left.on_canvas(box), COLORS["true"], False)
    font = ImageFont.load_default(15)
    x = float(panel + gap)
    for name, shown in boxes.items():
        dashed = name == "registration"
        draw_box(draw, right.on_canvas(shown), COLORS[name], dashed)
        draw_box(draw, (x, head + panel + 8, x + 24, head + panel + 22), COLORS[name], dashed)
        draw.text((x + 32, head + panel + 15), name, COLORS[name], font, anchor="lm")
        x += 60 + draw.textlength(name, font=font)
    draw.text((6, head / 2), caption, "#e8eaed", font, anchor="lm")
    draw.text(
        (6, head + panel + 15),
        f"left: prior, right: current; each {side_mm:.0f} mm wide",
        "#9aa0a6",
        font,
        anchor="lm",
    )
    return canvas


def _configuration(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise argparse.ArgumentTypeError(f"{text} is not of the form NAME=DIR")
    if name in (AFFINE, BSPLINE, SIAMFC, TRACKING, PAPER_RANKING, FULL):
        raise argparse.ArgumentTypeError(f"choose another name than {name}")
    return name, Path(folder)


def main() -> None:
    """Print the tables of a manifest."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--weights", type=Path, help="folder of weights; else those that ship")
    parser.add_argument(
        "--siamfc", metavar="DIR", type=Path, help="weights trained with crop-and-resize templates"
    )
    parser.add_argument(
        "--configs",
        metavar="NAME=DIR",
        type=_configuration,
        nargs="+",
        default=[],
        help="weights of other configurations, each a row of the paper's table 3",
    )
    parser.add_argument(
        "--wrong-pairs", action="store_true", help="give every prior another patient's current"
    )
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw the paper's figure 4")
    parser.add_argument(
        "--worst", metavar="FOLDER", type=Path, help=f"draw the {WORST} worst tracks"
    )
    arguments = parser.parse_args()
    keep_freed_memory()
    try:
        evaluate(arguments)
    except MammoTrackerError as error:
        sys.exit(str(error))


def evaluate(arguments: argparse.Namespace) -> None:
    """Track everything and print and draw what was asked for."""
    manifest = arguments.manifest
    trackers = {FULL: LesionTracker(weights=arguments.weights)}
    if arguments.wrong_pairs:
        print_statuses([lesion for _, lesion in track_all(manifest, trackers, True)])
        return
    if arguments.siamfc is not None:
        trackers[SIAMFC] = LesionTracker(weights=arguments.siamfc)
    configurations = {name: LesionTracker(weights=folder) for name, folder in arguments.configs}
    tracked = track_all(manifest, trackers | configurations)
    lesions = [lesion for _, lesion in tracked]
    there = [lesion for lesion in lesions if lesion.truth is not None]
    methods = [AFFINE, BSPLINE, SIAMFC, TRACKING, FULL, PAPER_RANKING]
    if SIAMFC not in trackers:
        methods.remove(SIAMFC)

    console = Console(width=WIDTH)
    if there:
        print_scores(console, there, methods, FULL)
        print(
            f"{TRACKING}: the local search's best box. {FULL}: what the tracker answers.\n"
            f"{PAPER_RANKING}: the paper's full pipeline, the box of the best product of both "
            "scores."
        )
        if SIAMFC not in trackers:
            print(f"{SIAMFC} is left out: give its weights by --siamfc.")
        print_differences(console, there, methods)
        if configurations:
            print_configurations(console, there, configurations)
    print_statuses(lesions)
    if arguments.plot is not None and there:
        draw_success(there, methods, arguments.plot)
    if arguments.worst is not None:
        drawn = draw_worst(manifest, tracked, arguments.worst)
        print(f"The {drawn} worst tracks are drawn in {arguments.worst}.")


if __name__ == "__main__":
    main()

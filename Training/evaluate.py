"""The paper's tables 2 and 3, figure 4 and the worst tracks, on a manifest with true boxes.

``python -m Training.evaluate MANIFEST.csv`` prints the model card's tables.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from MammoTrackerLib import LesionTracker, MammoTrackerError, Status
from MammoTrackerLib.command.readers.reviewed import ACCEPTED
from MammoTrackerLib.command.scores import (
    WRONG_MM,
    Lesion,
    by_kind,
    draw_success,
    print_accepted,
    print_found,
    print_scores,
    rated,
)
from MammoTrackerLib.command.tables.columns import FAILED, STATUSES
from MammoTrackerLib.memory import keep_freed_memory
from MammoTrackerLib.metrics import mean_interval, overlaps

from .manifest import Row
from .methods import AFFINE, FULL, PAPER_RANKING, SIAMFC, SPLINE, TRACKING, track_all
from .trust import print_trust
from .worst_tracks import WORST, draw_worst

WIDTH = 150
LAYER_MM = 3.0


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
    for name, tracker in trackers.items():
        table.add_row(
            name,
            "yes" if tracker.settings.centreness else "no",
            tracker.settings.template_input,
            *rated(lesions, name, measures)[1:],
        )
    console.print(table)


def print_statuses(lesions: Sequence[Lesion]) -> None:
    """Print how often each status is given, and how often it is wrong."""
    for status in STATUSES:
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


def layer_places(row: Row) -> dict[int, tuple[float, float]]:
    """Return where each layer of a rolled pair went on the current, in pixels."""
    columns = (name for name in row if re.fullmatch(r"layer\d+_x", name) and row[name])
    numbers = [int(name[5:-2]) for name in columns]
    return {k: (float(row[f"layer{k}_x"]), float(row[f"layer{k}_y"])) for k in numbers}


def print_layers(tracked: Sequence[tuple[Row, Lesion]], methods: Sequence[str]) -> None:
    """Print, for rolled pairs, how many answers followed another layer than the lesion's.

    Such an answer is more than 3 mm off, and nearer to where another layer went (see
    `Training.make_pairs`).
    """
    rolled = [(row, lesion) for row, lesion in tracked if row.get("layer") and lesion.truth]
    for method in methods if rolled else ():
        other, found = 0, 0
        for row, lesion in rolled:
            box = lesion.boxes[method]
            if box is None or lesion.distance(method) <= LAYER_MM:
                continue
            away = {
                k: np.hypot(*np.subtract(box.center, place) * lesion.spacing)
                for k, place in layer_places(row).items()
            }
            followed = min(away, key=away.get) != int(row["layer"])
            other += followed
            found += followed and lesion.status == Status.FOUND.value
        near = np.mean([lesion.distance(method) <= LAYER_MM for _, lesion in rolled])
        print(
            f"{method}: {near:.0%} of {len(rolled)} within {LAYER_MM:g} mm; {other} followed "
            f"another layer" + (f", {found} of them called found" if method == FULL else "") + "."
        )


def _configuration(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise argparse.ArgumentTypeError(f"{text} is not of the form NAME=DIR")
    if name in (AFFINE, SPLINE, SIAMFC, TRACKING, PAPER_RANKING, FULL):
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
        "--reliability", metavar="FILE", type=Path, help="draw how often each probability is right"
    )
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
        tracked = track_all(manifest, trackers, True)
        print_statuses([lesion for _, lesion in tracked])
        print_trust(Console(width=WIDTH), tracked, arguments.reliability)
        return
    if arguments.siamfc is not None:
        trackers[SIAMFC] = LesionTracker(weights=arguments.siamfc)
    configurations = {name: LesionTracker(weights=folder) for name, folder in arguments.configs}
    tracked = track_all(manifest, trackers | configurations)
    lesions = [lesion for _, lesion in tracked]
    there = [lesion for lesion in lesions if lesion.truth is not None]
    methods = [AFFINE, SPLINE, SIAMFC, TRACKING, FULL, PAPER_RANKING]
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
        print_accepted(sum(row.get("decision") == ACCEPTED for row, _ in tracked))
        if SIAMFC not in trackers:
            print(f"{SIAMFC} is left out: give its weights by --siamfc.")
        print_differences(console, there, methods)
        if configurations:
            print_configurations(console, there, configurations)
    print_statuses(lesions)
    print_trust(console, tracked, arguments.reliability)
    print_layers(tracked, (SPLINE, TRACKING, FULL))
    if arguments.plot is not None and there:
        draw_success(there, methods, arguments.plot)
    if arguments.worst is not None:
        drawn = draw_worst(manifest, tracked, arguments.worst)
        print(f"The {drawn} worst tracks are drawn in {arguments.worst}.")


if __name__ == "__main__":
    main()

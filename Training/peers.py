"""What a user would take instead of MammoTracker, measured on the same manifest in one run.

``python -m Training.peers MANIFEST.csv`` prints one table. A peer that is not installed is
named; ``pip install '.[peers]'`` installs all.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from MammoTrackerLib import Box, LesionTracker, Mammogram, MammoTrackerError
from MammoTrackerLib.command.benchmark import in_own_process, machine, measured
from MammoTrackerLib.command.evaluation import current_spacings
from MammoTrackerLib.command.outputs import quiet_framework
from MammoTrackerLib.command.registrations import REGISTRATIONS, MapPoints, Register, warm_up
from MammoTrackerLib.command.scores import (
    Lesion,
    lesion_of,
    print_what_intervals_are,
    rated,
)
from MammoTrackerLib.command.tables.cells import is_present
from MammoTrackerLib.global_search import align

from .evaluate import WIDTH
from .manifest import Row, box_of, pairs_of, read_exam, read_manifest
from .opencv_peers import PIXEL_MM, Find, Prepare, correlation, csrt

MEASURES = (
    ("AO", "average_overlap", 3),
    ("robustness", "robustness", 3),
    ("mean\nmm", "distance_mean", 2),
    ("median\nmm", "distance_median", 2),
    ("< 3 mm", "close", 3),
)


@dataclass(frozen=True)
class Run:
    """One peer on all pairs of a manifest.

    Attributes
    ----------
    boxes
        One per row that is there, or None.
    pair_wall_s, pair_cpu_s
        Mean time per pair, reading not included.
    lesion_wall_s, lesion_cpu_s
        Mean time per lesion after that.
    peak_mb
        The most memory that its process used, images included.
    trouble
        The first error, if there was one.
    """

    boxes: list[Box | None]
    pair_wall_s: float
    pair_cpu_s: float
    lesion_wall_s: float
    lesion_cpu_s: float
    peak_mb: float
    trouble: str


def rows_there(manifest: Path) -> list[Row]:
    """Read the rows of which the lesion is on the current mammogram."""
    rows = [row for row in read_manifest(manifest) if is_present(row)]
    if not rows:
        raise MammoTrackerError(f"{manifest} has no lesion that is on the current mammogram.")
    return rows


def run_peer(manifest: Path, make: Callable[[], Prepare]) -> Run:
    """Run one peer on a manifest.

    Parameters
    ----------
    manifest
        As for `mammotracker batch`.
    make
        Loads the peer; this is not measured.
    """
    prepare = make()
    boxes, of_pairs, of_lesions, trouble = [], [], [], ""
    for rows in pairs_of(rows_there(manifest)):
        prior, current = (read_exam(manifest.parent, rows[0], e) for e in ("prior", "current"))
        try:
            find, measurement = measured("pair", prepare, prior, current)
            of_pairs.append(measurement)
        except Exception as error:  # a registration that fails finds nothing; that counts
            trouble = trouble or f"{type(error).__name__}: {error}"
            boxes += [None] * len(rows)
            continue
        for row in rows:
            box = None
            try:
                box, measurement = measured("lesion", find, box_of(row, "prior"))
                of_lesions.append(measurement)
            except Exception as error:
                trouble = trouble or f"{type(error).__name__}: {error}"
            boxes.append(box)
    peak = max((one.peak_mb for one in of_pairs + of_lesions), default=np.nan)
    times = [
        np.mean([getattr(one, name) for one in done]) if done else np.nan
        for done in (of_pairs, of_lesions)
        for name in ("wall_s", "cpu_s")
    ]
    return Run(boxes, *map(float, times), peak, trouble)


def mammotracker() -> Prepare:
    """MammoTracker with the weights that ship: alignment once, then each lesion."""
    tracker = LesionTracker()
    with quiet_framework():
        tracker.load()

    def prepare(prior: Mammogram, current: Mammogram) -> Find:
        alignment = align(prior, current)
        return lambda box: tracker.track(prior, current, [box], alignment, force=True)[0].box

    return prepare


def own_registration() -> Prepare:
    """MammoTracker's registration alone."""
    return lambda prior, current: align(prior, current).map_box


def registration(register: Register) -> Prepare:
    """Another registration, at 1/8 of the resolution as in the paper."""
    warm_up(register)

    def prepare(prior: Mammogram, current: Mammogram) -> Find:
        map_points = register(prior, current)
        return lambda box: map_box(map_points, box, prior.spacing, current.spacing)

    return prepare


def map_box(
    map_points: MapPoints,
    box: Box,
    prior_spacing: tuple[float, float],
    current_spacing: tuple[float, float],
) -> Box:
    """Map a box: its centre as a point, its sides as long as the lines between edge middles.

    Parameters
    ----------
    map_points
        Takes (n, 2) pixels of the prior to pixels of the current.
    box
        In pixels of the prior.
    prior_spacing, current_spacing
        (x, y) mm per pixel.
    """
    x, y = box.center
    points = [(x, y), (box.x0, y), (box.x1, y), (x, box.y0), (x, box.y1)]
    center, left, right, top, bottom = map_points(np.array(points, float))
    width, height = (
        np.linalg.norm((end - start) * current_spacing) / spacing
        for start, end, spacing in zip((left, top), (right, bottom), current_spacing, strict=True)
    )
    return Box.from_center(*center.tolist(), float(width), float(height))


_OPENCV = "opencv-contrib-python-headless"
PEERS: tuple[tuple[str, str, Callable[[], Prepare]], ...] = (
    *(
        (name, package, functools.partial(registration, register))
        for name, package, register in REGISTRATIONS
    ),
    ("NCC, whole breast", "opencv-python-headless", functools.partial(correlation, False)),
    ("NCC, registered", "opencv-python-headless", functools.partial(correlation, True)),
    ("CSRT", _OPENCV, functools.partial(csrt, False)),
    ("CSRT, registered", _OPENCV, functools.partial(csrt, True)),
    ("our affine + spline", "mammotracker", own_registration),
    ("MammoTracker", "mammotracker", mammotracker),
)
"""Name, package, and what loads the peer."""


def print_peers(manifest: Path, console: Console) -> None:
    """Run every peer in a process of its own, and print the table.

    Raises
    ------
    MammoTrackerError
        If the manifest cannot be used.
    """
    rows = rows_there(manifest)
    truths = [box_of(row, "current") for row in rows]
    spacing_of = current_spacings(manifest.parent)
    lesions = [
        lesion_of(row, truth, spacing_of(row["current"], row["current_spacing_mm"]), "", {})
        for row, truth in zip(rows, truths, strict=True)
    ]
    table = Table(header_style="bold")
    table.add_column("")
    for name in (
        "gave up", *(name for name, _, _ in MEASURES),
        "pair\nwall s", "pair\nCPU s", "lesion\nwall s", "lesion\nCPU s", "peak\nMB",
    ):  # fmt: skip
        table.add_column(name, justify="right")
    notes = []
    for name, package, make in PEERS:
        print(f"{name} ...", file=sys.stderr)
        try:
            run = in_own_process(run_peer, manifest, make)
        except ImportError:
            table.add_row(name, "-")
            notes.append(f"{name}: not installed ({package}).")
            continue
        except Exception as error:  # a broken installation of theirs is no fault of ours
            table.add_row(name, "-")
            notes.append(f"{name}: {type(error).__name__}: {error}")
            continue
        if run.trouble:
            notes.append(f"{name}: {run.trouble}")
        table.add_row(name, *_cells(run, lesions))
    console.print(table)
    print(
        "AO: mean IoU. Robustness: share with IoU = 0. mm: distance of the centres. Gave up: no "
        "box, counts as IoU 0.\nTimes are means; reading images and loading programs is not "
        f"included. OpenCV's methods see {PIXEL_MM:g} mm pixels;\n'registered': after "
        "MammoTracker's affine registration (its time included)."
    )
    print_what_intervals_are(lesions)
    for note in notes:
        print(note)
    print(machine())


def _cells(run: Run, lesions: list[Lesion]) -> tuple[str, ...]:
    of_run = [
        replace(lesion, boxes={"": box}) for lesion, box in zip(lesions, run.boxes, strict=True)
    ]
    return (
        *rated(of_run, "", MEASURES),
        f"{run.pair_wall_s:.2f}",
        f"{run.pair_cpu_s:.2f}",
        f"{run.lesion_wall_s:.2f}",
        f"{run.lesion_cpu_s:.2f}",
        f"{run.peak_mb:.0f}",
    )


def main() -> None:
    """Print the table of a manifest."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("manifest", type=Path)
    arguments = parser.parse_args()
    try:
        print_peers(arguments.manifest, Console(width=WIDTH))
    except MammoTrackerError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

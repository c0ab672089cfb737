"""Measure each step of the tracker on a manifest with true boxes.

``python -m Training.evaluate MANIFEST.csv`` prints the model card's tables.
"""

from __future__ import annotations

import argparse
import csv
from itertools import groupby
from pathlib import Path

import numpy as np

from MammoTrackerLib import Box, LesionTracker, Mammogram, Status, Track
from MammoTrackerLib.metrics import center_distance, score
from MammoTrackerLib.tracker import rank

WRONG_MM = 10.0
COLUMNS = ("x0", "y0", "x1", "y1")


def read_pairs(manifest: Path):
    """Yield prior, current and the rows of each pair of a manifest, in order."""
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    key = ("prior", "current", "prior_spacing_mm", "current_spacing_mm")
    for (prior, current, *spacings), group in groupby(rows, lambda r: [r[k] for k in key]):
        exams = [
            Mammogram.read(manifest.parent / name, float(spacing) if spacing else None)
            for name, spacing in zip((prior, current), spacings, strict=True)
        ]
        yield *exams, list(group)


def box_of(row: dict[str, str], exam: str) -> Box:
    """Read a row's box on the prior or the current."""
    return Box(*(float(row[f"{exam}_{name}"]) for name in COLUMNS))


def track_all(manifest: Path, tracker: LesionTracker, wrong_pairs: bool) -> list[tuple]:
    """Track every row; returns (lesion type, true box, spacing, track) for each.

    With ``wrong_pairs`` every prior is given the current of the next pair, where nothing can be
    found.
    """
    pairs = list(read_pairs(manifest))
    result = []
    for number, (prior, current, rows) in enumerate(pairs):
        if wrong_pairs:
            current = pairs[(number + 1) % len(pairs)][1]
        tracks = tracker.track(prior, current, [box_of(row, "prior") for row in rows], force=True)
        for row, track in zip(rows, tracks, strict=True):
            truth = box_of(row, "current")
            result.append((row["lesion_type"], truth, current.spacing, track))
    return result


def predictions(track: Track) -> dict[str, Box]:
    """Return what each step alone would answer."""
    result = {"registration": track.registration_box}
    for name, weight in (("local search", 0.0), ("with refinement", 1.0)):
        ranked = rank(track.candidates, weight)
        result[name] = ranked[0].box if ranked else track.registration_box
    return result


def print_table(results: list[tuple]) -> None:
    """Print the metrics of the three steps, by lesion type and in total."""
    print(f"{'':24}{'n':>5}{'AO':>8}{'acc.':>8}{'rob.':>8}{'mean':>8}{'median':>8}"
          f"{'p90':>8}{'<3 mm':>8}")  # fmt: skip
    for kind in (*dict.fromkeys(r[0] for r in results), "all"):
        chosen = [r for r in results if kind in ("all", r[0])]
        _, truths, spacings, tracks = zip(*chosen, strict=True)
        print(kind)
        for method in predictions(tracks[0]):
            s = score([predictions(t)[method] for t in tracks], truths, spacings)
            print(f"  {method:22}{s.count:5d}{s.average_overlap:8.3f}{s.accuracy:8.3f}"
                  f"{s.robustness:8.3f}{s.distance_mean:8.2f}{s.distance_median:8.2f}"
                  f"{s.distance_p90:8.2f}{100 * s.close:7.0f}%")  # fmt: skip


def print_statuses(results: list[tuple], wrong_pairs: bool) -> None:
    """Print how often each status is given, and how often it is wrong."""
    for status in Status:
        chosen = [r for r in results if r[3].status is status]
        line = f"{status.value}: {len(chosen)} of {len(results)}"
        if chosen and not wrong_pairs:
            distances = np.array([center_distance(r[3].box, r[1], r[2]) for r in chosen])
            line += f"; more than {WRONG_MM:g} mm off: {(distances > WRONG_MM).sum()}"
        print(line)


def main() -> None:
    """Print the tables of a manifest."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--weights", type=Path, help="folder of weights; else those that ship")
    parser.add_argument(
        "--wrong-pairs", action="store_true", help="give every prior another pair's current"
    )
    arguments = parser.parse_args()
    tracker = LesionTracker(weights=arguments.weights)
    results = track_all(arguments.manifest, tracker, arguments.wrong_pairs)
    if not arguments.wrong_pairs:
        print_table(results)
    print_statuses(results, arguments.wrong_pairs)


if __name__ == "__main__":
    main()

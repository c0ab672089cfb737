"""Measure how well lesions are followed through series, and how well their sizes repeat.

With ``--write``, on series of women to choose thresholds on (`make_pairs --validation`), it fits
how well sizes repeat where nothing changed and the probability that a lesion is there, and writes
both into weights.json.

``python -m Training.measure_series MANIFEST.csv [...] [--weights DIR] [--write]``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track as progress
from rich.table import Table
from scipy.optimize import minimize

from MammoTrackerLib import Box, LesionTracker, MammoTrackerError
from MammoTrackerLib.command.follow import read_date, read_exam
from MammoTrackerLib.command.tables import (
    BOX_COLUMNS,
    SERIES,
    is_present,
    read_box,
    read_rows,
    read_spacing,
)
from MammoTrackerLib.exams import Exams
from MammoTrackerLib.growth import ANY_TYPE, GROWTH, NO_CHANGE, growth
from MammoTrackerLib.history import LEAST_CHANCE, LesionHistory, follow
from MammoTrackerLib.memory import keep_freed_memory
from MammoTrackerLib.metrics import center_distance, mean_interval
from MammoTrackerLib.networks.card import WEIGHTS, read_card, write_card
from MammoTrackerLib.track import Status, Track

TRUE_COLUMNS = tuple(f"true_{name}" for name in BOX_COLUMNS)
TYPES = ("mass", "calcification")
COVERED, LEAST_SIZES, RIDGE = 0.95, 30, 0.3
GREW, STABLE = 1.2, 1.02
"""From which ratio of the longest sides on a lesion grew, and up to which it did not change."""
PLACE_MM = 10.0
"""Answers that are farther off are on another place, so that they measure no size."""


@dataclass(frozen=True)
class Followed:
    """A lesion of a series: the truth, and what direct tracking and following found.

    Attributes
    ----------
    woman, kind
        Whose it is, and "mass", "calcification" or "tissue".
    truth
        Its box on each exam; None where it is not there.
    spacings, dates
        Of the exams.
    direct
        The answer from the marked exam alone, of each exam; None on the marked one.
    history
        What `follow` found.
    """

    woman: str
    kind: str
    truth: list[Box | None]
    spacings: list[tuple[float, float]]
    dates: list
    direct: list[Track | None]
    history: LesionHistory

    @property
    def others(self) -> list[int]:
        """The exams on which it was looked for."""
        return [k for k in range(len(self.truth)) if k != self.history.marked]

    def off(self, track: Track, exam: int) -> float:
        """How far an answer is off in mm; infinite where the lesion is not there."""
        true = self.truth[exam]
        return np.inf if true is None else center_distance(track.box, true, self.spacings[exam])


def collect(manifest: Path, tracker: LesionTracker) -> list[Followed]:
    """Follow every lesion of a manifest of series.

    Raises
    ------
    MammoTrackerError
        If the manifest or an image cannot be used.
    """
    result = []
    rows = list(read_rows(manifest, (*SERIES.manifest, *TRUE_COLUMNS, "present", "patient")))
    groups = [list(group) for _, group in groupby(rows, lambda row: row["exam_group"])]
    for group in progress(groups, "Following", console=Console(stderr=True)):
        lesions = [list(own) for _, own in groupby(group, lambda row: row["lesion_id"])]
        first = lesions[0]
        exams = Exams(tracker, [_reader(manifest.parent, row) for row in first])
        marked = next(k for k, row in enumerate(first) if row["x0"])
        boxes = [read_box(own[marked], BOX_COLUMNS) for own in lesions]
        histories = follow(tracker, exams, boxes, marked)
        for number, (own, history) in enumerate(zip(lesions, histories, strict=True)):
            direct = [
                None if k == marked else exams.track(marked, k, boxes)[number]
                for k in range(len(exams))
            ]
            truth = [read_box(row, TRUE_COLUMNS) if is_present(row) else None for row in own]
            spacings = [exam.spacing for exam in exams]
            dates = [read_date(row["date"]) for row in own]
            result.append(
                Followed(
                    own[0]["patient"], own[0]["lesion_type"], truth, spacings, dates, direct,
                    history,
                )
            )  # fmt: skip
    return result


def _reader(folder: Path, row: dict[str, str]) -> Callable:
    spacing, date = read_spacing(row["spacing_mm"]), read_date(row["date"])
    return lambda: read_exam(folder / row["exam"], spacing, date)


def sizes(lesions: Sequence[Followed], kind: str, changed: bool = False) -> np.ndarray:
    """Return (n, 2) longest sides in mm, predicted and true, where the lesion's place is right.

    Of lesions that are as large as on the marked exam, or of those that changed.
    """
    found = []
    for lesion in lesions:
        if lesion.kind not in TYPES or kind not in (ANY_TYPE, lesion.kind):
            continue
        for k in lesion.others:
            track = lesion.history.results[k].track
            if track.status is not Status.NOT_FOUND and lesion.off(track, k) <= PLACE_MM:
                spacing, marked = lesion.spacings[k], lesion.history.marked
                side = lesion.truth[k].longest_side(spacing)
                before = lesion.truth[marked].longest_side(lesion.spacings[marked])
                if (abs(np.log(side / before)) > np.log(STABLE)) == changed:
                    found.append((track.box.longest_side(spacing), side))
    return np.array(found).reshape(-1, 2)


def fit_repeatability(measured: np.ndarray) -> dict[str, float]:
    """Fit an error of a part in mm and one as a share of the side to (n, 2) sides.

    It is the smallest, as a share of the sides on average, within which 95 % of the predicted
    sides are.

    Raises
    ------
    MammoTrackerError
        If there are too few of them.
    """
    if len(measured) < LEAST_SIZES:
        raise MammoTrackerError(
            f"Only {len(measured)} sizes of a type could be compared: give more series."
        )
    predicted, true = measured.T
    wrong = np.abs(np.log(predicted / true))
    best = None
    for mm in np.arange(0, 6.01, 0.1):
        for share in np.arange(0.02, 1.001, 0.01):
            error = np.hypot(mm / predicted, share)
            if (wrong <= error).mean() < COVERED:
                continue
            if best is None or error.mean() < best[0]:
                best = error.mean(), mm, share
            break  # a larger share only covers more
    if best is None:
        raise MammoTrackerError("Sizes repeat too badly to give them an error.")
    return {"mm": round(float(best[1]), 3), "share": round(float(best[2]), 3)}


def fit_presence(lesions: Sequence[Followed]) -> list[float]:
    """Fit the coefficients of `history.presence`: a logistic regression with a small ridge.

    Raises
    ------
    MammoTrackerError
        If no lesion appears or goes.
    """
    logits, there = [], []
    for one in lesions:
        marked, results = one.history.marked, one.history.results
        for side in (range(marked), range(len(results) - 1, marked, -1)):
            highest = 0.0
            for k in side:
                highest = max(highest, results[k].track.score)
                chance = np.clip(highest, LEAST_CHANCE, 1 - LEAST_CHANCE)
                logits.append(np.log(chance / (1 - chance)))
                there.append(one.truth[k] is not None)
    x, sign = np.array(logits), np.where(there, 1.0, -1.0)
    if all(there):
        raise MammoTrackerError("No lesion of the series appears or goes: give more series.")

    def loss(w: np.ndarray) -> float:
        return np.logaddexp(0, -sign * (w[0] + w[1] * x)).sum() + RIDGE * w[1] ** 2

    return [round(float(value), 4) for value in minimize(loss, [0.0, 1.0]).x]


def _shares(values: Sequence[bool], women: Sequence[str]) -> str:
    """Write a share with its interval."""
    if not len(values):
        return "-"
    low, high = mean_interval(np.array(values, float), women)
    return f"{100 * np.mean(values):.1f} % ({100 * low:.1f}-{100 * high:.1f}), {len(values)}"


def print_places(lesions: Sequence[Followed], console: Console) -> None:
    """Print how often direct tracking and following are right, and the difference."""
    there = [(one, k) for one in lesions for k in one.others if one.truth[k] is not None]
    women = [one.woman for one, _ in there]
    table = Table(title="Lesions that are there", header_style="bold")
    for name in ("", "IoU 0", "within 3 mm", "over 10 mm off", "mean IoU"):
        table.add_column(name)
    values = {}
    for name, pick in (
        ("direct", lambda one, k: one.direct[k]),
        ("followed", lambda one, k: one.history.results[k].track),
    ):
        tracks = [pick(one, k) for one, k in there]
        iou = np.array([t.box.iou(one.truth[k]) for t, (one, k) in zip(tracks, there, strict=True)])
        off = np.array([one.off(t, k) for t, (one, k) in zip(tracks, there, strict=True)])
        values[name] = np.stack([iou == 0, off < 3, off > PLACE_MM, iou]).astype(float)
        low, high = mean_interval(iou, women)
        table.add_row(
            name, *(_shares(row, women) for row in values[name][:3]),
            f"{iou.mean():.3f} ({low:.3f}-{high:.3f})",
        )  # fmt: skip
    cells = []
    for change in values["followed"] - values["direct"]:
        low, high = mean_interval(change, women)
        cells.append(f"{change.mean():+.4f} ({low:+.4f} to {high:+.4f})")
    table.add_row("difference", *cells)
    console.print(table)

    looked = [(one, k) for one in lesions for k in one.others]
    table = Table(title="What was called found", header_style="bold")
    for name in ("", "answers", "of them over 10 mm off or not there", "of those there, not found"):
        table.add_column(name)
    for name, pick in (
        ("direct", lambda one, k: one.direct[k]),
        ("followed", lambda one, k: one.history.results[k].track),
    ):
        found = [(one, k) for one, k in looked if pick(one, k).status is Status.FOUND]
        wrong = [one.off(pick(one, k), k) > PLACE_MM for one, k in found]
        lost = [pick(one, k).status is Status.NOT_FOUND for one, k in there]
        table.add_row(
            name, str(len(found)), _shares(wrong, [one.woman for one, _ in found]),
            _shares(lost, women),
        )  # fmt: skip
    console.print(table)


def print_presence(lesions: Sequence[Followed], console: Console) -> None:
    """Print how often lesions that appear or go are called so, and others wrongly."""
    right, wrong = [], []
    for one in lesions:
        for end, called in ((0, one.history.new), (len(one.truth) - 1, one.history.gone)):
            if end != one.history.marked:
                into = right if one.truth[end] is None else wrong
                into.append((called is not None, one.woman))
    for title, found in (("appear or go, called so", right), ("do not, called so", wrong)):
        values = [called for called, _ in found]
        console.print(f"Lesions that {title}: {_shares(values, [w for _, w in found])}")


def print_growth(lesions: Sequence[Followed], repeatability: dict, console: Console) -> None:
    """Print how often growth is called so, by what is true between the same two exams."""
    table = Table(title="Change of the longest side", header_style="bold")
    for name in ("type", "grew over 20 %: called growth", "did not change: called a change"):
        table.add_column(name)
    for kind in (ANY_TYPE, *TYPES):
        grew, stable = [], []
        for one in lesions:
            if one.kind not in TYPES or kind not in (ANY_TYPE, one.kind):
                continue
            change = growth(one.history, one.spacings, one.dates, repeatability, one.kind).overall
            ends = None if change is None else (one.truth[change.first], one.truth[change.last])
            if ends is None or None in ends:
                continue
            first, last = (
                box.longest_side(one.spacings[k])
                for box, k in zip(ends, (change.first, change.last), strict=True)
            )
            if last / first >= GREW:
                grew.append((change.verdict == GROWTH, one.woman))
            elif abs(np.log(last / first)) <= np.log(STABLE):
                stable.append((change.verdict != NO_CHANGE, one.woman))
        cells = [_shares([v for v, _ in part], [w for _, w in part]) for part in (grew, stable)]
        table.add_row(kind, *cells)
    console.print(table)


def main(argv: Sequence[str] | None = None) -> int:
    """Follow all lesions, print the measures, and write what is fitted into ``weights.json``."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("manifests", metavar="MANIFEST.csv", type=Path, nargs="+")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="else those that ship")
    parser.add_argument(
        "--write", action="store_true", help="fit presence and errors of sizes for weights.json"
    )
    arguments = parser.parse_args(argv)
    keep_freed_memory()
    console = Console(width=None if sys.stdout.isatty() else 140)
    try:
        tracker = LesionTracker(weights=arguments.weights)
        lesions = [one for path in arguments.manifests for one in collect(path, tracker)]
        repeatability = tracker.repeatability
        if arguments.write:
            repeatability = {
                kind: fit_repeatability(sizes(lesions, kind)) for kind in (ANY_TYPE, *TYPES)
            }
            presence = fit_presence(lesions)
            console.print(f"Presence: {presence}. What follows is with those that were before.")
            card = read_card(arguments.weights)
            card |= {"repeatability": repeatability, "presence": presence}
            write_card(arguments.weights, card)
    except MammoTrackerError as error:
        print(f"measure_series: {error}", file=sys.stderr)
        return 2
    print_places(lesions, console)
    print_presence(lesions, console)
    for kind, parts in repeatability.items():
        console.print(f"Sizes, {kind}: 95 % within {parts['mm']:g} mm and {parts['share']:.0%}.")
        for changed in (False, True):
            measured = sizes(lesions, kind, changed)
            if len(measured):
                error = np.abs(np.log(measured[:, 0] / measured[:, 1]))
                inside = error <= np.hypot(parts["mm"] / measured[:, 0], parts["share"])
                console.print(
                    f"  {'changed' if changed else 'as large as marked'}, {len(measured)}: half "
                    f"within {np.median(error):.1%}, {inside.mean():.1%} within the error."
                )
    print_growth(lesions, repeatability, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Measure how well lesions are followed through series, and how well their sizes repeat.

With ``--write``, on series of women to choose thresholds on (`make_pairs --validation`), it fits
how well sizes repeat where nothing changed, how much of their error those of one lesion share, and
the probability that a lesion is there, and writes them into weights.json.

``python -m Training.measure_series MANIFEST.csv [...] [--weights DIR] [--write]``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize

from MammoTrackerLib import LesionTracker, MammoTrackerError
from MammoTrackerLib.growth import ANY_TYPE, GROWTH, NO_CHANGE, growth
from MammoTrackerLib.history import LEAST_CHANCE
from MammoTrackerLib.memory import keep_freed_memory
from MammoTrackerLib.metrics import mean_interval
from MammoTrackerLib.networks.card import WEIGHTS, read_card, write_card
from MammoTrackerLib.track import Status

from .followed_series import Followed, collect
from .size_errors import PLACE_MM, STABLE, TYPES, covered, differences, fit_sizes, sizes, together

RIDGE = 0.3
GREW = 1.2
"""From which ratio of the longest sides on a lesion grew."""


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


def print_sizes(
    lesions: Sequence[Followed], kind: str, parts: Mapping[str, float], console: Console
) -> None:
    """Print how well the sizes of one type repeat, and the ratios of two of them."""
    shared = parts.get("shared", 0.0)
    console.print(
        f"Sizes, {kind}: 95 % within {parts['mm']:g} mm and {parts['share']:.0%}; two of a lesion "
        f"share {shared:.2f} of their error."
    )
    for changed in (False, True):
        measured = sizes(lesions, kind, changed)
        flat, between = together(measured), differences(measured, parts)
        if not len(flat):
            continue
        error = np.abs(np.log(flat[:, 0] / flat[:, 1]))
        inside = error <= np.hypot(parts["mm"] / flat[:, 0], parts["share"])
        text = f"half within {np.median(error):.1%}, {inside.mean():.1%} within the error"
        if len(between):
            text += f"; of {len(between)} ratios of two {covered(between, parts):.1%}"
        console.print(f"  {'changed' if changed else 'as large as marked'}, {len(flat)}: {text}.")


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
            repeatability = fit_sizes(lesions)
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
        print_sizes(lesions, kind, parts, console)
    print_growth(lesions, repeatability, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())

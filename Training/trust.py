"""What the tracker's probability, statuses and sizes are worth, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from MammoTrackerLib import Status
from MammoTrackerLib.command.readers.reviewed import NOT_THERE
from MammoTrackerLib.command.scores import Lesion, number_and_interval
from MammoTrackerLib.command.tables.cells import read_spacing
from MammoTrackerLib.metrics import interval_of, mean_interval

from .manifest import Row, box_of
from .methods import FULL

RIGHT_MM = 3.0
"""An answer within it is right."""
SURE = 0.8
BINS = np.linspace(0, 1, 11)
MIN_SLOPE_MM = 8.0


def groups(tracked: Sequence[tuple[Row, Lesion]]) -> dict[str, list[Lesion]]:
    """Tell lesions that are there from those that went, and from those of two women or views.

    A pair none of whose lesions is there is taken for one that is none, unless a reader looked for
    one of them.
    """
    is_pair: dict[str, bool] = {}
    for row, lesion in tracked:
        is_known = lesion.truth is not None or row.get("decision") == NOT_THERE
        is_pair[lesion.pair] = is_pair.get(lesion.pair, False) or is_known
    result: dict[str, list[Lesion]] = {"there": [], "went": [], "not a pair": []}
    for _, lesion in tracked:
        name = "there" if lesion.truth is not None else "went"
        result[name if is_pair[lesion.pair] else "not a pair"].append(lesion)
    return {name: lesions for name, lesions in result.items() if lesions}


def is_right(lesion: Lesion) -> bool:
    """Whether the lesion is there, and its answer at most 3 mm off."""
    return lesion.truth is not None and lesion.distance(FULL) <= RIGHT_MM


def calibration_error(
    chance: np.ndarray, right: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Return the expected calibration error: over ten bins, how far probabilities are off.

    Parameters
    ----------
    chance, right
        (n,) probabilities, and whether the answers are right.
    weights
        (n,) how often each counts; once if not given.
    """
    weights = np.ones(len(chance)) if weights is None else weights
    number = np.digitize(chance, BINS[1:-1])
    off = np.bincount(number, weights * (chance - right), minlength=len(BINS) - 1)
    return float(np.abs(off).sum() / max(weights.sum(), 1e-9))


def size_changes(tracked: Sequence[tuple[Row, Lesion]]) -> list[tuple[float, float, str]]:
    """Return true and predicted change of the longest side of masses, and whose they are.

    Changes are natural logarithms, of masses of 8 mm and more that were found at their place.
    """
    changes = []
    for row, lesion in tracked:
        spacing = read_spacing(row["prior_spacing_mm"])
        if lesion.kind != "mass" or not is_right(lesion) or spacing is None:
            continue
        before = box_of(row, "prior").longest_side((spacing, spacing))
        if before >= MIN_SLOPE_MM:
            true, predicted = (
                math.log(box.longest_side(lesion.spacing) / before)
                for box in (lesion.truth, lesion.boxes[FULL])
            )
            changes.append((true, predicted, lesion.cluster))
    return changes


def print_trust(
    console: Console, tracked: Sequence[tuple[Row, Lesion]], plot: Path | None = None
) -> None:
    """Print what is called found of what is there and what is not, and the errors of both.

    Parameters
    ----------
    console
        Where the table goes.
    tracked
        Rows with their lesions, as `methods.track_all` returns them.
    plot
        PNG to draw the reliability diagram on.
    """
    table = Table(title="Trust, with 95 % intervals", title_justify="left", header_style="bold")
    for name in ("", "lesions", "found", f"probability {SURE:g} or more", "not found"):
        table.add_column(name, justify="right" if name else "left")
    for name, lesions in groups(tracked).items():
        clusters = [lesion.cluster for lesion in lesions]
        cells = []
        for hits in (
            [lesion.status == Status.FOUND.value for lesion in lesions],
            [lesion.probability >= SURE for lesion in lesions],
            [lesion.status == Status.NOT_FOUND.value for lesion in lesions],
        ):
            share = number_and_interval(float(np.mean(hits)), mean_interval(hits, clusters), 3)
            cells.append(f"{sum(hits)}: {share}")
        table.add_row(name, str(len(lesions)), *cells)
    console.print(table)
    known = [lesion for _, lesion in tracked if not math.isnan(lesion.probability)]
    if known:
        chance = np.array([lesion.probability for lesion in known])
        right = np.array([is_right(lesion) for lesion in known])
        clusters = [lesion.cluster for lesion in known]
        interval = interval_of(lambda w: calibration_error(chance, right, w), clusters)
        text = f"{calibration_error(chance, right):.3f} ({interval[0]:.3f}-{interval[1]:.3f})"
        print(f"Expected calibration error: {text}, {len(known)} lesions.")
        if plot is not None:
            draw_reliability(chance, right, plot)
    _print_slopes(size_changes(tracked))


def _print_slopes(changes: Sequence[tuple[float, float, str]]) -> None:
    """Print how predicted changes of size go with the true ones, and the true ones with them.

    A size that is measured with noise, and drawn towards no change as far as the noise tells
    (which makes the smallest errors), underestimates changes; but of those that it tells the true
    ones are neither larger nor smaller on average: then the second slope is 1.
    """
    if len(changes) < 3:
        return
    true, predicted = np.array([change[:2] for change in changes]).T
    clusters = [cluster for *_, cluster in changes]

    def slope(of: np.ndarray, on: np.ndarray, w: np.ndarray) -> float:
        offset = on - np.average(on, weights=w)
        spread = w @ offset**2
        return float(w @ (offset * of) / spread) if spread > 0 else math.nan

    for name, of, on in (
        ("predicted on the true", predicted, true),
        ("true on the predicted", true, predicted),
    ):
        low, high = interval_of(lambda w, of=of, on=on: slope(of, on, w), clusters)
        print(
            f"Slope of the {name} change of the longest side, masses of {MIN_SLOPE_MM:g} mm and "
            f"more: {slope(of, on, np.ones(len(of))):.2f} ({low:.2f} to {high:.2f}), "
            f"{len(of)} lesions."
        )


def draw_reliability(chance: np.ndarray, right: np.ndarray, path: Path) -> None:
    """Draw how often answers are right, over their probability, with the number of each."""
    from matplotlib.figure import Figure

    number = np.digitize(chance, BINS[1:-1])
    counts = np.bincount(number, minlength=len(BINS) - 1)
    shown = counts > 0
    mean, share = (
        np.bincount(number, values, minlength=len(counts))[shown] / counts[shown]
        for values in (chance, right)
    )
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.plot(mean, share, "o-", color="tab:blue")
    for x, y, n in zip(mean, share, counts[shown], strict=True):
        axes.annotate(str(n), (x, y), textcoords="offset points", xytext=(6, -10), fontsize=8)
    axes.set(
        xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="probability", ylabel="share that is right",
        title="Reliability (numbers of answers)", aspect="equal",
    )  # fmt: skip
    figure.savefig(path, dpi=110)

"""How well predicted sizes repeat: fitted on lesions that did not change, and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from MammoTrackerLib import MammoTrackerError
from MammoTrackerLib.growth import ANY_TYPE, UNSIZED, error_between, error_mm

from .followed_series import Followed

TYPES = ("mass", "calcification")
COVERED, LEAST_SIZES = 0.95, 30
STABLE = 1.02
"""Up to which ratio of the longest sides a lesion did not change."""
HIGHEST, STEP = 0.95, 0.01
"""The highest correlation that is tried, and by how much lower the next."""
PLACE_MM = 10.0
"""Answers that are farther off are on another place, so that they measure no size."""


def sizes(lesions: Sequence[Followed], kind: str, changed: bool = False) -> list[np.ndarray]:
    """Return (n, 2) longest sides in mm of each lesion, predicted and true, where it was found.

    Of exams on which it is as large as on the marked one, or of those on which it changed. What was
    kept from the registration is left out: it measures nothing.
    """
    found = []
    for lesion in lesions:
        if lesion.kind not in TYPES or kind not in (ANY_TYPE, lesion.kind):
            continue
        own = []
        for k in lesion.others:
            track = lesion.history.results[k].track
            if track.status not in UNSIZED and lesion.off(track, k) <= PLACE_MM:
                spacing, marked = lesion.spacings[k], lesion.history.marked
                side = lesion.truth[k].longest_side(spacing)
                before = lesion.truth[marked].longest_side(lesion.spacings[marked])
                if (abs(np.log(side / before)) > np.log(STABLE)) == changed:
                    own.append((track.box.longest_side(spacing), side))
        found.append(np.array(own).reshape(-1, 2))
    return found


def together(measured: Sequence[np.ndarray]) -> np.ndarray:
    """Return the sizes (n, 2) of all lesions in one array."""
    return np.concatenate([*measured, np.empty((0, 2))])


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


def differences(measured: Sequence[np.ndarray], parts: Mapping[str, float]) -> np.ndarray:
    """Compare any two predicted sizes of a lesion: (n, 3) how far their ratio is off, own errors.

    The first is the logarithm of the predicted ratio over the true one; the others are shares of
    the sides. `measured` has (n, 2) predicted and true sides of each lesion.
    """
    return np.array(
        [
            (np.log(a / true_a * true_b / b), error_mm(a, parts) / a, error_mm(b, parts) / b)
            for own in measured
            for (a, true_a), (b, true_b) in combinations(own, 2)
        ]
    ).reshape(-1, 3)


def covered(between: np.ndarray, parts: Mapping[str, float]) -> float:
    """Return how many of the ratios of `differences` are right within their error, 0 to 1."""
    errors = [error_between(first, last, parts) for _, first, last in between]
    return float(np.mean(np.abs(between[:, 0]) <= errors))


def fit_shared(measured: Sequence[np.ndarray], parts: Mapping[str, float]) -> dict[str, float]:
    """Add to an error of sizes how much of it those of one lesion share.

    It is the highest correlation, for the smallest error, within which 95 % of the ratios of two
    predicted sizes of one lesion are; 0 where that is too many, or they are too few to tell.
    """
    between = differences(measured, parts)
    shared = HIGHEST if len(between) >= LEAST_SIZES else 0.0
    while shared > 0 and covered(between, {**parts, "shared": shared}) < COVERED:
        shared = round(shared - STEP, 2)
    return {**parts, "shared": shared}


def fit_sizes(lesions: Sequence[Followed]) -> dict[str, dict[str, float]]:
    """Fit how well sizes repeat, by type and for any: what a card's "repeatability" holds.

    Raises
    ------
    MammoTrackerError
        If there are too few sizes.
    """
    fitted = {}
    for kind in (ANY_TYPE, *TYPES):
        measured = sizes(lesions, kind)
        fitted[kind] = fit_shared(measured, fit_repeatability(together(measured)))
    return fitted

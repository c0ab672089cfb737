"""Growth: how a lesion's size changed through its exams, with the error of its measurement."""

from __future__ import annotations

import datetime
import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .history import ABSENT, LesionHistory
from .networks.card import ANY_TYPE, UNMEASURED
from .track import Status

DAYS_A_YEAR = 365.25
LEAST_DAYS = 30
"""Between exams of which a growth per year and a doubling time are told: on nearer ones, such as
those of a recall, a lesion differs by how the breast was laid."""
GROWTH, SHRINKAGE, NO_CHANGE = "growth", "shrinkage", "no change that can be measured"
EXACT = 1e-4
"""Stands for the error of the marked size, as a share of it, which is 0."""
UNSIZED = (Status.NOT_FOUND, Status.REGISTRATION)
"""Of answers whose box says nothing of the lesion's size."""


@dataclass(frozen=True)
class Size:
    """A lesion's size on one exam.

    Attributes
    ----------
    longest_mm, area_mm2
        Longest side of the box, and the area of the ellipse in it.
    error_mm
        Of a lesion that does not change, 95 % of the predicted longest sides are within so much of
        the marked one; 0 on the marked exam, against which all others are measured.
    by_user
        Whether the user's box was measured.
    """

    longest_mm: float
    area_mm2: float
    error_mm: float
    by_user: bool


@dataclass(frozen=True)
class Change:
    """How a lesion's size changed between two exams.

    Attributes
    ----------
    first, last
        Indices of the exams.
    mm, percent
        Change of the longest side, also in per cent of the first.
    percent_low, percent_high
        Between which it is with its 95 % error.
    area_mm2, area_percent
        Change of the area.
    verdict
        "growth" or "shrinkage" where the change is beyond its error, else "no change that can be
        measured"; as is a change over several exams where the trend through them does not confirm
        it.
    years, percent_per_year
        Between the exams, and growth of the longest side per year; None if a date is unknown, and
        the latter if they are less than `LEAST_DAYS` apart.
    doubling_days
        In which the volume doubles, from the longest side; None unless it grows, with known dates
        as far apart.
    """

    first: int
    last: int
    mm: float
    percent: float
    percent_low: float
    percent_high: float
    area_mm2: float
    area_percent: float
    verdict: str
    years: float | None
    percent_per_year: float | None
    doubling_days: float | None


@dataclass(frozen=True)
class Growth:
    """A lesion's sizes, and how they changed.

    Attributes
    ----------
    sizes
        One an exam; None where the lesion was not found or is probably not there, or the
        registration's box was kept.
    steps
        The changes between exams that follow each other, of those with a sure size: the answer is
        found, or the user's.
    overall
        The change from the first to the last exam with a sure size; None with fewer than two.
    """

    sizes: tuple[Size | None, ...]
    steps: tuple[Change, ...]
    overall: Change | None


def signed(value: float, digits: int = 0) -> str:
    """Write a change with its sign; what is rounded to 0 is no loss."""
    return f"{round(value, digits) + 0.0:+.{digits}f}"


def duration(years: float) -> str:
    """Write how long it is from one exam to another."""
    days = round(years * DAYS_A_YEAR)
    if abs(days) < 2 * LEAST_DAYS:
        return f"{days} day{'s' * (days != 1)}"
    return f"{years:.1f} years"


def parts_of(repeatability: Mapping, lesion_type: str = "") -> Mapping[str, float]:
    """Return how well sizes of one lesion type repeat, or of any type if it is not known."""
    return repeatability.get(lesion_type, repeatability[ANY_TYPE])


def error_mm(longest_mm: float, parts: Mapping[str, float]) -> float:
    """Return the 95 % error of a predicted longest side in mm.

    Parameters
    ----------
    longest_mm
        The side.
    parts
        From `parts_of`: "mm" and, as a share of the side, "share", whose squares add up.
    """
    return math.hypot(parts["mm"], parts["share"] * longest_mm)


def error_between(first: float, last: float, parts: Mapping[str, float]) -> float:
    """Return the 95 % error of the logarithm of the ratio of two sides.

    Parameters
    ----------
    first, last
        The sides' own errors, each as a share of its side: so growth and its reverse are called
        alike. 0 on the marked exam.
    parts
        From `parts_of`: "shared" is the correlation of the errors of one lesion's predicted sizes,
        as all of them are measured against the marked one (0 if the weights' card lacks it).
        Boxes of the user are taken to err in the same way.
    """
    common = 2 * parts.get("shared", 0.0) * first * last
    return math.sqrt(first**2 + last**2 - common)


def made_up_sizes(history: LesionHistory, pointed: Collection[int]) -> set[int]:
    """Return the exams, but for the marked one, whose sizes come from a box around a point.

    Those are the exams on which the user pointed at the lesion, and those to which it was followed
    from there.
    """
    points = set(pointed) - {history.marked}
    anchors = [
        k
        for k, result in enumerate(history.results)
        if result.by_user and result.track.status is not Status.NOT_FOUND
    ]
    found = {
        k
        for k in set(range(len(history.results))).difference(anchors)
        if points.intersection(
            [a for a in anchors if a < k][-1:] + [a for a in anchors if a > k][:1]
        )
    }
    return points | found


def growth(
    history: LesionHistory,
    spacings: Sequence[tuple[float, float]],
    dates: Sequence[datetime.date | None],
    repeatability: Mapping = UNMEASURED,
    lesion_type: str = "",
    pointed: Collection[int] = (),
) -> Growth:
    """Measure a lesion on all exams on which it was found, and compare.

    Boxes of the user count before predicted ones. An uncertain answer has a size, too, but no
    change is told of it, since it may be on another place, or on nothing. A box that was kept from
    the registration is as large as the lesion was marked, so it measures nothing.

    Parameters
    ----------
    history
        From `history.follow`.
    spacings, dates
        Of the exams: (x, y) in mm, and when they were taken, where known.
    repeatability
        `LesionTracker.repeatability`.
    lesion_type
        "mass" or "calcification", where known.
    pointed
        Exams on which the user pointed at it alone, so that the size of the box there is made up.
        Where that is the marked one, sizes are that one and what it grew by.

    Returns
    -------
    Growth
        Sizes and changes.
    """
    parts, made_up = parts_of(repeatability, lesion_type), made_up_sizes(history, pointed)
    is_sure = [result.track.status is Status.FOUND for result in history.results]
    sizes: list[Size | None] = []
    for k, (result, (x, y)) in enumerate(zip(history.results, spacings, strict=True)):
        box = result.track.box
        is_absent = not is_sure[k] and result.there < ABSENT
        if k in made_up or result.track.status in UNSIZED or is_absent:
            sizes.append(None)
            continue
        longest = float(box.longest_side((x, y)))
        error = 0.0 if k == history.marked else error_mm(longest, parts)
        area = float(math.pi / 4 * box.width * x * box.height * y)
        sizes.append(Size(longest, area, error, result.by_user))
    sure = [k for k, size in enumerate(sizes) if size is not None and is_sure[k]]
    steps = tuple(_change(sizes, dates, *pair, parts) for pair in itertools.pairwise(sure))
    overall = _change(sizes, dates, sure[0], sure[-1], parts) if len(sure) > 1 else None
    if overall is not None and overall.verdict != _trend(sizes, dates, sure, parts):
        overall = replace(overall, verdict=NO_CHANGE, doubling_days=None)
    return Growth(tuple(sizes), steps, overall)


def _trend(
    sizes: Sequence[Size | None],
    dates: Sequence[datetime.date | None],
    sure: Sequence[int],
    parts: Mapping[str, float],
) -> str:
    """Say what the trend through all exams with a sure size is, or that it is within its error.

    It is the line through the logarithms of the sizes over time (over the exams' order where dates
    are unknown) by generalised least squares, with the errors that `error_between` gives to two
    sizes: between two exams it is their change.
    """
    sides = np.array([sizes[k].longest_mm for k in sure])
    errors = np.array([sizes[k].error_mm for k in sure]) / sides
    known = [dates[k] for k in sure]
    times = np.arange(len(sure), dtype=float)
    if None not in known and known[-1] > known[0]:
        times = np.array([(date - known[0]).days for date in known], float)
    line = np.stack([np.ones_like(times), times / np.ptp(times)], axis=1)
    covariance = np.outer(errors, errors) * parts.get("shared", 0.0)
    np.fill_diagonal(covariance, np.maximum(errors, EXACT) ** 2)
    weights = np.linalg.inv(covariance)
    spread = np.linalg.inv(line.T @ weights @ line)
    slope = (spread @ line.T @ weights @ np.log(sides))[1]
    if abs(slope) <= math.sqrt(spread[1, 1]):
        return NO_CHANGE
    return GROWTH if slope > 0 else SHRINKAGE


def _change(
    sizes: Sequence[Size | None],
    dates: Sequence[datetime.date | None],
    first: int,
    last: int,
    parts: Mapping[str, float],
) -> Change:
    before, after = sizes[first], sizes[last]
    ratio = after.longest_mm / before.longest_mm
    error = error_between(
        before.error_mm / before.longest_mm, after.error_mm / after.longest_mm, parts
    )
    verdict = NO_CHANGE
    if abs(math.log(ratio)) > error:
        verdict = GROWTH if ratio > 1 else SHRINKAGE
    years = per_year = doubling = None
    if None not in (dates[first], dates[last]) and dates[last] > dates[first]:
        days = (dates[last] - dates[first]).days
        years = days / DAYS_A_YEAR
        if days >= LEAST_DAYS:
            per_year = 100 * (ratio ** (1 / years) - 1)
            if verdict == GROWTH:
                doubling = years * DAYS_A_YEAR * math.log(2) / (3 * math.log(ratio))
    return Change(
        first, last, after.longest_mm - before.longest_mm,
        *(100 * (ratio * math.exp(share) - 1) for share in (0, -error, error)),
        after.area_mm2 - before.area_mm2, 100 * (after.area_mm2 / before.area_mm2 - 1), verdict,
        years, per_year, doubling,
    )  # fmt: skip

"""Growth: how a lesion's size changed through its exams, with the error of its measurement."""

from __future__ import annotations

import datetime
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from .history import LesionHistory
from .track import Status

DAYS_A_YEAR = 365.25
GROWTH, SHRINKAGE, NO_CHANGE = "growth", "shrinkage", "no change that can be measured"


@dataclass(frozen=True)
class Size:
    """A lesion's size on one exam.

    Attributes
    ----------
    longest_mm, area_mm2
        Longest side of the box, and the area of the ellipse in it.
    error_mm
        95 % of measurements of the longest side are within so much of it.
    by_user
        Whether the user's box was measured.
    """

    longest_mm: float
    area_mm2: float
    error_mm: float
    by_user: bool


@dataclass(frozen=True)
class Change:
    """How the longest side changed between two exams.

    Attributes
    ----------
    first, last
        Indices of the exams.
    mm, percent, percent_error
        The change, in per cent of the first, with its 95 % error in points of per cent.
    years
        Between them; None if a date is unknown.
    percent_per_year, doubling_days
        Yearly growth, and the time in which the volume doubles, in days; None without dates, the
        latter where it does not grow beyond the error, too.
    verdict
        "growth", "shrinkage" or "no change that can be measured".
    area_mm2, area_percent
        The change of the area.
    """

    first: int
    last: int
    mm: float
    percent: float
    percent_error: float
    area_mm2: float
    area_percent: float
    years: float | None
    percent_per_year: float | None
    doubling_days: float | None
    verdict: str


@dataclass(frozen=True)
class Growth:
    """A lesion's sizes and changes.

    Attributes
    ----------
    sizes
        One an exam; None where the lesion is not found.
    steps
        The changes between exams that follow each other, of those with a size.
    overall
        The change from the first to the last exam with a size; None with fewer than two.
    """

    sizes: Sequence[Size | None]
    steps: Sequence[Change]
    overall: Change | None


def growth(
    history: LesionHistory,
    spacings: Sequence[tuple[float, float]],
    dates: Sequence[datetime.date | None],
    repeatability: float = 0.2,
) -> Growth:
    """Measure a lesion on all exams where it is found, and compare.

    Parameters
    ----------
    history
        From `history.follow`. Uncertain answers are measured, too; those not found are not.
    spacings, dates
        Of the exams: (x, y) in mm, and when they were taken, where known.
    repeatability
        95 % of predicted longest sides are within this share of the true ones.

    Returns
    -------
    Growth
        Sizes and changes.
    """
    sizes = []
    for result, (x, y) in zip(history.results, spacings, strict=True):
        box = result.track.box
        if result.track.status is Status.NOT_FOUND:
            sizes.append(None)
            continue
        longest = box.longest_side((x, y))
        area = math.pi / 4 * box.width * x * box.height * y
        sizes.append(Size(longest, area, repeatability * longest, result.by_user))
    seen = [k for k, size in enumerate(sizes) if size is not None]
    steps = [_change(sizes, dates, *pair) for pair in itertools.pairwise(seen)]
    overall = _change(sizes, dates, seen[0], seen[-1]) if len(seen) > 1 else None
    return Growth(sizes, steps, overall)


def _change(
    sizes: Sequence[Size | None], dates: Sequence[datetime.date | None], first: int, last: int
) -> Change:
    before, after = sizes[first], sizes[last]
    ratio = after.longest_mm / before.longest_mm
    error = math.hypot(before.error_mm / before.longest_mm, after.error_mm / after.longest_mm)
    verdict = NO_CHANGE
    if abs(math.log(ratio)) > error:
        verdict = GROWTH if ratio > 1 else SHRINKAGE
    years = per_year = doubling = None
    if None not in (dates[first], dates[last]) and dates[last] > dates[first]:
        years = (dates[last] - dates[first]).days / DAYS_A_YEAR
        per_year = 100 * (ratio ** (1 / years) - 1)
        if verdict == GROWTH:
            doubling = years * DAYS_A_YEAR * math.log(2) / (3 * math.log(ratio))
    return Change(
        first, last, after.longest_mm - before.longest_mm, 100 * (ratio - 1), 100 * error,
        after.area_mm2 - before.area_mm2, 100 * (after.area_mm2 / before.area_mm2 - 1),
        years, per_year, doubling, verdict,
    )  # fmt: skip

"""How well lesions were found: the measures of the paper's section 4.1, and their intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .box import Box

CLOSE_MM = 3.0
THRESHOLDS = np.linspace(0, 1, 101)
RESAMPLES = 2000
INTERVAL_PERCENT = (2.5, 97.5)


@dataclass(frozen=True)
class Scores:
    """Measures over some lesions.

    A lesion for which no box was predicted has IoU 0, so it counts in average overlap,
    robustness and the success curve, and it is not close. It has no centre, so the mean,
    median and 90th percentile of the distance leave it out: read them with ``missing``.

    Attributes
    ----------
    count, missing
        Number of lesions, and of those among them without a predicted box.
    average_overlap
        Mean IoU of all lesions.
    accuracy
        Mean IoU of the successful ones, whose IoU is above 0; NaN if there is none.
    robustness
        Share of lesions whose IoU is 0; lower is better.
    distance_mean, distance_median, distance_p90
        Distance between the centres of predicted and true box in mm; NaN if every box
        is missing.
    close
        Share of all lesions with a centre distance under 3 mm.
    auc
        Area under the success curve, 0 to 1.
    """

    count: int
    missing: int
    average_overlap: float
    accuracy: float
    robustness: float
    distance_mean: float
    distance_median: float
    distance_p90: float
    close: float
    auc: float


def score(
    predicted: Sequence[Box | None],
    truth: Sequence[Box],
    spacings: Sequence[tuple[float, float]],
) -> Scores:
    """Compare predicted with true boxes.

    Parameters
    ----------
    predicted
        One box per lesion, in pixels of the current mammogram; None where there is none.
    truth
        The true boxes, in the same pixels.
    spacings
        (x, y) mm per pixel of each lesion's current mammogram.
    """
    sample = _Sample(predicted, truth, spacings)
    return sample.scores(np.ones(len(truth)))


def bootstrap(
    predicted: Sequence[Box | None],
    truth: Sequence[Box],
    spacings: Sequence[tuple[float, float]],
    patients: Sequence[str],
) -> dict[str, tuple[float, float]]:
    """Give each of the `Scores` a 95 % percentile interval.

    Patients are drawn with replacement, each with all of her lesions: lesions of one patient
    resemble each other, so that to draw lesions would give intervals that are too narrow.

    Parameters
    ----------
    predicted, truth, spacings
        As for `score`.
    patients
        Whose lesion each is.

    Returns
    -------
    dict
        From a name of `Scores` to its lower and upper limit; both NaN where the measure is
        not defined. Draws in which it is not defined are left out.
    """
    sample = _Sample(predicted, truth, spacings)
    drawn = [vars(sample.scores(weights)) for weights in _draws(patients)]
    return {name: _interval(np.array([one[name] for one in drawn])) for name in drawn[0]}


def mean_interval(
    values: Sequence[float] | np.ndarray, patients: Sequence[str]
) -> tuple[float, float]:
    """Give the mean of one value per lesion a 95 % interval, as `bootstrap` does.

    For paired differences (of the IoU of two methods on the same lesions) and for shares
    (values 0 and 1).
    """
    values = np.asarray(values, float)
    return interval_of(lambda w: values @ w / w.sum(), patients)


def interval_of(
    statistic: Callable[[np.ndarray], float], patients: Sequence[str]
) -> tuple[float, float]:
    """Give any statistic a 95 % interval, as `bootstrap` does.

    Parameters
    ----------
    statistic
        Called with how often each lesion (n,) is in a draw; NaN where it is not defined.
    patients
        Whose lesion each is.
    """
    return _interval(np.array([statistic(w) for w in _draws(patients)]))


def overlaps(predicted: Sequence[Box | None], truth: Sequence[Box]) -> np.ndarray:
    """IoU of each lesion (n,); 0 where no box was predicted."""
    pairs = zip(predicted, truth, strict=True)
    return np.array([0.0 if box is None else box.iou(true) for box, true in pairs])


def center_distance(box: Box, other: Box, spacing: tuple[float, float]) -> float:
    """Distance between the centres of two boxes in mm; spacing is (x, y) mm per pixel."""
    offset = np.subtract(box.center, other.center) * np.asarray(spacing, dtype=float)
    return float(np.hypot(*offset))


def success_curve(ious: np.ndarray) -> np.ndarray:
    """Share of lesions (n,) whose IoU is above each of `THRESHOLDS`."""
    return (ious[:, None] > THRESHOLDS).mean(axis=0)


class _Sample:
    """Lesions prepared so that a draw of them, as weights, is scored in a few sums.

    Everything but the quantiles is a weighted mean: also the AUC, which is the mean of the
    areas under the steps of the single lesions.
    """

    def __init__(
        self,
        predicted: Sequence[Box | None],
        truth: Sequence[Box],
        spacings: Sequence[tuple[float, float]],
    ) -> None:
        ious = overlaps(predicted, truth)
        distances = np.array(
            [
                np.nan if box is None else center_distance(box, true, spacing)
                for box, true, spacing in zip(predicted, truth, spacings, strict=True)
            ]
        )
        steps = ious[:, None] > THRESHOLDS
        areas = (steps[:, 1:] + 0.0 + steps[:, :-1]) / 2 @ np.diff(THRESHOLDS)
        known = ~np.isnan(distances)
        self.columns = np.stack(
            [
                np.ones(len(ious)),
                known,
                ious > 0,
                ious,
                areas,
                distances < CLOSE_MM,
                np.where(known, distances, 0),
            ]
        )
        self.order = np.argsort(distances, kind="stable")[: known.sum()]
        self.distances = distances[self.order]

    def scores(self, weights: np.ndarray) -> Scores:
        """Score the lesions, each counted as often as its weight (n,), a whole number, says."""
        count, known, hits, iou, area, close, distance = self.columns @ weights
        median, p90 = _quantiles(self.distances, weights[self.order], (0.5, 0.9))
        return Scores(
            count=int(count),
            missing=int(count - known),
            average_overlap=float(iou / count),
            accuracy=float(iou / hits) if hits else np.nan,
            robustness=float((count - hits) / count),
            distance_mean=float(distance / known) if known else np.nan,
            distance_median=median,
            distance_p90=p90,
            close=float(close / count),
            auc=float(area / count),
        )


def _quantiles(
    ordered: np.ndarray, weights: np.ndarray, shares: tuple[float, ...]
) -> tuple[float, ...]:
    """Return what `numpy.quantile` gives when each value is repeated as its weight says."""
    ends = np.cumsum(weights)
    if not len(ends) or ends[-1] == 0:
        return (np.nan,) * len(shares)
    result = []
    for share in shares:
        place = share * (ends[-1] - 1)
        low, high = ordered[np.searchsorted(ends, [np.floor(place), np.ceil(place)], "right")]
        result.append(float(low + (high - low) * (place % 1)))
    return tuple(result)


def _draws(patients: Sequence[str]) -> Iterator[np.ndarray]:
    """Yield how often each lesion (n,) is in each draw of patients."""
    names, patient_of = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    rng = np.random.default_rng(0)
    for _ in range(RESAMPLES):
        drawn = rng.integers(len(names), size=len(names))
        yield np.bincount(drawn, minlength=len(names)).astype(float)[patient_of]


def _interval(values: np.ndarray) -> tuple[float, float]:
    values = values[~np.isnan(values)]
    if not len(values):
        return np.nan, np.nan
    low, high = np.percentile(values, INTERVAL_PERCENT)
    return float(low), float(high)

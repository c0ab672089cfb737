"""How well lesions were found: the measures of the paper's section 4.1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .box import Box
from .errors import MammoTrackerError

CLOSE_MM = 3.0
THRESHOLDS = np.linspace(0, 1, 101)


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

    Raises
    ------
    MammoTrackerError
        If there are no lesions, or the three differ in length.
    """
    if not len(predicted) == len(truth) == len(spacings):
        raise MammoTrackerError(
            "Scoring needs as many predicted boxes as true ones and spacings, but got "
            f"{len(predicted)}, {len(truth)} and {len(spacings)}."
        )
    if not truth:
        raise MammoTrackerError("There is no lesion with a known true box to score.")
    ious = np.array(
        [0.0 if box is None else box.iou(true) for box, true in zip(predicted, truth, strict=True)]
    )
    distances = np.array(
        [
            center_distance(box, true, spacing)
            for box, true, spacing in zip(predicted, truth, spacings, strict=True)
            if box is not None
        ]
    )
    successful = ious[ious > 0]
    curve = success_curve(ious)
    return Scores(
        count=len(ious),
        missing=len(ious) - len(distances),
        average_overlap=float(ious.mean()),
        accuracy=float(successful.mean()) if len(successful) else np.nan,
        robustness=float((ious == 0).mean()),
        distance_mean=float(distances.mean()) if len(distances) else np.nan,
        distance_median=float(np.median(distances)) if len(distances) else np.nan,
        distance_p90=float(np.percentile(distances, 90)) if len(distances) else np.nan,
        close=float((distances < CLOSE_MM).sum() / len(ious)),
        auc=float(((curve[1:] + curve[:-1]) / 2 * np.diff(THRESHOLDS)).sum()),
    )


def center_distance(box: Box, other: Box, spacing: tuple[float, float]) -> float:
    """Distance between the centres of two boxes in mm; spacing is (x, y) mm per pixel."""
    offset = np.subtract(box.center, other.center) * np.asarray(spacing, dtype=float)
    return float(np.hypot(*offset))


def success_curve(
    ious: Sequence[float] | np.ndarray, thresholds: Sequence[float] | np.ndarray = THRESHOLDS
) -> np.ndarray:
    """Share of lesions whose IoU is above each threshold, in the thresholds' order."""
    return (np.asarray(ious)[:, None] > np.asarray(thresholds)).mean(axis=0)

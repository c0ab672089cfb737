"""The probability that a lesion was found, from what the three steps say about it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .box import Box
from .global_search import Alignment
from .track import Candidate

EVIDENCE = ("bias", "tracking", "similarity", "distance", "rival", "outline")
"""What the probability rests on, in the order of the calibration's coefficients.

Logits of the tracking and the similarity score; the distance from the registered point in cm; the
tracking score of the best other place, as a share of this one's; and how far the breast outlines
are from overlapping, 1 - Dice.
"""
RIVAL_IOU = 0.1
LEAST_SCORE = 1e-4


def evidence(
    candidates: Sequence[Candidate],
    registered: Box,
    alignment: Alignment,
) -> np.ndarray:
    """Collect what the probability rests on.

    Parameters
    ----------
    candidates
        After the score refinement, best first.
    registered
        The global search's box, in pixels of the current mammogram.
    alignment
        Of the pair.

    Returns
    -------
    numpy.ndarray
        (6,) values of `EVIDENCE`.
    """
    best, *others = candidates
    offset = np.subtract(best.box.center, registered.center) * alignment.current_spacing
    return np.array(
        [
            1.0,
            _logit(best.tracking_score),
            _logit(best.similarity_score),
            np.hypot(*offset) / 10,
            rival_share(best, others),
            1 - alignment.dice,
        ]
    )


def rival_share(best: Candidate, others: Sequence[Candidate]) -> float:
    """Tracking score of the best candidate elsewhere, as a share of the chosen one's."""
    elsewhere = (c.tracking_score for c in others if c.box.iou(best.box) < RIVAL_IOU)
    return max(elsewhere, default=0.0) / max(best.tracking_score, LEAST_SCORE)


def probability(values: np.ndarray, coefficients: Sequence[float]) -> np.ndarray:
    """Logistic regression: from evidence (..., 6) to how likely each answer is the lesion (...)."""
    return 1 / (1 + np.exp(-np.dot(values, coefficients)))


def _logit(score: float) -> float:
    score = min(max(score, LEAST_SCORE), 1 - LEAST_SCORE)
    return float(np.log(score / (1 - score)))

"""The probability that a lesion was found, from what the three steps say about it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .affine import MIN_AGREEMENT
from .box import Box
from .global_search import Alignment
from .metrics import center_distance
from .track import Candidate

EVIDENCE = ("bias", "tracking", "similarity", "rival", "passes", "anchors", "distance")
"""What the probability rests on, in the order of the calibration's coefficients.

Logits of the tracking and the similarity score; the tracking score of the best other place, as a
share of this one's; the share of the local search's passes that see the lesion elsewhere; by how
much fewer than half of the pair's anchor points agree (see `likeness.Overlay`); and by how many cm
over one it lies from the registered point, times by how much the agreement exceeds 0.3, that of two
different breasts, squared: where registration is good, the lesion is near. The last two are 0 where
one cannot say whether anchor points agree.
"""
USUAL_AGREEMENT, NEAR_CM = 0.5, 1.0
USUAL = np.array([1.0, -0.4, 3.4, 0.0, 0.0, 0.0, 0.0])
"""Evidence of a lesion that is surely found: medians on the validation pairs."""
FAR_DOUBT = "it is far from where registration expects it"
DOUBTS = (
    "there is little to recognise in and around the box",
    "the best place looks unlike the lesion itself",
    "another place looks almost as much like it",
    "it is seen elsewhere when the images are mirrored or magnified",
    "the images differ too much to be sure that they are a pair",
    FAR_DOUBT,
)
"""What a lack of each evidence but the bias means."""
GONE_DOUBT = "the tissue around it looks alike, but the lesion itself is hardly to be seen there"
RIVAL_IOU = 0.1
LEAST_SCORE = 1e-4


def evidence(candidates: Sequence[Candidate], registered: Box, alignment: Alignment) -> np.ndarray:
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
        (7,) values of `EVIDENCE`.
    """
    best, *others = candidates
    far_mm = center_distance(best.box, registered, alignment.current_spacing)
    beyond = max(0.0, far_mm / 10 - NEAR_CM)
    agreement, is_known = alignment.agreement, not np.isnan(alignment.agreement)
    return np.array(
        [
            1.0,
            _logit(best.tracking_score),
            _logit(best.similarity_score),
            rival_share(best, others),
            1 - best.agreement,
            max(0.0, USUAL_AGREEMENT - agreement) if is_known else USUAL_AGREEMENT,
            (beyond * max(0.0, agreement - MIN_AGREEMENT)) ** 2 if is_known else 0.0,
        ]
    )


def doubt(values: np.ndarray, coefficients: Sequence[float]) -> str:
    """Say, as the end of a sentence, what speaks most against an answer that is not sure.

    Parameters
    ----------
    values
        (7,) from `evidence`.
    coefficients
        Of the calibration, as for `probability`.
    """
    place, *is_there = np.atleast_2d(coefficients)
    if is_there and values @ is_there[0] < values @ place:
        return GONE_DOUBT
    lost = (values - USUAL) * place
    return DOUBTS[int(np.argmin(lost[1:]))]


def rival_share(best: Candidate, others: Sequence[Candidate]) -> float:
    """Tracking score of the best candidate elsewhere, as a share of the chosen one's."""
    elsewhere = (c.tracking_score for c in others if c.box.iou(best.box) < RIVAL_IOU)
    return max(elsewhere, default=0.0) / max(best.tracking_score, LEAST_SCORE)


def probability(values: np.ndarray, coefficients: Sequence[Sequence[float]]) -> np.ndarray:
    """Return how likely each answer is the lesion: two logistic regressions, multiplied.

    Parameters
    ----------
    values
        (..., 7) from `evidence`.
    coefficients
        (2, 7): for how likely the place is right, if the lesion is there, and for how likely it is
        there, if the place is right: the tissue around a lesion that went is found as well. (7,)
        for one regression of both.

    Returns
    -------
    numpy.ndarray
        (...) 0 to 1.
    """
    logits = np.asarray(values) @ np.atleast_2d(coefficients).T
    return np.prod(1 / (1 + np.exp(-logits)), axis=-1)


def _logit(score: float) -> float:
    score = min(max(score, LEAST_SCORE), 1 - LEAST_SCORE)
    return float(np.log(score / (1 - score)))

"""Track: what is known about a lesion after it was looked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from .box import Box


class Status(str, Enum):
    """How far the answer can be trusted."""

    FOUND = "found"
    UNCERTAIN = "uncertain"
    NOT_FOUND = "not found"
    REGISTRATION = "kept from registration"


def as_percent(probability: float) -> str:
    """Write a probability for people: no estimate is certain, so none is 0 or 100 %.

    It is rounded down, so that what is not found does not read like what is.
    """
    if 0 < probability < 0.01:
        return "<1 %"
    if 0.99 < probability < 1:
        return ">99 %"
    return f"{_hundredths(probability)} %"


def as_decimals(probability: float) -> str:
    """Write a probability with two decimals, as `as_percent` rounded down and neither 0 nor 1."""
    if 0 < probability < 1:
        probability = max(probability, 0.01)
    return f"{_hundredths(probability) / 100:.2f}"


def _hundredths(share: float) -> int:
    return math.floor(100 * share + 1e-9)


def described(status: str, score: float, reason: str) -> str:
    """Say what became of a lesion, in the text by which an ROI in a file is known for a result."""
    return f"{status}, score {as_decimals(score)}: {reason}"


@dataclass(frozen=True)
class Candidate:
    """A place where the lesion may be.

    Attributes
    ----------
    box
        In pixels of the current mammogram.
    tracking_score
        Centre-ness x classification of the local search, 0 to 1 (paper, section 3.2).
    similarity_score
        1 - distance of the score refinement, 0 to 1 (paper, section 3.3); None if that
        step did not run.
    local_box
        The box as the local search gave it, before the score refinement corrected it; None if
        that step did not run.
    agreement
        Share of the local search's passes (scales, mirror images) that see the lesion within 3 mm
        of it, 0 to 1; None for candidates that were stored before it was measured.
    """

    box: Box
    tracking_score: float
    similarity_score: float | None = None
    local_box: Box | None = None
    agreement: float | None = None

    @property
    def score(self) -> float:
        """Tracking score x similarity score; the tracking score alone before the refinement."""
        if self.similarity_score is None:
            return self.tracking_score
        return self.tracking_score * self.similarity_score

    def as_dict(self) -> dict:
        """Return the candidate as JSON can hold it, with exact numbers."""
        similarity = self.similarity_score
        return {
            "box": _numbers(self.box),
            "tracking_score": float(self.tracking_score),
            "similarity_score": None if similarity is None else float(similarity),
            "local_box": None if self.local_box is None else _numbers(self.local_box),
            "agreement": None if self.agreement is None else float(self.agreement),
        }

    @classmethod
    def from_dict(cls, values: dict) -> Candidate:
        """Make the candidate again that `as_dict` described."""
        local = values.get("local_box")
        return cls(
            Box(*values["box"]),
            values["tracking_score"],
            values["similarity_score"],
            None if local is None else Box(*local),
            values.get("agreement"),
        )


@dataclass(frozen=True)
class Track:
    """One lesion of the prior, looked for on the current mammogram.

    Attributes
    ----------
    prior_box
        The lesion, in pixels of the prior.
    box
        The most likely box, in pixels of the current mammogram. With status
        ``NOT_FOUND`` it is only the best guess and must not be shown as an answer.
    score
        The probability that the lesion was found, 0 to 1, calibrated on synthetic pairs (see the
        model card); for weights without a calibration the best candidate's score.
    status, reason
        What to make of it, and why, in a sentence.
    candidates
        Every candidate, best first; empty where the registration's box was kept.
    registration_box
        The box that the global search alone predicts.
    """

    prior_box: Box
    box: Box
    score: float
    status: Status
    reason: str
    candidates: tuple[Candidate, ...]
    registration_box: Box

    def as_dict(self) -> dict:
        """Return the track as JSON can hold it, with exact numbers; boxes as x0, y0, x1, y1."""
        return {
            "prior_box": _numbers(self.prior_box),
            "box": _numbers(self.box),
            "score": float(self.score),
            "status": self.status.value,
            "reason": self.reason,
            "candidates": [candidate.as_dict() for candidate in self.candidates],
            "registration_box": _numbers(self.registration_box),
        }

    @classmethod
    def from_dict(cls, values: dict) -> Track:
        """Make the track again that `as_dict` described."""
        return cls(
            Box(*values["prior_box"]),
            Box(*values["box"]),
            values["score"],
            Status(values["status"]),
            values["reason"],
            tuple(Candidate.from_dict(candidate) for candidate in values["candidates"]),
            Box(*values["registration_box"]),
        )


def _numbers(box: Box) -> list[float]:
    return [float(value) for value in box.as_tuple()]

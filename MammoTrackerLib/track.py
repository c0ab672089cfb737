"""Track: what is known about a lesion after it was looked for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .box import Box


class Status(str, Enum):
    """How far the answer can be trusted."""

    FOUND = "found"
    UNCERTAIN = "uncertain"
    NOT_FOUND = "not found"
    REGISTRATION = "kept from registration"


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
    """

    box: Box
    tracking_score: float
    similarity_score: float | None = None


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
        0 to 1; higher is surer.
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

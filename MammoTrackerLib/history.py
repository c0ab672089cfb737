"""LesionHistory: one lesion on all exams of a breast in one view, marked on any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .box import Box
from .errors import MammoTrackerError
from .mammogram import Mammogram
from .track import Status, Track

if TYPE_CHECKING:
    from .tracker import LesionTracker

MOST_EXAMS = 30
ABSENT = 0.5
"""Under this probability of being there, a lesion counts as new or gone."""


@dataclass(frozen=True)
class ExamResult:
    """A lesion on one exam.

    Attributes
    ----------
    track
        The lesion (``prior_box``, on the exam on which it was marked) and where it is here
        (``box``, in pixels of this exam). Where the user decided, and on the marked exam: the
        user's box, score 1, found, without candidates; where the user says that it is not there:
        not found, score 0.
    sources
        The exams (indices) from which it was reached; empty where the user decided.
    by_user
        Whether the user marked, accepted, corrected or drew the box, or said that there is none.
    there
        Probability that the lesion is on this exam at all, 0 to 1.
    """

    track: Track
    sources: tuple[int, ...]
    by_user: bool
    there: float

    def as_dict(self) -> dict:
        """Return the result as JSON can hold it, with exact numbers."""
        return {
            "track": self.track.as_dict(),
            "sources": list(self.sources),
            "by_user": self.by_user,
            "there": float(self.there),
        }

    @classmethod
    def from_dict(cls, values: dict) -> ExamResult:
        """Make the result again that `as_dict` described."""
        return cls(
            Track.from_dict(values["track"]),
            tuple(values["sources"]),
            values["by_user"],
            values["there"],
        )


@dataclass(frozen=True)
class LesionHistory:
    """A lesion on all exams of one breast in one view.

    Attributes
    ----------
    marked
        Index of the exam on which the user marked it.
    results
        One an exam, in the exams' order.
    """

    marked: int
    results: tuple[ExamResult, ...]

    @property
    def new(self) -> tuple[int, float] | None:
        """The first exam that shows it, and the probability that the exams before do not.

        None if the first exam of all shows it.
        """
        there = [result.there for result in self.results]
        first = next(k for k, chance in enumerate(there) if chance >= ABSENT)
        return (first, 1 - there[first - 1]) if first else None

    @property
    def gone(self) -> tuple[int, float] | None:
        """The first exam after all that show it, and the probability that it does not.

        None if the last exam shows it.
        """
        there = [result.there for result in self.results]
        last = max(k for k, chance in enumerate(there) if chance >= ABSENT)
        return (last + 1, 1 - there[last + 1]) if last + 1 < len(there) else None

    def as_dict(self) -> dict:
        """Return the history as JSON can hold it, with exact numbers."""
        return {"marked": self.marked, "results": [result.as_dict() for result in self.results]}

    @classmethod
    def from_dict(cls, values: dict) -> LesionHistory:
        """Make the history again that `as_dict` described."""
        return cls(values["marked"], tuple(map(ExamResult.from_dict, values["results"])))


def follow(
    tracker: LesionTracker,
    exams: Sequence[Mammogram | Callable[[], Mammogram]],
    boxes: Sequence[Box],
    marked: int,
    decided: Mapping[int, Mapping[int, Box | None]] | None = None,
    force: bool = False,
) -> list[LesionHistory]:
    """Find lesions that are marked on one exam on all the others.

    Parameters
    ----------
    tracker
        Keeps its networks.
    exams
        2 to 30 mammograms of one breast in one view, in the order of their dates. Functions that
        read one are called once each, so that all of them need little memory.
    boxes
        The lesions, in pixels of ``exams[marked]``.
    marked
        Index of the exam on which they are marked.
    decided
        ``decided[k][exam]`` is where the user says that lesion k is on an exam, in its pixels (an
        answer accepted or corrected, a box drawn), or None: not there. Nothing of it is changed,
        and the exams between are reached from the nearest of these.
    force
        Follow although laterality or view differ.

    Returns
    -------
    list of LesionHistory
        One a lesion, in order.

    Raises
    ------
    MammoTrackerError
        If the exams or a box cannot be right.
    """
    if not 2 <= len(exams) <= MOST_EXAMS:
        raise MammoTrackerError(
            f"A lesion is followed through 2 to {MOST_EXAMS} exams, but got {len(exams)}."
        )
    if not 0 <= marked < len(exams):
        raise MammoTrackerError("The lesions are marked on an exam that is not given.")
    images = [exam() if callable(exam) else exam for exam in exams]
    tracks = [
        tracker.track(images[marked], image, boxes, force=force) if k != marked else None
        for k, image in enumerate(images)
    ]
    histories = []
    for number, box in enumerate(boxes):
        fixed = {**(decided or {}).get(number, {}), marked: box}
        results = []
        for k in range(len(exams)):
            if k in fixed:
                results.append(by_user(box, fixed[k]))
            else:
                track = tracks[k][number]
                results.append(ExamResult(track, (marked,), False, track.score))
        histories.append(LesionHistory(marked, tuple(results)))
    return histories


def by_user(lesion: Box, box: Box | None) -> ExamResult:
    """Make the result that the user decided: a lesion's box on an exam, or None where it is not."""
    if box is None:
        track = Track(lesion, lesion, 0.0, Status.NOT_FOUND, "Said not to be there.", (), lesion)
        return ExamResult(track, (), True, 0.0)
    track = Track(lesion, box, 1.0, Status.FOUND, "As marked.", (), box)
    return ExamResult(track, (), True, 1.0)

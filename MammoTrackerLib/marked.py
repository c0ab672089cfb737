"""MarkedLesion: a lesion that is to be followed, also by another process; and several at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .box import Box
from .errors import MammoTrackerError
from .exams import Exams
from .history import LesionHistory, follow


@dataclass(frozen=True)
class MarkedLesion:
    """A lesion that is to be followed.

    Attributes
    ----------
    exam
        Index of the exam on which it is marked.
    box
        In pixels of that exam.
    decided
        Where the user says that it is on other exams, by index; None where it is not.
    """

    exam: int
    box: Box
    decided: dict[int, Box | None] = field(default_factory=dict)

    def as_dict(self) -> dict:
        """Return the lesion as JSON can hold it."""
        decided = [
            [exam, None if box is None else [float(v) for v in box.as_tuple()]]
            for exam, box in self.decided.items()
        ]
        box = [float(value) for value in self.box.as_tuple()]
        return {"exam": self.exam, "box": box, "decided": decided}

    @classmethod
    def from_dict(cls, values: dict, exams: int) -> MarkedLesion:
        """Make the lesion again that `as_dict` described, of one of so many exams.

        Raises
        ------
        MammoTrackerError
            If it is none.
        """
        try:
            (box,) = boxes_of([values["box"]])
            decided = {
                number: None if place is None else boxes_of([place])[0]
                for number, place in values["decided"]
            }
            numbers = [values["exam"], *decided]
        except (KeyError, TypeError, ValueError):
            raise MammoTrackerError(
                "The tracking process got a lesion without a proper exam, box or decisions."
            ) from None
        if not all(type(number) is int and 0 <= number < exams for number in numbers):
            raise MammoTrackerError("The tracking process got a lesion of an exam that it has not.")
        return cls(values["exam"], box, decided)


def boxes_of(values: list) -> list[Box]:
    """Make boxes of lists of four numbers, as JSON holds them.

    Raises
    ------
    MammoTrackerError
        If one is none.
    """
    try:
        return [Box(*(float(number) for number in box)) for box in values]
    except (TypeError, ValueError, OverflowError):
        raise MammoTrackerError("A box needs four finite numbers: x0, y0, x1, y1.") from None


def follow_marked(
    exams: Exams, lesions: Sequence[MarkedLesion], force: bool = False
) -> Iterator[tuple[int, LesionHistory]]:
    """Follow lesions that may be marked on different exams, as `history.follow` does.

    Yields
    ------
    tuple
        The index of a lesion, and its history; those that are marked on one exam together.
    """
    for marked in sorted({lesion.exam for lesion in lesions}):
        indices = [k for k, lesion in enumerate(lesions) if lesion.exam == marked]
        boxes = [lesions[index].box for index in indices]
        decided = {k: lesions[index].decided for k, index in enumerate(indices)}
        histories = follow(exams.tracker, exams, boxes, marked, decided, force)
        yield from zip(indices, histories, strict=True)

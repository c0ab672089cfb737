"""Exams of one breast in one view: each is read once, and each pair of them aligned once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .box import Box
from .errors import MammoTrackerError
from .global_search import Alignment, align_reduced
from .local_search import Layers
from .mammogram import Header, Mammogram
from .reduced import Reduced
from .track import Track

if TYPE_CHECKING:
    from .tracker import LesionTracker

MOST_EXAMS = 30


@dataclass(frozen=True, eq=False)
class Exam:
    """What is kept of a mammogram, some MB, so that lesions are found from and on it.

    Attributes
    ----------
    header
        What the file says of it.
    remarks
        The mammogram's.
    reduced
        For registration.
    as_prior, as_current
        For patches around a lesion, and around the place where it is looked for.
    """

    header: Header
    remarks: tuple[str, ...]
    reduced: Reduced
    as_prior: Layers
    as_current: Layers

    @classmethod
    def of(cls, mammogram: Mammogram, tracker: LesionTracker) -> Exam:
        """Keep of a mammogram what a tracker of these settings needs.

        Raises
        ------
        MammoTrackerError
            If it is too small for a mammogram.
        """
        m, reduced = mammogram, Reduced.of(mammogram)
        breast, factor, is_negative = reduced.whole_breast, reduced.factor, reduced.is_negative
        layers = {
            mm: Layers.of(m, breast, factor, mm, is_negative)
            for mm in sorted(set(tracker.pixels_mm))
        }
        header = Header(
            m.spacing, m.laterality, m.view, m.date, m.patient_id,
            orientation=m.orientation, modifiers=m.modifiers, instance_uids=m.instance_uids,
            size=m.size,
        )  # fmt: skip
        return cls(header, m.remarks, reduced, *(layers[mm] for mm in tracker.pixels_mm))

    @property
    def spacing(self) -> tuple[float, float]:
        return self.header.spacing

    @property
    def size(self) -> tuple[int, int]:
        """(columns, rows)."""
        return self.header.size


def check_count(exams: int) -> None:
    """Refuse so many exams before they are read, if they are not 2 to 30.

    Raises
    ------
    MammoTrackerError
        If so.
    """
    if not 2 <= exams <= MOST_EXAMS:
        raise MammoTrackerError(
            f"A lesion is followed through 2 to {MOST_EXAMS} exams, got {exams}."
        )


class Exams:
    """Exams of a breast in the order of their dates, and what is known between them.

    Alignments and tracks are kept, so that following again after a decision of the user is quick.

    Parameters
    ----------
    tracker
        Keeps its networks.
    given
        The mammograms; functions that read one are called once, when it is first needed. Of each
        some MB are kept.

    Raises
    ------
    MammoTrackerError
        If they are not 2 to 30.
    """

    def __init__(
        self,
        tracker: LesionTracker,
        given: Sequence[Mammogram | Exam | Callable[[], Mammogram]],
    ) -> None:
        check_count(len(given))
        self.tracker = tracker
        self._given = list(given)
        self._alignments: dict[tuple[int, int], Alignment] = {}
        self._tracks: dict[tuple[int, int, Box], Track] = {}

    def __len__(self) -> int:
        return len(self._given)

    def __getitem__(self, number: int) -> Exam:
        exam = self._given[number]
        if not isinstance(exam, Exam):
            mammogram = exam() if callable(exam) else exam
            exam = self._given[number] = Exam.of(mammogram, self.tracker)
        return exam

    def alignment(self, source: int, target: int) -> Alignment:
        """Return where the points of one exam are on another."""
        pair = source, target
        if pair not in self._alignments:
            self._alignments[pair] = align_reduced(self[source].reduced, self[target].reduced)
        return self._alignments[pair]

    def track(self, source: int, target: int, boxes: Sequence[Box]) -> list[Track]:
        """Look for lesions of one exam on another."""
        missing = [box for box in boxes if (source, target, box) not in self._tracks]
        if missing:
            tracks = self.tracker.track_layers(
                missing,
                self.alignment(source, target),
                self[source].as_prior,
                self[target].as_current,
            )
            for box, track in zip(missing, tracks, strict=True):
                self._tracks[source, target, box] = track
        return [self._tracks[source, target, box] for box in boxes]

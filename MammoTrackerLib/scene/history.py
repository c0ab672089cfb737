"""Histories in the scene: a lesion's predictions on all exams, what the user decided, growth."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..box import Box
from ..errors import MammoTrackerError
from ..growth import Growth, Size, growth, made_up_sizes
from ..history import ABSENT as UNKNOWN
from ..history import ExamResult, LesionHistory, by_user
from ..mammogram import Header
from ..marked import MarkedLesion
from ..networks.card import UNMEASURED, read_card
from ..pair import in_order
from ..track import Status, Track
from .lesion import is_point, lesion_type
from .nodes import PREFIX, attribute, exam_of, set_attribute
from .prediction import (
    ABSENT,
    all_answers,
    answers_of,
    best_guess,
    decision_of,
    lesion_of,
    prediction_of,
    reason_of,
    review_of,
    score_of,
    show_track,
    status_of,
)
from .rois import bounds_of, box_if_placed, is_moved, is_placed, lesion_box
from .series import dates_of, keep_series
from .volumes import header_of


def show_history(lesion, volumes: Sequence, history: LesionHistory) -> None:
    """Show where a lesion was found on the exams that it was followed on.

    What the user has decided is left as it is.
    """
    keep_series(volumes)
    marked = history.results[history.marked].track.prior_box
    for volume, result in zip(volumes, history.results, strict=True):
        roi = prediction_of(lesion, volume)
        if result.by_user or volume is exam_of(lesion) or (roi is not None and review_of(roi)):
            continue
        roi = show_track(lesion, volume, result.track, marked)
        set_attribute(roi, "There", repr(float(result.there)))
        roi.RemoveNodeReferenceIDs(PREFIX + "Source")
        for source in result.sources:
            roi.AddNodeReferenceID(PREFIX + "Source", volumes[source].GetID())
    set_attribute(lesion, "Outdated", "")


def decisions(lesion, volumes: Sequence) -> dict:
    """Return where the user says that a lesion is on other exams, by index.

    Returns
    -------
    dict of int to Box or None
        The box that was accepted, corrected or drawn; None where the answer was rejected, or the
        lesion is not there.

    Raises
    ------
    MammoTrackerError
        If a lesion cannot be followed from one of these boxes.
    """
    found = {}
    for number, volume in enumerate(volumes):
        roi = prediction_of(lesion, volume)
        if roi is None or volume is exam_of(lesion):
            continue
        if decision_of(roi) in ABSENT:
            found[number] = None
        elif decision_of(roi) and is_placed(roi):
            found[number] = lesion_box(roi, volume)
    return found


def marked_lesion(lesion, volumes: Sequence) -> MarkedLesion:
    """Return what follows a lesion through these exams, among which is the one it is marked on.

    Raises
    ------
    MammoTrackerError
        If it has no place on that exam, or cannot be followed from its box, there or elsewhere.
    """
    exam = exam_of(lesion)
    return MarkedLesion(volumes.index(exam), lesion_box(lesion, exam), decisions(lesion, volumes))


def set_outdated(lesion) -> None:
    """Remember that the user decided something after the lesion was followed."""
    set_attribute(lesion, "Outdated", "1")


def is_outdated(lesion) -> bool:
    """Whether following the lesion anew would start from more than it did."""
    return bool(attribute(lesion, "Outdated"))


def is_outdated_answer(prediction, marked: Box | None = None) -> bool:
    """Whether a box is another than when the lesion was looked for, and the user decided nothing.

    The lesion's own, or that of the answer, since its exam came under a transform without it. Of an
    answer of a version that did not keep the lesion's box, nobody knows. `marked` is that box as
    it is now, where it is at hand.
    """
    lesion, start = lesion_of(prediction), attribute(prediction, "From")
    if lesion is None or not start or decision_of(prediction):
        return False
    if is_moved(marked or box_if_placed(lesion), Box(*json.loads(start))):
        return True
    if status_of(prediction) == Status.NOT_FOUND.value or not is_placed(prediction):
        return False
    return is_moved(bounds_of(prediction, exam_of(prediction)), best_guess(prediction))


@dataclass(frozen=True)
class KnownLesion:
    """What is known about a lesion on exams, by what its ROIs are now.

    Attributes
    ----------
    numbers
        The indices of the exams about which something is known, in the order of their dates.
    history, growth
        Of the lesion on these exams; no growth where a pixel size is unknown.
    points
        On which of these exams, by their place among them, it is marked as a mere point.
    """

    numbers: list[int]
    history: LesionHistory
    growth: Growth | None
    points: frozenset[int] = frozenset()

    @property
    def measured(self) -> LesionHistory:
        """The history from which sizes are told.

        A lesion that is marked as a point counts as marked where the user gave it a size, if on
        any exam, as it does for the commands.
        """
        if self.history.marked not in self.points:
            return self.history
        sized = (
            number
            for number, result in enumerate(self.history.results)
            if result.by_user
            and number not in self.points
            and result.track.status is not Status.NOT_FOUND
        )
        return replace(self.history, marked=next(sized, self.history.marked))

    @property
    def made_up(self) -> set[int]:
        """The indices of the exams on which its size is made up, since it is marked elsewhere."""
        return {self.numbers[place] for place in made_up_sizes(self.measured, self.points)}

    def size_on(self, number: int) -> Size | None:
        """Return the lesion's size on an exam, by its index."""
        if self.growth is None or number not in self.numbers:
            return None
        return self.growth.sizes[self.numbers.index(number)]


def is_outdated_on(roi, known: KnownLesion | None, number: int) -> bool:
    """Whether what is answered about a lesion on an exam, by its index, is outdated.

    `known` is what `known_of` returned of the lesion; without it, the answer's boxes are compared.
    """
    return is_outdated_answer(roi) if known is None else number not in known.numbers


def known_lesions(lesions: Sequence, volumes: Sequence) -> dict:
    """Return what is known about lesions, looking through the scene and the exams once.

    Returns
    -------
    dict
        By lesion, what `answers_of` and `known_of` return.
    """
    headers = [header_of(volume) for volume in volumes] if lesions else []
    return {
        lesion: (answers, known_of(lesion, volumes, headers, answers))
        for lesion, answers in zip(lesions, all_answers(lesions), strict=True)
    }


def known_of(
    lesion,
    volumes: Sequence,
    headers: Sequence[Header] | None = None,
    answers: dict | None = None,
):
    """Return what is known about a lesion on these exams.

    Parameters
    ----------
    lesion
        Its ROI.
    volumes
        The exams, by date; of two, the later one may come first.
    headers, answers
        Of the exams, and what `answers_of` returns, where they are at hand.

    Returns
    -------
    KnownLesion or None
        None if the lesion has no place, or is marked on none of the exams.
    """
    marked = exam_of(lesion)
    box = box_if_placed(lesion) if marked in volumes else None
    if box is None:
        return None
    answers = answers_of(lesion) if answers is None else answers
    headers = [header_of(volume) for volume in volumes] if headers is None else headers
    numbers, results = [], []
    for number in in_order(dates_of(volumes, headers)):
        volume = volumes[number]
        roi = answers.get(volume.GetID())
        if roi is not None and not is_outdated_answer(roi, box):
            numbers.append(number)
            results.append(by_user(box, box) if roi is lesion else _result(roi, box, volume))
    place = numbers.index(volumes.index(marked))
    history = LesionHistory(place, tuple(results))
    spacings = [headers[number].spacing for number in numbers]
    rois = (answers[volumes[number].GetID()] for number in numbers)
    points = frozenset(k for k, roi in enumerate(rois) if _is_point(roi, lesion))
    known = KnownLesion(numbers, history, None, points)
    if None in spacings:
        return known
    dates = dates_of([volumes[n] for n in numbers], [headers[n] for n in numbers])
    kind = lesion_type(lesion)
    grown = growth(known.measured, spacings, dates, _repeatability(), kind, points)
    return replace(known, growth=grown)


def _is_point(roi, lesion) -> bool:
    return is_point(roi) and (roi is lesion or decision_of(roi) not in ("", *ABSENT))


def _result(roi, box: Box, volume) -> ExamResult:
    decision = decision_of(roi)
    if decision == "rejected":  # it may be elsewhere on this exam
        return replace(by_user(box, None), there=UNKNOWN)
    if decision in ABSENT or (decision and not is_placed(roi)):
        return by_user(box, None)
    if decision:
        return by_user(box, bounds_of(roi, volume))
    guess, score = best_guess(roi), score_of(roi)
    track = Track(box, guess, score, Status(status_of(roi)), reason_of(roi), (), guess)
    # A scene of a version that knew pairs alone says only how sure the box was.
    there = float(attribute(roi, "There") or score)
    return ExamResult(track, (), False, there)


@functools.cache
def _repeatability() -> dict:
    """Return how well sizes repeat with the weights that ship."""
    try:
        return read_card().get("repeatability", UNMEASURED)
    except MammoTrackerError:  # which is said when lesions are tracked
        return UNMEASURED

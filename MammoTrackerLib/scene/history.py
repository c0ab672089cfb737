"""Histories in the scene: a lesion's predictions on all exams, what the user decided, growth."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from ..errors import MammoTrackerError
from ..growth import UNMEASURED, Growth, growth
from ..history import ExamResult, LesionHistory, by_user
from ..marked import MarkedLesion
from ..networks.card import read_card
from ..track import Status, Track
from .lesion import lesion_type
from .nodes import PREFIX, attribute, set_attribute
from .prediction import (
    best_guess,
    candidates_of,
    exam_of,
    prediction_of,
    reason_of,
    review_of,
    score_of,
    show_track,
    status_of,
)
from .rois import bounds_of, box_if_placed, box_of, is_placed
from .series import dates_of, keep_series
from .volumes import header_of


def show_history(lesion, volumes: Sequence, history: LesionHistory) -> None:
    """Show where a lesion was found on the exams that it was followed on.

    What the user has decided is left as it is.
    """
    keep_series(volumes)
    for volume, result in zip(volumes, history.results, strict=True):
        roi = prediction_of(lesion, volume)
        if result.by_user or volume is exam_of(lesion) or (roi is not None and review_of(roi)):
            continue
        roi = show_track(lesion, volume, result.track)
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
        The box that was accepted, corrected or drawn; None where the answer was rejected.
    """
    found = {}
    for number, volume in enumerate(volumes):
        roi = prediction_of(lesion, volume)
        if roi is None or volume is exam_of(lesion):
            continue
        if review_of(roi) == "rejected":
            found[number] = None
        elif review_of(roi) and is_placed(roi):
            found[number] = bounds_of(roi, volume)
    return found


def marked_lesion(lesion, volumes: Sequence) -> MarkedLesion:
    """Return what follows a lesion through these exams, among which is the one it is marked on.

    Raises
    ------
    MammoTrackerError
        If it has no place on that exam.
    """
    exam = exam_of(lesion)
    return MarkedLesion(volumes.index(exam), box_of(lesion, exam), decisions(lesion, volumes))


def set_outdated(lesion) -> None:
    """Remember that the user decided something after the lesion was followed."""
    set_attribute(lesion, "Outdated", "1")


def is_outdated(lesion) -> bool:
    """Whether following the lesion anew would start from more than it did."""
    return bool(attribute(lesion, "Outdated"))


def history_of(lesion, volumes: Sequence) -> tuple[list[int], LesionHistory] | None:
    """Return what is known about a lesion on these exams, by what its ROIs are now.

    Returns
    -------
    tuple or None
        The indices of the exams about which something is known, and the history on them; None if
        the lesion has no place, or is marked on none of them.
    """
    box = box_if_placed(lesion)
    if box is None or exam_of(lesion) not in volumes:
        return None
    numbers, results = [], []
    for number, volume in enumerate(volumes):
        result = by_user(box, box) if volume is exam_of(lesion) else _result(lesion, box, volume)
        if result is not None:
            numbers.append(number)
            results.append(result)
    return numbers, LesionHistory(numbers.index(volumes.index(exam_of(lesion))), tuple(results))


def _result(lesion, box, volume) -> ExamResult | None:
    roi = prediction_of(lesion, volume)
    if roi is None:
        return None
    if review_of(roi) == "rejected" or (review_of(roi) and not is_placed(roi)):
        return by_user(box, None)
    if review_of(roi):
        return by_user(box, bounds_of(roi, volume))
    guess, score = best_guess(roi), score_of(roi)
    status = Status(status_of(roi))
    track = Track(box, guess, score, status, reason_of(roi), tuple(candidates_of(roi)), guess)
    # A scene of a version that knew pairs alone says only how sure the box was.
    there = float(attribute(roi, "There") or score)
    return ExamResult(track, (), False, there)


def growth_of(lesion, volumes: Sequence) -> tuple[list[int], Growth] | None:
    """Return how a lesion's size changed through these exams.

    Returns
    -------
    tuple or None
        The indices of the exams that count, and the growth on them; None as `history_of`, and
        where an exam's pixel size is unknown.
    """
    try:
        known = history_of(lesion, volumes)
        if known is None:
            return None
        numbers, history = known
        headers = [header_of(volumes[number]) for number in numbers]
    except MammoTrackerError:
        return None
    if None in [header.spacing for header in headers]:
        return None
    spacings = [header.spacing for header in headers]
    dates = dates_of(volumes[number] for number in numbers)
    return numbers, growth(history, spacings, dates, _repeatability(), lesion_type(lesion))


@functools.cache
def _repeatability() -> dict:
    """Return how well sizes repeat with the weights that ship."""
    try:
        return read_card().get("repeatability", UNMEASURED)
    except MammoTrackerError:  # which is said when lesions are tracked
        return UNMEASURED

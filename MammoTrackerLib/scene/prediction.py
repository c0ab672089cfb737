"""Predictions: the ROI nodes that show where lesions are on the current mammogram."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from ..box import Box
from ..history import by_user
from ..track import Candidate, Status, Track, described
from .lesion import lesions
from .nodes import (
    PREFIX,
    ROI,
    attribute,
    do_not_save,
    exam_of,
    new_node,
    node_with,
    nodes_with,
    referenced,
    set_attribute,
)
from .rois import (
    bounds_of,
    box_if_placed,
    display_of,
    draw_as_outline,
    is_placed,
    paint_like,
    place_roi,
    show_only_in,
    unplace,
)
from .volumes import keep_spacing

ABSENT = ("rejected", "not there")
"""Reviews that hide a prediction."""
CANNOT_TELL = "cannot tell"
"""A review that decides nothing."""


def show_track(lesion, current, track: Track, marked: Box | None = None):
    """Show where a lesion was found: make its prediction on this current, or start it anew.

    What the user has decided is left as it is.

    Parameters
    ----------
    lesion, current
        The lesion, and the exam on which it was looked for.
    track
        The tracker's answer.
    marked
        The lesion's box when it was looked for, if that is not the one that the track starts from.

    Returns
    -------
    vtkMRMLMarkupsROINode
        In the lesion's colour, with score, status, reason and candidates as attributes. Of a
        lesion that was not found it has no place.
    """
    scene = current.GetScene()
    keep_spacing(current)
    roi = prediction_of(lesion, current)
    if roi is not None and review_of(roi):
        return roi
    if roi is None:
        roi = new_node(scene, ROI, "", "prediction", Lesion=lesion, Current=current)
    was_modifying = roi.StartModify()
    roi.SetName(prediction_name(lesion))
    set_attribute(roi, "Status", track.status.value)
    set_attribute(roi, "Score", repr(float(track.score)))
    set_attribute(roi, "Reason", track.reason)
    set_attribute(roi, "Box", json.dumps(track.box.as_tuple()))
    set_attribute(roi, "From", json.dumps((marked or track.prior_box).as_tuple()))
    candidates = [candidate.as_dict() for candidate in track.candidates]
    set_attribute(roi, "Candidates", json.dumps(candidates))
    set_attribute(roi, "Untracked", "")
    roi.CreateDefaultDisplayNodes()
    paint_like(roi, lesion)
    draw_as_outline(roi.GetDisplayNode())
    restore_prediction(roi)
    roi.EndModify(was_modifying)
    return roi


def show_decision(lesion, volume, box: Box | None, review: str):
    """Show where a lesion is on an exam as a user said elsewhere, who may have had no answer there.

    Parameters
    ----------
    lesion, volume
        The lesion, and another exam than that on which it is marked.
    box
        In that exam's pixels; None where it is not there.
    review
        As `review_of` returns it.

    Returns
    -------
    vtkMRMLMarkupsROINode
        The prediction; what the tracker answered there, if it did, is kept for
        `restore_prediction`.
    """
    roi = prediction_of(lesion, volume)
    if roi is None:
        track = by_user(bounds_of(lesion, exam_of(lesion)), box).track
        roi = show_track(lesion, volume, track)
        set_attribute(roi, "Untracked", "1")
    if box is None:
        unplace(roi)
    else:
        place_roi(roi, volume, box)
    set_review(roi, review)
    return roi


def is_tracked(prediction) -> bool:
    """Whether the tracker has answered; else all that is known is what a user said elsewhere."""
    return not attribute(prediction, "Untracked")


def prediction_name(lesion, exam: int | None = None) -> str:
    """Return the name of a prediction, of a pair's current or of an exam, by its number from 1."""
    return f"{lesion.GetName()} ({'current' if exam is None else f'exam {exam}'})"


def predictions(prior, current) -> list:
    """Return the predictions of the prior's lesions on this current, in the lesions' order."""
    rois = (answers.get(current.GetID()) for answers in all_answers(lesions(prior)))
    return [roi for roi in rois if roi is not None and is_prediction(roi)]


def prediction_of(lesion, current):
    """Return the ROI that shows this lesion on this current, or None."""
    return node_with(current.GetScene(), ROI, "prediction", Lesion=lesion, Current=current)


def answers_of(lesion) -> dict:
    """Return the ROIs of a lesion by the IDs of their volumes: its own, and its predictions.

    For where many are needed: it looks through the scene once.
    """
    return all_answers([lesion])[0]


def all_answers(lesions: Sequence) -> list[dict]:
    """Return `answers_of` for each of these lesions, looking through the scene once."""
    scene = next(filter(None, (roi.GetScene() for roi in lesions)), None)
    found = {roi: {exam_of(roi).GetID(): roi} if exam_of(roi) else {} for roi in lesions}
    for roi in nodes_with(scene, ROI, "prediction") if scene else ():
        answers, exam = found.get(lesion_of(roi)), exam_of(roi)
        if answers is not None and exam is not None:
            answers.setdefault(exam.GetID(), roi)
    return [found[roi] for roi in lesions]


def roi_on(lesion, volume):
    """Return the ROI that shows a lesion on an exam: its own, where it is marked; None if none."""
    return lesion if volume is exam_of(lesion) else prediction_of(lesion, volume)


def box_or_guess(roi) -> Box | None:
    """Return where a lesion or prediction is, or most likely would be; None if nobody knows."""
    box = box_if_placed(roi)
    return best_guess(roi) if box is None and attribute(roi, "Box") else box


def is_prediction(roi) -> bool:
    """Whether an ROI is a prediction; else it is a lesion's own."""
    return attribute(roi, "Role") == "prediction"


def lesion_of(prediction):
    """Return the lesion's ROI on the prior, or None if it was deleted."""
    return referenced(prediction, "Lesion")


def status_of(prediction) -> str:
    """Return the tracker's answer, a value of `Status`; the user's is `review_of`."""
    return attribute(prediction, "Status")


def score_of(prediction) -> float:
    return float(attribute(prediction, "Score"))


def reason_of(prediction) -> str:
    return attribute(prediction, "Reason")


def review_of(prediction) -> str:
    """Return what the user said: "", "accepted", "corrected" or "rejected".

    In a reading list, it may be "not there" or "cannot tell", too.
    """
    return attribute(prediction, "Review")


def decision_of(prediction) -> str:
    """Return what the user decided: as `review_of`, but "" where the user cannot tell."""
    review = review_of(prediction)
    return "" if review == CANNOT_TELL else review


def set_review(prediction, review: str) -> None:
    """Set what the user says; a prediction that is rejected or not there is hidden."""
    set_attribute(prediction, "Review", review)
    # By this, its file is known for a result when it is loaded: see `is_loaded_result`.
    text = described(status_of(prediction), score_of(prediction), reason_of(prediction))
    for index in range(prediction.GetNumberOfControlPoints()):
        prediction.SetNthControlPointDescription(index, text)
    display_of(prediction).SetVisibility(review not in ABSENT)


def best_guess(prediction) -> Box:
    """Return the tracker's most likely box, also where it is too unsure to be shown."""
    return Box(*json.loads(attribute(prediction, "Box")))


def is_as_tracked(prediction) -> bool:
    """Whether a prediction is where the tracker put it, to a hundredth of a pixel."""
    if status_of(prediction) == Status.NOT_FOUND.value or not is_placed(prediction):
        return False
    box = bounds_of(prediction, referenced(prediction, "Current"))
    off = np.subtract(box.as_tuple(), best_guess(prediction).as_tuple())
    return bool(np.abs(off).max() < 0.01)


def candidates_of(prediction) -> list[Candidate]:
    """Return the tracker's candidates, best first; none where registration's box was kept."""
    return [Candidate.from_dict(item) for item in json.loads(attribute(prediction, "Candidates"))]


def use_candidate(prediction, index: int) -> None:
    """Move a prediction to one of its candidates, as the user's correction.

    The first one is the tracker's own answer, so that it corrects only what was not found.
    """
    if index == 0 and status_of(prediction) != Status.NOT_FOUND.value:
        restore_prediction(prediction)
        return
    box = candidates_of(prediction)[index].box
    place_roi(prediction, referenced(prediction, "Current"), box)
    set_review(prediction, "corrected")


def restore_prediction(prediction) -> None:
    """Undo what the user did to a prediction; one that was not found loses its place.

    Where the tracker has not answered, it goes from the scene.
    """
    if not is_tracked(prediction):
        prediction.GetScene().RemoveNode(prediction)
        return
    if status_of(prediction) == Status.NOT_FOUND.value:
        unplace(prediction)
    else:
        place_roi(prediction, referenced(prediction, "Current"), best_guess(prediction))
    set_review(prediction, "")


def preview_of(current):
    """Return the ROI that previews a candidate, or None."""
    return node_with(current.GetScene(), ROI, "preview")


def preview_candidate(prediction, index: int | None):
    """Show one candidate in the views of its prediction, or with None no candidate any more.

    Returns
    -------
    vtkMRMLMarkupsROINode or None
        The one preview of the scene, which is locked, and not saved.
    """
    scene = prediction.GetScene()
    roi = node_with(scene, ROI, "preview")
    if index is None:
        if roi is not None:
            scene.RemoveNode(roi)
        return None
    if roi is None:
        roi = new_node(scene, ROI, "", "preview")
        roi.HideFromEditorsOn()
        roi.SetLocked(True)
        roi.CreateDefaultDisplayNodes()
        draw_as_outline(roi.GetDisplayNode())
        roi.GetDisplayNode().SetHandlesInteractive(False)
        roi.GetDisplayNode().SetOpacity(0.6)
        do_not_save(roi)
    roi.SetName(f"Candidate {index + 1}")
    roi.SetNodeReferenceID(PREFIX + "Prediction", prediction.GetID())
    paint_like(roi, prediction)
    show_only_in(roi, display_of(prediction).GetViewNodeIDs())
    place_roi(roi, referenced(prediction, "Current"), candidates_of(prediction)[index].box)
    return roi

"""Lesions: the ROI nodes that mark them on the prior."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from contextlib import suppress

from slicer.util import arrayFromVolume

from ..box import Box
from ..errors import MammoTrackerError
from ..track import Status
from .nodes import PREFIX, ROI, VOLUME, attribute, exam_of, nodes_with, referenced, set_attribute
from .raster import Raster
from .rois import (
    SAME_PX,
    bounds_of,
    box_if_placed,
    box_of,
    display_of,
    draw_as_outline,
    is_moved,
    is_placed,
    paint,
)
from .volumes import keep_spacing

LESION_TYPES = ("mass", "calcification")
COLORS = (
    (1.0, 0.84, 0.1), (0.2, 0.85, 1.0), (1.0, 0.45, 0.75), (0.45, 1.0, 0.4),
    (1.0, 0.55, 0.15), (0.72, 0.55, 1.0), (0.2, 0.95, 0.75), (1.0, 0.35, 0.3),
)  # fmt: skip
CROP_NAMES = ("Volume rendering ROI", "Crop Volume ROI")
_RESULT = re.compile(rf"({'|'.join(status.value for status in Status)}), score \d")


def lesions(prior) -> list:
    """Return the ROI nodes that mark lesions of this prior, in the scene's order."""
    return nodes_with(prior.GetScene(), ROI, "lesion", Prior=prior)


def unclaimed_rois(scene) -> list:
    """Return the ROI nodes that may be lesions: neither MammoTracker's nor another module's."""
    rois = nodes_with(scene, ROI, "")
    return [roi for roi in rois if not is_loaded_result(roi) and not _is_of_another_module(roi)]


def is_loaded_result(roi) -> bool:
    """Whether an ROI was read from a result's file, of the module or of the command."""
    # Of all that such a file says about its ROI, Slicer keeps this.
    count = roi.GetNumberOfControlPoints()
    return count > 0 and bool(_RESULT.match(roi.GetNthControlPointDescription(0)))


def _is_of_another_module(roi) -> bool:
    """Whether an ROI is what another module crops with, or is no business of the user's."""
    if roi.GetHideFromEditors() or (roi.GetName() or "").startswith(CROP_NAMES):
        return True
    scene = roi.GetScene()
    nodes = (scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes()))
    return any(
        scene.IsNodeReferencingNodeID(node, roi.GetID())
        for node in nodes
        if node is not roi and not node.IsA("vtkMRMLSelectionNode")  # which ROI was drawn last
    )


def claim_new_rois(prior, beside: Iterable = (), exams: Iterable = ()) -> None:
    """Make lesions of the ROIs on the prior that may be some; mark results that were loaded.

    What was drawn in a view of another exam lies on the prior by chance: it becomes a lesion of
    that exam, if it is one of `exams`. `beside` is as in `claim_lesion`.
    """
    scene = prior.GetScene()
    for roi in nodes_with(scene, ROI, ""):
        if is_loaded_result(roi):
            set_attribute(roi, "Role", "result")
    for roi in unclaimed_rois(scene):
        exam = _drawn_on(roi) or prior
        if exam is not prior and exam not in exams:
            continue
        try:
            box = box_of(roi, exam)
        except MammoTrackerError:
            continue
        columns, rows = Raster(exam).size
        if box.area < columns * rows / 2:  # what is larger crops the image, and is no lesion
            claim_lesion(roi, exam, beside=beside)


def _drawn_on(roi):
    """Return the volume in the view in which an ROI was drawn, or None if that is not known."""
    # The ID in a file is that of another scene, so what is drawn is remembered before it is saved.
    if roi.GetStorageNode() is None and roi.GetNumberOfControlPoints():
        node = roi.GetScene().GetNodeByID(roi.GetNthControlPointAssociatedNodeID(0))
        if node is not None and node.IsA(VOLUME):
            roi.SetNodeReferenceID(PREFIX + "DrawnOn", node.GetID())
    return referenced(roi, "DrawnOn")


def reclaim_lesions(volumes: Iterable) -> None:
    """Make lesions of which the exam was deleted those of that exam, where it was loaded again.

    It is known by its DICOM instance, else by its pixels.
    """
    volumes = list(volumes)
    stranded = nodes_with(volumes[0].GetScene(), ROI, "lesion", Prior=None) if volumes else []
    known = {_identity(volume): volume for volume in volumes} if stranded else {}
    for roi in stranded:
        volume = known.get(attribute(roi, "Exam"))
        with suppress(MammoTrackerError):  # it lies elsewhere now
            if volume is not None and box_of(roi, volume):
                roi.SetNodeReferenceID(PREFIX + "Prior", volume.GetID())


def _identity(volume) -> str:
    """Return what tells an exam from others, also when it is loaded again; none can read it."""
    known = (volume.GetAttribute("DICOM.instanceUIDs") or "").encode()
    if not known and volume.GetImageData():
        # Some pixels tell images apart, names do not: many a prior is called so.
        known = arrayFromVolume(volume).squeeze()[::8, ::8].tobytes()
    return hashlib.sha256(known).hexdigest()


def claim_lesion(roi, prior, lesion_type: str = "", beside: Iterable = ()) -> None:
    """Make an ROI a lesion of this prior; a colour of its own it keeps.

    Else it gets one that neither the prior's other lesions have, nor those `beside` them.
    """
    set_attribute(roi, "Role", "lesion")
    set_lesion_type(roi, lesion_type)
    roi.SetNodeReferenceID(PREFIX + "Prior", prior.GetID())
    set_attribute(roi, "Exam", _identity(prior))
    keep_spacing(prior)
    draw_as_outline(display_of(roi))
    color_if_default(roi, [*lesions(prior), *beside])


def color_if_default(roi, others: Iterable) -> None:
    """Give a lesion that has no colour of its own one that no other one has."""
    display = display_of(roi)
    default = roi.GetScene().GetDefaultNodeByClass("vtkMRMLMarkupsDisplayNode") or type(display)()
    if display.GetSelectedColor() == default.GetSelectedColor():
        color_apart(roi, others)


def color_apart(roi, others: Iterable) -> None:
    """Give a lesion a colour that no other one has."""
    others = {other.GetID(): other for other in others if other is not roi}.values()
    used = [display_of(other).GetSelectedColor() for other in others]
    free = [color for color in COLORS if color not in used]
    paint(display_of(roi), free[0] if free else COLORS[len(others) % len(COLORS)])


def remove_lesion(roi) -> None:
    """Remove a lesion's ROI, and its predictions, from the scene."""
    scene = roi.GetScene()
    for prediction in nodes_with(scene, ROI, "prediction", Lesion=roi):
        scene.RemoveNode(prediction)
    scene.RemoveNode(roi)


def keep_as_point(roi) -> None:
    """Remember that the size of a box was made up: the file of its lesion marks a point."""
    box = bounds_of(roi, exam_of(roi))
    set_attribute(roi, "PointBox", json.dumps([box.width, box.height]))


def is_point(roi) -> bool:
    """Whether a box is as large as when it was put around a point, wherever it is now."""
    made_up, exam = attribute(roi, "PointBox"), exam_of(roi)
    if not made_up or exam is None or not is_placed(roi):
        return False
    box = bounds_of(roi, exam)
    pairs = zip((box.width, box.height), json.loads(made_up), strict=True)
    return all(abs(now - before) <= SAME_PX for now, before in pairs)


def keep_as_predicted(roi) -> None:
    """Remember that a lesion's box was predicted: nobody has marked it, says its file."""
    set_attribute(roi, "PredictedBox", json.dumps(bounds_of(roi, exam_of(roi)).as_tuple()))


def is_only_predicted(roi) -> bool:
    """Whether a lesion still has the box that was predicted; who changes it marks the lesion."""
    predicted = attribute(roi, "PredictedBox")
    return bool(predicted) and not is_moved(box_if_placed(roi), Box(*json.loads(predicted)))


def lesion_type(roi) -> str:
    """Return one of `LESION_TYPES`, or "" if none was set."""
    return attribute(roi, "Type")


def set_lesion_type(roi, value: str) -> None:
    set_attribute(roi, "Type", value)

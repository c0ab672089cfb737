"""What is written beside the ROIs in the views."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import vtk

from ..track import Status, as_decimals
from .history import is_outdated_answer
from .lesion import lesions
from .nodes import exam_of, new_node, node_with
from .prediction import all_answers, is_prediction, lesion_of, review_of, score_of, status_of
from .raster import Raster
from .rois import bounds_of, display_of, is_placed, paint

LABEL_COLOR = (1.0, 1.0, 0.7)
_LABELS = "vtkMRMLMarkupsFiducialNode"


def update_labels(prior, current, of: Sequence | None = None) -> None:
    """Write names, statuses and scores at the top edges of the ROIs that are shown.

    Parameters
    ----------
    prior, current
        The volumes that are shown.
    of
        The lesions, marked on any exam; those of the prior if None is given.
    """
    of = lesions(prior) if of is None else of
    answers = all_answers(of)
    for volume in (prior, current):
        labels = [(roi, roi.GetName()) for roi in of if exam_of(roi) is volume]
        found = [own.get(volume.GetID()) for own in answers]
        labels += [(roi, _label(roi)) for roi in found if roi is not None and is_prediction(roi)]
        wanted = []
        for roi, text in labels:
            if is_placed(roi) and display_of(roi).GetVisibility():
                box = bounds_of(roi, volume)
                (place,) = Raster(volume).to_world([(box.center[0], box.y0, 0)])
                wanted.append((text, place))
        node = node_with(volume.GetScene(), _LABELS, "label", Volume=volume)
        if node is None and labels:
            node = _new_label_node(volume)
        if node is not None:
            if node.GetDisplayNode() is None:
                _draw_as_text(node)
            _show_labels(node, wanted)


def _show_labels(node, wanted: list[tuple[str, np.ndarray]]) -> None:
    """Change only what is other than wanted, since each change draws the views again."""
    was_modifying = node.StartModify()
    while node.GetNumberOfControlPoints() > len(wanted):
        node.RemoveNthControlPoint(node.GetNumberOfControlPoints() - 1)
    for index, (text, place) in enumerate(wanted):
        if index >= node.GetNumberOfControlPoints():
            node.AddControlPointWorld(vtk.vtkVector3d(*place), text)
        if node.GetNthControlPointLabel(index) != text:
            node.SetNthControlPointLabel(index, text)
        shown = [0.0, 0.0, 0.0]
        node.GetNthControlPointPositionWorld(index, shown)
        if not np.allclose(shown, place, atol=1e-3):
            node.SetNthControlPointPositionWorld(index, *place)
    node.EndModify(was_modifying)


def _label(prediction) -> str:
    name, status = lesion_of(prediction).GetName(), status_of(prediction)
    if review_of(prediction):
        return f"{name}  {review_of(prediction)}"
    if is_outdated_answer(prediction):
        return f"{name}  outdated"
    if status == Status.REGISTRATION.value:
        return f"{name}  {status}"
    return f"{name}  {status} {as_decimals(score_of(prediction))}"


def _new_label_node(volume):
    node = new_node(volume.GetScene(), _LABELS, "MammoTracker labels", "label", Volume=volume)
    node.HideFromEditorsOn()
    node.SetLocked(True)
    _draw_as_text(node)
    return node


def _draw_as_text(node) -> None:
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    paint(display, LABEL_COLOR)
    display.SetGlyphTypeFromString("Vertex2D")
    display.SetGlyphScale(0.1)
    display.SetPointLabelsVisibility(True)

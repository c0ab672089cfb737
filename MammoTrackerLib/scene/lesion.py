"""Lesions: the ROI nodes that mark them on the prior."""

from __future__ import annotations

from .nodes import PREFIX, ROI, attribute, nodes_with, set_attribute
from .rois import draw_as_outline, paint

LESION_TYPES = ("mass", "calcification")
COLORS = (
    (1.0, 0.84, 0.1), (0.2, 0.85, 1.0), (1.0, 0.45, 0.75), (0.45, 1.0, 0.4),
    (1.0, 0.55, 0.15), (0.72, 0.55, 1.0), (0.2, 0.95, 0.75), (1.0, 0.35, 0.3),
)  # fmt: skip


def lesions(prior) -> list:
    """Return the ROI nodes that mark lesions of this prior, in the scene's order."""
    return nodes_with(prior.GetScene(), ROI, "lesion", Prior=prior)


def unclaimed_rois(scene) -> list:
    """Return the ROI nodes that are neither lesions nor made by MammoTracker."""
    return nodes_with(scene, ROI, "")


def claim_lesion(roi, prior, lesion_type: str = "") -> None:
    """Make an ROI a lesion of this prior; a colour of its own it keeps."""
    set_attribute(roi, "Role", "lesion")
    set_lesion_type(roi, lesion_type)
    roi.SetNodeReferenceID(PREFIX + "Prior", prior.GetID())
    roi.CreateDefaultDisplayNodes()
    display = roi.GetDisplayNode()
    default = roi.GetScene().GetDefaultNodeByClass("vtkMRMLMarkupsDisplayNode") or type(display)()
    if display.GetSelectedColor() == default.GetSelectedColor():
        others = [other for other in lesions(prior) if other is not roi]
        used = [other.GetDisplayNode().GetSelectedColor() for other in others]
        free = [color for color in COLORS if color not in used]
        paint(display, free[0] if free else COLORS[len(others) % len(COLORS)])
    draw_as_outline(display)


def remove_lesion(roi) -> None:
    """Remove a lesion's ROI, and its predictions, from the scene."""
    scene = roi.GetScene()
    for prediction in nodes_with(scene, ROI, "prediction", Lesion=roi):
        scene.RemoveNode(prediction)
    scene.RemoveNode(roi)


def lesion_type(roi) -> str:
    """Return one of `LESION_TYPES`, or "" if none was set."""
    return attribute(roi, "Type")


def set_lesion_type(roi, value: str) -> None:
    set_attribute(roi, "Type", value)

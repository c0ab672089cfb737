"""Cases: how the exams and lesions of one come into the scene, and what leaves it with them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import slicer
from slicer.util import updateVolumeFromArray

from ..box import Box
from ..track import Track
from .lesion import LESION_TYPES, claim_lesion, lesions
from .nodes import PREFIX, ROI, VOLUME, attribute, new_node, referenced, remove_node, set_attribute
from .prediction import set_review, show_track
from .rois import place_roi
from .series import set_date
from .volumes import READ_FROM

_ABOUT = ("Prior", "Current", "Lesion", "Volume")
"""By which references a node is about another one."""
_ONLY_WITH = {
    "prediction": ("Lesion", "Current"),
    "preview": ("Prediction",),
    "label": ("Volume",),
    "registration": ("Prior", "Current"),
    "warped": ("Prior", "Current"),
    "results": ("Prior", "Current"),
}
"""By role, without which others a node says nothing; in the order in which they go."""
_SUMMARIES = ("vtkMRMLPlotChartNode", "vtkMRMLPlotSeriesNode", "vtkMRMLTableNode")
"""In the order in which one is drawn from the next."""


def add_exam(
    name: str,
    path: Path,
    pixels: np.ndarray,
    spacing: Sequence[float],
    window: Sequence[float],
    date: datetime.date | None = None,
):
    """Add a mammogram that `Mammogram.read` has read; returns its volume.

    Parameters
    ----------
    name
        Of the node.
    path
        The file; what it says about breast, view and date is known of the volume.
    pixels
        (rows, columns), of any type.
    spacing
        (x, y) in mm.
    window
        The lowest and the highest brightness to be told apart.
    date
        Of the exam, where the file may lack it.
    """
    volume = slicer.mrmlScene.AddNewNodeByClass(VOLUME, name)
    set_attribute(volume, READ_FROM, str(path))
    set_attribute(volume, "SpacingSet", "1")
    if date is not None:
        set_date(volume, date)
    volume.SetSpacing(*spacing, 1.0)
    volume.SetIJKToRASDirections(-1, 0, 0, 0, -1, 0, 0, 0, 1)
    # Before there are pixels, in which a window would be looked for.
    volume.CreateDefaultDisplayNodes()
    low, high = window
    display = volume.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(max(high - low, 1e-6), (high + low) / 2)
    updateVolumeFromArray(volume, pixels[np.newaxis])
    return volume


def add_marked(volume, name: str, box: Box, lesion_type: str, beside: Iterable):
    """Add a lesion that is marked on an exam, and that nobody can move; returns its ROI.

    `beside` are lesions from which its colour is to differ.
    """
    # With its role, or it is looked at as one that belongs to nobody.
    roi = new_node(slicer.mrmlScene, ROI, name, "lesion")
    place_roi(roi, volume, box)
    kind = lesion_type if lesion_type in LESION_TYPES else ""
    claim_lesion(roi, volume, kind, beside)
    roi.SetLocked(True)
    return roi


def show_answer(lesion, volume, track: Track, review: str, box: Box | None):
    """Show where a lesion was found, and what a reader said of that; returns the prediction.

    Parameters
    ----------
    lesion, volume
        The lesion, and the exam on which it was looked for.
    track
        The tracker's answer.
    review
        As `review_of` returns it.
    box
        Where the reader put the lesion, or None.
    """
    roi = show_track(lesion, volume, track)
    if box is not None:
        place_roi(roi, volume, box)
    set_review(roi, review)
    return roi


def remove_exams(volumes: Sequence, marked: Iterable) -> None:
    """Remove exams, and all of MammoTracker's that is about them alone.

    Other ROIs on them, which are the user's, stay, and belong to nobody again.

    Parameters
    ----------
    volumes
        As `add_exam` made them.
    marked
        Their lesions, as `add_marked` made them.
    """
    scene = slicer.mrmlScene
    volumes = [volume for volume in volumes if volume.GetScene() is scene]
    marked = [roi for roi in marked if roi.GetScene() is scene]
    for volume in volumes:
        for roi in lesions(volume):
            if roi not in marked:
                roi.RemoveAttribute(f"{PREFIX}Role")
                roi.RemoveNodeReferenceIDs(f"{PREFIX}Prior")
    going = [*volumes, *marked]
    nodes = (scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes()))
    about = [
        node
        for node in list(nodes)
        if attribute(node, "Role")
        and node not in going
        and any(referenced(node, name) in going for name in _ABOUT)
    ]
    for node in [*about, *going]:
        remove_node(node)


def remove_stranded(scene) -> None:
    """Remove what MammoTracker said about an exam or a lesion that is in the scene no more.

    A lesion stays when its exam goes: it is the user's own. Of tables and plots about all exams,
    those that another scene brought go, since one of each is brought up to date.
    """
    seen = set()
    for identifier in summaries(scene):
        node = scene.GetNodeByID(identifier)
        kind = node.GetClassName(), attribute(node, "Role")
        if kind in seen:
            remove_node(node)
        seen.add(kind)
    for role, names in _ONLY_WITH.items():
        nodes = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
        for node in nodes:
            if attribute(node, "Role") == role and not all(referenced(node, n) for n in names):
                remove_node(node)


def summaries(scene) -> list[str]:
    """Return the IDs of MammoTracker's tables and plots, which are about all exams together."""
    nodes = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
    return [
        node.GetID()
        for kind in _SUMMARIES
        for node in nodes
        if node.IsA(kind)
        and attribute(node, "Role")
        and not any(referenced(node, name) for name in _ABOUT)
    ]


def remove_summaries(scene, kept: Iterable[str]) -> None:
    """Remove what `summaries` returns, but those that were there before."""
    for identifier in summaries(scene):
        if identifier not in kept:
            remove_node(scene.GetNodeByID(identifier))

"""Where lesions are loaded from: files, segmentations of the scene, and reports on its exams."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import slicer
from slicer.i18n import tr as _

FILES = "*.mrk.json *.json *.dcm *.png *.tif *.tiff *.nrrd *.nii *.nii.gz *.mha *.jpg"


def loadFile(path: Path, volumes: list, prior) -> tuple[list, list[str]]:
    """Load the lesions that a file marks.

    Parameters
    ----------
    path
        An .mrk.json file or a mask of the prior, or a DICOM SR on the exams.
    volumes
        The exams, the prior among them.
    prior
        The one on which lesions are marked.

    Returns
    -------
    tuple
        The ROIs, and sentences for the user on what was left out or made up.

    Raises
    ------
    MammoTrackerError
        If it cannot be read, or marks no lesion there.
    """
    from MammoTrackerLib import MammoTrackerError, scene

    node = None
    if path.name.lower().endswith(".json"):
        with suppress(RuntimeError), scene.placing_kept(slicer.mrmlScene):  # it is read below
            node = slicer.util.loadMarkups(str(path))
    if node and node.IsA("vtkMRMLMarkupsROINode"):
        try:
            scene.box_of(node, prior)
        except MammoTrackerError:
            scene.remove_node(node)
            raise
        scene.claim_lesion(node, prior)
        return [node], []
    if node:  # points, lines and curves become boxes, as they do for the command
        scene.remove_node(node)
    rois, remarks = scene.load_lesions(path, volumes, volumes.index(prior))
    return rois, list(remarks)


def otherSources(volumes: list, prior) -> list[tuple[str, Callable[[], tuple]]]:
    """Return what else there is to load lesions from, with what loads them, as `loadFile` does.

    These are segmentations that may be drawn on the prior, or are on another exam of a series, and
    structured reports on one of the exams in Slicer's DICOM database.
    """
    from MammoTrackerLib import scene

    found, markable = [], volumes if len(volumes) > 2 else [prior]

    def load(node, exam) -> tuple[list, list[str]]:
        return scene.add_segmented_lesions(node, exam), []

    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        exam = scene.segmented_volume(node) or prior
        if exam in markable:
            text = _("Segmentation {name}").format(name=node.GetName().replace("&", "&&"))
            found.append((text, partial(load, node, exam)))
    reports = scene.reports_on(volumes)
    for number, path in enumerate(reports, 1):
        text = _("Report {number} of {count} on these exams (DICOM SR)")
        text = text.format(number=number, count=len(reports))
        found.append((text, lambda path=path: loadFile(path, volumes, prior)))
    return found

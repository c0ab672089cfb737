"""Mammograms that are drawn, and where their parts are in the views."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from MammoTrackerLib import Box, Candidate, Status, Track

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")

from slicer.util import updateVolumeFromArray, vtkMatrixFromArray  # noqa: E402

from MammoTrackerLib import scene as bridge  # noqa: E402

COLUMNS, ROWS, SPACING = 300, 400, 0.25
LESION = Box(60, 220, 90, 240)  # 7.5 x 5 mm
MARK = Box(140, 80, 160, 90)
VIEWS = "MammoTrackerPrior", "MammoTrackerCurrent"
SIZE = 360, 480
LESION_COLOR = (1.0, 0.84, 0.1)
TEXT_COLOR = (1.0, 1.0, 0.7)
TURN = np.eye(4)
TURN[:3, :3] = [[0.6, -0.64, 0.48], [0.8, 0.48, -0.36], [0.0, 0.6, 0.8]]
TURN[:3, 3] = 40, 7, -60
GEOMETRIES = {
    "as read": {},
    "flipped": {"directions": ((1, 0, 0), (0, -1, 0), (0, 0, 1))},
    "upside down": {"directions": ((-1, 0, 0), (0, 1, 0), (0, 0, 1))},
    "turned by 90 degrees": {"directions": ((0, 1, 0), (-1, 0, 0), (0, 0, 1))},
    "sagittal": {"directions": ((0, 0, 1), (1, 0, 0), (0, -1, 0))},
    "parent": {"parent": TURN},
    "mirroring parent": {"parent": TURN @ np.diag([-1, 1, 1, 1])},
}


def pixels(flipped: bool = False, lesion: Box = LESION) -> np.ndarray:
    """A breast at the left, with the lesion and, outside of it, a mark; nothing symmetric."""
    y, x = np.mgrid[:ROWS, :COLUMNS] + 0.5
    image = np.where((x / 130) ** 2 + ((y - 190) / 170) ** 2 < 1, 400.0, 0.0)
    for box in (lesion, MARK):
        image[(x > box.x0) & (x < box.x1) & (y > box.y0) & (y < box.y1)] = 1000
    return (image[:, ::-1] if flipped else image).astype(np.float32)


def add_volume(
    image: np.ndarray | None = None,
    directions=((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
    spacing=(SPACING, SPACING, 1.0),
    parent=None,
):
    """Add a volume; `directions` has the world's directions of x, y and across, as columns."""
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    updateVolumeFromArray(volume, (pixels() if image is None else image)[np.newaxis])
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(directions) * spacing
    matrix[:3, 3] = 11, -23, 5
    volume.SetIJKToRASMatrix(vtkMatrixFromArray(matrix))
    if parent is not None:
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        transform.SetMatrixTransformToParent(vtkMatrixFromArray(parent))
        volume.SetAndObserveTransformNodeID(transform.GetID())
    volume.CreateDefaultDisplayNodes()
    volume.GetDisplayNode().SetAutoWindowLevel(False)
    volume.GetDisplayNode().SetWindowLevel(1000, 500)
    return volume


def add_lesion(prior, box: Box = LESION, name: str = "Lesion 1"):
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    bridge.place_roi(roi, prior, box)
    bridge.claim_lesion(roi, prior)
    return roi


def track(box: Box) -> Track:
    return Track(LESION, box, 0.5, Status.FOUND, "", (Candidate(box, 0.5, 1.0),) * 2, box)


def shift_grid(x: float, y: float) -> np.ndarray:
    """A registration that moves everything by this many pixels."""
    nodes = np.stack(np.meshgrid(np.linspace(0, COLUMNS, 7), np.linspace(0, ROWS, 9)), axis=-1)
    return np.concatenate([nodes, nodes + (x, y)], axis=-1)


def bounds(mask: np.ndarray) -> np.ndarray:
    """x0, y0, x1, y1 of what is set."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def squares(view: np.ndarray) -> list[np.ndarray]:
    """Bounds of the white squares, from the top."""
    labels, count = ndimage.label(view.min(axis=-1) > 180)
    found = [bounds(labels == label) for label in range(1, count + 1)]
    return sorted(
        (square for square in found if min(square[2:] - square[:2]) > 3), key=lambda b: b[1]
    )


def color_mask(view: np.ndarray, color=LESION_COLOR) -> np.ndarray:
    return (np.abs(view - 255.0 * np.array(color)) < 30).all(-1)


def outline(view: np.ndarray) -> np.ndarray:
    """Bounds of the middle of the ROI's line."""
    return bounds(color_mask(view)) + np.array([1, 1, -1, -1]) * 1.5


def on_screen(
    box: Box, center=(COLUMNS / 2, ROWS / 2), zoom=SIZE[1] / ROWS, size=SIZE, mirrored=False
):
    """Where a box of an image must be if this pixel is in the view's centre."""
    x = (np.array([box.x0, box.x1]) - center[0]) * zoom
    x = np.sort(-x if mirrored else x) + size[0] / 2
    y = (np.array([box.y0, box.y1]) - center[1]) * zoom + size[1] / 2
    return np.array([x[0], y[0], x[1], y[1]])

"""Volumes, ROI nodes and tracks that the tests of the scene make."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")
vtk = pytest.importorskip("vtk")

from slicer.util import (  # noqa: E402
    arrayFromVolume,
    updateVolumeFromArray,
    vtkMatrixFromArray,
)

from MammoTrackerLib import Box, Candidate, Status, Track  # noqa: E402
from MammoTrackerLib import scene as bridge  # noqa: E402
from MammoTrackerLib.global_search import Alignment  # noqa: E402

ROI = "vtkMRMLMarkupsROINode"
COLUMNS, ROWS = 30, 40
SQUARE = Box(4, 9, 13, 15)  # not symmetric in anything
AS_READ = np.diag([-1, -1, 1])  # as ITK takes a file that gives no orientation
ROTATION = np.array(sitk.VersorTransform((1.0, 2.0, -0.5), 0.7).GetMatrix()).reshape(3, 3)


def pixels_with_square(dtype=np.int16) -> np.ndarray:
    pixels = np.zeros((ROWS, COLUMNS), dtype)
    pixels[9:15, 4:13] = 100
    return pixels


def add_volume(
    scene,
    pixels: np.ndarray | None = None,
    directions: np.ndarray = AS_READ,
    spacing=(0.2, 0.3, 2.0),
    slice_axis: int = 2,
    parent=None,
    name="volume",
    display=True,
):
    """Add a volume; `directions` has the world's directions of x, y and across, as columns."""
    pixels = pixels_with_square() if pixels is None else pixels
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    updateVolumeFromArray(volume, np.expand_dims(pixels, 2 - slice_axis))
    order = [0, 1]
    order.insert(slice_axis, 2)
    matrix = np.eye(4)
    matrix[:3, :3] = (directions * np.array(spacing))[:, order]
    matrix[:3, 3] = (12.0, -30.0, 5.0)
    volume.SetIJKToRASMatrix(vtkMatrixFromArray(matrix))
    volume.SetAndObserveTransformNodeID(parent.GetID() if parent else None)
    if display:
        volume.CreateDefaultDisplayNodes()
    return volume


def add_linear(scene, matrix3: np.ndarray, shift=(7.0, -3.0, 2.0), parent=None):
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = matrix3, shift
    node.SetMatrixTransformToParent(vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformNodeID(parent.GetID() if parent else None)
    return node


def add_bent(scene):
    """A transform that is not linear: a thin plate spline, with a flip."""
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetBasisToR()
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for x in (-20.0, 5.0, 30.0):
        for y in (-60.0, -30.0, 0.0):
            for z in (-10.0, 20.0):
                source.InsertNextPoint(x, y, z)
                target.InsertNextPoint(-x + 0.0005 * y * y, y + 0.0005 * x * x, z)
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode")
    node.SetAndObserveTransformToParent(spline)
    return node


LAYOUTS = {
    "as read": {},
    "flipped x": {"directions": np.diag([1, -1, 1])},
    "flipped y": {"directions": np.diag([-1, 1, 1])},
    "flipped x and slice": {"directions": np.diag([1, -1, -1])},
    "turned by 90 degrees": {"directions": np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])},
    "oblique": {"directions": ROTATION},
    "oblique and mirrored": {"directions": ROTATION @ np.diag([1, -1, 1])},
    "slice axis 0": {"slice_axis": 0, "directions": ROTATION},
    "slice axis 1": {"slice_axis": 1, "directions": np.diag([1, -1, 1])},
}
PARENTS = {
    "no parent": None,
    "rotated parent": ROTATION,
    "mirroring parent": np.diag([-1.0, 1.0, 1.0]),
    "scaling parent": 1.7 * ROTATION,
}


def world_points(volume) -> np.ndarray:
    """Where Slicer itself puts every pixel's centre: (rows, columns, 3)."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    array = arrayFromVolume(volume)
    points = np.empty((*array.shape, 3))
    for k, j, i in np.ndindex(array.shape):
        ras, world = matrix.MultiplyPoint((i, j, k, 1))[:3], [0.0, 0.0, 0.0]
        volume.TransformPointToWorld(ras, world)
        points[k, j, i] = world
    return points.reshape(*array.squeeze().shape, 3)


def pixels_inside(roi, volume) -> np.ndarray:
    """Which pixels' centres are in the box that Slicer draws: (rows, columns) bool.

    (IsPointInROIWorld forgets the scale of parent transforms.)
    """
    axes, center, size = np.zeros((3, 3)), [0.0] * 3, [0.0] * 3
    for index in range(3):
        axis = [0.0] * 3
        roi.GetAxisWorld(index, axis)
        axes[index] = axis
    roi.GetCenterWorld(center)
    roi.GetSizeWorld(size)
    offsets = (world_points(volume) - center) @ axes.T
    return (np.abs(offsets) <= np.array(size) / 2).all(axis=-1)


def read_roi(scene, path, markup: dict | None = None):
    """Read an ROI's file as Slicer does, after writing it if its text is given."""
    if markup is not None:
        path.write_text(json.dumps(markup), encoding="utf-8")
    roi = scene.AddNewNodeByClass(ROI)
    storage = slicer.vtkMRMLMarkupsROIJsonStorageNode()
    storage.SetFileName(str(path))
    assert storage.ReadData(roi)
    return roi


def assert_same_box(a: Box, b: Box, tolerance: float = 0.01):
    np.testing.assert_allclose(a.as_tuple(), b.as_tuple(), atol=tolerance)


def add_dicom_volume(scene, path):
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "mammogram")
    storage = scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetSingleFile(True)
    storage.SetFileName(str(path))
    assert storage.ReadData(volume)
    volume.SetAndObserveStorageNodeID(storage.GetID())
    volume.CreateDefaultDisplayNodes()
    return volume


FOUND_BOX = Box(10, 12, 18, 20)


def make_track(box=FOUND_BOX, status=Status.FOUND, score=0.4711, **changes) -> Track:
    candidates = (
        Candidate(box, 0.61234567890123, 0.77),
        Candidate(Box(1, 2, 6, 9), 0.3, None),
        Candidate(Box(20, 25, 26, 30), 0.1, 0.2),
    )
    reason = 'One place; it\'s "like" the lesion: 50 % <sure> & more.'
    track = Track(SQUARE, box, score, status, reason, candidates, Box(9, 9, 17, 17))
    return replace(track, **changes)


def add_lesion(scene, prior, box: Box, name="Lesion 1", lesion_type=""):
    roi = scene.AddNewNodeByClass(ROI, name)
    bridge.place_roi(roi, prior, box)
    bridge.claim_lesion(roi, prior, lesion_type)
    return roi


def world_of(volume, pixel, off_slice_mm: float = 0.0) -> np.ndarray:
    """Slicer's own place of a point in pixels, and this far from the slice."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    places = []
    for k in (0, 1):
        ras, world = matrix.MultiplyPoint((pixel[0] - 0.5, pixel[1] - 0.5, k, 1))[:3], [0.0] * 3
        volume.TransformPointToWorld(ras, world)
        places.append(np.array(world))
    across = places[1] - places[0]
    return places[0] + off_slice_mm * across / np.linalg.norm(across)


def smooth_alignment(prior, current) -> Alignment:
    """A map with a turn, a flip of x, and waves of a B-spline of 40 mm."""
    size = np.array([[v.GetImageData().GetDimensions()[axis] for axis in (0, 1)] for v in
                     (prior, current)])  # fmt: skip
    spacings = [v.GetSpacing()[:2] for v in (prior, current)]
    matrix, offset = np.array([[-0.98, 0.1], [0.12, 1.04]]), np.array([60.0, -4.0])
    affine = sitk.AffineTransform(2)
    affine.SetMatrix(matrix.ravel().tolist())
    affine.SetTranslation(offset.tolist())
    extent = sitk.Image([int(side) for side in size[0] * spacings[0]], sitk.sitkUInt8)
    spline = sitk.BSplineTransformInitializer(extent, [2, 2], 3)
    count = len(spline.GetParameters())
    spline.SetParameters(np.random.default_rng(3).uniform(-5, 5, count).tolist())
    breast, factor = np.ones((4, 4), bool), np.array([9, 9])
    return Alignment(
        matrix, offset, sitk.CompositeTransform([affine, spline]), spacings[0], spacings[1],
        tuple(size[0].tolist()), breast, breast, factor, factor, "thin-plate spline", 1.0, 0.9, (),
    )  # fmt: skip


def rows_of(table_node) -> list[dict[str, str]]:
    table = table_node.GetTable()
    names = [table.GetColumnName(index) for index in range(table.GetNumberOfColumns())]
    return [
        {name: table.GetValueByName(row, name).ToString() for name in names}
        for row in range(table.GetNumberOfRows())
    ]


def label_node(scene, volume):
    nodes = [
        scene.GetNthNodeByClass(index, "vtkMRMLMarkupsFiducialNode")
        for index in range(scene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode"))
    ]
    (node,) = (n for n in nodes if n.GetNodeReference("MammoTracker.Volume") is volume)
    return node


def texts(scene, volume) -> list[str]:
    node = label_node(scene, volume)
    return [node.GetNthControlPointLabel(n) for n in range(node.GetNumberOfControlPoints())]


def largest_error(node, prior, current, before, then, off_slice_mm=0.0, inverse=False) -> float:
    errors = []
    for a, b in zip(before, then, strict=True):
        a, b = world_of(prior, a, off_slice_mm), world_of(current, b, off_slice_mm)
        transform = node.GetTransformFromParent() if inverse else node.GetTransformToParent()
        a, b = (b, a) if inverse else (a, b)
        errors.append(np.linalg.norm(np.array(transform.TransformPoint(a)) - b))
    return max(errors)

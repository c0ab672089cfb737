"""Lesions from segmentations: their boxes on a mammogram, and ROIs around these."""

from __future__ import annotations

import itertools

import numpy as np
import slicer
import vtk
from slicer.util import arrayFromVTKMatrix
from vtk.util.numpy_support import vtk_to_numpy

from ..box import Box
from ..errors import MammoTrackerError
from .lesion import claim_lesion
from .nodes import ROI, placing_kept
from .raster import Raster
from .rois import place_roi

_MOST_LESIONS = 100
# What is smaller was painted by accident, or is left of what was erased.
_SMALLEST_PX = 3
_HALVES = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))


def segmented_volume(segmentation):
    """Return the volume that a segmentation was drawn on, if it is known."""
    role = segmentation.GetReferenceImageGeometryReferenceRole()
    return segmentation.GetNodeReference(role)


def boxes_of_segmentation(segmentation, volume) -> list[tuple[str, Box]]:
    """Return what a segmentation marks on a volume: name and box, in the volume's pixels.

    Each segment is a lesion and has its name. Where there is one segment only, each of its
    connected parts is a lesion, as in a mask; a segment that is a surface is one. Segments may be
    finer or coarser than the volume: they are taken where they lie in the world, seen from across
    the volume's slice. What is empty, lies off the image, or is smaller than 3 pixels is left out.

    Raises
    ------
    MammoTrackerError
        If there is no such lesion, or more than 100, or the segmentation was drawn on another
        volume: exams lie in one place of the world.
    """
    drawn_on = segmented_volume(segmentation)
    if drawn_on is not None and drawn_on is not volume:
        raise MammoTrackerError(
            "The segmentation was drawn on another volume: select the mammogram that it is of."
        )
    segments = segmentation.GetSegmentation()
    ids = [segments.GetNthSegmentID(index) for index in range(segments.GetNumberOfSegments())]
    raster = Raster(volume)
    found = []
    for segment_id in ids:
        name = segments.GetSegment(segment_id).GetName() or "Lesion"
        parts = _parts(segmentation, segment_id, is_split=len(ids) == 1)
        boxes = [box for box in (_box(points, raster) for points in parts) if box is not None]
        if len(boxes) == 1:
            found.append((name, boxes[0]))
        else:
            found += [(f"{name} {number}", box) for number, box in enumerate(boxes, 1)]
    if not found:
        raise MammoTrackerError(
            "The segmentation marks nothing on this mammogram: select another one, or segment the "
            "lesion first."
        )
    if len(found) > _MOST_LESIONS:
        raise MammoTrackerError(
            f"The segmentation has {len(found)} parts: smooth it, or give each lesion a segment."
        )
    return found


def add_segmented_lesions(segmentation, volume) -> list:
    """Add an ROI for each box of `boxes_of_segmentation`, as a lesion of the volume."""
    rois = []
    for name, box in boxes_of_segmentation(segmentation, volume):
        with placing_kept(volume.GetScene()):
            roi = volume.GetScene().AddNewNodeByClass(ROI, name)
        place_roi(roi, volume, box)
        claim_lesion(roi, volume)
        rois.append(roi)
    return rois


def _parts(segmentation, segment_id: str, is_split: bool) -> list[np.ndarray]:
    """Return the points (n, 3), in the world, between which each part of a segment is."""
    image = segmentation.GetBinaryLabelmapInternalRepresentation(segment_id)
    if image is not None and image.GetPointData().GetScalars() is not None:
        label = segmentation.GetSegmentation().GetSegment(segment_id).GetLabelValue()
        parts = [_to_nodes_space(ends, image) for ends in _ends(image, label, is_split)]
    else:
        surface = segmentation.GetClosedSurfaceInternalRepresentation(segment_id)
        is_there = surface is not None and surface.GetNumberOfPoints() > 0
        parts = [vtk_to_numpy(surface.GetPoints().GetData())] if is_there else []
    to_world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        segmentation.GetParentTransformNode(), None, to_world
    )
    return [np.array([to_world.TransformPoint(point) for point in points]) for points in parts]


def _ends(image, label: int, is_split: bool) -> list[np.ndarray]:
    """Return the corners, in voxels, of the first and last voxels of each row of each part."""
    from scipy import ndimage

    voxels = vtk_to_numpy(image.GetPointData().GetScalars())
    marked = voxels.reshape(image.GetDimensions()[::-1]).T == label  # i, j, k
    parts, count = ndimage.label(marked, np.ones((3, 3, 3))) if is_split else (marked, 1)
    along = int(np.argmax(marked.shape))
    start = image.GetExtent()[::2]
    found = []
    for number in range(1, count + 1):
        part = np.moveaxis(parts == number, along, -1)
        rows = np.argwhere(part.any(axis=-1))
        if len(rows) == 0:
            continue
        used = part[tuple(rows.T)]
        first, last = used.argmax(axis=-1), used.shape[1] - 1 - used[:, ::-1].argmax(axis=-1)
        ends = np.concatenate([np.insert(rows, along, end, axis=1) for end in (first, last)])
        found.append((ends[:, None] + start + _HALVES).reshape(-1, 3))
    return found


def _to_nodes_space(points: np.ndarray, image) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    matrix = arrayFromVTKMatrix(matrix)
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def _box(points: np.ndarray, raster: Raster) -> Box | None:
    """Return the box, on a raster, of points in the world; None for what marks no lesion."""
    x, y = raster.from_world(points)[:, :2].T
    x0, y0, x1, y1 = (float(value) for value in (x.min(), y.min(), x.max(), y.max()))
    columns, rows = raster.size
    is_on = 0 <= (x0 + x1) / 2 <= columns and 0 <= (y0 + y1) / 2 <= rows
    # Half a pixel of rounding on the way through the world.
    is_large = min(x1 - x0, y1 - y0) > _SMALLEST_PX - 0.5
    return Box(x0, y0, x1, y1) if is_on and is_large else None

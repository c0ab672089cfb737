"""Lesions of segmentations: their boxes, whatever the geometry."""

from __future__ import annotations

import numpy as np
import pytest
from mrml import (
    COLUMNS,
    ROTATION,
    ROWS,
    SQUARE,
    add_linear,
    add_volume,
    assert_same_box,
)

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")
vtk = pytest.importorskip("vtk")

from vtk.util.numpy_support import numpy_to_vtk  # noqa: E402

from MammoTrackerLib import Box, MammoTrackerError  # noqa: E402
from MammoTrackerLib import scene as bridge  # noqa: E402
from MammoTrackerLib.scene.segmentation import (  # noqa: E402
    add_segmented_lesions,
    boxes_of_segmentation,
    segmented_volume,
)

OTHER = Box(16, 25, 24, 33)


def painted(*boxes: Box, fine: int = 1) -> np.ndarray:
    """Give labels, 1 upward, on a grid that is so many times finer than the image."""
    labels = np.zeros((ROWS * fine, COLUMNS * fine), np.uint8)
    for value, box in enumerate(boxes, 1):
        x0, y0, x1, y1 = (round(number * fine) for number in box.as_tuple())
        labels[y0:y1, x0:x1] = value
    return labels


def add_segmentation(scene, volume, labels: np.ndarray, *names: str, fine=1, crop=False):
    """Add what is painted, as segments that share one labelmap if there are several."""
    voxels = np.expand_dims(labels, 2 - bridge.raster.image_axes(volume)[2])
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    for axis in bridge.raster.image_axes(volume)[:2]:
        column = [matrix.GetElement(row, axis) for row in range(3)]
        for row in range(3):
            # The corner of the first pixel stays where it is.
            origin = matrix.GetElement(row, 3) - column[row] / 2 + column[row] / (2 * fine)
            matrix.SetElement(row, 3, origin)
            matrix.SetElement(row, axis, column[row] / fine)
    start = np.zeros(3, int)
    if crop:  # as Slicer keeps segments: as far as they reach
        places = np.argwhere(voxels)
        low, high = places.min(axis=0), places.max(axis=0) + 1
        voxels = voxels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        start = low[::-1]
    image = slicer.vtkOrientedImageData()
    end = start + voxels.shape[::-1] - 1
    image.SetExtent(*np.column_stack([start, end]).ravel().tolist())
    scalars = numpy_to_vtk(np.ascontiguousarray(voxels).ravel(), deep=True)
    image.GetPointData().SetScalars(scalars)
    image.SetImageToWorldMatrix(matrix)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segmentation")
    node.CreateDefaultDisplayNodes()
    for value in range(1, int(labels.max()) + 1):
        segment = slicer.vtkSegment()
        segment.SetName(names[value - 1] if names else f"S{value}")
        segment.SetLabelValue(value)
        segment.AddRepresentation("Binary labelmap", image)
        node.GetSegmentation().AddSegment(segment)
    return node


@pytest.mark.parametrize("crop", [False, True])
def test_segments_are_where_they_were_painted(scene, layout, parent, crop):
    volume = add_volume(scene, parent=parent, **layout)
    segmentation = add_segmentation(scene, volume, painted(SQUARE, OTHER), crop=crop)
    segmentation.SetAndObserveTransformNodeID(parent.GetID() if parent else None)
    (first, one), (second, two) = boxes_of_segmentation(segmentation, volume)
    assert (first, second) == ("S1", "S2")
    assert_same_box(one, SQUARE)
    assert_same_box(two, OTHER)


def test_a_segmentation_that_does_not_move_with_its_volume(scene):
    """Each is taken where it is in the world."""
    volume = add_volume(scene)
    segmentation = add_segmentation(scene, volume, painted(SQUARE))
    shift = add_linear(scene, np.eye(3), shift=(-2 * 0.2, -3 * 0.3, 0))  # 2 pixels, 3 rows
    segmentation.SetAndObserveTransformNodeID(shift.GetID())
    ((_, box),) = boxes_of_segmentation(segmentation, volume)
    assert_same_box(box, Box(SQUARE.x0 + 2, SQUARE.y0 + 3, SQUARE.x1 + 2, SQUARE.y1 + 3))


def test_a_finer_segmentation(scene):
    volume = add_volume(scene, directions=ROTATION)
    box = Box(3.25, 5.75, 9.5, 11.25)
    segmentation = add_segmentation(scene, volume, painted(box, fine=4), fine=4)
    assert_same_box(boxes_of_segmentation(segmentation, volume)[0][1], box)


def test_the_parts_of_an_only_segment_are_lesions(scene):
    volume = add_volume(scene)
    labels = np.minimum(painted(SQUARE, OTHER), 1)
    labels[38, 28] = 1  # a speck
    segmentation = add_segmentation(scene, volume, labels, "Mass")
    (first, one), (second, two) = boxes_of_segmentation(segmentation, volume)
    assert (first, second) == ("Mass 1", "Mass 2")
    assert_same_box(one, SQUARE)
    assert_same_box(two, OTHER)


def test_the_parts_of_one_segment_of_several_are_one_lesion(scene):
    volume = add_volume(scene)
    labels = painted(SQUARE, Box(1, 30, 5, 34))
    labels[25:33, 16:24] = 1
    (_, one), (_, two) = boxes_of_segmentation(add_segmentation(scene, volume, labels), volume)
    assert_same_box(one, Box(SQUARE.x0, SQUARE.y0, OTHER.x1, OTHER.y1))
    assert_same_box(two, Box(1, 30, 5, 34))


def test_segments_that_overlap(scene):
    """They do not share a labelmap then."""
    volume = add_volume(scene)
    node = add_segmentation(scene, volume, painted(SQUARE))
    other = add_segmentation(scene, volume, painted(OTHER))
    segment = other.GetSegmentation().GetNthSegment(0)
    node.GetSegmentation().AddSegment(segment, "overlapping")
    boxes = [box for _, box in boxes_of_segmentation(node, volume)]
    assert_same_box(boxes[0], SQUARE)
    assert_same_box(boxes[1], OTHER)


def test_a_segment_that_is_a_surface(scene):
    volume = add_volume(scene)
    raster = bridge.Raster(volume)
    points = vtk.vtkPoints()
    for x, y in ((4, 9), (13, 9), (13, 15), (4, 15)):
        points.InsertNextPoint(raster.to_world([(x, y, 0.2)])[0])
    surface = vtk.vtkPolyData()
    surface.SetPoints(points)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    segment = slicer.vtkSegment()
    segment.SetName("Contour")
    segment.AddRepresentation("Closed surface", surface)
    node.GetSegmentation().AddSegment(segment)
    ((name, box),) = boxes_of_segmentation(node, volume)
    assert name == "Contour"
    assert_same_box(box, SQUARE)


def test_nothing_on_this_mammogram(scene):
    volume = add_volume(scene)
    empty = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    speck = add_segmentation(scene, volume, painted(Box(5, 5, 7, 9)))
    off = add_segmentation(scene, volume, painted(SQUARE))
    off.SetAndObserveTransformNodeID(add_linear(scene, np.eye(3), shift=(99, 0, 0)).GetID())
    blank = add_segmentation(scene, volume, painted(SQUARE))
    blank.GetSegmentation().GetNthSegment(0).SetLabelValue(7)
    for node in (empty, speck, off, blank):
        with pytest.raises(MammoTrackerError, match="marks nothing"):
            boxes_of_segmentation(node, volume)


def test_too_many_parts(scene):
    pixels = np.zeros((90, 120), np.uint8)
    for y in range(0, 88, 4):
        for x in range(0, 116, 4):
            pixels[y : y + 3, x : x + 3] = 1
    volume = add_volume(scene, np.arange(90 * 120).reshape(90, 120).astype(np.int16))
    with pytest.raises(MammoTrackerError, match="parts"):
        boxes_of_segmentation(add_segmentation(scene, volume, pixels), volume)


def test_a_segmentation_of_another_exam_is_refused(scene, pair):
    """Both exams lie in one plane of the world, so it would be on both."""
    prior, current = pair
    segmentation = add_segmentation(scene, prior, painted(SQUARE))
    assert segmented_volume(segmentation) is None
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(prior)
    assert segmented_volume(segmentation) is prior
    assert len(boxes_of_segmentation(segmentation, prior)) == 1
    with pytest.raises(MammoTrackerError, match="drawn on another volume"):
        boxes_of_segmentation(segmentation, current)


def test_segments_become_lesions(scene, pair):
    prior, _ = pair
    segmentation = add_segmentation(scene, prior, painted(SQUARE, OTHER), "Mass", "x" * 300)
    rois = add_segmented_lesions(segmentation, prior)
    assert bridge.lesions(prior) == rois and rois[0].GetName() == "Mass"
    assert_same_box(bridge.box_of(rois[0], prior), SQUARE)
    assert_same_box(bridge.box_of(rois[1], prior), OTHER)

"""ROI nodes and boxes of pixels."""

from __future__ import annotations

import numpy as np
import pytest
from mrml import (
    COLUMNS,
    FOUND_BOX,
    LAYOUTS,
    ROI,
    ROTATION,
    ROWS,
    SQUARE,
    add_bent,
    add_dicom_volume,
    add_lesion,
    add_linear,
    add_volume,
    assert_same_box,
    make_track,
    pixels_inside,
    pixels_with_square,
    read_roi,
    world_points,
)

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")
vtk = pytest.importorskip("vtk")

from slicer.util import (  # noqa: E402
    arrayFromVolume,
    arrayFromVTKMatrix,
    vtkMatrixFromArray,
)

from MammoTrackerLib import Box, Mammogram, MammoTrackerError  # noqa: E402
from MammoTrackerLib import scene as bridge  # noqa: E402
from MammoTrackerLib.command.outputs import Geometry, track_as_markup  # noqa: E402


def test_an_roi_goes_where_its_pixels_are_and_back(scene, layout, parent):
    volume = add_volume(scene, parent=parent, **layout)
    roi = scene.AddNewNodeByClass(ROI)
    bridge.place_roi(roi, volume, SQUARE)
    assert_same_box(bridge.box_of(roi, volume), SQUARE)
    np.testing.assert_array_equal(
        pixels_inside(roi, volume), arrayFromVolume(volume).squeeze() == 100
    )
    assert roi.GetParentTransformNode() is parent
    assert min(roi.GetSize()) > 0 and roi.GetSize()[2] == pytest.approx(10)


def test_fractions_of_pixels_are_kept(scene):
    volume = add_volume(scene, directions=ROTATION)
    roi = scene.AddNewNodeByClass(ROI)
    box = Box(3.27, 5.81, 9.013, 11.499)
    bridge.place_roi(roi, volume, box)
    assert_same_box(bridge.box_of(roi, volume), box, 1e-6)


def test_the_corner_of_the_image_is_half_a_pixel_from_its_origin(scene):
    volume = add_volume(scene)  # origin at R 12, A -30; 0.2 mm to the left, 0.3 mm to the back
    roi = scene.AddNewNodeByClass(ROI)
    bridge.place_roi(roi, volume, Box(0, 0, 10, 10))
    bounds = [0.0] * 6
    roi.GetRASBounds(bounds)
    np.testing.assert_allclose(bounds, (10.1, 12.1, -32.85, -29.85, 0, 10))


def test_an_roi_moves_along_with_its_volume(scene):
    parent = add_linear(scene, ROTATION)
    volume = add_volume(scene, parent=parent)
    roi = scene.AddNewNodeByClass(ROI)
    bridge.place_roi(roi, volume, SQUARE)
    parent.SetMatrixTransformToParent(vtkMatrixFromArray(np.diag([1.0, -1, -1, 1])))
    assert_same_box(bridge.box_of(roi, volume), SQUARE)
    assert pixels_inside(roi, volume).sum() == SQUARE.area


def test_a_thick_slice_makes_a_thick_roi(scene):
    volume = add_volume(scene, spacing=(0.2, 0.2, 50.0))
    roi = scene.AddNewNodeByClass(ROI)
    bridge.place_roi(roi, volume, SQUARE)
    assert roi.GetSize()[2] == pytest.approx(50)


def test_placing_again_and_after_removal(scene):
    volume = add_volume(scene)
    roi = scene.AddNewNodeByClass(ROI)
    for box in (SQUARE, Box(1, 2, 3, 4), SQUARE):
        bridge.place_roi(roi, volume, box)
        assert roi.GetNumberOfControlPoints() == 1
        assert_same_box(bridge.box_of(roi, volume), box)
    roi.RemoveAllControlPoints()
    with pytest.raises(MammoTrackerError, match="no place yet"):
        bridge.box_of(roi, volume)
    bridge.place_roi(roi, volume, SQUARE)
    assert_same_box(bridge.box_of(roi, volume), SQUARE)


def test_placing_is_one_event(scene):
    volume = add_volume(scene)
    roi = scene.AddNewNodeByClass(ROI)
    bridge.place_roi(roi, volume, Box(1, 2, 3, 4))
    seen = []
    roi.AddObserver(
        slicer.vtkMRMLMarkupsNode.PointModifiedEvent,
        lambda *_: seen.append(bridge.box_of(roi, volume)),
    )
    bridge.place_roi(roi, volume, SQUARE)
    assert seen
    for box in seen:
        assert_same_box(box, SQUARE)


def rotated_roi(scene, volume, angle: float, own_parent=None):
    """An ROI of 2 mm x 1 mm around pixel (14, 20), turned in the plane of a plain volume."""
    c, s = np.cos(angle), np.sin(angle)
    matrix = np.eye(4)
    matrix[:3, :3] = [[c, -s, 0], [s, c, 0], [0, 0, 1]]
    matrix[:3, 3] = 12 - 0.2 * 13.5, -30 - 0.3 * 19.5, 5
    roi = scene.AddNewNodeByClass(ROI)
    if own_parent is not None:
        to_world = vtk.vtkMatrix4x4()
        own_parent.GetMatrixTransformToWorld(to_world)
        matrix = np.linalg.inv(arrayFromVTKMatrix(to_world)) @ matrix
        roi.SetAndObserveTransformNodeID(own_parent.GetID())
    roi.SetSize(2, 1, 8)
    roi.GetObjectToNodeMatrix().DeepCopy(vtkMatrixFromArray(matrix))
    return roi


@pytest.mark.parametrize("with_parent", [False, True])
def test_a_rotated_roi_is_bounded(scene, with_parent):
    volume = add_volume(scene)
    parent = add_linear(scene, ROTATION) if with_parent else None
    roi = rotated_roi(scene, volume, np.deg2rad(30), parent)
    width = (2 * np.cos(np.pi / 6) + 1 * np.sin(np.pi / 6)) / 0.2
    height = (2 * np.sin(np.pi / 6) + 1 * np.cos(np.pi / 6)) / 0.3
    assert_same_box(bridge.box_of(roi, volume), Box.from_center(14, 20, width, height))


def test_an_roi_under_a_moving_transform(scene):
    volume = add_volume(scene)
    parent = add_linear(scene, np.eye(3), shift=(-1.0, 0.6, 0.0))
    roi = rotated_roi(scene, volume, 0)
    roi.SetAndObserveTransformNodeID(parent.GetID())
    assert_same_box(bridge.box_of(roi, volume), Box.from_center(14 + 5, 20 - 2, 10, 1 / 0.3))


def test_of_a_tilted_roi_counts_what_its_slice_shows(scene):
    volume = add_volume(scene)
    roi = scene.AddNewNodeByClass(ROI)
    roi.SetSize(3, 3, 3)
    matrix = np.eye(4)
    matrix[:3, :3] = ROTATION
    matrix[:3, 3] = 12 - 0.2 * 14.5, -30 - 0.3 * 19.5, 5.9
    roi.GetObjectToNodeMatrix().DeepCopy(vtkMatrixFromArray(matrix))
    inside = pixels_inside(roi, volume)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    shown = Box(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    assert_same_box(bridge.box_of(roi, volume), shown, 1.0)


@pytest.mark.parametrize("size", [(0, 4, 4), (4, 0, 4)])
def test_an_roi_that_is_flat_on_the_image_is_refused(scene, size):
    volume = add_volume(scene)
    roi = add_lesion(scene, volume, SQUARE, "Tumour")
    roi.SetSize(*size)
    with pytest.raises(MammoTrackerError, match="ROI Tumour is flat"):
        bridge.box_of(roi, volume)
    assert bridge.box_if_placed(roi) is None
    # Nor does it stop what shows the answers of before.
    current = add_volume(scene)
    bridge.show_track(roi, current, make_track())
    bridge.update_labels(volume, current)
    assert bridge.update_table(volume, current).GetNumberOfRows() == 1


def test_an_roi_beside_the_slice_is_seen_along_its_normal(scene):
    volume = add_volume(scene)
    roi = rotated_roi(scene, volume, 0)
    x, y, z = roi.GetCenter()
    roi.SetCenter(x, y, z + 30)
    assert_same_box(bridge.box_of(roi, volume), Box.from_center(14, 20, 10, 1 / 0.3))


@pytest.mark.parametrize("name", [*list(LAYOUTS)[:5], "slice axis 1"])
def test_two_clicks_make_a_box(scene, name):
    volume = add_volume(scene, **LAYOUTS[name])
    points = world_points(volume)
    roi = scene.AddNewNodeByClass(ROI)
    for row, column in ((9, 4), (14, 12)):
        with pytest.raises(MammoTrackerError, match="no place yet"):
            bridge.box_of(roi, volume)
        roi.AddControlPointWorld(vtk.vtkVector3d(points[row, column]))
    assert_same_box(bridge.box_of(roi, volume), Box(4.5, 9.5, 12.5, 14.5))


def test_an_roi_around_points(scene):
    volume = add_volume(scene)
    points = world_points(volume)
    roi = scene.AddNewNodeByClass(ROI)
    roi.SetROIType(roi.ROITypeBoundingBox)
    for row, column in ((9, 4), (14, 12), (11, 15)):
        roi.AddControlPointWorld(vtk.vtkVector3d(points[row, column]))
    assert_same_box(bridge.box_of(roi, volume), Box(4.5, 9.5, 15.5, 14.5))
    bridge.place_roi(roi, volume, SQUARE)
    assert_same_box(bridge.box_of(roi, volume), SQUARE)


@pytest.mark.parametrize("box", [Box(-9, 3, -1, 8), Box(31, 3, 40, 8), Box(3, 41, 8, 50)])
def test_an_roi_off_the_image_is_refused(scene, box):
    volume = add_volume(scene)
    roi = scene.AddNewNodeByClass(ROI)
    bridge.place_roi(roi, volume, box)
    with pytest.raises(MammoTrackerError, match="outside the image"):
        bridge.box_of(roi, volume)


def test_an_roi_may_stick_out_of_the_image(scene):
    volume = add_volume(scene)
    roi = scene.AddNewNodeByClass(ROI)
    bridge.place_roi(roi, volume, Box(-4, -2, 5, 6))
    assert_same_box(bridge.box_of(roi, volume), Box(-4, -2, 5, 6))


def test_under_a_bent_transform_the_roi_is_in_the_world(scene):
    volume = add_volume(scene, parent=add_bent(scene))
    roi = scene.AddNewNodeByClass(ROI)
    bridge.place_roi(roi, volume, SQUARE)
    assert roi.GetParentTransformNode() is None
    assert_same_box(bridge.box_of(roi, volume), SQUARE, 0.3)
    np.testing.assert_array_equal(pixels_inside(roi, volume), pixels_with_square() == 100)


def test_setting_the_spacing_keeps_rois_on_their_pixels(scene, layout, parent):
    prior = add_volume(scene, parent=parent, **{**layout, "spacing": (1, 1, 1)})
    current = add_volume(scene, parent=parent, **{**layout, "spacing": (1, 1, 1)})
    lesion, unplaced, elsewhere = (scene.AddNewNodeByClass(ROI) for _ in range(3))
    bridge.place_roi(lesion, prior, SQUARE)
    bridge.claim_lesion(lesion, prior)
    bridge.claim_lesion(unplaced, prior)
    bridge.place_roi(elsewhere, prior, SQUARE)
    found = bridge.show_track(lesion, current, make_track(Box(2, 3, 8, 7)))
    origin = world_points(prior)[0, 0]
    bridge.set_spacing(prior, 0.07)
    bridge.set_spacing(current, 0.08)
    np.testing.assert_allclose(world_points(prior)[0, 0], origin, atol=1e-9)
    assert_same_box(bridge.box_of(lesion, prior), SQUARE)
    assert_same_box(bridge.box_of(found, current), Box(2, 3, 8, 7))
    assert (pixels_inside(lesion, prior) == pixels_with_square().astype(bool)).all()
    assert unplaced.GetNumberOfControlPoints() == 0
    assert elsewhere.GetSize()[0] == pytest.approx(9)


def test_boxes_on_their_own_volume(scene, pair):
    prior, current = pair
    lesion = add_lesion(scene, prior, SQUARE)
    roi = bridge.show_track(lesion, current, make_track())
    assert_same_box(bridge.box_if_placed(lesion), SQUARE)
    assert_same_box(bridge.box_if_placed(roi), FOUND_BOX)
    assert bridge.center_mm(FOUND_BOX, current) == pytest.approx((3.5, 4))
    bridge.unplace(roi)
    assert bridge.box_if_placed(roi) is None
    bridge.place_roi(roi, current, Box(-9, -9, -2, -2))
    assert bridge.box_if_placed(roi) is None


@pytest.mark.parametrize("across", [0, 1, 2], ids=["sagittal", "coronal", "axial"])
def test_the_commands_roi_lies_on_the_lesion(scene, tmp_path, across):
    """Slicer reads the image's file and the ROI's as they are."""
    import SimpleITK as sitk

    shape = [COLUMNS, ROWS]
    shape.insert(across, 1)
    image = sitk.Image(shape, sitk.sitkUInt8) + 1
    spacing = [0.2, 0.3]
    spacing.insert(across, 2.0)
    image.SetSpacing(spacing)
    image.SetOrigin((12.0, -30.0, 5.0))
    path = tmp_path / "image.nrrd"
    sitk.WriteImage(image, str(path))
    volume = add_dicom_volume(scene, path)
    mammogram = Mammogram(np.eye(ROWS, COLUMNS), (0.2, 0.3))
    markup = track_as_markup(1, make_track(FOUND_BOX), Geometry.of(path, mammogram))
    roi = read_roi(scene, tmp_path / "lesion-1.mrk.json", markup)
    assert_same_box(bridge.box_of(roi, volume), FOUND_BOX)
    inside = np.zeros((ROWS, COLUMNS), bool)
    inside[12:20, 10:18] = True
    np.testing.assert_array_equal(pixels_inside(roi, volume), inside)


def test_views(scene, pair):
    roi = add_lesion(scene, pair[0], SQUARE)
    for views in (["vtkMRMLSliceNodeA"], ["vtkMRMLSliceNodeB", "vtkMRMLSliceNodeC"], []):
        bridge.show_only_in(roi, views)
        assert list(roi.GetDisplayNode().GetViewNodeIDs()) == views


def test_an_roi_is_drawn_again_if_its_display_node_was_deleted(scene, pair):
    prior, current = pair
    lesion, other = (add_lesion(scene, prior, SQUARE, name) for name in "ab")
    prediction = bridge.show_track(lesion, current, make_track())
    for roi in (lesion, other, prediction):
        scene.RemoveNode(roi.GetDisplayNode())
    bridge.update_labels(prior, current)
    bridge.color_apart(lesion, [other])
    bridge.paint_like(prediction, lesion)
    bridge.set_review(prediction, "rejected")
    assert bridge.preview_candidate(prediction, 1) is bridge.preview_of(current)
    bridge.update_growth_chart(other, [prior, current])
    bridge.show_only_in(other, ["view"])
    for roi in (lesion, other, prediction):
        assert roi.GetNumberOfDisplayNodes() == 1 and not roi.GetDisplayNode().GetFillVisibility()
    colors = [roi.GetDisplayNode().GetSelectedColor() for roi in (lesion, prediction)]
    assert colors[0] == colors[1] in bridge.COLORS
    assert not prediction.GetDisplayNode().GetVisibility()

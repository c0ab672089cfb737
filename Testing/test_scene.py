"""The scene bridge on the real MRML: volumes, ROI nodes, tables, transforms, saved scenes."""

from __future__ import annotations

import csv
import datetime
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from test_mammogram import write_dicom

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")
vtk = pytest.importorskip("vtk")

from slicer.util import (  # noqa: E402
    arrayFromVolume,
    arrayFromVTKMatrix,
    updateVolumeFromArray,
    vtkMatrixFromArray,
)

from MammoTrackerLib import Box, Candidate, MammoTrackerError, Status, Track  # noqa: E402
from MammoTrackerLib import scene as bridge  # noqa: E402
from MammoTrackerLib.global_search import Alignment  # noqa: E402

ROI = "vtkMRMLMarkupsROINode"
COLUMNS, ROWS = 30, 40
SQUARE = Box(4, 9, 13, 15)  # not symmetric in anything
AS_READ = np.diag([-1, -1, 1])  # as ITK takes a file that gives no orientation
ROTATION = np.array(sitk.VersorTransform((1.0, 2.0, -0.5), 0.7).GetMatrix()).reshape(3, 3)


@pytest.fixture(scope="module")
def app():
    core = pytest.importorskip("trame_slicer.core")
    return core.SlicerApp()


@pytest.fixture
def scene(app):
    yield app.scene
    app.scene.Clear(False)


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


@pytest.fixture(params=LAYOUTS)
def layout(request) -> dict:
    return LAYOUTS[request.param]


@pytest.fixture(params=PARENTS)
def parent(request, scene):
    matrix = PARENTS[request.param]
    if matrix is None:
        return None
    return add_linear(scene, matrix, parent=add_linear(scene, ROTATION.T, shift=(1, 2, 3)))


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


def assert_same_box(a: Box, b: Box, tolerance: float = 0.01):
    np.testing.assert_allclose(a.as_tuple(), b.as_tuple(), atol=tolerance)


# --- boxes and ROI nodes


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


# --- volumes


def add_dicom_volume(scene, path):
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "mammogram")
    storage = scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetSingleFile(True)
    storage.SetFileName(str(path))
    assert storage.ReadData(volume)
    volume.SetAndObserveStorageNodeID(storage.GetID())
    volume.CreateDefaultDisplayNodes()
    return volume


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).integers(100, 4000, (ROWS, COLUMNS)).astype(np.uint16)


def test_a_dicom_volume(scene, tmp_path, values):
    path = write_dicom(
        tmp_path / "a.dcm", values, PhotometricInterpretation="MONOCHROME1",
        ImagerPixelSpacing=[0.2, 0.1], EstimatedRadiographicMagnificationFactor=2,
        WindowCenter=[2000, 100], WindowWidth=[3000, 100],
    )  # fmt: skip
    volume = add_dicom_volume(scene, path)
    header = bridge.header_of(volume)
    assert header.spacing == (0.05, 0.1)
    assert (header.laterality, header.view) == ("L", "CC")
    assert header.date == datetime.date(2024, 2, 29)
    assert not header.inverted  # Slicer has mirrored the voxels

    mammogram = bridge.mammogram_of(volume)
    assert mammogram.spacing == header.spacing
    assert mammogram.patient_id == "SECRET-ID"
    # Windowed and inverted, so by the file and not by the voxels.
    assert mammogram.pixels[values < 500].min() == mammogram.pixels.max()
    assert mammogram.pixels[values > 3500].max() == mammogram.pixels.min()

    bridge.apply_window(volume)
    display = volume.GetDisplayNode()
    middle = arrayFromVolume(volume)[0][values == values[np.abs(values - 2000.0) < 4].max()]
    assert display.GetLevel() == pytest.approx(middle[0], abs=4)
    assert display.GetWindow() == 3000
    assert not display.GetAutoWindowLevel()


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_values_of_the_whole_range(scene, tmp_path, dtype):
    limits = np.iinfo(dtype)
    values = np.linspace(limits.min, limits.max, ROWS * COLUMNS).astype(dtype)
    path = write_dicom(
        tmp_path / "a.dcm", values.reshape(ROWS, COLUMNS), WindowCenter=20, WindowWidth=900
    )
    pixels = bridge.mammogram_of(add_dicom_volume(scene, path)).pixels
    assert (pixels == pixels.max()).mean() > 0.45  # clipped by the window


def test_changed_voxels_count_more_than_the_file(scene, tmp_path, values):
    path = write_dicom(
        tmp_path / "a.dcm", values, WindowCenter=2000, WindowWidth=1000,
        PhotometricInterpretation="MONOCHROME1",
    )  # fmt: skip
    volume = add_dicom_volume(scene, path)
    from_file = bridge.mammogram_of(volume).pixels
    assert (np.sort(np.unique(from_file))[:2] - from_file.min())[1] > 1  # stretched by the window
    arrayFromVolume(volume)[0, 5:9, 5:9] = 7
    pixels = bridge.mammogram_of(volume).pixels
    np.testing.assert_array_equal(pixels, arrayFromVolume(volume)[0])
    same = pixels != 7
    order = np.argsort(from_file[same], kind="stable")
    assert pixels[same][order[0]] < pixels[same][order[-1]]  # as dense as in the file


def test_a_cropped_volume_is_not_read_from_the_file(scene, tmp_path, values):
    volume = add_dicom_volume(scene, write_dicom(tmp_path / "a.dcm", values))
    updateVolumeFromArray(volume, values[None, 3:, 2:])
    np.testing.assert_array_equal(bridge.mammogram_of(volume).pixels, values[3:, 2:])


def test_the_file_is_found_through_the_dicom_database(scene, tmp_path, values, monkeypatch):
    path = write_dicom(tmp_path / "a.dcm", values)
    database = SimpleNamespace(fileForInstance={"1.2.3": str(path), "1.2.4": "/gone"}.__getitem__)
    volume = add_volume(scene, values)
    volume.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    assert bridge.source_file(volume) is None  # no database
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    assert bridge.source_file(volume) == path
    assert bridge.header_of(volume).spacing == (0.07, 0.07)
    volume.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    assert bridge.source_file(volume) is None  # a stack is no mammogram
    volume.SetAttribute("DICOM.instanceUIDs", "1.2.4")
    assert bridge.source_file(volume) is None  # the file was removed


def test_a_volume_without_dicom(scene, values):
    volume = add_volume(scene, values, spacing=(0.2, 0.3, 2.0))
    header = bridge.header_of(volume)
    assert header.spacing == pytest.approx((0.2, 0.3))
    assert (header.laterality, header.window, header.inverted) == (None, None, False)
    np.testing.assert_array_equal(bridge.mammogram_of(volume).pixels, values)
    volume.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeInvertedGrey")
    assert bridge.mammogram_of(volume).pixels[values == values.max()] == values.min()


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_the_pixels_of_any_single_slice(scene, values, slice_axis):
    volume = add_volume(scene, values, slice_axis=slice_axis)
    mammogram = bridge.mammogram_of(volume)
    np.testing.assert_array_equal(mammogram.pixels, values)
    assert mammogram.spacing == pytest.approx((0.2, 0.3))


def test_an_unknown_spacing_is_asked_for(scene, values):
    volume = add_volume(scene, values, spacing=(1, 1, 1))
    assert bridge.header_of(volume).spacing is None
    with pytest.raises(MammoTrackerError, match="spacing"):
        bridge.mammogram_of(volume)
    bridge.set_spacing(volume, 1.0)
    assert bridge.header_of(volume).spacing == (1, 1)
    bridge.set_spacing(volume, 0.07)
    assert bridge.mammogram_of(volume).spacing == pytest.approx((0.07, 0.07))
    for wrong in (0, -1, 7):
        with pytest.raises(MammoTrackerError, match="spacing"):
            bridge.set_spacing(volume, wrong)


def test_the_users_spacing_wins_over_the_file(scene, tmp_path, values):
    volume = add_dicom_volume(
        scene, write_dicom(tmp_path / "a.dcm", values, ImagerPixelSpacing=None)
    )
    assert bridge.header_of(volume).spacing is None
    bridge.set_spacing(volume, 0.08)
    header = bridge.header_of(volume)
    assert header.spacing == pytest.approx((0.08, 0.08))
    assert header.view == "CC"
    assert bridge.mammogram_of(volume).spacing == pytest.approx((0.08, 0.08))


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


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((3, 20, 20), np.uint8), "no single slice"),
        (np.ones((1, 20, 20, 3), np.uint8), "colour"),
        (np.ones((1, 20, 20), np.uint8), "empty"),
        (np.ones((1, 1, 1), np.uint8), "no image"),
    ],
)
def test_what_is_no_mammogram(scene, array, message):
    is_color = array.ndim == 4
    volume = scene.AddNewNodeByClass(f"vtkMRML{'Vector' if is_color else 'Scalar'}VolumeNode")
    updateVolumeFromArray(volume, array)
    volume.SetSpacing(0.1, 0.1, 1)
    with pytest.raises(MammoTrackerError, match=message):
        bridge.mammogram_of(volume)


def test_a_volume_without_voxels(scene):
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    with pytest.raises(MammoTrackerError, match="no image"):
        bridge.header_of(volume)


def test_proposed_pair(scene, tmp_path, values):
    def add(name, **attributes):
        return add_dicom_volume(scene, write_dicom(tmp_path / f"{name}.dcm", values, **attributes))

    current = add("current", StudyDate="20240301")
    assert bridge.propose_pair([current]) is None
    oldest = add("oldest", StudyDate="20190301")
    prior = add("prior", StudyDate="20220301")
    others = [
        add("breast", ImageLaterality="R", StudyDate="20230301"),
        add("view", ViewPosition="MLO", StudyDate="20230301"),
        add("woman", PatientID="ANOTHER", StudyDate="20230301"),
        add("undated", StudyDate=None),
        add_volume(scene),
        add_volume(scene, np.ones((4, 4, 4))[0], slice_axis=2),
        scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode"),
    ]
    assert bridge.propose_pair([current, oldest, *others]) == (oldest, current)
    assert bridge.propose_pair([oldest, current, *others, prior]) == (prior, current)
    assert bridge.propose_pair(others) is None
    again = add("again", StudyDate="20240301")
    assert bridge.propose_pair([oldest, current, prior, again]) is None
    right = add("right", ImageLaterality="R", StudyDate="20200301")
    assert bridge.propose_pair([oldest, current, right, *others]) == (oldest, current)
    assert bridge.propose_pair([right, oldest, current, *others]) == (right, others[0])


# --- lesions and predictions


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


@pytest.fixture
def pair(scene):
    prior = add_volume(scene, name="prior")
    current = add_volume(
        scene, name="current", spacing=(0.25, 0.25, 1), directions=np.diag([1, -1, -1]),
        parent=add_linear(scene, ROTATION),
    )  # fmt: skip
    return prior, current


def add_lesion(scene, prior, box: Box, name="Lesion 1", lesion_type=""):
    roi = scene.AddNewNodeByClass(ROI, name)
    bridge.place_roi(roi, prior, box)
    bridge.claim_lesion(roi, prior, lesion_type)
    return roi


def test_claiming_rois(scene, pair):
    prior, current = pair
    a, b, c = (scene.AddNewNodeByClass(ROI) for _ in range(3))
    b.CreateDefaultDisplayNodes()
    b.GetDisplayNode().SetSelectedColor(0.1, 0.2, 0.3)
    assert bridge.unclaimed_rois(scene) == [a, b, c]
    bridge.claim_lesion(c, prior, "mass")
    bridge.claim_lesion(a, prior)
    bridge.claim_lesion(b, prior)
    assert bridge.unclaimed_rois(scene) == []
    assert bridge.lesions(prior) == [a, b, c]
    assert bridge.lesions(current) == []
    assert [bridge.lesion_type(roi) for roi in (a, b, c)] == ["", "", "mass"]
    bridge.set_lesion_type(a, "calcification")
    assert bridge.lesion_type(a) == "calcification"
    colors = [roi.GetDisplayNode().GetSelectedColor() for roi in (a, b, c)]
    assert colors[1] == (0.1, 0.2, 0.3)
    assert len(set(colors)) == 3
    assert not a.GetDisplayNode().GetFillVisibility()
    bridge.claim_lesion(a, prior)
    assert a.GetDisplayNode().GetSelectedColor() == colors[0]


def test_the_colour_of_slicers_settings_is_no_colour_of_its_own():
    scene = slicer.vtkMRMLScene()
    default = slicer.vtkMRMLMarkupsDisplayNode()
    default.SetSelectedColor(0.3, 0.3, 0.9)
    scene.AddDefaultNode(default)
    roi = scene.AddNewNodeByClass(ROI)
    roi.CreateDefaultDisplayNodes()
    roi.GetDisplayNode().SetSelectedColor(0.3, 0.3, 0.9)
    bridge.claim_lesion(roi, add_volume(scene, display=False))
    assert roi.GetDisplayNode().GetSelectedColor() == bridge.COLORS[0]


def test_a_freed_colour_is_used_again(scene, pair):
    rois = [add_lesion(scene, pair[0], SQUARE, f"Lesion {number}") for number in range(9)]
    colors = [roi.GetDisplayNode().GetSelectedColor() for roi in rois]
    assert len(set(colors)) == 8
    scene.RemoveNode(rois[8])
    scene.RemoveNode(rois[2])
    again = add_lesion(scene, pair[0], SQUARE, "another")
    assert again.GetDisplayNode().GetSelectedColor() == colors[2]


def test_showing_a_track(scene, pair):
    prior, current = pair
    lesion = add_lesion(scene, prior, SQUARE)
    assert bridge.prediction_of(lesion, current) is None
    track = make_track()
    roi = bridge.show_track(lesion, current, track)
    assert roi.GetName() == "Lesion 1 (current)"
    assert_same_box(bridge.box_of(roi, current), track.box)
    assert bridge.status_of(roi) == "found"
    assert bridge.score_of(roi) == track.score
    assert bridge.reason_of(roi) == track.reason
    assert bridge.review_of(roi) == ""
    assert bridge.candidates_of(roi) == list(track.candidates)
    assert bridge.lesion_of(roi) is lesion
    assert bridge.prediction_of(lesion, current) is roi
    assert bridge.predictions(prior, current) == [roi]
    assert bridge.unclaimed_rois(scene) == []
    display = roi.GetDisplayNode()
    assert display.GetSelectedColor() == lesion.GetDisplayNode().GetSelectedColor()


def test_a_new_track_replaces_the_old_one(scene, pair):
    prior, current = pair
    lesion = add_lesion(scene, prior, SQUARE)
    roi = bridge.show_track(lesion, current, make_track())
    bridge.set_review(roi, "rejected")
    assert not roi.GetDisplayNode().GetVisibility()
    assert bridge.show_track(lesion, current, make_track(Box(1, 1, 4, 5), score=0.9)) is roi
    assert_same_box(bridge.box_of(roi, current), Box(1, 1, 4, 5))
    assert (bridge.review_of(roi), bridge.score_of(roi)) == ("", 0.9)
    assert roi.GetDisplayNode().GetVisibility()


def test_the_scene_reports_a_prediction_as_one(scene, pair):
    """Who observes NodeAddedEvent must not take it for an ROI of the user."""
    prior, current = pair
    lesion = add_lesion(scene, prior, SQUARE)
    unclaimed = []
    scene.AddObserver(
        scene.NodeAddedEvent, lambda *_: unclaimed.extend(bridge.unclaimed_rois(scene))
    )
    roi = bridge.show_track(lesion, current, make_track())
    bridge.preview_candidate(roi, 1)
    assert unclaimed == []


def test_not_found_has_no_place(scene, pair):
    prior, current = pair
    lesion = add_lesion(scene, prior, SQUARE)
    roi = bridge.show_track(lesion, current, make_track())
    bridge.show_track(lesion, current, make_track(status=Status.NOT_FOUND, score=0.01))
    assert roi.GetNumberOfControlPoints() == 0
    assert len(bridge.candidates_of(roi)) == 3
    bridge.use_candidate(roi, 0)
    assert_same_box(bridge.box_of(roi, current), FOUND_BOX)
    assert bridge.review_of(roi) == "corrected"
    bridge.restore_prediction(roi)
    assert roi.GetNumberOfControlPoints() == 0
    assert bridge.review_of(roi) == ""


def test_candidates_and_back(scene, pair):
    prior, current = pair
    roi = bridge.show_track(add_lesion(scene, prior, SQUARE), current, make_track())
    bridge.set_review(roi, "rejected")
    bridge.use_candidate(roi, 2)
    assert_same_box(bridge.box_of(roi, current), Box(20, 25, 26, 30))
    assert bridge.review_of(roi) == "corrected"
    assert roi.GetDisplayNode().GetVisibility()
    bridge.use_candidate(roi, 0)
    assert_same_box(bridge.box_of(roi, current), FOUND_BOX)
    assert bridge.review_of(roi) == ""


def test_a_track_of_the_registration_has_no_candidates(scene, pair):
    prior, current = pair
    track = make_track(status=Status.REGISTRATION, candidates=(), score=0.0)
    roi = bridge.show_track(add_lesion(scene, prior, SQUARE), current, track)
    assert bridge.candidates_of(roi) == []
    roi.SetCenter(1, 2, 3)
    bridge.restore_prediction(roi)
    assert_same_box(bridge.box_of(roi, current), track.box)


def test_preview(scene, pair):
    prior, current = pair
    roi = bridge.show_track(add_lesion(scene, prior, SQUARE), current, make_track())
    bridge.show_only_in(roi, ["vtkMRMLSliceNodeRight"])
    preview = bridge.preview_candidate(roi, 1)
    assert_same_box(bridge.box_of(preview, current), Box(1, 2, 6, 9))
    assert preview.GetLocked() and preview.GetHideFromEditors()
    assert not preview.GetSaveWithScene()
    assert list(preview.GetDisplayNode().GetViewNodeIDs()) == ["vtkMRMLSliceNodeRight"]
    assert_same_box(bridge.box_of(roi, current), FOUND_BOX)
    assert bridge.preview_candidate(roi, 2) is preview
    assert_same_box(bridge.box_of(preview, current), Box(20, 25, 26, 30))
    assert bridge.preview_candidate(roi, None) is None
    assert bridge.preview_candidate(roi, None) is None
    assert scene.GetNumberOfNodesByClass(ROI) == 2
    assert bridge.predictions(prior, current) == [roi]


def test_a_deleted_lesion_takes_its_prediction_out_of_the_list(scene, pair):
    prior, current = pair
    lesions = [add_lesion(scene, prior, SQUARE, f"Lesion {number}") for number in (1, 2)]
    rois = [bridge.show_track(lesion, current, make_track()) for lesion in lesions]
    scene.RemoveNode(lesions[0])
    assert bridge.predictions(prior, current) == [rois[1]]
    assert bridge.lesion_of(rois[0]) is None
    table = bridge.update_table(prior, current)
    assert rows_of(table)[0]["Lesion"] == "Lesion 2"
    bridge.update_labels(prior, current)
    assert len(texts(scene, current)) == 1


def test_removing_a_lesion(scene, pair):
    prior, current = pair
    lesions = [add_lesion(scene, prior, SQUARE, name) for name in "ab"]
    rois = [bridge.show_track(lesion, current, make_track()) for lesion in lesions]
    bridge.remove_lesion(lesions[0])
    assert bridge.lesions(prior) == [lesions[1]]
    assert bridge.predictions(prior, current) == [rois[1]]
    assert scene.GetNumberOfNodesByClass(ROI) == 2


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


def test_predictions_are_in_the_order_of_the_lesions(scene, pair):
    prior, current = pair
    first, second = (add_lesion(scene, prior, SQUARE, name) for name in "ab")
    late = bridge.show_track(second, current, make_track())
    early = bridge.show_track(first, current, make_track())
    assert bridge.predictions(prior, current) == [early, late]
    assert bridge.predictions(current, prior) == []


# --- table, labels, files


def rows_of(table_node) -> list[dict[str, str]]:
    table = table_node.GetTable()
    names = [table.GetColumnName(index) for index in range(table.GetNumberOfColumns())]
    return [
        {name: table.GetValueByName(row, name).ToString() for name in names}
        for row in range(table.GetNumberOfRows())
    ]


def test_table(scene, pair):
    prior, current = pair
    assert bridge.results_table(prior, current) is None
    lesion = add_lesion(scene, prior, Box(4, 9, 14, 15), "Tumour, left", "mass")  # 2 x 1.8 mm
    roi = bridge.show_track(lesion, current, make_track(Box(10, 12, 20, 24)))
    gone = add_lesion(scene, prior, SQUARE, "Lesion 2")
    bridge.show_track(gone, current, make_track(status=Status.NOT_FOUND, score=0.02))
    table = bridge.update_table(prior, current)
    assert bridge.results_table(prior, current) is table
    assert table.GetLocked()
    first, second = rows_of(table)
    assert tuple(first) == bridge.COLUMNS
    assert first == {
        "Lesion": "Tumour, left", "Type": "mass", "Status": "found", "Review": "",
        "Score": "0.47", "Centre x (mm)": "3.8", "Centre y (mm)": "4.5", "Width (mm)": "2.5",
        "Height (mm)": "3.0", "Area (mm2)": "7.5", "Longest (mm)": "3.0", "Change (mm)": "+1.0",
        "Change (%)": "+50",
    }  # fmt: skip
    assert (second["Status"], second["Score"]) == ("not found", "0.02")
    assert {second[name] for name in bridge.COLUMNS[5:]} == {""}

    # The user renames the lesion.
    gone.SetName("Lesion B")
    assert rows_of(bridge.update_table(prior, current))[1]["Lesion"] == "Lesion B"
    assert bridge.prediction_of(gone, current).GetName() == "Lesion B (current)"

    # The user drags the ROI: the table follows its present place.
    bridge.place_roi(roi, current, Box(0, 0, 8, 4))
    bridge.set_review(roi, "corrected")
    assert bridge.update_table(prior, current) is table
    first = rows_of(table)[0]
    assert (first["Review"], first["Width (mm)"], first["Change (mm)"]) == (
        "corrected", "2.0", "+0.0",
    )  # fmt: skip
    bridge.set_review(roi, "rejected")
    first = rows_of(bridge.update_table(prior, current))[0]
    assert (first["Review"], first["Width (mm)"], first["Change (mm)"]) == ("rejected", "", "")


def test_the_table_is_modified_only_if_something_changed(scene, pair):
    prior, current = pair
    lesion = add_lesion(scene, prior, SQUARE)
    roi = bridge.show_track(lesion, current, make_track())
    table = bridge.update_table(prior, current)
    seen = []
    table.AddObserver("ModifiedEvent", lambda *_: seen.append(1))
    bridge.update_table(prior, current)
    assert not seen
    bridge.set_review(roi, "accepted")
    bridge.update_table(prior, current)
    assert seen
    scene.RemoveNode(lesion)
    assert rows_of(bridge.update_table(prior, current)) == []


def test_measures_are_true_millimetres(scene, tmp_path, values):
    """A magnified view's pixels are smaller in the breast than on the detector."""
    path = write_dicom(
        tmp_path / "a.dcm", values, ImagerPixelSpacing=[0.2, 0.2],
        EstimatedRadiographicMagnificationFactor=2,
    )  # fmt: skip
    prior, current = add_volume(scene), add_dicom_volume(scene, path)
    lesion = add_lesion(scene, prior, SQUARE)
    bridge.show_track(lesion, current, make_track(Box(0, 0, 20, 30)))
    (row,) = rows_of(bridge.update_table(prior, current))
    assert (row["Width (mm)"], row["Height (mm)"]) == ("2.0", "3.0")


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


def test_labels(scene, pair):
    prior, current = pair
    lesion = add_lesion(scene, prior, SQUARE)
    other = add_lesion(scene, prior, Box(1, 1, 3, 3), "Lesion 2")
    large = add_lesion(scene, prior, Box(2, 2, 9, 9), "Lesion 3")
    roi = bridge.show_track(lesion, current, make_track())
    missing = bridge.show_track(other, current, make_track(status=Status.NOT_FOUND))
    bridge.show_track(large, current, make_track(status=Status.REGISTRATION, candidates=()))
    before = [(node.GetMTime(), node.GetDisplayNode().GetMTime()) for node in (lesion, roi)]
    bridge.update_labels(prior, current)
    labels = label_node(scene, current).GetMTime()
    bridge.update_labels(prior, current)
    assert label_node(scene, current).GetMTime() == labels
    assert [(n.GetMTime(), n.GetDisplayNode().GetMTime()) for n in (lesion, roi)] == before
    assert texts(scene, prior) == ["Lesion 1", "Lesion 2", "Lesion 3"]
    assert texts(scene, current) == ["Lesion 1  found 0.47", "Lesion 3  kept from registration"]
    node = label_node(scene, current)
    assert node.GetLocked() and node.GetHideFromEditors()
    # At the middle of the top edge: between the pixels of rows 11 and 12.
    at = [0.0, 0.0, 0.0]
    node.GetNthControlPointPositionWorld(0, at)
    points = world_points(current)
    expected = (points[11, 13] + points[11, 14] + points[12, 13] + points[12, 14]) / 4
    np.testing.assert_allclose(at, expected, atol=1e-6)

    bridge.set_review(roi, "accepted")
    bridge.use_candidate(missing, 1)
    lesion.GetDisplayNode().SetVisibility(False)
    bridge.update_labels(prior, current)
    assert texts(scene, prior) == ["Lesion 2", "Lesion 3"]
    assert texts(scene, current)[:2] == ["Lesion 1  accepted", "Lesion 2  corrected"]
    bridge.set_review(roi, "rejected")
    bridge.update_labels(prior, current)
    assert texts(scene, current)[0] == "Lesion 2  corrected"


def test_views(scene, pair):
    roi = add_lesion(scene, pair[0], SQUARE)
    for views in (["vtkMRMLSliceNodeA"], ["vtkMRMLSliceNodeB", "vtkMRMLSliceNodeC"], []):
        bridge.show_only_in(roi, views)
        assert list(roi.GetDisplayNode().GetViewNodeIDs()) == views


def test_export(scene, pair, tmp_path):
    prior, current = pair
    for name in ("A/B: 1", "a/b: 1", "results"):
        roi = bridge.show_track(add_lesion(scene, prior, SQUARE, name), current, make_track())
    (tmp_path / "lesion-7.mrk.json").write_text("the user's own")
    files = bridge.export(prior, current, tmp_path / "new" / "out")
    assert [file.name for file in files] == [
        "results.csv", "A_B_ 1.mrk.json", "a_b_ 1 2.mrk.json", "results.mrk.json",
        "A_B_ 1 (current).mrk.json", "a_b_ 1 (current) 2.mrk.json", "results (current).mrk.json",
    ]  # fmt: skip
    assert all(file.is_file() for file in files)
    with files[0].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["Lesion"] for row in rows] == ["A/B: 1", "a/b: 1", "results"]
    assert rows[0]["Score"] == "0.47"
    markup = json.loads(files[-1].read_text())["markups"][0]
    assert (markup["type"], markup["controlPoints"][0]["positionStatus"]) == ("ROI", "defined")
    np.testing.assert_allclose(markup["size"], roi.GetSize())

    bridge.export(prior, current, tmp_path)
    assert (tmp_path / "lesion-7.mrk.json").read_text() == "the user's own"
    (tmp_path / "file").write_text("")
    with pytest.raises(MammoTrackerError, match="Cannot write"):
        bridge.export(prior, current, tmp_path / "file" / "below")


# --- registration


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
        tuple(size[0].tolist()), breast, breast, factor, factor, "B-spline", 1.0, (),
    )  # fmt: skip


@pytest.fixture(params=["as read", "moved"])
def large_pair(request, scene):
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 99, shape).astype(np.uint8) for shape in ((240, 160), (280, 190))]
    moved = request.param == "moved"
    prior = add_volume(
        scene, images[0], spacing=(0.4, 0.5, 1), name="prior",
        directions=ROTATION @ np.diag([1, -1, 1]) if moved else AS_READ,
        parent=add_linear(scene, 1.2 * ROTATION) if moved else None,
    )  # fmt: skip
    current = add_volume(
        scene, images[1], spacing=(0.35, 0.45, 1), name="current",
        directions=np.diag([1, -1, -1]) if moved else AS_READ,
        parent=add_linear(scene, np.diag([-1.0, 1, 1]), parent=add_linear(scene, ROTATION.T))
        if moved else None,
    )  # fmt: skip
    return prior, current


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


def largest_error(node, prior, current, before, then, off_slice_mm=0.0, inverse=False) -> float:
    errors = []
    for a, b in zip(before, then, strict=True):
        a, b = world_of(prior, a, off_slice_mm), world_of(current, b, off_slice_mm)
        transform = node.GetTransformFromParent() if inverse else node.GetTransformToParent()
        a, b = (b, a) if inverse else (a, b)
        errors.append(np.linalg.norm(np.array(transform.TransformPoint(a)) - b))
    return max(errors)


def test_the_registration_maps_world_to_world(large_pair):
    prior, current = large_pair
    alignment = smooth_alignment(prior, current)
    grid = alignment.grid()
    node = bridge.show_registration(prior, current, grid)
    assert bridge.registration_of(prior, current) is node
    nodes = grid.reshape(-1, 4)
    assert largest_error(node, prior, current, nodes[:, :2], nodes[:, 2:]) < 0.01
    between = np.random.default_rng(2).uniform((0, 0), (160, 240), (60, 2))
    mapped = alignment.map_points(between)
    for off_slice_mm in (0, -4, 9):
        error = largest_error(node, prior, current, between, mapped, off_slice_mm)
        assert error < 0.3
    inner = (between > 25).all(axis=1) & (between < (135, 215)).all(axis=1)
    back = largest_error(node, prior, current, between[inner], mapped[inner], 0, inverse=True)
    assert back < 0.3


def test_the_registration_is_replaced(large_pair):
    prior, current = large_pair
    alignment = smooth_alignment(prior, current)
    node = bridge.show_registration(prior, current, alignment.grid())
    identity = alignment.grid()
    identity[..., 2:] = identity[..., :2]
    assert bridge.show_registration(prior, current, identity) is node
    corner = (0.0, 0.0), (160.0, 240.0)
    assert largest_error(node, prior, current, corner, corner) < 0.01
    assert bridge.registration_of(current, prior) is None


def test_the_warped_prior_lies_on_the_current(scene, large_pair):
    prior, current = large_pair
    with pytest.raises(MammoTrackerError, match="no registration"):
        bridge.warped_prior(prior, current)
    alignment = smooth_alignment(prior, current)
    bridge.show_registration(prior, current, alignment.grid())
    prior.GetDisplayNode().SetAutoWindowLevel(False)
    prior.GetDisplayNode().SetWindowLevel(77, 33)
    warped = bridge.warped_prior(prior, current)
    assert warped.GetImageData() is prior.GetImageData()
    for lesion in ((40, 60), (100, 150.5)):
        (found,) = alignment.map_points(np.array(lesion))
        shift = world_of(warped, lesion) - world_of(current, found)
        assert np.linalg.norm(shift) < 0.3
    assert (warped.GetDisplayNode().GetWindow(), warped.GetDisplayNode().GetLevel()) == (77, 33)
    assert warped.GetHideFromEditors() and not warped.GetSaveWithScene()
    assert bridge.warped_prior(prior, current) is warped
    assert bridge.lesions(warped) == []
    bridge.set_spacing(current, 0.3)
    assert bridge.registration_of(prior, current) is None
    assert scene.GetNodeByID(warped.GetID() or "none") is None


def test_a_registration_of_a_bent_prior(scene):
    """Of a prior under a transform that is not linear: close to the map, not exact."""
    pixels = np.random.default_rng(1).integers(0, 99, (120, 80)).astype(np.uint8)
    prior = add_volume(scene, pixels, spacing=(0.4, 0.5, 1), parent=add_bent(scene))
    current = add_volume(scene, pixels, spacing=(0.4, 0.5, 1))
    alignment = smooth_alignment(prior, current)
    node = bridge.show_registration(prior, current, alignment.grid())
    points = np.random.default_rng(2).uniform((0, 0), (80, 120), (40, 2))
    assert largest_error(node, prior, current, points, alignment.map_points(points)) < 0.5
    with pytest.raises(MammoTrackerError, match="not linear"):
        bridge.warped_prior(prior, current)


# --- saved scenes


@pytest.mark.parametrize("others", [False, True], ids=["empty scene", "scene with other nodes"])
def test_everything_survives_a_saved_scene(scene, large_pair, tmp_path, others):
    prior, current = large_pair
    alignment = smooth_alignment(prior, current)
    boxes = [Box(40.3, 60.7, 61.2, 75.4), Box(90, 100, 120, 130), Box(20, 180, 44, 200)]
    lesions = [
        add_lesion(scene, prior, box, name, kind)
        for box, name, kind in zip(
            boxes, ("Lesion é", "B; x", "C"), ("mass", "calcification", ""), strict=True
        )
    ]
    tracks = [
        make_track(),
        make_track(Box(50.123456, 60, 71, 80), Status.UNCERTAIN),
        make_track(status=Status.NOT_FOUND),
    ]
    rois = [
        bridge.show_track(*pair, track)
        for pair, track in zip([(roi, current) for roi in lesions], tracks, strict=True)
    ]
    corrected = Box(33.3, 44.4, 55.55, 66.66)
    bridge.place_roi(rois[0], current, corrected)
    bridge.set_review(rois[0], "corrected")
    bridge.set_review(rois[1], "rejected")
    bridge.show_only_in(rois[0], ["vtkMRMLSliceNodeMammoTrackerCurrent"])
    node = bridge.show_registration(prior, current, alignment.grid())
    near = np.random.default_rng(4).uniform(-60, 60, (50, 3)) + world_of(prior, (80, 120))
    mapped = [node.GetTransformToParent().TransformPoint(point) for point in near]
    bridge.warped_prior(prior, current)
    bridge.preview_candidate(rois[0], 1)
    bridge.update_labels(prior, current)
    _ = bridge.set_lesion_type(lesions[2], "mass")
    rows = rows_of(bridge.update_table(prior, current))
    colors = [roi.GetDisplayNode().GetSelectedColor() for roi in lesions]
    labels = texts(scene, current)
    count = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")

    assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    scene.Clear(False)
    if others:
        decoy = add_volume(scene, name="decoy")
        for name in ("Lesion é", "free"):
            add_lesion(scene, decoy, SQUARE, name)
        scene.AddNewNodeByClass("vtkMRMLGridTransformNode")
        scene.AddNewNodeByClass("vtkMRMLTableNode")
        add_linear(scene, ROTATION)
    assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"), False)

    prior, current = (scene.GetFirstNodeByName(name) for name in ("prior", "current"))
    lesions = bridge.lesions(prior)
    assert [roi.GetName() for roi in lesions] == ["Lesion é", "B; x", "C"]
    assert [bridge.lesion_type(roi) for roi in lesions] == ["mass", "calcification", "mass"]
    for roi, box in zip(lesions, boxes, strict=True):
        assert_same_box(bridge.box_of(roi, prior), box)
    assert [roi.GetDisplayNode().GetSelectedColor() for roi in lesions] == colors
    rois = bridge.predictions(prior, current)
    assert [bridge.lesion_of(roi) for roi in rois] == lesions
    assert [bridge.status_of(roi) for roi in rois] == ["found", "uncertain", "not found"]
    assert [bridge.review_of(roi) for roi in rois] == ["corrected", "rejected", ""]
    for roi, track in zip(rois, tracks, strict=True):
        assert bridge.candidates_of(roi) == list(track.candidates)
        assert bridge.score_of(roi) == track.score
        assert bridge.reason_of(roi) == track.reason
    assert_same_box(bridge.box_of(rois[0], current), corrected)
    assert not rois[1].GetDisplayNode().GetVisibility()
    assert rois[2].GetNumberOfControlPoints() == 0
    views = rois[0].GetDisplayNode().GetViewNodeIDs()
    assert list(views) == ["vtkMRMLSliceNodeMammoTrackerCurrent"]
    bridge.restore_prediction(rois[0])
    assert_same_box(bridge.box_of(rois[0], current), tracks[0].box)
    bridge.place_roi(rois[0], current, corrected)
    bridge.set_review(rois[0], "corrected")

    assert rows_of(bridge.results_table(prior, current)) == rows
    assert rows_of(bridge.update_table(prior, current)) == rows
    assert texts(scene, current) == labels
    bridge.update_labels(prior, current)
    assert texts(scene, current) == labels

    node = bridge.registration_of(prior, current)
    between = np.random.default_rng(2).uniform((0, 0), (160, 240), (40, 2))
    assert largest_error(node, prior, current, between, alignment.map_points(between)) < 0.3
    again = [node.GetTransformToParent().TransformPoint(point) for point in near]
    np.testing.assert_allclose(again, mapped, atol=1e-4)
    nodes = alignment.grid().reshape(-1, 4)
    assert largest_error(node, prior, current, nodes[:, :2], nodes[:, 2:]) < 0.01
    volumes = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    assert volumes == count - 1 + others  # without the warped prior
    assert all(
        scene.GetNthNodeByClass(index, ROI).GetName() != "Candidate 2"
        for index in range(scene.GetNumberOfNodesByClass(ROI))
    )
    bridge.warped_prior(prior, current)


def test_a_spacing_that_was_set_survives(scene, tmp_path):
    volume = add_volume(scene, spacing=(1, 1, 1), name="spaced")
    bridge.set_spacing(volume, 1.0)
    scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    scene.Clear(False)
    scene.ReadFromMRB(str(tmp_path / "scene.mrb"), False)
    assert bridge.header_of(scene.GetFirstNodeByName("spaced")).spacing == (1, 1)


def test_no_patient_in_the_nodes(scene, tmp_path, values):
    volume = add_dicom_volume(scene, write_dicom(tmp_path / "a.dcm", values))
    assert "SECRET" not in repr(bridge.header_of(volume))
    bridge.show_track(add_lesion(scene, volume, SQUARE), volume, make_track())
    bridge.update_table(volume, volume)
    scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    assert b"SECRET-ID" not in (tmp_path / "scene.mrb").read_bytes()

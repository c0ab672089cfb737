"""Volume nodes as mammograms."""

from __future__ import annotations

import datetime
from types import SimpleNamespace

import numpy as np
import pytest
from dicom_files import write_dicom
from mrml import COLUMNS, ROWS, add_dicom_volume, add_volume

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")
vtk = pytest.importorskip("vtk")

from slicer.util import (  # noqa: E402
    arrayFromVolume,
    updateVolumeFromArray,
)

from MammoTrackerLib import MammoTrackerError  # noqa: E402
from MammoTrackerLib import scene as bridge  # noqa: E402
from MammoTrackerLib.mammogram import Header  # noqa: E402


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
    assert mammogram.instance_uids == header.instance_uids and len(header.instance_uids) == 1
    assert mammogram.size == header.size == (COLUMNS, ROWS)
    # Windowed and inverted, so by the file and not by the voxels.
    assert mammogram.pixels[values < 500].min() == mammogram.pixels.max()
    assert mammogram.pixels[values > 3500].max() == mammogram.pixels.min()

    bridge.apply_window(volume)
    display = volume.GetDisplayNode()
    middle = arrayFromVolume(volume)[0][values == values[np.abs(values - 2000.0) < 4].max()]
    assert display.GetLevel() == pytest.approx(middle[0], abs=4)
    assert display.GetWindow() == 3000
    assert not display.GetAutoWindowLevel()


def test_what_was_guessed_of_the_file_is_remarked_on(scene, tmp_path, values):
    path = write_dicom(tmp_path / "a.dcm", values, PixelSpacing=[0.28, 0.28])
    volume = add_dicom_volume(scene, path)
    (remark,) = bridge.mammogram_of(volume).remarks
    assert "0.07 mm, which counts, and 0.28 mm" in remark
    updateVolumeFromArray(volume, values[None] // 2)
    assert bridge.mammogram_of(volume).remarks == ()


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_values_of_the_whole_range(scene, tmp_path, dtype):
    limits = np.iinfo(dtype)
    values = np.linspace(limits.min, limits.max, ROWS * COLUMNS).astype(dtype)
    middle, width = (int(limits.min) + limits.max + 1) // 2, 2**15
    path = write_dicom(
        tmp_path / "a.dcm", values.reshape(ROWS, COLUMNS), WindowCenter=middle, WindowWidth=width
    )
    pixels = bridge.mammogram_of(add_dicom_volume(scene, path)).pixels
    for limit in (pixels.min(), pixels.max()):
        assert 0.2 < (pixels == limit).mean() < 0.3  # clipped by the window


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
    assert bridge.header_of(volume).instance_uids
    updateVolumeFromArray(volume, values[None, 3:, 2:])
    header = bridge.header_of(volume)
    assert header.size == (COLUMNS - 2, ROWS - 3) and not header.instance_uids
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


def test_each_header_of_many_exams_is_read_once(scene, tmp_path, monkeypatch):
    volumes, read = [add_volume(scene) for _ in range(100)], []
    monkeypatch.setattr(Header, "read", lambda path: read.append(path) or Header())
    for number, volume in enumerate(volumes):
        (tmp_path / str(number)).touch()
        volume.SetAttribute("MammoTracker.ReadFrom", str(tmp_path / str(number)))
    for _look in range(3):
        bridge.by_date(volumes)
    assert len(read) == 100


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


@pytest.mark.parametrize("position", ["SCC", "MCC", "CCID", "CCRL"])
def test_standard_views_are_proposed(scene, tmp_path, values, position):
    def add(name, **attributes):
        return add_dicom_volume(scene, write_dicom(tmp_path / f"{name}.dcm", values, **attributes))

    prior, current = add("prior", StudyDate="20220301"), add("current", StudyDate="20240301")
    special = add("special", StudyDate="20240301", ViewPosition=position)
    assert bridge.header_of(special).view == bridge.header_of(current).view == "CC"
    assert bridge.propose_pair([special, prior, current]) == (prior, current)
    assert bridge.propose_pair([special, prior]) is None
    assert bridge.mammogram_of(special).modifiers

"""Scenes that were saved and loaded."""

from __future__ import annotations

import numpy as np
import pytest
from dicom_files import write_dicom
from mrml import (
    ROI,
    ROTATION,
    SQUARE,
    add_dicom_volume,
    add_lesion,
    add_linear,
    add_volume,
    assert_same_box,
    largest_error,
    make_track,
    rows_of,
    smooth_alignment,
    texts,
    world_of,
)

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")
vtk = pytest.importorskip("vtk")


from MammoTrackerLib import Box, Status  # noqa: E402
from MammoTrackerLib import scene as bridge  # noqa: E402


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


@pytest.mark.parametrize("own", [0.2, 1.0], ids=["the detector's", "none"])
def test_true_sizes_survive_a_scene_that_comes_without_its_files(scene, tmp_path, values, own):
    """What the volume's own spacing is not, as Slicer reads it: of a magnified view, or unknown."""
    exams = []
    for name in "ab":
        path = write_dicom(
            tmp_path / f"{name}.dcm", values, ImagerPixelSpacing=[0.2, 0.2],
            EstimatedRadiographicMagnificationFactor=2, SOPInstanceUID=f"1.2.{ord(name)}",
        )  # fmt: skip
        exams.append(add_dicom_volume(scene, path))
        exams[-1].SetName(name)
        exams[-1].SetSpacing(own, own, 1)
    lesion = add_lesion(scene, exams[0], SQUARE)
    bridge.show_track(lesion, exams[1], make_track(Box(0, 0, 20, 30)))
    rows = rows_of(bridge.update_table(*exams))
    assert (rows[0]["Width (mm)"], rows[0]["Height (mm)"]) == ("2.0", "3.0")
    scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    scene.Clear(False)
    for name in "ab":
        (tmp_path / f"{name}.dcm").unlink()
    scene.ReadFromMRB(str(tmp_path / "scene.mrb"), False)
    exams = [scene.GetFirstNodeByName(name) for name in "ab"]
    assert [bridge.header_of(exam).spacing for exam in exams] == [pytest.approx((0.1, 0.1))] * 2
    assert rows_of(bridge.update_table(*exams)) == rows
    # Who gives the volume another spacing, in the module Volumes, knows better.
    exams[0].SetSpacing(0.05, 0.05, 1)
    assert bridge.header_of(exams[0]).spacing == (0.05, 0.05)

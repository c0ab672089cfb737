"""Lesions of the prior."""

from __future__ import annotations

import numpy as np
import pytest
from mrml import ROI, SQUARE, add_lesion, add_volume, make_track, read_roi

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")
vtk = pytest.importorskip("vtk")

from slicer.util import arrayFromVolume, updateVolumeFromArray  # noqa: E402

from MammoTrackerLib import Box, Status  # noqa: E402
from MammoTrackerLib import scene as bridge  # noqa: E402
from MammoTrackerLib.command.outputs import Geometry, track_as_markup  # noqa: E402


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


def add_roi(scene, prior, name="R", box=SQUARE):
    roi = scene.AddNewNodeByClass(ROI, name)
    bridge.place_roi(roi, prior, box)
    return roi


def test_rois_on_the_prior_become_lesions(scene, pair):
    prior, current = pair
    here, elsewhere = add_roi(scene, prior), add_roi(scene, prior, box=Box(-9, -9, -2, -2))
    scene.GetNodeByID("vtkMRMLSelectionNodeSingleton").SetActivePlaceNodeID(here.GetID())
    bridge.claim_new_rois(prior)
    assert bridge.lesions(prior) == [here]
    assert bridge.unclaimed_rois(scene) == [elsewhere]


def test_rois_become_lesions_of_the_exam_in_whose_view_they_were_drawn(scene):
    """Both exams lie at one place in the world; a file's ID of a volume is of another scene."""
    prior, current = pair = add_volume(scene, name="prior"), add_volume(scene, name="current")
    here, there, read = (add_roi(scene, prior) for _ in range(3))
    for roi, volume in ((here, prior), (there, current), (read, current)):
        roi.SetNthControlPointAssociatedNodeID(0, volume.GetID())
    read.AddDefaultStorageNode()
    bridge.claim_new_rois(prior)
    assert bridge.lesions(prior) == [here, read]
    assert bridge.unclaimed_rois(scene) == [there]
    there.AddDefaultStorageNode()  # the scene is saved
    bridge.claim_new_rois(prior)
    assert bridge.unclaimed_rois(scene) == [there]
    bridge.claim_new_rois(prior, exams=pair)
    assert bridge.lesions(prior) == [here, read] and bridge.lesions(current) == [there]


def of_crop_volume(scene, roi):
    scene.AddNewNodeByClass("vtkMRMLCropVolumeParametersNode").SetROINodeID(roi.GetID())


def of_volume_rendering(scene, roi):
    node = scene.AddNewNodeByClass("vtkMRMLGPURayCastVolumeRenderingDisplayNode")
    node.SetAndObserveROINodeID(roi.GetID())


def of_a_module_in_python(scene, roi):
    node = scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    node.SetNodeReferenceID("inputROI", roi.GetID())


def hidden(scene, roi):
    roi.HideFromEditorsOn()


def saved_by_volume_rendering(scene, roi):
    roi.SetName("Volume rendering ROI_1")


def saved_by_crop_volume(scene, roi):
    roi.SetName("Crop Volume ROI")


def around_the_image(scene, roi):
    roi.SetSize(90, 90, 90)


@pytest.mark.parametrize(
    "use",
    [
        of_crop_volume, of_volume_rendering, of_a_module_in_python, hidden,
        saved_by_volume_rendering, saved_by_crop_volume, around_the_image,
    ],
)  # fmt: skip
def test_rois_that_others_crop_with_are_left_alone(scene, pair, use):
    prior, _ = pair
    roi = add_roi(scene, prior)
    use(scene, roi)
    bridge.claim_new_rois(prior)
    assert bridge.lesions(prior) == []
    bridge.claim_lesion(roi, prior)  # unless the user says so
    assert bridge.lesions(prior) == [roi]


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.NOT_FOUND])
def test_results_of_the_command_are_no_lesions(scene, pair, tmp_path, status):
    prior, _ = pair
    geometry = Geometry((-12, 30, 5), (0.2, 0, 0), (0, 0.3, 0))
    markup = track_as_markup(1, make_track(SQUARE, status), geometry)
    roi = read_roi(scene, tmp_path / "lesion-1.mrk.json", markup)
    assert bridge.box_of(roi, prior).iou(SQUARE) > 0.99
    assert bridge.is_loaded_result(roi)
    assert bridge.unclaimed_rois(scene) == []
    bridge.claim_new_rois(prior)
    assert bridge.lesions(prior) == []
    assert roi.GetAttribute("MammoTracker.Role") == "result"


@pytest.mark.parametrize("review", ["", "accepted", "corrected"])
def test_results_that_were_exported_are_no_lesions(scene, pair, tmp_path, review):
    prior, current = pair
    lesion = add_lesion(scene, prior, SQUARE)
    roi = bridge.show_track(lesion, current, make_track())
    if review == "corrected":
        bridge.unplace(roi)
        bridge.place_roi(roi, current, Box(3, 4, 9, 12))
    bridge.set_review(roi, review)
    before, result = bridge.export(prior, current, tmp_path)[1:]
    before, result = read_roi(scene, before), read_roi(scene, result)
    bridge.claim_new_rois(prior)
    assert bridge.lesions(prior) == [lesion, before]
    assert result.GetAttribute("MammoTracker.Role") == "result"


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


def test_removing_a_lesion(scene, pair):
    prior, current = pair
    lesions = [add_lesion(scene, prior, SQUARE, name) for name in "ab"]
    rois = [bridge.show_track(lesion, current, make_track()) for lesion in lesions]
    bridge.remove_lesion(lesions[0])
    assert bridge.lesions(prior) == [lesions[1]]
    assert bridge.predictions(prior, current) == [rois[1]]
    assert scene.GetNumberOfNodesByClass(ROI) == 2


def test_lesions_of_exams_that_are_shown_together_have_other_colours(scene):
    exams = [add_volume(scene, name=name) for name in "ab"]
    first, second, third = (
        scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name) for name in "123"
    )
    bridge.claim_lesion(first, exams[0])
    bridge.claim_lesion(second, exams[1])
    bridge.claim_lesion(third, exams[1], beside=[first, second, third])
    colors = [roi.GetDisplayNode().GetSelectedColor() for roi in (first, second, third)]
    assert colors[0] == colors[1] == bridge.COLORS[0] and colors[2] == bridge.COLORS[1]


def test_a_lesion_is_linked_again_with_its_exam_that_was_loaded_again(scene, pair):
    prior, current = pair
    pixels = arrayFromVolume(prior)[0] + 1
    updateVolumeFromArray(prior, pixels[np.newaxis])
    lesion, off = add_lesion(scene, prior, SQUARE), add_lesion(scene, prior, SQUARE)
    prediction = bridge.show_track(lesion, current, make_track())
    color = lesion.GetDisplayNode().GetSelectedColor()
    scene.RemoveNode(prior)
    bridge.reclaim_lesions([current])
    other = add_volume(scene, pixels + 1, name="prior")
    bridge.reclaim_lesions([other, current])
    assert bridge.exam_of(lesion) is None, "it is no lesion of another exam of that name"
    prior = add_volume(scene, pixels, name="loaded again")
    bridge.place_roi(off, prior, Box(-30, -30, -20, -20))
    bridge.reclaim_lesions([prior, current])
    assert bridge.lesions(prior) == [lesion] and bridge.prediction_of(lesion, current) is prediction
    assert lesion.GetDisplayNode().GetSelectedColor() == color


def test_a_lesion_can_be_begun_on_a_volume_without_voxels(scene):
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    roi = scene.AddNewNodeByClass(ROI)
    bridge.claim_lesion(roi, empty)
    assert bridge.lesions(empty) == [roi]


def test_an_exam_is_known_by_its_instance_whatever_it_is_called(scene, pair):
    prior, current = pair
    prior.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    lesion = add_lesion(scene, prior, SQUARE)
    scene.RemoveNode(prior)
    same_name, again = add_volume(scene, name="prior"), add_volume(scene, name="8: MLO")
    same_name.SetAttribute("DICOM.instanceUIDs", "1.2.4")
    again.SetAttribute("DICOM.instanceUIDs", "1.2.3")
    bridge.reclaim_lesions([same_name, again])
    assert bridge.lesions(again) == [lesion] and bridge.lesions(same_name) == []
    assert "1.2.3" not in " ".join(map(lesion.GetAttribute, lesion.GetAttributeNames()))

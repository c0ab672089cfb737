"""Lesions of the prior."""

from __future__ import annotations

import pytest
from mrml import ROI, SQUARE, add_lesion, add_volume, make_track

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")
vtk = pytest.importorskip("vtk")


from MammoTrackerLib import scene as bridge  # noqa: E402


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


def test_removing_a_lesion(scene, pair):
    prior, current = pair
    lesions = [add_lesion(scene, prior, SQUARE, name) for name in "ab"]
    rois = [bridge.show_track(lesion, current, make_track()) for lesion in lesions]
    bridge.remove_lesion(lesions[0])
    assert bridge.lesions(prior) == [lesions[1]]
    assert bridge.predictions(prior, current) == [rois[1]]
    assert scene.GetNumberOfNodesByClass(ROI) == 2

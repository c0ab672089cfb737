"""Predictions on the current mammogram."""

from __future__ import annotations

import pytest
from mrml import FOUND_BOX, ROI, SQUARE, add_lesion, assert_same_box, make_track, rows_of, texts

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")
vtk = pytest.importorskip("vtk")


from MammoTrackerLib import Box, Status  # noqa: E402
from MammoTrackerLib import scene as bridge  # noqa: E402


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


def test_a_new_track_replaces_the_old_one_but_no_decision(scene, pair):
    prior, current = pair
    lesion = add_lesion(scene, prior, SQUARE)
    roi = bridge.show_track(lesion, current, make_track())
    assert bridge.show_track(lesion, current, make_track(Box(1, 1, 4, 5), score=0.9)) is roi
    assert_same_box(bridge.box_of(roi, current), Box(1, 1, 4, 5))
    assert (bridge.review_of(roi), bridge.score_of(roi)) == ("", 0.9)
    bridge.set_review(roi, "rejected")
    assert bridge.show_track(lesion, current, make_track()) is roi
    assert (bridge.review_of(roi), bridge.score_of(roi)) == ("rejected", 0.9)
    assert not roi.GetDisplayNode().GetVisibility()


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


def test_predictions_are_in_the_order_of_the_lesions(scene, pair):
    prior, current = pair
    first, second = (add_lesion(scene, prior, SQUARE, name) for name in "ab")
    late = bridge.show_track(second, current, make_track())
    early = bridge.show_track(first, current, make_track())
    assert bridge.predictions(prior, current) == [early, late]
    assert bridge.predictions(current, prior) == []


def test_what_nobody_moved_is_as_tracked(scene, pair):
    prior, current = pair
    lesion = add_lesion(scene, prior, SQUARE)
    roi = bridge.show_track(lesion, current, make_track())
    bridge.set_review(roi, "accepted")
    assert bridge.is_as_tracked(roi)
    bridge.set_spacing(current, 0.07)
    assert bridge.is_as_tracked(roi)
    bridge.place_roi(roi, current, Box(FOUND_BOX.x0 + 0.1, *FOUND_BOX.as_tuple()[1:]))
    assert not bridge.is_as_tracked(roi)
    bridge.restore_prediction(roi)
    missing = bridge.show_track(lesion, current, make_track(status=Status.NOT_FOUND))
    assert not bridge.is_as_tracked(missing)
    bridge.use_candidate(missing, 0)
    assert not bridge.is_as_tracked(missing)


def test_what_the_module_adds_is_not_what_the_user_places(scene, pair):
    prior, current = pair
    selection = scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    lesion = add_lesion(scene, prior, SQUARE)
    drawn = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "being drawn")
    selection.SetReferenceActivePlaceNodeClassName(drawn.GetClassName())
    selection.SetActivePlaceNodeID(drawn.GetID())
    told = []
    tag = selection.AddObserver(
        vtk.vtkCommand.ModifiedEvent, lambda *_: told.append(selection.GetActivePlaceNodeID())
    )
    roi = bridge.show_track(lesion, current, make_track())
    bridge.update_labels(prior, current)
    bridge.preview_candidate(roi, 1)
    selection.RemoveObserver(tag)
    assert selection.GetActivePlaceNodeID() == drawn.GetID()
    assert selection.GetActivePlaceNodeClassName() == drawn.GetClassName()
    assert set(told) <= {drawn.GetID()}

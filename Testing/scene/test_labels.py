"""Labels beside the ROIs."""

from __future__ import annotations

import numpy as np
import pytest
from mrml import SQUARE, add_lesion, label_node, make_track, texts, world_points

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")
vtk = pytest.importorskip("vtk")


from MammoTrackerLib import Box, Status  # noqa: E402
from MammoTrackerLib import scene as bridge  # noqa: E402


def test_labels(scene, pair):
    prior, current = pair
    lesion = add_lesion(scene, prior, SQUARE)
    other = add_lesion(scene, prior, Box(1, 1, 3, 3), "Lesion 2")
    large = add_lesion(scene, prior, Box(2, 2, 9, 9), "Lesion 3")
    registered = make_track(status=Status.REGISTRATION, candidates=(), prior_box=Box(2, 2, 9, 9))
    roi = bridge.show_track(lesion, current, make_track())
    missing = bridge.show_track(other, current, make_track(status=Status.NOT_FOUND))
    bridge.show_track(large, current, registered)
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


def test_without_lesions_no_text_stays_and_none_comes(scene, pair):
    prior, current = pair
    bridge.update_labels(prior, current, [])
    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == 0
    lesion = add_lesion(scene, prior, SQUARE)
    bridge.show_track(lesion, current, make_track())
    bridge.update_labels(prior, current)
    bridge.remove_lesion(lesion)
    bridge.update_labels(prior, current, [])
    assert texts(scene, prior) == texts(scene, current) == []


def test_labels_are_drawn_again_if_their_display_node_was_deleted(scene, pair):
    prior, current = pair
    add_lesion(scene, prior, SQUARE)
    bridge.update_labels(prior, current)
    before = label_node(scene, prior).GetDisplayNode()
    look = before.GetSelectedColor(), before.GetPointLabelsVisibility(), before.GetGlyphScale()
    scene.RemoveNode(before)
    bridge.update_labels(prior, current)
    again = label_node(scene, prior).GetDisplayNode()
    assert look == (
        again.GetSelectedColor(),
        again.GetPointLabelsVisibility(),
        again.GetGlyphScale(),
    )

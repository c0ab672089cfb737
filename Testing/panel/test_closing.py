"""Leaving the module while the user does something."""

from __future__ import annotations

import pytest
from panel_steps import choose

from MammoTrackerLib import Box, Status, Track


@pytest.fixture
def marked(shell):
    """An open panel, and the sample's nodes."""
    panel = shell.openModule("MammoTracker")
    import MammoTracker

    nodes = MammoTracker.loadSamplePair()
    choose(panel, shell, *nodes[:2])
    yield panel, nodes
    shell.scene.Clear()


def test_leaving_while_placing_leaves_no_lesion(shell, marked):
    import slicer

    panel, (prior, _, lesion) = marked
    shell.click(panel.ui.addLesionButton)
    shell.clickPixel(prior, 300, 600)
    shell.closeModule()
    assert slicer.util.getNodesByClass("vtkMRMLMarkupsROINode") == [lesion]


def test_leaving_while_drawing_keeps_the_result(shell, marked):
    from MammoTrackerLib import scene

    panel, (_, current, lesion) = marked
    box = Box(190, 1050, 270, 1130)
    track = Track(box, box, 0.9, Status.FOUND, "Here.", (), box)
    prediction = scene.show_track(lesion, current, track)
    panel.exams.look()
    panel.results.select(prediction)
    shell.click(panel.ui.drawButton)
    shell.clickPixel(current, 300, 600)
    shell.closeModule()
    assert scene.is_as_tracked(prediction) and scene.review_of(prediction) == ""

"""Leaving the module while the user does something."""

from __future__ import annotations

import pytest
from panel_steps import choose, comment, open_list
from reading_files import decided, row_of, write_pairs

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


def test_exams_may_be_removed_while_the_module_is_left(shell, marked):
    panel, (prior, current, _lesion) = marked
    panel.exit()
    for volume in (prior, current):
        shell.scene.RemoveNode(volume)
    assert panel.exams.pair == (None, None) and panel.exams.series == []
    panel.enter()
    shell.process(0.3)
    assert panel.exams.pair == (None, None)


def test_lesions_may_be_removed_and_renamed_while_the_module_is_left(shell, marked):
    from MammoTrackerLib import scene

    panel, (prior, _current, lesion) = marked
    other = shell.scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Other")
    scene.place_roi(other, prior, Box(190, 1050, 270, 1130))
    panel.exams.look()
    panel.exit()
    shell.scene.RemoveNode(lesion)
    other.SetName("Renamed")
    panel.enter()
    assert [roi.GetName() for roi in panel.lesions.rois] == ["Renamed"]


def test_a_comment_that_is_being_typed_outlives_scene_and_module(shell, tmp_path):
    panel = shell.openModule("MammoTracker")
    table = tmp_path / "reviewed.csv"
    open_list(panel, shell, *write_pairs(tmp_path))
    comment(panel, "before the scene is closed")
    shell.scene.Clear()
    shell.process(0.3)
    assert row_of(table, "two")["comment"] == "before the scene is closed"
    panel.ui.readingTable.selectRow(1)
    shell.wait(lambda: len(panel.lesions.rois) == 2, 60)
    comment(panel, "before the application ends")
    shell.closeModule()
    assert row_of(table, "one")["comment"] == "before the application ends"
    assert decided(table) == {("one", "mass"): "", ("two", "mass"): ""}

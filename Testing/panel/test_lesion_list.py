"""The panel's list of lesions: placed, renamed, typed, deleted and loaded."""

from __future__ import annotations

import pytest
from sample_pair import SAMPLE

from MammoTrackerLib import Box


def test_two_clicks_on_the_prior_mark_a_lesion(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, current, _ = pair
    shell.click(panel.ui.addLesionButton)
    shell.clickPixel(prior, 300, 600)
    shell.clickPixel(prior, 340, 650)
    added = panel.lesions.rois[-1]
    box = scene.box_of(added, prior)
    assert box.as_tuple() == pytest.approx((300, 600, 340, 650), abs=4)
    assert not panel.ui.addLesionButton.checked
    assert panel.ui.lesionsTable.rowCount == 2
    assert scene.lesions(prior)[-1] is added


def test_giving_up_to_place_leaves_no_lesion(panel, shell, pair):
    shell.click(panel.ui.addLesionButton)
    assert panel.ui.addLesionButton.checked
    shell.clickPixel(pair[0], 300, 600)
    shell.click(panel.ui.addLesionButton)
    assert panel.ui.lesionsTable.rowCount == 1


def test_lesions_are_renamed_typed_and_deleted(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, _, lesion = pair
    table = panel.ui.lesionsTable
    table.item(0, 0).setText("Mass at 6 o'clock")
    assert lesion.GetName() == "Mass at 6 o'clock"
    table.selectRow(0)
    panel.ui.typeComboBox.currentIndex = 2
    assert scene.lesion_type(lesion) == "calcification"
    assert table.item(0, 1).text() == "calcification"
    shell.click(panel.ui.deleteLesionButton)
    assert scene.lesions(prior) == [] and table.rowCount == 0
    assert not panel.ui.trackAllButton.enabled


def test_roi_files_and_rois_of_the_scene_are_used(panel, shell, pair, tmp_path):
    import slicer

    from MammoTrackerLib import scene

    prior, _, lesion = pair
    path = tmp_path / "roi.mrk.json"
    slicer.util.saveNode(lesion, str(path))
    panel.lesions.load([path, SAMPLE / "truth.json"])
    assert panel.ui.lesionsTable.rowCount == 2
    assert "truth.json" in shell.messages.pop()
    own = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Own")
    scene.place_roi(own, prior, Box(300, 500, 350, 560))
    shell.wait(lambda: panel.ui.lesionsTable.rowCount == 3)

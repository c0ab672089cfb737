"""The panel's list of lesions: placed, renamed, typed, deleted and loaded."""

from __future__ import annotations

import json

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


def test_placing_ends_with_the_box_whatever_slicer_is_set_to(panel, shell, pair):
    import slicer

    interaction = slicer.app.applicationLogic().GetInteractionNode()
    interaction.SetPlaceModePersistence(True)
    try:
        shell.click(panel.ui.addLesionButton)
        for x, y in ((300, 600), (340, 650), (400, 700), (440, 750)):
            shell.clickPixel(pair[0], x, y)
        assert not panel.ui.addLesionButton.checked
        shell.process(0.5)
        assert panel.ui.lesionsTable.rowCount == 2
        assert len(slicer.util.getNodesByClass("vtkMRMLMarkupsROINode")) == 2
    finally:
        interaction.SetPlaceModePersistence(False)


def test_no_button_appears_beside_ours(panel, shell, pair):
    import qt

    shell.click(panel.ui.addLesionButton)
    for widget in (panel.ui.lesionPlaceWidget, panel.ui.resultPlaceWidget):
        assert not [button for button in widget.findChildren(qt.QWidget) if button.visible]
    shell.click(panel.ui.addLesionButton)


def test_rois_of_others_are_left_alone(panel, shell, pair, tmp_path):
    import slicer

    from MammoTrackerLib import Status, Track, scene
    from MammoTrackerLib.command.outputs import Geometry, track_as_markup

    prior, _, lesion = pair
    box = Box(300, 500, 350, 560)
    crop = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    scene.place_roi(crop, prior, box)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLCropVolumeParametersNode").SetROINodeID(crop.GetID())
    whole = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R2")
    scene.place_roi(whole, prior, Box(0, 0, *scene.Raster(prior).size))
    track = Track(box, box, 0.97, Status.FOUND, "Here.", (), box)
    path = tmp_path / "lesion-1.mrk.json"
    geometry = Geometry((0, 0, 0), (0.15, 0, 0), (0, 0.15, 0))
    path.write_text(json.dumps(track_as_markup(1, track, geometry)), encoding="utf-8")
    slicer.util.loadMarkups(str(path))
    shell.process(0.6)
    assert panel.lesions.rois == [lesion]
    panel.lesions.load([path])  # unless the user wants it, for a later exam
    assert panel.ui.lesionsTable.rowCount == 2


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

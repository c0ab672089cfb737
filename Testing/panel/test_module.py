"""The module as a user meets it: the real panel in a window, clicked, on a real mammogram."""

from __future__ import annotations

import pytest
from panel_steps import rows_of, track
from recorded import CRASH
from sample_pair import TRUTH


def test_an_empty_panel_says_what_to_do(panel, shell):
    ui = panel.ui
    assert "Select a prior" in ui.pairLabel.text
    buttons = {n: w for n, w in vars(ui).items() if n.endswith("Button") and "Collapsible" not in n}
    assert len(buttons) > 10
    ready = {name for name, button in buttons.items() if button.enabled and button.visible}
    assert ready <= {"installButton", "readingOpenButton", "readingColumnsButton"}


def test_a_pair_is_shown_side_by_side(panel, shell, pair):
    prior, current, lesion = pair
    assert shell.shownVolumes() == [prior, current]
    assert panel.ui.lesionsTable.item(0, 0).text() == lesion.GetName()
    assert panel.ui.trackAllButton.enabled
    shell.screenshot("/tmp/module-pair.png")


def test_a_saved_scene_comes_back_as_it_was(panel, shell, pair, tmp_path):
    import slicer

    from MammoTrackerLib import scene

    prior, current, _ = pair
    track(panel, shell)
    (prediction,) = scene.predictions(prior, current)
    x, y = scene.box_of(prediction, current).center
    shell.drag(current, (x, y), (x + 15, y - 10))
    box, rows = scene.box_of(prediction, current), rows_of(panel)
    assert rows[0][3].startswith("corrected\n")
    path = tmp_path / "scene.mrb"
    assert slicer.util.saveScene(str(path))
    shell.scene.Clear()
    shell.process(0.3)
    assert rows_of(panel) == [] and panel.ui.lesionsTable.rowCount == 0
    slicer.util.loadScene(str(path))
    shell.wait(lambda: len(rows_of(panel)) == 1)
    assert rows_of(panel) == rows
    prior, current = panel.exams.pair
    (prediction,) = scene.predictions(prior, current)
    assert scene.box_of(prediction, current).as_tuple() == pytest.approx(box.as_tuple(), abs=0.01)
    assert scene.registration_of(prior, current)
    panel.results.select(prediction)
    shell.click(panel.ui.restoreButton)
    assert scene.box_of(prediction, current).iou(TRUTH) > 0.5


@pytest.mark.parametrize("count", [3, 5])
def test_what_nobody_touched_is_not_corrected_by_loading_it(panel, shell, pair, tmp_path, count):
    """The panel's own settings come with the scene, before its boxes."""
    import slicer

    from MammoTrackerLib import Box, Candidate, Status, Track, scene

    prior, current, lesion = pair
    for number in range(count):
        box = Box(200 + 20 * number, 900, 250 + 20 * number, 950)
        if number:
            lesion = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", f"L{number}")
            scene.place_roi(lesion, prior, box)
            scene.claim_lesion(lesion, prior)
        marked = scene.box_of(lesion, prior)
        answer = Track(marked, box, 0.9, Status.FOUND, "Here.", (Candidate(box, 0.9, 0.9),), box)
        scene.show_track(lesion, current, answer)
    panel.exams.look()
    shell.click(panel.ui.facingCheckBox)
    panel.ui.opacitySlider.value = 0.25
    rows = rows_of(panel)
    assert [row[3].split()[0] for row in rows] == ["found"] * count
    path = tmp_path / "scene.mrb"
    assert slicer.util.saveScene(str(path))
    for _ in range(2):
        shell.scene.Clear()
        shell.process(0.3)
        slicer.util.loadScene(str(path))
        shell.wait(lambda: len(rows_of(panel)) == count)
        assert rows_of(panel) == rows
    assert panel.ui.facingCheckBox.checked and panel.ui.opacitySlider.value == 0.25


def test_closing_the_scene_resets_the_panel(panel, shell, pair):
    track(panel, shell)
    shell.scene.Clear()
    shell.process(0.3)
    ui = panel.ui
    assert panel.exams.pair == (None, None)
    assert rows_of(panel) == [] and ui.lesionsTable.rowCount == 0
    assert ui.statusLabel.text == "" and ui.progressBar.value == 0
    assert not ui.trackAllButton.enabled and not ui.acceptButton.enabled


def test_the_registered_prior_is_laid_over_the_current(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, current, _ = pair
    assert not panel.ui.registrationCheckBox.enabled
    track(panel, shell)
    shell.click(panel.ui.registrationCheckBox)
    composite = shell.compositeNode("MammoTrackerCurrent")
    assert composite.GetForegroundVolumeID() == scene.warped_prior(prior, current).GetID()
    panel.ui.opacitySlider.value = 0.25
    assert composite.GetForegroundOpacity() == pytest.approx(0.25)
    shell.click(panel.ui.registrationCheckBox)
    assert composite.GetForegroundVolumeID() is None


def test_the_modules_own_test_passes_beside_views_that_are_drawn(panel, shell, pair, tmp_path):
    """LiteRT in this process, in which the software OpenGL has drawn already."""
    import MammoTracker

    panel.views.capture(tmp_path / "views.png")
    MammoTracker.MammoTrackerTest().runTest()
    assert shell.messages.pop() == "Test passed"


def test_with_tensorflow_a_script_tracks_in_another_process(shell, pair, tmp_path, monkeypatch):
    """TensorFlow can crash a process that has drawn views; here it does so at once."""
    import MammoTracker
    from MammoTrackerLib import MammoTrackerError

    for package in ("tensorflow", "keras"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(CRASH)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("MAMMOTRACKER_RUNTIME", "tensorflow")
    prior, current, lesion = pair
    with pytest.raises(MammoTrackerError, match="crashed"):
        MammoTracker.MammoTrackerLogic().track(prior, current, [lesion])


def test_a_script_gets_the_same_from_another_process(shell, pair, monkeypatch):
    import MammoTracker
    from MammoTrackerLib import MammoTrackerError, scene

    prior, current, lesion = pair

    def answers():
        (prediction,) = MammoTracker.MammoTrackerLogic().track(prior, current, [lesion])
        grid = scene.registration_of(prior, current).GetTransformToParent()
        return scene.candidates_of(prediction), grid.TransformPoint(0, 0, 0)

    expected = answers()
    monkeypatch.setattr("MammoTrackerPanel.waiting.choose", lambda *_, **__: "tensorflow")
    monkeypatch.setattr("MammoTrackerLib.LesionTracker.load", None)  # it must not be used here
    assert answers() == expected
    outside = slicer_roi_outside(prior)
    with pytest.raises(MammoTrackerError, match="outside"):
        MammoTracker.MammoTrackerLogic().track(prior, current, [outside])


def slicer_roi_outside(volume):
    import slicer

    from MammoTrackerLib import Box, scene

    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Outside")
    scene.place_roi(roi, volume, Box(-90, -90, -10, -10))
    return roi


def test_a_saved_scene_of_a_series_comes_back_as_it_was(panel, shell, followed, tmp_path):
    import slicer

    from MammoTrackerLib import scene

    exams, (mass, _calcs) = followed
    panel.results.select(scene.prediction_of(mass, exams[2]))
    shell.click(panel.ui.acceptButton)
    panel.ui.examsList.item(0).setCheckState(slicer_unchecked())
    rows = rows_of(panel)
    pair = [volume.GetName() for volume in panel.exams.pair]
    assert [cell.split("\n")[0] for cell in rows[0][2:]] == ["found", "accepted", "marked"]
    path = tmp_path / "scene.mrb"
    assert slicer.util.saveScene(str(path))
    shell.scene.Clear()
    shell.process(0.3)
    assert rows_of(panel) == [] and not panel.ui.examsList.visible
    slicer.util.loadScene(str(path))
    shell.wait(lambda: len(rows_of(panel)) == 1)
    assert [row[2:] for row in rows_of(panel)] == [row[2:] for row in rows]
    assert [volume.GetName() for volume in panel.exams.pair] == pair
    assert "Track again" not in panel.ui.reasonLabel.text
    (lesion,) = panel.lesions.rois
    assert scene.is_outdated(lesion) and len(scene.decisions(lesion, panel.exams.series)) == 1


def slicer_unchecked():
    import qt

    return qt.Qt.Unchecked


def test_what_no_registration_holds_for_is_not_laid_over_it(panel, shell, pair):
    import vtk

    from MammoTrackerLib import scene

    prior, current, _ = pair
    track(panel, shell)
    shell.click(panel.ui.registrationCheckBox)
    composite = shell.compositeNode("MammoTrackerCurrent")
    warped = scene.warped_prior(prior, current).GetID()
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 20)
    transform = shell.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(matrix)
    current.SetAndObserveTransformNodeID(transform.GetID())
    shell.process(0.4)
    assert composite.GetForegroundVolumeID() is None
    assert not panel.ui.registrationCheckBox.enabled
    current.SetAndObserveTransformNodeID(None)
    shell.process(0.4)
    assert composite.GetForegroundVolumeID() == warped
    shell.scene.RemoveNode(scene.registration_of(prior, current))
    shell.process(0.4)
    assert composite.GetForegroundVolumeID() is None
    assert not panel.ui.registrationCheckBox.enabled
    track(panel, shell)
    assert composite.GetForegroundVolumeID() == scene.warped_prior(prior, current).GetID()
    shell.click(panel.ui.registrationCheckBox)

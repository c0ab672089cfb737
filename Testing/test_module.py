"""The module as a user meets it: the real panel in a window, clicked, on a real mammogram."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from MammoTrackerLib import Box, Candidate, Status, Track

ROOT = Path(__file__).parents[1]
RESOURCES = ROOT / "MammoTracker" / "Resources"
TRUTH = Box(*json.loads((RESOURCES / "SampleData" / "truth.json").read_text())["current_box"])


@pytest.fixture(scope="module")
def panel(shell):
    """The module's widget, opened once; its worker stays up from test to test."""
    return shell.openModule("MammoTracker")


@pytest.fixture
def pair(shell, panel):
    """The sample pair, selected; afterwards the scene is closed."""
    import MammoTracker

    prior, current, lesion = MammoTracker.loadSamplePair()
    choose(panel, shell, prior, current)
    yield prior, current, lesion
    shell.scene.Clear()
    shell.process()


def choose(panel, shell, prior, current) -> None:
    panel.ui.priorSelector.setCurrentNode(prior)
    panel.ui.currentSelector.setCurrentNode(current)
    shell.wait(lambda: panel.exams.pair == (prior, current))
    shell.process(0.3)


def track(panel, shell) -> None:
    shell.click(panel.ui.trackAllButton)
    assert panel.tracking.running
    shell.wait(lambda: not panel.tracking.running, 120)


def show(panel, lesion, current, answer: Track):
    """Show an answer as the tracker's, select its row, and return its ROI."""
    from MammoTrackerLib import scene

    prediction = scene.show_track(lesion, current, answer)
    panel.results.refresh()
    panel.results.select(prediction)
    return prediction


def rows_of(panel) -> list[list[str]]:
    model = panel.ui.resultsTableView.model()
    return [
        [model.index(row, column).data() or "" for column in range(model.columnCount())]
        for row in range(model.rowCount())
    ]


def test_an_empty_panel_says_what_to_do(panel, shell):
    ui = panel.ui
    assert "Select a prior" in ui.pairLabel.text
    for button in (ui.trackAllButton, ui.cancelButton, ui.exportButton, ui.addLesionButton):
        assert not button.enabled


def test_a_pair_is_shown_side_by_side(panel, shell, pair):
    prior, current, lesion = pair
    assert shell.shownVolumes() == [prior, current]
    assert panel.ui.lesionsTable.item(0, 0).text() == lesion.GetName()
    assert panel.ui.trackAllButton.enabled
    shell.screenshot("/tmp/module-pair.png")


def test_dicom_exams_are_proposed_as_a_pair(panel, shell, tmp_path):
    prior = shell.loadDicom(exam(tmp_path / "a.dcm", year=2020))
    current = shell.loadDicom(exam(tmp_path / "b.dcm", year=2021))
    shell.wait(lambda: panel.exams.pair == (prior, current))
    assert "L MLO" in panel.ui.pairLabel.text
    assert "12 months apart" in panel.ui.pairLabel.text
    shell.scene.Clear()


def test_swapped_dates_are_said_and_mended_by_one_click(panel, shell, tmp_path):
    later = shell.loadDicom(exam(tmp_path / "a.dcm", year=2021))
    earlier = shell.loadDicom(exam(tmp_path / "b.dcm", year=2020))
    choose(panel, shell, later, earlier)
    assert "after the current" in panel.ui.pairLabel.text
    shell.click(panel.ui.swapButton)
    assert panel.exams.pair == (earlier, later)
    assert not panel.ui.swapButton.visible
    shell.scene.Clear()


def test_another_breast_blocks_until_it_is_forced(panel, shell, tmp_path):
    left = shell.loadDicom(exam(tmp_path / "a.dcm", year=2020))
    right = shell.loadDicom(exam(tmp_path / "b.dcm", year=2021, laterality="R"))
    choose(panel, shell, left, right)
    mark(panel, shell, left, Box(300, 400, 380, 480))
    assert "laterality is L" in panel.ui.pairLabel.text
    assert not panel.ui.trackAllButton.enabled
    shell.click(panel.ui.forceCheckBox)
    assert panel.ui.trackAllButton.enabled
    shell.scene.Clear()


def test_a_volume_of_several_slices_is_refused(panel, shell, pair):
    import numpy as np
    import slicer

    stack = slicer.util.addVolumeFromArray(np.zeros((3, 40, 40), np.uint8), name="Stack")
    choose(panel, shell, pair[0], stack)
    assert "no single slice" in panel.ui.pairLabel.text
    assert not panel.ui.trackAllButton.enabled and not panel.ui.forceCheckBox.visible


def test_unknown_spacing_asks_for_a_number_and_keeps_boxes_on_their_pixels(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, current, lesion = pair
    box = scene.box_of(lesion, prior)
    prior.SetSpacing(1, 1, 1)
    scene.place_roi(lesion, prior, box)
    panel.enter()
    ui = panel.ui
    assert ui.spacingWidget.visible and not ui.trackAllButton.enabled
    assert not ui.currentSpacingSpinBox.enabled
    ui.priorSpacingSpinBox.value = 0.15
    shell.click(ui.spacingButton)
    assert prior.GetSpacing()[:2] == pytest.approx((0.15, 0.15))
    assert scene.box_of(lesion, prior).as_tuple() == pytest.approx(box.as_tuple(), abs=0.01)
    assert not ui.spacingWidget.visible and ui.trackAllButton.enabled


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
    panel.lesions.load([path, RESOURCES / "SampleData" / "truth.json"])
    assert panel.ui.lesionsTable.rowCount == 2
    assert "truth.json" in shell.messages.pop()
    own = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Own")
    scene.place_roi(own, prior, Box(300, 500, 350, 560))
    shell.wait(lambda: panel.ui.lesionsTable.rowCount == 3)


def test_a_lesion_is_tracked_and_shown(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, current, lesion = pair
    track(panel, shell)
    (prediction,) = scene.predictions(prior, current)
    assert scene.box_of(prediction, current).iou(TRUTH) > 0.5
    (row,) = rows_of(panel)
    assert row[:5] == ["Lesion 1", "mass", "found", "", f"{scene.score_of(prediction):.2f}"]
    box = scene.box_of(prediction, current)
    assert float(row[5]) == pytest.approx(box.center[0] * 0.15, abs=0.06)
    assert float(row[7]) == pytest.approx(box.width * 0.15, abs=0.06)
    assert prediction.GetDisplayNode().GetColor() == lesion.GetDisplayNode().GetColor()
    assert panel.results.selected is prediction
    assert "CPU" in panel.ui.deviceLabel.text or "GPU" in panel.ui.deviceLabel.text
    assert scene.registration_of(prior, current)
    shell.screenshot("/tmp/module-tracked.png")


def test_the_second_run_uses_the_process_of_the_first(panel, shell, pair):
    track(panel, shell)
    first = panel.tracking.process._child.pid
    track(panel, shell)
    assert panel.tracking.process._child.pid == first


def test_dragging_the_box_corrects_it_and_the_prediction_comes_back(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, current, _ = pair
    track(panel, shell)
    (prediction,) = scene.predictions(prior, current)
    predicted = scene.box_of(prediction, current)
    (before,) = rows_of(panel)
    x, y = predicted.center
    shell.drag(current, (x, y), (x + 20, y + 10))
    moved = scene.box_of(prediction, current)
    assert moved.center[0] - predicted.center[0] == pytest.approx(20, abs=4)
    (row,) = rows_of(panel)
    assert row[3] == "corrected"
    assert float(row[5]) - float(before[5]) == pytest.approx(20 * 0.15, abs=0.7)
    shell.click(panel.ui.restoreButton)
    assert scene.box_of(prediction, current).as_tuple() == pytest.approx(predicted.as_tuple())
    assert rows_of(panel) == [before]


def test_accept_and_reject(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, current, _ = pair
    track(panel, shell)
    (prediction,) = scene.predictions(prior, current)
    shell.click(panel.ui.acceptButton)
    assert rows_of(panel)[0][3] == "accepted"
    shell.click(panel.ui.rejectButton)
    assert rows_of(panel)[0][3] == "rejected" and rows_of(panel)[0][5] == ""
    assert not prediction.GetDisplayNode().GetVisibility()
    shell.click(panel.ui.restoreButton)
    assert rows_of(panel)[0][3] == "" and prediction.GetDisplayNode().GetVisibility()


def test_another_candidate_is_seen_and_taken(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, current, lesion = pair
    candidates = (Candidate(TRUTH, 0.5, 0.9), Candidate(Box(150, 600, 220, 680), 0.3, 0.9))
    box = scene.box_of(lesion, prior)
    answer = Track(box, TRUTH, 0.45, Status.UNCERTAIN, "Two places.", candidates, TRUTH)
    prediction = show(panel, lesion, current, answer)
    assert panel.ui.candidatesList.count == 1
    panel.ui.candidatesList.currentRow = 0
    preview = scene.preview_of(current)
    shell.screenshot("/tmp/module-candidate.png")
    assert scene.box_of(preview, current).iou(candidates[1].box) > 0.99
    shell.click(panel.ui.useCandidateButton)
    assert scene.box_of(prediction, current).iou(candidates[1].box) > 0.99
    assert rows_of(panel)[0][3] == "corrected"
    assert scene.preview_of(current) is None


def test_a_cancelled_run_ends_at_once_and_the_next_one_works(panel, shell, pair):
    shell.click(panel.ui.trackAllButton)
    shell.click(panel.ui.cancelButton)
    assert not panel.tracking.running and panel.ui.statusLabel.text == "Cancelled."
    assert rows_of(panel) == []
    track(panel, shell)
    assert len(rows_of(panel)) == 1


def test_a_killed_process_is_explained_and_replaced(panel, shell, pair):
    track(panel, shell)
    killed = panel.tracking.process._child.pid
    shell.click(panel.ui.trackAllButton)
    os.kill(killed, signal.SIGKILL)
    shell.wait(lambda: not panel.tracking.running)
    assert "killed" in panel.ui.statusLabel.text
    track(panel, shell)
    assert panel.tracking.process._child.pid != killed and panel.ui.progressBar.value == 100


def test_export_writes_table_boxes_and_picture(panel, shell, pair, tmp_path):
    track(panel, shell)
    panel.ui.exportPathLineEdit.currentPath = str(tmp_path)
    shell.click(panel.ui.exportButton)
    assert "4 files" in panel.ui.exportLabel.text
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file))[1:] == rows_of(panel)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "results.csv", "side-by-side.png", "Lesion 1.mrk.json", "Lesion 1 (current).mrk.json",
    }  # fmt: skip


def test_a_saved_scene_comes_back_as_it_was(panel, shell, pair, tmp_path):
    import slicer

    from MammoTrackerLib import scene

    prior, current, _ = pair
    track(panel, shell)
    (prediction,) = scene.predictions(prior, current)
    x, y = scene.box_of(prediction, current).center
    shell.drag(current, (x, y), (x + 15, y - 10))
    box, rows = scene.box_of(prediction, current), rows_of(panel)
    assert rows[0][3] == "corrected"
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


def test_without_tensorflow_tracking_asks_first(panel, shell, pair, monkeypatch):
    from MammoTrackerPanel import installer

    monkeypatch.setattr(installer, "missing", lambda: ["tensorflow>=2.16"])
    shell.answers.append(False)
    shell.click(panel.ui.trackAllButton)
    assert shell.messages.pop()
    assert not panel.tracking.running and not panel.installation.running


def exam(path: Path, year: int, laterality: str = "L") -> Path:
    """Write the sample's prior as a DICOM exam of that year."""
    import datetime

    from MammoTrackerLib import Mammogram
    from MammoTrackerLib.command.simulate import write_dicom

    film = Mammogram.read(RESOURCES / "SampleData" / "MammoTrackerPrior.nrrd")
    date = datetime.date(year, 3, 1)
    write_dicom(
        Mammogram(film.pixels, film.spacing, laterality, "MLO", date, "TEST"), path, "A test"
    )
    return path


def mark(panel, shell, volume, box: Box) -> None:
    import slicer

    from MammoTrackerLib import scene

    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Lesion 1")
    scene.place_roi(roi, volume, box)
    shell.wait(lambda: roi in panel.lesions.rois)


def test_the_modules_own_test_passes():
    # In a process of its own, since it loads TensorFlow.
    program = (
        "import slicer_stand_in; shell = slicer_stand_in.start(); import MammoTracker; "
        "MammoTracker.MammoTrackerTest().runTest(); print(shell.messages.pop())"
    )
    folders = [Path(__file__).parent, ROOT, ROOT / "MammoTracker"]
    path = os.pathsep.join(map(str, folders))
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.stdout.split("\n")[-2:] == ["Test passed", ""], run.stderr[-2000:]


def test_what_was_not_found_has_no_box_until_the_user_draws_it(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, current, lesion = pair
    box = scene.box_of(lesion, prior)
    answer = Track(box, TRUTH, 0.02, Status.NOT_FOUND, "Nowhere.", (Candidate(TRUTH, 0.02),), TRUTH)
    prediction = show(panel, lesion, current, answer)
    assert scene.box_if_placed(prediction) is None
    assert rows_of(panel)[0][2:6] == ["not found", "", "0.02", ""]
    assert not panel.ui.acceptButton.enabled
    shell.click(panel.ui.drawButton)
    shell.clickPixel(current, 190, 1050)
    shell.clickPixel(current, 270, 1130)
    assert scene.box_of(prediction, current).as_tuple() == pytest.approx(
        (190, 1050, 270, 1130), abs=3
    )
    assert rows_of(panel)[0][3] == "corrected"
    assert not panel.ui.drawButton.checked
    shell.click(panel.ui.restoreButton)
    assert scene.box_if_placed(prediction) is None


def test_a_correction_that_is_not_drawn_to_its_end_changes_nothing(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, current, lesion = pair
    box = scene.box_of(lesion, prior)
    answer = Track(box, TRUTH, 0.6, Status.FOUND, "Here.", (Candidate(TRUTH, 0.6),), TRUTH)
    prediction = show(panel, lesion, current, answer)
    before = rows_of(panel)
    shell.click(panel.ui.drawButton)
    shell.clickPixel(current, 190, 1050)
    shell.click(panel.ui.drawButton)
    assert scene.box_of(prediction, current).as_tuple() == pytest.approx(TRUTH.as_tuple())
    assert rows_of(panel) == before

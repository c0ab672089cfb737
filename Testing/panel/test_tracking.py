"""The panel's tracking with the real process: its results, cancelled, and killed."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest
from panel_steps import details_of, rows_of, track
from sample_pair import TRUTH


def test_a_lesion_is_tracked_and_shown(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, current, lesion = pair
    track(panel, shell)
    (prediction,) = scene.predictions(prior, current)
    assert scene.box_of(prediction, current).iou(TRUTH) > 0.5
    box, before = scene.box_of(prediction, current), scene.box_of(lesion, prior)
    longest, was = (b.longest_side((0.15, 0.15)) for b in (box, before))
    (row,) = rows_of(panel)
    assert row[0] == "Lesion 1" and row[1].startswith(f"{longest - was:+.1f} mm\n")
    assert row[2:] == [f"marked\n{was:.1f} mm", f"found\n{longest:.1f} mm"]
    (row,) = details_of(prior, current)
    assert row[:4] == ["Lesion 1", "found", "", f"{scene.score_of(prediction):.4f}"]
    assert float(row[4]) == pytest.approx(longest, abs=0.06) and row[7] == "mass"
    assert float(row[8]) == pytest.approx(box.center[0] * 0.15, abs=0.06)
    assert float(row[10]) == pytest.approx(box.width * 0.15, abs=0.06)
    assert prediction.GetDisplayNode().GetColor() == lesion.GetDisplayNode().GetColor()
    assert panel.results.selected is prediction
    assert "CPU" in panel.ui.deviceLabel.text or "GPU" in panel.ui.deviceLabel.text
    assert scene.registration_of(prior, current)
    shell.screenshot("/tmp/module-tracked.png")


def test_the_second_run_uses_the_process_of_the_first(panel, shell, pair):
    track(panel, shell)
    first = panel.tracking.process._child.pid
    shell.click(panel.ui.trackAllButton)
    assert (panel.ui.progressBar.value, panel.ui.statusLabel.text) == (0, "Starting ...")
    shell.wait(lambda: not panel.tracking.running, 120)
    assert panel.tracking.process._child.pid == first


def test_a_cancelled_run_ends_at_once_and_the_next_one_works(panel, shell, pair):
    shell.click(panel.ui.trackAllButton)
    shell.click(panel.ui.cancelButton)
    assert not panel.tracking.running and panel.ui.statusLabel.text == "Cancelled."
    assert rows_of(panel) == []
    track(panel, shell)
    assert len(rows_of(panel)) == 1


@pytest.mark.parametrize("index", [0, 1], ids=["prior", "current"])
def test_an_exam_that_is_deleted_meanwhile_ends_the_run(panel, shell, pair, index):
    import slicer

    shell.click(panel.ui.trackAllButton)
    shell.scene.RemoveNode(pair[index])
    assert panel.exams.pair[index] is None and panel.exams.pair[1 - index] is pair[1 - index]
    shell.wait(lambda: not panel.tracking.running)
    assert "deleted" in panel.ui.statusLabel.text
    assert not panel.ui.trackAllButton.enabled
    transforms = slicer.util.getNodesByClass("vtkMRMLTransformNode")
    assert not [node for node in transforms if node.GetAttribute("MammoTracker.Role")]
    assert rows_of(panel) == []


def test_a_lesion_that_is_deleted_meanwhile_has_no_result(panel, shell, pair):
    shell.click(panel.ui.trackAllButton)
    shell.scene.RemoveNode(pair[2])
    shell.wait(lambda: not panel.tracking.running)
    assert rows_of(panel) == []


def test_a_killed_process_is_explained_and_replaced(panel, shell, pair):
    track(panel, shell)
    killed = panel.tracking.process._child.pid
    shell.click(panel.ui.trackAllButton)
    os.kill(killed, signal.SIGKILL)
    shell.wait(lambda: not panel.tracking.running)
    assert "killed" in panel.ui.statusLabel.text
    track(panel, shell)
    assert panel.tracking.process._child.pid != killed and panel.ui.progressBar.value == 100


def test_the_results_are_in_sight_at_the_end_also_in_a_small_window(panel, shell, pair):
    shell.window.resize(1280, 600)
    shell.process(0.3)
    track(panel, shell)
    for widget in (panel.ui.resultsTableView, panel.ui.acceptButton, panel.ui.rejectButton):
        assert not widget.visibleRegion().isEmpty()


def test_a_lesion_is_followed_through_all_exams_and_decisions_are_kept(panel, shell, series):
    import slicer

    from MammoTrackerLib import scene

    lesion = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Mass")
    scene.place_roi(lesion, series[3], TRUTH)
    shell.wait(lambda: panel.lesions.rois == [lesion])
    track(panel, shell)
    assert panel.ui.statusLabel.text == "1 lesion tracked." and panel.ui.progressBar.value == 100
    (row,) = rows_of(panel)
    assert [cell.split("\n")[0] for cell in row[2:]] == ["found"] * 3 + ["marked"]
    assert panel.results.selected is scene.prediction_of(lesion, series[2])
    assert scene.registration_of(series[3], series[0])
    assert panel.ui.registrationCheckBox.enabled
    like = scene.prediction_of(lesion, series[0])  # the same image as the marked one
    assert scene.box_of(like, series[0]).iou(TRUTH) > 0.8

    panel.results.select(like)
    x, y = TRUTH.center
    shell.drag(series[0], (x, y), (x + 15, y - 10))
    panel.results.select(scene.prediction_of(lesion, series[1]))
    shell.click(panel.ui.rejectButton)
    corrected = scene.box_of(like, series[0])
    before = scene.box_of(scene.prediction_of(lesion, series[2]), series[2])
    assert [cell.split("\n")[0] for cell in rows_of(panel)[0][2:4]] == ["corrected", "rejected"]
    track(panel, shell)
    assert [cell.split("\n")[0] for cell in rows_of(panel)[0][2:]] == [
        "corrected", "rejected", "found", "marked",
    ]  # fmt: skip
    assert scene.box_of(like, series[0]).as_tuple() == pytest.approx(corrected.as_tuple())
    now = scene.box_of(scene.prediction_of(lesion, series[2]), series[2])
    assert now.iou(before) > 0.5
    assert "Track again" not in panel.ui.reasonLabel.text
    shell.screenshot("/tmp/module-followed.png")


def test_an_exam_of_a_series_that_is_deleted_meanwhile_ends_the_run(panel, shell, series):
    import slicer

    from MammoTrackerLib import scene

    lesion = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Mass")
    scene.place_roi(lesion, series[3], TRUTH)
    shell.wait(lambda: panel.lesions.rois == [lesion])
    shell.click(panel.ui.trackAllButton)
    shell.scene.RemoveNode(series[1])
    shell.wait(lambda: not panel.tracking.running)
    assert "deleted" in panel.ui.statusLabel.text
    assert rows_of(panel) == []


def test_a_lesion_that_cannot_be_tracked_is_named_and_keeps_none_from_it(panel, shell, pair):
    import slicer
    from panel_steps import rows_of

    from MammoTrackerLib import Box, scene

    prior, _, lesion = pair
    tiny = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Tiny")
    scene.place_roi(tiny, prior, Box(300, 500, 302, 502))
    shell.wait(lambda: len(panel.lesions.rois) == 2)
    track(panel, shell)
    assert [row[0] for row in rows_of(panel)] == [lesion.GetName()]
    said = panel.ui.statusLabel.text.split("\n")
    assert said[0] == "1 lesion tracked." and said[1].startswith("The ROI Tiny is too small")
    shell.scene.RemoveNode(lesion)
    shell.process(0.4)
    scene.place_roi(tiny, prior, Box(-300, 500, 100, 560))
    shell.click(panel.ui.trackAllButton)
    assert not panel.tracking.running
    assert panel.ui.statusLabel.text.startswith("The ROI Tiny is outside the image for")


def test_a_correction_that_cannot_be_followed_is_named(panel, shell, followed):
    from panel_steps import rows_of

    from MammoTrackerLib import Box, scene

    exams, (mass, calcs) = followed
    scene.place_roi(scene.prediction_of(mass, exams[1]), exams[1], Box(300, 500, 301, 501))
    shell.process(0.3)
    before = rows_of(panel)[1]
    track(panel, shell)
    said = panel.ui.statusLabel.text.split("\n")
    assert said[0] == "1 lesion tracked." and said[1].startswith(
        "The ROI Mass (exam 2) is too small"
    )
    assert rows_of(panel)[1] == before


def test_what_registration_doubts_is_said_beside_the_exams(panel, shell, pair, monkeypatch):
    emit = panel.tracking.process.onAligned
    doubt = "These two do not look like one breast in one view."
    monkeypatch.setattr(
        panel.tracking.process, "onAligned", lambda grid, _warnings: emit(grid, [doubt])
    )
    track(panel, shell)
    assert doubt in panel.ui.pairLabel.text


def remark_on_each(monkeypatch) -> None:
    from MammoTrackerLib import scene

    read = scene.mammogram_of
    monkeypatch.setattr(
        scene, "mammogram_of", lambda volume: replace(read(volume), remarks=("It was guessed.",))
    )


def test_what_was_guessed_of_a_file_is_said_beside_the_exams(panel, shell, pair, monkeypatch):
    remark_on_each(monkeypatch)
    track(panel, shell)
    for exam in ("prior", "current"):
        assert f"Of the {exam}: It was guessed." in panel.ui.pairLabel.text


def test_two_exams_that_are_one_image_are_said_also_where_no_header_tells_it(panel, shell, pair):
    from slicer.util import arrayFromVolume, updateVolumeFromArray

    prior, current, _lesion = pair
    updateVolumeFromArray(current, arrayFromVolume(prior))
    track(panel, shell)
    assert panel.ui.pairLabel.text.count("Prior and current are one image") == 1


def test_what_was_guessed_of_the_files_of_a_series_is_said(panel, shell, series, monkeypatch):
    import slicer

    from MammoTrackerLib import scene

    remark_on_each(monkeypatch)
    lesion = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Mass")
    scene.place_roi(lesion, series[3], TRUTH)
    shell.wait(lambda: panel.lesions.rois == [lesion])
    track(panel, shell)
    for number in (1, 2, 3, 4):
        assert f"Of exam {number}: It was guessed." in panel.ui.pairLabel.text


def test_what_registration_doubts_is_said_of_each_exam_of_a_series(
    panel, shell, followed, monkeypatch
):
    exams, (mass, _calcs) = followed
    emit, doubt = panel.tracking.process.onRegistered, "These two do not look like one breast."
    monkeypatch.setattr(
        panel.tracking.process, "onRegistered", lambda *args: emit(*args[:3], [doubt])
    )
    track(panel, shell)
    for shown in (1, 0):
        panel.results.selectOn(mass, exams[shown])
        for number in (1, 2, 3):
            assert f"Exams {number} and 4: {doubt}" in panel.ui.pairLabel.text


def test_what_the_user_decided_about_a_pair_stays_when_it_is_tracked_again(panel, shell, pair):
    from MammoTrackerLib import Box, scene

    prior, current, lesion = pair
    track(panel, shell)
    (prediction,) = scene.predictions(prior, current)
    box = scene.box_of(prediction, current)
    moved = Box(box.x0 + 9, box.y0 + 9, box.x1 + 9, box.y1 + 9)
    scene.place_roi(prediction, current, moved)
    shell.process(0.2)
    before = rows_of(panel)
    assert before[0][3].startswith("corrected\n")
    track(panel, shell)
    assert rows_of(panel) == before
    shell.click(panel.ui.restoreButton)
    track(panel, shell)
    assert rows_of(panel)[0][3].startswith("found\n")


def test_a_lesion_may_be_drawn_while_others_are_tracked(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, current, _lesion = pair
    shell.click(panel.ui.trackAllButton)
    shell.click(panel.ui.addLesionButton)
    shell.clickPixel(prior, 236, 968)
    shell.wait(lambda: not panel.tracking.running, 120)
    assert len(scene.predictions(prior, current)) == 1 and panel.lesions.isPlacing
    shell.clickPixel(prior, 296, 1022)
    shell.process(0.2)
    drawn = panel.lesions.rois[1]
    assert not panel.lesions.isPlacing
    assert scene.box_of(drawn, prior).as_tuple() == pytest.approx((236, 968, 296, 1022), abs=4)


def test_a_box_may_be_drawn_while_another_lesion_is_tracked(panel, shell, pair):
    from MammoTrackerLib import Box, scene

    prior, current, lesion = pair
    track(panel, shell)
    other = shell.scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Other")
    scene.place_roi(other, prior, Box(236, 968, 296, 1022))
    shell.process(0.4)
    panel.results.selectOn(lesion, current)
    shell.click(panel.ui.drawButton)
    panel.ui.lesionsTable.selectRow(1)
    shell.click(panel.ui.trackSelectedButton)
    shell.clickPixel(current, TRUTH.x0, TRUTH.y0)
    shell.wait(lambda: not panel.tracking.running, 120)
    assert scene.prediction_of(other, current) and panel.results.isPlacing
    shell.clickPixel(current, TRUTH.x1, TRUTH.y1)
    shell.process(0.2)
    drawn = scene.box_of(scene.prediction_of(lesion, current), current)
    assert drawn.as_tuple() == pytest.approx(TRUTH.as_tuple(), abs=4)
    # Of the answer that is being drawn, a new one ends this.
    shell.click(panel.ui.drawButton)
    panel.ui.lesionsTable.selectRow(0)
    track(panel, shell)
    assert not panel.results.isPlacing

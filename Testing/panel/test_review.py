"""One answer: reviewed, taken from the next best places, and drawn."""

from __future__ import annotations

import pytest
from panel_steps import answer, choose, rows_of, show, track
from sample_pair import TRUTH

from MammoTrackerLib import Box, Candidate, Status, Track


def test_accept_and_reject(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, current, _ = pair
    track(panel, shell)
    (prediction,) = scene.predictions(prior, current)
    shell.click(panel.ui.acceptButton)
    assert rows_of(panel)[0][3].startswith("accepted\n")
    shell.click(panel.ui.rejectButton)
    assert rows_of(panel)[0][3] == "rejected" and rows_of(panel)[0][1] == ""
    assert " mm" not in panel.ui.reasonLabel.text, "the box is hidden"
    assert not prediction.GetDisplayNode().GetVisibility()
    shell.click(panel.ui.restoreButton)
    assert rows_of(panel)[0][3].startswith("found\n")
    assert prediction.GetDisplayNode().GetVisibility()


def test_a_button_keeps_the_focus_for_the_next_lesion(panel, shell, followed):
    exams, (mass, _calcs) = followed
    panel.results.selectOn(mass, exams[1])
    for button in (panel.ui.acceptButton, panel.ui.rejectButton):
        button.setFocus()
        shell.press("Space", button)
        assert button.focus and panel.ui.restoreButton.enabled


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
    assert rows_of(panel)[0][3].startswith("corrected\n")
    assert scene.preview_of(current) is None
    shell.click(panel.ui.acceptButton)
    assert rows_of(panel)[0][3].startswith("corrected\n"), "it is not the tracker's answer"


def test_what_was_not_found_has_no_box_until_the_user_draws_it(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, current, lesion = pair
    box = scene.box_of(lesion, prior)
    answer = Track(box, TRUTH, 0.02, Status.NOT_FOUND, "Nowhere.", (Candidate(TRUTH, 0.02),), TRUTH)
    prediction = show(panel, lesion, current, answer)
    assert scene.box_if_placed(prediction) is None
    assert rows_of(panel)[0][1] == "" and rows_of(panel)[0][3] == "not found"
    assert not panel.ui.acceptButton.enabled
    shell.click(panel.ui.drawButton)
    shell.clickPixel(current, 190, 1050)
    shell.clickPixel(current, 270, 1130)
    assert scene.box_of(prediction, current).as_tuple() == pytest.approx(
        (190, 1050, 270, 1130), abs=3
    )
    assert rows_of(panel)[0][3].startswith("corrected\n")
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


def test_a_preview_ends_when_nothing_is_selected_or_another_pair(panel, shell, pair):

    from MammoTrackerLib import scene

    prior, current, lesion = pair
    show(panel, lesion, current, answer(lesion, prior))
    panel.ui.candidatesList.currentRow = 0
    assert scene.preview_of(current)
    shell.click(panel.ui.sideBySideButton)
    assert scene.preview_of(current) is None
    panel.results.selectOn(lesion, current)
    panel.ui.candidatesList.currentRow = 0
    assert scene.preview_of(current)
    choose(panel, shell, current, prior)
    assert scene.preview_of(current) is None


def test_what_is_said_of_a_box_of_the_user_is_not_the_trackers(panel, shell, pair):
    prior, current, lesion = pair
    show(panel, lesion, current, answer(lesion, prior))
    assert panel.ui.reasonLabel.text.startswith(f"{lesion.GetName()}: Here.\n")
    panel.ui.candidatesList.currentRow = 0
    shell.click(panel.ui.useCandidateButton)
    said = f"{lesion.GetName()}: Corrected. The tracker said: Here.\n"
    assert panel.ui.reasonLabel.text.startswith(said)


def test_drawing_ends_with_another_answer_or_decision(panel, shell, followed):
    from MammoTrackerLib import scene

    exams, (lesion, _other) = followed
    prediction = scene.prediction_of(lesion, exams[1])
    box = scene.box_of(prediction, exams[1])
    ui = panel.ui

    def nextExam():
        shell.press(".")

    def beside():
        ui.currentSelector.setCurrentNode(exams[0])

    def candidate():
        ui.candidatesList.currentRow = 0
        shell.click(ui.useCandidateButton)

    for leave, review in (
        (nextExam, ""), (beside, ""), (lambda: shell.press("X"), "rejected"),
        (lambda: shell.click(ui.restoreButton), ""), (candidate, "corrected"),
    ):  # fmt: skip
        panel.results.selectOn(lesion, exams[1])
        shell.click(ui.drawButton)
        assert panel.results.isPlacing and not scene.is_placed(prediction)
        leave()
        shell.process(0.3)
        assert not panel.results.isPlacing and not ui.drawButton.checked
        assert not ui.resultPlaceWidget.placeModeEnabled
        assert scene.review_of(prediction) == review
        assert scene.box_of(prediction, exams[1]).as_tuple() == pytest.approx(box.as_tuple())


def test_what_slicer_undoes_is_shown(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, current, lesion = pair
    prediction = show(panel, lesion, current, answer(lesion, prior))
    for node in (lesion, prediction, prediction.GetDisplayNode()):
        node.SetUndoEnabled(True)
    found, box = rows_of(panel), scene.box_of(prediction, current)

    def drag(volume, roi):
        x, y = scene.box_of(roi, volume).center
        shell.drag(volume, (x, y), (x + 60, y + 20))

    def drag_lesion():
        panel.ui.lesionsTable.selectRow(0)
        drag(prior, lesion)

    shell.scene.SetUndoOn()
    try:
        for said, change in (
            ("corrected\n", lambda: drag(current, prediction)),
            ("accepted\n", lambda: shell.click(panel.ui.acceptButton)),
            ("rejected", lambda: shell.click(panel.ui.rejectButton)),
            ("outdated", drag_lesion),
        ):
            shell.scene.SaveStateForUndo()
            change()
            shell.process(0.3)
            assert rows_of(panel)[0][3].startswith(said)
            shell.scene.Undo()
            shell.process(0.3)
            assert rows_of(panel) == found and scene.review_of(prediction) == ""
            assert scene.box_of(prediction, current).as_tuple() == pytest.approx(box.as_tuple())
            shell.scene.Redo()
            shell.process(0.3)
            assert rows_of(panel)[0][3].startswith(said)
            shell.scene.Undo()
            shell.process(0.3)
        shell.scene.SaveStateForUndo()
        shell.click(panel.ui.deleteLesionButton)
        shell.process(0.4)
        assert rows_of(panel) == []
        shell.scene.Undo()
        shell.process(0.4)
        assert rows_of(panel) == found
    finally:
        shell.scene.SetUndoOff()

"""The panel's results: corrected, reviewed, taken from the next best places, and drawn."""

from __future__ import annotations

import pytest
from panel_steps import details_of, rows_of, track
from sample_pair import TRUTH

from MammoTrackerLib import Box, Candidate, Status, Track


def show(panel, lesion, current, answer: Track):
    """Show an answer as the tracker's, select its row, and return its ROI."""
    from MammoTrackerLib import scene

    prediction = scene.show_track(lesion, current, answer)
    panel.results.refresh()
    panel.results.select(prediction)
    return prediction


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
    assert row[3].startswith("corrected\n") and row[:3] == before[:3]
    (row,) = details_of(prior, current)
    assert float(row[8]) - predicted.center[0] * 0.15 == pytest.approx(20 * 0.15, abs=0.7)
    shell.click(panel.ui.restoreButton)
    assert scene.box_of(prediction, current).as_tuple() == pytest.approx(predicted.as_tuple())
    assert rows_of(panel) == [before]


def test_accept_and_reject(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, current, _ = pair
    track(panel, shell)
    (prediction,) = scene.predictions(prior, current)
    shell.click(panel.ui.acceptButton)
    assert rows_of(panel)[0][3].startswith("accepted\n")
    shell.click(panel.ui.rejectButton)
    assert rows_of(panel)[0][3] == "rejected" and rows_of(panel)[0][1] == ""
    assert not prediction.GetDisplayNode().GetVisibility()
    shell.click(panel.ui.restoreButton)
    assert rows_of(panel)[0][3].startswith("found\n")
    assert prediction.GetDisplayNode().GetVisibility()


def test_the_columns_are_as_wide_as_their_text(panel, shell, pair):
    prior, current, lesion = pair
    answer = Track(TRUTH, TRUTH, 0.9, Status.FOUND, "Here.", (Candidate(TRUTH, 0.9, 0.9),), TRUTH)
    show(panel, lesion, current, answer)
    shell.drag(current, TRUTH.center, (TRUTH.center[0] + 20, TRUTH.center[1]))
    assert rows_of(panel)[0][3].startswith("corrected\n")
    view = panel.ui.resultsTableView
    for column in range(len(rows_of(panel)[0])):
        assert view.columnWidth(column) >= view.sizeHintForColumn(column)
    assert not view.horizontalScrollBar().visible


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

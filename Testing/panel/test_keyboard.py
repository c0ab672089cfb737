"""The panel's keys: from cell to cell, decisions, next best places, and where they are silent."""

from __future__ import annotations

import pytest


@pytest.fixture
def keys(panel, shell, followed):
    """Return the lesion and the exam that are selected after a key is pressed."""
    from MammoTrackerLib import scene

    exams, _lesions = followed

    def press(key: str) -> tuple[str, int]:
        shell.press(key)
        shown = panel.results.selected
        return scene.lesion_of(shown).GetName(), exams.index(scene.exam_of(shown))

    return press


def test_from_lesion_to_lesion_and_exam_to_exam(panel, keys):
    # The first lesion is marked on the first exam, the second one on the last: these are no stops.
    path = [
        (".", ("Calcs", 1)), (".", ("Calcs", 2)), (".", ("Calcs", 3)), (".", ("Calcs", 3)),
        ("N", ("Mass", 2)), ("N", ("Mass", 2)), (",", ("Mass", 1)), (",", ("Mass", 0)),
        (",", ("Mass", 0)), ("Shift+N", ("Calcs", 1)), ("Shift+N", ("Calcs", 1)),
    ]  # fmt: skip
    for key, selected in path:
        assert keys(key) == selected, key


def test_decisions_and_next_best_places(panel, shell, keys, followed):
    from MammoTrackerLib import scene

    exams, (mass, _calcs) = followed
    assert keys("N") == ("Calcs", 1) and keys("N") == ("Mass", 1)
    roi = scene.prediction_of(mass, exams[1])
    keys("A")
    assert scene.review_of(roi) == "accepted"
    keys("X")
    assert scene.review_of(roi) == "rejected"
    assert panel.ui.candidatesList.count == 1
    keys("C")
    assert panel.ui.candidatesList.currentRow == 0 and scene.preview_of(exams[1])
    keys("C")
    assert panel.ui.candidatesList.currentRow == -1 and scene.preview_of(exams[1]) is None
    keys("C")
    keys("U")
    assert scene.review_of(roi) == "corrected"


def test_they_do_nothing_where_there_are_no_results(panel, shell, pair):
    for key in ("N", ".", "A", "X", "C", "U", "T", "K", "J", "B", "M"):
        shell.press(key)
    assert panel.results.selected is None


def test_they_are_silent_where_text_is_typed_and_outside_of_the_module(panel, shell, keys):
    assert keys(".") == ("Calcs", 1)
    editor = panel.ui.logText
    editor.readOnly = False
    try:
        panel.ui.logCollapsibleButton.collapsed = False
        editor.setFocus()
        shell.press(".", editor)
        assert "." in editor.plainText
    finally:
        editor.readOnly = True
        editor.clear()
        panel.ui.logCollapsibleButton.collapsed = True
    assert panel.results.selected is not None
    panel.exit()
    try:
        assert keys(".") == ("Calcs", 1)
    finally:
        panel.enter()
    assert keys(".") == ("Calcs", 2)


@pytest.mark.parametrize("name", ["lesionsTable", "readingTable", "resultsTableView"])
def test_a_table_is_left_by_tab(panel, shell, followed, name):
    for section in (panel.ui.lesionsCollapsibleButton, panel.ui.readingCollapsibleButton):
        section.collapsed = False
    table = getattr(panel.ui, name)
    table.setFocus()
    shell.press("Tab", table)
    assert not table.focus


def test_the_tool_tips_name_the_keys(panel):
    from MammoTrackerPanel.keyboard import KEYS

    ui = panel.ui
    tips = " ".join(
        widget.toolTip
        for widget in (
            ui.resultsTableView, ui.acceptButton, ui.rejectButton, ui.candidatesList,
            ui.useCandidateButton, ui.readingTable, ui.notThereButton, ui.cannotTellButton,
            ui.commentLineEdit, ui.nextCaseButton, ui.previousCaseButton,
        )
    )  # fmt: skip
    words = {".": "full stop", ",": "comma"}
    for key in KEYS.values():
        assert words.get(key, key) in tips, key

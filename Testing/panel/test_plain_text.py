"""Names, paths and reasons in tool tips and message boxes: as they are, never as HTML."""

from __future__ import annotations

import html
from dataclasses import replace

import pytest
from reading_files import write_pairs
from sample_pair import TRUTH

from MammoTrackerLib import Candidate, Status, Track

IMAGE = '<img src="https://example.org/x.png">'
WRAPPED = '<span style="white-space: pre-wrap">{}</span>'


@pytest.mark.parametrize("text", ["Here.", "R&D, 5 > 4", "a & b\nc", ""])
def test_what_qt_takes_for_plain_stays(shell, panel, text):
    from MammoTrackerPanel.plain_text import plain

    assert plain(text) == text


@pytest.mark.parametrize("text", [IMAGE, "<b>Mass</b>", "&lt;b&gt;", "a\n<b>c", "1 < 2"])
def test_what_qt_may_take_for_html_is_escaped(shell, panel, text):
    from MammoTrackerPanel.plain_text import plain

    assert plain(text) == WRAPPED.format(html.escape(text))


def test_a_reason_is_no_html_in_the_table_and_the_film_strip(panel, shell, followed):
    from MammoTrackerLib import scene

    exams, (mass, _calcs) = followed
    track = Track(TRUTH, TRUTH, 0.9, Status.FOUND, IMAGE, (Candidate(TRUTH, 0.9),), TRUTH)
    scene.show_track(mass, exams[1], replace(track, score=0.4))
    mass.SetName(IMAGE)
    panel.results.refresh()
    panel.results.select(scene.prediction_of(mass, exams[1]))
    shell.process(0.4)
    (row,) = (n for n, roi in enumerate(panel.results._table._lesions) if roi is mass)
    tip = panel.ui.resultsTableView.item(row, 2).toolTip()
    assert tip == WRAPPED.format(html.escape(IMAGE)) == panel.timeLine.strip.buttons[1].toolTip
    assert panel.ui.reasonLabel.text.startswith(f"{IMAGE}: {IMAGE}"), "which is a plain label"


def test_ids_of_a_reading_list_are_no_html(panel, shell, tmp_path):
    from panel_steps import open_list

    open_list(panel, shell, *write_pairs(tmp_path, {"one": [("<b>mass</b>", "found", 0.9)]}))
    table = panel.ui.readingTable
    tips = [table.item(0, column).toolTip() for column in range(table.columnCount)]
    assert WRAPPED.format("&lt;b&gt;mass&lt;/b&gt;") in tips and "<b>mass</b>" not in tips
    shell.click(panel.ui.readingOpenButton)
    shell.scene.Clear()


def test_a_file_is_named_in_a_message_as_it_is(panel, shell, pair, tmp_path):
    path = tmp_path / "<b>mask.png"
    path.write_bytes(b"none")
    panel.lesions.load([path])
    (said,) = shell.messages
    shell.messages.clear()
    assert "&lt;b&gt;mask.png" in said and "<b>" not in said

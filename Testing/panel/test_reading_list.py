"""The reading list as a reader meets it: opened, decided by buttons and keys, left."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from panel_steps import choose, comment, open_list, rows_of, track
from reading_files import OTHER, decided, row_of, write, write_pairs
from sample_pair import SAMPLE, TRUTH


@pytest.fixture
def folder(panel, shell, tmp_path):
    """An empty folder; afterwards the list and the scene are closed."""
    yield tmp_path
    panel.reading.close()
    panel.ui.readerLineEdit.text = ""
    for box, checked in ((panel.ui.goOnCheckBox, True), (panel.ui.undecidedCheckBox, False)):
        box.checked = checked
    panel.ui.readingOrderComboBox.currentIndex = 0
    shell.scene.Clear()
    shell.process(0.3)


@pytest.fixture
def listed(panel, shell, folder):
    """A list of three cases that is open at the worst one; the table of its decisions."""
    open_list(panel, shell, *write_pairs(folder))
    return folder / "reviewed.csv"


def case_of(panel) -> str:
    """Return the name of the case that is shown, by the names of its volumes."""
    names = {volume.GetName().split()[0] for volume in panel.exams.pair if volume}
    return names.pop() if len(names) == 1 else ""


def wait_for(panel, shell, case: str) -> None:
    shell.wait(lambda: case_of(panel) == case, 60)
    shell.process(0.2)


def listed_rows(panel) -> list[list[str]]:
    """Return the rows of the table that are filled, without hidden columns."""
    table = panel.ui.readingTable
    shown = [c for c in range(table.columnCount) if not table.isColumnHidden(c)]
    items = [[table.item(row, column) for column in shown] for row in range(table.rowCount)]
    return [[item.text() for item in row] for row in items if row[0]]


def test_a_case_is_shown_as_if_it_was_tracked_here(panel, shell, listed):
    from MammoTrackerLib import scene

    shell.click(panel.ui.nextCaseButton)
    wait_for(panel, shell, "one")
    prior, current = panel.exams.pair
    assert shell.shownVolumes() == [prior, current]
    mass, calcs = panel.lesions.rois
    assert [roi.GetName() for roi in (mass, calcs)] == ["mass", "calcs"]
    assert scene.lesion_type(calcs) == "calcification" and mass.GetLocked()
    prediction = panel.results.selected
    assert scene.lesion_of(prediction) is mass and scene.exam_of(prediction) is current
    assert scene.box_of(prediction, current).as_tuple() == pytest.approx(TRUTH.as_tuple(), abs=0.01)
    assert [row[3].split("\n")[0] for row in rows_of(panel)] == ["found", "uncertain"]
    assert panel.ui.reasonLabel.text.startswith("mass: It was looked for.")
    assert panel.ui.candidatesList.count == 1
    assert not panel.ui.addLesionButton.enabled and panel.ui.trackAllButton.enabled
    shell.screenshot("/tmp/module-reading-list.png")


def test_the_table_is_in_order_and_says_how_much_is_done(panel, shell, listed):
    ui = panel.ui
    assert listed_rows(panel) == [
        ["two", "mass", "not found", "0.02", ""],
        ["one", "mass", "found", "0.95", ""],
        ["one", "calcs", "uncertain", "0.60", ""],
        ["three", "mass", "found", "0.90", ""],
    ]
    assert ui.readingProgressBar.format == "0 of 4 lesions, 0 of 3 cases"
    assert "reviewed.csv" in ui.readingLabel.text
    ui.readingOrderComboBox.currentIndex = 1
    assert [row[0] for row in listed_rows(panel)] == ["one", "one", "two", "three"]
    shell.press("T")
    wait_for(panel, shell, "three")
    assert listed_rows(panel)[2][4] == "not there" and ui.readingProgressBar.value == 1
    shell.click(ui.undecidedCheckBox)
    assert [row[0] for row in listed_rows(panel)] == ["one", "one", "three"]
    assert ui.readingProgressBar.format == "1 of 4 lesions, 1 of 3 cases"


def test_keys_decide_and_it_goes_on_by_itself(panel, shell, listed):
    assert case_of(panel) == "two"
    shell.press("K")
    assert decided(listed) == {("two", "mass"): "cannot tell"}
    wait_for(panel, shell, "one")
    shell.press("A")
    assert row_of(listed, "one")["current_x0"] == f"{TRUTH.x0:.3f}"
    assert panel.ui.readingTable.currentRow() == 2, "the other lesion of the case"
    shell.press("X")
    wait_for(panel, shell, "three")
    shell.press("T")
    assert decided(listed) == {
        ("one", "mass"): "accepted", ("one", "calcs"): "rejected",
        ("two", "mass"): "cannot tell", ("three", "mass"): "not there",
    }  # fmt: skip
    shell.wait(lambda: panel.ui.readingLabel.text == "All lesions are decided.")
    assert case_of(panel) == "three"
    assert panel.ui.readingProgressBar.format == "4 of 4 lesions, 3 of 3 cases"
    rows = {case: row_of(listed, case) for case in ("one", "two", "three")}
    assert [rows[case]["present"] for case in rows] == ["1", "", "0"]
    assert (rows["two"]["status"], rows["two"]["score"]) == ("not found", "0.0200")


def test_a_dragged_box_is_kept_at_once_and_accepting_goes_on(panel, shell, listed):
    from MammoTrackerLib import scene

    shell.click(panel.ui.nextCaseButton)
    wait_for(panel, shell, "one")
    current, prediction = panel.exams.pair[1], panel.results.selected
    x, y = TRUTH.center
    shell.drag(current, (x, y), (x + 20, y + 10))
    shell.wait(lambda: decided(listed) == {("one", "mass"): "corrected"})
    shell.process(0.8)
    assert panel.results.selected is prediction, "it may be dragged further"
    shell.press("A")
    assert panel.results.selected is not prediction
    row, box = row_of(listed, "one"), scene.box_of(prediction, current)
    assert row["decision"] == "corrected" and row["current_x0"] == f"{box.x0:.3f}"
    assert box.center[0] - x == pytest.approx(20, abs=4)


def test_another_candidate_and_a_drawn_box_are_corrections(panel, shell, listed):
    assert not panel.ui.acceptButton.enabled, "it was not found"
    current = panel.exams.pair[1]
    shell.click(panel.ui.drawButton)
    shell.clickPixel(current, 190, 1050)
    shell.clickPixel(current, 270, 1130)
    wait_for(panel, shell, "one")
    row = row_of(listed, "two")
    assert row["decision"] == "corrected" and float(row["current_x0"]) == pytest.approx(190, abs=3)
    shell.press("C")
    shell.press("U")
    row = row_of(listed, "one")
    assert row["decision"] == "corrected" and row["current_x1"] == f"{OTHER.x1:.3f}"
    assert case_of(panel) == "one", "the second lesion is not decided"


def test_back_shows_the_decision_which_can_be_changed_and_undone(panel, shell, listed):
    ui = panel.ui
    assert not ui.previousCaseButton.enabled
    shell.press("J")
    wait_for(panel, shell, "one")
    x, y = TRUTH.center
    shell.drag(panel.exams.pair[1], (x, y), (x + 20, y))
    shell.press("A")
    shell.press("K")
    wait_for(panel, shell, "three")
    shell.press("B")
    wait_for(panel, shell, "one")
    assert [row[3].split("\n")[0] for row in rows_of(panel)] == ["corrected", "cannot tell"]
    before = row_of(listed, "one")
    shell.click(ui.goOnCheckBox)
    shell.press("X")
    assert row_of(listed, "one")["decision"] == "rejected"
    shell.press("B")
    wait_for(panel, shell, "two")
    assert not ui.previousCaseButton.enabled
    ui.readingTable.selectRow(1)
    wait_for(panel, shell, "one")
    shell.click(ui.restoreButton)
    assert ("one", "mass") not in decided(listed)
    assert rows_of(panel)[0][3].startswith("found\n")
    shell.press("A")
    row = row_of(listed, "one")
    assert row["decision"] == "accepted" and row["current_x0"] != before["current_x0"]


def test_it_stays_where_it_is_if_the_reader_wants(panel, shell, listed):
    shell.click(panel.ui.goOnCheckBox)
    shell.press("T")
    shell.process(1.0)
    assert case_of(panel) == "two" and decided(listed) == {("two", "mass"): "not there"}
    shell.press("J")
    wait_for(panel, shell, "one")
    shell.press("A")
    assert panel.ui.readingTable.currentRow() == 1


def test_the_next_case_is_read_ahead_and_opens_at_once(panel, shell, listed):
    reader, names = panel.reading._reader, panel.reading._names
    cases = {case.name: names[id(case)] for case in panel.reading._list.cases}
    for following in ("one", "three"):
        shell.wait(lambda name=following: reader.isReady(cases[name]), 60)
        panel.ui.nextCaseButton.click()
        assert case_of(panel) == following, "no event of Qt was needed"
    assert set(reader._ready) <= {cases["three"], cases["one"], cases["two"]}
    shell.wait(lambda: reader.isReady(cases["two"]), 60)
    panel.ui.previousCaseButton.click()
    assert case_of(panel) == "one", "the one before is kept"


def test_a_comment_is_kept_with_the_decision(panel, shell, listed):
    ui = panel.ui
    shell.press("M")
    for key in "Ax":
        shell.press(key, ui.commentLineEdit)
    shell.press("Return", ui.commentLineEdit)
    assert decided(listed) == {("two", "mass"): ""} and ui.commentLineEdit.text.lower() == "ax"
    assert ui.readingProgressBar.value == 0, "a comment decides nothing"
    shell.press("T")
    assert row_of(listed, "two")["comment"].lower() == "ax"
    wait_for(panel, shell, "one")
    assert ui.commentLineEdit.text == ""
    shell.press("B")
    wait_for(panel, shell, "two")
    ui.commentLineEdit.text = "=other words"
    ui.commentLineEdit.setFocus()
    shell.click(ui.nextCaseButton)
    wait_for(panel, shell, "one")
    row = row_of(listed, "two")
    assert (row["comment"], row["decision"]) == ("'=other words", "not there")


def test_a_comment_on_what_is_not_decided_is_kept_and_comes_back(panel, shell, folder):
    ui, files = panel.ui, write_pairs(folder)
    table = folder / "reviewed.csv"
    open_list(panel, shell, *files)
    panel.reading._table._actions["comment"].trigger()
    try:
        comment(panel, "ask the others")
        shell.click(ui.nextCaseButton)
        wait_for(panel, shell, "one")
        assert ui.commentLineEdit.text == ""
        comment(panel, "of the mass")
        ui.readingTable.selectRow(2)
        assert ui.commentLineEdit.text == ""
        comment(panel, "is typed while the list is closed")
        ui.readingOpenButton.click()
        assert set(decided(table).values()) == {""} and len(decided(table)) == 3
        assert row_of(table, "two")["comment"] == "ask the others"
        assert row_of(table, "one", "calcs")["comment"] == "is typed while the list is closed"

        open_list(panel, shell, *files)
        assert case_of(panel) == "two" and ui.commentLineEdit.text == "ask the others"
        assert ui.readingProgressBar.format == "0 of 4 lesions, 0 of 3 cases"
        assert [row[4:] for row in listed_rows(panel)] == [
            ["", "ask the others"], ["", "of the mass"],
            ["", "is typed while the list is closed"], ["", ""],
        ]  # fmt: skip
        shell.click(ui.undecidedCheckBox)
        assert len(listed_rows(panel)) == 4
        shell.screenshot("/tmp/module-reading-comments.png")
        shell.press("T")
        wait_for(panel, shell, "one")
        assert panel.results.selected and rows_of(panel)[0][3].startswith("found\n")
        comment(panel, "")
        shell.press("J")
        wait_for(panel, shell, "three")
        assert decided(table) == {("two", "mass"): "not there", ("one", "calcs"): ""}
        assert row_of(table, "two")["comment"] == "ask the others"
        shell.press("B")
        wait_for(panel, shell, "one")
        shell.press("B")
        wait_for(panel, shell, "two")
        shell.click(ui.restoreButton)
        assert decided(table)["two", "mass"] == ""
        assert row_of(table, "two")["comment"] == ui.commentLineEdit.text == "ask the others"
    finally:
        panel.reading._table._actions["comment"].trigger()


def test_the_user_chooses_columns(panel, shell, listed):
    actions = panel.reading._table._actions
    chosen = {name: action.checked for name, action in actions.items()}
    try:
        actions["type"].trigger()
        actions["probability"].trigger()
        assert listed_rows(panel)[0] == ["two", "mass", "mass", "not found", ""]
        shell.press("K")
        wait_for(panel, shell, "one")
        table = panel.ui.readingTable
        for column in range(table.columnCount):
            wanted = table.sizeHintForColumn(column)
            assert table.isColumnHidden(column) or table.columnWidth(column) >= wanted
        assert not table.horizontalScrollBar().visible
    finally:
        for name, action in actions.items():
            action.checked = chosen[name]


def test_two_readers_write_two_tables(panel, shell, folder):
    files = write_pairs(folder)
    open_list(panel, shell, *files, reader="Anna")
    shell.press("T")
    shell.click(panel.ui.readingOpenButton)
    open_list(panel, shell, *files, reader="Ben")
    assert panel.ui.readingProgressBar.value == 0
    shell.press("K")
    shell.click(panel.ui.readingOpenButton)
    assert decided(folder / "reviewed-Anna.csv") == {("two", "mass"): "not there"}
    assert decided(folder / "reviewed-Ben.csv") == {("two", "mass"): "cannot tell"}
    open_list(panel, shell, *files, reader="Anna")
    assert panel.ui.readingProgressBar.value == 1 and case_of(panel) == "one"


def test_what_cannot_be_opened_is_said(panel, shell, folder):
    ui = panel.ui
    manifest, results = write_pairs(folder)
    open_list(panel, shell, manifest, "")
    assert "Choose the manifest" in ui.readingLabel.text
    other = write(folder / "other.csv", ["pair_id"], [])
    open_list(panel, shell, manifest, other)
    assert "lacks the columns" in ui.readingLabel.text
    open_list(panel, shell, manifest, results, reader="../x")
    assert "reader's name" in ui.readingLabel.text
    assert ui.readingOpenButton.text == "Open list" and ui.readingTable.rowCount == 0


def test_exams_that_cannot_be_read_are_said_and_the_list_goes_on(panel, shell, folder):
    broken = folder / "broken.png"
    broken.write_bytes((SAMPLE / "MammoTrackerPrior.nrrd").read_bytes()[:2000])
    open_list(panel, shell, *write_pairs(folder, two=broken))
    assert "broken.png" in panel.ui.readingLabel.text and case_of(panel) == ""
    assert not panel.ui.notThereButton.enabled
    shell.press("K")
    assert decided(folder / "reviewed.csv") == {("two", "mass"): "cannot tell"}
    wait_for(panel, shell, "one")
    shell.press("B")
    shell.wait(lambda: "broken.png" in panel.ui.readingLabel.text)
    assert case_of(panel) == ""
    panel.ui.readingTable.selectRow(3)
    wait_for(panel, shell, "three")


def test_a_reading_process_that_is_killed_is_started_again(panel, shell, listed):
    os.kill(panel.reading._reader._child.pid, signal.SIGKILL)
    panel.ui.readingTable.selectRow(3)
    shell.wait(lambda: case_of(panel) == "three" or "ended" in panel.ui.readingLabel.text, 60)
    panel.ui.readingTable.selectRow(1)
    wait_for(panel, shell, "one")


def test_what_was_not_tracked_yet_can_be_tracked_here(panel, shell, folder):
    cases = {"new": [("mass", "", 0)], "known": [("mass", "found", 0.9)]}
    open_list(panel, shell, *write_pairs(folder, cases))
    assert [row[2] for row in listed_rows(panel)] == ["found", "not tracked yet"]
    shell.press("J")
    wait_for(panel, shell, "new")
    assert rows_of(panel) == [] and [roi.GetName() for roi in panel.lesions.rois] == ["mass"]
    track(panel, shell)
    assert rows_of(panel)[0][3].startswith("found")
    shell.press("A")
    row = row_of(folder / "reviewed.csv", "new")
    assert (row["decision"], row["status"]) == ("accepted", "found") and float(row["score"]) > 0.8
    wait_for(panel, shell, "known")
    panel.ui.readingTable.selectRow(1)
    wait_for(panel, shell, "new")
    assert rows_of(panel)[0][3].startswith("accepted")
    shell.press("T")
    assert decided(folder / "reviewed.csv")["new", "mass"] == "not there"


def test_the_users_own_scene_stays_and_nothing_else(panel, shell, pair, folder):
    import slicer

    from MammoTrackerLib import Box, scene

    prior, current, lesion = pair
    own = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Mine")
    scene.place_roi(own, prior, Box(100, 500, 200, 700))
    own.SetAttribute("MammoTracker.Role", None)
    scene.claim_lesion(own, prior)
    panel.exams.look()
    shell.process(0.5)
    free = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Nobody's")
    scene.place_roi(free, current, Box(100, 500, 200, 700))
    before = names_in(shell)
    open_list(panel, shell, *write_pairs(folder))
    counts = []
    for _ in range(5):
        shell.press("J")
        shell.process(0.5)
        counts.append(len(names_in(shell)))
    shell.wait(lambda: case_of(panel) != "")
    assert max(counts) - min(counts) <= 4, "a lesion more or less, each with its answer"
    assert {prior, current} <= set(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"))
    shell.click(panel.ui.readingOpenButton)
    shell.process(0.3)
    assert set(names_in(shell)) ^ set(before) == set()
    assert panel.exams.pair == (prior, current)
    assert panel.lesions.rois[:2] == [lesion, own] and free.GetScene()
    assert not panel.ui.examsCollapsibleButton.collapsed and panel.ui.addLesionButton.enabled


def names_in(shell) -> list[str]:
    nodes = (shell.scene.GetNthNode(k) for k in range(shell.scene.GetNumberOfNodes()))
    return sorted(f"{node.GetClassName()} {node.GetName()}" for node in nodes)


def test_memory_is_flat(panel, shell, listed):
    def resident_mb() -> float:
        status = Path("/proc/self/status")
        if not status.exists():
            pytest.skip("memory is only known on Linux")
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    used, images = [], 2 * 1.5
    for _ in range(16):
        shown = case_of(panel)
        panel.ui.nextCaseButton.click()
        shell.wait(lambda shown=shown: case_of(panel) not in ("", shown), 60)
        used.append(resident_mb())
    assert used[-1] - used[7] < 5 * images, used


def test_a_series_is_decided_exam_by_exam(panel, shell, folder, exam_files):
    from MammoTrackerLib import scene
    from MammoTrackerLib.command.tables.columns import BOX_COLUMNS, SERIES

    rows, results = [], []
    for year in (2019, 2022, 2024):
        row = {"exam_group": "woman", "lesion_id": "mass", "exam": str(exam_files[year])}
        box = TRUTH.as_tuple() if year == 2024 else ("",) * 4
        rows.append(row | dict(zip(BOX_COLUMNS, box, strict=True)))
        answer = {"status": "found", "score": "0.9", "message": "Here."}
        results.append(row | answer | dict(zip(BOX_COLUMNS, TRUTH.as_tuple(), strict=True)))
    manifest = write(folder / "manifest.csv", SERIES.manifest, rows)
    open_list(panel, shell, manifest, write(folder / "results.csv", SERIES.results, results))
    shell.wait(lambda: len(panel.exams.series) == 3)
    exams = panel.exams.series
    assert [volume.GetName() for volume in exams] == [f"woman exam {k}" for k in (1, 2, 3)]
    assert panel.exams.pair == (exams[2], exams[0])
    # What is decided is what is to be seen.
    choose(panel, shell, exams[2], exams[1])
    shell.press("T")
    assert not (folder / "reviewed.csv").exists() and not panel.ui.notThereButton.enabled
    panel.ui.readingTable.selectRow(1)
    panel.ui.readingTable.selectRow(0)
    assert panel.exams.pair == (exams[2], exams[0]) and panel.ui.notThereButton.enabled
    shell.press("A")
    assert panel.exams.pair == (exams[2], exams[1])
    shell.press("T")
    assert decided(folder / "reviewed.csv") == {
        ("woman: 3>1", "mass"): "accepted", ("woman: 3>2", "mass"): "not there",
    }  # fmt: skip
    shell.process(0.5)
    (lesion,) = panel.lesions.rois
    assert scene.decisions(lesion, exams)[1] is None
    shell.screenshot("/tmp/module-reading-series.png")
    table = panel.ui.readingTable
    assert [column for column in range(8) if table.isColumnHidden(column)] == [3, 7]
    assert table.columnWidth(6) >= table.sizeHintForColumn(6)
    shell.click(panel.ui.readingOpenButton)
    shell.process(0.3)
    assert not [name for name in names_in(shell) if "woman" in name or "MammoTracker exams" in name]


def test_closing_the_scene_closes_the_case_not_the_list(panel, shell, listed):
    shell.press("T")
    shell.scene.Clear()
    shell.process(0.5)
    assert decided(listed) == {("two", "mass"): "not there"}
    assert panel.ui.readingTable.rowCount == 4
    panel.ui.readingTable.selectRow(0)
    wait_for(panel, shell, "two")
    assert rows_of(panel)[0][3] == "not there"


def test_another_pair_can_be_looked_at_while_the_list_is_open(panel, shell, listed):
    import MammoTracker

    prior, current, lesion = MammoTracker.loadSamplePair()
    choose(panel, shell, prior, current)
    assert panel.ui.addLesionButton.enabled and panel.lesions.rois == [lesion]
    assert not panel.ui.notThereButton.enabled
    shell.press("T")
    assert decided(listed) == {}
    panel.ui.readingTable.selectRow(1)
    wait_for(panel, shell, "one")
    panel.ui.readingTable.selectRow(2)
    choose(panel, shell, prior, current)
    panel.ui.readingTable.selectRow(1)
    assert case_of(panel) == "one" and panel.ui.notThereButton.enabled
    choose(panel, shell, prior, current)
    shell.press("J")
    wait_for(panel, shell, "three")
    assert prior.GetScene() and lesion.GetScene()

"""`mammotracker batch` with a manifest of series."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from command_line import SPACING, Pair, read_table, write_table

from MammoTrackerLib import Box
from MammoTrackerLib.command.batch import series_rows
from MammoTrackerLib.command.cli import main
from MammoTrackerLib.command.tables.columns import SERIES
from MammoTrackerLib.metrics import center_distance

CORNERS = ("x0", "y0", "x1", "y1")


@pytest.fixture
def table(pair: Pair, tmp_path: Path) -> Path:
    """Two lesions on two exams, the second without a box; a series with a missing file; another."""
    box = {name: str(v) for name, v in zip(CORNERS, pair.box.as_tuple(), strict=True)}
    empty = dict.fromkeys(CORNERS, "")
    base = {"lesion_id": "1", "lesion_type": "mass", "spacing_mm": str(SPACING), "date": ""}
    later = {"exam": str(pair.current), "date": "2021-05-01"}
    first = {"exam": str(pair.prior), "date": "2020-05-01"}
    rows = [
        {"exam_group": "a"} | base | later | empty,
        {"exam_group": "a"} | base | first | box,
        {"exam_group": "a"} | base | {"lesion_id": "2"} | later | empty,
        {"exam_group": "a"} | base | {"lesion_id": "2"} | first | empty,
        {"exam_group": "b"} | base | first | box,
        {"exam_group": "b"} | base | later | {"exam": "missing.png"} | empty,
        {"exam_group": "=c"} | base | first | empty,
        {"exam_group": "=c"} | base | later | {"date": "nonsense"} | box,
    ]
    path = tmp_path / "series.csv"
    return write_table(path, rows)


def test_a_row_each_is_answered_and_failures_say_why(table, pair):
    out = table.with_name("out.csv")
    assert main(["batch", str(table), "--out", str(out)]) == 0
    rows = read_table(out)
    assert list(rows[0]) == list(SERIES.results)
    given = read_table(table)
    for row, asked in zip(rows, given, strict=True):
        assert row["lesion_id"] == asked["lesion_id"] and row["exam"] == asked["exam"]
    found, marked, no_box, *_ = rows
    assert (found["number"], marked["number"]) == ("2", "1"), "by their dates"
    assert marked["by_user"] == "1" and found["reached_from"] == "1"
    assert found["status"] == "found" and float(found["years"]) == pytest.approx(1, abs=0.01)
    box = Box(*(float(found[name]) for name in CORNERS))
    assert center_distance(box, pair.truth, (SPACING, SPACING)) < 3
    assert found["total_verdict"] and float(found["error_mm"]) > 0
    assert no_box["status"] == "failed" and "no box" in no_box["message"]
    assert [row["status"] for row in rows[4:]] == ["failed"] * 4
    assert "missing.png" in rows[4]["message"]
    assert rows[6]["exam_group"] == "'=c" and "YYYY-MM-DD" in rows[6]["message"]
    assert "nonsense" not in rows[6]["message"]


def test_exams_that_differ_are_counted_in_an_order_that_is_said(table, pair):
    rows = read_table(table)[:2]
    rows[0]["exam"] = str(pair.current_dicom)
    other = pydicom.dcmread(pair.prior_dicom)
    other.ImageLaterality = "R"
    other.save_as(table.with_name("other.dcm"))
    rows[1]["exam"] = "other.dcm"
    for answer in answers_of(table, rows):
        assert "exam 1 is R, and that of exam 2 is L" in answer["message"]
        assert answer["message"].endswith("as given: 2 1.")


def test_an_ended_run_goes_on_in_the_middle_of_a_series(table):
    out = table.with_name("out.csv")
    assert main(["batch", str(table), "--out", str(out)]) == 0
    whole = out.read_text().splitlines(keepends=True)
    out.write_text("".join(whole[:2]))
    assert main(["batch", str(table), "--out", str(out), "--resume"]) == 0

    def untimed(lines):
        column = SERIES.results.index("seconds")
        return [line.split(",")[:column] for line in lines]

    assert untimed(out.read_text().splitlines(keepends=True)) == untimed(whole)
    rows = read_table(table)
    rows[0]["x0"], rows[0]["y0"], rows[0]["x1"], rows[0]["y1"] = "5", "5", "90", "90"
    write_table(table, rows)
    before = read_table(out)
    assert main(["batch", str(table), "--out", str(out), "--resume"]) == 0
    same = [row == other for row, other in zip(read_table(out), before, strict=True)]
    group = [row["exam_group"] for row in rows]
    assert same == [name != group[0] for name in group], "a series is done anew as a whole"


def test_a_series_is_followed_once(table, pair, monkeypatch):
    from MammoTrackerLib import LesionTracker

    read = []
    real = series_rows.read_exam
    monkeypatch.setattr(series_rows, "read_exam", lambda *a: read.append(a[0]) or real(*a))
    find = series_rows.series_follower(LesionTracker(), table.parent, False)
    rows = read_table(table)
    group = [row for row in rows if row["exam_group"] == "a"]
    results = [find(row, group) for row in group]
    assert len(read) == 2
    assert [row["status"] for row in results] == ["found", "found", "failed", "failed"]


def test_what_one_row_says_of_an_exam_or_lesion_counts_for_all(table, pair):
    rows = read_table(table)[:2]
    for row in rows:
        row["lesion_id"] = "9"
        assert row["lesion_type"] and row["spacing_mm"] and row["date"]
    said = ("lesion_type", "spacing_mm", "date")
    unsaid = [row | dict.fromkeys(said, "") | {"lesion_id": "0"} for row in rows]
    rows[0] |= {"lesion_type": ""}
    answers = answers_of(table, unsaid + rows)
    assert [row["status"] for row in answers] == ["found"] * 4
    alone = answers_of(table, [read_table(table)[k] | {"lesion_id": "9"} for k in range(2)])
    for name in ("x0", "years", "longest_mm", "error_mm"):
        assert [row[name] for row in answers[2:]] == [row[name] for row in alone], name
    differ = answers_of(table, [unsaid[0], unsaid[1] | {"spacing_mm": "0.09"}, *rows])
    assert {row["status"] for row in differ} == {"failed"}
    assert "differ in spacing_mm" in differ[0]["message"]


def test_what_is_wrong_with_one_lesion_stops_no_other(table):
    right = read_table(table)[:2]
    wrong = [
        dict.fromkeys(CORNERS, "SECRET") | {"lesion_id": "no number"},
        dict(zip(CORNERS, ("-500", "-500", "-400", "-400"), strict=True)) | {"lesion_id": "off"},
        dict(zip(CORNERS, ("5", "5", "6", "6"), strict=True)) | {"lesion_id": "small"},
        {"lesion_type": "calcification", "lesion_id": "two types"},
    ]
    rows = [row for change in wrong for row in (right[0] | {"lesion_id": change["lesion_id"]},
                                                right[1] | change)]  # fmt: skip
    twice = right[1] | {"lesion_id": "two boxes"}
    rows += [twice, twice | {"x0": "180"}]
    answers = answers_of(table, rows + right)
    assert [row["status"] for row in answers] == ["failed"] * 10 + ["found"] * 2
    for number, message in (
        (0, "four numbers"), (2, "outside"), (4, "too small"), (6, "differ in lesion_type"),
        (8, "two boxes on one exam"),
    ):  # fmt: skip
        assert message in answers[number]["message"]
        assert answers[number + 1]["message"] == answers[number]["message"]
    assert answers[10]["x0"] == answers_of(table, right)[0]["x0"]


def test_a_row_twice_is_answered_twice(table):
    right = read_table(table)[:2]
    answers = answers_of(table, [right[0], right[1], right[1]])
    assert [row["status"] for row in answers] == ["found"] * 3


def test_a_series_in_two_places_of_the_table_is_refused(table, capsys):
    """Each part would be a series of its own, with other years and other changes."""
    rows = read_table(table)
    write_table(table, [rows[0], rows[1], *rows[4:], rows[2], rows[3]])
    out = table.with_name("out.csv")
    assert main(["batch", str(table), "--out", str(out)]) == 2
    assert "line 8: the series of this row is there before" in capsys.readouterr().err
    assert not out.exists()


def answers_of(table: Path, rows: list[dict]) -> list[dict]:
    """Return the results of one series."""
    from MammoTrackerLib import LesionTracker

    find = series_rows.series_follower(LesionTracker(), table.parent, False)
    return [find(row, rows) for row in rows]

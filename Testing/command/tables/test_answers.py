"""Rows of results, found for those of a table: by names, boxes, spacings and images."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_line import assert_refused, cells, read_table, write_table

from MammoTrackerLib import MammoTrackerError
from MammoTrackerLib.command.cli import main
from MammoTrackerLib.command.readers.reading_list import ReadingList
from MammoTrackerLib.command.tables.answers import Answers
from MammoTrackerLib.command.tables.columns import (
    BOX_COLUMNS,
    MANIFEST_COLUMNS,
    PRIOR_BOX_COLUMNS,
    RESULT_COLUMNS,
    SERIES,
    TRUTH_COLUMNS,
)
from MammoTrackerLib.command.tables.fingerprints import fingerprints
from MammoTrackerLib.command.tables.rows import read_rows


def asked(lesion: str, box: tuple[float, ...], **cells: str) -> dict:
    """Return a manifest's row; the truth is where the box is."""
    row = dict.fromkeys((*MANIFEST_COLUMNS, *TRUTH_COLUMNS), "") | {"pair_id": "p"}
    row |= {"lesion_id": lesion, "prior": "a/x.png", "current": "b/x.png"}
    row |= {"prior_spacing_mm": "0.10", "current_spacing_mm": "0.1"}
    row |= dict(zip(PRIOR_BOX_COLUMNS, map(str, box), strict=True))
    return row | dict(zip(TRUTH_COLUMNS, map(str, box), strict=True)) | cells


def answer(row: dict, folder: Path, at: tuple[float, ...]) -> dict:
    """Return a row of results; it says that the lesion is at a place."""
    result = dict.fromkeys(RESULT_COLUMNS, "") | {"seconds": "1", "status": "found", "score": "0.9"}
    result |= {name: row[name] for name in ("pair_id", "lesion_id")}
    result |= dict(zip(BOX_COLUMNS, map(str, at), strict=True))
    result |= {f"registration_{name}": result[name] for name in BOX_COLUMNS}
    return result | {"fingerprint": fingerprints(folder, False)(row)}


@pytest.fixture
def tables(tmp_path):
    """Four rows of one pair with one name, of which the box alone tells, in two tables."""
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_text(f"an image of {name}")
    boxes = [(k, k, k + 30, k + 20) for k in (10, 40, 80, 120)]
    rows = [asked("1", box) for box in boxes]
    manifest, results = tmp_path / "m.csv", tmp_path / "r.csv"
    write_table(manifest, rows)
    write_table(results, [answer(row, tmp_path, box) for row, box in zip(rows, boxes, strict=True)])
    return manifest, results


def found(manifest: Path, results: Path) -> list[bool | None]:
    """Return for each row whether it got its own answer; None without one."""
    answers = Answers(results, RESULT_COLUMNS, manifest)
    got = []
    for row in read_rows(manifest, MANIFEST_COLUMNS):
        result = answers.find(row)
        own = float(row["prior_x0"])
        got.append(None if result is None else float(result["x0"]) == own)
    return got


def test_rows_are_told_apart_by_their_boxes_in_any_order(tables):
    manifest, results = tables
    rows, answers = read_table(manifest), read_table(results)
    assert found(manifest, results) == [True] * 4
    write_table(results, answers[::-1])
    assert found(manifest, results) == [True] * 4
    write_table(manifest, [rows[k] for k in (2, 0, 3)])
    assert found(manifest, results) == [True] * 3
    # As a spreadsheet saves them: numbers lose or get zeros, paths may be written in another way.
    plain = {"prior_x0": f"{float(rows[1]['prior_x0']):.3f}", "prior_spacing_mm": "0.1"}
    write_table(manifest, [rows[1] | plain | {"current": "./b//x.png"}])
    assert found(manifest, results) == [True]
    write_table(manifest, [rows[1] | {"current": str(manifest.parent / "b" / "x.png")}])
    assert found(manifest, results) == [True]


def test_a_row_twice_gets_its_answer_twice(tables, capsys):
    manifest, results = tables
    rows, answers = read_table(manifest), read_table(results)
    write_table(manifest, [rows[0], rows[0], rows[1]])
    write_table(results, [answers[0], answers[0], answers[1]])
    assert main(["evaluate", str(manifest), str(results)]) == 0
    assert "skipped" not in capsys.readouterr().out
    # As in the tables of two readers, put into one: a copy of an image is that image.
    (manifest.parent / "d").mkdir()
    shutil.copy(manifest.parent / "b" / "x.png", manifest.parent / "d")
    write_table(manifest, [rows[0], rows[0] | {"current": "d/x.png"}, rows[1]])
    write_table(results, answers[:2])
    assert found(manifest, results) == [True] * 3
    write_table(manifest, [rows[0], rows[0], rows[1]])
    write_table(results, [answers[1], answers[0]])
    assert found(manifest, results) == [True] * 3


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"prior_x0": "11"}, "another box or spacing"),
        ({"current_spacing_mm": "0.2"}, "another box or spacing"),
        ({"current": "c/x.png"}, "another image"),
    ],
)
def test_an_answer_to_another_row_of_that_name_is_refused(tables, capsys, change, what):
    manifest, results = tables
    rows = read_table(manifest)
    write_table(manifest, [rows[0], rows[1] | change])
    write_table(results, read_table(results)[:2])
    words = (what, "r.csv, line 3", "m.csv, line 3", "--resume")
    assert_refused(["evaluate", str(manifest), str(results)], capsys, *words)
    argv = ["report", str(results), "--manifest", str(manifest), "--out"]
    assert_refused([*argv, str(manifest.parent / "report")], capsys, *words)
    assert not (manifest.parent / "report").exists()
    write_table(manifest, read_table(manifest)[1:])
    write_table(results, read_table(results)[1:])
    with pytest.raises(MammoTrackerError, match=what):
        opened = ReadingList(manifest, results)
        try:
            opened.track_of(opened.items[0])
        finally:
            opened.close()


def test_images_that_are_not_at_hand_leave_names_and_numbers_to_tell(tables):
    manifest, results = tables
    for name in ("a", "b"):
        (manifest.parent / name / "x.png").unlink()
    assert found(manifest, results) == [True] * 4


def test_results_of_an_earlier_version_are_matched_by_names_alone(tables, capsys):
    manifest, results = tables
    rows = [row | {"lesion_id": str(k)} for k, row in enumerate(read_table(manifest))]
    old = [row | {"lesion_id": str(k), "fingerprint": "0123456789abcdef"}
           for k, row in enumerate(read_table(results))]  # fmt: skip
    write_table(manifest, rows[::-1])
    write_table(results, old)
    assert found(manifest, results) == [True] * 4
    # Without names of their own, nothing tells which answer is whose.
    write_table(manifest, [row | {"lesion_id": "1"} for row in rows])
    for answers in ([row | {"lesion_id": "1"} for row in old], [old[1]]):
        write_table(results, answers)
        argv = ["evaluate", str(manifest), str(results)]
        assert_refused(argv, capsys, "nothing tells whether", "lesion_id of its own")


def test_two_answers_to_one_row_are_refused(tables, capsys):
    """As where results of two runs were put into one file."""
    manifest, results = tables
    answers = read_table(results)
    write_table(results, [*answers, answers[1] | {"score": "0.5"}])
    assert_refused(["evaluate", str(manifest), str(results)], capsys, "line 3, 6,", "there twice")


def test_what_is_only_in_one_table_is_said(tables, capsys):
    manifest, results = tables
    rows, answers = read_table(manifest), read_table(results)
    write_table(results, [*answers[1:3], answers[0] | {"pair_id": "q"}])
    for first in ({}, {"pair_id": "z"}):
        write_table(manifest, [rows[0] | first, *rows[1:]])
        assert found(manifest, results) == [None, True, True, None]
        assert main(["evaluate", str(manifest), str(results)]) == 0
        said = capsys.readouterr().out
        assert "2 rows have no result yet" in said and "1 rows of the results were skipped" in said


def reviewed_series(folder: Path, exams: tuple[str, ...]) -> tuple[Path, Path]:
    """Write results of a series that is marked on the first exam, and what a reader said."""
    results = folder / "series.csv"
    rows = []
    for number, exam in enumerate(exams, 1):
        row = dict.fromkeys(SERIES.results, "") | {"exam_group": "g", "lesion_id": "1"}
        row |= {"exam": exam, "number": number, "status": "found", "score": 0.9}
        row |= {"by_user": int(number == 1)}
        rows.append(row | {"x0": number * 10, "y0": 0, "x1": number * 10 + 20, "y1": 20})
    write_table(results, rows)
    said = []
    for number, exam in list(enumerate(exams, 1))[1:]:
        row = asked("1", (10, 0, 30, 20), pair_id=f"g: 1>{number}")
        row |= {"prior": f"../{exams[0]}", "current": f"../{exam}"}
        truth = number * 10, 0, number * 10 + 20, 20
        said.append(row | dict(zip(TRUTH_COLUMNS, truth, strict=True)))
    (folder / "out").mkdir(exist_ok=True)
    write_table(folder / "out" / "reviewed.csv", said)
    return folder / "out" / "reviewed.csv", results


def test_a_reviewed_series_is_matched_by_its_images(tmp_path, capsys):
    """The number in GROUP: A>B is a place in the manifest, which sorted results do not keep."""
    exams = ("e1/x.dcm", "e2/x.dcm", "e3/x.dcm", "y.dcm")
    reviewed, results = reviewed_series(tmp_path, exams)
    argv, answers = ["evaluate", str(reviewed), str(results)], read_table(results)

    def overlaps() -> list[str]:
        assert main(argv) == 0
        lines = cells(capsys.readouterr().out)
        return [line[3] for line in lines if line[0] == "tracker"]

    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)):
        write_table(results, [answers[k] for k in order])
        assert overlaps() == ["1.000"] * 2
    rows = read_table(reviewed)
    write_table(reviewed, [row | {"current": row["current"].replace("/", "\\")} for row in rows])
    assert overlaps() == ["1.000"] * 2
    # Without its own row, an image of that name in another folder is none.
    write_table(results, [answers[k] for k in (0, 2)])
    write_table(reviewed, rows[:1])
    assert_refused(argv, capsys, "does not belong")
    write_table(results, answers)
    write_table(results, [answers[0] | {"x0": "left"}, *answers[1:]])
    assert_refused(argv, capsys, "reviewed.csv, line 2, or its lesion in", "x0")
    write_table(results, answers)
    write_table(reviewed, [row | {"prior_x0": "12"} for row in rows])
    assert_refused(argv, capsys, "another box")

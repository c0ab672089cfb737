"""Cases of a reading list: pairs and series with their results, in order, and what is decided."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from reading_files import write

from MammoTrackerLib import Box, MammoTrackerError, Status
from MammoTrackerLib.command.readers.reading_list import AS_LISTED, WORST_FIRST, ReadingList
from MammoTrackerLib.command.readers.reviewed import REVIEWED_COLUMNS
from MammoTrackerLib.command.tables.cells import failed_row, text_cell
from MammoTrackerLib.command.tables.columns import BOX_COLUMNS, MANIFEST_COLUMNS, PAIRS, SERIES
from MammoTrackerLib.command.tables.rows import read_rows

PRIOR = ("1", "2", "31.5", "42")
FOUND = ("5", "6", "35", "46")


def lesion(pair: str, name: str, **cells: str) -> dict[str, str]:
    """A row of a manifest of pairs."""
    row = {
        "pair_id": pair, "lesion_id": name, "prior": f"{pair}/prior.png",
        "current": f"{pair}/current.png", "prior_spacing_mm": "0.1", "current_spacing_mm": "",
        "lesion_type": "mass",
    }  # fmt: skip
    return row | dict(zip(MANIFEST_COLUMNS[-4:], PRIOR, strict=True)) | cells


def answer(row: dict[str, str], status: str, score: str, **cells: str) -> dict[str, str]:
    """A row of results."""
    ids = (SERIES if "exam_group" in row else PAIRS).ids
    result = {name: text_cell(row[name]) for name in ids} | {"status": status, "score": score}
    result |= dict(zip(BOX_COLUMNS, FOUND, strict=True)) | {"message": "Here."}
    result["candidates"] = "5.000 6.000 35.000 46.000 0.5; 100.000 6.000 130.000 46.000 0.25"
    return result | cells


ROWS = [
    lesion("a", "1"), lesion("a", "2", patient="9"), lesion("=b", "1"), lesion("c", "1"),
    lesion("a", "3"), lesion("d", "1"), lesion("e", "1", prior_x1=""),
]  # fmt: skip
RESULTS = [
    answer(ROWS[0], "found", "0.9500"),
    answer(ROWS[1], "uncertain", "0.5000"),
    answer(ROWS[2], "not found", "0.0100"),
    failed_row(ROWS[3], "There is no file.", 0.1),
    answer(ROWS[4], "found", "0.8100"),
]


@pytest.fixture
def files(tmp_path) -> tuple[Path, Path]:
    """A manifest of pairs, and the results of a run that has not ended, in another folder."""
    columns = (*MANIFEST_COLUMNS, "patient")
    manifest = write(tmp_path / "data" / "manifest.csv", columns, ROWS)
    return manifest, write(tmp_path / "out" / "results.csv", PAIRS.results, RESULTS)


@pytest.fixture
def listed(files):
    opened = ReadingList(*files)
    yield opened
    opened.close()


def decisions_in(path: Path) -> list[tuple[str, ...]]:
    names = "pair_id", "lesion_id", "decision"
    return [tuple(row[name] for name in names) for row in read_rows(path, REVIEWED_COLUMNS)]


def test_a_case_is_a_pair_with_its_lesions(listed):
    assert [case.name for case in listed.cases] == ["a", "=b", "c", "d"]
    assert [[item.lesion_id for item in case.items] for case in listed.cases] == [
        ["1", "2", "3"], ["1"], ["1"], ["1"],
    ]  # fmt: skip
    assert listed.left_out == 1
    statuses = [item.status for item in listed.items]
    assert statuses[:4] == ["found", "uncertain", "not found", "failed"]
    assert [item.status for case in listed.cases for item in case.items][-1] == "not tracked yet"
    prior, current = map(listed.image, listed.cases[0].exams)
    assert prior == (listed.manifest.parent / "a/prior.png", 0.1) and current[1] is None


def test_an_answer_is_what_the_tracker_gave(listed):
    item = listed.cases[0].items[1]
    track = item.track
    assert (track.status, track.score, track.reason) == (Status.UNCERTAIN, 0.5, "Here.")
    assert track.box == Box(5, 6, 35, 46) and track.prior_box == Box(1, 2, 31.5, 42)
    assert [candidate.score for candidate in track.candidates] == [0.5, 0.25]
    assert listed.cases[2].items[0].track is None, "it failed"
    assert listed.cases[3].items[0].track is None and listed.cases[3].items[0].score is None


def test_worst_first_and_as_listed(listed):
    names = [case.name for case in listed.ordered(WORST_FIRST)]
    assert names == ["=b", "a", "c", "d"], "what nobody tracked is last"
    assert listed.ordered(AS_LISTED) == listed.cases


def test_going_through_the_cases(listed):
    cases = listed.ordered(AS_LISTED)
    assert listed.next_undecided(cases, None) is cases[0]
    for item in cases[1].items:
        listed.decide(item, "not there")
    assert listed.next_undecided(cases, cases[0]) is cases[2]
    assert listed.next_undecided(cases, cases[3]) is cases[0]
    for item in listed.items:
        listed.decide(item, "cannot tell")
    assert listed.next_undecided(cases, cases[0]) is None
    assert listed.decided == len(listed.items) == 6
    listed.undecide(listed.items[0])
    assert listed.next_undecided(cases, cases[0]) is cases[0] and cases[0].undecided == 1


def test_decisions_come_back_and_can_be_changed(files):
    opened = ReadingList(*files, reader="Anna")
    first, second, third = opened.items[:3]
    opened.comment(first, "not kept yet")
    opened.decide(first, "corrected", Box(7, 8, 9, 10))
    opened.decide(third, "rejected")
    opened.comment(third, "=why  not")
    opened.comment(second, "only a comment")
    assert opened.decision_of(second) == ("", None, "only a comment")
    assert not opened.is_decided(second)
    assert opened.path.name == "reviewed-Anna.csv" and opened.path.parent == files[1].parent
    opened.close()
    opened = ReadingList(*files, reader="Anna")
    first, second, third = opened.items[:3]
    assert opened.decision_of(second) == ("", None, "only a comment")
    assert opened.decision_of(first) == ("corrected", Box(7, 8, 9, 10), "not kept yet")
    assert opened.decision_of(third) == ("rejected", None, "=why not")
    assert opened.decided == 2 and opened.cases[0].undecided == 2
    opened.decide(first, "accepted", Box(5, 6, 35, 46))
    opened.undecide(third)
    assert opened.decision_of(third)[2] == "=why not"
    opened.close()
    assert decisions_in(opened.path) == [
        ("a", "1", "accepted"), ("a", "2", ""), ("'=b", "1", ""),
    ]  # fmt: skip


def test_a_comment_on_what_is_not_decided_is_on_the_disk_and_decides_nothing(files):
    opened = ReadingList(*files)
    for item in opened.items:
        opened.comment(item, f"look  again, {item.lesion_id}")
    rows = list(read_rows(opened.path, REVIEWED_COLUMNS))
    assert [row["comment"] for row in rows] == [f"look again, {i}" for i in (1, 2, 1, 1, 3, 1)]
    assert {row["decision"] for row in rows} == {""}
    opened.close()
    opened = ReadingList(*files)
    cases = opened.ordered(AS_LISTED)
    assert opened.decided == 0 and [case.undecided for case in cases] == [3, 1, 1, 1]
    assert opened.next_undecided(cases, None) is cases[0]
    first, second = cases[1].items[0], cases[0].items[1]
    assert opened.decision_of(first) == ("", None, "look again, 1")
    assert opened.track_of(second).score == 0.5
    opened.undecide(first)  # nothing was decided
    assert opened.decision_of(first)[2] == "look again, 1"
    opened.decide(first, "not there")
    assert opened.decision_of(first) == ("not there", None, "look again, 1")
    assert opened.decided == 1 and cases[1].undecided == 0
    opened.undecide(first)
    assert opened.decided == 0 and cases[1].undecided == 1
    opened.comment(second, " ")
    opened.comment(first, "")
    opened.decide(cases[2].items[0], "rejected")
    opened.close()
    said = {(row["pair_id"], row["decision"]) for row in read_rows(opened.path, REVIEWED_COLUMNS)}
    assert said == {("a", ""), ("c", "rejected"), ("d", "")}


def test_a_row_of_the_table_is_one_of_a_manifest(listed, files):
    listed.decide(listed.items[1], "accepted", Box(5, 6, 35, 46))
    listed.decide(listed.items[2], "not there")
    listed.decide(listed.items[3], "cannot tell")
    rows = list(read_rows(listed.path, REVIEWED_COLUMNS))
    assert rows[0]["prior"] == "../data/a/prior.png" and rows[0]["prior_spacing_mm"] == "0.1"
    assert [rows[0][name] for name in MANIFEST_COLUMNS[-4:]] == list(PRIOR)
    assert (rows[0]["patient"], rows[0]["status"], rows[0]["score"]) == ("9", "uncertain", "0.5000")
    assert rows[1]["pair_id"] == "'=b" and rows[2]["status"] == "failed"


def test_a_new_answer_is_the_one_that_was_decided_on(listed):
    item = listed.cases[3].items[0]
    listed.decide(item, "corrected", Box(1, 2, 3, 4), ("found", "0.9900"))
    track = listed.track_of(item)
    assert (track.status, track.score, track.box) == (Status.FOUND, 0.99, Box(1, 2, 3, 4))
    listed.decide(item, "rejected")
    assert listed.track_of(item) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.append(answer(lesion("z", "1"), "found", "0.5")), "is not in"),
        (lambda rows: rows.append(rows[0]), "there twice"),
        (lambda rows: rows[0].update(status="perhaps"), "line 2, column status"),
        (lambda rows: rows[0].update(score="nan"), "line 2, column score"),
        (lambda rows: rows[0].update(score="1.5"), "line 2, column score"),
        (lambda rows: rows[0].update(score=""), "line 2, column score"),
    ],
)
def test_results_of_another_manifest_or_damaged_ones_are_refused(files, change, said):
    rows = [dict(row) for row in RESULTS]
    change(rows)
    write(files[1], PAIRS.results, rows)
    with pytest.raises(MammoTrackerError, match=said):
        ReadingList(*files)
    assert [path.name for path in files[1].parent.iterdir()] == ["results.csv"]


def test_a_damaged_answer_is_said_when_its_case_is_opened(files):
    rows = [dict(row) for row in RESULTS]
    rows[0]["candidates"] = "1 2 3"
    rows[1]["x0"] = "left"
    write(files[1], PAIRS.results, rows)
    opened = ReadingList(*files)
    for item, said in zip(opened.items, ("candidates", "x0 to y1"), strict=False):
        with pytest.raises(MammoTrackerError, match=said):
            assert item.track
    assert opened.items[2].track
    opened.close()


def test_lesions_of_one_name_cannot_be_told_apart(files):
    write(files[0], MANIFEST_COLUMNS, [lesion("a", "1"), lesion("a", "1", prior="other.png")])
    with pytest.raises(MammoTrackerError, match="line 3: pair_id and lesion_id"):
        ReadingList(*files)


def test_decisions_about_other_boxes_or_images_are_refused(files):
    opened = ReadingList(*files)
    opened.decide(opened.items[0], "rejected")
    opened.close()
    before = opened.path.read_bytes()
    for change in ({"prior_x0": "0"}, {"current": "a/other.png"}):
        rows = [ROWS[0] | change, *ROWS[1:]]
        write(files[0], (*MANIFEST_COLUMNS, "patient"), rows)
        with pytest.raises(MammoTrackerError, match="another box or other exams"):
            ReadingList(*files)
        assert opened.path.read_bytes() == before
    # Of images that can be read, the content counts.
    for name, content in (("a", "1"), ("b", "2")):
        (files[0].parent / name).mkdir()
        (files[0].parent / name / "current.png").write_text(content)
    write(files[0], (*MANIFEST_COLUMNS, "patient"), [ROWS[0] | {"current": "b/current.png"}])
    write(files[1], PAIRS.results, [])
    with pytest.raises(MammoTrackerError, match="another box or other exams"):
        ReadingList(*files)
    write(files[0], (*MANIFEST_COLUMNS, "patient"), [ROWS[0] | {"current": "/moved/current.png"}])
    write(files[1], PAIRS.results, [])
    ReadingList(*files).close()


def test_an_unfinished_row_of_a_run_that_goes_on_is_not_tracked_yet(files):
    files[1].write_text(files[1].read_text() + "d,1,fou")
    opened = ReadingList(*files)
    assert opened.cases[3].items[0].status == "not tracked yet"
    opened.close()


@pytest.mark.parametrize("separator", ["/", "\\"])
def test_decisions_follow_their_lesions_when_the_manifest_is_numbered_anew(files, separator):
    """An older exam came into the archive: pairs have other numbers, and one has an old name.

    The table may have been written on Windows.
    """
    opened = ReadingList(*files)
    opened.decide(opened.items[0], "accepted", Box(5, 6, 35, 46))
    opened.decide(opened.items[2], "not there")
    opened.decide(opened.items[4], "rejected")
    path = opened.path
    opened.close()
    path.write_text(path.read_text().replace("/", separator))
    columns = (*MANIFEST_COLUMNS, "patient")
    older = [row | {"prior": "x/prior.png"} for row in ROWS[:2]]
    names = {"a": "a2", "=b": "=b"}
    same = [row | {"pair_id": names[row["pair_id"]]} for row in ROWS if row["pair_id"] in names]
    rows = [*older, *same]
    write(files[0], columns, rows)
    write(files[1], PAIRS.results, [])
    opened = ReadingList(*files)
    said = {(i.pair_id, i.lesion_id): opened.decision_of(i)[0] for i in opened.items}
    assert said == {
        ("a", "1"): "", ("a", "2"): "", ("a2", "1"): "accepted", ("a2", "2"): "",
        ("=b", "1"): "not there", ("a2", "3"): "rejected",
    }  # fmt: skip
    opened.comment(opened.items[2], "seen")
    opened.close()
    assert decisions_in(path) == [
        ("a2", "1", "accepted"), ("'=b", "1", "not there"), ("a2", "3", "rejected"),
    ]  # fmt: skip
    write(files[0], columns, rows[:4])
    with pytest.raises(MammoTrackerError, match="not in the manifest"):
        ReadingList(*files)


def test_paths_of_decisions_are_written_as_every_system_reads_them(listed, monkeypatch):
    monkeypatch.setattr(os, "sep", "\\")
    monkeypatch.setattr(os.path, "relpath", lambda path, start: "..\\data\\=a.png")
    assert listed._path_cell("=a.png") == "../data/=a.png"
    monkeypatch.setattr(os.path, "relpath", lambda path, start: "=a\\b.png")
    assert listed._path_cell("=a/b.png") == "./=a/b.png"


# --- series


def exam(group: str, name: str, number: int, box: tuple[str, ...] = ("",) * 4, **cells: str):
    row = {
        "exam_group": group, "lesion_id": name, "exam": f"{number}.dcm", "spacing_mm": "",
        "date": f"20{10 + number}-01-02", "lesion_type": "",
    }  # fmt: skip
    return row | dict(zip(BOX_COLUMNS, box, strict=True)) | cells


@pytest.fixture
def series(tmp_path):
    rows = [exam("g", "m", k, PRIOR if k == 2 else ("",) * 4) for k in (1, 2, 3)]
    rows[1]["lesion_type"] = "mass"
    rows += [exam("g", "n", k, PRIOR if k in (1, 3) else ("",) * 4) for k in (1, 2, 3)]
    rows += [exam("g", "nowhere", k) for k in (1, 2, 3)]
    rows += [exam("h", "m", k, PRIOR if k == 1 else ("",) * 4) for k in (1, 2)]
    results = [answer(row, "found", f"0.{90 - k}00") for k, row in enumerate(rows[:6])]
    manifest = write(tmp_path / "manifest.csv", SERIES.manifest, rows)
    opened = ReadingList(manifest, write(tmp_path / "results.csv", SERIES.results, results))
    yield opened
    opened.close()


def test_a_series_is_a_case_and_each_other_exam_is_decided(series):
    assert [(case.name, len(case.exams)) for case in series.cases] == [("g", 3), ("h", 2)]
    ids = [(item.pair_id, item.lesion_id) for item in series.items]
    assert ids == [
        ("g: 2>1", "m"), ("g: 2>3", "m"), ("g: 3>1", "n"), ("g: 3>2", "n"), ("h: 1>2", "m"),
    ]  # fmt: skip
    assert [item.lesion_type for item in series.items] == ["mass", "mass", "", "", ""]
    assert series.left_out == 3
    assert [item.answer["score"] if item.answer else "" for item in series.items] == [
        "0.9000", "0.8800", "0.8700", "0.8600", "",
    ]  # fmt: skip
    assert series.date(series.cases[0].exams[2]).isoformat() == "2013-01-02"


def test_a_decision_of_a_series_is_a_row_of_a_pair(series):
    series.decide(series.items[1], "accepted", Box(5, 6, 35, 46))
    (row,) = read_rows(series.path, REVIEWED_COLUMNS)
    assert (row["pair_id"], row["prior"], row["current"]) == ("g: 2>3", "2.dcm", "3.dcm")
    assert [row[name] for name in MANIFEST_COLUMNS[-4:]] == list(PRIOR)


def test_a_lesion_is_marked_on_the_exam_that_is_last_by_the_results(tmp_path):
    """The manifest has no dates and lists the last exam first; the batch knows those of files."""
    rows = [exam("g", "n", k, PRIOR if k > 1 else ("",) * 4, date="") for k in (3, 1, 2)]
    rows += [exam("=h", "n", k, PRIOR if k > 1 else ("",) * 4, date="") for k in (3, 1, 2)]
    results = [
        answer(row, "found", "0.9", number=row["exam"][0], by_user=str(int(row["exam"] != "1.dcm")))
        for row in rows[:3]
    ]
    manifest = write(tmp_path / "manifest.csv", SERIES.manifest, rows)
    for done in (results, results[:2], [*results, failed_row(rows[3], "It failed.", 0.1)]):
        opened = ReadingList(manifest, write(tmp_path / "results.csv", SERIES.results, done))
        marked = {item.case.name: item.case.exams[item.marked].name for item in opened.items}
        names = [item.pair_id for item in opened.items]
        opened.close()
        assert marked["=h"] == "2.dcm", "not tracked yet, or failed: in the manifest's order"
        assert marked["g"] == ("3.dcm" if len(done) > 2 else "2.dcm")
    assert names[:2] == ["g: 1>2", "g: 1>3"]


def test_of_a_series_that_is_not_tracked_yet_the_dates_count_as_far_as_they_are_known(tmp_path):
    rows = [exam("g", "n", k, PRIOR if k > 1 else ("",) * 4) for k in (3, 1, 2)]
    rows[1]["date"] = ""
    manifest = write(tmp_path / "manifest.csv", SERIES.manifest, rows)
    opened = ReadingList(manifest, write(tmp_path / "results.csv", SERIES.results, []))
    assert {item.case.exams[item.marked].name for item in opened.items} == {"3.dcm"}
    opened.close()


def test_series_and_pairs_of_one_name_in_the_table_are_refused(tmp_path):
    rows = [exam("g", "=m", 1, PRIOR), exam("g", "=m", 2), exam("g", "'=m", 1, PRIOR)]
    rows.append(exam("g", "'=m", 2))
    manifest = write(tmp_path / "manifest.csv", SERIES.manifest, rows)
    results = write(tmp_path / "results.csv", SERIES.results, [])
    with pytest.raises(MammoTrackerError, match="a row before|one name"):
        ReadingList(manifest, results)


def test_tens_of_thousands_of_rows(tmp_path):
    rows = [lesion(f"pair-{k // 2}", str(k % 2)) for k in range(20_000)]
    manifest = write(tmp_path / "manifest.csv", MANIFEST_COLUMNS, rows)
    answers = (answer(row, "found", f"{0.5 + k / 40_000:.4f}") for k, row in enumerate(rows))
    results = write(tmp_path / "results.csv", PAIRS.results, answers)
    start = time.perf_counter()
    opened = ReadingList(manifest, results)
    cases = opened.ordered(WORST_FIRST)
    assert len(cases) == 10_000 and time.perf_counter() - start < 10
    start = time.perf_counter()
    opened.decide(cases[0].items[0], "cannot tell")
    assert opened.next_undecided(cases, cases[0]) is cases[1]
    assert time.perf_counter() - start < 1
    opened.close()

"""The reviewed table: written at once and whole, locked, gone on with, and never lost."""

from __future__ import annotations

import csv
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from MammoTrackerLib import Box, MammoTrackerError
from MammoTrackerLib.command.readers.reviewed import (
    DECISIONS,
    REVIEWED_COLUMNS,
    UNDECIDED,
    ReviewedTable,
    key_of,
    reviewed_row,
    table_of,
)
from MammoTrackerLib.command.tables.cells import plain, text_cell
from MammoTrackerLib.command.tables.rows import read_rows

BOX = Box(10, 20, 30.5, 40.25)
IDS = [("pair-1", "a"), ("pair-1", "b"), ("=pair", "c")]


def about(place: int) -> dict[str, str]:
    pair, lesion = IDS[place]
    return {
        "pair_id": text_cell(pair), "lesion_id": lesion, "prior": "p.png", "current": "c.png",
        "prior_x0": "1", "prior_y0": "2", "prior_x1": "3", "prior_y1": "4",
        "status": "found", "score": "0.9123",
    }  # fmt: skip


def opened(path: Path, reader: str = "", fits=lambda place, row: True) -> ReviewedTable:
    places = {key_of(about(place)): place for place in range(len(IDS))}
    return ReviewedTable(path, reader, places, fits)


def decide(table: ReviewedTable, place: int, decision: str, comment: str = "") -> None:
    table.write(place, about(place) | reviewed_row(decision, BOX, comment))


def rows_in(path: Path) -> list[dict[str, str]]:
    return list(read_rows(path, REVIEWED_COLUMNS))


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "reviewed.csv"


def test_each_decision_is_on_the_disk_in_the_manifests_order(path):
    table = opened(path)
    assert not path.exists()
    for place in (2, 0, 1):
        decide(table, place, "accepted")
        assert list(path.parent.glob("*.new")) == []
    assert [row["lesion_id"] for row in rows_in(path)] == ["a", "b", "c"]
    with path.open(newline="", encoding="utf-8") as file:
        assert next(csv.reader(file)) == list(REVIEWED_COLUMNS)
    table.close()
    assert [p.name for p in path.parent.iterdir()] == ["reviewed.csv"]


@pytest.mark.parametrize("decision", DECISIONS)
def test_only_what_has_a_true_box_has_one_in_the_table(path, decision):
    table = opened(path, "Anna")
    decide(table, 0, decision, " two\nlines")
    (row,) = rows_in(path)
    has_box = decision in ("accepted", "corrected")
    box = [row[f"current_{name}"] for name in ("x0", "y0", "x1", "y1")]
    assert box == (["10.000", "20.000", "30.500", "40.250"] if has_box else [""] * 4)
    assert row["present"] == {"not there": "0"}.get(decision, "1" if has_box else "")
    assert (row["decision"], row["reader"], row["comment"]) == (decision, "Anna", "two lines")
    assert row["reviewed_at"][10] == "T" and row["reviewed_at"].endswith("+00:00")
    table.close()
    opened(path, "Anna").close()


def test_a_comment_without_a_decision_is_a_row_that_decides_nothing(path):
    table = opened(path, "Anna")
    decide(table, 1, UNDECIDED, "=look again")
    table.close()
    (row,) = rows_in(path)
    names = ("decision", "present", "reviewed_at", "current_x0", "reader", "comment")
    assert [row[name] for name in names] == ["", "", "", "", "Anna", "'=look again"]
    table = opened(path, "Anna")
    assert plain(table.rows[1]["comment"]) == "=look again"
    decide(table, 1, "accepted", "=look again")
    table.close()
    assert [row["decision"] for row in rows_in(path)] == ["accepted"]


def test_it_is_gone_on_with(path):
    table = opened(path)
    decide(table, 1, "rejected", "=1+1")
    decide(table, 2, "not there")
    table.close()
    table = opened(path)
    assert {place: row["decision"] for place, row in table.rows.items()} == {
        1: "rejected", 2: "not there",
    }  # fmt: skip
    assert table.rows[1]["comment"] == "'=1+1" and plain(table.rows[1]["comment"]) == "=1+1"
    table.remove(1)
    decide(table, 2, "cannot tell")
    table.remove(0)  # nothing is decided there
    table.close()
    assert [row["decision"] for row in rows_in(path)] == ["cannot tell"]


def test_a_second_program_is_refused_and_another_reader_is_not(path):
    table = opened(path)
    with pytest.raises(MammoTrackerError, match="open in another program"):
        opened(path)
    other = opened(table_of(path, "Ben"), "Ben")
    decide(other, 0, "rejected")
    decide(table, 0, "not there")
    other.close()
    table.close()
    names = sorted(p.name for p in path.parent.iterdir())
    assert names == ["reviewed-Ben.csv", "reviewed.csv"]
    opened(path).close()


def decide_until_killed(path: Path, send) -> None:
    table = opened(path)
    count = 0
    while True:
        decide(table, count % 3, "rejected", str(count))
        count += 1
        send.send(count)


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_program_that_is_killed_leaves_a_whole_table_that_is_free(path):
    context = multiprocessing.get_context("spawn")
    for wanted in (1, 4, 7):
        receive, send = context.Pipe(duplex=False)
        process = context.Process(target=decide_until_killed, args=(path, send))
        process.start()
        send.close()
        while (told := receive.recv()) < wanted:
            pass
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        with pytest.raises(EOFError):
            while True:
                told = receive.recv()
        table = opened(path)
        assert len(table.rows) == min(told, 3) or told < 3
        last = max(int(row["comment"]) for row in table.rows.values())
        assert last >= told - 1, "what was told to be written is there"
        table.close()


NOTHING_SAID = reviewed_row(UNDECIDED, None, "")
WHEN = "2026-11-26T20:29:00+00:00"


def damaged(change) -> dict[str, str]:
    return about(0) | reviewed_row("accepted", BOX, "") | {"reader": ""} | change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"decision": "perhaps"}, "line 2: decision"),
        ({"current_x0": ""}, "line 2: decision"),
        ({"current_x1": "1"}, "line 2: decision"),
        ({"present": "0"}, "line 2: decision"),
        ({"reviewed_at": "26.11.2026 20:29"}, "line 2: decision"),
        ({"reviewed_at": "2026-11-26T20:29:00"}, "line 2: decision"),
        ({"reviewed_at": ""}, "line 2: decision"),
        # An undecided lesion has neither box nor time, but a comment.
        ({"decision": "", "comment": "why"}, "line 2: decision"),
        (NOTHING_SAID | {"reviewed_at": WHEN, "comment": "why"}, "line 2: decision"),
        (NOTHING_SAID | {"present": "1", "comment": "why"}, "line 2: decision"),
        (NOTHING_SAID, "line 2: decision"),
        ({"score": "high"}, "line 2: decision"),
        ({"reader": "Ben"}, "line 2: another reader"),
        ({"lesion_id": "z"}, "line 2: this lesion is not in the manifest"),
        ({"mine": "1"}, "further columns"),
    ],
)
def test_what_is_damaged_or_foreign_is_left_as_it_was(path, change, said):
    row = damaged(change)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*REVIEWED_COLUMNS, *(set(row) - set(REVIEWED_COLUMNS))])
        writer.writeheader()
        writer.writerow(row)
    before = path.read_bytes()
    for _ in range(2):  # the first has let it go
        with pytest.raises(MammoTrackerError, match=said):
            opened(path)
    assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize("cut", [0, 30, 350, -40, -60])
def test_a_table_that_is_cut_is_left_as_it_was(path, cut):
    table = opened(path)
    decide(table, 0, "accepted")
    decide(table, 1, "corrected")
    table.close()
    whole = path.read_bytes()[:cut]
    path.write_bytes(whole)
    with pytest.raises(MammoTrackerError):
        opened(path)
    assert path.read_bytes() == whole


def test_a_lesion_with_other_exams_or_twice_is_refused(path):
    table = opened(path)
    decide(table, 0, "accepted")
    table.close()
    with pytest.raises(MammoTrackerError, match="has another box or other exams"):
        opened(path, fits=lambda place, row: False)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[-1]]) + "\n")
    with pytest.raises(MammoTrackerError, match="line 3: the lesion is there twice"):
        opened(path)


def test_what_another_program_changed_meanwhile_is_not_lost(path):
    table = opened(path)
    decide(table, 0, "accepted")
    changed = path.read_text() + "\n"
    path.write_text(changed)
    with pytest.raises(MammoTrackerError, match="changed by another program"):
        decide(table, 1, "accepted")
    table.close()
    assert path.read_text() == changed
    table = opened(path)
    path.unlink()  # moved away: nothing can be lost
    decide(table, 1, "accepted")
    assert len(rows_in(path)) == 2
    table.close()


def test_what_could_not_be_written_is_written_later(path, monkeypatch):
    table = opened(path)
    decide(table, 0, "accepted")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space")))
        with pytest.raises(MammoTrackerError, match="No space"):
            decide(table, 1, "rejected")
        assert len(rows_in(path)) == 1
    table.close()
    assert len(rows_in(path)) == 2 and len(list(path.parent.iterdir())) == 1


def test_a_link_to_a_table_stays_one(path, tmp_path):
    (tmp_path / "other").mkdir()
    path.symlink_to(tmp_path / "other" / "mine.csv")
    table = opened(path)
    decide(table, 0, "accepted")
    table.close()
    assert path.is_symlink() and len(rows_in(path)) == 1


def test_the_readers_name_is_in_the_files_name():
    assert table_of(Path("a/results.csv"), "") == Path("a/reviewed.csv")
    assert table_of(Path("a/results.csv"), "Änne 2") == Path("a/reviewed-Änne 2.csv")
    for name in ("../x", "a/b", "a\\b", "a:b", "a\nb", "x" * 61):
        with pytest.raises(MammoTrackerError, match="reader's name"):
            table_of(Path("results.csv"), name)

"""Tables are read strictly, and written so that no spreadsheet runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from MammoTrackerLib import Box, MammoTrackerError
from MammoTrackerLib.command.tables.cells import (
    candidates_cell,
    is_present,
    one_line,
    read_box,
    read_candidates,
    read_path,
    read_spacing,
    text_cell,
)
from MammoTrackerLib.command.tables.columns import MANIFEST_COLUMNS, PAIRS, SERIES
from MammoTrackerLib.command.tables.rows import filled, read_groups, read_rows
from MammoTrackerLib.track import Candidate

HEADER = "id,name,note\n"


def rows(path: Path, text: str | bytes, complete: bool = False) -> list[dict[str, str]]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(read_rows(path, ("id", "name"), complete))


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "table.csv"


@pytest.mark.parametrize(
    "text",
    [
        HEADER + 'a, b ,"c, d"\n1,"say ""no""",5" film\n',
        "\ufeff" + HEADER + 'a,b,"c, d"\n\n1,"say ""no""",5" film',
        (HEADER + 'a,"\tb\n","c, d"\n1,"say ""no""",5" film\n').replace("\n", "\r\n"),
        'id , name,note,,\na,b,"c, d",,\n1,"say ""no""",5" film,,\n',
    ],
)
def test_what_spreadsheets_write_is_read(path, text):
    read = [[row[name] for name in ("id", "name", "note")] for row in rows(path, text)]
    assert read == [["a", "b", "c, d"], ["1", 'say "no"', '5" film']]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEADER + 'a,b,c\n1,"2,3\n4,5,6\n', ["line 3", "column name", "quote"]),
        (HEADER + 'a,b,c\n1,2,"3\n' + "4,5,6\n" * 100_000, ["line 3", "column note", "quote"]),
        (HEADER + '"a,b,c\n1,2,3\n"4",5,6\n', ["line 2", "column id", "quote"]),
        (HEADER + '"a,b,c\n1,2,3\n4",5,6\n', ["line 2", "column id", "quote"]),
        (HEADER + 'a,b,c\r\n1,"2"3,4\r\n', ["line 3", "column name", "quote"]),
        ('id,"name,note\n1,2,3\n', ["line 1", "column 2", "quote"]),
        (HEADER + "a,b,c\n1,2,3,4\n", ["line 3", "4 cells", "3 columns"]),
        ("id,name,note,name\na,b,c,d\n", ["line 1: column 4", "of column 2"]),
        ("id,name,note, note\na,b,c,d\n", ["line 1: column 4", "of column 3"]),
        ("id,note\na,b\n", ["lacks the column name"]),
        ("id;name;note\na;b;c\n", ["lacks", "comma"]),
        ("", ["lacks"]),
        (HEADER.encode() + b"\xe9,b,c\n", ["UTF-8"]),
        (HEADER.encode("utf-16"), ["UTF-8"]),
        (HEADER + "x" * 2_000_000, ["line 2", "too long"]),
    ],
)
def test_what_is_wrong_is_said_with_its_place(path, text, words):
    with pytest.raises(MammoTrackerError) as error:
        rows(path, text)
    for word in words:
        assert word in str(error.value)


def test_a_missing_cell_is_empty_but_not_in_results(path):
    assert rows(path, HEADER + "a\n") == [{"id": "a", "name": "", "note": ""}]
    with pytest.raises(MammoTrackerError, match="line 3.*cut after the column name"):
        rows(path, HEADER + "a,b,c\n1,2\n3,4,5\n", complete=True)
    assert len(rows(path, HEADER + "a,b,c\n1,2", complete=True)) == 1, "it was being written"
    (row,) = rows(path, HEADER + "a,b,c", complete=True)
    assert (row.line, row.is_finished) == (2, False)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", ".", "missing", "\0"):
        with pytest.raises(MammoTrackerError):
            list(read_rows(tmp_path / name, ("id",)))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r\n-", "＝", "＠", "＋", "－"])
def test_no_cell_is_a_formula(start):
    cell = text_cell(f"{start}1+1")
    assert cell.startswith("'")
    assert len(cell.splitlines()) == 1


def test_a_text_is_one_line_without_commands_to_a_terminal():
    assert one_line(" a\tb\r\nc ") == "a b c"
    assert one_line("a\x1b[31mb\x00\u202e\udce9\x9b") == "a?[31mb????"
    assert text_cell("Ä, 'x' = 1") == "Ä, 'x' = 1"


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "0", "-0.07", "1e400", "0,07", "70", "x"])
def test_spacings_that_are_none_are_refused(text):
    with pytest.raises(MammoTrackerError):
        read_spacing(text)


def test_numbers_are_read():
    assert read_spacing("") is None
    assert read_spacing("0.07") == 0.07
    names = ("x0", "y0", "x1", "y1")
    assert read_box({}, names) is None
    assert read_box(dict(zip(names, "1234", strict=True)), names).as_tuple() == (1, 2, 3, 4)
    for bad in ("x", "nan", "inf", ""):
        with pytest.raises(MammoTrackerError):
            read_box(dict(zip(names, ("1", "2", "3", bad), strict=True)), names)
    with pytest.raises(MammoTrackerError) as error:
        read_box(dict(zip(names, ("1", "2", "3", "DOE" * 1000), strict=True)), names)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("cell", ["Doe^Jane", "19500203", "12.02.1950", "1950-02-03", "Doe 7"])
def test_what_stands_in_a_wrong_column_is_not_repeated(cell):
    """Messages are in results and reports, which others see; a number with a comma is shown."""
    reads = (
        lambda: read_spacing(cell),
        lambda: read_box({"x0": "1", "y0": "2,5", "x1": cell, "y1": ""}, ("x0", "y0", "x1", "y1")),
        lambda: is_present({"present": cell}),
        lambda: read_candidates(cell),
    )
    for read in reads:
        with pytest.raises(MammoTrackerError) as error:
            read()
        assert cell not in str(error.value) and "Doe" not in str(error.value)
    with pytest.raises(MammoTrackerError, match="'2,5', "):
        reads[1]()


def test_candidates_come_back_from_their_cell():
    places = [Candidate(Box(k, 2.25, 30.5, 40), 0.5 / (k + 1), 0.8) for k in range(7)]
    read = read_candidates(candidates_cell(places))
    assert [box for box, _ in read] == [place.box for place in places[:5]]
    assert [score for _, score in read] == pytest.approx(
        [place.score for place in places[:5]], 1e-3
    )
    assert read_candidates(candidates_cell([])) == []


@pytest.mark.parametrize("text", ["1 2 3", "1 2 3 4 five", "9 2 3 4 0.5"])
def test_what_is_no_candidates_cell_is_said(text):
    with pytest.raises(MammoTrackerError):
        read_candidates(text)


def test_a_lesion_is_present_also_as_pandas_writes_it():
    assert all(is_present({"present": cell}) for cell in ("", "1", "1.0", "True", "TRUE"))
    assert not any(is_present({"present": cell}) for cell in ("0", "0.0", "False", "FALSE"))
    assert is_present({})
    for cell in ("yes", "2", ".0", "1.00"):
        with pytest.raises(MammoTrackerError, match="present"):
            is_present({"present": cell})


def test_rows_of_a_series_say_what_any_of_them_says_of_the_same():
    base = dict.fromkeys((*SERIES.manifest, "more"), "")
    rows = [
        base | {"lesion_id": "1", "exam": "a", "more": "kept"},
        base | {"lesion_id": "1", "exam": "b", "lesion_type": "mass", "date": "2020-01-02"},
        base | {"lesion_id": "2", "exam": "a", "spacing_mm": "0.07"},
        base | {"lesion_id": "2", "exam": "b", "x0": "3"},
    ]
    full = filled(rows)
    assert [row["lesion_type"] for row in full] == ["mass", "mass", "", ""]
    assert [row["spacing_mm"] for row in full] == ["0.07", "", "0.07", ""]
    assert [row["date"] for row in full] == ["", "2020-01-02", "", "2020-01-02"]
    assert full[0]["more"] == "kept" and full[3]["x0"] == "3" and full[0]["x0"] == ""
    assert filled(full) == full


def test_rows_are_those_that_were_there_when_reading_began(path):
    lines = [f"p{n},1,a.png,b.png,,,mass,1,2,30,40\n" for n in range(5000)]
    head = ",".join(MANIFEST_COLUMNS) + "\n"
    path.write_text(head + "".join(lines))
    rows = read_groups(path, PAIRS)
    assert next(rows)[0]["pair_id"] == "p0"
    path.write_text(head + "a new first row,1,a.png,b.png,,,mass,1,2,30,40\n" + "".join(lines))
    assert [row["pair_id"] for row, _ in rows] == [f"p{n}" for n in range(1, 5000)]


@pytest.mark.skipif(os.name == "nt", reason="limits as on POSIX")
@pytest.mark.parametrize("count", [100, 5000])
def test_without_room_for_a_copy_a_table_is_read_as_it_is(path, count):
    """Also one so small that the disk is seen to be full only after it was copied."""
    path.write_text(",".join(MANIFEST_COLUMNS) + "\n" + "p,1,a,b,,,mass,1,2,3,4\n" * count)
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from MammoTrackerLib.command.tables.columns import PAIRS\n"
        "from MammoTrackerLib.command.tables.rows import read_groups\n"
        f"from pathlib import Path; print(len(list(read_groups(Path({str(path)!r}), PAIRS))))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout == f"{count}\n", ran.stderr


def test_empty_rows_and_columns_of_a_spreadsheet_are_left_out(path):
    path.write_text("a,b,,\r\n1,2,,\r\n,,,\r\n3,,,\r\n  \r\n,,,\r\n")
    assert [(row["a"], row["b"], row.line) for row in read_rows(path, "ab")] == [
        ("1", "2", 2), ("3", "", 4),
    ]  # fmt: skip


@pytest.mark.parametrize("separator, what", [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_other_separators_are_named(path, separator, what):
    table = HEADER.replace(",", separator) + separator.join(("1", "0,07", "x")) + "\n"
    with pytest.raises(MammoTrackerError, match=f"apart by {what}. .*points in numbers"):
        rows(path, table)
    with pytest.raises(MammoTrackerError, match=f"apart by {what}"):
        rows(path, f"exam_group{separator}exam\n")  # of series, where pairs are expected
    with pytest.raises(MammoTrackerError, match="not a comma-separated text in UTF-8: save it so"):
        rows(path, (HEADER + "1,\u00c4,x\n").encode("utf-16"))


def test_numbers_with_commas_are_refused_with_the_way_out():
    with pytest.raises(MammoTrackerError, match="with a point"):
        read_spacing("0,07")
    with pytest.raises(MammoTrackerError, match="with points"):
        read_box(dict(zip("abcd", ("1", "2,5", "30", "40"), strict=True)), "abcd")


@pytest.mark.skipif(os.name == "nt", reason="these are paths there")
def test_paths_of_another_system_are_said(tmp_path):
    (tmp_path / "a\\b.png").touch()
    assert read_path({"prior": "a\\b.png"}, "prior", tmp_path) == tmp_path / "a\\b.png"
    assert read_path({"prior": "none.png"}, "prior", tmp_path) == tmp_path / "none.png"
    for name, words in {
        "": "no file in the column prior",
        "~/SECRET.png": "begins with ~",
        "c\\SECRET.png": "one of Windows",
        "C:/SECRET.png": "one of Windows",
    }.items():
        with pytest.raises(MammoTrackerError, match=words) as error:
            read_path({"prior": name}, "prior", tmp_path)
        assert "SECRET" not in str(error.value)

"""Tables as Parquet: the same rows as in CSV, written and read."""

from __future__ import annotations

import datetime
import decimal
import math
import sys
import tracemalloc
from pathlib import Path

import pytest
from command_line import SPACING, assert_refused, read_table, write_table

from MammoTrackerLib import MammoTrackerError
from MammoTrackerLib.command.cli import main
from MammoTrackerLib.command.readers.reading_list import ReadingList
from MammoTrackerLib.command.readers.reviewed import ACCEPTED
from MammoTrackerLib.command.tables.columns import PAIRS, SERIES
from MammoTrackerLib.command.tables.parquet import csv_of, pack, unpack
from MammoTrackerLib.command.tables.rows import layout_of, read_rows

pytest.importorskip("pyarrow", reason="the extra cluster is not installed")


def rows_of(path):
    from pyarrow import parquet

    return parquet.read_table(path).to_pylist()


def as_parquet(table: Path, **types: str) -> Path:
    """Turn a CSV table into Parquet as another program does, which guesses what cells are."""
    from pyarrow import csv, parquet

    options = csv.ConvertOptions(column_types=types)
    path = table.with_suffix(".parquet")
    parquet.write_table(csv.read_csv(table, convert_options=options), path)
    return path


def test_parquet_has_the_rows_of_csv_with_numbers_as_numbers(manifest, results, tmp_path, capsys):
    out = tmp_path / "out.parquet"
    argv = ["batch", str(manifest), "--out", str(out)]
    assert main(argv) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]
    done, expected = rows_of(out), read_table(results)
    assert [list(row) for row in done] == [list(PAIRS.results)] * 5
    for row, other in zip(done, expected, strict=True):
        for name in ("pair_id", "lesion_id", "status", "message", "candidates", "fingerprint"):
            assert row[name] == other[name]
        for name in ("x0", "score", "registration_y1"):
            assert row[name] == (float(other[name]) if other[name] else None)
        assert isinstance(row["seconds"], float)
    assert_refused(argv, capsys, "exists already", "--resume")
    before = out.read_bytes()
    assert main([*argv, "--resume"]) == 0
    assert rows_of(out) == done and "0 rows written" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]
    out.write_bytes(before[:-9])
    assert_refused([*argv, "--resume"], capsys, "not a results file")


def test_an_ended_run_goes_on_from_its_table(manifest, results, tmp_path):
    out = tmp_path / "out.parquet"
    lines = results.read_bytes().splitlines(keepends=True)
    csv_of(out).write_bytes(b"".join(lines[:3]) + lines[3][:10])
    assert main(["batch", str(manifest), "--out", str(out), "--resume"]) == 0
    assert [row["fingerprint"] for row in rows_of(out)] == [
        row["fingerprint"] for row in read_table(results)
    ]
    assert not csv_of(out).exists()


def test_there_and_back_keeps_texts_and_nothing_is_guessed(tmp_path):
    table, out, back = (tmp_path / name for name in ("t.csv", "t.parquet", "b.csv"))
    cells = dict.fromkeys(SERIES.results, "") | {
        "exam_group": "0012", "lesion_id": "NA", "exam": 'a, "b".dcm', "number": "3",
        "status": "found", "reached_from": "1 2", "doubling_days": "450", "message": "'=1",
        "x0": "5.000", "x1": "-0.500", "score": "0.9000", "there": "1.0000", "years": "0.000",
        "area_mm2": "12.0", "longest_mm": "7.10", "change_percent_low": "-0.0", "seconds": "0.100",
    }  # fmt: skip
    write_table(table, [cells])
    pack(table, out, SERIES)
    unpack(out, back, SERIES)
    assert read_table(back) == [cells] == list(read_rows(out, SERIES.results, complete=True))
    table.write_text(",".join(SERIES.results) + "\n")
    pack(table, out, SERIES)
    assert rows_of(out) == list(read_rows(out, SERIES.results)) == []
    assert layout_of(out) is SERIES


def test_what_batch_writes_reads_as_its_csv(manifest, results, tmp_path):
    out = tmp_path / "out.parquet"
    pack(results, out, PAIRS)
    rows, same = (list(read_rows(path, PAIRS.results, complete=True)) for path in (results, out))
    assert rows == same and [row.line for row in rows] == [row.line for row in same]
    assert {list(row).index("x0") for row in same} == {3} and layout_of(out) is PAIRS


def test_what_batch_writes_of_series_reads_as_its_csv(pair, tmp_path):
    corners = ("x0", "y0", "x1", "y1")
    base = {"exam_group": "01", "lesion_id": "1", "lesion_type": "mass", "spacing_mm": SPACING}
    base |= dict.fromkeys(corners, "")
    marked = dict(zip(corners, pair.box.as_tuple(), strict=True))
    rows = [
        base | {"exam": str(pair.prior), "date": "2020-05-01"} | marked,
        base | {"exam": str(pair.current), "date": "2021-05-01"},
        base | {"exam": "missing.png", "date": "", "exam_group": "02"} | marked,
    ]
    table, results = tmp_path / "series.csv", tmp_path / "results.csv"
    write_table(table, rows)
    manifest = as_parquet(table, exam_group="string")
    assert layout_of(manifest) is SERIES
    assert list(read_rows(table, SERIES.manifest)) == list(read_rows(manifest, SERIES.manifest))
    assert main(["batch", str(manifest), "--out", str(results)]) == 0
    out = tmp_path / "out.parquet"
    pack(results, out, SERIES)
    read = list(read_rows(out, SERIES.results))
    assert read == list(read_rows(results, SERIES.results)) and read[1]["total_mm"]
    argv = ["report", str(out), "--manifest", str(manifest), "--out", str(tmp_path / "report")]
    assert main(argv) == 0
    assert main(["batch", str(manifest), "--out", str(out), "--resume"]) == 0
    assert list(read_rows(out, SERIES.results)) == read


def test_every_command_reads_parquet_as_csv(manifest, results, tmp_path, capsys):
    """The manifest is as another program writes it; the results are those of batch."""
    asked, answers = as_parquet(manifest, prior_x1="string"), manifest.with_name("out.parquet")
    assert main(["batch", str(asked), "--out", str(answers)]) == 0
    rows = [list(read_rows(path, PAIRS.results)) for path in (results, answers)]
    untimed = [[{**row, "seconds": ""} for row in table] for table in rows]
    assert untimed[0] == untimed[1]
    pack(results, answers, PAIRS)
    said = []
    for table, done in ((manifest, results), (asked, answers)):
        capsys.readouterr()
        assert main(["evaluate", str(table), str(done)]) == 0
        said.append(capsys.readouterr().out)
        out = tmp_path / done.suffix[1:]
        assert main(["report", str(done), "--manifest", str(table), "--out", str(out)]) == 0
    assert said[0] == said[1] and "accuracy" in said[0].lower()
    pages = [(tmp_path / name / "index.html").read_bytes() for name in ("csv", "parquet")]
    assert pages[0] == pages[1]
    assert len(list((tmp_path / "parquet" / "pictures").rglob("*.jpg"))) > 1


def test_a_reading_list_of_parquet_and_two_readers(manifest, results, tmp_path, capsys):
    rows = read_table(manifest)
    del rows[1]  # two lesions of one name
    for row in rows:
        row |= {name: str(manifest.parent / row[name]) for name in ("prior", "current")}
    (tmp_path / "results.csv").write_text(
        "".join(line for k, line in enumerate(results.open()) if k != 2)
    )
    write_table(tmp_path / "manifest.csv", rows)
    pack(tmp_path / "results.csv", tmp_path / "results.parquet", PAIRS)
    asked, items = as_parquet(tmp_path / "manifest.csv"), []
    for table, name in ((asked, "results.parquet"), (tmp_path / "manifest.csv", "results.csv")):
        opened = ReadingList(table, tmp_path / name, table.suffix[1:])
        assert opened.path.name == f"reviewed-{table.suffix[1:]}.csv"
        items.append([(item.track, item.status, item.score, item.box) for item in opened.items])
        for item in opened.items:
            if item.track is not None:
                opened.decide(item, ACCEPTED, item.track.box)
        opened.close()
    assert items[0] == items[1] and any(item[0] for item in items[0])
    tables = [tmp_path / f"reviewed-{name}.csv" for name in ("parquet", "csv")]
    said = []
    for a, b in (tables, map(as_parquet, tables)):
        capsys.readouterr()
        assert main(["agreement", str(a), str(b)]) == 0
        said.append(capsys.readouterr().out.replace(".parquet'", ".csv'"))
    assert said[0] == said[1]
    for path in (tables[0], tables[0].with_suffix(".parquet")):
        assert main(["evaluate", str(path), str(tmp_path / "results.parquet")]) == 0


def test_other_types_are_read_as_their_texts(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    day, noon = datetime.date(2024, 5, 1), datetime.datetime(2024, 5, 1, 12)
    midnight = datetime.datetime(2024, 5, 1)
    columns = {
        " id ": ([" a\n", None], pa.large_string(), ["a", ""]),
        "whole": ([7, None], pa.int16(), ["7", ""]),
        "gaps": ([1.0, None], pa.float64(), ["1.0", ""]),
        "short": ([0.07, 3e-9], pa.float32(), ["0.07", "3e-09"]),
        "x0": ([12.3456, 12.5], pa.float64(), ["12.3456", "12.5"]),
        "no number": ([math.nan, math.inf], pa.float64(), ["nan", "inf"]),
        "present": ([True, False], pa.bool_(), ["1", "0"]),
        "date": ([day, None], pa.date32(), ["2024-05-01", ""]),
        "day": ([midnight, None], pa.timestamp("us"), ["2024-05-01", ""]),
        "time": ([noon, None], pa.timestamp("ms"), ["2024-05-01 12:00:00", ""]),
        "decimal": ([decimal.Decimal("1.50"), None], pa.decimal128(9, 2), ["1.50", ""]),
        "type": (["mass", "mass"], pa.dictionary(pa.int8(), pa.string()), ["mass", "mass"]),
        "bytes": (["é".encode(), b""], pa.binary(), ["é", ""]),
        "nothing": ([None, None], pa.null(), ["", ""]),
    }
    table = {name: pa.array(values, kind) for name, (values, kind, _) in columns.items()}
    path = tmp_path / "table.pq"
    parquet.write_table(pa.table(table), path)
    rows = list(read_rows(path, ("id", "whole"), complete=True))
    assert [[row[name.strip()] for row in rows] for name in columns] == [
        texts for *_, texts in columns.values()
    ]
    assert [row.line for row in rows] == [2, 3]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"SECRET": [["Doe"]]}, ["column 3"]),
        ({"SECRET": [{"Doe": 1}]}, ["column 3"]),
        ({"SECRET": [b"\xff\xfeDoe"]}, ["column 3"]),
        ({"SECRET": ["Doe\nJane"]}, ["line 2, column 3", "several lines"]),
        ({"SECRET": ["Doe"], " SECRET": ["Doe"]}, ["column 4", "column 3"]),
        ({"SECRET": ["Doe" * 10**6]}, ["too long"]),
    ],
)
def test_what_no_table_holds_is_refused_without_its_words(tmp_path, capsys, columns, words):
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "table.parquet"
    parquet.write_table(pa.table({"pair_id": ["a"], "status": ["found"]} | columns), path)
    for argv in (["report", str(path), "--out", str(tmp_path / "out")], ["agreement", *[path] * 2]):
        assert main([str(part) for part in argv]) == 2
        message = capsys.readouterr().err.splitlines()[-1]
        assert "SECRET" not in message and "Doe" not in message
    with pytest.raises(MammoTrackerError) as error:
        list(read_rows(path, ("pair_id",)))
    assert all(word in str(error.value) for word in words)
    assert "SECRET" not in str(error.value) and "Doe" not in str(error.value)


def test_a_missing_column_is_said_as_in_csv(tmp_path, capsys):
    write_table(tmp_path / "table.csv", [{"pair_id": "a", "SECRET": "Doe"}])
    for path in (tmp_path / "table.csv", as_parquet(tmp_path / "table.csv")):
        argv = ["report", str(path), "--out", str(tmp_path / "report")]
        assert_refused(argv, capsys, path.name, "lacks the columns lesion_id, status")


def test_a_damaged_file_is_said(results, tmp_path, capsys):
    path = tmp_path / "out.parquet"
    pack(results, path, PAIRS)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(b"missing")] ^= 4  # found by its page's checksum
    within = whole[9:], bytes(flipped)
    cut = b"", b"PAR1", whole[:-1], whole[: len(whole) // 2], results.read_bytes()
    for content in (*within, *cut):
        path.write_bytes(content)
        argv = ["report", str(path), "--out", str(tmp_path / "report")]
        assert_refused(argv, capsys, "out.parquet", "damaged, or no Parquet", "CSV")
        if content in cut:  # else its columns are still known
            with pytest.raises(MammoTrackerError, match="damaged"):
                ReadingList(path, path)
            argv = ["batch", str(path), "--out", str(tmp_path / "other.csv")]
            assert_refused(argv, capsys, "damaged, or no Parquet")
    path.unlink()
    path.mkdir()
    assert_refused(["agreement", str(path), str(path)], capsys, "no file", "one file")


def test_few_rows_are_in_memory(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "long.parquet"
    rows = pa.table({"pair_id": [f"{'x' * 400}{k}" for k in range(20000)]})
    parquet.write_table(rows, path)
    del rows
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    most = 0
    for row in read_rows(path, ("pair_id",)):
        if row.line % 1000 == 0:
            most = max(most, pa.total_allocated_bytes() - before)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert row.line == 20001
    assert peak < 1e6 and most < 6e6


def test_without_pyarrow_it_is_said_before_anything_is_done(
    manifest, tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    argv = ["batch", str(manifest), "--out", str(tmp_path / "out.parquet")]
    assert_refused(argv, capsys, "pip install 'mammotracker[cluster]'")
    assert not list(tmp_path.iterdir())
    rows = [{"pair_id": "a"}]
    write_table(tmp_path / "table.csv", rows)
    path = (tmp_path / "table.csv").rename(tmp_path / "table.parquet")
    for command in ("batch", "report", "evaluate", "agreement"):
        more = [str(path)] if command in ("evaluate", "agreement") else ["--out", "out"]
        argv = [command, str(path), *more]
        assert_refused(argv, capsys, "pip install 'mammotracker[cluster]'", "CSV")
    with pytest.raises(MammoTrackerError, match="PythonSlicer.*CSV"):
        ReadingList(path, path)

"""Results as Parquet: the same rows as in CSV."""

from __future__ import annotations

import sys

import pytest
from command_line import assert_refused, read_table

from MammoTrackerLib.command.cli import main
from MammoTrackerLib.command.parquet import csv_of, pack, unpack
from MammoTrackerLib.command.tables import PAIRS, SERIES

pytest.importorskip("pyarrow", reason="the extra cluster is not installed")


def rows_of(path):
    from pyarrow import parquet

    return parquet.read_table(path).to_pylist()


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
    }  # fmt: skip
    import csv

    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, SERIES.results, lineterminator="\n")
        writer.writeheader()
        writer.writerow(cells)
    pack(table, out, SERIES)
    unpack(out, back, SERIES)
    (row,) = read_table(back)
    assert row == cells | {"number": "3.0", "doubling_days": "450.0"}
    table.write_text(",".join(SERIES.results) + "\n")
    pack(table, out, SERIES)
    assert rows_of(out) == []


def test_without_pyarrow_it_is_said_before_anything_is_done(
    manifest, tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    argv = ["batch", str(manifest), "--out", str(tmp_path / "out.parquet")]
    assert_refused(argv, capsys, "pip install 'mammotracker[cluster]'")
    assert not list(tmp_path.iterdir())

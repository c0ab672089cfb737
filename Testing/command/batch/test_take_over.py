"""A manifest that grew or was changed between two runs: what holds is not tracked again."""

from __future__ import annotations

import pytest
from command_line import read_table, write_table

from MammoTrackerLib import MammoTrackerError
from MammoTrackerLib.command.batch import take_over as take_over_module
from MammoTrackerLib.command.batch.results import Journal, OtherRows, Results, journal_of
from MammoTrackerLib.command.batch.take_over import take_over
from MammoTrackerLib.command.cli import main
from MammoTrackerLib.command.tables.columns import PAIRS, RESULT_COLUMNS, SERIES
from MammoTrackerLib.command.tables.rows import read_rows


def made_from(row, group):
    return f"of {row['prior']}{len(group) or ''}"


def asked(*names: str) -> list[dict[str, str]]:
    """Rows of a manifest; a name ``p: x`` is pair p with the image x."""
    rows = []
    for name in names:
        pair, _, image = name.partition(": ")
        row = dict.fromkeys(PAIRS.manifest, "")
        rows.append(row | {"pair_id": pair, "lesion_id": "007, Ä", "prior": image or pair})
    return rows


def line_of(row: dict[str, str], k: int) -> dict[str, str]:
    names = {name: row[name] for name in PAIRS.ids}
    return names | {"status": "found", "seconds": str(k), "fingerprint": made_from(row, [])}


@pytest.fixture
def files(tmp_path):
    """A manifest, and its finished results."""
    manifest, out = tmp_path / "m.csv", tmp_path / "out.csv"
    write_table(manifest, asked("a", "b", "=c", "1e5"))
    rows = [line_of(row, k) for k, row in enumerate(asked("a", "b", "'=c: =c", "1e5"))]
    with Results(out, resume=False) as results:
        Journal(results, out, results.rows_of(manifest, made_from)).write(0, rows)
    return manifest, out


def gone_on(manifest, out, stop_at: str = "") -> tuple[list[str], list[str]]:
    """Go on as `batch` does; returns the pairs that were tracked, and what was said."""
    tracked, said = [], []
    with Results(out, resume=True) as results:
        try:
            done = results.rows_of(manifest, made_from)
        except OtherRows as problem:
            said.append(take_over(results, out, manifest, PAIRS, made_from, problem))
            done = 0
        with Journal(results, out, done) as journal:
            for number, row in enumerate(read_table(manifest)):
                if number < done or journal.recalls([(number, row)], [], made_from):
                    continue
                if row["pair_id"] == stop_at:
                    raise KeyboardInterrupt
                journal.write(number, [line_of(row, 100 + number)])
                tracked.append(row["pair_id"])
    return tracked, said


def seconds(out) -> list[tuple[str, str]]:
    return [(row["pair_id"], row["seconds"]) for row in read_table(out)]


@pytest.mark.parametrize(
    "now, tracked, left",
    [
        (("new", "a", "b", "=c", "1e5"), ["new"], 0),
        (("a", "x", "b", "y", "=c", "1e5", "z"), ["x", "y", "z"], 0),
        (("1e5", "=c", "b", "a"), [], 0),
        (("a", "=c", "1e5"), [], 1),
        (("a", "b: other", "=c", "1e5"), ["b"], 1),
        (("renamed: a", "b", "b", "=c"), [], 1),
    ],
)
def test_rows_that_hold_are_kept_wherever_they_stand(files, now, tracked, left):
    manifest, out = files
    before = out.read_bytes()
    old = dict(seconds(out))
    write_table(manifest, asked(*now))
    done, (said,) = gone_on(manifest, out)
    assert done == tracked
    assert (f"{left} rows" in said) == bool(left)
    expected = [name.partition(":")[0].replace("=", "'=") for name in now]
    assert [name for name, _ in seconds(out)] == expected
    for name, value in seconds(out):
        assert name in tracked or value == old[{"renamed": "a"}.get(name, name)]
    assert out.with_name("out.csv.before").read_bytes() == before
    assert not journal_of(out).exists()
    assert gone_on(manifest, out) == ([], []), "nothing is left to do"


def test_an_earlier_table_that_rows_are_only_in_is_never_written_over(files):
    """As after a manifest that was cut by mistake, and is whole again."""
    manifest, out = files
    whole = out.read_bytes()
    write_table(manifest, asked("b"))
    _, (said,) = gone_on(manifest, out)
    assert "3 rows" in said and said.endswith("out.csv.before only.")
    write_table(manifest, asked("a", "b"))
    _, (said,) = gone_on(manifest, out)
    assert "all results are kept" in said and not out.with_name("out.csv.before-2").exists()
    second = out.read_bytes()
    write_table(manifest, asked("b"))
    _, (said,) = gone_on(manifest, out)
    assert said.endswith("out.csv.before-2 only.")
    assert out.with_name("out.csv.before").read_bytes() == whole
    assert out.with_name("out.csv.before-2").read_bytes() == second


def test_rows_of_a_series_are_told_apart_by_lesion_and_exam(tmp_path):
    manifest, out = tmp_path / "m.csv", tmp_path / "out.csv"

    def made(row, group):
        return f"{len(group)} rows"

    def series(group, *exams):
        row = dict.fromkeys(SERIES.manifest, "") | {"exam_group": group}
        return [row | {"lesion_id": n, "exam": exam} for n in ("1", "2") for exam in exams]

    write_table(manifest, series("g", "a", "b") + series("h", "c", "d", "e"))
    with Results(out, resume=False, layout=SERIES) as results:
        journal = Journal(results, out, results.rows_of(manifest, made), SERIES)
        for number, row in enumerate(read_table(manifest)):
            group = [other for other in read_table(manifest) if row["exam_group"] in other.values()]
            told = {
                "status": "found",
                "message": f"{row['lesion_id']}, {row['exam']}",
                "fingerprint": made(row, group),
            }
            journal.write(number, [{name: row[name] for name in SERIES.ids} | told])
    grown = series("h", "c", "d", "e", "f") + series("new name of g", "b", "a")
    write_table(manifest, grown)
    with Results(out, resume=True, layout=SERIES) as results:
        with pytest.raises(OtherRows) as problem:
            results.rows_of(manifest, made)
        said = take_over(results, out, manifest, SERIES, made, problem.value)
        assert "6 rows of results are not in" in said, "an exam more changes the whole series"
        with Journal(results, out, 0, SERIES) as journal:
            for number, row in enumerate(grown):
                group = [other for other in grown if other["exam_group"] == row["exam_group"]]
                if not journal.recalls([(number, row)], group, made):
                    journal.write(number, [row | {"status": "found", "message": "anew"}])
    told = [(row["exam_group"], row["message"]) for row in read_table(out)]
    assert told[:8] == [("h", "anew")] * 8
    assert told[8:] == [("new name of g", text) for text in ("1, b", "1, a", "2, b", "2, a")]


def test_an_end_at_any_moment_loses_no_row(files, monkeypatch):
    manifest, out = files
    old = dict(seconds(out))
    write_table(manifest, asked("x", "a", "y", "b", "=c", "1e5"))
    with monkeypatch.context() as patch:
        patch.setattr(Results, "cut", lambda self, end: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            gone_on(manifest, out)
    with pytest.raises(KeyboardInterrupt):
        gone_on(manifest, out, "x")
    assert seconds(out) == []
    with pytest.raises(KeyboardInterrupt):
        gone_on(manifest, out, "y")
    assert seconds(out) == [("x", "100"), ("a", "0")]
    write_table(manifest, asked("x", "new", "a", "y", "b", "=c", "1e5"))  # it grows meanwhile
    assert gone_on(manifest, out)[0] == ["new", "y"]
    assert {k: v for k, v in seconds(out) if k in old} == old


def test_results_without_a_row_that_holds_are_refused(files, monkeypatch):
    manifest, out = files
    before = out.read_bytes()
    write_table(manifest, asked("k", "l", "a: m"))
    with pytest.raises(OtherRows, match="row 1 is another one"):
        gone_on(manifest, out)
    write_table(manifest, asked("x", "a"))
    with monkeypatch.context() as patch:
        patch.setattr(take_over_module.shutil, "copyfile", lambda *_: open("/nowhere/x"))
        with pytest.raises(MammoTrackerError, match="Cannot write"):
            gone_on(manifest, out)
    assert out.read_bytes() == before
    assert {path.name for path in out.parent.iterdir()} == {"m.csv", "out.csv"}


@pytest.mark.parametrize(("ending", "more"), [("csv", []), ("parquet", ["--workers", "2"])])
def test_batch_goes_on_with_a_manifest_that_grew(manifest, results, tmp_path, capsys, ending, more):
    if more:
        pytest.importorskip("distributed", reason="the extra cluster is not installed")
    rows = read_table(manifest)
    for row in rows:
        row |= {name: str(manifest.parent / row[name]) for name in ("prior", "current")}
    table, out = tmp_path / "table.csv", tmp_path / f"out.{ending}"
    write_table(table, rows[:1] + rows[3:])
    argv = ["batch", str(table), "--out", str(out), "--resume", *more]
    assert main(argv) == 0
    new = rows[2] | {"pair_id": "new"}
    write_table(table, [new, *rows[3:], rows[0], rows[2]])
    capsys.readouterr()
    assert main(argv) == 0
    said = capsys.readouterr()
    assert "2 rows written" in said.out and "(2 failed, 3 kept from before)" in said.out
    assert "all results are kept" in " ".join(said.err.split())
    whole = tmp_path / "whole.csv"
    assert main(["batch", str(table), "--out", str(whole)]) == 0
    kept = ("pair_id", "lesion_id", "status", "fingerprint")
    one, other = (
        [[row[name] for name in kept] for row in read_rows(path, RESULT_COLUMNS)]
        for path in (out, whole)
    )
    assert one == other
    names = {path.name for path in tmp_path.iterdir()}
    before = "out.csv.before" if ending == "csv" else "out.parquet.csv.before"
    assert names == {"table.csv", out.name, "whole.csv", before}

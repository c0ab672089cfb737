"""Pairs and series as they are sent to workers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from command_line import read_table, write_table

from MammoTrackerLib import MammoTrackerError
from MammoTrackerLib.command.batch import units
from MammoTrackerLib.command.batch.results import Journal, Results
from MammoTrackerLib.command.tables.columns import PAIRS, SERIES
from MammoTrackerLib.command.tables.fingerprints import fingerprints


def read(manifest: Path, layout=PAIRS, done: int = 0) -> list[units.Unit]:
    out = manifest.with_name("out.csv")
    with Results(out, resume=True, layout=layout) as results:
        results.rows_of(manifest, fingerprints(manifest.parent, False))
        with Journal(results, out, done, layout) as journal:
            return list(units.read_units(manifest, layout, False, journal, lambda: None))


def test_a_pair_is_a_unit_with_all_its_rows(manifest, tmp_path):
    table = tmp_path / "m.csv"
    table.write_bytes(manifest.read_bytes())
    found = read(table)
    assert [unit.first for unit in found] == [0, 2, 3, 4]
    assert [len(unit.rows) for unit in found] == [2, 1, 1, 1]
    assert not any(unit.group for unit in found)
    (tmp_path / "out.csv").unlink()
    assert [unit.first for unit in read(table, done=1)] == [1, 2, 3, 4]


def test_a_pair_of_very_many_lesions_is_shared(manifest, tmp_path):
    write_table(tmp_path / "m.csv", [read_table(manifest)[0]] * 250)
    assert [len(unit.rows) for unit in read(tmp_path / "m.csv")] == [100, 100, 50]


def test_a_series_is_a_unit_with_its_whole_group(tmp_path):
    row = dict.fromkeys(SERIES.manifest, "") | {"patient": "private"}
    rows = [row | {"exam_group": name, "exam": str(k)} for name in "aab" for k in range(2)]
    write_table(tmp_path / "m.csv", rows)
    first, second = read(tmp_path / "m.csv", SERIES, done=1)
    assert (first.first, len(first.rows), len(first.group)) == (1, 3, 4)
    assert (second.first, len(second.rows), len(second.group)) == (4, 2, 2)
    assert set(first.rows[0]) == set(first.group[0]) == set(SERIES.manifest)


def test_a_unit_says_nothing_of_itself(manifest, tmp_path):
    (tmp_path / "m.csv").write_bytes(manifest.read_bytes())
    unit = read(tmp_path / "m.csv")[0]
    assert "prior.png" not in repr(unit) + str(unit)


@pytest.fixture
def unit(tmp_path) -> units.Unit:
    row = dict.fromkeys(PAIRS.manifest, "") | {"prior": "DOE^JANE.dcm"}
    return units.Unit(7, [row], [], str(tmp_path), False, units._version())


def test_whatever_is_wrong_is_said_and_not_raised(unit, monkeypatch):
    other = replace(unit, version=("0", "0"))
    assert units.track_unit(other) == (7, units.track_unit(other)[1])
    assert "another version" in units.track_unit(other)[1]
    assert "same path" in units.track_unit(replace(unit, folder="/nowhere/DOE"))[1]

    class Broken:
        error: Exception = ValueError("DOE^JANE")

        def find(self, row, group):
            raise self.error

        def close(self):
            pass

    monkeypatch.setattr(units, "_new_process", lambda folder, force: Broken())
    first, message = units.track_unit(unit)
    assert first == 7 and "ValueError" in message and "DOE" not in message
    Broken.error = MammoTrackerError("The networks do not load.")
    assert units.track_unit(unit) == (7, "The networks do not load.")


def test_a_process_is_used_again_and_ends_when_idle(unit, monkeypatch):
    made = []

    class Process:
        closed = False

        def __init__(self):
            made.append(self)

        def find(self, row, group):
            return {"status": "found"}

        def close(self):
            self.closed = True

    monkeypatch.setattr(units, "_new_process", lambda folder, force: Process())
    monkeypatch.setattr(units, "_IDLE_S", 0.3)
    results = [units.track_unit(unit)[1] for _ in range(3)]
    assert len(made) == 1 and not made[0].closed
    assert results[0][0]["fingerprint"] == results[2][0]["fingerprint"]
    for entry in list(units._idle):
        entry[2].join()
    assert made[0].closed and not units._idle

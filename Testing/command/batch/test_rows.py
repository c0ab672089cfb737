"""Rows in a process of their own: what kills it, or hangs, fails a row and no batch."""

from __future__ import annotations

import errno
import os
import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from command_line import COMMAND, STATUSES, Pair, read_table, without_seconds, write_table
from killing_reader import environment

from MammoTrackerLib import LesionTracker, Mammogram, MammoTrackerError
from MammoTrackerLib.command.batch import rows
from MammoTrackerLib.command.cli import main
from MammoTrackerLib.command.simulate import write_dicom

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")


def killing_manifest(manifest: Path, tmp_path: Path, *names: str) -> Path:
    """Write a table whose rows have these priors, beside a good row at either end."""
    good = read_table(manifest)[0]
    good |= {name: str(manifest.parent / good[name]) for name in ("prior", "current")}
    path = tmp_path / "killing.csv"
    priors = [good["prior"], *names, good["prior"]]
    return write_table(path, [good | {"pair_id": str(n), "prior": p} for n, p in enumerate(priors)])


def run_batch(manifest: Path, *more: str, **env: str) -> subprocess.CompletedProcess:
    folder = manifest.parent
    return subprocess.run(
        [*COMMAND, "batch", str(manifest), "--out", str(folder / "out.csv"), *more],
        env=environment(folder, **env),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_row_that_kills_its_reader_is_failed_and_the_rest_go_on(manifest, tmp_path):
    table = killing_manifest(manifest, tmp_path, "crash.png", "abort.png", "kill.png", "hang.png")
    before = {path.name for path in tmp_path.iterdir()}
    done = run_batch(table, HURRY="1", TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "Fatal" not in done.stderr
    results = read_table(tmp_path / "out.csv")
    assert [row["status"] == "failed" for row in results] == [False, *[True] * 4, False]
    for row, why in zip(results[1:], ("SIGSEGV", "SIGABRT", "SIGKILL", "3 s"), strict=False):
        assert why in row["message"] and "twice" in row["message"]
    new = {path.name for path in tmp_path.iterdir()} - before
    assert new == {"out.csv", "sitecustomize.py", "was-read"}


def test_a_row_whose_process_is_killed_once_is_done(manifest, tmp_path):
    table = killing_manifest(manifest, tmp_path)
    once = tmp_path / "once.png"
    once.write_bytes((manifest.parent / "prior.png").read_bytes())
    table = killing_manifest(manifest, tmp_path, str(once))
    assert run_batch(table).returncode == 0
    assert {row["status"] for row in read_table(tmp_path / "out.csv")} <= STATUSES


def test_a_batch_whose_process_dies_goes_on_behind_the_row_at_the_third_time(manifest, tmp_path):
    table = killing_manifest(manifest, tmp_path, "kill-batch.png")
    assert run_batch(table).returncode == -9
    assert len(read_table(tmp_path / "out.csv")) == 1
    assert run_batch(table, "--resume").returncode == -9
    done = run_batch(table, "--resume")
    assert done.returncode == 0, done.stderr
    results = read_table(tmp_path / "out.csv")
    assert [row["status"] == "failed" for row in results] == [False, True, False]
    assert "died while this row was worked on" in results[1]["message"]
    assert not list(tmp_path.glob("*.unfinished"))
    assert run_batch(table, "--resume").returncode == 0
    assert read_table(tmp_path / "out.csv") == results


def test_a_batch_that_is_killed_once_loses_no_row(manifest, tmp_path):
    once = tmp_path / "once-batch.png"
    once.write_bytes((manifest.parent / "prior.png").read_bytes())
    table = killing_manifest(manifest, tmp_path, str(once))
    assert run_batch(table).returncode == -9
    assert run_batch(table, "--resume").returncode == 0
    assert {row["status"] for row in read_table(tmp_path / "out.csv")} <= STATUSES


def test_what_was_noted_of_results_that_are_gone_does_not_count(manifest, tmp_path):
    table = killing_manifest(manifest, tmp_path)
    (tmp_path / "out.csv.unfinished").write_text('{"row": 0, "tries": 7}')
    assert run_batch(table).returncode == 0
    assert {row["status"] for row in read_table(tmp_path / "out.csv")} <= STATUSES
    assert not list(tmp_path.glob("*.unfinished"))


def test_a_process_that_does_not_start_stops_the_batch_and_leaves_nothing(manifest, tmp_path):
    table = killing_manifest(manifest, tmp_path)
    (tmp_path / "pydicom.py").write_text("raise ValueError('DOE^JANE')")
    done = run_batch(table)
    assert done.returncode == 2
    assert "ValueError" in done.stderr and "PYTHONPATH" in done.stderr
    assert "DOE" not in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out.csv").exists()


def test_a_pair_is_aligned_once(manifest, monkeypatch):
    aligned = []
    real = rows.align
    monkeypatch.setattr(rows, "align", lambda *images: aligned.append(images) or real(*images))
    find = rows.row_tracker(LesionTracker(), manifest.parent, force=False)
    for row in read_table(manifest):
        find(row)
    assert len(aligned) == 2, "two lesions of one pair, and the same pair as DICOM"


def test_the_process_gives_what_the_same_process_gives(manifest, results):
    find = rows.row_tracker(LesionTracker(), manifest.parent, force=False)
    here = [find(row) for row in read_table(manifest)]
    for one, other in zip(here, without_seconds(results), strict=True):
        del one["seconds"], other["fingerprint"]
        assert one == {name: text for name, text in other.items() if text}


def test_what_may_be_wrong_with_a_pair_is_said(pair: Pair, manifest, tmp_path):
    current = Mammogram.read(pair.current_dicom)
    odd = replace(current, patient_id="ANOTHER^NAME", date=date(1999, 1, 1))
    write_dicom(odd, tmp_path / "current.dcm", "SIMULATED")
    row = read_table(manifest)[4]
    row |= {"prior": str(pair.prior_dicom), "current": str(tmp_path / "current.dcm")}
    write_table(tmp_path / "table.csv", [row])
    out = tmp_path / "out.csv"
    assert main(["batch", str(tmp_path / "table.csv"), "--out", str(out)]) == 0
    (result,) = read_table(out)
    assert result["status"] in STATUSES
    assert "different patient IDs" in result["message"]
    assert "taken after the current" in result["message"]
    for secret in ("SECRET", "ANOTHER", "1999"):
        assert secret not in out.read_text()


def test_forced_pairs_say_what_was_forced(pair: Pair, manifest, tmp_path):
    other = replace(Mammogram.read(pair.current_dicom), laterality="R")
    write_dicom(other, tmp_path / "current.dcm", "SIMULATED")
    row = read_table(manifest)[4] | {"current": str(tmp_path / "current.dcm")}
    tracker = LesionTracker()
    refused, forced = (
        rows.row_tracker(tracker, manifest.parent, force)(row) for force in (False, True)
    )
    assert refused["status"] == "failed"
    assert forced["status"] in STATUSES and "laterality" in forced["message"]


def test_networks_that_do_not_load_are_the_batchs_error(monkeypatch, tmp_path):
    monkeypatch.setenv("MAMMOTRACKER_RUNTIME", "nonsense")
    process = rows.RowProcess(tmp_path, force=False)
    with pytest.raises(MammoTrackerError, match="no runtime"):
        process.find({})
    process.close()


def test_a_process_that_cannot_be_had_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    def refused(*_arguments):
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(rows, "Child", refused)
    process = rows.RowProcess(tmp_path, False, home=str(tmp_path))
    with pytest.raises(MammoTrackerError, match="could not be started"):
        process.find({})
    process.close()
    assert not list(tmp_path.iterdir())


def test_a_process_that_takes_too_much_memory_is_ended(manifest, tmp_path, monkeypatch):
    pytest.importorskip("psutil", reason="the extra cluster is not installed")
    monkeypatch.setattr(rows, "_LOOK_S", 0.01)
    process = rows.RowProcess(
        manifest.parent, False, tries=3, one_thread=True, most_memory=1e6, home=str(tmp_path)
    )
    try:
        result = process.find(read_table(manifest)[0])
    finally:
        process.close()
    assert result["status"] == "failed"
    assert "0.0 GB of memory, 3 times" in result["message"]
    assert not list(tmp_path.iterdir())

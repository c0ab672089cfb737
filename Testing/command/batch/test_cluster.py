"""`mammotracker batch` on Dask's workers: what one process gives, whatever dies."""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
from command_line import COMMAND, assert_refused, read_table, without_seconds, write_table
from killing_reader import environment

from MammoTrackerLib import MammoTrackerError
from MammoTrackerLib.command.arguments import make_parser
from MammoTrackerLib.command.batch import cluster, units
from MammoTrackerLib.command.batch.results import Journal, Results
from MammoTrackerLib.command.cli import main
from MammoTrackerLib.command.tables.cells import failed_row
from MammoTrackerLib.command.tables.columns import PAIRS
from MammoTrackerLib.command.tables.fingerprints import fingerprints

distributed = pytest.importorskip("distributed", reason="the extra cluster is not installed")
dask = pytest.importorskip("dask", reason="the extra cluster is not installed")

SECRETS = ("DOE^JANE", "/secret/archive/1.dcm", "12.25")


def long_manifest(path: Path, pairs: int) -> Path:
    """Write a table of pairs that do not exist, for workers that only sleep."""
    row = {"prior_spacing_mm": SECRETS[2], "current_spacing_mm": "", "lesion_type": "", "mrn": "x"}
    row |= {f"prior_{name}": "1" for name in ("x0", "y0", "x1", "y1")}
    rows = [
        row
        | {"pair_id": f"{SECRETS[0]}-{pair}", "lesion_id": str(k)}
        | {"prior": SECRETS[1], "current": f"{pair}.png"}
        for pair in range(pairs)
        for k in range(2)
    ]
    return write_table(path, rows)


def sleeping(unit: units.Unit) -> units.Answer:
    """Answer without tracking, at once or late."""
    time.sleep(random.choice([0, 0, 0.02, 0.1]))
    made_from = fingerprints(Path(unit.folder), unit.force)
    rows = [failed_row(row, "slept", 0.0) | {"score": row["prior_x0"]} for row in unit.rows]
    marks = [made_from(row, unit.group) for row in unit.rows]
    return unit.first, [row | {"fingerprint": mark} for row, mark in zip(rows, marks, strict=True)]


seen: list[units.Unit] = []
"""What workers that are threads were given; functions are sent to them by name, not as closures."""


def noting(unit: units.Unit) -> units.Answer:
    seen.append(unit)
    return sleeping(unit)


def late_first(unit: units.Unit) -> units.Answer:
    if unit.first == 0:
        time.sleep(1.5)
    return noting(unit)


def failing(unit: units.Unit) -> units.Answer:
    raise KeyError


def complaining(unit: units.Unit) -> units.Answer:
    return unit.first, "its reason"


@contextmanager
def threads(count: int):
    """Workers that are threads of this process."""
    with (
        distributed.LocalCluster(
            n_workers=count, threads_per_worker=1, processes=False, dashboard_address=None,
            protocol="tcp", silence_logs=False,
        ) as local,
        distributed.Client(local, set_as_default=False) as client,
    ):  # fmt: skip
        yield client


def run(client, manifest: Path, out: Path, work=sleeping, resume: bool = False) -> Journal:
    with Results(out, resume) as results:
        done = results.rows_of(manifest, fingerprints(manifest.parent, False))
        with Journal(results, out, done) as journal:
            cluster.track_manifest(client, manifest, PAIRS, False, journal, lambda: None, work)
    return journal


# --- the command


def test_two_workers_give_what_one_gives(manifest, results, tmp_path, capfd):
    out = tmp_path / "out.csv"
    assert main(["batch", str(manifest), "--out", str(out), "--workers", "2"]) == 0
    printed = capfd.readouterr()
    assert "2 workers of one thread, each with at most" in printed.err
    assert "5 rows written" in printed.out and "2 failed" in printed.out
    assert printed.out.endswith("Their messages in that table say why.\n")
    for one, other in zip(without_seconds(out), without_seconds(results), strict=True):
        for name in ("status", "message", "fingerprint", "pair_id", "lesion_id"):
            assert one[name] == other[name]
        for name in ("x0", "y1", "registration_x0", "score"):  # threads differ in the last digits
            assert one[name] == other[name] or float(one[name]) == pytest.approx(
                float(other[name]), abs=0.05
            )
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_what_kills_its_process_or_its_worker_fails_and_the_rest_go_on(manifest, tmp_path):
    good = read_table(manifest)[0]
    good |= {name: str(manifest.parent / good[name]) for name in ("prior", "current")}
    priors = ["crash.png", good["prior"], "kill-batch.png", good["prior"]]
    write_table(
        tmp_path / "table.csv",
        [good | {"pair_id": str(n), "prior": prior} for n, prior in enumerate(priors)],
    )
    done = subprocess.run(
        [*COMMAND, "batch", "table.csv", "--out", "out.csv", "--workers", "2"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and str(manifest.parent) not in done.stderr
    rows = read_table(tmp_path / "out.csv")
    assert [row["status"] == "failed" for row in rows] == [True, False, True, False]
    assert "SIGSEGV" in rows[0]["message"] and "3 times" in rows[0]["message"]
    assert "workers" in rows[2]["message"] and "3 times" in rows[2]["message"]
    assert all(row["fingerprint"] for row in rows)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_client_that_is_killed_goes_on_and_leaves_no_process(manifest, tmp_path):
    import psutil

    good = read_table(manifest)[0]
    good |= {name: str(manifest.parent / good[name]) for name in ("prior", "current")}
    # Another spacing is another pair, which is read and aligned anew.
    rows = [good | {"pair_id": str(n), "prior_spacing_mm": f"0.20{n:02d}"} for n in range(8)]
    write_table(tmp_path / "table.csv", rows)
    argv = ["batch", str(tmp_path / "table.csv"), "--workers", "2", "--out"]
    assert main([*argv, str(tmp_path / "undisturbed.csv")]) == 0
    out = tmp_path / "out.csv"
    process = subprocess.Popen(
        [*COMMAND, *argv, str(out)], cwd=Path(__file__).parents[3], stderr=subprocess.DEVNULL
    )
    while not out.exists() or out.read_bytes().count(b"\n") < 3:
        assert process.poll() is None
        time.sleep(0.02)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 4, "two workers, and what tracks for each"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not psutil.wait_procs(children, timeout=15)[1]
    assert len(read_table(out)) < 8
    assert main([*argv, str(out), "--resume"]) == 0
    assert without_seconds(out) == without_seconds(tmp_path / "undisturbed.csv")
    assert not list(tmp_path.glob("out.csv.*"))


def test_series_are_followed_by_workers(pair, tmp_path):
    box = dict(zip(("x0", "y0", "x1", "y1"), pair.box.as_tuple(), strict=True))
    row = {"exam_group": "a", "lesion_id": "1", "lesion_type": "mass", "spacing_mm": 0.2}
    first = row | {"exam": str(pair.prior), "date": "2020-05-01"} | box
    later = row | {"exam": str(pair.current), "date": "2021-05-01"} | dict.fromkeys(box, "")
    table = tmp_path / "series.csv"
    write_table(table, [first, later, *({**r, "exam_group": "b"} for r in (first, later))])
    argv = ["batch", str(table), "--out"]
    assert main([*argv, str(tmp_path / "one.csv")]) == 0
    assert main([*argv, str(tmp_path / "two.csv"), "--workers", "2"]) == 0
    one, two = (read_table(tmp_path / f"{name}.csv") for name in ("one", "two"))
    for name in ("exam_group", "exam", "number", "status", "total_verdict", "fingerprint"):
        assert [row[name] for row in one] == [row[name] for row in two]
    assert [row["status"] for row in two] == ["found"] * 4
    lines = (tmp_path / "two.csv").read_text().splitlines(keepends=True)
    (tmp_path / "two.csv").write_text("".join(lines[:2]))
    assert main([*argv, str(tmp_path / "two.csv"), "--workers", "2", "--resume"]) == 0
    again = without_seconds(tmp_path / "two.csv")
    assert again == [{k: v for k, v in row.items() if k != "seconds"} for row in two]


def test_what_is_missing_or_wrong_is_said(manifest, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out.csv"
    argv = ["batch", str(manifest), "--out", str(out)]
    assert_refused([*argv, "--workers", "-1"], capsys, "negative")
    assert make_parser().parse_args([*argv, "--workers"]).workers == 0, "all that there are"
    assert_refused([*argv, "--workers", "100000"], capsys, "not enough memory")
    with dask.config.set({"distributed.comm.timeouts.connect": "0.2s"}):
        assert_refused([*argv, "--scheduler", "tcp://127.0.0.1:1"], capsys, "No scheduler")
        for address in ("nonsense://x", "host-without-port", "http://127.0.0.1:80", "::::"):
            with mock.patch("distributed.Client") as client:  # is rid of only after a minute
                assert_refused([*argv, "--scheduler", address], capsys, "No scheduler")
            assert not client.called
    with pytest.raises(SystemExit):
        main([*argv, "--workers", "2", "--scheduler", "tcp://127.0.0.1:1"])
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert_refused([*argv, "--workers", "2"], capsys, "pip install 'mammotracker[cluster]'")
    assert not out.exists()
    assert main(argv) == 0, "one worker needs no Dask"


def test_a_running_scheduler_is_joined(manifest, tmp_path, capfd):
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
    ) as local:
        out = tmp_path / "out.csv"
        argv = ["batch", str(manifest), "--out", str(out), "--scheduler"]
        assert main([*argv, local.scheduler_address]) == 0
    assert "1 workers" in capfd.readouterr().err
    assert [row["status"] == "failed" for row in read_table(out)] == [False] * 2 + [True] * 2 + [
        False
    ]


# --- with workers that sleep


def test_rows_come_in_the_manifests_order_and_no_cell_too_many_is_sent(tmp_path):
    manifest, out = long_manifest(tmp_path / "m.csv", 60), tmp_path / "out.csv"
    seen.clear()
    with threads(4) as client:
        journal = run(client, manifest, out, noting)
    rows, given = read_table(out), read_table(manifest)
    assert [(row["pair_id"], row["lesion_id"]) for row in rows] == [
        (row["pair_id"], row["lesion_id"]) for row in given
    ]
    assert (journal.written, journal.failed, journal.kept) == (120, 120, 0)
    assert set(seen[0].rows[0]) == set(PAIRS.manifest)
    assert [path.name for path in tmp_path.iterdir() if path != manifest] == ["out.csv"]


def test_a_late_first_row_keeps_no_other_waiting_and_nothing_of_it_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_AHEAD", 40)
    manifest, out = long_manifest(tmp_path / "m.csv", 100), tmp_path / "out.csv"
    seen.clear()
    with threads(3) as client:
        run(client, manifest, out, late_first)
    before = [unit.first for unit in seen]
    assert 30 <= max(before[: before.index(0)]) < 40 + 2
    assert len(read_table(out)) == 200


def test_what_was_done_ahead_of_a_lost_scheduler_is_gone_on_with(tmp_path):
    manifest, out = long_manifest(tmp_path / "m.csv", 40), tmp_path / "out.csv"
    seen.clear()
    soon = dask.config.set({"distributed.comm.timeouts.connect": "1s"})
    with soon, pytest.raises(MammoTrackerError, match="--resume"), threads(3) as client:
        local = client.cluster

        def end() -> None:
            while len(seen) < 20:
                time.sleep(0.01)
            local.loop.add_callback(local.scheduler.close)

        threading.Thread(target=end).start()
        run(client, manifest, out, late_first)
    ahead = (tmp_path / "out.csv.journal").read_bytes().count(b"\n")
    assert ahead >= 10 and read_table(out) == []
    with threads(3) as client:
        journal = run(client, manifest, out, resume=True)
    assert journal.kept == ahead and journal.kept + journal.written == 80
    assert [row["pair_id"] for row in read_table(out)] == [
        row["pair_id"] for row in read_table(manifest)
    ]
    assert not list(tmp_path.glob("*.journal"))


def test_a_task_that_fails_puts_no_cell_into_a_log_or_message(tmp_path, caplog, capfd):
    manifest, out = long_manifest(tmp_path / "m.csv", 4), tmp_path / "out.csv"
    caplog.set_level(logging.DEBUG, "distributed")
    with pytest.raises(MammoTrackerError, match="KeyError") as raised, threads(1) as client:
        run(client, manifest, out, failing)
    printed = capfd.readouterr()
    assert "Compute Failed" in caplog.text + printed.err
    for text in (caplog.text, printed.err, printed.out, str(raised.value)):
        assert not any(secret in text for secret in SECRETS)


def test_a_worker_that_cannot_track_ends_the_run_with_its_reason(tmp_path):
    manifest, out = long_manifest(tmp_path / "m.csv", 4), tmp_path / "out.csv"
    with pytest.raises(MammoTrackerError, match="its reason"), threads(1) as client:
        run(client, manifest, out, complaining)
    assert not list(tmp_path.glob("*.journal"))

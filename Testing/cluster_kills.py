"""Kills workers, scheduler and client of a batch at random moments, and compares the tables.

    python Testing/cluster_kills.py MANIFEST.csv [--kills 20] [--seed 0] [--scheduler]

First the manifest is tracked undisturbed by two workers, then anew with the kills; a run that was
ended by one is gone on with by ``--resume``. With ``--scheduler``, the scheduler is a process of
its own and may be killed, too; else it is within the client.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
LONGEST_S = 1800


class Run:
    """A batch of two workers, and, if it is not its own, the scheduler and its workers."""

    def __init__(self, manifest: Path, out: Path, with_scheduler: bool) -> None:
        self.others: list[subprocess.Popen] = []
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        where = ["--workers", "2"]
        if with_scheduler:
            address = self._scheduler(out.parent)
            for _ in range(2):
                more = ["--nthreads", "1", "--no-dashboard", "--memory-limit", "4GB"]
                more += ["--local-directory", str(out.parent)]
                self.others.append(self._start("distributed.cli.dask_worker", address, *more))
            where = ["--scheduler", address]
        self.client = self._start(
            "MammoTrackerLib.command.cli", "batch", str(manifest), "--out", str(out), "--resume",
            *where,
        )  # fmt: skip

    def _start(self, module: str, *arguments: str, **options: object) -> subprocess.Popen:
        command = [sys.executable, "-m", module, *arguments]
        options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | options
        return subprocess.Popen(command, env=self.environment, **options)

    def _scheduler(self, folder: Path) -> str:
        log = folder / "scheduler.log"
        with log.open("w") as file:
            process = self._start(
                "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0",
                "--no-dashboard", stderr=file,
            )  # fmt: skip
        self.others.append(process)
        while not (found := re.search(r"tcp://[0-9.]+:[0-9]+", log.read_text())):
            time.sleep(0.1)
        return found[0]

    def victims(self) -> dict[str, list[psutil.Process]]:
        """Return the processes that may be killed, by what they are."""
        found: dict[str, list[psutil.Process]] = {"client": [psutil.Process(self.client.pid)]}
        nannies = [self.client] if not self.others else self.others[1:]
        if self.others:
            found["scheduler"] = [psutil.Process(self.others[0].pid)]
            found["nanny"] = [psutil.Process(process.pid) for process in nannies]
        workers = [w for n in nannies for w in spawned(psutil.Process(n.pid))]
        found["worker"] = workers
        found["tracking process"] = [t for worker in workers for t in spawned(worker)]
        return {name: processes for name, processes in found.items() if processes}

    def end(self) -> None:
        for process in [self.client, *self.others]:
            process.kill()
            process.wait()


def spawned(process: psutil.Process) -> list[psutil.Process]:
    return [child for child in process.children() if "spawn_main" in " ".join(child.cmdline())]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=8.0, help="seconds between two kills")
    parser.add_argument("--scheduler", action="store_true")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.monotonic()
        run = Run(arguments.manifest, folder / "undisturbed.csv", arguments.scheduler)
        assert run.client.wait(LONGEST_S) == 0
        run.end()
        expected = rows_of(folder / "undisturbed.csv")
        print(f"Undisturbed: {len(expected)} rows in {time.monotonic() - started:.0f} s.")
        killed: Counter[str] = Counter()
        started, rounds, starts = time.monotonic(), 0, 0
        # A table that is done before all kills are is made anew.
        while sum(killed.values()) < arguments.kills:
            rounds += 1
            out = folder / f"disturbed-{rounds}.csv"
            run = None
            while True:
                if run is None:
                    run, starts = Run(arguments.manifest, out, arguments.scheduler), starts + 1
                is_over = sum(killed.values()) == arguments.kills
                try:
                    wait = LONGEST_S if is_over else chance.uniform(0.5, arguments.longest)
                    code = run.client.wait(wait)
                    run.end()
                    run = None
                    if code == 0:
                        break
                    assert code in (2, -9), code  # the scheduler was lost, or it was killed
                    continue
                except subprocess.TimeoutExpired:
                    pass
                try:
                    victims = run.victims()
                    kind = chance.choice(sorted(victims))
                    chance.choice(victims[kind]).kill()
                except psutil.NoSuchProcess:
                    continue
                killed[kind] += 1
                lines = out.read_bytes().count(b"\n") if out.exists() else 0
                print(f"{time.monotonic() - started:6.1f} s: {kind} killed at {lines} lines")
            done = rows_of(out)
            differing = sum(a != b for a, b in zip(done, expected, strict=False))
            same = done == expected
            print(f"Table {rounds}: {len(done)} rows, {differing} differ: {same}")
            left = sorted(path.name for path in folder.glob(f"{out.name}?*"))
            assert same and not left, left
        print(f"{dict(killed)}, {starts} starts, {rounds} tables, all equal.")


if __name__ == "__main__":
    main()

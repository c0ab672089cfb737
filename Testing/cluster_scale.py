"""How far a batch scales: simulated workers that only sleep, and what scheduler and client take.

    python Testing/cluster_scale.py [--workers 1 10 100 1000] [--seconds 0.7] [--units 20]

The scheduler is a process of its own, the client is this one, and the workers, which are Dask's
own, share a few processes: they answer each pair after so many seconds with a row of the usual
length.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
for folder in (ROOT, ROOT / "Testing"):  # before the installed copy, and for workers, too
    sys.path.insert(0, str(folder))

from MammoTrackerLib.box import Box  # noqa: E402
from MammoTrackerLib.command.batch import cluster  # noqa: E402
from MammoTrackerLib.command.batch.results import Journal, Results  # noqa: E402
from MammoTrackerLib.command.batch.units import Answer, Unit  # noqa: E402
from MammoTrackerLib.command.tables.cells import candidates_cell, text_cell  # noqa: E402
from MammoTrackerLib.command.tables.columns import PAIRS  # noqa: E402
from MammoTrackerLib.command.tables.fingerprints import fingerprints  # noqa: E402
from MammoTrackerLib.track import Candidate  # noqa: E402

WORKERS_A_PROCESS = 250
_QUIET = {
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "60s",
}
"""What hundreds of workers in a process cannot do each."""


async def sleeping(unit: Unit) -> Answer:
    """Take as long as a pair does, which the manifest says, and answer as a found lesion."""
    await asyncio.sleep(float(unit.rows[0]["lesion_type"]))
    candidate = Candidate(Box(1000.125, 2000.125, 1100.125, 2100.125), 0.5, 0.5)
    row = {
        "status": "found", "score": "0.9512", "seconds": "0.700", "fingerprint": "0123456789abcdef",
        "message": text_cell("One place looks like the lesion (probability 95 %)."),
        "candidates": candidates_cell([candidate] * 5),
    }  # fmt: skip
    names = PAIRS.results[3:7] + PAIRS.results[8:12]
    row |= dict.fromkeys(names, "1234.567")
    return unit.first, [
        row | {name: given[name] for name in ("pair_id", "lesion_id")} for given in unit.rows
    ]


async def serve(address: str, count: int, folder: str) -> None:
    """Be so many workers, until the scheduler ends."""
    from distributed import Worker

    workers = [
        Worker(address, nthreads=1, memory_limit=0, dashboard=False, local_directory=folder)
        for _ in range(count)
    ]
    for start in range(0, count, 25):
        await asyncio.gather(*workers[start : start + 25])
    await asyncio.gather(*(worker.finished() for worker in workers))


def write_manifest(path: Path, units: int, seconds: float) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(PAIRS.manifest)
        for number in range(units):
            images = [f"cohort_1/{number:08d}/{number:08d}/{name}.dcm" for name in ("prior", "now")]
            boxes = ["1000.125", "2000.125", "1100.125", "2100.125"]
            writer.writerow([f"p{number:06d}", "1", *images, "", "", str(seconds), *boxes])


def measure(workers: int, seconds: float, units: int, folder: Path) -> None:
    from distributed import Client

    environment = {**os.environ, **_QUIET, "PYTHONPATH": os.pathsep.join(sys.path[:2])}
    manifest, out = folder / f"{workers}.csv", folder / f"{workers}-results.csv"
    write_manifest(manifest, units, seconds)
    log = folder / "scheduler.log"
    with log.open("w") as file:
        command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
        command += ["--port", "0", "--no-dashboard"]
        processes = [
            subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=file)
        ]
    try:
        while not (found := re.search(r"tcp://[0-9.]+:[0-9]+", log.read_text())):
            time.sleep(0.1)
        for first in range(0, workers, WORKERS_A_PROCESS):
            count = min(WORKERS_A_PROCESS, workers - first)
            command = [sys.executable, __file__, "--serve", found[0], str(count), str(folder)]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            processes.append(subprocess.Popen(command, env=environment, **quiet))
        with Client(found[0], set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=600)
            print(report(client, manifest, out, processes, workers, units, seconds), flush=True)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def report(
    client: object,
    manifest: Path,
    out: Path,
    processes: list[subprocess.Popen],
    workers: int,
    units: int,
    seconds: float,
) -> str:
    written = [0.0]

    class Timed(Journal):
        def write(self, *arguments: object) -> None:
            start = time.process_time()
            super().write(*arguments)
            written[0] += time.process_time() - start

    scheduler, *others = [psutil.Process(process.pid) for process in processes]

    def used(process: psutil.Process) -> float:
        return sum(process.cpu_times()[:2])

    with Results(out, resume=False) as results:
        done = results.rows_of(manifest, fingerprints(manifest.parent, False))
        with Timed(results, out, done) as journal:
            before = [used(process) for process in (scheduler, psutil.Process(), *others)]
            start = time.monotonic()
            cluster.track_manifest(client, manifest, PAIRS, False, journal, lambda: None, sleeping)
            wall = time.monotonic() - start
            after = [used(process) for process in (scheduler, psutil.Process(), *others)]
    assert out.read_bytes().count(b"\n") == units + 1
    of_scheduler, of_client, *of_workers = (b - a for a, b in zip(before, after, strict=True))
    memory = [process.memory_info().rss / 1e6 for process in (scheduler, psutil.Process())]
    return (
        f"| {workers} | {units} | {units / wall:.1f} | {units * seconds / workers / wall:.0%} | "
        f"{of_scheduler / wall:.0%} | {1000 * of_scheduler / units:.2f} | {of_client / wall:.0%} | "
        f"{1000 * of_client / units:.2f} | {1000 * written[0] / units:.3f} | "
        f"{sum(of_workers) / wall:.0%} | {memory[0]:.0f} | {memory[1]:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--seconds", type=float, default=0.7, help="that a pair takes")
    parser.add_argument("--units", type=int, default=20, help="pairs for each worker")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        address, count, folder = arguments.serve
        asyncio.run(serve(address, int(count), folder))
        return
    print(
        "| workers | pairs | pairs/s | busy | scheduler: share of a core | ms a pair "
        "| client: share | ms a pair | of it writing, ms | workers: share "
        "| scheduler MB | client MB |"
    )
    print("|---" * 12 + "|")
    with tempfile.TemporaryDirectory() as name:
        for workers in arguments.workers:
            units = workers * arguments.units
            measure(workers, arguments.seconds, units, Path(name))


if __name__ == "__main__":
    main()

"""The rows of a manifest on workers of `dask.distributed`, here or on other machines."""

from __future__ import annotations

import importlib.util
import logging
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import MammoTrackerError
from ..packages import require
from ..tables.cells import failed_row
from ..tables.columns import Layout
from ..tables.fingerprints import fingerprints
from .results import Journal
from .units import DEATHS, Answer, Unit, read_units, track_unit

if TYPE_CHECKING:
    from distributed import Client, Future

MOST_MEMORY, LEAST_MEMORY = 4e9, 1e9
"""Bytes for each worker of this machine."""
_UNITS_A_THREAD, _LEAST_UNITS = 3, 12
_AHEAD = 100_000
"""Rows that may be done before an earlier one is."""
_LOOK_S, _COUNT_S = 0.02, 5.0
_NO_SIGINT = "import signal ; signal.signal(signal.SIGINT, signal.SIG_IGN)"


def require_distributed() -> None:
    """See whether Dask can be used.

    Raises
    ------
    MammoTrackerError
        If it is missing, or does not start.
    """
    require(
        "More than one worker needs the Python package distributed: install it by `pip install "
        "'mammotracker[cluster]'`, or leave --workers and --scheduler away.",
        "distributed",
    )


@contextmanager
def connected(workers: int, scheduler: str, say: Callable[[str], None]) -> Iterator[Client]:
    """Start workers on this machine, or join a scheduler that runs, until the block ends.

    Parameters
    ----------
    workers
        How many to start; 0 for as many as the machine has cores and memory for.
    scheduler
        The address of one that runs; empty to start workers.
    say
        Is told what was started.

    Raises
    ------
    MammoTrackerError
        If there is no Dask, no scheduler there, or too little memory.
    """
    require_distributed()
    import dask
    from distributed import Client, LocalCluster
    from distributed.comm.addressing import parse_address, parse_host_port
    from distributed.comm.registry import get_backend
    from distributed.system import MEMORY_LIMIT

    for name, logger in logging.root.manager.loggerDict.items():
        if name.partition(".")[0] == "distributed" and getattr(logger, "level", 0):
            logger.setLevel(logging.CRITICAL)  # what counts is said by ourselves
    if scheduler:
        try:
            # A client of an address that makes no sense would not be rid of for a minute.
            kind, place = parse_address(scheduler)
            get_backend(kind)
            parse_host_port(place)
            client = Client(scheduler, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise MammoTrackerError(
                f"No scheduler of Dask answers at that address ({type(error).__name__}): give it "
                "as the scheduler prints it, such as tcp://HOST:8786."
            ) from None
        with client:
            say(f"{sum(client.nthreads().values())} workers so far.{_dashboard(client)}")
            yield client
        return
    most = int(MEMORY_LIMIT / LEAST_MEMORY)
    count = workers or max(1, min(dask.system.CPU_COUNT, most))
    memory = min(MOST_MEMORY, MEMORY_LIMIT / count)
    if count > max(1, most):
        raise MammoTrackerError(
            f"There is not enough memory for {count} workers: give --workers {max(1, most)} or "
            "fewer."
        )
    with ExitStack() as stack:
        stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": DEATHS - 1}))
        try:
            local = LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                memory_limit=int(memory),
                dashboard_address="127.0.0.1:8787",
                silence_logs=logging.CRITICAL,
                local_directory=tempfile.mkdtemp(),
                preload=[_NO_SIGINT],
            )
            stack.enter_context(local)
            client = stack.enter_context(Client(local, set_as_default=False))
        except Exception as error:  # of asyncio, the system, or what a worker raised
            raise MammoTrackerError(
                f"The workers could not be started ({type(error).__name__}): give fewer, or close "
                "other programs."
            ) from None
        say(
            f"{count} workers of one thread, each with at most {memory / 1e9:.1f} GB of memory."
            f"{_dashboard(client)}"
        )
        yield client


def _dashboard(client: Client) -> str:
    if importlib.util.find_spec("bokeh") is None:
        return ""
    try:
        return f" Dashboard: {client.dashboard_link}"
    except LookupError:  # the scheduler has none
        return ""


def track_manifest(
    client: Client,
    manifest: Path,
    layout: Layout,
    force: bool,
    journal: Journal,
    advance: Callable[[], None],
    work: Callable[[Unit], Answer] = track_unit,
) -> None:
    """Have workers track the rows that are not done, and write their results in order.

    Only some units for each worker are on their way, so that a manifest may be of any length.

    Parameters
    ----------
    client
        Of the workers' scheduler.
    manifest, layout, force
        As `run_batch` has them.
    journal
        Takes the results.
    advance
        Is called when the journal has taken results.
    work
        What the workers do.

    Raises
    ------
    MammoTrackerError
        If the scheduler is lost, or something is wrong with a worker that all rows would meet.
    """
    from distributed import as_completed

    name = f"mammotracker-{uuid.uuid4().hex}"
    units = read_units(manifest, layout, force, journal, advance)
    waiting = as_completed(loop=client.loop)
    pending: dict[Future, Unit] = {}
    unit, room, counted = next(units, None), 0, float("-inf")
    try:
        while pending or unit is not None:
            if client.status != "running":
                raise _lost("no answer")
            if time.monotonic() > counted + _COUNT_S:
                counted = time.monotonic()
                room = max(_LEAST_UNITS, _UNITS_A_THREAD * sum(client.nthreads().values()))
            given = []
            while unit and len(pending) + len(given) < room and _is_near(unit, journal):
                given.append(unit)
                unit = next(units, None)
            keys = [(name, given_unit.first) for given_unit in given]
            futures = client.map(work, given, key=keys, pure=False) if given else []
            pending |= dict(zip(futures, given, strict=True))
            waiting.update(futures)
            done = waiting.next_batch(block=False)
            if not done:
                time.sleep(_LOOK_S)
            answers = dict(client.gather([f for f in done if f.status == "finished"], "skip"))
            for future in done:
                answered = pending.pop(future)
                results = answers.get(answered.first)
                if results is None:
                    results = _without_answer(future, answered)
                if isinstance(results, str):
                    raise MammoTrackerError(results)
                journal.write(answered.first, results)
                advance()
            del futures, done
    except MammoTrackerError:
        raise
    except Exception as error:  # of many kinds when the connection breaks
        if isinstance(error, OSError | TimeoutError | CancelledError) or client.status != "running":
            raise _lost(type(error).__name__) from None
        raise


def _is_near(unit: Unit, journal: Journal) -> bool:
    return unit.first < journal.next_row + _AHEAD


def _lost(why: str) -> MammoTrackerError:
    return MammoTrackerError(
        f"The scheduler of the workers is lost ({why}): start it again, and go on "
        "by --resume. What was done is kept."
    )


def _without_answer(future: Future, unit: Unit) -> list[dict[str, str]] | str:
    """Tell why there is no answer: the results of a unit that killed its workers, or an error."""
    from distributed import KilledWorker

    try:
        error = future.exception(timeout=60)
    except CancelledError as lost:
        raise _lost(type(lost).__name__) from None
    if not isinstance(error, KilledWorker):
        return (
            f"A worker or the scheduler cannot run MammoTracker ({type(error).__name__}): install "
            "the same version of it, of Python and of Dask on all machines."
        )
    message = (
        f"The workers that worked on this {'series' if unit.group else 'pair'} died, "
        f"{error.allowed_failures + 1} times: a file may be damaged, or memory ran out. Track it "
        "alone to see."
    )
    made_from = fingerprints(Path(unit.folder), unit.force)
    return [
        failed_row(row, message, 0.0) | {"fingerprint": made_from(row, unit.group)}
        for row in unit.rows
    ]

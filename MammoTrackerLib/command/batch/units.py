"""What a worker of `batch` does: it reads and aligns a pair or series once, for all its rows."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

from ... import __version__
from ...errors import MammoTrackerError
from ...networks.card import weights_mark
from ..tables.columns import IMAGE_COLUMNS, PAIRS, Layout
from ..tables.fingerprints import fingerprints
from ..tables.rows import Row, read_groups
from .results import Journal
from .rows import RowProcess

DEATHS = 3
"""How often a worker, or the process in which it tracks, may die of a pair or series."""
_ROWS_AT_ONCE = 100
_IDLE_S = 60.0


@dataclass(frozen=True, repr=False)
class Unit:
    """A pair or series: what a worker reads and aligns once. It has no text, so no log shows it.

    Attributes
    ----------
    first
        The number of its first row in the manifest, from 0.
    rows
        Those to be answered.
    group
        All rows of the series; none for a pair.
    folder, force
        As `RowProcess` takes them.
    version
        Of the program and its weights, which a worker must have, too.
    """

    first: int
    rows: list[dict[str, str]]
    group: list[dict[str, str]]
    folder: str
    force: bool
    version: tuple[str, str]


Answer = tuple[int, "list[dict[str, str]] | str"]
"""The unit's first row, and the results of its rows; or what is wrong with the worker."""


def track_unit(unit: Unit) -> Answer:
    """Answer a unit's rows, on a worker; nothing is raised, as Dask would log it."""
    try:
        if unit.version != _version():
            return unit.first, (
                "A worker has another version of MammoTracker or of its weights: install the same "
                "on all."
            )
        if not Path(unit.folder).is_dir():
            return unit.first, (
                "A worker does not see the manifest's folder: all machines must have it under the "
                "same path, on a disk that they share."
            )
        made_from = fingerprints(Path(unit.folder), unit.force)
        marks = [made_from(row, unit.group) for row in unit.rows]
        with _row_process(unit.folder, unit.force) as process:
            found = [process.find(row, unit.group) for row in unit.rows]
        results = [row | {"fingerprint": mark} for row, mark in zip(found, marks, strict=True)]
        return unit.first, results
    except MammoTrackerError as error:
        return unit.first, str(error)
    except Exception as error:
        return unit.first, f"Unexpected {type(error).__name__} on a worker. Please report it."


def _version() -> tuple[str, str]:
    return __version__, weights_mark()


_idle: list[tuple[tuple[str, bool], RowProcess, threading.Timer]] = []
_idle_lock = threading.Lock()


@contextmanager
def _row_process(folder: str, force: bool) -> Iterator[RowProcess]:
    """Lend the process of a worker's thread, which is kept for a minute after its last use."""
    key = folder, force
    process = None
    with _idle_lock:
        for entry in _idle:
            if entry[0] == key:
                _idle.remove(entry)
                entry[2].cancel()
                process = entry[1]
                break
    process = process or _new_process(folder, force)
    try:
        yield process
    except BaseException:
        process.close()
        raise

    def end() -> None:
        with _idle_lock:
            if entry not in _idle:
                return
            _idle.remove(entry)
        process.close()

    timer = threading.Timer(_IDLE_S, end)
    timer.daemon = True
    entry = key, process, timer
    with _idle_lock:
        _idle.append(entry)
    timer.start()


def _new_process(folder: str, force: bool) -> RowProcess:
    from distributed import get_worker

    worker = get_worker()
    # Dask's workers are daemons, which may start none; ours ends with its parent by itself.
    multiprocessing.current_process().daemon = False
    limit = worker.memory_manager.memory_limit
    return RowProcess(
        Path(folder),
        force,
        tries=DEATHS,
        one_thread=True,
        most_memory=limit and limit / worker.state.nthreads,
        home=worker.local_directory,
    )


def read_units(
    manifest: Path,
    layout: Layout,
    force: bool,
    journal: Journal,
    advance: Callable[[], None],
) -> Iterator[Unit]:
    """Read the units that are to be done, but for those that are in the journal already."""
    folder, version = str(manifest.parent.absolute()), _version()
    done = journal.next_row
    made_from = fingerprints(manifest.parent, force)
    rows = enumerate(read_groups(manifest, layout))
    for _, of_unit in groupby(rows, lambda item: _unit_key(item[1][0], layout)):
        # A pair of very many lesions is shared, as an answer comes as a whole.
        while part := list(islice(of_unit, _ROWS_AT_ONCE if layout is PAIRS else None)):
            whole = [_sent(row, layout) for row in part[0][1][1]]
            part = [(number, row) for number, (row, _) in part if number >= done]
            if not part:
                continue
            first = part[0][0]
            if journal.recalls(part, whole, made_from):
                advance()
                continue
            rows_of_unit = [_sent(row, layout) for _, row in part]
            yield Unit(first, rows_of_unit, whole, folder, force, version)


def _sent(row: Row, layout: Layout) -> dict[str, str]:
    """Leave out what the tracker needs not: other columns stay here."""
    return {name: row[name] for name in layout.manifest}


def _unit_key(row: Row, layout: Layout) -> tuple[str, ...]:
    if layout is not PAIRS:
        return (row["exam_group"],)
    return tuple(row[name] for name in IMAGE_COLUMNS)

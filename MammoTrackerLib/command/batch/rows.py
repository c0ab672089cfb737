"""Rows of a table, tracked in a process of their own: what a file does to it ends no batch."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from ...errors import MammoTrackerError
from ...global_search import Alignment, align
from ...mammogram import Mammogram
from ...memory import keep_freed_memory
from ...pair import check_pair, pair_problems
from ...tracker import LesionTracker
from ..child import Child
from ..outputs import quiet_framework
from ..tables.cells import (
    box_cells,
    candidates_cell,
    failed_row,
    read_box,
    read_path,
    read_spacing,
    text_cell,
)
from ..tables.columns import BOX_COLUMNS, ID_COLUMNS, PRIOR_BOX_COLUMNS, REGISTRATION_COLUMNS
from .series_rows import series_follower

LONGEST_ROW_S, LONGEST_EXAM_S = 300.0, 60.0
"""A row takes seconds; after this time, and more for each exam of a series, it is taken to hang."""
_LOOK_S = 0.2
_THREADS = ("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")


class RowProcess:
    """Turns rows of a manifest into rows of results; it starts when first needed.

    Parameters
    ----------
    folder
        What the file names of the rows are relative to.
    force
        Track although laterality or view differ.
    tries
        How often a row may end or stop the process before it is failed.
    one_thread
        Whether it is one of several beside each other, which are fastest with a thread each.
    most_memory
        Bytes that it may take; a row that takes more ends it. Needs psutil.
    home
        Where its temporary folder is made, instead of the system's.
    """

    def __init__(
        self,
        folder: Path,
        force: bool,
        *,
        tries: int = 2,
        one_thread: bool = False,
        most_memory: float | None = None,
        home: str | None = None,
    ) -> None:
        self._arguments = str(folder.absolute()), force, one_thread
        self._tries, self._most_memory, self._home = tries, most_memory, home
        self._child: Child | None = None
        self._temporary = ""
        self._failed: tuple[list[dict[str, str]], str] = [], ""

    def find(self, row: dict[str, str], group: Sequence[dict[str, str]] = ()) -> dict[str, str]:
        """Track a row's lesion; a row that ends or stops the process too often is failed.

        Of a series, `group` are the rows of all its exams and lesions: they are followed when its
        first row is asked for, and all are failed if it fails so.

        Raises
        ------
        MammoTrackerError
            If the process does not start, or cannot load the networks.
        """
        start = time.perf_counter()
        group = list(group)
        if group and group == self._failed[0]:
            return failed_row(row, self._failed[1], 0.0)
        longest = LONGEST_ROW_S + LONGEST_EXAM_S * len({other["exam"] for other in group})
        for _ in range(self._tries):
            if self._child is None:
                self._start()
            try:
                self._child.connection.send((row, group))
                why = self._waited(longest)
                if not why:
                    return self._child.connection.recv()
            except (EOFError, OSError):
                why = f"ended ({self._child.how_it_ended()})"
            self.close()
        often = "twice" if self._tries == 2 else f"{self._tries} times"
        message = (
            f"The process that worked on this {'series' if group else 'row'} {why}, {often}: a "
            "file may be damaged, or too large for this computer. Export it again, or look at it "
            "in another program."
        )
        self._failed = group, message
        return failed_row(row, message, time.perf_counter() - start)

    def _waited(self, longest: float) -> str:
        """Wait for an answer, and say what is wrong if the process is not to go on."""
        end = time.monotonic() + longest
        while not self._child.connection.poll(longest if self._most_memory is None else _LOOK_S):
            if time.monotonic() >= end:
                return f"took more than {longest:.0f} s"
            if self._most_memory is not None and self._memory() > self._most_memory:
                return f"took more than {self._most_memory / 1e9:.1f} GB of memory"
        return ""

    def _memory(self) -> int:
        import psutil

        try:
            return psutil.Process(self._child.process.pid).memory_info().rss
        except psutil.Error:  # it has just ended, as the connection will say
            return 0

    def close(self) -> None:
        """End the process, and remove what it left."""
        if self._child is not None:
            self._child.kill()
            self._child = None
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _start(self) -> None:
        with suppress(OSError):
            self._temporary = tempfile.mkdtemp(dir=self._home)
        try:
            self._child = Child(_serve, *self._arguments, self._temporary)
            problem = self._child.connection.recv()
        except (EOFError, OSError) as error:
            why = getattr(error, "strerror", None) or "it did not start"
            if self._child is not None:
                why = self._child.how_it_ended()
            self.close()
            raise MammoTrackerError(
                f"The process that tracks could not be started ({why}): see whether `mammotracker "
                "track` works, or close other programs."
            ) from None
        if problem:
            self.close()
            raise MammoTrackerError(problem)


def _serve(
    connection: Connection, folder: str, force: bool, one_thread: bool, temporary: str
) -> None:
    """Answer rows until the batch hangs up: first with what is wrong, or "", then with results."""
    if one_thread:
        os.environ.update(dict.fromkeys(_THREADS, "1"))
    if temporary:
        tempfile.tempdir = temporary
    keep_freed_memory()
    with quiet_framework():
        try:
            tracker = LesionTracker()
            tracker.load()
        except MammoTrackerError as error:
            connection.send(str(error))
            return
        except Exception as error:
            connection.send(
                f"The networks could not be loaded ({type(error).__name__}): see whether "
                "`mammotracker track` works, or install MammoTracker again."
            )
            return
        connection.send("")
        find = row_tracker(tracker, Path(folder), force)
        find_of_series = series_follower(tracker, Path(folder), force)
        with suppress(EOFError, OSError):
            while True:
                row, group = connection.recv()
                connection.send(find_of_series(row, group) if group else find(row))


def row_tracker(
    tracker: LesionTracker, folder: Path, force: bool
) -> Callable[[dict[str, str]], dict[str, str]]:
    """Make the function that turns a row of the manifest into a row of results.

    It keeps the last two pairs, read and aligned, so that memory does not grow.
    """

    @functools.lru_cache(maxsize=2)
    def pair(
        prior_name: str, current_name: str, prior_spacing: str, current_spacing: str
    ) -> tuple[Mammogram, Mammogram, Alignment, list[str]]:
        prior = Mammogram.read(folder / prior_name, read_spacing(prior_spacing))
        current = Mammogram.read(folder / current_name, read_spacing(current_spacing))
        if not force:
            check_pair(prior, current)
        remarks = [problem.message for problem in pair_problems(prior, current)]
        return prior, current, align(prior, current), remarks

    def find(row: dict[str, str]) -> dict[str, str]:
        start = time.perf_counter()
        try:
            box = read_box(row, PRIOR_BOX_COLUMNS)
            if box is None:
                raise MammoTrackerError("The row has no box: fill prior_x0 to prior_y1.")
            for name in ("prior", "current"):
                read_path(row, name, folder)
            prior, current, alignment, remarks = pair(
                row["prior"], row["current"], row["prior_spacing_mm"], row["current_spacing_mm"]
            )
            (track,) = tracker.track(prior, current, [box], alignment, force=force)
        except MammoTrackerError as error:
            return failed_row(row, str(error), time.perf_counter() - start)
        except Exception as error:  # one damaged file must not end a run of days
            message = (
                f"Unexpected {type(error).__name__}: run `mammotracker track` on this row's pair "
                "to see where."
            )
            return failed_row(row, message, time.perf_counter() - start)
        further = [text for text in alignment.warnings if text not in track.reason]
        result = {name: text_cell(row[name]) for name in ID_COLUMNS}
        result |= {
            "status": track.status.value,
            "score": f"{track.score:.4f}",
            "message": text_cell(" ".join((track.reason, *further, *remarks))),
        }
        result |= box_cells(track.box, BOX_COLUMNS)
        result |= box_cells(track.registration_box, REGISTRATION_COLUMNS)
        result["candidates"] = candidates_cell(track.candidates)
        result["seconds"] = f"{time.perf_counter() - start:.3f}"
        return result

    return find

"""The files of an archive, and their headers, read by processes that a file may end or hang."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NamedTuple

from ...errors import MammoTrackerError
from ...reading.archive import Found, read_file
from ..child import Child

LONGEST_FILE_S = 60.0
"""A header takes milliseconds; after this time, its file is taken to hang the reader."""
ENDED, HUNG = "ends the process that reads it", f"takes over {LONGEST_FILE_S:.0f} s to read"
_BATCH = 64


class File(NamedTuple):
    """A file of an archive: its path below the folder, with /, its size and its age."""

    path: str
    size: int
    changed_ns: int


def walk(folder: Path, left_out: Counter[str]) -> Iterator[File]:
    """Yield the regular files below a folder in the order of their names; count what is left out.

    Links to files are followed, those to folders are not: they may lead in circles.

    Raises
    ------
    MammoTrackerError
        If the folder itself cannot be opened.
    """
    folders = [""]
    while folders:
        below = folders.pop()
        try:
            entries = sorted(os.scandir(folder / below), key=lambda entry: entry.name)
        except OSError as error:
            if not below:
                reason = error.strerror or type(error).__name__
                raise MammoTrackerError(f"Cannot open the folder {folder}: {reason}.") from None
            left_out["folder that cannot be opened"] += 1
            continue
        inner = []
        for entry in entries:
            path = f"{below}/{entry.name}" if below else entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    inner.append(path)
                elif entry.is_dir():
                    left_out["link to a folder"] += 1
                elif not entry.is_file():
                    left_out["no regular file"] += 1
                elif not _fits_a_table(path):
                    left_out["name that no table can hold"] += 1
                else:
                    about = entry.stat()
                    yield File(path, about.st_size, about.st_mtime_ns)
            except OSError:
                left_out["cannot be read"] += 1
        folders += reversed(inner)


def _fits_a_table(path: str) -> bool:
    return path.isprintable() and path == path.rstrip()


class _Reader:
    """A process that reads headers, and the files that it still has to answer for."""

    def __init__(self, arguments: tuple[str, bytes, bool]) -> None:
        self._arguments = arguments
        self.files: deque[File] = deque()
        self._tries: Counter[str] = Counter()
        self._start()

    def _start(self) -> None:
        try:
            self.child = Child(_serve, *self._arguments)
            self.child.connection.recv()
        except (EOFError, OSError) as error:
            why = getattr(error, "strerror", None) or "it ended at once"
            raise MammoTrackerError(
                f"A process that reads headers could not be started ({why}): close other programs, "
                "or give fewer --workers."
            ) from None

    def give(self, files: list[File]) -> None:
        self.files += files
        self._send()

    def _send(self) -> None:
        self.since = time.monotonic()
        with suppress(OSError):  # it has ended, which is seen when its answer is asked for
            self.child.connection.send([file.path for file in self.files])

    def answers(self) -> Iterator[tuple[File, Found]]:
        """Yield what has arrived; if the process ended, start it anew."""
        try:
            while self.files and self.child.connection.poll():
                found = self.child.connection.recv()
                self.since = time.monotonic()
                yield self.files.popleft(), found
        except (EOFError, OSError):
            yield from self.restart(ENDED)

    def restart(self, why: str) -> Iterator[tuple[File, Found]]:
        """Start anew with the files that are left; one at which this happens twice is answered."""
        self.child.kill()
        file = self.files[0]
        self._tries[file.path] += 1
        if self._tries[file.path] == 2:
            self.files.popleft()
            yield file, Found(why)
        self._start()
        if self.files:
            self._send()


def read_files(
    folder: Path, files: Iterator[File], key: bytes, with_marks: bool, workers: int
) -> Iterator[tuple[File, Found]]:
    """Read headers by processes, and yield each file with what was found, as they are done.

    A file that ends or hangs its process twice is said to; the others go on.

    Parameters
    ----------
    folder
        What the files' paths are below.
    files
        Taken from as processes become free.
    key, with_marks
        As for `reading.archive.read_file`.
    workers
        Number of processes.

    Raises
    ------
    MammoTrackerError
        If a process cannot be started.
    """
    readers: list[_Reader] = []
    try:
        while True:
            for number in range(workers):
                if number < len(readers) and readers[number].files:
                    continue
                batch = list(islice(files, _BATCH))
                if not batch:
                    break
                if number == len(readers):
                    readers.append(_Reader((str(folder), key, with_marks)))
                readers[number].give(batch)
            busy = {reader.child.connection: reader for reader in readers if reader.files}
            if not busy:
                return
            for connection in wait(list(busy), timeout=1.0):
                yield from busy[connection].answers()
            for reader in busy.values():
                if reader.files and time.monotonic() - reader.since > LONGEST_FILE_S:
                    yield from reader.restart(HUNG)
    finally:
        for reader in readers:
            reader.child.kill()


def _serve(connection: Connection, folder: str, key: bytes, with_marks: bool) -> None:
    """Answer files in their order until the one who asks hangs up."""
    import warnings

    warnings.simplefilter("ignore")
    with suppress(OSError):  # what readers print may quote headers
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
    connection.send(True)
    with suppress(EOFError, OSError):
        while True:
            for path in connection.recv():
                connection.send(read_file(Path(folder, path), key, with_marks))

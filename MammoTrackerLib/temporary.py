"""Temporary folders that leave nothing behind: what a killed process left, the next one clears."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_LOCK = "mammotracker.lock"
_BEYOND_THE_END = 2**30
"""On Windows a lock keeps others from reading, so it lies where no file has content."""
_FORGOTTEN_S = 24 * 3600.0
_JUST_MADE_S = 60.0
_TAKEN = ("EACCES", "EAGAIN", "EWOULDBLOCK", "EDEADLK", "EDEADLOCK")


def lock(file: BinaryIO) -> bool | None:
    """Lock an open file for this process, until it is closed or the process ends in any way.

    Parameters
    ----------
    file
        Open for writing.

    Returns
    -------
    bool or None
        False if another process has it; None where the disk knows no locks.
    """
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(file.fileno(), _BEYOND_THE_END, os.SEEK_SET)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in [getattr(errno, name, -1) for name in _TAKEN] else None
    return True


@contextmanager
def temporary_folder(home: Path, prefix: str) -> Iterator[Path]:
    """Make a folder that goes with the block, after clearing those of processes that are gone.

    Parameters
    ----------
    home
        Where to make it.
    prefix
        What its name begins with. Only folders of this prefix are cleared, that this user owns
        and that hold the lock of a process that ended; without locks, those of the day before.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    _clear(home, prefix)
    while True:
        folder = Path(tempfile.mkdtemp(dir=home, prefix=prefix))
        try:
            with (folder / _LOCK).open("xb") as file:
                if lock(file) is False:  # another process took it for one that was left behind
                    continue
                yield folder
                return
        finally:
            _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder, its lock last: if that is interrupted, the next one goes on."""
    # Windows keeps a file until the last process that had it open is gone.
    for _ in range(20 if os.name == "nt" else 1):
        with suppress(OSError):
            for entry in [entry for entry in folder.iterdir() if entry.name != _LOCK]:
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink()
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


def _clear(home: Path, prefix: str) -> None:
    found: list[Path] = []
    with suppress(OSError):  # a folder may be one to write, but not to look into
        found = [entry for entry in home.iterdir() if entry.name.startswith(prefix)]
    for folder in found:
        with suppress(OSError):
            about = folder.lstat()
            is_own = not hasattr(os, "getuid") or about.st_uid == os.getuid()
            if not (stat.S_ISDIR(about.st_mode) and is_own):
                continue
            if time.time() - about.st_mtime > _JUST_MADE_S:
                with suppress(OSError):
                    folder.rmdir()  # which only does it if there is nothing in it
            with open(folder / _LOCK, "r+b", opener=_open_file) as file:
                is_free = lock(file)
                if is_free is None:
                    is_free = time.time() - about.st_mtime > _FORGOTTEN_S
                if is_free:
                    _remove(folder)
            if is_free:  # Windows keeps the lock's file as long as it is open
                _remove(folder)


def _open_file(path: str, flags: int) -> int:
    """Open a file, but neither a link nor a pipe."""
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(path, flags)


@contextmanager
def private_temporary_files() -> Iterator[None]:
    """Put what this process writes by `tempfile` into a folder that goes with the block."""
    before = tempfile.tempdir
    with ExitStack() as stack:
        with suppress(OSError):  # no room for temporary files: whoever needs one will say so
            home = Path(tempfile.gettempdir())
            tempfile.tempdir = str(stack.enter_context(temporary_folder(home, "mammotracker-")))
        try:
            yield
        finally:
            tempfile.tempdir = before


@contextmanager
def tidy_end() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end the process by `SystemExit`: what is temporary goes.

    The exit status is 128 + the signal's number, as in a shell.
    """

    def end(number: int, _frame: object) -> None:
        for other in before:
            signal.signal(other, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            # Whoever ignores a signal, as `nohup` does, keeps ignoring it.
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

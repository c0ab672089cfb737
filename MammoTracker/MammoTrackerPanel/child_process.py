"""A Python program beside the application, followed without freezing it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO

import qt

from MammoTrackerLib.temporary import temporary_folder

POLL_MS = 100


class ChildProcess:
    """A running Python program, and a private folder that lives as long as it.

    Its output goes to files that a timer reads. Pipes would have to be read by threads, which
    in Slicer run only while the application itself executes Python, and could fill up.

    Parameters
    ----------
    arguments
        For Slicer's Python.
    directory
        Where it runs.

    Notes
    -----
    While it is watched, ``onOutput`` gets each line of its stdout and ``onLog`` each line of
    its stderr; ``onExit`` gets the exit status, once, after the last line. ``onPoll`` is called
    at every look at it. All are called by Qt's event loop.

    Raises
    ------
    OSError
        If the program cannot be started.
    """

    def __init__(self, arguments: list[str], directory: Path) -> None:
        self.onOutput: Callable[[str], None] = ignore
        self.onLog: Callable[[str], None] = ignore
        self.onExit: Callable[[int], None] = ignore
        self.onPoll: Callable[[], None] = ignore
        stack = ExitStack()
        # What a Slicer that was killed has left goes when the next one makes its folder.
        folder = temporary_folder(Path(tempfile.gettempdir()), "MammoTracker-")
        self.folder = stack.enter_context(folder)
        paths = self.folder / "log", self.folder / "output"
        # What it leaves in the folder for temporary files goes with it when it is killed.
        temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(self.folder))
        try:
            with paths[0].open("wb") as log, paths[1].open("wb") as output:
                self._process = subprocess.Popen(
                    [shutil.which("PythonSlicer") or sys.executable, *arguments],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=log,
                    cwd=directory,
                    env={**os.environ, **temporary, "PYTHONIOENCODING": "utf-8"},
                    # PythonSlicer starts Python as a child of its own: as one group, both can
                    # be killed. On Windows, there must be no console window.
                    start_new_session=True,
                    creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                )
            self._files = [path.open("rb") for path in paths]
        except OSError:
            stack.close()
            raise
        self._tails = [b"", b""]
        self._lines: list[deque[str]] = [deque(), deque()]
        self._end = weakref.finalize(self, _end, self._process, self._files, stack)
        self._watched = self._polling = False
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._poll)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._end.alive and self._process.poll() is None

    def send(self, line: str) -> None:
        """Give the program a line on its stdin; a long one only while it waits for it.

        Raises
        ------
        OSError
            If it does not run any more.
        """
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def watch(self) -> None:
        """Look at the program from now on."""
        self._watched = True
        self._timer.start()

    def rest(self) -> None:
        """Stop looking at the program, which runs on."""
        self._watched = False
        self._timer.stop()

    def kill(self) -> None:
        """End the program and what it started at once, and remove its folder."""
        self.rest()
        self._end()

    def _poll(self) -> None:
        if self._polling:  # by the event loop of a dialog that a callback shows
            return
        self._polling = True
        try:
            status = self._process.poll()
            for index in range(2):
                self._read(index, status is not None)
            self.onPoll()
            for lines, callback in zip(self._lines, ("onLog", "onOutput"), strict=True):
                while lines and self._watched:
                    getattr(self, callback)(lines.popleft())
            if status is not None and self._watched:
                self.rest()
                self.onExit(status)
        finally:
            self._polling = False

    def _read(self, index: int, last: bool) -> None:
        """Queue the lines that are new in a file; an unfinished one only when it is the last."""
        text = self._tails[index] + self._files[index].read()
        *lines, self._tails[index] = text.split(b"\n")
        if last and self._tails[index]:
            lines.append(self._tails[index])
            self._tails[index] = b""
        self._lines[index].extend(line.decode(errors="replace").rstrip("\r") for line in lines)


def ignore(*_arguments: object) -> None:
    """Stand in for a callback that nobody set."""


def _end(process: subprocess.Popen, files: list[BinaryIO], folder: ExitStack) -> None:
    if process.poll() is None:
        if sys.platform == "win32":
            subprocess.run(
                ["taskkill", "/F", "/T", "/PID", str(process.pid)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                creationflags=subprocess.CREATE_NO_WINDOW,
                check=False,
            )
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
    with suppress(OSError):
        process.stdin.close()
    for file in files:
        file.close()
    folder.close()

"""The exams of cases, read ahead in another process while the user looks at something else."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from slicer.i18n import tr as _

import MammoTrackerLib
from MammoTrackerLib import MammoTrackerError

from .child_process import ChildProcess


@dataclass
class ReadExam:
    """An exam as `read_ahead` hands it over: pixels (rows, columns), spacing and window."""

    pixels: np.ndarray
    spacing: list[float]
    window: list[float]


class CaseReader:
    """Reads cases in the order in which they are wanted, and keeps those that are.

    What was read waits in files of the other process's folder, so that none of it is in memory.

    Parameters
    ----------
    onRead
        Called with a case's name when it can be taken, by Qt's event loop.
    """

    def __init__(self, onRead: Callable[[str], None]) -> None:
        self._onRead = onRead
        self._child: ChildProcess | None = None
        self._wanted: dict[str, list] = {}
        self._ready: dict[str, dict] = {}
        self._busy = ""

    def want(self, cases: dict[str, list]) -> None:
        """Read these cases, and forget all others; returns at once.

        Parameters
        ----------
        cases
            For each, by its name, the path and the pixel size, or None, of its exams; what is
            needed first comes first.
        """
        self._wanted = cases
        for name in [name for name in self._ready if name not in cases]:
            self._forget(name)
        if self._busy and self._busy not in cases:
            self.stop(keepWanted=True)  # rather than wait for it
        self._readNext()

    def isReady(self, name: str) -> bool:
        """Whether a case was read, or could not be."""
        return name in self._ready

    def take(self, name: str) -> list[ReadExam]:
        """Return the exams of a case that is ready.

        Raises
        ------
        MammoTrackerError
            If they could not be read.
        """
        answer = self._ready[name]
        if "error" in answer:
            del self._ready[name]  # the next time it may go
            raise MammoTrackerError(answer["error"])
        try:
            return [
                ReadExam(np.load(exam["file"], allow_pickle=False), exam["spacing"], exam["window"])
                for exam in answer["exams"]
            ]
        except (OSError, ValueError):
            del self._ready[name]
            raise MammoTrackerError(
                _("The exams that were read ahead are gone: open the case again.")
            ) from None

    def stop(self, keepWanted: bool = False) -> None:
        """End the other process, and forget what it read."""
        if not keepWanted:
            self._wanted = {}
        self._ready.clear()
        self._busy = ""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _readNext(self) -> None:
        name = next((name for name in self._wanted if name not in self._ready), None)
        if self._busy or name is None:
            return
        try:
            if self._child is None or not self._child.alive:
                self._start()
            command = {
                "case": name,
                "folder": str(self._child.folder),
                "images": [[str(path), spacing] for path, spacing in self._wanted[name]],
            }
            self._child.send(json.dumps(command))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self._answer(
                name,
                _("Slicer's Python could not be started ({reason}): install Slicer again.").format(
                    reason=reason
                ),
            )
            return
        self._busy = name
        self._child.watch()

    def _start(self) -> None:
        self.stop(keepWanted=True)
        directory = Path(MammoTrackerLib.__file__).parent.parent
        self._child = ChildProcess(["-u", "-m", "MammoTrackerLib.read_ahead"], directory)
        self._child.onOutput = self._onOutput
        self._child.onExit = self._onExit

    def _onOutput(self, line: str) -> None:
        try:
            answer = json.loads(line)
            name = answer["case"]
        except (ValueError, TypeError, KeyError):
            return
        self._busy = ""
        self._child.rest()
        self._ready[name] = answer
        if name not in self._wanted:
            self._forget(name)
        self._readNext()
        if name in self._ready:
            self._onRead(name)

    def _onExit(self, status: int) -> None:
        name = self._busy
        self.stop(keepWanted=True)
        self._answer(
            name,
            _(
                "The process that read the exams of this case ended (exit code {status}): a file "
                "may be damaged, or too large for this computer."
            ).format(status=status),
        )

    def _answer(self, name: str, error: str) -> None:
        self._ready[name] = {"error": error}
        self._onRead(name)

    def _forget(self, name: str) -> None:
        for exam in self._ready.pop(name).get("exams", ()):
            with suppress(OSError):
                Path(exam["file"]).unlink()

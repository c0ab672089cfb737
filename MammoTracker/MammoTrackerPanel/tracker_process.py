"""The tracker's process as the panel sees it: start, track, cancel, and why it failed."""

from __future__ import annotations

import json
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from slicer.i18n import tr as _

import MammoTrackerLib
from MammoTrackerLib import Box, Mammogram, MammoTrackerError, Track
from MammoTrackerLib.history import LesionHistory
from MammoTrackerLib.marked import MarkedLesion
from MammoTrackerLib.worker import exam_file, write_mammogram

from .child_process import ChildProcess, ignore

LOADING_SHARE = 0.5
AT_A_TIME_S = 0.1
"""How long Slicer waits while images are handed over, before it draws again."""


@dataclass
class _Request:
    """A command, and the images that go with it, by the names of their files."""

    command: dict
    images: list[tuple[str, Mammogram | Callable[[], Mammogram]]]
    written: list[Path] = field(default_factory=list)


class TrackerProcess:
    """Tracks lesions in another process, which stays up between runs.

    LiteRT could run in Slicer itself, as it does for scripts. But so a run is cancelled at once
    whatever it does, what crashes (TensorFlow on a GPU, beside software OpenGL) takes no scene
    along, and views are drawn while large mammograms are aligned.

    The callbacks are attributes, called by Qt's event loop: ``onReady(info)`` when the process
    has loaded its networks, where ``info`` has the keys "runtime", "device" and "weights";
    ``onProgress(fraction, message)``; ``onAligned(grid, warnings)`` with `Alignment.grid`'s array,
    or ``onRegistered(source, target, grid, warnings)`` of exams that are followed;
    ``onTrack(index, track)`` or ``onHistory(index, history)`` for each lesion; then ``onDone()``,
    or ``onFailed(message)``. ``onLog(line)`` gets what the process writes besides.
    """

    def __init__(self) -> None:
        self.onReady: Callable[[dict], None] = ignore
        self.onProgress: Callable[[float, str], None] = ignore
        self.onAligned: Callable[[np.ndarray, list[str]], None] = ignore
        self.onTrack: Callable[[int, Track], None] = ignore
        self.onRegistered: Callable[[int, int, np.ndarray, list[str]], None] = ignore
        self.onHistory: Callable[[int, LesionHistory], None] = ignore
        self.onDone: Callable[[], None] = ignore
        self.onFailed: Callable[[str], None] = ignore
        self.onLog: Callable[[str], None] = ignore
        self._child: ChildProcess | None = None
        self._info: dict | None = None
        self._isReady = False
        self._isSent = False
        self._request: _Request | None = None
        self._run = 0
        self._loadingShare = 0.0
        self._lastLines: deque[str] = deque(maxlen=50)

    @property
    def running(self) -> bool:
        """Whether lesions are being tracked."""
        return self._request is not None

    @property
    def info(self) -> dict | None:
        """What the last process that became ready said about itself."""
        return self._info

    def track(
        self, prior: Mammogram, current: Mammogram, boxes: list[Box], force: bool = False
    ) -> None:
        """Start to track lesions; returns at once.

        Parameters
        ----------
        prior, current
            Two exams of one breast in one view.
        boxes
            The lesions, in pixels of the prior.
        force
            Track although laterality or view differ.

        Raises
        ------
        MammoTrackerError
            If lesions are being tracked already, or the process cannot be started.
        """
        command = {
            "command": "track",
            "boxes": [[float(value) for value in box.as_tuple()] for box in boxes],
            "force": force,
        }
        self._begin(_Request(command, [("prior.npz", prior), ("current.npz", current)]))

    def follow(
        self,
        exams: Sequence[Mammogram | Callable[[], Mammogram]],
        lesions: Sequence[MarkedLesion],
        force: bool = False,
    ) -> None:
        """Start to follow lesions through exams; returns at once.

        Parameters
        ----------
        exams
            Of one breast in one view, by date. Functions that read one are called when it is handed
            over, one after another.
        lesions
            Each with the exam on which it is marked, and what the user decided about others.
        force
            Follow although laterality or view differ.

        Raises
        ------
        MammoTrackerError
            If lesions are being tracked already, or the process cannot be started.
        """
        command = {
            "command": "follow",
            "exams": len(exams),
            "lesions": [lesion.as_dict() for lesion in lesions],
            "force": force,
        }
        images = [(exam_file(number), exam) for number, exam in enumerate(exams)]
        self._begin(_Request(command, images))

    def _begin(self, request: _Request) -> None:
        if self.running:
            raise MammoTrackerError(_("Lesions are being tracked already: wait, or cancel."))
        if self._child is not None and not self._child.alive:
            self.cancel()
        if self._child is None:
            self._start()
        self._request = request
        self._isSent = False
        self._loadingShare = 0.0 if self._isReady else LOADING_SHARE
        self._child.watch()

    def cancel(self) -> None:
        """End the process at once; no callback comes after this."""
        self._request = None
        if self._child is not None:
            self._child.kill()
            self._child = None

    def stop(self) -> None:
        """Leave nothing running, when the panel goes."""
        self.cancel()

    def _start(self) -> None:
        directory = Path(MammoTrackerLib.__file__).parent.parent
        self._isReady = False
        self._lastLines.clear()
        try:
            self._child = ChildProcess(["-u", "-m", "MammoTrackerLib.worker"], directory)
            self._child.send(json.dumps({"command": "load"}))
        except OSError as error:
            self.cancel()
            raise MammoTrackerError(
                _("Slicer's Python could not be started ({reason}): install Slicer again.").format(
                    reason=error.strerror or type(error).__name__
                )
            ) from error
        self._child.onPoll = self._onPoll
        self._child.onOutput = self._onOutput
        self._child.onLog = self._onLogLine
        self._child.onExit = self._onExit

    def _onPoll(self) -> None:
        """Hand the request over once the networks are loaded, so that no image waits on disk."""
        if self._isSent or not self._isReady:
            return
        try:
            if not self._areHandedOver():
                return
        except MammoTrackerError as error:
            for path in self._request.written:
                path.unlink(missing_ok=True)
            self._fail(str(error), isFatal=False)
            return
        except OSError as error:
            self._fail(
                _("The mammograms cannot be handed over ({reason}): make room on the disk.").format(
                    reason=error.strerror or type(error).__name__
                ),
                isFatal=True,
            )
            return
        self._isSent = True
        self._run += 1
        command = {**self._request.command, "id": self._run, "folder": str(self._folder())}
        with suppress(OSError):  # it has died: its exit is reported
            self._child.send(json.dumps(command))

    def _folder(self) -> Path:
        return self._child.folder / "run"

    def _areHandedOver(self) -> bool:
        """Write images for a moment, and say whether all are written."""
        folder, request = self._folder(), self._request
        folder.mkdir(exist_ok=True)
        end = time.monotonic() + AT_A_TIME_S
        while request.images and time.monotonic() < end:
            name, image = request.images.pop(0)
            request.written.append(folder / name)
            write_mammogram(image() if callable(image) else image, folder / name)
        return not request.images

    def _onOutput(self, line: str) -> None:
        try:
            event = json.loads(line)
            kind = event["event"]
        except (ValueError, TypeError, KeyError):
            self._onLogLine(line)
            return
        if kind == "ready":
            self._isReady = True
            self._info = {key: event[key] for key in ("runtime", "device", "weights")}
            self.onReady(self._info)
        elif kind == "progress":
            share = self._loadingShare
            fraction = event["fraction"]
            isLoading = event["id"] is None
            self.onProgress(
                share * fraction if isLoading else share + (1 - share) * fraction, event["message"]
            )
        elif kind == "aligned":
            self.onAligned(_taken(event["grid"]), event["warnings"])
        elif kind == "registered":
            pair, grid = (event["source"], event["target"]), _taken(event["grid"])
            self.onRegistered(*pair, grid, event["warnings"])
        elif kind == "track":
            self.onTrack(event["index"], Track.from_dict(event["track"]))
        elif kind == "history":
            self.onHistory(event["index"], LesionHistory.from_dict(event["history"]))
        elif kind == "done":
            self._child.rest()
            self._request = None
            self.onDone()
        elif kind == "error":
            self._fail(event["message"], event["fatal"])

    def _onLogLine(self, line: str) -> None:
        self._lastLines.append(line)
        self.onLog(line)

    def _onExit(self, status: int) -> None:
        self.onLog(_("The tracking process ended with status {status}.").format(status=status))
        self._fail(_whyItEnded(status, self._lastLines), isFatal=True)

    def _fail(self, message: str, isFatal: bool) -> None:
        self._request = None
        if isFatal:
            self.cancel()
        else:
            self._child.rest()
        self.onFailed(message)


def _taken(path: str) -> np.ndarray:
    """Read an array that was handed over, and delete its file."""
    array = np.load(path, allow_pickle=False)
    Path(path).unlink()
    return array


def _whyItEnded(status: int, lastLines: Sequence[str]) -> str:
    """Say why a process ended that should not have, and what to do."""
    name = ""
    if status < 0:
        with suppress(ValueError):
            name = signal.Signals(-status).name
    elif status >= 0xC0000000:
        name = f"0x{status:08X}"
    # PythonSlicer hides the signal that ended Python; Python itself wrote it into its log.
    hasCrashed = any("Fatal Python error" in line for line in lastLines)
    if name in ("SIGKILL", "SIGTERM"):
        return _(
            "The tracking process was killed ({name}), perhaps for lack of memory: close other "
            "programs or images, then track again."
        ).format(name=name)
    if name == "SIGILL" or status == 0xC000001D:
        return _(
            "The tracking process crashed ({name}): what runs the networks needs a newer processor "
            "than this computer's."
        ).format(name=name)
    if name or hasCrashed:
        return _(
            "The tracking process crashed ({name}), often a fault of the graphics driver: track "
            "again. If it happens again, update the driver, or start Slicer with the environment "
            "variable MAMMOTRACKER_RUNTIME=litert, which tracks without the GPU. The log says more."
        ).format(name=name or _("see the log"))
    return _(
        "The tracking process ended too early (exit code {status}): track again. If it happens "
        "again, the log says why."
    ).format(status=status)

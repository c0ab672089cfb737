"""The tracker in a process of its own: JSON lines on stdin and stdout, the log on stderr."""

from __future__ import annotations

import faulthandler
import itertools
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from .box import Box
from .errors import MammoTrackerError
from .exams import MOST_EXAMS, Exams
from .global_search import align
from .mammogram import Mammogram
from .marked import MarkedLesion, boxes_of, follow_marked
from .memory import keep_freed_memory
from .networks.card import read_card
from .pair import check_box, check_pair
from .temporary import tidy_end
from .track import Track
from .tracker import LesionTracker

_COMMANDS = ("load", "track", "follow")
_FILES = ("prior.npz", "current.npz", "grid.npy")
_LOADING, _ALIGNING, _TRACKING = 0.6, 0.1, 0.4


def exam_file(number: int) -> str:
    """Return the name under which an exam of a series is handed over."""
    return f"exam-{number}.npz"


def write_mammogram(mammogram: Mammogram, path: Path) -> None:
    """Write what tracking needs of a mammogram: neither its patient nor its date.

    Raises
    ------
    OSError
        If there is no room, or no right to write.
    """
    np.savez(
        path,
        pixels=mammogram.pixels,
        spacing=mammogram.spacing,
        laterality=mammogram.laterality or "",
        view=mammogram.view or "",
        orientation=mammogram.orientation or (),
        modifiers=mammogram.modifiers,
    )


def take_mammogram(path: Path) -> Mammogram:
    """Read what `write_mammogram` wrote, and delete the file.

    Raises
    ------
    MammoTrackerError
        If there is no such file, or it is not what `write_mammogram` writes.
    """
    try:
        with path.open("rb") as file:
            with suppress(OSError):  # Windows waits for its end
                path.unlink()
            values = np.load(file, allow_pickle=False)
            return Mammogram(
                values["pixels"],
                tuple(values["spacing"].tolist()),
                str(values["laterality"]) or None,
                str(values["view"]) or None,
                orientation=tuple(values["orientation"].astype(str).tolist()) or None,
                modifiers=tuple(values["modifiers"].astype(str).tolist()),
            )
    except FileNotFoundError:
        raise MammoTrackerError(
            f"The file {path.name} of a mammogram is gone, which was handed over: track again."
        ) from None
    except (MammoTrackerError, MemoryError):
        raise
    except Exception as error:  # numpy and zipfile raise many kinds
        raise MammoTrackerError(
            f"The file {path.name} of a mammogram is damaged, which was handed over: track again."
        ) from error
    finally:
        with suppress(OSError, ValueError):
            path.unlink()


class _ToldExams(Exams):
    """Exams that tell what is done with them."""

    def __init__(
        self,
        tracker: LesionTracker,
        readers: list[Callable[[], Mammogram]],
        tell: Callable[[str], None],
    ) -> None:
        super().__init__(tracker, readers)
        self._tell = tell

    def track(self, source: int, target: int, boxes: Sequence[Box]) -> list[Track]:
        self._tell(f"Looking on exam {target + 1} of {len(self)} ...")
        return super().track(source, target, boxes)


class Worker:
    """Holds the loaded networks, and sends events.

    Parameters
    ----------
    send
        Called with an event's name and its values.
    """

    def __init__(self, send: Callable[..., None]) -> None:
        self._send = send
        self._tracker: LesionTracker | None = None
        self._is_loading = False
        self._is_aligned = False
        self._files: list[Path] = []

    def answer(self, line: bytes) -> bool:
        """Carry out a command, a JSON object.

        Returns
        -------
        bool
            False if it failed in a way that leaves the process unfit for another command.
        """
        run, self._is_aligned, self._files = None, False, []
        try:
            command = _command(line)
            run = command.get("id")
            if command["command"] == "load":
                self.load()
            elif command["command"] == "follow":
                self._answer_follow(command)
            else:
                folder = Path(_field(command, "folder", str))
                self._files = [folder / name for name in _FILES]
                boxes = boxes_of(_field(command, "boxes", list))
                self.track(
                    _field(command, "id", int), folder, boxes, _field(command, "force", bool)
                )
        except Exception as error:
            traceback.print_exc()
            is_known = isinstance(error, (MammoTrackerError, OSError))
            fit = is_known and not self._is_loading
            if not self._is_aligned:  # else the grid may still be read
                self.tidy()
            self._send("error", id=run, message=_sentence(error), fatal=not fit)
            return fit
        return True

    def _answer_follow(self, command: dict) -> None:
        folder = Path(_field(command, "folder", str))
        count = _field(command, "exams", int)
        if not 0 <= count <= MOST_EXAMS:
            raise MammoTrackerError(f"Lesions are followed through at most {MOST_EXAMS} exams.")
        self._files = [folder / exam_file(number) for number in range(count)]
        values = _field(command, "lesions", list)
        lesions = [MarkedLesion.from_dict(one, count) for one in values]
        run, force = _field(command, "id", int), _field(command, "force", bool)
        self.follow(run, list(self._files), lesions, force)

    def tidy(self) -> None:
        """Remove the files of a command that did not come to its end, if they are not taken."""
        for path in self._files:
            with suppress(OSError, ValueError):
                path.unlink()
        self._files = []

    def load(self) -> None:
        """Load the networks, and send "ready"; once."""
        if self._tracker is not None:
            return
        self._is_loading = True
        self._progress(None, _LOADING, "Loading the networks ...")
        tracker = LesionTracker()
        networks = tracker.load()
        self._tracker = tracker
        self._is_loading = False
        self._send(
            "ready",
            runtime=f"{networks.name} {networks.version}",
            device=networks.device,
            weights=read_card()["version"],
        )

    def track(self, run: int, folder: Path, boxes: list[Box], force: bool) -> None:
        """Track lesions of the pair in a folder, and send each track as it is found."""
        self._progress(run, 0.0, "Reading the mammograms ...")
        prior, current = (take_mammogram(folder / name) for name in _FILES[:2])
        if not force:
            check_pair(prior, current)
        for box in boxes:
            check_box(box, prior)
        self.load()
        self._progress(run, _ALIGNING, "Aligning the mammograms ...")
        alignment = align(prior, current)
        grid = folder / _FILES[2]
        np.save(grid, alignment.grid())
        self._send(
            "aligned",
            id=run,
            grid=str(grid),
            warnings=list(alignment.warnings),
            dice=float(alignment.dice),
        )
        self._is_aligned = True
        count = self._tracker.networks.lesions_at_once
        for start in range(0, len(boxes), count):
            share = _TRACKING + (1 - _TRACKING) * start / len(boxes)
            self._progress(run, share, f"Tracking lesion {start + 1} of {len(boxes)} ...")
            group = boxes[start : start + count]
            tracks = self._tracker.track(prior, current, group, alignment, force)
            for index, track in enumerate(tracks, start):
                self._send("track", id=run, index=index, track=track.as_dict())
        self._files = []  # whoever got the grid removes it
        self._send("done", id=run)

    def follow(self, run: int, files: list[Path], lesions: list[MarkedLesion], force: bool) -> None:
        """Follow lesions through the exams in these files, and send each history."""
        self.load()
        groups = {lesion.exam for lesion in lesions}
        steps = len(files) + len(groups) * (len(files) - 1)
        done = itertools.count()

        def tell(message: str) -> None:
            # Where a lesion is not found for sure, there are more steps than are foreseen.
            self._progress(run, min(next(done) / steps, 0.98), message)

        def read(number: int) -> Mammogram:
            tell(f"Reading exam {number + 1} of {len(files)} ...")
            return take_mammogram(files[number])

        readers = [partial(read, number) for number in range(len(files))]
        exams = _ToldExams(self._tracker, readers, tell)
        sent = set()
        for index, history in follow_marked(exams, lesions, force):
            for target, result in enumerate(history.results):
                pair = history.marked, target
                if history.marked in result.sources and pair not in sent:
                    sent.add(pair)
                    self._send_registration(run, files[0].parent, exams, *pair)
            self._send("history", id=run, index=index, history=history.as_dict())
        self._files = []  # whoever got the grids removes them
        self._send("done", id=run)

    def _send_registration(
        self, run: int, folder: Path, exams: Exams, source: int, target: int
    ) -> None:
        grid = folder / f"grid-{source}-{target}.npy"
        self._files.append(grid)
        alignment = exams.alignment(source, target)
        np.save(grid, alignment.grid())
        self._is_aligned = True
        self._send(
            "registered",
            id=run,
            source=source,
            target=target,
            grid=str(grid),
            warnings=list(alignment.warnings),
        )

    def _progress(self, run: int | None, fraction: float, message: str) -> None:
        self._send("progress", id=run, fraction=fraction, message=message)


def _sentence(error: Exception) -> str:
    """Say to the user what went wrong; details, which can hold anything, are for the log."""
    if isinstance(error, MammoTrackerError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        return f"The Python package {package} is not installed: press Install in Setup."
    if isinstance(error, ImportError):
        return (
            "A Python package that tracking needs does not start: the log says which. Reinstall "
            "it, or see whether this computer meets its requirements."
        )
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return "Not enough memory: close other programs or images, then track again."
    if isinstance(error, OSError):
        if isinstance(error, FileNotFoundError):
            return "A file or folder that was handed over is gone: track again."
        reason = error.strerror or type(error).__name__
        return f"A temporary file failed ({reason}): make room on the disk, then track again."
    return f"Tracking failed ({type(error).__name__}): the log says where. Please report it."


def _command(line: bytes) -> dict:
    """Read a command, and check that it is one.

    Raises
    ------
    MammoTrackerError
        If it is none.
    """
    try:
        command = json.loads(line)
    except (ValueError, RecursionError):
        raise MammoTrackerError("The tracking process got a command that is no JSON.") from None
    if not isinstance(command, dict) or command.get("command") not in _COMMANDS:
        raise MammoTrackerError("The tracking process got a command that it does not know.")
    return command


def _field(command: dict, name: str, kind: type) -> object:
    value = command.get(name)
    if not isinstance(value, kind):
        raise MammoTrackerError(f"The tracking process got a command without a proper {name}.")
    return value


def main() -> int:
    """Answer commands, one JSON object a line, until stdin ends or a failure is fatal.

    ``{"command": "load"}`` loads the networks; ``{"command": "track", "id": n, "folder":
    path, "boxes": [[x0, y0, x1, y1], ...], "force": bool}`` tracks, where the folder holds
    prior.npz and current.npz by `write_mammogram`; ``{"command": "follow", "id": n, "folder":
    path, "exams": count, "lesions": [`MarkedLesion.as_dict`, ...], "force": bool}`` follows, where
    it holds an `exam_file` each. The events that are sent are "ready", "progress", "aligned",
    "track", "registered", "history", "done" and "error", with the ``id`` of their command (loading
    has none); after an error that is ``fatal`` the process ends.

    Returns
    -------
    int
        The exit status: 0 after the end of stdin, 1 after a fatal error, or when the events cannot
        be written.
    """
    faulthandler.enable()
    keep_freed_memory()
    # What libraries print must not come between the events, so it goes to the log.
    events = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)

    def send(event: str, **values: object) -> None:
        events.write(json.dumps({"event": event, **values}) + "\n")
        events.flush()

    worker = Worker(send)
    try:
        with tidy_end():
            for line in iter(sys.stdin.buffer.readline, b""):
                if not worker.answer(line):
                    return 1
    except OSError:  # nobody reads the events any more
        worker.tidy()
        return 1
    except SystemExit as end:  # by a signal: it is to look so from outside, too
        worker.tidy()
        signal.signal(end.code - 128, signal.SIG_DFL)
        signal.raise_signal(end.code - 128)
    return 0


if __name__ == "__main__":
    sys.exit(main())

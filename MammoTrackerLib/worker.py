"""The tracker in a process of its own: JSON lines on stdin and stdout, the log on stderr."""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .box import Box
from .errors import MammoTrackerError
from .global_search import align
from .mammogram import Mammogram
from .memory import keep_freed_memory
from .networks.card import read_card
from .pair import check_box, check_pair
from .tracker import LesionTracker

_LOADING, _ALIGNING, _TRACKING = 0.6, 0.1, 0.4


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
    )


def take_mammogram(path: Path) -> Mammogram:
    """Read what `write_mammogram` wrote, and delete the file."""
    try:
        with np.load(path, allow_pickle=False) as values:
            return Mammogram(
                values["pixels"],
                tuple(values["spacing"].tolist()),
                str(values["laterality"]) or None,
                str(values["view"]) or None,
            )
    finally:
        path.unlink(missing_ok=True)


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

    def answer(self, command: dict) -> bool:
        """Carry out a command.

        Returns
        -------
        bool
            False if it failed in a way that leaves the process unfit for another command.
        """
        run = command.get("id")
        try:
            if command["command"] == "load":
                self.load()
            else:
                boxes = [Box(*box) for box in command["boxes"]]
                self.track(run, Path(command["folder"]), boxes, command["force"])
        except Exception as error:
            traceback.print_exc()
            fit = isinstance(error, MammoTrackerError) and self._tracker is not None
            self._send("error", id=run, message=_sentence(error), fatal=not fit)
            return fit
        return True

    def load(self) -> None:
        """Load the networks, and send "ready"; once."""
        if self._tracker is not None:
            return
        self._progress(None, _LOADING, "Loading the networks ...")
        tracker = LesionTracker()
        networks = tracker.load()
        self._tracker = tracker
        self._send(
            "ready",
            runtime=f"{networks.name} {networks.version}",
            device=networks.device,
            weights=read_card()["version"],
        )

    def track(self, run: int, folder: Path, boxes: list[Box], force: bool) -> None:
        """Track lesions of the pair in a folder, and send each track as it is found."""
        self._progress(run, 0.0, "Reading the mammograms ...")
        prior, current = (take_mammogram(folder / f"{name}.npz") for name in ("prior", "current"))
        if not force:
            check_pair(prior, current)
        for box in boxes:
            check_box(box, prior)
        self.load()
        self._progress(run, _ALIGNING, "Aligning the mammograms ...")
        alignment = align(prior, current)
        grid = folder / "grid.npy"
        np.save(grid, alignment.grid())
        self._send(
            "aligned",
            id=run,
            grid=str(grid),
            warnings=list(alignment.warnings),
            dice=float(alignment.dice),
        )
        count = self._tracker.networks.lesions_at_once
        for start in range(0, len(boxes), count):
            share = _TRACKING + (1 - _TRACKING) * start / len(boxes)
            self._progress(run, share, f"Tracking lesion {start + 1} of {len(boxes)} ...")
            group = boxes[start : start + count]
            tracks = self._tracker.track(prior, current, group, alignment, force)
            for index, track in enumerate(tracks, start):
                self._send("track", id=run, index=index, track=track.as_dict())
        self._send("done", id=run)

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
        reason = error.strerror or type(error).__name__
        return f"A temporary file failed ({reason}): make room on the disk, then track again."
    return f"Tracking failed ({type(error).__name__}): the log says where. Please report it."


def main() -> int:
    """Answer commands, one JSON object a line, until stdin ends or a failure is fatal.

    ``{"command": "load"}`` loads the networks; ``{"command": "track", "id": n, "folder":
    path, "boxes": [[x0, y0, x1, y1], ...], "force": bool}`` tracks, where the folder holds
    prior.npz and current.npz by `write_mammogram`. The events that are sent are "ready",
    "progress", "aligned", "track", "done" and "error", with the ``id`` of their command
    (loading has none); after an error that is ``fatal`` the process ends.

    Returns
    -------
    int
        The exit status: 0 after the end of stdin, 1 after a fatal error.
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
    for line in iter(sys.stdin.buffer.readline, b""):
        if not worker.answer(json.loads(line)):
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

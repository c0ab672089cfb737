"""Tracking and following that a script waits for, safe beside Slicer's views.

LiteRT runs in this process, while TensorFlow, which can crash it, runs in another one.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import numpy as np
import qt
import slicer

from MammoTrackerLib import Box, LesionTracker, Mammogram, MammoTrackerError, Track
from MammoTrackerLib.exams import Exams
from MammoTrackerLib.global_search import align
from MammoTrackerLib.history import LesionHistory
from MammoTrackerLib.marked import MarkedLesion, follow_marked
from MammoTrackerLib.networks.runtime import choose
from MammoTrackerLib.pair import check_pair

from .tracker_process import TrackerProcess

PAUSE_S = 0.02


def trackAndWait(
    prior: Mammogram, current: Mammogram, boxes: list[Box], force: bool = False
) -> tuple[list[Track], np.ndarray]:
    """Track, and wait for the answers.

    Parameters
    ----------
    prior, current, boxes, force
        As in `TrackerProcess.track`.

    Returns
    -------
    tuple
        One `Track` per box, in order, and `Alignment.grid`'s array.

    Raises
    ------
    MammoTrackerError
        If the pair or a box cannot be right, or tracking cannot run.
    """
    if not _isSafe():
        tracks, grids = _elsewhere("track", prior, current, boxes, force)
        return [tracks[index] for index in range(len(boxes))], grids[0]
    if not force:
        check_pair(prior, current)
    alignment = align(prior, current)
    return _tracker().track(prior, current, boxes, alignment, force), alignment.grid()


def followAndWait(
    exams: list[Callable[[], Mammogram]], lesions: list[MarkedLesion], force: bool = False
) -> list[LesionHistory]:
    """Follow, and wait for the answers.

    Parameters
    ----------
    exams, lesions, force
        As in `TrackerProcess.follow`.

    Returns
    -------
    list of LesionHistory
        One per lesion, in order.

    Raises
    ------
    MammoTrackerError
        If the exams or a box cannot be right, or tracking cannot run.
    """
    if not _isSafe():
        histories, _grids = _elsewhere("follow", exams, lesions, force)
    else:
        histories = dict(follow_marked(Exams(_tracker(), exams), lesions, force))
    return [histories[index] for index in range(len(lesions))]


def _isSafe() -> bool:
    # The weights that ship have files for LiteRT.
    return choose("auto", has_converted=True) == "litert"


@functools.cache
def _tracker() -> LesionTracker:
    """Return a tracker that keeps its networks from call to call."""
    return LesionTracker(runtime="litert")


def _elsewhere(command: str, *arguments) -> tuple[dict, list]:
    """Let the application draw meanwhile, but take no clicks."""
    process = TrackerProcess()
    answers, grids, failures = {}, [], []
    process.onTrack = process.onHistory = answers.__setitem__
    process.onAligned = lambda grid, _warnings: grids.append(grid)
    process.onFailed = failures.append
    try:
        getattr(process, command)(*arguments)
        while process.running:
            slicer.app.processEvents(qt.QEventLoop.ExcludeUserInputEvents)
            time.sleep(PAUSE_S)
    finally:
        process.stop()
    if failures:
        raise MammoTrackerError(failures[0])
    return answers, grids

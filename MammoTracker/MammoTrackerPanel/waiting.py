"""Tracking that a script waits for, safe beside Slicer's views."""

from __future__ import annotations

import functools
import time

import numpy as np
import qt
import slicer

from MammoTrackerLib import Box, LesionTracker, Mammogram, MammoTrackerError, Track
from MammoTrackerLib.global_search import align
from MammoTrackerLib.networks.runtime import choose
from MammoTrackerLib.pair import check_pair

from .tracker_process import TrackerProcess

PAUSE_S = 0.02


def trackAndWait(
    prior: Mammogram, current: Mammogram, boxes: list[Box], force: bool = False
) -> tuple[list[Track], np.ndarray]:
    """Track in this process with LiteRT; TensorFlow, which can crash it, runs in another one.

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
    # The weights that ship have files for LiteRT.
    isSafe = choose("auto", has_converted=True) == "litert"
    return (_here if isSafe else _elsewhere)(prior, current, boxes, force)


@functools.cache
def _tracker() -> LesionTracker:
    """Return a tracker that keeps its networks from call to call."""
    return LesionTracker(runtime="litert")


def _here(prior: Mammogram, current: Mammogram, boxes: list[Box], force: bool) -> tuple:
    if not force:
        check_pair(prior, current)
    alignment = align(prior, current)
    return _tracker().track(prior, current, boxes, alignment, force), alignment.grid()


def _elsewhere(prior: Mammogram, current: Mammogram, boxes: list[Box], force: bool) -> tuple:
    """Let the application draw meanwhile, but take no clicks."""
    process = TrackerProcess()
    tracks, grids, failures = {}, [], []
    process.onTrack = tracks.__setitem__
    process.onAligned = lambda grid, _warnings: grids.append(grid)
    process.onFailed = failures.append
    try:
        process.track(prior, current, boxes, force)
        while process.running:
            slicer.app.processEvents(qt.QEventLoop.ExcludeUserInputEvents)
            time.sleep(PAUSE_S)
    finally:
        process.stop()
    if failures:
        raise MammoTrackerError(failures[0])
    return [tracks[index] for index in range(len(boxes))], grids[0]

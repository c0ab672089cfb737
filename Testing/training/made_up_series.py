"""Lesions of series that were followed, made up."""

from __future__ import annotations

import datetime

from MammoTrackerLib import Box, Status, Track
from MammoTrackerLib.history import ExamResult, LesionHistory
from Training.followed_series import Followed

MM = 0.1


def box(mm: float, moved_mm: float = 0) -> Box:
    return Box.from_center(500 + moved_mm / MM, 500, mm / MM, mm / MM)


def track(mm: float, score: float = 0.99, moved_mm: float = 0) -> Track:
    status = Status.FOUND if score > 0.7 else Status.NOT_FOUND
    place = box(mm, moved_mm)
    return Track(place, place, score, status, "", (), place)


def followed(true: list, predicted: list, scores: list, kind: str = "mass", moved: float = 0):
    """Make a lesion that was marked on the first exam; sides in mm, None where it is not."""
    dates = [datetime.date(2010 + k, 1, 1) for k in range(len(true))]
    tracks = [track(mm, score, moved) for mm, score in zip(predicted, scores, strict=True)]
    results = [ExamResult(t, (), k == 0, t.score) for k, t in enumerate(tracks)]
    return Followed(
        "woman", kind, [None if mm is None else box(mm) for mm in true], [(MM, MM)] * len(true),
        dates, [None, *tracks[1:]], LesionHistory(0, tuple(results)),
    )  # fmt: skip

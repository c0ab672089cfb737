"""Lesions of synthetic series as they were followed, beside the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track as progress

from MammoTrackerLib import Box, LesionTracker
from MammoTrackerLib.command.follow import read_date, read_exam
from MammoTrackerLib.command.tables import (
    BOX_COLUMNS,
    SERIES,
    is_present,
    read_box,
    read_rows,
    read_spacing,
)
from MammoTrackerLib.exams import Exams
from MammoTrackerLib.history import LesionHistory, follow
from MammoTrackerLib.metrics import center_distance
from MammoTrackerLib.track import Track

TRUE_COLUMNS = tuple(f"true_{name}" for name in BOX_COLUMNS)


@dataclass(frozen=True)
class Followed:
    """A lesion of a series: the truth, and what direct tracking and following found.

    Attributes
    ----------
    woman, kind
        Whose it is, and "mass", "calcification" or "tissue".
    truth
        Its box on each exam; None where it is not there.
    spacings, dates
        Of the exams.
    direct
        The answer from the marked exam alone, of each exam; None on the marked one.
    history
        What `follow` found.
    """

    woman: str
    kind: str
    truth: list[Box | None]
    spacings: list[tuple[float, float]]
    dates: list
    direct: list[Track | None]
    history: LesionHistory

    @property
    def others(self) -> list[int]:
        """The exams on which it was looked for."""
        return [k for k in range(len(self.truth)) if k != self.history.marked]

    def off(self, track: Track, exam: int) -> float:
        """How far an answer is off in mm; infinite where the lesion is not there."""
        true = self.truth[exam]
        return np.inf if true is None else center_distance(track.box, true, self.spacings[exam])


def collect(manifest: Path, tracker: LesionTracker) -> list[Followed]:
    """Follow every lesion of a manifest of series.

    Raises
    ------
    MammoTrackerError
        If the manifest or an image cannot be used.
    """
    result = []
    rows = list(read_rows(manifest, (*SERIES.manifest, *TRUE_COLUMNS, "present", "patient")))
    groups = [list(group) for _, group in groupby(rows, lambda row: row["exam_group"])]
    for group in progress(groups, "Following", console=Console(stderr=True)):
        lesions = [list(own) for _, own in groupby(group, lambda row: row["lesion_id"])]
        first = lesions[0]
        exams = Exams(tracker, [_reader(manifest.parent, row) for row in first])
        marked = next(k for k, row in enumerate(first) if row["x0"])
        boxes = [read_box(own[marked], BOX_COLUMNS) for own in lesions]
        histories = follow(tracker, exams, boxes, marked)
        for number, (own, history) in enumerate(zip(lesions, histories, strict=True)):
            direct = [
                None if k == marked else exams.track(marked, k, boxes)[number]
                for k in range(len(exams))
            ]
            truth = [read_box(row, TRUE_COLUMNS) if is_present(row) else None for row in own]
            spacings = [exam.spacing for exam in exams]
            dates = [read_date(row["date"]) for row in own]
            result.append(
                Followed(
                    own[0]["patient"], own[0]["lesion_type"], truth, spacings, dates, direct,
                    history,
                )
            )  # fmt: skip
    return result


def _reader(folder: Path, row: dict[str, str]) -> Callable:
    spacing, date = read_spacing(row["spacing_mm"]), read_date(row["date"])
    return lambda: read_exam(folder / row["exam"], spacing, date)

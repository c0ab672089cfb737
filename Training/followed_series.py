"""Lesions of synthetic series as they were followed, beside the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track as progress

from MammoTrackerLib import Box, LesionTracker, MammoTrackerError
from MammoTrackerLib.command.follow import read_date, read_exam
from MammoTrackerLib.command.tables.cells import is_present, read_box, read_spacing
from MammoTrackerLib.command.tables.columns import BOX_COLUMNS, SERIES
from MammoTrackerLib.command.tables.rows import Row, read_rows
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
        lesions, truths, marked = _known(group, f"{manifest}, line {group[0].line}: the series")
        first = lesions[0]
        exams = Exams(tracker, [_reader(manifest.parent, row) for row in first])
        boxes = [read_box(own[marked], BOX_COLUMNS) for own in lesions]
        histories = follow(tracker, exams, boxes, marked)
        answers = zip(lesions, truths, histories, strict=True)
        for number, (own, truth, history) in enumerate(answers):
            direct = [
                None if k == marked else exams.track(marked, k, boxes)[number]
                for k in range(len(exams))
            ]
            spacings = [exam.spacing for exam in exams]
            dates = [read_date(row["date"]) for row in own]
            result.append(
                Followed(
                    own[0]["patient"], own[0]["lesion_type"], truth, spacings, dates, direct,
                    history,
                )
            )  # fmt: skip
    return result


def _known(group: list[Row], where: str) -> tuple[list[list[Row]], list[list[Box | None]], int]:
    """Sort a series' rows by lesion and exam.

    Returns
    -------
    lesions
        Of each its rows, one an exam.
    truths
        Of each where it truly is, on each exam.
    marked
        Index of the exam on which all of them are marked.

    Raises
    ------
    MammoTrackerError
        If a row or box is missing, or they are marked on different exams.
    """
    names = list(dict.fromkeys(row["exam"] for row in group))
    of_lesions: dict[str, list[Row]] = {}
    for row in group:
        of_lesions.setdefault(row["lesion_id"], []).append(row)
    lesions = list(of_lesions.values())
    if any([row["exam"] for row in own] != names for own in lesions):
        raise MammoTrackerError(
            f"{where} has not each exam once for each lesion: give a row for each, in one order."
        )
    marked = {k for own in lesions for k, row in enumerate(own) if read_box(row, BOX_COLUMNS)}
    if len(marked) != 1 or not all(read_box(own[min(marked)], BOX_COLUMNS) for own in lesions):
        raise MammoTrackerError(
            f"{where} has not all its lesions marked on one exam: fill x0 to y1 there, and nowhere "
            "else."
        )
    truths = []
    for own in lesions:
        truth = [read_box(row, TRUE_COLUMNS) if is_present(row) else None for row in own]
        unknown = [box is None and is_present(row) for box, row in zip(truth, own, strict=True)]
        if any(unknown) or truth[min(marked)] is None:
            raise MammoTrackerError(
                f"{where} has a lesion whose true place is not given: fill true_x0 to true_y1, "
                "above all where it is marked, or present with 0 where it is not there."
            )
        truths.append(truth)
    return lesions, truths, marked.pop()


def _reader(folder: Path, row: dict[str, str]) -> Callable:
    spacing, date = read_spacing(row["spacing_mm"]), read_date(row["date"])
    return lambda: read_exam(folder / row["exam"], spacing, date)

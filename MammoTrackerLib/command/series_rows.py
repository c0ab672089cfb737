"""Rows of a manifest of series: followed together, and answered one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import MammoTrackerError
from ..exams import Exam, Exams
from ..mammogram import Mammogram
from ..marked import MarkedLesion
from ..tracker import LesionTracker
from .follow import followed, read_exam, remarks_on, years_since_first
from .history_files import history_rows
from .tables import (
    BOX_COLUMNS,
    SERIES,
    candidates_cell,
    failed_row,
    read_box,
    read_date,
    read_spacing,
    text_cell,
)

Row = dict[str, str]


def series_follower(
    tracker: LesionTracker, folder: Path, force: bool
) -> Callable[[Row, Sequence[Row]], Row]:
    """Make the function that turns a row of the manifest into a row of results.

    It is called with the row and those of its whole series, which is followed at the first of
    them and kept until the next series.
    """
    kept: tuple[Sequence[Row], dict[tuple[str, str], Row]] = (), {}

    def find(row: Row, group: Sequence[Row]) -> Row:
        nonlocal kept
        start = time.perf_counter()
        if group != kept[0]:
            kept = group, _followed(tracker, folder, force, group)
        result = kept[1][row["lesion_id"], row["exam"]]
        return result | {"seconds": f"{time.perf_counter() - start:.3f}"}

    return find


def _followed(
    tracker: LesionTracker, folder: Path, force: bool, group: Sequence[Row]
) -> dict[tuple[str, str], Row]:
    """Follow a series' lesions; returns the results by lesion and exam."""
    try:
        return _results(tracker, folder, force, group)
    except MammoTrackerError as error:
        message = str(error)
    except Exception as error:  # one damaged file must not end a run of days
        message = (
            f"Unexpected {type(error).__name__}: run `mammotracker follow` on this series to see "
            "where."
        )
    return {(row["lesion_id"], row["exam"]): failed_row(row, message, 0.0) for row in group}


def _results(
    tracker: LesionTracker, folder: Path, force: bool, group: Sequence[Row]
) -> dict[tuple[str, str], Row]:
    names = list(dict.fromkeys(row["exam"] for row in group))
    if not all(names):
        raise MammoTrackerError("A row has no file in the column exam.")
    read = {name: Exam.of(_read(folder, group, name), tracker) for name in names}
    if all(exam.header.date for exam in read.values()):
        names.sort(key=lambda name: read[name].header.date)
    exams = Exams(tracker, [read[name] for name in names])
    of_lesion = {row["lesion_id"]: _marked(group, row["lesion_id"], names) for row in group}
    known = {name: lesion for name, lesion in of_lesion.items() if lesion is not None}
    remarks = text_cell(" ".join(remarks_on(exams, force)))
    years = years_since_first([exam.header.date for exam in exams])
    results = {}
    for name, strip in zip(known, followed(exams, list(known.values()), force), strict=True):
        of_exams = zip(names, history_rows(strip, years), strip.history.results, strict=True)
        for exam, values, result in of_exams:
            values["candidates"] = candidates_cell(result.track.candidates)
            values["number"] = values.pop("exam")
            values["message"] = f"{values['message']} {remarks}".strip()
            results[name, exam] = {column: str(value) for column, value in values.items()}
    for row in group:
        key = row["lesion_id"], row["exam"]
        if of_lesion[row["lesion_id"]] is None:
            message = "The lesion has no box: fill x0 to y1 on the exam on which it is marked."
            results[key] = failed_row(row, message, 0.0)
        else:
            results[key] |= {column: text_cell(row[column]) for column in SERIES.ids}
    return results


def _read(folder: Path, group: Sequence[Row], name: str) -> Mammogram:
    """Read an exam with what its first row says of it."""
    row = next(row for row in group if row["exam"] == name)
    return read_exam(folder / name, read_spacing(row["spacing_mm"]), read_date(row["date"]))


def _marked(
    group: Sequence[Row], lesion: str, names: Sequence[str]
) -> tuple[MarkedLesion, str] | None:
    """Return a lesion with its boxes and type, marked on the last exam with one; None without."""
    rows = [row for row in group if row["lesion_id"] == lesion]
    boxes = {names.index(row["exam"]): read_box(row, BOX_COLUMNS) for row in rows}
    boxes = {exam: box for exam, box in boxes.items() if box is not None}
    if not boxes:
        return None
    marked = max(boxes)
    return MarkedLesion(marked, boxes.pop(marked), boxes), rows[0]["lesion_type"]

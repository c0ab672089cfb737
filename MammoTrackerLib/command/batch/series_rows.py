"""Rows of a manifest of series: followed together, and answered one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ...box import Box
from ...errors import MammoTrackerError
from ...exams import Exam, Exams
from ...mammogram import Mammogram
from ...marked import MarkedLesion
from ...pair import in_order
from ...tracker import LesionTracker
from ..drawings.strip import Strip
from ..follow import followed, read_exam, remarks_on, say_order, years_since_first
from ..history_files import history_rows
from ..tables.cells import (
    candidates_cell,
    failed_row,
    read_box,
    read_date,
    read_path,
    read_spacing,
    text_cell,
)
from ..tables.columns import BOX_COLUMNS, SERIES

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
    for row in group:
        read_path(row, "exam", folder)
    read = {name: Exam.of(_read(folder, group, name), tracker) for name in names}
    order = in_order([read[name].header.date for name in names])
    names = [names[k] for k in order]
    exams = Exams(tracker, [read[name] for name in names])
    try:
        remarks = text_cell(" ".join(remarks_on(exams, force)))
    except MammoTrackerError as error:
        raise MammoTrackerError(f"{error} {say_order(order)}") from None
    years = years_since_first([exam.header.date for exam in exams])
    known, problems = {}, {}
    for name in dict.fromkeys(row["lesion_id"] for row in group):
        try:
            known[name] = _marked(group, name, names)
        except MammoTrackerError as error:
            problems[name] = str(error)
    results = {}
    for name, strip in _each_followed(exams, known, force, problems).items():
        of_exams = zip(names, history_rows(strip, years), strip.history.results, strict=True)
        for exam, values, result in of_exams:
            values["candidates"] = candidates_cell(result.track.candidates)
            values["number"] = values.pop("exam")
            values["message"] = f"{values['message']} {remarks}".strip()
            results[name, exam] = {column: str(value) for column, value in values.items()}
    for row in group:
        key = row["lesion_id"], row["exam"]
        if row["lesion_id"] in problems:
            results[key] = failed_row(row, problems[row["lesion_id"]], 0.0)
        else:
            results[key] |= {column: text_cell(row[column]) for column in SERIES.ids}
    return results


def _each_followed(
    exams: Exams,
    lesions: dict[str, tuple[MarkedLesion, str]],
    force: bool,
    problems: dict[str, str],
) -> dict[str, Strip]:
    """Follow lesions at once, or else one by one, as what is wrong with one stops no other.

    `problems` gets what is wrong with those that are not followed.
    """
    strips: dict[str, Strip] = {}
    try:
        return dict(zip(lesions, followed(exams, list(lesions.values()), force), strict=True))
    except MammoTrackerError:
        for name, lesion in lesions.items():
            try:
                (strips[name],) = followed(exams, [lesion], force)
            except MammoTrackerError as error:
                problems[name] = str(error)
    return strips


def _read(folder: Path, group: Sequence[Row], name: str) -> Mammogram:
    """Read an exam with what its rows say of it."""
    rows = [row for row in group if row["exam"] == name]
    spacing, date = (
        _only({read(row[column]) for row in rows} - {None}, "exam", column)
        for column, read in (("spacing_mm", read_spacing), ("date", read_date))
    )
    return read_exam(folder / name, spacing, date)


def _only(said: set, of: str, column: str) -> object:
    """Return what rows of one exam or lesion say, who need not all do; None where none does."""
    if len(said) > 1:
        raise MammoTrackerError(
            f"The rows of one {of} differ in {column}: give it the same in all, or in one of them."
        )
    return next(iter(said), None)


def _marked(group: Sequence[Row], lesion: str, names: Sequence[str]) -> tuple[MarkedLesion, str]:
    """Return a lesion with its boxes and type, marked on the last exam with one.

    Raises
    ------
    MammoTrackerError
        If it has no box, one that is none, or two on an exam, or two types.
    """
    rows = [row for row in group if row["lesion_id"] == lesion]
    boxes: dict[int, Box] = {}
    for row in rows:
        box = read_box(row, BOX_COLUMNS)
        if box is not None and boxes.setdefault(names.index(row["exam"]), box) != box:
            raise MammoTrackerError(
                "The rows of one lesion have two boxes on one exam: give each lesion another "
                "lesion_id."
            )
    if not boxes:
        raise MammoTrackerError(
            "The lesion has no box: fill x0 to y1 on the exam on which it is marked."
        )
    marked = max(boxes)
    lesion_type = _only({row["lesion_type"] for row in rows} - {""}, "lesion", "lesion_type")
    return MarkedLesion(marked, boxes.pop(marked), boxes), lesion_type or ""

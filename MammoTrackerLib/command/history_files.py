"""What the command writes for a series of exams: history.json, history.csv, ROIs for 3D Slicer."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from .. import __version__
from ..exams import Exam
from ..growth import Change
from .drawings.strip import Strip
from .outputs import (
    COORDINATES,
    box_as_json,
    candidates_as_json,
    image_as_json,
    is_own_output,
)
from .tables.cells import box_cells, text_cell
from .tables.columns import BOX_COLUMNS, HISTORY_COLUMNS

COLUMNS = ("lesion", "exam", *HISTORY_COLUMNS)
"""Of history.csv."""
LESION_FILES = ("lesion*", "strip-*.png")
"""What an earlier run may have written: ROIs, a report, and pictures of further lesions."""


def history_as_json(
    exams: Sequence[Exam],
    years: Sequence[float | None],
    order: Sequence[int],
    strips: Sequence[Strip],
    remarks: Sequence[str],
) -> dict:
    """Make the content of ``history.json``.

    Parameters
    ----------
    exams, years
        In the order in which they were followed; years since the first.
    order
        Which of the exams as they were given each is, from 0.
    strips
        The lesions.
    remarks
        What may be wrong with the exams.
    """
    return {
        "version": __version__,
        "coordinates": COORDINATES,
        "exams": [
            {"exam": number, "given_as": given + 1, "years": when} | image_as_json(exam.header)
            for number, (exam, when, given) in enumerate(zip(exams, years, order, strict=True), 1)
        ],
        "remarks": list(remarks),
        "lesions": [
            _lesion_as_json(number, strip, exams) for number, strip in enumerate(strips, 1)
        ],
    }


def _lesion_as_json(number: int, strip: Strip, exams: Sequence[Exam]) -> dict:
    history, growth = strip.history, strip.growth

    def change(value: Change | None) -> dict | None:
        if value is None:
            return None
        return vars(value) | {"first": value.first + 1, "last": value.last + 1}

    def presence(value: tuple[int, float] | None) -> dict | None:
        return None if value is None else {"exam": value[0] + 1, "probability": float(value[1])}

    return {
        "lesion": number,
        "marked_on": history.marked + 1,
        "new": presence(history.new),
        "gone": presence(history.gone),
        "exams": [
            {
                "exam": k + 1,
                "status": result.track.status.value,
                "reason": result.track.reason,
                "score": float(result.track.score),
                "there": float(result.there),
                "by_user": result.by_user,
                "reached_from": [source + 1 for source in result.sources],
                "box": box_as_json(result.track.box, exam.header),
                "size": None if size is None else vars(size),
                "candidates": candidates_as_json(result.track, exam.header),
            }
            for k, (result, size, exam) in enumerate(
                zip(history.results, growth.sizes, exams, strict=True)
            )
        ],
        "steps": [change(step) for step in growth.steps],
        "overall": change(growth.overall),
    }


def write_history_csv(strips: Sequence[Strip], years: Sequence[float | None], path: Path) -> None:
    """Write ``history.csv``: a row a lesion and exam."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for number, strip in enumerate(strips, 1):
            for row in history_rows(strip, years):
                writer.writerow({"lesion": number} | row)


def history_rows(strip: Strip, years: Sequence[float | None]) -> list[dict[str, object]]:
    """Return a row an exam, of a lesion's `COLUMNS`."""
    steps = {step.last: step for step in strip.growth.steps}
    overall = strip.growth.overall
    rows = []
    for k, (result, size) in enumerate(zip(strip.history.results, strip.growth.sizes, strict=True)):
        row = {
            "exam": k + 1,
            "years": "" if years[k] is None else f"{years[k]:.3f}",
            "status": result.track.status.value,
            "score": f"{result.track.score:.4f}",
            "there": f"{result.there:.4f}",
            "by_user": int(result.by_user),
            "reached_from": " ".join(str(source + 1) for source in result.sources),
            "message": text_cell(result.track.reason),
        }
        row |= box_cells(result.track.box, BOX_COLUMNS)
        if size is not None:
            row |= {
                "longest_mm": f"{size.longest_mm:.2f}",
                "error_mm": f"{size.error_mm:.2f}",
                "area_mm2": f"{size.area_mm2:.1f}",
            }
        for prefix, change in (("change", steps.get(k)), ("total", overall)):
            if change is not None:
                row |= {
                    f"{prefix}_mm": f"{change.mm:.2f}",
                    f"{prefix}_percent": f"{change.percent:.1f}",
                    f"{prefix}_percent_low": f"{change.percent_low:.1f}",
                    f"{prefix}_percent_high": f"{change.percent_high:.1f}",
                    f"{prefix}_verdict": change.verdict,
                }
        if overall is not None and overall.percent_per_year is not None:
            row["percent_per_year"] = f"{overall.percent_per_year:.1f}"
        if overall is not None and overall.doubling_days is not None:
            row["doubling_days"] = f"{overall.doubling_days:.0f}"
        rows.append(row)
    return rows


def is_own_history(file: Path) -> bool:
    """Whether `mammotracker follow` wrote this file, and nobody changed it in Slicer since."""
    if file.suffix == ".csv":
        with suppress(OSError, ValueError), file.open(encoding="utf-8") as text:
            return text.readline(1000).rstrip("\n") == ",".join(COLUMNS)
        return False
    roi = r"lesion-([1-9][0-9]*)-exam-[1-9][0-9]*\.mrk\.json"
    return is_own_output(file, "history.json", "lesions", roi)

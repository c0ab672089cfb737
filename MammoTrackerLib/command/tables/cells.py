"""The cells of the tables of `batch`: strict reading, and texts that are safe to open."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Sequence
from pathlib import Path

from ...box import Box
from ...errors import MammoTrackerError
from ...track import Candidate
from .columns import FAILED, ID_COLUMNS, PAIRS, SERIES

MAX_CANDIDATES = 5
_LIKE_A_NUMBER = re.compile(r"[+-]?\d{0,5}(?:[.,]\d{0,6})?|nan|-?inf")
_FORMULA = tuple("=+-@＝＋－＠")


def read_path(row: dict[str, str], column: str, folder: Path) -> Path:
    """Read the path of a file that a manifest in a folder names.

    Raises
    ------
    MammoTrackerError
        If the cell is empty, or holds a path that this system does not understand.
    """
    name = row[column]
    if not name:
        raise MammoTrackerError(f"The row has no file in the column {column}.")
    path = folder / name
    if os.path.lexists(path):
        return path
    if name.startswith("~"):
        raise MammoTrackerError(
            f"The path in the column {column} begins with ~, which counts only in a shell: give it "
            "in full, or relative to the table."
        )
    if os.name != "nt" and ("\\" in name or re.match("[A-Za-z]:", name)):
        raise MammoTrackerError(
            f"The path in the column {column} is one of Windows, which this system does not know: "
            "write / in place of \\, and give it as it is here, or relative to the table."
        )
    return path


def read_spacing(text: str) -> float | None:
    """Read a pixel size in mm; None if the cell is empty.

    Raises
    ------
    MammoTrackerError
        If it is no number, or not the size of a mammogram's pixel.
    """
    from ...mammogram import spacing_pair

    if not text:
        return None
    try:
        spacing = float(text)
    except ValueError:
        raise MammoTrackerError(
            f"The spacing {_shown(text)} is no number: give mm, with a point, or leave the cell "
            "empty."
        ) from None
    return spacing_pair(spacing)[0]


def read_date(text: str) -> datetime.date | None:
    """Read a date YYYY-MM-DD; None if the text is empty.

    Raises
    ------
    MammoTrackerError
        If it is none.
    """
    if not text:
        return None
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise MammoTrackerError(
            "A date is not written as YYYY-MM-DD: write it so (spreadsheets may change it)."
        ) from None


def read_box(row: dict[str, str], columns: Sequence[str]) -> Box | None:
    """Read a box from four cells; None if all are missing or empty."""
    cells = [row.get(name, "") for name in columns]
    if not any(cells):
        return None
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError:
        raise MammoTrackerError(
            f"{columns[0]} to {columns[-1]} are {', '.join(map(_shown, cells))}: give four "
            "numbers, with points."
        ) from None
    return Box(*numbers)


def box_cells(box: Box, columns: Sequence[str]) -> dict[str, str]:
    """Write a box into four cells, as `read_box` reads it."""
    return {name: f"{value:.3f}" for name, value in zip(columns, box.as_tuple(), strict=True)}


def candidates_cell(candidates: Sequence[Candidate]) -> str:
    """Write the best candidates into a cell: x0 y0 x1 y1 score, apart by semicolons."""
    return "; ".join(
        " ".join(f"{value:.4g}" if k == 4 else f"{value:.3f}" for k, value in enumerate(values))
        for values in ((*c.box.as_tuple(), c.score) for c in candidates[:MAX_CANDIDATES])
    )


def read_candidates(text: str) -> list[tuple[Box, float]]:
    """Read what `candidates_cell` wrote: boxes in pixels and scores, best first.

    Raises
    ------
    MammoTrackerError
        If the cell holds something else.
    """
    try:
        rows = [list(map(float, part.split())) for part in text.split(";") if part.strip()]
        return [(Box(x0, y0, x1, y1), score) for x0, y0, x1, y1, score in rows]
    except ValueError:
        raise MammoTrackerError(
            "The candidates are no boxes with scores: give the file that `mammotracker batch` "
            "wrote."
        ) from None


_ABSENT = ("0", "0.0", "false")  # as pandas, R and spreadsheets write it


def is_present(row: dict[str, str]) -> bool:
    """Whether a manifest's row says that its lesion is on the current mammogram.

    Raises
    ------
    MammoTrackerError
        If its column ``present`` holds something else than 1, 0 or nothing.
    """
    text = row.get("present", "")
    if text.lower() not in (*_ABSENT, "", "1", "1.0", "true"):
        raise MammoTrackerError(
            f"The column present says {_shown(text)}: give 1 where the lesion is on the current "
            "mammogram, and 0 where it is not."
        )
    return text.lower() not in _ABSENT


def _shown(text: str) -> str:
    """Repeat a cell in a message if it is like a small number: others may be a name, date or ID."""
    return repr(text) if not text or _LIKE_A_NUMBER.fullmatch(text) else "(a text)"


def text_cell(text: str) -> str:
    """Write a text so that it is one line, and no spreadsheet takes it for a formula."""
    text = one_line(text)
    return f"'{text}" if text.startswith(_FORMULA) else text


def path_cell(path: str) -> str:
    """Write a path, with / in it, so that a table keeps it as it is and no spreadsheet runs it."""
    return path if text_cell(path) == path else f"./{path}"


def plain(cell: str) -> str:
    """Return the text of which `text_cell` made a cell."""
    return cell[1:] if cell.startswith("'") and text_cell(cell[1:]) == cell else cell


def failed_row(row: dict[str, str], message: str, seconds: float) -> dict[str, str]:
    """Make the row of results that says why a row failed."""
    ids = (SERIES if "exam_group" in row else PAIRS).ids
    result = {name: text_cell(row[name]) for name in ids}
    return result | {
        "status": FAILED,
        "seconds": f"{seconds:.3f}",
        "message": text_cell(message),
    }


def has_ids_of(
    result: dict[str, str], row: dict[str, str], ids: Sequence[str] = ID_COLUMNS
) -> bool:
    """Whether a row of results carries the names of a manifest's row."""
    return all(result[name] in (text_cell(row[name]), one_line(row[name])) for name in ids)


def one_line(text: str) -> str:
    """Write a text on one line, without what a terminal or a table would take for a command."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))

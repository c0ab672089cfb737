"""The tables of `batch`: their columns, strict reading, and cells that are safe to open."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ..box import Box
from ..errors import MammoTrackerError
from ..track import Candidate, Status
from .records import column_name, records

ID_COLUMNS = ("pair_id", "lesion_id")
IMAGE_COLUMNS = ("prior", "current", "prior_spacing_mm", "current_spacing_mm")
"""Rows that are alike in them are of one pair of images."""
BOX_COLUMNS = ("x0", "y0", "x1", "y1")
PRIOR_BOX_COLUMNS = tuple(f"prior_{name}" for name in BOX_COLUMNS)
MANIFEST_COLUMNS = (*ID_COLUMNS, *IMAGE_COLUMNS, "lesion_type", *PRIOR_BOX_COLUMNS)
TRUTH_COLUMNS = tuple(f"current_{name}" for name in BOX_COLUMNS)
REGISTRATION_COLUMNS = tuple(f"registration_{name}" for name in BOX_COLUMNS)
ANSWER_COLUMNS = (
    *ID_COLUMNS,
    "status",
    *BOX_COLUMNS,
    "score",
    *REGISTRATION_COLUMNS,
    "seconds",
    "message",
)
RESULT_COLUMNS = (*ANSWER_COLUMNS, "candidates", "fingerprint")
HISTORY_COLUMNS = (
    *("years", "status", "score", "there", "by_user", "reached_from", *BOX_COLUMNS),
    *("longest_mm", "error_mm", "area_mm2"),
    *("change_mm", "change_percent", "change_percent_low", "change_percent_high"),
    *("change_verdict", "total_mm", "total_percent", "total_percent_low", "total_percent_high"),
    *("total_verdict", "percent_per_year", "doubling_days", "message"),
)
"""Of a lesion on an exam. A change is that from the exam before on which the lesion was found; the
total, the growth per year and the doubling time are from the first exam to the last."""
FAILED = "failed"
STATUSES = (*(status.value for status in Status), FAILED)
MAX_CANDIDATES = 5


@dataclass(frozen=True)
class Layout:
    """The columns of a manifest and of its results, and those that name a row in both."""

    manifest: tuple[str, ...]
    results: tuple[str, ...]
    ids: tuple[str, ...]


PAIRS = Layout(MANIFEST_COLUMNS, RESULT_COLUMNS, ID_COLUMNS)
_SERIES_IDS = ("exam_group", "lesion_id", "exam")
SERIES = Layout(
    (*_SERIES_IDS, "spacing_mm", "date", "lesion_type", *BOX_COLUMNS),
    (
        *(*_SERIES_IDS, "number", *HISTORY_COLUMNS[:-1]),
        *("seconds", "message", "candidates", "fingerprint"),
    ),
    _SERIES_IDS,
)
_SAID_OF = {"spacing_mm": "exam", "date": "exam", "lesion_type": "lesion_id"}

_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_LIKE_A_NUMBER = re.compile(r"[+-]?\d{0,5}(?:[.,]\d{0,6})?|nan|-?inf")
_FORMULA = tuple("=+-@＝＋－＠")


class Row(dict[str, str]):
    """A row by the names of its columns, the line it begins in, and whether that has an end.

    A row of Parquet has the line that it would have in CSV.
    """

    line = 0
    is_finished = True


def read_rows(
    path: Path, columns: Sequence[str], complete: bool = False, at_once: bool = False
) -> Iterator[Row]:
    """Read a comma-separated table or one in Parquet, row by row; cells are stripped texts.

    Rows of which all cells are empty are left out.

    Parameters
    ----------
    path
        Parquet, as `parquet.read_cells` takes it; or a file in UTF-8 with a header, of which lines
        may end in LF or CRLF.
    columns
        Those that it must have.
    complete
        Whether each row must have all cells, but for a last line that somebody was writing when
        the process was killed, which is left out. Else a missing cell is an empty text.
    at_once
        Whether the rows are those that are there now, though somebody saves the table meanwhile.

    Raises
    ------
    MammoTrackerError
        If it cannot be read, a column is missing or there twice, a quote is not closed, or a
        row has more cells than the header (or fewer, if `complete`); with line and column.
    """
    read = records(path, at_once)
    _, header, _ = next(read, (1, [], True))
    _check_header(header, columns, path)
    for line, cells, is_finished in read:
        if not any(cells):  # as spreadsheets leave below a table
            continue
        if len(cells) < len(header):
            if complete and not is_finished:
                return
            if complete:
                raise MammoTrackerError(
                    f"{path}, line {line}: the row is cut after the column "
                    f"{column_name(header, len(cells) - 1)}. Delete it and those after it."
                )
            cells += [""] * (len(header) - len(cells))
        if any(cells[len(header) :]):
            raise MammoTrackerError(
                f"{path}, line {line}: there are {len(cells)} cells, but {len(header)} "
                "columns. Put cells that hold a comma in quotes."
            )
        row = Row(zip(header, cells, strict=False))
        row.line, row.is_finished = line, is_finished
        yield row


def layout_of(table: Path) -> Layout:
    """Tell a manifest or results of series, with a column ``exam_group``, from those of pairs.

    Raises
    ------
    MammoTrackerError
        As `read_rows`, if it cannot be read.
    """
    with closing(records(table)) as read:
        _, header, _ = next(read, (1, [], True))
    return SERIES if "exam_group" in header else PAIRS


def read_groups(manifest: Path, layout: Layout) -> Iterator[tuple[Row, list[Row]]]:
    """Read a manifest's rows, each with the rows of its series, itself among them; none for pairs.

    Raises
    ------
    MammoTrackerError
        As `read_rows`; and if the rows of a series do not follow each other.
    """
    rows = read_rows(manifest, layout.manifest, at_once=True)
    if layout is PAIRS:
        yield from ((row, []) for row in rows)
        return
    for together in by_series(rows, manifest):
        yield from ((row, together) for row in together)


def by_series(
    items: Iterable, path: Path, row_of: Callable[..., Row] = lambda row: row
) -> Iterator[list]:
    """Put together what is of one series, by the row of this table that each item is about.

    Raises
    ------
    MammoTrackerError
        If the rows of a series do not follow each other.
    """
    seen: set[str] = set()
    for name, group in groupby(items, lambda item: row_of(item)["exam_group"]):
        together = list(group)
        if name in seen:
            raise MammoTrackerError(
                f"{path}, line {row_of(together[0]).line}: the series of this row is there before, "
                "too. Put the rows of a series one after another: sort the table by exam_group."
            )
        seen.add(name)
        yield together


def filled(series: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Return a series' rows, each with what any of them says of its exam or its lesion."""
    said: dict[tuple[str, str], str] = {}
    for row in series:
        for column, of in _SAID_OF.items():
            if row[column]:
                said.setdefault((column, row[of]), row[column])
    return [
        row | {column: said.get((column, row[of]), "") for column, of in _SAID_OF.items()}
        for row in series
    ]


def _check_header(header: Sequence[str], columns: Sequence[str], path: Path) -> None:
    for index, name in enumerate(header):
        if name and name in header[:index]:
            raise MammoTrackerError(
                f"{path}, line 1: the column {name} is there twice, as column "
                f"{header.index(name) + 1} and {index + 1}. Delete one."
            )
    missing = [name for name in columns if name not in header]
    if missing:
        way_out = "give a comma-separated table with a header line, or one in Parquet."
        for separator, what in _OTHER_SEPARATORS.items():
            if all(name in "".join(header).split(separator) for name in missing[:2]):
                way_out = (
                    f"its cells are apart by {what}. Save it with commas between cells and points "
                    "in numbers, in UTF-8, or as Parquet."
                )
        raise MammoTrackerError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}: {way_out}"
        )


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
    from ..mammogram import spacing_pair

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
        raise MammoTrackerError("A date is no date: give it as YYYY-MM-DD.") from None


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


def is_present(row: dict[str, str]) -> bool:
    """Whether a manifest's row says that its lesion is on the current mammogram.

    Raises
    ------
    MammoTrackerError
        If its column ``present`` holds something else than 1, 0 or nothing.
    """
    text = row.get("present", "")
    if text not in ("", "0", "1", "0.0", "1.0"):  # the last as pandas writes it beside empty cells
        raise MammoTrackerError(
            f"The column present says {_shown(text)}: give 1 where the lesion is on the current "
            "mammogram, and 0 where it is not."
        )
    return text not in ("0", "0.0")


def _shown(text: str) -> str:
    """Repeat a cell in a message if it is like a small number: others may be a name, date or ID."""
    return repr(text) if not text or _LIKE_A_NUMBER.fullmatch(text) else "(a text)"


def text_cell(text: str) -> str:
    """Write a text so that it is one line, and no spreadsheet takes it for a formula."""
    text = one_line(text)
    return f"'{text}" if text.startswith(_FORMULA) else text


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

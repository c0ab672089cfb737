"""The rows of the tables of `batch`, read strictly, and those of a series together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path

from ...errors import MammoTrackerError
from .columns import PAIRS, SERIES, Layout
from .records import column_name, records

_SAID_OF = {"spacing_mm": "exam", "date": "exam", "lesion_type": "lesion_id"}
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


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
                f"{path}, line 1: column {index + 1} has the name of column "
                f"{header.index(name) + 1}. Delete one."
            )
    missing = [name for name in columns if name not in header]
    if missing:
        way_out = "give the table that has them, with commas and a header line, or in Parquet."
        for separator, what in _OTHER_SEPARATORS.items():
            if len(header) == 1 and separator in header[0]:
                way_out = (
                    f"its cells are apart by {what}. Save it with commas between cells and points "
                    "in numbers, in UTF-8, or as Parquet."
                )
        raise MammoTrackerError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}: {way_out}"
        )

"""The records of a table, from CSV or Parquet: where each begins, and its cells."""

from __future__ import annotations

import csv
import io
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from ...errors import MammoTrackerError
from .parquet import holds_parquet, read_cells

_LONGEST_LINE = 1_000_000
_CELL = re.compile(r'(?:"[^"]*(?:""[^"]*)*"|(?!")[^,\r\n]*)(?=[,\r\n]|\Z)')


def records(path: Path, at_once: bool = False) -> Iterator[tuple[int, list[str], bool]]:
    """Give the header's and each row's first line, its cells, and whether its last line ends.

    Raises
    ------
    MammoTrackerError
        As `rows.read_rows`, which says what `at_once` is, if the file cannot be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise MammoTrackerError(f"{path} is no file: give a table as one file, CSV or Parquet.")
        with ExitStack() as stack:
            file = stack.enter_context(path.open("rb"))
            if at_once:
                file = stack.enter_context(_copied(file))
            if holds_parquet(file, path):
                file.seek(0)
                for line, cells in enumerate(read_cells(file, path), 1):
                    yield line, cells, True
                return
            file.seek(0)
            yield from _csv_records(io.TextIOWrapper(file, "utf-8-sig", newline=""), path)
    except FileNotFoundError:
        raise MammoTrackerError(f"There is no file {path}.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or (
            "it is not a comma-separated text in UTF-8: save it so, or as Parquet"
        )
        raise MammoTrackerError(f"Cannot read {path}: {reason}.") from None


def _copied(file: BinaryIO) -> BinaryIO:
    """Return a copy in a temporary file, at its start; the file itself where there is no room."""
    copy = None
    try:
        copy = tempfile.TemporaryFile()
        shutil.copyfileobj(file, copy)
        copy.seek(0)  # which writes what is left
        return copy
    except OSError:
        with suppress(OSError):
            if copy is not None:
                copy.close()
        file.seek(0)
        return file


def _csv_records(file: TextIO, path: Path) -> Iterator[tuple[int, list[str], bool]]:
    header: list[str] = []
    lines: list[str] = []
    count = 0

    def feed() -> Iterator[str]:
        nonlocal count
        while line := file.readline(_LONGEST_LINE):
            if len(line) == _LONGEST_LINE:
                raise MammoTrackerError(
                    f"{path}, line {count + 1}: the line is too long for a table."
                )
            lines.append(line)
            count += 1
            yield line

    reader = csv.reader(feed(), strict=True)
    while True:
        first = count + 1
        lines.clear()
        try:
            cells = next(reader, None)
        except csv.Error:
            raise _not_closed(path, first, column_name(header, _bad_cell("".join(lines)))) from None
        if cells is None:
            return
        cells = [cell.strip() for cell in cells]
        for index, cell in enumerate(cells):
            if "\n" in cell or "\r" in cell:
                raise _not_closed(path, first, column_name(header, index))
        if cells:
            header = header or cells
            yield first, cells, lines[-1].endswith(("\n", "\r"))


def _bad_cell(record: str) -> int:
    """Find the first cell of a record that is not as it should be."""
    index = position = 0
    while match := _CELL.match(record, position):
        if not record[match.end() : match.end() + 1] == ",":
            break
        index, position = index + 1, match.end() + 1
    return index


def column_name(header: Sequence[str], index: int) -> str:
    """Return the name of a column, for messages, or its number, from 1, where it has none."""
    return header[index] if index < len(header) and header[index] else str(index + 1)


def _not_closed(path: Path, line: int, column: str) -> MammoTrackerError:
    return MammoTrackerError(
        f"{path}, line {line}, column {column}: a quote is not closed, or the cell goes over "
        "several lines. Put each cell on one line, and a quote that belongs to it twice."
    )

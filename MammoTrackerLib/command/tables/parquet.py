"""Tables as Parquet files: the same columns as in CSV, and the same texts when they are read."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ...errors import MammoTrackerError
from ...output_folder import cannot_write
from ..packages import require

if TYPE_CHECKING:
    import pyarrow as pa

    from .columns import Layout

_DECIMALS = {
    **dict.fromkeys(("number", "by_user", "doubling_days"), 0),
    **dict.fromkeys(("area_mm2", "change_percent", "total_percent", "percent_per_year"), 1),
    **dict.fromkeys(("change_percent_low", "change_percent_high"), 1),
    **dict.fromkeys(("total_percent_low", "total_percent_high"), 1),
    **dict.fromkeys(("longest_mm", "error_mm", "change_mm", "total_mm"), 2),
    **dict.fromkeys(("x0", "y0", "x1", "y1", "years", "seconds"), 3),
    **dict.fromkeys((f"registration_{name}" for name in ("x0", "y0", "x1", "y1")), 3),
    **dict.fromkeys(("score", "there"), 4),
}
"""Those that `batch` writes of each column of numbers; all others hold texts."""
_BLOCK_BYTES = 2**24
_ROWS_AT_ONCE = 256
_BUFFER_BYTES = 2**16
_LONGEST_ROW_BYTES = 1_000_000
_MAGIC = b"PAR1"
_MIDNIGHT = re.compile(r"( 00:00:00)?(\.0+)?$")


def is_parquet(path: Path) -> bool:
    """Whether a file is meant to be Parquet, by its name."""
    return path.suffix.lower() == ".parquet"


def holds_parquet(file: BinaryIO, path: Path) -> bool:
    """Whether a file is Parquet by its name, or by how it begins."""
    return is_parquet(path) or file.read(len(_MAGIC)) == _MAGIC


def csv_of(out: Path) -> Path:
    """Return the table that a run writes until it is done, beside the Parquet file."""
    return out.with_name(f"{out.name}.csv")


def require_pyarrow() -> None:
    """See whether Parquet can be read and written.

    Raises
    ------
    MammoTrackerError
        If pyarrow is missing, or does not start.
    """
    message = (
        "Parquet needs the Python package pyarrow: install it by `pip install "
        "'mammotracker[cluster]'` (in Slicer by `PythonSlicer -m pip install pyarrow`), or use "
        "CSV in its place, as `mammotracker batch --out RESULTS.csv` writes it."
    )
    require(message, "pyarrow", "pyarrow.csv", "pyarrow.parquet")


def pack(table: Path, out: Path, layout: Layout) -> None:
    """Write a finished CSV table as Parquet, a piece at a time; empty numbers are null.

    Raises
    ------
    MammoTrackerError
        If it cannot be written.
    """
    import pyarrow as pa
    from pyarrow import csv as pacsv
    from pyarrow import parquet

    types = {name: pa.float64() if name in _DECIMALS else pa.string() for name in layout.results}
    new = out.with_name(f"{out.name}.new")
    try:
        with (
            pacsv.open_csv(
                table,
                pacsv.ReadOptions(block_size=_BLOCK_BYTES),
                convert_options=pacsv.ConvertOptions(column_types=types, null_values=[""]),
            ) as reader,
            parquet.ParquetWriter(new, pa.schema(types), write_page_checksum=True) as writer,
        ):
            for batch in reader:
                writer.write_batch(batch)
        os.replace(new, out)
    except OSError as error:
        raise cannot_write(out, error) from None
    except pa.ArrowException:
        raise MammoTrackerError(
            f"{table} is no table of results: delete it, and start anew, or choose another name."
        ) from None
    finally:
        with suppress(OSError):
            new.unlink()


def unpack(out: Path, table: Path, layout: Layout) -> None:
    """Write a Parquet file's rows as the CSV table that a run can go on with.

    Raises
    ------
    MammoTrackerError
        If it is no results file, or the table cannot be written.
    """
    new = table.with_name(f"{table.name}.new")
    try:
        with out.open("rb") as file, new.open("w", newline="", encoding="utf-8") as text:
            rows = read_cells(file, out)
            if next(rows) != list(layout.results):
                raise MammoTrackerError("It has other columns.")
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(layout.results)
            writer.writerows(rows)
        os.replace(new, table)
    except MammoTrackerError:
        raise MammoTrackerError(
            f"{out} is not a results file of `mammotracker batch` in this version: choose another "
            "name."
        ) from None
    except OSError as error:
        raise cannot_write(table, error) from None
    finally:
        with suppress(OSError):
            new.unlink()


def read_cells(file: BinaryIO, path: Path) -> Iterator[list[str]]:
    """Read a table's header, then its rows, as the texts that they would be in CSV.

    A number is as Python writes it or, in a table of results, as `batch` does; true is 1, false 0,
    a date YYYY-MM-DD, and null is empty. Only some rows are in memory.

    Parameters
    ----------
    file, path
        The open file, and its path for messages.

    Raises
    ------
    MammoTrackerError
        If pyarrow is missing, it is damaged or no Parquet, or a cell holds something that is no
        text of one line, number or date; with line (as it would be in CSV) and column, counted
        from 1.
    """
    require_pyarrow()
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(
            file,
            pre_buffer=False,
            buffer_size=_BUFFER_BYTES,
            page_checksum_verification=True,
        ) as table:
            names = [name.strip() for name in table.schema_arrow.names]
            _check_size(table.metadata, path)
            yield names
            is_results = "fingerprint" in names
            line = 2
            for batch in table.iter_batches(_ROWS_AT_ONCE, use_threads=False):
                columns = [
                    _texts(column, _DECIMALS.get(name) if is_results else None, path, number, line)
                    for number, (name, column) in enumerate(zip(names, batch.columns, strict=True))
                ]
                yield from map(list, zip(*columns, strict=True))
                line += batch.num_rows
    except MammoTrackerError:
        raise
    except Exception:  # what is damaged fails in many ways, and the text may quote the file
        raise MammoTrackerError(
            f"Cannot read {path}: it is damaged, or no Parquet file. Make it anew, or give it "
            "as CSV."
        ) from None


def _check_size(about: pa.parquet.FileMetaData, path: Path) -> None:
    """Refuse a small file that unpacks to very much."""
    for number in range(about.num_row_groups):
        group = about.row_group(number)
        if group.total_byte_size > _LONGEST_ROW_BYTES * max(group.num_rows, 1):
            raise MammoTrackerError(f"{path}: the rows are too long for a table.")


def _texts(column: pa.Array, decimals: int | None, path: Path, number: int, line: int) -> list[str]:
    """Turn some cells of a column into texts; its number is from 0, the line that of the first."""
    import pyarrow as pa

    kind = column.type
    try:
        if pa.types.is_boolean(kind):
            column = column.cast(pa.int8())
        texts = [(text or "").strip() for text in column.cast(pa.string()).to_pylist()]
    except (pa.ArrowException, ValueError):
        raise MammoTrackerError(
            f"{path}, column {number + 1}: it holds something else than texts, numbers and dates. "
            "Leave it out, or give the table as CSV."
        ) from None
    if pa.types.is_timestamp(kind):
        return [_MIDNIGHT.sub("", text) for text in texts]
    if pa.types.is_floating(kind):
        return [_as_written(text, decimals) for text in texts]
    for place, text in enumerate(texts):
        if "\n" in text or "\r" in text:
            raise MammoTrackerError(
                f"{path}, line {line + place}, column {number + 1}: the cell goes over several "
                "lines. Put each cell on one line."
            )
    return texts


def _as_written(text: str, decimals: int | None) -> str:
    """Write a number as `batch` does where that is all of it, else as Python does."""
    if not text:
        return text
    number = float(text)
    written = str(number) if decimals is None else f"{number:.{decimals}f}"
    return written if float(written) == number else str(number)

"""Results as a Parquet file: the same columns as in CSV, numbers as numbers."""

from __future__ import annotations

import csv
import os
from contextlib import suppress
from pathlib import Path

from ..errors import MammoTrackerError
from ..output_folder import cannot_write
from .packages import require
from .tables import Layout

_TEXTS = {
    *("pair_id", "lesion_id", "exam_group", "exam", "status", "message", "candidates"),
    *("fingerprint", "reached_from", "change_verdict", "total_verdict"),
}
_BLOCK_BYTES = 2**24


def is_parquet(out: Path) -> bool:
    return out.suffix.lower() == ".parquet"


def csv_of(out: Path) -> Path:
    """Return the table that a run writes until it is done, beside the Parquet file."""
    return out.with_name(f"{out.name}.csv")


def require_pyarrow() -> None:
    """See whether Parquet can be written.

    Raises
    ------
    MammoTrackerError
        If pyarrow is missing, or does not start.
    """
    message = (
        "Parquet needs the Python package pyarrow: install it by `pip install "
        "'mammotracker[cluster]'`, or write the results as .csv."
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

    types = {name: pa.string() if name in _TEXTS else pa.float64() for name in layout.results}
    new = out.with_name(f"{out.name}.new")
    try:
        with (
            pacsv.open_csv(
                table,
                pacsv.ReadOptions(block_size=_BLOCK_BYTES),
                convert_options=pacsv.ConvertOptions(column_types=types, null_values=[""]),
            ) as reader,
            parquet.ParquetWriter(new, pa.schema(types)) as writer,
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
    import pyarrow as pa
    from pyarrow import parquet

    new = table.with_name(f"{table.name}.new")
    try:
        with parquet.ParquetFile(out) as file, new.open("w", newline="", encoding="utf-8") as text:
            if file.schema_arrow.names != list(layout.results):
                raise pa.ArrowInvalid
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(layout.results)
            for batch in file.iter_batches():
                rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
                writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
        os.replace(new, table)
    except pa.ArrowException:
        raise MammoTrackerError(
            f"{out} is not a results file of `mammotracker batch` in this version: choose another "
            "name."
        ) from None
    except OSError as error:
        raise cannot_write(table, error) from None
    finally:
        with suppress(OSError):
            new.unlink()

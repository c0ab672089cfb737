"""Results of a manifest that grew or was changed: rows that still hold are taken over."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

from ...output_folder import cannot_write
from ..tables.cells import plain, text_cell
from ..tables.columns import PAIRS, SERIES, Layout
from ..tables.rows import read_groups
from .results import OtherRows, Results, journal_of

_NAMES_OF = {PAIRS: 2, SERIES: 1}
"""How many of a row's names do not matter: lesions and exams of a series have one fingerprint."""
_Place = tuple[Path, int, int, int]
"""A file, where a line begins in it, its length, and how many cells are before those of a row."""


def take_over(
    results: Results,
    out: Path,
    manifest: Path,
    layout: Layout,
    fingerprint: Callable[..., str],
    problem: OtherRows,
) -> str:
    """Put the rows that still hold into the journal, by their new places, and begin the table anew.

    A row holds where the manifest has one that is made from the same, wherever it stands now; it
    gets the names that it has now. The table as it was stays beside the new one, its name ending in
    ``.before``, or in ``.before-2`` and so on, as no earlier one is written over. Wherever this is
    ended, the next run finds all rows again.

    Parameters
    ----------
    results, out
        The table of results, open, and its file.
    manifest, layout, fingerprint
        As `Results.rows_of` takes them.
    problem
        What `Results.rows_of` said.

    Returns
    -------
    str
        What to tell the user.

    Raises
    ------
    MammoTrackerError
        `problem`, if no row holds: it is then another manifest, or everything has changed; or if
        a file cannot be written.
    """
    journal = journal_of(out)
    new = journal.with_name(f"{journal.name}.new")
    try:
        known = _known(out, journal, layout)
        held = set()
        with new.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            for number, (row, group) in enumerate(read_groups(manifest, layout)):
                names = [text_cell(row[name]) for name in layout.ids]
                key = (*names[_NAMES_OF[layout] :], fingerprint(row, group))
                if key in known:
                    held.add(key)
                    writer.writerow([number, *names, *_cells_at(known[key])[len(names) :]])
            file.flush()
            os.fsync(file.fileno())
        if not held:
            raise problem
        left = len(known) - len(held)
        before = _kept_before(out, left > 0)
        os.replace(new, journal)
    except OSError as error:
        raise cannot_write(out, error) from None
    finally:
        with suppress(OSError):
            new.unlink()
    results.cut(0)
    if not left:
        return f"{manifest} has more rows, or another order, than before: all results are kept."
    return (
        f"{left} rows of results are not in {manifest} any more, or were made from "
        f"another box, spacing or image: they are in {before} only."
    )


def _kept_before(out: Path, is_needed: bool) -> Path:
    """Copy the table, under a name that no earlier one has; returns that name.

    It is not copied again where that is not needed.
    """
    names = (f"{out.name}.before{f'-{number}' if number > 1 else ''}" for number in count(1))
    before = next(path for path in map(out.with_name, names) if not os.path.lexists(path))
    if is_needed or before.name == f"{out.name}.before":
        part = before.with_name(f"{before.name}.new")
        try:
            shutil.copyfile(out, part)
            os.replace(part, before)
        finally:
            part.unlink(missing_ok=True)
    return before


def _known(out: Path, journal: Path, layout: Layout) -> dict[tuple[str, ...], _Place]:
    """Find the rows of results and journal by what `take_over` knows them by."""
    columns = layout.results
    known: dict[tuple[str, ...], _Place] = {}
    for path, before in ((out, 0), (journal, 1)):
        for start, length, cells in _lines(path):
            row = dict(zip(columns, cells[before:], strict=False))
            if len(cells) != len(columns) + before or row["fingerprint"] == "fingerprint":
                continue
            names = [text_cell(plain(row[name])) for name in layout.ids[_NAMES_OF[layout] :]]
            known.setdefault((*names, row["fingerprint"]), (path, start, length, before))
    return known


def _lines(path: Path) -> Iterator[tuple[int, int, Sequence[str]]]:
    """Give where each finished line begins, its length without its end, and its cells."""
    start = 0
    with suppress(FileNotFoundError), path.open("rb") as file:
        for line in file:
            with suppress(ValueError, csv.Error):
                if line.endswith(b"\n"):
                    cells = next(csv.reader([line.decode("utf-8")], strict=True), [])
                    yield start, len(line.rstrip(b"\r\n")), cells
            start += len(line)


def _cells_at(place: _Place) -> list[str]:
    path, start, length, before = place
    with path.open("rb") as file:
        file.seek(start)
        return next(csv.reader([file.read(length).decode("utf-8")]))[before:]

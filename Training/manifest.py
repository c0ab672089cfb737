"""A manifest with true boxes: its rows, their pairs, images and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from MammoTrackerLib import Box, Mammogram, MammoTrackerError, Status
from MammoTrackerLib.command.readers.reviewed import REJECTED
from MammoTrackerLib.command.tables.cells import is_present, read_box, read_spacing
from MammoTrackerLib.command.tables.columns import (
    BOX_COLUMNS,
    IMAGE_COLUMNS,
    MANIFEST_COLUMNS,
    TRUTH_COLUMNS,
)
from MammoTrackerLib.command.tables.rows import read_rows

Row = dict[str, str]


def read_manifest(
    manifest: Path, needs_truth: bool = True, with_rejected: bool = False
) -> list[Row]:
    """Read a manifest's rows; the images stay on the disk.

    Rows without truth are skipped, and counted: those that have no true box although their lesion
    is present, as in a reviewed table where a reader rejected the answer (unless these are asked
    for), or could not tell.

    Raises
    ------
    MammoTrackerError
        If it cannot be read, lacks columns, or has no rows that can be used.
    """
    rows = list(read_rows(manifest, (*MANIFEST_COLUMNS, *TRUTH_COLUMNS)))
    if not rows:
        raise MammoTrackerError(f"{manifest} has no rows.")
    known = [
        row
        for row in rows
        if not needs_truth or has_truth(row) or (with_rejected and is_rejected(row))
    ]
    if len(known) < len(rows):
        print(
            f"{len(rows) - len(known)} of {len(rows)} rows of {manifest} were skipped, because "
            "they have no true box."
        )
    if not known:
        raise MammoTrackerError(
            f"{manifest} has no row with a true box: fill current_x0 to current_y1, or the column "
            "present with 0 where the lesion is not there."
        )
    return known


def has_truth(row: Row) -> bool:
    """Whether a row says where its lesion is, or that it is not there.

    Raises
    ------
    MammoTrackerError
        If its column ``present`` holds something else than 1, 0 or nothing.
    """
    return not is_present(row) or any(row[name] for name in TRUTH_COLUMNS)


def is_rejected(row: Row) -> bool:
    """Whether a reader rejected the box that the tracker showed: it is elsewhere, if at all."""
    shown = Status.FOUND.value, Status.UNCERTAIN.value
    return row.get("decision") == REJECTED and row.get("status") in shown


def pairs_of(rows: Sequence[Row]) -> list[list[Row]]:
    """Group the rows of each pair of images, in order."""
    return [list(g) for _, g in groupby(rows, lambda row: [row[name] for name in IMAGE_COLUMNS])]


def read_exam(folder: Path, row: Row, exam: str) -> Mammogram:
    """Read a row's prior or current."""
    return Mammogram.read(folder / row[exam], read_spacing(row[f"{exam}_spacing_mm"]))


def box_of(row: Row, exam: str) -> Box:
    """Read a row's box on the prior or the current.

    Raises
    ------
    MammoTrackerError
        If it has none.
    """
    box = read_box(row, [f"{exam}_{name}" for name in BOX_COLUMNS])
    if box is None:
        raise MammoTrackerError(
            f"Lesion {row['lesion_id']} of pair {row['pair_id']} has no box in {exam}_x0 to "
            f"{exam}_y1: fill it, or the column present with 0 if the lesion is not there."
        )
    return box

"""A manifest with true boxes: its rows, their pairs, images and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from MammoTrackerLib import Box, Mammogram, MammoTrackerError
from MammoTrackerLib.command.tables import (
    BOX_COLUMNS,
    MANIFEST_COLUMNS,
    TRUTH_COLUMNS,
    read_box,
    read_rows,
    read_spacing,
)

Row = dict[str, str]


def read_manifest(manifest: Path) -> list[Row]:
    """Read a manifest's rows; the images stay on the disk.

    Raises
    ------
    MammoTrackerError
        If it cannot be read, lacks columns, or has no rows.
    """
    rows = list(read_rows(manifest, (*MANIFEST_COLUMNS, *TRUTH_COLUMNS)))
    if not rows:
        raise MammoTrackerError(f"{manifest} has no rows.")
    return rows


def pairs_of(rows: Sequence[Row]) -> list[list[Row]]:
    """Group the rows of each pair of images, in order."""
    key = ("prior", "current", "prior_spacing_mm", "current_spacing_mm")
    return [list(group) for _, group in groupby(rows, lambda row: [row[k] for k in key])]


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

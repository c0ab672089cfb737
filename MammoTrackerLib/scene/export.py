"""The export of results: a table as CSV, and the ROIs as files."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import slicer

from ..errors import MammoTrackerError
from ..output_folder import OutputFolder
from .lesion import lesions
from .prediction import predictions, roi_on
from .table import COLUMNS, SERIES_COLUMNS, table_rows, update_series_table, update_table

LONGEST_NAME = 100
"""Bytes of a file's name; file systems take 255, some paths on Windows no more in all."""


def export(prior, current, folder: str | Path) -> list[Path]:
    """Write the table as ``results.csv`` and each ROI as a ``.mrk.json`` named like its lesion.

    Returns
    -------
    list of Path
        The files, all of which were written.

    Raises
    ------
    MammoTrackerError
        If the folder cannot be written; it is then as it was.
    """
    rows = [COLUMNS, *table_rows(update_table(prior, current))]
    return _written(rows, lesions(prior) + predictions(prior, current), Path(folder))


def export_series(volumes: Sequence, of: Sequence, folder: str | Path) -> list[Path]:
    """Write what `export` does for lesions on all exams of a series.

    Returns
    -------
    list of Path
        The files, all of which were written.

    Raises
    ------
    MammoTrackerError
        If the folder cannot be written; it is then as it was.
    """
    rows = [SERIES_COLUMNS, *table_rows(update_series_table(volumes, of))]
    rois = [roi_on(lesion, volume) for lesion in of for volume in volumes]
    return _written(rows, [roi for roi in rois if roi is not None], Path(folder))


def _written(rows: Sequence[Sequence[str]], rois: Sequence, folder: Path) -> list[Path]:
    from ..command.tables.cells import text_cell

    names: list[str] = []
    with OutputFolder(folder) as temporary:
        names.append("results.csv")
        with (temporary / names[0]).open("w", newline="", encoding="utf-8") as file:
            # The first is the lesion's name, which may be anything.
            csv.writer(file).writerows([text_cell(name), *cells] for name, *cells in rows)
        for roi in rois:
            names.append(_file_name(roi.GetName(), names))
            storage = slicer.vtkMRMLMarkupsROIJsonStorageNode()
            storage.SetFileName(str(temporary / names[-1]))
            if not storage.WriteData(roi):
                raise MammoTrackerError(f"{names[-1]} could not be written: choose another folder.")
    return [folder / name for name in names]


def _ends(name: bytes) -> tuple[bytes, bytes]:
    return name[: LONGEST_NAME - 20], name[-20:]


def _file_name(name: str, taken: Iterable[str]) -> str:
    stem = re.sub(r"[^\w ()+-]", "_", name)
    # What ends the name, as in "Lesion 1 (current)", tells files of long names apart.
    if len(stem.encode()) > LONGEST_NAME:
        start, end = (part.decode(errors="ignore") for part in _ends(stem.encode()))
        stem = f"{start}_{end}"
    stem = stem.strip() or "Lesion"
    taken = {other.casefold() for other in taken}
    numbers = itertools.chain([""], (f" {number}" for number in itertools.count(2)))
    names = (f"{stem}{number}.mrk.json" for number in numbers)
    return next(file for file in names if file.casefold() not in taken)

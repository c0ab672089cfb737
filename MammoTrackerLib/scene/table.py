"""The table of results of a pair, and its export with the ROIs."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterable
from pathlib import Path

import slicer
import vtk

from ..box import Box
from ..errors import MammoTrackerError
from ..output_folder import OutputFolder
from ..track import Status
from .lesion import lesion_type, lesions
from .nodes import new_node, node_with
from .prediction import lesion_of, prediction_name, predictions, review_of, score_of, status_of
from .rois import bounds_of, is_placed
from .volumes import header_of

COLUMNS = (
    "Lesion", "Type", "Status", "Review", "Score", "Centre x (mm)", "Centre y (mm)", "Width (mm)",
    "Height (mm)", "Area (mm2)", "Longest (mm)", "Change (mm)", "Change (%)",
)  # fmt: skip
_TABLE = "vtkMRMLTableNode"
LONGEST_NAME = 100
"""Bytes of a file's name; file systems take 255, some paths on Windows no more in all."""


def results_table(prior, current):
    """Return the table node of this pair, or None."""
    return node_with(prior.GetScene(), _TABLE, "results", Prior=prior, Current=current)


def update_table(prior, current):
    """Bring the table, and the names of the predictions, up to date with what the ROIs are now.

    Returns
    -------
    vtkMRMLTableNode
        `COLUMNS` of text, one row per prediction, measures in true mm from the current's
        top-left corner. A prediction without a place, or a rejected one, has no measures.
    """
    node = results_table(prior, current)
    if node is None:
        node = new_node(
            prior.GetScene(), _TABLE, "MammoTracker results", "results",
            Prior=prior, Current=current,
        )  # fmt: skip
        node.SetLocked(True)
        node.SetUseColumnTitleAsColumnHeader(True)
        for name in COLUMNS:
            column = vtk.vtkStringArray()
            column.SetName(name)
            node.AddColumn(column)
    rows = [_table_row(roi, prior, current) for roi in predictions(prior, current)]
    if rows == _table_rows(node):
        return node
    was_modifying = node.StartModify()
    table = node.GetTable()
    table.SetNumberOfRows(len(rows))
    for row, texts in enumerate(rows):
        for column, text in enumerate(texts):
            table.SetValue(row, column, vtk.vtkVariant(text))
    table.Modified()
    node.EndModify(was_modifying)
    return node


def _table_rows(node) -> list[list[str]]:
    table = node.GetTable()
    return [
        [table.GetValue(row, column).ToString() for column in range(table.GetNumberOfColumns())]
        for row in range(table.GetNumberOfRows())
    ]


def _table_row(prediction, prior, current) -> list[str]:
    lesion = lesion_of(prediction)
    prediction.SetName(prediction_name(lesion))
    row = [lesion.GetName(), lesion_type(lesion), status_of(prediction), review_of(prediction)]
    is_registration = status_of(prediction) == Status.REGISTRATION.value
    row.append("" if is_registration else f"{score_of(prediction):.2f}")
    measures = [""] * (len(COLUMNS) - len(row))
    if is_placed(prediction) and review_of(prediction) != "rejected":
        box = _box_mm(prediction, current)
        longest = max(box.width, box.height)
        measures[:6] = [
            f"{value:.1f}"
            for value in (*box.center, box.width, box.height, box.area, longest)
        ]  # fmt: skip
        if is_placed(lesion):
            before = _box_mm(lesion, prior)
            before = max(before.width, before.height)
            measures[6:] = [f"{longest - before:+.1f}", f"{100 * (longest / before - 1):+.0f}"]
    return row + measures


def _box_mm(roi, volume) -> Box:
    return bounds_of(roi, volume).scaled(*header_of(volume).spacing)


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
    folder = Path(folder)
    names: list[str] = []
    with OutputFolder(folder, replaces=None) as temporary:
        names.append("results.csv")
        with (temporary / names[0]).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([COLUMNS, *_table_rows(update_table(prior, current))])
        for roi in lesions(prior) + predictions(prior, current):
            names.append(_file_name(roi.GetName(), names))
            storage = slicer.vtkMRMLMarkupsROIJsonStorageNode()
            storage.SetFileName(str(temporary / names[-1]))
            if not storage.WriteData(roi):
                raise MammoTrackerError(
                    f"{names[-1]} could not be written: choose another folder."
                )
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

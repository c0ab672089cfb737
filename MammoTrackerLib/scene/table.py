"""The tables of results, of a pair and of a series of exams."""

from __future__ import annotations

import math
from collections.abc import Sequence

import vtk

from ..box import Box
from ..growth import signed
from ..track import Status
from .history import is_outdated_on, known_lesions
from .lesion import lesion_type
from .nodes import exam_of, new_node, node_with, nodes_with, referenced, remove_node
from .prediction import (
    ABSENT,
    decision_of,
    is_tracked,
    lesion_of,
    prediction_name,
    predictions,
    review_of,
    score_of,
    status_of,
)
from .rois import bounds_of, is_placed
from .series import exam_titles, years_of
from .volumes import header_of

COLUMNS = (
    "Lesion", "Status", "Review", "Score", "Longest (mm)", "Change (mm)", "Change (%)", "Type",
    "Centre x (mm)", "Centre y (mm)", "Width (mm)", "Height (mm)", "Area (mm2)",
)  # fmt: skip
SERIES_COLUMNS = ("Lesion", "Exam", "Years", *COLUMNS[1:])
_TABLE = "vtkMRMLTableNode"


def results_table(prior, current):
    """Return the table node of this pair, or None."""
    return node_with(prior.GetScene(), _TABLE, "results", Prior=prior, Current=current)


def update_table(prior, current):
    """Bring the table, and the names of the predictions, up to date with what the ROIs are now.

    Returns
    -------
    vtkMRMLTableNode
        `COLUMNS` of text, one row per prediction, measures in true mm from the current's
        top-left corner; the change is that to the later exam. A prediction without a place, or a
        rejected or outdated one, has no measures, nor has any where a pixel size is unknown.
    """
    node = results_table(prior, current) or new_node(
        prior.GetScene(), _TABLE, "MammoTracker results", "results", Prior=prior, Current=current
    )
    rows = []
    rois = predictions(prior, current)
    known_of_each = known_lesions([lesion_of(roi) for roi in rois], (prior, current))
    spacings = [header_of(volume).spacing for volume in (prior, current)] if rois else []
    for roi, (lesion, (_answers, known)) in zip(rois, known_of_each.items(), strict=True):
        roi.SetName(prediction_name(lesion))
        made_up = known.made_up if known else ()
        is_outdated = is_outdated_on(roi, known, 1)
        is_earlier = known is not None and known.numbers == [1, 0]
        is_sized = is_placed(lesion) and 0 not in made_up
        before = _box_mm(lesion, prior, spacings[0]) if is_sized else None
        measures = _measures(
            roi, spacings[1], before, lesion, 1 in made_up, is_outdated, is_earlier
        )
        rows.append([lesion.GetName(), *_answer(roi, is_outdated), *measures])
    return _filled(node, COLUMNS, rows)


def series_table(scene):
    """Return the table node of the exams that are followed in this scene, or None."""
    return node_with(scene, _TABLE, "series")


def remove_series_table(scene) -> None:
    """Remove the table of the exams that are followed no more, if there is one."""
    for node in nodes_with(scene, _TABLE, "series"):
        remove_node(node)


def update_series_table(volumes: Sequence, lesions: Sequence, known_of_each: dict | None = None):
    """Bring the table of a series, and the names of the predictions, up to date.

    The tables of its pairs go. The last argument is what `known_lesions` returns of these, where
    that is at hand.

    Returns
    -------
    vtkMRMLTableNode
        `SERIES_COLUMNS` of text, one row per lesion and exam about which something is known,
        measures in true mm from that exam's top-left corner; the change is that from the first
        exam on which the lesion has a size.
    """
    scene = volumes[0].GetScene()
    node = series_table(scene) or new_node(scene, _TABLE, "MammoTracker exams", "series")
    for table in nodes_with(scene, _TABLE, "results"):
        # It would say what its pair's answers were before they became those of the series.
        if all(referenced(table, name) in volumes for name in ("Prior", "Current")):
            remove_node(table)
    titles, years = exam_titles(volumes), years_of(volumes)
    spacings = [header_of(volume).spacing for volume in volumes]
    rows = []
    if known_of_each is None:
        known_of_each = known_lesions(lesions, volumes)
    for lesion in lesions:
        first, (answers, known) = None, known_of_each[lesion]
        made_up = known.made_up if known else ()
        for number, volume in enumerate(volumes):
            roi = answers.get(volume.GetID())
            if roi is None:
                continue
            is_outdated = is_outdated_on(roi, known, number)
            if roi is lesion:
                answer = ["marked", "", ""]
            else:
                roi.SetName(prediction_name(lesion, number + 1))
                answer = _answer(roi, is_outdated)
            year = "" if years is None else f"{years[number]:.2f}"
            spacing, is_made_up = spacings[number], number in made_up
            measures = _measures(roi, spacing, first, lesion, is_made_up, is_outdated)
            rows.append([lesion.GetName(), titles[number], year, *answer, *measures])
            if first is None and measures[0] and _is_measured(roi):
                first = _box_mm(roi, volume, spacing)
    return _filled(node, SERIES_COLUMNS, rows)


def _filled(node, columns: Sequence[str], rows: list[list[str]]):
    """Put rows of text into a table node, which is modified only if they are others."""
    table = node.GetTable()
    names = [table.GetColumnName(index) for index in range(table.GetNumberOfColumns())]
    if names != list(columns):  # a new one, or one of another version
        node.RemoveAllColumns()
        node.SetLocked(True)
        node.SetUseColumnTitleAsColumnHeader(True)
        for name in columns:
            column = vtk.vtkStringArray()
            column.SetName(name)
            node.AddColumn(column)
        table = node.GetTable()
    if rows == table_rows(node):
        return node
    was_modifying = node.StartModify()
    table.SetNumberOfRows(len(rows))
    for row, texts in enumerate(rows):
        for column, text in enumerate(texts):
            table.SetValue(row, column, vtk.vtkVariant(text))
    table.Modified()
    node.EndModify(was_modifying)
    return node


def table_rows(node) -> list[list[str]]:
    """Return the cells of a table node as text."""
    table = node.GetTable()
    return [
        [table.GetValue(row, column).ToString() for column in range(table.GetNumberOfColumns())]
        for row in range(table.GetNumberOfRows())
    ]


def _answer(prediction, is_outdated: bool) -> list[str]:
    """Return status, review and score; of an outdated answer, that it is one.

    Where the tracker has not answered, there is the review alone.
    """
    if not is_tracked(prediction):
        return ["", review_of(prediction), ""]
    if is_outdated:
        return ["outdated", review_of(prediction), ""]
    is_registration = status_of(prediction) == Status.REGISTRATION.value
    score = "" if is_registration else f"{score_of(prediction):.4f}"
    return [status_of(prediction), review_of(prediction), score]


def _measures(
    roi,
    spacing: tuple[float, float] | None,
    before: Box | None,
    lesion,
    is_made_up: bool,
    is_outdated: bool,
    is_earlier: bool = False,
) -> list[str]:
    """Return longest side, its changes from a box in mm, the lesion's type, and the other sizes.

    The changes are to that box where the ROI is on the earlier exam. The area is that of the
    ellipse in the box. Of a size that is made up only where it is.
    """
    kind = lesion_type(lesion)
    is_known = is_placed(roi) and review_of(roi) not in ABSENT and not is_outdated
    box = _box_mm(roi, exam_of(roi), spacing) if is_known else None
    if box is None:
        return ["", "", "", kind, *[""] * 5]
    if is_made_up:
        return ["", "", "", kind, *(f"{value:.1f}" for value in box.center), "", "", ""]
    longest = max(box.width, box.height)
    changes = ["", ""]
    if before is not None and _is_measured(roi):
        was, now = max(before.width, before.height), longest
        was, now = (now, was) if is_earlier else (was, now)
        changes = [signed(now - was, 1), signed(100 * (now / was - 1))]
    area = math.pi / 4 * box.area
    others = [f"{value:.1f}" for value in (*box.center, box.width, box.height, area)]
    return [f"{longest:.1f}", *changes, kind, *others]


def _is_measured(roi) -> bool:
    """Whether changes are told of a ROI's size: it is marked, found, or decided by the user."""
    return status_of(roi) in ("", Status.FOUND.value) or bool(decision_of(roi))


def _box_mm(roi, volume, spacing: tuple[float, float] | None) -> Box | None:
    """Return a placed ROI's box in true mm, or None where the pixel size is unknown."""
    return None if spacing is None else bounds_of(roi, volume).scaled(*spacing)

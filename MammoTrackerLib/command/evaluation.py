"""Results of `batch`, compared with the true boxes in its table."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MammoTrackerError
from ..mammogram import Mammogram
from ..track import Status
from .outputs import quiet_framework
from .scores import (
    Lesion,
    check_plot,
    draw_success,
    lesion_of,
    print_scores,
    print_statuses,
)
from .tables import (
    ANSWER_COLUMNS,
    BOX_COLUMNS,
    FAILED,
    MANIFEST_COLUMNS,
    REGISTRATION_COLUMNS,
    TRUTH_COLUMNS,
    has_ids_of,
    is_present,
    read_box,
    read_rows,
    read_spacing,
)

if TYPE_CHECKING:
    from rich.console import Console

STATUSES = (*(status.value for status in Status), FAILED)


def print_evaluation(
    console: Console, manifest: Path, results: Path, plot: Path | None = None
) -> None:
    """Compare the results of `run_batch` with the true boxes in its table.

    Prints the measures of the tracker and of registration alone, by lesion type and in total,
    and what the statuses are worth.

    Parameters
    ----------
    console
        Where the tables go.
    manifest
        Table with `MANIFEST_COLUMNS` and `TRUTH_COLUMNS`, perhaps with ``patient`` (whose
        lesion it is) and ``present`` (0: the lesion is not on the current mammogram). Rows
        that have no true box although they are present are skipped and counted.
    results
        What `run_batch` wrote for it, perhaps not to the end.
    plot
        A picture to draw the success plots into.

    Raises
    ------
    MammoTrackerError
        If the two do not belong together, no row can be evaluated, or the plot cannot be drawn.
    """
    if plot is not None:
        check_plot(plot)
    rows = read_rows(manifest, (*MANIFEST_COLUMNS, *TRUTH_COLUMNS))
    answers = read_rows(results, ANSWER_COLUMNS, complete=True)
    spacing_of = current_spacings(manifest.parent)
    lesions: list[Lesion] = []
    without_truth = without_result = 0
    for number, row in enumerate(rows, 1):
        result = next(answers, None)
        if result is None:
            without_result += 1
            continue
        if not has_ids_of(result, row):
            raise MammoTrackerError(
                f"{results} does not belong to {manifest}: its row {number} is another one."
            )
        if result["status"] not in STATUSES:
            raise MammoTrackerError(
                f"{results}, line {result.line}, column status: it is none of "
                f"{', '.join(STATUSES)}. Give the file that `mammotracker batch` wrote."
            )
        try:
            truth = spacing = None
            if is_present(row):
                truth = read_box(row, TRUTH_COLUMNS)
                if truth is None:
                    without_truth += 1
                    continue
            boxes = {
                "tracker": read_box(result, BOX_COLUMNS),
                "registration": read_box(result, REGISTRATION_COLUMNS),
            }
            # A row may have failed because its image cannot be read.
            if truth is not None and any(boxes.values()):
                spacing = spacing_of(row["current"], row["current_spacing_mm"])
        except MammoTrackerError as error:
            raise MammoTrackerError(f"Row {number}: {error}") from None
        lesions.append(lesion_of(row, truth, spacing, result["status"], boxes))
    if next(answers, None) is not None:
        raise MammoTrackerError(f"{results} has more rows than {manifest}: it is of another table.")
    if not lesions:
        raise MammoTrackerError(
            "No row has both a result and the true box in current_x0 to current_y1: "
            "there is nothing to evaluate."
        )

    there = [lesion for lesion in lesions if lesion.truth is not None]
    if there:
        print_scores(console, there, ("tracker", "registration"), "tracker")
    if without_truth:
        print(f"{without_truth} rows were skipped, because they have no true box.")
    if without_result:
        print(f"{without_result} rows have no result yet: the run was interrupted (--resume).")
    print_statuses(console, lesions, "tracker")
    if plot is not None:
        if not there:
            raise MammoTrackerError("No lesion is there: there is no success to plot.")
        draw_success(there, ("tracker", "registration"), plot)


def current_spacings(folder: Path) -> Callable[[str, str], tuple[float, float]]:
    """Make what gives the (x, y) spacing of a current from its file's name and its cell.

    The file is read only where the cell is empty.
    """

    @functools.lru_cache(maxsize=64)
    def spacing_of(name: str, text: str) -> tuple[float, float]:
        spacing = read_spacing(text)
        if spacing is not None:
            return spacing, spacing
        with quiet_framework():  # readers print what they find in a header
            return Mammogram.read(folder / name).spacing

    return spacing_of

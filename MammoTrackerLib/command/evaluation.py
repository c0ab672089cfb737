"""Results of `batch`, compared with the true boxes in its table."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MammoTrackerError
from ..mammogram import Header, Mammogram
from ..track import Status
from .outputs import quiet_framework
from .readers.reviewed import ACCEPTED, REJECTED
from .scores import (
    Lesion,
    check_plot,
    draw_success,
    lesion_of,
    print_accepted,
    print_scores,
    print_statuses,
)
from .tables.answers import Answers
from .tables.cells import is_present, read_box, read_spacing
from .tables.columns import (
    ANSWER_COLUMNS,
    BOX_COLUMNS,
    MANIFEST_COLUMNS,
    PAIRS,
    REGISTRATION_COLUMNS,
    SERIES,
    TRUTH_COLUMNS,
)
from .tables.rows import layout_of, read_rows

if TYPE_CHECKING:
    from rich.console import Console


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
        that have no true box although they are present are skipped and counted. A reviewed table
        is one, too.
    results
        What `run_batch` wrote for it, perhaps not to the end, or for a manifest with more rows; in
        any order.
    plot
        A picture to draw the success plots into.

    Raises
    ------
    MammoTrackerError
        If the two do not belong together, no row can be evaluated, or the plot cannot be drawn.
    """
    if plot is not None:
        check_plot(plot)
    if layout_of(manifest) is SERIES:
        raise MammoTrackerError(
            f"{manifest} is a manifest of series, which has no true boxes: give the table that a "
            "reader made of its results (reviewed.csv)."
        )
    answers = Answers(
        results, ANSWER_COLUMNS if layout_of(results) is PAIRS else SERIES.results, manifest
    )
    spacing_of = current_spacings(manifest.parent)
    lesions: list[Lesion] = []
    counts: Counter[str] = Counter()
    for row in read_rows(manifest, (*MANIFEST_COLUMNS, *TRUTH_COLUMNS)):
        result = answers.find(row)
        if result is None:
            counts["without result"] += 1
            continue
        where = manifest, row
        try:
            truth = spacing = None
            if is_present(row):
                truth = read_box(row, TRUTH_COLUMNS)
                if truth is None:
                    counts["without truth"] += 1
                    if result["status"] == Status.FOUND:
                        counts["rejected"] += row.get("decision") == REJECTED
                    continue
                counts["accepted"] += row.get("decision") == ACCEPTED
            where = results, result
            boxes = {
                "tracker": read_box(result, BOX_COLUMNS),
                "registration": read_box(result, REGISTRATION_COLUMNS),
            }
            where = manifest, row
            # A row may have failed because its image cannot be read.
            if truth is not None and any(boxes.values()):
                spacing = spacing_of(row["current"], row["current_spacing_mm"])
        except MammoTrackerError as error:
            path, at = where
            raise MammoTrackerError(f"{path}, line {at.line}: {error}") from None
        lesions.append(lesion_of(row, truth, spacing, result["status"], boxes))
    answers.check()
    if not lesions:
        raise MammoTrackerError(
            "No row has both a result and the true box in current_x0 to current_y1: fill these, or "
            "give the table that a reader made of the results (reviewed.csv)."
        )

    there = [lesion for lesion in lesions if lesion.truth is not None]
    methods = ("tracker", "registration")
    if answers.layout is SERIES:
        methods = methods[:1]  # a series' results do not have the boxes of registration
    if there:
        print_scores(console, there, methods, "tracker")
    if counts["without truth"]:
        print(f"{counts['without truth']} rows were skipped, because they have no true box.")
    if counts["without result"]:
        print(
            f"{counts['without result']} rows have no result yet: they were not tracked "
            "(`mammotracker batch --resume`), or the results lack them."
        )
    if answers.unused:
        print(
            f"{len(answers.unused)} rows of the results were skipped, because {manifest} does not "
            "have them."
        )
    print_accepted(counts["accepted"])
    if counts["rejected"]:
        print(
            f"{counts['rejected']} answers were called found, and a reader rejected them: wrong "
            "ones, which are not counted below."
        )
    print_statuses(console, lesions, "tracker")
    if plot is not None:
        if not there:
            raise MammoTrackerError("No lesion is there: there is no success to plot.")
        draw_success(there, methods, plot)


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
            try:
                spacing = Header.read(folder / name).spacing
            except MammoTrackerError:  # it may be no DICOM file
                spacing = None
            return spacing or Mammogram.read(folder / name).spacing

    return spacing_of

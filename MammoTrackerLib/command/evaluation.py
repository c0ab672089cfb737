"""Results of `batch`, compared with the true boxes in its table."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MammoTrackerError
from ..mammogram import Header, Mammogram
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
    MANIFEST_COLUMNS,
    PAIRS,
    REGISTRATION_COLUMNS,
    SERIES,
    STATUSES,
    TRUTH_COLUMNS,
    Row,
    has_ids_of,
    is_present,
    layout_of,
    read_box,
    read_rows,
    read_spacing,
)

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
        What `run_batch` wrote for it, perhaps not to the end, or for a manifest with more rows.
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
            f"{manifest} is a manifest of series, which has no true boxes: give the table of what "
            "a reader decided in the reading list."
        )
    rows = read_rows(manifest, (*MANIFEST_COLUMNS, *TRUTH_COLUMNS))
    spacing_of = current_spacings(manifest.parent)
    lesions: list[Lesion] = []
    counts: Counter[str] = Counter()
    for number, (row, result) in enumerate(_answered(rows, manifest, results, counts), 1):
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
                    counts["without truth"] += 1
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
    if not lesions:
        raise MammoTrackerError(
            "No row has both a result and the true box in current_x0 to current_y1: "
            "there is nothing to evaluate."
        )

    there = [lesion for lesion in lesions if lesion.truth is not None]
    methods = ("tracker", "registration")
    if layout_of(results) is SERIES:
        methods = methods[:1]  # a series' results do not have the boxes of registration
    if there:
        print_scores(console, there, methods, "tracker")
    if counts["without truth"]:
        print(f"{counts['without truth']} rows were skipped, because they have no true box.")
    if counts["without result"]:
        print(
            f"{counts['without result']} rows have no result yet: the run was interrupted "
            "(--resume)."
        )
    if counts["without row"]:
        print(
            f"{counts['without row']} rows of the results were skipped, because {manifest} does "
            "not have them."
        )
    print_statuses(console, lesions, "tracker")
    if plot is not None:
        if not there:
            raise MammoTrackerError("No lesion is there: there is no success to plot.")
        draw_success(there, methods, plot)


def _answered(
    rows: Iterator[Row], manifest: Path, results: Path, counts: Counter[str]
) -> Iterator[tuple[Row, Row]]:
    """Yield each row of a manifest with its row of the results, which are in the same order.

    Results may have more rows, as of a manifest of which somebody reviewed a part, and may end
    early; both are counted.

    Raises
    ------
    MammoTrackerError
        If the results have other rows, or in another order.
    """
    answers = _answers(results)
    for number, row in enumerate(rows, 1):
        skipped = 0
        for answer, is_of in answers:
            if is_of(row):
                counts["without row"] += skipped
                yield row, answer
                break
            skipped += 1
        else:
            if skipped or counts["without row"]:
                raise MammoTrackerError(
                    f"{results} does not belong to {manifest}: it has no row for row {number} "
                    "after those of the rows before it. Give the results of this table, or of the "
                    "one that was reviewed."
                )
            counts["without result"] += 1
    counts["without row"] += sum(1 for _ in answers)


def _answers(results: Path) -> Iterator[tuple[Row, Callable[[Row], bool]]]:
    """Yield rows of results, of pairs or series, and what tells whether a manifest's row is it.

    A reviewed series has a row for each exam but the marked one, of which the pair_id is
    ``GROUP: A>B``: exam A is marked, and this is what was found on exam B, both as the manifest
    lists them.
    """
    if layout_of(results) is PAIRS:
        for answer in read_rows(results, ANSWER_COLUMNS, complete=True):
            yield answer, functools.partial(has_ids_of, answer)
        return
    group, numbers = None, {}
    for answer in read_rows(results, SERIES.results, complete=True):
        if answer["exam_group"] != group:
            group, numbers = answer["exam_group"], {}
        number = numbers.setdefault(answer["exam"], len(numbers) + 1)
        yield answer, functools.partial(_is_exam_of, answer, str(number))


def _is_exam_of(answer: Row, number: str, row: Row) -> bool:
    group, _, exams = row["pair_id"].rpartition(": ")
    ids = {"pair_id": answer["exam_group"], "lesion_id": answer["lesion_id"]}
    return exams.rpartition(">")[2] == number and has_ids_of(ids, row | {"pair_id": group})


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

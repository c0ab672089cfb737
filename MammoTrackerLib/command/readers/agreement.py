"""The command `agreement`: what two readers decided of the same results, compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...box import Box
from ...errors import MammoTrackerError
from ...metrics import CLOSE_MM, center_distance, interval_of, mean_interval
from ..evaluation import current_spacings
from ..scores import FEW_PATIENTS, number_and_interval
from ..tables.cells import read_box
from ..tables.columns import (
    ID_COLUMNS,
    IMAGE_COLUMNS,
    MANIFEST_COLUMNS,
    PRIOR_BOX_COLUMNS,
    TRUTH_COLUMNS,
)
from ..tables.fingerprints import image_comparer
from ..tables.rows import Row, read_rows
from .reviewed import ACCEPTED, CANNOT_TELL, CORRECTED, DECISIONS, NOT_THERE, REJECTED, UNDECIDED

if TYPE_CHECKING:
    from rich.console import Console

ANSWERS = {
    "there": (ACCEPTED, CORRECTED),
    "not there": (NOT_THERE,),
    "rejected": (REJECTED,),
    "cannot tell": (CANNOT_TELL,),
}
"""What a reader says of a lesion: with a box, that it is not there, that the answer is wrong
without a better one, or nothing."""
_COLUMNS = (*MANIFEST_COLUMNS, *TRUTH_COLUMNS, "decision")


def print_agreement(console: Console, first: Path, second: Path) -> None:
    """Compare two reviewed tables of the same results, lesion by lesion, and print it.

    A lesion is known by its pair_id and lesion_id, and must have one box and the same images in
    both. Intervals are from drawing patients; where a table does not name one, a pair counts as a
    patient.

    Parameters
    ----------
    console
        Where the tables go.
    first, second
        The readers' tables.

    Raises
    ------
    MammoTrackerError
        If a table cannot be read, they are of other lesions, or have none in common.
    """
    tables = read_decisions(first), read_decisions(second)
    common = [key for key in tables[0] if key in tables[1]]
    alone = [len(table) - len(common) for table in tables]
    if not common:
        raise MammoTrackerError(
            f"{first} and {second} have no lesion in common: give two reviewed tables of the same "
            "results."
        )
    pairs = [(tables[0][key], tables[1][key]) for key in common]
    is_one_image = image_comparer()
    for one, other in pairs:
        if _corners(one, PRIOR_BOX_COLUMNS, first) != _corners(other, PRIOR_BOX_COLUMNS, second):
            raise MammoTrackerError(
                f"{second}, line {other.line}: the lesion is marked elsewhere on the prior than in "
                f"{first}, line {one.line}. Give two reviewed tables of the same results."
            )
        for column in IMAGE_COLUMNS[:2]:
            if not is_one_image(first.parent / one[column], second.parent / other[column]):
                raise MammoTrackerError(
                    f"{second}, line {other.line}, column {column}: it is another image than in "
                    f"{first}, line {one.line}. Give two reviewed tables of the same results."
                )
    patients = [one.get("patient") or f"pair {one['pair_id']}" for one, _ in pairs]
    print(
        f"{len(common)} lesions were decided by both, {alone[0]} only in A ({first.name!a}), "
        f"{alone[1]} only in B ({second.name!a})."
    )
    _print_answers(console, pairs, patients)
    _print_boxes(console, pairs, patients, (first, second))
    count = len(set(patients))
    print(f"Intervals: 95 %, from drawing patients with replacement ({count}).")
    if count < FEW_PATIENTS:
        print(f"Under {FEW_PATIENTS} are no sample: the intervals are too narrow to rely on.")


def read_decisions(path: Path) -> dict[tuple[str, str], Row]:
    """Read a reviewed table's decided rows by their pair_id and lesion_id.

    Raises
    ------
    MammoTrackerError
        If it cannot be read, a lesion is there twice, or a decision is none; with the line.
    """
    decided: dict[tuple[str, str], Row] = {}
    for row in read_rows(path, _COLUMNS):
        if row["decision"] == UNDECIDED:
            continue
        if row["decision"] not in DECISIONS:
            raise MammoTrackerError(
                f"{path}, line {row.line}, column decision: it is none of {', '.join(DECISIONS)}."
            )
        if decided.setdefault(tuple(row[name] for name in ID_COLUMNS), row) is not row:
            raise MammoTrackerError(
                f"{path}, line {row.line}: the same pair_id and lesion_id are there before. "
                "Delete one of the two rows."
            )
    return decided


def _corners(row: Row, columns: Sequence[str], path: Path) -> Box | None:
    try:
        return read_box(row, columns)
    except MammoTrackerError as error:
        raise MammoTrackerError(f"{path}, line {row.line}: {error}") from None


def _answer(row: Row) -> int:
    return next(k for k, names in enumerate(ANSWERS.values()) if row["decision"] in names)


def kappa(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> float:
    """Cohen's kappa of two readers' answers.

    Parameters
    ----------
    first, second
        (n,) the number of the answer to each lesion.
    weights
        (n,) how often each lesion counts.

    Returns
    -------
    float
        1 where they always agree, 0 where they do as often as by chance; NaN where both always
        give one and the same answer.
    """
    size = max(first.max(), second.max()) + 1
    table = np.bincount(first * size + second, weights, size * size).reshape(size, size)
    table /= table.sum()
    expected = table.sum(axis=1) @ table.sum(axis=0)
    return (
        math.nan if expected > 1 - 1e-12 else float((np.trace(table) - expected) / (1 - expected))
    )


def _print_answers(
    console: Console, pairs: Sequence[tuple[Row, Row]], patients: Sequence[str]
) -> None:
    from rich.table import Table

    first, second = (np.array([_answer(pair[k]) for pair in pairs]) for k in (0, 1))
    table = Table(
        title="What A (rows) and B (columns) decided", header_style="bold", title_justify="left"
    )
    table.add_column("")
    for name in ANSWERS:
        table.add_column(name, justify="right")
    for k, name in enumerate(ANSWERS):
        counts = [np.sum((first == k) & (second == j)) for j in range(len(ANSWERS))]
        table.add_row(name, *map(str, counts))
    console.print(table)
    same = first == second
    low, high = mean_interval(same, patients)
    print(
        f"The same in {same.sum()} of {len(same)} ({100 * same.mean():.1f} %, interval "
        f"{100 * low:.1f}-{100 * high:.1f} %)."
    )
    value = kappa(first, second, np.ones(len(first)))
    if math.isnan(value):
        print("Cohen's kappa is not defined: both always give one and the same answer.")
        return
    low, high = interval_of(lambda weights: kappa(first, second, weights), patients)
    print(f"Cohen's kappa: {value:.3f} (interval {low:.3f} to {high:.3f}).")


def _print_boxes(
    console: Console,
    pairs: Sequence[tuple[Row, Row]],
    patients: Sequence[str],
    paths: tuple[Path, Path],
) -> None:
    """Print how far the boxes are apart that both readers gave, or accepted."""
    from rich.table import Table

    spacings = [current_spacings(path.parent) for path in paths]
    distances, ious, whose, accepted = [], [], [], 0
    for (one, other), patient in zip(pairs, patients, strict=True):
        boxes = [_corners(row, TRUTH_COLUMNS, path)
                 for row, path in zip((one, other), paths, strict=True)]  # fmt: skip
        if None in boxes or _answer(one) or _answer(other):
            continue
        spacing = _spacing((one, other), spacings, paths)
        distances.append(center_distance(*boxes, spacing))
        ious.append(boxes[0].iou(boxes[1]))
        whose.append(patient)
        accepted += one["decision"] == other["decision"] == ACCEPTED
    if not distances:
        print("There is no lesion to which both gave a box.")
        return
    table = Table(
        title=f"Boxes of both readers: {len(distances)} lesions, {accepted} accepted by both",
        header_style="bold",
        title_justify="left",
    )
    table.add_column("")
    for name in ("median", "mean", "worst\ntenth", f"< {CLOSE_MM:g} mm"):
        table.add_column(name, justify="right")
    close = np.array(distances) < CLOSE_MM
    table.add_row(
        "distance of the centres, mm",
        *_summary(distances, whose, 0.9, 2),
        number_and_interval(close.mean(), mean_interval(close, whose), 3),
    )
    table.add_row("IoU", *_summary(ious, whose, 0.1, 3), "")
    console.print(table)


def _summary(
    values: Sequence[float], patients: Sequence[str], worst: float, digits: int
) -> tuple[str, str, str]:
    """Write median, mean with its interval, and where the worst tenth begins."""
    median, tenth = np.quantile(values, (0.5, worst))
    mean = number_and_interval(np.mean(values), mean_interval(values, patients), digits)
    return f"{median:.{digits}f}", mean, f"{tenth:.{digits}f}"


def _spacing(
    rows: tuple[Row, Row],
    spacings: Sequence[Callable[[str, str], tuple[float, float]]],
    paths: tuple[Path, Path],
) -> tuple[float, float]:
    """Return the current's (x, y) spacing; of the first table, else, if it fails, of the second."""
    problem = None
    for row, spacing_of, path in zip(rows, spacings, paths, strict=True):
        try:
            return spacing_of(row["current"], row["current_spacing_mm"])
        except MammoTrackerError as error:
            problem = problem or MammoTrackerError(f"{path}, line {row.line}: {error}")
    raise problem

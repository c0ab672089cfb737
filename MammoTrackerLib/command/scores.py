"""How good results are: tables with intervals, what the statuses are worth, success plots."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..box import Box
from ..errors import MammoTrackerError
from ..metrics import (
    THRESHOLDS,
    bootstrap,
    center_distance,
    mean_interval,
    overlaps,
    score,
    success_curve,
)
from ..output_folder import cannot_write
from ..track import Status
from .packages import require
from .tables.cells import one_line
from .tables.columns import FAILED, STATUSES

if TYPE_CHECKING:
    from rich.console import Console

WRONG_MM = 10.0
FEW_PATIENTS = 10
_MEASURES = (
    ("AO", "average_overlap", 3),
    ("accuracy", "accuracy", 3),
    ("robustness", "robustness", 3),
    ("mean\nmm", "distance_mean", 2),
    ("median\nmm", "distance_median", 2),
    ("p90\nmm", "distance_p90", 2),
    ("< 3 mm", "close", 3),
    ("AUC", "auc", 3),
)
_WITHOUT_INTERVAL = ("distance_p90", "close")


@dataclass(frozen=True)
class Lesion:
    """One lesion that was looked for, and what came of it.

    Attributes
    ----------
    kind
        Its type, by which the tables are grouped.
    pair, patient
        The pair that it is of, and whose it is; an empty patient is not known.
    truth
        The true box in pixels of the current mammogram; None if the lesion is not there.
    spacing
        (x, y) mm per pixel of the current mammogram; None if the lesion is not there.
    status
        What the tracker said, or "failed".
    boxes
        From a method's name to the box it predicted, or None.
    probability
        That the lesion was found, as the tracker said; NaN if that is not known.
    """

    kind: str
    pair: str
    patient: str
    truth: Box | None
    spacing: tuple[float, float] | None
    status: str
    boxes: dict[str, Box | None]
    probability: float = math.nan

    @property
    def cluster(self) -> str:
        """What is drawn for the intervals: the patient, or the pair where she is not known."""
        return self.patient or f"pair {self.pair}"

    def distance(self, method: str) -> float:
        """Distance in mm between the centres of predicted and true box; NaN without either."""
        box = self.boxes[method]
        if box is None or self.truth is None or self.spacing is None:
            return math.nan
        return center_distance(box, self.truth, self.spacing)


def lesion_of(
    row: dict[str, str],
    truth: Box | None,
    spacing: tuple[float, float] | None,
    status: str,
    boxes: dict[str, Box | None],
    probability: float = math.nan,
) -> Lesion:
    """Make the lesion of a manifest's row; ``patient`` and a type may be missing there."""
    kind = one_line(row["lesion_type"]) or "(no type)"
    patient = row.get("patient", "")
    return Lesion(kind, row["pair_id"], patient, truth, spacing, status, boxes, probability)


def by_kind(lesions: Sequence[Lesion]) -> dict[str, list[Lesion]]:
    """Group lesions by type, in the order in which the types first come, and all of them."""
    groups = {
        kind: [lesion for lesion in lesions if lesion.kind == kind]
        for kind in dict.fromkeys(lesion.kind for lesion in lesions)
    }
    return {**groups, "all": list(lesions)}


def print_scores(
    console: Console,
    lesions: Sequence[Lesion],
    methods: Sequence[str],
    judged: str,
) -> None:
    """Print the measures of each method, by lesion type and in total, with 95 % intervals.

    Parameters
    ----------
    console
        Where the table goes.
    lesions
        Lesions that are there, each with a box (or None) of each method.
    methods
        Names of the methods, in the order of the rows.
    judged
        The method that the lesions' statuses belong to.
    """
    from rich.markup import escape
    from rich.table import Table

    table = Table(header_style="bold")
    table.add_column("")
    for name in ("failed", "not\nfound", *(name for name, _, _ in _MEASURES)):
        table.add_column(name, justify="right")
    for kind, chosen in by_kind(lesions).items():
        size = f"{_count(len(chosen), 'lesion')}, {count_clusters(chosen)}"
        table.add_row(f"[bold]{escape(kind)}[/]\n{size}")
        not_found = sum(lesion.status == Status.NOT_FOUND.value for lesion in chosen)
        for method in methods:
            missing, *cells = rated(chosen, method, _MEASURES, _WITHOUT_INTERVAL)
            table.add_row(
                f"  {escape(method)}",
                missing,
                str(not_found) if method == judged else "-",
                *cells,
                end_section=method == methods[-1],
            )
    console.print(table)
    print(
        "AO: mean IoU. Accuracy: mean IoU where IoU > 0. Robustness: share with IoU = 0. mm: "
        "distance of\nthe centres. Failed rows count as IoU 0 and have no distance; of lesions "
        "not found the best guess counts."
    )
    print_what_intervals_are(lesions)


def print_accepted(count: int) -> None:
    """Say how many true boxes are answers that a reader accepted, if any are."""
    if count:
        print(
            f"{count} true boxes are the tracker's own, which a reader accepted: of these, overlap "
            "and distance say nothing."
        )


def rated(
    lesions: Sequence[Lesion],
    method: str,
    measures: Sequence[tuple[str, str, int]],
    without_interval: Sequence[str] = (),
) -> list[str]:
    """Write how many lesions lack a method's box, then the measures of those that are there.

    A measure is a column's name, one of `Scores`, and its digits; each has its interval, unless it
    is left out.
    """
    boxes = [lesion.boxes[method] for lesion in lesions]
    there = [lesion.truth for lesion in lesions], [lesion.spacing for lesion in lesions]
    scores = vars(score(boxes, *there))
    intervals = bootstrap(boxes, *there, [lesion.cluster for lesion in lesions])
    intervals |= dict.fromkeys(without_interval)
    cells = [number_and_interval(scores[of], intervals[of], digits) for _, of, digits in measures]
    return [str(scores["missing"]), *cells]


def count_clusters(lesions: Sequence[Lesion]) -> str:
    """Write how many patients there are, or pairs if no patient is known."""
    what = "patient" if any(lesion.patient for lesion in lesions) else "pair"
    return _count(len({lesion.cluster for lesion in lesions}), what)


def print_what_intervals_are(lesions: Sequence[Lesion]) -> None:
    """Say what was drawn for the intervals, and when that was too little."""
    print(
        "In the second line of a cell: 95 % interval, from drawing patients with replacement "
        f"({count_clusters(lesions)})."
    )
    unknown = sum(not lesion.patient for lesion in lesions)
    if unknown:
        print(
            f"{_count(unknown, 'row')} without a patient (column patient): there, each pair "
            "counts as a patient of its own."
        )
    if len({lesion.cluster for lesion in lesions}) < FEW_PATIENTS:
        print(f"Under {FEW_PATIENTS} are no sample: the intervals are too narrow to rely on.")


def number_and_interval(value: float, interval: tuple[float, float] | None, digits: int) -> str:
    """Write a number, and below it its interval; a dash where it is not defined."""
    if math.isnan(value):
        return "-"
    text = f"{value:.{digits}f}"
    if interval is None:
        return text
    return "{}\n{:.{d}f}-{:.{d}f}".format(text, *interval, d=digits)


def print_statuses(console: Console, lesions: Sequence[Lesion], judged: str) -> None:
    """Print what each status of a method is worth, also on lesions that are not there."""
    from rich.table import Table

    table = Table(title="What the statuses are worth", header_style="bold", title_justify="left")
    table.add_column("status")
    for name in ("is there", f"of these > {WRONG_MM:g} mm off", "is not there"):
        table.add_column(name, justify="right")
    for status in STATUSES:
        chosen = [lesion for lesion in lesions if lesion.status == status]
        if status == FAILED and not chosen:
            continue
        there = [lesion for lesion in chosen if lesion.truth is not None]
        table.add_row(
            status,
            str(len(there)),
            "-" if status == FAILED else str(sum(_is_off(lesion, judged) for lesion in there)),
            str(len(chosen) - len(there)),
        )
    console.print(table)
    print_found(lesions, judged)


def print_found(lesions: Sequence[Lesion], judged: str) -> None:
    """Print how often a method's "found" is wrong, and how often it misses what is there."""
    found = [lesion for lesion in lesions if lesion.status == Status.FOUND.value]
    there = [lesion for lesion in lesions if lesion.truth is not None]
    wrong = [lesion.truth is None or _is_off(lesion, judged) for lesion in found]
    missed = [lesion.status == Status.NOT_FOUND.value for lesion in there]
    print(
        f"Of {len(found)} called found, {_share(wrong, found)} are more than {WRONG_MM:g} mm off "
        "or not there."
    )
    if there:
        print(
            f"Of {_count(len(there), 'lesion')} that are there, {_share(missed, there)} were "
            "called not found."
        )


def _is_off(lesion: Lesion, method: str) -> bool:
    return lesion.distance(method) > WRONG_MM


def _share(flags: Sequence[bool], lesions: Sequence[Lesion]) -> str:
    """Write how many, in per cent with an interval where some are and some are not."""
    count = sum(flags)
    if not flags:
        return "0"
    text = f"{100 * count / len(flags):.1f} %"
    if 0 < count < len(flags):
        low, high = mean_interval(flags, [lesion.cluster for lesion in lesions])
        text += f", interval {100 * low:.1f}-{100 * high:.1f} %"
    return f"{count} ({text})"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + "s" * (number != 1)


def check_plot(path: Path) -> None:
    """Refuse a name for a plot that is a folder's, or has no ending that says what to draw.

    Raises
    ------
    MammoTrackerError
        If it is.
    """
    if os.path.isdir(path):
        raise MammoTrackerError(f"Cannot draw {path}: it is a folder. Give a file's name in .png.")
    if not path.suffix:
        raise MammoTrackerError(f"Cannot draw {path}: choose a name in .png.")


def draw_success(lesions: Sequence[Lesion], methods: Sequence[str], path: Path) -> None:
    """Draw the success plots of the paper's figure 4: one for each lesion type, one for all.

    Parameters
    ----------
    lesions
        Lesions that are there.
    methods
        Names of the methods, each a curve; its AUC is in the legend.
    path
        The file to write: PNG, or what else the name's ending says.

    Raises
    ------
    MammoTrackerError
        If matplotlib is missing, or the file cannot be written.
    """
    check_plot(path)
    message = "Drawing success plots needs matplotlib: run `pip install matplotlib`."
    drawing = require(message, "matplotlib.figure")
    groups = by_kind(lesions)
    if len(groups) == 2:
        del groups["all"]
    figure = drawing.Figure(figsize=(4.2 * len(groups), 4.2), layout="constrained")
    axes = figure.subplots(1, len(groups), squeeze=False, sharey=True)[0]
    for panel, (kind, chosen) in zip(axes, groups.items(), strict=True):
        truth = [lesion.truth for lesion in chosen]
        spacings = [lesion.spacing for lesion in chosen]
        for method in methods:
            predicted = [lesion.boxes[method] for lesion in chosen]
            auc = score(predicted, truth, spacings).auc
            curve = success_curve(overlaps(predicted, truth))
            # Thinner from one to the next, so that equal curves are all seen.
            width = 1.2 + len(methods) - methods.index(method)
            panel.plot(THRESHOLDS, curve, linewidth=width, label=f"{method} (AUC {auc:.3f})")
        panel.set(
            title=f"{kind} ({_count(len(chosen), 'lesion')})",
            xlabel="IoU threshold",
            xlim=(0, 1),
            ylim=(0, 1.02),
        )
        panel.grid(alpha=0.3)
        panel.legend(fontsize="small", loc="lower left")
    axes[0].set_ylabel("share of lesions above the threshold")
    picture = io.BytesIO()
    try:
        figure.savefig(picture, format=path.suffix[1:], dpi=150)
        path.write_bytes(picture.getvalue())
    except OSError as error:
        raise cannot_write(path, error) from None
    except ValueError as error:
        raise MammoTrackerError(f"Cannot draw {path}: {error}. Choose a name in .png.") from None
    print(f"Success plots written to {path}.")

"""Whether mammograms may be compared, two or a series, and whether a box lies on one."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .box import Box
from .errors import MammoTrackerError
from .mammogram import Header, Mammogram

SPECIAL = (
    "spot", "magnified", "implant displaced", "rolled", "cleavage", "axillary tail", "tangential",
    "axillary tissue", "anterior compression", "inframammary fold", "partial",
    "biopsy", "contrast",
)  # fmt: skip
MIN_LESION_PX, MIN_LESION_MM, MAX_LESION_MM = 3.0, 0.5, 150.0
# A box that is as small as it may be is so after it was rounded into a table's cells, too.
_ROUNDED_PX, _ROUNDED_MM = 0.002, 0.001


@dataclass(frozen=True)
class PairProblem:
    """Why two mammograms may be no pair of prior and current.

    Attributes
    ----------
    message
        A sentence for the user.
    blocks
        Whether tracking makes no sense; laterality and view can be forced nevertheless.
    kind
        "laterality", "view", "patient", "image" (the same twice), "dates", "no date" (beside
        dates), "modifiers", "spacing" or "file": what had to be guessed to read it.
    """

    message: str
    blocks: bool
    kind: str


def pair_problems(prior: Header | Mammogram, current: Header | Mammogram) -> list[PairProblem]:
    """Compare what two mammograms' headers say; what is unknown is no problem but the spacing.

    Returns
    -------
    list of PairProblem
        Those that block first.
    """
    problems = [
        PairProblem(
            f"The {name}'s pixel spacing is unknown: enter the size of a pixel in mm.",
            True,
            "spacing",
        )
        for name, mammogram in (("prior", prior), ("current", current))
        if mammogram.spacing is None
    ]
    for kind in ("laterality", "view"):
        values = getattr(prior, kind), getattr(current, kind)
        if None not in values and values[0] != values[1]:
            message = (
                f"The prior's {kind} is {values[0]} and the current's {values[1]}: select two "
                "mammograms of one breast in one view, or force it if a header is wrong."
            )
            problems.append(PairProblem(message, True, kind))
    if None not in (prior.patient_id, current.patient_id) and (
        prior.patient_id != current.patient_id
    ):
        message = (
            "The two mammograms have different patient IDs: make sure that they show one woman."
        )
        problems.append(PairProblem(message, False, "patient"))
    if special(prior) != special(current):
        message = (
            f"The prior is {_kind(prior)} and the current {_kind(current)}: places may be wrong; "
            "select two mammograms of one kind."
        )
        problems.append(PairProblem(message, False, "modifiers"))
    if _is_one_image(prior, current):
        message = (
            "Prior and current are one image: give two exams, since a lesion does not change "
            "between them."
        )
        problems.append(PairProblem(message, False, "image"))
    elif None not in (prior.date, current.date) and prior.date >= current.date:
        when = "on the day of" if prior.date == current.date else "after"
        message = f"The prior was taken {when} the current: make sure that they are not swapped."
        problems.append(PairProblem(message, False, "dates"))
    for name, mammogram in (("prior", prior), ("current", current)):
        for remark in getattr(mammogram, "remarks", ()):
            problems.append(PairProblem(f"Of the {name}: {remark}", False, "file"))
    return problems


def series_problems(exams: Sequence[Header]) -> list[PairProblem]:
    """Compare what the headers of exams say, given in the order of their dates; counted from 1.

    Returns
    -------
    list of PairProblem
        As `pair_problems` returns them, those that block first.
    """
    problems = [
        PairProblem(
            f"The pixel spacing of exam {number} is unknown: enter the size of a pixel in mm.",
            True,
            "spacing",
        )
        for number, exam in enumerate(exams, 1)
        if exam.spacing is None
    ]
    for kind in ("laterality", "view"):
        known = {n: getattr(exam, kind) for n, exam in enumerate(exams, 1) if getattr(exam, kind)}
        for number, value in known.items():
            first = next(iter(known))
            if value != known[first]:
                message = (
                    f"The {kind} of exam {first} is {known[first]}, and that of exam {number} is "
                    f"{value}: select exams of one breast in one view, or force it if a header is "
                    "wrong."
                )
                problems.append(PairProblem(message, True, kind))
    known = {n: exam.patient_id for n, exam in enumerate(exams, 1) if exam.patient_id is not None}
    if len(set(known.values())) > 1:
        message = "The exams have different patient IDs: make sure that they show one woman."
        problems.append(PairProblem(message, False, "patient"))
    for number, exam in enumerate(exams[1:], 2):
        if special(exam) != special(exams[0]):
            message = (
                f"Exam 1 is {_kind(exams[0])} and exam {number} {_kind(exam)}: places may be "
                "wrong; select exams of one kind."
            )
            problems.append(PairProblem(message, False, "modifiers"))
    numbered = list(enumerate(exams, 1))
    seen: dict[tuple, int] = {}
    for number, exam in numbered:
        key = image_key(exam)
        if key and seen.setdefault(key, number) != number:
            problems.append(PairProblem(one_image(seen[key], number), False, "image"))
    dated = [(n, exam) for n, exam in numbered if exam.date is not None]
    for (earlier, exam), (later, other) in itertools.pairwise(dated):
        before, after = exam.date, other.date
        if before >= after and not _is_one_image(exam, other):
            when = "on the day of" if before == after else "after"
            message = (
                f"Exam {earlier} was taken {when} exam {later}: make sure that they are in the "
                "order of their dates."
            )
            problems.append(PairProblem(message, False, "dates"))
    for number, exam in enumerate(exams, 1):
        if exam.date is None and dated:
            message = (
                f"The date of exam {number} is unknown, and those of others are known: make sure "
                "that it is in its place among them."
            )
            problems.append(PairProblem(message, False, "no date"))
    return problems


def of_exam(number: int, remarks: Sequence[str]) -> list[str]:
    """Return the sentences for the user on what was guessed of an exam's file, by its number."""
    return [f"Of exam {number}: {remark}" for remark in remarks]


def in_order(dates: Sequence[datetime.date | str | None]) -> list[int]:
    """Return the indices of exams in the order of their dates; one without stays in its place.

    `dates` may be texts as YYYY-MM-DD, too, of which an empty one is none.
    """
    places = [place for place, date in enumerate(dates) if date]
    order = list(range(len(dates)))
    for place, exam in zip(places, sorted(places, key=lambda k: dates[k]), strict=True):
        order[place] = exam
    return order


def one_image(first: int, second: int) -> str:
    """Return the sentence for the user on two exams, by their numbers, that are one image."""
    return (
        f"Exams {first} and {second} are one image: give each exam once, since a lesion does not "
        "change between them."
    )


def image_key(image: Header | Mammogram) -> tuple | None:
    """Return what only copies of an image have in common; None if its file does not tell.

    That is its SOPInstanceUID, beside what else its file says: some programs give one UID to all.
    """
    if not image.instance_uids:
        return None
    return image.instance_uids[0], image.patient_id, image.laterality, image.view, image.date


def _is_one_image(one: Header | Mammogram, other: Header | Mammogram) -> bool:
    if image_key(one) is not None and image_key(one) == image_key(other):
        return True
    both = isinstance(one, Mammogram) and isinstance(other, Mammogram)
    return both and np.array_equal(one.pixels, other.pixels)


def special(mammogram: Header | Mammogram) -> tuple[str, ...]:
    """Return what makes a view show other tissue, or in another way, than a standard one."""
    return tuple(name for name in SPECIAL if name in mammogram.modifiers)


def _kind(mammogram: Header | Mammogram) -> str:
    names = special(mammogram)
    return f"a special view ({', '.join(names)})" if names else "a standard view"


def check_pair(prior: Mammogram, current: Mammogram) -> None:
    """Refuse two mammograms that cannot show one lesion in one view.

    Raises
    ------
    MammoTrackerError
        If both headers give a laterality, or a view, and they differ.
    """
    for problem in pair_problems(prior, current):
        if problem.blocks:
            raise MammoTrackerError(problem.message)


def check_series(exams: Sequence[Header], force: bool) -> None:
    """Refuse exams that are not in the order of their dates, or, unless forced, of two breasts.

    Raises
    ------
    MammoTrackerError
        As it says, and if two headers give a laterality, or a view, and they differ.
    """
    if in_order([exam.date for exam in exams]) != list(range(len(exams))):
        raise MammoTrackerError(
            "The exams are not in the order of their dates: sort them, as what is new or gone "
            "depends on it."
        )
    for problem in () if force else series_problems(exams):
        if problem.blocks:
            raise MammoTrackerError(problem.message)


def check_box(box: Box, mammogram: Mammogram) -> None:
    """Refuse a box that does not lie on the mammogram; one cut by the image's edge does.

    Raises
    ------
    MammoTrackerError
        If the box's centre is outside the image, or no lesion is as small or as large.
    """
    check_box_on(box, mammogram.pixels.shape[::-1], mammogram.spacing, "the prior")


def check_box_on(box: Box, size: tuple[int, int], spacing: tuple[float, float], name: str) -> None:
    """Refuse a box as `check_box` does.

    Parameters
    ----------
    box
        In pixels of the image.
    size, spacing
        Of the image: (columns, rows), and (x, y) in mm.
    name
        What a message calls it.
    """
    problem = box_problem(box, size, spacing, name)
    if problem:
        raise MammoTrackerError(
            f"The box {box} is {problem}. Give x0 y0 x1 y1 in pixels of {name}."
        )


def box_problem(
    box: Box, size: tuple[int, int], spacing: tuple[float, float], name: str = "the image"
) -> str:
    """Return what a box on an image is, as `check_box_on` takes it, if it can be no lesion's."""
    sides = np.array([box.width, box.height])
    longest = box.longest_side(spacing)
    if min(sides) < MIN_LESION_PX - _ROUNDED_PX or longest < MIN_LESION_MM - _ROUNDED_MM:
        return (
            f"too small: a lesion's box is at least {MIN_LESION_PX:g} pixels wide and high, and "
            f"{MIN_LESION_MM:g} mm long"
        )
    if longest > MAX_LESION_MM:
        return (
            f"too large for a lesion: its side is {longest:.0f} mm, unless the pixel spacing is "
            "wrong"
        )
    columns, rows = size
    x, y = box.center
    if not (0 <= x <= columns and 0 <= y <= rows):
        return (
            f"outside {name} for the most part: that has {columns} x {rows} pixels (width x height)"
        )
    return ""

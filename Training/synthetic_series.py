"""Whole synthetic series, for measuring: all exams of a breast in one view, and its lesions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from MammoTrackerLib.box import Box

from .changes import Field
from .difficulty import WHOLE
from .exposure import take
from .pasted import CLEAR, VISIBLE, Pasted, paste, tissue_spread
from .sources import Source
from .synthetic_pairs import Exam, drawn_breast, place_exam, position, resized

KEPT = 0.5
"""How much of its position and compression a breast keeps from one exam to the next; so exams that
are far apart differ as the two of a pair do."""
YEARS = (0.8, 2.2)
"""Between two exams."""
AT_LAST, AT_FIRST = 0.5, 0.2
"""How often lesions are marked on the last or the first exam; else on any."""
LESION, CHANGES_PRESENCE = 0.8, 0.3
"""Probability that what is marked is a lesion, not tissue; that it appears or goes, where the
marked exam allows it."""
GROWS, SHRINKS = 0.45, 0.1
GROWTH, SHRINKAGE = (1.2, 2.5), (0.5, 0.85)
"""By how much the longest side changes from the first exam to the last."""
CONTRAST = 0.2
LONGEST_MM = (3.0, 44.0)


@dataclass(frozen=True, eq=False)
class Followed:
    """What is marked in a series: "mass", "calcification" or "tissue", and its box on each exam.

    Boxes are in pixels; None where the lesion is not there.
    """

    kind: str
    boxes: tuple[Box | None, ...]


@dataclass(frozen=True, eq=False)
class Series:
    """All exams of a breast, in the order of their dates.

    Attributes
    ----------
    images
        One an exam: (rows, columns) float32, -0.1 to 1.3; 0 outside the breast.
    spacings_mm, years
        Side of a pixel, and years since the first exam, of each.
    marked
        Index of the exam that shows all lesions.
    lesions
        What is marked on it.
    """

    images: tuple[np.ndarray, ...]
    spacings_mm: tuple[float, ...]
    years: tuple[float, ...]
    marked: int
    lesions: tuple[Followed, ...]


def drifted(before: Field, drawn: Field, middle: np.ndarray) -> Field:
    """Move a field from that of the exam before towards one that was drawn for itself."""
    new = np.sqrt(1 - KEPT**2)

    def mixed(a: np.ndarray, b: np.ndarray, usual: np.ndarray | float) -> np.ndarray:
        return usual + KEPT * (a - usual) + new * (b - usual)

    return Field(
        mixed(before.base, drawn.base, middle),
        mixed(before.matrix, drawn.matrix, np.eye(2)),
        mixed(before.elastic, drawn.elastic, 0.0).astype(np.float32),
        drawn.patch_mm,
        mixed(np.asarray(before.tilt), np.asarray(drawn.tilt), 0.0),
    )


def place_exams(
    rng: np.random.Generator, source: Source, others: list[Source], count: int
) -> tuple[Source, list[Exam]]:
    """Position a breast so many times; its second layer comes or fades, too."""
    source, at_left, layer, muscle = drawn_breast(rng, source, others)
    middle = np.array(source.pixels.shape[::-1]) * source.spacing_mm / 2
    other, share, place, direction = layer
    shares = np.linspace(share, rng.uniform(0, 0.35), count)
    exams: list[Exam] = []
    for share in shares:
        field, other_field = position(rng, source, layer)
        if exams:
            field = drifted(exams[-1].field, field, middle)
        layer = other, share, place, direction
        exams.append(
            place_exam(rng, source, at_left, layer, muscle, None, True, (field, other_field))
        )
    return source, exams


def make_series(
    rng: np.random.Generator,
    source: Source,
    others: list[Source],
    count: int,
    lesions: int = 3,
) -> Series:
    """Make a series of so many exams from one mammogram, with up to so many marked lesions.

    A lesion is solid: however the breast is pressed, its longest side is what its growth says.
    Exams are exposed each on its own, as those of a pair are.
    """
    source, exams = place_exams(rng, source, others, count)
    years = np.concatenate([[0.0], np.cumsum(rng.uniform(*YEARS, count - 1))])
    chance = rng.random()
    marked = count - 1 if chance < AT_LAST else 0
    if chance > AT_LAST + AT_FIRST:
        marked = int(rng.integers(count))
    pixel = source.spacing_mm
    taken: list[list[Box]] = [[] for _ in exams]
    followed: list[tuple[str, list[Box | None]]] = []
    distractors = int(rng.integers(1, 4)) if rng.random() < WHOLE.distract else 0
    spots = np.argwhere(exams[marked].breast > 0.5)
    for _ in range(80 * lesions):
        is_marked = len(followed) < lesions
        if not is_marked and not distractors:
            break
        p = (spots[rng.integers(len(spots))][::-1] + 0.5 - len(exams[0].grid) / 2) * pixel
        share = LESION if is_marked else 1.0
        d = replace(WHOLE, lesion=share, landmark=0.0, vanished=0.0)
        pasted = paste(rng, source, exams[marked].field.at(p)[0], d)
        shown = there(rng, count, marked) if is_marked else np.arange(count) >= rng.integers(count)
        if pasted.kind == "tissue":
            shown = np.ones(count, bool)
        changed = as_it_changes(rng, pasted, exams, p, years, marked, shown, source)
        if changed is None:
            continue
        boxes = [
            exam.box(one, near, True) for exam, (one, near) in zip(exams, changed, strict=True)
        ]
        if any(box is None for box in boxes) or any(
            box.iou(old) > 0 for box, olds in zip(boxes, taken, strict=True) for old in olds
        ):
            continue
        for exam, (one, _), box, olds in zip(exams, changed, boxes, taken, strict=True):
            one.add(exam.image, exam.grid, current=True)
            olds.append(box)
        if is_marked:
            visible = [box if seen else None for box, seen in zip(boxes, shown, strict=True)]
            followed.append((pasted.kind, visible))
        else:
            distractors -= 1
    images, spacings, scales = [], [], []
    for exam in exams:
        image, breast = exam.image[exam.window], exam.breast[exam.window]
        image, scale = resized(rng, take(rng, image * breast, breast, WHOLE, pixel, None))
        images.append(image)
        scales.append(scale)
        spacings.append(pixel / float(scale.mean()))
    return Series(
        tuple(images),
        tuple(spacings),
        tuple(years.tolist()),
        marked,
        tuple(
            Followed(
                kind,
                tuple(
                    None if box is None else box.scaled(*scale.tolist())
                    for box, scale in zip(boxes, scales, strict=True)
                ),
            )
            for kind, boxes in followed
        ),
    )


def there(rng: np.random.Generator, count: int, marked: int) -> np.ndarray:
    """Draw which exams (count,) show a lesion: it appears, or goes, or is on all of them."""
    exams = np.arange(count)
    if rng.random() >= CHANGES_PRESENCE:
        return exams >= 0
    change = int(rng.integers(1, count))
    return exams >= change if change <= marked else exams < change


def as_it_changes(
    rng: np.random.Generator,
    pasted: Pasted,
    exams: list[Exam],
    p: np.ndarray,
    years: np.ndarray,
    marked: int,
    shown: np.ndarray,
    source: Source,
) -> list[tuple[Pasted, np.ndarray]] | None:
    """Give what is marked its size and contrast on each exam, with the point (2,) that shows it.

    None where it would be too small or too large, or its place is not on an exam. It stands out of
    the tissue, as one that vanishes from a pair does: else nothing tells how large it is, or
    whether it is there.
    """
    length = rng.random()
    change = 1.0
    if length < GROWS:
        change = np.exp(rng.uniform(*np.log(GROWTH)))
    elif length < GROWS + SHRINKS:
        change = np.exp(rng.uniform(*np.log(SHRINKAGE)))
    contrasts = np.exp(rng.normal(0, CONTRAST, len(exams)))
    if pasted.kind != "tissue":
        least = max(VISIBLE, CLEAR * tissue_spread(source, pasted.at, pasted.lesion.reach))
        contrasts = np.maximum(contrasts, least / pasted.lesion.contrast)
    result = []
    for exam in exams:
        q = exam.field.inverse(pasted.at[None], p)[0]
        if np.hypot(*(exam.field.at(q)[0] - pasted.at)) > 0.05 or (
            np.abs(q).max() > exam.field.patch_mm / 2
        ):
            return None
        result.append((pasted, q))
    if pasted.kind == "tissue":
        return result

    def longest(k: int, growth: float) -> float:
        one, q = result[k]
        box = replace(one, growth=growth).box(exams[k].field, exams[k].grid, q, True)
        return float(max(box[2] - box[0], box[3] - box[1]))

    span = years[-1] - years[0]
    wanted = longest(marked, 1.0) * change ** ((years - years[marked]) / span)
    if wanted[shown].min() < LONGEST_MM[0] or wanted.max() > LONGEST_MM[1]:
        return None
    for k, length in enumerate(wanted):
        growth = length / longest(k, 1.0)
        growth *= length / longest(k, growth)
        one = replace(pasted, growth=growth, factor=float(contrasts[k]), there=bool(shown[k]))
        result[k] = one, result[k][1]
    return result

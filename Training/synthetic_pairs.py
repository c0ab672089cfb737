"""Whole synthetic pairs, for measuring: two mammograms made from one, and their lesions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from MammoTrackerLib.box import Box

from .changes import (
    COMPRESSION,
    Field,
    Muscle,
    add_layer,
    muscle_in_corner,
    random_elastic,
    random_linear,
    random_tilt,
    sample,
)
from .difficulty import WHOLE, losing
from .exposure import EARLY_CLIP, add_muscle, leave_clip, take
from .layers import (
    MM_PER_DEGREE,
    Layers,
    of_strongest,
    random_layers,
    shown_tissue,
    skin_distance,
    went,
)
from .pasted import Pasted, paste
from .sources import Source

MOST_LESIONS = 4


@dataclass(frozen=True, eq=False)
class Pair:
    """A whole prior and current mammogram with the truth, for measuring.

    Attributes
    ----------
    prior, current
        (rows, columns) float32, -0.1 to 1.3; 0 outside the breast.
    spacings_mm
        Side of a pixel of the prior and of the current.
    prior_boxes, current_boxes
        Of each lesion, in pixels; None on the current where the lesion vanished.
    kinds
        "mass", "calcification" or "tissue", one for each lesion; "speck" for tissue around a single
        calcification where such can go.
    slides
        Where the layers went, one for each lesion; empty if the tissue has no layers.
    """

    prior: np.ndarray
    current: np.ndarray
    spacings_mm: tuple[float, float]
    prior_boxes: tuple[Box, ...]
    current_boxes: tuple[Box | None, ...]
    kinds: tuple[str, ...]
    slides: tuple[Slide, ...] = ()


@dataclass(frozen=True, eq=False)
class Slide:
    """Where the layers went that one sees in the middle of a lesion's box on the prior.

    Attributes
    ----------
    layer
        Which of them the lesion belongs to.
    places
        (k, 2) x, y of each on the current, in pixels.
    shares
        (k,) of the variance of what one sees around: about 0.9 where there is one layer only.
    """

    layer: int
    places: np.ndarray
    shares: np.ndarray


def straight_chest_wall(breast: np.ndarray, at_left: bool) -> slice:
    """Return the columns that leave the warped chest wall's edge out, as a detector would."""
    rows = breast[breast.any(axis=1)] > 0
    rows = rows[len(rows) // 5 : -len(rows) // 5]
    edges = (rows if at_left else rows[:, ::-1]).argmax(axis=1)
    cut_off = int(np.percentile(edges, 97))
    return slice(cut_off, None) if at_left else slice(None, breast.shape[1] - cut_off)


@dataclass(frozen=True, eq=False)
class Exam:
    """One exam of a pair while it is made: tissue on a square canvas.

    `fields` and `grids` are those of each layer, or the exam's where there are no layers.
    """

    field: Field
    grid: np.ndarray
    image: np.ndarray
    breast: np.ndarray
    window: tuple[slice, slice]
    fields: tuple[Field, ...]
    grids: tuple[np.ndarray, ...]

    def box(self, pasted: Pasted, near: np.ndarray, current: bool) -> Box | None:
        """Return a box in pixels of the window; None if not inside it and 90 % in the breast."""
        pixel = self.field.patch_mm / len(self.grid)
        field, grid = self.fields[pasted.layer], self.grids[pasted.layer]
        box = pasted.box(field, grid, near, current) / pixel + len(self.grid) / 2
        x0, y0, x1, y1 = box.tolist()
        rows, columns = self.window
        if x0 < columns.start or y0 < rows.start or x1 > columns.stop or y1 > rows.stop:
            return None
        if self.breast[round(y0) : round(y1), round(x0) : round(x1)].mean() < 0.9:
            return None
        return Box(x0 - columns.start, y0 - rows.start, x1 - columns.start, y1 - rows.start)


def position(rng: np.random.Generator, source: Source, layer: tuple) -> tuple[Field, Field]:
    """Position and compress a breast: the field of its tissue, and that of its second layer.

    The layer is (source, share, place, direction). Elastic displacements are 0.7 of a patch's and
    the tilt half of it, with `COMPRESSION` on top: tissue should move far, but not fold. Skin stays
    smooth when it is pressed: towards it a patch's displacements shrink to a quarter over 25 mm.
    """
    _, _, place, direction = layer
    pixel = source.spacing_mm
    rows, columns = source.pixels.shape
    side = 4 * int(np.ceil(max(rows, columns) * 1.08 / 4))
    field, other_field = (
        Field(
            middle + rng.normal(0, spread, 2),
            matrix @ random_linear(rng, WHOLE.warp),
            random_elastic(rng, side, side * pixel, 0.7 * WHOLE.warp),
            side * pixel,
            random_tilt(rng, 0.5 * WHOLE.warp),
        )
        for middle, spread, matrix in (
            (np.array([columns, rows]) * pixel / 2, 6, np.eye(2)),
            (place, 3, direction),
        )
    )
    depth = sample(skin_distance(source.breast) * np.float32(pixel), field.grid(), pixel)
    elastic = field.elastic * np.clip(depth / 25, 0.25, 1)[..., None]
    elastic += random_elastic(rng, side, side * pixel, WHOLE.warp, COMPRESSION)
    return replace(field, elastic=elastic), other_field


def place_exam(
    rng: np.random.Generator,
    source: Source,
    at_left: bool,
    layer: tuple,
    muscle: Muscle | None,
    layers: Layers | None,
    current: bool,
    positioned: tuple[Field, Field] | None = None,
) -> Exam:
    """Show a breast as it is positioned, or as `position` draws it, with its second layer.

    One exam in four loses 3 to 15 mm more of the chest wall.
    """
    other, share, _, _ = layer
    field, other_field = positioned or position(rng, source, layer)
    pixel, side = source.spacing_mm, len(field.elastic)
    grid, fields, grids, image, breast = shown_tissue(source, field, layers, current)
    image = add_layer(image, other, share, other_field)
    add_muscle(image, grid, rng, muscle, WHOLE)
    wall = straight_chest_wall(breast, at_left)
    start, stop, _ = wall.indices(side)
    if rng.random() < 0.25:
        lost = round(rng.uniform(3, 15) / pixel)
        start, stop = (start + lost, stop) if at_left else (start, stop - lost)
    shown = np.flatnonzero(breast.any(axis=1))
    top = max(0, shown[0] - round(rng.uniform(0, 15) / pixel))
    bottom = min(side, shown[-1] + 1 + round(rng.uniform(0, 15) / pixel))
    return Exam(field, grid, image * breast, breast, np.s_[int(top) : int(bottom), start:stop],
                tuple(fields), tuple(grids))  # fmt: skip


def drawn_breast(
    rng: np.random.Generator, source: Source, others: list[Source]
) -> tuple[Source, bool, tuple, Muscle | None]:
    """Draw what all exams of a woman share; half of them are mirrored.

    Returns
    -------
    source : Source
        The breast.
    at_left : bool
        Whether its chest wall is at the image's left.
    layer : tuple
        The second layer, as `position` takes it.
    muscle : Muscle or None
        As it shows in an oblique view.
    """
    if rng.random() < 0.5:
        mirrored = (np.ascontiguousarray(a[:, ::-1]) for a in (source.pixels, source.breast))
        source = replace(source, **dict(zip(("pixels", "breast"), mirrored, strict=True)))
    at_left = source.breast[:, 0].sum() > source.breast[:, -1].sum()
    other = others[rng.integers(len(others))]
    middle = np.array(other.pixels.shape[::-1]) * other.spacing_mm / 2
    layer = other, rng.uniform(0, 0.35), middle + rng.uniform(-20, 20, 2), random_linear(rng, 3)
    muscle = muscle_in_corner(rng, source, at_left) if rng.random() < WHOLE.muscle else None
    return source, at_left, layer, muscle


def resized(rng: np.random.Generator, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give an exam its pixel size; returns it, and by how much (2,) x, y became longer.

    Half of the exams keep the source's, the others get pixels 1 to 1.4 times as large.
    """
    factor = 1.0 if rng.random() < 0.5 else rng.uniform(1, 1.4)
    size = np.array([round(length / factor) for length in image.shape[::-1]])
    scale = size / image.shape[::-1]
    return cv2.resize(image, size.tolist(), interpolation=cv2.INTER_AREA), scale


def make_pair(
    rng: np.random.Generator,
    source: Source,
    others: list[Source],
    rolled: float = 0.0,
    gone: float = 0.0,
) -> Pair:
    """Make a whole pair of the hard kind from one mammogram, with up to `MOST_LESIONS` marked.

    Between the exams the breast is rolled by so many degrees: its tissue then lies in layers that
    slide, and all else is as without. `gone` is as in `Difficulty`.
    """
    d, pixel = losing(WHOLE, gone), source.spacing_mm
    source, at_left, layer, muscle = drawn_breast(rng, source, others)
    of_layers, layers = rng.spawn(1)[0], None
    if rolled:
        layers = random_layers(of_layers, source, MM_PER_DEGREE * rolled)
    exams = [
        place_exam(rng, source, at_left, layer, muscle, layers, current)
        for current in (False, True)
    ]
    prior, current = exams
    side = len(prior.grid)

    spots = np.argwhere(prior.breast > 0.5)
    marked: list[tuple[Pasted, Box, Box]] = []
    new: list[Box] = []
    slides: list[Slide] = []
    wanted_new = int(rng.integers(1, 4)) if rng.random() < d.distract else 0
    for _ in range(50 * MOST_LESIONS):
        if len(marked) == MOST_LESIONS and len(new) == wanted_new:
            break
        p = (spots[rng.integers(len(spots))][::-1] + 0.5 - side / 2) * pixel
        is_new = len(marked) == MOST_LESIONS
        marks = replace(d, lesion=1.0, vanished=0.0, gone=0.0) if is_new else d
        k = int(of_layers.integers(len(prior.fields)))
        pasted = replace(paste(rng, source, prior.fields[k].at(p)[0], marks), layer=k)
        if layers and pasted.lesion is None:
            pasted = of_strongest(pasted, layers, prior.fields, prior.field.at(p)[0], p)
        shown = current.fields[pasted.layer]
        q = shown.inverse(pasted.at[None], p)[0]
        if np.hypot(*(shown.at(q)[0] - pasted.at)) > 0.05:
            continue
        if np.abs(q).max() > side * pixel / 2:
            continue
        before, after = prior.box(pasted, p, False), current.box(pasted, q, True)
        if before is None or after is None:
            continue
        if any(after.iou(box) > 0 for box in [b for _, _, b in marked] + new):
            continue
        if any(before.iou(box) > 0 for _, box, _ in marked):
            continue
        if is_new:
            pasted.add(current.image, current.grids[pasted.layer], current=True)
            new.append(after)
            continue
        pasted.add(prior.image, prior.grids[pasted.layer], current=False)
        pasted.add(current.image, current.grids[pasted.layer], current=True)
        marked.append((pasted, before, after))
        if layers:
            slides.append(slide_of(pasted, p, layers, prior, current))

    clip = None
    if marked and rng.random() < d.clip:
        clip = leave_clip(rng, [pasted for pasted, _, _ in marked])
    clips = (clip if rng.random() < EARLY_CLIP else None, clip)
    images, spacings, scales = [], [], []
    for exam, left in zip(exams, clips, strict=True):
        image, breast = exam.image[exam.window], exam.breast[exam.window]
        if left is not None:
            shown = left.shown(exam.field)
            left = replace(shown, at=shown.at - [exam.window[1].start, exam.window[0].start])
        image, scale = resized(rng, take(rng, image * breast, breast, d, pixel, left))
        images.append(image)
        scales.append(scale)
        spacings.append(pixel / float(scale.mean()))
    return Pair(
        *images,
        tuple(spacings),
        tuple(box.scaled(*scales[0].tolist()) for _, box, _ in marked),
        tuple(box.scaled(*scales[1].tolist()) if one.there else None for one, _, box in marked),
        tuple("speck" if gone and pasted.is_landmark else pasted.kind for pasted, _, _ in marked),
        tuple(replace(slide, places=slide.places * scales[1]) for slide in slides),
    )


def slide_of(pasted: Pasted, p: np.ndarray, layers: Layers, prior: Exam, current: Exam) -> Slide:
    """Return where the layers went that a prior shows at a point, in pixels of the window."""
    fields = zip(prior.fields, current.fields, strict=True)
    places = np.stack([went(before, after, p, p) for before, after in fields])
    side = len(current.grid)
    rows, columns = current.window
    places = places * (side / current.field.patch_mm) + side / 2 - [columns.start, rows.start]
    contrasts = layers.contrasts(prior.field.at(p)[0], max(pasted.width, pasted.height) + 10)
    return Slide(pasted.layer, places, contrasts / max(float(contrasts.sum()), 1e-9))

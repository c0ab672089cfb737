"""Synthetic temporal pairs: two independently deformed and exposed versions of one mammogram.

A scene is one search patch with several templates, so that its features are computed once. All
fields map a patch's millimetres to the source's, so that a lesion pasted at a source point lands
where the tissue goes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from MammoTrackerLib.box import Box
from MammoTrackerLib.patches import network_input
from MammoTrackerLib.settings import Settings

from .changes import (
    COMPRESSION,
    Field,
    Muscle,
    add_clip,
    add_fold,
    add_layer,
    add_marker,
    cut_edges,
    expose,
    muscle_in_corner,
    muscle_near,
    random_elastic,
    random_linear,
    random_tilt,
    sample,
)
from .lesions import (
    Lesion,
    add_lesion,
    lone_speck,
    random_lesion,
    random_size,
    shown_box,
    sides_px,
)
from .sources import Source

VISIBLE, CLEAR = 0.12, 3.0
"""Least contrast on the prior of a lesion that vanished, of the breast's range and in standard
deviations of the tissue around it: else nothing tells that it did."""
DEPTH_MM = 3.5
"""How far a lesion at another depth moves against the tissue under it, per axis."""
EARLY_CLIP = 0.25
"""Probability that a biopsy clip was there at the prior already."""


@dataclass(frozen=True)
class Difficulty:
    """How much changes between two exams; every probability is per patch or lesion.

    Attributes
    ----------
    warp
        Factor on affine and elastic deformations.
    far
        Share of search patches whose centre is 6 mm to 3/8 of their side off, not 5 mm per axis.
    layer, edge
        Probability of a second tissue layer, of an image edge.
    distract
        Probability of up to three new lesions on the current, and half that of one on the prior
        that the current lacks.
    lesion
        Probability that the box holds a pasted mass or cluster; else it is plain tissue.
    absent
        Probability that the template comes from another mammogram.
    vanished
        Probability that a pasted lesion is on the prior only.
    landmark
        Probability that a tissue box of less than 20 mm has a single calcification in its middle.
    depth
        Probability that what is pasted lies at another depth than the tissue of the image, so
        that it moves against it by N(0, 3.5) mm: a mammogram is a projection.
    specks
        Probability of 2 to 8 single calcifications in a patch that both exams show.
    muscle
        Probability of a pectoral muscle; each exam then shows it in 7 of 10 cases.
    fold, marker, clip
        Probability of a skin fold, of a radio-opaque marker, of a biopsy clip. Folds and markers
        belong to one exam; one clip in four was there at the prior already.
    """

    warp: float = 1.0
    far: float = 0.25
    layer: float = 0.6
    edge: float = 0.35
    distract: float = 0.5
    lesion: float = 0.5
    absent: float = 0.08
    vanished: float = 0.15
    landmark: float = 0.3
    depth: float = 0.35
    specks: float = 0.3
    muscle: float = 0.1
    fold: float = 0.08
    marker: float = 0.08
    clip: float = 0.06


EASY = Difficulty(
    warp=0.6, far=0.1, layer=0.0, edge=0.1, distract=0.0, absent=0.0,
    vanished=0.0, depth=0.0, specks=0.0, muscle=0.0, fold=0.0, marker=0.0, clip=0.0,
)  # fmt: skip
HARD = Difficulty()
WHOLE = replace(
    HARD, lesion=0.6, landmark=0.1, muscle=0.3, fold=0.25, marker=0.6, clip=0.15, vanished=0.1
)
"""Of a whole pair, which shows more than a patch does.

`edge`, `far`, `absent`, `depth` and `specks` are unused.
"""


def breast_point(rng: np.random.Generator, source: Source) -> np.ndarray:
    """Return a random point of the breast, in source mm."""
    width = round(5 / source.spacing_mm)
    inner = cv2.erode(source.breast, np.ones((width, width), np.uint8), borderValue=1)
    rows, columns = np.nonzero(inner if inner.any() else source.breast)
    k = rng.integers(len(rows))
    return (np.array([columns[k], rows[k]]) + 0.5) * source.spacing_mm


@dataclass(frozen=True, eq=False)
class Pasted:
    """A lesion in a scene or a pair: where, and how the current differs from the prior.

    Attributes
    ----------
    lesion
        None for plain tissue.
    at
        (2,) source mm.
    width, height
        Of its box on the source, in mm.
    growth, factor
        Of its size and of its contrast on the current.
    prior_factor
        Of its contrast on the prior.
    there
        Whether the current shows it.
    """

    lesion: Lesion | None
    at: np.ndarray
    width: float
    height: float
    growth: float = 1.0
    factor: float = 1.0
    prior_factor: float = 1.0
    there: bool = True

    @property
    def kind(self) -> str:
        """Return "mass", "calcification" or "tissue"."""
        marked = self.lesion is not None and self.lesion.kind != "landmark"
        return self.lesion.kind if marked else "tissue"

    def add(self, image: np.ndarray, grid: np.ndarray, current: bool) -> None:
        """Add it to a sampled patch of the prior or of the current, in place."""
        if self.lesion is None or (current and not self.there):
            return
        change = (self.growth, self.factor) if current else (1.0, self.prior_factor)
        add_lesion(image, grid, self.at, self.lesion, *change)

    def box(self, field: Field, grid: np.ndarray, near: np.ndarray, current: bool) -> np.ndarray:
        """Return its box (4,) on a patch, in mm from the patch's centre; `near` (2,) shows it."""
        if self.kind == "tissue":
            sides = sides_px(grid, self.at, self.width, self.height) * field.patch_mm / len(grid)
            return np.concatenate([near - sides / 2, near + sides / 2])
        return shown_box(field, near, self.at, self.lesion, self.growth if current else 1.0)


def tissue_spread(source: Source, at: np.ndarray, reach: float) -> float:
    """Return the standard deviation of the breast's pixels within `reach` mm of a source point."""
    low = np.maximum(np.floor((at - reach) / source.spacing_mm), 0).astype(int)
    high = np.maximum(np.ceil((at + reach) / source.spacing_mm), 0).astype(int)
    window = np.s_[low[1] : high[1], low[0] : high[0]]
    tissue = source.pixels[window][source.breast[window] > 0]
    return float(tissue.std()) if tissue.size else 0.0


def paste(rng: np.random.Generator, source: Source, at: np.ndarray, d: Difficulty) -> Pasted:
    """Make what is marked at a source point: a lesion or tissue.

    A lesion that stays grows or shrinks by e^N(0, 0.2) and changes its contrast by e^N(0, 0.3).
    """
    width, height = random_size(rng)
    if rng.random() >= d.lesion:
        landmark = rng.random() < d.landmark and max(width, height) < 20
        return Pasted(lone_speck(rng) if landmark else None, at, width, height)
    growth = float(np.clip(np.exp(rng.normal(0, 0.2)), 0.65, 1.6))
    pasted, factor = random_lesion(rng, width, height), float(np.exp(rng.normal(0, 0.3)))
    if rng.random() >= d.vanished:
        return Pasted(pasted, at, width, height, growth, factor)
    least = max(VISIBLE, CLEAR * tissue_spread(source, at, pasted.reach))
    seen = max(1.0, least / pasted.contrast)
    return Pasted(pasted, at, width, height, growth, factor, seen, there=False)


@dataclass(frozen=True, eq=False)
class Scene:
    """One search patch and its templates, ready for the tracking network.

    Attributes
    ----------
    search, templates
        (search_px, search_px, 3) and (t, template_px, template_px, 3).
    search_raw, templates_raw
        What they were made from, intensity and breast: (search_px, search_px, 2) and
        (t, template_px, template_px, 2).
    sizes
        (t, 2) width and height of the lesion on the prior, in template pixels.
    centers, boxes
        (t, 2) and (t, 4) of the lesion in search pixels.
    present
        (t,) 1 where the lesion is in the search patch, else 0.
    kinds
        (t,) 0 for plain tissue, 1 for a pasted lesion.
    """

    search: np.ndarray
    search_raw: np.ndarray
    templates: np.ndarray
    templates_raw: np.ndarray
    sizes: np.ndarray
    centers: np.ndarray
    boxes: np.ndarray
    present: np.ndarray
    kinds: np.ndarray


def make_scene(
    rng: np.random.Generator,
    source: Source,
    others: list[Source],
    settings: Settings,
    difficulty: Difficulty = HARD,
    templates: int = 3,
) -> Scene:
    """Make a scene from one mammogram; `others` lend second layers and absent lesions."""
    d = difficulty
    side, side_mm = settings.search_px, settings.search_mm
    pixel = side_mm / side
    flip = np.diag(rng.choice([-1.0, 1.0], 2))
    common = flip @ random_linear(rng, 1.0) * np.exp(rng.normal(0, 0.10))

    field = Field(
        breast_point(rng, source),
        common @ random_linear(rng, d.warp),
        random_elastic(rng, side, side_mm, d.warp),
        side_mm,
        random_tilt(rng, d.warp),
    )
    grid = field.grid()
    image, breast = (sample(a, grid, source.spacing_mm) for a in (source.pixels, source.breast))

    layer = None
    if rng.random() < d.layer:
        other = others[rng.integers(len(others))]
        layer = (
            other,
            rng.uniform(0.1, 0.5),
            Field(
                breast_point(rng, other),
                random_linear(rng, 3),
                random_elastic(rng, side, side_mm, d.warp),
                side_mm,
            ),
        )
        image = add_layer(image, *layer)
    muscle = muscle_near(rng, field.base) if rng.random() < d.muscle else None
    add_muscle(image, grid, rng, muscle, d)

    inside = cv2.erode(breast, np.ones((9, 9), np.uint8))
    specks = scatter(rng, field) if rng.random() < d.specks else []
    for at, speck in specks:
        add_lesion(image, grid, at, speck)
    lesions: list[tuple[np.ndarray, Pasted, np.ndarray]] = []
    far, reach = rng.random() < d.far, 0.375 * side_mm
    for _ in range(templates):
        for _ in range(30):
            if far:
                angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(6, reach)
                q = distance * np.array([np.cos(angle), np.sin(angle)])
            else:
                q = rng.normal(0, 5, 2).clip(-reach, reach)
            column, row = np.round(q / pixel + side / 2 - 0.5).astype(int)
            if inside[row, column] > 0.5:
                break
        pasted = paste(rng, source, field.at(q)[0], d)
        pasted.add(image, grid, current=True)
        lesions.append((q, pasted, pasted.box(field, grid, q, current=True)))
    if rng.random() < d.distract:
        for _ in range(rng.integers(1, 4)):
            q = rng.uniform(-0.5, 0.5, 2) * side_mm
            size = random_size(rng)
            if min(np.hypot(*(q - lesion[0])) for lesion in lesions) > max(size) / 2 + 6:
                new = lone_speck(rng) if rng.random() < 0.3 else random_lesion(rng, *size)
                add_lesion(image, grid, field.at(q)[0], new)
    if rng.random() < d.edge:
        edge = cut_edges(rng, side, np.array([q / pixel + side / 2 for q, _, _ in lesions]))
        image, breast = image * edge, breast * edge
    clip = None
    if rng.random() < d.clip:
        clip = leave_clip(rng, [pasted for _, pasted, _ in lesions])
    exposed = take(rng, image, breast, d, pixel, clip and clip.shown(field))
    search = network_input(exposed, breast)

    if rng.random() > EARLY_CLIP:
        clip = None
    arrays = [
        make_template(rng, source, others, settings, d, common, lesion, layer, muscle, clip, specks)
        for lesion in lesions
    ]
    stacked = [np.stack(values).astype(np.float32) for values in zip(*arrays, strict=True)]
    return Scene(search, np.stack([exposed, breast], axis=-1), *stacked)


def scatter(rng: np.random.Generator, field: Field) -> list[tuple[np.ndarray, Lesion]]:
    """Scatter 2 to 8 single calcifications in a patch: where in source mm, and what."""
    places = rng.uniform(-0.5, 0.5, (rng.integers(2, 9), 2)) * field.patch_mm
    return [(field.at(place)[0], lone_speck(rng)) for place in places]


def add_muscle(
    image: np.ndarray,
    grid: np.ndarray,
    rng: np.random.Generator,
    muscle: Muscle | None,
    d: Difficulty,
) -> None:
    """Add a muscle to one exam, in place: 7 in 10 show it, each N(0, 5) mm more or less of it."""
    if muscle is not None and rng.random() < 0.7:
        muscle.add(image, grid, rng.normal(0, 5) * d.warp)


@dataclass(frozen=True, eq=False)
class Clip:
    """A biopsy clip: where it lies (2,), and the seed of its shape."""

    at: np.ndarray
    seed: int

    def shown(self, field: Field) -> Clip:
        """Return a clip given in source mm as one in pixels of a patch."""
        side = len(field.elastic)
        p = field.inverse(self.at[None], np.zeros(2))[0]
        return Clip(p * (side / field.patch_mm) + side / 2, self.seed)


def leave_clip(rng: np.random.Generator, lesions: list[Pasted]) -> Clip:
    """Leave a clip near one of the lesions, off by N(0, 3) mm; in source mm."""
    at = lesions[rng.integers(len(lesions))].at + rng.normal(0, 3, 2)
    return Clip(at, int(rng.integers(2**31)))


def take(
    rng: np.random.Generator,
    image: np.ndarray,
    breast: np.ndarray,
    d: Difficulty,
    pixel_mm: float,
    clip: Clip | None,
) -> np.ndarray:
    """Take a mammogram of sampled tissue: skin fold, exposure, background of 0, clip and marker.

    The clip is given in pixels.
    """
    if rng.random() < d.fold:
        image = image.copy()
        add_fold(image, breast, rng, pixel_mm)
    exposed = expose(image, rng, pixel_mm) * (breast > 0.01)
    if clip is not None:
        add_clip(exposed, np.random.default_rng(clip.seed), clip.at, pixel_mm)
    if rng.random() < d.marker:
        add_marker(exposed, breast, rng, pixel_mm)
    return exposed


def centred_on(field: Field, pasted: Pasted) -> Field:
    """Move a prior's patch so that the box around what it shows of a lesion is in its middle.

    A warped box is not centred where the source's box is.
    """
    near = np.zeros(2)
    for _ in range(3):
        x0, y0, x1, y1 = shown_box(field, near, pasted.at, pasted.lesion)
        middle = np.array([x0 + x1, y0 + y1]) / 2
        field = replace(field, base=field.base + field.matrix @ middle)
        near = near - middle
    return field


def make_template(rng, source, others, settings, d, common, lesion, layer, muscle, clip, specks):
    """Make the template of one lesion of a scene; returns `Scene`'s arrays without their axis t."""
    q, pasted, found = lesion
    side, side_mm = settings.template_px, settings.template_mm
    pixel, search_pixel = side_mm / side, settings.search_mm / settings.search_px
    absent = rng.random() < d.absent
    if absent:
        source = others[rng.integers(len(others))]
        layer, muscle, clip, specks = None, None, None, []
        pasted = paste(rng, source, breast_point(rng, source), d)
    elif pasted.lesion is not None and rng.random() < d.depth:
        at = pasted.at + rng.normal(0, DEPTH_MM, 2)
        if sample(source.breast, at[None, None].astype("f4"), source.spacing_mm)[0, 0] > 0.5:
            pasted = replace(pasted, at=at)
    field = Field(
        pasted.at,
        common @ random_linear(rng, d.warp),
        random_elastic(rng, side, side_mm, d.warp),
        side_mm,
        random_tilt(rng, d.warp),
    )
    if pasted.lesion is not None:
        field = centred_on(field, pasted)
    grid = field.grid()
    image, breast = (sample(a, grid, source.spacing_mm) for a in (source.pixels, source.breast))
    if layer is not None:
        other, share, at_current = layer
        moved = Field(
            at_current.at(q)[0] + rng.normal(0, 4, 2) * d.warp,
            at_current.matrix @ random_linear(rng, d.warp),
            random_elastic(rng, side, side_mm, d.warp),
            side_mm,
        )
        image = add_layer(image, other, share, moved)
    add_muscle(image, grid, rng, muscle, d)
    for at, speck in specks:
        add_lesion(image, grid, at, speck)
    pasted.add(image, grid, current=False)
    if rng.random() < d.distract / 2:
        point = rng.uniform(-0.5, 0.5, 2) * side_mm
        size = random_size(rng)
        if np.hypot(*point) > (max(size) + max(pasted.width, pasted.height)) / 2 + 3:
            gone = random_lesion(rng, *size)
            add_lesion(image, grid, field.at(point)[0], gone)
    if rng.random() < d.edge:
        edge = cut_edges(rng, side, np.full((1, 2), side / 2))
        image, breast = image * edge, breast * edge
    near = field.inverse(pasted.at[None], np.zeros(2))[0]
    x0, y0, x1, y1 = pasted.box(field, grid, near, current=False) / pixel
    size = np.array([x1 - x0, y1 - y0])
    box = Box.from_center(side / 2, side / 2, *size)
    exposed = take(rng, image, breast, d, pixel, clip and clip.shown(field))
    template = network_input(exposed, breast, box, settings.template_input)
    raw = np.stack([exposed, breast], axis=-1)

    found = found / search_pixel + settings.search_px / 2
    present = float(pasted.there and not absent)
    kind = float(pasted.kind != "tissue" and not absent)
    return template, raw, size, (found[:2] + found[2:]) / 2, found, present, kind


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
        "mass", "calcification" or "tissue", one for each lesion.
    """

    prior: np.ndarray
    current: np.ndarray
    spacings_mm: tuple[float, float]
    prior_boxes: tuple[Box, ...]
    current_boxes: tuple[Box | None, ...]
    kinds: tuple[str, ...]


def straight_chest_wall(breast: np.ndarray, at_left: bool) -> slice:
    """Return the columns that leave the warped chest wall's edge out, as a detector would."""
    rows = breast[breast.any(axis=1)] > 0
    rows = rows[len(rows) // 5 : -len(rows) // 5]
    edges = (rows if at_left else rows[:, ::-1]).argmax(axis=1)
    cut_off = int(np.percentile(edges, 97))
    return slice(cut_off, None) if at_left else slice(None, breast.shape[1] - cut_off)


@dataclass(frozen=True, eq=False)
class Exam:
    """One exam of a pair while it is made: tissue on a square canvas."""

    field: Field
    grid: np.ndarray
    image: np.ndarray
    breast: np.ndarray
    window: tuple[slice, slice]

    def box(self, pasted: Pasted, near: np.ndarray, current: bool) -> Box | None:
        """Return a box in pixels of the window; None if not inside it and 90 % in the breast."""
        pixel = self.field.patch_mm / len(self.grid)
        box = pasted.box(self.field, self.grid, near, current) / pixel + len(self.grid) / 2
        x0, y0, x1, y1 = box.tolist()
        rows, columns = self.window
        if x0 < columns.start or y0 < rows.start or x1 > columns.stop or y1 > rows.stop:
            return None
        if self.breast[round(y0) : round(y1), round(x0) : round(x1)].mean() < 0.9:
            return None
        return Box(x0 - columns.start, y0 - rows.start, x1 - columns.start, y1 - rows.start)


def depth_mm(source: Source, at_left: bool) -> np.ndarray:
    """Return (rows, columns) float32 mm from the skin; the chest wall does not count as skin."""
    beyond = ((1, 1), (0, 1) if at_left else (1, 0))
    depth = cv2.distanceTransform(np.pad(source.breast.astype(np.uint8), beyond), cv2.DIST_L2, 3)
    depth = depth[1:-1, :-1] if at_left else depth[1:-1, 1:]
    return depth * np.float32(source.spacing_mm)


def place_exam(
    rng: np.random.Generator, source: Source, at_left: bool, layer: tuple, muscle: Muscle | None
) -> Exam:
    """Position and compress a breast, with its second layer (source, share, place, direction).

    Elastic displacements are 0.7 of a patch's and the tilt half of it, with `COMPRESSION` on top:
    tissue should move far, but not fold. Skin stays smooth when it is pressed: towards it a patch's
    displacements shrink to a quarter over 25 mm. One exam in four loses 3 to 15 mm more of the
    chest wall.
    """
    other, share, place, direction = layer
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
    depth = sample(depth_mm(source, at_left), field.grid(), pixel)
    elastic = field.elastic * np.clip(depth / 25, 0.25, 1)[..., None]
    elastic += random_elastic(rng, side, side * pixel, WHOLE.warp, COMPRESSION)
    field = replace(field, elastic=elastic)
    grid = field.grid()
    breast = sample(source.breast, grid, pixel)
    image = add_layer(sample(source.pixels, grid, pixel), other, share, other_field)
    add_muscle(image, grid, rng, muscle, WHOLE)
    wall = straight_chest_wall(breast, at_left)
    start, stop, _ = wall.indices(side)
    if rng.random() < 0.25:
        lost = round(rng.uniform(3, 15) / pixel)
        start, stop = (start + lost, stop) if at_left else (start, stop - lost)
    shown = np.flatnonzero(breast.any(axis=1))
    top = max(0, shown[0] - round(rng.uniform(0, 15) / pixel))
    bottom = min(side, shown[-1] + 1 + round(rng.uniform(0, 15) / pixel))
    return Exam(field, grid, image * breast, breast, np.s_[int(top) : int(bottom), start:stop])


def make_pair(
    rng: np.random.Generator, source: Source, others: list[Source], lesions: int = 4
) -> Pair:
    """Make a whole pair of the hard kind from one mammogram, with up to so many marked lesions.

    Half of the exams keep the source's pixel size, the others get 1 to 1.4 times of it. Half of
    the pairs are mirrored.
    """
    if rng.random() < 0.5:
        mirrored = (np.ascontiguousarray(a[:, ::-1]) for a in (source.pixels, source.breast))
        source = replace(source, **dict(zip(("pixels", "breast"), mirrored, strict=True)))
    d, pixel = WHOLE, source.spacing_mm
    at_left = source.breast[:, 0].sum() > source.breast[:, -1].sum()
    other = others[rng.integers(len(others))]
    middle = np.array(other.pixels.shape[::-1]) * other.spacing_mm / 2
    layer = other, rng.uniform(0, 0.35), middle + rng.uniform(-20, 20, 2), random_linear(rng, 3)
    muscle = muscle_in_corner(rng, source, at_left) if rng.random() < d.muscle else None
    exams = [place_exam(rng, source, at_left, layer, muscle) for _ in range(2)]
    prior, current = exams
    side = len(prior.grid)

    spots = np.argwhere(prior.breast > 0.5)
    marked: list[tuple[Pasted, Box, Box]] = []
    new: list[Box] = []
    wanted_new = int(rng.integers(1, 4)) if rng.random() < d.distract else 0
    for _ in range(50 * lesions):
        if len(marked) == lesions and len(new) == wanted_new:
            break
        p = (spots[rng.integers(len(spots))][::-1] + 0.5 - side / 2) * pixel
        is_new = len(marked) == lesions
        marks = replace(d, lesion=1.0, vanished=0.0) if is_new else d
        pasted = paste(rng, source, prior.field.at(p)[0], marks)
        q = current.field.inverse(pasted.at[None], p)[0]
        if np.hypot(*(current.field.at(q)[0] - pasted.at)) > 0.05:
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
            pasted.add(current.image, current.grid, current=True)
            new.append(after)
            continue
        pasted.add(prior.image, prior.grid, current=False)
        pasted.add(current.image, current.grid, current=True)
        marked.append((pasted, before, after))

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
        image = take(rng, image * breast, breast, d, pixel, left)
        factor = 1.0 if rng.random() < 0.5 else rng.uniform(1, 1.4)
        size = np.array([round(length / factor) for length in image.shape[::-1]])
        scales.append(size / image.shape[::-1])
        images.append(cv2.resize(image, size.tolist(), interpolation=cv2.INTER_AREA))
        spacings.append(pixel / float(scales[-1].mean()))
    return Pair(
        *images,
        tuple(spacings),
        tuple(scaled(box, scales[0]) for _, box, _ in marked),
        tuple(scaled(box, scales[1]) if pasted.there else None for pasted, _, box in marked),
        tuple(pasted.kind for pasted, _, _ in marked),
    )


def scaled(box: Box, scale: np.ndarray) -> Box:
    """Multiply a box's coordinates by factors (2,) of x and y."""
    return Box(*(np.array(box.as_tuple()) * np.tile(scale, 2)).tolist())

"""Synthetic temporal pairs: two independently deformed and exposed versions of one mammogram.

A scene is one search patch with several templates, so that its features are computed once. All
fields map a patch's millimetres to the source's, so that a lesion pasted at a source point lands
where the tissue goes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from MammoTrackerLib.box import Box
from MammoTrackerLib.patches import network_input
from MammoTrackerLib.settings import Settings

from .sources import SPACING_MM, Source


@dataclass(frozen=True)
class Difficulty:
    """How much changes between two exams; every probability is per patch or lesion.

    Attributes
    ----------
    warp
        Factor on affine and elastic deformations.
    far
        Share of search patches whose centre is 6 to 20 mm off, not 5 mm per axis.
    layer, edge, distract
        Probability of a second tissue layer, of an image edge, of a distractor in one patch only.
    lesion
        Probability that the box holds a pasted mass or cluster; else it is plain tissue.
    absent
        Probability that the template comes from another mammogram.
    """

    warp: float = 1.0
    far: float = 0.2
    layer: float = 0.6
    edge: float = 0.35
    distract: float = 0.5
    lesion: float = 0.4
    absent: float = 0.08


EASY = Difficulty(warp=0.6, far=0.1, layer=0.0, edge=0.1, distract=0.0, absent=0.0)
HARD = Difficulty()
ELASTIC = ((55.0, 2.4), (25.0, 0.8), (12.0, 0.25))


@dataclass(frozen=True, eq=False)
class Field:
    """A patch's map to source millimetres: base + matrix @ p + elastic(p)."""

    base: np.ndarray
    matrix: np.ndarray
    elastic: np.ndarray
    patch_mm: float

    def grid(self) -> np.ndarray:
        """Return (side, side, 2) source millimetres of every patch pixel."""
        side = self.elastic.shape[0]
        p = ((np.arange(side, dtype=np.float32) + 0.5) / side - 0.5) * self.patch_mm
        x, y = p[None, :, None], p[:, None, None]
        matrix = self.matrix.astype(np.float32)
        return self.base.astype(np.float32) + x * matrix[:, 0] + y * matrix[:, 1] + self.elastic

    def at(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the source point (2,) and the Jacobian (2, 2) at a patch point in mm."""
        side = self.elastic.shape[0]
        pixel = self.patch_mm / side
        j, i = np.clip(np.round(point / pixel + side / 2 - 0.5).astype(int), 1, side - 2)
        e = self.elastic
        gradient = np.stack([e[i, j + 1] - e[i, j - 1], e[i + 1, j] - e[i - 1, j]], 1) / (2 * pixel)
        on_grid = (np.array([j, i]) + 0.5 - side / 2) * pixel
        elastic = e[i, j] + gradient @ (point - on_grid)
        return self.base + self.matrix @ point + elastic, self.matrix + gradient


def random_linear(rng: np.random.Generator, warp: float) -> np.ndarray:
    """Scale e^N(0, 0.07), rotation N(0, 0.10), shear N(0, 0.06)."""
    angle, shear = rng.normal(0, 0.10) * warp, rng.normal(0, 0.06) * warp
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    scale = np.exp(rng.normal(0, 0.07) * warp + rng.normal(0, 0.03, 2) * warp)
    return rotation @ np.array([[scale[0], shear], [0, scale[1]]])


def random_elastic(rng: np.random.Generator, side: int, patch_mm: float, warp: float) -> np.ndarray:
    """Return (side, side, 2) smooth displacements in mm, zero at the patch's centre."""
    small = side // 4
    field = np.zeros((small, small, 2), np.float32)
    strength = rng.uniform(0.3, 1.6) * warp
    for wavelength, amplitude in ELASTIC:
        knots = int(np.ceil(2 * patch_mm / wavelength)) + 4
        coarse = rng.normal(0, amplitude * strength, (knots, knots, 2)).astype(np.float32)
        # A window of patch_mm out of the knots' grid, at a random place between two knots.
        per_px = 2 * patch_mm / wavelength / small
        start = 1 + rng.uniform(0, 1, 2)
        affine = np.array([[per_px, 0, start[0]], [0, per_px, start[1]]])
        field += cv2.warpAffine(
            coarse, affine, (small, small), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT,
        )  # fmt: skip
    field = cv2.resize(field, (side, side), interpolation=cv2.INTER_CUBIC)
    return field - field[side // 2, side // 2]


def sample(image: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Read an image of 0.2 mm pixels at source millimetres; 0 outside."""
    where = grid / SPACING_MM - 0.5
    return cv2.remap(image, where[..., 0], where[..., 1], cv2.INTER_LINEAR)


def add_layer(image: np.ndarray, other: Source, share: float, field: Field) -> np.ndarray:
    """Mix another mammogram's tissue into a patch; its outside is filled with its mean."""
    grid = field.grid()
    pixels, breast = sample(other.pixels, grid), sample(other.breast, grid)
    mean = (pixels * breast).sum() / max(breast.sum(), 1)
    return (1 - share) * image + share * (pixels + mean * (1 - breast))


def random_lesion(
    rng: np.random.Generator, width: float, height: float
) -> Callable[[np.ndarray, float], np.ndarray]:
    """Make a mass or a cluster that fills a box of this size in mm.

    Returns
    -------
    callable
        (offsets (..., 2) in mm from its centre, contrast factor) -> added intensity (...).
    """
    if rng.random() < 0.55:
        order = np.arange(2, 9)
        wobble = rng.normal(0, rng.uniform(0.02, 0.25), len(order)) / order**0.7
        phase = rng.uniform(0, 2 * np.pi, len(order))
        edge, contrast = rng.uniform(0.05, 0.7), np.exp(rng.uniform(np.log(0.04), np.log(0.3)))
        spicules = rng.uniform(0, 0.4) * (rng.random() < 0.4)
        spokes, turn = rng.integers(7, 22), rng.uniform(0, 2 * np.pi)

        def mass(offset: np.ndarray, factor: float) -> np.ndarray:
            x, y = offset[..., 0] / (width / 2), offset[..., 1] / (height / 2)
            radius, angle = np.hypot(x, y), np.arctan2(y, x)
            border = 0.8 + (wobble * np.cos(order * angle[..., None] + phase)).sum(-1)
            border = border + spicules * np.abs(np.cos(spokes / 2 * angle + turn)) ** 6
            body = 1 / (1 + np.exp(np.clip((radius - border) / (edge * 0.3), -30, 30)))
            return (contrast * factor * body * (1.2 - 0.4 * np.minimum(radius, 1))).astype("f4")

        return mass
    count = rng.integers(1, 25)
    places = rng.normal(0, 0.4, (count, 2)).clip(-0.95, 0.95) * [width / 2, height / 2]
    sizes = np.exp(rng.normal(np.log(0.22), 0.35, count))
    contrasts = rng.uniform(0.1, 0.7, count) * rng.uniform(0.4, 1.2)

    def cluster(offset: np.ndarray, factor: float) -> np.ndarray:
        result = np.zeros(offset.shape[:-1], np.float32)
        for place, size, contrast in zip(places, sizes, contrasts, strict=True):
            squared = ((offset - place.astype("f4")) ** 2).sum(-1)
            near = squared < (4 * size) ** 2
            result[near] += contrast * factor * np.exp(-squared[near] / (2 * size**2))
        return result

    return cluster


def add_lesion(image: np.ndarray, grid: np.ndarray, at: np.ndarray, lesion, size: float,
               growth: float = 1.0, factor: float = 1.0) -> None:  # fmt: skip
    """Add a lesion at a source point to a sampled patch, in place; size is its reach in mm."""
    reach = size * growth
    near = np.abs(grid[..., 0] - at[0]) < reach
    near &= np.abs(grid[..., 1] - at[1]) < reach
    rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
    if rows.size and columns.size:
        window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        image[window] += lesion((grid[window] - at.astype("f4")) / growth, factor)


def cut_edges(rng: np.random.Generator, side: int, keep: np.ndarray) -> np.ndarray:
    """Return (side, side) float32, 0 beyond a random straight image edge, 1 at `keep` (n, 2) px."""
    angle = rng.integers(4) * np.pi / 2 + rng.normal(0, 0.1)
    normal = np.array([np.cos(angle), np.sin(angle)])
    limit = (keep @ normal).max() + abs(rng.normal(0, 0.25)) * side + 2
    x, y = np.meshgrid(np.arange(side, dtype=np.float32), np.arange(side, dtype=np.float32))
    return (x * normal[0] + y * normal[1] < limit).astype(np.float32)


def expose(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change gamma, window, sharpness, shading and noise of a patch."""
    low, high = image.min(), image.max()
    x = np.clip((image - low) / max(high - low, 1e-3), 0, 1) ** np.exp(rng.normal(0, 0.3))
    blur = rng.uniform(-0.8, 1.0)
    if blur > 0.2:
        x = cv2.GaussianBlur(x, (0, 0), blur)
    elif blur < -0.2:
        x = x - blur * (x - cv2.GaussianBlur(x, (0, 0), rng.uniform(0.8, 3)))
    shade = cv2.resize(rng.normal(0, 0.05, (3, 3)).astype(np.float32), x.shape[::-1], None, 0, 0,
                       cv2.INTER_CUBIC)  # fmt: skip
    noise = rng.normal(0, 1, x.shape).astype(np.float32)
    if rng.random() < 0.5:
        noise = cv2.GaussianBlur(noise, (0, 0), 0.7) * 2
    x = x + shade + noise * rng.uniform(0, 0.03)
    window = rng.uniform(-0.1, 0.1), rng.uniform(0.85, 1.3)
    return np.clip(x, window[0], window[1]).astype(np.float32)


def sides_px(grid: np.ndarray, at: np.ndarray, width: float, height: float) -> np.ndarray:
    """Return the sides (2,) in patch pixels of what shows a source ellipse of this size in mm.

    Measured on the pixels, since a warp is not linear over a lesion: an ellipse's standard
    deviation is a quarter of its side.
    """
    offset = (grid - at.astype("f4")) / np.array([width / 2, height / 2], np.float32)
    rows, columns = np.nonzero((offset**2).sum(-1) < 1)
    return 4 * np.array([columns.std(), rows.std()])


def random_size(rng: np.random.Generator) -> tuple[float, float]:
    """Width and height in mm: half squares of 9 to 18 mm, half 5 to 40 mm of any aspect."""
    if rng.random() < 0.5:
        side = rng.uniform(9, 18)
        return side, side
    side, aspect = np.exp(rng.uniform(np.log(5), np.log(40))), np.exp(rng.normal(0, 0.25) / 2)
    return side * aspect, side / aspect


def breast_point(rng: np.random.Generator, source: Source) -> np.ndarray:
    """Return a random point of the breast, in source mm."""
    inner = cv2.erode(source.breast, np.ones((25, 25), np.uint8), borderValue=1)
    rows, columns = np.nonzero(inner if inner.any() else source.breast)
    k = rng.integers(len(rows))
    return (np.array([columns[k], rows[k]]) + 0.5) * SPACING_MM


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

    search_field = Field(
        breast_point(rng, source),
        common @ random_linear(rng, d.warp),
        random_elastic(rng, side, side_mm, d.warp),
        side_mm,
    )
    grid = search_field.grid()
    image, breast = sample(source.pixels, grid), sample(source.breast, grid)

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

    inside = cv2.erode(breast, np.ones((9, 9), np.uint8))
    lesions, kept = [], []
    far = rng.random() < d.far
    for _ in range(templates):
        for _ in range(30):
            if far:
                angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(6, 20)
                q = distance * np.array([np.cos(angle), np.sin(angle)])
            else:
                q = rng.normal(0, 5, 2)
            column, row = np.round(q / pixel + side / 2 - 0.5).astype(int)
            if inside[row, column] > 0.5:
                break
        at, _ = search_field.at(q)
        width, height = random_size(rng)
        pasted = None  # or its look, its growth, its change of contrast
        if rng.random() < d.lesion:
            growth = float(np.clip(np.exp(rng.normal(0, 0.2)), 0.65, 1.6))
            pasted = random_lesion(rng, width, height), growth, np.exp(rng.normal(0, 0.3))
            add_lesion(image, grid, at, pasted[0], max(width, height), growth, pasted[2])
        growth = pasted[1] if pasted else 1.0
        sides = sides_px(grid, at, width * growth, height * growth)
        lesions.append((q, at, sides, width, height, pasted))
        kept.append(q / pixel + side / 2)
    if rng.random() < d.distract:
        for _ in range(rng.integers(1, 4)):
            q = rng.uniform(-0.5, 0.5, 2) * side_mm
            size = random_size(rng)
            if min(np.hypot(*(q - lesion[0])) for lesion in lesions) > max(size) / 2 + 6:
                add_lesion(image, grid, search_field.at(q)[0], random_lesion(rng, *size), max(size))
    if rng.random() < d.edge:
        edge = cut_edges(rng, side, np.array(kept))
        image, breast = image * edge, breast * edge
    exposed = expose(image, rng) * (breast > 0.01)
    search = network_input(exposed, breast)

    arrays = [
        make_template(rng, source, others, settings, d, common, lesion, layer) for lesion in lesions
    ]
    stacked = [np.stack(values).astype(np.float32) for values in zip(*arrays, strict=True)]
    return Scene(search, np.stack([exposed, breast], axis=-1), *stacked)


def make_template(rng, source, others, settings, d, common, lesion, layer):
    """Make the template of one lesion of a scene; returns `Scene`'s arrays without their axis t."""
    q, at, sides, width, height, pasted = lesion
    side, side_mm = settings.template_px, settings.template_mm
    search_pixel = settings.search_mm / settings.search_px
    absent = rng.random() < d.absent
    if absent:
        source = others[rng.integers(len(others))]
        at, layer, pasted = breast_point(rng, source), None, None
    field = Field(
        at, common @ random_linear(rng, d.warp), random_elastic(rng, side, side_mm, d.warp), side_mm
    )
    grid = field.grid()
    image, breast = sample(source.pixels, grid), sample(source.breast, grid)
    if layer is not None:
        other, share, at_current = layer
        moved = Field(
            at_current.at(q)[0] + rng.normal(0, 4, 2) * d.warp,
            at_current.matrix @ random_linear(rng, d.warp),
            random_elastic(rng, side, side_mm, d.warp),
            side_mm,
        )
        image = add_layer(image, other, share, moved)
    if pasted is not None:
        add_lesion(image, grid, at, pasted[0], max(width, height))
    elif absent and rng.random() < d.lesion:
        add_lesion(image, grid, at, random_lesion(rng, width, height), max(width, height))
    if rng.random() < d.distract / 2:
        point = rng.uniform(-0.5, 0.5, 2) * side_mm
        size = random_size(rng)
        if np.hypot(*point) > (max(size) + max(width, height)) / 2 + 3:
            add_lesion(image, grid, field.at(point)[0], random_lesion(rng, *size), max(size))
    if rng.random() < d.edge:
        edge = cut_edges(rng, side, np.full((1, 2), side / 2))
        image, breast = image * edge, breast * edge
    size = sides_px(grid, at, width, height)
    box = Box.from_center(side / 2, side / 2, *size)
    exposed = expose(image, rng) * (breast > 0.01)
    template = network_input(exposed, breast, box)
    raw = np.stack([exposed, breast], axis=-1)

    center = q / search_pixel + settings.search_px / 2
    found = Box.from_center(*center, *sides)
    present, pasted = float(not absent), float(pasted is not None)
    return template, raw, size, center, found.as_tuple(), present, pasted


@dataclass(frozen=True, eq=False)
class Pair:
    """A whole prior and current mammogram with the truth, for measuring.

    Attributes
    ----------
    prior, current
        (rows, columns) float32, 0 to 1, at 0.2 mm.
    prior_boxes, current_boxes
        Of the lesions that are there on both, in pixels.
    kinds
        "mass", "calcification" or "tissue", one for each lesion.
    """

    prior: np.ndarray
    current: np.ndarray
    prior_boxes: tuple[Box, ...]
    current_boxes: tuple[Box, ...]
    kinds: tuple[str, ...]


def straight_chest_wall(breast: np.ndarray, at_left: bool) -> slice:
    """Return the columns that leave the warped chest wall's edge out, as a detector would."""
    rows = breast[len(breast) // 4 : -len(breast) // 4] > 0
    rows = rows[rows.any(axis=1)]
    edges = (rows if at_left else rows[:, ::-1]).argmax(axis=1)
    cut_off = int(np.percentile(edges, 80))
    return slice(cut_off, None) if at_left else slice(None, breast.shape[1] - cut_off)


def make_pair(
    rng: np.random.Generator, source: Source, others: list[Source], lesions: int = 4
) -> Pair:
    """Make a whole pair of the hard kind from one mammogram."""
    rows, columns = source.pixels.shape
    side = 4 * int(np.ceil(max(rows, columns) * 1.05 / 4))
    side_mm = side * SPACING_MM
    middle = np.array([columns, rows]) * SPACING_MM / 2
    fields, images, breasts = [], [], []
    layer_at = rng.uniform(-20, 20, 2)
    other, share = others[rng.integers(len(others))], rng.uniform(0, 0.35)
    turn = random_linear(rng, 3)
    for _ in range(2):
        field = Field(
            middle + rng.normal(0, 6, 2),
            random_linear(rng, 1.0),
            random_elastic(rng, side, side_mm, 1.0),
            side_mm,
        )
        layer = Field(
            layer_at + rng.normal(0, 3, 2) + np.array(other.pixels.shape[::-1]) * SPACING_MM / 2,
            turn @ random_linear(rng, 1.0),
            random_elastic(rng, side, side_mm, 1.0),
            side_mm,
        )
        grid = field.grid()
        breast = sample(source.breast, grid)
        fields.append((field, grid))
        breasts.append(breast)
        images.append(add_layer(sample(source.pixels, grid), other, share, layer) * breast)

    at_left = source.breast[:, 0].sum() > source.breast[:, -1].sum()
    crops = [straight_chest_wall(breast, at_left) for breast in breasts]
    starts = [crop.indices(side)[0] for crop in crops]
    stops = [crop.indices(side)[1] for crop in crops]
    inside = cv2.erode(breasts[0], np.ones((25, 25), np.uint8))
    spots = np.argwhere(inside > 0.5)
    boxes: list[tuple[Box, Box, str]] = []
    for _ in range(50 * lesions):
        if len(boxes) == lesions:
            break
        row, column = spots[rng.integers(len(spots))]
        p = (np.array([column, row]) + 0.5 - side / 2) * SPACING_MM
        at, _ = fields[0][0].at(p)
        q = p.copy()
        for _ in range(30):
            there, jacobian = fields[1][0].at(q)
            q = q - np.linalg.solve(jacobian, there - at)
        width, height = random_size(rng)
        shown = np.abs([p, q]).max() + max(width, height) < side_mm / 2
        if not shown or np.hypot(*(fields[1][0].at(q)[0] - at)) > 0.05:
            continue
        kind, growth = "tissue", 1.0
        if rng.random() < 0.6:
            growth = float(np.clip(np.exp(rng.normal(0, 0.2)), 0.65, 1.6))
            lesion = random_lesion(rng, width, height)
            kind = {"mass": "mass", "cluster": "calcification"}[lesion.__name__]
        pair_of_boxes = [
            Box.from_center(
                *(point / SPACING_MM + side / 2 - (start, 0)),
                *sides_px(grid, at, width * scale, height * scale),
            )
            for point, start, (_, grid), scale in zip(
                (p, q), starts, fields, (1.0, growth), strict=True
            )
        ]
        if any(
            min(b.x0, b.y0) < 0 or b.x1 > stop - start or b.y1 > side
            for b, start, stop in zip(pair_of_boxes, starts, stops, strict=True)
        ):
            continue
        if any(b.iou(pair_of_boxes[0]) > 0 for b, _, _ in boxes):
            continue
        if kind != "tissue":
            reach, factor = max(width, height), np.exp(rng.normal(0, 0.3))
            add_lesion(images[0], fields[0][1], at, lesion, reach)
            add_lesion(images[1], fields[1][1], at, lesion, reach, growth, factor)
        boxes.append((*pair_of_boxes, kind))
    prior, current = (
        (expose(image, rng) * (breast > 0.01))[:, crop]
        for image, breast, crop in zip(images, breasts, crops, strict=True)
    )
    priors, currents, kinds = zip(*boxes, strict=True)
    return Pair(prior, current, priors, currents, kinds)

"""Masses and calcification clusters to paste into mammograms, and their true boxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .changes import Field

ANGLES = 720
"""Steps of the tables that hold a mass's border."""
HALF_WIDTH = float(np.sqrt(2 * np.log(2)))
"""Where a Gaussian of unit deviation has half its height."""


@dataclass(frozen=True, eq=False)
class Lesion:
    """A lesion of known size around its centre.

    Attributes
    ----------
    kind
        "mass", "calcification" or "landmark".
    outline
        (n, 2) points in mm where a mass, or each speck of a cluster, has half its contrast. Their
        bounding box is the lesion's, centred on it.
    reach
        How far from the centre anything of it is seen, in mm.
    contrast
        Its highest added intensity.
    added
        Offsets (..., 2) in mm from its centre -> added intensity (...).
    """

    kind: str
    outline: np.ndarray
    reach: float
    contrast: float
    added: Callable[[np.ndarray], np.ndarray]

    def __call__(self, offset: np.ndarray, factor: float) -> np.ndarray:
        """Return the intensity (...) float32 that it adds, times a factor, at offsets (..., 2)."""
        return np.float32(factor) * self.added(offset)


def random_lesion(rng: np.random.Generator, width: float, height: float) -> Lesion:
    """Make a mass (55 %) or a cluster whose visible extent is a box of this size in mm."""
    make = random_mass if rng.random() < 0.55 else random_cluster
    return make(rng, width, height)


def random_mass(rng: np.random.Generator, width: float, height: float) -> Lesion:
    """Make a mass: round to lobulated, circumscribed to ill-defined, 4 in 10 of them spiculated.

    Its contrast is 0.06 to 0.3 of the breast's range. Spicules are thinner and fainter than half
    of the mass and do not count for its box.
    """
    order = np.arange(2, 9)
    wobble = rng.normal(0, rng.uniform(0.02, 0.25), len(order)) / order**0.7
    phase = rng.uniform(0, 2 * np.pi, len(order))
    edge, contrast = 0.3 * rng.uniform(0.05, 0.7), np.exp(rng.uniform(np.log(0.06), np.log(0.3)))

    angle = np.arange(ANGLES) * (2 * np.pi / ANGLES)
    border = np.maximum(1 + (wobble * np.cos(order * angle[:, None] + phase)).sum(1), 0.35)
    u = np.linspace(0, 3, 601)
    profile = (1.2 - 0.4 * np.minimum(u, 1)) / (1 + np.exp(np.minimum((u - 1) / edge, 50)))
    profile = profile / profile[0]
    half = u[np.argmax(profile < 0.5)]
    unit = (half * border)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    low, high = unit.min(axis=0), unit.max(axis=0)
    middle, scale = (low + high) / 2, (high - low) / np.array([width, height])

    spikes, lengths = np.zeros((2, ANGLES))
    if rng.random() < 0.4:
        thin = max(0.03, 0.5 / min(width, height))
        for direction in rng.uniform(0, 2 * np.pi, rng.integers(8, 26)):
            away = np.abs((angle - direction + np.pi) % (2 * np.pi) - np.pi)
            spike = rng.uniform(0.15, 0.48) * np.exp(-((away / thin) ** 2) / 2)
            lengths = np.where(spike > spikes, rng.uniform(0.3, 0.9), lengths)
            spikes = np.maximum(spikes, spike)
    tables = [t.astype(np.float32) for t in (border, profile, spikes, lengths)]
    spiculated = spikes.any()

    def added(offset: np.ndarray) -> np.ndarray:
        border, profile, spikes, lengths = tables
        x = offset[..., 0] * np.float32(scale[0]) + np.float32(middle[0])
        y = offset[..., 1] * np.float32(scale[1]) + np.float32(middle[1])
        turn = (np.arctan2(y, x) * np.float32(ANGLES / (2 * np.pi))).round().astype(int) % ANGLES
        radius = np.hypot(x, y) / border[turn]
        value = profile[np.minimum((radius * 200).round().astype(int), 600)]
        if spiculated:
            fade = 1 - (radius - 0.7) / (lengths[turn] + 0.3)
            value = np.maximum(value, spikes[turn] * np.clip(fade, 0, 1))
        return np.float32(contrast) * value

    outline = (unit - middle) / scale
    far = 1 + 3 * edge + (lengths.max() if spiculated else 0)
    reach = min(3.0, far) / half * np.abs(outline).max()
    return Lesion("mass", outline[:: ANGLES // 60], float(reach), float(contrast), added)


def random_cluster(rng: np.random.Generator, width: float, height: float) -> Lesion:
    """Make a cluster of 4 to 30 specks of about 0.5 mm (full width at half maximum 0.3 to 1).

    The brightest adds 0.2 to 0.8 of the breast's range, the faintest 40 % of that.
    """
    count = rng.integers(4, 31)
    sizes = np.exp(rng.normal(np.log(0.2), 0.3, count)).clip(0.15, 0.42)
    brightest = np.exp(rng.uniform(np.log(0.2), np.log(0.8)))
    heights = brightest * rng.uniform(0.4, 1, count)
    places = rng.normal(0, 1, (count, 2))
    half = HALF_WIDTH * sizes[:, None]
    # The specks' own sizes do not scale with their distances: a few rounds bring both together.
    inner = np.array([width, height]) - 2 * half.mean()
    for _ in range(6):
        low, high = (places - half).min(axis=0), (places + half).max(axis=0)
        places = (places - (low + high) / 2) * inner / (high - low - 2 * half.mean())
    return _specks("calcification", places, sizes, heights)


def lone_speck(rng: np.random.Generator) -> Lesion:
    """Make one calcification of about 0.5 mm, a landmark in the middle of a box around it."""
    size, height = rng.uniform(0.15, 0.3), np.exp(rng.uniform(np.log(0.15), np.log(0.7)))
    return _specks("landmark", np.zeros((1, 2)), np.array([size]), np.array([height]))


def _specks(kind: str, places: np.ndarray, sizes: np.ndarray, heights: np.ndarray) -> Lesion:
    """Make a lesion of Gaussian specks at places (n, 2) in mm of deviations and heights (n,)."""
    angle = np.arange(8) * (np.pi / 4)
    circle = HALF_WIDTH * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    outline = (places[:, None] + sizes[:, None, None] * circle).reshape(-1, 2)
    specks = list(zip(places.astype("f4"), sizes, heights, strict=True))

    def added(offset: np.ndarray) -> np.ndarray:
        result = np.zeros(offset.shape[:-1], np.float32)
        x, y = np.ascontiguousarray(offset[..., 0]), np.ascontiguousarray(offset[..., 1])
        for place, size, height in specks:
            squared = (x - place[0]) ** 2 + (y - place[1]) ** 2
            near = squared < (4 * size) ** 2
            result[near] += height * np.exp(-squared[near] / (2 * size**2))
        return result

    reach = np.abs(places).max() + 4 * sizes.max()
    return Lesion(kind, outline, float(reach), float(heights.max()), added)


def _window(grid: np.ndarray, at: np.ndarray, reach: float) -> tuple[slice, slice]:
    """Return the rows and columns of a patch that hold all within `reach` mm of a source point."""
    coarse = np.abs(grid[::4, ::4] - at.astype("f4")).max(axis=-1)
    # Between two of the coarse points the grid moves by a few of its pixels at most.
    step = np.abs(grid[0, 0] - grid[-1, -1]).max() / len(grid)
    near = coarse < reach + 6 * step
    rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    if not rows.size:
        return np.s_[0:0, 0:0]
    return np.s_[4 * rows[0] : 4 * rows[-1] + 4, 4 * columns[0] : 4 * columns[-1] + 4]


def add_lesion(
    image: np.ndarray,
    grid: np.ndarray,
    at: np.ndarray,
    lesion: Lesion,
    growth: float = 1.0,
    factor: float = 1.0,
) -> None:
    """Add a lesion at a source point to a sampled patch, in place."""
    window = _window(grid, at, lesion.reach * growth)
    offset = (grid[window] - at.astype("f4")) / np.float32(growth)
    if offset.size:
        image[window] += lesion(offset, factor)


def sides_px(grid: np.ndarray, at: np.ndarray, width: float, height: float) -> np.ndarray:
    """Return the sides (2,) in patch pixels of what shows a source ellipse of this size in mm.

    Measured on the pixels, since a warp is not linear over a lesion: an ellipse's standard
    deviation is a quarter of its side.
    """
    window = _window(grid, at, max(width, height) / 2)
    offset = (grid[window] - at.astype("f4")) / np.array([width / 2, height / 2], np.float32)
    rows, columns = np.nonzero((offset**2).sum(-1) < 1)
    return 4 * np.array([columns.std(), rows.std()])


def shown_box(
    field: Field, near: np.ndarray, at: np.ndarray, lesion: Lesion, growth: float = 1.0
) -> np.ndarray:
    """Return the box (4,) x0, y0, x1, y1 of a lesion's outline, in patch mm from its centre.

    Parameters
    ----------
    field
        The patch's.
    near
        (2,) patch point in mm that shows about the lesion's centre.
    at
        (2,) the lesion's centre in source mm.
    """
    points = field.inverse(at + growth * lesion.outline, near)
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def random_size(rng: np.random.Generator) -> tuple[float, float]:
    """Width and height in mm: half squares of 9 to 18 mm, half 5 to 40 mm of any aspect."""
    if rng.random() < 0.5:
        side = rng.uniform(9, 18)
        return side, side
    side, aspect = np.exp(rng.uniform(np.log(5), np.log(40))), np.exp(rng.normal(0, 0.25) / 2)
    return side * aspect, side / aspect

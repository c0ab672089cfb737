"""Tissue in layers that slide over each other, as where a breast is rolled between two exams.

A mammogram is a projection: what lies on one ray at the prior is spread on the current. An image
is split into layers that sum to it, each structure in one of them, and each layer moves on its
own. Widths, gains and depths were tried on real pairs, where the tissue moves as far.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from .changes import Field, sample
from .pasted import Pasted
from .sources import Source

COARSE_MM = 0.8
"""Pixel size of all that is smooth."""
OPENING_MM, ENVELOPE_MM, STILL_MM, STRUCTURE_MM, TENSOR_MM = 6.6, 1.5, 10.0, 0.5, 1.6
"""Width of the lower envelope's opening; deviations of its blur, of the blur of it that stays, of
structures of about 1 mm, and of the structure tensor."""
FINE, STRUCTURES, GLAND = (12.0, 2.5), (14.0, 4.0), (25.0, 3.0)
"""Distance of the knots in mm, and gain, of the fields that share each band among the layers."""
DIRECTION_GAIN = 3.0
DEPTH_NOISE = 0.12
SLIDE_MM = (0.5, 5.0)
"""How far the outermost layers move against the middle."""
TURN, WAVE_MM, WAVE, FADE_MM = np.radians(20), 60.0, 0.2, 15.0
"""Largest angle of the movement with the image's y axis; how it changes from place to place; over
what distance from the skin it rises from 0."""
MM_PER_DEGREE = 0.42
"""What a roll by a degree moves the outermost layers, measured on a compressed breast phantom: the
tissue on one ray is spread by 2.8 mm (rms) at 9 degrees, by 1.3 mm at 4."""


@dataclass(frozen=True, eq=False)
class Layers:
    """A source's tissue in layers, and how they move from the prior to the current.

    Attributes
    ----------
    still
        (rows, columns) what stays where it is.
    parts
        (k, rows, columns); with `still` they sum to the source's pixels.
    depths
        (k,) about -1 to 1.
    movement
        (rows, columns, 2) in source mm, by which a layer at depth 1 moves back, in pixels of
        `coarse_mm`.
    spacing_mm, coarse_mm
        Of the source's and the movement's pixels.
    prior_share
        How much of the movement is the prior's, 0 to 1; the rest is the current's.
    """

    still: np.ndarray
    parts: np.ndarray
    depths: np.ndarray
    movement: np.ndarray
    spacing_mm: float
    coarse_mm: float
    prior_share: float

    def _factor(self, number: int, current: bool) -> np.float32:
        """Return by how much of the movement a layer is off its place on an exam."""
        return np.float32(self.depths[number] * (self.prior_share - current))

    def fields(self, field: Field, current: bool) -> list[Field]:
        """Return each layer's field on an exam, on which the tissue that stays has this one."""
        moved = sample(self.movement, field.grid(), self.coarse_mm)
        factors = (self._factor(k, current) for k in range(len(self.parts)))
        return [replace(field, elastic=field.elastic - factor * moved) for factor in factors]

    def centred(self, field: Field, number: int, current: bool) -> Field:
        """Move a patch so that its middle shows its base (2,) in one of the layers."""
        base = field.base
        for _ in range(6):
            moved = sample(self.movement, base[None, None].astype("f4"), self.coarse_mm)[0, 0]
            base = field.base + self._factor(number, current) * moved
        return replace(field, base=base)

    def sample(self, field: Field, grids: list[np.ndarray]) -> np.ndarray:
        """Read the sum of the layers, each at its own grid of `fields`."""
        image = sample(self.still, field.grid(), self.spacing_mm)
        for part, grid in zip(self.parts, grids, strict=True):
            where = grid / np.float32(self.spacing_mm) - np.float32(0.5)
            # Beyond the chest wall a layer goes on: else one that moves there would leave a gap.
            image += cv2.remap(part, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return image

    def strongest(self, at: np.ndarray, side_mm: float) -> int:
        """Return which layer shows most in a square around a source point (2,) in mm."""
        return int(self.contrasts(at, side_mm).argmax())

    def contrasts(self, at: np.ndarray, side_mm: float) -> np.ndarray:
        """Return each layer's variance (k,) in a square around a source point (2,) in mm."""
        _, rows, columns = self.parts.shape
        low = np.floor((at - side_mm / 2) / self.spacing_mm).astype(int)
        low = np.clip(low, 0, [columns - 2, rows - 2])
        high = np.maximum(np.ceil((at + side_mm / 2) / self.spacing_mm).astype(int), low + 2)
        return self.parts[:, low[1] : high[1], low[0] : high[0]].var(axis=(1, 2))


def random_layers(
    rng: np.random.Generator, source: Source, slide_mm: float | None = None
) -> Layers:
    """Split a source into three or four layers that slide, mostly along the image's y axis.

    Parameters
    ----------
    rng
        Draws all of it.
    source
        The mammogram.
    slide_mm
        How far the outermost layers move against the middle, about; else drawn of `SLIDE_MM`.
    """
    count = int(rng.integers(3, 5))
    slide = rng.uniform(*SLIDE_MM) if slide_mm is None else slide_mm
    depths = np.linspace(-1, 1, count) + rng.normal(0, DEPTH_NOISE, count)
    factor = max(1, round(COARSE_MM / source.spacing_mm))
    rows, columns = source.pixels.shape
    beyond = (0, -rows % factor, 0, -columns % factor)
    pixels, breast = (
        cv2.copyMakeBorder(a.astype(np.float32), *beyond, cv2.BORDER_REPLICATE)
        for a in (source.pixels, source.breast)
    )
    still, parts = _split(rng, pixels, source.spacing_mm, factor, count)
    coarse_mm = factor * source.spacing_mm
    small = cv2.resize(breast, None, None, 1 / factor, 1 / factor, cv2.INTER_AREA)
    strength = slide * np.clip(skin_distance(small) * (coarse_mm / FADE_MM), 0, 1)
    strength *= 1 + WAVE * smooth_field(rng, small.shape, WAVE_MM / coarse_mm)
    angle = rng.uniform(-TURN, TURN) + rng.choice([0, np.pi])
    movement = strength[..., None] * np.array([np.sin(angle), np.cos(angle)])
    return Layers(
        still[:rows, :columns], parts[:, :rows, :columns], depths, movement.astype(np.float32),
        source.spacing_mm, coarse_mm, float(rng.uniform()),
    )  # fmt: skip


def smooth_field(rng: np.random.Generator, shape: tuple[int, int], knot_px: float) -> np.ndarray:
    """Return a field (rows, columns) float32 through random knots of unit variance."""
    knots = [int(np.ceil(side / knot_px)) + 3 for side in shape]
    start = rng.uniform(1, 2, 2)
    affine = np.array([[1 / knot_px, 0, start[0]], [0, 1 / knot_px, start[1]]])
    return cv2.warpAffine(
        rng.normal(size=knots).astype(np.float32), affine, shape[::-1],
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT,
    )  # fmt: skip


def _split(
    rng: np.random.Generator, pixels: np.ndarray, spacing_mm: float, factor: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return what stays (rows, columns) and so many layers, whose sum is `pixels`.

    Three bands, fine detail, structures of about 1 mm and gland of 3 to 10 mm, are shared out by
    random fields. For the finer two it also counts in which direction a structure runs, so that a
    vessel stays in one layer and crossing ones part. `factor` divides the sides of `pixels`.
    """
    coarse_mm = factor * spacing_mm
    small = cv2.resize(pixels, None, None, 1 / factor, 1 / factor, cv2.INTER_AREA)
    width = 2 * round(OPENING_MM / coarse_mm / 2) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    opened = cv2.morphologyEx(small, cv2.MORPH_OPEN, disc, borderType=cv2.BORDER_REPLICATE)
    envelope = blur(opened, ENVELOPE_MM / coarse_mm)
    stays = blur(envelope, STILL_MM / coarse_mm)
    still = finer(stays, factor)
    detail = pixels - finer(envelope, factor)
    structures = blur(detail, STRUCTURE_MM / spacing_mm)

    def shares(knot_mm: float, gain: float, more: np.ndarray | float = 0.0) -> np.ndarray:
        knot = knot_mm / coarse_mm
        fields = [smooth_field(rng, small.shape, knot) for _ in range(count)]
        score = np.exp(gain * np.array(fields) + more)
        return score / score.sum(axis=0)

    along = _directions(
        cv2.resize(structures, small.shape[::-1], None, 0, 0, cv2.INTER_AREA),
        TENSOR_MM / coarse_mm, rng.uniform(0, np.pi) + np.arange(count) * np.pi / count,
    )  # fmt: skip
    along *= DIRECTION_GAIN
    of_fine, of_structures = shares(*FINE, along), shares(*STRUCTURES, along)
    of_gland = shares(*GLAND) * (envelope - stays)
    parts = np.empty((count, *pixels.shape), np.float32)
    rest = pixels - still
    for k in range(count - 1):
        parts[k] = finer(of_gland[k], factor) + finer(of_fine[k], factor) * detail
        parts[k] += finer(of_structures[k] - of_fine[k], factor) * structures
        rest -= parts[k]
    parts[-1] = rest
    return still, parts


def _directions(structures: np.ndarray, sigma_px: float, angles: np.ndarray) -> np.ndarray:
    """Return (angles, rows, columns) from -1 to 1: how much what is seen runs in each direction."""
    x, y = (cv2.Sobel(structures, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    xx, yy, xy = (blur(a, sigma_px) for a in (x * x, y * y, x * y))
    total = xx + yy + 1e-6
    cosine, sine = (xx - yy) / total, 2 * xy / total
    turned = 2 * angles[:, None, None].astype(np.float32)
    return cosine * np.cos(turned) + sine * np.sin(turned)


def skin_distance(breast: np.ndarray) -> np.ndarray:
    """Return (rows, columns) pixels from the skin; the chest wall does not count as skin."""
    at_left = breast[:, 0].sum() > breast[:, -1].sum()
    beyond = ((1, 1), (0, 1) if at_left else (1, 0))
    inside = np.pad((breast > 0.5).astype(np.uint8), beyond)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
    return distance[1:-1, :-1] if at_left else distance[1:-1, 1:]


def blur(image: np.ndarray, sigma_px: float) -> np.ndarray:
    """Blur with a Gaussian; the border goes on."""
    return cv2.GaussianBlur(image, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE)


def finer(image: np.ndarray, factor: int) -> np.ndarray:
    """Enlarge an image so many times."""
    return cv2.resize(image, None, None, factor, factor, cv2.INTER_LINEAR)


def shown_tissue(
    source: Source, field: Field, layers: Layers | None, current: bool
) -> tuple[np.ndarray, list[Field], list[np.ndarray], np.ndarray, np.ndarray]:
    """Sample a patch of an exam.

    Returns
    -------
    grid : numpy.ndarray
        The field's.
    fields, grids : list
        Of each layer; of the whole tissue where there are no layers.
    image, breast : numpy.ndarray
        (side, side) float32.
    """
    grid = field.grid()
    breast = sample(source.breast, grid, source.spacing_mm)
    if layers is None:
        return grid, [field], [grid], sample(source.pixels, grid, source.spacing_mm), breast
    fields = layers.fields(field, current)
    grids = [field.grid() for field in fields]
    return grid, fields, grids, layers.sample(field, grids), breast


def went(prior: Field, current: Field, p: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Return where a layer's tissue is on the current (2,), in mm, that the prior shows at `p`.

    `near` (2,) is a guess.
    """
    return current.inverse(prior.at(p)[0][None], near)[0]


def of_strongest(
    pasted: Pasted, layers: Layers, fields: list[Field], at: np.ndarray, q: np.ndarray
) -> Pasted:
    """Let plain tissue at a patch point `q`, about `at` on the source, be of what is seen most."""
    k = layers.strongest(at, max(pasted.width, pasted.height))
    return replace(pasted, at=fields[k].at(q)[0], layer=k)

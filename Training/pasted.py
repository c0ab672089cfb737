"""What a synthetic pair marks, a pasted lesion or tissue, and how it differs between the exams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .changes import Field
from .difficulty import HARD, Difficulty
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
SPECK, FAINTEST = 0.7, 1 / 3
"""As `VISIBLE`, of a single calcification (else noise and texture hide half of them); and the least
share of all three. Both where `Difficulty.gone` is used."""

GROWTH_LIMITS = 0.65, 1.6
"""Of lesions whose growth has the deviation of `HARD`."""


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
    layer
        Which of the layers it belongs to, where the tissue lies in layers.
    """

    lesion: Lesion | None
    at: np.ndarray
    width: float
    height: float
    growth: float = 1.0
    factor: float = 1.0
    prior_factor: float = 1.0
    there: bool = True
    layer: int = 0

    @property
    def kind(self) -> str:
        """Return "mass", "calcification" or "tissue"."""
        return "tissue" if self.lesion is None or self.is_landmark else self.lesion.kind

    @property
    def is_landmark(self) -> bool:
        """Whether it is tissue around a single calcification."""
        return self.lesion is not None and self.lesion.kind == "landmark"

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

    A lesion that stays grows or shrinks by e^N(0, `d.growth`) and changes its contrast by
    e^N(0, 0.3).
    With `gone`, what stays stands out as what goes, lest faintness tells which: by a share of what
    `VISIBLE`, `CLEAR` and `SPECK` ask that is uniform from `FAINTEST` to 1.
    """
    width, height = random_size(rng)
    if rng.random() >= d.lesion:
        landmark = rng.random() < d.landmark and max(width, height) < 20
        if not landmark or not d.gone:
            return Pasted(lone_speck(rng) if landmark else None, at, width, height)
        speck, there = lone_speck(rng), rng.random() >= d.gone
        seen = max(1.0, SPECK * rng.uniform(FAINTEST, 1) / speck.contrast)
        return Pasted(speck, at, width, height, 1.0, seen, seen, there)
    limits = np.array(GROWTH_LIMITS) ** (d.growth / HARD.growth)
    growth = float(np.clip(np.exp(rng.normal(0, d.growth)), *limits))
    pasted, factor = random_lesion(rng, width, height), float(np.exp(rng.normal(0, 0.3)))
    there = rng.random() >= (d.gone or d.vanished)
    if there and not d.gone:
        return Pasted(pasted, at, width, height, growth, factor)
    least = max(VISIBLE, CLEAR * tissue_spread(source, at, pasted.reach))
    if d.gone:
        least *= rng.uniform(FAINTEST, 1)
    seen = max(1.0, least / pasted.contrast)
    return Pasted(pasted, at, width, height, growth, seen * factor, seen, there)

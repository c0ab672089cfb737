"""Taking one exam of a synthetic pair: its muscle, skin fold, exposure, clip and marker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .changes import Field, Muscle, add_clip, add_fold, add_marker, expose
from .difficulty import Difficulty
from .pasted import Pasted

EARLY_CLIP = 0.25
"""Probability that a biopsy clip was there at the prior already."""


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


def leave_clip(rng: np.random.Generator, lesions: list[Pasted]) -> Clip | None:
    """Leave a clip near one of the lesions, off by N(0, 3) mm; in source mm.

    None is left where a single calcification is gone: it would look as if that were there.
    """
    lesions = [lesion for lesion in lesions if lesion.there or not lesion.is_landmark]
    if not lesions:
        return None
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

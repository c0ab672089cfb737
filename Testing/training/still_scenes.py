"""What tests of synthetic pairs share: exams that do not differ, and what a picture shows where."""

from __future__ import annotations

import dataclasses

import numpy as np

from Training.difficulty import HARD, Difficulty

_NOTHING = Difficulty(**{field.name: 0.0 for field in dataclasses.fields(Difficulty)})
STILL = dataclasses.replace(_NOTHING, growth=HARD.growth)  # lesions that stay grow all the same


def content(image: np.ndarray, center: np.ndarray, half: int) -> np.ndarray:
    """Return what an image shows within `half` pixels of a point, between pixels too."""
    x, y = np.asarray(center) - 0.5
    j, i = int(np.floor(x)), int(np.floor(y))
    a, b = x - j, y - i
    window = image[i - half : i + half + 2, j - half : j + half + 2].astype(float)
    window = (1 - b) * window[:-1] + b * window[1:]
    return (1 - a) * window[:, :-1] + a * window[:, 1:]


def extent(shown: np.ndarray) -> np.ndarray:
    """Return x0, y0, x1, y1 of the pixels that are set."""
    rows, columns = np.nonzero(shown)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])

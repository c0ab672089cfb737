"""How large a mass is on another exam: a soft disc is fitted to it on both, in one way."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .box import Box
from .exams import Exam
from .local_search import Layers
from .patches import PatchFrame

SIDE_PX, SIDE, LEAST_SIDE_MM = 64, 3.4, 20.0
"""Of the square in which the disc is fitted: so many times as wide as the lesion."""
BLUR_MM, EDGE = 0.3, 0.12
SCALES = np.arange(np.log(0.4), np.log(2.5), 0.05)
"""Logarithms of the sizes that are tried, of the marked one."""
LEAST_GAIN, MOST_OFF = 0.1, 0.3
"""A lesion is taken for such a disc where, on the exam on which it is marked, it explains so much
of the variance, and has the size of the box but for this logarithm."""


def resized(marked: Exam, lesion: Box, exam: Exam, found: Box, matrix: np.ndarray) -> Box:
    """Correct the size of a lesion that was found, if it is a mass that stands out.

    The networks underestimate how much a lesion grew or shrank. Their size and that of the disc are
    averaged (as logarithms), which on synthetic series halved the error of masses that changed.

    Parameters
    ----------
    marked, lesion
        The exam on which the user marked it, and the box.
    exam, found
        Another one, and the box that was found there.
    matrix
        (2, 2) linear map from millimetres of the first to those of the other, `Alignment.matrix`.

    Returns
    -------
    Box
        With the same centre and shape; as it was for anything but such a mass.
    """
    half_mm = np.array([lesion.width, lesion.height]) * marked.spacing / 2
    before = disc(marked.as_prior, lesion, half_mm, np.eye(2))
    if before is None or before[1] < LEAST_GAIN or abs(before[0]) > MOST_OFF:
        return found
    left, _, right = np.linalg.svd(matrix)
    after = disc(exam.as_prior, found, half_mm, left @ right)
    if after is None:
        return found
    ratio = found.longest_side(exam.spacing) / lesion.longest_side(marked.spacing)
    change = np.clip(after[0] - before[0], *np.log([0.4, 2.5]))
    factor = float(np.exp((change - np.log(ratio)) / 2))
    return Box.from_center(*found.center, found.width * factor, found.height * factor)


def disc(
    layers: Layers, box: Box, half_mm: np.ndarray, turn: np.ndarray
) -> tuple[float, float] | None:
    """Fit a soft disc of any size to what lies at a box, over a smooth background.

    Parameters
    ----------
    layers
        The exam.
    box
        Where its middle is.
    half_mm
        (2,) half axes of the ellipse that it is at scale 1.
    turn
        (2, 2) how the axes lie in the image.

    Returns
    -------
    tuple of float or None
        The logarithm of the best scale, and the share of the variance that the disc explains; None
        where there is too little breast.
    """
    side_mm = max(SIDE * 2 * half_mm.max(), LEAST_SIDE_MM)
    pixel = side_mm / SIDE_PX
    raw, breast = layers.cut(PatchFrame.around(box.center, layers.spacing, side_mm, SIDE_PX, turn))
    inside = breast > 0.9
    if inside.mean() < 0.1:
        return None
    y, x = (np.mgrid[:SIDE_PX, :SIDE_PX][:, inside] + 0.5) / SIDE_PX - 0.5
    background, _ = np.linalg.qr(np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1))

    def over_background(values: np.ndarray) -> np.ndarray:
        return values - background @ (background.T @ values)

    image = over_background(ndimage.gaussian_filter(raw, max(BLUR_MM / pixel, 0.8))[inside])
    radius = np.hypot(x * side_mm / half_mm[0], y * side_mm / half_mm[1])
    radius = radius[:, None] / np.exp(SCALES)
    discs = (1.2 - 0.4 * np.minimum(radius, 1)) / (1 + np.exp(np.minimum((radius - 1) / EDGE, 50)))
    discs = over_background(discs)
    height = np.maximum(discs.T @ image, 0)
    gains = height**2 / np.maximum((discs**2).sum(axis=0), 1e-9) / max((image**2).sum(), 1e-9)
    best = int(gains.argmax())
    scale = SCALES[best]
    if 0 < best < len(SCALES) - 1:  # the top of the parabola through three
        a, b, c = gains[best - 1 : best + 2]
        scale += (SCALES[1] - SCALES[0]) * np.clip((a - c) / (2 * (a - 2 * b + c) - 1e-12), -1, 1)
    return float(scale), float(gains[best])

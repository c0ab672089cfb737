"""How large a lesion is on another exam: what is seen of it is measured on both, in one way."""

from __future__ import annotations

from dataclasses import dataclass

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
of the variance, and what is measured has the size of the box but for this logarithm."""
SPECK_PX_MM, SPECK_MM, AROUND_MM = 0.14, 0.15, 0.8
"""Pixels in which calcifications are looked for; standard deviations of the Gaussians of which
they are the difference."""
CLEAR, ROUND_MM, ROUND = 4.0, 0.2, 0.4
"""By how many robust standard deviations they stand out; a Gaussian's standard deviation, and how
much of its largest curvature the smallest has at least: they are spots, not lines or edges."""
REACH, WINDOW, DENSER, LEAST_PX = 1.3, 2.2, 2.0, 4
"""How far around a box, in boxes, they belong to it, and how far its surroundings go; how many more
of their pixels there are in the box than in these where it holds a cluster; how many at least."""
MOST_CHANGE = np.log([0.4, 2.5])
DISC_SHARE, SPECKS_SHARE = 0.5, 0.25
"""How much they count beside the networks' size, as logarithms; chosen on validation series."""


@dataclass(frozen=True, eq=False)
class MarkedSize:
    """How large a lesion is seen on the exam on which the user marked it.

    Attributes
    ----------
    longest_mm
        The longest side of the box.
    half_mm
        (2,) half its sides.
    disc_scale
        The logarithm of a soft disc's size, of the box's, for a mass that stands out; else None.
    specks_mm
        How far the calcifications of a cluster reach; else None.
    """

    longest_mm: float
    half_mm: np.ndarray
    disc_scale: float | None
    specks_mm: float | None

    @classmethod
    def of(cls, exam: Exam, box: Box) -> MarkedSize:
        """Measure a lesion in the user's box."""
        half_mm = np.array([box.width, box.height]) * exam.spacing / 2
        scale = reach = None
        fitted = disc(exam.as_prior, box, half_mm, np.eye(2))
        if fitted is not None and fitted[1] >= LEAST_GAIN and abs(fitted[0]) <= MOST_OFF:
            scale = fitted[0]
        else:
            reach = specks_mm(exam.as_prior, box, half_mm, np.eye(2))
            if reach is not None and abs(np.log(reach / (2 * half_mm.max()))) > MOST_OFF:
                reach = None
        return cls(box.longest_side(exam.spacing), half_mm, scale, reach)

    def resized(self, exam: Exam, found: Box, matrix: np.ndarray) -> Box:
        """Correct the size of the lesion on another exam, by what is seen of it on both.

        The networks underestimate how much a lesion grew or shrank. Their size and that of the
        disc, or else of the calcifications' extent, are averaged (as logarithms), by `DISC_SHARE`
        or `SPECKS_SHARE`. On synthetic series this halved the error of masses that changed.

        Parameters
        ----------
        exam, found
            The other exam, and the box that was found there.
        matrix
            (2, 2) linear map from millimetres of the first exam to those of the other,
            `Alignment.matrix`.

        Returns
        -------
        Box
            With the same centre and shape; as it was where neither is seen on both.
        """
        left, _, right = np.linalg.svd(matrix)
        turn = left @ right
        ratio = found.longest_side(exam.spacing) / self.longest_mm
        change, share = None, DISC_SHARE
        if self.disc_scale is not None:
            fitted = disc(exam.as_prior, found, self.half_mm, turn)
            if fitted is not None:
                change = fitted[0] - self.disc_scale
        elif self.specks_mm is not None:
            reach = specks_mm(exam.as_prior, found, self.half_mm * ratio, turn)
            if reach is not None:
                change, share = np.log(reach / self.specks_mm), SPECKS_SHARE
        if change is None:
            return found
        factor = float(np.exp(share * (np.clip(change, *MOST_CHANGE) - np.log(ratio))))
        return Box.from_center(*found.center, found.width * factor, found.height * factor)


def specks_mm(layers: Layers, box: Box, half_mm: np.ndarray, turn: np.ndarray) -> float | None:
    """Measure how far calcifications reach in and just around a box.

    Parameters
    ----------
    layers
        The exam.
    box
        Where its middle is.
    half_mm
        (2,) half its sides.
    turn
        (2, 2) how they lie in the image.

    Returns
    -------
    float or None
        The longer side of the box around all that stands out, in mm; None where there is no
        cluster.
    """
    side = int(np.ceil(2 * WINDOW * half_mm.max() / SPECK_PX_MM))
    frame = PatchFrame.around(box.center, layers.spacing, side * SPECK_PX_MM, side, turn)
    raw, breast = layers.cut(frame)
    raw, inside = raw.astype(np.float64), breast > 0.9
    if not inside.any():
        return None
    fine, coarse = (
        ndimage.gaussian_filter(raw, sigma / SPECK_PX_MM) for sigma in (SPECK_MM, AROUND_MM)
    )
    spots = fine - coarse
    noise = 1.4826 * np.median(np.abs(spots[inside])) + 1e-9
    clear = inside & (spots > CLEAR * noise) & _is_round(raw)
    y, x = (np.mgrid[:side, :side] + 0.5 - side / 2) * SPECK_PX_MM
    far = np.maximum(np.abs(x) / half_mm[0], np.abs(y) / half_mm[1])
    in_box, around = inside & (far < 1), inside & (far > REACH)
    usual = (clear[around].sum() + 1) / max(around.sum(), 1)
    if clear[in_box].sum() < max(LEAST_PX, DENSER * usual * in_box.sum()):
        return None
    clear &= far < REACH
    return float(max(np.ptp(x[clear]), np.ptp(y[clear])) + SPECK_PX_MM)


def _is_round(raw: np.ndarray) -> np.ndarray:
    """Whether each pixel lies on a bright spot: its curvatures are alike and downwards."""
    down, across, both = (
        ndimage.gaussian_filter(raw, ROUND_MM / SPECK_PX_MM, order=order)
        for order in ((2, 0), (0, 2), (1, 1))
    )
    middle, half = (down + across) / 2, np.hypot((down - across) / 2, both)
    return middle + half < ROUND * np.minimum(middle - half, 0)


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

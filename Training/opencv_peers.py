"""OpenCV's correlation and CSRT tracker, as peers that find a lesion again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from MammoTrackerLib import Box, Mammogram
from MammoTrackerLib.global_search import align

PIXEL_MM = 0.28
"""Pixel size at which they see both mammograms: a 5 mm lesion has 18 pixels."""
MARGIN_MM = 5.0
"""What the correlation sees around a lesion, to each side."""
SEARCH_MM = 15.0
"""How far the correlation looks around the registered place, to each side."""
Find = Callable[[Box], Box | None]
"""Finds a box of the prior on the current mammogram; None if it gives up."""
Prepare = Callable[[Mammogram, Mammogram], Find]
"""What is done once for a pair."""


@dataclass(frozen=True, eq=False)
class Small:
    """A mammogram for OpenCV: 8 bit, (rows, columns), and (x, y) mm per pixel."""

    pixels: np.ndarray
    spacing: tuple[float, float]

    @classmethod
    def of(cls, mammogram: Mammogram) -> Small:
        """Resample to `PIXEL_MM`; black is the darkest pixel, white nearly the brightest."""
        rows, columns = mammogram.pixels.shape
        size = [
            max(8, round(count * spacing / PIXEL_MM))
            for count, spacing in zip((columns, rows), mammogram.spacing, strict=True)
        ]
        image = cv2.resize(mammogram.pixels.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        low = image.min()
        bright = image[image > low + 0.05 * np.ptp(image)]
        high = np.percentile(bright, 99.5) if bright.size else low + 1
        grey = np.clip((image - low) * (255 / max(high - low, 1e-6)), 0, 255).astype(np.uint8)
        spacing = np.array([columns, rows]) / size * mammogram.spacing
        return cls(grey, tuple(spacing.tolist()))

    def box_from(self, box: Box, spacing: tuple[float, float]) -> Box:
        """Turn a box of an image of another spacing into this one's pixels."""
        return box.scaled(spacing[0] / self.spacing[0], spacing[1] / self.spacing[1])


def like_prior(current: Small, prior: Small, matrix: np.ndarray, offset: np.ndarray) -> Small:
    """Resample the current to the prior's pixels, through an affine map of millimetres."""
    to_prior, to_current = np.diag(prior.spacing), np.diag(1 / np.array(current.spacing))
    linear = to_current @ matrix @ to_prior
    # OpenCV counts from the middle of the first pixel, a box from its corner.
    shift = linear @ [0.5, 0.5] + to_current @ offset - 0.5
    rows, columns = prior.pixels.shape
    warped = cv2.warpAffine(
        current.pixels,
        np.column_stack([linear, shift]),
        (columns, rows),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    return Small(warped, prior.spacing)


def in_opencv(find: Callable[[Small, Small, Box, float], Box | None], register: bool) -> Prepare:
    """Prepare both mammograms for one of OpenCV's methods.

    Parameters
    ----------
    find
        Takes prior, current, the lesion in the prior's pixels, and how far from there to look
        in mm; returns its place in the current's pixels, or None.
    register
        Whether the current is first brought onto the prior by MammoTracker's affine
        registration. Else the method sees both images as they are, and looks everywhere.
    """

    def prepare(prior: Mammogram, current: Mammogram) -> Find:
        first, second = Small.of(prior), Small.of(current)
        if not register:

            def as_it_is(box: Box) -> Box | None:
                found = find(first, second, first.box_from(box, prior.spacing), np.inf)
                scale = np.divide(second.spacing, current.spacing)
                return None if found is None else found.scaled(*scale.tolist())

            return as_it_is
        alignment = align(prior, current, spline=False)
        second = like_prior(second, first, alignment.matrix, alignment.offset)

        def registered(box: Box) -> Box | None:
            found = find(first, second, first.box_from(box, prior.spacing), SEARCH_MM)
            if found is None:
                return None
            scale = np.divide(first.spacing, prior.spacing)
            return alignment.map_box(found.scaled(*scale.tolist()))

        return registered

    return prepare


def csrt(register: bool) -> Prepare:
    """OpenCV's CSRT tracker, started on the prior and updated with the current."""
    if not hasattr(cv2, "TrackerCSRT_create"):
        raise ImportError("cv2 has no CSRT")
    return in_opencv(_find_by_csrt, register)


def _find_by_csrt(prior: Small, current: Small, box: Box, _: float) -> Box | None:
    x, y = (max(0, round(value)) for value in (box.x0, box.y0))
    start = (x, y, max(2, round(box.width)), max(2, round(box.height)))
    tracker = cv2.TrackerCSRT_create()
    tracker.init(cv2.cvtColor(prior.pixels, cv2.COLOR_GRAY2BGR), start)
    found, end = tracker.update(cv2.cvtColor(current.pixels, cv2.COLOR_GRAY2BGR))
    if not found or min(end[2:]) <= 0:
        return None
    # It takes whole pixels only: what it changed is added to the exact box.
    (x0, y0, w0, h0), (x1, y1, w1, h1) = start, end
    return Box.from_center(
        box.center[0] + (x1 + w1 / 2) - (x0 + w0 / 2),
        box.center[1] + (y1 + h1 / 2) - (y0 + h0 / 2),
        box.width * w1 / w0,
        box.height * h1 / h0,
    )


def correlation(register: bool) -> Prepare:
    """Normalised cross-correlation of the lesion and what is around it."""
    return in_opencv(find_by_correlation, register)


def find_by_correlation(prior: Small, current: Small, box: Box, reach_mm: float) -> Box | None:
    """Find the place that looks most like a lesion, centred on the breast, size unchanged.

    Parameters
    ----------
    prior, current
        Of one pixel size.
    box
        The lesion, in pixels of the prior; `MARGIN_MM` around it is compared too.
    reach_mm
        How far the place may be, along x and y.

    Returns
    -------
    Box or None
        In pixels of the current; None if it has no such place.
    """
    rows, columns = prior.pixels.shape
    margin_x, margin_y = (MARGIN_MM / spacing for spacing in prior.spacing)
    x0, y0 = max(0, round(box.x0 - margin_x)), max(0, round(box.y0 - margin_y))
    x1, y1 = min(columns, round(box.x1 + margin_x)), min(rows, round(box.y1 + margin_y))
    template = prior.pixels[y0:y1, x0:x1]
    height, width = template.shape
    if min(height, width) < 2 or height > len(current.pixels) or width > current.pixels.shape[1]:
        return None
    scores = cv2.matchTemplate(current.pixels, template, cv2.TM_CCOEFF_NORMED)
    y, x = np.mgrid[: scores.shape[0], : scores.shape[1]]
    allowed = np.abs(x - x0) * prior.spacing[0] <= reach_mm
    allowed &= np.abs(y - y0) * prior.spacing[1] <= reach_mm
    # Outside the breast nothing varies, and the correlation is noise.
    middle = box.center[0] - x0, box.center[1] - y0
    at_x = np.clip((x + middle[0]).astype(int), 0, current.pixels.shape[1] - 1)
    at_y = np.clip((y + middle[1]).astype(int), 0, current.pixels.shape[0] - 1)
    allowed &= current.pixels[at_y, at_x] > 0.05 * 255
    if not allowed.any():
        return None
    best = np.argmax(np.where(allowed, scores, -2))
    shift_x, shift_y = float(x.flat[best] - x0), float(y.flat[best] - y0)
    return Box(box.x0 + shift_x, box.y0 + shift_y, box.x1 + shift_x, box.y1 + shift_y)

"""Template and search patches in millimetres, the network's channels, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .box import Box
from .mammogram import Mammogram

CONTRAST_SIGMA_PX = 18
REDUCTION = 4
BLANK = (0.0, -1.0)
"""Local contrast and intensity where there is no breast."""
SPECK_WINDOW_PX, SPECK_DEVIATIONS, SPECK_GAIN = 33, 3.0, 3.0


@dataclass(frozen=True, eq=False)
class PatchFrame:
    """Where a square patch lies on a mammogram.

    A patch pixel ``u`` (continuous, from the patch's top-left corner) shows the image point
    ``center + matrix @ (u - side_px / 2)``, both in the image's continuous pixels.

    Attributes
    ----------
    center
        (2,) x, y in image pixels.
    matrix
        (2, 2) image pixels per patch pixel.
    side_px
        Side of the patch in patch pixels.
    is_sideways
        Whether the image lies on its side, so that a box's width is its height in the patch.
    """

    center: np.ndarray
    matrix: np.ndarray
    side_px: int
    is_sideways: bool = False

    @classmethod
    def around(
        cls,
        center: tuple[float, float],
        spacing: tuple[float, float],
        side_mm: float,
        side_px: int,
        direction: np.ndarray | None = None,
        is_sideways: bool = False,
    ) -> PatchFrame:
        """Make the frame of ``side_mm`` around a point of an image of this spacing (x, y) in mm.

        ``direction`` (2, 2) is the linear map from the patch's millimetres to the image's; the
        identity if not given.
        """
        linear = np.eye(2) if direction is None else np.asarray(direction, float)
        matrix = np.diag(1 / np.asarray(spacing, float)) @ linear * (side_mm / side_px)
        return cls(np.asarray(center, float), matrix, side_px, is_sideways)

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Map (..., 2) patch points to image points."""
        return self.center + (np.asarray(points, float) - self.side_px / 2) @ self.matrix.T

    def to_patch(self, points: np.ndarray) -> np.ndarray:
        """Map (..., 2) image points to patch points."""
        offset = np.asarray(points, float) - self.center
        return offset @ np.linalg.inv(self.matrix).T + self.side_px / 2

    def box_to_image(self, box: Box) -> Box:
        """Map a box: its centre as a point, its sides by the frame's scale along each axis."""
        x, y = self.to_image(np.array(box.center))
        x_scale, y_scale = np.linalg.norm(self.matrix, axis=0)
        width, height = box.width * x_scale, box.height * y_scale
        if self.is_sideways:
            width, height = height, width
        return Box.from_center(x, y, width, height)

    def box_to_patch(self, box: Box) -> Box:
        """Inverse of `box_to_image`."""
        x, y = self.to_patch(np.array(box.center))
        x_scale, y_scale = np.linalg.norm(self.matrix, axis=0)
        width, height = box.width, box.height
        if self.is_sideways:
            width, height = height, width
        return Box.from_center(x, y, width / x_scale, height / y_scale)


def block_mean(image: np.ndarray, factor_y: int, factor_x: int) -> np.ndarray:
    """Average blocks of pixels; a rest at the right and the bottom is dropped."""
    rows, columns = image.shape[0] // factor_y, image.shape[1] // factor_x
    image = image[: rows * factor_y, : columns * factor_x].astype(np.float32, copy=False)
    image = sum(image[k::factor_y] for k in range(factor_y))
    return sum(image[:, k::factor_x] for k in range(factor_x)) / np.float32(factor_y * factor_x)


def keep_specks(image: np.ndarray, factor_y: int, factor_x: int) -> np.ndarray:
    """Average blocks of pixels, but keep bright specks that are smaller than a block.

    A microcalcification of one or two pixels drowns in a mean. Where a block's brightest pixel
    rises above the block's mean by more than such peaks do around it (their mean and three
    standard deviations over 33 blocks), three times the excess is added.

    Returns
    -------
    numpy.ndarray
        (rows, columns) float32, as `block_mean` returns it.
    """
    mean = block_mean(image, factor_y, factor_x)
    if factor_y * factor_x == 1:
        return mean
    rows, columns = mean.shape
    peak = image[: rows * factor_y, : columns * factor_x]
    peak = np.max([peak[k::factor_y] for k in range(factor_y)], axis=0)
    peak = np.max([peak[:, k::factor_x] for k in range(factor_x)], axis=0) - mean
    usual = ndimage.uniform_filter(peak, SPECK_WINDOW_PX)
    spread = np.sqrt(np.maximum(ndimage.uniform_filter(peak**2, SPECK_WINDOW_PX) - usual**2, 0))
    return mean + SPECK_GAIN * np.maximum(peak - usual - SPECK_DEVIATIONS * spread, 0)


def reduce_to(
    mammogram: Mammogram, spacing_mm: float, specks: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Average a mammogram's pixels down to about a spacing, never below its own.

    Parameters
    ----------
    mammogram
        The image.
    spacing_mm
        Of the result, at most.
    specks
        Whether bright specks are kept as `keep_specks` does.

    Returns
    -------
    image : numpy.ndarray
        (rows, columns) float32.
    factor : numpy.ndarray
        (2,) x, y: mammogram pixels per pixel of the image.
    """
    factor = np.maximum(1, np.floor(spacing_mm / np.asarray(mammogram.spacing) + 1e-3)).astype(int)
    reduce = keep_specks if specks else block_mean
    return reduce(mammogram.pixels, factor[1], factor[0]), factor


def cut(image: np.ndarray, factor: np.ndarray, frame: PatchFrame) -> np.ndarray:
    """Resample the patch from an image of ``factor`` mammogram pixels; 0 outside the image.

    Returns
    -------
    numpy.ndarray
        (side_px, side_px) float32.
    """
    matrix = (frame.matrix / factor[:, None])[::-1, ::-1]
    half = frame.side_px / 2 - 0.5
    offset = (frame.center / factor - 0.5)[::-1] - matrix @ np.array([half, half])
    return ndimage.affine_transform(
        image,
        matrix,
        offset,
        (frame.side_px, frame.side_px),
        order=1,
        output=np.float32,
        prefilter=False,
    )


def normalise(raw: np.ndarray, breast: np.ndarray) -> np.ndarray:
    """Make the two image channels of a network's input.

    Parameters
    ----------
    raw
        (side, side) intensities in any unit; side divisible by 4.
    breast
        (side, side) share of breast, 0 to 1.

    Returns
    -------
    numpy.ndarray
        (side, side, 2) float32. First, local contrast: minus the mean over the breast in a
        Gaussian of 18 pixels, over three times the local standard deviation (plus 0.3 of its
        mean), clipped at +-1.5, and 0 outside the breast. Second, intensity: the 2nd to 99th
        percentile of the breast at -1 to 1.
    """
    result = np.full((*raw.shape, 2), BLANK, np.float32)
    inside = breast > 0.5
    if not inside.any():
        return result
    low, high = np.percentile(raw[inside][::7], [2, 99])
    scaled = ((raw - low) / max(high - low, 1e-6)).astype(np.float32)
    weight = block_mean(breast, REDUCTION, REDUCTION)
    first = block_mean(breast * scaled, REDUCTION, REDUCTION)
    second = block_mean(breast * scaled**2, REDUCTION, REDUCTION)
    sigma = CONTRAST_SIGMA_PX / REDUCTION
    weight, first, second = (
        ndimage.gaussian_filter(m, sigma, mode="constant", truncate=3.0)
        for m in (weight, first, second)
    )
    weight = np.maximum(weight, 1e-3)
    mean = first / weight
    deviation = np.sqrt(np.maximum(second / weight - mean**2, 0))
    typical = deviation[block_mean(breast, REDUCTION, REDUCTION) > 0.5]
    deviation = 3 * (deviation + 0.3 * (typical.mean() if typical.size else 0) + 1e-4)
    mean, deviation = (
        ndimage.zoom(m, REDUCTION, order=1, mode="nearest", grid_mode=True)
        for m in (mean, deviation)
    )
    result[..., 0] = np.clip((scaled - mean) / deviation, -1.5, 1.5) * breast
    result[..., 1] = np.clip(scaled * 2 - 1, -1, 1)
    return result


def box_mask(box: Box, side_px: int) -> np.ndarray:
    """Draw a box given in patch pixels as the mask channel, by area at its border.

    Returns
    -------
    numpy.ndarray
        (side_px, side_px) float32, 0 to 1.
    """
    edges = np.arange(side_px)
    across = np.clip(np.minimum(edges + 1, box.x1) - np.maximum(edges, box.x0), 0, 1)
    down = np.clip(np.minimum(edges + 1, box.y1) - np.maximum(edges, box.y0), 0, 1)
    return np.outer(down, across).astype(np.float32)


def network_input(
    raw: np.ndarray,
    breast: np.ndarray,
    box: Box | None = None,
    template_input: str = "mask-guided",
) -> np.ndarray:
    """Stack local contrast, intensity and the mask of a box (section 3.2, figure 2).

    Parameters
    ----------
    raw, breast
        (side, side), as for `normalise`.
    box
        The lesion or candidate, in patch pixels; None for a search patch.
    template_input
        What becomes of the box, as `Settings.template_input` says. Only "mask-guided" has a
        mask; in the two others the image itself shows where the box ends.

    Returns
    -------
    numpy.ndarray
        (side, side, 3) float32; the mask is 0 where there is none.
    """
    mask = np.zeros(raw.shape, np.float32)
    if box is None:
        return np.concatenate([normalise(raw, breast), mask[..., None]], axis=-1)
    side = raw.shape[0]
    if template_input == "crop-and-resize":
        frame = PatchFrame(np.array(box.center), np.diag([box.width, box.height]) / side, side)
        raw, breast = (cut(image, np.ones(2), frame) for image in (raw, breast))
    image = normalise(raw, breast)
    if template_input == "masked":
        kept = box_mask(box, side)[..., None]
        image = image * kept + np.array(BLANK, np.float32) * (1 - kept)
    elif template_input == "mask-guided":
        mask = box_mask(box, side)
    return np.concatenate([image, mask[..., None]], axis=-1)

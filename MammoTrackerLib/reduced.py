"""A mammogram reduced for registration: the breast's outline, and its local contrast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .breast import breast_mask, lean, positive, without_frame, without_outliers
from .errors import MammoTrackerError
from .mammogram import Mammogram
from .orientation import UNTURNED, Turn, turned, turned_size
from .patches import reduce_to

GRID_MM = 1.1
COARSE_SIGMA_MM, FINE_SIGMA_MM = 8.0, 4.0
MIN_SIDE_PX = 8
MIN_LEAN, MIN_BREAST_SHARE = 0.03, 0.02


@dataclass(frozen=True, eq=False)
class Reduced:
    """A mammogram at about 1.1 mm, without the frame of a film.

    Attributes
    ----------
    image, breast
        (rows, columns) intensities, and the outline.
    factor
        (2,) x, y: image pixels per pixel of these.
    spacing
        (2,) x, y in mm, of these pixels.
    shown
        Rows and columns of the whole image that these are.
    shape
        (rows, columns) of the whole image, at these pixels.
    image_size, image_spacing
        (columns, rows) of the mammogram, and (x, y) of its pixels in mm.
    orientation
        The mammogram's.
    is_negative
        Whether the mammogram shows dense tissue dark; here it is bright.
    """

    image: np.ndarray
    breast: np.ndarray
    factor: np.ndarray
    spacing: np.ndarray
    shown: tuple[slice, slice]
    shape: tuple[int, int]
    image_size: tuple[int, int]
    image_spacing: tuple[float, float]
    orientation: tuple[str, str] | None
    is_negative: bool = False

    @classmethod
    def of(cls, mammogram: Mammogram) -> Reduced:
        """Reduce a mammogram.

        Raises
        ------
        MammoTrackerError
            If it is too small for a mammogram.
        """
        image, factor = reduce_to(mammogram, GRID_MM)
        if min(image.shape) < MIN_SIDE_PX:
            raise MammoTrackerError(
                f"An image is only {min(image.shape) * GRID_MM:.0f} mm wide or high: too small "
                "for a mammogram. Check the file and the pixel spacing."
            )
        shown = without_frame(image)
        stored = without_outliers(image[shown])
        inner = positive(stored)
        spacing = factor * np.asarray(mammogram.spacing)
        return cls(
            inner, breast_mask(inner), factor, spacing, shown, image.shape,
            mammogram.pixels.shape[::-1], mammogram.spacing, mammogram.orientation,
            inner is not stored,
        )  # fmt: skip

    @property
    def corner(self) -> np.ndarray:
        """The top-left corner (2,) of what is shown: x, y in mm of the whole image."""
        return np.array([self.shown[1].start, self.shown[0].start]) * self.spacing

    @property
    def whole_breast(self) -> np.ndarray:
        """The outline (rows, columns) on the whole image."""
        outline = np.zeros(self.shape, bool)
        outline[self.shown] = self.breast
        return outline


def side(breast: np.ndarray) -> int:
    """Return -1 if the breast lies at the image's left, 1 at its right, 0 if one cannot say."""
    if breast.sum() < MIN_BREAST_SHARE * breast.size:
        return 0
    share = lean(breast)
    return int(np.sign(share)) if abs(share) >= MIN_LEAN else 0


@dataclass(frozen=True, eq=False)
class Picture:
    """What is registered of a mammogram, turned; images in mm from its top-left corner.

    Attributes
    ----------
    breast
        (rows, columns) bool.
    coarse, fine
        Local contrast inside the breast at two scales, 0 outside.
    mask
        The breast as 1, else 0.
    """

    breast: np.ndarray
    coarse: sitk.Image
    fine: sitk.Image
    mask: sitk.Image

    @classmethod
    def of(cls, reduced: Reduced, turn: Turn = UNTURNED) -> Picture:
        """Make the picture of a mammogram that is first turned so."""
        image, breast = turned(reduced.image, turn), turned(reduced.breast, turn)
        spacing = turned_size(reduced.spacing, turn)
        log = np.log1p(np.maximum(image - image.min(), 0) * (1000 / (np.ptp(image) or 1)))
        values = log[breast] if breast.any() else log.ravel()
        low, high = np.percentile(values, [2, 98])
        log = ((log - low) / max(high - low, 1e-6)).astype(np.float32)
        return cls(
            breast,
            _to_sitk(_feature(log, breast, COARSE_SIGMA_MM / spacing), spacing),
            _to_sitk(_feature(log, breast, FINE_SIGMA_MM / spacing), spacing),
            _to_sitk(breast.astype(np.uint8), spacing),
        )

    @property
    def size(self) -> np.ndarray:
        """(2,) width and height in mm."""
        return np.array(self.mask.GetSize()) * self.mask.GetSpacing()

    def in_mm(self, places: np.ndarray) -> np.ndarray:
        """Return (n, 2) x, y in mm of the middles of pixels (n, 2): row, column."""
        return places[:, ::-1] * self.mask.GetSpacing() + np.array(self.mask.GetOrigin())

    @property
    def breast_mm2(self) -> float:
        """How much breast the image shows, in square millimetres."""
        return float(self.breast.sum() * np.prod(self.mask.GetSpacing()))


def _to_sitk(array: np.ndarray, spacing: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    image.SetSpacing([float(s) for s in spacing])
    image.SetOrigin([float(s) / 2 for s in spacing])
    return image


def _feature(log: np.ndarray, breast: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Local contrast inside the breast, plus 0.5, so that tissue is compared, not exposure."""
    weight = breast.astype(np.float32)

    def smooth(image: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(image, sigma[::-1], truncate=3.0)

    norm = np.maximum(smooth(weight), 1e-3)
    mean = smooth(log * weight) / norm
    deviation = np.sqrt(np.maximum(smooth(log**2 * weight) / norm - mean**2, 0)) + 0.02
    return (np.clip((log - mean) / deviation, -2.5, 2.5) + 0.5) * weight

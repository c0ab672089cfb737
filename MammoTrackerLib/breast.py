"""The breast's outline on a mammogram."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage


def breast_mask(image: np.ndarray) -> np.ndarray:
    """Separate the breast from the background and from labels.

    Otsu's threshold on log intensity, opened by two pixels, the largest component, its holes
    filled.

    Parameters
    ----------
    image
        (rows, columns) intensities at pixels of about 1 mm.

    Returns
    -------
    numpy.ndarray
        (rows, columns) bool; empty where nothing stands out.
    """
    log = np.log1p(np.maximum(image - image.min(), 0) * (1000 / max(np.ptp(image), 1e-6)))
    threshold = sitk.OtsuThreshold(sitk.GetImageFromArray(log.astype(np.float32)), 0, 1)
    mask = np.pad(sitk.GetArrayFromImage(threshold) > 0, 2, mode="edge")
    mask = ndimage.binary_opening(mask, iterations=2)[2:-2, 2:-2]
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    largest = np.argmax(np.bincount(labels.ravel())[1:]) + 1
    return ndimage.binary_fill_holes(labels == largest)


def lean(breast: np.ndarray) -> float:
    """Return how far the breast's centre is right of the image's, as a share of the width.

    Parameters
    ----------
    breast
        (rows, columns) bool, with at least one pixel set.

    Returns
    -------
    float
        -0.5 to 0.5; negative if the breast lies at the left.
    """
    columns = breast.sum(axis=0)
    middle = np.average(np.arange(len(columns)), weights=columns)
    return float((middle - (len(columns) - 1) / 2) / len(columns))


def wall_is_left(image: np.ndarray) -> bool:
    """Tell on which side of a mammogram the chest wall is; the left one if one cannot say.

    Parameters
    ----------
    image
        (rows, columns) intensities at pixels of about 1 mm; brighter is denser tissue.
    """
    breast = breast_mask(image)
    return not breast.any() or lean(breast) <= 0

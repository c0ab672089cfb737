"""Where registration starts: rotation and shift by correlation over all shifts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
import SimpleITK as sitk
from scipy import fft

from .orientation import TURNS, Turn, turned, turned_size
from .reduced import Picture

START_MM = 4.5
START_ANGLES = (-14.0, -7.0, 0.0, 7.0, 14.0)
MIN_IMAGE_OVERLAP, MIN_BREAST_OVERLAP, MIN_PARTIAL_OVERLAP = 0.45, 0.60, 0.18
_IDENTITY = sitk.Transform(2, sitk.sitkIdentity)


def _spectra(image: np.ndarray, breast: np.ndarray, shape: list[int]) -> np.ndarray:
    """Fourier transforms of the image's support, the image, its square and the breast."""
    return fft.rfft2(np.stack([np.ones_like(image), image, image**2, breast]), shape)


def _correlation(prior, current, prior_breast, current_breast, spectra, shape) -> np.ndarray:
    """Normalised cross-correlation over all shifts; -1 where too little overlaps.

    All images in float64; `spectra` are the current's, of this padded shape.
    """
    ones_c, image_c, square_c, breast_c = spectra
    ones_p, image_p, square_p, breast_p = np.conj(_spectra(prior, prior_breast, shape))
    products = [
        ones_p * ones_c, image_p * ones_c, ones_p * image_c, square_p * ones_c,
        ones_p * square_c, image_p * image_c, breast_p * ones_c, ones_p * breast_c,
    ]  # fmt: skip
    count, *sums, breast_p, breast_c = fft.irfft2(np.stack(products), shape)
    count = np.maximum(count, 1)
    score = _normalised(count, *sums)
    enough = count >= MIN_IMAGE_OVERLAP * min(prior.size, current.size)
    enough &= breast_p >= MIN_BREAST_OVERLAP * prior_breast.sum()
    enough &= breast_c >= MIN_BREAST_OVERLAP * current_breast.sum()
    return np.where(enough, score, -1)


def _normalised(count, sum_p, sum_c, squares_p, squares_c, product) -> np.ndarray:
    """Correlation coefficients from sums over the overlap."""
    variances = (squares_p - sum_p**2 / count) * (squares_c - sum_c**2 / count)
    return (product - sum_p * sum_c / count) / np.sqrt(np.maximum(variances, 1e-6))


def _shrunk(picture: Picture) -> list[sitk.Image]:
    """Shrink the coarse contrast and the mask to about 4.5 mm."""
    images = (picture.coarse, picture.mask)
    return [sitk.BinShrink(sitk.Cast(image, sitk.sitkFloat64), [4, 4]) for image in images]


def _grid_shape(extent: np.ndarray) -> tuple[int, int]:
    """Return rows and columns of the grid that covers a width and height in mm."""
    columns, rows = (max(1, int(np.ceil(side / START_MM))) for side in extent)
    return rows, columns


def _on_grid(
    images: list[sitk.Image], transform: sitk.Transform, extent: np.ndarray
) -> list[np.ndarray]:
    size = list(_grid_shape(extent)[::-1])
    return [
        sitk.GetArrayFromImage(
            sitk.Resample(
                image, size, transform, sitk.sitkLinear, [START_MM / 2] * 2, [START_MM] * 2
            )
        )
        for image in images
    ]


Rotated = tuple[sitk.Euler2DTransform, np.ndarray, np.ndarray]
"""A rotation of the prior, and then its coarse contrast and its breast on the grid."""


def rotations(prior: Picture) -> list[Rotated]:
    """Rotate the prior by each of the angles."""
    shrunk = _shrunk(prior)
    middle = [float(side / 2) for side in prior.size]
    result = []
    for angle in START_ANGLES:
        rotation = sitk.Euler2DTransform(middle, float(np.deg2rad(angle)))
        result.append((rotation, *_on_grid(shrunk, rotation.GetInverse(), prior.size)))
    return result


def _padded(first: tuple[int, int], second: tuple[int, int]) -> list[int]:
    """Return the shape at which all shifts of images of two shapes fit."""
    sides = zip(first, second, strict=True)
    return [fft.next_fast_len(a + b - 1, real=True) for a, b in sides]


def _affine(
    rotation: sitk.Euler2DTransform,
    peak: int,
    shape: list[int],
    moving: np.ndarray,
    before_mm: np.ndarray | float = 0.0,
) -> sitk.AffineTransform:
    """Make the map of a rotation and then the shift of a correlation's peak.

    `before_mm` is how far the grid of `moving` begins before its image.
    """
    place = np.array(np.unravel_index(peak, shape))
    shift = np.where(place >= np.array(moving.shape), place - np.array(shape), place)
    affine = sitk.AffineTransform(2)
    affine.SetMatrix(rotation.GetMatrix())
    affine.SetCenter(rotation.GetCenter())
    affine.SetTranslation([float(s) for s in shift[::-1] * START_MM - before_mm])
    return affine


def usual_start(rotated: Sequence[Rotated], current: Picture) -> sitk.AffineTransform:
    """Find rotation and shift on images of 4.5 mm pixels, by correlation over all shifts.

    Parameters
    ----------
    rotated
        The prior, from `rotations`.
    current
        Turned as the prior.
    """
    moving, moving_breast = _on_grid(_shrunk(current), _IDENTITY, current.size)
    best_score, best = -2.0, sitk.AffineTransform(2)
    shape = _padded(rotated[0][1].shape, moving.shape)
    spectra = _spectra(moving, moving_breast, shape)
    for rotation, fixed, fixed_breast in rotated:
        scores = _correlation(fixed, moving, fixed_breast, moving_breast, spectra, shape)
        if scores.max() > best_score:
            best_score = scores.max()
            best = _affine(rotation, np.argmax(scores), shape, moving)
    return best


@dataclass(frozen=True, eq=False)
class Start:
    """One way in which the images may lie on each other.

    Attributes
    ----------
    score
        Correlation of the tissue, times the square root of how much of it overlaps.
    turn
        Of the current.
    affine
        From mm of the prior to mm of the turned current.
    """

    score: float
    turn: Turn
    affine: sitk.AffineTransform


def wide_starts(rotated: Sequence[Rotated], current: Picture) -> list[Start]:
    """Find a start for each turn of the current, also where an image shows a part of the breast.

    The tissue alone is correlated, without outlines, where 60 % of the smaller and 18 % of the
    larger breast overlap.

    Parameters
    ----------
    rotated
        The prior, from `rotations`; fewer of them are faster.
    current
        As it is stored.

    Returns
    -------
    list of Start
        One per turn, best first.
    """
    fixed = [
        (rotation, breast.sum(), _spectra_by_shape(image, breast))
        for rotation, image, breast in rotated
    ]
    stored = _on_grid(_shrunk(current), _IDENTITY, current.size)
    starts = []
    for turn in TURNS:
        moving = [turned(image, turn) for image in stored]
        shape = _padded(rotated[0][1].shape, moving[0].shape)
        ones_c, image_c, square_c = _tissue_spectra(*moving, shape)
        found = []
        for rotation, area, spectra in fixed:
            ones_p, image_p, square_p = spectra(*shape)
            products = [
                ones_p * ones_c, image_p * ones_c, ones_p * image_c, square_p * ones_c,
                ones_p * square_c, image_p * image_c,
            ]  # fmt: skip
            overlap, *sums = fft.irfft2(np.stack(products), shape)
            smaller, larger = sorted((area, moving[1].sum()))
            overlap = np.maximum(overlap, 1)
            score = _normalised(overlap, *sums) * np.sqrt(overlap)
            score[overlap < MIN_BREAST_OVERLAP * smaller] = -1
            score[overlap < MIN_PARTIAL_OVERLAP * larger] = -1
            peak = np.argmax(score)
            found.append((float(score.flat[peak]), rotation, peak))
        score, rotation, peak = max(found, key=itemgetter(0))
        # The grid is larger than the image, so that a reversed one begins before the image.
        rest = turned_size(np.array(stored[0].shape[::-1]) * START_MM - current.size, turn)
        before = np.where(np.array(turn).sum(axis=0) < 0, rest, 0)
        starts.append(Start(score, turn, _affine(rotation, peak, shape, moving[0], before)))
    return sorted(starts, key=lambda start: -start.score)


def _spectra_by_shape(image: np.ndarray, breast: np.ndarray) -> Callable:
    """Give the conjugate spectra of a padded shape, made once each."""

    @functools.cache
    def of_shape(rows: int, columns: int) -> np.ndarray:
        return np.conj(_tissue_spectra(image, breast, (rows, columns)))

    return of_shape


def _tissue_spectra(image: np.ndarray, breast: np.ndarray, shape: list[int]) -> np.ndarray:
    """Fourier transforms of the breast, and of the contrast in it and its square."""
    contrast = image - 0.5 * breast  # `Picture` adds this so that the outline counts
    square = contrast**2 / np.maximum(breast, 0.05)
    return fft.rfft2(np.stack([breast, contrast, square]), shape)

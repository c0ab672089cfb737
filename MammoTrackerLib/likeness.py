"""How alike two registered mammograms are: outlines, tissue, and anchor points in the tissue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.lib.stride_tricks import sliding_window_view
from scipy import fft, ndimage
from scipy.spatial import cKDTree

from .reduced import Picture

ANCHOR_PX, REACH_PX, STEP_PX, MAX_ANCHORS = 11, 6, 5, 400
NEAR_PX, AGREEING_PX, MIN_NEAR, MIN_ANCHORS = 10.0, 2.0, 3, 20


@dataclass(frozen=True, eq=False)
class Anchors:
    """Points in the prior's tissue, and where they are found on the current.

    Attributes
    ----------
    places, moves
        (n, 2) row, column, in pixels of the prior's picture.
    off
        (n,) how far each move is from the median of those within 11 mm; NaN with too few of them.
    """

    places: np.ndarray
    moves: np.ndarray
    off: np.ndarray

    @property
    def agree(self) -> np.ndarray:
        """(n,) bool: the point moved as those around it did."""
        return self.off <= AGREEING_PX

    def agreement(self) -> float:
        """Return the share of points that moved as those around them did.

        Tissue of one breast moves smoothly between exams; what only looks alike by chance is found
        anywhere, so that on two different breasts hardly more points agree than chance allows
        (about a fifth).

        Returns
        -------
        float
            0 to 1; NaN where the images share too little breast to say.
        """
        known = ~np.isnan(self.off)
        return float(self.agree[known].mean()) if known.sum() >= MIN_ANCHORS else float("nan")


@dataclass(frozen=True, eq=False)
class Overlay:
    """The current's picture on the pixels of the prior's.

    Attributes
    ----------
    prior, current
        (rows, columns) local contrast.
    prior_breast, current_breast
        (rows, columns) bool.
    """

    prior: np.ndarray
    current: np.ndarray
    prior_breast: np.ndarray
    current_breast: np.ndarray

    @classmethod
    def of(cls, prior: Picture, current: Picture, transform: sitk.Transform) -> Overlay:
        """Bring the current to the prior by a map of the prior's millimetres to its own."""
        fine = sitk.Resample(current.fine, prior.mask, transform, sitk.sitkLinear, 0)
        return cls(
            sitk.GetArrayFromImage(prior.fine),
            sitk.GetArrayFromImage(fine),
            prior.breast,
            _coded(prior, current, transform) == 2,
        )

    def likeness(self) -> float:
        """Correlation of the tissue where both images show it, times the root of its area."""
        both = self.prior_breast & self.current_breast
        if both.sum() < 2:
            return 0.0
        a, b = self.prior[both], self.current[both]
        if min(a.std(), b.std()) == 0:
            return 0.0
        return float(np.corrcoef(a, b)[0, 1] * np.sqrt(both.sum()))

    def anchors(self) -> Anchors:
        """Look for each point of a grid again: 12 mm of tissue around it, up to 7 mm away."""
        half = ANCHOR_PX // 2
        places = self._grid(half + REACH_PX)
        off = np.full(len(places), np.nan)
        if not len(places):
            return Anchors(places, places, off)
        moves = best_moves(self.prior, self.current, places, half, REACH_PX)
        tree = cKDTree(places)
        for own, near in enumerate(tree.query_ball_point(places, NEAR_PX)):
            others = [k for k in near if k != own]
            if len(others) >= MIN_NEAR:
                off[own] = np.hypot(*(moves[own] - np.median(moves[others], axis=0)))
        return Anchors(places, moves, off)

    def _grid(self, margin: int) -> np.ndarray:
        """Return (n, 2) row, column of grid points with breast on both images around them."""
        both = self.prior_breast & self.current_breast
        inside = ndimage.binary_erosion(both, iterations=ANCHOR_PX // 2 - 1)
        return places_in(inside, slice(margin, -margin, STEP_PX), MAX_ANCHORS)


def dice(prior: Picture, current: Picture, transform: sitk.Transform) -> float:
    """Overlap of the outlines, counting only what both images show."""
    coded = _coded(prior, current, transform)
    a, b = prior.breast & (coded > 0), coded == 2
    return float(2 * (a & b).sum() / max(a.sum() + b.sum(), 1))


def _coded(prior: Picture, current: Picture, transform: sitk.Transform) -> np.ndarray:
    """Return 0 beyond the current, 1 for its background, 2 for its breast, on prior pixels."""
    coded = sitk.Resample(current.mask + 1, prior.mask, transform, sitk.sitkNearestNeighbor, 0)
    return sitk.GetArrayFromImage(coded)


def places_in(inside: np.ndarray, each: slice, most: int) -> np.ndarray:
    """Return (n, 2) row, column of grid points that are inside; of more than so many, some.

    The grid has these of the rows and of the columns.
    """
    grid = np.zeros_like(inside)
    grid[each, each] = True
    places = np.argwhere(grid & inside)
    if len(places) > most:
        places = places[np.linspace(0, len(places) - 1, most).round().astype(int)]
    return places


def best_moves(
    prior: np.ndarray, current: np.ndarray, places: np.ndarray, half: int, reach: int
) -> np.ndarray:
    """Find by how much pieces of an image fit best on another, by normalised correlation.

    Parameters
    ----------
    prior, current
        (rows, columns) of one shape.
    places
        (n, 2) row, column of the pieces' middles.
    half, reach
        A piece is 2 half + 1 pixels wide, and is looked for so many pixels away.

    Returns
    -------
    numpy.ndarray
        (n, 2) row, column of the move.
    """
    side, margin = 2 * half + 1, half + reach
    prior, current = np.pad(prior, margin), np.pad(current, margin)
    mean = ndimage.uniform_filter(current, side)
    variance = ndimage.uniform_filter(current**2, side) - mean**2
    places = places + margin
    pieces = _windows(prior, places, half)
    pieces = pieces - pieces.mean(axis=(1, 2), keepdims=True)
    shape = [fft.next_fast_len(2 * margin + 1, real=True)] * 2
    spectra = np.conj(fft.rfft2(pieces, shape))
    spectra *= fft.rfft2(_windows(current, places, margin), shape)
    product = fft.irfft2(spectra, shape)[:, : 2 * reach + 1, : 2 * reach + 1]
    fit = product / np.sqrt(np.maximum(_windows(variance, places, reach), 1e-6))
    best = fit.reshape(len(fit), -1).argmax(axis=1)
    return np.stack(np.unravel_index(best, fit.shape[1:]), axis=1) - reach


def _windows(image: np.ndarray, places: np.ndarray, half: int) -> np.ndarray:
    """Return (n, 2 half + 1, 2 half + 1) windows around pixels (n, 2)."""
    side = 2 * half + 1
    return sliding_window_view(image, (side, side))[tuple((places - half).T)]

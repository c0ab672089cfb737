"""Registration by block matching: pieces of tissue are looked for, and most of them are believed.

S. Ourselin, A. Roche, G. Subsol, X. Pennec, N. Ayache, *Reconstructing a 3D structure from serial
histological sections*, Image and Vision Computing 19, 2001.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .likeness import Overlay, best_moves, places_in
from .reduced import Picture

ROUNDS = ((9, 24), (7, 16), (5, 8))
"""Half the side of the pieces, and how far they are looked for, in pixels of 1.1 mm."""
STEP_PX, INNER_PX, MOST_PIECES, LEAST_PIECES = 4, 3, 400, 20
NEAR_MM, DRAWS, REFINEMENTS = 6.0, 300, 10
"""How far off a piece still counts for a map; how many maps are tried, each of three pieces, and
how often the best is fitted to what is near."""
SCALES = (0.7, 1.4)
SEED = 0


def block_matched(
    prior: Picture, current: Picture, affine: sitk.AffineTransform
) -> sitk.AffineTransform | None:
    """Find the affine map that most pieces of the prior's tissue agree with.

    Parameters
    ----------
    prior, current
        The pictures.
    affine
        From millimetres of the prior to those of the current; pieces are looked for up to 26 mm
        from where it puts them.

    Returns
    -------
    SimpleITK.AffineTransform or None
        The map; None where the prior shows too little tissue.
    """
    for half, reach in ROUNDS:
        overlay = Overlay.of(prior, current, affine)
        inside = ndimage.binary_erosion(overlay.prior_breast, iterations=INNER_PX)
        places = places_in(inside, slice(STEP_PX // 2, None, STEP_PX), MOST_PIECES)
        if len(places) < LEAST_PIECES:
            return None
        moves = best_moves(overlay.prior, overlay.current, places, half, reach)
        found = prior.in_mm(places + moves).tolist()
        found = np.array([affine.TransformPoint(point) for point in found])
        matrix = _consensus(prior.in_mm(places), found)
        if matrix is None:
            return None
        affine = sitk.AffineTransform(matrix[:2].T.ravel().tolist(), matrix[2].tolist())
    return affine


def _consensus(points: np.ndarray, found: np.ndarray) -> np.ndarray | None:
    """Fit (3, 2), so that points (n, 2) and ones times it are `found`, to most of the points.

    By random sample consensus, then least squares on those that are near.
    """
    extended = np.c_[points, np.ones(len(points))]
    draws = np.random.default_rng(SEED).integers(len(points), size=(DRAWS, 3))
    area = np.abs(np.linalg.det(extended[draws]))
    draws = draws[area > 1.0]
    if not len(draws):
        return None
    tried = np.linalg.solve(extended[draws], found[draws])
    scales = np.linalg.svd(tried[:, :2], compute_uv=False)
    is_sound = (scales[:, 0] < SCALES[1]) & (scales[:, 1] > SCALES[0])
    tried = tried[is_sound & (np.linalg.det(tried[:, :2]) > 0)]
    if not len(tried):
        return None
    off = np.linalg.norm(extended @ tried - found, axis=-1)
    best = tried[np.minimum(off, NEAR_MM).sum(axis=1).argmin()]
    for _ in range(REFINEMENTS):
        off = np.linalg.norm(extended @ best - found, axis=-1)
        near = off <= max(NEAR_MM, np.quantile(off, 0.2))
        best = np.linalg.lstsq(extended[near], found[near], rcond=None)[0]
    return best

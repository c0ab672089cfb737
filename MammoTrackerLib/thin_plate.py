"""A smooth map through the anchor points that agree: a thin-plate spline.

F. L. Bookstein, *Principal warps: thin-plate splines and the decomposition of deformations*, IEEE
Transactions on Pattern Analysis and Machine Intelligence 11, 1989.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy.interpolate import RBFInterpolator

from .likeness import Anchors
from .reduced import Picture, Reduced

SMOOTHINGS, NODE_MM = (100.0, 1000.0, 10000.0), 5.0
"""How stiff the spline is, tried in turn until it is sound; how far apart it is sampled."""
MOST_MM, MIN_JACOBIAN = 20.0, 0.4


def thin_plate(
    anchors: Anchors, prior: Picture, before: Reduced
) -> sitk.DisplacementFieldTransform | None:
    """Make a smooth map of the moves of the anchor points that agree with those around them.

    Parameters
    ----------
    anchors
        Of the affinely registered images.
    prior, before
        The prior's picture, and the prior: the map covers its whole image, also under a frame.

    Returns
    -------
    SimpleITK.DisplacementFieldTransform or None
        Of the picture's millimetres, before the affine map, sampled every 5 mm; None where it
        would fold the breast or move it far, or the points are too few or on one line.
    """
    places = prior.in_mm(anchors.places[anchors.agree])
    moves = anchors.moves[anchors.agree][:, ::-1] * prior.mask.GetSpacing()
    extent = np.array(before.shape[::-1]) * before.spacing
    counts = np.ceil(extent / NODE_MM).astype(int) + 1
    x, y = (np.linspace(0, side, count) for side, count in zip(extent, counts, strict=True))
    nodes = np.stack(np.meshgrid(x, y), axis=-1) - before.corner
    for smoothing in SMOOTHINGS:
        try:
            moved = RBFInterpolator(places, moves, smoothing=smoothing)
        except (ValueError, np.linalg.LinAlgError):  # too few points, or on one line
            return None
        values = moved(nodes.reshape(-1, 2)).reshape(nodes.shape)
        field = sitk.GetImageFromArray(values, isVector=True)
        field.SetOrigin(nodes[0, 0].tolist())
        field.SetSpacing((extent / (counts - 1)).tolist())
        transform = sitk.DisplacementFieldTransform(field)
        if _is_sound(transform, prior):
            return transform
    return None


def _is_sound(transform: sitk.Transform, prior: Picture) -> bool:
    field = sitk.TransformToDisplacementField(
        transform, sitk.sitkVectorFloat64, prior.fine.GetSize(), prior.fine.GetOrigin(),
        prior.fine.GetSpacing(), prior.fine.GetDirection(),
    )  # fmt: skip
    jacobian = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(field))
    moved = np.linalg.norm(sitk.GetArrayFromImage(field), axis=-1)[prior.breast]
    return moved.max() <= MOST_MM and jacobian[prior.breast].min() >= MIN_JACOBIAN

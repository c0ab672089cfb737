"""The spline through the anchor points."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from MammoTrackerLib import Mammogram
from MammoTrackerLib.likeness import Anchors
from MammoTrackerLib.reduced import Picture, Reduced
from MammoTrackerLib.thin_plate import MIN_JACOBIAN, thin_plate


@pytest.fixture(scope="module")
def breast() -> Reduced:
    """Return a half ellipse of 90 x 180 mm."""
    y, x = np.mgrid[:1000, :600] * 0.2
    inside = (x / 90) ** 2 + ((y - 100) / 90) ** 2 < 1
    tissue = np.random.default_rng(0).uniform(500, 1000, inside.shape)
    return Reduced.of(Mammogram(np.where(inside, tissue, 0), 0.2))


def anchors_of(breast: Reduced, moves) -> Anchors:
    """Make anchor points that agree, at each fifth pixel in the breast, with moves in pixels."""
    places = np.argwhere(breast.breast)
    places = places[(places % 5 == 0).all(axis=1)]
    return Anchors(places, np.round(moves(places)).astype(int), np.zeros(len(places)))


def test_a_smooth_move_is_followed(breast):
    def moves(places: np.ndarray) -> np.ndarray:
        return 4 * np.sin(places[:, ::-1] / 40)

    prior = Picture.of(breast)
    spline = thin_plate(anchors_of(breast, moves), prior, breast)
    places = np.argwhere(breast.breast)[::97]
    spacing, origin = np.array(prior.mask.GetSpacing()), np.array(prior.mask.GetOrigin())
    points = places[:, ::-1] * spacing + origin
    mapped = np.array([spline.TransformPoint(point) for point in points.tolist()])
    off = np.linalg.norm(mapped - points - moves(places)[:, ::-1] * spacing, axis=1)
    assert np.mean(off) < 0.5


@pytest.mark.parametrize("most", [2, 6])
def test_moves_at_random_do_not_fold_the_breast(breast, most):
    rng = np.random.default_rng(1)
    anchors = anchors_of(breast, lambda places: rng.uniform(-most, most, places.shape))
    prior = Picture.of(breast)
    spline = thin_plate(anchors, prior, breast)
    assert spline is not None
    field = sitk.TransformToDisplacementField(
        spline, sitk.sitkVectorFloat64, prior.fine.GetSize(), prior.fine.GetOrigin(),
        prior.fine.GetSpacing(), prior.fine.GetDirection(),
    )  # fmt: skip
    jacobian = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(field))
    assert jacobian[prior.breast].min() >= MIN_JACOBIAN


@pytest.mark.parametrize("places", [[], [[20, 20], [30, 30]], [[20, 20], [30, 20], [40, 20]]])
def test_points_that_are_few_or_on_one_line_make_none(breast, places):
    places = np.array(places, int).reshape(-1, 2)
    anchors = Anchors(places, np.ones_like(places), np.zeros(len(places)))
    assert thin_plate(anchors, Picture.of(breast), breast) is None

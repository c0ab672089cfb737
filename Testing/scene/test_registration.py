"""The registration as a transform node."""

from __future__ import annotations

import numpy as np
import pytest
from mrml import add_bent, add_linear, add_volume, largest_error, smooth_alignment, world_of

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")
vtk = pytest.importorskip("vtk")


from MammoTrackerLib import MammoTrackerError  # noqa: E402
from MammoTrackerLib import scene as bridge  # noqa: E402


def test_the_registration_maps_world_to_world(large_pair):
    prior, current = large_pair
    alignment = smooth_alignment(prior, current)
    grid = alignment.grid()
    node = bridge.show_registration(prior, current, grid)
    assert bridge.registration_of(prior, current) is node
    nodes = grid.reshape(-1, 4)
    assert largest_error(node, prior, current, nodes[:, :2], nodes[:, 2:]) < 0.01
    between = np.random.default_rng(2).uniform((0, 0), (160, 240), (60, 2))
    mapped = alignment.map_points(between)
    for off_slice_mm in (0, -4, 9):
        error = largest_error(node, prior, current, between, mapped, off_slice_mm)
        assert error < 0.3
    inner = (between > 25).all(axis=1) & (between < (135, 215)).all(axis=1)
    back = largest_error(node, prior, current, between[inner], mapped[inner], 0, inverse=True)
    assert back < 0.3


def test_the_registration_is_replaced(large_pair):
    prior, current = large_pair
    alignment = smooth_alignment(prior, current)
    node = bridge.show_registration(prior, current, alignment.grid())
    identity = alignment.grid()
    identity[..., 2:] = identity[..., :2]
    assert bridge.show_registration(prior, current, identity) is node
    corner = (0.0, 0.0), (160.0, 240.0)
    assert largest_error(node, prior, current, corner, corner) < 0.01
    assert bridge.registration_of(current, prior) is None


def test_the_warped_prior_lies_on_the_current(scene, large_pair):
    prior, current = large_pair
    with pytest.raises(MammoTrackerError, match="no registration"):
        bridge.warped_prior(prior, current)
    alignment = smooth_alignment(prior, current)
    bridge.show_registration(prior, current, alignment.grid())
    prior.GetDisplayNode().SetAutoWindowLevel(False)
    prior.GetDisplayNode().SetWindowLevel(77, 33)
    warped = bridge.warped_prior(prior, current)
    assert warped.GetImageData() is prior.GetImageData()
    for lesion in ((40, 60), (100, 150.5)):
        (found,) = alignment.map_points(np.array(lesion))
        shift = world_of(warped, lesion) - world_of(current, found)
        assert np.linalg.norm(shift) < 0.3
    assert (warped.GetDisplayNode().GetWindow(), warped.GetDisplayNode().GetLevel()) == (77, 33)
    assert warped.GetHideFromEditors() and not warped.GetSaveWithScene()
    assert bridge.warped_prior(prior, current) is warped
    assert bridge.lesions(warped) == []
    bridge.set_spacing(current, 0.3)
    assert bridge.registration_of(prior, current) is None
    assert scene.GetNodeByID(warped.GetID() or "none") is None


def test_a_registration_of_a_bent_prior(scene):
    """Of a prior under a transform that is not linear: close to the map, not exact."""
    pixels = np.random.default_rng(1).integers(0, 99, (120, 80)).astype(np.uint8)
    prior = add_volume(scene, pixels, spacing=(0.4, 0.5, 1), parent=add_bent(scene))
    current = add_volume(scene, pixels, spacing=(0.4, 0.5, 1))
    alignment = smooth_alignment(prior, current)
    node = bridge.show_registration(prior, current, alignment.grid())
    points = np.random.default_rng(2).uniform((0, 0), (80, 120), (40, 2))
    assert largest_error(node, prior, current, points, alignment.map_points(points)) < 0.5
    with pytest.raises(MammoTrackerError, match="not linear"):
        bridge.warped_prior(prior, current)


def test_a_registration_holds_while_its_exams_lie_where_they_did(scene, large_pair):
    prior, current = large_pair
    node = bridge.show_registration(prior, current, smooth_alignment(prior, current).grid())
    for volume in (prior, current):
        parent, origin, spacing = (
            volume.GetTransformNodeID(), volume.GetOrigin(), volume.GetSpacing()
        )  # fmt: skip
        volume.SetAndObserveTransformNodeID(add_linear(scene, np.eye(3), (0, 9, 0)).GetID())
        assert bridge.registration_of(prior, current) is None
        with pytest.raises(MammoTrackerError, match="no registration"):
            bridge.warped_prior(prior, current)
        volume.SetAndObserveTransformNodeID(parent)
        assert bridge.registration_of(prior, current) is node
        volume.SetOrigin(np.array(origin) + 1)
        assert bridge.registration_of(prior, current) is None
        volume.SetOrigin(origin)
        volume.SetSpacing(np.array(spacing) / 2)
        assert bridge.registration_of(prior, current) is None
        volume.SetSpacing(spacing)
    assert bridge.registration_of(prior, current) is node
    moved = add_linear(scene, np.eye(3), (0, 9, 0))
    current.SetAndObserveTransformNodeID(moved.GetID())
    again = bridge.show_registration(prior, current, smooth_alignment(prior, current).grid())
    assert again is node and bridge.registration_of(prior, current) is node

"""The registration of a pair as a transform node, and the prior's volume under it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import slicer
import vtk
from scipy.interpolate import RegularGridInterpolator
from slicer.util import vtkMatrixFromArray
from vtk.util.numpy_support import numpy_to_vtk

from ..errors import MammoTrackerError
from .nodes import (
    TRANSFORM,
    VOLUME,
    attribute,
    do_not_save,
    new_node,
    node_with,
    set_attribute,
)
from .raster import Raster, right_angled
from .rois import THICKNESS_MM

_SAME_PLACE_MM = 0.05


def registration_of(prior, current):
    """Return the transform node that takes the prior's world to the current's.

    None if there is none, or if one of them lies elsewhere by now, or has other pixels.
    """
    node = _kept(prior, current)
    places = attribute(node, "Places") if node is not None else ""
    if not places:  # none, or of a version that did not keep them
        return node
    try:
        off = np.subtract(json.loads(places), _places(prior, current))
    except MammoTrackerError:  # one of them is no single slice any more
        return None
    return node if np.abs(off).max() < _SAME_PLACE_MM else None


def doubts_of(prior, current) -> list[str]:
    """Return what made a pair's registration doubtful, where `registration_of` returns one."""
    node = registration_of(prior, current)
    return json.loads(attribute(node, "Doubts") or "[]") if node is not None else []


def _kept(prior, current):
    scene = prior.GetScene()
    return node_with(scene, TRANSFORM, "registration", Prior=prior, Current=current)


def _places(*volumes) -> list:
    """Return where the corners and the middle of each volume are in the world."""
    corners = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0), (0.5, 0.5, 0)])
    rasters = map(Raster, volumes)
    return [raster.to_world(corners * (*raster.size, 1)).tolist() for raster in rasters]


def show_registration(prior, current, grid: np.ndarray, doubts: Sequence[str] = ()):
    """Keep a pair's registration in the scene as a transform of world to world.

    Parameters
    ----------
    prior, current
        The volumes, at the places that they have now.
    grid
        As `Alignment.grid` returns it.
    doubts
        The `Alignment.warnings`.

    Returns
    -------
    vtkMRMLTransformNode
        Its transform to the parent takes points of the prior to the current: bent by a grid of
        displacements, then linear. Up to 10 mm off the prior's slice, points keep their
        distance from it.
    """
    source, target = Raster(prior), Raster(current)
    grid = np.asarray(grid, float)
    rows, columns = grid.shape[:2]
    nodes = source.to_world(np.pad(grid[..., :2].reshape(-1, 2), ((0, 0), (0, 1))))

    # The transform's own grid has right angles. Wherever the prior's pixels do too, its nodes
    # are those of the given grid.
    axes = right_angled(nodes[columns - 1] - nodes[0], nodes[-columns] - nodes[0])
    extents = (nodes - nodes[0]) @ axes.T
    low, high = extents[:, :2].min(axis=0), extents[:, :2].max(axis=0)
    steps = np.stack(
        np.meshgrid(np.linspace(low[0], high[0], columns), np.linspace(low[1], high[1], rows)),
        axis=-1,
    ).reshape(-1, 2)
    nodes = nodes[0] + steps @ axes[:2]
    pixels = RegularGridInterpolator(
        (grid[:, 0, 1], grid[0, :, 0]), grid[..., 2:], bounds_error=False, fill_value=None
    )(source.from_world(nodes)[:, 1::-1])
    mapped = target.to_world(np.pad(pixels, ((0, 0), (0, 1))))

    depth = max(source.spacing[2], target.spacing[2], THICKNESS_MM)
    side = np.sign(axes[2] @ _normal(source))
    before = np.concatenate([nodes + offset * axes[2] for offset in (-depth, depth)])
    after = np.concatenate([mapped + offset * side * _normal(target) for offset in (-depth, depth)])
    # The best linear map apart, since VTK finds the inverse of small displacements alone: two
    # mammograms may face each other.
    linear, directions = np.eye(4), np.eye(4)
    directions[:3, :3] = axes.T
    linear[:3] = np.linalg.lstsq(
        np.pad(before, ((0, 0), (0, 1)), constant_values=1), after, rcond=None
    )[0].T
    unbent = (after - linear[:3, 3]) @ np.linalg.inv(linear[:3, :3]).T

    image = vtk.vtkImageData()
    image.SetDimensions(columns, rows, 2)
    image.SetOrigin(before[0])
    image.SetSpacing(*(high - low) / (columns - 1, rows - 1), 2 * depth)
    image.GetPointData().SetScalars(numpy_to_vtk(unbent - before, deep=True))
    bend = slicer.vtkOrientedGridTransform()
    bend.SetGridDirectionMatrix(vtkMatrixFromArray(directions))
    bend.SetDisplacementGridData(image)
    bend.SetInterpolationModeToCubic()  # as Slicer does with grids that it reads from a file
    transform = vtk.vtkGeneralTransform()
    transform.Concatenate(vtkMatrixFromArray(linear))
    transform.Concatenate(bend)

    node = _kept(prior, current) or new_node(
        prior.GetScene(), TRANSFORM, "Prior to current registration", "registration",
        Prior=prior, Current=current,
    )  # fmt: skip
    node.SetAndObserveTransformToParent(transform)
    set_attribute(node, "Places", json.dumps(_places(prior, current)))
    set_attribute(node, "Doubts", json.dumps(list(doubts)))
    return node


def _normal(raster: Raster) -> np.ndarray:
    x, y = np.array(raster.size) / 2
    below, above = raster.to_world([(x, y, -0.5), (x, y, 0.5)])
    return (above - below) / np.linalg.norm(above - below)


def warped_prior(prior, current):
    """Return a volume that shows the prior's pixels where registration puts them.

    It shares the prior's image, and is not saved.

    Raises
    ------
    MammoTrackerError
        If there is no registration of the pair, or the prior is under a transform that is not
        linear.
    """
    registration = registration_of(prior, current)
    if registration is None:
        raise MammoTrackerError("This pair has no registration yet: track a lesion first.")
    scene, parent = prior.GetScene(), prior.GetParentTransformNode()
    to_world = vtk.vtkMatrix4x4()
    if parent is not None and not parent.GetMatrixTransformToWorld(to_world):
        raise MammoTrackerError(
            "The prior is under a transform that is not linear: harden it first "
            "(module Transforms)."
        )
    volume = node_with(scene, VOLUME, "warped", Prior=prior, Current=current)
    if volume is None:
        name = f"{prior.GetName()} (warped)"
        volume = new_node(scene, VOLUME, name, "warped", Prior=prior, Current=current)
        volume.HideFromEditorsOn()
        volume.CreateDefaultDisplayNodes()
        do_not_save(volume)
    ijk_to_world = vtk.vtkMatrix4x4()
    prior.GetIJKToRASMatrix(ijk_to_world)
    vtk.vtkMatrix4x4.Multiply4x4(to_world, ijk_to_world, ijk_to_world)
    volume.SetIJKToRASMatrix(ijk_to_world)
    volume.SetAndObserveImageData(prior.GetImageData())
    volume.SetAndObserveTransformNodeID(registration.GetID())
    like, display = prior.GetDisplayNode(), volume.GetDisplayNode()
    if like is not None:
        display.SetAndObserveColorNodeID(like.GetColorNodeID())
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(like.GetWindow(), like.GetLevel())
    return volume

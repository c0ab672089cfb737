"""Where the pixels of a volume lie in the world."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from slicer.util import arrayFromVTKMatrix

from ..errors import MammoTrackerError
from ..reading.geometry import Geometry


class Raster:
    """Where the pixels of a volume lie.

    Points are (n, 3): x, y in pixels, then the distance from the slice in slice thicknesses.

    Attributes
    ----------
    size
        (columns, rows).
    spacing
        (x, y, thickness) in the volume's own mm.
    """

    def __init__(self, volume) -> None:
        axes = image_axes(volume)
        size, spacing = volume.GetImageData().GetDimensions(), volume.GetSpacing()
        self.size = size[axes[0]], size[axes[1]]
        self.spacing = tuple(spacing[axis] for axis in axes)
        self.parent = volume.GetParentTransformNode()
        ijk_to_ras = vtk.vtkMatrix4x4()
        volume.GetIJKToRASMatrix(ijk_to_ras)
        self._matrix = arrayFromVTKMatrix(ijk_to_ras)[:, [*axes, 3]]
        # IJK counts from the centre of the first pixel, a box from its corner.
        self._matrix[:, 3] -= self._matrix[:, :2].sum(axis=1) / 2
        self._inverse = np.linalg.inv(self._matrix)

    def to_volume(self, points: np.ndarray) -> np.ndarray:
        """Map to the RAS of the volume itself, before its parent transform."""
        return np.asarray(points, float) @ self._matrix[:3, :3].T + self._matrix[:3, 3]

    def to_world(self, points: np.ndarray) -> np.ndarray:
        return _between(self.parent, None, self.to_volume(points))

    def from_world(self, points: np.ndarray) -> np.ndarray:
        points = _between(None, self.parent, np.asarray(points, float))
        return points @ self._inverse[:3, :3].T + self._inverse[:3, 3]

    def geometry(self) -> Geometry:
        """Return where the pixels lie as one that was read from a file; a bent slice as if flat."""
        first, right, below = self.to_world([(0.5, 0.5, 0), (1.5, 0.5, 0), (0.5, 1.5, 0)])
        to_lps = np.array([-1, -1, 1])
        return Geometry(first * to_lps, (right - first) * to_lps, (below - first) * to_lps)


def image_axes(volume) -> tuple[int, int, int]:
    """Return which IJK axes are the columns (x), the rows (y), and the one across the slice."""
    image = volume.GetImageData()
    size = image.GetDimensions() if image else (0, 0, 0)
    across = [axis for axis in range(3) if size[axis] == 1]
    if min(size) == 0 or max(size) == 1:
        raise MammoTrackerError("The volume holds no image: load a mammogram.")
    if image.GetNumberOfScalarComponents() > 1:
        raise MammoTrackerError(
            "The volume is a colour image: make a grey one of it (module Vector to Scalar Volume)."
        )
    if len(across) != 1:
        raise MammoTrackerError(
            "The volume is no single slice: select a two-dimensional mammogram "
            "(tomosynthesis is not supported)."
        )
    x, y = (axis for axis in range(3) if axis not in across)
    return x, y, across[0]


def _between(source, target, points: np.ndarray) -> np.ndarray:
    """Map points from below one transform node to below another; None is the world."""
    if source is target:
        return points
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(source, target, transform)
    return np.array([transform.TransformPoint(point) for point in points]).reshape(-1, 3)


def right_angled(along: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Return three unit axes as rows: along the first vector, in the plane of both, across it."""
    x = along / np.linalg.norm(along)
    y = up - (up @ x) * x
    y /= np.linalg.norm(y)
    return np.stack([x, y, np.cross(x, y)])

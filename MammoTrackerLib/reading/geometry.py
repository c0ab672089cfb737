"""Where 3D Slicer puts the pixels of an image file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..box import Box
from ..mammogram import Header, Mammogram

_ROI_THICKNESS_MM = 10.0


class Geometry:
    """Where 3D Slicer puts the pixels of an image file: LPS, in mm."""

    def __init__(
        self, origin: Sequence[float], x_axis: Sequence[float], y_axis: Sequence[float]
    ) -> None:
        self.origin, self.x_axis, self.y_axis = origin, x_axis, y_axis

    @classmethod
    def of(cls, path: Path, mammogram: Header | Mammogram) -> Geometry:
        """Read the header as ITK, and so Slicer, does.

        Files in which ITK finds no spacing (1 mm) get that of the mammogram: in Slicer the
        user has to enter it too, in the module Volumes.
        """
        import SimpleITK as sitk

        reader = sitk.ImageFileReader()
        try:
            str(path).encode("utf-8")  # ITK ends the process over other names
            reader.SetFileName(str(path))
            reader.ReadImageInformation()
            dimension = reader.GetDimension()
            spacing, origin = reader.GetSpacing(), reader.GetOrigin()
            direction = reader.GetDirection()
            # As in reading: the slice may be coronal or sagittal.
            used = [axis for axis, length in enumerate(reader.GetSize()) if length > 1]
        except (RuntimeError, UnicodeEncodeError):
            dimension, spacing, origin, direction = 2, (1, 1), (0, 0), (1, 0, 0, 1)
            used = [0, 1]
        sides = [spacing[axis] for axis in used]
        if sides == [1, 1]:
            sides = mammogram.spacing
        missing = [0.0] * (3 - dimension)
        x_axis, y_axis = (
            [direction[row * dimension + axis] * side for row in range(dimension)]
            for axis, side in zip(used, sides, strict=True)
        )
        return cls(*([*values, *missing][:3] for values in (origin, x_axis, y_axis)))

    def at_one_mm(self) -> Geometry:
        """Return where the pixels would be if they had 1 mm."""
        axes = ([v / math.hypot(*axis) for v in axis] for axis in (self.x_axis, self.y_axis))
        return Geometry(self.origin, *axes)

    def center(self, box: Box) -> list[float]:
        # ITK's origin is the centre of the first pixel, a box's is that pixel's corner.
        x, y = (value - 0.5 for value in box.center)
        return [
            origin + x * along_x + y * along_y
            for origin, along_x, along_y in zip(self.origin, self.x_axis, self.y_axis, strict=True)
        ]

    def size(self, box: Box) -> list[float]:
        return [
            box.width * math.hypot(*self.x_axis),
            box.height * math.hypot(*self.y_axis),
            _ROI_THICKNESS_MM,
        ]

    def orientation(self) -> list[float]:
        """Return the 3 x 3 matrix, row by row, whose columns are the ROI's axes.

        They point right and anterior for an image without orientation, as Slicer's own do.
        """
        x, y = (
            [-value / math.hypot(*axis) for value in axis] for axis in (self.x_axis, self.y_axis)
        )
        z = [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]]
        return [value for row in zip(x, y, z, strict=True) for value in row]

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Return where points (n, 3) are on the image (n, 2), seen from across it."""
        axes = np.column_stack([self.x_axis, self.y_axis])
        offsets = (np.asarray(points, float) - self.origin).T
        return np.linalg.lstsq(axes, offsets, rcond=None)[0].T + 0.5

"""What 3D Slicer's markups files (.mrk.json) mark on an image."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np

from ..errors import MammoTrackerError
from .files import first_bytes
from .geometry import Geometry

_MOST_BYTES = 16_000_000
_MOST_MARKS = 1000
_LARGEST_COORDINATE_MM = 1e5
_OUTLINES = ("ClosedCurve", "Curve", "Line")
_STEPS = 10
"""Into so many pieces Slicer draws a curve from one control point to the next."""


def read_markups(path: Path, geometry: Geometry) -> list[tuple[float, float, float, float]]:
    """Return the bounds (x0, y0, x1, y1), in an image's pixels, of what a file marks.

    ROIs are boxes, curves outlines as Slicer draws them, a line is a diameter (as in a report, see
    `sr_content`), and every point of a point list a mark of no width and no height. What was not
    placed yet is left out. All are seen from across the image, since a mammogram has no depth.

    Raises
    ------
    MammoTrackerError
        If the file is none of Slicer's markups, damaged, or marks another kind of things.
    """
    first_bytes(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("too large for a file of markups")
        markups = json.loads(path.read_bytes())["markups"]
        marks = [points for markup in markups for points in _marks(markup, path)]
        if len(marks) > _MOST_MARKS:
            raise ValueError("more marks than lesions can be")
        return [_bounds(geometry.pixels(points), geometry) for points in marks]
    except MammoTrackerError:
        raise
    except Exception:  # whatever something else than markups leads to
        raise MammoTrackerError(
            f"{path} is damaged, or no markups file of 3D Slicer: save the ROIs there, or "
            "give boxes in pixels."
        ) from None


def _marks(markup: dict, path: Path) -> list[np.ndarray]:
    """Return the points (n, 3), in LPS, that bound each mark."""
    kind = markup["type"]
    if kind not in ("ROI", "Fiducial", *_OUTLINES):
        raise MammoTrackerError(
            f"{path} holds markups that mark no lesion: give ROIs, points or closed curves."
        )
    units = markup.get("coordinateUnits", "mm")
    if "mm" not in (units, units[0]):
        raise MammoTrackerError(
            f"{path} does not give its coordinates in mm: save the markups in 3D Slicer, which "
            "does so."
        )
    sign = {"LPS": 1, "RAS": -1}[markup.get("coordinateSystem", "LPS")]
    to_lps = np.array([sign, sign, 1])
    placed = [
        _numbers(point["position"], 3) * to_lps
        for point in markup.get("controlPoints") or ()
        if point.get("positionStatus", "defined") == "defined"
    ]
    if kind == "Fiducial":
        return [point[None] for point in placed]
    if not placed:
        return []
    if kind == "ROI":
        corners = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))
        axes = _numbers(markup.get("orientation", np.eye(3).ravel()), 9).reshape(3, 3)
        size, center = _numbers(markup["size"], 3), _numbers(markup["center"], 3)
        return [(center + (corners * size) @ axes.T) * to_lps]
    return [_drawn(np.array(placed), kind == "ClosedCurve")]


def _drawn(points: np.ndarray, is_closed: bool) -> np.ndarray:
    """Return points on the curve that Slicer draws through control points (n, 3).

    That is VTK's cardinal spline over their numbers; files do not keep another type of curve.
    """
    from scipy.interpolate import CubicSpline

    if len(points) < 3:
        return points
    if is_closed:
        points = np.concatenate([points, points[:1]])
    pieces = len(points) - 1
    spline = CubicSpline(range(pieces + 1), points, bc_type="periodic" if is_closed else "clamped")
    return spline(np.linspace(0, pieces, _STEPS * pieces + 1))


def _bounds(points: np.ndarray, geometry: Geometry) -> tuple[float, float, float, float]:
    """Return the bounds of points (n, 2) in pixels; two are the ends of a circle's diameter."""
    if len(points) == 2:
        sides = np.array([math.hypot(*geometry.x_axis), math.hypot(*geometry.y_axis)])
        radius = math.hypot(*(points[1] - points[0]) * sides) / 2 / sides
        points = points.mean(axis=0) + [-radius, radius]
    x0, y0, x1, y1 = (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())
    return x0, y0, x1, y1


def _numbers(values: object, count: int) -> np.ndarray:
    numbers = np.asarray(values, float)
    if numbers.shape != (count,) or not (np.abs(numbers) <= _LARGEST_COORDINATE_MM).all():
        raise ValueError("not so many numbers in mm")
    return numbers

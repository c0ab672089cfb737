"""What 3D Slicer's markups files (.mrk.json) mark on an image."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np

from ..errors import MammoTrackerError
from .files import first_bytes
from .geometry import Geometry

_MOST_BYTES = 16_000_000
_MOST_MARKS = 1000
_LARGEST_COORDINATE_MM = 1e5
_OUTLINES = ("ClosedCurve", "Curve", "Line")


def read_markups(path: Path, geometry: Geometry) -> list[tuple[float, float, float, float]]:
    """Return the bounds (x0, y0, x1, y1), in an image's pixels, of what a file marks.

    ROIs are boxes, closed curves outlines, and every point of a point list a mark of no width and
    no height. What was not placed yet is left out. All are seen from across the image, since a
    mammogram has no depth.

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
        bounds = [geometry.pixels(points) for points in marks]
        return [(*b.min(axis=0).tolist(), *b.max(axis=0).tolist()) for b in bounds]
    except MammoTrackerError:
        raise
    except Exception:  # whatever something else than markups leads to
        raise MammoTrackerError(
            f"{path} is damaged, or no markups file of 3D Slicer: save the ROIs again."
        ) from None


def _marks(markup: dict, path: Path) -> list[np.ndarray]:
    """Return the points (n, 3), in LPS, that bound each mark."""
    kind = markup["type"]
    if kind not in ("ROI", "Fiducial", *_OUTLINES):
        raise MammoTrackerError(
            f"{path} holds markups that mark no lesion: give ROIs, points or closed curves."
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
    return [np.array(placed)]


def _numbers(values: object, count: int) -> np.ndarray:
    numbers = np.asarray(values, float)
    if numbers.shape != (count,) or not (np.abs(numbers) <= _LARGEST_COORDINATE_MM).all():
        raise ValueError("not so many numbers in mm")
    return numbers

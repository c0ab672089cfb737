"""Pieces of a volume as the user sees them: in its window, as large and as fine as asked for."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates, uniform_filter
from slicer.util import arrayFromVolume

from ..box import Box
from ..breast import wall_is_left
from ..orientation import MIRRORED, UNTURNED, Turn, stated_turn, turned
from .raster import Raster
from .volumes import header_of

_WALLS: dict[str, tuple[int, bool]] = {}


def thumbnail(volume) -> np.ndarray:
    """Return the image at about 1 mm, (rows, columns), dense tissue bright."""
    image = arrayFromVolume(volume).squeeze()
    step = max(1, round(1 / min(_spacing(volume))))
    image = image[::step, ::step].astype(np.float32)
    return -image if header_of(volume).inverted else image


def is_wall_left(volume) -> bool:
    """Whether the chest wall is at the left of the stored image."""
    key, changed = volume.GetID(), volume.GetImageData().GetMTime()
    if _WALLS.get(key, (None, None))[0] != changed:
        _WALLS[key] = changed, wall_is_left(thumbnail(volume))
    return _WALLS[key][1]


def turn_to_lie_as(volume, other) -> Turn:
    """Return how a volume is turned to lie as another: as both headers say, or the chest walls."""
    turn = stated_turn(header_of(other).orientation, header_of(volume).orientation)
    if turn is None:
        turn = UNTURNED if is_wall_left(volume) == is_wall_left(other) else MIRRORED
    return turn


def crop_around(volume, box: Box, side_mm: float, side_px: int, turn: Turn) -> np.ndarray:
    """Return the field around a box's centre.

    Parameters
    ----------
    volume
        One slice.
    box
        In pixels of the volume.
    side_mm, side_px
        Of the square field, in the breast and in the picture.
    turn
        Of the picture, from `turn_to_lie_as`.

    Returns
    -------
    np.ndarray
        (side_px, side_px) uint8, as bright as on the screen; what is off the image is black.
    """
    spacing = np.array(_spacing(volume))
    image = arrayFromVolume(volume).squeeze()
    # Pixels of the image, per pixel of the picture.
    step = side_mm / side_px / spacing
    offsets = np.arange(side_px) - (side_px - 1) / 2
    columns, rows = (c - 0.5 + offsets * s for c, s in zip(box.center, step, strict=True))
    margin = np.ceil(step).astype(int) + 1
    x0, y0 = (int(max(0, v[0] - m)) for v, m in zip((columns, rows), margin, strict=True))
    x1, y1 = (int(max(0, v[-1] + m + 1)) for v, m in zip((columns, rows), margin, strict=True))
    piece = image[y0:y1, x0:x1].astype(np.float32)
    if not piece.size:
        return np.zeros((side_px, side_px), np.uint8)
    shown = _as_shown(volume, piece)
    smooth = uniform_filter(shown, np.maximum(1, np.round(step[::-1])).astype(int))
    grid = np.meshgrid(rows - y0, columns - x0, indexing="ij")
    result = map_coordinates(smooth, grid, order=1, mode="constant", cval=0.0)
    return turned(result, turn).astype(np.uint8)


def _as_shown(volume, values: np.ndarray) -> np.ndarray:
    """Map values to brightness, 0 to 255, as the volume's display does."""
    display = volume.GetDisplayNode()
    window, level = (display.GetWindow(), display.GetLevel()) if display else (0, 0)
    low, width = level - window / 2, window
    if not width:
        low, width = float(values.min()), float(np.ptp(values)) or 1.0
    shown = np.clip((values - low) / width, 0, 1) * 255
    return 255 - shown if header_of(volume).inverted else shown


def _spacing(volume) -> tuple[float, float]:
    return header_of(volume).spacing or Raster(volume).spacing[:2]

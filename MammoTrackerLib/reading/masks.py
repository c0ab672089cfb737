"""Masks: images that are zero but on lesions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import MammoTrackerError
from .dicom import read_stored_values
from .files import check_amount, first_bytes, no_image, truncated
from .image import image_format, read_pixels
from .image_headers import check_header

_MOST_LESIONS = 100
# What is smaller was painted by accident, or is left of what was erased.
_SMALLEST_PX = 3
# Of smaller images, several have the same shape but for rounding.
_SMALLEST_SIDE_PX = 100


def read_mask(
    path: Path, size: tuple[int, int]
) -> tuple[list[tuple[float, float, float, float]], list[str]]:
    """Return the boxes (x0, y0, x1, y1) of a mask's lesions, in pixels of its image, and remarks.

    Where there are several values (or colours) beside zero (or black), each is a lesion; else each
    connected part is one. A mask of another resolution than its image is scaled to it. Values that
    smoothing or a lossy format left at the edges of one value are no lesions; with several values,
    such a mask is refused.

    Parameters
    ----------
    path
        A PNG, TIFF, NRRD, NIfTI, MHA, JPEG or DICOM file.
    size
        (columns, rows) of the image that it is of.

    Raises
    ------
    MammoTrackerError
        If the file is no mask, marks nothing, too many places or too large a part of the image, or
        is not of that image's shape.
    """
    from scipy import ndimage

    stored = _stored(path)
    rows, columns = stored.shape
    x_factor, y_factor = size[0] / columns, size[1] / rows
    _check_shape(path, (columns, rows), size)
    remarks = []
    if (columns, rows) != size:
        remarks.append(
            "The mask has another resolution than its image: its boxes were scaled by "
            f"{x_factor:.4g}."
        )
    marked = stored != 0
    if not marked.any():
        raise MammoTrackerError(f"{path} marks nothing: all of its pixels are zero.")
    if np.count_nonzero(marked) > marked.size / 2:
        raise MammoTrackerError(
            f"{path} marks more than half of the image: a mask is zero (black) but on lesions."
        )
    labels, count, are_smooth = _labelled(stored)
    if are_smooth:
        labels, count, _ = _labelled(_without_smoothing(path, stored))
        remarks.append(
            "The mask's edges are smoothed: what has more than half of its highest value counts."
        )
    boxes = [
        (x.start * x_factor, y.start * y_factor, x.stop * x_factor, y.stop * y_factor)
        for y, x in filter(_is_large, ndimage.find_objects(labels))
    ]
    if len(boxes) > _MOST_LESIONS:
        raise MammoTrackerError(
            f"{path} marks {len(boxes)} places, and no image has as many lesions: mark a cluster "
            "of calcifications as one."
        )
    if len(boxes) < count:
        remarks.append(
            f"{count - len(boxes)} of the mask's parts are under {_SMALLEST_PX} pixels: left out."
        )
    return boxes, remarks


def _labelled(stored: np.ndarray) -> tuple[np.ndarray, int, bool]:
    """Give each lesion of a mask a number, from 1; also tell whether some are edges of others."""
    from scipy import ndimage

    marked = stored != 0
    values = np.unique(stored[marked])
    if len(values) == 1:
        return *ndimage.label(marked, np.ones((3, 3))), False
    labels = np.zeros(stored.shape, np.int32)
    labels[marked] = np.searchsorted(values, stored[marked]) + 1
    return labels, len(values), len(values) > _MOST_LESIONS or _has_edges(labels, len(values))


def _has_edges(labels: np.ndarray, count: int) -> bool:
    """Tell whether some of the labels 1 to `count` are thin and beside others, as by smoothing.

    They hold no square of three pixels, and most of their pixels touch another label.
    """
    from scipy import ndimage

    place = ndimage.find_objects((labels > 0).astype(np.int8))[0]
    labels = np.pad(labels[place], 1)
    highest = ndimage.maximum_filter(labels, 3)
    is_solid = (labels > 0) & (highest == ndimage.minimum_filter(labels, 3))
    lowest = ndimage.minimum_filter(np.where(labels > 0, labels, count + 1), 3)
    is_beside = (highest > labels) | (lowest < labels)
    pixels, solid, beside = (
        np.bincount(labels[where], minlength=count + 1)[1:]
        for where in (labels > 0, is_solid, (labels > 0) & is_beside)
    )
    is_large = [_is_large(part) for part in ndimage.find_objects(labels)]
    return bool(np.any((solid == 0) & (beside > pixels / 2) & is_large))


def _is_large(part: tuple[slice, slice]) -> bool:
    return min(side.stop - side.start for side in part) >= _SMALLEST_PX


def _without_smoothing(path: Path, stored: np.ndarray) -> np.ndarray:
    """Return where a smoothed mask has more than half of its one value.

    The values between are those of edges, which are thinner than three pixels.
    """
    from scipy import ndimage

    high = float(stored.max())
    is_between = (stored > high / 8) & (stored < high * 7 / 8)
    if ndimage.binary_erosion(is_between, np.ones((3, 3))).any():
        raise MammoTrackerError(
            f"{path} is no mask of lesions, since it has whole areas of values between zero and "
            "its highest: save it without smoothing, as zero but on lesions."
        )
    return stored > high / 2


def _stored(path: Path) -> np.ndarray:
    """Return a mask's whole numbers, (rows, columns)."""
    head = first_bytes(path)
    format_name = image_format(path, head)
    if head[128:132] == b"DICM":
        return read_stored_values(path)
    if format_name is None:
        raise no_image(path)
    if format_name == "PNGImageIO":
        return _png(path)
    stored = read_pixels(path, format_name)[0]
    if stored.dtype.kind == "f" and not np.array_equal(stored, np.rint(stored)):
        raise MammoTrackerError(
            f"{path} is no mask, since its values are no whole numbers: save a label map."
        )
    return stored


def _png(path: Path) -> np.ndarray:
    """Read grey values, or colours as one number each; what is transparent is zero."""
    from PIL import Image

    check_amount(path, 0, path.stat().st_size)
    check_header(path, "PNGImageIO")
    with path.open("rb") as file:
        depth, color = file.read(26)[24:]
    if depth == 16 and color:  # of which Pillow keeps the higher byte alone
        raise MammoTrackerError(
            f"{path} has colours or transparency of 16 bits, which are not supported: save the "
            "mask as grey values, or with 8 bits."
        )
    try:
        with Image.open(path, formats=["PNG"]) as image:
            check_amount(path, image.width * image.height, 0)
            if image.mode == "P":
                image = image.convert("RGBA" if "transparency" in image.info else "RGB")
            stored = np.asarray(image)
    except MammoTrackerError:
        raise
    except Exception:  # Pillow raises many kinds
        raise truncated(path) from None
    if stored.ndim == 2:
        return stored
    has_alpha = stored.shape[-1] in (2, 4)
    number = np.zeros(stored.shape[:2], np.int32)
    for channel in range(stored.shape[-1] - has_alpha):
        number <<= 8
        number |= stored[..., channel]
    if has_alpha:
        number[stored[..., -1] == 0] = 0
    return number


def _check_shape(path: Path, mask: tuple[int, int], size: tuple[int, int]) -> None:
    """Refuse a mask that is not of an image's shape, but for rounding to whole pixels."""
    (columns, rows), (width, height) = mask, size
    is_rounded = abs(columns * height - rows * width) < max(size) and (
        max(mask) >= _SMALLEST_SIDE_PX
    )
    if mask != size and not is_rounded:
        turned = " It looks turned by 90 degrees." if mask == size[::-1] else ""
        raise MammoTrackerError(
            f"The mask {path} has {columns} x {rows} pixels (width x height), and its image "
            f"{width} x {height}: give a mask of the image as it is stored.{turned}"
        )

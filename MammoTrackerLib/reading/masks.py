"""Masks: images that are zero but on lesions."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from ..errors import MammoTrackerError
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
    smoothing or a lossy format left at edges would be lesions, too, so that such a mask is refused.

    Parameters
    ----------
    path
        A PNG, TIFF, NRRD, NIfTI or MHA file.
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
    values = np.unique(stored[marked])
    if len(values) == 1:
        labels, count = ndimage.label(marked, np.ones((3, 3)))
    else:
        labels, count = np.zeros(stored.shape, np.int32), len(values)
        labels[marked] = np.searchsorted(values, stored[marked]) + 1
    found = [(part[1], part[0]) for part in ndimage.find_objects(labels)]
    is_large = [min(x.stop - x.start, y.stop - y.start) >= _SMALLEST_PX for x, y in found]
    boxes = [
        (x.start * x_factor, y.start * y_factor, x.stop * x_factor, y.stop * y_factor)
        for x, y in itertools.compress(found, is_large)
    ]
    if len(boxes) > _MOST_LESIONS:
        raise _smoothed(path, f"it has {count} values or parts")
    if len(values) > 1:
        edges = np.count_nonzero(_is_at_edges(labels, count) & is_large)
        if edges:
            raise _smoothed(path, f"{edges} of its {count} values are only at the edges of others")
    if len(boxes) < count:
        remarks.append(
            f"{count - len(boxes)} of the mask's parts are under {_SMALLEST_PX} pixels: left out."
        )
    return boxes, remarks


def _is_at_edges(labels: np.ndarray, count: int) -> np.ndarray:
    """Tell which of the labels 1 to `count` are thin and lie beside others, as by smoothing.

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
    return (solid == 0) & (beside > pixels / 2)


def _smoothed(path: Path, why: str) -> MammoTrackerError:
    return MammoTrackerError(
        f"{path} is no mask of lesions, since {why}: save it without smoothing, as zero but on "
        "lesions."
    )


def _stored(path: Path) -> np.ndarray:
    """Return a mask's whole numbers, (rows, columns)."""
    head = first_bytes(path)
    format_name = image_format(path, head)
    if head[128:132] == b"DICM" or format_name is None:
        raise no_image(path)
    if format_name == "JPEGImageIO":
        raise MammoTrackerError(
            f"{path} is a JPEG image, which changes values at edges: save the mask as PNG."
        )
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

"""Files to mammograms and headers."""

from __future__ import annotations

from pathlib import Path

from ..errors import MammoTrackerError
from ..mammogram import Header, Mammogram, spacing_pair
from .dicom import read_dicom, read_dicom_header
from .files import first_bytes
from .image import image_format, read_image


def read_mammogram(
    path: Path,
    spacing: float | tuple[float, float] | None,
    otherwise: float | tuple[float, float] | None = None,
) -> Mammogram:
    """Read a file of any kind that can be read: see `Mammogram.read`.

    `otherwise` is the spacing where neither `spacing` nor the file says one.
    """
    if spacing is not None:
        spacing = spacing_pair(spacing)
    if otherwise is not None:
        otherwise = spacing_pair(otherwise)
    head = first_bytes(path)
    format_name = None if head[128:132] == b"DICM" else image_format(path, head)
    try:
        if format_name is None:
            return read_dicom(path, spacing, otherwise)
        return read_image(path, spacing, otherwise, format_name)
    except MammoTrackerError as error:
        if str(path) in str(error):
            raise
        # What is wrong with the image as such: of several, one could not tell of which.
        raise MammoTrackerError(f"In {path}: {error}") from None


def read_header(path: Path) -> Header:
    """Read the header of a mammography DICOM file: see `Header.read`."""
    head = first_bytes(path)
    if head[128:132] != b"DICM" and image_format(path, head) is not None:
        raise MammoTrackerError(f"{path} is no DICOM file: give a mammography DICOM file.")
    return read_dicom_header(path)

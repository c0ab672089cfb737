"""Images that are no DICOM: PNG, TIFF, JPEG, NIfTI, NRRD and MHA."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import MammoTrackerError
from ..mammogram import Mammogram
from .files import no_image, no_spacing, truncated

if TYPE_CHECKING:
    import SimpleITK as sitk

_FORMATS_WITH_SPACING = {"NrrdImageIO", "MetaImageIO", "NiftiImageIO"}


def image_reader(path: Path, head: bytes) -> sitk.ImageFileReader | None:
    """Return a reader with its format set, or None if the file is none but perhaps DICOM."""
    import SimpleITK as sitk

    if head.startswith(b"\xff\xd8\xff"):
        name = "JPEGImageIO"
    else:
        name = sitk.ImageFileReader.GetImageIOFromFileName(str(path))
    if name in ("", "GDCMImageIO"):
        return None
    reader = sitk.ImageFileReader()
    reader.SetImageIO(name)
    reader.SetFileName(str(path))
    return reader


def read_image(
    path: Path, spacing: tuple[float, float] | None, reader: sitk.ImageFileReader
) -> Mammogram:
    import SimpleITK as sitk

    format_name = reader.GetImageIO()
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise no_image(path) from error
    axes = [axis for axis, length in enumerate(reader.GetSize()) if length > 1]
    if len(axes) != 2:
        raise MammoTrackerError(
            f"{path} holds {'several slices' if len(axes) > 2 else 'no image'}: "
            "give one two-dimensional mammogram."
        )
    if spacing is None:
        x, y = (reader.GetSpacing()[axis] for axis in axes)
        if format_name not in _FORMATS_WITH_SPACING or x == y == 1:
            raise no_spacing(path)
        spacing = x, y
    if not _is_whole(path, format_name, int(np.prod(reader.GetSize()))):
        raise truncated(path)
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise truncated(path) from error
    pixels = sitk.GetArrayViewFromImage(image).squeeze()
    if image.GetNumberOfComponentsPerPixel() > 1:
        pixels = _grey(pixels, path)
    if format_name == "TIFFImageIO" and _tiff_is_inverted(path):
        pixels = pixels.max() - pixels
    return Mammogram(np.array(pixels, dtype=np.float32), spacing)


def _grey(pixels: np.ndarray, path: Path) -> np.ndarray:
    """Return the first of three equal channels; a fourth is transparency."""
    colors = pixels[..., :3].astype(np.float32)
    if np.ptp(colors, axis=-1).max() > 0.02 * colors.max():
        raise MammoTrackerError(f"{path} is a colour image: give a grey mammogram.")
    return colors[..., 0]


def _is_whole(path: Path, format_name: str, pixel_count: int) -> bool:
    """Check what SimpleITK does not: the end of a JPEG and the length of a NIfTI file."""
    if format_name == "JPEGImageIO":
        return b"\xff\xd9" in path.read_bytes()[-1024:]
    if format_name == "NiftiImageIO" and path.suffix.lower() in (".nii", ".gz"):
        try:
            content = path.read_bytes()
            if content.startswith(b"\x1f\x8b"):
                content = gzip.decompress(content)
        except (EOFError, OSError):
            return False
        order = "<" if content[:4] == struct.pack("<i", 348) else ">"
        bits_per_pixel = struct.unpack_from(f"{order}h", content, 72)[0]
        return len(content) >= 348 + pixel_count * bits_per_pixel // 8
    return True


def _tiff_is_inverted(path: Path) -> bool:
    """Read PhotometricInterpretation, which SimpleITK ignores: 0 means that white is least."""
    with path.open("rb") as file:
        head = file.read(8)
        order = "<" if head.startswith(b"II") else ">"
        version, directory = struct.unpack(f"{order}HI", head[2:])
        if version != 42:
            return False
        file.seek(directory)
        for _ in range(struct.unpack(f"{order}H", file.read(2))[0]):
            tag, value = struct.unpack(f"{order}H6xHxx", file.read(12))
            if tag == 262:
                return value == 0
    return False

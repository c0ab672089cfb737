"""Images that are no DICOM: PNG, TIFF, JPEG, NIfTI, NRRD and MHA."""

from __future__ import annotations

import struct
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import MammoTrackerError
from ..mammogram import Mammogram
from .files import check_amount, no_image, no_spacing, truncated
from .header import other_spacing
from .image_headers import check_header, has_png_chunk, is_nifti

if TYPE_CHECKING:
    import SimpleITK as sitk

_BEGINNINGS = {
    b"\xff\xd8\xff": "JPEGImageIO",
    b"\x89PNG\r\n\x1a\n": "PNGImageIO",
    b"II*\0": "TIFFImageIO",
    b"MM\0*": "TIFFImageIO",
    b"II+\0": "TIFFImageIO",
    b"MM\0+": "TIFFImageIO",
    b"NRRD000": "NrrdImageIO",
}
_FORMATS_WITH_SPACING = {"NrrdImageIO", "MetaImageIO", "NiftiImageIO"}
_META_ENDINGS = (".mha", ".mhd")
_NIFTI_ENDINGS = (".nii", ".nii.gz", ".hdr", ".img", ".img.gz")
_SAMPLES_PER_PIXEL, _BITS_PER_SAMPLE, _PHOTOMETRIC, _ORIENTATION = 277, 258, 262, 274


def image_format(path: Path, head: bytes) -> str | None:
    """Return ITK's name of a file's format, or None if it is none but perhaps DICOM.

    It goes by the first bytes, and by the name only where a format has no such bytes.
    """
    for beginning, format_name in _BEGINNINGS.items():
        if head.startswith(beginning):
            return format_name
    name = path.name.lower()
    if name.endswith(_META_ENDINGS):
        return "MetaImageIO"
    return "NiftiImageIO" if name.endswith(_NIFTI_ENDINGS) and is_nifti(path) else None


def read_image(
    path: Path,
    spacing: tuple[float, float] | None,
    otherwise: tuple[float, float] | None,
    format_name: str,
) -> Mammogram:
    pixels, own = read_pixels(path, format_name)
    known = spacing or own or otherwise
    if known is None:
        raise no_spacing(path)
    remarks = other_spacing(spacing, own) if spacing and own else ()
    if format_name == "TIFFImageIO" and _tiff_tag(path, _PHOTOMETRIC) == 0:  # white is least
        pixels = pixels.max() - pixels
    return Mammogram(np.array(pixels, dtype=np.float32), known, remarks=remarks)


def read_pixels(path: Path, format_name: str) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Return the pixels (rows, columns) as they are stored and, where known, their spacing."""
    check_amount(path, 0, path.stat().st_size)
    check_header(path, format_name)
    _check_orientation(path, format_name)
    if _has_grey_and_alpha(path, format_name):
        return _without_alpha(path), None
    with _named_for_itk(path) as name:
        return _read_with_simpleitk(path, name, format_name)


def _read_with_simpleitk(
    path: Path, name: str, format_name: str
) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Return the pixels and, if the file's can be believed, their spacing."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO(format_name)
    reader.SetFileName(name)
    # ITK's own words may repeat the header's.
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        raise no_image(path) from None
    components = reader.GetNumberOfComponents()
    axes = _axes(path, reader)
    _check_kind(path, reader, format_name, components)
    check_amount(path, int(np.prod(reader.GetSize())), _byte_count(reader))
    x, y = (reader.GetSpacing()[axis] for axis in axes)
    is_known = format_name in _FORMATS_WITH_SPACING and not x == y == 1
    if format_name == "JPEGImageIO" and b"\xff\xd9" not in path.read_bytes()[-1024:]:
        raise truncated(path)
    if format_name == "TIFFImageIO" and components > 1 and _has_16_grey_bits(path):
        return _with_all_bits(path), None
    try:
        image = reader.Execute()
    except RuntimeError:
        raise truncated(path) from None
    pixels = sitk.GetArrayFromImage(image).squeeze()
    if components > 1:
        pixels = grey(pixels, path)
    return pixels, (x, y) if is_known else None


def _axes(path: Path, reader: sitk.ImageFileReader) -> list[int]:
    axes = [axis for axis, length in enumerate(reader.GetSize()) if length > 1]
    if len(axes) != 2:
        what = "several slices, times or pages" if len(axes) > 2 else "no image"
        raise MammoTrackerError(f"{path} holds {what}: give one two-dimensional mammogram.")
    return axes


def _byte_count(reader: sitk.ImageFileReader) -> int:
    import SimpleITK as sitk

    sample = sitk.Image([1, 1], reader.GetPixelID(), reader.GetNumberOfComponents())
    return int(np.prod(reader.GetSize())) * sitk.GetArrayViewFromImage(sample).nbytes


def _check_kind(
    path: Path, reader: sitk.ImageFileReader, format_name: str, components: int
) -> None:
    """Refuse complex numbers and vectors, of which a part would be lost."""
    import SimpleITK as sitk

    pixel_id = reader.GetPixelID()
    is_complex = pixel_id in (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64)
    is_color = components in (3, 4) and (
        format_name not in _FORMATS_WITH_SPACING or pixel_id == sitk.sitkVectorUInt8
    )
    if is_complex or (components > 1 and not is_color):
        raise MammoTrackerError(
            f"{path} holds {'complex numbers' if is_complex else 'several values per pixel'}: "
            "give an image of one grey value per pixel."
        )


def _check_orientation(path: Path, format_name: str) -> None:
    """Refuse what is to be shown in another way than it is stored, and so is read.

    Boxes were drawn on what is shown. SimpleITK mirrors a TIFF file that asks for it, but turns
    none, and no JPEG file.
    """
    if format_name == "TIFFImageIO":
        is_turned = _tiff_tag(path, _ORIENTATION) in range(5, 9)
    else:
        is_turned = format_name == "JPEGImageIO" and _jpeg_orientation(path) in range(2, 9)
    if is_turned:
        raise MammoTrackerError(
            f"{path} is stored turned or mirrored, by its Orientation: save it as it is shown, "
            "with boxes on that."
        )


def _jpeg_orientation(path: Path) -> int | None:
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(path) as image:
                return image.getexif().get(_ORIENTATION)
        except Exception:  # of many kinds; whether the file is damaged is told when it is read
            return None


def grey(pixels: np.ndarray, path: Path) -> np.ndarray:
    """Return the first of three equal channels; a fourth is transparency."""
    largest = float(pixels[..., :3].max())
    for row in range(0, len(pixels), 256):  # in strips, since the differences need memory
        strip = pixels[row : row + 256]
        differences = np.ptp(strip[..., :3].astype(np.float32), axis=-1)
        if strip.shape[-1] > 3:
            differences = differences * (strip[..., 3] > 0)
        if differences.max() > 0.02 * largest:
            raise MammoTrackerError(f"{path} is a colour image: give a grey mammogram.")
    return _shown(pixels[..., 0], pixels[..., 3]) if pixels.shape[-1] > 3 else pixels[..., 0]


def _shown(grey: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Give what is wholly transparent the value of the darkest that is not: nobody sees it."""
    is_hidden = alpha == 0
    if not is_hidden.any() or is_hidden.all():
        return grey
    return np.where(is_hidden, grey[~is_hidden].min(), grey)


def _has_grey_and_alpha(path: Path, format_name: str) -> bool:
    """Whether each pixel has a grey value and its transparency, which SimpleITK cannot read."""
    if format_name == "PNGImageIO":
        with path.open("rb") as file:
            color = file.read(26)[25:]
        return color == b"\x04" or (color == b"\0" and has_png_chunk(path, b"tRNS"))
    return format_name == "TIFFImageIO" and _tiff_tag(path, _SAMPLES_PER_PIXEL) == 2


def _without_alpha(path: Path) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as image:
            check_amount(path, image.width * image.height, 0)
            if image.mode in ("1", "L") and "transparency" in image.info:
                image = image.convert("LA")
            if image.mode == "LA" and getattr(image, "n_frames", 1) == 1:
                return _shown(*(np.asarray(image.getchannel(name)) for name in "LA"))
    except MammoTrackerError:
        raise
    except Exception:  # Pillow raises many kinds
        raise truncated(path) from None
    raise MammoTrackerError(
        f"{path} has transparency beside its grey values: save it without transparency."
    )


def _has_16_grey_bits(path: Path) -> bool:
    samples = _tiff_tag(path, _SAMPLES_PER_PIXEL)
    return samples in (1, None) and _tiff_tag(path, _BITS_PER_SAMPLE) == 16


def _with_all_bits(path: Path) -> np.ndarray:
    """Read grey values in tiles or to be shown mirrored, of which SimpleITK keeps 8 bits."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image)
    except Exception:  # Pillow raises many kinds
        raise truncated(path) from None


@contextmanager
def _named_for_itk(path: Path) -> Iterator[str]:
    """Give a file another name meanwhile, where ITK cannot read it under its own.

    A name that is not UTF-8 ends its process, and of x.nii.gz it takes the pixels from x.nii, if
    that is beside it.
    """
    name = str(path)
    is_text = name.isascii() or name.encode("utf-8", "replace").decode("utf-8") == name
    if is_text and not (name.lower().endswith(".nii.gz") and path.with_suffix("").exists()):
        yield name
        return
    ending = next((end for end in _NIFTI_ENDINGS + _META_ENDINGS if name.lower().endswith(end)), "")
    try:
        folder = tempfile.TemporaryDirectory()
        with folder as place:
            link = Path(place, f"image{ending}")
            link.symlink_to(path.resolve())
            yield str(link)
    except OSError:
        raise MammoTrackerError(
            f"{path} cannot be read under its name: give the file another one."
        ) from None


def _tiff_tag(path: Path, wanted: int) -> int | None:
    """Read one number of a TIFF file's first page, which SimpleITK ignores."""
    with path.open("rb") as file:
        head = file.read(16)
        order = "<" if head.startswith(b"II") else ">"
        try:
            if struct.unpack_from(f"{order}H", head, 2)[0] == 42:
                directory, form, entry = struct.unpack_from(f"{order}I", head, 4)[0], "H", 12
            else:  # BigTIFF
                directory, form, entry = struct.unpack_from(f"{order}Q", head, 8)[0], "Q", 20
            file.seek(directory)
            count = struct.unpack(f"{order}{form}", file.read(struct.calcsize(form)))[0]
            for _ in range(min(count, 2**16)):
                content = file.read(entry)
                if struct.unpack_from(f"{order}H", content)[0] == wanted:
                    return struct.unpack_from(
                        f"{order}H", content, entry - (4 if entry == 12 else 8)
                    )[0]
        except (struct.error, OSError, OverflowError, ValueError):
            return None
    return None

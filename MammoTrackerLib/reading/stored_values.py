"""The values that a DICOM mammogram stores: decoded, and taken from their bits."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import MammoTrackerError
from .files import check_amount, no_image, truncated
from .image import grey

if TYPE_CHECKING:
    import pydicom

_PIXEL_DATA = 0x7FE00010
_MOST_ELEMENTS = 10_000
_HTJ2K = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (201, 202, 203))
_JPEG_XL = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (110, 111, 112))
_LEFT_OUT = (
    "Bits of the pixels beyond BitsStored hold something else, often an old overlay: "
    "it was left out."
)
_ALL_USED = "BitsStored or HighBit does not fit the pixels' values: all their bits were used."
_OTHER_SIGN = tuple(
    "PixelRepresentation does not fit the pixels' values, which wrap around: they were read as "
    f"numbers {how} a sign."
    for how in ("without", "with")
)
_FEW_WRAPS, _LABEL_SHARE, _LABEL_ROWS = 20, 0.05, 0.3


def read_until(
    path: Path,
    last_tag: int,
    defer_size: int | None = None,
    keywords: Sequence[str] | None = None,
) -> pydicom.FileDataset:
    """Read a file's elements up to a tag, but not for ever: zeros are millions of elements.

    Of these `keywords` only, if they are given.
    """
    from pydicom.filereader import read_partial
    from pydicom.tag import Tag

    tags = None if keywords is None else [Tag(keyword) for keyword in keywords]
    with path.open("rb") as file:
        stop = stop_when(path, lambda tag: tag > last_tag)
        return read_partial(file, stop, defer_size, force=True, specific_tags=tags)


def stop_when(path: Path, is_end: Callable[[int], bool]) -> Callable[[int, str | None, int], bool]:
    """Return what pydicom asks at each element: whether it is enough, or no DICOM at all."""
    count = 0

    def is_enough(tag: int, vr: str | None, length: int) -> bool:
        nonlocal count
        count += 1
        if count > _MOST_ELEMENTS:
            raise no_image(path)
        return is_end(tag)

    return is_enough


def check_pixels(header: pydicom.Dataset, path: Path) -> None:
    """Refuse what cannot be decoded, by the header alone.

    Raises
    ------
    MammoTrackerError
        That names the keyword and what is wrong with it.
    """
    syntax = _syntax(header)
    if syntax not in _plain() and syntax not in _compressed():
        # Only a name of the standard is shown, nothing that a file says.
        name = "JPEG XL" if syntax in _JPEG_XL else syntax.name
        raise MammoTrackerError(
            f"{path} has a TransferSyntaxUID that is not supported"
            f"{f' ({name})' if name != syntax else ''}: export it uncompressed, or as JPEG 2000 "
            "or JPEG-LS."
        )
    photometric = str(header.get("PhotometricInterpretation") or "")
    if _samples(header) != {"MON": 1, "RGB": 3, "YBR": 3}.get(photometric[:3]):
        raise MammoTrackerError(f"{path} is a colour image: give a grey mammogram.")
    for keyword in ("Rows", "Columns", "BitsAllocated"):
        if not isinstance(header.get(keyword), int) or header[keyword].value < 1:
            raise MammoTrackerError(
                f"{path}: {keyword} is missing or damaged: export or copy the file again."
            )
    if header.BitsAllocated not in (8, 16):
        raise MammoTrackerError(
            f"{path} has a BitsAllocated that is not supported: "
            "export the mammogram with 8 or 16 bits per pixel."
        )
    amount = header.Rows * header.Columns
    size = amount * _samples(header) * header.BitsAllocated // 8
    check_amount(path, amount, max(path.stat().st_size, size))


def _samples(header: pydicom.Dataset) -> int:
    return int(header.get("SamplesPerPixel") or 1)


def stored_values(header: pydicom.Dataset, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Decode the pixels: plain and RLE ones here, the JPEG family with SimpleITK.

    Of three equal channels, as captures of a screen or a film have, one is returned.

    Returns
    -------
    (values, remarks)
        Integers of shape (rows, columns), of 8 or 16 bits.
    """
    try:
        values = _decoded(header, path)
    except MammoTrackerError:
        raise
    except ImportError:  # headers are read with the pydicom of Slicer 5.10, too
        raise MammoTrackerError(f"To read the pixels of {path}, install pydicom 3.") from None
    except Exception:  # the decoders raise many kinds
        raise truncated(path) from None
    if values.shape[:2] != (header.Rows, header.Columns) or values.dtype.itemsize > 2:
        raise truncated(path)
    if values.ndim == 3:
        values = grey(values, path)
    values, bits, remarks = _of_their_bits(values, header, path)
    values, more = _with_their_sign(values, bits)
    return values, remarks + more


def _syntax(header: pydicom.Dataset) -> pydicom.uid.UID:
    from pydicom import uid

    syntax = header.file_meta.get("TransferSyntaxUID")
    if syntax is not None:
        return uid.UID(str(syntax))
    is_implicit, is_little_endian = header.original_encoding
    if is_implicit:
        return uid.ImplicitVRLittleEndian
    return uid.ExplicitVRLittleEndian if is_little_endian else uid.ExplicitVRBigEndian


def _plain() -> tuple[str, ...]:
    from pydicom import uid

    return (
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.DeflatedExplicitVRLittleEndian,
    )


def _compressed() -> tuple[str, ...]:
    from pydicom import uid

    return (
        uid.RLELossless,
        *uid.JPEGTransferSyntaxes,
        *uid.JPEGLSTransferSyntaxes,
        uid.JPEG2000Lossless,
        uid.JPEG2000,
        *_HTJ2K,
    )


def _decoded(header: pydicom.Dataset, path: Path) -> np.ndarray:
    import pydicom
    from pydicom.encaps import generate_frames

    whole = read_until(path, _PIXEL_DATA)
    if "PixelData" not in whole:
        raise truncated(path)
    if whole.get("SOPInstanceUID") != header.get("SOPInstanceUID"):
        raise MammoTrackerError(f"{path} became another image while it was read: read it again.")
    syntax, data = _syntax(header), whole.PixelData
    dtype = np.dtype(
        f"{'i' if header.get('PixelRepresentation') else 'u'}{header.BitsAllocated // 8}"
    )
    count, samples = header.Rows * header.Columns, _samples(header)
    shape = (header.Rows, header.Columns, samples)[: 2 if samples == 1 else 3]
    size = count * samples * dtype.itemsize
    if syntax in _plain():
        # Some files are padded, but a row or column less in the header than there is skews all.
        if not size <= len(data) < size + max(min(shape[:2]) * dtype.itemsize, 2):
            raise truncated(path)
        if syntax == pydicom.uid.ExplicitVRBigEndian:
            dtype = dtype.newbyteorder(">")
            if dtype.itemsize == 1 and whole["PixelData"].VR == "OW":
                data = np.frombuffer(data, ">u2").astype("<u2").tobytes()
        values = np.frombuffer(data, dtype, count * samples).astype(dtype.newbyteorder("="))
        if samples > 1 and header.get("PlanarConfiguration"):  # one channel after the other
            return np.moveaxis(values.reshape(samples, *shape[:2]), 0, -1)
        return values.reshape(shape)
    frame = next(generate_frames(data, number_of_frames=1))
    del whole, data
    if syntax == pydicom.uid.RLELossless:
        return _run_lengths_decoded(frame, count, samples, dtype).reshape(shape)
    *frame_shape, bits = _frame_shape(frame)
    if frame_shape != [header.Rows, header.Columns, samples]:
        raise truncated(path)
    return _decoded_with_simpleitk(frame, bits, syntax, header).reshape(shape)


def _run_lengths_decoded(frame: bytes, count: int, samples: int, dtype: np.dtype) -> np.ndarray:
    """Decode one RLE frame: a segment for each byte of a value, highest first (PS3.5 annex G)."""
    segments, *offsets = struct.unpack_from("<16I", frame)
    if segments != samples * dtype.itemsize:
        raise ValueError("another number of segments than bytes")
    ends = [*offsets[1:segments], len(frame)]
    decoded = []
    for start, end in zip(offsets[:segments], ends, strict=True):
        segment, out, at = frame[start:end], bytearray(), 0
        while len(out) < count:
            length = segment[at] + 1
            if length <= 128:
                out += segment[at + 1 : at + 1 + length]
                at += 1 + length
            else:
                if length > 129:
                    out += segment[at + 1 : at + 2] * (258 - length)
                at += 1 if length == 129 else 2
        if len(out) != count or segment[at:].strip(b"\0\x80"):
            raise ValueError("a segment of another length than the image")
        decoded.append(np.frombuffer(out, np.uint8))
    return np.stack(decoded, axis=-1).reshape(-1).view(dtype.newbyteorder(">")).astype(dtype)


def _frame_shape(frame: bytes) -> tuple[int, int, int, int]:
    """Return the rows, columns, channels and bits that a frame of the JPEG family says it has."""
    if not frame.startswith(b"\xff\xd8"):
        at = frame.index(b"\xff\x4f\xff\x51")  # JPEG 2000: start, and sizes
        columns, rows, left, top = struct.unpack_from(">8x4I", frame, at)
        samples, bits = struct.unpack_from(">HB", frame, at + 40)
        return rows - top, columns - left, samples, bits % 128 + 1
    at = 2
    while True:
        if frame[at] != 0xFF:
            raise ValueError("no marker where one must be")
        marker = frame[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) or marker == 0xF7:
            bits, rows, columns, samples = struct.unpack_from(">BHHB", frame, at + 4)
            return rows, columns, samples, bits
        if marker == 0xFF:  # fill
            at += 1
        else:
            at += 2 + struct.unpack_from(">H", frame, at + 2)[0]


def _decoded_with_simpleitk(
    frame: bytes, bits: int, syntax: str, header: pydicom.Dataset
) -> np.ndarray:
    """Decode by way of a file that holds the pixels alone, with all of their bits.

    So SimpleITK applies no rescale of its own, and needs no complete header. A frame of 8 bits may
    be in a file that says 16.
    """
    import SimpleITK as sitk
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

    pixels = Dataset()
    pixels.Rows, pixels.Columns = header.Rows, header.Columns
    pixels.BitsAllocated = pixels.BitsStored = 8 if bits <= 8 else header.BitsAllocated
    pixels.HighBit = pixels.BitsAllocated - 1
    pixels.PixelRepresentation = int(bool(header.get("PixelRepresentation")))
    pixels.SamplesPerPixel, pixels.PlanarConfiguration = _samples(header), 0
    pixels.PhotometricInterpretation = (
        "MONOCHROME2" if _samples(header) == 1 else header.PhotometricInterpretation
    )
    pixels.SOPClassUID = SecondaryCaptureImageStorage
    pixels.SOPInstanceUID = generate_uid()
    pixels.PixelData = encapsulate([frame])
    pixels["PixelData"].VR = "OB"
    pixels.file_meta = FileMetaDataset()
    pixels.file_meta.TransferSyntaxUID = syntax
    try:
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        with folder as name:
            file = Path(name, "pixels.dcm")
            pixels.save_as(file, enforce_file_format=True)
            return sitk.GetArrayFromImage(sitk.ReadImage(str(file), imageIO="GDCMImageIO"))
    except OSError as error:
        raise MammoTrackerError(
            "The compressed pixels pass through a temporary file, which cannot be written "
            f"({error.strerror}): make room in {_temporary_folder()}, or name another folder "
            "in the environment variable TMPDIR."
        ) from None


def _temporary_folder() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:
        return "the folder for temporary files"


def _of_their_bits(
    values: np.ndarray, header: pydicom.Dataset, path: Path
) -> tuple[np.ndarray, int, tuple[str, ...]]:
    """Take the values from their bits: BitsStored of them, from HighBit down (PS3.5 8.1.1).

    What the other bits hold was an overlay, once. Or BitsStored is wrong; then the values that
    it cuts out jump where the whole ones do not. Also returns how many bits were taken.
    """
    allocated = 8 * values.dtype.itemsize
    stored = header.get("BitsStored") or allocated
    if not isinstance(stored, int) or not 1 <= stored <= header.BitsAllocated:
        raise MammoTrackerError(f"{path}: BitsStored is damaged: export or copy the file again.")
    stored = min(stored, allocated)  # a frame of 8 bits may be in a file that says 12
    high_bit = header.get("HighBit")
    is_shifted = isinstance(high_bit, int) and stored <= high_bit < allocated
    shift = high_bit + 1 - stored if is_shifted else 0
    if stored == allocated:
        return values, allocated, ()
    bits = values.view(f"u{values.dtype.itemsize}")
    field = _with_sign(bits >> shift, stored, values.dtype.kind == "i")
    used = int(np.bitwise_or.reduce(bits, axis=None))
    if not used & ~((2**stored - 1) << shift) or (not shift and np.array_equal(field, values)):
        return field, stored, ()
    if shift and used < 2**stored:
        return values, allocated, (_ALL_USED,)
    is_left = not used & (2 ** (allocated - stored) - 1)
    if not shift and (is_left or _roughness(values) < _roughness(field)):
        return values, allocated, (_ALL_USED,)
    return field, stored, (_LEFT_OUT,)


def _with_their_sign(values: np.ndarray, bits: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Take values of so many bits for ones with a sign, or without, whichever wrap around less.

    Neighbours do where they jump over half of the range, but hardly differ in the other way. White
    labels in black air jump truly: what is cut off at an end of the range does not count, nor do
    jumps on a few rows alone, if far less would be just below 0 than there is just above.
    """
    sample, half = _sample(values), 2 ** (bits - 1)
    unsigned, signed = _with_sign(sample, bits, False), _with_sign(sample, bits, True)
    is_cut = np.isin(unsigned, (0, half - 1, half, 2 * half - 1))
    ways = _steps(unsigned), _steps(signed)
    is_signed = values.dtype.kind != "i"
    own, other = ways if is_signed else ways[::-1]
    jumps, wraps = (
        (a > half) & (b < half / 32) & ~(is_cut[:, 1:] | is_cut[:, :-1])
        for a, b in ((other, own), (own, other))
    )
    if wraps.sum() <= _FEW_WRAPS + 2 * jumps.sum():
        return values, ()
    below, above = (np.count_nonzero(signed // (half // 32) == k) for k in (-1, 0))
    is_label = below < _LABEL_SHARE * above and wraps.any(axis=1).mean() < _LABEL_ROWS
    if is_signed and is_label:
        return values, ()
    return _with_sign(values, bits, is_signed), (_OTHER_SIGN[is_signed],)


def _with_sign(values: np.ndarray, bits: int, is_signed: bool) -> np.ndarray:
    """Take the lowest bits of values for numbers with a sign, or without."""
    size = values.dtype.itemsize
    kept = values.view(f"u{size}") << (8 * size - bits)
    return kept.view(f"i{size}" if is_signed else f"u{size}") >> (8 * size - bits)


def _roughness(values: np.ndarray) -> int:
    return int(_steps(_sample(values)).sum(dtype=np.int64))


def _steps(values: np.ndarray) -> np.ndarray:
    return np.abs(np.diff(values.astype(np.int32), axis=1))


def _sample(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values[:: max(1, len(values) // 500)])

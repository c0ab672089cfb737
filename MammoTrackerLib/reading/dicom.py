"""DICOM mammograms: what the header says, and what its values mean."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import MammoTrackerError
from ..mammogram import Header, Mammogram
from .files import no_image, no_spacing, truncated
from .header import breast_spacing, facts

if TYPE_CHECKING:
    import pydicom

_BREAST_TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2.1"


def read_dicom(path: Path, spacing: tuple[float, float] | None) -> Mammogram:
    with _opened(path, with_pixels=True) as header:
        if spacing is None:
            spacing = breast_spacing(header)
        if spacing is None:
            raise no_spacing(path)
        return Mammogram(
            _density(_stored_values(header, path), header),
            spacing,
            **facts(header),
        )


def read_dicom_header(path: Path) -> Header:
    with _opened(path, with_pixels=False) as header:
        try:
            spacing = breast_spacing(header)
        except MammoTrackerError:
            spacing = None
        return Header(
            spacing,
            window=_window(header),
            inverted=header.get("PhotometricInterpretation") == "MONOCHROME1",
            **facts(header),
        )


@contextmanager
def _opened(path: Path, with_pixels: bool) -> Iterator[pydicom.Dataset]:
    """Open a mammogram; while it is open, whatever goes wrong is the file's fault."""
    import pydicom

    # What pydicom warns of and logs can repeat values of the header, so patient data.
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        try:
            header = pydicom.dcmread(path, force=True, stop_before_pixels=not with_pixels)
            if "SOPClassUID" not in header and "Modality" not in header:
                raise truncated(path) if header.file_meta else no_image(path)
            _flatten(header)
            _check_is_mammogram(header, path, with_pixels)
            yield header
        except MammoTrackerError:
            raise
        except Exception as error:  # whatever a damaged header leads pydicom to
            raise MammoTrackerError(
                f"The DICOM header of {path} is damaged: export or copy the file again."
            ) from error


def _flatten(header: pydicom.Dataset) -> None:
    """Bring what an enhanced file says of its only frame up to where plain files say it."""
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for macro in list((header.get(groups) or [{}])[0]):
            for element in macro.value[0] if macro.VR == "SQ" and macro.value else ():
                if element.tag not in header:
                    header.add(element)


def _check_is_mammogram(header: pydicom.Dataset, path: Path, with_pixels: bool) -> None:
    modality = header.get("Modality")
    if modality != "MG":
        raise MammoTrackerError(
            f"{path} is not a mammogram: its DICOM modality is {modality or 'missing'}, not MG."
        )
    frames = int(header.get("NumberOfFrames") or 1)
    is_synthetic = "GENERATED_2D" in (header.get("ImageType") or ())
    if frames > 1 or (header.get("SOPClassUID") == _BREAST_TOMOSYNTHESIS and not is_synthetic):
        raise MammoTrackerError(
            f"{path} is tomosynthesis, which is not supported: give the two-dimensional mammogram."
        )
    if with_pixels and "PixelData" not in header:
        raise truncated(path)
    if not str(header.get("PhotometricInterpretation")).startswith("MONOCHROME"):
        raise MammoTrackerError(f"{path} is a colour image: give a grey mammogram.")


def _window(header: pydicom.Dataset) -> tuple[float, float] | None:
    values = []
    for keyword in ("WindowCenter", "WindowWidth"):
        value = header.get(keyword)
        if value is None or np.size(value) == 0:
            return None
        values.append(float(np.atleast_1d(value)[0]))
    center, width = values
    if header.get("PhotometricInterpretation") == "MONOCHROME1":
        # ITK takes stored values from the largest plus the lowest possible one, then rescales.
        ends = -1 if header.PixelRepresentation else 2**header.BitsStored - 1
        center = _rescaled(np.array([ends, 0]), header).sum() - center
    return (float(center), width) if width > 0 else None


def _stored_values(header: pydicom.Dataset, path: Path) -> np.ndarray:
    """Decode the pixels: plain and RLE ones with pydicom, the JPEG family with SimpleITK."""
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

    if "TransferSyntaxUID" not in header.file_meta:
        is_implicit = header.original_encoding[0]
        header.file_meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if is_implicit else ExplicitVRLittleEndian
        )
    syntax = header.file_meta.TransferSyntaxUID
    try:
        if syntax.is_encapsulated and syntax != RLELossless:
            values = _decode_with_simpleitk(header)
        else:
            values = header.pixel_array
    except Exception as error:  # the decoders raise many kinds
        raise truncated(path) from error
    values = values.squeeze()
    if values.shape != (header.Rows, header.Columns) or values.dtype.itemsize > 2:
        raise truncated(path)
    return values


def _decode_with_simpleitk(header: pydicom.Dataset) -> np.ndarray:
    """Decode by way of a file that holds the pixels alone.

    So SimpleITK applies no rescale of its own, and needs no complete header.
    """
    import SimpleITK as sitk
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

    pixels = Dataset()
    for keyword in (
        "Rows",
        "Columns",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "PixelData",
    ):
        pixels[keyword] = header[keyword]
    pixels.SamplesPerPixel = 1
    pixels.PhotometricInterpretation = "MONOCHROME2"
    pixels.SOPClassUID = SecondaryCaptureImageStorage
    pixels.SOPInstanceUID = generate_uid()
    pixels.file_meta = FileMetaDataset()
    pixels.file_meta.TransferSyntaxUID = header.file_meta.TransferSyntaxUID
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "pixels.dcm")
        pixels.save_as(file, enforce_file_format=True)
        return sitk.GetArrayFromImage(sitk.ReadImage(str(file), imageIO="GDCMImageIO"))


def _density(values: np.ndarray, header: pydicom.Dataset) -> np.ndarray:
    """Turn stored values into brightness, float32, denser tissue brighter.

    Every step maps a value whatever its place, so it is applied to the few possible
    values, and the pixels look theirs up.
    """
    lowest, highest = int(values.min()), int(values.max())
    # In strips, since numpy counts and looks up with eight bytes a pixel.
    strips = [np.s_[row : row + 256] for row in range(0, len(values), 256)]
    counts = np.zeros(highest - lowest + 1, np.int64)
    for strip in strips:
        counts += np.bincount(values[strip].ravel().astype(np.int64) - lowest, None, len(counts))
    levels = lowest + np.arange(len(counts))
    counts[_is_padding(levels, header)] = 0
    is_used = counts > 0
    if not is_used.any():
        raise MammoTrackerError("The image is empty: it holds padding alone.")
    is_raw = (
        header.get("PresentationIntentType") == "FOR PROCESSING"
        or header.get("SOPClassUID") == _FOR_PROCESSING
    )
    if is_raw:
        table = _log_density(_rescaled(levels, header), counts, header)
    else:
        table = _windowed(_rescaled(levels, header), header)
        if header.PhotometricInterpretation == "MONOCHROME1":
            table = table[is_used].max() + table[is_used].min() - table
    table[~is_used] = table[is_used].min()
    table = table.astype(np.float32)
    pixels = np.empty(values.shape, np.float32)
    for strip in strips:
        pixels[strip] = table[values[strip].astype(np.int64) - lowest]
    return pixels


def _is_padding(levels: np.ndarray, header: pydicom.Dataset) -> np.ndarray:
    first = header.get("PixelPaddingValue")
    if first is None:
        return np.zeros(levels.shape, dtype=bool)
    last = header.get("PixelPaddingRangeLimit")
    low, high = sorted((int(first), int(first if last is None else last)))
    return (levels >= low) & (levels <= high)


def _rescaled(levels: np.ndarray, header: pydicom.Dataset) -> np.ndarray:
    if header.get("ModalityLUTSequence"):
        return _looked_up(levels, header.ModalityLUTSequence[0], header)
    slope = header.get("RescaleSlope")
    intercept = header.get("RescaleIntercept")
    return levels * float(1 if slope is None else slope) + float(intercept or 0)


def _windowed(values: np.ndarray, header: pydicom.Dataset) -> np.ndarray:
    from pydicom.pixels import apply_windowing

    if header.get("VOILUTSequence"):
        return _looked_up(values, header.VOILUTSequence[0], header)
    if header.get("WindowCenter") is None or header.get("WindowWidth") is None:
        return values
    if not header.get("VOILUTFunction"):
        header.VOILUTFunction = "LINEAR"
    try:
        return apply_windowing(values, header)
    except ValueError:  # a width that DICOM forbids, often 0: the same as none
        return values


def _looked_up(values: np.ndarray, item: pydicom.Dataset, header: pydicom.Dataset) -> np.ndarray:
    """Map values through a LUT, those beyond its ends to its ends (DICOM PS3.3 C.11.2.1.1).

    pydicom's own wraps values around where the LUT gives fewer bits than it takes.
    """
    count, first, _ = item.LUTDescriptor
    count = count or 2**16
    data = item.LUTData
    if isinstance(data, bytes):
        order = ">" if header.file_meta.TransferSyntaxUID.is_little_endian is False else "<"
        data = np.frombuffer(data, f"{order}u2" if len(data) >= 2 * count else "u1")
    lut = np.asarray(data, dtype=float)[:count]
    return lut[np.clip(np.rint(values).astype(int) - first, 0, len(lut) - 1)]


def _log_density(values: np.ndarray, counts: np.ndarray, header: pydicom.Dataset) -> np.ndarray:
    """Turn values for processing, which follow the X-rays, into 0 (background) to 4095.

    PixelIntensityRelationshipSign 1 means that low values had few X-rays, so are dense;
    where it is missing, so does MONOCHROME1. The lowest 0.1 % of the signal is clipped:
    it is dead pixels and labels.
    """
    is_used = counts > 0
    sign = header.get("PixelIntensityRelationshipSign")
    if sign is None:
        sign = 1 if header.PhotometricInterpretation == "MONOCHROME1" else -1
    top, bottom = values[is_used].max(), values[is_used].min()
    signal = values if int(sign) == 1 else top + bottom - values
    if header.get("PixelIntensityRelationship") != "LOG":
        usable = np.where(signal > 0, counts, 0)
        share = np.cumsum(usable[np.argsort(signal)]) / max(usable.sum(), 1)
        floor = np.sort(signal)[min(np.searchsorted(share, 0.001), len(signal) - 1)]
        signal = np.log(np.maximum(signal, max(floor, 1e-6)))
    top, bottom = signal[is_used].max(), signal[is_used].min()
    return (top - signal) * (4095 / max(top - bottom, 1e-6))

"""Mammogram: one mammogram's pixels, their size in mm, and what is needed to compare two exams."""

from __future__ import annotations

import datetime
import gzip
import struct
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import MammoTrackerError

if TYPE_CHECKING:
    import pydicom
    import SimpleITK as sitk

_BREAST_TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2.1"
_VIEW_CODES = {
    "CC": "CranioCaudal",
    "MLO": "MedioLateralObliqueProjection",
    "ML": "MedioLateralProjection",
    "LM": "LateroMedial",
    "LMO": "LateroMedialOblique",
    "XCCL": "CranioCaudalExaggeratedLaterally",
    "XCCM": "CranioCaudalExaggeratedMedially",
    "FB": "CaudoCranial",
    "SIO": "SuperolateralToInferomedialOblique",
    "ISO": "InferomedialToSuperolateralOblique",
}
_FORMATS_WITH_SPACING = {"NrrdImageIO", "MetaImageIO", "NiftiImageIO"}
_LARGEST_SPACING_MM = 5.0


@dataclass(frozen=True, eq=False, repr=False)
class Mammogram:
    """One two-dimensional mammogram.

    Attributes
    ----------
    pixels
        Array of shape (rows, columns); any real numbers are accepted and kept as float32,
        read-only. Brighter is denser tissue.
    spacing
        (x, y) mm per pixel, that is column spacing, then row spacing. One number is
        accepted for square pixels.
    laterality
        "L" or "R", where known.
    view
        "CC", "MLO", "ML", "LM", ..., where known.
    date
        Of the exam, where known.
    patient_id
        Only for comparing two exams; ``repr`` shows neither this nor the date.

    Raises
    ------
    MammoTrackerError
        If the pixels are not a finite two-dimensional image, are all the same, or the
        spacing or laterality makes no sense.
    """

    pixels: np.ndarray
    spacing: tuple[float, float]
    laterality: str | None = None
    view: str | None = None
    date: datetime.date | None = None
    patient_id: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixels", _checked_pixels(self.pixels))
        object.__setattr__(self, "spacing", _spacing_pair(self.spacing))
        if self.laterality not in ("L", "R", None):
            raise MammoTrackerError("The laterality of a mammogram is 'L', 'R' or None.")

    def __repr__(self) -> str:
        rows, columns = self.pixels.shape
        return (
            f"Mammogram({rows} rows x {columns} columns, spacing={self.spacing} mm, "
            f"laterality={self.laterality!r}, view={self.view!r})"
        )

    @classmethod
    def read(
        cls, path: str | Path, spacing: float | tuple[float, float] | None = None
    ) -> Mammogram:
        """Read a mammography DICOM file, or a PNG, TIFF, JPEG, NIfTI, NRRD or MHA image.

        DICOM values go through the modality LUT or rescale, the first VOI LUT or window,
        and, for MONOCHROME1, inversion. Images for processing, whose values count X-rays,
        become minus their logarithm, from 0 to 4095. Rows and columns stay as they are
        stored: nothing is flipped.

        Parameters
        ----------
        path
            The file.
        spacing
            Pixel size in mm, one number or (x, y). Overrides what the file says, and is
            required where it says nothing. Only DICOM, NIfTI, NRRD and MHA files are
            believed, and of the latter three none that says 1 mm, which stands for unknown.

        Raises
        ------
        MammoTrackerError
            If the file cannot be read, is no single two-dimensional grey image or no
            mammogram, is truncated or black, or its spacing is unknown.
        """
        path = Path(path)
        if spacing is not None:
            spacing = _spacing_pair(spacing)
        head = _first_bytes(path)
        if head[128:132] == b"DICM":
            return _read_dicom(path, spacing)
        reader = _image_reader(path, head)
        if reader is None:
            return _read_dicom(path, spacing)
        return _read_image(path, spacing, reader)


@dataclass(frozen=True, repr=False)
class Header:
    """What a mammogram's file says about it; its ``repr`` shows neither patient nor date.

    Attributes
    ----------
    spacing
        (x, y) mm per pixel of the breast; None if unknown.
    laterality, view, date, patient_id
        As in `Mammogram`.
    window
        (centre, width) of the first window, in the values that ITK, and so Slicer, reads:
        rescaled, and for MONOCHROME1 mirrored. None if the file gives none.
    inverted
        Whether low values are shown bright: in a file, MONOCHROME1.
    """

    spacing: tuple[float, float] | None = None
    laterality: str | None = None
    view: str | None = None
    date: datetime.date | None = None
    patient_id: str | None = None
    window: tuple[float, float] | None = None
    inverted: bool = False

    def __repr__(self) -> str:
        return f"Header(spacing={self.spacing}, laterality={self.laterality!r}, view={self.view!r})"

    @classmethod
    def read(cls, path: str | Path) -> Header:
        """Read the header of a mammography DICOM file, without its pixels.

        A spacing that no mammogram has counts as unknown.

        Raises
        ------
        MammoTrackerError
            If the file cannot be read, or is no mammography DICOM file.
        """
        path = Path(path)
        head = _first_bytes(path)
        if head[128:132] != b"DICM" and _image_reader(path, head) is not None:
            raise MammoTrackerError(f"{path} is no DICOM file: give a mammography DICOM file.")
        with _dicom_header(path, with_pixels=False) as header:
            try:
                spacing = _header_spacing(header)
            except MammoTrackerError:
                spacing = None
            return cls(
                spacing,
                _laterality(header),
                _view(header),
                _date(header),
                _patient_id(header),
                _window(header),
                header.get("PhotometricInterpretation") == "MONOCHROME1",
            )


def _checked_pixels(pixels: np.ndarray) -> np.ndarray:
    pixels = np.asarray(pixels)
    if pixels.ndim != 2 or pixels.size == 0:
        raise MammoTrackerError(
            "A mammogram is one two-dimensional grey image, "
            f"but this one has the shape {pixels.shape}."
        )
    if pixels.dtype.kind not in "buif":
        raise MammoTrackerError("The pixels of a mammogram must be real numbers.")
    pixels = pixels.astype(np.float32, copy=False).view()
    lowest, highest = pixels.min(), pixels.max()
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise MammoTrackerError("The image has pixels that are infinite or not a number.")
    if lowest == highest:
        raise MammoTrackerError(
            "The image is empty: all its pixels are the same. Give another image."
        )
    pixels.flags.writeable = False
    return pixels


def _spacing_pair(spacing: float | tuple[float, float]) -> tuple[float, float]:
    try:
        x, y = np.broadcast_to(np.asarray(spacing, dtype=float), (2,)).tolist()
    except (TypeError, ValueError):
        raise MammoTrackerError(
            "The spacing is one number of mm, or two: of the columns (x) and of the rows (y)."
        ) from None
    if not all(0 < value <= _LARGEST_SPACING_MM for value in (x, y)):
        raise MammoTrackerError(
            f"A pixel spacing of {x:g} x {y:g} mm is not a mammogram's: it must be above 0, "
            f"at most {_LARGEST_SPACING_MM:g}, and in mm (0.07, for example)."
        )
    return x, y


def _first_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise MammoTrackerError(f"{path} is a folder: give one image file.")
        with path.open("rb") as file:
            head = file.read(132)
    except FileNotFoundError:
        raise MammoTrackerError(f"There is no file {path}.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is not valid"
        raise MammoTrackerError(f"Cannot open {path}: {reason}.") from None
    if not head:
        raise MammoTrackerError(f"The file {path} is empty.")
    return head


def _no_image(path: Path) -> MammoTrackerError:
    return MammoTrackerError(
        f"{path} is not an image that can be read: give a mammography DICOM file, "
        "or a PNG, TIFF, JPEG, NIfTI, NRRD or MHA image."
    )


def _truncated(path: Path) -> MammoTrackerError:
    return MammoTrackerError(
        f"The image in {path} is truncated or damaged: export or copy the file again."
    )


def _no_spacing(path: Path) -> MammoTrackerError:
    return MammoTrackerError(
        f"{path} does not say how large its pixels are: give the spacing in mm."
    )


def _image_reader(path: Path, head: bytes) -> sitk.ImageFileReader | None:
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


def _read_image(
    path: Path, spacing: tuple[float, float] | None, reader: sitk.ImageFileReader
) -> Mammogram:
    import SimpleITK as sitk

    format_name = reader.GetImageIO()
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _no_image(path) from error
    axes = [axis for axis, length in enumerate(reader.GetSize()) if length > 1]
    if len(axes) != 2:
        raise MammoTrackerError(
            f"{path} holds {'several slices' if len(axes) > 2 else 'no image'}: "
            "give one two-dimensional mammogram."
        )
    if spacing is None:
        x, y = (reader.GetSpacing()[axis] for axis in axes)
        if format_name not in _FORMATS_WITH_SPACING or x == y == 1:
            raise _no_spacing(path)
        spacing = x, y
    if not _is_whole(path, format_name, int(np.prod(reader.GetSize()))):
        raise _truncated(path)
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise _truncated(path) from error
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


def _read_dicom(path: Path, spacing: tuple[float, float] | None) -> Mammogram:
    with _dicom_header(path, with_pixels=True) as header:
        if spacing is None:
            spacing = _header_spacing(header)
        if spacing is None:
            raise _no_spacing(path)
        return Mammogram(
            _density(_stored_values(header, path), header),
            spacing,
            _laterality(header),
            _view(header),
            _date(header),
            _patient_id(header),
        )


@contextmanager
def _dicom_header(path: Path, with_pixels: bool) -> Iterator[pydicom.Dataset]:
    """Open a mammogram; while it is open, whatever goes wrong is the file's fault."""
    import pydicom

    # What pydicom warns of and logs can repeat values of the header, so patient data.
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        try:
            header = pydicom.dcmread(path, force=True, stop_before_pixels=not with_pixels)
            if "SOPClassUID" not in header and "Modality" not in header:
                raise _truncated(path) if header.file_meta else _no_image(path)
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
        raise _truncated(path)
    if not str(header.get("PhotometricInterpretation")).startswith("MONOCHROME"):
        raise MammoTrackerError(f"{path} is a colour image: give a grey mammogram.")


def _header_spacing(header: pydicom.Dataset) -> tuple[float, float] | None:
    """Return (x, y) mm per pixel of the breast; DICOM gives the rows' spacing first."""
    magnification = float(header.get("EstimatedRadiographicMagnificationFactor") or 1)
    for keyword, factor in (
        ("ImagerPixelSpacing", magnification),
        ("PixelSpacing", 1.0),
        ("NominalScannedPixelSpacing", 1.0),
    ):
        if header.get(keyword):
            row_spacing, column_spacing = header[keyword].value
            return _spacing_pair((column_spacing / factor, row_spacing / factor))
    return None


def _laterality(header: pydicom.Dataset) -> str | None:
    for keyword in ("ImageLaterality", "FrameLaterality", "Laterality"):
        side = str(header.get(keyword) or "").strip().upper()
        if side in ("L", "R"):
            return side
    return None


def _view(header: pydicom.Dataset) -> str | None:
    """Read ViewPosition, ViewCodeSequence or, as in CBIS-DDSM, PatientOrientation."""
    position = str(header.get("ViewPosition") or "").strip().upper()
    if position:
        return position
    for item in header.get("ViewCodeSequence") or ():
        from pydicom.sr.codedict import Code, codes

        code = Code(item.CodeValue, item.CodingSchemeDesignator, "")
        for view, name in _VIEW_CODES.items():
            if code == getattr(codes.cid4014, name):
                return view
    orientation = str(header.get("PatientOrientation") or "").strip().upper()
    return orientation if orientation in _VIEW_CODES else None


def _date(header: pydicom.Dataset) -> datetime.date | None:
    for keyword in ("StudyDate", "AcquisitionDate", "ContentDate"):
        try:
            text = str(header.get(keyword) or "")
            return datetime.datetime.strptime(text, "%Y%m%d").date()
        except ValueError:
            continue
    return None


def _patient_id(header: pydicom.Dataset) -> str | None:
    return str(header.get("PatientID") or "").strip() or None


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
        raise _truncated(path) from error
    values = values.squeeze()
    if values.shape != (header.Rows, header.Columns) or values.dtype.itemsize > 2:
        raise _truncated(path)
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
    lowest = int(values.min())
    indices = values.astype(np.int32) - lowest
    counts = np.bincount(indices.ravel())
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
    return table.astype(np.float32)[indices]


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

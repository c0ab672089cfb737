"""DICOM files: opened, and refused with the true reason where they hold no mammogram."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MammoTrackerError
from ..mammogram import Header, Mammogram
from .brightness import brightness, first_window
from .files import check_amount, no_image, truncated
from .header import breast_spacing, facts, image_types, other_spacing, size, spacing_remarks
from .stored_values import check_pixels, read_until, stop_when, stored_values

if TYPE_CHECKING:
    import numpy as np
    import pydicom

_MAMMOGRAPHY = ("1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.1.2.1")
_BREAST_TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_OTHER_MODALITIES = (
    "CR", "CT", "DX", "ES", "IO", "KO", "MR", "NM", "OT", "PR", "PT", "PX", "RF", "RG", "SC",
    "SEG", "SM", "SR", "US", "XA", "XC",
)  # fmt: skip
_BEFORE_PIXELS = 0x7FE00000
_HOLOGIC_TOMOSYNTHESIS = 0x7E01


def read_dicom(
    path: Path, spacing: tuple[float, float] | None, otherwise: tuple[float, float] | None
) -> Mammogram:
    """Read a mammogram; its header is checked before its pixels are read at all."""
    is_given = spacing is not None or otherwise is not None
    with _opened(path) as header:
        check_pixels(header, path)
        own = _spacing_of(header, path) if is_given else breast_spacing(header, path)
        about = ()
        if own is not None:
            about = other_spacing(spacing, own) if spacing else spacing_remarks(header)
        values, remarks = stored_values(header, path)
        pixels, more = brightness(values, header)
        known = spacing or own or otherwise
        return Mammogram(pixels, known, **facts(header), remarks=remarks + more + about)


def read_dicom_header(path: Path) -> Header:
    with _opened(path) as header:
        return Header(
            _spacing_of(header, path),
            window=first_window(header),
            inverted=header.get("PhotometricInterpretation") == "MONOCHROME1",
            size=size(header),
            **facts(header),
        )


def read_stored_values(path: Path) -> np.ndarray:
    """Read the pixels (rows, columns) as they are stored: of a mask, say."""
    with _opened(path) as header:
        check_pixels(header, path)
        return stored_values(header, path)[0]


def _spacing_of(header: pydicom.Dataset, path: Path) -> tuple[float, float] | None:
    try:
        return breast_spacing(header, path)
    except MammoTrackerError:
        return None


@contextmanager
def _opened(path: Path) -> Iterator[pydicom.Dataset]:
    """Open a mammogram's header; how values are stored is as usual where it does not say so."""
    with opened(path) as header:
        flatten(header)
        _check_is_mammogram(header, path)
        header.setdefault("PixelRepresentation", 0)
        header.setdefault("BitsStored", header.get("BitsAllocated"))
        yield header


@contextmanager
def opened(
    path: Path,
    check: Callable[[bytes], None] = lambda part: None,
    defer_size: int | None = 2**20,
    keywords: Sequence[str] | None = None,
) -> Iterator[pydicom.Dataset]:
    """Open what is before the pixels; while it is open, whatever goes wrong is the file's fault.

    What pydicom raises, warns of and logs can repeat values of the header, so patient data. The
    parts of a deflated file are given to `check` before they are read, to be refused. What is
    larger than `defer_size` is read when it is asked for. Only attributes of these `keywords` are
    read, if given.
    """
    import pydicom

    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        try:
            _check_beginning(path, check)
            header = read_until(path, _BEFORE_PIXELS, defer_size, keywords)
            if "SOPClassUID" not in header and len(header):  # which anonymisers leave out
                header.SOPClassUID = header.file_meta.get("MediaStorageSOPClassUID")
            if not header.get("SOPClassUID") and "Modality" not in header:
                raise truncated(path) if header.file_meta else no_image(path)
            yield header
        except MammoTrackerError:
            raise
        except Exception:  # whatever a damaged header leads pydicom to
            raise MammoTrackerError(
                f"The DICOM header of {path} is damaged: export or copy the file again."
            ) from None


def _check_beginning(path: Path, check: Callable[[bytes], None]) -> None:
    """Refuse what pydicom would read for ever or into all of the memory.

    It reads groups 2 and 0 before all others, and then inflates a deflated file at once.
    """
    from pydicom.filereader import read_dataset
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    with path.open("rb") as file:
        file.seek(128)
        if file.read(4) != b"DICM":
            file.seek(0)
        meta = read_dataset(
            file, False, True, stop_when=stop_when(path, lambda tag: tag >> 16 != 2)
        )
        begin = file.tell()
        read_dataset(file, True, True, stop_when=stop_when(path, lambda tag: tag >> 16 != 0))
        if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            return
        file.seek(begin)
        size, stream, content = 0, zlib.decompressobj(-zlib.MAX_WBITS), file.read()
    try:
        while content:
            part = stream.decompress(content, 2**24)
            size += len(part)
            check_amount(path, size // 2, size)
            check(part)
            content = stream.unconsumed_tail
    except zlib.error:
        raise truncated(path) from None


def flatten(header: pydicom.Dataset) -> None:
    """Bring what an enhanced file says of its only frame up to where plain files say it."""
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for macro in list((header.get(groups) or [{}])[0]):
            for element in macro.value[0] if macro.VR == "SQ" and macro.value else ():
                if element.tag not in header:
                    header.add(element)


def _check_is_mammogram(header: pydicom.Dataset, path: Path) -> None:
    found = why_no_mammogram(header)
    if found is not None and found[0] != "colour":  # which its pixels may deny
        _kind, start, what = found
        raise MammoTrackerError(f"{start.format(path)}{what}")


def why_no_mammogram(header: pydicom.Dataset) -> tuple[str, str, str] | None:
    """Say why a flattened header is of no mammogram that can be read; None if it is of one.

    Returns
    -------
    tuple or None
        In short for a count; and a sentence, of which the first part takes the file's path.
    """
    sop_class = header.get("SOPClassUID")
    modality = header.get("Modality") or ("MG" if sop_class in _MAMMOGRAPHY else None)
    # Computed radiography and digitised films have their own modalities, and are the prior exams.
    part = str(header.get("BodyPartExamined") or "").strip().upper()
    is_radiography = modality in ("CR", "DX", "RG", "SC", "OT")
    if modality != "MG" and not (is_radiography and part == "BREAST"):
        if modality not in _OTHER_MODALITIES:  # nothing else is shown, as it may be a name
            modality = "unknown" if modality else "missing"
        return (
            "no mammography",
            "{} is not a mammogram: ",
            f"its DICOM modality is {modality}, not MG"
            f"{', and its BodyPartExamined not BREAST' if is_radiography else ''}.",
        )
    kinds = image_types(header)
    is_private = any(tag.group == _HOLOGIC_TOMOSYNTHESIS for tag in header.keys())
    if sop_class == _SECONDARY_CAPTURE and (is_private or "TOMO" in kinds):
        return (
            "tomosynthesis",
            "{} is tomosynthesis in a private format of its manufacturer (SCO), which is ",
            "not supported: give the two-dimensional mammogram.",
        )
    if sop_class == _BREAST_TOMOSYNTHESIS and "GENERATED_2D" not in kinds:
        return (
            "tomosynthesis",
            "{} is tomosynthesis, which is not supported: ",
            "give the two-dimensional mammogram.",
        )
    if kinds[2:4] in (["TOMOSYNTHESIS", "NONE"], ["TOMO", "NONE"]) or "TOMO_PROJ" in kinds:
        return (
            "tomosynthesis",
            "{} is a slice or projection of tomosynthesis, by its ImageType, which is ",
            "not supported: give the two-dimensional mammogram.",
        )
    if int(header.get("NumberOfFrames") or 1) > 1:
        return (
            "several frames",
            "{} holds several frames, of tomosynthesis for example: ",
            "give one two-dimensional mammogram.",
        )
    photometric = str(header.get("PhotometricInterpretation") or "")
    if photometric.startswith(("RGB", "YBR", "PALETTE", "HSV", "CMYK", "ARGB")):
        return "colour", "{} is a colour image: ", "give a grey mammogram."
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        return (
            "damaged",
            "{}: PhotometricInterpretation is ",
            f"{'unknown' if photometric else 'missing'}, so nobody can tell whether low values "
            "are bright: export or copy the file again.",
        )
    return None

"""What a mammogram's DICOM header says of its view, its place and its exam."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import MammoTrackerError
from ..mammogram import check_size, spacing_pair
from .files import no_spacing

if TYPE_CHECKING:
    import pydicom

# Codes (SNOMED CT; SRT, whose values the retired schemes SNM3 and 99SDM share) and texts, as a
# pattern of letters alone. DICOM PS3.16 CID 4014; AT, CV and TAN are labels of the ACR.
_VIEWS = {
    "CC": ("399162004", "R-10242", "CRANIOCAUDAL"),
    "MLO": ("399368009", "R-10226", "MEDI(?:O|AL)LATERALOBLIQUE"),
    "ML": ("399260004", "R-10224", "MEDI(?:O|AL)LATERAL"),
    "LM": ("399352003", "R-10228", "LATER(?:O|AL)MEDIAL"),
    "LMO": ("399099002", "R-10230", "LATER(?:O|AL)MEDIALOBLIQUE"),
    "XCCL": ("399192008", "R-1024A", "(?:CRANIOCAUDAL|CC)EXAGGERATEDLATERAL(?:LY)?"),
    "XCCM": ("399101009", "R-1024B", "(?:CRANIOCAUDAL|CC)EXAGGERATEDMEDIAL(?:LY)?"),
    "FB": ("399196006", "R-10244", "CAUDOCRANIAL|FROMBELOW"),
    "SIO": ("399188001", "R-102D0", "SUPEROLATERALTOINFEROMEDIALOBLIQUE"),
    "ISO": ("441555000", "R-40AAA", "INFEROMEDIALTOSUPEROLATERALOBLIQUE"),
    "AT": ("AXILLARYTAIL",),
    "CV": ("CLEAVAGE",),
    "TAN": ("TANGENTIAL",),
}
# The same of CID 4015; single letters and ID are the ACR's labels.
_MODIFIERS = {
    "spot": ("399055006", "R-102D7", "SPOT(?:COMP(?:RESSION)?)?|S"),
    "magnified": ("399163009", "R-102D6", "MAG(?:NIFICATION|NIFIED)?|M"),
    "implant displaced": ("399209000", "R-102D5", "IMPLANTDISPLACED|ID"),
    "rolled": (
        "399197002", "399226006", "414493004", "415670009",
        "R-102D3", "R-102D4", "R-102CA", "R-102C9",
        "ROLL(?:ED)?(?:LATERAL|MEDIAL|INFERIOR|SUPERIOR)?(?:LY)?|R[LMIS]",
    ),
    "cleavage": ("399161006", "R-102D2", "CLEAVAGE|CV"),
    "axillary tail": ("399011000", "R-102D1", "AXILLARYTAIL|AT"),
    "tangential": ("399110001", "R-102C2", "TAN(?:GENTIAL)?"),
    "axillary tissue": ("442580003", "R-40AB2", "AXILLARYTISSUE"),
    "nipple in profile": ("442581004", "R-40AB3", "NIPPLEINPROFILE"),
    "anterior compression": ("441752004", "P2-00161", "ANTERIORCOMPRESSION"),
    "inframammary fold": ("442593008", "R-40ABE", "INFRAMAMMARYFOLD"),
}  # fmt: skip
# Values of ImageType (DICOM PS3.3 C.8.11.7.1.4).
_BIOPSY = re.compile(
    "(?:STEREO|TOMO)_SCOUT|(?:STEREO|PREFIRE|POSTFIRE|POSTBIOPSY|POSTMARKER)(?:_MINUS|_PLUS)?"
)
_CONTRAST = {"SUBTRACTION", "ADDITION", "HIGH_ENERGY"}
_SPACINGS = ("ImagerPixelSpacing", "PixelSpacing", "NominalScannedPixelSpacing")
_SAME_SPACING = 0.02
"""How much two spacings may differ, of which one may have been rounded."""
_SIDE = "LEFT|RIGHT|LT|RT|L|R"
_VIEW = "|".join([*(known[-1] for known in _VIEWS.values()), *sorted(_VIEWS, key=len)[::-1]])
_MODIFIER = "|".join(known[-1] for known in _MODIFIERS.values())
# The labels of rolled views are suffixes, so RMCC is a right magnified one, and CCRM a rolled one.
_PREFIXES = f"(?:(?!R[LMIS])(?:{_MODIFIER}))*"
_LABEL = re.compile(
    f"(?!LAT$)(?P<first>{_PREFIXES})(?P<side>{_SIDE})?(?P<before>{_PREFIXES})(?P<view>{_VIEW})"
    f"(?P<after>(?:{_MODIFIER})*)(?P<last_side>{_SIDE})?"
)
_LONGEST_LABEL = 64
"""Of a text that is matched with labels, which takes time by the third power; DICOM's own limit."""
_FILLERS = re.compile(r"\b(VIEW|PROJECTION|BREAST|MAMMOGRAM|2D)\b")
# In contact views, the breast's middle is enlarged by 1.1 at most.
_MAGNIFIED = 1.25
_AXES = str.maketrans("ARHPLF", "012012")
# Breast tomosynthesis, and its projections for presentation and for processing.
_TOMOSYNTHESIS = tuple(f"1.2.840.10008.5.1.4.1.1.13.1.{part}" for part in (3, 4, 5))


def facts(header: pydicom.Dataset) -> dict:
    """Return what `Mammogram` and `Header` both keep, by their names: see there."""
    return {
        "laterality": _laterality(header),
        "view": _view(header),
        "date": _date(header),
        "patient_id": str(header.get("PatientID") or "").strip() or None,
        "orientation": _orientation(header),
        "modifiers": _modifiers(header),
        "instance_uids": _instance_uids(header),
    }


def size(header: pydicom.Dataset) -> tuple[int, int] | None:
    """Return (columns, rows), where the header gives them."""
    numbers = [header.get(keyword) for keyword in ("Columns", "Rows")]
    if not all(isinstance(number, int) and number > 0 for number in numbers):
        return None
    return numbers[0], numbers[1]


def image_types(header: pydicom.Dataset) -> list[str]:
    """Return the values of ImageType in capitals."""
    value = header.get("ImageType") or ()
    return [str(kind).strip().upper() for kind in ([value] if isinstance(value, str) else value)]


def _instance_uids(header: pydicom.Dataset) -> tuple[str, ...]:
    """Return by what an image is referred to; also through a source with the same pixels.

    A clinic's CAD sees the image for processing, and radiologists the one made from it for
    presentation, which names its source (DICOM PS3.17 E.5). Only SpatialLocationsPreserved YES
    says that both have the same pixels; many files leave it out where they do. Those of an image
    that was computed from tomosynthesis are its own. The image's own UID is the first; none
    without it.
    """
    uids = [header.get("SOPInstanceUID")]
    if not uids[0]:
        return ()
    try:
        for source in header.get("SourceImageSequence") or ():
            is_volume = str(source.get("ReferencedSOPClassUID")).strip() in _TOMOSYNTHESIS
            unsaid = "NO" if is_volume else "YES"
            if source.get("SpatialLocationsPreserved", unsaid) == "YES":
                uids.append(source.get("ReferencedSOPInstanceUID"))
    except Exception:  # an image can be read without its damaged sources
        return (str(uids[0]).strip(),)
    return tuple(str(uid).strip() for uid in uids if uid)


def _labels(header: pydicom.Dataset) -> Iterator[re.Match[str]]:
    """Yield the texts that name a view, such as L MLO, RCCID or left cranio-caudal.

    CBIS-DDSM has it in PatientOrientation, Fuji in AcquisitionDeviceProcessingDescription.
    """
    codes = header.get("ViewCodeSequence") or ()
    for text in (
        header.get("ViewPosition"),
        *(item.get("CodeMeaning") for item in codes),
        header.get("PatientOrientation"),
        header.get("AcquisitionDeviceProcessingDescription"),
        header.get("SeriesDescription"),
    ):
        label = _LABEL.fullmatch(_letters(text))
        if label:
            yield label


def _letters(text: object) -> str:
    text = str(text or "")
    if len(text) > _LONGEST_LABEL:
        return ""
    return re.sub("[^A-Z]", "", _FILLERS.sub("", text.upper().replace("_", " ")))


def _named(text: str, names: dict[str, tuple[str, ...]]) -> str | None:
    """Return the name of a view or modifier whose label or code this is."""
    for name, known in names.items():
        if text == name or text in known[:-1] or re.fullmatch(known[-1], text):
            return name
    return None


def _laterality(header: pydicom.Dataset) -> str | None:
    for keyword in ("ImageLaterality", "FrameLaterality", "Laterality"):
        side = str(header.get(keyword) or "").strip().upper()
        if re.fullmatch(_SIDE, side):
            return side[0]
        if side:  # both, for example
            return None
    for label in _labels(header):
        side = label["side"] or label["last_side"]
        if side:
            return side[0]
    return None


def _view(header: pydicom.Dataset) -> str | None:
    position = _LABEL.fullmatch(_letters(header.get("ViewPosition")))
    if position:
        return _named(position["view"], _VIEWS)
    for item in header.get("ViewCodeSequence") or ():
        view = _named(str(item.get("CodeValue")), _VIEWS)
        if view:
            return view
    label = next(_labels(header), None)
    return _named(label["view"], _VIEWS) if label else None


def _modifiers(header: pydicom.Dataset) -> tuple[str, ...]:
    """Return what makes the view no standard one, from codes, texts, geometry and ImageType.

    Of a contrast-enhanced exam, the image of low energy is a standard one; what was made from two
    energies is not.
    """
    found = []
    for item in (*(header.get("ViewCodeSequence") or ()), header):
        for code in item.get("ViewModifierCodeSequence") or ():
            found.append(
                _named(str(code.get("CodeValue")), _MODIFIERS)
                or _named(_letters(code.get("CodeMeaning")), _MODIFIERS)
            )
    for label in _labels(header):
        for part in ("first", "before", "after"):
            found += [_named(text, _MODIFIERS) for text in re.findall(_MODIFIER, label[part])]
        found.append(_named(label["view"], _MODIFIERS))
    paddle = str(header.get("PaddleDescription") or "").upper()
    if "SPOT" in paddle:
        found.append("spot")
    if _magnification(header) > _MAGNIFIED or "MAG" in paddle:
        found.append("magnified")
    if str(header.get("PartialView") or "").strip().upper() == "YES":
        found.append("partial")
    kinds = image_types(header)[2:]
    if any(_BIOPSY.fullmatch(kind) for kind in kinds):
        found.append("biopsy")
    if _CONTRAST.intersection(kinds):
        found.append("contrast")
    names = (*_MODIFIERS, "partial", "biopsy", "contrast")
    return tuple(name for name in names if name in found)


def _orientation(header: pydicom.Dataset) -> tuple[str, str] | None:
    """Read where rows and columns point, such as A and FR (DICOM PS3.3 C.7.6.1.1.1)."""
    values = header.get("PatientOrientation")
    if values is None or isinstance(values, str) or len(values) != 2:
        return None
    row, column = (str(value).strip().upper() for value in values)
    for direction in (row, column):
        axes = direction.translate(_AXES)
        if not re.fullmatch("[012]{1,3}", axes) or len(set(axes)) < len(axes):
            return None
    return None if row.translate(_AXES)[0] == column.translate(_AXES)[0] else (row, column)


def _date(header: pydicom.Dataset) -> datetime.date | None:
    """Return the exam's date, also in its old form with points; one with parts missing is none.

    ContentDate is none, either: of a film that was scanned, or a file that was converted, it is of
    that day.
    """
    for keyword in ("StudyDate", "AcquisitionDate"):
        text = str(header.get(keyword) or "").strip()
        parts = re.fullmatch(r"([0-9]{4})([.-]?)([0-9]{2})\2([0-9]{2})", text)
        try:
            if parts:
                return datetime.date(int(parts[1]), int(parts[3]), int(parts[4]))
        except ValueError:
            continue
    return None


def breast_spacing(header: pydicom.Dataset, path: Path) -> tuple[float, float]:
    """Return (x, y) mm per pixel of the breast; DICOM gives the rows' spacing first.

    Of the attributes that give one, the first that a mammogram can have.

    Raises
    ------
    MammoTrackerError
        If none does.
    """
    found = [keyword for keyword in _SPACINGS if header.get_item(keyword) is not None]
    for spacing in _spacings(header):
        return spacing
    if found:
        raise MammoTrackerError(
            f"{path}: {' and '.join(found)} cannot be a mammogram's: give the spacing in mm."
        )
    raise no_spacing(path)


def _spacings(header: pydicom.Dataset) -> Iterator[tuple[float, float]]:
    """Yield what the attributes say, as far as a mammogram can have it."""
    for keyword in _SPACINGS:
        numbers = _numbers(header, keyword)
        if len(numbers) != 2:
            continue
        factor = _magnification(header) if keyword == "ImagerPixelSpacing" else 1.0
        try:
            spacing = spacing_pair((numbers[1] / factor, numbers[0] / factor))
            check_size((header.get("Rows") or 1, header.get("Columns") or 1), spacing)
        except MammoTrackerError:
            continue
        yield spacing


def spacing_remarks(header: pydicom.Dataset) -> tuple[str, ...]:
    """Return a sentence for the user where attributes differ by more than magnification explains.

    So they do where an image was made smaller, and not all of them changed. A PixelSpacing that is
    the detector's, beside its magnification, is none of the breast.
    """
    detector = _numbers(header, "ImagerPixelSpacing")[::-1]
    used, *others = _spacings(header)
    for other in others:
        is_copied = len(detector) == 2 and np.allclose(other, detector, rtol=_SAME_SPACING)
        if not is_copied and np.abs(np.log(np.divide(other, used))).max() > np.log(_MAGNIFIED):
            return (
                f"The file says of its pixels that they have {used[0]:.3g} mm, which counts, and "
                f"{other[0]:.3g} mm: give the spacing, if the latter is right.",
            )
    return ()


def other_spacing(given: tuple[float, float], own: tuple[float, float]) -> tuple[str, ...]:
    """Return a sentence for the user where the spacing that was given is not the file's own."""
    if np.allclose(given, own, rtol=_SAME_SPACING, atol=0):
        return ()
    return (
        "The file says that its pixels have another size than the one that was given, which "
        "counts: make sure that it is of this image.",
    )


def _magnification(header: pydicom.Dataset) -> float:
    """Return how much larger than the breast its image is.

    By the distances if it is not said, or by a PixelSpacing that was calibrated for the breast.
    """
    ratios = [("DistanceSourceToDetector", "DistanceSourceToPatient")]
    if header.get("PixelSpacingCalibrationType") in ("GEOMETRY", "FIDUCIAL"):
        ratios.append(("ImagerPixelSpacing", "PixelSpacing"))
    numbers = _numbers(header, "EstimatedRadiographicMagnificationFactor")
    for ratio in ratios:
        if not numbers or not numbers[0]:
            image, breast = (_numbers(header, keyword) for keyword in ratio)
            numbers = [image[0] / breast[0]] if image and breast and breast[0] else []
    return numbers[0] if numbers and 0.9 <= numbers[0] <= 10 else 1.0


def _numbers(header: pydicom.Dataset, keyword: str) -> list[float]:
    """Return an attribute's numbers; none where one cannot be read."""
    try:
        value = header.get(keyword)
        return [] if value is None else np.atleast_1d(np.asarray(value, float)).tolist()
    except Exception:  # pydicom reads values when they are asked for, and raises many kinds
        return []

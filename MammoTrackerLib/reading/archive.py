"""A file of an archive, in short: which image it is, or what a report marks, without its pixels."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import MammoTrackerError
from ..pair import SPECIAL
from .dicom import flatten, opened, why_no_mammogram
from .files import first_bytes
from .header import breast_spacing, facts, image_types, size
from .sr import is_report_class, read_report

if TYPE_CHECKING:
    import pydicom

NO_DICOM, UNREADABLE = "no DICOM file", "cannot be read"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_KEYWORDS = (
    "ImageType SOPClassUID SOPInstanceUID StudyDate AcquisitionDate AcquisitionTime "
    "ContentTime Modality PresentationIntentType SeriesDescription SourceImageSequence PatientID "
    "IssuerOfPatientID BodyPartExamined DistanceSourceToDetector DistanceSourceToPatient "
    "EstimatedRadiographicMagnificationFactor ImagerPixelSpacing PixelSpacing "
    "PixelSpacingCalibrationType NominalScannedPixelSpacing PaddleDescription PartialView "
    "ViewPosition ViewCodeSequence ViewModifierCodeSequence PatientOrientation ImageLaterality "
    "FrameLaterality Laterality SamplesPerPixel PhotometricInterpretation NumberOfFrames Rows "
    "Columns AcquisitionDeviceProcessingDescription SharedFunctionalGroupsSequence "
    "PerFrameFunctionalGroupsSequence"
).split()
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")


class Found(NamedTuple):
    """What is kept of a file, under 1 kB for an image; no name, and identities as digests.

    Attributes
    ----------
    reason
        Why it is no image to track; None if it is one.
    is_report
        Whether it is a structured report.
    marks
        Of a report: (SOP Instance UID, x0, y0, x1, y1, lesion, type) of each mark, in pixels, a
        point without size; ``lesion`` is the same on all images of a lesion, "" if that is not
        known. None if they were not read.
    left_out
        How many marks of a report are none, by the kinds of `lesions.LEFT_OUT`, and "predicted".
    patient
        Digest of PatientID and its issuer; None without a PatientID.
    uid, sources
        SOP Instance UID, and those of the images with the same pixels that it was made from.
    side, view, date, special
        As in `Header`; the date as YYYY-MM-DD; special is what makes it no standard view.
    time
        When it was acquired on that day, as DICOM writes it.
    for_processing, is_synthetic
        Whether it is for processing, and whether it was computed from tomosynthesis.
    columns, rows, spacing_x, spacing_y
        Its size in pixels, and of a pixel in mm.
    orientation
        First letter of PatientOrientation.
    absences
        Of a report: (SOP Instance UID, lesion) where a user said that a lesion is not, as in
        ``marks``.
    """

    reason: str | None = None
    is_report: bool = False
    marks: list[tuple] | None = None
    left_out: dict[str, int] | None = None
    patient: str | None = None
    uid: str | None = None
    sources: str = ""
    side: str | None = None
    view: str | None = None
    date: str | None = None
    special: str = ""
    time: str = ""
    for_processing: bool = False
    is_synthetic: bool = False
    columns: int | None = None
    rows: int | None = None
    spacing_x: float | None = None
    spacing_y: float | None = None
    orientation: str = ""
    absences: list[tuple] | None = None


def read_file(path: Path, key: bytes, with_marks: bool) -> Found:
    """Read a file's header, and the marks of a report if asked for; never its pixels.

    Parameters
    ----------
    path
        The file, of any kind.
    key
        What digests are made with, so that nobody else can compare them with known numbers.
    with_marks
        Whether to read the content of reports.
    """
    if path.name.upper() == "DICOMDIR":
        return Found("no mammography")
    is_dicom = False
    try:
        is_dicom = first_bytes(path)[128:132] == b"DICM"
        with opened(path, keywords=_KEYWORDS) as header:
            if is_report_class(header):
                return _report(path, header, key, with_marks)
            if header.get("SOPClassUID") != _SECONDARY_CAPTURE:
                return _image(path, header, key)
        with opened(path) as header:  # private elements may say that it is tomosynthesis
            return _image(path, header, key)
    except MammoTrackerError:
        return Found(UNREADABLE if is_dicom else NO_DICOM)


def read_patient(path: Path) -> tuple[str, str]:
    """Return a DICOM file's PatientID and its issuer.

    Raises
    ------
    MammoTrackerError
        If it cannot be read.
    """
    with opened(path, keywords=("SOPClassUID", "PatientID", "IssuerOfPatientID")) as header:
        return _patient(header)


def digest(key: bytes, *texts: str) -> str:
    """Return what stands for texts that are not to be written down: equal for equal ones."""
    return hashlib.blake2b(
        "\0".join(texts).encode("utf-8", "replace"), key=key, digest_size=12
    ).hexdigest()


def _patient(header: pydicom.Dataset) -> tuple[str, str]:
    values = (header.get(keyword) for keyword in ("PatientID", "IssuerOfPatientID"))
    patient, issuer = (str(value or "").strip() for value in values)
    return patient, issuer


def _image(path: Path, header: pydicom.Dataset, key: bytes) -> Found:
    flatten(header)
    problem = why_no_mammogram(header)
    if problem is not None:
        return Found(problem[0])
    about = facts(header)
    try:
        spacing = breast_spacing(header, path)
    except MammoTrackerError:
        spacing = None, None
    patient = _patient(header)
    special = [name for name in SPECIAL if name in about["modifiers"]]
    uids = about["instance_uids"]
    date, orientation = about["date"], header.get("PatientOrientation") or ""
    kinds = image_types(header)
    return Found(
        patient=digest(key, *patient) if patient[0] else None,
        uid=next(iter(uids), "") or None,
        sources=" ".join(uid for uid in uids[1:] if _UID.fullmatch(uid)),
        side=about["laterality"],
        view=about["view"],
        date=date.isoformat() if date else None,
        special=special[0] if special else "",
        time=_time(header),
        for_processing=str(header.get("PresentationIntentType")).strip() == "FOR PROCESSING",
        is_synthetic=any(kind == "GENERATED_2D" or "TOMO" in kind for kind in kinds),
        orientation=str(orientation[0]).strip()[:1].upper() if orientation else "",
        **dict(zip(("columns", "rows"), size(header) or (None, None), strict=True)),
        **dict(zip(("spacing_x", "spacing_y"), spacing, strict=True)),
    )


def _time(header: pydicom.Dataset) -> str:
    for keyword in ("AcquisitionTime", "ContentTime"):
        text = str(header.get(keyword) or "").strip()
        if re.fullmatch(r"[0-9]{6}(\.[0-9]{1,6})?", text):
            return text
    return ""


def _report(path: Path, header: pydicom.Dataset, key: bytes, with_marks: bool) -> Found:
    uid = str(header.get("SOPInstanceUID") or "").strip() or None
    found = Found("structured report", True, uid=uid)
    if not with_marks:
        return found
    try:
        report = read_report(path)
    except MammoTrackerError:
        return found._replace(reason="structured report that cannot be read", marks=[])

    def lesion_of(tracking: str) -> str:
        if not tracking:
            return ""
        # What is no UID is the same lesion within its report only.
        known = () if _UID.fullmatch(tracking) else (uid or str(path),)
        return digest(key, tracking, *known)

    left_out = dict(report.left_out)
    marks = []
    for mark in report.marks:
        if mark.is_predicted:
            left_out["predicted"] = left_out.get("predicted", 0) + 1
            continue
        lesion = lesion_of(mark.tracking)
        marks.append((mark.instance_uid, *mark.bounds, lesion, mark.lesion_type))
    absences = [(one.instance_uid, lesion_of(one.tracking)) for one in report.absences]
    return found._replace(marks=marks, left_out=left_out, absences=absences)

"""What was found, as a DICOM structured report (TID 1500) that other systems read."""

from __future__ import annotations

import io
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from .. import __version__
from ..errors import MammoTrackerError
from ..history import ExamResult, LesionHistory
from ..mammogram import Header, Mammogram
from ..reading.dicom import opened
from ..reading.sr_content import SCHEME
from ..track import Status, Track
from .packages import require
from .sr_groups import concept, lesion_groups

if TYPE_CHECKING:
    import pydicom

_MAMMOGRAMS = "1.2.840.10008.5.1.4.1.1.1.2"
_NEEDED = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
# Whose report it is, and in which study: of type 2, so they may be empty, but not missing.
_IDENTITY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_OF_AN_IMAGE = (
    *_NEEDED, "SpecificCharacterSet", "IssuerOfPatientID", "Modality", "Rows", "Columns",
    "PatientOrientation", "ImagerPixelSpacing",
)  # fmt: skip
_LONGEST_SH = 16
FILE_NAME = "lesions.dcm"
DESCRIPTION = "MammoTracker: lesions, for research only"


def pair_history(track: Track) -> LesionHistory:
    """Return a track of a pair as a history of two exams, marked on the prior."""
    box = track.prior_box
    on_prior = ExamResult(Track(box, box, 1.0, Status.FOUND, "", (), box), (), True, 1.0)
    return LesionHistory(0, (on_prior, ExamResult(track, (0,), False, track.score)))


def is_own_report(file: Path) -> bool:
    """Whether a file is a report that `write_sr` wrote."""
    try:
        with opened(file) as header:
            return header.get("Modality") == "SR" and header.get("SeriesDescription") == DESCRIPTION
    except (MammoTrackerError, OSError):
        return False


def write_sr(
    path: Path,
    files: Sequence[Path | None],
    exams: Sequence[Header | Mammogram],
    histories: Sequence[LesionHistory],
    trackings: Sequence[str | None] = (),
    lesion_types: Sequence[str] = (),
    decisions: Mapping[tuple[int, int], str] | None = None,
    pointed: Sequence[Collection[int]] = (),
) -> None:
    """Write lesions as one structured report, in the study of the last exam.

    Patient and study are copied from that exam's file into the report, as the standard asks.

    Parameters
    ----------
    path
        The file to write.
    files
        The DICOM file of each exam, in the order of the exams.
    exams
        What is known of them: spacings count from here.
    histories
        The lesions, each with a result for every exam.
    trackings
        What `Lesion.tracking` says of each lesion, if it was read from a report: its tracking UID
        is kept.
    lesion_types
        "mass", "calcification" or "", for each lesion.
    decisions
        By (lesion, exam), one of `sr_groups.DECISIONS`, or "" where nobody said something, as of a
        prediction that counts as marked; only where more is known than the history tells.
    pointed
        For each lesion, the exams on which the user pointed at it alone: such a box has no size,
        and what was found from it has none.

    Raises
    ------
    MammoTrackerError
        If highdicom is not installed, an exam's DICOM file is missing or lacks what a report
        needs, or the exams are not of one patient.
    OSError
        If the file cannot be written.
    """
    highdicom_sr = require_highdicom()
    with ExitStack() as stack, _silent():
        headers = _headers(files, stack)
        _check_exams(headers)
        uids = _tracking_uids(trackings, len(histories))
        try:
            groups = [
                group
                for lesion, history in enumerate(histories)
                for group in lesion_groups(
                    lesion,
                    history,
                    headers,
                    exams,
                    uids[lesion],
                    lesion_types[lesion] if lesion < len(lesion_types) else "",
                    decisions or {},
                    pointed[lesion] if lesion < len(pointed) else (),
                )
            ]
            content = io.BytesIO()
            _report(highdicom_sr, headers, groups).save_as(content, enforce_file_format=True)
        except MammoTrackerError:
            raise
        except Exception as error:  # of which the text may repeat a header
            raise MammoTrackerError(
                "The report cannot be written, as if a header of the exams had something that "
                f"DICOM does not allow ({type(error).__name__}): export the exams again."
            ) from None
    path.write_bytes(content.getvalue())


def check_files(files: Sequence[Path]) -> None:
    """See whether `write_sr` can write of these exams; asked before tracking, that is not in vain.

    Raises
    ------
    MammoTrackerError
        As `write_sr` does of highdicom and of the exams' files.
    """
    require_highdicom()
    with ExitStack() as stack:
        _check_exams(_headers(files, stack))


def require_highdicom() -> ModuleType:
    """Return highdicom's package for reports.

    Raises
    ------
    MammoTrackerError
        If it is not installed.
    """
    message = (
        "DICOM SR needs the Python package highdicom: install it by `pip install "
        "'mammotracker[sr]'` (in Slicer by `PythonSlicer -m pip install highdicom`)."
    )
    return require(message, "highdicom", "highdicom.sr")


@contextmanager
def _silent() -> Iterator[None]:
    """Keep highdicom from logging what it finds in a header."""
    logger = logging.getLogger("highdicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def _headers(files: Sequence[Path | None], stack: ExitStack) -> list[pydicom.Dataset]:
    """Open the exams' files, which stay open: what is wrong with a header is then not repeated."""
    from pydicom.uid import UID

    headers, missing = [], []
    for number, file in enumerate(files, 1):
        try:
            if file is None:
                raise MammoTrackerError("No file.")
            headers.append(stack.enter_context(opened(file)))
        except (MammoTrackerError, OSError):
            missing.append(f"exam {number}" + (f" ({file})" if file else ""))
    if missing:
        raise MammoTrackerError(
            f"DICOM SR needs the DICOM file of each exam, which is missing of {', '.join(missing)}."
        )
    for number, header in enumerate(headers, 1):
        for keyword in _NEEDED:
            if not UID(str(header.get(keyword) or "")).is_valid:
                raise MammoTrackerError(
                    f"The DICOM file of exam {number} has no valid {keyword}, which DICOM SR "
                    "needs: export it again."
                )
    return headers


def _check_exams(headers: Sequence[pydicom.Dataset]) -> None:
    """Refuse exams of several patients, since a report is on one, and one image twice."""
    for number, header in enumerate(headers[1:], 2):
        for keyword in ("PatientID", "PatientBirthDate"):
            mine, other = (str(one.get(keyword) or "").strip() for one in (headers[0], header))
            if mine != other and (keyword == "PatientID" or (mine and other)):
                raise MammoTrackerError(
                    f"The exams 1 and {number} have different values of {keyword}, and a DICOM SR "
                    "is on one patient: give exams of one woman."
                )
        if header.SOPInstanceUID in [earlier.SOPInstanceUID for earlier in headers[: number - 1]]:
            raise MammoTrackerError(
                f"Exam {number} has the SOPInstanceUID of an earlier one, so that a DICOM SR "
                "cannot tell them apart: give each exam once, as it was exported."
            )


def _tracking_uids(trackings: Sequence[str | None], count: int) -> list[str]:
    """Return an identity for each lesion, its own where it has one that no other has."""
    from pydicom.uid import UID, generate_uid

    uids: list[str] = []
    for tracking in [*trackings, *[None] * count][:count]:
        is_own = tracking is not None and UID(tracking).is_valid and tracking not in uids
        uids.append(tracking if is_own else generate_uid())
    return uids


def _report(
    highdicom_sr: ModuleType, headers: Sequence[pydicom.Dataset], groups: list
) -> pydicom.Dataset:
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    device = highdicom_sr.DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=["MammoTracker", __version__]),
        name="MammoTracker",
        model_name=f"MammoTracker {__version__}",
    )
    context = highdicom_sr.ObservationContext(
        observer_device_context=highdicom_sr.ObserverContext(codes.DCM.Device, device)
    )
    evidence = [_evidence(header) for header in reversed(headers)]
    # highdicom describes images by attributes that every digital mammogram should have.
    has_library = all(
        str(header.SOPClassUID).startswith(_MAMMOGRAMS)
        and len(header.get("PatientOrientation") or ()) == 2
        and len(header.get("ImagerPixelSpacing") or ()) == 2
        for header in evidence
    )
    content = highdicom_sr.MeasurementReport(
        observation_context=context,
        procedure_reported=concept("71651007", "SCT", "Mammography"),
        imaging_measurements=groups,
        referenced_images=evidence[::-1] if has_library else None,
    )
    scheme = CodingSchemeIdentificationItem(
        designator=SCHEME,
        name="Codes of MammoTracker",
        responsible_organization="MammoTracker",
    )
    report = highdicom_sr.ComprehensiveSR(
        evidence=evidence,
        content=content,
        series_instance_uid=generate_uid(),
        series_number=1000,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="MammoTracker",
        manufacturer_model_name="MammoTracker",
        software_versions=__version__,
        series_description=DESCRIPTION,
        coding_schemes=[scheme],
        is_complete=True,
    )
    # That of the patient's name, which earlier versions of highdicom do not take over.
    characters = evidence[0].get("SpecificCharacterSet")
    if characters:
        report.SpecificCharacterSet = characters
    return report


def _evidence(header: pydicom.Dataset) -> pydicom.Dataset:
    """Return of an exam's header what a report repeats, and nothing else of the patient."""
    from pydicom import Dataset
    from pydicom.valuerep import DA, TM

    evidence = Dataset()
    for keyword in (*_OF_AN_IMAGE, *_IDENTITY):
        if keyword in header:
            evidence[keyword] = header[keyword]
        elif keyword in _IDENTITY:
            setattr(evidence, keyword, None)
    for keyword in ("PatientBirthDate", "StudyDate", "StudyTime"):
        text = str(evidence.get(keyword) or "").replace(".", "" if "Date" in keyword else ".")
        try:
            setattr(evidence, keyword, (DA if "Date" in keyword else TM)(text) or None)
        except Exception:  # the reader's words repeat the value
            setattr(evidence, keyword, None)
    for keyword in ("StudyID", "AccessionNumber"):
        if len(str(evidence[keyword].value or "")) > _LONGEST_SH:
            setattr(evidence, keyword, None)
    if str(evidence.get("PatientSex") or "") not in ("M", "F", "O", ""):
        evidence.PatientSex = None
    if not isinstance(evidence.get("SpecificCharacterSet", ""), str):  # several: UTF-8 has all
        evidence.SpecificCharacterSet = "ISO_IR 192"
    return evidence

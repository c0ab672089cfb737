"""What was found, as a DICOM structured report (TID 1500) that other systems read.

Each lesion has a measurement group an exam, with one tracking UID through all of them: the box as
a closed POLYLINE on that very image, and its longest side and area; where the lesion was not found,
the image alone. Codes are those of the standard where it has some: Certainty of Finding (111012,
DCM) is the probability that the box is right. Those of scheme 99MAMMOTRACKER are ours:

=============== ====================================================================
``STATUS``      how far the answer can be trusted: ``FOUND``, ``UNCERTAIN``,
                ``NOT_FOUND``, ``REGISTRATION`` (the box of the registration was kept)
``DECISION``    what the user said of it: ``MARKED`` it there, ``ACCEPTED``, ``CORRECTED``
                or ``DRAWN`` the box, ``CONFIRMED`` (one of these three), ``REJECTED`` the
                box, or that it is ``ABSENT``; no such item where the user said nothing
``PRESENCE``    probability in per cent that the lesion is on the exam at all
``BOX``         method of the longest side: that of the sides of the bounding box
``ELLIPSE``     method of the area: that of the ellipse in the bounding box
=============== ====================================================================
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from ..box import Box
from ..errors import MammoTrackerError
from ..history import ExamResult, LesionHistory
from ..mammogram import Header, Mammogram
from ..reading.dicom import opened
from ..track import Status, Track

if TYPE_CHECKING:
    import pydicom

_SCHEME = "99MAMMOTRACKER"
_STATUSES = {
    Status.FOUND: ("FOUND", "Found"),
    Status.UNCERTAIN: ("UNCERTAIN", "Uncertain"),
    Status.NOT_FOUND: ("NOT_FOUND", "Not found"),
    Status.REGISTRATION: ("REGISTRATION", "Kept from registration"),
}
DECISIONS = {
    "marked": "Marked by the user",
    "accepted": "Accepted by the user",
    "corrected": "Corrected by the user",
    "drawn": "Drawn by the user",
    "confirmed": "Accepted, corrected or drawn by the user",
    "rejected": "Rejected by the user",
    "absent": "Not there, says the user",
}
"""What the user may have said of a lesion on an exam."""

_FINDINGS = {
    "mass": ("4147007", "SCT", "Mass"),
    "calcification": ("129769006", "SCT", "Calcification Cluster"),
    "": ("52988006", "SCT", "Lesion"),
}
_SIDES = {"L": ("7771000", "SCT", "Left"), "R": ("24028007", "SCT", "Right")}
_MAMMOGRAMS = "1.2.840.10008.5.1.4.1.1.1.2"
_NEEDED = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
# Of type 2: they may be empty, but not missing.
_MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_DESCRIPTION = "MammoTracker: lesions, for research only"


def pair_history(track: Track, decision: str = "") -> LesionHistory:
    """Return a track of a pair as a history of two exams, marked on the prior.

    Parameters
    ----------
    track
        From `LesionTracker.track`, with the user's box if the user drew or corrected one.
    decision
        One of `DECISIONS`, if the user decided.
    """
    box = track.prior_box
    on_prior = Track(box, box, 1.0, Status.FOUND, "", (), box)
    decided = decision not in ("", "rejected")
    return LesionHistory(
        0,
        (
            ExamResult(on_prior, (), True, 1.0),
            ExamResult(track, () if decided else (0,), decided, track.score),
        ),
    )


def write_sr(
    path: Path,
    files: Sequence[Path | None],
    exams: Sequence[Header | Mammogram],
    histories: Sequence[LesionHistory],
    trackings: Sequence[str | None] = (),
    lesion_types: Sequence[str] = (),
    decisions: Mapping[tuple[int, int], str] | None = None,
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
        By (lesion, exam), one of `DECISIONS`, where more is known than the history tells.

    Raises
    ------
    MammoTrackerError
        If highdicom is not installed, an exam's DICOM file is missing or lacks what a report
        needs, or the exams are not of one patient.
    """
    highdicom_sr = _highdicom()
    with ExitStack() as stack, _silent():
        headers = _headers(files, stack)
        _check_exams(headers)
        try:
            groups = [
                group
                for lesion, history in enumerate(histories)
                for group in _groups(
                    lesion,
                    history,
                    headers,
                    exams,
                    _tracking_uid(trackings[lesion] if lesion < len(trackings) else None),
                    lesion_types[lesion] if lesion < len(lesion_types) else "",
                    decisions or {},
                )
            ]
            report = _report(highdicom_sr, headers, groups)
            report.save_as(path, enforce_file_format=True)
        except (MammoTrackerError, OSError):
            raise
        except Exception as error:  # of which the text may repeat a header
            raise MammoTrackerError(
                "The report cannot be written, as if a header of the exams had something that "
                f"DICOM does not allow ({type(error).__name__}): export the exams again."
            ) from None


def _highdicom():
    try:
        from highdicom import sr
    except ImportError:
        raise MammoTrackerError(
            "DICOM SR needs the Python package highdicom: pip install 'mammotracker[sr]'."
        ) from None
    return sr


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


def _tracking_uid(tracking: str | None) -> str:
    from pydicom.uid import UID, generate_uid

    return tracking if tracking and UID(tracking).is_valid else generate_uid()


def _report(highdicom_sr, headers: Sequence[pydicom.Dataset], groups: list) -> pydicom.Dataset:
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
        procedure_reported=_concept("71651007", "SCT", "Mammography"),
        imaging_measurements=groups,
        referenced_images=evidence[::-1] if has_library else None,
    )
    scheme = CodingSchemeIdentificationItem(
        designator=_SCHEME,
        name="Codes of MammoTracker",
        responsible_organization="MammoTracker",
    )
    return highdicom_sr.ComprehensiveSR(
        evidence=evidence,
        content=content,
        series_instance_uid=generate_uid(),
        series_number=1000,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="MammoTracker",
        manufacturer_model_name="MammoTracker",
        software_versions=__version__,
        device_serial_number="1",
        series_description=_DESCRIPTION,
        coding_schemes=[scheme],
        is_complete=True,
    )


def _evidence(header: pydicom.Dataset) -> pydicom.Dataset:
    """Return an exam's header with what a report must have, though it may be empty."""
    from pydicom import Dataset
    from pydicom.valuerep import DA, TM

    evidence = Dataset()
    evidence.update(header)
    for keyword in _MAY_BE_EMPTY:
        if keyword not in evidence:
            setattr(evidence, keyword, None if keyword.endswith(("Date", "Time")) else "")
    for keyword in ("PatientBirthDate", "StudyDate", "StudyTime"):
        try:
            (TM if keyword.endswith("Time") else DA)(evidence.get(keyword))
        except Exception:  # the reader's words repeat the value
            setattr(evidence, keyword, None)
    if str(evidence.get("PatientSex") or "") not in ("M", "F", "O", ""):
        evidence.PatientSex = ""
    return evidence


def _groups(
    lesion: int,
    history: LesionHistory,
    headers: Sequence[pydicom.Dataset],
    exams: Sequence[Header | Mammogram],
    tracking_uid: str,
    lesion_type: str,
    decisions: Mapping[tuple[int, int], str],
) -> Iterator:
    """Yield a lesion's measurement group on each exam."""
    from highdicom import sr
    from pydicom.sr.codedict import codes

    for number, (result, header, exam) in enumerate(
        zip(history.results, headers, exams, strict=True)
    ):
        track = result.track
        decision = decisions.get((lesion, number)) or _decision(history, number)
        evaluations = [("STATUS", "Status of the tracking", *_STATUSES[track.status])]
        if decision:
            meaning = DECISIONS[decision]
            evaluations.append(("DECISION", "Decision of the user", decision.upper(), meaning))
        common = {
            "tracking_identifier": sr.TrackingIdentifier(tracking_uid, f"Lesion {lesion + 1}"),
            "finding_type": _concept(*_FINDINGS[lesion_type]),
            "finding_sites": [_site(exam)],
            "time_point_context": sr.TimePointContext(
                time_point=str(number + 1), time_point_order=number + 1
            ),
            "qualitative_evaluations": [
                sr.QualitativeEvaluation(_own(*pair[:2]), _own(*pair[2:])) for pair in evaluations
            ],
        }
        measurements = []
        if not result.by_user:
            common["algorithm_id"] = sr.AlgorithmIdentification("MammoTracker", __version__)
            measurements += [
                _percent(codes.DCM.CertaintyOfFinding, track.score),
                _percent(_own("PRESENCE", "Probability that it is on the exam"), result.there),
            ]
        region = None if track.status is Status.NOT_FOUND else _region(track.box, header)
        if region is None:
            yield sr.MeasurementsAndQualitativeEvaluations(
                measurements=measurements,
                source_images=[sr.SourceImageForMeasurementGroup.from_source_image(header)],
                **common,
            )
            continue
        yield sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            referenced_region=region,
            geometric_purpose=codes.SCT.BoundedBy,
            measurements=[*_sizes(track.box, exam), *measurements],
            **common,
        )


def _decision(history: LesionHistory, exam: int) -> str:
    if exam == history.marked:
        return "marked"
    result = history.results[exam]
    if not result.by_user:
        return ""
    return "absent" if result.track.status is Status.NOT_FOUND else "confirmed"


def _region(box: Box, header: pydicom.Dataset):
    """Return the box as a closed polyline, cut where it leaves the image (PS3.3 C.18.6.1.1)."""
    import numpy as np
    from highdicom import sr

    x0, x1 = (min(max(x, 0.0), float(header.Columns)) for x in (box.x0, box.x1))
    y0, y1 = (min(max(y, 0.0), float(header.Rows)) for y in (box.y0, box.y1))
    if not (x0 < x1 and y0 < y1):
        return None
    corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)])
    image = sr.SourceImageForRegion.from_source_image(header)
    return sr.ImageRegion(sr.GraphicTypeValues.POLYLINE, corners, image)


def _sizes(box: Box, exam: Header | Mammogram) -> list:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    area = math.pi / 4 * box.area * exam.spacing[0] * exam.spacing[1]
    return [
        sr.Measurement(
            _concept("410668003", "SCT", "Length"),
            round(box.longest_side(exam.spacing), 2),
            codes.UCUM.Millimeter,
            method=_own("BOX", "Longest side of the bounding box"),
        ),
        sr.Measurement(
            _concept("42798000", "SCT", "Area"),
            round(area, 2),
            codes.UCUM.SquareMillimeter,
            method=_own("ELLIPSE", "Ellipse in the bounding box"),
        ),
    ]


def _percent(name, share: float):
    from highdicom import sr

    return sr.Measurement(name, round(100 * share, 1), _concept("%", "UCUM", "Percent"))


def _site(exam: Header | Mammogram):
    from highdicom import sr

    side = _SIDES.get(exam.laterality)
    return sr.FindingSite(_concept("76752008", "SCT", "Breast"), _concept(*side) if side else None)


def _concept(value: str, scheme: str, meaning: str):
    from highdicom import sr

    return sr.CodedConcept(value, scheme, meaning)


def _own(value: str, meaning: str):
    return _concept(value, _SCHEME, meaning)

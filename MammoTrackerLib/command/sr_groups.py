"""A lesion's measurement groups in a DICOM structured report, and the codes in them.

Each lesion has a measurement group an exam, with one tracking UID through all of them: the box as
a closed POLYLINE on that very image, and its longest side and area; where the lesion was not found,
is not there, or its box was rejected, the image alone. What nobody looked for has no probability.
A box that was kept from the registration has no sizes, nor has one that was put around a point, or
found from that. Codes are those of the standard where it has some: Certainty of Finding (111012,
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

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from .. import __version__
from ..box import Box
from ..growth import made_up_sizes
from ..history import LesionHistory
from ..mammogram import Header, Mammogram
from ..reading.lesions import Lesion
from ..reading.sr_content import SCHEME
from ..track import Status

if TYPE_CHECKING:
    import pydicom

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
WITHOUT_BOX = ("rejected", "absent")

_FINDINGS = {
    "mass": ("4147007", "SCT", "Mass"),
    "calcification": ("129769006", "SCT", "Calcification Cluster"),
    "": ("52988006", "SCT", "Lesion"),
}
_SIDES = {"L": ("7771000", "SCT", "Left"), "R": ("24028007", "SCT", "Right")}


def decisions_on(marks: Iterable[tuple[int, Lesion]]) -> dict[tuple[int, int], str]:
    """Return by (lesion, exam) what a report said of marks: of `DECISIONS`, "" if predicted."""
    return {
        (number, mark.exam): mark.decision.lower()
        for number, mark in marks
        if mark.is_predicted or mark.decision.lower() in DECISIONS
    }


def lesion_groups(
    lesion: int,
    history: LesionHistory,
    headers: Sequence[pydicom.Dataset],
    exams: Sequence[Header | Mammogram],
    tracking_uid: str,
    lesion_type: str,
    decisions: Mapping[tuple[int, int], str],
    pointed: Collection[int],
) -> Iterator:
    """Yield a lesion's measurement group on each exam."""
    from highdicom import sr
    from pydicom.sr.codedict import codes

    made_up = made_up_sizes(history, pointed)
    for number, (result, header, exam) in enumerate(
        zip(history.results, headers, exams, strict=True)
    ):
        track = result.track
        decision = decisions.get((lesion, number))
        if decision is None:
            decision = _decision(history, number)
        evaluations = [("STATUS", "Status of the tracking", *_STATUSES[track.status])]
        if decision:
            meaning = DECISIONS[decision]
            evaluations.append(("DECISION", "Decision of the user", decision.upper(), meaning))
        common = {
            "tracking_identifier": sr.TrackingIdentifier(tracking_uid, f"Lesion {lesion + 1}"),
            "finding_type": concept(*_FINDINGS[lesion_type]),
            "finding_sites": [_site(exam)],
            # Its order as a number would be taken for a measurement by some readers.
            "time_point_context": sr.TimePointContext(str(number + 1)),
            "qualitative_evaluations": [
                sr.QualitativeEvaluation(_own(*pair[:2]), _own(*pair[2:])) for pair in evaluations
            ],
        }
        measurements = []
        if not (result.by_user and decision):
            common["algorithm_id"] = sr.AlgorithmIdentification("MammoTracker", __version__)
        if not result.by_user and (track.candidates or track.score):
            measurements += [
                _percent(codes.DCM.CertaintyOfFinding, track.score),
                _percent(_own("PRESENCE", "Probability that it is on the exam"), result.there),
            ]
        is_made_up = history.marked in pointed or number in made_up
        has_size = not is_made_up and track.status is not Status.REGISTRATION
        is_there = track.status is not Status.NOT_FOUND and decision not in WITHOUT_BOX
        region = _region(track.box, header) if is_there else None
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
            measurements=[*(_sizes(track.box, exam) if has_size else []), *measurements],
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
    """Return the box as a closed polyline, cut where it leaves the image (PS3.3 C.18.6)."""
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
            concept("410668003", "SCT", "Length"),
            round(box.longest_side(exam.spacing), 2),
            codes.UCUM.Millimeter,
            method=_own("BOX", "Longest side of the bounding box"),
        ),
        sr.Measurement(
            concept("42798000", "SCT", "Area"),
            round(area, 2),
            codes.UCUM.SquareMillimeter,
            method=_own("ELLIPSE", "Ellipse in the bounding box"),
        ),
    ]


def _percent(name, share: float):
    from highdicom import sr

    return sr.Measurement(name, round(100 * share, 1), concept("%", "UCUM", "Percent"))


def _site(exam: Header | Mammogram):
    from highdicom import sr

    side = _SIDES.get(exam.laterality)
    return sr.FindingSite(concept("76752008", "SCT", "Breast"), concept(*side) if side else None)


def concept(value: str, scheme: str, meaning: str):
    from highdicom import sr

    return sr.CodedConcept(value, scheme, meaning)


def _own(value: str, meaning: str):
    return concept(value, SCHEME, meaning)

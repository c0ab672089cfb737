"""Lesions that somebody else has marked: from DICOM SR, 3D Slicer's markups, and masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..box import Box
from ..errors import MammoTrackerError
from ..mammogram import Header, Mammogram
from ..pair import MAX_LESION_MM, MIN_LESION_MM, MIN_LESION_PX, image_key
from .files import first_bytes
from .geometry import Geometry
from .image import image_format
from .markups import read_markups
from .masks import read_mask
from .sr import is_report, read_report
from .sr_content import Mark, Report

POINT_MM = 10.0
"""Side of the box around a point: lesions that are found in screening are as long, about."""

LEFT_OUT = {
    "elsewhere": "on other images",
    "unknown": "on an image that the report does not name",
    "off": "outside of their image",
    "large": f"longer than {MAX_LESION_MM:g} mm, which no lesion is",
    "damaged": "without coordinates that an image has",
    "hidden": "not for presentation, by the program that made them",
    "rejected": "rejected by the user of MammoTracker, without another place",
    "no lesion": "no lesions, but the nipple, the breast's outline or the like",
    "three-dimensional": "three-dimensional, so on no image",
    "segmentation": "DICOM segmentations, to be given as a mask (NRRD)",
}


@dataclass(frozen=True)
class Lesion:
    """A lesion that was read.

    Attributes
    ----------
    box
        In pixels of its exam.
    exam
        Index of the exam on which it is marked.
    tracking
        The same for a lesion on all of its exams, and in reports on it that are written later:
        its Tracking Unique Identifier, where its file has one, or its Tracking Identifier. It
        may hold anything, so it is never shown.
    lesion_type
        "mass", "calcification", or "" where the file does not say.
    is_size_made_up
        Whether the file marks a point, so that the box is as large as `POINT_MM`.
    is_predicted
        Whether the file is of MammoTracker itself, which predicted the box, and no user said
        something of it. Whoever takes it for a lesion says so: `predicted_remarks`.
    decision
        As of a `Mark`.
    """

    box: Box
    exam: int = 0
    tracking: str | None = field(default=None, repr=False)
    lesion_type: str = ""
    is_size_made_up: bool = False
    is_predicted: bool = False
    decision: str = field(default="", repr=False)


@dataclass(frozen=True)
class LesionMarks:
    """All that a file says of one lesion.

    Attributes
    ----------
    first
        The mark from which the lesion is followed.
    others
        The user's marks on other exams, by their indices; None where it is not, says the user.
    """

    first: Lesion
    others: dict[int, Lesion | None] = field(default_factory=dict)

    @property
    def pointed(self) -> set[int]:
        """On which exams the user pointed at it alone."""
        said = [mark for mark in self.placed if not mark.is_predicted]
        return {mark.exam for mark in said if mark.is_size_made_up}

    @property
    def placed(self) -> list[Lesion]:
        """All marks that have a place."""
        return [self.first, *(mark for mark in self.others.values() if mark is not None)]


@dataclass(frozen=True)
class LesionFile:
    """What a file marks.

    Attributes
    ----------
    lesions
        In the file's order.
    remarks
        Sentences for the user on the rest, but for the absences.
    absences
        Where a user said that a lesion is not: the exam, None if it is another image, and what
        `Lesion.tracking` is of that lesion. Whoever does not use one says so: `absence_remarks`.
    rejections
        Where a user rejected a box, as for absences: it may be elsewhere on that exam.
    """

    lesions: tuple[Lesion, ...]
    remarks: tuple[str, ...]
    absences: tuple[tuple[int | None, str | None], ...] = field(default=(), repr=False)
    rejections: tuple[tuple[int | None, str | None], ...] = field(default=(), repr=False)

    def joined(self, preferred: int | None = None) -> tuple[list[LesionMarks], list[str]]:
        """Make one lesion of the marks on several exams that have one `Lesion.tracking`.

        It is followed from what has a size, of that from what the user has marked, of that from
        what comes first. What was only predicted is to be looked for again: it counts where a
        lesion has nothing else.

        Parameters
        ----------
        preferred
            Index of the exam from which a lesion is followed that is marked there.

        Returns
        -------
        (list of LesionMarks, list of str)
            The lesions, and sentences for the user on what is doubtful or was not used.
        """
        groups: dict[object, list[Lesion]] = {}
        for mark in self.lesions:
            groups.setdefault(mark.tracking or mark, []).append(mark)
        found: list[LesionMarks] = []
        known: dict[str | None, LesionMarks] = {}
        for marks in groups.values():
            said = [mark for mark in marks if not mark.is_predicted]
            first, *further = sorted(
                said or marks,
                key=lambda mark: (
                    mark.exam != preferred,
                    mark.is_size_made_up,
                    mark.decision not in ("", "MARKED"),
                ),
            )
            own = known[first.tracking] = LesionMarks(first)
            found.append(own)
            for mark in further if said else ():
                if mark.exam in (own.first.exam, *own.others):
                    found.append(LesionMarks(mark))
                else:
                    own.others[mark.exam] = mark
        unused = 0
        for exam, tracking in self.absences:
            own = known.get(tracking) if tracking else None
            if own is None or exam in (None, own.first.exam, *own.others):
                unused += 1
            else:
                own.others[exam] = None
        predicted = predicted_remarks(marks.first for marks in found)
        return found, [*predicted, *absence_remarks(unused)]


def absence_remarks(count: int) -> list[str]:
    """Return the sentences for the user on so many absences that are not used."""
    if not count:
        return []
    groups = "1 group of the report says" if count == 1 else f"{count} groups of the report say"
    return [f"{groups} that the lesion is not there, which was not used."]


def predicted_remarks(lesions: Iterable[Lesion]) -> list[str]:
    """Return the sentences for the user on lesions that count as marked, but were predicted."""
    count = sum(lesion.is_predicted for lesion in lesions)
    if not count:
        return []
    boxes = "1 box was" if count == 1 else f"{count} boxes were"
    return [f"Of what counts as marked, {boxes} predicted by MammoTracker, confirmed by nobody."]


def read_lesions(
    path: str | Path,
    exams: Sequence[Header | Mammogram],
    marked: int = 0,
    geometry: Geometry | None = None,
) -> LesionFile:
    """Read lesions from a DICOM SR, a .mrk.json file of 3D Slicer, or a mask.

    Parameters
    ----------
    path
        A structured report of any origin (TID 1500, Mammography CAD, ...), whose marks are matched
        with the exams by SOP Instance UID; or an .mrk.json file or a mask (PNG, TIFF, NRRD, NIfTI,
        MHA, JPEG, DICOM) of ``exams[marked]``.
    exams
        On which lesions may be marked.
    marked
        Index of the exam that a mask or .mrk.json file is of.
    geometry
        Of the file of ``exams[marked]``; needed for an .mrk.json file.

    Returns
    -------
    LesionFile
        At least one lesion; what marks none, or is on no exam, is counted in the remarks.

    Raises
    ------
    MammoTrackerError
        If the file cannot be read, or marks no lesion on an exam.
    """
    path = Path(path)
    head = first_bytes(path)
    if path.name.lower().endswith(".json"):
        if geometry is None:
            raise MammoTrackerError(f"{path} can be read only with the file of the image it is of.")
        bounds = read_markups(path, geometry)
        _check_unit(path, bounds, geometry, exams[marked])
        marks = [(Mark(one), marked) for one in bounds]
        return _lesion_file(path, exams, marks, Counter(), [])
    is_dicom = head[128:132] == b"DICM"
    is_image = not is_dicom and image_format(path, head) is not None
    try:
        is_sr = not is_image and is_report(path)
    except MammoTrackerError:
        if is_dicom:
            raise
        is_sr = False  # a text, say: it is not to be an image, as the reader of DICOM says
    if is_sr:
        return _of_report(path, exams, read_report(path))
    if not is_image and not (is_dicom and _is_like_a_mammogram(path)):
        raise MammoTrackerError(
            f"{path} holds no lesions: give a DICOM structured report (SR), an .mrk.json file of "
            "3D Slicer, or a mask (PNG, JPEG, NRRD, NIfTI, DICOM)."
        )
    size = exams[marked].size
    if size is None:
        raise MammoTrackerError(f"The size in pixels of the image of {path} is unknown.")
    boxes, remarks = read_mask(path, size)
    remarks += _turned(path, exams[marked], geometry)
    marks = [(Mark(bounds), marked) for bounds in boxes]
    return _lesion_file(path, exams, marks, Counter(), remarks)


def _is_like_a_mammogram(path: Path) -> bool:
    """Whether a DICOM file is a mammogram or a mask, which CBIS-DDSM stores as one."""
    try:
        Header.read(path)
    except MammoTrackerError:
        return False
    return True


def _of_report(path: Path, exams: Sequence[Header | Mammogram], report: Report) -> LesionFile:
    sources = {uid: index for index, exam in enumerate(exams) for uid in exam.instance_uids[1:]}
    own = {exam.instance_uids[0]: i for i, exam in enumerate(exams) if exam.instance_uids}
    if not own:
        raise MammoTrackerError(
            f"Whether the marks in {path} are on the exam cannot be told, since the exam has no "
            "SOPInstanceUID: give the exam's DICOM file."
        )
    if len({image_key(exam) for exam in exams} - {None}) > len(own):
        raise MammoTrackerError(
            f"Which exam the marks in {path} are on cannot be told, since two exams have one "
            "SOPInstanceUID: mark the lesions yourself."
        )
    left_out = Counter(report.left_out)
    places = sources | own
    absences, rejections = (
        tuple((places.get(one.instance_uid), one.tracking or None) for one in found)
        for found in (report.absences, report.rejections)
    )
    marks, is_on_source = [], False
    for mark in report.marks:
        exam = places.get(mark.instance_uid)
        if exam is None:
            left_out["elsewhere" if mark.instance_uid else "unknown"] += 1
            continue
        is_on_source |= mark.instance_uid not in own
        marks.append((mark, exam))
    remarks = []
    if is_on_source:
        remarks.append(
            "Marks are on an image that an exam was made from: they were taken over, pixel by "
            "pixel."
        )
    file = _lesion_file(path, exams, marks, left_out, remarks, absences)
    return replace(file, rejections=rejections)


def _lesion_file(
    path: Path,
    exams: Sequence[Header | Mammogram],
    marks: Sequence[tuple[Mark, int]],
    left_out: Counter[str],
    remarks: list[str],
    absences: tuple[tuple[int | None, str | None], ...] = (),
) -> LesionFile:
    """Make lesions of marks on exams that can be some, and count the rest."""
    lesions = []
    for mark, exam in marks:
        spacing, size = exams[exam].spacing, exams[exam].size
        if spacing is None or size is None:
            raise MammoTrackerError("The exam's pixel spacing is unknown: give it in mm.")
        placed = mark_box(mark.bounds, size, spacing)
        if isinstance(placed, str):
            left_out[placed] += 1
            continue
        box, is_point = placed
        tracking = mark.tracking or None
        known = tracking, mark.lesion_type, is_point, mark.is_predicted, mark.decision
        lesions.append(Lesion(box, exam, *known))
    points = sum(lesion.is_size_made_up for lesion in lesions)
    if points:
        remarks.append(
            f"Points, or smaller than {MIN_LESION_MM:g} mm, so that a box of {POINT_MM:g} mm was "
            f"put around them: {points} of the marks."
        )
    if left_out.total():
        counts = [f"{left_out[kind]} {why}" for kind, why in LEFT_OUT.items() if left_out[kind]]
        remarks.append(f"Of the marks, these were left out: {'; '.join(counts)}.")
    if not lesions:
        exam = "the exam" if len(exams) == 1 else "the exams"
        remarks += absence_remarks(len(absences))
        raise MammoTrackerError(" ".join([f"{path} marks no lesion on {exam}.", *remarks]))
    return LesionFile(tuple(lesions), tuple(remarks), absences)


def mark_box(
    bounds: Sequence[float], size: tuple[int, int], spacing: tuple[float, float]
) -> tuple[Box, bool] | str:
    """Make the box of a mark that can be a lesion; what is too small counts as a point.

    Parameters
    ----------
    bounds
        x0, y0, x1, y1 in pixels; a point has no width and no height.
    size, spacing
        Of its image: (columns, rows), and (x, y) in mm.

    Returns
    -------
    tuple or str
        The box, and whether it was put around a point; or why it is none: "off" its image, or too
        "large".
    """
    x0, y0, x1, y1 = bounds
    x, y, sides = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0, y1 - y0)
    longest = max(sides[0] * spacing[0], sides[1] * spacing[1])
    if not (0 <= x <= size[0] and 0 <= y <= size[1]):
        return "off"
    if longest > MAX_LESION_MM:
        return "large"
    is_point = longest < MIN_LESION_MM or max(sides) < MIN_LESION_PX
    if is_point:
        sides = POINT_MM / spacing[0], POINT_MM / spacing[1]
    return Box.from_center(x, y, *(max(side, MIN_LESION_PX) for side in sides)), is_point


def _check_unit(path: Path, bounds: Sequence, geometry: Geometry, exam: Header | Mammogram) -> None:
    """Refuse marks that are all off the image, but not if its pixels had 1 mm: drawn as if so."""
    if exam.size is None or exam.spacing is None:
        return
    if any(mark_box(one, exam.size, exam.spacing) != "off" for one in bounds):
        return
    at_one_mm = read_markups(path, geometry.at_one_mm())
    if any(mark_box(one, exam.size, (1, 1)) != "off" for one in at_one_mm):
        raise MammoTrackerError(
            f"{path} marks places outside of its image, but on it if its pixels had 1 mm, which 3D "
            "Slicer assumes of a file that does not say it: enter the true spacing in Slicer's "
            "module Volumes, and mark the lesions again."
        )


def _turned(path: Path, exam: Header | Mammogram, geometry: Geometry | None) -> list[str]:
    """Remark where the mask's header puts its rows or columns elsewhere than the image's does."""
    if geometry is None or path.suffix.lower() in (".png", ".tif", ".tiff"):
        return []
    mask = Geometry.of(path, exam)
    if all(
        sum(a * b for a, b in zip(mine, other, strict=True)) > 0
        for mine, other in ((mask.x_axis, geometry.x_axis), (mask.y_axis, geometry.y_axis))
    ):
        return []
    return [
        "By its header, the mask lies otherwise than its image (mirrored or turned): it was taken "
        "as it is stored, so check the boxes."
    ]

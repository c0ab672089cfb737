"""Lesions of files as ROIs in the scene, and which reports in Slicer's DICOM database mark any."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import slicer

from ..errors import MammoTrackerError
from ..reading.lesions import Lesion, LesionMarks, read_lesions
from ..reading.sr import read_report
from .history import set_outdated
from .lesion import claim_lesion, keep_as_point, keep_as_predicted
from .nodes import ROI, attribute, exam_of, nodes_with, placing_kept, set_attribute
from .prediction import review_of, roi_on, set_review, show_decision
from .raster import Raster
from .rois import box_if_placed, is_moved, place_roi
from .volumes import header_of, source_file

# Of one woman; each is read, to know which images it marks.
_MOST_REPORTS = 100


def load_lesions(path: Path, volumes: Sequence, marked: int = 0) -> tuple[list, tuple[str, ...]]:
    """Add an ROI for each lesion that a file marks on these volumes.

    What it says of the lesion on further volumes becomes the user's decision there. A lesion that
    is in the scene already, by its tracking or else by its box, gets those alone that it lacks.

    Parameters
    ----------
    path
        A DICOM SR that marks some of the volumes, or an .mrk.json file or a mask of
        ``volumes[marked]``.
    volumes
        The exams.
    marked
        Index of the volume that .mrk.json files and masks are of and, of two volumes, on which
        lesions are marked.

    Returns
    -------
    (list, tuple of str)
        The ROIs that were added, and sentences for the user on what was left out or made up.

    Raises
    ------
    MammoTrackerError
        If the file cannot be read, or marks no lesion where it can be one.
    """
    headers = [header_of(volume) for volume in volumes]
    file = read_lesions(path, headers, marked, Raster(volumes[marked]).geometry())
    is_pair = len(volumes) == 2
    found, remarks = file.joined(marked if is_pair else None)
    before = nodes_with(volumes[0].GetScene(), ROI, "lesion")
    rois, known, hidden, elsewhere = [], 0, 0, 0
    for number, marks in enumerate(found, 1):
        roi = next((one for one in before if _is_same(one, marks.first, volumes)), None)
        exam = exam_of(roi) if roi else volumes[marks.first.exam]
        if exam not in volumes:
            hidden += 1
            continue
        if is_pair and exam is not volumes[marked]:
            elsewhere += 1
            continue
        if roi:
            before.remove(roi)
            known += 1
        else:
            roi = _add(f"Lesion {number}", marks.first, exam)
            rois.append(roi)
        own = marks.first.tracking
        rejected = [exam for exam, lesion in file.rejections if own and lesion == own]
        if _decide(roi, marks, rejected, volumes) and roi not in rois:
            set_outdated(roi)
    predicted = sum(mark.is_predicted for mark in file.lesions)
    predicted -= sum(marks.first.is_predicted for marks in found)
    counts = {
        "Predicted by MammoTracker, so to be found anew by tracking: {} of the marks.": predicted,
        "There already, so that their boxes stay as they are: {} of the lesions.": known,
        "There already, but marked on an exam that is left out, or was deleted: {} of the "
        "lesions.": hidden,
        "Marked on the other of the two exams alone, which is to be selected as the prior for "
        "them: {} of the lesions.": elsewhere,
    }
    remarks = [*file.remarks, *remarks, *(text.format(n) for text, n in counts.items() if n)]
    if not rois and not known and not hidden:
        raise MammoTrackerError(" ".join([f"{path} marks no lesion on the prior.", *remarks]))
    return rois, tuple(remarks)


def _is_same(roi, lesion: Lesion, volumes: Sequence) -> bool:
    """Whether an ROI is the lesion that a file marks."""
    if lesion.tracking:
        return tracking_of(roi) == lesion.tracking
    return exam_of(roi) is volumes[lesion.exam] and not is_moved(box_if_placed(roi), lesion.box)


def _add(name: str, lesion: Lesion, volume):
    with placing_kept(volume.GetScene()):
        roi = volume.GetScene().AddNewNodeByClass(ROI, name)
    keep_tracking(roi, lesion.tracking or "")
    place_roi(roi, volume, lesion.box)
    claim_lesion(roi, volume, lesion.lesion_type)
    if lesion.is_size_made_up:
        keep_as_point(roi)
    if lesion.is_predicted:
        keep_as_predicted(roi)
    return roi


def _decide(lesion, marks: LesionMarks, rejected: Sequence, volumes: Sequence) -> bool:
    """Show what a file says of a lesion where the user has said nothing; whether it does.

    `rejected` are the exams on which it says that a box was rejected, by their indices.
    """
    said = {marks.first.exam: marks.first, **marks.others}
    has_decided = False
    for number, mark in said.items():
        known = roi_on(lesion, volumes[number])
        if known is lesion or (mark and mark.is_predicted) or (known and review_of(known)):
            continue
        review = "not there"
        if mark:
            review = "corrected" if mark.decision in ("CORRECTED", "DRAWN") else "accepted"
        known = show_decision(lesion, volumes[number], mark and mark.box, review)
        if mark and mark.is_size_made_up:
            keep_as_point(known)
        has_decided = True
    for number in rejected:
        known = None if number is None else roi_on(lesion, volumes[number])
        if number is None or known is lesion or (known and review_of(known)):
            continue
        if known:
            set_review(known, "rejected")
        else:
            show_decision(lesion, volumes[number], None, "rejected")
        has_decided = True
    return has_decided


def tracking_of(roi) -> str | None:
    """Return the identity that a lesion's file gave it, which a report on it keeps; no text."""
    return attribute(roi, "Tracking") or None


def keep_tracking(roi, identity: str) -> None:
    """Give a lesion the identity that it has in all reports on it."""
    set_attribute(roi, "Tracking", identity)


def reports_on(volumes: Sequence) -> list[Path]:
    """Return the structured reports in Slicer's DICOM database that mark one of these volumes.

    Those of the women whose exams the volumes are, at most 100 of each. What cannot be read is
    none.
    """
    database = getattr(slicer, "dicomDatabase", None)
    wanted = set()
    for volume in volumes:
        with suppress(MammoTrackerError):  # it is no single slice, so no report marks it
            wanted.update(header_of(volume).instance_uids)
    if database is None or not wanted:
        return []
    files = [source_file(volume) for volume in volumes]
    patients = {_patient(database, file) for file in files if file} - {""}
    found = []
    for patient in sorted(patients):
        for path in _reports_of(database, patient)[:_MOST_REPORTS]:
            try:
                marks = read_report(path).marks
            except MammoTrackerError:
                continue
            if any(mark.instance_uid in wanted for mark in marks):
                found.append(path)
    return found


def _patient(database, file: Path) -> str:
    """Return the database's own number of the patient of a file; "" if it has no such file."""
    series = database.seriesForFile(str(file))
    study = database.studyForSeries(series) if series else ""
    return database.patientForStudy(study) if study else ""


def _reports_of(database, patient: str) -> list[Path]:
    return [
        Path(name)
        for study in database.studiesForPatient(patient)
        for series in database.seriesForStudy(study)
        if database.fieldForSeries("Modality", series) == "SR"
        for name in database.filesForSeries(series)
        if Path(name).is_file()
    ]

"""Lesions of files as ROIs in the scene, and which reports in Slicer's DICOM database mark any."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import slicer

from ..errors import MammoTrackerError
from ..reading.lesions import absence_remarks, predicted_remarks, read_lesions
from ..reading.sr import read_report
from .lesion import claim_lesion, keep_as_point
from .nodes import ROI, attribute, placing_kept, set_attribute
from .rois import place_roi
from .volumes import header_of, source_file

# Of one woman; each is read, to know which images it marks.
_MOST_REPORTS = 100


def load_lesions(path: Path, volumes: Sequence, marked: int = 0) -> tuple[list, tuple[str, ...]]:
    """Add an ROI for each lesion that a file marks on one of these volumes, as its lesion.

    Parameters
    ----------
    path
        A DICOM SR that marks some of the volumes, or a mask of ``volumes[marked]``. Slicer itself
        reads .mrk.json files.
    volumes
        The exams.
    marked
        Index of the volume that a mask is of.

    Returns
    -------
    (list, tuple of str)
        The ROIs, and sentences for the user on what was left out or made up.

    Raises
    ------
    MammoTrackerError
        If the file cannot be read, or marks no lesion on any of the volumes.
    """
    file = read_lesions(path, [header_of(volume) for volume in volumes], marked)
    rois = []
    for number, lesion in enumerate(file.lesions, 1):
        volume = volumes[lesion.exam]
        with placing_kept(volume.GetScene()):
            roi = volume.GetScene().AddNewNodeByClass(ROI, f"Lesion {number}")
        set_attribute(roi, "Tracking", lesion.tracking or "")
        place_roi(roi, volume, lesion.box)
        claim_lesion(roi, volume, lesion.lesion_type)
        if lesion.is_size_made_up:
            keep_as_point(roi)
        rois.append(roi)
    absences = absence_remarks(len(file.absences))
    return rois, (*file.remarks, *predicted_remarks(file.lesions), *absences)


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
    wanted = {uid for volume in volumes for uid in header_of(volume).instance_uids}
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

"""An archive of DICOM mammograms with everything in it that archives hold."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
from dicom_files import item, write_dicom
from pydicom import uid
from sr_files import group, image, own, report, scoord, tracking, write_report

PIXELS = np.arange(64 * 48, dtype=np.uint16).reshape(64, 48)
TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"


def uid_of(*parts: object) -> str:
    return uid.generate_uid(entropy_srcs=[*map(str, parts)])


class Archive:
    """Writes files into a folder; patients and exams by numbers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def image(
        self,
        name: str,
        patient: int = 1,
        year: int = 2010,
        side: str = "L",
        view: str = "CC",
        **attributes,
    ) -> str:
        """Write an image of 45 x 34 mm; returns its SOP Instance UID."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        known = {
            "SOPInstanceUID": uid_of(name),
            "PatientID": f"SECRET-{patient}",
            "StudyDate": f"{year}0229" if year % 4 == 0 else f"{year}0301",
            "ImageLaterality": side,
            "ViewPosition": view,
            "ImagerPixelSpacing": [0.7, 0.7],
            "PresentationIntentType": "FOR PRESENTATION",
            "PatientOrientation": ["A", "F"],
        }
        write_dicom(path, PIXELS, **(known | attributes))
        return known["SOPInstanceUID"] if "SOPInstanceUID" not in attributes else ""

    def exams(self, patient: int, *years: int, **attributes) -> list[str]:
        """Write an image a year; returns their SOP Instance UIDs."""
        side, view = attributes.get("side", "L"), attributes.get("view", "CC")
        return [
            self.image(f"{patient}/{year}{side}{view}.dcm", patient, year, **attributes)
            for year in years
        ]

    def report(self, name: str, *marks: tuple[str, tuple[float, ...] | None, str | None]) -> Path:
        """Write a report; a mark is an image's UID, a box, and a tracking UID or None.

        Without a box, the user says that the lesion is not there.
        """
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        groups = []
        for instance, box, of in marks:
            if box is None:
                absent = own("DECISION", "ABSENT"), image(instance, "CONTAINS", "source")
                groups.append(group(*tracking(of, None), *absent))
                continue
            x0, y0, x1, y1 = box
            outline = scoord("POLYLINE", [x0, y0, x1, y0, x1, y1, x0, y1, x0, y0], instance)
            groups.append(group(*tracking(of, None), outline))
        return write_report(path, report(*groups), SOPInstanceUID=uid_of(name))


def add_nuisance(archive: Archive) -> dict[str, int]:
    """Add what cannot be tracked, of patients 50 to 69; returns the counts by reason."""
    image, folder = archive.image, archive.folder
    special = item(CodeValue="399055006", CodingSchemeDesignator="SCT", CodeMeaning="Spot")
    rolled = item(CodeValue="399197002", CodingSchemeDesignator="SCT", CodeMeaning="Rolled")
    for year in (2010, 2012):
        image(f"n/spot{year}", 50, year, ViewModifierCodeSequence=special)
        image(f"n/mag{year}", 50, year, EstimatedRadiographicMagnificationFactor=1.8)
        image(f"n/implant{year}", 50, year, view="CCID")
        image(f"n/rolled{year}", 50, year, ViewModifierCodeSequence=rolled)
        image(f"n/stereo{year}", 50, year, ImageType=["DERIVED", "PRIMARY", "STEREO_SCOUT"])
        image(f"n/tomo{year}", 50, year, SOPClassUID=TOMOSYNTHESIS, NumberOfFrames=9)
        image(f"n/nobody{year}", 51, year, PatientID="")
        image(f"n/noside{year}", 52, year, ImageLaterality="B")
        image(f"n/noview{year}", 53, year, ViewPosition="")
        image(f"n/nodate{year}", 54, year, StudyDate="")
        image(f"n/nosize{year}", 55, year, ImagerPixelSpacing=None)
        image(f"n/ct{year}", 56, year, Modality="CT")
        # Two who have the same number in two hospitals.
        image(f"n/issuer{year}", 57, year, IssuerOfPatientID=f"hospital {year}")
        # Two days of one exam each; the second one a duplicate in another folder.
        image(f"n/good{year}", 58, year)
        image(f"n/processing{year}", 58, year, PresentationIntentType="FOR PROCESSING")
        image(f"n/repeated{year}", 58, year, AcquisitionTime="080000")
    image("n/single", 59)
    image("n/single other view", 59, view="MLO", year=2012)
    shutil.copy(folder / "n/good2010", folder / "n/a copy of good2010")
    (folder / "n/notes.txt").write_text("Doe^Jane")
    (folder / "n/empty.dcm").touch()
    whole = (folder / "n/good2010").read_bytes()
    (folder / "n/cut.dcm").write_bytes(whole[:200])
    (folder / "n/DICOMDIR").write_bytes(whole)
    (folder / "n/link").symlink_to(folder, target_is_directory=True)
    os.mkfifo(folder / "n/pipe")
    (folder / "n/two\nlines.dcm").write_bytes(whole)
    return {
        "spot view": 2,
        "magnified view": 2,
        "implant displaced view": 2,
        "rolled view": 2,
        "biopsy view": 2,
        "tomosynthesis": 2,
        "no PatientID": 2,
        "unknown side": 2,
        "unknown view": 2,
        "unknown date": 2,
        "unknown size or pixel spacing": 2,
        "no mammography": 3,
        "one exam only of that breast and view": 4,
        "for processing, where there is one for presentation": 2,
        "another image of that breast and view on one day": 2,
        "the same image again (SOPInstanceUID)": 1,
        "no DICOM file": 2,
        "cannot be read": 1,
        "link to a folder": 1,
        "no regular file": 1,
        "name that no table can hold": 1,
    }

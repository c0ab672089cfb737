"""The pair that ships with the extension, and exams that tests make of it."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

from MammoTrackerLib import Box, Mammogram
from MammoTrackerLib.command.simulate import write_dicom

SAMPLE = Path(__file__).parents[1] / "MammoTracker" / "Resources" / "SampleData"
SPACING_MM = 0.15
TRUTH = Box(*json.loads((SAMPLE / "truth.json").read_text())["current_box"])


def box_in(path: Path) -> Box:
    """Read an ROI file of an image that lies as the sample does: its first pixel at the origin."""
    (roi,) = json.loads(path.read_text())["markups"]
    assert roi["coordinateSystem"] == "LPS"
    x, y, _ = (value / SPACING_MM + 0.5 for value in roi["center"])
    return Box.from_center(x, y, *(side / SPACING_MM for side in roi["size"][:2]))


def write_exam(path: Path, name: str, year: int, laterality: str = "L") -> Path:
    """Write an exam of the sample, "Prior" or "Current", as a DICOM file of that year."""
    image = Mammogram.read(SAMPLE / f"MammoTracker{name}.nrrd")
    date = datetime.date(year, 3, 1)
    exam = Mammogram(image.pixels, image.spacing, laterality, "MLO", date, "TEST")
    write_dicom(exam, path, "A test")
    return path

"""What the Shell of the stand-in and that of the real Slicer have in common."""

from __future__ import annotations

import time

TURN = 0.005
"""Seconds for which an application that runs is left alone at a time."""


def process(application, seconds: float = 0.0) -> None:
    """Let the application run until nothing is waiting, then so long besides.

    What it is busy with does not count, so that a timer has fired also on a slow computer.
    """
    for _ in range(3):
        application.processEvents()
    for _ in range(round(seconds / TURN)):
        time.sleep(TURN)
        application.processEvents()


class Database:
    """``slicer.dicomDatabase``, in which nothing has to be imported."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}

    def fileForInstance(self, uid: str) -> str:
        return self.files.get(uid, "")

    # Each file is a series of its own; all are of one study of one patient.

    def seriesForFile(self, name: str) -> str:
        return name if name in self.files.values() else ""

    def studyForSeries(self, _series: str) -> str:
        return "study"

    def patientForStudy(self, _study: str) -> str:
        return "patient"

    def studiesForPatient(self, _patient: str) -> list[str]:
        return ["study"]

    def seriesForStudy(self, _study: str) -> list[str]:
        return list(self.files.values())

    def fieldForSeries(self, field: str, series: str) -> str:
        import pydicom

        return str(pydicom.dcmread(series, stop_before_pixels=True)[field].value)

    def filesForSeries(self, series: str) -> list[str]:
        return [series]


def on_chart(chart, x: float, y: float) -> tuple[int, int]:
    """Return where a place of a chart is on the screen, from the lower left."""
    import vtk

    place = []
    for number, value in ((vtk.vtkAxis.BOTTOM, x), (vtk.vtkAxis.LEFT, y)):
        axis = chart.GetAxis(number)
        first, last = axis.GetPoint1(), axis.GetPoint2()
        share = (value - axis.GetMinimum()) / (axis.GetMaximum() - axis.GetMinimum())
        index = 0 if number == vtk.vtkAxis.BOTTOM else 1
        place.append(round(first[index] + share * (last[index] - first[index])))
    return tuple(place)

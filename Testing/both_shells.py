"""What the Shell of the stand-in and that of the real Slicer have in common."""

from __future__ import annotations

import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
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


class BothShells:
    """The application, its window, and a user at it.

    Attributes
    ----------
    scene
        The vtkMRMLScene.
    messages
        Texts of the message boxes that were shown, details last; none of them waits.
    answers
        What the user answers to the next questions; True when there is none left.
    errors
        Exceptions that nobody caught, in what a signal or an event calls; reset does not forget
        them.
    """

    def __init__(self, scene) -> None:
        self.scene = scene
        self.messages: list[str] = []
        self.answers: list[bool] = []
        self.errors: list[BaseException] = []
        sys.excepthook = self._onError
        self._sized = set()

    def _take_over(self, slicer) -> None:
        """Answer message boxes, and give the database of DICOM files."""
        slicer.dicomDatabase = Database()
        for name in ("errorDisplay", "warningDisplay", "infoDisplay", "delayDisplay"):
            setattr(slicer.util, name, self._tell)
        for name in ("confirmOkCancelDisplay", "confirmYesNoDisplay"):
            setattr(slicer.util, name, self._ask)

    def _onError(self, kind, error, traceback) -> None:
        self.errors.append(error)
        sys.__excepthook__(kind, error, traceback)

    def _tell(self, text: str, *_arguments, **options) -> None:
        self.messages.append("\n".join([text, *filter(None, [options.get("detailedText")])]))

    def _ask(self, text: str, *arguments, **options) -> bool:
        self._tell(text, *arguments, **options)
        return self.answers.pop(0) if self.answers else True

    def addModulePath(self, name: str) -> None:
        """Let Python find a scripted module and its parts."""
        for folder in (str(ROOT), str(ROOT / name)):
            if folder not in sys.path:
                sys.path.insert(0, folder)

    def wait(self, condition, seconds: float = 20.0) -> None:
        """Let the application run until something is true."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "the application did not get there in time"
            self.process(0.02)
        self.process(0.05)

    def resizeView(self, name: str, width: int, height: int) -> None:
        """Give a view of the layout a size in pixels, which it keeps."""
        import slicer

        view = slicer.app.layoutManager().sliceWidget(name).sliceView()
        self._sized.add(view)
        view.setFixedSize(width, height)

    def _view_of(self, volume):
        import slicer

        for name in ("MammoTrackerPrior", "MammoTrackerCurrent"):
            if self.compositeNode(name).GetBackgroundVolumeID() == volume.GetID():
                return slicer.app.layoutManager().sliceWidget(name)
        raise AssertionError("the volume is in no view")

    def shownVolumes(self) -> list:
        """Return the volumes in the views, from the left."""
        names = ("MammoTrackerPrior", "MammoTrackerCurrent")
        return [
            self.scene.GetNodeByID(self.compositeNode(name).GetBackgroundVolumeID())
            for name in names
        ]

    def compositeNode(self, name: str):
        import slicer

        widget = slicer.app.layoutManager().sliceWidget(name)
        return widget.sliceLogic().GetSliceCompositeNode()

    def loadDicom(self, path: Path):
        """Load a DICOM file as the DICOM module does: its source is known by its instance UID."""
        import pydicom
        import slicer

        uid = str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)
        slicer.dicomDatabase.files[uid] = str(path)
        volume = slicer.util.loadVolume(str(path), properties={"singleFile": True})
        storage = volume.GetStorageNode()
        volume.SetAndObserveStorageNodeID(None)
        self.scene.RemoveNode(storage)
        volume.SetAttribute("DICOM.instanceUIDs", uid)
        return volume


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


def on_view(widget, volume, x: float, y: float, height: int) -> tuple[int, int]:
    """Return where a pixel of a volume is in its slice view, of this height, from the top left."""
    import vtk

    from MammoTrackerLib import scene

    world = scene.Raster(volume).to_world([(x, y, 0)])[0]
    to_screen = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(widget.mrmlSliceNode().GetXYToRAS(), to_screen)
    u, v = to_screen.MultiplyPoint((*world, 1))[:2]
    return round(u), round(height - 1 - v)


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

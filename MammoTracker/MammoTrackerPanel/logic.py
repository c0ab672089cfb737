"""The module's logic, for scripts, and its parameter node."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic


@parameterNodeWrapper
class MammoTrackerParameterNode:
    """What the panel remembers with the scene."""

    priorVolume: vtkMRMLScalarVolumeNode
    currentVolume: vtkMRMLScalarVolumeNode
    facing: bool = False
    showRegistration: bool = False
    showTimeLine: bool = True
    registrationOpacity: Annotated[float, WithinRange(0, 1)] = 0.5


class MammoTrackerLogic(ScriptedLoadableModuleLogic):
    """Tracks and exports without the panel: for scripts."""

    def getParameterNode(self) -> MammoTrackerParameterNode:
        return MammoTrackerParameterNode(super().getParameterNode())

    def track(self, priorVolume, currentVolume, priorROIs, force: bool = False) -> list:
        """Find lesions of the prior on the current mammogram, and wait for it.

        Parameters
        ----------
        priorVolume, currentVolume
            vtkMRMLScalarVolumeNode with one mammogram each.
        priorROIs
            vtkMRMLMarkupsROINode around the lesions, on the prior.
        force
            Track although laterality or view differ.

        Returns
        -------
        list of vtkMRMLMarkupsROINode
            One per lesion, in order, on the current mammogram; without a control point where
            the lesion was not found. `MammoTrackerLib.scene` reads their score and status. What
            the user has decided is left as it is.

        Raises
        ------
        MammoTrackerError
            If the pair or an ROI cannot be right, or tracking cannot run.
        """
        from MammoTrackerLib import scene

        from .waiting import trackAndWait

        boxes = [scene.lesion_box(roi, priorVolume) for roi in priorROIs]
        prior, current = scene.mammogram_of(priorVolume), scene.mammogram_of(currentVolume)
        tracks, grid = trackAndWait(prior, current, boxes, force)
        for roi in priorROIs:
            self._claim(roi, priorVolume)
        scene.show_registration(priorVolume, currentVolume, grid)
        predictions = [
            scene.show_track(roi, currentVolume, track)
            for roi, track in zip(priorROIs, tracks, strict=True)
        ]
        scene.update_table(priorVolume, currentVolume)
        return predictions

    def follow(self, volumes, lesionROI, markedVolume=None, force: bool = False) -> list:
        """Find a lesion on all exams, before and after the one it is marked on, and wait for it.

        Parameters
        ----------
        volumes
            2 to 30 vtkMRMLScalarVolumeNode of one breast in one view; those that have dates are
            followed in the order of these.
        lesionROI
            vtkMRMLMarkupsROINode around the lesion, or a list of several.
        markedVolume
            On which it is marked. If none is given: the one of which it is a lesion in the scene;
            of none, the last of the volumes.
        force
            Follow although laterality or view differ.

        Returns
        -------
        list of vtkMRMLMarkupsROINode
            As `track`, one per volume, in the order given, on the marked one the lesion itself; of
            several lesions, such a list each.

        Raises
        ------
        MammoTrackerError
            If the exams or an ROI cannot be right, or tracking cannot run.
        """
        from MammoTrackerLib import MammoTrackerError, scene

        from .waiting import followAndWait

        isOne = not isinstance(lesionROI, list | tuple)
        given, rois = list(volumes), [lesionROI] if isOne else list(lesionROI)
        volumes = scene.by_date(given)
        for roi in rois:
            exam = markedVolume or scene.exam_of(roi) or given[-1]
            if exam not in given:
                raise MammoTrackerError(
                    f"The ROI {roi.GetName()} is marked on another volume than these: add that one."
                )
            scene.box_of(roi, exam)
            self._claim(roi, exam)
        lesions = [scene.marked_lesion(roi, volumes) for roi in rois]
        readers = [partial(scene.mammogram_of, volume) for volume in volumes]
        for roi, history in zip(rois, followAndWait(readers, lesions, force), strict=True):
            scene.show_history(roi, volumes, history)
        scene.update_series_table(volumes, rois)
        found = [[scene.roi_on(roi, exam) for exam in given] for roi in rois]
        return found[0] if isOne else found

    @staticmethod
    def _claim(roi, volume) -> None:
        from MammoTrackerLib import scene

        if roi not in scene.lesions(volume):
            scene.claim_lesion(roi, volume)

    def export(self, priorVolume, currentVolume, folder: Path) -> list[Path]:
        """Write the table (results.csv) and the ROIs (.mrk.json) of a pair into a folder.

        Raises
        ------
        MammoTrackerError
            If the folder cannot be written.
        """
        from MammoTrackerLib import scene

        return scene.export(priorVolume, currentVolume, Path(folder))

    def exportSeries(self, volumes, lesionROIs, folder: Path) -> list[Path]:
        """Write what `export` does, for lesions on all exams of a series, and pictures of them.

        These, strip.png and growth.png, show the lesions that were followed through all exams; they
        need Pillow, which tracking needs, too.

        Raises
        ------
        MammoTrackerError
            If the folder cannot be written.
        """
        from MammoTrackerLib import scene

        volumes, folder = scene.by_date(volumes), Path(folder)
        written = scene.export_series(volumes, lesionROIs, folder)
        return written + _drawHistories(volumes, lesionROIs, folder)

    def exportReport(self, volumes, lesionROIs, path: Path) -> int:
        """Write lesions with their answers and decisions as one DICOM structured report.

        It needs the Python package highdicom, and the DICOM file of each exam. A lesion that was
        not looked for on each of them is left out. Patient and study are copied into the report.

        Returns
        -------
        int
            How many lesions are in it.

        Raises
        ------
        MammoTrackerError
            If it cannot be written, or has no lesion.
        """
        from MammoTrackerLib import MammoTrackerError, scene
        from MammoTrackerLib.command.sr import require_highdicom, write_sr

        require_highdicom()
        from pydicom.uid import generate_uid

        volumes = scene.by_date(volumes)
        histories, rois, decisions, points = [], [], {}, []
        for roi in lesionROIs:
            known = scene.known_of(roi, volumes)
            if known is None or len(known.numbers) != len(volumes):
                continue
            for number, volume in enumerate(volumes):
                decision = scene.decision_of(scene.roi_on(roi, volume))
                if decision:
                    absent = decision == "not there"
                    decisions[len(rois), number] = "absent" if absent else decision
            marked = "" if scene.is_only_predicted(roi) else "marked"
            decisions[len(rois), known.history.marked] = marked
            scene.keep_tracking(roi, scene.tracking_of(roi) or generate_uid())
            rois.append(roi)
            histories.append(known.measured)
            points.append(known.points)
        if not rois:
            raise MammoTrackerError("No lesion was tracked on all exams: track the lesions first.")
        try:
            write_sr(
                Path(path),
                [scene.source_file(volume) for volume in volumes],
                [scene.header_of(volume) for volume in volumes],
                histories,
                [scene.tracking_of(roi) for roi in rois],
                [scene.lesion_type(roi) for roi in rois],
                decisions,
                points,
            )
        except OSError as error:
            raise MammoTrackerError(f"Cannot write {path}: {error.strerror or error}.") from None
        return len(rois)


def _drawHistories(volumes: list, lesionROIs: list, folder: Path) -> list[Path]:
    """Draw the lesions on every exam, and how they grew, into PNGs; return these."""
    from MammoTrackerLib import scene

    try:
        from MammoTrackerLib.command.drawings.growth_plot import draw_growth
        from MammoTrackerLib.command.drawings.strip import Strip, draw_strip
    except ImportError:
        return []
    strips, marked = [], None
    for roi in lesionROIs:
        known = scene.known_of(roi, volumes)
        if known and known.growth and len(known.numbers) == len(volumes):
            strips.append(Strip(known.history, known.growth))
            marked = marked or scene.exam_of(roi)
    if not strips:
        return []
    years = scene.years_of(volumes) or [None] * len(volumes)
    turns = [scene.turn_to_lie_as(volume, marked) for volume in volumes]
    readers = [partial(scene.mammogram_of, volume) for volume in volumes]
    written = draw_strip(readers, strips, years, turns, folder / "strip.png")
    draw_growth(strips, years, folder / "growth.png")
    return [*written, folder / "growth.png"]

"""The panel's tracking: its buttons, its progress, and what becomes of each answer."""

from __future__ import annotations

from functools import partial

import slicer
from slicer.i18n import tr as _

from . import installer
from .tracker_process import TrackerProcess

BUTTONS_PX = 100
"""Of the panel, below the table of results: what there will be said, and the buttons."""


class Tracking:
    """Tracks lesions of the exams in another process, and puts the answers into the scene.

    Parameters
    ----------
    ui
        The panel's widgets.
    exams, lesions, results, setup
        Other parts of the panel: whose exams and lesions are tracked, what lists the answers,
        and what installs what is missing.
    onChanged
        Called without arguments when a run has begun or ended.
    onRegistered
        Called without arguments when the pair's registration is there.
    """

    def __init__(self, ui, exams, lesions, results, setup, onChanged, onRegistered) -> None:
        self._ui = ui
        self._exams, self._lesions, self._results, self._setup = exams, lesions, results, setup
        self._onChanged = onChanged
        self._onRegistered = onRegistered
        self._rois, self._volumes, self._refused = [], [], []
        self._remarks: list[str] = []
        self.process = TrackerProcess()
        self.process.onReady = lambda info: setup.showRuntime(info["runtime"], info["device"])
        self.process.onProgress = self._showProgress
        self.process.onAligned = partial(self._onExamsRegistered, 0, 1)
        self.process.onTrack = self._onTrack
        self.process.onRegistered = self._onExamsRegistered
        self.process.onHistory = self._onHistory
        self.process.onDone = self._onDone
        self.process.onFailed = self._end
        self.process.onLog = ui.logText.appendPlainText
        ui.trackAllButton.clicked.connect(lambda: self._track(lesions.rois))
        ui.trackSelectedButton.clicked.connect(lambda: self._track(lesions.selected()))
        ui.cancelButton.clicked.connect(self.onCancel)

    @property
    def running(self) -> bool:
        """Whether lesions are being tracked."""
        return self.process.running

    def _track(self, rois: list) -> None:
        """Track in the other process; install first what that needs, if the user agrees."""
        from MammoTrackerLib import MammoTrackerError

        if not rois:
            self._showProgress(0, _("Select a lesion in the list first."))
            return
        if installer.missing() and not self._setup.onInstall():
            return
        if installer.outOfDate():
            self._showProgress(0, installer.outOfDate())
            return
        try:
            with slicer.util.WaitCursor():
                self._showProgress(0, _("Starting ..."))
                if self._exams.isSeries:
                    self._follow(rois)
                else:
                    self._trackPair(rois)
        except MammoTrackerError as error:
            self._showProgress(0, str(error))
        self._onChanged()

    def _trackPair(self, rois: list) -> None:
        from MammoTrackerLib import scene
        from MammoTrackerLib.pair import pair_problems

        prior, current = self._exams.pair
        rois, boxes = self._usable(rois, lambda roi: scene.lesion_box(roi, prior))
        images = scene.mammogram_of(prior), scene.mammogram_of(current)
        self._rois, self._volumes = rois, [prior, current]
        problems = pair_problems(*images)
        # What only the images tell: the headers' problems are said already.
        self._remarks = [p.message for p in problems if p.kind in ("file", "image")]
        self.process.track(*images, boxes, force=self._exams.isForced)

    def _follow(self, rois: list) -> None:
        """Follow lesions through all exams, from where they are marked and from what is decided."""
        from MammoTrackerLib import scene

        volumes = self._exams.series
        rois, lesions = self._usable(rois, lambda roi: scene.marked_lesion(roi, volumes))
        self._rois, self._volumes, self._remarks = rois, volumes, []
        readers = [partial(self._read, *exam) for exam in enumerate(volumes, 1)]
        self.process.follow(readers, lesions, force=self._exams.isForced)

    def _read(self, number: int, volume):
        """Read a volume's mammogram, if it has not been deleted meanwhile."""
        from MammoTrackerLib import MammoTrackerError, scene
        from MammoTrackerLib.pair import of_exam

        if volume.GetScene() is None:
            raise MammoTrackerError(_("An exam was deleted: track again."))
        mammogram = scene.mammogram_of(volume)
        self._remarks += of_exam(number, mammogram.remarks)
        return mammogram

    def _usable(self, rois: list, read) -> tuple[list, list]:
        """Return the lesions that can be tracked, and what is read of them; the others wait.

        Raises
        ------
        MammoTrackerError
            If there is none.
        """
        from MammoTrackerLib import MammoTrackerError

        usable, found, self._refused = [], [], []
        for roi in rois:
            try:
                found.append(read(roi))
                usable.append(roi)
            except MammoTrackerError as error:
                self._refused.append(str(error))
        if not usable:
            raise MammoTrackerError("\n".join(dict.fromkeys(self._refused)))
        return usable, found

    def onCancel(self) -> None:
        """Stop tracking; results that are there stay."""
        self.process.cancel()
        self._end(_("Cancelled."))

    def clear(self) -> None:
        """Show no progress and no log."""
        self._showProgress(0, "")
        self._ui.logText.clear()

    def _showProgress(self, fraction: float, message: str) -> None:
        self._ui.progressBar.value = round(100 * fraction)
        self._ui.statusLabel.text = message

    def _endIfDeleted(self) -> bool:
        """End the run if the user has deleted one of its exams, and say whether it has ended."""
        if all(volume.GetScene() for volume in self._volumes):
            return False
        self.process.cancel()
        self._end(_("Cancelled, because an exam was deleted."))
        return True

    def _onTrack(self, index: int, track) -> None:
        lesion, current = self._rois[index], self._volumes[1]
        if not self._endIfDeleted() and lesion.GetScene():
            self._results.add(lesion, current, track)

    def _onExamsRegistered(self, source: int, target: int, grid, warnings: list[str]) -> None:
        from MammoTrackerLib import scene

        if not self._endIfDeleted():
            scene.show_registration(self._volumes[source], self._volumes[target], grid, warnings)
            if (self._remarks or warnings) and self._exams.series == self._volumes:
                self._exams.remark(self._remarks)
            self._onRegistered()

    def _onHistory(self, index: int, history) -> None:
        lesion = self._rois[index]
        if not self._endIfDeleted() and lesion.GetScene():
            self._results.addHistory(lesion, self._volumes, history)

    def _onDone(self) -> None:
        from MammoTrackerLib import scene

        if self._endIfDeleted():
            return
        rois = [roi for roi in self._rois if roi.GetScene()]
        count = len(rois)
        said = _("1 lesion tracked.") if count == 1 else _("{n} lesions tracked.").format(n=count)
        self._end("\n".join([said, *self._refused]), 1)
        beside = self._exams.pair[1]
        predictions = [scene.prediction_of(roi, beside) for roi in rois if beside]
        # The views stay where they are while the user is drawing in them.
        isDrawing = self._lesions.isPlacing or self._results.isPlacing
        if any(predictions) and not isDrawing:
            self._results.select(next(filter(None, predictions)))
            self._bringResultsIntoSight()

    def _bringResultsIntoSight(self) -> None:
        """Scroll the panel to the results and their buttons, which are below what was clicked."""
        area = self._ui.reasonLabel.parentWidget()
        while area is not None and not area.inherits("QScrollArea"):
            area = area.parentWidget()
        if area is not None:
            area.ensureWidgetVisible(self._ui.reasonLabel, 0, BUTTONS_PX)

    def _end(self, message: str, fraction: float = 0) -> None:
        self._showProgress(fraction, message)
        self._onChanged()

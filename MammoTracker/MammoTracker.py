"""The 3D Slicer module: shows where a lesion of a prior mammogram is on the current one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import qt
import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

SAMPLE_FILES = (
    "MammoTrackerPrior.nrrd",
    "MammoTrackerCurrent.nrrd",
    "MammoTrackerLesion.mrk.json",
)

FORCIBLE = {"laterality", "view"}
"""Kinds of problems of a pair that the user may know better."""


class MammoTracker(ScriptedLoadableModule):
    def __init__(self, parent) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "MammoTracker"
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        self.parent.dependencies = ["Markups", "Tables", "Volumes"]
        self.parent.contributors = ["MammoTracker developers"]
        self.parent.helpText = _(
            "<p>Finds a lesion that was marked on a prior mammogram again on the current one, "
            "says how sure it is, and how the lesion changed.</p>"
            "<p><b>For research only: not a medical device.</b> No decision about a patient may "
            "rest on it. Nothing is sent anywhere.</p>"
            "<p>Select both exams, draw a box around the lesion on the prior, press Track all. "
            'See the <a href="https://github.com/mammotracker/SlicerMammoTracker#tutorial">'
            "tutorial</a>.</p>"
        )
        self.parent.acknowledgementText = _(
            "The method is that of X. Liu, Y. Ren, M. D. Ryser, L. J. Grimm and J. Y. Lo, "
            "MammoTracker: Mask-Guided Lesion Tracking in Temporal Mammograms. This is an "
            "independent implementation with weights of its own."
        )
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData() -> None:
    """Add the pair that ships with the extension to the Sample Data module."""
    import SampleData

    resources = Path(__file__).parent / "Resources"
    files = [resources / "SampleData" / name for name in SAMPLE_FILES]
    SampleData.SampleDataLogic.registerCustomSampleDataCategory(
        "MammoTracker", title="MammoTracker"
    )
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="MammoTracker",
        sampleName="MammoTrackerPair",
        thumbnailFileName=str(resources / "Icons" / "MammoTrackerPair.png"),
        uris=[file.as_uri() for file in files],
        fileNames=list(SAMPLE_FILES),
        nodeNames=[name.split(".")[0] for name in SAMPLE_FILES],
        customDownloader=loadSamplePair,
    )


def loadSamplePair(source=None) -> list:
    """Load the prior, the current and the lesion that ship with the extension.

    Returns
    -------
    list of nodes
        Prior volume, current volume, the lesion's ROI.
    """
    from MammoTrackerLib import scene

    folder = Path(__file__).parent / "Resources" / "SampleData"
    paths = [str(folder / name) for name in SAMPLE_FILES]
    prior, current = slicer.util.loadVolume(paths[0]), slicer.util.loadVolume(paths[1])
    lesion = slicer.util.loadMarkups(paths[2])
    scene.claim_lesion(lesion, prior, "mass")
    return [prior, current, lesion]


@parameterNodeWrapper
class MammoTrackerParameterNode:
    """What the panel remembers with the scene."""

    priorVolume: vtkMRMLScalarVolumeNode
    currentVolume: vtkMRMLScalarVolumeNode
    facing: bool = False
    showRegistration: bool = False
    registrationOpacity: Annotated[float, WithinRange(0, 1)] = 0.5


class MammoTrackerWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._guiTag = None
        self._pair = None, None
        self._tracked = []
        self._lookPending = False

    def setup(self) -> None:
        """Build the panel; called when the user opens the module for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        from MammoTrackerPanel.installer import Installer
        from MammoTrackerPanel.lesion_list import LesionList
        from MammoTrackerPanel.result_list import ResultList
        from MammoTrackerPanel.side_by_side import SideBySide
        from MammoTrackerPanel.tracker_process import TrackerProcess

        panel = slicer.util.loadUI(self.resourcePath("UI/MammoTracker.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = MammoTrackerLogic()

        self.lesions = LesionList(self.ui, self._onLesionsChanged)
        self.results = ResultList(self.ui, self._onResultSelected, self._onBoxesChanged)
        self.views = SideBySide(slicer.app.layoutManager())
        self.process = TrackerProcess()
        self.process.onReady = self._onReady
        self.process.onProgress = self._onProgress
        self.process.onAligned = self._onAligned
        self.process.onTrack = self._onTrack
        self.process.onDone = self._onDone
        self.process.onFailed = self._onFailed
        self.process.onLog = self.ui.logText.appendPlainText
        self.installer = Installer()
        self.installer.onLog = self.ui.installLogText.appendPlainText
        self.installer.onFinished = self._onInstalled
        self.installer.onFailed = self._onInstallFailed
        self._afterInstall = None

        ui = self.ui
        ui.swapButton.clicked.connect(self.onSwap)
        ui.spacingButton.clicked.connect(self.onSetSpacing)
        ui.forceCheckBox.toggled.connect(self._enable)
        ui.trackAllButton.clicked.connect(self.onTrackAll)
        ui.trackSelectedButton.clicked.connect(self.onTrackSelected)
        ui.cancelButton.clicked.connect(self.onCancel)
        ui.sideBySideButton.clicked.connect(self.onShowWhole)
        ui.exportButton.clicked.connect(self.onExport)
        ui.installButton.clicked.connect(self.onInstall)
        ui.cancelInstallButton.clicked.connect(self.onCancelInstall)
        ui.setupCollapsibleButton.connect("contentsCollapsed(bool)", self._showSetup)

        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self._onSceneEndClose)
        self.addObserver(scene, scene.EndImportEvent, self._onSceneEndImport)
        self.addObserver(scene, scene.NodeAddedEvent, self._onNodeAddedOrRemoved)
        self.addObserver(scene, scene.NodeRemovedEvent, self._onNodeAddedOrRemoved)

        self._showSetup()
        self.initializeParameterNode()
        self._onSceneChanged()

    def cleanup(self) -> None:
        """Leave nothing running when the application closes or the module is reloaded."""
        self.process.stop()
        self.installer.cancel()
        self.setParameterNode(None)
        for part in (self.lesions, self.results, self.views, self):
            part.removeObservers()

    def enter(self) -> None:
        self.initializeParameterNode()
        self._onSceneChanged()

    def exit(self) -> None:
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._guiTag)
            self._guiTag = None
            self.removeObserver(
                self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParametersChanged
            )
            self._parameterNode = None

    # The scene and the parameter node

    def initializeParameterNode(self) -> None:
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode: MammoTrackerParameterNode | None) -> None:
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(
                self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParametersChanged
            )
        self._parameterNode = parameterNode
        if parameterNode:
            self._guiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParametersChanged)
        self._onParametersChanged()

    def _onSceneStartClose(self, _caller, _event) -> None:
        if self.process.running:
            self.process.cancel()
        self.setParameterNode(None)

    def _onSceneEndClose(self, _caller, _event) -> None:
        self._showProgress(0, "")
        self.ui.logText.clear()
        self.ui.exportLabel.text = ""
        self.ui.forceCheckBox.checked = False
        if self.parent.isEntered:
            self.initializeParameterNode()

    def _onSceneEndImport(self, _caller, _event) -> None:
        if self.parent.isEntered:
            self.initializeParameterNode()
        self._onNodeAddedOrRemoved()

    def _onNodeAddedOrRemoved(self, _caller=None, _event=None) -> None:
        # Nodes arrive in bursts, and DICOM attributes after them: look at the scene once, later.
        if not self._lookPending and not slicer.mrmlScene.IsClosing():
            self._lookPending = True
            qt.QTimer.singleShot(200, self._onSceneChanged)

    def _onSceneChanged(self) -> None:
        """Propose a pair if none is selected, and show what belongs to the pair."""
        from MammoTrackerLib import scene

        self._lookPending = False
        if not self._parameterNode:
            return
        self._pair = self._parameterNode.priorVolume, self._parameterNode.currentVolume
        if self._pair == (None, None):
            volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
            pair = scene.propose_pair(volumes)
            if pair:
                with slicer.util.NodeModify(self._parameterNode):
                    self._parameterNode.priorVolume, self._parameterNode.currentVolume = pair
                return
        self._showPair()

    def _onParametersChanged(self, _caller=None, _event=None) -> None:
        from MammoTrackerLib import MammoTrackerError

        parameters = self._parameterNode
        pair = (parameters.priorVolume, parameters.currentVolume) if parameters else (None, None)
        if pair != self._pair:
            self._pair = pair
            self.ui.forceCheckBox.checked = False
            self._showPair()
            if all(pair) and pair[0] is not pair[1]:
                self.onSideBySide()
        if not parameters:
            return
        self.views.facing = parameters.facing
        shown = parameters.showRegistration and self._registration() is not None
        try:
            self.views.showRegistration(parameters.registrationOpacity if shown else None)
        except MammoTrackerError as error:
            parameters.showRegistration = False
            self.ui.statusLabel.text = str(error)

    # Exams

    def _problems(self) -> list:
        """Return what is wrong with the pair, as far as the headers tell."""
        from MammoTrackerLib import MammoTrackerError, scene
        from MammoTrackerLib.pair import PairProblem, pair_problems

        if not all(self._pair):
            return []
        try:
            return pair_problems(*(scene.header_of(volume) for volume in self._pair))
        except MammoTrackerError as error:
            return [PairProblem(str(error), True, "image")]

    def _showPair(self) -> None:
        prior, current = self._pair
        self.lesions.setPrior(prior)
        self.results.setPair(prior, current)
        ui, problems = self.ui, self._problems()
        kinds = {problem.kind for problem in problems}
        if prior and prior is current:
            ui.pairLabel.text = _("Prior and current are the same image: select two exams.")
        elif not all(self._pair):
            ui.pairLabel.text = _("Select a prior and a current mammogram.")
        elif problems:
            ui.pairLabel.text = "\n".join(problem.message for problem in problems)
        else:
            ui.pairLabel.text = self._pairSummary()
        ui.swapButton.visible = "dates" in kinds
        forcible = kinds & FORCIBLE
        ui.forceCheckBox.visible = bool(forcible)
        ui.pairWidget.visible = bool(forcible) or "dates" in kinds
        ui.spacingWidget.visible = "spacing" in kinds
        if "spacing" in kinds:
            from MammoTrackerLib import scene

            for volume, box in zip(
                self._pair, (ui.priorSpacingSpinBox, ui.currentSpacingSpinBox), strict=True
            ):
                known = scene.header_of(volume).spacing
                box.enabled = known is None
                box.value = known[0] if known else 0.0
        self._enable()

    def _pairSummary(self) -> str:
        from MammoTrackerLib import scene

        prior, current = (scene.header_of(volume) for volume in self._pair)
        parts = [" ".join(filter(None, (current.laterality, current.view)))]
        if prior.date and current.date:
            months = (current.date - prior.date).days / 30.44
            parts.append(_("{months:.0f} months apart").format(months=months))
        summary = ", ".join(filter(None, parts))
        return summary or _("The files do not say which breast, view and date they show.")

    def _enable(self, _checked=None) -> None:
        ui = self.ui
        prior, current = self._pair
        blocked = any(
            problem.blocks and not (ui.forceCheckBox.checked and problem.kind in FORCIBLE)
            for problem in self._problems()
        )
        complete = bool(prior and current and prior is not current)
        idle = not self.process.running and not self.installer.running
        ready = complete and not blocked and idle and bool(self.lesions.rois)
        ui.trackAllButton.enabled = ready
        ui.trackSelectedButton.enabled = ready
        ui.cancelButton.enabled = self.process.running
        ui.sideBySideButton.enabled = complete
        registered = complete and self._registration() is not None
        ui.registrationCheckBox.enabled = registered
        ui.opacitySlider.enabled = registered
        ui.exportButton.enabled = complete and bool(self.lesions.rois)
        ui.installButton.enabled = idle
        ui.cancelInstallButton.enabled = self.installer.running

    def onSwap(self) -> None:
        """Exchange prior and current."""
        with slicer.util.NodeModify(self._parameterNode):
            prior, current = self._pair
            self._parameterNode.priorVolume = current
            self._parameterNode.currentVolume = prior

    def onSetSpacing(self) -> None:
        """Give the mammograms the pixel size that the user typed."""
        from MammoTrackerLib import MammoTrackerError, scene

        try:
            for volume, box in zip(
                self._pair,
                (self.ui.priorSpacingSpinBox, self.ui.currentSpacingSpinBox),
                strict=True,
            ):
                if box.enabled and box.value > 0:
                    scene.set_spacing(volume, box.value)
        except MammoTrackerError as error:
            slicer.util.errorDisplay(str(error))
        self._showPair()
        self.onSideBySide()

    # Lesions, tracking

    def _onLesionsChanged(self) -> None:
        self.results.refresh()
        self._onBoxesChanged()
        self._enable()

    def onTrackAll(self) -> None:
        self._track(self.lesions.rois)

    def onTrackSelected(self) -> None:
        self._track(self.lesions.selected())

    def _track(self, rois: list) -> None:
        """Track in the other process; install first what that needs, if the user agrees."""
        from MammoTrackerPanel import installer

        from MammoTrackerLib import MammoTrackerError, scene

        if not rois:
            self._showProgress(0, _("Select a lesion in the list first."))
            return
        if installer.missing():
            self._afterInstall = lambda: self._track(rois)
            self.onInstall()
            return
        prior, current = self._pair
        try:
            with slicer.util.WaitCursor():
                boxes = [scene.box_of(roi, prior) for roi in rois]
                images = scene.mammogram_of(prior), scene.mammogram_of(current)
                self._tracked = rois
                self._trackedPair = self._pair
                self.process.track(*images, boxes, force=self.ui.forceCheckBox.checked)
        except MammoTrackerError as error:
            self._showProgress(0, str(error))
        self._enable()

    def onCancel(self) -> None:
        """Stop tracking; results that are there stay."""
        self.process.cancel()
        self._showProgress(0, _("Cancelled."))
        self._enable()

    def _showProgress(self, fraction: float, message: str) -> None:
        self.ui.progressBar.value = round(100 * fraction)
        self.ui.statusLabel.text = message

    def _onReady(self, info: dict) -> None:
        self._showSetup()

    def _onProgress(self, fraction: float, message: str) -> None:
        self._showProgress(fraction, message)

    def _onAligned(self, grid, warnings: list[str]) -> None:
        from MammoTrackerLib import scene

        scene.show_registration(*self._trackedPair, grid)
        self._enable()
        if self._parameterNode:
            self._onParametersChanged()

    def _onTrack(self, index: int, track) -> None:
        from MammoTrackerLib import scene

        lesion = self._tracked[index]
        prior, current = self._trackedPair
        if lesion.GetScene() is None or current.GetScene() is None:
            return
        with self.results.updating():
            scene.show_track(lesion, current, track)
        self.results.refresh()
        self._onBoxesChanged()

    def _onDone(self) -> None:
        from MammoTrackerLib import scene

        count = len(self._tracked)
        self._showProgress(
            1, _("1 lesion tracked.") if count == 1 else _("{n} lesions tracked.").format(n=count)
        )
        self._enable()
        prediction = scene.prediction_of(self._tracked[0], self._trackedPair[1])
        if prediction:
            self.results.select(prediction)

    def _onFailed(self, message: str) -> None:
        self._showProgress(0, message)
        self._enable()

    # Views

    def _registration(self):
        from MammoTrackerLib import scene

        return scene.registration_of(*self._pair) if all(self._pair) else None

    def onSideBySide(self) -> None:
        """Show the pair in the layout that is made for it."""
        from MammoTrackerLib import MammoTrackerError

        try:
            self.views.show(*self._pair)
        except MammoTrackerError as error:
            self.ui.pairLabel.text = str(error)
            return
        self.views.facing = self._parameterNode.facing

    def onShowWhole(self) -> None:
        """Show both mammograms whole, without handles on a lesion."""
        self.results.deselect()
        self.onSideBySide()

    def _onBoxesChanged(self) -> None:
        if all(self._pair):
            self.views.assign()

    def _onResultSelected(self, lesion, currentBox) -> None:
        from MammoTrackerLib import scene

        self.views.centerOn(scene.box_if_placed(lesion), currentBox)

    # Export

    def onExport(self) -> None:
        """Write the table, the boxes and the picture into the folder that the user gave."""
        from MammoTrackerLib import MammoTrackerError

        folder = self.ui.exportPathLineEdit.currentPath
        if not folder:
            self.ui.exportLabel.text = _("Choose a folder first.")
            return
        try:
            with slicer.util.WaitCursor():
                written = self.logic.export(*self._pair, Path(folder))
                self.views.capture(Path(folder) / "side-by-side.png")
        except MammoTrackerError as error:
            self.ui.exportLabel.text = str(error)
            return
        self.ui.exportPathLineEdit.addCurrentPathToHistory()
        self.ui.exportLabel.text = _("{n} files written.").format(n=len(written) + 1)

    # Setup

    def _showSetup(self, _collapsed=None) -> None:
        from MammoTrackerPanel import installer

        info = self.process.info or {}
        missing = installer.missing()
        ui = self.ui
        ui.tensorflowLabel.text = installer.tensorflow_version() or _("not installed")
        ui.deviceLabel.text = info.get("device") or _("known after the first track")
        ui.weightsLabel.text = installer.weights_version()
        if not self.installer.running:
            ui.installLabel.text = (
                _("Missing: {packages}").format(packages=", ".join(missing))
                if missing
                else _("Everything that tracking needs is installed.")
            )
            ui.installButton.visible = bool(missing)
            ui.cancelInstallButton.visible = bool(missing)

    def onInstall(self) -> None:
        """Install what is missing, once the user has agreed."""
        ui = self.ui
        wheels = ui.wheelsPathLineEdit.currentPath
        ui.setupCollapsibleButton.collapsed = False
        ui.installLogText.clear()
        ui.installLogText.visible = True
        ui.installProgressBar.visible = True
        self.installer.install(Path(wheels) if wheels else None)
        if self.installer.running:
            ui.installLabel.text = _("Downloading. Nothing is installed before this is complete.")
        self._enable()

    def onCancelInstall(self) -> None:
        self.installer.cancel()
        self._afterInstall = None
        self.ui.installProgressBar.visible = False
        self._showSetup()
        self._enable()

    def _onInstalled(self) -> None:
        self.ui.installProgressBar.visible = False
        self._showSetup()
        self._enable()
        follow, self._afterInstall = self._afterInstall, None
        if follow:
            follow()

    def _onInstallFailed(self, message: str, log: str) -> None:
        self._afterInstall = None
        self.ui.installProgressBar.visible = False
        self._showSetup()
        self.ui.installLabel.text = message
        self._enable()


class MammoTrackerLogic(ScriptedLoadableModuleLogic):
    """Tracks and exports without the panel: for scripts."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self._tracker = None

    def getParameterNode(self) -> MammoTrackerParameterNode:
        return MammoTrackerParameterNode(super().getParameterNode())

    def track(self, priorVolume, currentVolume, priorROIs, force: bool = False) -> list:
        """Find lesions of the prior on the current mammogram, in this process.

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
            the lesion was not found. `MammoTrackerLib.scene` reads their score and status.

        Raises
        ------
        MammoTrackerError
            If the pair or an ROI cannot be right; the message says what to do.
        """
        from MammoTrackerLib import LesionTracker, scene
        from MammoTrackerLib.global_search import align
        from MammoTrackerLib.pair import check_pair

        boxes = [scene.box_of(roi, priorVolume) for roi in priorROIs]
        prior, current = scene.mammogram_of(priorVolume), scene.mammogram_of(currentVolume)
        if not force:
            check_pair(prior, current)
        alignment = align(prior, current)
        if self._tracker is None:
            self._tracker = LesionTracker()
        tracks = self._tracker.track(prior, current, boxes, alignment, force)
        for roi in priorROIs:
            if roi not in scene.lesions(priorVolume):
                scene.claim_lesion(roi, priorVolume)
        scene.show_registration(priorVolume, currentVolume, alignment.grid())
        predictions = [
            scene.show_track(roi, currentVolume, track)
            for roi, track in zip(priorROIs, tracks, strict=True)
        ]
        scene.update_table(priorVolume, currentVolume)
        return predictions

    def export(self, priorVolume, currentVolume, folder: Path) -> list[Path]:
        """Write the table (results.csv) and the ROIs (.mrk.json) of a pair into a folder.

        Raises
        ------
        MammoTrackerError
            If the folder cannot be written.
        """
        from MammoTrackerLib import scene

        return scene.export(priorVolume, currentVolume, Path(folder))


class MammoTrackerTest(ScriptedLoadableModuleTest):
    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        self.setUp()
        self.test_trackSamplePair()

    def test_trackSamplePair(self) -> None:
        """Track the sample's lesion, and compare with where it was put."""
        from MammoTrackerPanel import installer

        from MammoTrackerLib import Box, scene

        if installer.missing():
            self.delayDisplay("Not tested: install the Python packages in the module first.")
            return
        prior, current, lesion = loadSamplePair()
        (prediction,) = MammoTrackerLogic().track(prior, current, [lesion])
        folder = Path(__file__).parent / "Resources" / "SampleData"
        truth = Box(*json.loads((folder / "truth.json").read_text())["current_box"])
        self.assertEqual(scene.status_of(prediction), "found")
        self.assertGreater(scene.box_of(prediction, current).iou(truth), 0.5)
        self.assertIs(scene.lesion_of(prediction), lesion)
        self.delayDisplay("Test passed")

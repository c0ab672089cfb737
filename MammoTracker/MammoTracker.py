"""The 3D Slicer module: shows where a lesion of a prior mammogram is on the current one."""

from __future__ import annotations

import json
from pathlib import Path

import qt
import slicer
import vtk
from MammoTrackerPanel.logic import MammoTrackerLogic, MammoTrackerParameterNode
from MammoTrackerPanel.sample_data import loadSamplePair, registerSampleData
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class MammoTracker(ScriptedLoadableModule):
    def __init__(self, parent) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "MammoTracker"
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        self.parent.dependencies = ["Markups", "Tables", "Volumes"]
        self.parent.contributors = ["MammoTracker developers"]
        self.parent.helpText = _(
            "<p>Finds a lesion that was marked on one mammogram again on earlier and later ones, "
            "says how sure it is, and how the lesion changed.</p>"
            "<p><b>For research only: not a medical device.</b> No decision about a patient may "
            "rest on it. Nothing is sent anywhere.</p>"
            "<p>Select the exams, draw a box around the lesion on one of them, press Track all. "
            'See the <a href="https://github.com/mammotracker/SlicerMammoTracker#tutorial">'
            "tutorial</a>.</p>"
        )
        self.parent.acknowledgementText = _(
            "The method is that of X. Liu, Y. Ren, M. D. Ryser, L. J. Grimm and J. Y. Lo, "
            "MammoTracker: Mask-Guided Lesion Tracking in Temporal Mammograms. This is an "
            "independent implementation with weights of its own."
        )
        slicer.app.connect("startupCompleted()", registerSampleData)


class MammoTrackerWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Puts the panel's parts together, and follows the scene and the parameter node."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._guiTag = None
        self._timeLinePending = False

    def setup(self) -> None:
        """Build the panel; called when the user opens the module for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        from MammoTrackerPanel.exams import Exams
        from MammoTrackerPanel.export import Export
        from MammoTrackerPanel.keyboard import Keyboard
        from MammoTrackerPanel.lesion_list import LesionList
        from MammoTrackerPanel.reading_list import ReadingList
        from MammoTrackerPanel.result_list import ResultList
        from MammoTrackerPanel.setup import Setup
        from MammoTrackerPanel.side_by_side import SideBySide
        from MammoTrackerPanel.time_line import TimeLine
        from MammoTrackerPanel.tracking import Tracking

        panel = slicer.util.loadUI(self.resourcePath("UI/MammoTracker.ui"))
        self.layout.addWidget(panel)
        self.ui = ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = MammoTrackerLogic()

        self.views = SideBySide(slicer.app.layoutManager())
        self.timeLine = TimeLine(slicer.app.layoutManager(), self._onTimeChosen)
        self.exams = Exams(ui, self._onExamsShown, self._enable, self.onSideBySide)
        self.lesions = LesionList(ui, self._onLesionsChanged, self._onLesionMoved)
        self.results = ResultList(ui, self._onResultSelected, self._onBoxesChanged, self._onDecided)
        self.reading = ReadingList(ui, self.exams, self.lesions, self.results, self.views)
        self.keyboard = Keyboard(self.results.actions() | self.reading.actions())
        self.installation = Setup(ui, self._enable)
        parts = self.exams, self.lesions, self.results, self.installation
        self.export = Export(ui, self.logic, self.exams, self.lesions, self.views)
        self.tracking = Tracking(ui, *parts, self._enable, self._onRegistered)
        ui.sideBySideButton.clicked.connect(self.onShowWhole)

        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self._onSceneEndClose)
        self.addObserver(scene, scene.StartImportEvent, self._onSceneStartImport)
        self.addObserver(scene, scene.EndImportEvent, self._onSceneEndImport)
        self.enter()

    def cleanup(self) -> None:
        """Leave nothing running when the application closes or the module is reloaded."""
        self.tracking.process.stop()
        # The place widgets outlive the buttons, and would tell of the end of placing later.
        self._stopPlacing()
        self.reading.close()
        self.setParameterNode(None)
        self.keyboard.remove()
        for part in (self.exams, self.lesions, self.results, self.views, self.timeLine, self):
            part.removeObservers()

    def enter(self) -> None:
        self.initializeParameterNode()
        self.keyboard.enable(True)
        self.exams.look()

    def exit(self) -> None:
        self.keyboard.enable(False)
        self._stopPlacing()
        self._connect(None)

    def _stopPlacing(self) -> None:
        self.lesions.stopPlacing()
        self.results.stopPlacing()

    # The scene and the parameter node

    def initializeParameterNode(self) -> None:
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode: MammoTrackerParameterNode | None) -> None:
        self._connect(parameterNode)
        self._onParametersChanged()

    def _connect(self, parameterNode: MammoTrackerParameterNode | None) -> None:
        modified = vtk.vtkCommand.ModifiedEvent
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(self._parameterNode, modified, self._onParametersChanged)
        self._parameterNode = self.exams.parameters = parameterNode
        if parameterNode:
            self._guiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, modified, self._onParametersChanged)

    def _onSceneStartClose(self, _caller, _event) -> None:
        if self.tracking.running:
            self.tracking.process.cancel()
        self.reading.onSceneClosed()
        self.setParameterNode(None)

    def _onSceneEndClose(self, _caller, _event) -> None:
        self.tracking.clear()
        self.export.clear()
        self.ui.forceCheckBox.checked = False
        if self.parent.isEntered:
            self.initializeParameterNode()

    def _onSceneStartImport(self, _caller, _event) -> None:
        # The parameter node takes over what the file says before the other nodes are whole, and
        # the selectors lose their nodes for a moment.
        self._connect(None)

    def _onSceneEndImport(self, _caller, _event) -> None:
        if self.parent.isEntered:
            self.initializeParameterNode()
        self.exams.lookSoon()

    def _onParametersChanged(self, _caller=None, _event=None) -> None:
        self.exams.update()
        parameters = self._parameterNode
        if not parameters:
            return
        self.views.facing = parameters.facing
        self._showTimeLineSoon()
        self._showRegistration()

    def _showRegistration(self) -> None:
        from MammoTrackerLib import MammoTrackerError

        parameters = self._parameterNode
        if not parameters:
            return
        shown = parameters.showRegistration and self._registration() is not None
        try:
            self.views.showRegistration(parameters.registrationOpacity if shown else None)
        except MammoTrackerError as error:
            parameters.showRegistration = False
            self.ui.statusLabel.text = str(error)

    # What one part's change means for the others

    def _onExamsShown(self) -> None:
        pair, series = self.exams.pair, self.exams.series
        self.lesions.setExams(series, pair[0])
        self.results.setExams(series, pair, self.lesions.rois)
        if self.exams.isComplete:
            self.views.entitle(self.exams.titles)
        self._showRegistration()
        self._onBoxesChanged()
        self._enable()

    def _onLesionsChanged(self) -> None:
        self.results.refresh(self.lesions.rois)
        self._onBoxesChanged()
        self._enable()

    def _onLesionMoved(self, lesion) -> None:
        self.results.showMoved(lesion)
        self._onBoxesChanged()

    def _onBoxesChanged(self) -> None:
        if all(self.exams.pair):
            self.views.assign(self.lesions.rois)
        self._showTimeLineSoon()

    def _showTimeLineSoon(self) -> None:
        # While a box is dragged, it changes with each move of the mouse.
        if not self._timeLinePending:
            self._timeLinePending = True
            qt.QTimer.singleShot(100, self._showTimeLine)

    def _showTimeLine(self) -> None:
        from MammoTrackerLib import scene

        self._timeLinePending = False
        lesion, parameters = self.results.lesion, self._parameterNode
        isShown = bool(lesion and parameters and parameters.showTimeLine and self.exams.isSeries)
        if isShown != self.views.hasTimeLine:
            self.views.hasTimeLine = isShown
            self._showTimeLineSoon()  # in the size that Qt gives it
        if isShown:
            self.timeLine.show(lesion, self.exams.series, self.exams.pair[1])
        elif parameters:
            scene.remove_growth_chart(slicer.mrmlScene)

    def _onTimeChosen(self, lesion, volume) -> None:
        self.results.selectOn(lesion, volume)

    def _onResultSelected(self, lesion, volume, box) -> None:
        from MammoTrackerLib import scene

        self.exams.select(scene.exam_of(lesion), volume)
        self.views.centerOn(scene.box_if_placed(lesion), box)
        self._showTimeLineSoon()
        self.reading.onSelected(lesion, volume)

    def _onDecided(self, prediction, isFinal: bool) -> None:
        self.reading.onDecided(prediction, isFinal)

    def _onRegistered(self) -> None:
        self._enable()
        if self._parameterNode:
            self._onParametersChanged()

    def _registration(self):
        from MammoTrackerLib import scene

        return scene.registration_of(*self.exams.pair) if all(self.exams.pair) else None

    def _enable(self) -> None:
        ui, complete, marked = self.ui, self.exams.isComplete, bool(self.lesions.rois)
        idle = not self.tracking.running and not self.installation.running
        ready = self.exams.isReady and marked and idle
        ui.trackAllButton.enabled = ready
        ui.trackSelectedButton.enabled = ready
        ui.cancelButton.enabled = self.tracking.running
        ui.sideBySideButton.enabled = complete
        registered = complete and self._registration() is not None
        ui.registrationCheckBox.enabled = registered
        ui.opacitySlider.enabled = registered
        ui.exportButton.enabled = complete and marked
        ui.timeLineCheckBox.enabled = self.exams.isSeries
        ui.installButton.enabled = idle
        self.reading.enable()

    def onSideBySide(self) -> None:
        """Show the pair in the layout that is made for it."""
        from MammoTrackerLib import MammoTrackerError

        try:
            self.views.show(*self.exams.pair, self.exams.titles)
            self.views.assign(self.lesions.rois)
        except MammoTrackerError as error:
            self.ui.pairLabel.text = str(error)
            return
        self.views.facing = self._parameterNode.facing

    def onShowWhole(self) -> None:
        """Show both mammograms whole, without handles on a lesion."""
        self.results.deselect()
        self.onSideBySide()


class MammoTrackerTest(ScriptedLoadableModuleTest):
    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        self.setUp()
        self.test_trackSamplePair()

    def test_trackSamplePair(self) -> None:
        """Track the sample's lesion, and compare with where it was put."""
        from MammoTrackerPanel.installer import missing

        from MammoTrackerLib import Box, scene

        if missing():
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

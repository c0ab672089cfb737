"""The panel's results: the table, the review of each lesion, and its next best places."""

from __future__ import annotations

from contextlib import contextmanager

import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin


class ResultList(VTKObservationMixin):
    """Shows the predictions of one pair, and lets the user accept, correct or reject them.

    Parameters
    ----------
    ui
        The panel's widgets.
    onSelected
        Called with the lesion's ROI and a `Box` on the current (None if the lesion has no
        place there) when a row or one of its next best places is selected.
    onChanged
        Called without arguments when boxes were shown, hidden or replaced.
    """

    def __init__(self, ui, onSelected, onChanged) -> None:
        VTKObservationMixin.__init__(self)
        self._ui = ui
        self._onSelected = onSelected
        self._onChanged = onChanged
        self._prior = self._current = None
        self._predictions = []
        self._shown = None
        self._drawn = None
        self._before = None, ""
        self._listed = None, []
        self._updating = False
        ui.resultsTableView.connect("selectionChanged()", self._onSelectionChanged)
        ui.acceptButton.clicked.connect(lambda: self._review("accepted"))
        ui.rejectButton.clicked.connect(lambda: self._review("rejected"))
        ui.restoreButton.clicked.connect(self._onRestore)
        ui.drawButton.clicked.connect(self._onDraw)
        single = slicer.qSlicerMarkupsPlaceWidget.ForcePlaceSingleMarkup
        ui.resultPlaceWidget.placeMultipleMarkups = single
        ui.resultPlaceWidget.connect(
            "activeMarkupsPlaceModeChanged(bool)", self._onPlaceModeChanged
        )
        ui.candidatesList.currentRowChanged.connect(self._onCandidateSelected)
        ui.useCandidateButton.clicked.connect(self._onUseCandidate)

    @property
    def selected(self):
        """The predicted ROI of the selected row, or None."""
        return self._shown

    def setPair(self, prior, current) -> None:
        """Show the results of another pair; either may be None."""
        self._prior, self._current = prior, current
        self.refresh()

    def refresh(self) -> None:
        """Read the results from the scene."""
        from MammoTrackerLib import scene

        complete = self._prior and self._current
        self.removeObservers()
        self._predictions = scene.predictions(self._prior, self._current) if complete else []
        for prediction in self._predictions:
            self.addObserver(prediction, prediction.PointModifiedEvent, self._onMoved)
        if self._predictions:
            self._updateTable()
        table = scene.results_table(self._prior, self._current) if complete else None
        self._ui.resultsTableView.setMRMLTableNode(table)
        if self._shown and self._shown not in self._predictions:
            self._shown = None
            preview = scene.preview_of(self._current) if complete else None
            if preview:
                preview.GetScene().RemoveNode(preview)
        if self._shown:
            self.select(self._shown)
        self._showDetails()

    def add(self, lesion, current, track) -> None:
        """Put the tracker's answer about a lesion into the scene, and list it."""
        from MammoTrackerLib import scene

        with self.updating():
            scene.show_track(lesion, current, track)
        self.refresh()
        self._onChanged()

    def select(self, prediction) -> None:
        """Select a lesion's row, as a click on it does."""
        if prediction in self._predictions:
            self._ui.resultsTableView.selectRow(self._predictions.index(prediction))

    def deselect(self) -> None:
        """Select no row."""
        self._shown = None
        self._ui.resultsTableView.clearSelection()
        self._showDetails()

    @contextmanager
    def updating(self):
        """Tell changes that the module makes from those that the user makes."""
        before, self._updating = self._updating, True
        try:
            yield
        finally:
            self._updating = before

    def _updateTable(self) -> None:
        from MammoTrackerLib import scene

        scene.update_table(self._prior, self._current)
        scene.update_labels(self._prior, self._current)
        self._ui.resultsTableView.resizeColumnsToContents()

    def _onSelectionChanged(self) -> None:
        view = self._ui.resultsTableView
        rows = {
            view.sortFilterProxyModel().mapToSource(index).row()
            for index in view.selectionModel().selectedRows()
        }
        if len(rows) != 1 or max(rows) >= len(self._predictions):
            return
        prediction = self._predictions[rows.pop()]
        if prediction is self._shown:
            return
        self._shown = prediction
        self._showDetails()
        self._center()

    def _center(self) -> None:
        from MammoTrackerLib import scene

        if self._shown:
            self._onSelected(scene.lesion_of(self._shown), scene.box_if_placed(self._shown))

    def _showDetails(self) -> None:
        from MammoTrackerLib import scene

        ui, prediction = self._ui, self._shown
        for roi in self._predictions:
            roi.GetDisplayNode().SetHandlesInteractive(roi is prediction)
        for button in (ui.acceptButton, ui.rejectButton, ui.restoreButton, ui.drawButton):
            button.enabled = prediction is not None
        self._listCandidates()
        if prediction is None:
            ui.reasonLabel.text = ""
            return
        name = scene.lesion_of(prediction).GetName()
        ui.reasonLabel.text = f"{name}: {scene.reason_of(prediction)}"
        placed = scene.is_placed(prediction)
        ui.acceptButton.enabled = placed and scene.review_of(prediction) != "accepted"
        ui.rejectButton.enabled = scene.review_of(prediction) != "rejected"
        ui.restoreButton.enabled = scene.review_of(prediction) != ""

    def _listCandidates(self) -> None:
        """List the selected lesion's next best places, and keep the one that is selected."""
        from MammoTrackerLib import scene

        texts = []
        for candidate in scene.candidates_of(self._shown)[1:] if self._shown else ():
            x, y = scene.center_mm(candidate.box, self._current)
            texts.append(
                _("{number}. score {score:.2f}, at {x:.0f}, {y:.0f} mm").format(
                    number=len(texts) + 2, score=candidate.score, x=x, y=y
                )
            )
        if (self._shown, texts) != self._listed:
            self._listed = self._shown, texts
            self._ui.candidatesList.clear()
            self._ui.candidatesList.addItems(texts)
        self._ui.useCandidateButton.enabled = self._ui.candidatesList.currentRow >= 0

    @contextmanager
    def _changing(self):
        """Let the module change the selected result, then show what it is now."""
        from MammoTrackerLib import scene

        with self.updating():
            yield scene
            self._ui.candidatesList.currentRow = -1
            self._updateTable()
        self._showDetails()
        self._onChanged()

    def _review(self, review: str) -> None:
        with self._changing() as scene:
            scene.set_review(self._shown, review)

    def _onRestore(self) -> None:
        with self._changing() as scene:
            scene.restore_prediction(self._shown)
        self._center()

    def _onCandidateSelected(self, row: int) -> None:
        from MammoTrackerLib import scene

        if self._shown is None:
            return
        self._ui.useCandidateButton.enabled = row >= 0
        scene.preview_candidate(self._shown, row + 1 if row >= 0 else None)
        self._onChanged()
        if row >= 0:
            box = scene.candidates_of(self._shown)[row + 1].box
            self._onSelected(scene.lesion_of(self._shown), box)

    def _onUseCandidate(self) -> None:
        index = self._ui.candidatesList.currentRow + 1
        with self._changing() as scene:
            scene.use_candidate(self._shown, index)
        self._center()

    def _onDraw(self) -> None:
        if self._drawn:
            self.stopPlacing()
            return
        self._drawn = self._shown
        with self._changing() as scene:
            self._before = scene.box_if_placed(self._drawn), scene.review_of(self._drawn)
            scene.unplace(self._drawn)
        self._ui.resultPlaceWidget.setCurrentNode(self._drawn)
        self._ui.resultPlaceWidget.placeModeEnabled = True
        self._ui.drawButton.checked = True

    def stopPlacing(self) -> None:
        """Give up the box that is being drawn, if one is."""
        if self._drawn:
            self._ui.resultPlaceWidget.placeModeEnabled = False
            self._onPlaceModeChanged(False)  # where the widget has lost its scene, it says nothing

    def _onPlaceModeChanged(self, enabled: bool) -> None:
        if enabled or not self._drawn:
            return
        drawn, self._drawn = self._drawn, None
        self._ui.drawButton.checked = False
        if drawn.GetScene() is None:
            return
        with self._changing() as scene:
            if scene.is_placed(drawn):
                scene.set_review(drawn, "corrected")
                return
            box, review = self._before
            scene.unplace(drawn)
            if box:
                scene.place_roi(drawn, self._current, box)
            scene.set_review(drawn, review)

    def _onMoved(self, prediction, _event=None) -> None:
        from MammoTrackerLib import scene

        if self._updating or self._drawn or not scene.is_placed(prediction):
            return
        # A scene that is read tells of moves before its files and its transforms are there.
        if prediction.GetScene().IsImporting():
            return
        with self.updating():
            if scene.review_of(prediction) != "corrected" and not scene.is_as_tracked(prediction):
                scene.set_review(prediction, "corrected")
                if prediction is self._shown:
                    self._showDetails()
            self._updateTable()

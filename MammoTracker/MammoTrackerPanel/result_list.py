"""The panel's results: which there are, which is selected, and what changes them."""

from __future__ import annotations

from contextlib import contextmanager

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from .answer import placeOf
from .result_table import ResultTable
from .review import Review

DRAGGED_MS = 300
"""So long after a box's last move, the table node is written."""


class ResultList(VTKObservationMixin):
    """Shows the predictions on all exams, and lets the user accept, correct or reject them.

    Parameters
    ----------
    ui
        The panel's widgets.
    onSelected
        Called with the lesion's ROI, the volume on which it was looked for, and a `Box` there
        (None if the lesion has no place), when a cell or one of its next best places is
        selected.
    onChanged
        Called without arguments when boxes were shown, hidden or replaced.
    onDecided
        Called with the predicted ROI when the user said something about it, or took it back, and
        whether that is all: a box that is being dragged may be dragged further.
    """

    def __init__(self, ui, onSelected, onChanged, onDecided) -> None:
        VTKObservationMixin.__init__(self)
        self._onSelected = onSelected
        self._onChanged = onChanged
        self._onDecided = onDecided
        self._volumes, self._pair, self._lesions = [], (None, None), []
        self._predictions, self._tabled = [], None
        self._nodeTimer = qt.QTimer()
        self._nodeTimer.interval = DRAGGED_MS
        self._nodeTimer.timeout.connect(self._updateNode)
        self._updating = self._transformPending = False
        self._table = ResultTable(ui.resultsTableView, self._onCellSelected)
        self._review = Review(ui, self._changing, onChanged, onSelected)

    @property
    def selected(self):
        """The predicted ROI of the selected cell, or None."""
        return self._review.prediction

    @property
    def lesion(self):
        """The lesion of the selected cell, else the first one with an answer, else None."""
        from MammoTrackerLib import scene

        shown = self._review.prediction or next(iter(self._predictions), None)
        return scene.lesion_of(shown) if shown else None

    @property
    def _isSeries(self) -> bool:
        return len(self._volumes) > 2

    def setExams(self, volumes: list, pair: tuple, lesions: list) -> None:
        """Show the results on other exams.

        Parameters
        ----------
        volumes
            The exams, by date.
        pair
            Those of them that are shown, on the first of which lesions are marked; either may be
            None.
        lesions
            Whose results they are.
        """
        from MammoTrackerLib import scene

        isOther = pair != self._pair
        if isOther:
            self.stopPlacing()
        self._volumes, self._pair = volumes, pair
        self.refresh(lesions)
        if isOther and self._review.prediction:
            # The buttons are for what is to be seen.
            lesion = scene.lesion_of(self._review.prediction)
            isMarked = scene.exam_of(lesion) is pair[0]
            shown = scene.prediction_of(lesion, pair[1]) if isMarked else None
            self.deselect()
            if shown:
                with self.updating():
                    self.select(shown)

    def refresh(self, lesions: list | None = None) -> None:
        """Read the results of these lesions, or of those before, from the scene."""
        from MammoTrackerLib import scene

        self._lesions = self._lesions if lesions is None else lesions
        isComplete = all(self._pair)
        self._predictions, listed = [], self._lesions if isComplete else []
        for lesion, answers in zip(listed, scene.all_answers(listed), strict=True):
            rois = [answers.get(volume.GetID()) for volume in self._volumes]
            self._predictions += [roi for roi in rois if roi is not None and roi is not lesion]
        self.removeObservers()
        for prediction in self._predictions:
            if prediction.GetDisplayNode() is None:  # which the user has deleted
                scene.set_review(prediction, scene.review_of(prediction))
            scene.paint_like(prediction, scene.lesion_of(prediction))
            self.addObserver(prediction, prediction.PointModifiedEvent, self._onMoved)
        # One volume may be both exams, while another is chosen.
        for node in dict.fromkeys([*self._volumes, *self._lesions, *self._predictions]):
            self.addObserver(node, node.TransformModifiedEvent, self._onTransformed)
        mrml = slicer.mrmlScene
        self.addObserver(mrml, mrml.NodeRemovedEvent, self._forget)
        self._updateTable()
        if self._review.prediction and self._review.prediction not in self._predictions:
            self._review.prediction = None
        if self._review.prediction:
            with self.updating():
                self.select(self._review.prediction)
        self._showDetails()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _forget(self, _scene, _event, node) -> None:
        """Forget at once what is gone, since the panel looks at the scene somewhat later."""
        from MammoTrackerLib import scene

        self._lesions = [lesion for lesion in self._lesions if lesion is not node]
        known = [roi for roi in self._predictions if roi is not node and scene.lesion_of(roi)]
        self._predictions = [roi for roi in known if scene.exam_of(roi)]
        if self._review.prediction not in self._predictions:
            self._review.prediction = None

    @property
    def isPlacing(self) -> bool:
        """Whether the user is drawing a box."""
        return self._review.drawn is not None

    def add(self, lesion, current, track) -> None:
        """Put the tracker's answer about a lesion into the scene, and list it.

        What the user has decided is left as it is.
        """
        from MammoTrackerLib import scene

        with self._adding(lesion):
            scene.show_track(lesion, current, track)

    def addHistory(self, lesion, volumes: list, history) -> None:
        """Put the answers about a lesion on several exams into the scene, as `add` does."""
        from MammoTrackerLib import scene

        with self._adding(lesion):
            scene.show_history(lesion, volumes, history)

    @contextmanager
    def _adding(self, lesion):
        from MammoTrackerLib import scene

        drawn = self._review.drawn
        if drawn and scene.lesion_of(drawn) is lesion:
            self.stopPlacing()
        with self.updating():
            yield
        self.refresh()
        self._onChanged()

    def select(self, prediction) -> None:
        """Select the cell of a lesion on an exam, as a click on it does."""
        from MammoTrackerLib import scene

        if prediction in self._predictions:
            self._table.select(scene.lesion_of(prediction), scene.exam_of(prediction))

    def selectOn(self, lesion, volume) -> None:
        """Select the cell of a lesion on an exam, also the one that it is marked on."""
        self._table.select(lesion, volume)

    def actions(self) -> dict:
        """Return what the keys do with the results, by the names in `keyboard.KEYS`."""
        move = self._table.move
        return {
            "nextLesion": lambda: move(1, 0),
            "previousLesion": lambda: move(-1, 0),
            "nextExam": lambda: move(0, 1),
            "previousExam": lambda: move(0, -1),
            **self._review.actions(),
        }

    def deselect(self) -> None:
        """Select no cell."""
        self._review.prediction = None
        self._table.deselect()
        self._showDetails()

    @contextmanager
    def updating(self):
        """Tell changes that the module makes from those that the user makes."""
        before, self._updating = self._updating, True
        try:
            yield
        finally:
            self._updating = before

    def _updateNode(self) -> None:
        """Bring the table node of a series up to date, where a box was dragged."""
        from MammoTrackerLib import scene

        self._nodeTimer.stop()
        if self._isTabled:
            scene.update_series_table(self._volumes, self._lesions)

    @property
    def _isTabled(self) -> bool:
        """Whether there is a table node of the exams, or should be."""
        return self._isSeries and (bool(self._predictions) or self._volumes == self._tabled)

    def showMoved(self, lesion) -> None:
        """Show what is known about a lesion of which a box was moved."""
        from MammoTrackerLib import scene

        if self._isSeries:  # the rest takes too long for each move of the mouse
            self._nodeTimer.start()
            self._table.update(lesion)
            if all(self._pair):
                scene.update_labels(*self._pair, self._lesions if self._predictions else [])
        else:
            self._updateTable()
        self._showDetails()

    def _updateTable(self) -> None:
        from MammoTrackerLib import scene

        listed = [scene.lesion_of(roi) for roi in self._predictions]
        listed = [lesion for lesion in self._lesions if lesion in listed]
        titles = [_("Prior"), _("Current")]
        # Where answers were, their table and labels must not go on telling of them.
        isComplete, hasAnswers = all(self._pair), bool(self._predictions)
        known = scene.known_lesions(self._lesions, self._volumes) if hasAnswers else None
        if self._isTabled:
            scene.update_series_table(self._volumes, self._lesions, known)
            self._tabled = list(self._volumes)
        elif self._isSeries:
            scene.remove_series_table(slicer.mrmlScene)
        elif not self._isSeries and isComplete:
            scene.remove_series_table(slicer.mrmlScene)
            if hasAnswers or scene.results_table(*self._pair):
                scene.update_table(*self._pair)
        self._nodeTimer.stop()
        if hasAnswers and (self._isSeries or not scene.are_in_order(self._volumes)):
            titles = scene.exam_titles(self._volumes)
        if isComplete:
            scene.update_labels(*self._pair, self._lesions if hasAnswers else [])
        self._table.fill(listed, self._volumes if listed else [], titles, known)

    def _onCellSelected(self, lesion, volume) -> None:
        """Select the answer in a cell; one that is about no other exam means the shown one."""
        from MammoTrackerLib import scene

        marked = scene.exam_of(lesion)
        if volume in (None, marked):
            others = [v for v in (*self._pair[::-1], *self._volumes) if v is not marked]
            volume = others[0]
        prediction = scene.prediction_of(lesion, volume)
        if prediction is not None and prediction is self._review.prediction:
            return
        self.stopPlacing()
        self._review.prediction = prediction
        self._showDetails()
        if not self._updating:
            self._onSelected(lesion, volume, placeOf(prediction))

    def _showDetails(self) -> None:
        from MammoTrackerLib import scene

        shown, sentence, isMadeUp = self._review.prediction, "", False
        for roi in self._predictions:
            scene.display_of(roi).SetHandlesInteractive(roi is shown)
        if shown is not None:
            lesion = scene.lesion_of(shown)
            sentence = self._table.sentence(lesion)
            isMadeUp = self._table.isMadeUp(lesion, scene.exam_of(shown))
        self._review.show(sentence, self._isSeries, isMadeUp)

    @contextmanager
    def _changing(self, decided=None):
        """Let the module change a result, by what the user decided, then show what it is now."""
        from MammoTrackerLib import scene

        lesion = scene.lesion_of(decided) if decided else None
        with self.updating():
            yield scene
            self._review.showNoPlace()
            self._setOutdated(lesion)
            self._updateTable()
        self._showDetails()
        self._onChanged()
        if decided is not None and decided.GetScene():
            self._onDecided(decided, True)

    def _setOutdated(self, lesion) -> None:
        from MammoTrackerLib import scene

        if lesion is not None and self._isSeries:
            scene.set_outdated(lesion)

    def review(self, review: str) -> None:
        """Keep what the user says of the selected answer, and show it."""
        self._review.decide(review)

    def stopPlacing(self) -> None:
        """Give up the box that is being drawn, if one is."""
        self._review.stopPlacing()

    def _onTransformed(self, _node, _event=None) -> None:
        # An ROI tells of its transform before it knows where that puts it.
        if not self._transformPending:
            self._transformPending = True
            qt.QTimer.singleShot(0, self._showTransformed)

    def _showTransformed(self) -> None:
        """Show what is outdated by a transform that an exam or a box came under, or no longer."""
        self._transformPending = False
        if all(self._pair) and not self.isPlacing and not slicer.mrmlScene.IsImporting():
            self._updateTable()
            self._showDetails()
            self._onChanged()

    def _onMoved(self, prediction, _event=None) -> None:
        from MammoTrackerLib import scene

        if self._updating or self.isPlacing or not scene.is_placed(prediction):
            return
        # A scene that is read tells of moves before its files and its transforms are there.
        if prediction.GetScene().IsImporting():
            return
        with self.updating():
            if scene.review_of(prediction) != "corrected" and not scene.is_as_tracked(prediction):
                scene.set_review(prediction, "corrected")
                self._setOutdated(scene.lesion_of(prediction))
            self.showMoved(scene.lesion_of(prediction))
            self._onChanged()
        self._onDecided(prediction, False)

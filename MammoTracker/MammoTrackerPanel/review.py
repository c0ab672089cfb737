"""One answer: what is said of it, and what the user says, by buttons, by a box, by its places."""

from __future__ import annotations

from .answer import detailsOf, placeOf
from .candidate_list import CandidateList
from .drawn_box import DrawnBox


class Review:
    """Shows the answer that is selected, and lets the user accept, reject, draw or restore it.

    Parameters
    ----------
    ui
        The panel's widgets.
    changing
        Returns the context in which an answer is changed. Called with its ROI where the user has
        decided something by that, else without arguments.
    onPreviewed
        Called without arguments when one of the next best places is shown, or no longer.
    onLooked
        Called with the lesion's ROI, the volume and a `Box` there, or None, when the user is to
        look there.

    Attributes
    ----------
    prediction
        The predicted ROI that is selected, or None.
    """

    def __init__(self, ui, changing, onPreviewed, onLooked) -> None:
        self._ui, self._changing = ui, changing
        self._onPreviewed, self._onLooked = onPreviewed, onLooked
        self.prediction = None
        ui.acceptButton.clicked.connect(lambda: self.decide("accepted"))
        ui.rejectButton.clicked.connect(lambda: self.decide("rejected"))
        ui.restoreButton.clicked.connect(self._onRestore)
        ui.drawButton.clicked.connect(lambda: self._drawing.toggle(self.prediction))
        self._drawing = DrawnBox(ui, changing)
        self._places = CandidateList(ui, self._onPlace, self._onUsePlace)

    @property
    def drawn(self):
        """The predicted ROI whose box the user is drawing, or None."""
        return self._drawing.prediction

    def stopPlacing(self) -> None:
        """Give up the box that is being drawn, if one is."""
        self._drawing.stop()

    def actions(self) -> dict:
        """Return what the keys do with the answer, by the names in `keyboard.KEYS`."""
        ui = self._ui
        return {
            "accept": lambda: ui.acceptButton.click(),
            "reject": lambda: ui.rejectButton.click(),
            "nextCandidate": self._places.selectNext,
            "useCandidate": lambda: ui.useCandidateButton.click(),
        }

    def showNoPlace(self) -> None:
        """Preview none of the next best places."""
        self._places.deselect()

    def show(self, sentence: str, isSeries: bool, isMadeUp: bool) -> None:
        """Show what there is to say about the answer; the rest is as in `detailsOf`."""
        from MammoTrackerLib import scene

        ui, prediction = self._ui, self.prediction
        # Before the buttons: when one is disabled, the list may get its focus, and selects a place.
        self._places.show(prediction)
        for button in (ui.acceptButton, ui.rejectButton, ui.restoreButton, ui.drawButton):
            button.enabled = prediction is not None
        if prediction is None:
            ui.reasonLabel.text = ""
            return
        ui.reasonLabel.text = detailsOf(prediction, sentence, isSeries, isMadeUp)
        placed, review = scene.is_placed(prediction), scene.review_of(prediction)
        # Not disabled where pressed: the focus would go to the next one, and keys say the contrary.
        ui.acceptButton.enabled = placed
        ui.restoreButton.enabled = review != ""

    def decide(self, review: str) -> None:
        """Keep what the user says of the answer, and show it."""
        self.stopPlacing()
        if self.prediction is None:
            return
        with self._changing(self.prediction) as scene:
            # The user's own box stays a correction of the tracker's, whoever counts these.
            if review == "accepted" and not scene.is_as_tracked(self.prediction):
                review = "corrected"
            scene.set_review(self.prediction, review)

    def _onRestore(self) -> None:
        self.stopPlacing()
        with self._changing(self.prediction) as scene:
            scene.restore_prediction(self.prediction)
        self._look()

    def _onUsePlace(self, index: int) -> None:
        self.stopPlacing()
        with self._changing(self.prediction) as scene:
            scene.use_candidate(self.prediction, index)
        self._look()

    def _look(self) -> None:
        from MammoTrackerLib import scene

        if self.prediction:
            lesion, volume = scene.lesion_of(self.prediction), scene.exam_of(self.prediction)
            self._onLooked(lesion, volume, placeOf(self.prediction))

    def _onPlace(self, box) -> None:
        """Look at a place that is previewed, or no longer."""
        from MammoTrackerLib import scene

        self._onPreviewed()
        if box and self.prediction:
            self._onLooked(scene.lesion_of(self.prediction), scene.exam_of(self.prediction), box)

"""What a reader says about a case of a reading list: kept at once, each lesion by itself."""

from __future__ import annotations

import qt
import slicer
from slicer.i18n import tr as _

from .plain_text import plain

DRAGGED_MS = 300
"""So long after its last move, the box of a lesion is kept."""


class CaseDecisions:
    """Keeps decisions and comments about the lesions of a case.

    Parameters
    ----------
    ui
        The panel's widgets.
    results
        The part of the panel that shows answers, where most of them are decided.
    onWritten
        Called with an item of which something was written.
    onDone
        Called with an item that needs nothing more from the reader.

    Attributes
    ----------
    item
        What is selected, which the buttons and the comment are about, or None.
    """

    def __init__(self, ui, results, onWritten, onDone) -> None:
        self._ui, self._results = ui, results
        self._onWritten, self._onDone = onWritten, onDone
        self._list = self._view = self._dragged = self.item = None
        self._timer = qt.QTimer()
        self._timer.interval = DRAGGED_MS
        self._timer.timeout.connect(self._keepDragged)
        ui.notThereButton.clicked.connect(lambda: self._say("not there"))
        ui.cannotTellButton.clicked.connect(lambda: self._say("cannot tell"))
        ui.commentLineEdit.editingFinished.connect(self._keepComment)
        ui.commentLineEdit.returnPressed.connect(lambda: ui.commentLineEdit.clearFocus())

    def about(self, readingList, view) -> None:
        """Keep decisions in a `ReadingList` about the case of a `CaseView`; either may be None."""
        self._list, self._view, self.item = readingList, view, None

    def select(self, item) -> None:
        """Show the comment about an item, or none, which the next decision may be about."""
        self.item = item
        self._ui.commentLineEdit.text = self._list.decision_of(item)[2] if item else ""

    def keep(self) -> None:
        """Keep now what would be kept soon."""
        self._keepDragged()
        self._keepComment()

    def onDecided(self, prediction, isFinal: bool) -> None:
        """Keep what was said of an answer, if it is one of the case; a dragged box soon.

        As `ResultList` tells it.
        """
        from MammoTrackerLib import scene

        volume = scene.exam_of(prediction)
        item = self._view.itemOf(scene.lesion_of(prediction), volume) if self._view else None
        if item is None:
            return
        if not isFinal:
            if scene.review_of(prediction) == "corrected":
                self._dragged = item
                self._timer.start()
            return
        self._dragged = None
        self._timer.stop()
        self._keepComment()
        self._keep(item)
        if scene.review_of(prediction):
            self._onDone(item)

    def _keepDragged(self) -> None:
        self._timer.stop()
        item, self._dragged = self._dragged, None
        if item is not None and self._view:
            self._keep(item)

    def _say(self, decision: str) -> None:
        """Decide what no other button does."""
        item = self.item
        if item is None:
            return
        self._results.stopPlacing()
        prediction = self._view.predictionOf(item) if self._view else None
        if prediction is not None:
            self._results.select(prediction)
        if prediction is not None and self._results.selected is prediction:
            self._results.review(decision)
        else:
            self._keepComment()
            self._write(item, lambda: self._list.decide(item, decision))
            self._onDone(item)

    def _keep(self, item) -> None:
        """Write what its prediction says about an item."""
        from MammoTrackerLib import MammoTrackerError, scene

        prediction = self._view.predictionOf(item)
        if prediction is None:
            return
        review = scene.review_of(prediction)

        def decide() -> None:
            if not review:
                self._list.undecide(item)
                return
            box, decision = None, review
            if review in ("accepted", "corrected"):
                box = scene.box_if_placed(prediction)
                if box is None:
                    raise MammoTrackerError(_("The box is off the image: move it onto the lesion."))
                decision = "accepted" if scene.is_as_tracked(prediction) else "corrected"
            score = f"{scene.score_of(prediction):.4f}"
            self._list.decide(item, decision, box, (scene.status_of(prediction), score))

        self._write(item, decide)

    def _write(self, item, write) -> None:
        """Change the decision about an item on the disk, and show it."""
        from MammoTrackerLib import MammoTrackerError

        try:
            write()
        except MammoTrackerError as error:
            slicer.util.errorDisplay(plain(str(error)))
        self._onWritten(item)

    def _keepComment(self) -> None:
        item, text = self.item, self._ui.commentLineEdit.text
        if item is not None and text.strip() != self._list.decision_of(item)[2]:
            self._write(item, lambda: self._list.comment(item, text))

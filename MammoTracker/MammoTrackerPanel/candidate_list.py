"""The panel's list of the next best places of an answer: previewed, and taken."""

from __future__ import annotations

from slicer.i18n import tr as _


class CandidateList:
    """Lists where else a lesion may be.

    Parameters
    ----------
    ui
        The panel's widgets.
    onPreviewed
        Called with the `Box` of the place that is previewed, or None when none is any more.
    onUsed
        Called with the index of the candidate that the user takes.
    """

    def __init__(self, ui, onPreviewed, onUsed) -> None:
        self._ui = ui
        self._onPreviewed = onPreviewed
        self._prediction = None
        self._listed = None, []
        ui.candidatesList.currentRowChanged.connect(self._onRowChanged)
        ui.useCandidateButton.clicked.connect(lambda: onUsed(ui.candidatesList.currentRow + 1))

    def show(self, prediction) -> None:
        """List the next best places of a prediction, or of none; keep the one that is selected."""
        from MammoTrackerLib import scene

        if prediction is not self._prediction:
            self.deselect()
        self._prediction = prediction
        texts = []
        for candidate in scene.candidates_of(prediction)[1:] if prediction else ():
            text = _("{number}. score {score:.2f}").format(
                number=len(texts) + 2, score=candidate.score
            )
            place = scene.center_mm(candidate.box, scene.exam_of(prediction))
            if place is not None:
                text += _(", at {x:.0f}, {y:.0f} mm").format(x=place[0], y=place[1])
            texts.append(text)
        if (prediction, texts) != self._listed:
            self._listed = prediction, texts
            self._ui.candidatesList.clear()
            self._ui.candidatesList.addItems(texts)
        self._ui.useCandidateButton.enabled = self._ui.candidatesList.currentRow >= 0

    def deselect(self) -> None:
        """Preview no place."""
        self._ui.candidatesList.currentRow = -1

    def selectNext(self) -> None:
        """Preview the next place; after the last, none."""
        view = self._ui.candidatesList
        view.currentRow = view.currentRow + 1 if view.currentRow + 1 < view.count else -1

    def _onRowChanged(self, row: int) -> None:
        from MammoTrackerLib import scene

        if self._prediction is None or self._prediction.GetScene() is None:
            return
        self._ui.useCandidateButton.enabled = row >= 0
        scene.preview_candidate(self._prediction, row + 1 if row >= 0 else None)
        self._onPreviewed(scene.candidates_of(self._prediction)[row + 1].box if row >= 0 else None)

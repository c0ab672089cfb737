"""The box of an answer that the user draws, or gives up drawing."""

from __future__ import annotations

import slicer


class DrawnBox:
    """Lets the user draw where a lesion is; given up, all is as it was.

    Parameters
    ----------
    ui, changing
        As `Review` takes them.

    Attributes
    ----------
    prediction
        The ROI of the answer whose box is being drawn, or None.
    """

    def __init__(self, ui, changing) -> None:
        self._ui, self._changing = ui, changing
        self._before = None, ""
        self.prediction = None
        single = slicer.qSlicerMarkupsPlaceWidget.ForcePlaceSingleMarkup
        ui.resultPlaceWidget.placeMultipleMarkups = single
        ui.resultPlaceWidget.connect(
            "activeMarkupsPlaceModeChanged(bool)", self._onPlaceModeChanged
        )

    def toggle(self, prediction) -> None:
        """Let the user draw the box of an answer, or give up the one that is being drawn."""
        if self.prediction:
            self.stop()
            return
        self.prediction = prediction
        with self._changing() as scene:
            self._before = scene.box_if_placed(prediction), scene.review_of(prediction)
            scene.unplace(prediction)
        self._ui.resultPlaceWidget.setCurrentNode(prediction)
        self._ui.resultPlaceWidget.placeModeEnabled = True
        self._ui.drawButton.checked = True

    def stop(self) -> None:
        """Give up the box that is being drawn, if one is."""
        if self.prediction:
            self._ui.resultPlaceWidget.placeModeEnabled = False
            self._onPlaceModeChanged(False)  # where the widget has lost its scene, it says nothing

    def _onPlaceModeChanged(self, enabled: bool) -> None:
        if enabled or not self.prediction:
            return
        drawn, self.prediction = self.prediction, None
        self._ui.drawButton.checked = False
        if drawn.GetScene() is None:
            return
        from MammoTrackerLib import scene

        isDrawn = scene.is_placed(drawn)
        with self._changing(drawn if isDrawn else None):
            if isDrawn:
                scene.set_review(drawn, "corrected")
                return
            box, review = self._before
            scene.unplace(drawn)
            if box:
                scene.place_roi(drawn, scene.exam_of(drawn), box)
            scene.set_review(drawn, review)

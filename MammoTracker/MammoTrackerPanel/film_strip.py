"""The film strip: a lesion on every exam, side by side, in one scale and orientation."""

from __future__ import annotations

import numpy as np
import qt
import slicer

from .answer import answerOf
from .picture import png
from .plain_text import plain

TAG = "MammoTrackerFilmStrip"
"""Of the element of a layout that shows it."""
SMALLEST_PX, LARGEST_PX = 90, 220
AROUND_PX = 22, 88
"""Of the strip, beside and above each picture: its button, and the text."""
LESION_SHARE = 0.4
LEAST_MM = 20.0


class FilmStrip:
    """Pictures of a lesion, to be clicked, in a view of the layout.

    Parameters
    ----------
    onChosen
        Called with the volume whose picture was clicked.
    """

    def __init__(self, onChosen) -> None:
        self._onChosen = onChosen
        self._volumes, self._selected = [], None
        self._drawn = {}
        self.buttons = []
        self._area = qt.QScrollArea()
        self._area.objectName = TAG
        self._area.widgetResizable = True
        row = qt.QWidget()
        self._row = qt.QHBoxLayout(row)
        self._row.addStretch(1)
        self._area.setWidget(row)
        # New pictures get their places only when this has told of the room for them.
        self._area.horizontalScrollBar().rangeChanged.connect(
            lambda _low, _high: qt.QTimer.singleShot(0, self._scroll)
        )
        # A layout keeps one factory a tag, also when the module is loaded anew.
        factory = getattr(slicer.modules, "mammoTrackerFilmStripFactory", None)
        if factory is None:
            factory = slicer.qSlicerSingletonViewFactory()
            factory.setTagName(TAG)
            if slicer.app.layoutManager():  # there is none without a main window
                slicer.app.layoutManager().registerViewFactory(factory)
            slicer.modules.mammoTrackerFilmStripFactory = factory
        factory.setWidget(self._area)

    def show(self, lesion, volumes: list, titles: list[str]) -> None:
        """Draw a lesion on all exams, or clear the strip if there is none."""
        from MammoTrackerLib import scene

        volumes = volumes if lesion else []
        self._fit(len(volumes))
        self._volumes = volumes
        if not volumes:
            return
        answers, known = scene.answers_of(lesion), scene.known_of(lesion, volumes)
        rois = [answers.get(volume.GetID()) for volume in volumes]
        boxes = [scene.box_or_guess(roi) if roi else None for roi in rois]
        side, px = _sideMm(volumes, boxes), self._sidePx(len(volumes))
        marked = scene.exam_of(lesion)
        color = scene.display_of(lesion).GetSelectedColor()
        for number, (button, volume, roi, box) in enumerate(
            zip(self.buttons, volumes, rois, boxes, strict=True)
        ):
            text, reason = answerOf(roi, known, number)
            # Of as many lines each, or pictures are not at one height.
            button.text = f"{titles[number]}\n{text}" + "\n" * ("\n" not in text)
            button.toolTip = plain(reason)
            turn = scene.turn_to_lie_as(volume, marked)
            isFramed = roi is not None and scene.box_if_placed(roi) is not None
            isFramed = isFramed and scene.review_of(roi) not in scene.ABSENT
            # The same picture is not drawn again: while one box is dragged, the others stay.
            parts = volume.GetImageData(), volume.GetDisplayNode()
            times = [part.GetMTime() if part else 0 for part in parts]
            place = box.as_tuple() if box else None
            key = volume.GetID(), *times, place, side, px, turn, isFramed, color
            if self._drawn.get(number) != key:
                self._drawn[number] = key
                picture = _picture(volume, box, side, px, turn, color if isFramed else None)
                button.iconSize = qt.QSize(px, px)
                button.icon = qt.QIcon(picture)

    def select(self, volume) -> None:
        """Mark the picture of the exam that is shown beside the marked one."""
        self._selected = volume
        for button, own in zip(self.buttons, self._volumes, strict=True):
            button.checked = own is volume
        self._scroll()

    def _scroll(self) -> None:
        """Bring the marked picture into sight."""
        for button in self.buttons:
            if button.checked:
                self._area.ensureWidgetVisible(button)

    def _sidePx(self, count: int) -> int:
        """Return how large the pictures are, so that all are seen, if that is enough."""
        beside, above = AROUND_PX
        view = self._area.viewport()
        side = min(view.width // max(count, 1) - beside, view.height - above)
        return int(np.clip(side, SMALLEST_PX, LARGEST_PX))

    def _fit(self, count: int) -> None:
        """Have so many buttons."""
        while len(self.buttons) > count:
            button = self.buttons.pop()
            self._drawn.pop(len(self.buttons), None)
            self._row.removeWidget(button)
            button.deleteLater()
        while len(self.buttons) < count:
            button = qt.QToolButton()
            button.toolButtonStyle = qt.Qt.ToolButtonTextUnderIcon
            button.checkable = True
            button.autoRaise = True
            index = len(self.buttons)
            button.clicked.connect(lambda _checked=False, index=index: self._onClicked(index))
            self._row.insertWidget(index, button)
            self.buttons.append(button)

    def _onClicked(self, index: int) -> None:
        self._onChosen(self._volumes[index])
        self.select(self._selected)  # which the click may have changed, or not


def _sideMm(volumes: list, boxes: list) -> float:
    """Return how wide the field of all pictures is."""
    longest = [
        box.longest_side(_spacing(volume))
        for volume, box in zip(volumes, boxes, strict=True)
        if box is not None
    ]
    return max([*(side / LESION_SHARE for side in longest), LEAST_MM])


def _spacing(volume) -> tuple[float, float]:
    from MammoTrackerLib import scene

    return scene.header_of(volume).spacing or (1.0, 1.0)


def _picture(volume, box, sideMm: float, sidePx: int, turn, color):
    """Return a pixmap of the field around a box, framed in a colour if one is given."""
    from MammoTrackerLib import scene
    from MammoTrackerLib.orientation import turned_size

    pixels = np.zeros((sidePx, sidePx, 3), np.uint8)
    if box is not None:
        pixels += scene.crop_around(volume, box, sideMm, sidePx, turn)[..., np.newaxis]
        if color is not None:
            size = box.scaled(*_spacing(volume))
            sides = turned_size(np.array([size.width, size.height]), turn)
            _frame(pixels, *sides / sideMm, color)
    pixmap = qt.QPixmap()
    pixmap.loadFromData(png(pixels[::-1]), "PNG")
    return pixmap


def _frame(pixels: np.ndarray, width: float, height: float, color) -> None:
    """Draw a box of this share of the picture in its middle."""
    middle = len(pixels) / 2
    x0, x1 = (round(middle + sign * width * len(pixels) / 2) for sign in (-1, 1))
    y0, y1 = (round(middle + sign * height * len(pixels) / 2) for sign in (-1, 1))
    inside = np.zeros(pixels.shape[:2], bool)
    inside[max(y0 - 2, 0) : y1 + 2, max(x0 - 2, 0) : x1 + 2] = True
    inside[max(y0, 0) : y1, max(x0, 0) : x1] = False
    pixels[inside] = [round(255 * part) for part in color]

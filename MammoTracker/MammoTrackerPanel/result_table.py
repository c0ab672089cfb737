"""The table of results: a row for each lesion, its change, and a cell for each exam."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

LESION, CHANGE, FIRST_EXAM = 0, 1, 2
SIGNS = {"growth": "▲ ", "shrinkage": "▼ "}


class ResultTable:
    """Shows for lesions by exams what is known, and tells which cell is selected.

    Parameters
    ----------
    widget
        A QTableWidget.
    onSelected
        Called with the lesion, and the volume of the exam or None where the cell is about all
        exams, when another cell was selected.
    """

    def __init__(self, widget, onSelected) -> None:
        self._widget = widget
        self._onSelected = onSelected
        self._lesions, self._volumes = [], []
        self._isFilling = False
        widget.horizontalScrollMode = qt.QAbstractItemView.ScrollPerPixel
        widget.verticalHeader().visible = False
        widget.horizontalHeader().minimumSectionSize = 40
        widget.itemSelectionChanged.connect(self._onSelectionChanged)

    def fill(self, lesions: list, volumes: list, titles: list[str]) -> None:
        """Show what is known about the lesions; the selected cell stays selected."""
        isOther = (lesions, volumes) != (self._lesions, self._volumes)
        self._lesions, self._volumes = lesions, volumes
        widget = self._widget
        self._isFilling = True
        if isOther:
            widget.clearSelection()
        widget.rowCount = len(lesions)
        widget.columnCount = FIRST_EXAM + len(volumes)
        widget.setHorizontalHeaderLabels([_("Lesion"), _("Change"), *titles])
        for row, lesion in enumerate(lesions):
            self._put(row, LESION, lesion.GetName(), "")
            self._put(row, CHANGE, *changeOf(lesion, volumes))
            for column, volume in enumerate(volumes, FIRST_EXAM):
                self._put(row, column, *answerOn(lesion, volume))
        widget.resizeColumnsToContents()
        widget.resizeRowsToContents()
        self._isFilling = False

    def _put(self, row: int, column: int, text: str, toolTip: str) -> None:
        item = self._widget.item(row, column)
        if item is None:
            item = qt.QTableWidgetItem()
            item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
            self._widget.setItem(row, column, item)
        if item.text() != text:
            item.setText(text)
        item.setToolTip(toolTip)

    def select(self, lesion, volume) -> None:
        """Select the cell of a lesion on an exam, as a click on it does."""
        if lesion in self._lesions and volume in self._volumes:
            column = FIRST_EXAM + self._volumes.index(volume)
            self._widget.setCurrentCell(self._lesions.index(lesion), column)

    def move(self, lesions: int, exams: int) -> None:
        """Select the cell so many lesions and exams further; marked ones are no stop."""
        from MammoTrackerLib import scene

        if not self._lesions:
            return
        items = self._widget.selectedItems()
        isFirst = len(items) != 1
        row, column = (0, -1) if isFirst else (items[0].row(), items[0].column())
        row = max(0, min(row + (0 if isFirst else lesions), len(self._lesions) - 1))
        lesion = self._lesions[row]
        stops = [v for v in self._volumes if v is not scene.exam_of(lesion)]
        columns = [FIRST_EXAM + self._volumes.index(volume) for volume in stops]
        if isFirst:
            column = columns[-1 if exams < 0 else 0]
        elif exams > 0:
            column = next((c for c in columns if c > column), columns[-1])
        elif exams < 0:
            column = next((c for c in columns[::-1] if c < column), columns[0])
        elif column not in columns:
            column = min(columns, key=lambda c: abs(c - column))
        self._widget.setCurrentCell(row, column)

    def deselect(self) -> None:
        """Select nothing."""
        self._isFilling = True
        self._widget.clearSelection()
        # Else a click on the same cell would be no change of it.
        self._widget.setCurrentCell(-1, -1)
        self._isFilling = False

    def _onSelectionChanged(self) -> None:
        items = self._widget.selectedItems()
        if self._isFilling or len(items) != 1:
            return
        row, column = items[0].row(), items[0].column()
        volume = self._volumes[column - FIRST_EXAM] if column >= FIRST_EXAM else None
        self._onSelected(self._lesions[row], volume)


def answerOn(lesion, volume) -> tuple[str, str]:
    """Return in short what is known about a lesion on an exam, and the reason."""
    from MammoTrackerLib import scene

    if volume is scene.exam_of(lesion):
        return "\n".join(filter(None, (_("marked"), sizeOf(lesion)))), _("Marked here.")
    roi = scene.prediction_of(lesion, volume)
    if roi is None:
        return "", ""
    short = {"kept from registration": _("registered")}
    status = scene.review_of(roi) or scene.status_of(roi)
    text = _(short.get(status, status))
    if scene.review_of(roi) == "rejected":
        return text, scene.reason_of(roi)
    return "\n".join(filter(None, (text, sizeOf(roi)))), scene.reason_of(roi)


def sizeOf(roi) -> str:
    """Return the longest side of an ROI in mm, or nothing if it has no place."""
    from MammoTrackerLib import scene

    box, spacing = scene.box_if_placed(roi), scene.header_of(scene.exam_of(roi)).spacing
    if box is None or spacing is None:
        return ""
    return f"{box.longest_side(spacing):.1f} mm"


def changeOf(lesion, volumes: list) -> tuple[str, str]:
    """Return in short what became of a lesion over all exams, and a sentence on it."""
    from MammoTrackerLib import scene

    known = scene.growth_of(lesion, volumes)
    change = known[1].overall if known else None
    texts, sentences = [], []
    if change is not None:
        texts += [f"{change.mm:+.1f} mm", f"{SIGNS.get(change.verdict, '')}{change.percent:+.0f} %"]
        low, high = change.percent_low, change.percent_high
        parts = [change.verdict, f"{change.percent:+.0f} % (95 %: {low:+.0f} to {high:+.0f} %)"]
        if change.years is not None:
            parts.append(_("in {years:.1f} years").format(years=change.years))
        if change.doubling_days is not None:
            parts.append(_("volume doubles in {n:.0f} days").format(n=change.doubling_days))
        sentence = ", ".join(parts) + "."
        sentences.append(sentence[0].upper() + sentence[1:])
    for text, sentence in presenceOf(lesion, volumes) if len(volumes) > 2 else ():
        texts.append(text)
        sentences.append(sentence)
    return "\n".join(texts), " ".join(sentences)


def presenceOf(lesion, volumes: list) -> list[tuple[str, str]]:
    """Return in short, and in a sentence, that a lesion came or went, where it did."""
    from MammoTrackerLib import scene

    known = scene.history_of(lesion, volumes)
    if known is None:
        return []
    numbers, history = known
    titles, found = scene.exam_titles(volumes), []
    if history.new:
        first, chance = history.new
        where = titles[numbers[first]]
        sentence = _("New on {exam}: not there before (probability {chance:.0f} %).")
        found.append(
            (_("new {exam}").format(exam=where), sentence.format(exam=where, chance=100 * chance))
        )
    if history.gone:
        last, chance = history.gone
        where = titles[numbers[last]]
        sentence = _("Gone on {exam} (probability {chance:.0f} %).")
        found.append(
            (_("gone {exam}").format(exam=where), sentence.format(exam=where, chance=100 * chance))
        )
    return found

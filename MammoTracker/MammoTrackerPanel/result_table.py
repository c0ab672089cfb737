"""The table of results: a row for each lesion, its change, and a cell for each exam."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from .answer import answerOf, changeOf
from .plain_text import plain

CHANGE, FIRST_EXAM = 0, 1
LONGEST_NAME_PX = 140


class ResultTable:
    """Shows for lesions by exams what is known, and tells which cell is selected.

    Names are in the vertical header, so that they stay in sight beside many exams.

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
        self._titles, self._known = [], {}
        self._isFilling = False
        widget.horizontalScrollMode = qt.QAbstractItemView.ScrollPerPixel
        widget.verticalHeader().maximumWidth = LONGEST_NAME_PX
        widget.verticalHeader().textElideMode = qt.Qt.ElideRight
        widget.verticalHeader().sectionClicked.connect(self._onNameClicked)
        widget.horizontalHeader().minimumSectionSize = 40
        widget.itemSelectionChanged.connect(self._onSelectionChanged)

    def fill(self, lesions: list, volumes: list, titles: list[str], known: dict) -> None:
        """Show what is known about the lesions; the selected cell stays selected.

        `known` is what `scene.known_lesions` returns of them on these exams.
        """
        isOther = (lesions, volumes) != (self._lesions, self._volumes)
        self._lesions, self._volumes = lesions, volumes
        widget = self._widget
        self._isFilling = True
        if isOther:
            widget.clearSelection()
        widget.rowCount = len(lesions)
        widget.columnCount = FIRST_EXAM + len(volumes)
        widget.setHorizontalHeaderLabels([_("Change"), *titles])
        widget.setVerticalHeaderLabels([lesion.GetName() for lesion in lesions])
        self._titles, self._known = titles, {}
        for row, lesion in enumerate(lesions):
            widget.verticalHeaderItem(row).setToolTip(plain(lesion.GetName()))
            self._fillRow(lesion, *known[lesion])
        widget.resizeColumnsToContents()
        widget.resizeRowsToContents()
        self._isFilling = False

    def update(self, lesion) -> None:
        """Show what is known now about one of the lesions."""
        from MammoTrackerLib import scene

        if lesion in self._lesions:
            self._isFilling = True
            self._fillRow(lesion, *scene.known_lesions([lesion], self._volumes)[lesion])
            self._widget.resizeColumnsToContents()
            self._widget.resizeRowsToContents()
            self._isFilling = False

    def _fillRow(self, lesion, answers: dict, known) -> None:
        row = self._lesions.index(lesion)
        self._known[lesion] = known
        self._put(row, CHANGE, *changeOf(known, self._titles))
        for number, volume in enumerate(self._volumes):
            answer = answerOf(answers.get(volume.GetID()), known, number)
            self._put(row, FIRST_EXAM + number, *answer)

    def _put(self, row: int, column: int, text: str, toolTip: str) -> None:
        item = self._widget.item(row, column)
        if item is None:
            item = qt.QTableWidgetItem()
            item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
            self._widget.setItem(row, column, item)
        if item.text() != text:
            item.setText(text)
        item.setToolTip(plain(toolTip))

    def sentence(self, lesion) -> str:
        """Return what became of a lesion, in a sentence."""
        return changeOf(self._known.get(lesion), self._titles)[1]

    def isMadeUp(self, lesion, volume) -> bool:
        """Whether a lesion's size on an exam comes from a point, beside others that do not."""
        known = self._known.get(lesion)
        return known is not None and self._volumes.index(volume) in known.made_up

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

    def _onNameClicked(self, row: int) -> None:
        self._widget.setCurrentCell(row, CHANGE)

    def _onSelectionChanged(self) -> None:
        items = self._widget.selectedItems()
        if self._isFilling or len(items) != 1:
            return
        row, column = items[0].row(), items[0].column()
        volume = self._volumes[column - FIRST_EXAM] if column >= FIRST_EXAM else None
        self._onSelected(self._lesions[row], volume)

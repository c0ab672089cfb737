"""The table of a reading list: a row for each lesion, filled where it is seen, chosen columns."""

from __future__ import annotations

from collections.abc import Callable

import qt
import slicer
from slicer.i18n import tr as _

from .plain_text import plain

SHOWN = ("case", "lesion", "status", "probability", "decision")
"""The columns that are shown until the user chooses others."""
BESIDE_PX = 6
"""Of a row, above and below its text."""
_SETTING = "MammoTracker/ReadingListColumns"
_AT_FIRST = 40
"""So many rows are filled where the table has no size yet."""


class CaseTable:
    """Shows what there is to decide, and tells which row is clicked.

    Tens of thousands of rows cost little, since only those that come into sight are filled.

    Parameters
    ----------
    widget
        A QTableWidget.
    button
        A QPushButton that opens the menu of columns.
    onChosen
        Called with an item whose row was selected.
    """

    def __init__(self, widget, button, onChosen: Callable) -> None:
        self._widget, self._onChosen = widget, onChosen
        self._list = None
        self._items, self._rows = [], {}
        self._filled = set()
        self._isFilling = False
        self._titles = {
            "case": _("Case"),
            "lesion": _("Lesion"),
            "exam": _("Exam"),
            "type": _("Type"),
            "status": _("Status"),
            "probability": _("Probability"),
            "decision": _("Decision"),
            "comment": _("Comment"),
        }
        widget.columnCount = len(self._titles)
        widget.setHorizontalHeaderLabels(list(self._titles.values()))
        widget.horizontalScrollMode = qt.QAbstractItemView.ScrollPerPixel
        widget.verticalHeader().visible = False
        widget.horizontalHeader().minimumSectionSize = 40
        widget.verticalHeader().defaultSectionSize = widget.fontMetrics().height() + BESIDE_PX
        widget.wordWrap = False
        widget.itemSelectionChanged.connect(self._onSelectionChanged)
        widget.verticalScrollBar().valueChanged.connect(lambda _value: self._fillSeen())
        widget.verticalScrollBar().rangeChanged.connect(lambda _low, _high: self._fillSeen())
        self._menu = self._makeMenu(button)

    def _makeMenu(self, button):
        stored = slicer.app.userSettings().value(_SETTING)
        names = {stored} if isinstance(stored, str) else set(stored or SHOWN)
        shown = names & set(self._titles) or set(SHOWN)
        menu = qt.QMenu(button)
        self._actions = {}
        for column, (name, title) in enumerate(self._titles.items()):
            action = menu.addAction(title)
            action.checkable = True
            action.checked = name in shown
            action.toggled.connect(lambda _checked: self._onColumnsChosen())
            self._actions[name] = action
            self._widget.setColumnHidden(column, name not in shown)
        button.setMenu(menu)
        return menu

    def _onColumnsChosen(self) -> None:
        shown = [name for name, action in self._actions.items() if action.checked]
        for column, name in enumerate(self._titles):
            self._widget.setColumnHidden(column, name not in shown)
        self._fit()
        if not self._isFilling:
            slicer.app.userSettings().setValue(_SETTING, shown)

    def showColumn(self, name: str) -> None:
        """Show a column for now, without which the rows cannot be told apart."""
        self._isFilling = True
        self._actions[name].checked = True
        self._isFilling = False

    def show(self, items: list, readingList) -> None:
        """List these items of a `ReadingList`."""
        self._items, self._list = items, readingList
        self._rows = {id(item): row for row, item in enumerate(items)}
        self._filled.clear()
        self._isFilling = True
        self._widget.clearSelection()
        self._widget.rowCount = 0
        self._widget.rowCount = len(items)
        self._isFilling = False
        self._fillSeen()
        self._fit()

    def update(self, item) -> None:
        """Show what is known now about an item."""
        row = self._rows.get(id(item))
        if row in self._filled:
            self._filled.discard(row)
            self._fill(row)
            self._fit()

    def select(self, item) -> None:
        """Select an item's row, if it is listed, and bring it into sight."""
        row = self._rows.get(id(item))
        self._isFilling = True
        if row is None:
            self._widget.clearSelection()
            self._widget.setCurrentCell(-1, -1)
        else:
            self._fill(row)
            self._widget.setCurrentCell(row, 0)
            self._widget.scrollToItem(self._widget.item(row, 0))
        self._isFilling = False
        self._fillSeen()

    def _fit(self) -> None:
        """Make the columns as wide as what is in sight, and the last one as wide as it can be."""
        self._widget.resizeColumnsToContents()
        # Qt forgets about it when it has resized columns beside hidden ones.
        for isStretched in (False, True):
            self._widget.horizontalHeader().stretchLastSection = isStretched

    def _fillSeen(self) -> None:
        """Fill the rows that are in sight."""
        if self._isFilling or not self._items:
            return
        first = max(self._widget.rowAt(0), 0)
        last = self._widget.rowAt(self._widget.viewport().height)
        last = last if last >= 0 else min(first + _AT_FIRST, len(self._items) - 1)
        for row in range(first, last + 1):
            self._fill(row)

    def _fill(self, row: int) -> None:
        if row in self._filled:
            return
        self._filled.add(row)
        before, self._isFilling = self._isFilling, True
        texts = _texts(self._items[row], self._list)
        for column, name in enumerate(self._titles):
            item = qt.QTableWidgetItem(texts[name])
            item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
            item.setToolTip(plain(texts[name]))
            self._widget.setItem(row, column, item)
        self._isFilling = before

    def _onSelectionChanged(self) -> None:
        rows = self._widget.selectionModel().selectedRows()
        if not self._isFilling and len(rows) == 1:
            self._onChosen(self._items[rows[0].row()])


def _texts(item, readingList) -> dict[str, str]:
    """Return what the table says of an item, by column."""
    from MammoTrackerLib.track import as_decimals

    decision, _box, comment = readingList.decision_of(item)
    return {
        "case": item.case.name,
        "lesion": item.lesion_id,
        "exam": f"{item.marked + 1} > {item.exam + 1}",
        "type": item.lesion_type,
        "status": _(item.status),
        "probability": as_decimals(item.score) if item.score is not None else "",
        "decision": _(decision),
        "comment": comment,
    }

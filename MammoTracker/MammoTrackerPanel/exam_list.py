"""The panel's list of all exams of one breast in one view, with a check box each."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

MOST_ROWS = 6
LEAST_EXAMS = 2


class ExamList:
    """Shows exams by date, where there are more than two, and lets the user choose among them.

    Parameters
    ----------
    ui
        The panel's widgets.
    onChosen
        Called with a volume, and whether it is chosen now, when the user checked it or not.
    """

    def __init__(self, ui, onChosen) -> None:
        self._ui = ui
        self._onChosen = onChosen
        self._volumes = []
        self._listed = None
        self._filling = False
        ui.examsList.itemChanged.connect(self._onItemChanged)

    def show(self, volumes: list, chosen: list) -> None:
        """List the exams, and check those that are chosen; a pair alone needs no list."""
        from MammoTrackerLib import scene

        view = self._ui.examsList
        view.visible = len(volumes) > 2
        chosen = [volume for volume in volumes if volume in chosen]  # a pair may be swapped
        titles = dict(zip(chosen, scene.exam_titles(chosen), strict=True)) if volumes else {}
        listed = []
        for volume in volumes:
            number = chosen.index(volume) + 1 if volume in chosen else None
            isNeeded = number is not None and len(chosen) <= LEAST_EXAMS
            text = _text(volume, number, titles.get(volume))
            listed.append((text, number is not None, isNeeded))
        self._volumes = volumes
        if listed == self._listed:
            return
        self._listed, self._filling = listed, True
        view.clear()
        for text, isChosen, isNeeded in listed:
            item = qt.QListWidgetItem(text)
            item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable)
            if isNeeded:
                item.setFlags(qt.Qt.ItemIsUserCheckable)
                item.setToolTip(_("Two exams are the least: check another one first."))
            item.setCheckState(qt.Qt.Checked if isChosen else qt.Qt.Unchecked)
            view.addItem(item)
        self._filling = False
        rows = min(len(listed), MOST_ROWS)
        view.minimumHeight = rows * max(view.sizeHintForRow(0), 16) + 6
        view.maximumHeight = view.minimumHeight

    def _onItemChanged(self, item) -> None:
        if not self._filling:
            self._listed = None  # what is checked follows from what the exams are then
            volume = self._volumes[self._ui.examsList.row(item)]
            self._onChosen(volume, item.checkState() == qt.Qt.Checked)


def _text(volume, number: int | None, title: str | None) -> str:
    """Return what is listed of a volume: its number among those chosen, its date, its name.

    The name comes last, as it may be cut off.
    """
    from MammoTrackerLib import scene
    from MammoTrackerLib.pair import special

    header = scene.header_of(volume)
    date = header.date.isoformat() if header.date else ""
    # In a scene without its files, the time since the first exam may be known.
    if not date:
        date = title if title and title.endswith("y") else _("no date")
    start = f"{number}.  " if number else ""
    return start + "   ".join([date, *special(header), volume.GetName()])

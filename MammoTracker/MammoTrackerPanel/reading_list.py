"""The panel's reading list: cases of a batch, opened one after another, and what is decided."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from .case_decisions import CaseDecisions
from .case_reader import CaseReader
from .case_table import CaseTable
from .case_view import CaseView

SEEN_MS = 400
"""So long a case stays after its last decision."""


class ReadingList:
    """Opens cases of a manifest with their results, and keeps what the reader says of each lesion.

    Parameters
    ----------
    ui
        The panel's widgets.
    exams, lesions, results, views
        Other parts of the panel, which show the case and its lesions.
    """

    def __init__(self, ui, exams, lesions, results, views) -> None:
        self._ui = ui
        self._exams, self._lesions, self._results, self._views = exams, lesions, results, views
        self._list = self._case = self._view = None
        self._cases, self._names, self._past = [], {}, []
        self._awaited, self._remark = None, ""
        self._before, self._summaries, self._collapsed = (None, None), [], []
        self._reader = CaseReader(self._onRead)
        self._table = CaseTable(ui.readingTable, ui.readingColumnsButton, self._onChosen)
        self._decisions = CaseDecisions(ui, results, self._onWritten, self._goOn)
        self._nextTimer = qt.QTimer()
        self._nextTimer.interval = SEEN_MS
        self._nextTimer.timeout.connect(self._onSeen)
        ui.readingOpenButton.clicked.connect(self._onOpen)
        ui.readingOrderComboBox.currentTextChanged.connect(lambda _text: self._onOrder())
        ui.undecidedCheckBox.toggled.connect(lambda _checked: self._showTable())
        ui.previousCaseButton.clicked.connect(lambda: self.back())
        ui.nextCaseButton.clicked.connect(lambda: self.next())
        self._tell("")
        self._showProgress()

    def actions(self) -> dict:
        """Return what the keys do with the list, by the names in `keyboard.KEYS`."""
        ui = self._ui
        return {
            "notThere": lambda: ui.notThereButton.click(),
            "cannotTell": lambda: ui.cannotTellButton.click(),
            "comment": lambda: ui.commentLineEdit.setFocus(),
            "nextCase": lambda: ui.nextCaseButton.click(),
            "previousCase": lambda: ui.previousCaseButton.click(),
        }

    # The list

    def _onOpen(self) -> None:
        if self._list is not None:
            self.close()
            return
        from MammoTrackerLib import MammoTrackerError, scene
        from MammoTrackerLib.command.readers import reading_list

        ui = self._ui
        edits = ui.manifestPathLineEdit, ui.readingResultsPathLineEdit
        manifest, results = (edit.currentPath.strip() for edit in edits)
        if not manifest or not results:
            self._tell(_("Choose the manifest and its results first."))
            return
        try:
            with slicer.util.WaitCursor():
                opened = reading_list.ReadingList(
                    Path(manifest), Path(results), ui.readerLineEdit.text.strip()
                )
        except MammoTrackerError as error:
            self._tell(str(error))
            return
        for edit in edits:
            edit.addCurrentPathToHistory()
        self._list = opened
        self._names = {id(case): str(number) for number, case in enumerate(opened.cases)}
        self._before, self._summaries = self._exams.pair, scene.summaries(slicer.mrmlScene)
        sections = ui.examsCollapsibleButton, ui.lesionsCollapsibleButton
        sections = *sections, ui.trackCollapsibleButton
        self._collapsed = [(section, section.collapsed) for section in sections]
        for section in sections:
            section.collapsed = True
        if any(len(case.exams) > 2 for case in opened.cases):
            self._table.showColumn("exam")
        self._onOrder()
        self._remark = _("Decisions are in {name}.").format(name=opened.path.name)
        if opened.left_out:
            rows = _("{n} rows have no box to start from.").format(n=opened.left_out)
            self._remark += " " + rows
        self._tell("")
        self.next()

    def close(self) -> None:
        """Leave the list: decisions are on the disk, and the case leaves the scene."""
        from MammoTrackerLib import scene

        if self._list is None:
            return
        self._leave()
        self._reader.stop()
        self._awaited, self._past = None, []
        self._lesions.fixed = []
        kept = [volume if volume and volume.GetScene() else None for volume in self._before]
        self._exams.select(*kept)
        if self._view:
            self._view.remove()
            self._view = None
        scene.remove_summaries(slicer.mrmlScene, self._summaries)
        self._decisions.about(None, None)
        self._list.close()
        self._list = self._case = None
        self._showItem(None)
        self._cases = []
        for section, collapsed in self._collapsed:
            section.collapsed = collapsed
        self._remark = ""
        self._tell("")
        self._showTable()

    def onSceneClosed(self) -> None:
        """Forget the case, which goes with the scene."""
        if self._list is not None:
            self._leave()
            self._case = self._view = self._awaited = None
            self._before, self._summaries = (None, None), []
            self._lesions.fixed = []
            self._decisions.about(self._list, None)
            self._showItem(None)

    def _onOrder(self) -> None:
        from MammoTrackerLib.command.readers.reading_list import AS_LISTED, WORST_FIRST

        if self._list is not None:
            order = (WORST_FIRST, AS_LISTED)[self._ui.readingOrderComboBox.currentIndex]
            self._cases = self._list.ordered(order)
            self._showTable()

    def _showTable(self) -> None:
        isFew = self._ui.undecidedCheckBox.checked
        items = [
            item
            for case in self._cases
            for item in case.items
            if not isFew or case is self._case or not self._list.is_decided(item)
        ]
        self._table.show(items, self._list)
        self._table.select(self._decisions.item)
        self._showProgress()

    def _showProgress(self) -> None:
        """Show how much is decided."""
        ui, opened = self._ui, self._list
        total = len(opened.items) if opened else 0
        decided = opened.decided if opened else 0
        ui.readingProgressBar.maximum = max(total, 1)
        ui.readingProgressBar.value = decided
        ui.readingProgressBar.format = ""
        if opened:
            cases = sum(not case.undecided for case in self._cases)
            ui.readingProgressBar.format = _(
                "{decided} of {total} lesions, {done} of {cases} cases"
            ).format(decided=decided, total=total, done=cases, cases=len(self._cases))
        ui.readingOpenButton.text = _("Close list") if opened else _("Open list")
        ui.readingFilesWidget.visible = opened is None
        self.enable()

    def enable(self) -> None:
        """Enable the buttons whose turn it is; those that decide only for what is to be seen."""
        ui, isShown = self._ui, self._isShown()
        ui.previousCaseButton.enabled = bool(self._past)
        ui.nextCaseButton.enabled = bool(self._cases)
        ui.notThereButton.enabled = isShown and self._view is not None
        ui.cannotTellButton.enabled = ui.commentLineEdit.enabled = isShown

    def _tell(self, text: str) -> None:
        """Say something, else where the decisions are."""
        self._ui.readingLabel.text = text or self._remark
        self._ui.readingLabel.visible = bool(text or self._remark)

    # The case

    def next(self) -> None:
        """Open the next case in which something is undecided, else simply the next one."""
        if not self._cases:
            return
        case = self._list.next_undecided(self._cases, self._case)
        if case is None or case is self._case:
            place = self._cases.index(self._case) if self._case else -1
            case = self._cases[(place + 1) % len(self._cases)]
        self._open(case)

    def back(self) -> None:
        """Open the case that was open before."""
        if self._past:
            self._open(self._past[-1], isBack=True)

    def _onChosen(self, item) -> None:
        if item.case is self._case and (self._view is None or self._view.isWhole()):
            self._leave()
            self._select(item)
        else:
            self._open(item.case, item)

    def _open(self, case, item=None, isBack: bool = False) -> None:
        """Open a case once its exams are read, at one of its lesions."""
        self._leave()
        self._awaited = case, item, isBack
        following = self._list.next_undecided(self._cases, case)
        before = self._past[-2:-1] if isBack else [self._case]
        wanted = {}
        for one in (case, following, *before):
            images = self._images(one) if one else None
            if images:
                wanted[self._names[id(one)]] = images
        self._tell(_("The exams are being read."))
        self._reader.want(wanted)
        isReady = self._reader.isReady(self._names[id(case)]) or not self._images(case)
        if self._awaited and isReady:
            self._show()

    def _images(self, case) -> list:
        """Return files and pixel sizes of a case's exams; none where the manifest is wrong."""
        from MammoTrackerLib import MammoTrackerError

        try:
            return [self._list.image(exam) for exam in case.exams]
        except MammoTrackerError:
            return []

    def _onRead(self, name: str) -> None:
        if self._awaited and self._names[id(self._awaited[0])] == name:
            self._show()

    def _show(self) -> None:
        """Put the case that was waited for in place of the one that is shown."""
        from MammoTrackerLib import MammoTrackerError

        case, item, isBack = self._awaited
        self._awaited = None
        if isBack:
            self._past.pop()
        elif self._case not in (None, case):
            self._past.append(self._case)
        view, message = None, ""
        try:
            for exam in case.exams:
                self._list.image(exam)
            exams = self._reader.take(self._names[id(case)])
            with self._results.updating():
                view = CaseView(self._list, case, exams)
        except MammoTrackerError as error:
            message = str(error)
        before, self._view, self._case = self._view, view, case
        self._decisions.about(self._list, view)
        item = item or next((i for i in case.items if not self._list.is_decided(i)), case.items[0])
        self._lesions.fixed = view.volumes if view else []
        self._exams.select(*self._pairOf(item))
        if before:
            before.remove()
        if self._ui.undecidedCheckBox.checked:
            self._showTable()
        self._tell(message)
        self._select(item)

    def _isShown(self) -> bool:
        """Whether the views show what is to be decided, and nothing else that was selected."""
        item = self._decisions.item
        return item is not None and self._exams.pair == self._pairOf(item)

    def _pairOf(self, item) -> tuple:
        volumes = self._view.volumes if self._view else None
        return (volumes[item.marked], volumes[item.exam]) if volumes else (None, None)

    def _select(self, item) -> None:
        """Show a lesion of the case, on the exam on which it is to be decided."""
        from MammoTrackerLib import scene

        prediction = self._view.predictionOf(item) if self._view else None
        self._decisions.select(item)
        if not self._isShown():
            self._exams.select(*self._pairOf(item))
        if prediction is not None:
            self._results.select(prediction)
        elif self._view:
            self._results.deselect()
            lesion = self._view.lesionOf(item)
            self._views.centerOn(scene.box_if_placed(lesion) if lesion else None, None)
        self._showItem(item)

    def _showItem(self, item) -> None:
        self._decisions.select(item)
        self._table.select(item)
        self._showProgress()

    def onSelected(self, lesion, volume) -> None:
        """Take note that an answer was selected, which may be one of the case."""
        item = self._view.itemOf(lesion, volume) if self._view else None
        if item is not None and item is not self._decisions.item:
            self._leave()
            self._showItem(item)

    def _leave(self) -> None:
        """Keep what is not kept yet, and do not go on by itself."""
        self._nextTimer.stop()
        self._results.stopPlacing()
        self._decisions.keep()

    def onDecided(self, prediction, isFinal: bool) -> None:
        """Keep what was said of an answer, as `ResultList` tells it."""
        if self._list is not None:
            self._nextTimer.stop()
            self._decisions.onDecided(prediction, isFinal)

    def _onWritten(self, item) -> None:
        self._table.update(item)
        self._showProgress()

    def _goOn(self, item) -> None:
        """Go to the next undecided lesion of the case, or soon to the next case."""
        if not self._ui.goOnCheckBox.checked or not self._list.is_decided(item):
            return
        items = item.case.items
        place = items.index(item)
        for other in (*items[place + 1 :], *items[:place]):
            if not self._list.is_decided(other):
                self._select(other)
                return
        self._nextTimer.start()

    def _onSeen(self) -> None:
        self._nextTimer.stop()
        case = self._list.next_undecided(self._cases, self._case)
        if case is None:
            self._tell(_("All lesions are decided."))
        else:
            self._open(case)

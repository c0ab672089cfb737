"""The panel's export: tables, boxes, pictures and the report, into the folder that is chosen."""

from __future__ import annotations

import os
from pathlib import Path

import slicer
from slicer.i18n import tr as _


class Export:
    """Writes what is known of the lesions when the user asks for it, and says what it wrote.

    Parameters
    ----------
    ui
        The panel's widgets.
    logic
        The `MammoTrackerLogic`, which writes.
    exams, lesions, views
        Other parts of the panel: what is written, and of which a picture is taken.
    """

    def __init__(self, ui, logic, exams, lesions, views) -> None:
        self._ui, self._logic = ui, logic
        self._exams, self._lesions, self._views = exams, lesions, views
        self._written = None
        ui.exportButton.clicked.connect(self.onExport)

    def clear(self) -> None:
        """Forget what was written, and say nothing of it."""
        self._ui.exportLabel.text, self._written = "", None

    def onExport(self) -> None:
        """Write the table, the boxes and the picture into the folder that the user gave."""
        from MammoTrackerLib import MammoTrackerError

        ui, folder = self._ui, self._ui.exportPathLineEdit.currentPath
        if not folder:
            ui.exportLabel.text = _("Choose a folder first.")
            return
        folder = Path(folder)
        try:
            self._views.requirePair()  # before anything is asked or written
            if not self._mayReplace(folder):
                return
            with slicer.util.WaitCursor():
                count, remark = len(self._write(folder)) + 1, ""
                self._views.capture(folder / "side-by-side.png")
                if ui.reportCheckBox.checked:
                    isWritten, remark = self._writeReport(folder / "report.dcm")
                    count += isWritten
        except MammoTrackerError as error:
            ui.exportLabel.text = str(error)
            return
        self._written = self._place(folder)
        ui.exportPathLineEdit.addCurrentPathToHistory()
        said = _("{n} files written.").format(n=count)
        ui.exportLabel.text = f"{said} {remark}" if remark else said

    @property
    def _volumes(self) -> list:
        return list(self._exams.series if self._exams.isSeries else self._exams.pair)

    def _mayReplace(self, folder: Path) -> bool:
        """Whether files may be replaced: those that were just written, or if the user agrees."""
        names = ["results.csv", "side-by-side.png"]
        names += ["strip.png", "growth.png"] if self._exams.isSeries else []
        names += ["report.dcm"] if self._ui.reportCheckBox.checked else []
        there = [name for name in names if os.path.exists(folder / name)]
        if not there or self._written == self._place(folder):
            return True
        text = _("In the folder are files that may be of other exams: {names}. Replace them?")
        return slicer.util.confirmOkCancelDisplay(text.format(names=", ".join(there)))

    def _place(self, folder: Path) -> tuple:
        return folder, [volume.GetID() for volume in self._volumes]

    def _write(self, folder: Path) -> list[Path]:
        if self._exams.isSeries:
            return self._logic.exportSeries(self._exams.series, self._lesions.rois, folder)
        return self._logic.export(*self._exams.pair, folder)

    def _writeReport(self, report: Path) -> tuple[bool, str]:
        """Write the report; return whether it was, and what it lacks."""
        from MammoTrackerLib import MammoTrackerError

        lesions = self._lesions.rois
        try:
            missing = len(lesions) - self._logic.exportReport(self._volumes, lesions, report)
        except MammoTrackerError as error:
            text = _("There is no new {name}: {reason}")
            return False, text.format(name=report.name, reason=str(error))
        if not missing:
            return True, ""
        text = _("{name} lacks {n} of the lesions: track them on all exams.")
        return True, text.format(name=report.name, n=missing)

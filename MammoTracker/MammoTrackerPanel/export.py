"""The panel's export: tables, boxes, pictures and the report, into the folder that is chosen."""

from __future__ import annotations

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
        ui.exportButton.clicked.connect(self.onExport)

    def onExport(self) -> None:
        """Write the table, the boxes and the picture into the folder that the user gave."""
        from MammoTrackerLib import MammoTrackerError

        ui, folder = self._ui, self._ui.exportPathLineEdit.currentPath
        if not folder:
            ui.exportLabel.text = _("Choose a folder first.")
            return
        folder = Path(folder)
        try:
            with slicer.util.WaitCursor():
                self._views.requirePair()  # before anything is written
                count, remark = len(self._write(folder)) + 1, ""
                self._views.capture(folder / "side-by-side.png")
                if ui.reportCheckBox.checked:
                    isWritten, remark = self._writeReport(folder / "report.dcm")
                    count += isWritten
        except MammoTrackerError as error:
            ui.exportLabel.text = str(error)
            return
        ui.exportPathLineEdit.addCurrentPathToHistory()
        said = _("{n} files written.").format(n=count)
        ui.exportLabel.text = f"{said} {remark}" if remark else said

    def _write(self, folder: Path) -> list[Path]:
        if self._exams.isSeries:
            return self._logic.exportSeries(self._exams.series, self._lesions.rois, folder)
        return self._logic.export(*self._exams.pair, folder)

    def _writeReport(self, report: Path) -> tuple[bool, str]:
        """Write the report; return whether it was, and what it lacks."""
        from MammoTrackerLib import MammoTrackerError

        exams = self._exams.series if self._exams.isSeries else self._exams.pair
        lesions = self._lesions.rois
        try:
            missing = len(lesions) - self._logic.exportReport(exams, lesions, report)
        except MammoTrackerError as error:
            text = _("There is no new {name}: {reason}")
            return False, text.format(name=report.name, reason=str(error))
        if not missing:
            return True, ""
        text = _("{name} lacks {n} of the lesions: track them on all exams.")
        return True, text.format(name=report.name, n=missing)

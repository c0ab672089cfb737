"""The panel's list of lesions: add, rename, delete, load, mass or calcification."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from .lesion_sources import FILES, loadFile, otherSources
from .plain_text import plain


class LesionList(VTKObservationMixin):
    """Shows the ROI nodes that mark lesions, of the prior or of all exams of a series.

    Parameters
    ----------
    ui
        The panel's widgets.
    onChanged
        Called without arguments after lesions were added, removed or renamed.
    onMoved
        Called with a lesion of which the box was moved.

    Attributes
    ----------
    fixed
        Volumes of which nobody adds or deletes lesions: those of a reading list.
    """

    def __init__(self, ui, onChanged, onMoved) -> None:
        VTKObservationMixin.__init__(self)
        self._ui = ui
        self._onChanged, self._onMoved = onChanged, onMoved
        self._prior = None
        self._volumes = []
        self._rois, self._colors = [], []
        self._placed = self._menu = None
        self._filling = False
        self.fixed = []
        ui.lesionsTable.columnCount = 3
        ui.lesionsTable.setHorizontalHeaderLabels([_("Name"), _("Type"), _("Exam")])
        ui.lesionsTable.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch)
        ui.lesionsTable.verticalHeader().visible = False
        ui.lesionsTable.cellChanged.connect(self._onRenamed)
        ui.lesionsTable.itemSelectionChanged.connect(self._onSelectionChanged)
        ui.typeComboBox.currentTextChanged.connect(self._onTypeChosen)
        ui.addLesionButton.clicked.connect(self.onAdd)
        ui.deleteLesionButton.clicked.connect(self.onDelete)
        ui.loadLesionsButton.clicked.connect(self.onLoad)
        # Else Slicer's "place multiple control points" goes on after the box, with stray ROIs.
        single = slicer.qSlicerMarkupsPlaceWidget.ForcePlaceSingleMarkup
        ui.lesionPlaceWidget.placeMultipleMarkups = single
        ui.lesionPlaceWidget.connect(
            "activeMarkupsPlaceModeChanged(bool)", self._onPlaceModeChanged
        )

    @property
    def rois(self) -> list:
        """The lesions, in the order of the list, but those that were just deleted."""
        return [roi for roi in self._rois if roi.GetScene()]

    @property
    def isPlacing(self) -> bool:
        """Whether the user is drawing a lesion."""
        return self._placed is not None

    def selected(self) -> list:
        """Return the lesions of the selected rows."""
        rows = sorted(
            index.row() for index in self._ui.lesionsTable.selectionModel().selectedRows()
        )
        return [roi for row, roi in enumerate(self._rois) if row in rows and roi.GetScene()]

    def setExams(self, volumes: list, prior) -> None:
        """Show the lesions of other exams.

        Parameters
        ----------
        volumes
            The exams; of more than two, the lesions of all are listed.
        prior
            The one on which lesions are marked, or None.
        """
        isOther = prior is not self._prior
        self._volumes, self._prior = volumes, prior
        if isOther:
            self.stopPlacing()
        title = _("Lesions") if self._isSeries else _("Lesions on the prior")
        self._ui.lesionsCollapsibleButton.text = title
        self.refresh()

    @property
    def _isSeries(self) -> bool:
        return len(self._volumes) > 2

    @property
    def _isFixed(self) -> bool:
        return self._prior in self.fixed

    def refresh(self) -> None:
        """Read the lesions from the scene; ROIs that nobody owns, on the prior, become lesions."""
        from MammoTrackerLib import MammoTrackerError, scene

        scene.reclaim_lesions(self._volumes)
        if self._prior and not self._isFixed:
            with suppress(MammoTrackerError):  # the prior is no single slice
                exams = self._volumes if self._isSeries else ()
                scene.claim_new_rois(self._prior, self._marked(), exams)
        self.removeObservers()
        self._rois = self._marked()
        for roi in self._rois:
            self._name(roi)
            scene.color_if_default(roi, self._rois)  # if the user has deleted its display node
            self.addObserver(roi, vtk.vtkCommand.ModifiedEvent, self._onRoiModified)
            self.addObserver(roi, roi.PointModifiedEvent, self._onRoiMoved)
            self.addObserver(roi, roi.DisplayModifiedEvent, self._onRoiPainted)
        self._fill()

    def _name(self, roi, former: str = "") -> None:
        """Give a lesion without a name its former one, else one that no other lesion has."""
        if not (roi.GetName() or "").strip():
            roi.SetName(former or _freeName({other.GetName() for other in self._rois}))

    def _marked(self) -> list:
        """Return the lesions that are marked in the scene."""
        from MammoTrackerLib import scene

        volumes = self._volumes if self._isSeries else [self._prior] if self._prior else []
        return [roi for volume in volumes for roi in scene.lesions(volume)]

    def _fill(self) -> None:
        from MammoTrackerLib import scene

        table = self._ui.lesionsTable
        self._filling, self._rois = True, self.rois
        if table.rowCount > len(self._rois):  # a selected row that goes may take Qt along
            table.clearSelection()
            table.setCurrentCell(-1, -1)
        table.rowCount = len(self._rois)
        table.setColumnHidden(2, not self._isSeries)
        titles = scene.exam_titles(self._volumes) if self._isSeries else []
        self._colors = [scene.display_of(roi).GetSelectedColor() for roi in self._rois]
        for row, roi in enumerate(self._rois):
            item = qt.QTableWidgetItem(roi.GetName())
            swatch = qt.QPixmap(12, 12)
            swatch.fill(qt.QColor(*(round(255 * part) for part in self._colors[row])))
            item.setIcon(qt.QIcon(swatch))
            table.setItem(row, 0, item)
            kind = qt.QTableWidgetItem(_(scene.lesion_type(roi)))
            title = titles[self._volumes.index(scene.exam_of(roi))] if titles else ""
            exam = qt.QTableWidgetItem(title)
            for column, item in ((1, kind), (2, exam)):
                item.setFlags(item.flags() & ~qt.Qt.ItemIsEditable)
                table.setItem(row, column, item)
        self._filling = False
        self._onSelectionChanged()
        self._enable()

    def _enable(self) -> None:
        ui, canAdd = self._ui, self._prior is not None and not self._isFixed
        ui.addLesionButton.enabled = canAdd
        ui.loadLesionsButton.enabled = canAdd

    def onAdd(self) -> None:
        """Make a lesion that the user places with two clicks, or give up placing one."""
        from MammoTrackerLib import scene

        if self._placed:
            self.stopPlacing()
            return
        name = _freeName({roi.GetName() for roi in self._rois})
        roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
        roi.CreateDefaultDisplayNodes()
        scene.claim_lesion(roi, self._prior, beside=self._rois)
        self._placed = roi
        self.refresh()
        self._onChanged()
        self._ui.lesionPlaceWidget.setCurrentNode(roi)
        self._ui.lesionPlaceWidget.placeModeEnabled = True
        self._ui.addLesionButton.checked = True

    def stopPlacing(self) -> None:
        """Give up the lesion that is being placed, if one is."""
        if self._placed:
            self._ui.lesionPlaceWidget.placeModeEnabled = False
            self._onPlaceModeChanged(False)  # where the widget has lost its scene, it says nothing

    def onDelete(self) -> None:
        """Delete the selected lesions, and with them their results."""
        from MammoTrackerLib import scene

        for roi in self.selected():
            scene.remove_lesion(roi)
        self.refresh()
        self._onChanged()

    def onLoad(self) -> None:
        """Let the user choose files; also what the scene and the DICOM database have, if any."""
        with slicer.util.WaitCursor():
            others = otherSources(self._exams(), self._prior)
        if not others:
            self._onLoadFiles()
            return
        button = self._ui.loadLesionsButton
        self._menu = qt.QMenu(button)
        self._menu.addAction(_("Files...")).triggered.connect(lambda *_args: self._onLoadFiles())
        for text, load in others:
            action = self._menu.addAction(text)
            action.triggered.connect(lambda *_args, source=(text, load): self._load([source]))
        self._menu.popup(button.mapToGlobal(qt.QPoint(0, button.height)))

    def _exams(self) -> list:
        """Return the exams of which a file may say something; what is none counts as the prior."""
        from MammoTrackerLib import MammoTrackerError, scene

        exams = []
        for volume in dict.fromkeys(self._volumes):
            with suppress(MammoTrackerError):
                if volume is self._prior or scene.header_of(volume):
                    exams.append(volume)
        return exams

    def _onLoadFiles(self) -> None:
        paths = qt.QFileDialog.getOpenFileNames(
            slicer.util.mainWindow(), _("Load lesions"), "",
            f"{_('Markups, masks and DICOM SR')} ({FILES});;{_('All files')} (*)",
        )  # fmt: skip
        # PySide returns the filter too, PythonQt only the names.
        if isinstance(paths, tuple) and len(paths) == 2 and isinstance(paths[0], list):
            paths = paths[0]
        self.load(paths)

    def load(self, paths) -> None:
        """Load files as lesions; what holds none is reported to the user."""
        exams, prior = self._exams(), self._prior
        self._load([(Path(p).name, lambda p=p: loadFile(Path(p), exams, prior)) for p in paths])

    def _load(self, sources: list) -> None:
        """Load lesions from sources, each a name and what loads it."""
        from MammoTrackerLib import MammoTrackerError

        failures, remarks = [], []
        for name, load in sources:
            before = self._marked()
            try:
                rois, said = load()
            except MammoTrackerError as error:
                failures.append(f"{name}: {error}")
                continue
            remarks += [f"{name}: {remark}" for remark in said]
            for roi in rois:
                self._distinguish(roi, before)
                before.append(roi)
        self.refresh()
        self._onChanged()
        if failures:
            text = _("These files were not loaded:") + "\n\n" + "\n".join(failures + remarks)
            slicer.util.errorDisplay(plain(text))
        elif remarks:
            slicer.util.infoDisplay(plain("\n".join(remarks)))

    def _distinguish(self, roi, others: list) -> None:
        """Give a loaded lesion a name that no other one has, and a colour apart from theirs."""
        from MammoTrackerLib import scene

        names = {other.GetName() for other in others}
        if roi.GetName() in names:
            roi.SetName(_freeName(names))
        colors = [scene.display_of(other).GetSelectedColor() for other in others]
        if self._isSeries and scene.display_of(roi).GetSelectedColor() in colors:
            scene.color_apart(roi, others)

    def _onPlaceModeChanged(self, enabled: bool) -> None:
        from MammoTrackerLib import scene

        if enabled or not self._placed:
            return
        roi, self._placed = self._placed, None
        self._ui.addLesionButton.checked = False
        if roi.GetScene() and not scene.is_placed(roi):
            slicer.mrmlScene.RemoveNode(roi)
        self.refresh()
        self._onChanged()

    def _onRenamed(self, row: int, column: int) -> None:
        if self._filling or column != 0:
            return
        name = self._ui.lesionsTable.item(row, 0).text().strip()
        if name:
            self._rois[row].SetName(name)
            self._onChanged()
        else:
            self._fill()

    def _onSelectionChanged(self) -> None:
        """Give the selected lesions handles, and show their type."""
        from MammoTrackerLib import scene

        selected = self.selected()
        for roi in self.rois:
            scene.display_of(roi).SetHandlesInteractive(roi in selected)
        self._ui.deleteLesionButton.enabled = bool(selected) and not self._isFixed
        self._ui.typeComboBox.enabled = bool(selected)
        kinds = {scene.lesion_type(roi) for roi in selected}
        self._filling = True
        self._ui.typeComboBox.currentIndex = self._kinds().index(kinds.pop() if kinds else "")
        self._filling = False

    def _kinds(self) -> tuple[str, ...]:
        from MammoTrackerLib import scene

        return "", *scene.LESION_TYPES

    def _onTypeChosen(self, _text) -> None:
        from MammoTrackerLib import scene

        if self._filling:
            return
        for roi in self.selected():
            scene.set_lesion_type(roi, self._kinds()[self._ui.typeComboBox.currentIndex])
        self._fill()
        self._onChanged()

    def _onRoiModified(self, roi, _event=None) -> None:
        row = self._rois.index(roi)
        item = self._ui.lesionsTable.item(row, 0)
        self._name(roi, item.text() if item else "")
        if item and item.text() != roi.GetName():
            self._fill()
            self._onChanged()

    def _onRoiPainted(self, roi, _event=None) -> None:
        display = roi.GetDisplayNode()
        if display and display.GetSelectedColor() != self._colors[self._rois.index(roi)]:
            self._fill()
            self._onChanged()

    def _onRoiMoved(self, roi, _event=None) -> None:
        if not self._placed:
            self._onMoved(roi)


def _freeName(names: set[str]) -> str:
    """Return a name that a lesion can have beside others."""
    numbered = (f"{_('Lesion')} {number}" for number in range(1, len(names) + 2))
    return next(name for name in numbered if name not in names)

"""Slicer's MRML widgets as far as panels use them, on the real scene."""

from __future__ import annotations

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from .pythonqt import RealMembers, stored

NAMES_ROW = -1


class Observer:
    """Observes VTK objects for a widget; what is observed can be exchanged and let go."""

    def __init__(self) -> None:
        self._tags = []

    def observe(self, subject, callback, *events) -> None:
        if subject is not None:
            self._tags += [(subject, subject.AddObserver(event, callback)) for event in events]

    def clear(self) -> None:
        for subject, tag in self._tags:
            subject.RemoveObserver(tag)
        self._tags.clear()


class qMRMLWidget(RealMembers, QtWidgets.QWidget):
    """A widget that tells others which scene it has."""

    SIGNALS = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}
    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._scene = None

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


class qSlicerWidget(qMRMLWidget):
    """As the other one, in the application's library."""


class qMRMLNodeComboBox(RealMembers, QtWidgets.QWidget):
    """Selects a node of the scene."""

    SIGNALS = {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "currentNodeChanged(bool)": "_validNodeChanged",
        "currentNodeIDChanged(QString)": "currentNodeIDChanged",
        "nodeActivated(vtkMRMLNode*)": "nodeActivated",
        "nodeAdded(vtkMRMLNode*)": "nodeAdded",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser",
        "nodeAboutToBeRemoved(vtkMRMLNode*)": "nodeAboutToBeRemoved",
    }
    currentNodeChanged = QtCore.Signal(object)
    _validNodeChanged = QtCore.Signal(bool)
    currentNodeIDChanged = QtCore.Signal(str)
    nodeActivated = QtCore.Signal(object)
    nodeAdded = QtCore.Signal(object)
    nodeAddedByUser = QtCore.Signal(object)
    nodeAboutToBeRemoved = QtCore.Signal(object)
    addEnabled = stored("addEnabled", True)
    removeEnabled = stored("removeEnabled", True)
    editEnabled = stored("editEnabled", False)
    renameEnabled = stored("renameEnabled", False)
    selectNodeUponCreation = stored("selectNodeUponCreation", True)
    baseName = stored("baseName", "")

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene = None
        self._observer = Observer()
        self._filters = {
            "nodeTypes": [], "showHidden": False, "showChildNodeTypes": True,
            "noneEnabled": False, "noneDisplay": "None",
        }  # fmt: skip
        self._nodes = []
        self._requested = None
        self._combo = QtWidgets.QComboBox()
        policy = QtWidgets.QSizePolicy.Policy
        self._combo.setSizePolicy(policy.Expanding, policy.Expanding)
        self._combo.setMinimumContentsLength(8)
        adjust = QtWidgets.QComboBox.SizeAdjustPolicy
        self._combo.setSizeAdjustPolicy(adjust.AdjustToMinimumContentsLengthWithIcon)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self.setSizePolicy(policy.Preferred, policy.Fixed)
        self._combo.currentTextChanged.connect(self._emit_current)
        self._combo.activated.connect(lambda _row: self.nodeActivated.emit(self.currentNode()))
        self.setEnabled(False)
        self.destroyed.connect(self._observer.clear)

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene) -> None:
        if scene is self._scene:
            return
        before = self.currentNode()
        self._scene = scene
        self._combo.blockSignals(True)
        self._refresh()
        self._combo.blockSignals(False)
        self.setEnabled(scene is not None)
        if self._requested is not None:
            node, self._requested = self._requested, None
            self.setCurrentNode(node)
        if before is not self.currentNode():
            self._emit_current()

    def _observe(self) -> None:
        self._observer.clear()
        if self._scene is None:
            return
        scene, modified = self._scene, vtk.vtkCommand.ModifiedEvent
        self._observer.observe(scene, self._on_scene, scene.NodeAddedEvent, scene.NodeRemovedEvent)
        for number in range(scene.GetNumberOfNodes()):
            node = scene.GetNthNode(number)
            if self._fits_type(node):
                self._observer.observe(node, self._on_scene, modified)

    def _on_scene(self, _caller, _event) -> None:
        names = [node.GetName() or "" for node in self._wanted()]
        shown = [self._combo.itemText(row) for row in range(self._combo.count())]
        if self._wanted() != self._nodes or names != shown[len(shown) - len(names) :]:
            self._refresh()

    def _fits_type(self, node) -> bool:
        types = self._filters["nodeTypes"]
        return (
            any(node.IsA(name) for name in types)
            if self._filters["showChildNodeTypes"]
            else node.GetClassName() in types
        )

    def _wanted(self) -> list:
        if self._scene is None:
            return []
        nodes = (self._scene.GetNthNode(n) for n in range(self._scene.GetNumberOfNodes()))
        return [
            node
            for node in nodes
            if self._fits_type(node)
            and (self._filters["showHidden"] or not node.GetHideFromEditors())
        ]

    def _refresh(self) -> None:
        """Fill the list anew; a node that is gone leaves None, or the last node, selected."""
        current, before = self.currentNode(), self._nodes
        blocked = self._combo.blockSignals(True)
        self._nodes = self._wanted()
        self._combo.clear()
        if self._filters["noneEnabled"]:
            self._combo.addItem(self._filters["noneDisplay"])
        for node in self._nodes:
            self._combo.addItem(node.GetName() or "", node.GetID())
        if current in self._nodes:
            self._select(current)
        elif current is not None and not self._filters["noneEnabled"] and self._nodes:
            self._select(self._nodes[-1])
        else:
            self._select(None)
        types = self._filters["nodeTypes"]
        tag = self._scene.GetTagByClassName(types[0]) if self._scene and types else None
        self._combo.setPlaceholderText(f"Select a {tag or 'node'}")
        self._combo.blockSignals(blocked)
        self._observe()
        for node in self._nodes:
            if node not in before:
                self.nodeAdded.emit(node)
        if current is not self.currentNode() and not blocked:
            self._emit_current()

    def _select(self, node) -> None:
        none = self._filters["noneEnabled"]
        row = self._nodes.index(node) + none if node in self._nodes else (0 if none else -1)
        self._combo.setCurrentIndex(row)

    def _emit_current(self, _text: str = "") -> None:
        node = self.currentNode()
        self.currentNodeChanged.emit(node)
        self._validNodeChanged.emit(node is not None)
        self.currentNodeIDChanged.emit(node.GetID() if node else "")

    def currentNode(self):
        return self.nodeFromIndex(self._combo.currentIndex() - self._filters["noneEnabled"])

    def nodeFromIndex(self, index: int):
        return self._nodes[index] if 0 <= index < len(self._nodes) else None

    def nodeCount(self) -> int:
        return len(self._nodes)

    def setCurrentNode(self, node) -> None:
        if isinstance(node, str):
            raise TypeError("setCurrentNode(QString) is deprecated: use setCurrentNodeID")
        if self._scene is None:
            self._requested = node
        self._select(node)

    @property
    def currentNodeID(self) -> str:
        node = self.currentNode()
        return node.GetID() if node else ""

    @currentNodeID.setter
    def currentNodeID(self, node_id: str) -> None:
        self.setCurrentNodeID(node_id)

    def setCurrentNodeID(self, node_id: str) -> None:
        self.setCurrentNode(self._scene.GetNodeByID(node_id) if self._scene and node_id else None)

    def setCurrentNodeIndex(self, index: int) -> None:
        self.setCurrentNode(self.nodeFromIndex(index))


def _filter(name: str) -> property:
    def write(self: qMRMLNodeComboBox, value: object) -> None:
        current = self.currentNode()
        self._filters[name] = value
        self._combo.blockSignals(True)
        self._refresh()
        self._select(current)
        self._combo.blockSignals(False)

    return property(lambda self: self._filters[name], write)


for _name in ("nodeTypes", "showHidden", "showChildNodeTypes", "noneEnabled", "noneDisplay"):
    setattr(qMRMLNodeComboBox, _name, _filter(_name))


class qMRMLTableModel(QtGui.QStandardItemModel):
    """The cells of a table node, which follow it both ways."""

    def __init__(self, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        self._node = None
        self._observer = Observer()
        self._updating = False
        self.itemChanged.connect(self._on_edited)
        self.destroyed.connect(self._observer.clear)

    def mrmlTableNode(self):
        return self._node

    def setMRMLTableNode(self, node) -> None:
        self._observer.clear()
        self._observer.observe(node, self.updateModelFromMRML, vtk.vtkCommand.ModifiedEvent)
        self._node = node
        self.updateModelFromMRML()

    def updateModelFromMRML(self, _caller=None, _event=None) -> None:
        table = self._node.GetTable() if self._node else None
        if table is None or table.GetNumberOfColumns() == 0:
            self.clear()
            return
        self._updating = True
        node, skipped = self._node, int(self._node.GetUseFirstColumnAsRowHeader())
        first = 0 if node.GetUseColumnTitleAsColumnHeader() else NAMES_ROW
        self.setRowCount(table.GetNumberOfRows() - first)
        self.setColumnCount(table.GetNumberOfColumns() - skipped)
        for column in range(self.columnCount()):
            name = table.GetColumnName(column + skipped)
            title, unit = node.GetColumnTitle(name) or name, node.GetColumnUnitLabel(name)
            title = title if first == 0 else chr(ord("A") + column)
            header = f"{title} [{unit}]" if unit and first == 0 else title
            self.setHeaderData(column, QtCore.Qt.Orientation.Horizontal, header)
            for row in range(self.rowCount()):
                self._fill(row, column, row + first, column + skipped, name)
        labels = [str(row + first + 1) if row + first >= 0 else "" for row in range(self.rowCount())]
        if skipped:
            labels = [table.GetValue(row, 0).ToString() for row in range(self.rowCount())]
        self.setVerticalHeaderLabels(labels)
        self._updating = False

    def _fill(self, row: int, column: int, table_row: int, table_column: int, name: str) -> None:
        table = self._node.GetTable()
        item = self.item(row, column)
        if item is None:
            item = QtGui.QStandardItem()
            self.setItem(row, column, item)
        editable = not self._node.GetLocked()
        font = QtGui.QFont()
        font.setBold(table_row < 0)
        item.setFont(font)
        values = table.GetColumn(table_column)
        if table_row < 0:
            item.setText(name)
        elif values.IsA("vtkBitArray"):
            checked = table.GetValue(table_row, table_column).ToInt()
            states = QtCore.Qt.CheckState
            item.setCheckable(editable)
            item.setCheckState(states.Checked if checked else states.Unchecked)
            item.setText("")
            editable = False
        elif values.GetDataType() in (vtk.VTK_CHAR, vtk.VTK_SIGNED_CHAR, vtk.VTK_UNSIGNED_CHAR):
            item.setText(str(table.GetValue(table_row, table_column).ToInt()))
        else:
            item.setText(table.GetValue(table_row, table_column).ToString())
        item.setEditable(editable)

    def _on_edited(self, item: QtGui.QStandardItem) -> None:
        if self._updating or self._node is None or self._node.GetLocked():
            return
        first = 0 if self._node.GetUseColumnTitleAsColumnHeader() else NAMES_ROW
        column = item.column() + int(self._node.GetUseFirstColumnAsRowHeader())
        row = item.row() + first
        if row < 0:
            self._node.RenameColumn(column, item.text())
        else:
            self._node.SetCellText(row, column, item.text())


class qMRMLTableView(RealMembers, QtWidgets.QTableView):
    """Shows a table node."""

    SIGNALS = {
        "selectionChanged()": "_selectionSignal",
        "mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged",
    }
    _selectionSignal = QtCore.Signal()
    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene = None
        proxy = QtCore.QSortFilterProxyModel(self)
        proxy.setSourceModel(qMRMLTableModel(self))
        self.setModel(proxy)
        self.horizontalHeader().setStretchLastSection(False)
        policy = QtWidgets.QSizePolicy.Policy
        self.setSizePolicy(policy.Expanding, policy.Expanding)

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene) -> None:
        self._scene = scene

    def tableModel(self) -> qMRMLTableModel:
        return self.sortFilterProxyModel().sourceModel()

    def sortFilterProxyModel(self) -> QtCore.QSortFilterProxyModel:
        return self.model()

    def mrmlTableNode(self):
        return self.tableModel().mrmlTableNode()

    def setMRMLTableNode(self, node) -> None:
        if node is not None and not node.IsA("vtkMRMLTableNode"):
            node = None
        self.tableModel().setMRMLTableNode(node)
        self.sortFilterProxyModel().invalidate()
        self.horizontalHeader().setMinimumSectionSize(60)
        self.resizeColumnsToContents()
        self._selectionSignal.emit()

    def selectionChanged(self, selected, deselected) -> None:
        super().selectionChanged(selected, deselected)
        self._selectionSignal.emit()


class qSlicerMarkupsPlaceWidget(qSlicerWidget):
    """Switches the place mode of the mouse for one markups node on and off."""

    SIGNALS = {
        "activeMarkupsPlaceModeChanged(bool)": "activeMarkupsPlaceModeChanged",
        "activeMarkupsFiducialPlaceModeChanged(bool)": "activeMarkupsFiducialPlaceModeChanged",
    }
    activeMarkupsPlaceModeChanged = QtCore.Signal(bool)
    activeMarkupsFiducialPlaceModeChanged = QtCore.Signal(bool)
    ShowPlaceMultipleMarkupsOption, HidePlaceMultipleMarkupsOption = 0, 1
    ForcePlaceSingleMarkup, ForcePlaceMultipleMarkups = 2, 3
    deleteAllControlPointsOptionVisible = stored("deleteAllControlPointsOptionVisible", True)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._node = self._interaction = self._selection = None
        self._node_observer, self._scene_observer = Observer(), Observer()
        self._signaled = self._updating = False
        self._multiple = self.ShowPlaceMultipleMarkupsOption
        self._place, self._delete = QtWidgets.QToolButton(), QtWidgets.QToolButton()
        self._place.setText("Place")
        self._place.setCheckable(True)
        self._delete.setText("Delete")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._place)
        layout.addWidget(self._delete)
        self._place.toggled.connect(self.setPlaceModeEnabled)
        self._delete.clicked.connect(self._on_delete)
        self.destroyed.connect(self._node_observer.clear)
        self.destroyed.connect(self._scene_observer.clear)

    def _logic(self):
        return slicer.modules.markups.logic()

    def setMRMLScene(self, scene) -> None:
        super().setMRMLScene(scene)
        self._scene_observer.clear()
        find = self._logic().GetMRMLScene().GetNodeByID if scene else lambda _id: None
        self._selection = find("vtkMRMLSelectionNodeSingleton")
        self._interaction = find("vtkMRMLInteractionNodeSingleton")
        modified = vtk.vtkCommand.ModifiedEvent
        self._scene_observer.observe(self._interaction, self._update, modified)
        self._scene_observer.observe(self._selection, self._update, modified)
        self._update()

    def currentNode(self):
        return self._node

    def currentMarkupsNode(self):
        return self._node

    def setCurrentNode(self, node) -> None:
        node = node if node is not None and node.IsA("vtkMRMLMarkupsNode") else None
        if node is self._node:
            return
        self._node_observer.clear()
        self._node_observer.observe(node, self._update, vtk.vtkCommand.ModifiedEvent)
        if node:
            self._node_observer.observe(
                node,
                self._update,
                node.PointAddedEvent,
                node.PointRemovedEvent,
                node.PointPositionDefinedEvent,
                node.PointPositionUndefinedEvent,
            )
        self._node = node
        self._update()

    def interactionNode(self):
        return self._interaction

    def selectionNode(self):
        return self._selection

    @property
    def currentNodeActive(self) -> bool:
        return (
            self._node is not None
            and self._selection is not None
            and self._logic().GetActiveListID() == self._node.GetID()
            and self._selection.GetActivePlaceNodeClassName() == self._node.GetClassName()
        )

    @currentNodeActive.setter
    def currentNodeActive(self, active: bool) -> None:
        self.setCurrentNodeActive(active)

    def setCurrentNodeActive(self, active: bool) -> None:
        if self._interaction is None or active == self.currentNodeActive:
            return
        self._logic().SetActiveList(self._node if active else None)
        if not active:
            self._interaction.SetCurrentInteractionMode(self._interaction.ViewTransform)

    @property
    def placeModeEnabled(self) -> bool:
        mode = self._interaction.GetCurrentInteractionMode() if self._interaction else None
        return self.currentNodeActive and mode == self._interaction.Place

    @placeModeEnabled.setter
    def placeModeEnabled(self, enabled: bool) -> None:
        self.setPlaceModeEnabled(enabled)

    def setPlaceModeEnabled(self, enabled: bool) -> None:
        if self._interaction is None or self._node is None:
            return
        if not enabled:
            self._interaction.SetCurrentInteractionMode(self._interaction.ViewTransform)
            return
        if not self.currentNodeActive:
            self._logic().SetActiveList(self._node)
        if self._multiple >= self.ForcePlaceSingleMarkup:
            self.setPlaceModePersistency(self._multiple == self.ForcePlaceMultipleMarkups)
        self._interaction.SetCurrentInteractionMode(self._interaction.Place)

    @property
    def placeModePersistency(self) -> bool:
        return bool(self._interaction and self._interaction.GetPlaceModePersistence())

    @placeModePersistency.setter
    def placeModePersistency(self, persistent: bool) -> None:
        self.setPlaceModePersistency(persistent)

    def setPlaceModePersistency(self, persistent: bool) -> None:
        if self._interaction:
            self._interaction.SetPlaceModePersistence(persistent)

    def setPlaceMultipleMarkups(self, option: int) -> None:
        self._multiple = option

    placeMultipleMarkups = property(lambda self: self._multiple, setPlaceMultipleMarkups)

    def setButtonsVisible(self, visible: bool) -> None:
        self._place.setVisible(visible)
        self._delete.setVisible(visible)

    buttonsVisible = property(lambda self: not self._place.isHidden(), setButtonsVisible)

    def placeButton(self) -> QtWidgets.QToolButton:
        return self._place

    def deleteButton(self) -> QtWidgets.QToolButton:
        return self._delete

    def deleteAllPoints(self) -> None:
        if self._node:
            self._node.RemoveAllControlPoints()

    def _on_delete(self) -> None:
        count = self._node.GetNumberOfControlPoints() if self._node else 0
        if count:
            self._node.RemoveNthControlPoint(count - 1)

    def _update(self, _caller=None, _event=None) -> None:
        """Show the scene's state, and tell whether the place mode was switched."""
        if self._updating:
            return
        self._updating = True
        node = self._node if self._interaction else None
        self._place.setEnabled(node is not None and not node.GetControlPointPlacementComplete())
        self._delete.setEnabled(node is not None and node.GetNumberOfControlPoints() > 0)
        enabled = self.placeModeEnabled
        self._place.blockSignals(True)
        self._place.setChecked(enabled)
        self._place.blockSignals(False)
        try:
            if enabled != self._signaled:
                self.activeMarkupsFiducialPlaceModeChanged.emit(enabled)
                self.activeMarkupsPlaceModeChanged.emit(enabled)
                self._signaled = enabled
        finally:
            self._updating = False

"""Stand-ins for the ctk and qMRML widgets of the panel: the members that it uses, no others.

Checked against CTK ``Libs/Widgets`` (ctkCollapsibleButton.h, ctkSliderWidget.h,
ctkPathLineEdit.h) and Slicer ``Libs/MRML/Widgets`` (qMRMLWidget.h, qMRMLNodeComboBox.h) and
``Modules/Loadable/Markups/Widgets`` (qSlicerMarkupsPlaceWidget.h).
"""

from __future__ import annotations

import vtk
from PySide6.QtCore import Property, QPoint, QRect, Qt, Signal
from PySide6.QtGui import QPainter, QPalette, QPolygon
from PySide6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QSizePolicy,
    QSlider,
    QToolButton,
    QWidget,
)


def _connect(self, signature: str, slot) -> None:
    """PythonQt's ``connect("signal(types)", slot)``, for the signatures of the real class."""
    getattr(self, self.SIGNALS[signature]).connect(slot)


class qMRMLWidget(QWidget):
    mrmlSceneChanged = Signal(object)

    def setMRMLScene(self, scene) -> None:
        self.mrmlSceneChanged.emit(scene)


class ctkCollapsibleButton(QWidget):
    SIGNALS = {"contentsCollapsed(bool)": "contentsCollapsed"}
    connect = _connect
    contentsCollapsed = Signal(bool)
    HEADER = 26

    def __init__(self, parent=None) -> None:
        super().__init__(parent)
        self._text, self._collapsed = "", False
        self.setContentsMargins(0, self.HEADER, 0, 0)
        self.setSizePolicy(QSizePolicy.Preferred, QSizePolicy.Maximum)

    def _setText(self, text: str) -> None:
        self._text = text
        self.update()

    def _setCollapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        # What is collapsed is cut off, not hidden: a child keeps its own visibility, as in CTK.
        self.setMaximumHeight(self.HEADER if collapsed else 16777215)
        self.setMinimumHeight(self.HEADER if collapsed else 0)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    text = Property(str, lambda self: self._text, _setText)
    collapsed = Property(bool, lambda self: self._collapsed, _setCollapsed)

    def mousePressEvent(self, event) -> None:
        if event.position().y() < self.HEADER:
            self._setCollapsed(not self._collapsed)

    def paintEvent(self, _event) -> None:
        painter = QPainter(self)
        header = QRect(0, 0, self.width(), self.HEADER - 3)
        painter.fillRect(header, self.palette().color(QPalette.Button).darker(108))
        painter.setPen(self.palette().color(QPalette.ButtonText))
        painter.drawText(header.adjusted(24, 0, 0, 0), Qt.AlignVCenter, self._text)
        painter.setBrush(self.palette().color(QPalette.ButtonText))
        painter.setRenderHint(QPainter.Antialiasing)
        arrow = ((0, -4), (5, 0), (0, 4)) if self._collapsed else ((-2, -2), (6, -2), (2, 4))
        middle = QPoint(10, header.height() // 2)
        painter.drawPolygon(QPolygon([middle + QPoint(*point) for point in arrow]))


class ctkSliderWidget(QWidget):
    SIGNALS = {"valueChanged(double)": "valueChanged"}
    connect = _connect
    valueChanged = Signal(float)
    STEPS = 1000

    def __init__(self, parent=None) -> None:
        super().__init__(parent)
        self._slider, self._box = QSlider(Qt.Horizontal), QDoubleSpinBox()
        self._slider.setRange(0, self.STEPS)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider)
        layout.addWidget(self._box)
        self._slider.valueChanged.connect(self._onSlider)
        self._box.valueChanged.connect(self._onBox)

    def _onSlider(self, step: int) -> None:
        low, high = self._box.minimum(), self._box.maximum()
        self._box.setValue(low + (high - low) * step / self.STEPS)

    def _onBox(self, value: float) -> None:
        low, high = self._box.minimum(), self._box.maximum()
        self._slider.blockSignals(True)
        self._slider.setValue(round((value - low) / max(high - low, 1e-9) * self.STEPS))
        self._slider.blockSignals(False)
        self.valueChanged.emit(value)

    value = Property(
        float, lambda self: self._box.value(), lambda self, value: self._box.setValue(value)
    )
    minimum = Property(
        float, lambda self: self._box.minimum(), lambda self, value: self._box.setMinimum(value)
    )
    maximum = Property(
        float, lambda self: self._box.maximum(), lambda self, value: self._box.setMaximum(value)
    )
    singleStep = Property(
        float,
        lambda self: self._box.singleStep(),
        lambda self, value: self._box.setSingleStep(value),
    )
    decimals = Property(
        int, lambda self: self._box.decimals(), lambda self, value: self._box.setDecimals(value)
    )


class ctkPathLineEdit(QWidget):
    currentPathChanged = Signal(str)

    def __init__(self, parent=None) -> None:
        super().__init__(parent)
        self._box, self._key = QComboBox(), ""
        self._box.setEditable(True)
        self._box.setSizePolicy(QSizePolicy.Expanding, QSizePolicy.Fixed)
        self._box.currentTextChanged.connect(self.currentPathChanged)
        button = QToolButton()
        button.setText("...")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        layout.addWidget(button)

    def addCurrentPathToHistory(self) -> None:
        self._box.insertItem(0, self._box.currentText())

    def _setKey(self, key: str) -> None:
        self._key = key

    currentPath = Property(
        str, lambda self: self._box.currentText(), lambda self, path: self._box.setEditText(path)
    )
    settingKey = Property(str, lambda self: self._key, _setKey)


class qMRMLNodeComboBox(QWidget):
    SIGNALS = {"currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged"}
    connect = _connect
    currentNodeChanged = Signal(object)

    def __init__(self, parent=None) -> None:
        super().__init__(parent)
        self._types, self._nodes, self._current = [], [], None
        self._flags = {}
        self._box = QComboBox()
        self._box.activated.connect(self._onActivated)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        self._scene, self._tags = None, []

    def setMRMLScene(self, scene) -> None:
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene, self._tags = scene, []
        if scene:
            events = scene.NodeAddedEvent, scene.EndCloseEvent, scene.EndImportEvent
            self._tags = [scene.AddObserver(event, self._fill) for event in events]
            removing = scene.NodeAboutToBeRemovedEvent
            self._tags.append(scene.AddObserver(removing, self._onRemoving, -10.0))
        self._fill()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onRemoving(self, _caller, _event, node) -> None:
        self._fill(leaving=node)

    def _fill(self, _caller=None, _event=None, leaving=None) -> None:
        """Show the scene's nodes; in place of one that goes, Qt takes the next, else the last."""
        if self._scene and (self._scene.IsClosing() or self._scene.IsImporting()):
            return  # it looks again at the end
        before = self._nodes.index(self._current) if self._current in self._nodes else 0
        nodes = []
        for kind in self._types if self._scene else ():
            count = self._scene.GetNumberOfNodesByClass(kind)
            nodes += [self._scene.GetNthNodeByClass(index, kind) for index in range(count)]
        self._nodes = [None] + [
            node for node in nodes if node.GetClassName() in self._types
            and not node.GetHideFromEditors() and node is not leaving
        ]  # fmt: skip
        self._box.clear()
        self._box.addItems([node.GetName() if node else "None" for node in self._nodes])
        if self._current not in self._nodes:
            isGone = leaving is not self._current  # with the whole scene
            self.setCurrentNode(None if isGone else self._nodes[min(before, len(self._nodes) - 1)])
        else:
            self._box.setCurrentIndex(self._nodes.index(self._current))

    def _onActivated(self, index: int) -> None:
        self.setCurrentNode(self._nodes[index])

    def currentNode(self):
        return self._current

    def setCurrentNode(self, node) -> None:
        if node not in self._nodes:
            node = None
        self._box.setCurrentIndex(self._nodes.index(node))
        if node is not self._current:
            self._current = node
            self.currentNodeChanged.emit(node)

    def _setTypes(self, types) -> None:
        self._types = list(types)

    nodeTypes = Property("QStringList", lambda self: self._types, _setTypes)

    def _flag(name):
        return Property(
            bool,
            lambda self: self._flags.get(name, True),
            lambda self, value: self._flags.__setitem__(name, value),
        )

    noneEnabled = _flag("noneEnabled")
    addEnabled = _flag("addEnabled")
    removeEnabled = _flag("removeEnabled")
    showChildNodeTypes = _flag("showChildNodeTypes")


class qSlicerMarkupsPlaceWidget(QWidget):
    ShowPlaceMultipleMarkupsOption, HidePlaceMultipleMarkupsOption = 0, 1
    ForcePlaceSingleMarkup, ForcePlaceMultipleMarkups = 2, 3
    SIGNALS = {"activeMarkupsPlaceModeChanged(bool)": "activeMarkupsPlaceModeChanged"}
    connect = _connect
    activeMarkupsPlaceModeChanged = Signal(bool)

    def __init__(self, parent=None) -> None:
        super().__init__(parent)
        self._node, self._interaction, self._selection = None, None, None
        self._observed = []
        self._wasEnabled = False
        self._buttons, self._multiple = True, self.ShowPlaceMultipleMarkupsOption
        self._delete = QToolButton()
        self._delete.setText("Delete")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._delete)

    def setMRMLScene(self, scene) -> None:
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed = []
        if scene is None:
            self._node = self._interaction = self._selection = None
            self._update()
            return
        self._interaction = scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
        self._selection = scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
        for node, event in (
            (self._interaction, "ModifiedEvent"),
            (self._interaction, self._interaction.InteractionModeChangedEvent),
            (self._selection, "ModifiedEvent"),
        ):
            self._observed.append((node, node.AddObserver(event, self._update)))

    def setCurrentNode(self, node) -> None:
        self._node = node
        self._delete.setVisible(True)  # whatever buttonsVisible says
        self._update()

    def _isEnabled(self) -> bool:
        return bool(
            self._node
            and self._interaction.GetCurrentInteractionMode() == self._interaction.Place
            and self._selection.GetActivePlaceNodeID() == self._node.GetID()
        )

    def _enable(self, enabled: bool) -> None:
        if enabled and self._node:
            self._selection.SetReferenceActivePlaceNodeClassName(self._node.GetClassName())
            self._selection.SetActivePlaceNodeID(self._node.GetID())
            if self._multiple >= self.ForcePlaceSingleMarkup:
                isPersistent = self._multiple == self.ForcePlaceMultipleMarkups
                self._interaction.SetPlaceModePersistence(isPersistent)
            self._interaction.SetCurrentInteractionMode(self._interaction.Place)
        elif not enabled and self._isEnabled():
            self._interaction.SetCurrentInteractionMode(self._interaction.ViewTransform)

    def _update(self, _caller=None, _event=None) -> None:
        enabled = self._isEnabled()
        if enabled != self._wasEnabled:
            self._wasEnabled = enabled
            self.activeMarkupsPlaceModeChanged.emit(enabled)

    def _showButtons(self, visible: bool) -> None:
        self._buttons = visible
        self._delete.setVisible(visible)

    def _setMultiple(self, option: int) -> None:
        self._multiple = option

    placeModeEnabled = Property(bool, _isEnabled, _enable)
    buttonsVisible = Property(bool, lambda self: self._buttons, _showButtons)
    placeMultipleMarkups = Property(int, lambda self: self._multiple, _setMultiple)


CTK = (ctkCollapsibleButton, ctkSliderWidget, ctkPathLineEdit)
SLICER = (qMRMLWidget, qMRMLNodeComboBox, qSlicerMarkupsPlaceWidget)

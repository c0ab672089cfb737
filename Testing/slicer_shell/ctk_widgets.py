"""CTK's widgets as far as panels use them: collapsible button, slider, path line edit, box."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import QEvent, Qt

from .pythonqt import RealMembers, stored


class ctkCollapsibleButton(RealMembers, QtWidgets.QAbstractButton):
    """A header button; what its layout holds is hidden while it is collapsed."""

    SIGNALS = {"contentsCollapsed(bool)": "contentsCollapsed"}
    contentsCollapsed = QtCore.Signal(bool)
    collapsedHeight = stored("collapsedHeight", 14)
    flat = stored("flat", False)

    def __init__(self, *arguments) -> None:
        self._collapsed = False
        self._forcing = False
        self._open_height = 0
        parent = arguments[-1] if arguments and not isinstance(arguments[-1], str) else None
        super().__init__(parent)
        self._open_height = self.maximumHeight()
        if arguments and isinstance(arguments[0], str):
            self.setText(arguments[0])
        self.setCheckable(True)
        self.setChecked(True)
        policy = QtWidgets.QSizePolicy.Policy
        self.setSizePolicy(policy.Minimum, policy.Preferred)
        self.setContentsMargins(0, self._button_size().height(), 0, 0)
        self.setBackgroundRole(QtGui.QPalette.ColorRole.Window)
        self.toggled.connect(self._on_toggled)

    @property
    def collapsed(self) -> bool:
        return self._collapsed

    @collapsed.setter
    def collapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    def _on_toggled(self, checked: bool) -> None:
        if self._collapsed == (not checked):
            return
        self._collapsed = not checked
        if self._collapsed:
            self._open_height = self.maximumHeight()
            self.setMaximumHeight(self.sizeHint().height())
        else:
            self.setMaximumHeight(self._open_height)
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                self._force(child)
        self.updateGeometry()
        self.contentsCollapsed.emit(self._collapsed)

    def _force(self, child: QtWidgets.QWidget) -> None:
        """Hide a child while collapsed, without forgetting whether it shall be seen otherwise."""
        if not self.testAttribute(Qt.WidgetAttribute.WA_WState_Created):
            return
        is_wanted = child.property("visibilityToParent")
        self._forcing = True
        child.setVisible(not self._collapsed and is_wanted is not False)
        if is_wanted is not False:
            child.setAttribute(Qt.WidgetAttribute.WA_WState_ExplicitShowHide, False)
        self._forcing = False

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        child = event.child()
        if isinstance(child, QtWidgets.QWidget) and event.type() == QEvent.Type.ChildAdded:
            if child.testAttribute(Qt.WidgetAttribute.WA_WState_ExplicitShowHide):
                if child.isHidden():
                    child.setProperty("visibilityToParent", False)
            child.installEventFilter(self)
            self._force(child)
        super().childEvent(event)

    def eventFilter(self, child: QtCore.QObject, event: QEvent) -> bool:
        if self._forcing or child.parent() is not self:
            return False
        # As in CTK, a widget that is shown while its section is collapsed waits until it opens.
        if event.type() == QEvent.Type.ShowToParent:
            child.setProperty("visibilityToParent", True)
            self._force(child)
        elif event.type() == QEvent.Type.HideToParent:
            child.setProperty("visibilityToParent", False)
        return False

    def setVisible(self, visible: bool) -> None:
        created = Qt.WidgetAttribute.WA_WState_Created
        is_new = not self.testAttribute(created)
        self._forcing = True
        super().setVisible(visible)
        self._forcing = False
        if is_new and self.testAttribute(created):
            for child in self.children():
                if isinstance(child, QtWidgets.QWidget):
                    self._force(child)

    def _option(self) -> QtWidgets.QStyleOptionButton:
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.state |= (
            QtWidgets.QStyle.StateFlag.State_Sunken
            if self.isDown()
            else QtWidgets.QStyle.StateFlag.State_Raised
        )
        option.rect.setHeight(self._button_size().height())
        return option

    def _button_size(self) -> QtCore.QSize:
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        text = self.fontMetrics().size(Qt.TextFlag.TextShowMnemonic, self.text() or "XXXX")
        metric = self.style().pixelMetric
        indicator = QtWidgets.QStyle.PixelMetric.PM_IndicatorWidth
        size = QtCore.QSize(text.width() + metric(indicator, option, self) + 6, text.height())
        kind = QtWidgets.QStyle.ContentsType.CT_PushButton
        return self.style().sizeFromContents(kind, option, size, self)

    def minimumSizeHint(self) -> QtCore.QSize:
        button = self._button_size()
        if self._collapsed:
            return button + QtCore.QSize(0, self.collapsedHeight)
        return super().minimumSizeHint().expandedTo(button) if self.layout() else button

    def sizeHint(self) -> QtCore.QSize:
        button = self._button_size() + QtCore.QSize(0, self.collapsedHeight)
        return button if self._collapsed else super().sizeHint().expandedTo(button)

    def hitButton(self, position: QtCore.QPoint) -> bool:
        return QtCore.QRect(0, 0, self.width(), self._button_size().height()).contains(position)

    def paintEvent(self, _event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        option, style = self._option(), self.style()
        style.drawControl(QtWidgets.QStyle.ControlElement.CE_PushButtonBevel, option, painter, self)
        arrows = QtWidgets.QStyle.PrimitiveElement
        arrow = QtWidgets.QStyleOption()
        arrow.initFrom(self)
        height = option.rect.height()
        arrow.rect = QtCore.QRect(6, (height - 12) // 2, 12, 12)
        kind = arrows.PE_IndicatorArrowRight if self._collapsed else arrows.PE_IndicatorArrowDown
        style.drawPrimitive(kind, arrow, painter, self)
        where = option.rect.adjusted(24, 0, -4, 0)
        flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        style.drawItemText(
            painter, where, flags | Qt.TextFlag.TextShowMnemonic, self.palette(), self.isEnabled(),
            self.text(), QtGui.QPalette.ColorRole.ButtonText,
        )  # fmt: skip


class ctkSliderWidget(RealMembers, QtWidgets.QWidget):
    """A slider with a spin box."""

    SIGNALS = {
        "valueChanged(double)": "valueChanged",
        "valueIsChanging(double)": "valueIsChanging",
        "decimalsChanged(int)": "decimalsChanged",
    }
    valueChanged = QtCore.Signal(float)
    valueIsChanging = QtCore.Signal(float)
    decimalsChanged = QtCore.Signal(int)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._slider = QtWidgets.QSlider(Qt.Orientation.Horizontal)
        self._spin_box = QtWidgets.QDoubleSpinBox()
        self._tracking = True
        self._before = None
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._spin_box)
        self._fit_slider()
        self._spin_box.valueChanged.connect(self._on_value)
        self._slider.valueChanged.connect(self._on_slider)
        self._slider.sliderPressed.connect(self._on_pressed)
        self._slider.sliderReleased.connect(self._on_released)

    def _fit_slider(self) -> None:
        self._slider.blockSignals(True)
        step = self._spin_box.singleStep()
        span = self._spin_box.maximum() - self._spin_box.minimum()
        self._slider.setRange(0, max(1, round(span / step)))
        self._slider.setValue(round((self._spin_box.value() - self._spin_box.minimum()) / step))
        self._slider.blockSignals(False)

    def _on_slider(self, position: int) -> None:
        self._spin_box.setValue(self._spin_box.minimum() + position * self._spin_box.singleStep())

    def _on_value(self, value: float) -> None:
        self._fit_slider()
        if not self._tracking:
            self.valueIsChanging.emit(value)
        if self._before is None:
            self.valueChanged.emit(value)

    def _on_pressed(self) -> None:
        if not self._tracking:
            self._before = self._spin_box.value()

    def _on_released(self) -> None:
        before, self._before = self._before, None
        if before is not None and before != self._spin_box.value():
            self.valueChanged.emit(self._spin_box.value())

    @property
    def value(self) -> float:
        return self._spin_box.value() if self._before is None else self._before

    @value.setter
    def value(self, value: float) -> None:
        self.setValue(value)

    def setValue(self, value: float) -> None:
        self._spin_box.setValue(value)

    def reset(self) -> None:
        self.setValue(min(max(0.0, self.minimum), self.maximum))

    def setSpinBoxVisible(self, visible: bool) -> None:
        self._spin_box.setVisible(visible)

    def setDecimals(self, decimals: int) -> None:
        self._spin_box.setDecimals(decimals)
        self.decimalsChanged.emit(decimals)

    spinBoxVisible = property(lambda self: not self._spin_box.isHidden(), setSpinBoxVisible)
    decimals = property(lambda self: self._spin_box.decimals(), setDecimals)

    @property
    def tracking(self) -> bool:
        return self._tracking

    @tracking.setter
    def tracking(self, tracking: bool) -> None:
        self._tracking = tracking


def _of_spin_box(name: str) -> property:
    """Return a property of the slider widget that is its spin box's."""
    setter = f"set{name[0].upper()}{name[1:]}"

    def write(self: ctkSliderWidget, value: object) -> None:
        getattr(self._spin_box, setter)(value)
        self._fit_slider()

    return property(lambda self: getattr(self._spin_box, name)(), write)


for _property in ("minimum", "maximum", "singleStep", "prefix", "suffix"):
    setattr(ctkSliderWidget, _property, _of_spin_box(_property))


class ctkPathLineEdit(RealMembers, QtWidgets.QWidget):
    """A path that is typed, chosen from the history, or browsed for."""

    SIGNALS = {
        "currentPathChanged(QString)": "currentPathChanged",
        "validInputChanged(bool)": "validInputChanged",
    }
    currentPathChanged = QtCore.Signal(str)
    validInputChanged = QtCore.Signal(bool)
    Dirs, Files, Drives, NoSymLinks, AllEntries = 0x001, 0x002, 0x004, 0x008, 0x007
    Readable, Writable, Executable = 0x010, 0x020, 0x040
    label = stored("label", "")
    filters = stored("filters", AllEntries)
    nameFilters = stored("nameFilters", ())

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._key = ""
        self._combo = QtWidgets.QComboBox()
        self._combo.setEditable(True)
        self._combo.setInsertPolicy(QtWidgets.QComboBox.InsertPolicy.NoInsert)
        policy = QtWidgets.QSizePolicy.Policy
        self._combo.setSizePolicy(policy.Expanding, policy.Fixed)
        self._combo.setMinimumWidth(60)
        self._button = QtWidgets.QToolButton()
        self._button.setText("...")
        self._button.setToolTip("Open a dialog")
        self._button.setSizePolicy(policy.Fixed, policy.Ignored)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._combo)
        layout.addWidget(self._button)
        self.setSizePolicy(policy.Expanding, policy.Fixed)
        self._valid = False
        self._button.clicked.connect(self.browse)
        self._combo.lineEdit().textChanged.connect(self._on_text)

    def _on_text(self, text: str) -> None:
        self.currentPathChanged.emit(text)
        valid = bool(text) and QtCore.QFileInfo(text).exists()
        if valid != self._valid:
            self._valid = valid
            self.validInputChanged.emit(valid)

    @property
    def currentPath(self) -> str:
        return self._combo.currentText()

    @currentPath.setter
    def currentPath(self, path: str) -> None:
        self.setCurrentPath(path)

    def setCurrentPath(self, path: str) -> None:
        self._combo.setEditText(path)

    def comboBox(self) -> QtWidgets.QComboBox:
        return self._combo

    def browse(self) -> None:
        import qt

        if self.filters & self.Files:
            path = qt.QFileDialog.getOpenFileName(self, self.label, self.currentPath)
        else:
            path = qt.QFileDialog.getExistingDirectory(self, self.label, self.currentPath)
        if path:
            self.setCurrentPath(path)

    @property
    def settingKey(self) -> str:
        return self._key

    @settingKey.setter
    def settingKey(self, key: str) -> None:
        self._key = key
        self.retrieveHistory()

    def _history(self) -> list[str]:
        value = QtCore.QSettings().value(f"ctkPathLineEdit/{self._key}") if self._key else None
        return [value] if isinstance(value, str) else list(value or ())

    def retrieveHistory(self) -> None:
        """Fill the list with the paths that were used last; the last one becomes the path."""
        history = self._history()
        self._combo.clear()
        self._combo.addItems(history)

    def addCurrentPathToHistory(self) -> None:
        path = self.currentPath
        if not self._key or not path:
            return
        history = [path, *(other for other in self._history() if other != path)][:5]
        QtCore.QSettings().setValue(f"ctkPathLineEdit/{self._key}", history)
        self._combo.blockSignals(True)
        self.retrieveHistory()
        self._combo.setEditText(path)
        self._combo.blockSignals(False)


class ctkMessageBox(RealMembers, QtWidgets.QMessageBox):
    """A message box that does not wait: the test's answer is given at once."""

    dontShowAgainVisible = stored("dontShowAgainVisible", False)
    dontShowAgainSettingsKey = stored("dontShowAgainSettingsKey", "")
    _asked: list = []
    _answers: list = []

    def exec_(self) -> QtWidgets.QMessageBox.StandardButton:
        self._asked.append(self.text())
        buttons = QtWidgets.QMessageBox.StandardButton
        if self._answers:
            return self._answers.pop(0)
        shown = self.standardButtons()
        return next(
            button
            for button in (buttons.Ok, buttons.Yes, buttons.Close, buttons.Cancel, buttons.NoButton)
            if shown & button or button == buttons.NoButton
        )

    exec = exec_

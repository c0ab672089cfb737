"""The same Shell as the stand-in's, on a running 3D Slicer: its own widgets, views and scene.

Not for import elsewhere. `run_tests.py` runs the tests with it; that both Shells have the same
methods is tested without Slicer.
"""

from __future__ import annotations

import qt
import slicer
from both_shells import BothShells, on_chart, on_view, process

WINDOW_SIZE = 1500, 950
LARGEST = 16777215
_shell: Shell | None = None


def start() -> Shell:
    """Take over the application, once in a process."""
    global _shell
    if _shell is None:
        _shell = Shell()
    return _shell


class Shell(BothShells):
    def __init__(self) -> None:
        super().__init__(slicer.mrmlScene)
        self.window = slicer.util.mainWindow()
        self._take_over(slicer)
        self.window.resize(*WINDOW_SIZE)
        self.process(0.5)

    # the application

    def openModule(self, name: str):
        """Load a scripted module and open its panel; returns the module's widget."""
        self.addModulePath(name)
        slicer.util.selectModule(name)
        self.process(0.5)
        self.module = getattr(slicer.modules, name.lower())
        return self.module.widgetRepresentation().self()

    def closeModule(self) -> None:
        """Leave the module that is open, if one is."""
        slicer.util.selectModule("Data")
        self.process()

    def reset(self) -> None:
        """Leave nothing for the next user: no open module, node, layout, message or size."""
        self.closeModule()
        slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        for view in self._sized:
            view.setMinimumSize(0, 0)
            view.setMaximumSize(LARGEST, LARGEST)
        self._sized.clear()
        self.scene.Clear()
        for kept in (slicer.dicomDatabase.files, self.messages, self.answers):
            kept.clear()
        self.window.resize(*WINDOW_SIZE)
        self.process()

    def process(self, seconds: float = 0.0) -> None:
        """Let the application run, at least until nothing is waiting."""
        process(slicer.app, seconds)

    # a user's hands

    def _send(self, widget, kind, place: tuple[int, int], button, buttons) -> None:
        onScreen = widget.mapToGlobal(qt.QPoint(*place))
        event = qt.QMouseEvent(
            kind, qt.QPointF(*place), qt.QPointF(onScreen), button, buttons, qt.Qt.NoModifier
        )
        qt.QCoreApplication.sendEvent(widget, event)

    def _move(self, widget, place, buttons=qt.Qt.NoButton) -> None:
        self._send(widget, qt.QEvent.MouseMove, place, qt.Qt.NoButton, buttons)
        self.process(0.1)

    def _press(self, widget, place) -> None:
        left = qt.Qt.LeftButton
        self._send(widget, qt.QEvent.MouseButtonPress, place, left, left)

    def _release(self, widget, place) -> None:
        left = qt.Qt.LeftButton
        self._send(widget, qt.QEvent.MouseButtonRelease, place, left, qt.Qt.NoButton)
        self.process(0.2)

    def click(self, widget) -> None:
        """Click a button or a check box, opening the section that it is in."""
        for parent in _parents(widget):
            if parent.inherits("ctkCollapsibleButton") and parent.collapsed:
                parent.collapsed = False
        self.process(0.05)
        for parent in _parents(widget):
            if parent.inherits("QScrollArea"):
                parent.ensureWidgetVisible(widget)
        self.process()
        assert widget.visible, "hidden widgets cannot be clicked"
        assert widget.enabled, "disabled widgets cannot be clicked"
        x = 8 if widget.inherits("QCheckBox") else widget.width // 2
        place = x, widget.height // 2
        self._press(widget, place)
        self._release(widget, place)

    def onScreen(self, volume, x: float, y: float) -> tuple[int, int]:
        """Return where a pixel of a volume is in its view."""
        widget = self._view_of(volume)
        return on_view(widget, volume, x, y, widget.sliceView().height)

    def clickPixel(self, volume, x: float, y: float) -> None:
        """Click a pixel of a volume in its slice view."""
        view = self._view_of(volume).sliceView().VTKWidget()
        place = self.onScreen(volume, x, y)
        self._move(view, place)
        self._press(view, place)
        self._release(view, place)

    def drag(self, volume, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the left button at a pixel of a volume, move to another one, and release."""
        view = self._view_of(volume).sliceView().VTKWidget()
        first, last = (self.onScreen(volume, *place) for place in (start, end))
        self._move(view, first)
        self._press(view, first)
        for step in (0.3, 0.7, 1.0):
            place = tuple(round(a + (b - a) * step) for a, b in zip(first, last, strict=True))
            self._move(view, place, qt.Qt.LeftButton)
        self._release(view, last)

    def press(self, keys: str, widget=None) -> None:
        """Press a key, such as "Shift+N", where the focus is, or in a widget."""
        self.window.activateWindow()
        *modifiers, key = keys.split("+")
        code = {".": qt.Qt.Key_Period, ",": qt.Qt.Key_Comma}.get(key)
        code = getattr(qt.Qt, f"Key_{key}") if code is None else code
        shift = qt.Qt.ShiftModifier if modifiers else qt.Qt.NoModifier
        text = key if modifiers else key.lower()
        target = widget or self.window
        for kind in (qt.QEvent.ShortcutOverride, qt.QEvent.KeyPress, qt.QEvent.KeyRelease):
            qt.QCoreApplication.postEvent(target, qt.QKeyEvent(kind, code, shift, text))
        self.process(0.2)

    def clickPlot(self, node, x: float, y: float) -> None:
        """Click a place in a plot view, in the units of its axes."""
        view = slicer.app.layoutManager().viewWidget(node).plotView()
        u, v = on_chart(view.chart(), x, y)
        place = u, view.height - 1 - v
        self._move(view, place)
        self._press(view, place)
        self._release(view, place)

    def screenshot(self, path) -> None:
        """Save what the window shows as a PNG."""
        self.process(0.3)
        self.window.grab().save(str(path))


def _parents(widget):
    parent = widget.parentWidget()
    while parent is not None:
        yield parent
        parent = parent.parentWidget()

"""A stand-in for the Slicer application around the module, for tests and pictures.

The MRML scene, the nodes, the displayable managers and the slice views are Slicer's own, from the
wheels ``slicer-core`` and ``trame-slicer``; the widgets are PySide6's. Stood in for is what no
wheel has, each file saying which of Slicer's sources its members were checked against:

``widgets.py``
    qMRMLWidget, qMRMLNodeComboBox, qSlicerMarkupsPlaceWidget, ctkCollapsibleButton,
    ctkSliderWidget, ctkPathLineEdit.
``application.py``
    slicer.app, qMRMLLayoutManager, qSlicerSingletonViewFactory, qMRMLSliceWidget, qMRMLSliceView,
    and slicer.util's loadVolume, loadMarkups, saveNode, saveScene and loadScene.
``plot_view.py``
    qMRMLPlotWidget, qMRMLPlotView.
``python_base.py``
    ScriptedLoadableModule and its three companions, parameterNodeWrapper, i18n, SampleData.
``both_shells.py``, beside this folder
    slicer.dicomDatabase.
This file
    The modules ``qt`` and ``ctk`` with PythonQt's property syntax, slicer.util's loadUI,
    childWidgetVariables, modulePath, mainWindow and message boxes, the main window, and what a
    user's hands do.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

from both_shells import ROOT, BothShells, on_chart, on_view, process

TRUE_PROPERTY = 2
WINDOW_SIZE = 1280, 800
_shell: Shell | None = None


def start() -> Shell:
    """Start the application, once in a process."""
    global _shell
    if _shell is None:
        if sys.version_info < (3, 12):
            # PySide6 drops references to None, which older Pythons count.
            ctypes.c_ssize_t.from_address(id(None)).value += 1 << 40
        _choose_screen()
        _shell = Shell()
    return _shell


def _choose_screen() -> None:
    """Use a display of our own if Xvfb is there, else none; VTK never needs one."""
    os.environ["VTK_DEFAULT_OPENGL_WINDOW"] = "vtkEGLRenderWindow"
    has_libraries = ctypes.util.find_library("xcb-cursor") and ctypes.util.find_library("EGL")
    if shutil.which("Xvfb") and has_libraries:
        read, write = os.pipe()
        command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x800x24"]
        server = subprocess.Popen(
            command, pass_fds=[write], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(write)
        with os.fdopen(read) as answer:
            number = answer.readline().strip()
        if number:
            import atexit

            atexit.register(server.terminate)
            os.environ["DISPLAY"] = f":{number}"
            os.environ["QT_QPA_PLATFORM"] = "xcb"
            return
    os.environ["QT_QPA_PLATFORM"] = "offscreen"


class Shell(BothShells):
    def __init__(self) -> None:
        _make_qt()
        import slicer
        import slicer.util
        from PySide6.QtWidgets import (
            QApplication,
            QFrame,
            QHBoxLayout,
            QMainWindow,
            QScrollArea,
            QSplitter,
            QWidget,
        )
        from trame_slicer.core import SlicerApp

        from . import application, python_base, widgets

        python_base.pythonModules()
        self._qApplication = QApplication.instance() or QApplication(["Slicer"])
        self._core = SlicerApp()
        super().__init__(self._core.scene)
        self._opened = None

        self.window = QMainWindow()
        self.window.setWindowTitle("3D Slicer (stand-in)")
        self._panels = QScrollArea()
        self._panels.setWidgetResizable(True)
        self._panels.setFrameShape(QFrame.NoFrame)
        views = QWidget()
        place = QHBoxLayout(views)
        place.setContentsMargins(0, 0, 0, 0)
        place.setSpacing(2)
        splitter = QSplitter()
        splitter.addWidget(self._panels)
        splitter.addWidget(views)
        splitter.setSizes([480, 800])
        splitter.setStretchFactor(1, 1)
        self.window.setCentralWidget(splitter)
        self.window.resize(*WINDOW_SIZE)

        slicer.mrmlScene = self.scene
        slicer.qSlicerMarkupsPlaceWidget = widgets.qSlicerMarkupsPlaceWidget
        slicer.qSlicerSingletonViewFactory = application.qSlicerSingletonViewFactory
        slicer.modules = SimpleNamespace(
            sampleDataSources={}, markupsLogic=self._core.markups_logic._logic
        )
        manager = application.qMRMLLayoutManager(self.scene, self._core.app_logic, place)
        slicer.app = application.Application(self._qApplication, manager, self._core.app_logic)
        for name in ("loadVolume", "loadMarkups", "saveNode", "saveScene", "loadScene"):
            setattr(slicer.util, name, getattr(application, name))
        slicer.util.loadUI = _load_ui
        slicer.util.childWidgetVariables = _child_widgets
        slicer.util.modulePath = lambda name: str(ROOT / name / f"{name}.py")
        slicer.util.mainWindow = lambda: self.window
        self._take_over(slicer)

        self.window.show()
        self.process()

    # the application

    def openModule(self, name: str):
        """Load a scripted module and open its panel; returns the module's widget."""
        import slicer
        from PySide6.QtCore import Property
        from PySide6.QtWidgets import QVBoxLayout, QWidget

        class Parent(QWidget):
            isEntered = Property(bool, lambda self: True)

        self.closeModule()
        self.addModulePath(name)
        module = importlib.import_module(name)
        self.module = getattr(module, name)(SimpleNamespace(path=slicer.util.modulePath(name)))
        slicer.app.completeStartup()
        parent = Parent()
        layout = QVBoxLayout(parent)
        layout.setContentsMargins(4, 4, 4, 4)
        widget = getattr(module, f"{name}Widget")(parent)
        widget.setup()
        self._panels.setWidget(parent)
        self._opened = widget
        widget.enter()
        self.process(0.3)
        return widget

    def closeModule(self) -> None:
        """Leave the module that is open, if one is, and unload it."""
        import shiboken6
        from PySide6.QtWidgets import QPushButton

        from .widgets import qMRMLWidget

        if self._opened is None:
            return
        self._opened.exit()
        self._opened.cleanup()
        self._opened = None
        parent = self._panels.takeWidget()
        # Qt deletes a widget's children in their order, buttons before what is beside them.
        for button in parent.findChildren(QPushButton):
            shiboken6.delete(button)
        for panel in parent.findChildren(qMRMLWidget):
            panel.setMRMLScene(None)
        shiboken6.delete(parent)
        self.process()

    def reset(self) -> None:
        """Leave nothing for the next user: no open module, node, layout, message or size."""
        import slicer

        self.closeModule()
        manager = slicer.app.layoutManager()
        manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutNone)
        for view in self._sized:
            view.setMinimumSize(*view.SMALLEST)
            view.setMaximumSize(*view.LARGEST)
        self._sized.clear()
        self.scene.Clear()
        for kept in (slicer.modules.sampleDataSources, slicer.dicomDatabase.files):
            kept.clear()
        for kept in (self.messages, self.answers, slicer.app.exitCodes):
            kept.clear()
        self.window.resize(*WINDOW_SIZE)
        self.process()

    def process(self, seconds: float = 0.0) -> None:
        """Let the application run, at least until nothing is waiting."""
        process(self._qApplication, seconds)

    # a user's hands

    def click(self, widget) -> None:
        """Click a button or a check box, opening the section that it is in."""
        from PySide6.QtCore import QPoint, Qt
        from PySide6.QtTest import QTest
        from PySide6.QtWidgets import QCheckBox, QWidget

        from .widgets import ctkCollapsibleButton

        parent = QWidget.parentWidget(widget)
        while parent is not None:
            if isinstance(parent, ctkCollapsibleButton) and parent.collapsed:
                parent.collapsed = False
            parent = QWidget.parentWidget(parent)
        self.process()
        self._panels.ensureWidgetVisible(widget)
        self.process()
        assert QWidget.isVisible(widget), "hidden widgets cannot be clicked"
        assert QWidget.isEnabled(widget), "disabled widgets cannot be clicked"
        size = QWidget.size(widget)
        x = 8 if isinstance(widget, QCheckBox) else size.width() // 2
        QTest.mouseClick(widget, Qt.LeftButton, Qt.NoModifier, QPoint(x, size.height() // 2))
        self.process(0.05)

    def onScreen(self, volume, x: float, y: float) -> tuple[int, int]:
        """Return where a pixel of a volume is in its view."""
        widget = self._view_of(volume)
        return on_view(widget, volume, x, y, widget.sliceView().height())

    def clickPixel(self, volume, x: float, y: float) -> None:
        """Click a pixel of a volume in its slice view."""
        from PySide6.QtCore import QPoint, Qt
        from PySide6.QtTest import QTest

        view = self._view_of(volume).sliceView()
        point = QPoint(*self.onScreen(volume, x, y))
        QTest.mouseMove(view, point)
        self.process(0.05)
        QTest.mouseClick(view, Qt.LeftButton, Qt.NoModifier, point)
        self.process(0.1)

    def drag(self, volume, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the left button at a pixel of a volume, move to another one, and release."""
        from PySide6.QtCore import QPoint, Qt
        from PySide6.QtTest import QTest

        view = self._view_of(volume).sliceView()
        first, last = (QPoint(*self.onScreen(volume, *place)) for place in (start, end))
        QTest.mouseMove(view, first)
        self.process(0.05)
        QTest.mousePress(view, Qt.LeftButton, Qt.NoModifier, first)
        for step in (0.3, 0.7, 1.0):
            QTest.mouseMove(view, first + (last - first) * step)
            self.process(0.02)
        QTest.mouseRelease(view, Qt.LeftButton, Qt.NoModifier, last)
        self.process(0.1)

    def press(self, keys: str, widget=None) -> None:
        """Press a key, such as "Shift+N", where the focus is, or in a widget."""
        from PySide6.QtGui import QKeySequence
        from PySide6.QtTest import QTest
        from PySide6.QtWidgets import QWidget

        QWidget.activateWindow(self.window)
        # Shortcuts of a window are dead until the system has made it the active one.
        assert QTest.qWaitForWindowActive(self.window, 10000)
        QTest.keySequence(widget or self.window, QKeySequence(keys))
        self.process(0.1)

    def clickPlot(self, node, x: float, y: float) -> None:
        """Click a place in a plot view, in the units of its axes."""
        import slicer
        from PySide6.QtCore import QPoint, Qt
        from PySide6.QtTest import QTest

        view = slicer.app.layoutManager().viewWidget(node).plotView()
        u, v = on_chart(view.chart(), x, y)
        QTest.mouseClick(view, Qt.LeftButton, Qt.NoModifier, QPoint(u, view.height() - 1 - v))
        self.process(0.2)

    def screenshot(self, path) -> None:
        """Save what the window shows as a PNG."""
        from PySide6.QtWidgets import QWidget

        self.process(0.3)
        QWidget.grab(self.window).save(str(path))


def _make_qt() -> None:
    """Make the modules ``qt`` and ``ctk``, with properties as PythonQt has them."""
    from PySide6 import QtCore, QtGui, QtWidgets
    from shibokensupport import feature

    from . import widgets

    qt, ctk = ModuleType("qt"), ModuleType("ctk")
    for part in (QtCore, QtGui, QtWidgets):
        vars(qt).update({name: getattr(part, name) for name in dir(part) if name[0] != "_"})
    vars(ctk).update({cls.__name__: cls for cls in widgets.CTK})
    sys.modules.update(qt=qt, ctk=ctk)

    # PySide asks for each module, by name, whether its properties are written as in PythonQt,
    # where both spellings work. What sets up widgets writes properties, the rest calls setters.
    written = (
        "candidate_list", "case_decisions", "case_table", "drawn_box", "exam_list", "exams",
        "export", "film_strip", "keyboard", "lesion_list", "plain_text", "reading_list",
        "result_list", "result_table", "review", "setup", "side_by_side", "time_line", "tracking",
    )  # fmt: skip
    true_properties = ["MammoTracker", *(f"MammoTrackerPanel.{name}" for name in written)]
    true_properties += [f"Testing.panel.test_{name}" for name in ("module", *written)]
    true_properties += ["panel_steps", "screenshots", "__main__"]
    ours = [f"{__name__}.{path.stem}" for path in Path(__file__).parent.glob("*.py")]
    setters = [__name__, *ours, "MammoTrackerPanel.child_process", "slicer.util"]
    feature.pyside_feature_dict.update(dict.fromkeys(setters, 0))
    feature.pyside_feature_dict.update(dict.fromkeys(true_properties, TRUE_PROPERTY))
    QtCore.__init_feature__()


def _load_ui(path: str):
    """Read a .ui file; its connections, all of the scene, are made in Python."""
    import xml.etree.ElementTree as ElementTree

    from PySide6.QtCore import QBuffer, QByteArray
    from PySide6.QtUiTools import QUiLoader
    from PySide6.QtWidgets import QWidget

    from . import widgets

    tree = ElementTree.parse(path).getroot()
    connections = tree.find("connections")
    tree.remove(connections)
    loader = QUiLoader()
    for cls in (*widgets.CTK, *widgets.SLICER):
        loader.registerCustomWidget(cls)
    buffer = QBuffer()
    buffer.setData(QByteArray(ElementTree.tostring(tree)))
    root = loader.load(buffer)
    for connection in connections:
        sender, signal, receiver, slot = (
            connection.find(name).text for name in ("sender", "signal", "receiver", "slot")
        )
        assert sender == root.objectName() and slot == "setMRMLScene(vtkMRMLScene*)"
        assert signal == "mrmlSceneChanged(vtkMRMLScene*)"
        root.mrmlSceneChanged.connect(root.findChild(QWidget, receiver).setMRMLScene)
    return root


def _child_widgets(root) -> SimpleNamespace:
    from PySide6.QtWidgets import QWidget

    children = root.findChildren(QWidget)
    names = {child.objectName(): child for child in children}
    return SimpleNamespace(**{name: child for name, child in names.items() if name[:3] != "qt_"})

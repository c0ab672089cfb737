"""Stand-in for ``slicer.app``, the layout manager and slice views, and what loads and saves.

Checked against Slicer ``Base/QTGUI`` (qSlicerApplication.h, qSlicerSingletonViewFactory.cxx),
``Base/QTCore`` (qSlicerCoreApplication.h, qSlicerCoreCommandOptions.h), ``Libs/MRML/Widgets``
(qMRMLLayoutManager.h, qMRMLSliceWidget.h, qMRMLSliceView.h) and ``Base/Python/slicer/util.py``, and
against CTK ``Libs/Visualization/VTK/Widgets/ctkVTKAbstractView.cpp``: what is hidden renders
nothing, what Qt has not shown yet cannot be rendered, and the interactor never renders by itself,
also when `vtkWindowToImageFilter` asks it to. A slice view is Slicer's own, rendered off screen,
and painted into a widget; the widget's mouse events go to the view's interactor.
"""

from __future__ import annotations

import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import shiboken6
import slicer
import vtk
from PySide6.QtCore import QSettings, Qt, QTimer
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSlider,
    QSplitter,
    QVBoxLayout,
    QWidget,
)
from trame_slicer.views import SliceView

from .plot_view import qMRMLPlotWidget, rendered


class qMRMLSliceView(QWidget):
    """The picture of a slice view. It renders when it is asked to, once per event loop."""

    SMALLEST, LARGEST = (80, 80), (16777215, 16777215)

    def __init__(self, view: SliceView) -> None:
        super().__init__()
        self._view, self._image, self._pending = view, None, False
        self._isReady = False
        window = view.render_window()
        window.Render, window.GetNeverRendered = lambda: None, lambda: 1
        self._corner = vtk.vtkCornerAnnotation()
        window.GetRenderers().GetFirstRenderer().AddViewProp(self._corner)
        view.interactor().EnableRenderOff()
        view.interactor().AddObserver("RenderEvent", lambda *_: self.scheduleRender())
        self.setMouseTracking(True)
        self.setMinimumSize(*self.SMALLEST)
        view.set_scheduled_render(self)
        view.render_window().SetMultiSamples(0)

    # trame's strategy for rendering

    def set_abstract_view(self, view) -> None:
        pass

    def did_render(self) -> None:
        pass

    def schedule_render(self) -> None:
        self.scheduleRender()

    # qMRMLSliceView

    def renderWindow(self):
        return self._view.render_window()

    def cornerAnnotation(self):
        return self._corner

    def scheduleRender(self) -> None:
        if not self._pending:
            self._pending = True
            QTimer.singleShot(0, self.forceRender)

    def forceRender(self) -> None:
        self._pending = False
        if not self.isVisible() or not self._isReady:
            return
        self._annotate()
        self._image = rendered(self.renderWindow())
        self.update()

    def _annotate(self) -> None:
        """Write the volume's name into the corner, as the module Data Probe does."""
        volume = self._view._logic.GetBackgroundLayer().GetVolumeNode()
        self._corner.SetText(0, volume.GetName() if volume else "")

    def _initialize(self) -> None:
        """Let the window render: Qt makes a widget's OpenGL when it is on the screen."""
        if self._isReady:  # shown twice before that
            return
        self._isReady = True
        del self.renderWindow().Render, self.renderWindow().GetNeverRendered
        self.scheduleRender()

    # QWidget

    def resizeEvent(self, _event) -> None:
        self._view.interactor().UpdateSize(self.width(), self.height())
        self._view._logic.ResizeSliceNode(self.width(), self.height())
        self.schedule_render()

    def showEvent(self, _event) -> None:
        if not self._isReady:
            QTimer.singleShot(0, self._initialize)
        self.schedule_render()

    def paintEvent(self, _event) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), Qt.black)
        if self._image:
            painter.drawImage(0, 0, self._image)

    def _send(self, event, name: str) -> None:
        interactor = self._view.interactor()
        x, y = round(event.position().x()), self.height() - 1 - round(event.position().y())
        interactor.SetEventInformation(x, y, 0, 0)
        interactor.InvokeEvent(name)
        self.schedule_render()

    def enterEvent(self, event) -> None:
        self._send(event, "EnterEvent")

    def mouseMoveEvent(self, event) -> None:
        self._send(event, "MouseMoveEvent")

    def mousePressEvent(self, event) -> None:
        button = "Left" if event.button() == Qt.LeftButton else "Right"
        self._send(event, "MouseMoveEvent")
        self._send(event, f"{button}ButtonPressEvent")

    def mouseReleaseEvent(self, event) -> None:
        button = "Left" if event.button() == Qt.LeftButton else "Right"
        self._send(event, f"{button}ButtonReleaseEvent")


class qMRMLSliceWidget(QWidget):
    def __init__(self, scene, applicationLogic, name: str, label: str, color: str) -> None:
        super().__init__()
        # The layout's logic takes the node that a scene brought; this view can only make its own.
        known = scene.GetSingletonNode(name, "vtkMRMLSliceNode")
        if known:
            scene.RemoveNode(known)
        self._slice = SliceView(scene, applicationLogic, name)
        self._view = qMRMLSliceView(self._slice)
        bar = QWidget()
        bar.setStyleSheet(f"background: {color}; color: black; padding: 2px")
        node = self._slice.get_view_node()
        node.SetLayoutLabel(label)
        text = QLabel(label)
        text.setObjectName("ViewLabel")
        node.AddObserver("ModifiedEvent", lambda *_: text.setText(node.GetLayoutLabel()))
        text.setMinimumWidth(text.fontMetrics().horizontalAdvance("XX"))
        slider = QSlider(Qt.Horizontal)  # of the slice's offset
        slider.setSizePolicy(QSizePolicy.Expanding, QSizePolicy.Fixed)
        slider.setMinimumWidth(60)
        barLayout = QHBoxLayout(bar)
        barLayout.setContentsMargins(8, 0, 8, 0)
        barLayout.addWidget(text)
        barLayout.addWidget(slider, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(bar)
        layout.addWidget(self._view, 1)

    def sliceLogic(self):
        return self._slice._logic

    def mrmlSliceNode(self):
        return self._slice.get_view_node()

    def sliceView(self) -> qMRMLSliceView:
        return self._view


class qSlicerSingletonViewFactory:
    """Puts a widget of the module's into the layouts that have its tag."""

    def __init__(self) -> None:
        self._tag, self._widget = "", None

    def setTagName(self, tag: str) -> None:
        self._tag = tag

    def tagName(self) -> str:
        return self._tag

    def setWidget(self, widget: QWidget) -> None:
        self._widget = widget

    def widget(self) -> QWidget | None:
        """Return the widget, unless Qt has deleted it."""
        return self._widget if self._widget and shiboken6.isValid(self._widget) else None


class qMRMLLayoutManager:
    """Shows views, and what is registered, as the layout's XML says; each view is kept."""

    def __init__(self, scene, applicationLogic, place: QHBoxLayout) -> None:
        self._scene, self._applicationLogic, self._place = scene, applicationLogic, place
        self._widgets: dict[str, QWidget] = {}
        self._factories: dict[str, qSlicerSingletonViewFactory] = {}
        node = scene.AddNode(slicer.vtkMRMLLayoutNode())
        self._logic = SimpleNamespace(GetLayoutNode=lambda: node)

    def layoutLogic(self):
        return self._logic

    def registerViewFactory(self, factory: qSlicerSingletonViewFactory) -> None:
        assert factory.tagName() not in self._factories, "a second one would not be used"
        self._factories[factory.tagName()] = factory

    def setLayout(self, layout: int) -> None:
        node = self._logic.GetLayoutNode()
        node.SetViewArrangement(layout)
        while self._place.count():
            shown = self._place.takeAt(0).widget()
            shown.hide()
            for kept in [*self._widgets.values(), *(f.widget() for f in self._factories.values())]:
                if kept and shown.isAncestorOf(kept):
                    kept.setParent(None)
        description = node.GetLayoutDescription(layout)
        if description:
            made = self._made(ElementTree.fromstring(description))
            self._place.addWidget(made, 1)
            made.show()

    def _made(self, element) -> QWidget:
        if element.tag == "layout":
            isVertical = element.get("type") == "vertical"
            splitter = QSplitter(Qt.Vertical if isVertical else Qt.Horizontal)
            splitter.setChildrenCollapsible(False)
            splitter.setHandleWidth(2)
            items = list(element)
            for index, item in enumerate(items):
                made = self._made(item[0])
                splitter.addWidget(made)
                made.show()  # not before, when it would be a window of its own
                splitter.setStretchFactor(index, 1)
            splitter.setSizes([int(item.get("splitSize", 500)) for item in items])
            return splitter
        if element.tag == "view":
            return self._view(element)
        return self._factories[element.tag].widget() or QWidget()

    def _view(self, element) -> QWidget:
        name = element.get("singletontag")
        if name not in self._widgets:
            label, color = (
                next((p.text for p in element if p.get("name") == key), "")
                for key in ("viewlabel", "viewcolor")
            )
            if element.get("class") == "vtkMRMLPlotViewNode":
                node = slicer.vtkMRMLPlotViewNode()
                node.SetSingletonTag(name)
                node.SetLayoutName(name)
                self._widgets[name] = qMRMLPlotWidget(self._scene.AddNode(node), label)
            else:
                self._widgets[name] = qMRMLSliceWidget(
                    self._scene, self._applicationLogic, name, label, color
                )
        return self._widgets[name]

    def sliceWidget(self, name: str) -> qMRMLSliceWidget | None:
        return self._widgets.get(name)

    def viewWidget(self, node) -> QWidget | None:
        return self._widgets.get(node.GetSingletonTag())


class Application:
    """``slicer.app``."""

    applicationName = "Slicer"

    def __init__(self, qApplication: QApplication, layoutManager, applicationLogic) -> None:
        self._qApplication, self._layoutManager = qApplication, layoutManager
        self._applicationLogic = applicationLogic
        self._startup = []
        self._options = SimpleNamespace(runPythonAndExit=False)
        self.exitCodes: list[int] = []
        self._folder = tempfile.TemporaryDirectory()
        file = str(Path(self._folder.name) / "Slicer.ini")
        self._settings = QSettings(file, QSettings.IniFormat)

    def userSettings(self) -> QSettings:
        """Return settings that go with this process."""
        return self._settings

    def connect(self, signature: str, slot) -> None:
        assert signature == "startupCompleted()", signature
        self._startup.append(slot)

    def completeStartup(self) -> None:
        while self._startup:
            self._startup.pop(0)()

    def commandOptions(self) -> SimpleNamespace:
        return self._options

    def exit(self, code: int = 0) -> None:
        """Take note of the code: the real one, too, goes on until the event loop is back."""
        self.exitCodes.append(code)

    def layoutManager(self):
        return self._layoutManager

    def applicationLogic(self):
        return self._applicationLogic

    def processEvents(self, *flags) -> None:
        self._qApplication.processEvents(*flags)

    def testingEnabled(self) -> bool:
        return False

    def setOverrideCursor(self, _cursor) -> None:
        pass

    def restoreOverrideCursor(self) -> None:
        pass


def loadVolume(path, properties=None, returnNode=False):
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetName(Path(path).stem)
    slicer.mrmlScene.AddNode(node)
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetSingleFile(True)
    storage.SetFileName(str(path))
    node.SetAndObserveStorageNodeID(storage.GetID())
    if not storage.ReadData(node):
        slicer.mrmlScene.RemoveNode(node)
        raise RuntimeError(f"Failed to load node from file: {path}")
    node.CreateDefaultDisplayNodes()
    return node


def loadMarkups(path):
    logic = slicer.modules.markupsLogic
    identifier = logic.LoadMarkups(str(path), "")
    if not identifier:
        raise RuntimeError(f"Failed to load node from file: {path}")
    return slicer.mrmlScene.GetNodeByID(identifier)


def saveNode(node, path, properties=None) -> bool:
    storage = node.CreateDefaultStorageNode()
    storage.SetFileName(str(path))
    return bool(storage.WriteData(node))


def saveScene(path, properties=None) -> bool:
    return bool(slicer.mrmlScene.WriteToMRB(str(path)))


def loadScene(path, properties=None) -> bool:
    """Load a scene; as in Slicer, modules' parameters change before other nodes read their files.

    (A GUI that is connected to them sets them meanwhile, which Slicer's own wrapper tells of.)
    """
    scene = slicer.mrmlScene

    def change(*_) -> None:
        for node in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode"):
            node.Modified()

    tag = scene.AddObserver(scene.NewSceneEvent, change)
    try:
        return bool(scene.ReadFromMRB(str(path), True))
    finally:
        scene.RemoveObserver(tag)

"""Stand-in for Slicer's plot views: VTK's own chart, made of plot nodes, rendered off screen.

Checked against Slicer ``Libs/MRML/Widgets`` (qMRMLPlotView.cxx, qMRMLPlotWidget.h) and CTK
``Libs/Visualization/VTK/Widgets`` (ctkVTKChartView.h): the members that the panel uses, no others.
"""

from __future__ import annotations

import slicer
import vtk
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget
from vtk.util.numpy_support import vtk_to_numpy


class qMRMLPlotView(QWidget):
    """Shows the chart of a plot view node."""

    LINES = {
        "LineStyleNone": vtk.vtkPen.NO_PEN,
        "LineStyleSolid": vtk.vtkPen.SOLID_LINE,
        "LineStyleDash": vtk.vtkPen.DASH_LINE,
    }
    MARKERS = {
        "MarkerStyleNone": vtk.vtkPlotPoints.NONE,
        "MarkerStyleCircle": vtk.vtkPlotPoints.CIRCLE,
        "MarkerStyleSquare": vtk.vtkPlotPoints.SQUARE,
    }

    def __init__(self, node) -> None:
        super().__init__()
        self._node, self._image, self._pending = node, None, False
        self._plots, self._observed = {}, []
        self._context = vtk.vtkContextView()
        window = vtk.vtkRenderWindow()
        window.SetOffScreenRendering(True)
        window.SetMultiSamples(0)
        self._interactor = vtk.vtkGenericRenderWindowInteractor()
        self._interactor.SetRenderWindow(window)
        self._context.SetRenderWindow(window)
        self._context.SetInteractor(self._interactor)
        self._chart = vtk.vtkChartXY()
        self._context.GetScene().AddItem(self._chart)
        self._chart.GetBackgroundBrush().SetColor(255, 253, 246, 255)
        self._chart.AddObserver("ModifiedEvent", lambda *_: self.scheduleRender())
        node.AddObserver("ModifiedEvent", self._update)
        self.setMinimumSize(80, 60)
        self._update()

    def chart(self):
        return self._chart

    def scene(self):
        return self._context.GetScene()

    def _update(self, _caller=None, _event=None) -> None:
        """Make the chart what its node says."""
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed = []
        identifier = self._node.GetPlotChartNodeID()
        chart = slicer.mrmlScene.GetNodeByID(identifier) if identifier else None
        wanted = []
        if chart is not None:
            self._observed.append((chart, chart.AddObserver("ModifiedEvent", self._update)))
            count = chart.GetNumberOfPlotSeriesNodes()
            wanted = [chart.GetNthPlotSeriesNode(index) for index in range(count)]
        for identifier in set(self._plots) - {node.GetID() for node in wanted}:
            plot = self._plots.pop(identifier)
            self._chart.RemovePlotInstance(plot)
        for node in wanted:
            self._updatePlot(node)
        if chart is not None:
            self._updateAxes(chart)
        self.scheduleRender()

    def _updatePlot(self, node) -> None:
        plot = self._plots.get(node.GetID())
        if plot is None:
            plot = self._plots[node.GetID()] = vtk.vtkPlotLine()
            self._chart.AddPlot(plot)
        table = node.GetTableNode().GetTable()
        columns = node.GetXColumnName(), node.GetYColumnName()
        for column in columns:  # the real one draws nothing else
            assert isinstance(table.GetColumnByName(column), vtk.vtkDataArray)
        plot.SetInputData(table, *columns)
        plot.SetWidth(node.GetLineWidth())
        plot.SetColorF(*node.GetColor())
        plot.GetPen().SetLineType(self._style(node, node.GetLineStyle(), self.LINES))
        plot.SetMarkerStyle(self._style(node, node.GetMarkerStyle(), self.MARKERS))
        plot.SetMarkerSize(node.GetMarkerSize())
        plot.SetLabel(node.GetName())

    @staticmethod
    def _style(node, value: int, styles: dict) -> int:
        return next(style for name, style in styles.items() if getattr(node, name) == value)

    def _updateAxes(self, chart) -> None:
        self._chart.SetTitle(chart.GetTitle() if chart.GetTitleVisibility() else "")
        self._chart.GetTitleProperties().SetFontSize(chart.GetTitleFontSize())
        self._chart.SetShowLegend(chart.GetLegendVisibility())
        for axis, title, isAuto, bounds in (
            (vtk.vtkAxis.BOTTOM, chart.GetXAxisTitle(), chart.GetXAxisRangeAuto(), "X"),
            (vtk.vtkAxis.LEFT, chart.GetYAxisTitle(), chart.GetYAxisRangeAuto(), "Y"),
        ):
            axis = self._chart.GetAxis(axis)
            axis.SetTitle(title)
            axis.GetTitleProperties().SetFontSize(chart.GetAxisTitleFontSize())
            axis.GetLabelProperties().SetFontSize(chart.GetAxisLabelFontSize())
            axis.SetBehavior(vtk.vtkAxis.AUTO if isAuto else vtk.vtkAxis.FIXED)
            if not isAuto:
                axis.SetUnscaledRange(*getattr(chart, f"Get{bounds}AxisRange")())

    def scheduleRender(self) -> None:
        if not self._pending:
            self._pending = True
            QTimer.singleShot(0, self._render)

    def _render(self) -> None:
        self._pending = False
        if not self.isVisible():
            return
        window = self._context.GetRenderWindow()
        window.SetSize(self.width(), self.height())
        self._interactor.SetSize(self.width(), self.height())
        self._context.GetScene().SetDirty(True)
        self._image = rendered(window)
        self.update()

    # QWidget

    def showEvent(self, _event) -> None:
        self.scheduleRender()

    def resizeEvent(self, _event) -> None:
        self.scheduleRender()

    def paintEvent(self, _event) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), Qt.white)
        if self._image:
            painter.drawImage(0, 0, self._image)

    def _send(self, event, name: str) -> None:
        x, y = round(event.position().x()), self.height() - 1 - round(event.position().y())
        self._interactor.SetEventInformation(x, y, 0, 0)
        self._interactor.InvokeEvent(name)
        self.scheduleRender()

    def mousePressEvent(self, event) -> None:
        self._send(event, "MouseMoveEvent")
        self._send(event, "LeftButtonPressEvent")

    def mouseReleaseEvent(self, event) -> None:
        self._send(event, "LeftButtonReleaseEvent")


class qMRMLPlotWidget(QWidget):
    def __init__(self, node, label: str) -> None:
        super().__init__()
        self._node, self._view = node, qMRMLPlotView(node)
        bar = QLabel(label)
        bar.setStyleSheet("background: #e1e1e1; color: black; padding: 2px 8px")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(bar)
        layout.addWidget(self._view, 1)

    def mrmlPlotViewNode(self):
        return self._node

    def plotView(self) -> qMRMLPlotView:
        return self._view


def rendered(window) -> QImage:
    """Render a window, and return what it shows then."""
    window.Render()
    grabber = vtk.vtkWindowToImageFilter()
    grabber.SetInput(window)
    grabber.ReadFrontBufferOff()
    grabber.ShouldRerenderOff()
    grabber.Update()
    width, height, _ = grabber.GetOutput().GetDimensions()
    pixels = vtk_to_numpy(grabber.GetOutput().GetPointData().GetScalars())
    pixels = pixels.reshape(height, width, -1)[::-1, :, :3].copy()
    return QImage(pixels.data, width, height, 3 * width, QImage.Format_RGB888).copy()

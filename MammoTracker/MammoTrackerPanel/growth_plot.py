"""The growth plot: how a lesion grew, in a plot view of Slicer whose points can be clicked."""

from __future__ import annotations

import qt
import slicer
import vtk

VIEW = "MammoTrackerGrowth"
"""Singleton tag of the plot view."""
POINTS_A_BAR = 10


class GrowthPlot:
    """Shows the growth chart, and tells which exam's point was clicked.

    Parameters
    ----------
    layoutManager
        The application's qMRMLLayoutManager.
    onChosen
        Called with the volume of the exam.
    """

    def __init__(self, layoutManager, onChosen) -> None:
        self._layoutManager = layoutManager
        self._onChosen = onChosen
        self._exams = []
        self._chart = None
        self._tag = None
        self._isPending = False

    def show(self, lesion, volumes: list) -> None:
        """Show how a lesion grew, or nothing if there is none."""
        from MammoTrackerLib import scene

        found = scene.update_growth_chart(lesion, volumes) if lesion else None
        if found is None:
            scene.remove_growth_chart(slicer.mrmlScene)
        chart, numbers = found or (None, [])
        self._exams = [volumes[number] for number in numbers]
        node = slicer.mrmlScene.GetSingletonNode(VIEW, "vtkMRMLPlotViewNode")
        if node is None:
            return  # the layout is not shown yet
        node.SetDoPropagatePlotChartSelection(False)
        node.SetPlotChartNodeID(chart.GetID() if chart else None)
        self._observe(self._layoutManager.viewWidget(node))

    def select(self, volume) -> None:
        """Mark the point of the exam that is shown beside the marked one."""
        points, bars = self._plots()
        if points is None or bars is None:
            return
        chosen = vtk.vtkIdTypeArray()
        if volume in self._exams:
            chosen.InsertNextValue(self._exams.index(volume))
        points.SetSelection(chosen)
        bars.SetSelection(vtk.vtkIdTypeArray())
        self._chart.GetScene().SetDirty(True)

    def removeObservers(self) -> None:
        """Follow the clicks no more."""
        if self._chart is not None:
            self._chart.RemoveObserver(self._tag)
            self._chart = None

    def _observe(self, widget) -> None:
        chart = widget.plotView().chart() if widget else None
        if chart is None or chart is self._chart:
            return
        self.removeObservers()
        # Else a click only tells of itself, and no point is selected.
        chart.SetClickActionToButton(vtk.vtkChart.NOTIFY, vtk.vtkContextMouseEvent.RIGHT_BUTTON)
        chart.SetClickActionToButton(vtk.vtkChart.SELECT, vtk.vtkContextMouseEvent.LEFT_BUTTON)
        self._chart = chart
        self._tag = chart.AddObserver(vtk.vtkCommand.SelectionChangedEvent, self._onSelected)

    def _plots(self) -> tuple:
        """Return the plots of the points and of the error bars; None for what is not there."""
        if self._chart is None:
            return None, None
        count = self._chart.GetNumberOfPlots()
        plots = {plot.GetLabel(): plot for plot in map(self._chart.GetPlot, range(count))}
        return plots.get("Longest side"), plots.get("95 %")

    def _onSelected(self, _chart, _event) -> None:
        # The chart tells of it before the point is selected, and once more afterwards.
        if not self._isPending:
            self._isPending = True
            qt.QTimer.singleShot(0, self._choose)

    def _choose(self) -> None:
        """Tell of the exam that was clicked; of the points, one is always selected."""
        self._isPending = False
        points, bars = self._plots()
        for plot, each in ((bars, POINTS_A_BAR), (points, 1)):
            selection = plot.GetSelection() if plot is not None else None
            if selection is not None and selection.GetNumberOfValues():
                index = min(selection.GetValue(0) // each, len(self._exams) - 1)
                if index >= 0:
                    self.select(self._exams[index])
                    self._onChosen(self._exams[index])
                return

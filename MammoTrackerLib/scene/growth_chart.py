"""The growth chart: a lesion's longest side on each exam with its error, as nodes of the scene."""

from __future__ import annotations

from collections.abc import Sequence

import vtk

from ..growth import Growth, signed
from .history import known_of
from .nodes import new_node, node_with, nodes_with, remove_node
from .rois import display_of
from .series import years_of

_CHART, _SERIES, _TABLE = "vtkMRMLPlotChartNode", "vtkMRMLPlotSeriesNode", "vtkMRMLTableNode"
_CAP_SHARE = 0.012
"""Half of an error bar's end, as a share of the time that the chart shows."""
_LONGEST_NAME = 20


def growth_chart(scene):
    """Return the chart node, or None."""
    return node_with(scene, _CHART, "growth chart")


def remove_growth_chart(scene) -> None:
    """Remove the chart, its series and their tables, if there are any."""
    for kind in (_CHART, _SERIES, _TABLE):
        for role in ("growth chart", "growth bars", "growth"):
            for node in nodes_with(scene, kind, role):
                remove_node(node)


def update_growth_chart(lesion, volumes: Sequence):
    """Show how a lesion grew: points where it has a size, and its 95 % error.

    Parameters
    ----------
    lesion
        Its ROI.
    volumes
        The exams, by date.

    Returns
    -------
    tuple or None
        The vtkMRMLPlotChartNode, of which there is one in a scene, and for each of its points the
        index of the exam; None if the lesion has no size anywhere.
    """
    known = known_of(lesion, volumes)
    if known is None or known.growth is None:
        return None
    sizes = [(number, known.size_on(number)) for number in known.numbers]
    sizes = [(number, size) for number, size in sizes if size is not None]
    years = years_of(volumes)
    if not any(years or ()):  # all on one day, as in some archives without dates
        years = None
    times = [float(n + 1) for n in range(len(volumes))] if years is None else years
    points = [(times[n], size.longest_mm) for n, size in sizes]
    bars = _with_bars(points, [size.error_mm for _n, size in sizes], max(times) - min(times))

    scene = lesion.GetScene()
    chart = growth_chart(scene) or new_node(scene, _CHART, "MammoTracker growth", "growth chart")
    was_modifying = chart.StartModify()
    series = [
        _series(scene, "growth bars", "95 %", bars, lesion),
        # Of a single point, VTK complains that it is no line, at each drawing.
        _series(scene, "growth", "Longest side", points * (2 if len(points) == 1 else 1), lesion),
    ]
    if chart.GetNumberOfPlotSeriesNodes() != 2:
        chart.RemoveAllPlotSeriesNodeIDs()
        for node in series:
            chart.AddAndObservePlotSeriesNodeID(node.GetID())
    chart.SetTitle(_title(lesion, known.growth))
    chart.SetTitleFontSize(13)
    chart.SetXAxisTitle("Years since the first exam" if years else "Exam")
    chart.SetYAxisTitle("Longest side (mm)")
    chart.SetAxisTitleFontSize(12)
    chart.SetAxisLabelFontSize(11)
    chart.SetLegendVisibility(False)
    _set_ranges(chart, times, [y for _x, y in bars])
    chart.EndModify(was_modifying)
    return chart, [n for n, _size in sizes]


def _title(lesion, growth: Growth) -> str:
    change, name = growth.overall, lesion.GetName()
    if len(name) > _LONGEST_NAME:  # else the change is cut off
        name = name[:_LONGEST_NAME].rstrip() + "..."
    if change is None:
        return name
    low, high = change.percent_low, change.percent_high
    return f"{name}: {signed(change.percent)} % ({signed(low)} to {signed(high)})"


def _with_bars(
    points: Sequence[tuple[float, float]], errors: Sequence[float], time: float
) -> list[tuple[float, float]]:
    """Return a line through all points that draws an error bar, with its ends, at each.

    Slicer's plots have no error bars, and of a line in pieces they would lose the gaps in a file.
    """
    cap = _CAP_SHARE * (time or 1)
    line = []
    for (x, y), error in zip(points, errors, strict=True):
        low, high = max(y - error, 0), y + error
        line += [(x, y), (x, low), (x - cap, low), (x + cap, low), (x, low), (x, high)]
        line += [(x - cap, high), (x + cap, high), (x, high), (x, y)]
    return line


def _set_ranges(chart, times: Sequence[float], sizes: Sequence[float]) -> None:
    """Show all exams, also those without a size, and sizes from 0."""
    margin = 0.06 * ((max(times) - min(times)) or 1)
    chart.SetXAxisRangeAuto(False)
    chart.SetXAxisRange(min(times) - margin, max(times) + margin)
    chart.SetYAxisRangeAuto(False)
    chart.SetYAxisRange(0, 1.1 * max(sizes))


def _series(scene, role: str, name: str, points: Sequence[tuple[float, float]], lesion):
    table = node_with(scene, _TABLE, role)
    if table is None:
        table = new_node(scene, _TABLE, f"MammoTracker {role}", role)
        table.SetLocked(True)
    content = vtk.vtkTable()
    for column, title in enumerate(("Time", "Longest (mm)")):
        values = vtk.vtkDoubleArray()
        values.SetName(title)
        for point in points:
            values.InsertNextValue(point[column])
        content.AddColumn(values)
    table.SetAndObserveTable(content)

    series = node_with(scene, _SERIES, role) or new_node(scene, _SERIES, name, role)
    series.SetName(name)
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetPlotType(series.PlotTypeScatter)
    series.SetXColumnName("Time")
    series.SetYColumnName("Longest (mm)")
    is_bars = role == "growth bars"
    series.SetColor(0.35, 0.35, 0.35) if is_bars else series.SetColor(*_dark(lesion))
    series.SetLineStyle(series.LineStyleSolid if is_bars else series.LineStyleNone)
    series.SetLineWidth(1.5)
    series.SetMarkerStyle(series.MarkerStyleNone if is_bars else series.MarkerStyleCircle)
    series.SetMarkerSize(10)
    return series


def _dark(lesion) -> list[float]:
    """Return the lesion's colour, dark enough for a white ground."""
    return [0.75 * part for part in display_of(lesion).GetSelectedColor()]

"""The growth chart: its points, its error bars, and that there is one in a scene."""

from __future__ import annotations

import pytest
from mrml import SQUARE, add_lesion, add_volume, make_track

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")

from MammoTrackerLib import Box, Status  # noqa: E402
from MammoTrackerLib import scene as bridge  # noqa: E402


@pytest.fixture
def exams(scene):
    return [add_volume(scene, name=f"exam {n}", spacing=(0.2, 0.2, 2)) for n in range(4)]


def points_of(series) -> list[tuple[float, float]]:
    table = series.GetTableNode().GetTable()
    columns = [
        table.GetColumnByName(name) for name in (series.GetXColumnName(), series.GetYColumnName())
    ]
    count = table.GetNumberOfRows()
    return [tuple(column.GetValue(row) for column in columns) for row in range(count)]


def test_points_and_error_bars(scene, exams):
    lesion = add_lesion(scene, exams[3], SQUARE, "Mass")
    bridge.show_track(lesion, exams[0], make_track(Box(4, 4, 10, 10)))
    bridge.show_track(lesion, exams[1], make_track(status=Status.NOT_FOUND))
    chart, numbers = bridge.update_growth_chart(lesion, exams)
    assert bridge.growth_chart(scene) is chart and numbers == [0, 3]
    bars, points = (chart.GetNthPlotSeriesNode(index) for index in range(2))
    assert points_of(points) == [(1, pytest.approx(1.2)), (4, pytest.approx(1.8))]
    assert chart.GetXAxisTitle() == "Exam" and chart.GetTitle().startswith("Mass: +50 %")
    known = bridge.known_of(lesion, exams)
    drawn = points_of(bars)
    assert len(drawn) == 10 * len(numbers), "so that a click on a bar tells its exam"
    for index, number in enumerate(numbers):
        size = known.size_on(number)
        part = drawn[10 * index : 10 * index + 10]
        heights = [y for _x, y in part]
        assert max(heights) == pytest.approx(size.longest_mm + size.error_mm)
        assert min(heights) == pytest.approx(max(0, size.longest_mm - size.error_mm))
        assert part[0] == part[-1] == (number + 1, pytest.approx(size.longest_mm))
    low, high = chart.GetYAxisRange()
    assert low == 0 and high > max(y for _x, y in drawn)
    assert chart.GetXAxisRange()[1] > 4


def test_the_change_is_in_sight_beside_a_long_name(scene, exams):
    lesion = add_lesion(scene, exams[3], SQUARE, "Architectural distortion, upper outer quadrant")
    bridge.show_track(lesion, exams[0], make_track(Box(4, 4, 10, 10)))
    chart, _ = bridge.update_growth_chart(lesion, exams)
    assert chart.GetTitle().startswith("Architectural distor...: +50 %")


def test_one_chart_shows_one_lesion_after_another(scene, exams, tmp_path):
    lesions = [add_lesion(scene, exams[n], SQUARE, f"L{n}") for n in (0, 3)]
    for lesion in lesions:
        bridge.show_track(lesion, exams[1], make_track())
    first, _ = bridge.update_growth_chart(lesions[0], exams)
    again, numbers = bridge.update_growth_chart(lesions[1], exams)
    assert again is first and numbers == [1, 3] and again.GetTitle().startswith("L3")
    assert again.GetNumberOfPlotSeriesNodes() == 2
    scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    scene.Clear(False)
    scene.ReadFromMRB(str(tmp_path / "scene.mrb"), False)
    chart = bridge.growth_chart(scene)
    assert [len(points_of(chart.GetNthPlotSeriesNode(n))) for n in range(2)] == [20, 2]
    exams = [scene.GetFirstNodeByName(f"exam {n}") for n in range(4)]
    assert bridge.update_growth_chart(bridge.lesions(exams[0])[0], exams)[0] is chart
    assert scene.GetNumberOfNodesByClass("vtkMRMLPlotSeriesNode") == 2


def test_a_lesion_without_a_place_has_no_chart(scene, exams):
    lesion = add_lesion(scene, exams[0], SQUARE)
    bridge.unplace(lesion)
    assert bridge.update_growth_chart(lesion, exams) is None
    assert bridge.growth_chart(scene) is None


def test_the_chart_goes_with_all_that_it_is_drawn_from(scene, exams):
    lesion = add_lesion(scene, exams[3], SQUARE)
    before = scene.GetNumberOfNodes()
    bridge.update_growth_chart(lesion, exams)
    assert scene.GetNumberOfNodes() > before
    bridge.remove_growth_chart(scene)
    assert scene.GetNumberOfNodes() == before
    bridge.remove_growth_chart(scene)  # there is none


def test_a_single_size_is_a_point_that_can_be_drawn(scene, exams):
    lesion = add_lesion(scene, exams[3], SQUARE)
    chart, numbers = bridge.update_growth_chart(lesion, exams)
    bars, points = (points_of(chart.GetNthPlotSeriesNode(index)) for index in range(2))
    assert numbers == [3] and len(bars) == 10
    assert len(points) == 2 and points[0] == points[1] == (4, pytest.approx(1.8))

"""The time line below the views: a film strip and a growth plot, seen, clicked and hidden."""

from __future__ import annotations

import numpy as np
import pytest
from panel_steps import rows_of


@pytest.fixture
def shown(panel, shell, followed):
    """The time line of the second lesion, which is marked on the last exam."""
    from MammoTrackerLib import scene

    exams, (mass, calcs) = followed
    panel.results.select(scene.prediction_of(mass, exams[2]))
    shell.wait(lambda: len(panel.timeLine.strip.buttons) == 4)
    shell.process(0.4)
    return exams, mass, calcs


def plot_node():
    import slicer
    from MammoTrackerPanel.growth_plot import VIEW

    return slicer.mrmlScene.GetSingletonNode(VIEW, "vtkMRMLPlotViewNode")


def texts(panel) -> list[str]:
    return [button.text for button in panel.timeLine.strip.buttons]


def checked(panel) -> list[bool]:
    return [button.checked for button in panel.timeLine.strip.buttons]


def pixels_of(button) -> np.ndarray:
    """Return a button's picture, (rows, columns, 3)."""
    image = button.icon.pixmap(button.iconSize).toImage()
    side = range(0, image.width(), 2)
    return np.array([[image.pixelColor(x, y).getRgb()[:3] for x in side] for y in side])


def test_a_lesion_on_every_exam_and_its_growth(panel, shell, shown):
    shell.screenshot("/tmp/module-time-line.png")
    assert [text.split("\n")[0] for text in texts(panel)] == ["0 y", "+1.0 y", "+3.0 y", "+5.0 y"]
    answers = [text.split("\n")[1] for text in texts(panel)]
    assert answers == ["not found", "found", "found", "marked"]
    lines = {text.count("\n") for text in texts(panel)}
    assert lines == {2}, "the pictures are at one height"
    assert checked(panel) == [False, False, True, False]
    framed = []
    for button in panel.timeLine.strip.buttons:
        picture = pixels_of(button)
        assert picture.max() > 60, "the breast is seen"
        framed.append(bool((np.abs(picture - (255, 214, 26)).max(axis=-1) < 40).any()))
    assert framed == [False, True, True, True], "what was not found has no frame"
    chart = slicer_node(plot_node().GetPlotChartNodeID())
    assert chart.GetTitle().startswith("Mass: +100 %")


def slicer_node(identifier: str):
    import slicer

    return slicer.mrmlScene.GetNodeByID(identifier)


def test_a_click_on_a_picture_selects_its_exam(panel, shell, shown):
    from MammoTrackerLib import scene

    exams, mass, _calcs = shown
    for index in (1, 0):
        shell.click(panel.timeLine.strip.buttons[index])
        assert panel.exams.pair == (exams[3], exams[index])
        assert panel.results.selected is scene.prediction_of(mass, exams[index])
        shell.process(0.3)
        assert checked(panel) == [n == index for n in range(4)]
    shell.click(panel.timeLine.strip.buttons[3])  # where it is marked: what is beside stays
    shell.process(0.3)
    assert panel.exams.pair == (exams[3], exams[0])
    assert checked(panel) == [True, False, False, False]


def test_the_picture_of_the_selected_exam_is_in_sight(panel, shell, shown):
    exams, _mass, _calcs = shown
    strip = panel.timeLine.strip
    bar = strip._area.horizontalScrollBar()
    strip._area.maximumWidth = 200
    try:
        strip.show(None, [], [])  # as if there were no pictures yet
        for index in (2, 0, 2):
            panel.exams.select(exams[3], exams[index])
            panel._showTimeLineSoon()
            shell.process(0.3)
            button = strip.buttons[index]
            assert bar.value <= button.x + button.width // 2 <= bar.value + 200
    finally:
        strip._area.maximumWidth = 16777215
        shell.process(0.3)


def test_a_click_on_a_point_or_its_error_selects_its_exam(panel, shell, shown):
    exams, mass, _calcs = shown
    from MammoTrackerLib import scene

    known = scene.known_of(mass, exams)
    years = scene.years_of(exams)
    size = known.size_on(1)
    shell.clickPlot(plot_node(), years[1], size.longest_mm)
    assert panel.exams.pair == (exams[3], exams[1])
    size = known.size_on(2)
    shell.clickPlot(plot_node(), years[2], size.longest_mm + size.error_mm)
    assert panel.exams.pair == (exams[3], exams[2])
    before = panel.exams.pair
    shell.clickPlot(plot_node(), (years[2] + years[3]) / 2, 0.5)  # nothing is there
    assert panel.exams.pair == before


def test_another_lesion_takes_the_place_of_the_first(panel, shell, shown):
    from MammoTrackerLib import scene

    exams, _mass, calcs = shown
    panel.results.select(scene.prediction_of(calcs, exams[3]))
    shell.process(0.4)
    assert texts(panel)[0].split("\n")[1].startswith("marked")
    chart = slicer_node(plot_node().GetPlotChartNodeID())
    assert chart.GetTitle().startswith("Calcs")


def test_the_time_line_follows_a_correction(panel, shell, shown):
    exams, mass, _calcs = shown
    from MammoTrackerLib import scene

    before = texts(panel)[2]
    roi = scene.prediction_of(mass, exams[2])
    box = scene.box_of(roi, exams[2])
    shell.drag(exams[2], box.center, (box.center[0] + 12, box.center[1]))
    shell.process(0.4)
    assert texts(panel)[2] == before.replace("found", "corrected")
    shell.click(panel.ui.rejectButton)
    shell.process(0.4)
    assert texts(panel)[2] == "+3.0 y\nrejected\n"
    assert rows_of(panel)[1][4] == "rejected"


def test_it_is_hidden_by_its_check_box_and_for_a_pair(panel, shell, shown):
    import slicer

    exams, _mass, _calcs = shown
    views = slicer.app.layoutManager()
    arrangement = views.layoutLogic().GetLayoutNode().GetViewArrangement
    from MammoTrackerPanel.layout import LAYOUT_ID, TIME_LINE_LAYOUT_ID

    assert arrangement() == TIME_LINE_LAYOUT_ID
    shell.click(panel.ui.timeLineCheckBox)
    shell.process(0.3)
    assert arrangement() == LAYOUT_ID
    shell.click(panel.ui.timeLineCheckBox)
    shell.process(0.3)
    assert arrangement() == TIME_LINE_LAYOUT_ID
    # The user looks at something else: nothing is taken away.
    views.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutNone)
    shell.click(panel.ui.timeLineCheckBox)
    shell.process(0.3)
    assert arrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutNone
    shell.click(panel.ui.timeLineCheckBox)
    shell.click(panel.ui.sideBySideButton)
    shell.process(0.3)
    assert arrangement() == TIME_LINE_LAYOUT_ID
    import qt

    from MammoTrackerLib import scene

    assert scene.series_table(shell.scene) and scene.growth_chart(shell.scene)
    for row in (1, 0):
        panel.ui.examsList.item(row).setCheckState(qt.Qt.Unchecked)
    shell.process(0.3)
    assert arrangement() == LAYOUT_ID
    assert scene.series_table(shell.scene) is None, "it would tell of exams that are left out"
    assert shell.scene.GetNodesByClass("vtkMRMLPlotSeriesNode").GetNumberOfItems() == 0
    panel.ui.examsList.item(1).setCheckState(qt.Qt.Checked)
    shell.process(0.3)
    assert scene.series_table(shell.scene) and scene.growth_chart(shell.scene)


def test_what_was_drawn_of_a_deleted_lesion_goes_with_it(panel, shell, shown):
    from MammoTrackerLib import scene

    _exams, mass, calcs = shown
    shell.scene.RemoveNode(mass)
    shell.process(0.5)
    assert scene.growth_chart(shell.scene).GetTitle().startswith("Calcs")
    shell.scene.RemoveNode(calcs)
    shell.process(0.5)
    for kind in ("Chart", "Series"):
        assert shell.scene.GetNumberOfNodesByClass(f"vtkMRMLPlot{kind}Node") == 0
    for role in ("growth", "growth bars"):
        names = [node.GetName() for node in shell.scene.GetNodesByClass("vtkMRMLTableNode")]
        assert f"MammoTracker {role}" not in names


def test_a_plot_that_no_layout_shows_yet_waits(shell, panel):
    import slicer
    from MammoTrackerPanel.growth_plot import GrowthPlot

    plot = GrowthPlot(slicer.app.layoutManager(), None)
    plot.select(None)
    plot.removeObservers()


def test_an_exam_without_display_properties_is_drawn_too(panel, shell, followed):
    exams, (lesion, _other) = followed
    shell.scene.RemoveNode(exams[1].GetDisplayNode())
    panel.results.selectOn(lesion, exams[2])
    shell.process(0.5)
    assert not panel.timeLine.strip.buttons[1].icon.isNull()

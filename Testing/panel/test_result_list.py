"""The panel's results: by lesion and exam, selected, corrected, outdated, and deleted."""

from __future__ import annotations

import pytest
from panel_steps import answer, choose, details_of, rows_of, show, track
from sample_pair import TRUTH

from MammoTrackerLib import Box, Candidate, Status, Track


def test_dragging_the_box_corrects_it_and_the_prediction_comes_back(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, current, _ = pair
    track(panel, shell)
    (prediction,) = scene.predictions(prior, current)
    predicted = scene.box_of(prediction, current)
    (before,) = rows_of(panel)
    x, y = predicted.center
    shell.drag(current, (x, y), (x + 20, y + 10))
    moved = scene.box_of(prediction, current)
    assert moved.center[0] - predicted.center[0] == pytest.approx(20, abs=4)
    (row,) = rows_of(panel)
    assert row[3].startswith("corrected\n") and row[:3] == before[:3]
    (row,) = details_of(prior, current)
    assert float(row[8]) - predicted.center[0] * 0.15 == pytest.approx(20 * 0.15, abs=0.7)
    shell.click(panel.ui.restoreButton)
    assert scene.box_of(prediction, current).as_tuple() == pytest.approx(predicted.as_tuple())
    assert rows_of(panel) == [before]


def test_an_answer_about_another_box_is_called_outdated(panel, shell, pair):
    import vtk

    from MammoTrackerLib import scene

    prior, current, lesion = pair
    box = scene.box_of(lesion, prior)
    found = Track(box, TRUTH, 0.9, Status.FOUND, "Here.", (Candidate(TRUTH, 0.9),) * 2, TRUTH)
    show(panel, lesion, current, found)
    before, text = rows_of(panel), panel.ui.reasonLabel.text
    x, y = box.center
    panel.ui.lesionsTable.selectRow(0)
    shell.drag(prior, (x, y), (x + 60, y - 40))
    shell.process(0.3)
    assert rows_of(panel)[0][1:] == ["", before[0][2], "outdated"]
    assert "track again" in panel.ui.reasonLabel.text
    assert " mm" in text and " mm" not in panel.ui.reasonLabel.text
    (row,) = details_of(prior, current)
    assert row[1:7] == ["outdated", "", "", "", "", ""]
    label = next(
        node.GetNthControlPointLabel(0)
        for node in shell.scene.GetNodesByClass("vtkMRMLMarkupsFiducialNode")
        if node.GetNodeReference("MammoTracker.Volume") is current
    )
    assert label == "Lesion 1  outdated"
    scene.place_roi(lesion, prior, box)
    assert rows_of(panel) == before and panel.ui.reasonLabel.text == text

    # The image comes under a transform, and its box does not.
    transform = shell.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    current.SetAndObserveTransformNodeID(transform.GetID())
    shell.process(0.3)
    assert rows_of(panel) == before
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 30)
    transform.SetMatrixTransformToParent(matrix)
    shell.process(0.3)
    assert rows_of(panel)[0][3] == "outdated"
    scene.prediction_of(lesion, current).SetAndObserveTransformNodeID(transform.GetID())
    shell.process(0.3)
    panel.results.refresh()
    assert rows_of(panel) == before


def test_the_columns_are_as_wide_as_their_text(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, current, lesion = pair
    box = scene.box_of(lesion, prior)
    answer = Track(box, TRUTH, 0.9, Status.FOUND, "Here.", (Candidate(TRUTH, 0.9, 0.9),), TRUTH)
    show(panel, lesion, current, answer)
    shell.drag(current, TRUTH.center, (TRUTH.center[0] + 20, TRUTH.center[1]))
    assert rows_of(panel)[0][3].startswith("corrected\n")
    view = panel.ui.resultsTableView
    for column in range(view.columnCount):
        assert view.columnWidth(column) >= view.sizeHintForColumn(column)
    assert not view.horizontalScrollBar().visible


def click_cell(panel, shell, row: int, column: int) -> None:
    """Click a cell, by its place in `rows_of`."""
    panel.ui.resultsTableView.setCurrentCell(row, column - 1)
    shell.process(0.1)


def center_of(shell, volume) -> tuple[float, float]:
    """Return the pixel of a volume that is in the middle of its view."""
    import slicer
    import vtk

    from MammoTrackerLib import scene

    names = ("MammoTrackerPrior", "MammoTrackerCurrent")
    index = shell.shownVolumes().index(volume)
    node = slicer.app.layoutManager().sliceWidget(names[index]).mrmlSliceNode()
    width, height = node.GetDimensions()[:2]
    matrix = node.GetXYToRAS()
    assert isinstance(matrix, vtk.vtkMatrix4x4)
    world = matrix.MultiplyPoint((width / 2, height / 2, 0, 1))[:3]
    return tuple(scene.Raster(volume).from_world([world])[0][:2])


def test_lesions_by_exams(panel, shell, followed):
    view = panel.ui.resultsTableView
    titles = [view.horizontalHeaderItem(column).text() for column in range(view.columnCount)]
    assert titles == ["Change", "0 y", "+1.0 y", "+3.0 y", "+5.0 y"]
    # The lesions are in the order of the exams that they are marked on.
    calcs, mass = rows_of(panel)
    assert [cell.split("\n")[0] for cell in mass[2:]] == ["not found", "found", "found", "marked"]
    assert [cell.split("\n")[0] for cell in calcs[2:]] == ["marked", "found", "found", "found"]
    was, now = (float(cell.split("\n")[1].split()[0]) for cell in (mass[3], mass[5]))
    assert now == pytest.approx(2 * was, abs=0.1) and "+100 %" in mass[1]
    tip = view.item(1, 0).toolTip()
    assert "+100 %" in tip and "in 4.0 years" in tip
    assert mass[1].endswith("new +1.0 y") and "new" not in calcs[1]
    assert tip.endswith("New on +1.0 y: not there before (probability 90 %).")
    assert not view.horizontalScrollBar().visible
    shell.screenshot("/tmp/module-series.png")


def test_names_stay_in_sight_and_leave_room_for_the_cells(panel, shell, followed):
    exams, (mass, _calcs) = followed
    mass.SetName("Architectural distortion, upper outer quadrant, seen since the screening of 2016")
    view = panel.ui.resultsTableView
    header = view.verticalHeader()
    shell.wait(lambda: view.verticalHeaderItem(1).text() == mass.GetName())
    view.horizontalScrollBar().value = view.horizontalScrollBar().maximum
    assert header.visible and 40 < header.width < view.viewport().width
    assert view.verticalHeaderItem(1).toolTip() == mass.GetName()
    click_cell(panel, shell, 0, 4)
    header.sectionClicked.emit(1)
    shell.process(0.1)
    assert panel.results.lesion is mass and panel.exams.pair[0] is exams[3]


def test_a_cell_shows_its_exam_beside_the_marked_one_on_the_lesion(panel, shell, followed):
    from MammoTrackerLib import scene

    exams, (mass, calcs) = followed
    for row, column, lesion, shown in (
        (1, 3, mass, (exams[3], exams[1])),
        (1, 4, mass, (exams[3], exams[2])),
        (0, 5, calcs, (exams[0], exams[3])),
        (0, 2, calcs, (exams[0], exams[3])),  # where it is marked: what is beside stays
        (1, 1, mass, (exams[3], exams[0])),
        (1, 2, mass, (exams[3], exams[0])),  # not found: where it is most likely
    ):
        click_cell(panel, shell, row, column)
        assert panel.exams.pair == shown and shell.shownVolumes() == list(shown)
        for volume in shown:
            roi = scene.roi_on(lesion, volume)
            box = scene.box_or_guess(roi)
            assert center_of(shell, volume) == pytest.approx(box.center, abs=2)
        assert panel.results.selected is scene.prediction_of(lesion, shown[1])
    left, right = (shell.compositeNode(f"MammoTracker{name}") for name in ("Prior", "Current"))
    assert left.GetBackgroundVolumeID() != right.GetBackgroundVolumeID()
    shell.screenshot("/tmp/module-cell.png")


def test_each_view_shows_the_boxes_on_its_exam_of_all_lesions(panel, shell, followed):
    import slicer

    from MammoTrackerLib import scene

    exams, lesions = followed
    click_cell(panel, shell, 1, 3)
    for volume, name in zip(panel.exams.pair, ("Prior", "Current"), strict=True):
        node = slicer.app.layoutManager().sliceWidget(f"MammoTracker{name}").mrmlSliceNode()
        shown = {
            roi.GetName()
            for roi in slicer.util.getNodesByClass("vtkMRMLMarkupsROINode")
            if roi.GetDisplayNode().IsDisplayableInView(node.GetID())
        }
        assert shown == {scene.roi_on(lesion, volume).GetName() for lesion in lesions}


def test_what_the_user_decides_is_kept_and_asks_for_another_run(panel, shell, followed):
    from MammoTrackerLib import scene

    exams, (mass, _calcs) = followed
    click_cell(panel, shell, 1, 4)
    assert "Track again" not in panel.ui.reasonLabel.text
    shell.click(panel.ui.acceptButton)
    assert "Track again" in panel.ui.reasonLabel.text
    click_cell(panel, shell, 1, 3)
    shell.click(panel.ui.rejectButton)
    accepted = scene.box_of(scene.prediction_of(mass, exams[2]), exams[2])
    decided = scene.decisions(mass, exams)
    assert decided[1] is None and decided[2].as_tuple() == pytest.approx(accepted.as_tuple())
    assert set(decided) == {1, 2}
    assert [cell.split("\n")[0] for cell in rows_of(panel)[1][2:5]] == [
        "not found", "rejected", "accepted",
    ]  # fmt: skip


def test_what_is_selected_stays_so_when_a_lesion_is_added(panel, shell, followed):
    import slicer

    from MammoTrackerLib import Status, Track, scene

    exams, (mass, _calcs) = followed
    click_cell(panel, shell, 1, 4)
    new = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "New")
    scene.place_roi(new, exams[3], Box(300, 400, 380, 480))
    scene.claim_lesion(new, exams[3])
    shell.wait(lambda: len(panel.lesions.rois) == 3)
    box = Box(300, 400, 380, 480)
    panel.results.add(new, exams[0], Track(box, box, 0.5, Status.UNCERTAIN, "?", (), box))
    assert len(rows_of(panel)) == 3
    (item,) = panel.ui.resultsTableView.selectedItems()
    assert (item.row(), item.column()) == (1, 3)
    assert panel.results.selected is scene.prediction_of(mass, exams[2])


def test_another_exam_beside_is_what_the_buttons_are_about(panel, shell, followed):
    from MammoTrackerLib import scene

    exams, (mass, _calcs) = followed
    click_cell(panel, shell, 1, 3)
    panel.ui.currentSelector.setCurrentNode(exams[2])
    assert panel.results.selected is scene.prediction_of(mass, exams[2])
    panel.ui.priorSelector.setCurrentNode(exams[0])
    assert panel.results.selected is None and not panel.ui.acceptButton.enabled


def texts_in_views(shell) -> list[str]:
    return [
        node.GetNthControlPointLabel(index)
        for node in shell.scene.GetNodesByClass("vtkMRMLMarkupsFiducialNode")
        for index in range(node.GetNumberOfControlPoints())
    ]


def move(shell, x: float):
    """Add a transform that moves what comes under it."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, x)
    transform = shell.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(matrix)
    return transform


@pytest.mark.parametrize("how", ["button", "scene", "swap"])
def test_no_text_of_an_answer_stays_in_the_views_without_it(panel, shell, pair, how):

    prior, current, lesion = pair
    show(panel, lesion, current, answer(lesion, prior))
    assert texts_in_views(shell) == [lesion.GetName(), f"{lesion.GetName()}  found 0.90"]
    if how == "button":
        panel.ui.lesionsTable.selectRow(0)
        shell.click(panel.ui.deleteLesionButton)
    elif how == "scene":
        shell.scene.RemoveNode(lesion)
    else:
        choose(panel, shell, current, prior)
    shell.process(0.4)
    assert texts_in_views(shell) == []
    if how != "swap":
        assert details_of(prior, current) == []


def test_a_deleted_exam_takes_along_what_was_said_of_it(panel, shell, pair):
    import slicer

    prior, current, lesion = pair
    show(panel, lesion, current, answer(lesion, prior))
    panel.ui.candidatesList.currentRow = 0
    shell.scene.RemoveNode(current)
    shell.process(0.5)
    assert slicer.util.getNodesByClass("vtkMRMLMarkupsROINode") == [lesion]
    assert slicer.util.getNodesByClass("vtkMRMLTableNode") == []
    assert texts_in_views(shell) == [lesion.GetName()]


def test_a_transform_of_one_box_or_exam_alone_makes_the_answer_outdated(panel, shell, pair):
    prior, current, lesion = pair
    prediction = show(panel, lesion, current, answer(lesion, prior))
    (before,) = rows_of(panel)
    transform = move(shell, 20)
    shell.process(0.4)
    nodes = prior, current, lesion, prediction
    for node in nodes:
        node.SetAndObserveTransformNodeID(transform.GetID())
        shell.process(0.1)
        assert rows_of(panel)[0][3] == "outdated", node.GetName()
        node.SetAndObserveTransformNodeID(None)
        shell.process(0.1)
        assert rows_of(panel) == [before]
    for node in nodes:
        node.SetAndObserveTransformNodeID(transform.GetID())
    shell.process(0.1)
    assert rows_of(panel) == [before]


def test_an_exam_that_gets_another_place_or_pixel_size_makes_it_outdated(panel, shell, pair):
    prior, current, lesion = pair
    show(panel, lesion, current, answer(lesion, prior))
    (before,) = rows_of(panel)
    for volume in (prior, current):
        origin, spacing = volume.GetOrigin(), volume.GetSpacing()
        volume.SetOrigin(30, 30, 0)
        shell.process(0.4)
        assert rows_of(panel)[0][3] == "outdated"
        volume.SetOrigin(origin)
        volume.SetSpacing(0.3, 0.3, 1)
        shell.process(0.4)
        assert rows_of(panel)[0][3] == "outdated"
        volume.SetSpacing(spacing)
        shell.process(0.4)
        assert rows_of(panel) == [before]


def test_a_name_is_a_text_and_never_makes_the_panel_wide(panel, shell, pair):
    import qt

    prior, current, lesion = pair
    show(panel, lesion, current, answer(lesion, prior))
    width = panel.parent.minimumSizeHint.width()
    for name in ("<b>Mass</b>", "x" * 300):
        lesion.SetName(name)
        shell.process(0.2)
        label = panel.ui.reasonLabel
        assert label.text.startswith(f"{name}: ") and label.textFormat == qt.Qt.PlainText
        assert panel.parent.minimumSizeHint.width() == width


def test_answers_take_over_the_colour_that_the_lesion_gets(panel, shell, pair):
    prior, current, lesion = pair
    prediction = show(panel, lesion, current, answer(lesion, prior))
    color = 0.2, 0.6, 0.1
    lesion.GetDisplayNode().SetColor(*color)
    lesion.GetDisplayNode().SetSelectedColor(*color)
    shell.process(0.2)
    assert prediction.GetDisplayNode().GetSelectedColor() == pytest.approx(color)
    swatch = panel.ui.lesionsTable.item(0, 0).icon().pixmap(12, 12).toImage().pixelColor(6, 6)
    assert (swatch.red(), swatch.green(), swatch.blue()) == (51, 153, 26)


def test_a_lesion_that_is_moved_makes_its_own_answers_outdated(panel, shell, followed):
    from MammoTrackerLib import scene

    exams, (mass, calcs) = followed
    panel.results.selectOn(mass, exams[1])

    def statuses() -> list[list[str]]:
        return [[cell.split("\n")[0] for cell in row[2:]] for row in rows_of(panel)]

    def tabled() -> list[str]:
        table = scene.series_table(shell.scene).GetTable()
        cells = range(table.GetNumberOfRows())
        return [table.GetValueByName(row, "Status").ToString() for row in cells]

    before = statuses()
    box = scene.box_of(mass, exams[3])
    scene.place_roi(mass, exams[3], Box(box.x0 + 20, box.y0, box.x1 + 20, box.y1))
    assert statuses() == [before[0], ["outdated"] * 3 + ["marked"]]
    assert "track again" in panel.ui.reasonLabel.text
    written = tabled()
    panel._showTimeLine()
    assert tabled() == written, "it takes too long to be written while a box is dragged"
    shell.process(0.5)
    assert tabled() == [*before[0], *["outdated"] * 3, "marked"]
    assert "Mass  outdated" in texts_in_views(shell)
    # The table tells of the marked lesions, also when all answers are gone.
    for roi in (mass, calcs):
        for volume in exams:
            answer = scene.prediction_of(roi, volume)
            if answer:
                shell.scene.RemoveNode(answer)
    shell.process(0.5)
    table = scene.series_table(shell.scene).GetTable()
    assert tabled() == ["marked"] * 2
    was = table.GetValueByName(1, "Longest (mm)").ToDouble()
    larger = Box(box.x0, box.y0, box.x1 + 40, box.y1 + 40)
    scene.place_roi(mass, exams[3], larger)
    shell.process(0.5)
    assert table.GetValueByName(1, "Longest (mm)").ToDouble() > was + 3


def test_what_was_just_deleted_is_in_no_ones_way(panel, shell, followed):
    """The panel looks at the scene somewhat later, and an answer may come before that."""
    exams, (lesion, other) = followed
    from MammoTrackerLib import scene

    panel.results.selectOn(lesion, exams[1])
    transform = move(shell, 3)
    shell.process(0.4)
    shell.scene.RemoveNode(lesion)
    exams[0].SetAndObserveTransformNodeID(transform.GetID())
    shell.process()
    panel.results._updateNode()
    panel.results.refresh()
    assert panel.results.selected is None and panel.lesions.rois == [other]
    shell.process(0.5)
    panel.results.selectOn(other, exams[1])
    shell.scene.RemoveNode(scene.prediction_of(other, exams[1]))
    panel.results.review("rejected")
    shell.process(0.5)
    assert [row[0] for row in rows_of(panel)] == [other.GetName()]

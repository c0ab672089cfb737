"""The panel's list of lesions: placed, renamed, typed, deleted and loaded."""

from __future__ import annotations

import json

import pytest
from sample_pair import SAMPLE, TRUTH

from MammoTrackerLib import Box


def test_two_clicks_on_the_prior_mark_a_lesion(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, current, _ = pair
    shell.click(panel.ui.addLesionButton)
    shell.clickPixel(prior, 300, 600)
    shell.clickPixel(prior, 340, 650)
    added = panel.lesions.rois[-1]
    box = scene.box_of(added, prior)
    assert box.as_tuple() == pytest.approx((300, 600, 340, 650), abs=4)
    assert not panel.ui.addLesionButton.checked
    assert panel.ui.lesionsTable.rowCount == 2
    assert scene.lesions(prior)[-1] is added


def test_giving_up_to_place_leaves_no_lesion(panel, shell, pair):
    shell.click(panel.ui.addLesionButton)
    assert panel.ui.addLesionButton.checked
    shell.clickPixel(pair[0], 300, 600)
    shell.click(panel.ui.addLesionButton)
    assert panel.ui.lesionsTable.rowCount == 1


def draw_with_slicers_own_tool(shell, volume):
    import slicer

    roi = shell.scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "By hand")
    roi.CreateDefaultDisplayNodes()
    logic = slicer.app.applicationLogic()
    logic.GetSelectionNode().SetReferenceActivePlaceNodeClassName(roi.GetClassName())
    logic.GetSelectionNode().SetActivePlaceNodeID(roi.GetID())
    logic.GetInteractionNode().SwitchToSinglePlaceMode()
    shell.process(0.5)  # as long as a user takes
    shell.clickPixel(volume, 300, 600)
    shell.clickPixel(volume, 340, 650)
    shell.process(0.5)
    return roi


def test_a_box_that_is_drawn_with_slicers_own_tool_is_listed(panel, shell, pair):
    prior, current, lesion = pair
    drawn = draw_with_slicers_own_tool(shell, prior)
    assert panel.lesions.rois == [lesion, drawn]
    later = draw_with_slicers_own_tool(shell, current)
    assert panel.lesions.rois == [lesion, drawn], "it is on the current"
    shell.click(panel.ui.swapButton)
    shell.wait(lambda: panel.lesions.rois == [later])


def test_of_a_series_it_is_on_the_exam_in_whose_view_it_is_drawn(panel, shell, series):
    from MammoTrackerLib import scene

    marked, beside = panel.exams.pair
    roi = draw_with_slicers_own_tool(shell, beside)
    assert panel.lesions.rois == [roi] and scene.lesions(beside) == [roi]


def test_placing_ends_when_lesions_are_marked_on_another_exam(panel, shell, series):
    shell.click(panel.ui.addLesionButton)
    shell.clickPixel(series[3], 236, 968)
    shell.click(panel.ui.swapButton)
    assert not panel.ui.addLesionButton.checked and panel.lesions.rois == []
    shell.click(panel.ui.addLesionButton)
    shell.clickPixel(series[2], 236, 968)
    shell.clickPixel(series[2], 296, 1022)
    assert len(panel.lesions.rois) == 1


def test_placing_ends_with_the_box_whatever_slicer_is_set_to(panel, shell, pair):
    import slicer

    interaction = slicer.app.applicationLogic().GetInteractionNode()
    interaction.SetPlaceModePersistence(True)
    try:
        shell.click(panel.ui.addLesionButton)
        for x, y in ((300, 600), (340, 650), (400, 700), (440, 750)):
            shell.clickPixel(pair[0], x, y)
        assert not panel.ui.addLesionButton.checked
        shell.process(0.5)
        assert panel.ui.lesionsTable.rowCount == 2
        assert len(slicer.util.getNodesByClass("vtkMRMLMarkupsROINode")) == 2
    finally:
        interaction.SetPlaceModePersistence(False)


def test_no_button_appears_beside_ours(panel, shell, pair):
    import qt

    shell.click(panel.ui.addLesionButton)
    for widget in (panel.ui.lesionPlaceWidget, panel.ui.resultPlaceWidget):
        assert not [button for button in widget.findChildren(qt.QWidget) if button.visible]
    shell.click(panel.ui.addLesionButton)


def test_rois_of_others_are_left_alone(panel, shell, pair, tmp_path):
    import slicer

    from MammoTrackerLib import Status, Track, scene
    from MammoTrackerLib.command.outputs import Geometry, track_as_markup

    prior, _, lesion = pair
    box = Box(300, 500, 350, 560)
    crop = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    scene.place_roi(crop, prior, box)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLCropVolumeParametersNode").SetROINodeID(crop.GetID())
    whole = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R2")
    scene.place_roi(whole, prior, Box(0, 0, *scene.Raster(prior).size))
    track = Track(box, box, 0.97, Status.FOUND, "Here.", (), box)
    path = tmp_path / "lesion-1.mrk.json"
    geometry = Geometry((0, 0, 0), (0.15, 0, 0), (0, 0.15, 0))
    path.write_text(json.dumps(track_as_markup(1, track, geometry)), encoding="utf-8")
    slicer.util.loadMarkups(str(path))
    shell.process(0.6)
    assert panel.lesions.rois == [lesion]
    panel.lesions.load([path])  # unless the user wants it, for a later exam
    assert panel.ui.lesionsTable.rowCount == 2


def test_lesions_are_renamed_typed_and_deleted(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, _, lesion = pair
    table = panel.ui.lesionsTable
    table.item(0, 0).setText("Mass at 6 o'clock")
    assert lesion.GetName() == "Mass at 6 o'clock"
    table.selectRow(0)
    panel.ui.typeComboBox.currentIndex = 2
    assert scene.lesion_type(lesion) == "calcification"
    assert table.item(0, 1).text() == "calcification"
    shell.click(panel.ui.deleteLesionButton)
    assert scene.lesions(prior) == [] and table.rowCount == 0
    assert not panel.ui.trackAllButton.enabled


def test_roi_files_and_rois_of_the_scene_are_used(panel, shell, pair, tmp_path):
    import slicer

    from MammoTrackerLib import scene

    prior, _, lesion = pair
    path = tmp_path / "roi.mrk.json"
    slicer.util.saveNode(lesion, str(path))
    panel.lesions.load([path, SAMPLE / "truth.json"])
    assert panel.ui.lesionsTable.rowCount == 2
    assert "truth.json" in shell.messages.pop()
    own = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Own")
    scene.place_roi(own, prior, Box(300, 500, 350, 560))
    shell.wait(lambda: panel.ui.lesionsTable.rowCount == 3)


@pytest.mark.parametrize(
    "kind, places, boxes",
    [
        ("Fiducial", [(250, 700), (300, 900)], [(250, 700, 67, 67), (300, 900, 67, 67)]),
        ("Line", [(240, 900), (280, 930)], [(260, 915, 50, 50)]),
        ("ClosedCurve", [(200, 700), (260, 700), (260, 760), (200, 760)], [(230, 730, 82.5, 82.5)]),
    ],
)
def test_other_markups_mark_lesions_as_they_do_for_the_command(
    panel, shell, pair, tmp_path, kind, places, boxes
):
    """Wherever the exam lies."""
    import slicer
    import vtk

    from MammoTrackerLib import scene

    prior = pair[0]
    moved = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 12.0)
    moved.SetMatrixTransformToParent(matrix)
    prior.SetAndObserveTransformNodeID(moved.GetID())
    node = slicer.mrmlScene.AddNewNodeByClass(f"vtkMRMLMarkups{kind}Node")
    for x, y in places:
        node.AddControlPointWorld(vtk.vtkVector3d(*scene.Raster(prior).to_world([(x, y, 0)])[0]))
    slicer.util.saveNode(node, str(tmp_path / "mine.mrk.json"))
    slicer.mrmlScene.RemoveNode(node)
    shell.process(0.4)
    panel.lesions.load([tmp_path / "mine.mrk.json"])
    found = [scene.box_of(roi, prior) for roi in panel.lesions.rois[1:]]
    assert [(*box.center, box.width, box.height) for box in found] == [
        pytest.approx(box, abs=0.5) for box in boxes
    ]
    assert [scene.is_point(roi) for roi in panel.lesions.rois[1:]] == [
        kind == "Fiducial" for _ in boxes
    ]
    if kind == "Fiducial":
        assert "a box of 10 mm" in shell.messages.pop()
    assert shell.messages == []


def test_a_mask_of_the_prior_is_loaded(panel, shell, pair, tmp_path):
    import numpy as np
    from PIL import Image

    from MammoTrackerLib import scene

    prior = pair[0]
    columns, rows = scene.Raster(prior).size
    mask = np.zeros((rows, columns), np.uint8)
    mask[500:540, 300:360] = mask[700:730, 400:440] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    panel.lesions.load([tmp_path / "mask.png", tmp_path / "none.png"])
    assert "none.png" in shell.messages.pop()
    names = [roi.GetName() for roi in panel.lesions.rois]
    assert names == ["Lesion 1", "Lesion 2", "Lesion 3"], "no name twice"
    boxes = [scene.box_of(roi, prior).as_tuple() for roi in panel.lesions.rois[1:]]
    expected = (300, 500, 360, 540), (400, 700, 440, 730)
    assert sorted(boxes) == [pytest.approx(box) for box in expected]


def segment(volume, name):
    """Segment a part of a volume, as 300, 500, 360, 540 in its pixels."""
    import numpy as np
    import slicer
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    from MammoTrackerLib import scene

    columns, rows = scene.Raster(volume).size
    labels = np.zeros((1, rows, columns), np.uint8)
    labels[0, 500:540, 300:360] = 1
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(columns, rows, 1)
    image.GetPointData().SetScalars(numpy_to_vtk(labels.ravel(), deep=True))
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    image.SetImageToWorldMatrix(matrix)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.AddSegmentFromBinaryLabelmapRepresentation(image, "Mass in the middle")


def offered(panel, shell) -> dict:
    """Click *Load...*, and return what its menu offers besides files."""
    shell.click(panel.ui.loadLesionsButton)
    actions = {action.text: action for action in panel.lesions._menu.actions()}
    panel.lesions._menu.close()
    assert actions.pop("Files...")
    return actions


def test_a_segmentation_is_offered_and_becomes_lesions(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, current, _ = pair
    segment(prior, "Mass")
    segment(current, "Elsewhere")
    actions = offered(panel, shell)
    assert list(actions) == ["Segmentation Mass"]
    actions["Segmentation Mass"].trigger()
    added = panel.lesions.rois[-1]
    assert added.GetName() == "Mass in the middle"
    assert scene.box_of(added, prior).as_tuple() == pytest.approx((300, 500, 360, 540), abs=0.01)
    assert panel.ui.lesionsTable.rowCount == 2 and shell.messages == []


def test_a_segmentation_of_any_exam_of_a_series_is_offered(panel, shell, series):
    from MammoTrackerLib import scene

    segment(series[1], "Early")
    offered(panel, shell)["Segmentation Early"].trigger()
    (roi,) = panel.lesions.rois
    assert scene.exam_of(roi) is series[1] and panel.exams.pair[0] is series[3]


def test_what_is_no_mammogram_loads_none_and_keeps_none_from_it(panel, shell, pair, tmp_path):
    import numpy as np
    import slicer
    from panel_steps import choose
    from PIL import Image

    prior, current, _ = pair
    stack = slicer.util.addVolumeFromArray(np.zeros((3, 40, 40), np.uint8), name="Stack")
    segment(current, "Mass")
    choose(panel, shell, current, stack)
    assert list(offered(panel, shell)) == ["Segmentation Mass"]
    mask = np.zeros((1488, 949), np.uint8)
    mask[500:540, 300:360] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    panel.lesions.load([tmp_path / "mask.png"])
    assert len(panel.lesions.rois) == 1 and shell.messages == []
    (node,) = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    node.SetReferenceImageGeometryParameterFromVolumeNode(stack)
    choose(panel, shell, stack, prior)
    offered(panel, shell)["Segmentation Mass"].trigger()
    assert "no single slice" in shell.messages.pop() and panel.lesions.rois == []


def test_a_report_on_the_exams_in_the_dicom_database_is_offered(panel, shell, series, tmp_path):
    import pydicom
    import slicer
    from sr_files import report, write_report

    from MammoTrackerLib import scene

    uids = [volume.GetAttribute("DICOM.instanceUIDs") for volume in series]
    boxes = Box(300, 400, 380, 480), Box(400, 500, 460, 560)
    marks = outline(uids[0], boxes[0], "1.5"), outline(uids[3], boxes[1], "1.6")
    path = write_report(tmp_path / "sr.dcm", report(*marks, outline("1.2.3.9", boxes[0], "1.7")))
    uid = str(pydicom.dcmread(path).SOPInstanceUID)
    slicer.dicomDatabase.files[uid] = str(path)
    try:
        shell.click(panel.ui.loadLesionsButton)
        actions = {action.text: action for action in panel.lesions._menu.actions()}
        assert list(actions)[1:] == ["Report 1 of 1 on these exams (DICOM SR)"]
        panel.lesions._menu.close()
        actions["Report 1 of 1 on these exams (DICOM SR)"].trigger()
    finally:
        del slicer.dicomDatabase.files[uid]
    assert "1 on other images" in shell.messages.pop()
    first, last = panel.lesions.rois
    assert scene.box_of(first, series[0]).as_tuple() == pytest.approx(boxes[0].as_tuple())
    assert scene.box_of(last, series[3]).as_tuple() == pytest.approx(boxes[1].as_tuple())
    assert first.GetDisplayNode().GetSelectedColor() != last.GetDisplayNode().GetSelectedColor()
    assert [panel.ui.lesionsTable.item(row, 2).text() for row in range(2)] == ["0 y", "+5.0 y"]


def outline(instance, box, identifier):
    from sr_files import group, scoord, tracking

    x0, y0, x1, y1 = box.as_tuple()
    points = [x0, y0, x1, y0, x1, y1, x0, y1]
    return group(*tracking(identifier, "x"), scoord("POLYLINE", points, instance))


def test_a_lesion_that_a_report_marks_on_several_exams_is_one(panel, shell, series, tmp_path):
    from panel_steps import rows_of, track
    from sr_files import report, write_report

    from MammoTrackerLib import scene

    uids = [volume.GetAttribute("DICOM.instanceUIDs") for volume in series]
    smaller = Box.from_center(*TRUTH.center, TRUTH.width / 2, TRUTH.height / 2)
    marks = outline(uids[3], TRUTH, "1.5"), outline(uids[0], smaller, "1.5")
    path = write_report(tmp_path / "sr.dcm", report(*marks))
    for _ in range(2):
        panel.lesions.load([path])
        (lesion,) = panel.lesions.rois
        (row,) = rows_of(panel)
        answers = [text.split("\n")[0] for text in row[2:]]
        assert answers == ["accepted", "not tracked", "not tracked", "marked"]
        assert row[1].startswith("+")
    assert "There already" in shell.messages.pop() and not shell.messages
    loaded = scene.roi_on(lesion, series[0])
    panel.results.select(loaded)
    assert panel.ui.reasonLabel.text.startswith(
        "Lesion 1: Accepted. A file told of it: the tracker has not looked here.\n"
    )
    shell.screenshot("/tmp/module-report-on-several-exams.png")
    track(panel, shell)
    answers = [text.split("\n")[0] for text in rows_of(panel)[0][2:]]
    assert answers[0] == "accepted" and answers[3] == "marked" and all(answers)
    shell.screenshot("/tmp/module-report-on-several-exams-tracked.png")
    # What the file said is taken back: nothing is known there until it is looked for.
    panel.results.select(loaded)
    shell.click(panel.ui.restoreButton)
    answers = [text.split("\n")[0] for text in rows_of(panel)[0][2:]]
    assert (
        answers[0] == "not tracked" and scene.is_outdated(lesion) and panel.results.selected is None
    )
    assert panel.ui.reasonLabel.text == "" and not panel.ui.restoreButton.enabled
    track(panel, shell)
    answers = [text.split("\n")[0] for text in rows_of(panel)[0][2:]]
    assert answers[0] in ("found", "uncertain", "not found")


def test_a_report_on_a_pair_marks_the_prior_and_decides_the_current(
    panel, shell, exam_files, tmp_path
):
    from panel_steps import rows_of, track
    from sr_files import report, write_report

    from MammoTrackerLib import scene

    pair = [shell.loadDicom(exam_files[year]) for year in (2022, 2024)]
    shell.wait(lambda: panel.exams.pair == tuple(pair))
    uids = [volume.GetAttribute("DICOM.instanceUIDs") for volume in pair]
    box = Box(300, 500, 350, 560)
    marks = outline(uids[1], TRUTH, "1.5"), outline(uids[0], TRUTH, "1.5")
    path = write_report(tmp_path / "sr.dcm", report(*marks, outline(uids[1], box, "1.6")))
    try:
        panel.lesions.load([path])
        assert "Marked on the other of the two exams alone" in shell.messages.pop()
        (lesion,) = panel.lesions.rois
        (row,) = rows_of(panel)
        assert [text.split("\n")[0] for text in row[2:]] == ["marked", "accepted"]
        track(panel, shell)
        assert scene.review_of(scene.roi_on(lesion, pair[1])) == "accepted"
        shell.screenshot("/tmp/module-report-on-a-pair.png")
    finally:
        shell.scene.Clear()
        shell.process(0.3)


def test_a_lesion_without_a_name_gets_its_former_one_or_a_number(panel, shell, pair):
    import slicer

    from MammoTrackerLib import scene

    prior, _, lesion = pair
    name, table = lesion.GetName(), panel.ui.lesionsTable
    for empty in ("", "  ", None):
        lesion.SetName(empty)
        shell.process(0.3)
        assert lesion.GetName() == name == table.item(0, 0).text()
    table.item(0, 0).setText(" ")
    assert lesion.GetName() == name == table.item(0, 0).text()
    for empty in ("", " "):
        roi = slicer.vtkMRMLMarkupsROINode()
        roi.SetName(empty)
        scene.place_roi(slicer.mrmlScene.AddNode(roi), prior, Box(300, 500, 350, 560))
    shell.process(0.5)
    names = [table.item(row, 0).text() for row in range(3)]
    assert all(names) and len(set(names)) == 3
    assert names == [roi.GetName() for roi in panel.lesions.rois]


def test_a_lesion_whose_display_node_is_deleted_is_drawn_again(panel, shell, pair):
    from MammoTrackerLib import Status, Track, scene

    prior, current, lesion = pair
    box = scene.box_of(lesion, prior)
    track = Track(box, box, 0.97, Status.FOUND, "Here.", (), box)
    prediction = scene.show_track(lesion, current, track)
    panel.results.refresh()
    panel.results.select(prediction)
    shell.click(panel.ui.rejectButton)
    for roi in (lesion, prediction):
        shell.scene.RemoveNode(roi.GetDisplayNode())
    panel.ui.lesionsTable.selectRow(0)  # before the panel looks at the scene
    shell.click(panel.ui.restoreButton)
    shell.click(panel.ui.rejectButton)
    shell.scene.RemoveNode(prediction.GetDisplayNode())
    shell.process(0.5)
    assert lesion.GetDisplayNode().GetSelectedColor() in scene.COLORS
    assert list(lesion.GetDisplayNode().GetViewNodeIDs()) == ["vtkMRMLSliceNodeMammoTrackerPrior"]
    assert prediction.GetDisplayNode() and not prediction.GetDisplayNode().GetVisibility()
    shell.click(panel.ui.restoreButton)
    colors = [roi.GetDisplayNode().GetSelectedColor() for roi in (lesion, prediction)]
    assert colors[0] == colors[1]


def test_a_lesion_is_listed_again_when_its_deleted_exam_is_loaded_again(panel, shell, pair):
    from panel_steps import choose

    import MammoTracker

    prior, current, lesion = pair
    shell.scene.RemoveNode(prior)
    shell.process(0.4)
    assert panel.lesions.rois == [] and lesion.GetScene()
    again, other, second = MammoTracker.loadSamplePair()
    shell.scene.RemoveNode(second)
    choose(panel, shell, other, current)
    assert panel.lesions.rois == []
    choose(panel, shell, again, current)
    assert panel.lesions.rois == [lesion] and panel.ui.lesionsTable.rowCount == 1


def test_a_lesion_of_a_series_comes_back_with_its_exam_and_its_answers(
    panel, shell, followed, exam_files
):
    from panel_steps import rows_of

    from MammoTrackerLib import scene

    exams, (mass, calcs) = followed
    before = rows_of(panel)
    shell.scene.RemoveNode(exams[0])  # on which the one is marked
    shell.process(0.5)
    assert panel.lesions.rois == [mass]
    again = shell.loadDicom(exam_files[2019])
    shell.wait(lambda: len(panel.exams.series) == 4)
    shell.process(0.4)
    assert panel.lesions.rois == [calcs, mass] and scene.exam_of(calcs) is again
    rows = rows_of(panel)
    assert rows[0] == before[0], "its answers lie on the other exams"
    assert rows[1][2] == "not tracked" and rows[1][3:] == before[1][3:]


def test_a_lesion_is_deleted_while_another_row_is_selected(panel, shell, pair):
    import slicer

    from MammoTrackerLib import scene

    prior, _, lesion = pair
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Other")
    scene.place_roi(other, prior, Box(300, 500, 350, 560))
    shell.process(0.4)
    table = panel.ui.lesionsTable
    table.selectRow(1)
    shell.scene.RemoveNode(lesion)  # the panel looks at the scene somewhat later
    table.selectRow(0)
    assert panel.lesions.selected() == []
    table.selectRow(1)
    assert panel.lesions.selected() == [other]
    shell.process(0.5)
    assert panel.lesions.rois == [other] and table.rowCount == 1

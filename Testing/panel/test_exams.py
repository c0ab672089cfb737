"""The panel's exams: proposed, swapped, forced, refused, and given a pixel size."""

from __future__ import annotations

import pytest
from drawn_exams import shift_grid
from panel_steps import answer, choose, show
from sample_pair import TRUTH, write_exam

from MammoTrackerLib import Box


def test_dicom_exams_are_proposed_as_a_pair(panel, shell, tmp_path):
    prior = shell.loadDicom(write_exam(tmp_path / "a.dcm", "Prior", 2020))
    current = shell.loadDicom(write_exam(tmp_path / "b.dcm", "Prior", 2021))
    shell.wait(lambda: panel.exams.pair == (prior, current))
    assert "L MLO" in panel.ui.pairLabel.text
    assert "12 months apart" in panel.ui.pairLabel.text
    shell.scene.Clear()


def test_swapped_dates_are_said_and_mended_by_one_click(panel, shell, tmp_path):
    later = shell.loadDicom(write_exam(tmp_path / "a.dcm", "Prior", 2021))
    earlier = shell.loadDicom(write_exam(tmp_path / "b.dcm", "Prior", 2020))
    choose(panel, shell, later, earlier)
    assert "after the current" in panel.ui.pairLabel.text
    shell.click(panel.ui.swapButton)
    assert panel.exams.pair == (earlier, later)
    assert "12 months apart" in panel.ui.pairLabel.text
    assert panel.exams.titles is None
    shell.click(panel.ui.swapButton)  # to mark a lesion on the later exam
    assert panel.exams.pair == (later, earlier)
    assert panel.exams.titles == ["Marked: +1.0 y", "0 y"]
    mark(panel, shell, later, TRUTH)
    (lesion,) = panel.lesions.rois
    show(panel, lesion, earlier, answer(lesion, later))
    header = panel.ui.resultsTableView.horizontalHeaderItem
    assert [header(column).text() for column in (1, 2)] == ["+1.0 y", "0 y"]
    shell.scene.Clear()
    shell.process()
    assert not panel.ui.pairWidget.visible


def test_another_breast_blocks_until_it_is_forced(panel, shell, tmp_path):
    left = shell.loadDicom(write_exam(tmp_path / "a.dcm", "Prior", 2020))
    right = shell.loadDicom(write_exam(tmp_path / "b.dcm", "Prior", 2021, "R"))
    choose(panel, shell, left, right)
    mark(panel, shell, left, Box(300, 400, 380, 480))
    assert "laterality is L" in panel.ui.pairLabel.text
    assert not panel.ui.trackAllButton.enabled
    shell.click(panel.ui.forceCheckBox)
    assert panel.ui.trackAllButton.enabled
    shell.scene.Clear()


@pytest.mark.parametrize("index", [0, 1], ids=["prior", "current"])
def test_no_other_image_takes_the_place_of_a_deleted_one(panel, shell, pair, index):
    shell.scene.RemoveNode(pair[index])
    shell.process(0.4)
    assert panel.exams.pair[index] is None
    assert panel.exams.pair[1 - index] is pair[1 - index]
    assert "Select a prior and a current" in panel.ui.pairLabel.text


def test_a_volume_of_several_slices_is_refused(panel, shell, pair):
    import numpy as np
    import slicer

    stack = slicer.util.addVolumeFromArray(np.zeros((3, 40, 40), np.uint8), name="Stack")
    choose(panel, shell, pair[0], stack)
    assert "no single slice" in panel.ui.pairLabel.text
    assert not panel.ui.trackAllButton.enabled and not panel.ui.forceCheckBox.visible


def test_unknown_spacing_asks_for_a_number_and_keeps_boxes_on_their_pixels(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, current, lesion = pair
    box = scene.box_of(lesion, prior)
    prior.SetSpacing(1, 1, 1)
    scene.place_roi(lesion, prior, box)
    panel.enter()
    ui = panel.ui
    assert ui.spacingWidget.visible and not ui.trackAllButton.enabled
    assert not ui.currentSpacingSpinBox.enabled
    ui.priorSpacingSpinBox.value = 0.15
    shell.click(ui.spacingButton)
    assert prior.GetSpacing()[:2] == pytest.approx((0.15, 0.15))
    assert scene.box_of(lesion, prior).as_tuple() == pytest.approx(box.as_tuple(), abs=0.01)
    assert not ui.spacingWidget.visible and ui.trackAllButton.enabled


def test_the_pixel_size_of_an_exam_that_is_not_shown_is_asked_for(panel, shell, series):
    import slicer
    from sample_pair import SAMPLE

    from MammoTrackerLib import scene

    unknown = [slicer.util.loadVolume(str(SAMPLE / "MammoTrackerPrior.nrrd")) for _ in range(3)]
    for volume in unknown:
        volume.SetSpacing(1, 1, 1)
        scene.choose_exam(volume, True)
    panel.enter()
    ui = panel.ui
    assert not set(panel.exams.pair) & set(unknown) and not ui.trackAllButton.enabled
    ui.priorSpacingSpinBox.value, ui.currentSpacingSpinBox.value = 0.15, 0.2
    shell.click(ui.spacingButton)
    assert [scene.header_of(one).spacing for one in unknown] == [(0.15, 0.15), (0.2, 0.2), None]
    assert ui.spacingWidget.visible and not ui.currentSpacingSpinBox.visible
    ui.priorSpacingSpinBox.value = 0.15
    shell.click(ui.spacingButton)
    assert not ui.spacingWidget.visible
    assert series[0].GetSpacing()[0] == pytest.approx(0.15, abs=0.001)


def mark(panel, shell, volume, box: Box) -> None:
    import slicer

    from MammoTrackerLib import scene

    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Lesion 1")
    scene.place_roi(roi, volume, box)
    shell.wait(lambda: roi in panel.lesions.rois)


def listed(panel) -> list[tuple[str, bool]]:
    import qt

    view = panel.ui.examsList
    items = [view.item(row) for row in range(view.count)]
    return [(item.text(), item.checkState() == qt.Qt.Checked) for item in items]


def test_all_exams_of_a_woman_are_proposed_the_last_to_be_marked(panel, shell, series):
    ui = panel.ui
    assert panel.exams.pair == (series[3], series[2])
    assert ui.examsList.visible and ui.priorLabel.text == "Marked on:"
    years = 2019, 2020, 2022, 2024
    lines = [(f"{n}.  {year}-03-01   {year}", True) for n, year in enumerate(years, 1)]
    assert listed(panel) == lines
    assert ui.pairLabel.text == "L MLO, 4 exams, 5.0 years"
    shell.click(ui.swapButton)
    assert panel.exams.pair == (series[2], series[3])
    assert panel.exams.series == series and "L MLO" in ui.pairLabel.text


def test_exams_are_left_out_and_taken_in_again(panel, shell, series):
    import qt

    item = panel.ui.examsList.item(1)
    item.setCheckState(qt.Qt.Unchecked)
    assert panel.exams.series == [series[0], *series[2:]]
    assert [checked for _date, checked in listed(panel)] == [True, False, True, True]
    panel.ui.examsList.item(2).setCheckState(qt.Qt.Unchecked)  # which is beside
    assert panel.exams.pair == (series[3], series[0])
    assert panel.exams.series == [series[3], series[0]]
    assert panel.ui.priorLabel.text == "Prior:" and panel.ui.examsList.visible
    # The later one is marked, but they are numbered by date.
    assert [text[:2] for text, checked in listed(panel) if checked] == ["1.", "2."]
    rows = [panel.ui.examsList.item(row) for row in range(4)]
    fixed = [not row.flags() & qt.Qt.ItemIsEnabled for row in rows]
    assert fixed == [True, False, False, True], "two exams are the least"
    assert [bool(row.toolTip()) for row in rows] == fixed
    panel.ui.examsList.item(3).setCheckState(qt.Qt.Unchecked)
    assert panel.exams.series == [series[3], series[0]]
    assert [checked for _date, checked in listed(panel)] == [True, False, False, True]
    panel.ui.examsList.item(1).setCheckState(qt.Qt.Checked)
    assert panel.exams.series == [*series[:2], series[3]]
    rows = [panel.ui.examsList.item(row) for row in range(4)]
    assert all(row.flags() & qt.Qt.ItemIsEnabled and not row.toolTip() for row in rows)


def test_the_views_are_called_as_the_columns_are(panel, shell, followed):
    import qt
    import slicer

    def titles() -> list[str]:
        views = (f"vtkMRMLSliceNodeMammoTracker{name}" for name in ("Prior", "Current"))
        return [slicer.mrmlScene.GetNodeByID(view).GetLayoutLabel() for view in views]

    series, _ = followed
    panel.exams.select(series[3], series[1])
    shell.process(0.3)
    assert titles() == ["Marked: +5.0 y", "+1.0 y"]
    panel.ui.examsList.item(0).setCheckState(qt.Qt.Unchecked)
    shell.process(0.3)
    assert panel.exams.series == series[1:]
    assert titles() == ["Marked: +4.0 y", "0 y"]


def test_two_exams_need_no_list(panel, shell, pair):
    assert not panel.ui.examsList.visible
    assert panel.exams.series == list(pair[:2])


def test_a_later_exam_moves_the_proposal_until_a_lesion_is_marked(panel, shell, tmp_path):
    exams = [
        shell.loadDicom(write_exam(tmp_path / f"{year}.dcm", "Prior", year))
        for year in (2020, 2021)
    ]
    shell.wait(lambda: panel.exams.pair == tuple(exams))
    exams.append(shell.loadDicom(write_exam(tmp_path / "2022.dcm", "Prior", 2022)))
    shell.wait(lambda: panel.exams.pair == (exams[2], exams[1]))
    mark(panel, shell, exams[2], Box(300, 400, 380, 480))
    exams.append(shell.loadDicom(write_exam(tmp_path / "2023.dcm", "Prior", 2023)))
    shell.wait(lambda: len(panel.exams.series) == 4)
    assert panel.exams.pair == (exams[2], exams[1])
    shell.scene.Clear()


def test_what_is_wrong_with_another_exam_of_the_series_is_said(panel, shell, series):
    series[0].SetName("First")
    series[0].SetAttribute("DICOM.instanceUIDs", None)
    from MammoTrackerLib import scene

    scene.choose_exam(series[0], True)
    series[0].SetSpacing(1, 1, 1)
    panel.enter()
    assert "The pixel spacing of exam 4 is unknown" in panel.ui.pairLabel.text
    assert listed(panel)[3] == ("4.  no date   First", True)
    assert not panel.exams.isReady


def test_an_exam_of_a_series_that_is_deleted_leaves_at_once(panel, shell, followed):
    from MammoTrackerLib import scene

    exams, (mass, _calcs) = followed
    panel.results.select(scene.prediction_of(mass, exams[1]))
    panel.results.select(scene.prediction_of(mass, exams[2]))
    shell.scene.RemoveNode(exams[1])
    assert panel.exams.series == [exams[0], *exams[2:]] and panel.exams.pair == (exams[3], exams[2])
    assert panel.ui.resultsTableView.columnCount == 4
    assert panel.results.selected is scene.prediction_of(mass, exams[2])
    shell.scene.RemoveNode(exams[2])
    assert panel.exams.pair == (exams[3], None) and panel.results.selected is None
    shell.process(0.4)
    assert panel.ui.resultsTableView.rowCount == 0


def test_a_series_stays_forced_while_it_is_looked_at(panel, shell, followed, tmp_path):

    exams, (mass, _calcs) = followed
    other = shell.loadDicom(write_exam(tmp_path / "r.dcm", "Prior", 2023, "R"))
    panel.ui.currentSelector.setCurrentNode(other)
    assert panel.exams.series == [*exams[:3], other, exams[3]] and not panel.exams.isReady
    shell.click(panel.ui.forceCheckBox)
    assert panel.exams.isReady
    panel.ui.currentSelector.setCurrentNode(exams[0])
    assert panel.exams.series == exams and not panel.exams.isForced


def test_what_is_forced_into_a_series_is_listed_and_can_be_left_out(panel, shell, series, tmp_path):
    import qt

    other = shell.loadDicom(write_exam(tmp_path / "r.dcm", "Prior", 2023, "R"))
    other.SetName("right")
    panel.ui.currentSelector.setCurrentNode(other)
    shell.process(0.4)
    assert "of exam 4 is R" in panel.ui.pairLabel.text
    assert listed(panel)[3] == ("4.  2023-03-01   right", True) and len(listed(panel)) == 5
    panel.ui.examsList.item(3).setCheckState(qt.Qt.Unchecked)
    shell.process(0.4)
    assert panel.exams.series == series and other not in panel.exams.pair
    assert len(listed(panel)) == 4


def test_lesions_that_are_marked_on_an_exam_that_is_left_out_are_counted(panel, shell, followed):
    import qt

    exams, (mass, calcs) = followed
    assert "Not listed" not in panel.ui.pairLabel.text
    panel.ui.examsList.item(0).setCheckState(qt.Qt.Unchecked)
    said = "Not listed, since on other exams that may show this breast: 1 of the lesions."
    assert panel.lesions.rois == [mass]
    assert panel.ui.pairLabel.text == f"L MLO, 3 exams, 4.0 years\n{said}"
    shell.scene.RemoveNode(calcs)
    shell.process(0.4)
    assert panel.ui.pairLabel.text == "L MLO, 3 exams, 4.0 years"


def test_no_table_tells_of_a_lesion_whose_exam_is_left_out(panel, shell, followed):
    import qt

    from MammoTrackerLib import scene

    _exams, (mass, calcs) = followed
    scene.remove_lesion(calcs)
    shell.process(0.4)
    panel.ui.examsList.item(3).setCheckState(qt.Qt.Unchecked)
    shell.process(0.4)
    assert panel.lesions.rois == [] and scene.series_table(shell.scene) is None
    panel.ui.examsList.item(3).setCheckState(qt.Qt.Checked)
    shell.process(0.4)
    assert panel.lesions.rois == [mass] and scene.series_table(shell.scene)


def test_exams_of_one_day_are_said_also_without_their_files(panel, shell, followed):
    import slicer

    exams, _lesions = followed
    exams[1].SetAttribute("MammoTracker.Year", exams[0].GetAttribute("MammoTracker.Year"))
    files = dict(slicer.dicomDatabase.files)
    slicer.dicomDatabase.files.clear()
    try:
        panel.enter()
        shell.process(0.4)
        assert "Exam 1 was taken on the day of exam 2" in panel.ui.pairLabel.text
    finally:
        slicer.dicomDatabase.files.update(files)


def test_an_exam_without_a_date_among_others_is_said_once(panel, shell, tmp_path):
    import qt
    from pydicom import dcmread

    files = [write_exam(tmp_path / f"{year}.dcm", "Prior", year) for year in (2019, 2020, 2021)]
    header = dcmread(files[0])
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        header.pop(keyword, None)
    header.save_as(files[0])
    exams = [shell.loadDicom(path) for path in files]
    choose(panel, shell, *exams[1:])
    try:
        panel.ui.examsList.item(2).setCheckState(qt.Qt.Checked)
        shell.process(0.3)
        assert panel.exams.series == [*exams[1:], exams[0]]
        (said,) = panel.ui.pairLabel.text.splitlines()
        assert said.startswith("Without a date: exam 3. Such exams come last")
    finally:
        shell.scene.Clear()
        shell.process(0.3)


def test_an_order_that_nobody_knows_is_said(panel, shell):
    import qt
    import slicer
    from sample_pair import SAMPLE

    names = "Prior", "Current", "Prior"
    exams = [slicer.util.loadVolume(str(SAMPLE / f"MammoTracker{name}.nrrd")) for name in names]
    choose(panel, shell, *exams[:2])
    try:
        assert "Without a date" not in panel.ui.pairLabel.text
        panel.ui.examsList.item(2).setCheckState(qt.Qt.Checked)
        shell.process(0.3)
        assert panel.ui.pairLabel.text.startswith("Without a date: exam 1, 2, 3.")
    finally:
        shell.scene.Clear()
        shell.process(0.3)


def test_doubts_of_the_registration_are_said_whenever_its_pair_is_shown(panel, shell, pair):
    from MammoTrackerLib import scene

    summary, doubt = panel.ui.pairLabel.text, "These two do not look like one breast in one view."
    scene.show_registration(*pair[:2], shift_grid(0, 0), [doubt])
    choose(panel, shell, pair[1], pair[0])
    assert doubt not in panel.ui.pairLabel.text
    choose(panel, shell, *pair[:2])
    assert panel.ui.pairLabel.text == doubt
    scene.show_registration(*pair[:2], shift_grid(0, 0))
    panel.exams.look()
    assert panel.ui.pairLabel.text == summary


def test_a_renamed_exam_is_listed_by_its_new_name(panel, shell, series):
    series[1].SetName("renamed")
    shell.process(0.4)
    rows = [panel.ui.examsList.item(row).text() for row in range(panel.ui.examsList.count)]
    assert rows[1].endswith("   renamed")


def test_masks_and_colour_images_are_not_listed(panel, shell, series):
    mask = shell.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "mask")
    photo = shell.scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "photo")
    for node in (mask, photo):
        node.SetAndObserveImageData(series[0].GetImageData())
    shell.process(0.4)
    rows = [panel.ui.examsList.item(row).text() for row in range(panel.ui.examsList.count)]
    assert len(rows) == 4 and not any("mask" in row or "photo" in row for row in rows)


def test_a_colour_image_is_refused(panel, shell, pair):
    import vtk

    photo = shell.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "photo")
    image = vtk.vtkImageData()
    image.SetDimensions(90, 120, 1)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    photo.SetAndObserveImageData(image)
    panel.ui.currentSelector.setCurrentNode(photo)
    shell.process(0.4)
    assert "colour image" in panel.ui.pairLabel.text
    assert not panel.ui.trackAllButton.enabled


def test_nothing_is_said_of_what_was_done_on_other_exams(panel, shell, followed):
    exams, _lesions = followed
    ui = panel.ui
    ui.statusLabel.text, ui.exportLabel.text, ui.progressBar.value = "Tracked.", "Written.", 100
    panel.exams.select(exams[3], exams[0])
    said = ui.statusLabel.text, ui.exportLabel.text, ui.progressBar.value
    assert said == ("Tracked.", "Written.", 100), "which is one of the series"
    ui.priorSelector.setCurrentNode(None)
    said = ui.statusLabel.text, ui.exportLabel.text, ui.progressBar.value
    assert said == ("", "", 0)


def test_all_exams_are_in_sight_also_with_long_names(panel, shell, series):
    view = panel.ui.examsList
    series[0].SetName("Mammography, left, mediolateral oblique, processed for presentation")
    shell.wait(lambda: series[0].GetName() in view.item(0).text())
    shell.process(0.3)
    assert view.visualItemRect(view.item(3)).bottom() <= view.viewport().height

"""The panel's export: files, the report, and what these lack."""

from __future__ import annotations

import csv

from panel_steps import details_of, rows_of, track


def test_export_of_a_series(panel, shell, followed, tmp_path):
    panel.ui.exportPathLineEdit.currentPath = str(tmp_path)
    shell.click(panel.ui.exportButton)
    assert "12 files" in panel.ui.exportLabel.text
    for name in ("strip.png", "growth.png"):
        assert (tmp_path / name).stat().st_size > 5_000, name
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["Lesion"] for row in rows] == ["Calcs"] * 4 + ["Mass"] * 4
    assert [row["Years"] for row in rows[:2]] == ["0.00", "1.00"]
    assert (tmp_path / "Mass (exam 2).mrk.json").is_file()
    assert (tmp_path / "side-by-side.png").stat().st_size > 10_000


def qt_checked():
    import qt

    return qt.Qt.Checked


def qt_unchecked():
    import qt

    return qt.Qt.Unchecked


def lengths_of(path) -> list[int]:
    """Return how many lengths a report tells of each lesion on each exam, in its order."""
    from highdicom.sr import srread

    groups = srread(path).content.get_planar_roi_measurement_groups()
    codes = [[one.name.value for one in group.get_measurements()] for group in groups]
    return [found.count("410668003") for found in codes]


def test_export_writes_table_boxes_and_picture(panel, shell, pair, tmp_path):
    track(panel, shell)
    panel.ui.exportPathLineEdit.currentPath = str(tmp_path)
    shell.click(panel.ui.exportButton)
    assert "4 files" in panel.ui.exportLabel.text
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file))[1:] == details_of(*pair[:2])
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "results.csv", "side-by-side.png", "Lesion 1.mrk.json", "Lesion 1 (current).mrk.json",
    }  # fmt: skip


def test_results_of_other_exams_are_replaced_only_if_the_user_agrees(
    panel, shell, followed, tmp_path
):
    own = tmp_path / "strip.png"
    own.write_bytes(b"the user's own")
    panel.ui.exportPathLineEdit.currentPath = str(tmp_path)
    shell.answers.append(False)
    shell.click(panel.ui.exportButton)
    assert "strip.png. Replace" in shell.messages.pop() and panel.ui.exportLabel.text == ""
    assert own.read_bytes() == b"the user's own" and list(tmp_path.iterdir()) == [own]
    shell.click(panel.ui.exportButton)
    assert "strip.png. Replace" in shell.messages.pop()
    shell.click(panel.ui.exportButton)  # once more, after a correction
    assert "12 files" in panel.ui.exportLabel.text and shell.messages == []
    panel.ui.examsList.item(1).setCheckState(qt_unchecked())
    shell.click(panel.ui.exportButton)
    assert "results.csv, side-by-side.png, strip.png, growth.png" in shell.messages.pop()


def test_a_report_of_a_series_is_read_again(panel, shell, followed, tmp_path):
    from MammoTrackerLib import scene

    exams, (mass, _calcs) = followed
    panel.results.select(scene.prediction_of(mass, exams[2]))
    shell.click(panel.ui.rejectButton)
    scene.set_review(scene.prediction_of(mass, exams[1]), "not there")
    panel.ui.exportPathLineEdit.currentPath = str(tmp_path)
    shell.click(panel.ui.reportCheckBox)
    shell.click(panel.ui.exportButton)
    assert "13 files" in panel.ui.exportLabel.text
    identity = scene.tracking_of(mass)
    shell.click(panel.ui.exportButton)
    assert scene.tracking_of(mass) == identity, "the lesion is the same in all reports"
    panel.results.refresh()
    before, rows = panel.lesions.rois, rows_of(panel)
    panel.lesions.load([tmp_path / "report.dcm"])
    assert panel.lesions.rois == before and rows_of(panel) == rows, "they are there already"
    assert "There already, so that their boxes stay as they are: 2" in shell.messages.pop()
    # Without an exam's file, it says which.
    uid = exams[1].GetAttribute("DICOM.instanceUIDs")
    exams[1].SetAttribute("DICOM.instanceUIDs", None)
    panel.ui.examsList.item(1).setCheckState(qt_checked())
    panel.ui.exportLabel.text = ""
    shell.click(panel.ui.exportButton)
    assert "DICOM file of each exam, which is missing of exam 2." in panel.ui.exportLabel.text
    assert "12 files written. There is no new report.dcm: " in panel.ui.exportLabel.text
    shell.click(panel.ui.reportCheckBox)
    exams[1].SetAttribute("DICOM.instanceUIDs", uid)
    for roi in before:
        scene.remove_lesion(roi)
    shell.process(0.4)
    panel.lesions.load([tmp_path / "report.dcm"])
    calcs, mass = panel.lesions.rois
    assert scene.tracking_of(mass) == identity and scene.exam_of(mass) is exams[3]
    assert scene.exam_of(calcs) is exams[0] and scene.answers_of(calcs).keys() == {exams[0].GetID()}
    answers = {volume: scene.roi_on(mass, volume) for volume in exams}
    assert scene.review_of(answers[exams[1]]) == "not there"
    assert answers[exams[0]] is None and scene.review_of(answers[exams[2]]) == "rejected"
    (said,) = shell.messages
    assert "1 rejected by the user" in said and "not there" not in said
    assert "to be found anew by tracking: 3 of the marks" in said
    shell.messages.clear()


def test_a_report_makes_no_users_mark_of_what_was_only_predicted(panel, shell, followed, tmp_path):
    from MammoTrackerLib import scene
    from MammoTrackerLib.reading.sr import read_report
    from MammoTrackerLib.scene.lesion import keep_as_predicted

    exams, (mass, calcs) = followed
    keep_as_predicted(mass)
    panel.logic.exportReport(exams, [mass, calcs], tmp_path / "report.dcm")
    for roi, exam, decision in ((mass, exams[3], ""), (calcs, exams[0], "MARKED")):
        uid = scene.header_of(exam).instance_uids[0]
        (mark,) = [
            mark
            for mark in read_report(tmp_path / "report.dcm").marks
            if (mark.tracking, mark.instance_uid) == (scene.tracking_of(roi), uid)
        ]
        assert mark.decision == decision and mark.is_predicted == (decision == "")


def test_what_a_report_lacks_is_said(panel, shell, followed, tmp_path):
    from MammoTrackerLib import scene

    exams, (mass, calcs) = followed
    panel.ui.exportPathLineEdit.currentPath = str(tmp_path)
    panel.ui.reportCheckBox.checked = True
    try:
        shell.scene.RemoveNode(scene.prediction_of(mass, exams[1]))
        shell.click(panel.ui.exportButton)
        assert "12 files written. report.dcm lacks 1 of the lesions" in panel.ui.exportLabel.text
        (tmp_path / "report.dcm").unlink()
        shell.scene.RemoveNode(calcs)
        shell.click(panel.ui.exportButton)
        assert "5 files written. There is no new report.dcm: " in panel.ui.exportLabel.text
        assert "track the lesions first" in panel.ui.exportLabel.text
        assert not (tmp_path / "report.dcm").exists()
    finally:
        panel.ui.reportCheckBox.checked = False


def test_nothing_is_exported_while_a_view_shows_another_image(panel, shell, pair, tmp_path):
    prior, current, _ = pair
    track(panel, shell)
    composite = shell.compositeNode("MammoTrackerCurrent")
    composite.SetBackgroundVolumeID(prior.GetID())
    panel.ui.exportPathLineEdit.currentPath = str(tmp_path)
    shell.click(panel.ui.exportButton)
    assert "side by side first" in panel.ui.exportLabel.text
    assert list(tmp_path.iterdir()) == []
    shell.click(panel.ui.sideBySideButton)
    shell.click(panel.ui.exportButton)
    assert panel.ui.exportLabel.text == "4 files written."


def test_a_point_has_no_size_beside_others_nor_a_length_in_the_report(
    panel, shell, followed, tmp_path
):
    from MammoTrackerLib import scene
    from MammoTrackerLib.scene.lesion import keep_as_point

    exams, (mass, calcs) = followed
    scene.remove_lesion(calcs)
    keep_as_point(mass)
    panel.exams.look()
    panel.ui.exportPathLineEdit.currentPath = str(tmp_path)
    panel.ui.reportCheckBox.checked = True

    def exported() -> tuple[list[str], list[int]]:
        shell.process(0.4)
        shell.click(panel.ui.exportButton)
        assert "files" in panel.ui.exportLabel.text
        strip = [button.text for button in panel.timeLine.strip.buttons]
        (row,) = rows_of(panel)
        assert [" mm" in cell for cell in row[2:]] == [" mm" in text for text in strip]
        return row, lengths_of(tmp_path / "report.dcm")

    try:
        row, lengths = exported()
        assert row[1].startswith("+") and lengths == [0, 0, 0]
        assert "as a point" in panel.timeLine.strip.buttons[3].toolTip
        second = scene.prediction_of(mass, exams[1])
        panel.results.select(second)
        box = scene.box_of(second, exams[1])
        shell.drag(exams[1], box.center, (box.center[0] + 12, box.center[1]))
        row, lengths = exported()
        assert [" mm" in cell for cell in row[2:]] == [False, True, False, False]
        assert "mm" not in row[1] and lengths == [1, 0, 0]
        panel.results.select(scene.prediction_of(mass, exams[2]))
        assert " x " not in panel.ui.reasonLabel.text and "a point" in panel.ui.reasonLabel.text
        mass.SetSize(12, 12, 10)  # now the user has said how large it is
        shell.process(0.4)
        (row,) = rows_of(panel)
        assert [cell.split("\n")[0] for cell in row[2:]] == [
            "outdated",
            "corrected",
            "outdated",
            "marked",
        ]
        assert " mm" in row[1] and " mm" in row[5]
    finally:
        panel.ui.reportCheckBox.checked = False

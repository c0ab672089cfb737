"""The module's logic, as a script uses it: a lesion followed through any number of exams."""

from __future__ import annotations

import pytest
from sample_pair import TRUTH

from MammoTrackerLib import Box, MammoTrackerError


def roi_on(volume, box: Box = TRUTH, name: str = "Mass"):
    import slicer

    from MammoTrackerLib import scene

    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    scene.place_roi(roi, volume, box)
    return roi


@pytest.fixture
def volumes(shell, exam_files):
    volumes = [shell.loadDicom(path) for path in exam_files.values()]
    yield volumes
    shell.scene.Clear()
    shell.process(0.3)


def test_a_lesion_is_followed_from_the_last_exam_in_the_order_of_dates(shell, volumes):
    import MammoTracker
    from MammoTrackerLib import scene

    given = [volumes[n] for n in (1, 0, 3)]
    lesion = roi_on(volumes[3])
    found = MammoTracker.MammoTrackerLogic().follow(given, lesion)
    assert found[2] is lesion and scene.lesions(volumes[3]) == [lesion]
    assert [scene.exam_of(roi) for roi in found] == given
    assert scene.box_of(found[1], volumes[0]).iou(TRUTH) > 0.8, "the same image"
    assert [scene.status_of(roi) for roi in found[:2]] == ["found", "found"]
    rows = scene.series_table(shell.scene).GetTable()
    assert [rows.GetValue(n, 1).ToString() for n in range(3)] == ["0 y", "+1.0 y", "+5.0 y"]


def test_several_lesions_of_different_exams_and_what_was_decided(shell, volumes, tmp_path):
    import MammoTracker
    from MammoTrackerLib import scene

    logic = MammoTracker.MammoTrackerLogic()
    first, last = roi_on(volumes[0], name="A"), roi_on(volumes[3], name="B")
    scene.claim_lesion(first, volumes[0])
    answers = logic.follow(volumes[::3], [first, last])
    assert answers[0][0] is first and answers[1][1] is last
    assert scene.exam_of(answers[0][1]) is volumes[3]
    scene.set_review(answers[1][0], "rejected")
    again = logic.follow(volumes[::3], [first, last])
    assert again == answers and scene.review_of(answers[1][0]) == "rejected"
    files = logic.exportSeries(volumes[::3], [first, last], tmp_path)
    assert {"A.mrk.json", "A (exam 2).mrk.json", "results.csv"} < {file.name for file in files}


def test_what_cannot_be_followed_is_refused(shell, volumes):
    import MammoTracker
    from MammoTrackerLib import scene

    logic = MammoTracker.MammoTrackerLogic()
    outside = roi_on(volumes[0], Box(-90, -90, -10, -10))
    with pytest.raises(MammoTrackerError, match="outside"):
        logic.follow(volumes[:2], outside)
    marked = roi_on(volumes[3])
    scene.claim_lesion(marked, volumes[3])
    with pytest.raises(MammoTrackerError, match="marked on another volume"):
        logic.follow(volumes[:3], marked)
    assert scene.exam_of(marked) is volumes[3]
    with pytest.raises(MammoTrackerError, match="2 to 30"):
        logic.follow(volumes[:1], roi_on(volumes[0]))

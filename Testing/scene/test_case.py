"""A case of a reading list in the scene: what comes with it, and that nothing else goes."""

from __future__ import annotations

import datetime

import numpy as np
import pytest
from sample_pair import write_exam

from MammoTrackerLib import Box, Candidate, Mammogram, Status, Track

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")

from MammoTrackerLib import scene as bridge  # noqa: E402

BOX, FOUND = Box(100, 120, 140, 170), Box(110, 130, 150, 180)
WINDOW = 0.0, 200.0


@pytest.fixture
def exam_file(tmp_path):
    return write_exam(tmp_path / "exam.dcm", "Current", 2020)


@pytest.fixture
def empty(shell):
    shell.scene.Clear()
    yield shell.scene
    shell.scene.Clear()


def add(name: str, path, dtype=np.uint16, date=None):
    pixels = (np.arange(400 * 300).reshape(400, 300) % 251).astype(dtype)
    return bridge.add_exam(name, path, pixels, (0.1, 0.2), WINDOW, date)


def answer(box: Box = FOUND, status: Status = Status.FOUND) -> Track:
    return Track(BOX, box, 0.9, status, "Here.", (Candidate(box, 0.9, 1.0),) * 2, box)


def node_names(scene) -> list[str]:
    nodes = (scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes()))
    return sorted(f"{node.GetClassName()} {node.GetID()}" for node in nodes)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_an_exam_is_the_mammogram_that_was_read(empty, tmp_path, dtype):
    volume = add("a", tmp_path / "a.png", dtype)
    raster = bridge.Raster(volume)
    assert raster.size == (300, 400) and bridge.header_of(volume).spacing == (0.1, 0.2)
    assert raster.to_world([(0.5, 0.5, 0)])[0] == pytest.approx((0, 0, 0))
    assert raster.to_world([(1.5, 0.5, 0)])[0] == pytest.approx((-0.1, 0, 0))
    mammogram = bridge.mammogram_of(volume)
    assert isinstance(mammogram, Mammogram) and mammogram.pixels[0, 7] == 7
    display = volume.GetDisplayNode()
    bridge.apply_window(volume)
    assert (display.GetWindow(), display.GetLevel()) == (200, 100)


def test_its_file_says_what_it_is_but_not_how_it_is_shown(empty, exam_file):
    mammogram = Mammogram.read(exam_file)
    volume = bridge.add_exam("a", exam_file, mammogram.pixels, mammogram.spacing, WINDOW)
    header = bridge.header_of(volume)
    assert (header.laterality, header.view, header.date.year) == ("L", "MLO", 2020)
    assert header.window is None and not header.inverted
    assert bridge.source_file(volume) == exam_file
    assert np.array_equal(bridge.mammogram_of(volume).pixels, mammogram.pixels)


def test_dates_of_the_manifest_order_a_series(empty, tmp_path):
    dates = [datetime.date(year, 1, 1) for year in (2022, 2019, 2020)]
    volumes = [add(str(k), tmp_path / f"{k}.png", date=date) for k, date in enumerate(dates)]
    assert bridge.by_date(volumes) == [volumes[1], volumes[2], volumes[0]]
    assert bridge.years_of(volumes) == pytest.approx([3, 0, 1], abs=0.01)


def test_a_case_keeps_to_itself_beside_images_that_say_nothing(empty, tmp_path):
    others = []
    for path in ("x.png", "y.png"):
        own = add(path, tmp_path / path)
        own.SetAttribute("MammoTracker.ReadFrom", None)
        bridge.choose_exam(own, True)
        others.append(own)
    case = [add(name, tmp_path / f"{name}.png") for name in "ab"]
    bridge.keep_series(case)
    volumes = [*others, *case]
    assert bridge.series_of(case, volumes) == case
    assert bridge.series_of(others, volumes) == others


def test_answers_and_what_was_decided(empty, tmp_path):
    prior, current = (add(name, tmp_path / f"{name}.png") for name in "pc")
    lesion = bridge.add_marked(prior, "mass", BOX, "tissue", [])
    assert bridge.lesions(prior) == [lesion] and bridge.lesion_type(lesion) == ""
    assert lesion.GetLocked() and bridge.box_of(lesion, prior).iou(BOX) > 0.999
    moved = Box(200, 220, 240, 270)
    for review, box, is_shown in (
        ("", None, True), ("accepted", FOUND, True), ("corrected", moved, True),
        ("rejected", None, False), ("not there", None, False), ("cannot tell", None, True),
    ):  # fmt: skip
        roi = bridge.show_answer(lesion, current, answer(), review, box)
        assert bridge.review_of(roi) == review
        assert bool(roi.GetDisplayNode().GetVisibility()) == is_shown
        assert bridge.box_of(roi, current).iou(box or FOUND) > 0.999
        expected = {"accepted": FOUND, "corrected": moved, "rejected": None, "not there": None}
        decided = bridge.decisions(lesion, [prior, current])
        assert set(decided) == ({1} if review in expected else set())
        if decided and expected[review]:
            assert decided[1].iou(expected[review]) > 0.999
        bridge.restore_prediction(roi)


def test_what_cannot_be_told_is_no_decision_and_what_is_not_there_has_no_size(empty, tmp_path):
    prior, current = (add(name, tmp_path / f"{name}.png") for name in "pc")
    lesion = bridge.add_marked(prior, "mass", BOX, "mass", [])
    for review, by_user in (("cannot tell", False), ("not there", True), ("", False)):
        bridge.show_answer(lesion, current, answer(), review, None)
        known = bridge.known_of(lesion, [prior, current])
        assert known.history.results[1].by_user == by_user
        assert (known.size_on(1) is None) == by_user
        row = bridge.update_table(prior, current).GetTable()
        assert row.GetValue(0, 2).ToString() == review
        assert (row.GetValue(0, 4).ToString() == "") == by_user
    bridge.show_answer(lesion, current, answer(status=Status.NOT_FOUND), "cannot tell", None)
    assert not bridge.known_of(lesion, [prior, current]).history.results[1].by_user


def test_a_case_takes_along_only_what_is_its_own(empty, tmp_path):
    own = [add(name, tmp_path / f"{name}.png") for name in "xy"]
    mine = bridge.add_marked(own[0], "mine", BOX, "", [])
    bridge.show_answer(mine, own[1], answer(), "accepted", FOUND)
    bridge.update_table(*own)
    bridge.update_labels(*own)
    free = empty.AddNewNodeByClass("vtkMRMLMarkupsROINode", "free")
    before = node_names(empty)

    case = [add(name, tmp_path / f"{name}.png") for name in "pc"]
    lesion = bridge.add_marked(case[0], "mass", BOX, "", [])
    prediction = bridge.show_answer(lesion, case[1], answer(), "", None)
    bridge.update_table(*case)
    bridge.update_labels(*case)
    bridge.preview_candidate(prediction, 1)
    bridge.preview_candidate(prediction, None)
    grid = np.stack(np.meshgrid(np.linspace(0, 300, 7), np.linspace(0, 400, 9)), axis=-1)
    bridge.show_registration(*case, np.concatenate([grid, grid + 1], axis=-1))
    bridge.warped_prior(*case)
    bridge.place_roi(free, case[0], BOX)
    bridge.claim_lesion(free, case[0])
    bridge.remove_exams(case, [lesion])
    assert free.GetScene() and free.GetAttribute("MammoTracker.Role") is None
    after = [name for name in node_names(empty) if not name.startswith("vtkMRMLMarkupsROIDisplay")]
    assert after == [n for n in before if not n.startswith("vtkMRMLMarkupsROIDisplay")]
    bridge.remove_exams(case, [lesion])  # it is gone already


def test_tables_of_all_exams_go_unless_they_were_there(empty, tmp_path):
    volumes = [add(name, tmp_path / f"{name}.png") for name in "abc"]
    lesion = bridge.add_marked(volumes[0], "mass", BOX, "", [])
    assert bridge.summaries(empty) == []
    table = bridge.update_series_table(volumes, [lesion])
    assert bridge.summaries(empty) == [table.GetID()]
    bridge.remove_summaries(empty, [table.GetID()])
    assert table.GetScene()
    bridge.remove_summaries(empty, [])
    assert bridge.summaries(empty) == []


def test_of_tables_and_plots_that_another_scene_brought_there_is_one_each(empty, tmp_path):
    volumes = [add(name, tmp_path / f"{name}.png") for name in "abc"]
    lesion = bridge.add_marked(volumes[0], "mass", BOX, "", [])
    bridge.show_answer(lesion, volumes[1], answer(), "", None)
    bridge.update_series_table(volumes, [lesion])
    bridge.update_growth_chart(lesion, volumes)
    before = bridge.summaries(empty)
    nodes = empty.GetNumberOfNodes()
    empty.WriteToMRB(str(tmp_path / "scene.mrb"))
    empty.ReadFromMRB(str(tmp_path / "scene.mrb"), False)
    assert len(bridge.summaries(empty)) == 2 * len(before) == 12
    bridge.remove_stranded(empty)
    assert bridge.summaries(empty) == before
    assert len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == 6
    assert empty.GetNumberOfNodes() > nodes


def test_what_is_said_of_something_goes_with_it(empty, exam_file):
    prior, current, third = (add(name, exam_file) for name in ("prior", "current", "third"))
    lesion, other = (bridge.add_marked(prior, name, BOX, "", []) for name in ("a", "b"))
    for volume in (current, third):
        for roi in (lesion, other):
            bridge.show_answer(roi, volume, answer(), "", None)
        bridge.update_table(prior, volume)
        bridge.update_labels(prior, volume)
    bridge.preview_candidate(bridge.prediction_of(other, current), 1)
    bridge.remove_stranded(empty)
    assert bridge.preview_of(current) and bridge.results_table(prior, third)

    empty.RemoveNode(other)
    bridge.remove_stranded(empty)
    assert bridge.preview_of(current) is None
    rois = [lesion, *(bridge.prediction_of(lesion, volume) for volume in (current, third))]
    assert slicer.util.getNodesByClass("vtkMRMLMarkupsROINode") == rois

    empty.RemoveNode(current)
    bridge.remove_stranded(empty)
    assert slicer.util.getNodesByClass("vtkMRMLMarkupsROINode") == [rois[0], rois[2]]
    assert slicer.util.getNodesByClass("vtkMRMLTableNode") == [bridge.results_table(prior, third)]
    assert len(slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")) == 2

    empty.RemoveNode(prior)
    bridge.remove_stranded(empty)
    assert lesion.GetScene() is empty  # what the user drew
    assert bridge.prediction_of(lesion, third) is rois[2]

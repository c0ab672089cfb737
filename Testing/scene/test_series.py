"""Series: which volumes are exams of one breast in one view, in which order, and their titles."""

from __future__ import annotations

import numpy as np
import pytest
from dicom_files import write_dicom
from mrml import add_dicom_volume, add_volume

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")
vtk = pytest.importorskip("vtk")

from MammoTrackerLib import MammoTrackerError  # noqa: E402
from MammoTrackerLib import scene as bridge  # noqa: E402


@pytest.fixture
def add(scene, tmp_path, values):
    """Load exams of one woman's breast in one view, but for what is given."""

    def add(name, **attributes):
        path = write_dicom(tmp_path / f"{name}.dcm", values, **attributes)
        volume = add_dicom_volume(scene, path)
        volume.SetName(name)
        return volume

    return add


def all_volumes(scene) -> list:
    count = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    return [scene.GetNthNodeByClass(n, "vtkMRMLScalarVolumeNode") for n in range(count)]


def test_exams_of_one_breast_and_view_by_date(scene, add):
    last = add("last", StudyDate="20240301")
    spot = add("spot", StudyDate="20220301", ViewPosition="SCC")
    middle = add("middle", StudyDate="20220301")
    undated = add("undated", StudyDate=None)
    first = add("first", StudyDate="20190301")
    others = [
        add("breast", ImageLaterality="R"),
        add("view", ViewPosition="MLO"),
        add("woman", PatientID="ANOTHER"),
    ]
    stack = add_volume(scene, np.ones((4, 4, 4))[0], slice_axis=2, name="stack")
    helper = add_volume(scene, name="helper")
    helper.SetAttribute("MammoTracker.Role", "warped")
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    found = bridge.exams_like(last, all_volumes(scene))
    assert found[:5] == [first, middle, spot, last, undated]
    assert not {*others, helper, empty} & set(found)
    assert bridge.proposed_exams(last, all_volumes(scene)) == [first, middle, last]
    assert bridge.proposed_exams(undated, all_volumes(scene)) == []
    assert bridge.proposed_exams(spot, all_volumes(scene)) == []
    assert stack in found, "its header says nothing against it"


def test_of_two_on_one_day_none_is_proposed(scene, add):
    first, second = add("a", StudyDate="20200301"), add("b", StudyDate="20210301")
    third, again = add("c", StudyDate="20220301"), add("d", StudyDate="20220301")
    assert bridge.proposed_exams(first, all_volumes(scene)) == [first, second]
    pair = second, third
    assert bridge.series_of(pair, all_volumes(scene)) == [first, second, third]
    bridge.choose_exam(again, True)
    assert bridge.series_of(pair, all_volumes(scene)) == [first, second, third, again]


def test_of_an_image_that_is_loaded_twice_one_is_proposed(scene, add):
    first = add("a", StudyDate="20200301", SOPInstanceUID="1.2.1")
    again = add("b", StudyDate="20200301", SOPInstanceUID="1.2.1")
    last = add("c", StudyDate="20220301")
    assert bridge.propose_pair(all_volumes(scene)) == (first, last)
    assert bridge.proposed_exams(last, all_volumes(scene)) == [first, last]
    assert bridge.series_of((last, again), all_volumes(scene)) == [again, last]
    middle = add("d", StudyDate="20210301")
    assert bridge.series_of((last, again), all_volumes(scene)) == [again, middle, last]
    assert bridge.series_of((again, last), all_volumes(scene)) == [again, middle, last]


def test_exams_of_which_a_program_gave_all_one_uid_are_proposed(scene, add):
    dates = [f"20{20 + n}0301" for n in range(3)]
    exams = [add(date, StudyDate=date, SOPInstanceUID="1.2.1") for date in dates]
    assert bridge.propose_pair(all_volumes(scene)) == tuple(exams[1:])
    assert bridge.series_of(exams[1:], all_volumes(scene)) == exams


def test_what_the_user_chose_counts_and_is_saved(scene, add, tmp_path):
    exams = [add(name, StudyDate=f"20{20 + n}0301") for n, name in enumerate("abcd")]
    pair = exams[3], exams[2]
    assert bridge.series_of(pair, all_volumes(scene)) == exams
    bridge.choose_exam(exams[1], False)
    bridge.choose_exam(exams[2], False)
    assert bridge.series_of(pair, all_volumes(scene)) == [exams[0], *exams[2:]], "the pair is in it"
    scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    scene.Clear(False)
    scene.ReadFromMRB(str(tmp_path / "scene.mrb"), False)
    exams = [scene.GetFirstNodeByName(name) for name in "abcd"]
    plain = [bridge.header_of(volume).date for volume in exams]
    assert exams[1].GetAttribute("MammoTracker.Followed") == "no"
    assert plain == [None] * 4 or bridge.series_of(exams[2:], exams) == [exams[0], *exams[2:]]


def test_a_followed_series_is_known_without_its_files(scene, add):
    exams = [add(name, StudyDate=f"20{20 + n}0301") for n, name in enumerate("abcd")]
    others = [add(f"o{n}", ViewPosition="MLO", StudyDate=f"20{20 + n}0301") for n in range(3)]
    titles, years = bridge.exam_titles(exams), bridge.years_of(exams)
    bridge.keep_series(exams)
    bridge.keep_series(others)
    volumes = all_volumes(scene)[::-1]
    for volume in volumes:
        volume.SetAndObserveStorageNodeID(None)
        volume.SetSpacing(0.1, 0.1, 1)
    assert {bridge.header_of(volume).date for volume in volumes} == {None}
    assert bridge.series_of((exams[3], exams[2]), volumes) == exams
    assert bridge.series_of((others[0], others[1]), volumes) == others
    assert bridge.exam_titles(exams) == titles
    assert bridge.years_of(exams) == pytest.approx(years, abs=0.005)
    bridge.choose_exam(exams[0], False)
    bridge.keep_series(exams)
    assert bridge.series_of((exams[3], exams[2]), volumes) == exams[1:]


def test_a_followed_series_does_not_join_a_pair_of_which_nothing_is_known(scene, add):
    exams = [add(name, StudyDate=f"20{20 + n}0301") for n, name in enumerate("abcd")]
    bridge.keep_series(exams)
    pair = [add_volume(scene, name=name) for name in ("prior", "current")]
    volumes = all_volumes(scene)
    assert bridge.exams_like(pair[0], volumes) == [*exams, *pair], "they may be of one woman"
    assert bridge.series_of(pair, volumes) == pair
    bridge.choose_exam(exams[1], True, pair)
    assert bridge.series_of(pair, volumes) == [exams[1], *pair]
    assert bridge.series_of(exams[2:], volumes) == exams
    bridge.keep_series([exams[1], *pair])
    assert bridge.series_of(pair, volumes) == [exams[1], *pair]
    bridge.choose_exam(exams[3], False, exams[2:])
    bridge.choose_exam(exams[3], True, exams[2:])
    assert exams[3].GetAttribute("MammoTracker.Year"), "it is in the same series as before"


def test_exams_of_which_some_files_are_gone_keep_their_places(scene, add):
    exams = [add(name, StudyDate=f"20{20 + n}0301") for n, name in enumerate("abcd")]
    titles, dates = bridge.exam_titles(exams), bridge.dates_of(exams)
    bridge.keep_series(exams)

    def lose(volume):
        volume.SetAndObserveStorageNodeID(None)
        volume.SetSpacing(0.1, 0.1, 1)
        assert bridge.header_of(volume).date is None

    lose(exams[1])
    assert bridge.exams_like(exams[3], all_volumes(scene)[::-1]) == exams
    assert bridge.by_date(exams[::-1]) == exams and bridge.dates_of(exams) == dates
    bridge.choose_exam(exams[0], False)
    bridge.keep_series(exams[1:])
    for volume in exams:
        lose(volume)
    assert bridge.by_date(exams[::-1]) == exams, "also of what was left out meanwhile"
    assert bridge.exam_titles(exams) == titles
    new = add("new", StudyDate="20210301")
    assert bridge.dates_of([*exams, new]) == [None] * 4 + [bridge.header_of(new).date]


def test_a_clone_joins_a_series_only_if_the_user_wants_it(scene, add, tmp_path):
    pair = [add(name, StudyDate=f"20{20 + n}0301") for n, name in enumerate("ab")]
    bridge.keep_series(pair)
    volumes = slicer.vtkSlicerVolumesLogic()
    volumes.SetMRMLScene(scene)
    clone = volumes.CloneVolume(scene, pair[0], "clone")
    assert bridge.exams_like(pair[1], all_volumes(scene)) == [pair[0], clone, pair[1]]
    assert bridge.series_of(pair, all_volumes(scene)) == pair
    scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    bridge.choose_exam(clone, True, pair)
    assert bridge.series_of(pair, all_volumes(scene)) == [pair[0], clone, pair[1]]
    for volume in pair:
        scene.RemoveNode(volume)
    scene.ReadFromMRB(str(tmp_path / "scene.mrb"), False)  # beside the clone, which has an ID of it
    read = [volume for volume in all_volumes(scene) if volume is not clone]
    pair = [scene.GetFirstNodeByName(name) for name in "ab"]
    assert len(read) == 3 and bridge.series_of(pair, read) == pair


def test_a_forced_pair_is_a_series_of_its_own(scene, add):
    left = add("l", StudyDate="20230301")
    right = add("r", ImageLaterality="R", StudyDate="20210301")
    assert bridge.series_of((left, right), all_volumes(scene)) == [right, left]


def test_titles_are_years_since_the_first_else_numbers(scene, add):
    exams = [add(f"e{date}", StudyDate=date) for date in ("20200301", "20210301", "20220901")]
    assert bridge.exam_titles(exams) == ["0 y", "+1.0 y", "+2.5 y"]
    assert bridge.years_of(exams)[1] == pytest.approx(1, abs=0.01)
    exams.append(add("undated", StudyDate=None))
    assert bridge.years_of(exams) is None
    assert bridge.exam_titles(exams) == ["Exam 1", "Exam 2", "Exam 3", "Exam 4"]


def test_masks_and_colour_images_are_no_exams(scene, add):
    exam, beside = add("exam", StudyDate="20240301"), add("beside", StudyDate="20220301")
    for name in ("vtkMRMLLabelMapVolumeNode", "vtkMRMLVectorVolumeNode"):
        other = scene.AddNewNodeByClass(name)
        other.SetAndObserveImageData(exam.GetImageData())
    components = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "colour")
    image = vtk.vtkImageData()
    image.SetDimensions(9, 9, 1)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    components.SetAndObserveImageData(image)
    assert bridge.exams_like(exam, all_volumes(scene)) == [beside, exam]
    with pytest.raises(MammoTrackerError, match="colour image"):
        bridge.header_of(components)

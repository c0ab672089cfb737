"""Lesions of files in the scene, and the reports of Slicer's DICOM database."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import SECRETS, write_dicom
from mrml import (
    COLUMNS,
    FOUND_BOX,
    ROWS,
    SQUARE,
    add_dicom_volume,
    add_volume,
    assert_same_box,
    make_track,
    rows_of,
)  # fmt: skip
from sr_files import (
    code,
    group,
    image,
    item,
    number,
    own,
    report,
    scoord,
    tracking,
    write_report,
)  # fmt: skip

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")

from MammoTrackerLib import Box, MammoTrackerError  # noqa: E402
from MammoTrackerLib import scene as bridge  # noqa: E402
from MammoTrackerLib.scene.reports import load_lesions, reports_on, tracking_of  # noqa: E402

A, B, C, ELSEWHERE = "1.2.3.1", "1.2.3.2", "1.2.3.3", "1.2.3.9"
LARGER, OTHER = Box(3, 8, 14, 16), Box(8, 5, 15, 12)


def outline(instance, tracking_uid="1.5", kind=None, box=SQUARE, own_codes=()):
    x0, y0, x1, y1 = box.as_tuple()
    found = [item("CODE", "CONTAINS", "finding", ConceptCodeSequence=code(kind))] if kind else []
    shape = scoord("POLYLINE", [x0, y0, x1, y0, x1, y1, x0, y1], instance)
    return group(*tracking(tracking_uid, "Doe^Jane"), *found, *own_codes, shape)


def by_us(decision, status="FOUND"):
    """Make what a report of MammoTracker says of a box: its status, and the user's decision."""
    codes = [own("STATUS", status)] + ([own("DECISION", decision)] if decision else [])
    return [*codes, number("length")]


def decided(lesion, volumes):
    """Return of a lesion what is known on each volume: a review or "marked", and its box."""
    found = []
    for volume in volumes:
        roi = bridge.roi_on(lesion, volume)
        text = "marked" if roi is lesion else bridge.review_of(roi) if roi else ""
        found.append((text, roi and bridge.box_if_placed(roi)))
    return found


class Database:
    """What of ctkDICOMDatabase is asked: series by their modality and files, of one patient."""

    def __init__(self, images, reports) -> None:
        self.series = {"images": ("MG", images), "reports": ("SR", reports)}

    def fileForInstance(self, _uid):
        return ""

    def seriesForFile(self, name):
        return next((s for s, (_, files) in self.series.items() if name in map(str, files)), "")

    def studyForSeries(self, series):
        return f"study of {series}"

    def patientForStudy(self, _study):
        return "1"

    def studiesForPatient(self, patient):
        assert patient == "1"
        return [f"study of {series}" for series in self.series]

    def seriesForStudy(self, study):
        return [study.removeprefix("study of ")]

    def fieldForSeries(self, field, series):
        assert field == "Modality"
        return self.series[series][0]

    def filesForSeries(self, series):
        return [str(file) for file in self.series[series][1]]


@pytest.fixture
def exams(scene, tmp_path, values):
    files = [
        write_dicom(
            tmp_path / f"{uid}.dcm", values, SOPInstanceUID=uid, ImagerPixelSpacing=[0.3, 0.2]
        )
        for uid in (A, B, C)
    ]
    return [add_dicom_volume(scene, file) for file in files], files


def test_a_report_marks_lesions_of_its_volumes(exams, tmp_path):
    volumes, _ = exams
    content = report(outline(B, "1.6", "mass"), outline(A), outline(ELSEWHERE))
    rois, remarks = load_lesions(write_report(tmp_path / "sr.dcm", content), volumes)
    assert bridge.lesions(volumes[1]) == rois[:1] and bridge.lesions(volumes[0]) == rois[1:]
    for roi, volume in zip(rois, volumes[1::-1], strict=True):
        assert_same_box(bridge.box_of(roi, volume), SQUARE)
    assert [bridge.lesion_type(roi) for roi in rois] == ["mass", ""]
    assert [tracking_of(roi) for roi in rois] == ["1.6", "1.5"]
    assert remarks == ("Of the marks, these were left out: 1 on other images.",)
    said = str(remarks) + "".join(roi.GetName() for roi in rois)
    assert not [secret for secret in SECRETS if secret in said]


def test_marks_with_one_tracking_are_one_lesion_and_the_others_are_decisions(exams, tmp_path):
    volumes, _ = exams
    absent = group(*tracking("1.5"), own("DECISION", "ABSENT"), image(C))
    other = group(*tracking("1.7"), own("DECISION", "ABSENT"), image(B))
    content = report(outline(B, box=LARGER), outline(A), absent, other)
    path = write_report(tmp_path / "sr.dcm", content)
    (roi,), remarks = load_lesions(path, volumes)
    assert remarks == (
        "1 group of the report says that the lesion is not there, which was not used.",
    )
    expected = [("accepted", SQUARE), ("marked", LARGER), ("not there", None)]
    found = decided(roi, volumes)
    assert [text for text, _ in found] == [text for text, _ in expected]
    for (_, box), (_, wanted) in zip(found, expected, strict=True):
        assert box is wanted or assert_same_box(box, wanted) is None
    assert list(bridge.decisions(roi, volumes)) == [0, 2]
    known = bridge.known_of(roi, volumes)
    assert [result.by_user for result in known.history.results] == [True] * 3
    rows = rows_of(bridge.update_series_table(volumes, [roi]))
    answers = [(row["Status"], row["Review"], row["Score"]) for row in rows]
    assert answers == [("", "accepted", ""), ("marked", "", ""), ("", "not there", "")]
    # Nobody has answered, so nothing comes back where a decision is undone.
    bridge.restore_prediction(bridge.roi_on(roi, volumes[0]))
    assert bridge.roi_on(roi, volumes[0]) is None


def test_a_report_that_is_loaded_again_doubles_nothing(scene, exams, tmp_path):
    volumes, _ = exams
    first = write_report(tmp_path / "a.dcm", report(outline(A)))
    (roi,), _ = load_lesions(first, volumes)
    bridge.show_track(roi, volumes[1], make_track())
    bridge.place_roi(roi, volumes[0], OTHER)
    second = report(outline(A), outline(B, box=LARGER), outline(C, "1.6"), outline(C, None))
    path = write_report(tmp_path / "b.dcm", second)
    (new, nameless), remarks = load_lesions(path, volumes)
    text = "There already, so that their boxes stay as they are: {} of the lesions."
    assert remarks == (text.format(1),)
    assert [one for volume in volumes for one in bridge.lesions(volume)] == [roi, new, nameless]
    assert_same_box(bridge.box_of(roi, volumes[0]), OTHER)
    answer = bridge.roi_on(roi, volumes[1])
    assert bridge.review_of(answer) == "accepted" and bridge.is_outdated(roi)
    assert_same_box(bridge.box_of(answer, volumes[1]), LARGER)
    bridge.set_review(answer, "rejected")
    nodes = scene.GetNumberOfNodes()
    assert load_lesions(path, volumes) == ([], (text.format(3),))
    assert scene.GetNumberOfNodes() == nodes and bridge.review_of(answer) == "rejected"
    bridge.restore_prediction(answer)
    assert_same_box(bridge.box_of(answer, volumes[1]), FOUND_BOX)


@pytest.mark.parametrize("is_deleted", [False, True])
def test_a_lesion_on_an_exam_that_is_left_out_is_not_doubled(scene, exams, tmp_path, is_deleted):
    volumes, _ = exams
    path = write_report(tmp_path / "sr.dcm", report(outline(A), outline(B), outline(C)))
    (roi,), _ = load_lesions(path, volumes)
    if is_deleted:
        scene.RemoveNode(volumes[0])
    rois, remarks = load_lesions(path, volumes[1:])
    assert rois == [] and bridge.lesions(volumes[1]) == []
    assert bridge.exam_of(roi) is (None if is_deleted else volumes[0])
    assert "marked on an exam that is left out, or was deleted: 1 of" in remarks[-1]


def test_a_rejection_in_a_report_leaves_the_answer_that_is_there(exams, tmp_path):
    volumes, _ = exams
    rejected = group(*tracking("1.5"), own("DECISION", "REJECTED"), image(B))
    path = write_report(tmp_path / "sr.dcm", report(outline(A), rejected))
    (roi,), _ = load_lesions(write_report(tmp_path / "a.dcm", report(outline(A))), volumes)
    answer = bridge.show_track(roi, volumes[1], make_track())
    load_lesions(path, volumes)
    assert bridge.review_of(answer) == "rejected" and bridge.is_tracked(answer)
    assert_same_box(bridge.box_of(answer, volumes[1]), FOUND_BOX)


def test_our_own_report_brings_back_what_the_user_said(exams, tmp_path):
    volumes, _ = exams
    marks = {A: ("ACCEPTED", SQUARE), B: ("MARKED", LARGER), C: ("CORRECTED", OTHER)}
    groups = [outline(uid, box=box, own_codes=by_us(said)) for uid, (said, box) in marks.items()]
    groups += [outline(A, "1.6", own_codes=by_us(None))]
    groups += [outline(B, "1.6", own_codes=by_us("DRAWN"))]
    groups.append(group(*tracking("1.6"), own("DECISION", "REJECTED"), image(C)))
    groups.append(group(*tracking(None, None), own("DECISION", "REJECTED"), image(C)))
    groups += [outline(uid, "1.7", own_codes=by_us(None)) for uid in (B, C)]
    path = write_report(tmp_path / "sr.dcm", report(*groups))
    (roi, drawn, predicted), remarks = load_lesions(path, volumes)
    found = decided(roi, volumes)
    assert [text for text, _ in found] == ["accepted", "marked", "corrected"]
    for (_, box), (_, wanted) in zip(found, marks.values(), strict=True):
        assert_same_box(box, wanted)
    assert [text for text, _ in decided(drawn, volumes)] == ["", "marked", "rejected"]
    assert [text for text, _ in decided(predicted, volumes)] == ["", "marked", ""]
    unmarked = [bridge.is_only_predicted(one) for one in (roi, drawn, predicted)]
    assert unmarked == [False, False, True]
    predicted.SetSize(2 * predicted.GetSize()[0], *predicted.GetSize()[1:])
    assert not bridge.is_only_predicted(predicted), "the user has changed its box"
    assert remarks == (
        "Of the marks, these were left out: 2 rejected by the user of MammoTracker, without "
        "another place.",
        "Of what counts as marked, 1 box was predicted by MammoTracker, confirmed by nobody.",
        "Predicted by MammoTracker, so to be found anew by tracking: 2 of the marks.",
    )


def test_of_a_pair_lesions_are_those_of_the_prior(exams, tmp_path):
    pair = exams[0][:2]
    content = report(outline(B), outline(A, box=LARGER), outline(B, "1.6", box=OTHER))
    path = write_report(tmp_path / "sr.dcm", content)
    (roi,), remarks = load_lesions(path, pair)
    assert [text for text, _ in decided(roi, pair)] == ["marked", "accepted"]
    text = (
        "Marked on the other of the two exams alone, which is to be selected as the prior for "
        "them: {} of the lesions."
    )
    assert remarks == (text.format(1),) and bridge.lesions(pair[1]) == []
    row = rows_of(bridge.update_table(*pair))[0]
    assert (row["Status"], row["Review"], row["Score"]) == ("", "accepted", "")
    bridge.remove_lesion(roi)
    (other, _second), _ = load_lesions(path, pair[::-1])
    assert [text for text, _ in decided(other, pair)] == ["accepted", "marked"]
    alone = write_report(tmp_path / "alone.dcm", report(outline(A, "1.9")))
    with pytest.raises(MammoTrackerError, match=text.format(1)):
        load_lesions(alone, pair[::-1])


def test_a_point_beside_a_box_has_no_size_where_it_is(scene, exams, tmp_path):
    volumes, _ = exams
    point = group(*tracking("1.5"), scoord("POINT", [20, 15], A))
    path = write_report(tmp_path / "sr.dcm", report(point, outline(B)))
    (roi,), _ = load_lesions(path, volumes)
    known = bridge.known_of(roi, volumes)
    assert bridge.exam_of(roi) is volumes[1] and known.made_up == {0}
    pointed = bridge.roi_on(roi, volumes[0])
    assert bridge.is_point(pointed) and not bridge.is_point(roi)
    assert known.size_on(0) is None and known.size_on(1)
    rows = rows_of(bridge.update_series_table(volumes, [roi]))
    assert [bool(row["Longest (mm)"]) for row in rows] == [False, True]
    pointed.SetSize(2 * pointed.GetSize()[0], *pointed.GetSize()[1:])
    assert bridge.known_of(roi, volumes).made_up == set()


def test_a_mask_is_of_the_volume_that_is_chosen(scene, exams, tmp_path):
    volumes, _ = exams
    plain = add_volume(scene)
    mask = np.zeros((ROWS, COLUMNS), np.uint8)
    mask[9:15, 4:13] = 1
    sitk.WriteImage(sitk.GetImageFromArray(mask), str(tmp_path / "a.png"))
    (roi,), _ = load_lesions(tmp_path / "a.png", [*volumes, plain], 3)
    assert bridge.lesions(plain) == [roi] and tracking_of(roi) is None
    assert_same_box(bridge.box_of(roi, plain), SQUARE)


def test_nothing_is_added_where_nothing_is_marked(scene, exams, tmp_path):
    volumes, _ = exams
    path = write_report(tmp_path / "sr.dcm", report(outline(ELSEWHERE)))
    count = scene.GetNumberOfNodes()
    with pytest.raises(MammoTrackerError, match="marks no lesion on the exams"):
        load_lesions(path, volumes)
    with pytest.raises(MammoTrackerError, match="SOPInstanceUID"):
        load_lesions(path, [add_volume(scene, display=False)])
    assert scene.GetNumberOfNodes() == count + 1


def test_reports_of_the_database(scene, exams, tmp_path, monkeypatch):
    volumes, files = exams
    reports = [
        write_report(tmp_path / name, report(*groups))
        for name, groups in {
            "a.dcm": [outline(ELSEWHERE)],
            "b.dcm": [outline(B, box=Box(1, 1, 9, 9)), outline(ELSEWHERE)],
            "c.dcm": [outline(A)],
        }.items()
    ]
    (tmp_path / "damaged.dcm").write_bytes(reports[0].read_bytes()[:300])
    database = Database(files, [*reports, tmp_path / "damaged.dcm", tmp_path / "nothing.dcm"])
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    assert reports_on(volumes) == reports[1:]
    assert reports_on(volumes[:1]) == reports[2:]
    assert reports_on([add_volume(scene)]) == []
    monkeypatch.setattr(slicer, "dicomDatabase", Database([], reports), raising=False)
    assert reports_on(volumes) == []
    monkeypatch.setattr(slicer, "dicomDatabase", None, raising=False)
    assert reports_on(volumes) == []


def test_of_a_point_the_scene_knows_that_its_size_was_made_up(scene, exams, tmp_path):
    volumes, _ = exams
    first = volumes[0]
    point = group(*tracking("1.7"), scoord("POINT", [20, 15], A))
    path = write_report(tmp_path / "sr.dcm", report(point, outline(B)))
    (pointed, sized), remarks = load_lesions(path, volumes)
    assert len(remarks) == 1 and "Points" in remarks[0]
    assert bridge.is_point(pointed) and not bridge.is_point(sized)
    box = bridge.box_of(pointed, first)
    bridge.place_roi(pointed, first, Box.from_center(10, 9, box.width, box.height))
    assert bridge.is_point(pointed), "it is elsewhere, and as large as before"
    bridge.set_spacing(first, 0.1)
    assert bridge.is_point(pointed)
    pointed.SetSize(2 * pointed.GetSize()[0], *pointed.GetSize()[1:])
    assert not bridge.is_point(pointed)

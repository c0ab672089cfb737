"""Lesions of files in the scene, and the reports of Slicer's DICOM database."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import SECRETS, write_dicom
from mrml import COLUMNS, ROWS, SQUARE, add_dicom_volume, add_volume, assert_same_box
from sr_files import code, group, image, item, own, report, scoord, tracking, write_report

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")

from MammoTrackerLib import Box, MammoTrackerError  # noqa: E402
from MammoTrackerLib import scene as bridge  # noqa: E402
from MammoTrackerLib.scene.reports import load_lesions, reports_on, tracking_of  # noqa: E402

A, B, ELSEWHERE = "1.2.3.1", "1.2.3.2", "1.2.3.9"


def outline(instance, tracking_uid="1.5", kind=None, box=SQUARE):
    x0, y0, x1, y1 = box.as_tuple()
    found = [item("CODE", "CONTAINS", "finding", ConceptCodeSequence=code(kind))] if kind else []
    shape = scoord("POLYLINE", [x0, y0, x1, y0, x1, y1, x0, y1], instance)
    return group(*tracking(tracking_uid, "Doe^Jane"), *found, shape)


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
        for uid in (A, B)
    ]
    return [add_dicom_volume(scene, file) for file in files], files


def test_a_report_marks_lesions_of_its_volumes(exams, tmp_path):
    volumes, _ = exams
    content = report(outline(B, "1.6", "mass"), outline(A), outline(ELSEWHERE))
    rois, remarks = load_lesions(write_report(tmp_path / "sr.dcm", content), volumes)
    assert bridge.lesions(volumes[1]) == rois[:1] and bridge.lesions(volumes[0]) == rois[1:]
    for roi, volume in zip(rois, volumes[::-1], strict=True):
        assert_same_box(bridge.box_of(roi, volume), SQUARE)
    assert [bridge.lesion_type(roi) for roi in rois] == ["mass", ""]
    assert [tracking_of(roi) for roi in rois] == ["1.6", "1.5"]
    assert remarks == ("Of the marks, these were left out: 1 on other images than the exams.",)
    said = str(remarks) + "".join(roi.GetName() for roi in rois)
    assert not [secret for secret in SECRETS if secret in said]


def test_a_lesion_that_is_not_there_is_no_lesion_and_that_is_said(exams, tmp_path):
    volumes, _ = exams
    shown = outline(B)
    shown.ContentSequence.append(own("DECISION", "ABSENT"))
    absent = group(*tracking("1.6"), own("DECISION", "ABSENT"), image(B))
    path = write_report(tmp_path / "sr.dcm", report(outline(A), shown, absent))
    rois, remarks = load_lesions(path, volumes)
    assert bridge.lesions(volumes[0]) == rois and bridge.lesions(volumes[1]) == []
    assert remarks == (
        "2 groups of the report say that the lesion is not there, which was not used.",
    )


def test_predictions_that_become_lesions_are_said(exams, tmp_path):
    volumes, _ = exams
    predicted = [outline(A), outline(B)]
    for one in predicted:
        one.ContentSequence.append(own("STATUS", "FOUND"))
    path = write_report(tmp_path / "sr.dcm", report(*predicted))
    (remark,) = load_lesions(path, volumes)[1]
    assert "2 boxes were predicted by MammoTracker" in remark


def test_a_mask_is_of_the_volume_that_is_chosen(scene, exams, tmp_path):
    volumes, _ = exams
    plain = add_volume(scene)
    mask = np.zeros((ROWS, COLUMNS), np.uint8)
    mask[9:15, 4:13] = 1
    sitk.WriteImage(sitk.GetImageFromArray(mask), str(tmp_path / "a.png"))
    (roi,), _ = load_lesions(tmp_path / "a.png", [*volumes, plain], 2)
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
    (first, second), _ = exams
    point = group(*tracking("1.7"), scoord("POINT", [20, 15], A))
    path = write_report(tmp_path / "sr.dcm", report(point, outline(B)))
    (pointed, sized), remarks = load_lesions(path, [first, second])
    assert len(remarks) == 1 and "Points" in remarks[0]
    assert bridge.is_point(pointed) and not bridge.is_point(sized)
    box = bridge.box_of(pointed, first)
    bridge.place_roi(pointed, first, Box.from_center(10, 9, box.width, box.height))
    assert bridge.is_point(pointed), "it is elsewhere, and as large as before"
    bridge.set_spacing(first, 0.1)
    assert bridge.is_point(pointed)
    pointed.SetSize(2 * pointed.GetSize()[0], *pointed.GetSize()[1:])
    assert not bridge.is_point(pointed)

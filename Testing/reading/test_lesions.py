"""Lesions of files: on which exam, how large, and what is said of the rest."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import SECRETS, item, write_dicom
from pydicom import uid
from sr_files import cad_report, finding, group, image, own, report, scoord, tracking, write_report

from MammoTrackerLib import Box, Mammogram, MammoTrackerError, Status, Track
from MammoTrackerLib.command.outputs import track_as_markup
from MammoTrackerLib.mammogram import Header
from MammoTrackerLib.pair import check_box_on
from MammoTrackerLib.reading.geometry import Geometry
from MammoTrackerLib.reading.header import facts
from MammoTrackerLib.reading.lesions import (
    POINT_MM,
    Lesion,
    LesionFile,
    absence_remarks,
    mark_box,
    read_lesions,
)  # fmt: skip

COLUMNS, ROWS = 600, 800
A, B, ELSEWHERE = "1.2.3.1", "1.2.3.2", "1.2.3.9"
SQUARE = [100, 200, 300, 200, 300, 500, 100, 500]
BOX = Box(100, 200, 300, 500)


def exam(*uids: str, spacing=(0.1, 0.2)) -> Header:
    return Header(spacing, instance_uids=uids, size=(COLUMNS, ROWS))


def outline(instance_uid=A, data=SQUARE, tracking_uid="1.5"):
    return group(*tracking(tracking_uid), scoord("POLYLINE", data, instance_uid))


def write(tmp_path, *groups):
    return write_report(tmp_path / "report.dcm", report(*groups))


def test_marks_go_to_their_exams(tmp_path):
    path = write(tmp_path, outline(B), outline(A), outline(ELSEWHERE), outline(ELSEWHERE))
    found = read_lesions(path, [exam(A), exam(B)])
    assert [(lesion.exam, lesion.box, lesion.tracking) for lesion in found.lesions] == [
        (1, BOX, "1.5"), (0, BOX, "1.5"),
    ]  # fmt: skip
    # Twice the same mark is one.
    assert found.remarks == ("Of the marks, these were left out: 1 on other images.",)


def test_no_mark_on_the_exam(tmp_path):
    path = write(tmp_path, outline(ELSEWHERE), outline(""))
    with pytest.raises(MammoTrackerError, match="no lesion on the exam. .* 1 on other images"):
        read_lesions(path, [exam(A)])


def absent(instance_uid, tracking_uid="1.5"):
    return group(*tracking(tracking_uid), own("DECISION", "ABSENT"), image(instance_uid))


def test_where_a_lesion_is_not_is_told_by_exam_and_identity(tmp_path):
    path = write(tmp_path, outline(), absent(B), absent(ELSEWHERE), absent(B, None))
    found = read_lesions(path, [exam(A), exam(B)])
    assert [lesion.exam for lesion in found.lesions] == [0]
    assert found.absences[:2] == ((1, "1.5"), (None, "1.5")) and found.absences[2][0] == 1
    assert not found.remarks, "whoever does not use them says so"
    assert absence_remarks(0) == []
    assert absence_remarks(1) == [
        "1 group of the report says that the lesion is not there, which was not used."
    ]
    assert absence_remarks(3)[0].startswith("3 groups of the report say that")
    assert "1.5" not in repr(found)


def test_a_report_that_says_only_where_lesions_are_not(tmp_path):
    with pytest.raises(MammoTrackerError, match="no lesion on the exam. 2 groups of the report"):
        read_lesions(write(tmp_path, absent(A), absent(B)), [exam(A)])


def test_a_box_that_was_rejected_is_said(tmp_path):
    rejected = group(own("DECISION", "REJECTED"), scoord("POLYLINE", SQUARE, A))
    found = read_lesions(write(tmp_path, outline(), rejected), [exam(A)])
    assert len(found.lesions) == 1
    assert found.remarks == (
        "Of the marks, these were left out: 1 rejected by the user of MammoTracker, without "
        "another place.",
    )


def test_a_mark_on_an_image_that_is_not_named_is_said(tmp_path):
    unnamed = group(scoord("POLYLINE", SQUARE))
    found = read_lesions(write(tmp_path, outline(), unnamed, outline(B)), [exam(A)])
    assert len(found.lesions) == 1
    (remark,) = found.remarks
    assert "1 on other images; 1 on an image that the report does not" in remark


def test_an_exam_that_is_not_known_to_dicom(tmp_path):
    with pytest.raises(MammoTrackerError, match="has no SOPInstanceUID: give the exam's DICOM"):
        read_lesions(write(tmp_path, outline()), [exam()])


def test_two_exams_of_one_uid_are_told_apart_by_nothing(tmp_path):
    """As of programs that give one UID to all images; copies of an image are that image."""
    path, twin = write(tmp_path, outline(A)), replace(exam(A), view="CC")
    assert read_lesions(path, [exam(A), exam(A)]).lesions
    with pytest.raises(MammoTrackerError, match="two exams have one SOPInstanceUID"):
        read_lesions(path, [exam(A), twin])


def test_a_source_is_no_name_of_an_image_that_has_none():
    (header,) = item(SourceImageSequence=item(ReferencedSOPInstanceUID=B), SOPInstanceUID="")
    assert facts(header)["instance_uids"] == ()
    header.SOPInstanceUID = A
    assert facts(header)["instance_uids"] == (A, B)


def test_marks_on_the_image_that_the_exam_was_made_from(tmp_path):
    """The clinic's CAD saw the image for processing, and the exam is that for presentation."""
    content = cad_report([B], finding("density", scoord("POLYLINE", SQUARE, B)))
    path = write_report(tmp_path / "cad.dcm", content)
    found = read_lesions(path, [exam(A, B)])
    assert found.lesions[0].box == BOX and found.lesions[0].lesion_type == "mass"
    assert found.remarks == (
        "Marks are on an image that an exam was made from: they were taken over, pixel by pixel.",
    )
    both = read_lesions(path, [exam(A, B), exam(B)])
    assert both.lesions[0].exam == 1 and not both.remarks


@pytest.mark.parametrize(
    ("preserved", "is_read"),
    [("YES", True), (None, True), ("NO", False), ("REORIENTED_ONLY", False)],
)
def test_sources_in_a_file(tmp_path, film, preserved, is_read):
    source = item(ReferencedSOPInstanceUID=B)
    if preserved:
        source[0].SpatialLocationsPreserved = preserved
    path = write_dicom(tmp_path / "a.dcm", film, SourceImageSequence=source, SOPInstanceUID=A)
    for read in (Mammogram.read, Header.read):
        image = read(path)
        assert image.instance_uids == ((A, B) if is_read else (A,))
        assert image.size == film.shape[::-1]
        assert A not in repr(image)


@pytest.mark.parametrize(
    ("sop_class", "preserved", "is_read"),
    [
        (uid.BreastTomosynthesisImageStorage, None, False),
        (uid.BreastProjectionXRayImageStorageForProcessing, None, False),
        (uid.BreastTomosynthesisImageStorage, "YES", True),
        (uid.DigitalMammographyXRayImageStorageForProcessing, None, True),
    ],
)
def test_a_synthetic_view_has_not_the_pixels_of_tomosynthesis(
    tmp_path, film, sop_class, preserved, is_read
):
    source = item(ReferencedSOPInstanceUID=B, ReferencedSOPClassUID=sop_class)
    if preserved:
        source[0].SpatialLocationsPreserved = preserved
    path = write_dicom(tmp_path / "a.dcm", film, SourceImageSequence=source, SOPInstanceUID=A)
    assert Mammogram.read(path).instance_uids == ((A, B) if is_read else (A,))


def test_a_damaged_source_does_not_matter(tmp_path, film):
    path = write_dicom(tmp_path / "a.dcm", film, SOPInstanceUID=A, SourceImageSequence=item(Rows=3))
    content = path.read_bytes()
    at = content.index(b"\x08\x00\x12\x21SQ")
    path.write_bytes(content[: at + 12] + b"\xff\xff\xff\xff" + content[at + 16 :])
    assert Mammogram.read(path).instance_uids == (A,)


@pytest.mark.parametrize("data", [[200, 300], [200, 300, 201, 301, 200, 301]])
def test_a_point_gets_a_size_and_that_is_said(tmp_path, data):
    kind = "POINT" if len(data) == 2 else "POLYLINE"
    path = write(tmp_path, group(scoord(kind, data, A)), outline())
    point, sized = read_lesions(path, [exam(A)]).lesions
    assert point.is_size_made_up and not sized.is_size_made_up
    assert (point.box.width * 0.1, point.box.height * 0.2) == pytest.approx((POINT_MM, POINT_MM))
    assert point.box.center == pytest.approx((200, 300), abs=0.6)
    (remark,) = read_lesions(path, [exam(A)]).remarks
    assert "box of 10 mm" in remark and remark.endswith("1 of the marks.")


def test_a_narrow_mark_keeps_its_length(tmp_path):
    path = write(tmp_path, outline(data=[200, 300, 200, 350, 200, 400]))
    (lesion,) = read_lesions(path, [exam(A)]).lesions
    assert lesion.box == Box(198.5, 300, 201.5, 400) and not lesion.is_size_made_up


def test_places_that_no_lesion_has(tmp_path):
    off = [COLUMNS + 9.0, 20, COLUMNS + 90, 20, COLUMNS + 90, 60]
    path = write(
        tmp_path, outline(data=off), outline(data=[0, 0, 600, 0, 600, 800]), outline(),
        group(scoord("POINT", [-1, 5], A)), group(scoord("POINT", [600, 800], A)),
        group(scoord("POINT", [1, float("nan")], A)),
    )  # fmt: skip
    found = read_lesions(path, [exam(A)])
    assert [lesion.box.center for lesion in found.lesions] == [BOX.center, (600, 800)]
    assert found.remarks[-1] == (
        "Of the marks, these were left out: 2 outside of their image; 1 longer than 150 mm, which "
        "no lesion is; 1 without coordinates that an image has."
    )


def test_an_exam_of_unknown_spacing(tmp_path):
    with pytest.raises(MammoTrackerError, match="spacing is unknown"):
        read_lesions(write(tmp_path, outline()), [exam(A, spacing=None)])


def test_masks_and_markups_are_of_the_marked_exam(tmp_path):
    pixels = np.zeros((ROWS, COLUMNS), np.uint8)
    pixels[200:500, 100:300] = 1
    sitk.WriteImage(sitk.GetImageFromArray(pixels), str(tmp_path / "a.nrrd"))
    geometry = Geometry([0, 0, 0], [0.1, 0, 0], [0, 0.2, 0])
    track = Track(BOX, BOX, 0.9, Status.FOUND, "", (), BOX)
    (tmp_path / "a.mrk.json").write_text(json.dumps(track_as_markup(1, track, geometry)))
    exams = [exam(A), exam(B)]
    for name in ("a.nrrd", "a.mrk.json"):
        (lesion,) = read_lesions(tmp_path / name, exams, marked=1, geometry=geometry).lesions
        np.testing.assert_allclose(lesion.box.as_tuple(), BOX.as_tuple())
        assert lesion.exam == 1 and lesion.tracking is None
    with pytest.raises(MammoTrackerError, match="only with the file of the image"):
        read_lesions(tmp_path / "a.mrk.json", exams)


@pytest.mark.parametrize("kind", ["ROI", "Fiducial"])
def test_markups_on_an_image_that_slicer_took_for_one_of_1_mm(tmp_path, kind):
    geometry = Geometry([5, -3, 2], [0.1, 0, 0], [0, 0, -0.2])
    path = tmp_path / "a.mrk.json"

    def read(place: Box):
        markup = track_as_markup(1, Track(place, place, 1, Status.FOUND, "", (), place),
                                 geometry.at_one_mm())["markups"][0]  # fmt: skip
        path.write_text(json.dumps({"markups": [markup | {"type": kind}]}))
        return read_lesions(path, [exam(A)], geometry=geometry)

    with pytest.raises(MammoTrackerError, match="enter the true spacing in Slicer's module Vol"):
        read(BOX)
    with pytest.raises(MammoTrackerError, match="1 outside of their image"):
        read(Box(5000, 5000, 5100, 5100))
    near_the_corner = Box(1, 1, 41, 41)
    assert len(read(near_the_corner).lesions) == 1


def test_a_mask_that_lies_otherwise_is_remarked_on(tmp_path):
    pixels = np.zeros((ROWS, COLUMNS), np.uint8)
    pixels[200:500, 100:300] = 1
    geometry = Geometry([0, 0, 0], [0.1, 0, 0], [0, 0.2, 0])
    image = sitk.GetImageFromArray(pixels)
    for direction, count in (((1, 0, 0, 1), 0), ((1, 0, 0, -1), 1), ((-1, 0, 0, -1), 1)):
        image.SetDirection(direction)
        sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
        found = read_lesions(tmp_path / "a.nrrd", [exam(A)], geometry=geometry)
        assert len(found.remarks) == count and found.lesions[0].box == BOX


def test_other_files(tmp_path, film):
    with pytest.raises(MammoTrackerError, match="The mask .* give a mask of the image"):
        read_lesions(write_dicom(tmp_path / "a.dcm", film), [exam(A)])
    with pytest.raises(MammoTrackerError, match="holds no lesions"):
        read_lesions(write_dicom(tmp_path / "a.dcm", film, Modality="PR"), [exam(A)])
    with pytest.raises(MammoTrackerError, match="holds no lesions"):
        (tmp_path / "a.txt").write_text("100 200 300 400\n" * 99)
        read_lesions(tmp_path / "a.txt", [exam(A)])
    with pytest.raises(MammoTrackerError, match="no file"):
        read_lesions(tmp_path / "nothing", [exam(A)])


def test_no_text_of_a_report_is_said(tmp_path):
    doe = group(*tracking(None, "Doe^Jane SECRET-ID"), scoord("POLYLINE", SQUARE, "Doe^Jane"))
    path = write(tmp_path, doe, outline())
    found = read_lesions(path, [exam(A)])
    with pytest.raises(MammoTrackerError) as raised:
        read_lesions(path, [exam(B)])
    said = f"{found} {raised.value}"
    assert not [secret for secret in SECRETS if secret in said]


@pytest.mark.parametrize("digits", [None, 3])
def test_what_is_made_of_a_thin_mark_can_be_tracked(digits):
    """As wide as a box must be, and no less for how numbers are rounded, also in a table."""
    for y in np.linspace(1.00005, 3000.7, 3001):
        box, is_point = mark_box((100, y, 160, y + 0.3), (2000, 4000), (0.1, 0.1))
        if digits is not None:
            box = Box(*(round(value, digits) for value in box.as_tuple()))
        check_box_on(box, (2000, 4000), (0.1, 0.1), "the exam")
        assert not is_point
    with pytest.raises(MammoTrackerError, match="too small"):
        check_box_on(Box(10, 10, 40, 12.9), (2000, 4000), (0.1, 0.1), "the exam")


def test_marks_of_one_tracking_are_joined_in_the_order_of_the_file():
    box, other = Box(1, 2, 9, 9), Box(1, 2, 5, 6)
    marks = (
        Lesion(box, 0, "1.5", decision="ACCEPTED"),
        Lesion(other, 1, "1.6", is_predicted=True),
        Lesion(box, 2, "1.5", decision="MARKED"),
        Lesion(other, 2, "1.5", decision="MARKED"),
        Lesion(box, 1, "1.5", is_predicted=True),
        Lesion(box, 0),
        Lesion(box, 2),
    )
    absences = (1, "1.5"), (2, "1.5"), (0, None)
    found, remarks = LesionFile(marks, (), absences).joined()
    assert [one.first for one in found] == [marks[2], marks[3], marks[1], *marks[5:]]
    assert found[0].others == {0: marks[0], 1: None} and not any(one.others for one in found[1:])
    assert [remark[:21] for remark in remarks] == ["Of what counts as mar", "2 groups of the repor"]
    (first, *_), _ = LesionFile(marks, ()).joined(preferred=0)
    assert first.first is marks[0] and first.others == {2: marks[2]}
    predicted = Lesion(box, 0, "1.6", is_predicted=True), marks[1]
    for exam in (0, 1):
        (one,), _ = LesionFile(predicted, ()).joined(preferred=exam)
        assert one.first is predicted[exam] and not one.others

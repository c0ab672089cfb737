"""Marks in structured reports: of TID 1500, of CAD programs, damaged ones."""

from __future__ import annotations

import logging
import struct
import zlib

import numpy as np
import pydicom
import pytest
from dicom_files import SECRETS, write_dicom
from pydicom import uid
from sr_files import (
    by_place,
    cad_report,
    code,
    finding,
    group,
    image,
    item,
    number,
    own,
    report,
    scoord,
    tracking,
    write_report,
)

from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.reading.sr import is_report, read_report
from MammoTrackerLib.reading.sr_content import Absence, Mark

A, B = "1.2.3.1", "1.2.3.2"
SQUARE = [10, 20, 30, 20, 30, 50, 10, 50, 10, 20]
BOUNDS = (10, 20, 30, 50)
CAD = "1.2.840.10008.5.1.4.1.1.88.50"


def read(tmp_path, content, **options):
    return read_report(write_report(tmp_path / "report.dcm", content, **options))


def marks_of(tmp_path, *items, **options) -> tuple[Mark, ...]:
    return read(tmp_path, report(*items), **options).marks


@pytest.mark.parametrize(
    ("graphic", "data", "bounds"),
    [
        ("POLYLINE", SQUARE, BOUNDS),
        ("POLYLINE", SQUARE[:8], BOUNDS),
        ("POLYLINE", [10.25, 20, 30, 20.5, 15, 50], (10.25, 20, 30, 50)),
        ("CIRCLE", [20, 30, 20, 25], (15, 25, 25, 35)),
        ("CIRCLE", [20, 30, 23, 34], (15, 25, 25, 35)),
        ("ELLIPSE", [10, 30, 50, 30, 30, 20, 30, 40], (10, 20, 50, 40)),
        ("ELLIPSE", [30, 20, 30, 40, 10, 30, 50, 30], (10, 20, 50, 40)),
        # turned by 45 degrees: half axes of 10 * sqrt(2) and 5 * sqrt(2)
        ("ELLIPSE", [20, 20, 40, 40, 35, 25, 25, 35],
         (30 - 125**0.5, 30 - 125**0.5, 30 + 125**0.5, 30 + 125**0.5)),
        ("POINT", [10, 20], (10, 20, 10, 20)),
        ("MULTIPOINT", [10, 20, 30, 25, 12, 50], BOUNDS),
        # a diameter
        ("POLYLINE", [10, 20, 10, 40], (0, 20, 20, 40)),
        # the point of an arrow, and its other end
        ("POINT", [10, 20, 80, 90], (10, 20, 10, 20)),
    ],
)  # fmt: skip
def test_every_kind_of_graphic(tmp_path, graphic, data, bounds):
    (mark,) = marks_of(tmp_path, group(*tracking("1.9"), scoord(graphic, data, A, name="region")))
    np.testing.assert_allclose(mark.bounds, bounds, atol=1e-4)
    assert (mark.instance_uid, mark.tracking, mark.lesion_type) == (A, "1.9", "")


@pytest.mark.parametrize(
    "syntax",
    [uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.DeflatedExplicitVRLittleEndian],
)
def test_every_encoding(tmp_path, syntax):
    (mark,) = marks_of(tmp_path, group(scoord("POLYLINE", SQUARE, A)), syntax=syntax)
    assert mark.bounds == BOUNDS


def test_a_report_of_ohif(tmp_path):
    """Coordinates are below a measurement, and long and short axis are one lesion."""
    axes = [
        number("length", [scoord("POLYLINE", points, A, "INFERRED FROM")])
        for points in ([10, 50, 30, 20], [18, 28, 22, 36])
    ]
    first = group(*tracking("1.1"), *axes)
    rectangle = [60, 60, 60, 90, 80, 90, 80, 60]
    second = group(
        *tracking("1.2"),
        item("CODE", "CONTAINS", "finding", ConceptCodeSequence=code("mass")),
        number("length", [scoord("POLYLINE", rectangle, A, "INFERRED FROM")]),
    )
    content = report(first, second, library=[A])
    marks = read(tmp_path, content, sop_class=uid.EnhancedSRStorage).marks
    assert [mark.bounds for mark in marks] == [BOUNDS, (60, 60, 80, 90)]
    assert [mark.tracking for mark in marks] == ["1.1", "1.2"]
    assert [mark.lesion_type for mark in marks] == ["", "mass"]


@pytest.mark.parametrize("finding", ["4147007", "129788004", "129793001"])
def test_codes_of_a_mass(tmp_path, finding):
    """As such, as a mammographic breast mass, and as CAD programs write it."""
    named = code("mass")
    named[0].CodeValue = finding
    items = (
        item("CODE", "CONTAINS", "finding", ConceptCodeSequence=named),
        scoord("POINT", [1, 2], A),
    )
    assert [mark.lesion_type for mark in marks_of(tmp_path, group(*items))] == ["mass"]


def test_a_report_of_dcmqi_marks_a_segment_which_is_counted(tmp_path):
    segment = image("1.7", "CONTAINS", "segment")
    source = item("UIDREF", "CONTAINS", UID="1.8")
    content = report(group(*tracking("1.1"), segment, source, number("length")), library=[A, B])
    found = read(tmp_path, content)
    assert found.marks == () and found.left_out == {"segmentation": 1}


def test_a_lesion_on_several_images_has_one_identity(tmp_path):
    groups = [
        group(*tracking("1.5", "same words"), scoord("POLYLINE", SQUARE, instance))
        for instance in (A, B)
    ]
    marks = marks_of(tmp_path, *groups)
    assert [(mark.instance_uid, mark.tracking) for mark in marks] == [(A, "1.5"), (B, "1.5")]
    both = group(*tracking("1.5"), *(scoord("POLYLINE", SQUARE, instance) for instance in (A, B)))
    assert marks_of(tmp_path, both) == marks


def test_identity_is_no_text_in_a_representation(tmp_path):
    (mark,) = marks_of(tmp_path, group(*tracking(None, "Doe^Jane"), scoord("POINT", [1, 2], A)))
    assert mark.tracking == "Doe^Jane" and "Jane" not in repr(mark)


def test_the_name_of_a_tool_is_no_identity(tmp_path):
    """It is the same for all lesions; a UID counts, whatever the name is."""

    def lesion(shift, instance=A, tracking_uid=None, name="Tool:Rectangle"):
        return group(
            *tracking(tracking_uid, name), scoord("POLYLINE", [v + shift for v in SQUARE], instance)
        )

    marks = marks_of(tmp_path, lesion(0), lesion(50), lesion(0, B), lesion(90, name="other"))
    assert [mark.tracking for mark in marks] == ["", "", "", "other"]
    marks = marks_of(tmp_path, lesion(0, A, "1.1"), lesion(50, A, "1.2"), lesion(0, B, "1.1"))
    assert [mark.tracking for mark in marks] == ["1.1", "1.2", "1.1"]


def test_the_same_mark_twice_is_one(tmp_path):
    twice = [group(*tracking("1.5"), scoord("POLYLINE", SQUARE, A)) for _ in range(2)]
    assert len(marks_of(tmp_path, *twice)) == 1


def test_an_image_is_found_where_coordinates_name_none(tmp_path):
    bare = scoord("POLYLINE", SQUARE)
    of_group = group(image(B, "CONTAINS", "source"), bare)
    assert marks_of(tmp_path, of_group)[0].instance_uid == B
    assert read(tmp_path, report(group(bare), library=[A])).marks[0].instance_uid == A
    assert read(tmp_path, report(group(bare), library=[A, B])).marks[0].instance_uid == ""


def test_reports_without_groups(tmp_path):
    """As in basic and enhanced reports: an observation, or a measurement, has coordinates."""
    observation = item(
        "TEXT", "CONTAINS", "finding",
        [scoord("CIRCLE", [20, 30, 20, 25], A, "INFERRED FROM")], TextValue="Doe^Jane has a mass",
    )  # fmt: skip
    measured = number("length", [*tracking("1.4"), scoord("POLYLINE", SQUARE, A, "INFERRED FROM")])
    lone = scoord("POINT", [3, 4], A)
    root = item("CONTAINER", "CONTAINS", "report", [observation, measured, lone])
    marks = read(tmp_path, root, sop_class=uid.EnhancedSRStorage).marks
    assert [mark.bounds for mark in marks] == [(15, 25, 25, 35), BOUNDS, (3, 4, 3, 4)]
    assert [mark.tracking for mark in marks] == ["", "1.4", ""]


def test_angles_mark_no_lesion(tmp_path):
    angle = number("angle", [scoord("POLYLINE", [1, 1, 5, 5, 9, 1], A)], "deg")
    found = read(tmp_path, report(group(*tracking("1.1"), angle)))
    assert found.marks == () and found.left_out == {"no lesion": 1}


def test_how_the_positioner_stood_is_no_mark_that_is_left_out(tmp_path):
    """Of each image, CAD programs say its angles (DICOM PS3.16 TID 4020)."""
    content = cad_report([A], finding("density", *outlined([20, 35], SQUARE, 1)))
    content.ContentSequence[0].ContentSequence[0].ContentSequence = [number("angle", unit="deg")]
    found = read(tmp_path, content)
    assert len(found.marks) == 1 and not found.left_out.total()


def test_three_dimensional_coordinates_are_counted(tmp_path):
    found = read(tmp_path, report(group(item("SCOORD3D", GraphicType="POINT"))))
    assert found.marks == () and found.left_out == {"three-dimensional": 1}


# --- what the user of MammoTracker said


def said(decision: str, *children, status: str = "FOUND", tracking_uid: str = "1.5"):
    codes = [own("STATUS", status)] + ([own("DECISION", decision)] if decision else [])
    return group(*tracking(tracking_uid), *codes, *children)


def test_decisions_and_what_was_only_predicted(tmp_path):
    square = scoord("POLYLINE", SQUARE, A)
    for decision in ("", "MARKED", "ACCEPTED", "CORRECTED", "DRAWN", "CONFIRMED"):
        found = read(tmp_path, report(said(decision, square)))
        assert [mark.is_predicted for mark in found.marks] == [not decision]
        assert not found.left_out and not found.absences


@pytest.mark.parametrize("status", ["FOUND", "NOT_FOUND"])
def test_a_lesion_that_is_not_there_is_no_mark(tmp_path, status):
    """With the image alone, as it is written, and with the box that was shown."""
    square = scoord("POLYLINE", SQUARE, B)
    bare = scoord("POLYLINE", SQUARE)
    for place in ([image(B, "CONTAINS", "source")], [square], [image(B, "CONTAINS"), bare]):
        content = report(
            said("MARKED", scoord("POLYLINE", SQUARE, A)), said("ABSENT", *place, status=status)
        )
        found = read(tmp_path, content)
        assert [mark.instance_uid for mark in found.marks] == [A]
        assert found.absences == (Absence(B, "1.5"),) and not found.left_out


def test_an_absence_has_an_identity_and_an_image_as_a_mark_has(tmp_path):
    absent = own("DECISION", "ABSENT")
    by_name = group(*tracking(None, "Tool:Rectangle"), absent, image(A, "CONTAINS"))
    twice = read(tmp_path, report(said("ABSENT", image(A)), said("ABSENT", image(A)))).absences
    assert twice == (Absence(A, "1.5"),)
    named = read(tmp_path, report(by_name)).absences
    assert named == (Absence(A, "Tool:Rectangle"),)
    shared = group(*tracking(None, "Tool:Rectangle"), scoord("POINT", [1, 2], A))
    found = read(tmp_path, report(by_name, shared))
    assert found.absences == (Absence(A),) and found.marks[0].tracking == ""
    assert read(tmp_path, report(group(absent))).absences == (Absence(),)
    assert read(tmp_path, report(group(absent), library=[A])).absences == (Absence(A),)
    assert "Tool" not in repr(named)


def test_a_box_that_was_rejected_is_no_mark_and_is_counted(tmp_path):
    square = scoord("POLYLINE", SQUARE, A)
    found = read(tmp_path, report(said("REJECTED", square), said("REJECTED", image(B))))
    assert found.marks == () and found.left_out == {"rejected": 2} and not found.absences


# --- Mammography CAD


def outlined(center, outline, place: int) -> list[pydicom.Dataset]:
    """Give a finding's place as CAD programs do: images are named by their place in the report."""
    return [
        scoord(kind, data, relation="HAS PROPERTIES", name=name, children=[by_place(1, 1, place)])
        for name, kind, data in (("center", "POINT", center), ("outline", "POLYLINE", outline))
    ]


def test_a_cad_report(tmp_path):
    far = [n + 100 for n in SQUARE]
    content = cad_report(
        [A, B],
        finding("density", *tracking("1.1"), *outlined([20, 35], SQUARE, 1)),
        finding("cluster", *outlined([120, 135], far, 2), intent="optional"),
    )
    marks = read(tmp_path, content, sop_class=CAD).marks
    assert [mark.bounds for mark in marks] == [BOUNDS, (110, 120, 130, 150)]
    assert [mark.instance_uid for mark in marks] == [A, B]
    assert [mark.lesion_type for mark in marks] == ["mass", "calcification"]
    assert marks[0].tracking == "1.1"


def test_a_clusters_calcifications_are_no_lesions_of_their_own(tmp_path):
    grains = [finding("calcification", *outlined([x, 30], [x, 30, x + 1, 30, x, 31], 1))
              for x in (12, 20)]  # fmt: skip
    cluster = finding("cluster", *outlined([20, 35], SQUARE, 1), *grains)
    assert [mark.bounds for mark in read(tmp_path, cad_report([A], cluster)).marks] == [BOUNDS]


def composed(*children) -> pydicom.Dataset:
    intent = item("CODE", "HAS CONCEPT MOD", "intent", ConceptCodeSequence=code("required"))
    return item(
        "CODE", "CONTAINS", "composite", [intent, *children], ConceptCodeSequence=code("mass")
    )


def test_findings_of_a_composite_feature_are_one_lesion(tmp_path):
    """In two views, on two exams, or both (composed once more): DICOM PS3.17 E.3.3."""

    def views(first):
        return composed(
            *(finding("density", *outlined([20, 35], SQUARE, first + n)) for n in (0, 1))
        )

    now, before = views(1), views(3)
    alone = finding("density", *outlined([120, 135], [n + 100 for n in SQUARE], 1))
    content = cad_report(["1.1", "1.2", "1.3", "1.4"], composed(now, before), alone)
    marks = read(tmp_path, content).marks
    assert [mark.instance_uid for mark in marks] == ["1.1", "1.2", "1.3", "1.4", "1.1"]
    assert len({mark.tracking for mark in marks[:4]}) == 1 and marks[4].tracking == ""
    assert uid.UID(marks[0].tracking).is_valid
    # Another report's are others, and the same report's the same.
    assert read_report(tmp_path / "report.dcm").marks == marks
    assert read(tmp_path, content).marks[0].tracking != marks[0].tracking


def test_the_example_of_the_standard(tmp_path):
    """DICOM PS3.17 E.3.2: a mass in two views, another hidden, and clusters found in two ways."""

    def moved(by):
        return [n + by for n in SQUARE]

    area = number("length", [scoord("POLYLINE", SQUARE, children=[by_place(1, 1, 4)])], "cm2")
    mass = composed(
        finding("density", *outlined([20, 35], SQUARE, 2)),
        finding("density", *outlined([20, 35], SQUARE, 4), area),
    )
    hidden = finding("density", *outlined([60, 75], moved(40), 2), intent="not shown")
    cluster = finding("cluster", *outlined([80, 95], moved(60), 3))
    grains = [
        finding("calcification", *outlined([x, 100], [x, 100, x + 1, 100, x, 101], 1),
                intent="optional")
        for x in (95, 120)
    ]  # fmt: skip
    clustered = finding("cluster", *outlined([100, 115], moved(80), 1), *grains)
    content = cad_report(["1.1", "1.2", "1.3", "1.4"], mass, hidden, cluster, clustered)
    found = read(tmp_path, content, sop_class=CAD)
    assert [(mark.instance_uid, mark.bounds[0], mark.lesion_type) for mark in found.marks] == [
        ("1.2", 10, "mass"), ("1.4", 10, "mass"),
        ("1.3", 70, "calcification"), ("1.1", 90, "calcification"),
    ]  # fmt: skip
    assert found.left_out == {"hidden": 1}


def test_what_is_not_for_presentation_or_no_lesion_is_counted(tmp_path):
    place = outlined([20, 35], SQUARE, 1)
    content = cad_report(
        [A], finding("density", *place, intent="not shown"), finding("nipple", *place)
    )
    found = read(tmp_path, content)
    assert found.marks == () and found.left_out == {"hidden": 1, "no lesion": 1}


def test_a_hidden_impression_hides_its_findings(tmp_path):
    content = cad_report([A], finding("density", *outlined([20, 35], SQUARE, 1)))
    impression = content.ContentSequence[1].ContentSequence[0]
    impression.ContentSequence.insert(
        0, item("CODE", "HAS CONCEPT MOD", "intent", ConceptCodeSequence=code("not shown"))
    )
    assert read(tmp_path, content).left_out == {"hidden": 1}


NO_IMAGES = (
    uid.SegmentationStorage,
    uid.GrayscaleSoftcopyPresentationStateStorage,
    uid.PositronEmissionTomographyImageStorage,
)


def test_a_finding_that_is_a_container_and_names_its_image_as_evidence_alone(tmp_path):
    """As programs in Python write them: with references to nothing, and no image library."""
    shape = scoord(
        "POLYLINE", SQUARE, relation="HAS PROPERTIES", name="outline",
        children=[scoord("POLYLINE", SQUARE, relation="SELECTED FROM", children=[])],
    )  # fmt: skip
    shape.ContentSequence[0].ReferencedContentItemIdentifier = [1, 1, 1, 1]
    single = item("CONTAINER", "CONTAINS", "single", [shape], ConceptCodeSequence=code("density"))
    impression = item("CONTAINER", "INFERRED FROM", "impression", [single])
    root = item("CONTAINER", "CONTAINS", "summary", [impression])

    def evidence(*instances):
        series = pydicom.Dataset()
        series.ReferencedSOPSequence = [
            image(instance).ReferencedSOPSequence[0] for instance in instances
        ]
        for place, sop_class in enumerate(NO_IMAGES):
            other = pydicom.Dataset()
            other.ReferencedSOPClassUID = sop_class
            other.ReferencedSOPInstanceUID = f"1.2.7.{place}"
            series.ReferencedSOPSequence.append(other)
        study = pydicom.Dataset()
        study.ReferencedSeriesSequence = [series]
        return {"CurrentRequestedProcedureEvidenceSequence": [study]}

    (mark,) = read(tmp_path, root, **evidence(A)).marks
    assert (mark.bounds, mark.instance_uid, mark.lesion_type) == (BOUNDS, A, "mass")
    assert read(tmp_path, root, **evidence(A, B)).marks[0].instance_uid == ""


@pytest.mark.parametrize("places", [(1, 1, 9), (1, 0, 1), (9, 9, 9), (1,), (2**32 - 1,) * 500])
def test_references_to_nothing(tmp_path, places):
    shape = scoord("POLYLINE", SQUARE, children=[by_place(*places)])
    (mark,) = read(tmp_path, cad_report([A, B], finding("density", shape))).marks
    assert mark.instance_uid == ""


# --- damaged and hostile ones


@pytest.mark.parametrize(
    ("graphic", "data"),
    [
        ("POLYLINE", [1.0]),
        ("POLYLINE", [1, 2, 3]),
        ("POLYLINE", [1, 2]),
        ("POLYLINE", None),
        ("POLYLINE", [1, 2, float("nan"), 4, 5, 6]),
        ("POINT", [float("inf"), 1]),
        ("POINT", [1e30, 1]),
        ("CIRCLE", [1, 2, 3, 4, 5, 6]),
        ("ELLIPSE", [1, 2, 3, 4]),
        ("DOE^JANE", [1, 2, 3, 4]),
        (None, [1, 2]),
    ],
)
def test_impossible_graphics_are_counted(tmp_path, graphic, data):
    good = group(scoord("POLYLINE", SQUARE, A))
    found = read(tmp_path, report(group(scoord(graphic, data, A)), good))
    assert [mark.bounds for mark in found.marks] == [BOUNDS]
    assert found.left_out == {"damaged": 1}


def test_a_report_as_deep_as_can_be_written_is_refused(tmp_path):
    inner = group(scoord("POLYLINE", SQUARE, A))
    for _ in range(60):
        inner = item("CONTAINER", "CONTAINS", "group", [inner])
    with pytest.raises(MammoTrackerError, match="too large"):
        read(tmp_path, report(inner))


def hostile(sequence: bytes) -> bytes:
    """Make a file whose content sequence, of undefined length, is this."""

    def element(tag: int, vr: bytes, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value

    meta = element(0x00020010, b"UI", uid.ExplicitVRLittleEndian.encode())
    meta = element(0x00020000, b"UL", struct.pack("<I", len(meta))) + meta
    head = element(0x00080016, b"UI", uid.ComprehensiveSRStorage.encode())
    head += struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF)
    return bytes(128) + b"DICM" + meta + head + sequence


ITEM = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
NESTED = ITEM + struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        (b"\xfe\xff\x00\xe0\0\0\0\0" * 1_500_000, "too large"),
        (bytes(17_000_000), "too large"),
        (NESTED * 5000, "damaged"),
        (NESTED * 50_000, "damaged"),
        (b"", "damaged"),
        (b"\xfe\xff\x00\xe0\xff\xff\xff\x7f", "damaged"),
    ],
)
def test_hostile_content_is_refused_at_once(tmp_path, sequence, message):
    path = tmp_path / "a.dcm"
    path.write_bytes(hostile(sequence))
    with pytest.raises(MammoTrackerError, match=message):
        read_report(path)


def test_a_deflated_bomb_is_refused(tmp_path):
    content = report(group(scoord("POLYLINE", SQUARE, A)))
    path = write_report(tmp_path / "a.dcm", content, syntax=uid.DeflatedExplicitVRLittleEndian)
    whole = path.read_bytes()
    begin = 144 + int.from_bytes(whole[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = packer.compress(hostile(b"\xfe\xff\x00\xe0\0\0\0\0" * 20_000_000)[250:])
    path.write_bytes(whole[:begin] + bomb + packer.flush())
    with pytest.raises(MammoTrackerError, match="too large"):
        read_report(path)


def test_cut_at_any_place(tmp_path):
    path = write_report(tmp_path / "whole.dcm", report(group(scoord("POLYLINE", SQUARE, A))))
    content = path.read_bytes()
    for length in range(1, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(MammoTrackerError, match=r"\.$"):
            read_report(path)


def test_a_large_report_is_read_whole(tmp_path):
    long = item("TEXT", "CONTAINS", "finding", TextValue="x" * 2**20)
    content = report(group(long, scoord("POLYLINE", SQUARE, A)), group(scoord("POINT", [1, 2], A)))
    path = write_report(tmp_path / "a.dcm", content)
    assert len(read_report(path).marks) == 2
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(MammoTrackerError, match="truncated"):
        read_report(path)


def test_nothing_of_a_report_is_said(tmp_path, caplog, recwarn):
    caplog.set_level(logging.DEBUG)
    content = report(group(*tracking("Doe^Jane", "SECRET-ID"), scoord("Doe^Jane", [1, 2], A)))
    path = write_report(tmp_path / "a.dcm", content)
    caplog.clear()
    recwarn.clear()
    read_report(path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(MammoTrackerError) as raised:
        read_report(path)
    said = str(raised.value) + caplog.text + "".join(str(one.message) for one in recwarn)
    assert not [secret for secret in SECRETS if secret in said]


def test_what_is_no_report(tmp_path, film):
    path = write_dicom(tmp_path / "a.dcm", film)
    assert not is_report(path)
    with pytest.raises(MammoTrackerError, match="no DICOM structured report"):
        read_report(path)
    with pytest.raises(MammoTrackerError, match="no file"):
        read_report(tmp_path / "nothing.dcm")

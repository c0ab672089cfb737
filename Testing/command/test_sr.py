"""DICOM SR of lesions: what checkers and readers of others, and our own, make of it."""

from __future__ import annotations

import datetime
import logging
import shutil
import subprocess
import sys

import numpy as np
import pydicom
import pytest
from dicom_files import SECRETS
from dicom_files import write_dicom as write_file
from pydicom import uid

from MammoTrackerLib import Box, Mammogram, MammoTrackerError, Status, Track
from MammoTrackerLib.command.simulate import write_dicom
from MammoTrackerLib.command.sr import pair_history, write_sr
from MammoTrackerLib.history import ExamResult, LesionHistory
from MammoTrackerLib.reading.lesions import read_lesions

highdicom = pytest.importorskip("highdicom", reason="needs the extra sr (highdicom)")

SPACING = (0.2, 0.25)
MARKED, FOUND = Box(20, 30, 40, 50.5), Box(22.25, 31, 45, 60)


def checked(program: str, *files) -> str:
    """Run a checker of others on files; its words, or skip the test where it is not installed."""
    if not shutil.which(program):
        package = "dcmtk" if program == "dsrdump" else "dicom3tools"
        pytest.skip(f"needs {program}: install the package {package}")
    done = subprocess.run([program, *map(str, files)], capture_output=True, text=True, timeout=60)
    assert program == "dcentvfy" or done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three exams of one woman, in three studies."""
    folder = tmp_path_factory.mktemp("exams")
    pixels = np.random.default_rng(0).integers(0, 4000, (160, 120)).astype(np.float32)
    made = []
    for year in (2019, 2021, 2024):
        date = datetime.date(year, 2, 3)
        exam = Mammogram(pixels, SPACING, "L", "MLO", date, "Doe^Jane")
        write_dicom(exam, folder / f"{year}.dcm", "made up")
        made.append(folder / f"{year}.dcm")
    return made


@pytest.fixture(scope="module")
def exams(files):
    return [Mammogram.read(file) for file in files]


def result(status=Status.FOUND, box=FOUND, score=0.875, by_user=False) -> ExamResult:
    track = Track(MARKED, box, score, status, "A reason.", (), box)
    return ExamResult(track, () if by_user else (2,), by_user, 0.75)


def history() -> LesionHistory:
    marked = result(box=MARKED, score=1.0, by_user=True)
    return LesionHistory(2, (result(Status.NOT_FOUND), result(Status.UNCERTAIN), marked))


@pytest.fixture(scope="module")
def path(files, exams, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "lesions.dcm"
    second = LesionHistory(
        0,
        (
            result(box=MARKED, score=1.0, by_user=True),
            result(score=1.0, by_user=True),
            result(Status.NOT_FOUND, score=0.0, by_user=True),
        ),
    )
    write_sr(path, files, exams, [history(), second], lesion_types=["mass"])
    return path


def groups_of(path) -> list:
    report = highdicom.sr.srread(path)
    content = report.content
    return [*content.get_planar_roi_measurement_groups(), *content.get_image_measurement_groups()]


def test_what_nobody_measured_has_no_number(files, exams, tmp_path):
    """A box that was kept from the registration, and a place that is beyond the image."""
    answers = result(Status.REGISTRATION, score=0.0), result(Status.NOT_FOUND, score=0.0)
    marked = result(box=MARKED, score=1.0, by_user=True)
    write_sr(tmp_path / "a.dcm", files, exams, [LesionHistory(2, (*answers, marked))])
    counts = [len(group.get_measurements()) for group in groups_of(tmp_path / "a.dcm")]
    assert counts == [0, 2, 0]
    (kept, read) = read_lesions(tmp_path / "a.dcm", exams).lesions
    assert kept.is_predicted and not read.is_predicted


@pytest.mark.parametrize(("pointed", "lengths"), [({2}, 0), ({1}, 1), (set(), 2)])
def test_a_box_around_a_point_has_no_size(files, exams, tmp_path, pointed, lengths):
    """Nor has what was found from it; and it is read as the point that it was."""
    point = Box.from_center(50, 40, 10 / exams[2].spacing[0], 10 / exams[2].spacing[1])
    answers = result(Status.NOT_FOUND), result(box=point, by_user=True)
    marked = result(box=point, score=1.0, by_user=True)
    one = LesionHistory(2, (*answers, marked))
    write_sr(tmp_path / "a.dcm", files, exams, [one], pointed=[pointed])
    named = [one.name.value for group in groups_of(tmp_path / "a.dcm")
             for one in group.get_measurements()]  # fmt: skip
    assert named.count("410668003") == named.count("42798000") == lengths
    read = read_lesions(tmp_path / "a.dcm", exams).lesions
    assert [lesion.is_size_made_up for lesion in read] == [lengths < 2, lengths == 0]
    assert read[1].box.as_tuple() == pytest.approx(point.as_tuple())


# --- what others say


def test_dciodvfy_finds_no_error(path):
    said = checked("dciodvfy", path)
    assert said.startswith("ComprehensiveSR")
    assert "Error" not in said
    # That a scheme is private is all that it remarks on.
    assert all("99MAMMOTRACKER" in line for line in said.splitlines()[1:])


def test_dcentvfy_finds_report_and_images_consistent(path, files):
    assert "Error" not in checked("dcentvfy", path, *files)


def test_dsrdump_shows_it(path):
    said = checked("dsrdump", "+Pc", path)
    for words in (
        '(126000,DCM,"Imaging Measurement Report")',
        '(111012,DCM,"Certainty of Finding")="87.5"',
        '(410668003,SCT,"Length")="7.25"',
        '(111001,DCM,"Algorithm Name")="MammoTracker"',
        "(POLYLINE,22.25/31,",
    ):
        assert words in said


def test_highdicom_reads_it(path, files, exams):
    report = highdicom.sr.srread(path)
    rois = report.content.get_planar_roi_measurement_groups()
    assert len(rois) == 4 and len(report.content.get_image_measurement_groups()) == 2
    first = rois[0]
    assert first.tracking_identifier == "Lesion 1"
    corners = first.roi.value
    assert corners.tolist() == [[22.25, 31], [45, 31], [45, 60], [22.25, 60], [22.25, 31]]
    image = first.roi.ContentSequence[0].ReferencedSOPSequence[0]
    assert image.ReferencedSOPInstanceUID == exams[1].instance_uids[0]
    assert first.finding_type.meaning == "Mass"
    assert first.finding_sites[0].laterality.meaning == "Left"
    values = {one.name.meaning: (one.value, one.unit.value) for one in first.get_measurements()}
    assert values == {
        "Length": (7.25, "mm"),
        "Area": (pytest.approx(np.pi / 4 * 22.75 * 0.2 * 29 * 0.25, abs=0.01), "mm2"),
        "Certainty of Finding": (87.5, "%"),
        "Probability that it is on the exam": (75, "%"),
    }
    evidence = {instance for _, _, instance, _ in report.get_evidence()}
    assert evidence == {exam.instance_uids[0] for exam in exams}
    studies = {pydicom.dcmread(file).StudyInstanceUID for file in files}
    assert {study for study, *_ in report.get_evidence()} == studies


def test_boxes_are_known_as_such(path):
    """By what the extension QuantitativeReporting asks highdicom, to show them in Slicer."""
    from pydicom.sr.codedict import codes

    groups = highdicom.sr.srread(path).content.get_planar_roi_measurement_groups(
        reference_type=codes.DCM.ImageRegion, graphic_type=highdicom.sr.GraphicTypeValues.POLYLINE
    )
    assert len(groups) == 4
    for group in groups:
        (purpose,) = group.get_qualitative_evaluations(name=codes.DCM.GeometricPurposeOfRegion)
        assert purpose.value == codes.SCT.BoundedBy


def test_one_identity_through_all_exams(path):
    uids = {}
    for group in groups_of(path):
        uids.setdefault(group.tracking_identifier, set()).add(group.tracking_uid)
    assert [len(found) for found in uids.values()] == [1, 1]
    assert uids["Lesion 1"] != uids["Lesion 2"]


def own(group, name: str) -> str | None:
    code = highdicom.sr.CodedConcept(name, "99MAMMOTRACKER", name)
    found = group.get_qualitative_evaluations(name=code)
    return found[0].value.value if found else None


def test_status_and_decision_of_each(path):
    said = [
        (group.tracking_identifier[-1], own(group, "STATUS"), own(group, "DECISION"))
        for group in groups_of(path)
    ]
    assert said == [
        ("1", "UNCERTAIN", None), ("1", "FOUND", "MARKED"),
        ("2", "FOUND", "MARKED"), ("2", "FOUND", "CONFIRMED"),
        ("1", "NOT_FOUND", None), ("2", "NOT_FOUND", "ABSENT"),
    ]  # fmt: skip


def test_our_reader_reads_it(path, exams):
    found = read_lesions(path, exams)
    assert [(lesion.exam, lesion.box) for lesion in found.lesions] == [
        (1, FOUND), (2, MARKED), (0, MARKED), (1, FOUND),
    ]  # fmt: skip
    assert [lesion.lesion_type for lesion in found.lesions] == ["mass", "mass", "", ""]
    assert [lesion.is_predicted for lesion in found.lesions] == [True, False, False, False]
    trackings = [lesion.tracking for lesion in found.lesions]
    assert trackings[0] == trackings[1] != trackings[2] == trackings[3]
    assert found.absences == ((2, trackings[2]),)
    assert not found.remarks


def test_an_identity_that_was_read_is_kept(path, files, exams, tmp_path):
    lesion = read_lesions(path, exams).lesions[0]
    for tracking, is_kept in ((lesion.tracking, True), ("a text", False), (None, False)):
        write_sr(tmp_path / "a.dcm", files, exams, [history()], [tracking])
        (again, _) = read_lesions(tmp_path / "a.dcm", exams).lesions
        assert (again.tracking == lesion.tracking) == is_kept
        assert b"a text" not in (tmp_path / "a.dcm").read_bytes()


def test_two_lesions_have_two_identities(tmp_path, files, exams):
    write_sr(tmp_path / "a.dcm", files, exams, [history(), history()], ["1.2.3", "1.2.3"])
    found = {group.tracking_uid for group in groups_of(tmp_path / "a.dcm")}
    assert len(found) == 2 and "1.2.3" in found


# --- whose it is


def test_the_patient_is_copied_and_nothing_is_made_up(path, files):
    report, last = pydicom.dcmread(path), pydicom.dcmread(files[-1])
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate",
                    "StudyInstanceUID"):  # fmt: skip
        assert report[keyword].value == last[keyword].value
    assert report.SeriesInstanceUID not in [pydicom.dcmread(f).SeriesInstanceUID for f in files]
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")


def exam_file(folder, name="a.dcm", **attributes):
    attributes = {
        "StudyInstanceUID": uid.generate_uid(), "SeriesInstanceUID": uid.generate_uid(),
    } | attributes  # fmt: skip
    values = np.random.default_rng(1).integers(0, 4000, (160, 120)).astype(np.uint16)
    return write_file(folder / name, values, **attributes)


def written(tmp_path, *files):
    exams = [Mammogram(np.eye(160, 120), SPACING, "L") for _ in files]
    results = tuple(result() for _ in files)
    write_sr(tmp_path / "sr.dcm", files, exams, [LesionHistory(0, results)])
    return tmp_path / "sr.dcm"


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PatientID", "OTHER-ID"), ("PatientID", ""), ("PatientBirthDate", "19500101")],
)
def test_exams_of_two_patients_are_refused(tmp_path, keyword, value):
    first, second = exam_file(tmp_path), exam_file(tmp_path, "b.dcm", **{keyword: value})
    with pytest.raises(MammoTrackerError, match=f"exams 1 and 2 .* {keyword}") as raised:
        written(tmp_path, first, second)
    assert not [secret for secret in (*SECRETS, "OTHER", "1950") if secret in str(raised.value)]
    assert not (tmp_path / "sr.dcm").exists()


def test_one_image_twice_is_refused(tmp_path):
    first = exam_file(tmp_path)
    with pytest.raises(MammoTrackerError, match="Exam 2 has the SOPInstanceUID of an earlier"):
        written(tmp_path, first, first)


def test_missing_files_are_named(tmp_path, files):
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    with pytest.raises(MammoTrackerError, match=r"exam 2, exam 3 \(.*picture.png\)\.$"):
        written(tmp_path, files[0], None, tmp_path / "picture.png")
    with pytest.raises(MammoTrackerError, match=r"missing of exam 1 \(.*nothing.dcm\)\.$"):
        written(tmp_path, tmp_path / "nothing.dcm", files[0])


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
@pytest.mark.parametrize("value", ["Doe^Jane", "1..2"])
def test_missing_identities_of_an_exam(tmp_path, keyword, value):
    file = exam_file(tmp_path, **{keyword: value})
    with pytest.raises(MammoTrackerError, match=f"exam 1 has no valid {keyword}") as raised:
        written(tmp_path, file)
    assert "Jane" not in str(raised.value)


@pytest.mark.parametrize(
    "attributes",
    [
        {"PatientBirthDate": None}, {"PatientID": None, "PatientName": None}, {"StudyDate": None},
        {"PatientBirthDate": "1950.12.24"}, {"PatientBirthDate": "Doe^Jane"},
        {"StudyDate": "20249999"}, {"StudyTime": "Doe^Jane"}, {"PatientSex": "Doe^Jane"},
        {"PatientName": "Doe^Jane=Doe=Doe=Doe=Doe"}, {"PatientName": "D\u00f6e^J\u00e4ne",
         "SpecificCharacterSet": "ISO_IR 192"}, {"PatientID": "SECRET-ID" * 12},
        {"PatientOrientation": ["A", "R"]}, {"PatientOrientation": "A"},
        {"SOPClassUID": uid.SecondaryCaptureImageStorage}, {"ImagerPixelSpacing": None},
        {"SOPClassUID": uid.BreastTomosynthesisImageStorage}, {"Modality": "MG"},
        {"AccessionNumber": "x" * 90}, {"ReferringPhysicianName": "Doe^Jane"},
    ],
)  # fmt: skip
def test_headers_of_all_kinds(tmp_path, attributes, caplog, recwarn, capfd):
    """A report is written, or refused; nothing of the header is said."""
    file = exam_file(tmp_path, **attributes)
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    recwarn.clear()
    said = ""
    try:
        path = written(tmp_path, file)
        exam = Mammogram.read(file, SPACING)
        assert read_lesions(path, [exam]).lesions[0].box == FOUND
    except MammoTrackerError as error:
        said = str(error)
    captured = capfd.readouterr()
    said += caplog.text + "".join(str(one.message) for one in recwarn) + captured.out + captured.err
    assert not [secret for secret in SECRETS if secret in said]


def test_no_more_of_the_patient_than_the_standard_asks_for(tmp_path):
    file = exam_file(
        tmp_path, PatientComments="SECRET comment", PatientAddress="SECRET street",
        OtherPatientIDs="SECRET other", PatientAge="073Y", InstitutionName="SECRET clinic",
        OperatorsName="SECRET^Operator", ImageComments="SECRET image", IssuerOfPatientID="Issuer",
    )  # fmt: skip
    path = written(tmp_path, file)
    assert path.read_bytes().count(b"SECRET") == 1  # PatientID
    assert pydicom.dcmread(path).IssuerOfPatientID == "Issuer"
    assert "Error" not in checked("dcentvfy", path, file)


@pytest.mark.parametrize(
    ("characters", "name"),
    [
        ("ISO_IR 100", "D\u00f6e^J\u00e4ne"),
        ("ISO_IR 192", "\u5c71\u7530^\u592a\u90ce"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce"),
    ],
)
def test_names_in_any_script(tmp_path, characters, name):
    file = exam_file(tmp_path, SpecificCharacterSet=characters, PatientName=name)
    path = written(tmp_path, file)
    assert pydicom.dcmread(path).PatientName == name
    assert "Error" not in checked("dciodvfy", path)


def test_what_does_not_fit_is_left_out(tmp_path):
    file = exam_file(
        tmp_path, PatientBirthDate="1950.12.24", StudyDate="2024.02.29", PatientAge="x",
        StudyTime="noon", PatientSex="female", AccessionNumber="9" * 40, StudyID="8" * 40,
    )  # fmt: skip
    path = written(tmp_path, file)
    report = pydicom.dcmread(path)
    assert (report.PatientBirthDate, report.StudyDate) == ("19501224", "20240229")
    assert "Error" not in checked("dciodvfy", path)


# --- boxes and decisions


def test_a_box_over_the_edge_is_cut(tmp_path, files, exams):
    box = Box(-5, 140, 12, 171)
    track = Track(box, box, 0.5, Status.FOUND, "", (), box)
    write_sr(tmp_path / "a.dcm", files[:2], exams[:2], [pair_history(track)])
    for group in highdicom.sr.srread(
        tmp_path / "a.dcm"
    ).content.get_planar_roi_measurement_groups():
        assert group.roi.value.min(axis=0).tolist() == [0, 140]
        assert group.roi.value.max(axis=0).tolist() == [12, 160]


@pytest.mark.parametrize(
    ("decision", "count", "has_score"),
    [
        ("", 2, True),
        ("accepted", 2, False),
        ("corrected", 2, False),
        ("rejected", 1, True),
        ("absent", 1, False),
    ],
)
def test_a_pair(tmp_path, files, exams, decision, count, has_score):
    marked, found = pair_history(Track(MARKED, FOUND, 0.5, Status.FOUND, "", (), FOUND)).results
    if decision not in ("", "rejected"):
        found = result(by_user=True)
    pair = LesionHistory(0, (marked, found))
    write_sr(tmp_path / "a.dcm", files[:2], exams[:2], [pair], decisions={(0, 1): decision})
    groups = groups_of(tmp_path / "a.dcm")
    assert [own(group, "DECISION") for group in groups] == ["MARKED", decision.upper() or None]
    names = [one.name.meaning for one in groups[1].get_measurements()]
    assert ("Certainty of Finding" in names) == has_score
    # A box that was rejected is none that others should show.
    assert len(read_lesions(tmp_path / "a.dcm", exams[:2]).lesions) == count


def test_without_highdicom(tmp_path, files, exams, monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(MammoTrackerError, match="PythonSlicer -m pip install highdicom"):
        write_sr(tmp_path / "a.dcm", files, exams, [history()])


def test_a_report_made_with_highdicom_by_others(tmp_path, files, exams):
    """Points, circles and ellipses as regions, in its own order and nesting."""
    from highdicom import sr
    from pydicom.sr.codedict import codes

    header = pydicom.dcmread(files[0])
    image = sr.SourceImageForRegion.from_source_image(header)
    shapes = {
        "POINT": ([[10, 20]], None),
        "CIRCLE": ([[60, 70], [60, 80]], Box(50, 60, 70, 80)),
        "ELLIPSE": ([[30, 50], [70, 50], [50, 40], [50, 60]], Box(30, 40, 70, 60)),
        "POLYLINE": ([[1, 2], [30, 5], [20, 40], [1, 2]], Box(1, 2, 30, 40)),
    }
    groups = [
        sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            sr.TrackingIdentifier(uid.generate_uid(), kind),
            sr.ImageRegion(kind, np.array(data, float), image),
            finding_type=codes.SCT.Lesion,
        )
        for kind, (data, _) in shapes.items()
    ]  # fmt: skip
    person = sr.ObserverContext(
        codes.DCM.Person, sr.PersonObserverIdentifyingAttributes(name="Doe^Jane")
    )
    content = sr.MeasurementReport(
        sr.ObservationContext(person), codes.LN.CTUnspecifiedBodyRegion, groups
    )
    for kind, report_class in (("a", sr.EnhancedSR), ("b", sr.Comprehensive3DSR)):
        report = report_class(
            [header], content, uid.generate_uid(), 1, uid.generate_uid(), 1, manufacturer="Others"
        )
        report.save_as(tmp_path / f"{kind}.dcm")
        found = read_lesions(tmp_path / f"{kind}.dcm", exams)
        assert [lesion.box for lesion in found.lesions[1:]] == [box for _, box in shapes.values()][
            1:
        ]
        assert found.lesions[0].is_size_made_up and found.lesions[0].box.center == (10, 20)

"""What is kept of a file of an archive: which image it is, and nobody's name."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from dicom_files import SECRETS, item, write_dicom
from sr_files import group, report, scoord, tracking, write_report

from MammoTrackerLib.reading.archive import digest, read_file, read_patient

KEY = b"k" * 16
PIXELS = np.arange(3072, dtype=np.uint16).reshape(64, 48)


def found(tmp_path, **attributes):
    known = {"ImagerPixelSpacing": [0.7, 0.6], "PatientOrientation": ["P", "F"]}
    return read_file(write_dicom(tmp_path / "image", PIXELS, **known | attributes), KEY, True)


def test_an_image_is_kept_in_under_a_kilobyte_without_its_patient(tmp_path):
    one = found(tmp_path, SOPInstanceUID="1.2.3", AcquisitionTime="101112.5")
    assert one.reason is None and not one.is_report
    assert (one.uid, one.side, one.view, one.date) == ("1.2.3", "L", "CC", "2024-02-29")
    assert (one.columns, one.rows, one.spacing_x, one.spacing_y) == (48, 64, 0.6, 0.7)
    assert (one.orientation, one.time) == ("P", "101112.5")
    assert one.patient == digest(KEY, "SECRET-ID", "")
    kept = pickle.dumps(one)
    assert len(kept) < 1000
    assert not any(secret.encode() in kept for secret in SECRETS if secret != "2024-02-29")
    assert read_patient(tmp_path / "image") == ("SECRET-ID", "")


def test_patients_are_told_apart_by_number_and_issuer(tmp_path):
    digests = {
        found(tmp_path, PatientID=number, IssuerOfPatientID=issuer).patient
        for number, issuer in (("1", "a"), ("1", "b"), (" 1 ", "a"), ("2", "a"), ("", "a"))
    }
    assert len(digests) == 4 and None in digests
    assert digest(KEY, "1", "a") != digest(b"other", "1", "a")


@pytest.mark.parametrize(
    ("attributes", "field", "value"),
    [
        ({"PresentationIntentType": "FOR PROCESSING"}, "for_processing", True),
        ({"ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]}, "is_synthetic", 1),
        ({"ViewPosition": "RMLO", "ImageLaterality": None}, "side", "R"),
        ({"PartialView": "YES"}, "special", "partial"),
        ({"PaddleDescription": "10CM SPOT"}, "special", "spot"),
        ({"SourceImageSequence": item(ReferencedSOPInstanceUID="1.9")}, "sources", "1.9"),
        ({"Modality": "US"}, "reason", "no mammography"),
        ({"Modality": "CR", "BodyPartExamined": "CHEST"}, "reason", "no mammography"),
        ({"Modality": "CR", "BodyPartExamined": "BREAST"}, "reason", None),
        ({"PhotometricInterpretation": "RGB"}, "reason", "colour"),
        ({"NumberOfFrames": 3}, "reason", "several frames"),
        ({"ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "NONE"]}, "reason",
         "tomosynthesis"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "TOMO_PROJ"]}, "reason", "tomosynthesis"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "ImageType": ["", "TOMO"]}, "reason",
         "tomosynthesis"),
        ({"ImagerPixelSpacing": None}, "spacing_x", None),
        ({"AcquisitionTime": "nonsense"}, "time", ""),
    ],
)  # fmt: skip
def test_what_decides_whether_it_can_be_tracked(tmp_path, attributes, field, value):
    assert getattr(found(tmp_path, **attributes), field) == value


def test_damaged_files_have_a_reason(tmp_path):
    path = write_dicom(tmp_path / "image", PIXELS)
    whole = path.read_bytes()
    for end in range(0, len(whole) - 6144, 37):
        path.write_bytes(whole[:end])
        assert isinstance(read_file(path, KEY, True).reason, str | None)
    path.write_bytes(b"\0" * 5000)
    assert read_file(path, KEY, True).reason == "no DICOM file"
    assert read_file(tmp_path / "nowhere", KEY, True).reason == "no DICOM file"


def test_marks_of_a_report_are_one_lesion_by_a_uid_only(tmp_path):
    outline = [1, 2, 9, 2, 9, 8, 1, 8, 1, 2]
    groups = [
        group(*tracking("1.2.3", "a"), scoord("POLYLINE", outline, "1.1")),
        group(*tracking(None, "a lesion"), scoord("POLYLINE", outline, "1.2")),
        group(scoord("POINT", [5, 6], "1.3")),
    ]
    files = [write_report(tmp_path / name, report(*groups)) for name in ("one", "two")]
    one, two = (read_file(path, KEY, True).marks for path in files)
    assert [mark[0] for mark in one] == ["1.1", "1.2", "1.3"]
    assert one[0][1:5] == (1, 2, 9, 8) and one[2][1:5] == (5, 6, 5, 6)
    assert one[0][5] == two[0][5] != ""
    assert one[1][5] != two[1][5]
    assert one[2][5] == ""
    unread = read_file(files[0], KEY, False)
    assert unread.is_report and unread.marks is None
    files[0].write_bytes(files[0].read_bytes()[:-40])
    assert read_file(files[0], KEY, True).reason == "structured report that cannot be read"

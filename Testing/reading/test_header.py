"""What a header says of a mammogram's view, place and exam."""

from __future__ import annotations

import datetime
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import item, write_dicom
from pydicom.sr._snomed_dict import mapping
from pydicom.sr.codedict import codes

from MammoTrackerLib.mammogram import Header
from MammoTrackerLib.reading.header import _MODIFIERS, _VIEWS


def header(folder: Path, **attributes) -> Header:
    with pydicom.config.disable_value_validation():
        return Header.read(write_dicom(folder / "a.dcm", np.eye(4, dtype=np.uint16), **attributes))


@pytest.mark.parametrize(
    ("text", "laterality", "view", "modifiers"),
    [
        ("LEFT MLO", "L", "MLO", ()),
        ("LMLO", "L", "MLO", ()),
        ("R-CC", "R", "CC", ()),
        ("r cc", "R", "CC", ()),
        ("CC (R)", "R", "CC", ()),
        ("R_CC_2D", "R", "CC", ()),
        ("RIGHT BREAST MLO VIEW", "R", "MLO", ()),
        ("LM", None, "LM", ()),
        ("LML", "L", "ML", ()),
        ("RLM", "R", "LM", ()),
        ("LMO", None, "LMO", ()),
        ("LLMO", "L", "LMO", ()),
        ("XCCL", None, "XCCL", ()),
        ("LXCCM", "L", "XCCM", ()),
        ("Left Cranio-Caudal", "L", "CC", ()),
        ("medio-lateral oblique", None, "MLO", ()),
        ("medio-lateral", None, "ML", ()),
        ("cranio-caudal exaggerated laterally", None, "XCCL", ()),
        ("RMCC", "R", "CC", ("magnified",)),
        ("Spot compression L CC", "L", "CC", ("spot",)),
        ("RT MLO SPOT MAG", "R", "MLO", ("spot", "magnified")),
        ("CCRM", None, "CC", ("rolled",)),
        ("LMLOID", "L", "MLO", ("implant displaced",)),
        ("AT", None, "AT", ("axillary tail",)),
        ("LAT", None, None, ()),
        ("Doe^Jane", None, None, ()),
        ("CC/MLO", None, None, ()),
    ],
)
@pytest.mark.parametrize(
    "keyword", ["ViewPosition", "AcquisitionDeviceProcessingDescription", "SeriesDescription"]
)
def test_views_in_texts(tmp_path, keyword: str, text: str, laterality, view, modifiers):
    attributes = {"ImageLaterality": None, "ViewPosition": None, keyword: text}
    read = header(tmp_path, **attributes)
    assert (read.laterality, read.view, read.modifiers) == (laterality, view, modifiers)


def test_a_text_that_is_too_long_for_a_label_takes_no_time(tmp_path):
    start = time.perf_counter()
    read = header(tmp_path, ViewPosition=None, SeriesDescription="CV" * 400 + "X")
    assert read.view is None
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("side", ["left", "L", "LT", "l "])
def test_sides_in_words(tmp_path, side: str):
    assert header(tmp_path, ImageLaterality=side).laterality == "L"


def test_codes_are_those_of_the_standard():
    for table, cid in ((_VIEWS, codes.cid4014), (_MODIFIERS, codes.cid4015)):
        wanted = {code.value for code in cid.concepts.values()} - {"127457009"}  # a specimen
        wanted |= {mapping["SCT"][code] for code in wanted}
        assert wanted == {code for known in table.values() for code in known[:-1]}


@pytest.mark.parametrize(
    ("code", "scheme", "view"),
    [
        ("399368009", "SCT", "MLO"),
        ("R-10226", "SRT", "MLO"),
        ("R-10242", "SNM3", "CC"),
        ("R-10224", "99SDM", "ML"),
        ("Y", "99X", None),
    ],
)
def test_view_codes(tmp_path, code: str, scheme: str, view: str | None):
    sequence = item(CodeValue=code, CodingSchemeDesignator=scheme)
    assert header(tmp_path, ViewPosition=None, ViewCodeSequence=sequence).view == view


def test_view_code_that_only_its_meaning_tells(tmp_path):
    sequence = item(CodeValue="7", CodingSchemeDesignator="99X", CodeMeaning="cranio-caudal")
    assert header(tmp_path, ViewPosition="", ViewCodeSequence=sequence).view == "CC"


@pytest.mark.parametrize(
    ("attributes", "modifiers"),
    [
        ({}, ()),
        ({"EstimatedRadiographicMagnificationFactor": 1.05}, ()),
        ({"EstimatedRadiographicMagnificationFactor": 1.8}, ("magnified",)),
        ({"PartialView": "YES"}, ("partial",)),
        ({"PartialView": "NO"}, ()),
        ({"PaddleDescription": "10CM SPOT MAG"}, ("spot", "magnified")),
        ({"PaddleDescription": "24X29CM FLEX"}, ()),
        ({"ImageType": ["ORIGINAL", "PRIMARY", ""]}, ()),
        ({"ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]}, ()),
        ({"ImageType": ["DERIVED", "PRIMARY", "POST_CONTRAST", "", "LOW_ENERGY"]}, ()),
        ({"ImageType": ["DERIVED", "PRIMARY", "POST_CONTRAST", "SUBTRACTION", ""]}, ("contrast",)),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "STEREO_SCOUT"]}, ("biopsy",)),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "PREFIRE_MINUS"]}, ("biopsy",)),
        ({"ImageType": ["DERIVED", "PRIMARY", "POSTMARKER", "GENERATED_2D"]}, ("biopsy",)),
    ],
)
def test_modifiers(tmp_path, attributes: dict, modifiers: tuple):
    assert header(tmp_path, **attributes).modifiers == modifiers


@pytest.mark.parametrize(
    ("code", "meaning", "modifier"),
    [
        ("399055006", "?", "spot"),
        ("R-102D7", "?", "spot"),
        ("R-102D5", "?", "implant displaced"),
        ("R-102CA", "?", "rolled"),
        ("7", "Rolled Lateral", "rolled"),
        ("7", "Magnification", "magnified"),
    ],
)
@pytest.mark.parametrize("is_nested", [True, False])
def test_modifier_codes(tmp_path, is_nested: bool, code: str, meaning: str, modifier: str):
    sequence = item(CodeValue=code, CodingSchemeDesignator="SRT", CodeMeaning=meaning)
    if is_nested:
        sequence = item(CodeValue="R-10226", ViewModifierCodeSequence=sequence)
        attributes = {"ViewCodeSequence": sequence}
    else:
        attributes = {"ViewModifierCodeSequence": sequence}
    assert header(tmp_path, **attributes).modifiers == (modifier,)


@pytest.mark.parametrize(
    ("values", "orientation"),
    [
        (["A", "F"], ("A", "F")),
        (["P", "FL"], ("P", "FL")),
        (["p", "hr"], ("P", "HR")),
        (["A", "P"], None),
        (["A", "AR"], None),
        (["LR", "F"], None),
        (["A", "X"], None),
        (["A", ""], None),
        ("MLO", None),
        ("", None),
        (["A", "F", "R"], None),
        (None, None),
    ],
)
def test_orientation(tmp_path, values, orientation):
    attributes = {} if values is None else {"PatientOrientation": values}
    assert header(tmp_path, **attributes).orientation == orientation


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("20081102", datetime.date(2008, 11, 2)),
        ("2008.11.02", datetime.date(2008, 11, 2)),
        ("2008-11-02", datetime.date(2008, 11, 2)),
        ("2008", None),
        ("200811", None),
        ("2008.11", None),
        ("2008.11.00", None),
        ("20080000", None),
        ("2008.1102", None),
        ("20081131", None),
        ("00000000", None),
        ("", None),
    ],
)
def test_dates(tmp_path, text: str, date):
    assert header(tmp_path, StudyDate=text).date == date


def test_date_of_the_acquisition_where_the_study_has_none(tmp_path):
    read = header(tmp_path, StudyDate="2008", AcquisitionDate="2008.11.02")
    assert read.date == datetime.date(2008, 11, 2)
    assert header(tmp_path, StudyDate=None, ContentDate="20221118").date is None

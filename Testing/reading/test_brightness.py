"""Windows and LUTs that the header tells wrongly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import item, write_dicom
from pydicom import uid

from MammoTrackerLib.mammogram import Mammogram

RAMP = (np.arange(1000) * 60).astype(np.uint16)


def read(folder: Path, values: np.ndarray, **attributes) -> Mammogram:
    return Mammogram.read(write_dicom(folder / "a.dcm", values, **attributes))


def likeness(mammogram: Mammogram, values: np.ndarray) -> float:
    return np.corrcoef(mammogram.pixels.ravel(), values.ravel().astype(float))[0, 1]


def with_background(film: np.ndarray) -> np.ndarray:
    """Return tissue from 12000 on, and black air beside it, as a window shows it that misses."""
    values = (film // 16 + 12000).astype(np.uint16)
    values[:, :100] = 0
    return values


@pytest.mark.parametrize(
    "window",
    [
        {"WindowCenter": 3174, "WindowWidth": 2426},
        {"WindowCenter": 60000, "WindowWidth": 100},
        {"WindowCenter": [3174, 60000], "WindowWidth": [2426, 50]},
        {"WindowCenter": 3174, "WindowWidth": 2426, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowCenter": 3174, "WindowWidth": 300, "VOILUTFunction": "SIGMOID"},
    ],
)
def test_window_that_misses_the_pixels_is_left_out(tmp_path, film, window: dict):
    values = with_background(film)
    mammogram = read(tmp_path, values, **window)
    assert np.array_equal(mammogram.pixels, values)
    assert len(mammogram.remarks) == 1


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_window_that_leaves_a_white_silhouette_is_left_out(tmp_path, film, photometric: str):
    """A window of 12 bits beside pixels that were stretched to 16: it shows the air alone."""
    air = np.random.default_rng(0).integers(300, 900, film.shape)
    values = np.where(film < 2000, air, film // 2 + 20000).astype(np.uint16)
    window = {"WindowCenter": 2047, "WindowWidth": 4096}
    if photometric == "MONOCHROME1":
        window["WindowCenter"] = 65535 - 2047
    stored = values if photometric == "MONOCHROME2" else 65535 - values
    mammogram = read(tmp_path, stored, PhotometricInterpretation=photometric, **window)
    assert likeness(mammogram, values) > 0.999
    assert "misses the pixels" in mammogram.remarks[0]


def test_window_may_show_the_air_of_a_negative_white(tmp_path, film):
    values = np.where(film < 2000, 4095, 2000 - film // 40).astype(np.uint16)
    assert not read(tmp_path, values, bits=12, WindowCenter=1200, WindowWidth=1600).remarks


def test_next_window_where_the_first_misses_the_pixels(tmp_path, film):
    values = film // 16
    mammogram = read(
        tmp_path, values, bits=12, WindowCenter=[40000, 2000], WindowWidth=[1000, 4096]
    )
    assert likeness(mammogram, values) > 0.999
    assert mammogram.pixels.max() < 4095
    assert "misses the pixels" in mammogram.remarks[0]


def test_window_where_the_lut_misses_the_pixels(tmp_path, film):
    lut = item()
    lut[0].add_new("LUTDescriptor", "US", [1000, 30000, 16])
    lut[0].add_new("LUTData", "US", RAMP.tolist())
    values = film // 16
    mammogram = read(
        tmp_path, values, bits=12, VOILUTSequence=lut, WindowCenter=2000, WindowWidth=4096
    )
    assert likeness(mammogram, values) > 0.999
    assert mammogram.remarks


@pytest.mark.parametrize("descriptor", [None, [1000, 0, 16]])
def test_a_lut_without_its_data_is_none(tmp_path, film, descriptor):
    lut = item()
    if descriptor:
        lut[0].add_new("LUTDescriptor", "US", descriptor)
    window = {"WindowCenter": 2000, "WindowWidth": 4096}
    with_lut, without = (
        read(tmp_path, film // 16, bits=12, **more, **window)
        for more in ({"VOILUTSequence": lut}, {})
    )
    assert np.array_equal(with_lut.pixels, without.pixels)


def test_good_window_has_no_remark(tmp_path, film):
    assert not read(tmp_path, film // 16, WindowCenter=2000, WindowWidth=3000).remarks


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
@pytest.mark.parametrize(("vr", "first"), [("SS", -300), ("US", 65236)])
@pytest.mark.parametrize("kind", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize("is_signed", [True, False])
def test_first_value_of_a_lut_counts_modulo_65536(
    tmp_path, syntax, vr: str, first: int, kind: str, is_signed: bool
):
    """Values from -300 to 699, by their sign or by a rescale."""
    if kind == "ModalityLUTSequence" and not is_signed:
        pytest.skip("stored values without a sign are not below 0")
    wanted = np.arange(-300, 700).reshape(20, 50)
    values = wanted.astype(np.int16) if is_signed else (wanted + 300).astype(np.uint16)
    lut = item()
    lut[0].add_new("LUTDescriptor", vr, [1000, first, 16])
    lut[0].add_new("LUTData", "OW", RAMP.tobytes())
    attributes = {} if is_signed else {"RescaleSlope": 1, "RescaleIntercept": -300}
    mammogram = read(tmp_path, values, TransferSyntaxUID=syntax, **{kind: lut}, **attributes)
    assert mammogram.pixels.ravel().tolist() == RAMP.tolist()
    assert not mammogram.remarks


def test_first_value_above_32767(tmp_path):
    lut = item()
    lut[0].add_new("LUTDescriptor", "SS", [1000, 40000 - 65536, 16])
    lut[0].add_new("LUTData", "OW", RAMP.tobytes())
    values = np.arange(40000, 41000).astype(np.uint16).reshape(20, 50)
    assert read(tmp_path, values, VOILUTSequence=lut).pixels.ravel().tolist() == RAMP.tolist()


@pytest.mark.parametrize(("vr", "padding"), [("SS", -2000), ("US", 63536)])
def test_padding_of_signed_pixels(tmp_path, vr: str, padding: int):
    values = np.array([[-2000, 5], [7, 9]], dtype=np.int16)
    path = write_dicom(tmp_path / "a.dcm", values)
    header = pydicom.dcmread(path)
    header.add_new("PixelPaddingValue", vr, padding)
    header.save_as(path)
    assert Mammogram.read(path).pixels.tolist() == [[5, 5], [7, 9]]


def test_a_range_of_padding_on_both_sides_of_zero(tmp_path):
    values = np.array([[3, 500], [1000, 900]], dtype=np.int16)
    path = write_dicom(tmp_path / "a.dcm", values)
    header = pydicom.dcmread(path)
    header.add_new("PixelPaddingValue", "SS", -100)
    header.add_new("PixelPaddingRangeLimit", "SS", 50)
    header.save_as(path)
    assert Mammogram.read(path).pixels.tolist() == [[500, 500], [1000, 900]]


def test_padding_of_pixels_whose_sign_is_told_wrongly(tmp_path, film):
    """Unsigned values of 16 bits, told to have a sign; so is what stands for padding."""
    values = np.maximum(film, 1000)
    values[:, -20:] = 65000
    path = write_dicom(tmp_path / "a.dcm", values, PixelRepresentation=1)
    header = pydicom.dcmread(path)
    header.add_new("PixelPaddingValue", "SS", 65000 - 65536)
    header.save_as(path)
    pixels = Mammogram.read(path).pixels
    assert np.array_equal(pixels[:, :-20], values[:, :-20])
    assert (pixels[:, -20:] == 1000).all()

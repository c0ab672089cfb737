"""Bits that the header tells wrongly, frames of another size, and what cannot be decoded."""

from __future__ import annotations

import tempfile
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from dicom_files import write_dicom
from pydicom import uid
from pydicom.encaps import generate_frames

from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.mammogram import Header, Mammogram
from MammoTrackerLib.reading import stored_values


def encoded(syntax: str, values: np.ndarray) -> bytes | None:
    if syntax == uid.JPEG2000Lossless:
        return imagecodecs.jpeg2k_encode(values, level=0, codecformat="J2K", reversible=True)
    if syntax == uid.JPEGLSLossless:
        return imagecodecs.jpegls_encode(values)
    if syntax == uid.JPEGLosslessSV1:
        return imagecodecs.ljpeg_encode(values, bitspersample=16)
    if syntax == uid.HTJ2KLossless:
        return imagecodecs.htj2k_encode(values)
    if syntax == uid.RLELossless:
        with tempfile.TemporaryDirectory() as folder:
            path = write_dicom(Path(folder, "a.dcm"), values, TransferSyntaxUID=syntax)
            return next(generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1))
    return None


SYNTAXES = [
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.RLELossless,
    uid.JPEG2000Lossless,
    uid.JPEGLSLossless,
    uid.JPEGLosslessSV1,
]


def read(path: Path, values: np.ndarray, bits: int, syntax: str, **attributes) -> Mammogram:
    return Mammogram.read(
        write_dicom(
            path / "a.dcm", values, bits, encoded(syntax, values), TransferSyntaxUID=syntax,
            **attributes,
        )
    )  # fmt: skip


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("bit", [12, 15])
def test_overlay_in_unused_bits_is_left_out(tmp_path, film, syntax, bit: int):
    values, overlay = film >> 4, np.zeros_like(film)
    overlay[10:60, 10:60] = 1 << bit
    mammogram = read(tmp_path, values | overlay, 12, syntax)
    assert np.array_equal(mammogram.pixels, values)
    assert "overlay" in mammogram.remarks[0]


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_high_bit_above_the_bits_stored(tmp_path, film, syntax):
    values = film >> 4
    mammogram = read(tmp_path, values << 4, 12, syntax, HighBit=15)
    assert np.array_equal(mammogram.pixels, values)
    assert not mammogram.remarks


def test_high_bit_above_the_bits_stored_and_an_overlay_below(tmp_path, film):
    values = film >> 4
    with_overlay = (values << 4) | (np.arange(values.shape[1]) % 3 == 0).astype(np.uint16)
    mammogram = read(tmp_path, with_overlay, 12, uid.ExplicitVRLittleEndian, HighBit=15)
    assert np.array_equal(mammogram.pixels, values)
    assert mammogram.remarks


def test_wrong_high_bit(tmp_path, film):
    values = film >> 4
    mammogram = read(tmp_path, values, 12, uid.ExplicitVRLittleEndian, HighBit=15)
    assert np.array_equal(mammogram.pixels, values)
    assert "HighBit" in mammogram.remarks[0]


def test_values_in_the_upper_bits_without_a_high_bit_that_says_so(tmp_path, film):
    noise = np.random.default_rng(0).integers(0, 1000, film.shape, np.uint16)
    values = ((film >> 5) + noise) << 4
    mammogram = read(tmp_path, values, 12, uid.ExplicitVRLittleEndian)
    assert np.array_equal(mammogram.pixels, values)
    assert "HighBit" in mammogram.remarks[0]


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("bits", [8, 10])
def test_too_few_bits_stored(tmp_path, film, syntax, bits: int):
    values = film >> 4
    mammogram = read(tmp_path, values, bits, syntax)
    assert np.array_equal(mammogram.pixels, values)
    assert "BitsStored" in mammogram.remarks[0]


@pytest.mark.parametrize("syntax", [uid.JPEGBaseline8Bit, uid.JPEG2000Lossless, uid.JPEGLSLossless])
def test_a_frame_of_8_bits_in_a_file_that_says_12(tmp_path, film, syntax):
    grey = (film >> 8).astype(np.uint8)
    frame = encoded(syntax, grey) or imagecodecs.jpeg8_encode(grey)
    path = write_dicom(tmp_path / "a.dcm", film, 12, frame, TransferSyntaxUID=syntax)
    assert np.abs(Mammogram.read(path).pixels - grey).mean() < 3


@pytest.mark.parametrize(
    ("syntax", "planar"),
    [
        (uid.ExplicitVRLittleEndian, 0),
        (uid.ExplicitVRLittleEndian, 1),
        (uid.RLELossless, 0),
        (uid.JPEG2000Lossless, 0),
        (uid.JPEGLSLossless, 0),
        (uid.JPEGBaseline8Bit, 0),
    ],
)
def test_a_capture_of_three_equal_channels_is_grey(tmp_path, film, syntax, planar: int):
    grey = (film >> 8).astype(np.uint8)
    channels = np.dstack([grey] * 3)
    frame, photometric = None, "RGB"
    if syntax == uid.JPEGBaseline8Bit:
        frame, photometric = imagecodecs.jpeg8_encode(channels), "YBR_FULL_422"
    elif syntax in (uid.JPEG2000Lossless, uid.JPEGLSLossless):
        frame = encoded(syntax, channels)
    plain = np.moveaxis(channels, -1, 0) if planar else channels
    path = write_dicom(
        tmp_path / "a.dcm", grey, TransferSyntaxUID=syntax, SamplesPerPixel=3,
        PlanarConfiguration=planar, PhotometricInterpretation=photometric, frame=frame,
        **({} if frame else {"PixelData": plain.tobytes()}),
    )  # fmt: skip
    assert np.abs(Mammogram.read(path).pixels - grey).mean() < (3 if frame else 0.001)


def test_signed_values_whose_unused_bits_hold_no_sign(tmp_path, film):
    values = (film >> 4).astype(np.int16) - 2048
    mammogram = read(tmp_path, values & 0xFFF, 12, uid.ExplicitVRLittleEndian)
    assert np.array_equal(mammogram.pixels, values)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("is_signed", [False, True])
def test_values_whose_sign_the_header_tells_wrongly(tmp_path, film, syntax, bits, is_signed):
    values = (film >> (16 - bits)).astype(np.int32)
    if is_signed:
        values -= int(values.max() + values.min()) // 2
    stored = (values % 2**bits).astype(np.uint16)
    mammogram = read(tmp_path, stored, bits, syntax, PixelRepresentation=int(not is_signed))
    assert np.array_equal(mammogram.pixels, values)
    assert "PixelRepresentation" in mammogram.remarks[0]


def test_white_labels_in_black_air_are_no_sign(tmp_path, film):
    values = film >> 5
    values[:, :80:2], values[:, 1:80:2] = 0, 4095
    mammogram = read(tmp_path, values, 12, uid.ExplicitVRLittleEndian)
    assert np.array_equal(mammogram.pixels, values)
    assert not mammogram.remarks


def test_a_label_near_full_scale_in_noisy_air_is_no_sign(tmp_path, film):
    rng = np.random.default_rng(0)
    values = (film >> 5) + rng.integers(0, 40, film.shape, np.uint16)
    values[10:40, 270:290:2] = rng.integers(4040, 4090, (30, 10))
    mammogram = read(tmp_path, values, 12, uid.ExplicitVRLittleEndian)
    assert np.array_equal(mammogram.pixels, values)
    assert not mammogram.remarks


@pytest.mark.skipif(
    not hasattr(imagecodecs, "htj2k_encode"), reason="no imagecodecs for Python 3.10 writes it"
)
def test_high_throughput_jpeg_2000(tmp_path, film):
    mammogram = read(tmp_path, film, 16, uid.HTJ2KLossless)
    assert np.array_equal(mammogram.pixels, film)


def test_pydicom_2_reads_headers_and_pixels_say_what_they_need(tmp_path, film, monkeypatch):
    """As in Slicer 5.10 before packages are installed."""
    syntax = uid.JPEGLSLossless
    frame = encoded(syntax, film)
    path = write_dicom(tmp_path / "a.dcm", film, 16, frame, TransferSyntaxUID=syntax)
    for name in ("HTJ2K", "HTJ2KLossless", "HTJ2KLosslessRPCL"):
        monkeypatch.delattr(uid, name)
    monkeypatch.delattr(pydicom.encaps, "generate_frames")
    assert Header.read(path).laterality == "L"
    with pytest.raises(MammoTrackerError, match="install pydicom 3"):
        Mammogram.read(path)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize(
    "change",
    [
        lambda rows, columns: {"Rows": rows - 1},
        lambda rows, columns: {"Rows": rows // 2},
        lambda rows, columns: {"Columns": columns - 1},
        lambda rows, columns: {"Rows": columns, "Columns": rows - 5},
        lambda rows, columns: {"Rows": rows + 1},
    ],
)
def test_frame_of_another_size_is_damaged(tmp_path, film, syntax, change):
    with pytest.raises(MammoTrackerError, match="truncated or damaged"):
        read(tmp_path, film, 16, syntax, **change(*film.shape))


def test_a_file_that_becomes_another_image_meanwhile(tmp_path, film, monkeypatch):
    path = write_dicom(tmp_path / "a.dcm", film)
    decode = stored_values._decoded

    def replaced(header, file):
        write_dicom(file, film[::-1])
        return decode(header, file)

    monkeypatch.setattr(stored_values, "_decoded", replaced)
    with pytest.raises(MammoTrackerError, match="became another image while it was read"):
        Mammogram.read(path)


def test_padded_pixels_are_read(tmp_path, film):
    values = film[:, :-1]
    path = write_dicom(tmp_path / "a.dcm", values, PixelData=values.tobytes() + bytes(6))
    assert np.array_equal(Mammogram.read(path).pixels, values)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"TransferSyntaxUID": "1.2.840.10008.1.2.4.110"}, "TransferSyntaxUID .*JPEG XL"),
        ({"TransferSyntaxUID": "1.2.840.113619.5.2"}, "TransferSyntaxUID"),
        ({"BitsAllocated": 32, "BitsStored": 32}, "BitsAllocated.*8 or 16 bits"),
        ({"BitsStored": 17}, "BitsStored is damaged"),
        ({"Rows": None}, "Rows is missing"),
        ({"Rows": 65000, "Columns": 65000}, "too large"),
        ({"PhotometricInterpretation": None}, "PhotometricInterpretation is missing"),
        ({"PhotometricInterpretation": "Doe^Jane"}, "PhotometricInterpretation is unknown"),
        ({"SamplesPerPixel": 3}, "colour"),
        ({"PhotometricInterpretation": "YBR_FULL"}, "colour"),
    ],
)
def test_the_true_reason_is_said(tmp_path, film, attributes: dict, message: str):
    syntax = attributes.pop("TransferSyntaxUID", None)
    path = write_dicom(tmp_path / "a.dcm", film, **attributes)
    if syntax:
        old = str(uid.ExplicitVRLittleEndian).encode() + b"\0"
        at = path.read_bytes().index(old)
        content = path.read_bytes()
        wanted = syntax.encode() + b"\0" * (len(syntax) % 2)
        length = len(wanted).to_bytes(2, "little")
        path.write_bytes(content[: at - 2] + length + wanted + content[at + len(old) :])
    with pytest.raises(MammoTrackerError, match=message) as raised:
        Mammogram.read(path)
    assert "Jane" not in str(raised.value)


def test_no_room_for_the_temporary_file(tmp_path, film, monkeypatch):
    path = write_dicom(
        tmp_path / "a.dcm", film, frame=encoded(uid.JPEGLSLossless, film),
        TransferSyntaxUID=uid.JPEGLSLossless,
    )  # fmt: skip
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no device that is full")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(MammoTrackerError, match="temporary file.*TMPDIR"):
        Mammogram.read(path)

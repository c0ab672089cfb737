"""Headers of MHA, NRRD and NIfTI files that ITK must not see."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.mammogram import Mammogram

GREY = np.arange(64 * 96, dtype=np.uint16).reshape(96, 64)


def refused(path: Path, message: str = "truncated or damaged") -> None:
    with pytest.raises(MammoTrackerError, match=message) as raised:
        Mammogram.read(path, spacing=0.5)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def written(path: Path) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(GREY), str(path))
    return path


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("NDims", value) for value in ("100", "-1", "4294967298", "99999999", "0", "2.0", "")),
        *(("DimSize", value) for value in ("64", "64 96 1", "-64 96", "4294967296 4294967296")),
        ("DimSize", "60000 60000"),
        *(("TransformMatrix", f"1 0 {value} 1") for value in ("1e308", "nan", "inf", "x")),
        ("TransformMatrix", "1 0 0"),
        ("Offset", "1e300 0"),
        ("ElementSpacing", "nan 1"),
        ("ElementType", "MET_ASCII_CHAR"),
        ("ElementDataFile", "LIST"),
        ("ElementDataFile", "/etc/passwd"),
        ("ElementDataFile", "../a.raw"),
        ("ElementDataFile", "b.raw"),
        ("ElementDataFile", "a%03d.raw 1 9 1"),
    ],
)
def test_meta_image(tmp_path, field: str, value: str):
    path = written(tmp_path / "a.mhd")
    lines = path.read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(field))
    lines[at] = f"{field} = {value}"
    path.write_text("\n".join(lines) + "\n")
    refused(path, "truncated or damaged|too large|names another file")


def test_meta_image_with_a_field_twice(tmp_path):
    path = written(tmp_path / "a.mha")
    path.write_bytes(b"NDims = 2\n" + path.read_bytes())
    refused(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dimension", "100"),
        ("dimension", "-1"),
        ("sizes", "64"),
        ("sizes", "60000 60000"),
        ("sizes", "4294967296 4294967296"),
        ("type", "block"),
        ("type", "x" * 5000),
        ("encoding", "other"),
        ("space directions", "(1e308,0) (0,1)"),
        ("space origin", "(nan,0)"),
        ("byte skip", "99999999999"),
        ("data file", "/etc/passwd"),
        ("datafile", "../a.raw"),
        ("data file", "LIST"),
        ("data file", "a%03d.raw 1 9 1"),
    ],
)
def test_nrrd(tmp_path, field: str, value: str):
    path = written(tmp_path / "a.nhdr")
    lines = [
        line for line in path.read_text().strip().splitlines()
        if line.split(":")[0].replace(" ", "") != field.replace(" ", "")
    ]  # fmt: skip
    path.write_text("\n".join([*lines, f"{field}: {value}", ""]))
    refused(path, "truncated or damaged|too large|names another file|not an image")


@pytest.mark.parametrize(
    ("at", "form", "values"),
    [
        (40, "2h", (100, 64)),
        (40, "2h", (-1, 64)),
        (40, "3h", (2, -64, 96)),
        (40, "3h", (2, 32000, 32000)),
        (40, "8h", (7, 32000, 32000, 32000, 32000, 32000, 32000, 32000)),
        (70, "2h", (1536, 128)),
        (70, "2h", (512, 8)),
        (80, "f", (float("nan"),)),
        (80, "f", (1e30,)),
        (108, "f", (3e9,)),
        (108, "f", (float("nan"),)),
        (280, "f", (1e30,)),
        (344, "4s", (b"ni1\0",)),
    ],
)
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_nifti(tmp_path, name: str, at: int, form: str, values: tuple):
    content = bytearray(written(tmp_path / "whole.nii").read_bytes())
    struct.pack_into("<2h", content, 252, 1, 1)
    struct.pack_into(f"<{form}", content, at, *values)
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    refused(path, "truncated or damaged|too large")


@pytest.mark.parametrize(
    ("name", "data"), [("a.mhd", "a.raw"), ("a.nhdr", "a.raw"), ("a.hdr", "a.img")]
)
def test_pixels_in_a_file_of_their_own(tmp_path, name: str, data: str):
    path = written(tmp_path / name)
    assert np.array_equal(Mammogram.read(path, spacing=0.5).pixels, GREY)
    moved = (tmp_path / data).rename(tmp_path / "elsewhere")
    refused(path, "is missing")
    (tmp_path / data).symlink_to(moved)
    refused(path, "no regular file")
    (tmp_path / data).unlink()
    os.mkfifo(tmp_path / data)
    refused(path, "no regular file")


def test_compressed_bytes_beyond_the_image_are_not_unpacked(tmp_path):
    """Only as many are counted as the header asks for, so that a bomb does not go off."""
    content = written(tmp_path / "a.nii").read_bytes()
    path = tmp_path / "b.nii.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(content)
        for _ in range(16):
            file.write(bytes(2**24))
    assert np.array_equal(Mammogram.read(path, spacing=0.5).pixels, GREY)


def test_dicom_without_a_preamble_that_is_called_img(tmp_path, film):
    from dicom_files import write_dicom

    path = write_dicom(tmp_path / "a.img", film)
    path.write_bytes(path.read_bytes()[132:])
    assert np.array_equal(Mammogram.read(path).pixels, film)

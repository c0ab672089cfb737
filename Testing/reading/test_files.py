"""Files that cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import write_dicom

from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.mammogram import Mammogram


def test_missing_file(tmp_path):
    with pytest.raises(MammoTrackerError, match="no file .*nothing.dcm"):
        Mammogram.read(tmp_path / "nothing.dcm")


def test_folder(tmp_path):
    with pytest.raises(MammoTrackerError, match="is a folder"):
        Mammogram.read(tmp_path)


def test_impossible_name():
    with pytest.raises(MammoTrackerError, match="name is not valid"):
        Mammogram.read("a\0b.dcm")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello", "not an image"),
        (b"hello\n" * 1000, "not an image"),
        (bytes(5000), "not an image"),
        (np.random.default_rng(0).bytes(5000), "not an image"),
        (bytes(128) + b"DICM", "not an image"),
        (bytes(128) + b"DICM" + b"junk" * 100, "not an image|damaged"),
        (b"\xff\xd8\xff\xe0 no JPEG", "not an image"),
    ],
)
@pytest.mark.parametrize("name", ["a.dcm", "a.png", "a"])
def test_not_an_image(tmp_path, content: bytes, message: str, name: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MammoTrackerError, match=message):
        Mammogram.read(tmp_path / name, spacing=0.07)


def test_no_permission(tmp_path, film, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    path = write_dicom(tmp_path / "a.dcm", film)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(MammoTrackerError, match="Cannot open .*: Permission denied"):
        Mammogram.read(path)

"""Files that cannot be read."""

from __future__ import annotations

import os
import socket
import traceback
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import SECRETS, write_dicom
from pydicom.uid import DeflatedExplicitVRLittleEndian

from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.mammogram import Header, Mammogram


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


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    "make", [os.mkfifo, make_socket, lambda path: path.symlink_to("/dev/zero")]
)
def test_what_never_ends_is_refused_at_once(tmp_path, make):
    path = tmp_path / "a.dcm"
    make(path)
    for read in (Mammogram.read, Header.read):
        with pytest.raises(MammoTrackerError, match="a pipe or a device"):
            read(path)


@pytest.mark.parametrize("name", [b"caf\xe9.png", b"new\nline.png", b"\x1b[31m.png"])
@pytest.mark.parametrize("is_whole", [True, False])
def test_odd_names(tmp_path, film, name: bytes, is_whole: bool):
    path = tmp_path / "a.png"
    sitk.WriteImage(sitk.GetImageFromArray(film), str(path))
    if not is_whole:
        path.write_bytes(path.read_bytes()[:-500])
    os.rename(path, os.path.join(os.fsencode(tmp_path), name))
    path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))
    if is_whole:
        assert np.array_equal(Mammogram.read(path, spacing=0.07).pixels, film)
        return
    with pytest.raises(MammoTrackerError) as raised:
        Mammogram.read(path, spacing=0.07)
    assert str(raised.value).isprintable()
    str(raised.value).encode()


def test_zeros_are_refused_at_once(tmp_path):
    path = tmp_path / "a.dcm"
    with path.open("wb") as file:
        file.truncate(10**9)
    with pytest.raises(MammoTrackerError, match="not an image"):
        Mammogram.read(path)


def test_deflated_file_that_fills_the_memory(tmp_path, film):
    """Some MB that become 500."""
    path = write_dicom(tmp_path / "a.dcm", film, TransferSyntaxUID=DeflatedExplicitVRLittleEndian)
    content = path.read_bytes()
    begin = 144 + int.from_bytes(content[140:144], "little")
    deflate = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    stream = deflate.compress(zlib.decompress(content[begin:], -zlib.MAX_WBITS))
    stream += deflate.compress(bytes.fromhex("e17f1000") + b"OB\0\0\xfe\xff\xff\xff")
    stream += b"".join(deflate.compress(bytes(2**24)) for _ in range(32)) + deflate.flush()
    path.write_bytes(content[:begin] + stream)
    with pytest.raises(MammoTrackerError, match="too large"):
        Mammogram.read(path)


def test_damaged_length_before_the_name(tmp_path, film):
    """The modality's value runs on into the patient's name: nothing of it is said."""
    path = write_dicom(tmp_path / "a.dcm", film)
    content = bytearray(path.read_bytes())
    content[content.index(b"\x08\0\x60\0CS") + 7] = 1
    path.write_bytes(content)
    for read in (Mammogram.read, Header.read):
        with pytest.raises(MammoTrackerError) as raised:
            read(path)
        said = "".join(traceback.format_exception(raised.value))
        assert not [secret for secret in SECRETS if secret in said]
        assert str(raised.value).isprintable()

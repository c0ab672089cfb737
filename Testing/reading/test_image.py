"""Images that are no DICOM."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.mammogram import Mammogram


@pytest.fixture
def grey(film) -> np.ndarray:
    return (film >> 8).astype(np.uint8)


def write_image(path: Path, array: np.ndarray, spacing=None, is_vector: bool = False) -> Path:
    image = sitk.GetImageFromArray(array, isVector=is_vector)
    if spacing:
        image.SetSpacing(spacing)
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.nii", "a.nii.gz", "a.nrrd", "a.mha"])
@pytest.mark.parametrize("bits", [8, 16])
def test_image(tmp_path, film, grey, name: str, bits: int):
    array = grey if bits == 8 else film
    mammogram = Mammogram.read(write_image(tmp_path / name, array), spacing=(0.1, 0.2))
    assert np.array_equal(mammogram.pixels, array)
    assert mammogram.spacing == (0.1, 0.2)
    assert (mammogram.laterality, mammogram.view, mammogram.date) == (None, None, None)


def test_an_uncompressed_nifti_file_beside_a_compressed_one_is_another_image(tmp_path, film):
    path = write_image(tmp_path / "a.nii.gz", film, (0.1, 0.1))
    other = write_image(tmp_path / "a.nii", film[::-1].copy(), (0.1, 0.1))
    assert np.array_equal(Mammogram.read(path).pixels, film)
    assert np.array_equal(Mammogram.read(other).pixels, film[::-1])


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "jpeg-called.png"])
def test_jpeg(tmp_path, grey, name: str):
    path = write_image(tmp_path / "a.jpg", grey).rename(tmp_path / name)
    mammogram = Mammogram.read(path, spacing=0.07)
    assert np.abs(mammogram.pixels - grey).mean() < 3


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mha"])
def test_spacing_of_the_file_and_a_given_one(tmp_path, grey, name: str):
    path = write_image(tmp_path / name, grey[None], (0.1, 0.2, 1))
    assert Mammogram.read(path).pixels.shape == grey.shape
    assert Mammogram.read(path).spacing == pytest.approx((0.1, 0.2))
    given = Mammogram.read(path, spacing=0.3)
    assert given.spacing == (0.3, 0.3) and "another size" in given.remarks[0]
    assert not Mammogram.read(path, spacing=(0.1, 0.2)).remarks


@pytest.mark.parametrize(
    ("name", "spacing"),
    [("a.png", (0.1, 0.1)), ("a.tif", (0.1, 0.1)), ("a.jpg", None), ("a.nrrd", None)],
)
def test_image_that_cannot_be_believed_about_spacing(tmp_path, grey, name, spacing):
    path = write_image(tmp_path / name, grey, spacing)
    with pytest.raises(MammoTrackerError, match="give the spacing in mm"):
        Mammogram.read(path)


@pytest.mark.parametrize("channels", [3, 4])
def test_grey_stored_as_color(tmp_path, grey, channels: int):
    array = np.repeat(grey[..., None], channels, axis=-1)
    array[..., 3:] = 255
    path = write_image(tmp_path / "a.png", array, is_vector=True)
    assert np.array_equal(Mammogram.read(path, spacing=0.07).pixels, grey)


def test_color_image_is_refused(tmp_path, grey):
    array = np.stack([grey, 255 - grey, grey], axis=-1)
    path = write_image(tmp_path / "a.png", array, is_vector=True)
    with pytest.raises(MammoTrackerError, match="colour"):
        Mammogram.read(path, spacing=0.07)


def test_tiff_with_white_as_least_is_inverted(tmp_path, grey):
    path = write_image(tmp_path / "a.tif", grey)
    content = bytearray(path.read_bytes())
    entry = content.index((262).to_bytes(2, "little") + (3).to_bytes(2, "little"))
    content[entry + 8] = 0
    path.write_bytes(content)
    pixels = Mammogram.read(path, spacing=0.07).pixels
    assert np.array_equal(pixels, grey.max() - grey.astype(float))


def test_several_slices_are_refused(tmp_path, grey):
    path = write_image(tmp_path / "a.nrrd", np.stack([grey, grey]), (0.1, 0.1, 1))
    with pytest.raises(MammoTrackerError, match="several slices"):
        Mammogram.read(path)


def test_one_row_is_no_image(tmp_path, grey):
    path = write_image(tmp_path / "a.nrrd", grey[:1], (0.1, 0.1))
    with pytest.raises(MammoTrackerError, match="no image"):
        Mammogram.read(path)


def test_black_image_is_refused(tmp_path, grey):
    """And the file is named: of thirty exams, one could not tell which it is."""
    path = write_image(tmp_path / "a.png", grey * 0)
    with pytest.raises(MammoTrackerError, match=rf"^In {path}: The image is empty"):
        Mammogram.read(path, spacing=0.07)


@pytest.mark.parametrize(
    "name", ["a.png", "a.tif", "a.jpg", "a.nii", "a.nii.gz", "a.nrrd", "a.mha"]
)
@pytest.mark.parametrize("share", [0.6, 0.99])
def test_truncated_image_is_refused(tmp_path, grey, name: str, share: float):
    path = write_image(tmp_path / name, grey)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(MammoTrackerError, match="truncated|not an image"):
        Mammogram.read(path, spacing=0.07)


@pytest.mark.parametrize("name", ["a.nii", "a.nrrd", "a.mha"])
@pytest.mark.parametrize("kind", ["complex", "two", "three"])
def test_several_values_per_pixel_are_refused(tmp_path, grey, name: str, kind: str):
    if kind == "complex":
        array = grey + 1j * grey[::-1]
    else:
        array = np.stack([grey] * (2 if kind == "two" else 3), axis=-1).astype(np.float32)
    path = write_image(tmp_path / name, array, (0.1, 0.1), is_vector=kind != "complex")
    with pytest.raises(MammoTrackerError, match="complex numbers|several values per pixel"):
        Mammogram.read(path)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_grey_and_alpha(tmp_path, grey, name: str):
    alpha = np.full_like(grey, 200)
    Image.fromarray(np.dstack([grey, alpha]), "LA").save(tmp_path / name)
    assert np.array_equal(Mammogram.read(tmp_path / name, spacing=0.07).pixels, grey)


@pytest.mark.parametrize("hidden", [(255, 255, 255), (255, 0, 90)])
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("channels", [2, 4])
def test_what_is_transparent_is_not_seen(tmp_path, grey, name, channels, hidden):
    seen, shown = np.ones(grey.shape, bool), grey.copy()
    seen[:, -9:] = False
    shown[~seen] = grey[seen].min()
    stored = np.dstack([grey] * (channels - 1) + [np.where(seen, 130, 0).astype(np.uint8)])
    stored[~seen, :-1] = hidden[: channels - 1]
    Image.fromarray(stored).save(tmp_path / name)
    assert np.array_equal(Mammogram.read(tmp_path / name, spacing=0.07).pixels, shown)


def test_a_grey_value_that_is_transparent(tmp_path, grey):
    """Which PNG gives in a chunk of its own, not as a channel."""
    stored = np.where(grey == grey.min(), 255, np.minimum(grey, 254)).astype(np.uint8)
    Image.fromarray(stored).save(tmp_path / "a.png", transparency=255)
    shown = np.where(stored == 255, stored.min(), stored)
    assert np.array_equal(Mammogram.read(tmp_path / "a.png", spacing=0.07).pixels, shown)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "tif"])
def test_boxes_are_on_what_is_shown(tmp_path, grey, ending: str, orientation: int):
    tags = Image.Exif()
    tags[274] = orientation
    path = tmp_path / f"a.{ending}"
    Image.fromarray(grey).save(path, exif=tags, quality=95)
    if orientation > (4 if ending == "tif" else 1):
        with pytest.raises(MammoTrackerError, match="Orientation"):
            Mammogram.read(path, spacing=0.07)
        return
    shown = {1: grey, 2: grey[:, ::-1], 3: grey[::-1, ::-1], 4: grey[::-1]}[orientation]
    assert np.abs(Mammogram.read(path, spacing=0.07).pixels - shown).mean() < 3


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_a_mirrored_tiff_keeps_its_16_bits(tmp_path, film, orientation: int):
    tags = Image.Exif()
    tags[274] = orientation
    Image.fromarray(film).save(tmp_path / "a.tif", exif=tags)
    shown = {2: film[:, ::-1], 3: film[::-1, ::-1], 4: film[::-1]}[orientation]
    assert np.array_equal(Mammogram.read(tmp_path / "a.tif", spacing=0.07).pixels, shown)


def test_grey_in_tiles_keeps_its_16_bits(tmp_path):
    tile = np.arange(0, 4096, 16, dtype="<u2").reshape(16, 16)
    tags = {256: 16, 257: 16, 258: 16, 259: 1, 262: 1, 277: 1, 322: 16, 323: 16, 324: 256, 325: 512}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    (tmp_path / "a.tif").write_bytes(head.ljust(256, b"\0") + tile.tobytes())
    assert np.array_equal(Mammogram.read(tmp_path / "a.tif", spacing=0.07).pixels, tile)


def test_grey_and_alpha_of_16_bits(tmp_path, film):
    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(np.dstack([film, film])))
    with pytest.raises(MammoTrackerError, match="without transparency"):
        Mammogram.read(path, spacing=0.07)


def test_several_pages_are_refused(tmp_path, grey):
    page = Image.fromarray(grey)
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page])
    with pytest.raises(MammoTrackerError, match="several slices, times or pages"):
        Mammogram.read(tmp_path / "a.tif", spacing=0.07)


@pytest.mark.parametrize("name", ["a.nii", "a.nrrd", "a.mha"])
def test_four_dimensions_are_refused(tmp_path, grey, name: str):
    path = tmp_path / name
    sitk.WriteImage(sitk.JoinSeries([sitk.GetImageFromArray(grey[None])] * 2), str(path))
    with pytest.raises(MammoTrackerError, match="several slices, times"):
        Mammogram.read(path, spacing=0.07)


def test_image_that_claims_too_much(tmp_path, grey):
    path = write_image(tmp_path / "a.png", grey)
    content = bytearray(path.read_bytes())
    content[16:24] = (60000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(MammoTrackerError, match="too large"):
        Mammogram.read(path, spacing=0.005)

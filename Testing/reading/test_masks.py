"""Masks: labels, parts, other resolutions, and what is none."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import write_dicom
from PIL import Image

from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.reading.masks import read_mask

SIZE = 120, 160  # columns, rows
FIRST, SECOND = (10, 20, 30, 50), (60, 100, 75, 110)


def mask(first=1, second=1, size=SIZE, dtype=np.uint8) -> np.ndarray:
    pixels = np.zeros(size[::-1], dtype)
    for (x0, y0, x1, y1), value in ((FIRST, first), (SECOND, second)):
        pixels[y0:y1, x0:x1] = value
    return pixels


def write(path, pixels: np.ndarray):
    sitk.WriteImage(sitk.GetImageFromArray(pixels), str(path))
    return path


@pytest.mark.parametrize("name", ["a.png", "a.nrrd", "a.nii.gz", "a.nii", "a.mha", "a.tif"])
@pytest.mark.parametrize("values", [(1, 1), (255, 255), (1, 2), (3, 200)])
def test_labels_and_parts(tmp_path, name, values):
    boxes, remarks = read_mask(write(tmp_path / name, mask(*values)), SIZE)
    assert sorted(boxes) == [FIRST, SECOND] and remarks == []


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32, np.float32, np.float64])
def test_every_kind_of_number(tmp_path, dtype):
    for shape in (SIZE[::-1], (1, *SIZE[::-1])):
        path = write(tmp_path / "a.nrrd", mask(7, 9, dtype=dtype).reshape(shape))
        assert read_mask(path, SIZE)[0] == [FIRST, SECOND]


def test_the_parts_of_a_label_are_one_lesion(tmp_path):
    pixels = mask(1, 1)
    pixels[5:9, 100:110] = 2
    boxes, _ = read_mask(write(tmp_path / "a.png", pixels), SIZE)
    assert boxes == [(10, 20, 75, 110), (100, 5, 110, 9)]


def test_parts_touch_at_corners(tmp_path):
    pixels = np.zeros(SIZE[::-1], np.uint8)
    pixels[10:15, 10:15] = pixels[15:20, 15:20] = 1
    assert read_mask(write(tmp_path / "a.png", pixels), SIZE)[0] == [(10, 10, 20, 20)]


def test_specks_are_left_out_and_counted(tmp_path):
    pixels = mask(1, 1)
    pixels[150, 5] = pixels[2:4, 2:20] = 1
    boxes, remarks = read_mask(write(tmp_path / "a.png", pixels), SIZE)
    assert len(boxes) == 2
    assert remarks == ["2 of the mask's parts are under 3 pixels: left out."]


@pytest.mark.parametrize(
    ("mode", "first", "second"),
    [
        ("1", 1, 1),
        ("P", 1, 2),
        ("RGB", (255, 255, 255), (255, 255, 255)),
        ("RGB", (255, 0, 0), (0, 255, 0)),
        ("RGB", (0, 0, 1), (0, 1, 0)),
        ("RGBA", (255, 0, 0, 255), (0, 255, 0, 9)),
        ("LA", (9, 255), (200, 255)),
    ],
)
def test_png_files_of_every_kind(tmp_path, mode, first, second):
    image = Image.new(mode, SIZE)
    if mode == "P":
        image.putpalette([0, 0, 0, 9, 9, 9, 255, 0, 0])
    for (x0, y0, x1, y1), value in ((FIRST, first), (SECOND, second)):
        image.paste(value, (x0, y0, x1, y1))
    image.save(tmp_path / "a.png")
    assert sorted(read_mask(tmp_path / "a.png", SIZE)[0]) == [FIRST, SECOND]


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colours_of_16_bits_lose_no_lesion(tmp_path, channels):
    """Pillow keeps the higher byte alone, so that 1 would be as black as 0."""
    pixels = np.zeros((*SIZE[::-1], channels), np.uint16)
    for (x0, y0, x1, y1), value in ((FIRST, 1), (SECOND, 256)):
        pixels[y0:y1, x0:x1, 0] = value
    if channels != 3:
        pixels[..., -1] = 65535
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(pixels))
    with pytest.raises(MammoTrackerError, match="16 bits.*save the mask as grey values"):
        read_mask(tmp_path / "a.png", SIZE)


def test_what_is_transparent_is_no_lesion(tmp_path):
    """As painted on a transparent layer: everything is red, and the lesion opaque."""
    image = Image.new("RGBA", SIZE, (255, 0, 0, 0))
    image.paste((255, 0, 0, 255), FIRST)
    image.save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png", SIZE)[0] == [FIRST]


def test_a_palette_in_any_order(tmp_path):
    image = Image.new("P", SIZE, 1)
    image.putpalette([255, 255, 255, 0, 0, 0])
    image.paste(0, FIRST)
    image.save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png", SIZE)[0] == [FIRST]


@pytest.mark.parametrize("kind", ["resized", "antialiased", "from JPEG"])
@pytest.mark.parametrize("radius", [5, 12, 25])
def test_the_edges_of_a_smoothed_mask_are_no_lesions(tmp_path, kind, radius):
    y, x = np.mgrid[:640, :480] / 2
    disc = Image.fromarray(255 * (np.hypot(x - 60, y - 70) < radius).astype(np.uint8))
    if kind == "resized":
        disc = disc.resize((60, 80), Image.NEAREST).resize((120, 160), Image.BILINEAR)
    elif kind == "antialiased":
        disc = disc.resize((120, 160), Image.BOX)
    else:
        disc.resize((120, 160), Image.NEAREST).save(tmp_path / "a.jpg")
        disc = Image.open(tmp_path / "a.jpg")
    disc.save(tmp_path / "a.png")
    (box,), remarks = read_mask(tmp_path / "a.png", SIZE)
    x, y = 30, 35  # of the 120 x 160 pixels
    assert np.allclose(
        2 * np.subtract(box, (x, y, x, y)), np.array([-1, -1, 1, 1]) * radius, atol=2
    )
    assert remarks[0].startswith("The mask's edges are smoothed")


def test_a_mask_of_several_values_that_was_smoothed_is_none(tmp_path):
    smooth = Image.fromarray(mask(100, 200)[::2, ::2].copy()).resize(SIZE, Image.BILINEAR)
    smooth.save(tmp_path / "a.png")
    with pytest.raises(MammoTrackerError, match="no mask of lesions.* save it without smoothing"):
        read_mask(tmp_path / "a.png", SIZE)


def test_a_mask_as_a_jpeg_file(tmp_path):
    Image.fromarray(mask(255, 255)).save(tmp_path / "a.jpg", quality=75)
    assert sorted(read_mask(tmp_path / "a.jpg", SIZE)[0]) == [FIRST, SECOND]


def test_a_mask_as_a_dicom_file(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", mask(255, 255))
    assert read_mask(path, SIZE) == ([FIRST, SECOND], [])


def test_single_calcifications_are_no_lesions_each(tmp_path):
    pixels = np.zeros(SIZE[::-1], np.uint8)
    for row, column in np.ndindex(11, 11):
        pixels[row * 8 :, column * 8 :][:4, :4] = 1
    with pytest.raises(MammoTrackerError, match="121 places.* a cluster of calcifications as one"):
        read_mask(write(tmp_path / "a.png", pixels), SIZE)


def test_labels_that_touch_are_lesions(tmp_path):
    pixels = np.zeros(SIZE[::-1], np.uint8)
    pixels[10:40, 10:40] = 1
    pixels[10:40, 40:43] = 2  # as thin as a lesion may be
    pixels[20:30, 20:30] = 3  # within the first
    pixels[15, 15] = 4  # painted by accident
    pixels[60:63, 60:90:2] = 5  # dotted, beside none
    boxes, remarks = read_mask(write(tmp_path / "a.png", pixels), SIZE)
    assert boxes == [(10, 10, 40, 40), (40, 10, 43, 40), (20, 20, 30, 30), (60, 60, 89, 63)]
    assert remarks == ["1 of the mask's parts are under 3 pixels: left out."]


@pytest.mark.parametrize("size", [(240, 320), (60, 80), (480, 640)])
def test_another_resolution_is_scaled_and_said(tmp_path, size):
    path = write(tmp_path / "a.png", mask(1, 1))
    boxes, remarks = read_mask(path, size)
    factor = size[0] / SIZE[0]
    assert boxes == [tuple(v * factor for v in FIRST), tuple(v * factor for v in SECOND)]
    assert remarks == [
        f"The mask has another resolution than its image: its boxes were scaled by {factor:.4g}."
    ]


def test_a_mask_too_small_to_tell_its_shape(tmp_path):
    path = write(tmp_path / "a.png", np.ascontiguousarray(mask(1, 1)[::2, ::2]))
    with pytest.raises(MammoTrackerError, match="60 x 80 pixels .* 120 x 160"):
        read_mask(path, SIZE)


def test_resolutions_that_are_rounded_to_whole_pixels(tmp_path):
    pixels = np.zeros((1231, 1000), np.uint8)
    pixels[100:200, 100:200] = 1
    boxes, _ = read_mask(write(tmp_path / "a.png", pixels), (3328, 4096))
    np.testing.assert_allclose(boxes, [[332.8, 332.74, 665.6, 665.48]], atol=0.01)
    with pytest.raises(MammoTrackerError, match="1000 x 1231 pixels .* 3328 x 4084"):
        read_mask(tmp_path / "a.png", (3328, 4084))


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros(SIZE[::-1], np.uint8), "marks nothing"),
        (mask()[:, :-1], "119 x 160 pixels .* 120 x 160"),
        (np.ascontiguousarray(mask().T), "turned by 90 degrees"),
        (1 - mask(), "more than half"),
        (mask() + np.float32(0.5), "no whole numbers"),
        (np.where(mask() > 0, np.nan, 0).astype(np.float32), "no whole numbers"),
        (np.where(mask() > 0, np.inf, 0).astype(np.float32), ""),
        (np.arange(SIZE[0] * SIZE[1]).reshape(SIZE[::-1]) % 977 * (mask() > 0) * 1.0,
         "no mask of lesions"),
        (np.zeros((4, *SIZE[::-1]), np.uint8), "several slices"),
        (np.zeros((*SIZE[::-1], 2), np.uint8), "several slices"),
    ],
)  # fmt: skip
def test_what_is_no_mask(tmp_path, pixels, message):
    path = write(tmp_path / "a.nrrd", pixels)
    if not message:
        assert read_mask(path, SIZE)[0] == [FIRST, SECOND]
        return
    with pytest.raises(MammoTrackerError, match=message):
        read_mask(path, SIZE)


def test_other_files(tmp_path):
    (tmp_path / "a.txt").write_text("This is text.")
    with pytest.raises(MammoTrackerError, match="not an image"):
        read_mask(tmp_path / "a.txt", SIZE)
    with pytest.raises(MammoTrackerError, match="no file"):
        read_mask(tmp_path / "b.png", SIZE)
    write(tmp_path / "c.png", mask())
    (tmp_path / "c.png").write_bytes((tmp_path / "c.png").read_bytes()[:-40])
    with pytest.raises(MammoTrackerError, match="truncated"):
        read_mask(tmp_path / "c.png", SIZE)


def test_a_mammogram_is_no_mask(tmp_path, film):
    Image.fromarray((film >> 8).astype(np.uint8)).save(tmp_path / "a.jpg")
    for path in (write(tmp_path / "a.png", film), tmp_path / "a.jpg"):
        with pytest.raises(MammoTrackerError, match="mask"):
            read_mask(path, film.shape[::-1])

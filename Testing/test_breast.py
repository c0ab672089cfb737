"""Where the breast is in an image."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from MammoTrackerLib.box import Box
from MammoTrackerLib.breast import (
    breast_mask,
    breast_share,
    is_negative,
    wall_is_left,
    without_frame,
    without_outliers,
)


def test_wall_is_where_the_breast_is() -> None:
    y, x = np.mgrid[:100, :75] * 4
    image = np.where((x / 130) ** 2 + ((y - 190) / 170) ** 2 < 1, 400.0, 0.0)
    assert wall_is_left(image)
    assert not wall_is_left(image[:, ::-1])
    label = image.copy()
    label[5:15, 60:74] = 5000
    assert wall_is_left(label), "a bright label at the other side is no breast"
    assert wall_is_left(np.zeros((10, 10))), "left, if one cannot say"


def half_disk() -> np.ndarray:
    """Draw a breast of 200 x 150 mm at the left."""
    y, x = np.mgrid[:200, :150]
    grain = np.random.default_rng(0).uniform(0, 60, (200, 150))
    return np.where((x / 80) ** 2 + ((y - 95) / 75) ** 2 < 1, 400.0 + grain, grain / 20)


@pytest.mark.parametrize("sides", ["l", "r", "t", "b", "lr", "tbr", "ltrb"])
@pytest.mark.parametrize(("mm", "black"), [(3, 0), (6, 0), (10, 0), (4, 4)])
def test_a_frame_is_cut_off(sides: str, mm: int, black: int) -> None:
    image = half_disk()
    ends = {"l": np.s_[:, black : black + mm], "t": np.s_[black : black + mm]}
    far = black + mm
    ends |= {"r": np.s_[:, 150 - far : 150 - black], "b": np.s_[200 - far : 200 - black]}
    for side in sides:
        image[ends[side]] = 1000
    rows, columns = without_frame(image)
    found = {"l": columns.start, "r": 150 - columns.stop, "t": rows.start, "b": 200 - rows.stop}
    for side, width in found.items():
        assert (mm + black <= width <= mm + black + 2) if side in sides else width == 0
    inner = breast_mask(half_disk())[rows, columns]
    assert (breast_mask(image)[rows, columns] != inner).mean() < 0.01
    assert breast_mask(image).sum() == breast_mask(image)[rows, columns].sum()


@pytest.mark.parametrize("level", [80, 150, 300])
@pytest.mark.parametrize("sides", ["r", "tb", "tbr", "ltrb"])
@pytest.mark.parametrize("mm", [5, 12])
def test_a_grey_frame_is_cut_off(level: float, sides: str, mm: int) -> None:
    image, right = half_disk(), breast_mask(half_disk())
    ends = {"l": np.s_[:, :mm], "t": np.s_[:mm], "r": np.s_[:, -mm:], "b": np.s_[-mm:]}
    for side in sides:
        image[ends[side]] = level
        right[ends[side]] = False
    assert (breast_mask(image) != right).mean() < 0.02


def test_without_a_frame_nothing_is_cut_off() -> None:
    image = half_disk()
    assert image[without_frame(image)].shape == image.shape


@pytest.mark.parametrize("value", [-(2**15), -50, 0])
@pytest.mark.parametrize("sides", ["l", "r", "t", "b", "ltrb"])
def test_padding_lower_than_the_air_is_no_air(sides: str, value: float) -> None:
    image, right = half_disk() + 100, breast_mask(half_disk())
    ends = {"l": np.s_[:, :7], "t": np.s_[:25], "r": np.s_[:, -20:], "b": np.s_[-9:]}
    for side in sides:
        image[ends[side]] = value
        right[ends[side]] = False
    rows, columns = without_frame(image)
    found = {"l": columns.start, "r": 150 - columns.stop, "t": rows.start, "b": 200 - rows.stop}
    assert found == {
        s: n + 1 if s in sides else 0 for s, n in zip("ltrb", (7, 25, 20, 9), strict=True)
    }
    assert (breast_mask(image) != right).mean() < 0.02, "the air is not breast"


def test_padding_that_is_air_is_not_cut_off() -> None:
    image = np.where(half_disk() > 100, half_disk(), 0)
    padded = np.pad(image, ((0, 30), (0, 40)))
    assert padded[without_frame(padded)].shape == padded.shape


@pytest.mark.parametrize("value", [-(2.0**15), -200, 2.0**16, 1e30, -1e30])
def test_dead_and_hot_pixels_move_no_outline(value: float) -> None:
    image, right = half_disk() + 100, breast_mask(half_disk())
    for row, column in ((3, 140), (90, 30), (150, 149), (199, 5)):
        image[row, column] = value
    assert (breast_mask(image) != right).mean() < 0.01


def test_labels_far_brighter_than_tissue_are_no_breast() -> None:
    image, right = half_disk(), breast_mask(half_disk())
    image[10:12, 120:140] = image[10:26, 130:132] = 60000
    assert (breast_mask(image) != right).mean() < 0.01


@pytest.mark.parametrize("label", [0, 1000])
def test_a_negative_has_the_outline_of_its_positive(label: float) -> None:
    image = half_disk()
    image[10:20, 100:130] += label
    assert is_negative(4095 - image)
    assert not is_negative(image)
    assert (breast_mask(4095 - image) == breast_mask(image)).mean() > 0.99


def test_a_saturated_breast_is_no_negative() -> None:
    image = np.minimum(half_disk(), 350)
    assert not is_negative(image)
    assert not is_negative(image[50:140, :70]), "with little air"


def test_a_frame_that_is_too_wide_to_be_known_is_no_negative() -> None:
    assert not is_negative(np.pad(half_disk()[:, :90], 40, constant_values=1000))


def test_without_outliers_nothing_is_clipped() -> None:
    image = half_disk()
    image[10:25, 120:140] = 1500
    assert without_outliers(image) is image


def test_an_image_without_air_is_all_breast() -> None:
    tissue = 400 + 300 * np.sin(np.arange(120) / 9)[:, None] * np.cos(np.arange(80) / 7)
    assert breast_mask(tissue).all()


def test_dim_fog_beside_the_breast_is_no_breast() -> None:
    image = half_disk()
    image[:, 100:] += 25
    assert not breast_mask(image)[:, 100:].any()


def test_share_of_a_box_in_the_breast() -> None:
    breast, factor = np.zeros((100, 100), bool), np.array([10, 5])
    breast[:, :50] = True  # to 500 px in x; what is 20 px farther counts too
    assert breast_share(Box(100, 100, 200, 150), breast, factor) == 1
    assert breast_share(Box(600, 100, 700, 150), breast, factor) == 0
    assert breast_share(Box(470, 100, 570, 150), breast, factor) == pytest.approx(0.5)
    assert breast_share(Box(100, -50, 200, 50), breast, factor) == 1, "only what is on the image"
    assert breast_share(Box(-300, 0, -200, 50), breast, factor) == 0
    assert breast_share(Box(101, 100, 103, 102), breast, factor) == 1, "smaller than a pixel"


def beside_turned(scan: np.ndarray, degrees: float, value: float, wide: int = 0) -> np.ndarray:
    """Turn a scan, with so much padding beside it and this value in the corners."""
    scan = np.pad(scan, wide, constant_values=-1e6)
    turned = ndimage.rotate(scan, degrees, reshape=False, order=0, cval=-1e6)
    return np.where(turned < -1000, value, turned)


@pytest.mark.parametrize("wide", [0, 12])
@pytest.mark.parametrize("value", [-(2**15), 0])
@pytest.mark.parametrize("degrees", [-8, -3, -1, 1, 2, 5, 14])
def test_corners_beside_a_turned_scan_are_no_air(degrees: float, value: float, wide: int) -> None:
    scan = half_disk() + 100
    image = beside_turned(scan, degrees, value, wide)
    right = ndimage.rotate(np.pad(breast_mask(scan), wide), degrees, reshape=False, order=0)
    assert (breast_mask(image) != right).mean() < 0.02, "the air is not breast"
    assert without_outliers(image).min() > 90, "air's value"


@pytest.mark.parametrize("degrees", [-3, 5])
def test_corners_beside_a_turned_negative(degrees: float) -> None:
    image = beside_turned(1000 - half_disk(), degrees, 0)
    right = ndimage.rotate(breast_mask(half_disk()), degrees, reshape=False, order=0)
    assert is_negative(without_outliers(image))
    assert (breast_mask(image) != right).mean() < 0.02


def test_air_in_the_corners_is_no_padding() -> None:
    image = np.where(half_disk() > 100, half_disk(), 0)
    assert without_outliers(image) is image
    cropped = image[20:170, :80]
    assert without_outliers(cropped) is cropped, "cropped to the breast"


@pytest.mark.parametrize("mm", [15, 25, 40, 60])
@pytest.mark.parametrize("lean", [-0.3, 0, 0.2])
def test_black_air_beside_a_small_breast_is_no_padding(mm: float, lean: float) -> None:
    """Its skin is as sharp as can be."""
    y, x = np.mgrid[:250, :200].astype(float)
    tissue = 900 + (7 * x + 13 * y) % 400
    inside = ((x + lean * (y - 120)) / mm) ** 2 + ((y - 120) / mm / 1.3) ** 2 < 1
    wedge = (x < mm * (1 - y / 250)) & (y < 200)
    for image in (np.where(inside, tissue, 0), np.where(wedge, tissue, 0)):
        assert without_outliers(image) is image

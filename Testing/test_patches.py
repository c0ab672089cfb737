"""Patches show the right place of the mammogram, and lead back to it."""

from __future__ import annotations

import numpy as np
import pytest

from MammoTrackerLib.box import Box
from MammoTrackerLib.mammogram import Mammogram
from MammoTrackerLib.patches import (
    PatchFrame,
    block_mean,
    box_mask,
    cut,
    keep_specks,
    network_input,
    normalise,
    reduce_to,
)


def rotation(degrees: float) -> np.ndarray:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, -s], [s, c]])


def dots(shape: tuple[int, int], centers: list[tuple[float, float]], sigma: float) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    image = np.zeros(shape)
    for cx, cy in centers:
        image += np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma**2))
    return image.astype(np.float32)


def centroid(image: np.ndarray) -> np.ndarray:
    """Return x, y of the brightness's centre, in continuous pixels."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    return np.array([(image * x).sum(), (image * y).sum()]) / image.sum()


def test_a_speck_of_one_pixel_survives_the_reduction():
    rng = np.random.default_rng(0)
    image = rng.normal(100, 2, (400, 400)).astype(np.float32)
    image[201, 302] += 30
    kept, mean = keep_specks(image, 4, 4), block_mean(image, 4, 4)
    assert np.unravel_index(kept.argmax(), kept.shape) == (50, 75)
    assert kept[50, 75] - mean[50, 75] > 20
    assert np.median(np.abs(kept - mean)) == 0
    assert (kept > mean + 1).mean() < 0.02, "noise is no speck"


def test_specks_are_sought_in_whole_blocks_and_only_where_blocks_are():
    image = np.arange(7 * 9, dtype=np.float32).reshape(7, 9)
    assert keep_specks(image, 2, 3).shape == (3, 3)
    np.testing.assert_array_equal(keep_specks(image, 1, 1), image)


FRAMES = {
    "plain": PatchFrame.around((812.3, 1503.9), (0.07, 0.07), 44.8, 160),
    "anisotropic": PatchFrame.around((812.3, 1503.9), (0.05, 0.09), 44.8, 160),
    "mirrored": PatchFrame.around((812.3, 1503.9), (0.07, 0.07), 85.12, 304, np.diag([-1, 1])),
    "turned": PatchFrame.around((812.3, 1503.9), (0.05, 0.09), 85.12, 304, rotation(21)),
    "all": PatchFrame.around(
        (812.3, 1503.9), (0.05, 0.09), 85.12, 304, rotation(-33) @ np.diag([-1.2, 0.9])
    ),
}


@pytest.mark.parametrize("name", FRAMES)
def test_points_and_boxes_come_back_to_a_hundredth_pixel(name: str):
    frame = FRAMES[name]
    rng = np.random.default_rng(0)
    points = rng.uniform(-50, 350, (40, 2))
    np.testing.assert_allclose(frame.to_patch(frame.to_image(points)), points, atol=0.01)
    for x, y in points:
        box = Box.from_center(x, y, *rng.uniform(5, 90, 2))
        back = frame.box_to_patch(frame.box_to_image(box))
        np.testing.assert_allclose(back.as_tuple(), box.as_tuple(), atol=0.01)
        image_box = Box.from_center(10 * x, 10 * y, 300, 200)
        back = frame.box_to_image(frame.box_to_patch(image_box))
        np.testing.assert_allclose(back.as_tuple(), image_box.as_tuple(), atol=0.01)


def test_points_keep_their_shape():
    frame = FRAMES["turned"]
    assert frame.to_image(np.zeros(2)).shape == (2,)
    assert frame.to_image(np.zeros((3, 2))).shape == (3, 2)
    assert frame.to_patch(np.zeros((4, 5, 2))).shape == (4, 5, 2)


def test_frame_spans_its_millimetres():
    frame = PatchFrame.around((1000, 2000), (0.05, 0.1), 40, 160)
    np.testing.assert_allclose(frame.to_image(np.array([80.0, 80.0])), (1000, 2000))
    np.testing.assert_allclose(frame.to_image(np.zeros(2)), (1000 - 400, 2000 - 200))
    np.testing.assert_allclose(frame.to_image(np.array([160.0, 160.0])), (1400, 2200))


def test_direction_turns_the_patch():
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    frame = PatchFrame.around((1000, 2000), (0.05, 0.1), 40, 160, quarter)
    # 10 mm to the patch's right are 10 mm down in the image.
    np.testing.assert_allclose(frame.to_image(np.array([120.0, 80.0])), (1000, 2100), atol=1e-9)


def test_box_keeps_its_millimetres():
    frame = PatchFrame.around((500, 500), (0.05, 0.1), 40, 160, rotation(30) @ np.diag([-1, 1]))
    box = PatchFrame.around((500, 500), (0.05, 0.1), 40, 160).box_to_image(
        Box.from_center(80, 80, 40, 20)
    )
    assert box.width * 0.05 == pytest.approx(10)
    assert box.height * 0.1 == pytest.approx(5)
    # Turned by 90 degrees, what is wide in the patch is wide in the patch's own direction.
    turned = PatchFrame.around((500, 500), (0.1, 0.1), 40, 160, rotation(90))
    box = turned.box_to_image(Box.from_center(80, 80, 40, 20))
    assert (box.width, box.height) == pytest.approx((100, 50))
    assert frame.box_to_image(Box.from_center(80, 80, 40, 20)).center == pytest.approx((500, 500))


def test_cut_identity_returns_the_pixels():
    image = np.random.default_rng(1).normal(size=(64, 64)).astype(np.float32)
    frame = PatchFrame(np.array([32.0, 32.0]), np.eye(2), 64)
    patch = cut(image, np.array([1, 1]), frame)
    assert patch.dtype == np.float32
    np.testing.assert_allclose(patch, image, atol=1e-5)


def test_cut_whole_pixels_is_a_window_and_mirrors():
    image = np.random.default_rng(2).normal(size=(90, 120)).astype(np.float32)
    one = np.array([1, 1])
    frame = PatchFrame(np.array([60.0, 40.0]), np.eye(2), 32)
    np.testing.assert_allclose(cut(image, one, frame), image[24:56, 44:76], atol=1e-5)
    mirrored = PatchFrame(np.array([60.0, 40.0]), np.diag([-1.0, 1.0]), 32)
    np.testing.assert_allclose(cut(image, one, mirrored), image[24:56, 75:43:-1], atol=1e-5)


def test_cut_between_pixels_interpolates():
    x, y = np.meshgrid(np.arange(80) + 0.5, np.arange(60) + 0.5)
    plane = (3 * x - 2 * y + 7).astype(np.float32)
    frame = PatchFrame(np.array([40.3, 30.6]), rotation(17) * 0.8, 32)
    patch = cut(plane, np.array([1, 1]), frame)
    u, v = np.meshgrid(np.arange(32) + 0.5, np.arange(32) + 0.5)
    points = frame.to_image(np.stack([u, v], axis=-1))
    np.testing.assert_allclose(patch, 3 * points[..., 0] - 2 * points[..., 1] + 7, atol=1e-3)


def test_cut_outside_the_image_is_zero():
    image = np.ones((50, 50), np.float32)
    frame = PatchFrame(np.array([0.0, 25.0]), np.eye(2), 32)
    patch = cut(image, np.array([1, 1]), frame)
    assert not patch[:, :16].any()
    np.testing.assert_allclose(patch[:, 17:], 1)


@pytest.mark.parametrize("spacing", [(0.07, 0.07), (0.05, 0.08)])
@pytest.mark.parametrize("reduction_mm", [0.0, 0.28])
@pytest.mark.parametrize("shape", [(640, 560), (641, 563)])
def test_a_dot_lands_where_the_frame_says(
    spacing: tuple[float, float], reduction_mm: float, shape: tuple[int, int]
):
    """Also on reduced images, and where the reduction does not divide the size."""
    place = (301.3, 287.6)
    mammogram = Mammogram(dots(shape, [place], 9.0), spacing)
    image, factor = reduce_to(mammogram, reduction_mm)
    frame = PatchFrame.around((290, 300), spacing, 22.4, 80, rotation(13))
    patch = cut(image, factor, frame)
    expected = frame.to_patch(np.array(place))
    assert np.abs(expected - 40).max() > 2
    np.testing.assert_allclose(centroid(patch), expected, atol=0.05)


def test_reduce_to_says_the_factor_of_each_axis():
    mammogram = Mammogram(np.random.default_rng(3).normal(size=(643, 562)), (0.05, 0.07))
    image, factor = reduce_to(mammogram, 0.28)
    assert tuple(factor) == (5, 4)
    assert image.shape == (643 // 4, 562 // 5)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[3, 2], mammogram.pixels[12:16, 10:15].mean(), atol=1e-5)


def test_reduce_to_never_enlarges():
    mammogram = Mammogram(np.random.default_rng(3).normal(size=(30, 20)), 0.5)
    image, factor = reduce_to(mammogram, 0.28)
    assert tuple(factor) == (1, 1)
    np.testing.assert_array_equal(image, mammogram.pixels)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float64])
def test_block_mean_is_the_mean_of_blocks(dtype: type):
    image = np.random.default_rng(4).uniform(0, 65535, (53, 38)).astype(dtype)
    expected = image[:51, :36].astype(float).reshape(17, 3, 9, 4).mean(axis=(1, 3))
    reduced = block_mean(image, 3, 4)
    assert reduced.dtype == np.float32
    np.testing.assert_allclose(reduced, expected, rtol=1e-5)


@pytest.fixture
def tissue() -> tuple[np.ndarray, np.ndarray]:
    """Raw intensities and the share of breast of a patch whose left part is breast."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:160, :160]
    breast = np.clip((110 - x) / 4 + 0.5, 0, 1).astype(np.float32)
    raw = 900 + 4 * y + 150 * np.sin(x / 9.0) + rng.normal(0, 40, (160, 160))
    return (raw * breast).astype(np.float32), breast


def test_normalise_ranges(tissue: tuple[np.ndarray, np.ndarray]):
    raw, breast = tissue
    channels = normalise(raw, breast)
    assert channels.shape == (160, 160, 2)
    assert channels.dtype == np.float32
    contrast, intensity = channels[..., 0], channels[..., 1]
    assert np.abs(contrast).max() <= 1.5
    assert (intensity.min(), intensity.max()) == (-1, 1)
    assert not contrast[breast == 0].any()
    inside = breast > 0.5
    assert 0.15 < contrast[inside].std() < 1
    assert abs(contrast[inside].mean()) < 0.05
    share_at_the_ends = [(intensity[inside] == end).mean() for end in (-1, 1)]
    np.testing.assert_allclose(share_at_the_ends, [0.02, 0.01], atol=0.01)


def test_normalise_takes_away_what_varies_slowly(tissue: tuple[np.ndarray, np.ndarray]):
    raw, breast = tissue
    sloped = raw + 20 * np.arange(160, dtype=np.float32)[:, None] * breast
    middle = np.s_[40:120, 30:80]
    plain, steep = (normalise(image, breast)[middle][..., 0] for image in (raw, sloped))
    assert np.ptp(sloped[middle]) > 2.5 * np.ptp(raw[middle])
    assert np.abs(steep.mean(axis=1)).max() < 0.35
    assert np.corrcoef(plain.ravel(), steep.ravel())[0, 1] > 0.8


@pytest.mark.parametrize(("gain", "offset"), [(3.7, 0), (1, 500), (0.0002, -1)])
def test_normalise_ignores_gain_and_offset(
    tissue: tuple[np.ndarray, np.ndarray], gain: float, offset: float
):
    raw, breast = tissue
    changed = (raw * gain + offset).astype(np.float32)
    inside = breast > 0.5
    np.testing.assert_allclose(
        normalise(changed, breast)[inside], normalise(raw, breast)[inside], atol=0.01
    )


def test_normalise_ignores_what_is_beside_the_breast(tissue: tuple[np.ndarray, np.ndarray]):
    raw, breast = tissue
    labelled = raw.copy()
    labelled[20:60, 130:155] = 65535
    changed = normalise(labelled, breast)
    np.testing.assert_array_equal(changed[..., 0], normalise(raw, breast)[..., 0])
    inside = breast > 0
    np.testing.assert_array_equal(changed[inside], normalise(raw, breast)[inside])


def test_normalise_without_breast_is_empty():
    channels = normalise(np.full((64, 64), 7, np.float32), np.zeros((64, 64), np.float32))
    np.testing.assert_array_equal(channels, np.full((64, 64, 2), (0, -1)))


def test_normalise_of_a_uniform_breast_is_finite():
    channels = normalise(np.full((64, 64), 7, np.float32), np.ones((64, 64), np.float32))
    assert np.isfinite(channels).all()
    assert np.abs(channels[..., 0]).max() < 0.1


@pytest.mark.parametrize(
    ("box", "area"),
    [
        (Box(10, 20, 30, 50), 600),
        (Box(10.25, 20.5, 30.75, 21.25), 20.5 * 0.75),
        (Box(12.2, 5.3, 12.6, 5.9), 0.4 * 0.6),
        (Box(-10, 60, 4.5, 80), 4.5 * 4),
        (Box(70, 0, 80, 5), 0),
    ],
)
def test_box_mask_has_the_area_of_the_box_inside_the_patch(box: Box, area: float):
    mask = box_mask(box, 64)
    assert mask.shape == (64, 64)
    assert mask.dtype == np.float32
    assert mask.sum() == pytest.approx(area, abs=1e-3)
    assert mask.min() >= 0
    assert mask.max() <= 1


def test_box_mask_lies_on_the_box():
    box = Box(10.25, 30.5, 17.5, 52)
    np.testing.assert_allclose(centroid(box_mask(box, 64)), box.center, atol=0.01)
    assert box_mask(box, 64)[40, 10] == pytest.approx(0.75)
    assert box_mask(box, 64)[30, 12] == pytest.approx(0.5)


def test_network_input_stacks_contrast_intensity_and_mask(tissue: tuple[np.ndarray, np.ndarray]):
    raw, breast = tissue
    box = Box(40, 50, 70, 90)
    with_box, without = network_input(raw, breast, box), network_input(raw, breast)
    assert with_box.shape == (160, 160, 3)
    assert with_box.dtype == np.float32
    np.testing.assert_array_equal(with_box[..., :2], normalise(raw, breast))
    np.testing.assert_array_equal(with_box[..., 2], box_mask(box, 160))
    np.testing.assert_array_equal(without[..., :2], with_box[..., :2])
    assert not without[..., 2].any()

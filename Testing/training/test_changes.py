"""What differs between two mammograms: fields, layers, looks, and things laid over them."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from still_scenes import extent

from Training import changes
from Training.changes import Field, cut_edges, random_elastic, random_linear, sample
from Training.sources import Source, generated_source


@pytest.mark.parametrize("warp", [0.0, 1.0])
def test_field_at_a_point_is_the_field_of_the_grid(warp: float):
    rng = np.random.default_rng(3)
    elastic = random_elastic(rng, 160, 44.8, warp)
    field = Field(np.array([31.0, 58.0]), random_linear(rng, warp), elastic, 44.8)
    grid, pixel = field.grid(), 44.8 / 160
    assert grid.shape == (160, 160, 2)
    for row, column in ((1, 1), (80, 80), (20, 131), (158, 7)):
        point = (np.array([column, row]) + 0.5 - 80) * pixel
        found, jacobian = field.at(point)
        np.testing.assert_allclose(found, grid[row, column], atol=1e-3)
        right = (grid[row, column + 1] - grid[row, column - 1]) / (2 * pixel)
        down = (grid[row + 1, column] - grid[row - 1, column]) / (2 * pixel)
        np.testing.assert_allclose(jacobian, np.stack([right, down], axis=1), atol=1e-3)
        step = np.array([0.1, -0.07])
        np.testing.assert_allclose(field.at(point + step)[0], found + jacobian @ step, atol=5e-3)


def test_elastic_displacements_are_smooth_and_still_in_the_middle():
    rng = np.random.default_rng(4)
    largest, slopes = [], []
    for side, patch_mm in ((160, 44.8), (304, 85.12)):
        for _ in range(5):
            field = random_elastic(rng, side, patch_mm, 1.0)
            assert field.shape == (side, side, 2)
            np.testing.assert_array_equal(field[side // 2, side // 2], 0)
            slope = np.abs(np.diff(field, axis=0)).max() / (patch_mm / side)
            slopes.append(slope)
            largest.append(np.abs(field).max())
    assert 1 < np.median(largest) < 15
    assert 0.1 < np.median(slopes) < 1


def test_sample_reads_the_source_at_millimetres():
    rows, columns = np.mgrid[:300, :200].astype("f4")
    grid = np.array([[[10.0, 20.0], [10.05, 30.1]], [[-5.0, 20.0], [10.0, 61.0]]], np.float32)
    # The middle of pixel (row, column) is at (column + 1/2, row + 1/2) * 0.2 mm.
    np.testing.assert_allclose(sample(columns, grid), [[49.5, 49.75], [0, 0]], atol=0.02)
    np.testing.assert_allclose(sample(rows, grid), [[99.5, 150.0], [0, 0]], atol=0.02)


def test_a_tilted_field_keeps_lines_straight_and_can_be_inverted():
    rng = np.random.default_rng(2)
    flat = np.zeros((160, 160, 2), np.float32)
    field = Field(np.array([31.0, 58.0]), random_linear(rng, 1), flat, 44.8, (0.003, -0.002))
    grid = field.grid()
    steps = np.diff(grid[40], axis=0)
    np.testing.assert_allclose(np.diff(np.arctan2(steps[:, 1], steps[:, 0])), 0, atol=1e-3)
    lengths = np.hypot(*steps.T)
    assert lengths.max() / lengths.min() > 1.2
    elastic = random_elastic(rng, 160, 44.8, 1)
    field = dataclasses.replace(field, elastic=elastic)
    points = rng.uniform(-12, 12, (20, 2))
    shown = np.array([field.at(p)[0] for p in points])
    np.testing.assert_allclose(field.inverse(shown, np.zeros(2)), points, atol=0.05)


def test_cut_edges_keeps_the_lesions():
    rng = np.random.default_rng(6)
    keep = np.array([[100.0, 180.0], [150.0, 140.0]])
    shares = []
    for _ in range(20):
        edge = cut_edges(rng, 304, keep)
        assert set(np.unique(edge)) <= {0, 1}
        for x, y in keep:
            assert edge[int(y), int(x)] == 1
        shares.append(edge.mean())
    assert min(shares) < 0.9


def test_a_second_layer_has_no_outline():
    """The other breast's border does not show; its tissue does."""
    breast = np.zeros((600, 600), np.float32)
    breast[:, :300] = 1
    field = Field(np.array([60.0, 60.0]), np.eye(2), np.zeros((304, 304, 2), "f4"), 85.12)
    y, x = np.mgrid[:600, :600]
    pixels = breast * (0.6 + 0.2 * np.sin(y / 5)).astype("f4")
    image = changes.add_layer(np.zeros((304, 304), "f4"), Source(pixels, breast, "x"), 0.5, field)
    assert np.abs(np.diff(image.mean(axis=0))).max() < 0.01
    assert image[:, :80].std() > 0.05
    assert image[:, 160:].std() < 0.01


def thickness(drawn: np.ndarray, pixel_mm: float) -> float:
    """Return how thick the thickest part of what is drawn is, in mm."""
    return 2 * cv2.distanceTransform(drawn.astype(np.uint8), cv2.DIST_L2, 5).max() * pixel_mm


@pytest.mark.parametrize("pixel_mm", [0.14, 0.28])
@pytest.mark.parametrize("seed", range(6))
def test_a_skin_fold_is_a_thin_line_from_the_outline(seed: int, pixel_mm: float):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:304, :304]
    breast = (x < 200).astype("f4")
    image = breast * (0.5 + 0.001 * y).astype("f4")
    before = image.copy()
    changes.add_fold(image, breast, rng, pixel_mm)
    change = np.abs(image - before)
    assert change.max() > 0.008
    assert not change[breast == 0].any()
    line = change > 0.3 * change.max()
    x0, y0, x1, y1 = extent(line)
    assert np.hypot(x1 - x0, y1 - y0) * pixel_mm > 7
    assert x1 > 150
    assert thickness(line, pixel_mm) < 4


def test_markers_are_white_and_letters_lie_beside_the_breast():
    breast = np.zeros((400, 400), np.float32)
    breast[:, :200] = 1
    beside, over = 0, 0
    for seed in range(40):
        image = 0.4 * breast
        changes.add_marker(image, breast, np.random.default_rng(seed), 0.28)
        drawn = image > 0.7
        assert drawn.any()
        assert image.max() <= 1
        assert image.max() > 0.9
        assert thickness(drawn, 0.28) < 4
        if drawn[:, :200].any():
            over += 1
        else:
            beside += 1
    assert beside >= 10
    assert over >= 10


def test_the_muscle_brightens_one_side_and_moves():
    y, x = (np.mgrid[:300, :300].astype("f4") + 0.5) * np.float32(0.28)
    grid = np.stack([x, y], axis=-1)
    muscle = changes.Muscle((-1.0, 0.0), -40.0, 0.3)
    for moved in (0.0, 5.0):
        image = np.zeros((300, 300), np.float32)
        muscle.add(image, grid, moved)
        np.testing.assert_allclose(image[:, x[0] < 38 - moved], 0.3, rtol=1e-5)
        assert not image[:, x[0] > 42 - moved].any()


@pytest.mark.parametrize("at_left", [True, False])
def test_the_muscle_fills_the_upper_corner_at_the_chest_wall(at_left: bool):
    blank = Source(np.full((1200, 1200), 0.5, "f4"), np.ones((1200, 1200), "f4"), "blank")
    y, x = (np.mgrid[:240, :240].astype("f4") + 0.5)[:, :, :]
    for seed in range(4):
        image = np.zeros((240, 240), np.float32)
        muscle = changes.muscle_in_corner(np.random.default_rng(seed), blank, at_left)
        muscle.add(image, np.stack([x, y], axis=-1), 0.0)
        shown = image if at_left else image[:, ::-1]
        assert shown[1, 1] >= 0.1
        assert not shown[:, 130:].any()
        assert not shown[150:].any()
        assert 0.02 < (shown > 0).mean() < 0.2


def test_looks_differ_in_tone_sharpness_and_grain():
    ramp = np.tile(np.linspace(0, 1, 200, dtype="f4"), (200, 1))
    curves = [changes.tone_curve(ramp, np.random.default_rng(seed))[0] for seed in range(20)]
    assert all((np.diff(curve) >= 0).all() for curve in curves)
    np.testing.assert_allclose([c[[0, -1]] for c in curves], [[0, 1]] * 20, atol=1e-5)
    assert np.ptp([curve[100] for curve in curves]) > 0.3

    rng = np.random.default_rng(0)
    grain = rng.normal(0, 0.1, (200, 200)).astype("f4")
    spreads = [changes.sharpen(grain, np.random.default_rng(s), 0.28).std() for s in range(20)]
    assert min(spreads) < 0.07
    assert max(spreads) > 0.12
    assert changes.coarser(grain, rng, 0.1).std() < 0.05
    np.testing.assert_allclose(changes.coarser(ramp, rng, 0.1)[:, 9:-9], ramp[:, 9:-9], atol=0.01)

    waves = np.sin(np.arange(200) * (2 * np.pi * 0.28 / 45))[None].repeat(200, 0).astype("f4")
    gains = [changes.equalise(waves, np.random.default_rng(s), 0.28).std() for s in range(20)]
    assert min(gains) / waves.std() < 0.9
    assert max(gains) / waves.std() > 1.1


def test_noise_is_stronger_where_dense_and_the_same_per_area():
    dark, bright = np.zeros((400, 400), "f4"), np.ones((400, 400), "f4")
    ratios, neighbours, areas = [], [], []
    for seed in range(30):
        low, high, fine = (
            changes.detector_noise(image, np.random.default_rng(seed), pixel_mm)
            for image, pixel_mm in ((dark, 0.28), (bright, 0.28), (dark, 0.14))
        )
        ratios.append(high.std() / low.std())
        neighbours.append(np.corrcoef(low[:, 1:].ravel(), low[:, :-1].ravel())[0, 1])
        large = [cv2.resize(n, (side, side), None, 0, 0, cv2.INTER_AREA).std()
                 for n, side in ((low, 20), (fine, 10))]  # fmt: skip
        areas.append(large[1] / large[0])
    assert min(ratios) >= 0.99
    assert max(ratios) > 1.7
    assert min(neighbours) < 0.05
    assert max(neighbours) > 0.3
    np.testing.assert_allclose(np.median(areas), 1, atol=0.15)


def test_exposure_keeps_the_range_and_depends_on_the_seed():
    image = generated_source(1).pixels[200:504, 50:250]
    one, same, other = (changes.expose(image, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).mean() > 0.02
    assert one.dtype == np.float32
    assert one.min() >= -0.1
    assert one.max() <= 1.3
    assert np.corrcoef(one.ravel(), image.ravel())[0, 1] > 0.8

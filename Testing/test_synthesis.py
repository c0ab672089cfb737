"""Synthetic pairs say the truth about where the lesion is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from MammoTrackerLib.box import Box
from MammoTrackerLib.patches import box_mask
from MammoTrackerLib.settings import Settings
from Training import synthesis
from Training.sources import SPACING_MM, Source, draw_lines, generated_source, make_source
from Training.synthesis import (
    EASY,
    HARD,
    Difficulty,
    Field,
    Scene,
    add_lesion,
    cut_edges,
    make_scene,
    random_elastic,
    random_lesion,
    random_linear,
    random_size,
    sample,
)

STILL = Difficulty(warp=0, far=0, layer=0, edge=0, distract=0, lesion=0, absent=0)
SETTINGS = Settings()


@pytest.fixture(scope="module")
def sources() -> list[Source]:
    return [generated_source(seed) for seed in (1, 2)]


def scene_of(seed: int, sources: list[Source], difficulty: Difficulty, templates: int = 3) -> Scene:
    rng = np.random.default_rng(seed)
    return make_scene(rng, sources[0], sources, SETTINGS, difficulty, templates)


def content(image: np.ndarray, center: np.ndarray, half: int) -> np.ndarray:
    """Return what an image shows within `half` pixels of a point, between pixels too."""
    x, y = np.asarray(center) - 0.5
    j, i = int(np.floor(x)), int(np.floor(y))
    a, b = x - j, y - i
    window = image[i - half : i + half + 2, j - half : j + half + 2].astype(float)
    window = (1 - b) * window[:-1] + b * window[1:]
    return (1 - a) * window[:, :-1] + a * window[:, 1:]


def plain(raw: np.ndarray, breast: np.ndarray, box: Box | None = None) -> np.ndarray:
    """Stand in for `network_input`: the patch itself, the breast, the box's mask."""
    mask = np.zeros_like(raw) if box is None else box_mask(box, raw.shape[0])
    return np.stack([raw, breast, mask], axis=-1)


@pytest.fixture
def unexposed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenes hold the intensities as they were sampled."""
    monkeypatch.setattr(synthesis, "expose", lambda image, rng: image)
    monkeypatch.setattr(synthesis, "network_input", plain)


@pytest.fixture
def in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patches are cut well inside a source of 240 mm."""
    monkeypatch.setattr(synthesis, "breast_point", lambda rng, source: rng.uniform(90, 150, 2))


@pytest.fixture(scope="module")
def blank() -> Source:
    """Uniform breast, wherever one looks."""
    return Source(np.full((1200, 1200), 0.5, "f4"), np.ones((1200, 1200), "f4"), "blank")


def test_a_scene_only_depends_on_its_seed(sources: list[Source]):
    one, same, other = (scene_of(seed, sources, HARD) for seed in (5, 5, 6))
    for field in dataclasses.fields(Scene):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(same, field.name))
    assert np.abs(one.search - other.search).max() > 0.5
    assert np.abs(one.templates[0] - one.templates[1]).max() > 0.5


@pytest.mark.parametrize("difficulty", [EASY, HARD], ids=["easy", "hard"])
@pytest.mark.parametrize("seed", range(4))
def test_shapes_and_ranges(sources: list[Source], difficulty: Difficulty, seed: int):
    scene = scene_of(seed, sources, difficulty, templates=2)
    assert scene.search.shape == (304, 304, 3)
    assert scene.templates.shape == (2, 160, 160, 3)
    assert scene.sizes.shape == scene.centers.shape == (2, 2)
    assert scene.boxes.shape == (2, 4)
    assert scene.present.shape == scene.kinds.shape == (2,)
    for field in dataclasses.fields(Scene):
        values = getattr(scene, field.name)
        assert values.dtype == np.float32, field.name
        assert np.isfinite(values).all(), field.name
    for patches in (scene.search, scene.templates):
        assert np.abs(patches[..., 0]).max() <= 1.5
        assert np.abs(patches[..., 1]).max() <= 1
        assert patches[..., 0].std() > 0.05
    assert not scene.search[..., 2].any()
    assert set(scene.present) | set(scene.kinds) <= {0, 1}
    assert ((scene.centers > 0) & (scene.centers < 304)).all()
    sides = scene.boxes[:, 2:] - scene.boxes[:, :2]
    assert (sides > 0).all()
    np.testing.assert_allclose(
        (scene.boxes[:, :2] + scene.boxes[:, 2:]) / 2, scene.centers, rtol=1e-4
    )
    for mask, size in zip(scene.templates[..., 2], scene.sizes, strict=True):
        np.testing.assert_allclose(mask, box_mask(Box.from_center(80, 80, *size), 160), atol=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_without_warp_template_and_search_show_the_same(sources: list[Source], seed: int):
    scene = scene_of(seed, sources, STILL)
    sides = scene.boxes[:, 2:] - scene.boxes[:, :2]
    fits = scene.sizes.max(axis=1) < 110
    assert fits.any()
    np.testing.assert_allclose(sides[fits], scene.sizes[fits], rtol=0.02)
    assert (scene.present == 1).all()
    assert (scene.kinds == 0).all()
    for template, center in zip(scene.templates, scene.centers, strict=True):
        here = content(template[..., 0], np.array([80.0, 80.0]), 24)

        def likeness(dx: float, dy: float, here=here, center=center) -> float:
            there = content(scene.search[..., 0], center + (dx, dy), 24)
            return np.corrcoef(here.ravel(), there.ravel())[0, 1]

        shifted = max(likeness(dx, dy) for dx, dy in ((4, 0), (-4, 0), (0, 4), (0, -4)))
        assert likeness(0, 0) > 0.8
        assert likeness(0, 0) > shifted + 0.05


@pytest.mark.usefixtures("unexposed")
@pytest.mark.parametrize("seed", range(5))
def test_without_warp_or_exposure_the_pixels_are_equal(sources: list[Source], seed: int):
    scene = scene_of(seed, sources, STILL)
    for template, center in zip(scene.templates, scene.centers, strict=True):
        here = content(template[..., 0], np.array([80.0, 80.0]), 24)
        there = content(scene.search[..., 0], center, 24)
        assert np.abs(here - there).mean() < 0.15 * here.std()


@pytest.mark.usefixtures("unexposed", "in_the_middle")
@pytest.mark.parametrize("seed", range(6))
def test_warped_tissue_is_where_the_box_says(blank: Source, seed: int):
    """With full warps, both box centres show one place of a source that shows where one looks."""
    y, x = (np.mgrid[:1200, :1200].astype("f4") + 0.5) * np.float32(SPACING_MM)
    seen = []
    for ramp in (x, y):
        source = Source(ramp, blank.breast, "ramp")
        scene = scene_of(seed, [source], dataclasses.replace(STILL, warp=1.0))
        here = [content(t[..., 0], np.array([80, 80]), 0)[0, 0] for t in scene.templates]
        there = [content(scene.search[..., 0], center, 0)[0, 0] for center in scene.centers]
        seen.append((here, there))
    here, there = np.transpose(seen, (1, 2, 0))
    np.testing.assert_allclose(there, here, atol=0.1)
    assert np.ptp(here, axis=0).max() > 1


@pytest.mark.usefixtures("unexposed", "in_the_middle")
def test_a_pasted_lesion_fills_its_boxes(blank: Source):
    shares = []
    for seed in range(12):
        difficulty = dataclasses.replace(STILL, warp=1.0, lesion=1.0)
        scene = scene_of(seed, [blank], difficulty, templates=1)
        assert scene.kinds == 1
        for patch, center, size in (
            (scene.templates[0], np.array([80.0, 80.0]), scene.sizes[0]),
            (scene.search, scene.centers[0], scene.boxes[0, 2:] - scene.boxes[0, :2]),
        ):
            added = patch[..., 0] - 0.5
            assert added.max() > 0.02
            inside = box_mask(Box.from_center(*center, *(1.15 * size)), patch.shape[0])
            shares.append((added * inside).sum() / added.sum())
    assert np.median(shares) > 0.9
    assert min(shares) > 0.4


@pytest.mark.usefixtures("unexposed", "in_the_middle")
@pytest.mark.parametrize(("warp", "tolerance"), [(0.0, 0.02), (1.0, 0.15)])
def test_boxes_grow_as_the_lesion_does(blank: Source, warp: float, tolerance: float):
    """The search's box is as much larger as what is drawn in it."""
    growths, spreads = [], []
    for seed in range(16):
        difficulty = dataclasses.replace(STILL, warp=warp, lesion=1.0)
        scene = scene_of(seed, [blank], difficulty, templates=1)
        search_size = scene.boxes[0, 2:] - scene.boxes[0, :2]
        if max(*scene.sizes[0], *search_size) > 110:  # does not fit into the patch
            continue
        growths.append((search_size / scene.sizes[0]).mean())
        spreads.append(
            spread(scene.search[..., 0] - 0.5) / spread(scene.templates[0, ..., 0] - 0.5)
        )
    assert len(growths) > 8
    assert np.ptp(growths) > 0.3
    assert np.median(np.abs(np.log(spreads) - np.log(growths))) < tolerance


def spread(image: np.ndarray) -> float:
    """Return the standard deviation of where the brightness lies."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    weight = image / image.sum()
    mx, my = (weight * x).sum(), (weight * y).sum()
    return float(np.sqrt((weight * ((x - mx) ** 2 + (y - my) ** 2)).sum()))


@pytest.mark.usefixtures("unexposed", "in_the_middle")
def test_an_absent_lesion_comes_from_another_mammogram(blank: Source):
    other = Source(blank.pixels + 1, blank.breast, "other")
    rng = np.random.default_rng(0)
    difficulty = dataclasses.replace(STILL, absent=1.0)
    scene = make_scene(rng, blank, [other], SETTINGS, difficulty)
    assert not scene.present.any()
    assert not scene.kinds.any()
    np.testing.assert_allclose(scene.templates[..., 0], 1.5, rtol=1e-5)
    np.testing.assert_allclose(scene.search[..., 0], 0.5, rtol=1e-5)


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


def test_add_lesion_is_centred_where_it_is_told():
    rng = np.random.default_rng(5)
    field = Field(
        np.array([31.0, 58.0]), random_linear(rng, 1), random_elastic(rng, 160, 44.8, 1), 44.8
    )
    place = np.array([4.0, -6.0])
    image = np.zeros((160, 160), np.float32)
    add_lesion(image, field.grid(), field.at(place)[0], bump, 12.0)
    y, x = np.mgrid[:160, :160] + 0.5
    found = np.array([(image * x).sum(), (image * y).sum()]) / image.sum()
    np.testing.assert_allclose(found, place / 0.28 + 80, atol=1)


def bump(offset: np.ndarray, factor: float) -> np.ndarray:
    return (factor * np.exp(-(offset**2).sum(-1) / (2 * 1.5**2))).astype("f4")


@pytest.mark.parametrize("seed", range(8))
def test_a_random_lesion_fills_its_size(seed: int):
    rng = np.random.default_rng(seed)
    width, height = random_size(rng)
    lesion = random_lesion(rng, width, height)
    x, y = np.meshgrid(np.arange(-50, 50, 0.1), np.arange(-50, 50, 0.1))
    offsets = np.stack([x, y], axis=-1).astype("f4")
    image = lesion(offsets, 1.0)
    assert image.shape == x.shape
    assert image.min() >= 0
    inside = (np.abs(x) < 0.6 * width) & (np.abs(y) < 0.6 * height)
    assert image[inside].sum() > 0.85 * image.sum()
    np.testing.assert_allclose(lesion(offsets, 2.0), 2 * image, rtol=1e-4)


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


@pytest.mark.parametrize("seed", [0, 7])
def test_generated_source(seed: int):
    one, same, other = generated_source(seed), generated_source(seed), generated_source(seed + 1)
    np.testing.assert_array_equal(one.pixels, same.pixels)
    assert one.pixels.shape != other.pixels.shape or np.abs(one.pixels - other.pixels).max() > 0.1
    assert one.woman != other.woman
    assert one.pixels.dtype == one.breast.dtype == np.float32
    assert one.pixels.shape == one.breast.shape
    assert set(np.unique(one.breast)) == {0, 1}
    assert 0.3 < one.breast.mean() < 0.95
    assert not one.pixels[one.breast == 0].any()
    inside = one.pixels[one.breast > 0]
    assert np.isfinite(inside).all()
    assert -0.5 < np.percentile(inside, 1) < np.percentile(inside, 99) < 2
    assert inside.std() > 0.05


def test_draw_lines_adds_inside_the_breast_only():
    source = generated_source(3)
    drawn = draw_lines(source, np.random.default_rng(0))
    assert drawn.woman == source.woman
    assert (drawn.pixels != source.pixels)[source.breast > 0].mean() > 0.5
    np.testing.assert_array_equal(drawn.pixels[source.breast == 0], 0)


def test_make_source_resamples_scales_and_crops():
    y, x = np.mgrid[:1600, :1000] * 0.1 + 0.05
    breast = (np.hypot(y - 80, x * 1.2) < 60).astype("f4")
    image = breast * (3000 + 500 * np.sin(y / 7) + 20 * x)
    source = make_source(image, 0.1, "someone")
    # 50 mm wide and 120 mm high; the chest wall is at the image's left edge.
    np.testing.assert_allclose(np.array(source.pixels.shape) * SPACING_MM, (120, 50), atol=3)
    inside = source.pixels[source.breast > 0]
    np.testing.assert_allclose(np.percentile(inside, [1, 99]), (0, 1), atol=0.01)
    assert inside.min() >= -0.3
    assert inside.max() <= 1.3
    assert not source.pixels[source.breast == 0].any()
    assert source.woman == "someone"

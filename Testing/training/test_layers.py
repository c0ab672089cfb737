"""Layers sum to the image, slide as said, and the truth goes with the layer a lesion belongs to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from still_scenes import STILL, content, extent

from MammoTrackerLib.box import Box
from MammoTrackerLib.settings import Settings
from Training import exposure, pasted, synthetic_pairs, synthetic_scenes
from Training.changes import Field
from Training.layers import FADE_MM, random_layers, shown_tissue
from Training.lesions import random_mass
from Training.sources import Source, generated_source
from Training.synthetic_pairs import make_pair
from Training.synthetic_scenes import decoy, make_scene


@pytest.fixture(scope="module")
def source() -> Source:
    return generated_source(1)


def still_field(source: Source, side: int = 200) -> Field:
    middle = np.array(source.pixels.shape[::-1]) * source.spacing_mm / 2
    return Field(middle, np.eye(2), np.zeros((side, side, 2), "f4"), side * source.spacing_mm)


@pytest.mark.parametrize("seed", range(4))
def test_layers_sum_to_the_image(source: Source, seed: int):
    layers = random_layers(np.random.default_rng(seed), source)
    assert len(layers.parts) == len(layers.depths) in (3, 4)
    assert (np.diff(layers.depths) > 0).all()
    np.testing.assert_allclose(layers.still + layers.parts.sum(axis=0), source.pixels, atol=1e-5)
    # None of them holds nearly all that is seen.
    spreads = layers.parts.var(axis=(1, 2))
    assert spreads.max() < 0.8 * spreads.sum()


def test_the_same_draws_make_the_same_layers(source: Source):
    one, same, other = (random_layers(np.random.default_rng(seed), source) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.parts, same.parts)
    np.testing.assert_array_equal(one.movement, same.movement)
    assert one.parts.shape != other.parts.shape or np.abs(one.parts - other.parts).max() > 0.1


@pytest.mark.parametrize("slide", [1.7, 3.8])
def test_layers_move_as_far_as_asked_mostly_along_y_and_not_at_the_skin(
    source: Source, slide: float
):
    for seed in range(4):
        layers = random_layers(np.random.default_rng(seed), source, slide)
        x, y = np.abs(layers.movement).reshape(-1, 2).T
        assert y.sum() > 2 * x.sum()
        length = np.hypot(x, y).reshape(layers.movement.shape[:2])
        factor = round(layers.coarse_mm / source.spacing_mm)
        small = source.breast[::factor, ::factor]
        small = small[: length.shape[0], : length.shape[1]]
        assert np.median(length[length > 0.5 * slide]) == pytest.approx(slide, rel=0.25)
        outside = small == 0
        assert length[: len(small), : small.shape[1]][outside].max() < slide * 3 / FADE_MM


def test_fields_lead_to_where_a_layer_is_shown(source: Source):
    """The patch of each layer shows its own part, and both exams are apart by the movement."""
    layers = random_layers(np.random.default_rng(2), source, 3.8)
    field = still_field(source)
    exams = [layers.fields(field, current) for current in (False, True)]
    apart = [
        prior.at(np.zeros(2))[0] - current.at(np.zeros(2))[0]
        for prior, current in zip(*exams, strict=True)
    ]
    depths = layers.depths[:, None]
    moved = np.linalg.lstsq(depths, np.array(apart), rcond=None)[0]
    np.testing.assert_allclose(apart, depths * moved, atol=1e-3)
    assert 2 < np.hypot(*moved[0]) < 6
    for number in range(len(layers.parts)):
        centred = layers.centred(field, number, current=True)
        at = layers.fields(centred, current=True)[number].at(np.zeros(2))[0]
        np.testing.assert_allclose(at, field.base, atol=0.05)


def test_without_movement_the_image_is_shown(source: Source):
    layers = random_layers(np.random.default_rng(5), source, 0.0)
    field = still_field(source)
    shown, plain = (shown_tissue(source, field, kind, current=True) for kind in (layers, None))
    np.testing.assert_allclose(shown[3], plain[3], atol=1e-4)
    np.testing.assert_array_equal(shown[4], plain[4])


def single_lines(source: Source) -> Source:
    """Vertical bars of 1.4 mm every 10 mm, on nothing."""
    x = np.arange(source.pixels.shape[1]) % 50 < 7
    return replace(source, pixels=(x * source.breast).astype("f4"))


def test_what_is_seen_most_decides_for_plain_tissue(source: Source):
    layers = random_layers(np.random.default_rng(2), source, 3.8)
    at = np.array(source.pixels.shape[::-1]) * source.spacing_mm / 2
    only = np.zeros_like(layers.parts)
    only[2] = single_lines(source).pixels
    assert replace(layers, parts=only).strongest(at, 20) == 2


@pytest.mark.parametrize("seed", range(6))
def test_a_lesion_of_a_rolled_scene_is_where_the_box_says(
    monkeypatch: pytest.MonkeyPatch, seed: int
):
    """On a uniform breast, whose layers show nothing, all that is seen is the lesion."""
    monkeypatch.setattr(exposure, "expose", lambda image, rng, pixel_mm: image)
    monkeypatch.setattr(
        synthetic_scenes,
        "network_input",
        lambda raw, breast, box=None, *_: np.stack([raw, breast, 0 * raw], axis=-1),
    )
    monkeypatch.setattr(
        synthetic_scenes, "breast_point", lambda rng, source: rng.uniform(90, 150, 2)
    )
    monkeypatch.setattr(pasted, "random_lesion", lambda rng, *_: random_mass(rng, 12, 9))
    pixels = np.full((1200, 1200), 0.5, "f4")
    blank = Source(pixels, np.ones_like(pixels), "blank")
    d = replace(STILL, warp=1.0, lesion=1.0, rolled=1.0)
    scene = make_scene(np.random.default_rng(seed), blank, [blank], Settings(), d, 1)
    assert scene.present.all()
    template_box = Box.from_center(80, 80, *scene.sizes[0].astype(float)).as_tuple()
    for patch, box in ((scene.templates[0], template_box), (scene.search, scene.boxes[0])):
        added = patch[..., 0] - 0.5
        np.testing.assert_allclose(extent(added > 0.5 * added.max()), box, atol=5)


def test_a_decoy_is_where_the_other_layer_went():
    elastic = np.zeros((64, 64, 2), np.float32)
    prior = [Field(np.array([50.0, 60.0]), np.eye(2), elastic, 32.0) for _ in range(2)]
    current = [
        replace(field, base=field.base + off)
        for field, off in zip(prior, ([0, 0], [1, -4]), strict=True)
    ]
    rng, near, q = np.random.default_rng(0), np.array([2.0, 1.0]), np.array([2.0, 1.0])
    np.testing.assert_allclose(decoy(rng, 0, prior, near, current, q), [1, 5], atol=1e-6)
    there = decoy(rng, 1, prior, near, current, np.array([1.0, 5.0]))
    np.testing.assert_allclose(there, [2, 1], atol=1e-6)
    assert np.isnan(decoy(rng, 0, prior[:1], near, current[:1], q)).all()


def test_a_rolled_pair_knows_where_every_layer_went(
    source: Source, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exposure, "expose", lambda image, rng, pixel_mm: image)
    monkeypatch.setattr(synthetic_pairs, "WHOLE", replace(STILL, lesion=0.5))
    apart = []
    for seed in range(3):
        pair = make_pair(np.random.default_rng(seed), source, [source], rolled=9)
        plain = make_pair(np.random.default_rng(seed), source, [source])
        assert plain.slides == ()
        assert len(pair.slides) == len(pair.kinds) == 4
        pixel = pair.spacings_mm[1]
        for slide, box in zip(pair.slides, pair.current_boxes, strict=True):
            own = slide.places[slide.layer]
            assert np.hypot(*(own - box.center)) * pixel < 1.5
            assert slide.shares.sum() == pytest.approx(1)
            apart.append(np.ptp(slide.places, axis=0) * pixel)
    x, y = np.transpose(apart)
    assert 4 < np.median(y) < 10
    assert np.median(y) > 2 * np.median(x)


def test_plain_tissue_of_a_rolled_pair_follows_its_layer(
    source: Source, monkeypatch: pytest.MonkeyPatch
):
    """Where one layer holds nearly all, both boxes show the same, and another place does not."""
    monkeypatch.setattr(exposure, "expose", lambda image, rng, pixel_mm: image)
    monkeypatch.setattr(synthetic_pairs, "WHOLE", STILL)
    monkeypatch.setattr(synthetic_pairs, "random_layers", one_layer)
    for seed in range(3):
        pair = make_pair(np.random.default_rng(seed), source, [source], rolled=9)
        likeness = []
        for box, after in zip(pair.prior_boxes, pair.current_boxes, strict=True):
            here = content(pair.prior, np.array(box.center), 12)
            there = content(pair.current, np.array(after.center), 12)
            likeness.append(np.corrcoef(here.ravel(), there.ravel())[0, 1])
        assert np.median(likeness) > 0.6


def one_layer(rng: np.random.Generator, source: Source, slide_mm: float):
    """All tissue in the layer at the front."""
    layers = random_layers(rng, source, slide_mm)
    parts = np.zeros_like(layers.parts)
    parts[-1] = source.pixels - layers.still
    return replace(layers, parts=parts)

"""Pasted lesions are where and as large as they are said to be."""

from __future__ import annotations

import numpy as np
import pytest

from Training import lesions
from Training.changes import Field, random_elastic, random_linear
from Training.lesions import add_lesion, random_lesion, random_size


def test_add_lesion_is_centred_where_it_is_told():
    rng = np.random.default_rng(5)
    field = Field(
        np.array([31.0, 58.0]), random_linear(rng, 1), random_elastic(rng, 160, 44.8, 1), 44.8
    )
    place = np.array([4.0, -6.0])
    bump = lesions.Lesion("mass", np.zeros((1, 2)), 12.0, 1.0, gaussian)
    image = np.zeros((160, 160), np.float32)
    add_lesion(image, field.grid(), field.at(place)[0], bump)
    y, x = np.mgrid[:160, :160] + 0.5
    found = np.array([(image * x).sum(), (image * y).sum()]) / image.sum()
    np.testing.assert_allclose(found, place / 0.28 + 80, atol=1)


def gaussian(offset: np.ndarray) -> np.ndarray:
    return np.exp(-(offset**2).sum(-1) / (2 * 1.5**2)).astype("f4")


@pytest.mark.parametrize("seed", range(8))
def test_a_random_lesion_lies_around_its_size(seed: int):
    rng = np.random.default_rng(seed)
    width, height = random_size(rng)
    lesion = random_lesion(rng, width, height)
    x, y = np.meshgrid(np.arange(-50, 50, 0.1), np.arange(-50, 50, 0.1))
    offsets = np.stack([x, y], axis=-1).astype("f4")
    image = lesion(offsets, 1.0)
    assert image.shape == x.shape
    assert image.min() >= 0
    inside = (np.abs(x) < 0.6 * width) & (np.abs(y) < 0.6 * height)
    assert image[inside].sum() > 0.75 * image.sum()
    np.testing.assert_allclose(lesion(offsets, 2.0), 2 * image, rtol=1e-4)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("make", [lesions.random_mass, lesions.random_cluster])
def test_a_lesion_is_as_large_as_asked(make, seed: int):
    rng = np.random.default_rng(seed)
    width, height = (5.0, 5.0) if seed < 3 else random_size(rng)
    outline = make(rng, width, height).outline
    np.testing.assert_allclose(np.ptp(outline, axis=0), (width, height), rtol=0.02)
    np.testing.assert_allclose((outline.min(axis=0) + outline.max(axis=0)) / 2, 0, atol=0.15)


def test_masses_are_round_to_spiculated():
    """Some have thin lines beyond their border, and all are at most half as bright there."""
    x, y = np.meshgrid(np.arange(-20, 20, 0.1), np.arange(-20, 20, 0.1))
    offsets, ring = np.stack([x, y], axis=-1).astype("f4"), np.abs(np.hypot(x, y) - 8) < 0.1
    lines = []
    for seed in range(30):
        image = lesions.random_mass(np.random.default_rng(seed), 11, 11)(offsets, 1.0)
        around = image[ring][np.argsort(np.arctan2(y, x)[ring])] / image.max()
        assert around.max() < 0.75
        lines.append((np.diff((around > 0.12).astype(int)) == 1).sum())
    assert 5 < np.sum(np.array(lines) >= 5) < 20

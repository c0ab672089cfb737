"""Registration by block matching."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from MammoTrackerLib import Mammogram
from MammoTrackerLib.block_matching import block_matched
from MammoTrackerLib.global_search import align
from MammoTrackerLib.patches import block_mean
from MammoTrackerLib.reduced import Picture, Reduced

MIDDLE = np.array([60.0, 110.0])
IDENTITY = sitk.AffineTransform(2)


def current_of(prior: Mammogram, scale: float, degrees: float, shift, waves_mm: float) -> tuple:
    """Warp a mammogram; returns it, and the map of its mm to the prior's."""
    c, s = scale * np.cos(np.deg2rad(degrees)), scale * np.sin(np.deg2rad(degrees))

    def before(points: np.ndarray) -> np.ndarray:
        waved = points + waves_mm * np.sin(2 * np.pi * points[:, ::-1] / 200 + [0.5, 1.5])
        return (waved - MIDDLE) @ np.array([[c, s], [-s, c]]) + MIDDLE + shift

    y, x = np.mgrid[: prior.pixels.shape[0], : prior.pixels.shape[1]] + 0.5
    points = before(np.stack([x.ravel(), y.ravel()], axis=1) * prior.spacing) / prior.spacing - 0.5
    image = ndimage.map_coordinates(prior.pixels, points.T[::-1], order=1, mode="nearest")
    noise = np.random.default_rng(0).normal(0, 0.01 * prior.pixels.max(), image.shape)
    return Mammogram((image + noise).reshape(prior.pixels.shape), prior.spacing), before


def off_mm(prior: Mammogram, then: np.ndarray, before, mapped) -> np.ndarray:
    """Return how far the map of the prior's mm is off at points of the current's breast."""
    places = before(then)
    shown = ndimage.binary_erosion(Reduced.of(prior).whole_breast, iterations=5)
    column, row = (
        np.floor(places / np.array(prior.spacing) / Reduced.of(prior).factor).astype(int).T
    )
    inside = (column >= 0) & (row >= 0) & (column < shown.shape[1]) & (row < shown.shape[0])
    inside[inside] = shown[row[inside], column[inside]]
    assert inside.sum() > 50
    return np.linalg.norm(mapped(places[inside]) - then[inside], axis=1)


def grid_of(image: Mammogram) -> np.ndarray:
    height, width = np.array(image.pixels.shape) * image.spacing[::-1]
    x, y = np.meshgrid(np.arange(3, width, 7), np.arange(3, height, 7))
    return np.stack([x.ravel(), y.ravel()], axis=1)


@pytest.fixture(scope="module")
def films(mammogram_paths: dict[str, Path]) -> dict[str, Mammogram]:
    read = {view: Mammogram.read(path, 0.05) for view, path in mammogram_paths.items()}
    return {
        view: Mammogram(block_mean(film.pixels, 4, 4), 0.2, film.laterality, film.view)
        for view, film in read.items()
    }


@pytest.mark.parametrize(
    ("scale", "degrees", "shift"), [(0.8, 0, (6, 8)), (1.25, 0, (0, 0)), (1.0, 12, (12, -15))]
)
def test_a_map_is_found_from_where_it_is_not_known(films, scale, degrees, shift):
    prior = films["lmlo"]
    current, before = current_of(prior, scale, degrees, shift, 0.0)
    found = block_matched(Picture.of(Reduced.of(prior)), Picture.of(Reduced.of(current)), IDENTITY)
    off = off_mm(
        prior, grid_of(current), before,
        lambda points: np.array([found.TransformPoint(point) for point in points.tolist()]),
    )  # fmt: skip
    assert off.mean() < 1.0


def test_tissue_that_is_elsewhere_does_not_count(films):
    prior = films["lmlo"]
    current, before = current_of(prior, 1.1, 5, (5, 5), 0.0)
    third = prior.pixels.shape[0] // 3
    foreign = np.concatenate([current.pixels[:third][::-1], current.pixels[third:]])
    found = block_matched(
        Picture.of(Reduced.of(prior)),
        Picture.of(Reduced.of(Mammogram(foreign, prior.spacing))),
        IDENTITY,
    )
    off = off_mm(
        prior, grid_of(current), before,
        lambda points: np.array([found.TransformPoint(point) for point in points.tolist()]),
    )  # fmt: skip
    assert off.mean() < 1.5


@pytest.mark.parametrize(
    ("view", "scale", "degrees", "shift", "waves_mm"),
    [
        ("rcc", 0.78, 0, (10, 10), 0.0),
        ("rcc", 1.15, -10, (-10, -15), 8.0),
        ("lmlo", 0.8, 0, (5, 20), 6.0),
        ("lmlo", 0.75, -12, (10, 10), 12.0),  # led away by the affine stages
        ("lcc", 0.75, 0, (10, 10), 12.0),
    ],
)
def test_what_gradient_descent_does_not_find(films, view, scale, degrees, shift, waves_mm):
    prior = films[view]
    current, before = current_of(prior, scale, degrees, shift, waves_mm)
    alignment = align(prior, current)
    off = off_mm(
        prior, grid_of(current), before,
        lambda points: alignment.map_points(points / prior.spacing) * current.spacing,
    )  # fmt: skip
    assert alignment.agreement > 0.6
    assert off.mean() < 2.0


@pytest.mark.parametrize(
    ("view", "scale", "degrees", "shift", "waves_mm"),
    [("rcc", 0.8, 0, (5, 20), 6.0), ("lcc", 1.15, -10, (-10, -15), 8.0)],
)
def test_nor_upside_down(films, view, scale, degrees, shift, waves_mm):
    prior = films[view]
    current, before = current_of(prior, scale, degrees, shift, waves_mm)
    alignment = align(prior, Mammogram(current.pixels[::-1], current.spacing))
    height = current.pixels.shape[0]
    off = off_mm(
        prior, grid_of(current), before,
        lambda points: ((0, height) - alignment.map_points(points / prior.spacing) * (-1, 1))
        * current.spacing,
    )  # fmt: skip
    assert alignment.agreement > 0.6
    assert off.mean() < 2.0


def test_a_prior_without_tissue_has_none():
    pixels = np.zeros((400, 300))
    pixels[100:110, 50:60] = 1000
    picture = Picture.of(Reduced.of(Mammogram(pixels, 0.2)))
    assert block_matched(picture, picture, IDENTITY) is None

"""The simulated follow-up knows where things went, and is written as a mammogram."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pytest

from MammoTrackerLib import Box, Mammogram
from MammoTrackerLib.command.simulate import FILM_LESION, read_film, simulate_follow_up, write_dicom


def blobs(centers: list[tuple[float, float]], sigma: float = 4.0) -> np.ndarray:
    y, x = np.mgrid[:500, :300] + 0.5
    image = np.where(x < 250, 0.2, 0.0)
    for cx, cy in centers:
        image += np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma**2))
    return image.astype(np.float32)


@pytest.mark.parametrize("spacing", [(0.2, 0.2), (0.2, 0.25)])
def test_true_place_is_where_the_pixels_went(spacing: tuple[float, float]) -> None:
    centers = [(120.0, 150.0), (180.0, 260.0), (130.0, 350.0)]
    prior = Mammogram(blobs(centers), spacing, "L", "CC")
    follow_up = simulate_follow_up(prior, [])
    pixels = follow_up.mammogram.pixels
    moved = follow_up.map_points(np.array(centers))
    assert np.abs(moved - centers).max() > 10
    for x, y in moved:
        top, left = int(y) - 15, int(x) - 15
        patch = np.maximum(pixels[top : top + 31, left : left + 31] - 0.5, 0)
        rows, columns = np.mgrid[top : top + 31, left : left + 31] + 0.5
        found = (patch * columns).sum() / patch.sum(), (patch * rows).sum() / patch.sum()
        np.testing.assert_allclose(found, (x, y), atol=1.0)


def test_lesion_grows_by_what_was_asked() -> None:
    prior = Mammogram(blobs([(150, 250)]), 0.2, "L", "CC")
    lesion = Box(130, 230, 170, 270)
    same = simulate_follow_up(prior, [lesion], growth=1.0).boxes[0]
    grown = simulate_follow_up(prior, [lesion], growth=1.2).boxes[0]
    assert grown.width / same.width == pytest.approx(1.2, abs=0.04)
    assert grown.height / same.height == pytest.approx(1.2, abs=0.04)
    np.testing.assert_allclose(grown.center, same.center, atol=2)


def test_same_seed_same_image() -> None:
    prior = Mammogram(blobs([(150, 250)]), 0.2, "L", "CC")
    one, other = (simulate_follow_up(prior, []).mammogram.pixels for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_written_dicom_is_read_back(tmp_path: Path) -> None:
    mammogram = Mammogram(
        blobs([(150, 250)]), (0.1, 0.12), "R", "MLO", datetime.date(2023, 1, 10), "DEMO"
    )
    write_dicom(mammogram, tmp_path / "a.dcm", "SIMULATED")
    again = Mammogram.read(tmp_path / "a.dcm")
    assert (again.spacing, again.laterality, again.view) == ((0.1, 0.12), "R", "MLO")
    assert again.date == mammogram.date
    scale = np.ptp(again.pixels) / np.ptp(mammogram.pixels)
    expected = (mammogram.pixels - mammogram.pixels.min()) * scale + again.pixels.min()
    np.testing.assert_allclose(again.pixels, expected, atol=1.0)


def test_film_is_left_mlo_and_holds_the_lesion() -> None:
    film = read_film()
    assert (film.laterality, film.view) == ("L", "MLO")
    x, y = (int(value) for value in FILM_LESION.center)
    inside = film.pixels[y - 60 : y + 60, x - 60 : x + 60].mean()
    below = film.pixels[
        int(FILM_LESION.y1) + 30 : int(FILM_LESION.y1) + 150, x - 60 : x + 60
    ].mean()
    assert inside > 1.5 * below

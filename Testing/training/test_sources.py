"""Single mammograms: breasts that are generated, and images that are read."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from MammoTrackerLib.errors import MammoTrackerError
from Training.sources import (
    SPACING_MM,
    draw_lines,
    drawn_size,
    for_validation,
    generated_source,
    held_out,
    make_source,
    read_cesm,
    resampled,
)


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


def test_resampling_keeps_the_size_in_mm():
    source = generated_source(4)
    finer = resampled(source, 0.14)
    np.testing.assert_allclose(
        np.array(finer.pixels.shape) * 0.14, np.array(source.pixels.shape) * 0.2, atol=0.2
    )
    np.testing.assert_allclose(finer.breast.mean(), source.breast.mean(), rtol=0.01)
    assert not finer.pixels[finer.breast == 0].any()


def write_cesm(folder: Path, numbers: list[int], kind: str = "normal_left") -> None:
    source = generated_source(3)
    image = np.clip(200 * source.pixels, 0, 255).astype(np.uint8)
    for number in numbers:
        stored = np.repeat(image[..., None], 3, axis=-1)
        cv2.imwrite(str(folder / f"{kind}_IM{number:04d}.jpg"), stored)


def test_cesm_is_read_by_number_and_held_out_in_runs(tmp_path: Path):
    write_cesm(tmp_path, [149, 12, 133], "malignant_left")
    write_cesm(tmp_path, [134, 148, 163], "benign_right")
    cv2.imwrite(str(tmp_path / "other.jpg"), np.zeros((10, 10), np.uint8))
    sources = read_cesm(tmp_path)
    numbers = [int(source.woman.removeprefix("cesm-")) for source in sources]
    assert numbers == [12, 133, 134, 148, 149, 163]
    assert [held_out(source) for source in sources] == [False, False, True, True, True, True]
    assert [for_validation(source) for source in sources][2:] == [True, True, False, False]
    rows = generated_source(3).pixels.shape[0]
    np.testing.assert_allclose(sources[0].pixels.shape[0] * SPACING_MM, rows * 0.085, atol=1)


def test_a_folder_without_cesm_says_so(tmp_path: Path):
    with pytest.raises(MammoTrackerError, match="CDD-CESM"):
        read_cesm(tmp_path)
    (tmp_path / "normal_left_IM0001.jpg").write_text("no image")
    with pytest.raises(MammoTrackerError, match="cannot be read"):
        read_cesm(tmp_path)


def test_the_pixel_size_of_cesm_is_drawn_for_each_use():
    rng = np.random.default_rng(0)
    source = generated_source(3)
    cesm = dataclasses.replace(source, woman="cesm-0012")
    drawn = [drawn_size(rng, cesm).spacing_mm / SPACING_MM * 0.085 for _ in range(200)]
    assert 0.07 <= min(drawn) < 0.072
    assert 0.098 < max(drawn) <= 0.1
    before = rng.bit_generator.state
    assert drawn_size(rng, source) is source
    assert rng.bit_generator.state == before

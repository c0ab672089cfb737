"""Mammogram: what it accepts."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.mammogram import Mammogram


def test_from_array():
    mammogram = Mammogram(np.array([[0, 1], [2, 65535]], dtype=np.uint16), 0.07, "R", "MLO")
    assert mammogram.pixels.dtype == np.float32
    assert mammogram.pixels.tolist() == [[0, 1], [2, 65535]]
    assert mammogram.spacing == (0.07, 0.07)
    with pytest.raises(ValueError, match="read-only"):
        mammogram.pixels[0, 0] = 1


def test_the_array_given_stays_writable():
    array = np.eye(3, dtype=np.float32)
    Mammogram(array, (0.1, 0.2))
    array[0, 0] = 7


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((4, 5)), "is empty"),
        (np.full((4, 5), 900), "is empty"),
        (np.zeros((0, 5)), "two-dimensional"),
        (np.ones((2, 4, 5)), "two-dimensional"),
        (np.array([[0, np.nan]]), "infinite or not a number"),
        (np.array([[0, np.inf]]), "infinite or not a number"),
        (np.array([[0, -1e30]]), "stand for no value"),
        (np.array([["a", "b"]]), "real numbers"),
        (np.array([[1j, 2]]), "real numbers"),
    ],
)
def test_bad_pixels_are_refused(pixels: np.ndarray, message: str):
    with pytest.raises(MammoTrackerError, match=message):
        Mammogram(pixels, 0.07)


@pytest.mark.parametrize(
    "spacing", [0, -0.07, float("nan"), float("inf"), 70, (0.07, 0), (1, 1, 1), "wide", None]
)
def test_bad_spacing_is_refused(spacing):
    with pytest.raises(MammoTrackerError, match="spacing"):
        Mammogram(np.eye(3), spacing)


@pytest.mark.parametrize("spacing", [1e-300, 1e-9, 0.005, 0.015, 0.5, 1, 5, (0.1, 0.5), (0.07, 5)])
def test_size_that_no_breast_has(spacing):
    """A whole breast of 1000 x 1600 pixels."""
    pixels = np.arange(1_600_000, dtype=np.float32).reshape(1600, 1000)
    with pytest.raises(MammoTrackerError, match="give the true spacing|must be above 0"):
        Mammogram(pixels, spacing)


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((1600, 1000), 0.02), ((1600, 1000), 0.3), ((600, 500), 0.028), ((40, 40), 0.07)],
)
def test_sizes_of_breasts_and_pieces_of_them(shape, spacing: float):
    assert Mammogram(np.arange(np.prod(shape)).reshape(shape), spacing).spacing[0] == spacing


def test_bad_laterality_is_refused():
    with pytest.raises(MammoTrackerError, match="laterality"):
        Mammogram(np.eye(3), 0.07, laterality="left")


def test_import_is_light():
    code = (
        "import sys, MammoTrackerLib; "
        "print([name for name in ('pydicom', 'keras', 'tensorflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

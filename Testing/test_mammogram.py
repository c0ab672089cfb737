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

"""A disc or specks tell how much larger a lesion is; all else keeps its size."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from MammoTrackerLib import Box, LesionTracker, Mammogram
from MammoTrackerLib.exams import Exam
from MammoTrackerLib.lesion_size import SPECKS_SHARE, MarkedSize, disc, specks_mm

SPACING = 0.2
LESION = Box(150, 250, 210, 290)


@pytest.fixture(scope="module")
def tracker():
    return LesionTracker()


def exam(tracker, growth: float, height: float = 1.0, seed: int = 0, turned: bool = False) -> Exam:
    """Make an exam with an elliptic mass of 12 x 8 mm times its growth, of another background."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:600, :400].astype(float)
    breast = np.hypot(x / 380, (y - 300) / 290) < 1
    tissue = 0.3 * ndimage.gaussian_filter(rng.normal(size=x.shape), 12) * 12 + 3 + x / 400
    radius = np.hypot((x - 180) / 30, (y - 270) / 20) / growth
    pixels = (tissue + height / (1 + np.exp(np.minimum((radius - 1) / 0.1, 50)))) * breast
    pixels = pixels + 0.02 * rng.normal(size=x.shape) * breast
    return Exam.of(Mammogram(pixels.T if turned else pixels, SPACING), tracker)


@pytest.mark.parametrize("growth", [0.7, 1.0, 1.3, 1.8])
def test_half_of_what_the_networks_missed_is_corrected(tracker, growth):
    before, after = exam(tracker, 1.0), exam(tracker, growth, seed=1)
    box = MarkedSize.of(before, LESION).resized(after, LESION, np.eye(2))
    assert box.center == pytest.approx(LESION.center)
    assert box.width / box.height == pytest.approx(1.5)
    assert box.width / LESION.width == pytest.approx(growth**0.5, rel=0.06)


def test_an_exam_on_its_side_is_measured_alike(tracker):
    before, after = exam(tracker, 1.0), exam(tracker, 1.4, seed=1, turned=True)
    found = Box(LESION.y0, LESION.x0, LESION.y1, LESION.x1)
    box = MarkedSize.of(before, LESION).resized(after, found, np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert box.height / found.height == pytest.approx(1.4**0.5, rel=0.06)


@pytest.mark.parametrize(
    ("lesion", "height"), [(LESION, 0.0), (Box.from_center(180, 270, 110, 75), 1.0)]
)
def test_what_is_no_such_mass_keeps_its_box(tracker, lesion, height):
    """Plain tissue, or a box that is not the mass's."""
    before, after = exam(tracker, 1.0, height), exam(tracker, 1.5, height, seed=1)
    found = Box.from_center(180, 270, 70, 50)
    assert MarkedSize.of(before, lesion).resized(after, found, np.eye(2)) == found


def cluster(tracker, growth: float, seed: int) -> Exam:
    """Make an exam with 12 calcifications of 0.4 mm in 12 x 8 mm times its growth."""
    before = exam(tracker, 1.0, 0.0, seed).as_prior.image  # its tissue
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:600, :400].astype(float)
    specks = np.zeros(x.shape)
    places = [(-1, 0), (1, 0), (0, -1), (0, 1), *rng.uniform(-0.7, 0.7, (8, 2))]
    for across, down in places:
        far = np.hypot(x - 180 - 29 * growth * across, y - 270 - 19 * growth * down)
        specks += far < 1.2
    assert before.shape == x.shape
    return Exam.of(Mammogram(before + 1.5 * specks, SPACING), tracker)


@pytest.mark.parametrize("growth", [0.8, 1.0, 1.25])
def test_a_cluster_is_measured_by_its_specks(tracker, growth):
    before, after = cluster(tracker, 1.0, 0), cluster(tracker, growth, 1)
    box = MarkedSize.of(before, LESION).resized(after, LESION, np.eye(2))
    assert box.width / LESION.width == pytest.approx(growth**SPECKS_SHARE, rel=0.03)


def test_tissue_has_no_specks(tracker):
    tissue = exam(tracker, 1.0, 0.0).as_prior
    assert specks_mm(tissue, LESION, np.array([6.0, 4.0]), np.eye(2)) is None


def test_a_place_without_breast_cannot_be_measured(tracker):
    air = Box(380, 20, 399, 40)
    assert disc(exam(tracker, 1.0).as_prior, air, np.array([4.0, 4.0]), np.eye(2)) is None

"""A bright spot that is missing on the current, and all that only looks like it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from MammoTrackerLib import Box, LesionTracker, Mammogram, Status
from MammoTrackerLib.command.simulate import FILM_LESION
from MammoTrackerLib.exams import Exam
from MammoTrackerLib.vanished import has_vanished

SPACING = 0.2
LESION = Box.from_center(180, 270, 30, 30)


@pytest.fixture(scope="module")
def tracker():
    return LesionTracker()


def exam(tracker, height: float, x0: float = 180, y0: float = 270, seed: int = 0, blur: float = 0):
    """Make an exam with a calcification of so many mm at a place in px, of another background."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:600, :400].astype(float)
    breast = np.hypot(x / 380, (y - 300) / 290) < 1
    tissue = 0.3 * ndimage.gaussian_filter(rng.normal(size=x.shape), 12) * 12 + 3 + x / 400
    spot = height * np.exp(-(np.hypot(x - x0, y - y0) ** 2) / 2 / 1.2**2)
    pixels = (tissue + spot + 0.02 * rng.normal(size=x.shape)) * breast
    if blur:
        pixels = ndimage.gaussian_filter(pixels, blur)
    return Exam.of(Mammogram(pixels, SPACING), tracker).as_prior


def test_a_spot_that_is_missing(tracker):
    with_spot, without = exam(tracker, 0.5), exam(tracker, 0.0, seed=1)
    assert has_vanished(with_spot, without, LESION, LESION)
    # A new one is none that is missing, and without one there is nothing to miss.
    assert not has_vanished(without, with_spot, LESION, LESION)
    assert not has_vanished(without, without, LESION, LESION)


@pytest.mark.parametrize(
    "current",
    [
        {"height": 0.3, "seed": 1},
        {"height": 0.5, "seed": 1, "x0": 192, "y0": 262},
        {"height": 0.5, "seed": 1, "blur": 0.7},
    ],
    ids=["fainter", "elsewhere in the box", "blurred"],
)
def test_a_spot_that_is_there(tracker, current):
    assert not has_vanished(exam(tracker, 0.5), exam(tracker, **current), LESION, LESION)


def test_where_one_cannot_tell(tracker):
    with_spot, without = exam(tracker, 0.5), exam(tracker, 0.0, seed=1)
    at_the_skin = Box.from_center(365, 300, 30, 30)
    assert not has_vanished(with_spot, without, LESION, at_the_skin)
    large = Box.from_center(180, 270, 120, 120)
    assert not has_vanished(with_spot, without, large, large)
    beside = Box.from_center(180, 290, 60, 60)  # what the box was not drawn around
    assert not has_vanished(exam(tracker, 0.5, 160, 275), without, beside, beside)


def test_a_calcification_that_went_is_not_found(tracker, prior):
    """The tissue around it stayed, and the networks find that."""
    mm = prior.spacing[0]
    x, y = FILM_LESION.center[0] - 8 / mm, FILM_LESION.center[1] - 15 / mm
    rows, columns = np.mgrid[: prior.pixels.shape[0], : prior.pixels.shape[1]]
    spot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 2 / (0.25 / mm) ** 2)
    marked = replace(prior, pixels=prior.pixels + 0.4 * np.ptp(prior.pixels) * spot)
    box = Box.from_center(x, y, 6 / mm, 6 / mm)
    (there,) = tracker.track(marked, marked, [box])
    (gone,) = tracker.track(marked, prior, [box])
    assert there.status is Status.FOUND
    assert gone.status is not Status.FOUND and "bright spot" in gone.reason

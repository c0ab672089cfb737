"""The probability, and what it rests on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from MammoTrackerLib import Box, MammoTrackerError
from MammoTrackerLib.confidence import (
    DOUBTS,
    EVIDENCE,
    GONE_DOUBT,
    USUAL,
    doubt,
    evidence,
    probability,
    rival_share,
)
from MammoTrackerLib.track import Candidate


@dataclass
class FakeAlignment:
    agreement: float
    current_spacing: tuple[float, float] = (0.1, 0.2)


def test_evidence_is_in_its_order():
    best = Candidate(Box(100, 100, 200, 150), 0.5, 0.8, agreement=0.75)
    other = Candidate(Box(500, 500, 600, 550), 0.25, 0.9)
    same = Candidate(Box(102, 100, 202, 150), 0.45, 0.9)
    registered = Box(400, 100, 500, 150)  # 30 mm off
    values = evidence([best, same, other], registered, FakeAlignment(0.4))
    assert dict(zip(EVIDENCE, values, strict=True)) == pytest.approx(
        {
            "bias": 1, "tracking": 0, "similarity": np.log(4), "rival": 0.5, "passes": 0.25,
            "anchors": 0.1, "distance": 0.04,
        }
    )  # fmt: skip
    assert rival_share(best, [same]) == 0
    assert probability(values, [0, 0, 1, 0, 0, 0, 0]) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("agreement", "off_mm", "expected"),
    [(0.9, 5, (0, 0)), (0.9, 20, (0, 0.36)), (0.2, 20, (0.3, 0)), (np.nan, 20, (0.5, 0))],
)
def test_evidence_of_anchor_points(agreement, off_mm, expected):
    best = Candidate(Box(100, 100, 200, 150), 0.5, 0.8, agreement=0.75)
    registered = Box(100 + 10 * off_mm, 100, 200 + 10 * off_mm, 150)
    values = evidence([best], registered, FakeAlignment(agreement))
    assert values[-2:] == pytest.approx(expected)


@pytest.mark.parametrize("lacking", range(1, len(EVIDENCE)))
def test_what_speaks_most_against_an_answer_is_said(lacking):
    coefficients = np.array([2.0, 1.0, 1.0, -1.0, -2.0, -10.0, -4.0])
    values = USUAL - 0.1 * np.sign(coefficients)
    values[lacking] -= 3 * np.sign(coefficients[lacking])
    assert doubt(values, coefficients) == DOUBTS[lacking - 1]
    there = np.array([99.0, 0, 0, 0, 0, 0, 0])
    assert doubt(values, [coefficients, there]) == DOUBTS[lacking - 1]
    assert doubt(values, [coefficients, -there]) == GONE_DOUBT


def test_the_probability_is_that_of_the_place_times_that_of_the_lesions_being_there():
    values = np.array([[1.0, 2, 0, 0, 0, 0, 0], [1.0, -2, 0, 0, 0, 0, 0]])
    place, there = np.array([[0, 0.5, 0, 0, 0, 0, 0], [1.0, 0, 0, 0, 0, 0, 0]])
    both = probability(values, [place, there])
    assert both == pytest.approx(probability(values, place) * probability(values, there))
    assert probability(values[0], place) == pytest.approx(1 / (1 + np.exp(-1)))


def test_calibration_finds_what_decides():
    from Training.calibrate import fit, thresholds

    rng = np.random.default_rng(0)
    values = np.c_[np.ones(4000), rng.normal(size=(4000, len(EVIDENCE) - 1))]
    truth = np.array([0.5, 2.0, 1.0, 0.0, 0.0, -1.0, 0.0])
    chance = 1 / (1 + np.exp(-values @ truth))
    right = rng.random(4000) < chance
    none = np.zeros(4000, bool)
    even = np.ones(4000)
    found = fit(values, right, none, even)
    assert found == pytest.approx(truth[None], abs=0.2)
    chance = probability(values, found)
    upper, lower = thresholds(chance, right, right, none, even)
    assert (~right[chance >= upper]).mean() <= 0.035
    assert (chance[right] < lower).mean() <= 0.05
    assert lower < upper
    # Lesions that are not there, and look just as those that are: few of them are called found.
    there = right | (rng.random(4000) < 0.5)
    stricter, _ = thresholds(chance, right, there, none, even)
    assert (chance[~there] >= stricter).mean() <= 0.02
    milder, _ = thresholds(chance, right, there, ~there, even)
    assert milder <= stricter
    with pytest.raises(MammoTrackerError, match="none can be found"):
        thresholds(chance, right, none, none, even)


@pytest.mark.parametrize("share", [None, 0.1])
def test_calibration_tells_wrong_places_from_lesions_that_went(share):
    from Training.calibrate import fit, weights_of

    rng = np.random.default_rng(0)
    values = np.c_[np.ones(6000), rng.normal(size=(6000, len(EVIDENCE) - 1))]
    place, there = np.array([[1.0, 2, 0, 0, 0, 0, 0], [0.0, 0, 2, 0, 0, 0, 0]])
    at_place, is_there = (
        rng.random(6000) < 1 / (1 + np.exp(-values @ truth)) for truth in (place, there)
    )
    weights = weights_of(is_there, ~is_there, share)  # half of them went
    assert weights[~is_there].sum() / weights.sum() == pytest.approx(share or 0.5, abs=0.02)
    found = fit(values, at_place & is_there, ~is_there, weights)
    assert found[0] == pytest.approx(place, abs=0.25)
    # Of right answers a third are missing among those that are there.
    usual = np.log(0.67) + (0 if share is None else np.log((1 - share) / share))
    assert found[1, 0] == pytest.approx(usual, abs=0.25)
    assert found[1, 2] == pytest.approx(2, abs=0.25)

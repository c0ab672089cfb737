"""Tests of the metrics, against values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from MammoTrackerLib.box import Box
from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.metrics import center_distance, score, success_curve

TRUE = Box(0, 0, 10, 10)
SQUARE = (0.5, 0.5)


def test_center_distance_uses_x_and_y_spacing():
    assert center_distance(Box(30, 40, 40, 50), TRUE, (0.1, 0.2)) == pytest.approx(np.hypot(3, 8))


def test_scores_of_four_lesions():
    """Their IoUs are 1, 1/3, 0 and, for the missing one, 0; the distances 0, 2.5 and 10 mm."""
    predicted = [TRUE, Box(5, 0, 15, 10), Box(12, 16, 22, 26), None]
    scores = score(predicted, [TRUE] * 4, [SQUARE] * 4)
    assert (scores.count, scores.missing) == (4, 1)
    assert scores.average_overlap == pytest.approx((1 + 1 / 3) / 4)
    assert scores.accuracy == pytest.approx((1 + 1 / 3) / 2)
    assert scores.robustness == pytest.approx(2 / 4)
    assert scores.distance_mean == pytest.approx((0 + 2.5 + 10) / 3)
    assert scores.distance_median == pytest.approx(2.5)
    assert scores.distance_p90 == pytest.approx(2.5 + 0.8 * 7.5)
    assert scores.close == pytest.approx(2 / 4)
    # Above each of 0, 0.01, ..., 1: a half up to 0.33, then a quarter, at 1 nothing.
    assert scores.auc == pytest.approx(0.5 * 0.33 + 0.375 * 0.01 + 0.25 * 0.65 + 0.125 * 0.01)


def test_exactly_three_mm_is_not_close():
    scores = score([Box(6, 0, 16, 10)], [TRUE], [SQUARE])
    assert scores.distance_mean == 3
    assert scores.close == 0


def test_all_missing_has_no_accuracy_and_no_distance():
    scores = score([None, None], [TRUE] * 2, [SQUARE] * 2)
    assert (scores.average_overlap, scores.robustness, scores.close, scores.auc) == (0, 1, 0, 0)
    assert np.isnan(
        [scores.accuracy, scores.distance_mean, scores.distance_median, scores.distance_p90]
    ).all()


def test_perfect_predictions():
    scores = score([TRUE, TRUE], [TRUE, TRUE], [SQUARE] * 2)
    assert (scores.average_overlap, scores.accuracy, scores.robustness) == (1, 1, 0)
    assert scores.auc == pytest.approx(0.995)


def test_success_curve_is_strictly_above():
    curve = success_curve([0, 0.25, 0.5, 1], [0, 0.25, 0.4, 0.5, 1])
    assert curve.tolist() == [0.75, 0.5, 0.5, 0.25, 0]


def test_different_lengths_are_refused():
    with pytest.raises(MammoTrackerError, match="2, 1 and 1"):
        score([TRUE, None], [TRUE], [SQUARE])


def test_nothing_to_score_is_refused():
    with pytest.raises(MammoTrackerError, match="no lesion"):
        score([], [], [])

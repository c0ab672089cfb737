"""Tests of the metrics and their intervals, against values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from MammoTrackerLib.box import Box
from MammoTrackerLib.metrics import (
    bootstrap,
    center_distance,
    mean_interval,
    overlaps,
    score,
    success_curve,
)

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
    curve = success_curve(np.array([0, 0.25, 0.5, 1]))
    assert curve[[0, 25, 40, 50, 100]].tolist() == [0.75, 0.5, 0.5, 0.25, 0]


@pytest.mark.parametrize(
    ("box", "iou"),
    [
        (Box(2, 2, 8, 6), 0.24),  # 6 x 4 inside 10 x 10
        (Box(-10, -10, 20, 20), 1 / 9),  # 10 x 10 inside 30 x 30
        (Box(8, 7, 14, 17), 6 / 154),  # 2 x 3 of 60 and 100
        (None, 0),
    ],
)
def test_overlap(box, iou):
    assert overlaps([box], [TRUE]).tolist() == pytest.approx([iou])


def test_touching_boxes_have_failed_but_a_sliver_has_not():
    side, corner, sliver = Box(10, 0, 20, 10), Box(10, 10, 20, 20), Box(9.999, 0, 19.999, 10)
    assert score([side, corner], [TRUE] * 2, [SQUARE] * 2).robustness == 1
    scores = score([side, sliver], [TRUE] * 2, [SQUARE] * 2)
    assert scores.robustness == 0.5
    assert scores.accuracy == pytest.approx(0.01 / 199.99)


def test_auc_of_one_lesion():
    """IoU 1/4 is above 0 to 0.24, and not above 0.25: 24 steps and a half."""
    scores = score([Box(0, 0, 5, 5)], [TRUE], [SQUARE])
    assert scores.average_overlap == 0.25
    assert scores.auc == pytest.approx(0.245)


def test_auc_of_three_lesions():
    """Their IoUs are 0, 1/2 and 1: two thirds up to 0.49, one third up to 0.99."""
    scores = score([Box(20, 0, 30, 10), Box(0, 0, 5, 10), TRUE], [TRUE] * 3, [SQUARE] * 3)
    assert scores.auc == pytest.approx((2 * 0.49 + 1.5 * 0.01 + 0.49 + 0.5 * 0.01) / 3)


def shifted(*millimetres: float) -> list[Box]:
    """Return the true box moved to the right; pixels are half a millimetre."""
    return [Box(2 * x, 0, 10 + 2 * x, 10) for x in millimetres]


def intervals(predicted: list, patients: list[str]) -> dict:
    n = len(predicted)
    return bootstrap(predicted, [TRUE] * n, [SQUARE] * n, patients)


def test_one_patient_has_no_width():
    predicted = [TRUE, None, *shifted(2.5, 4, 20)]
    scores = score(predicted, [TRUE] * 5, [SQUARE] * 5)
    for name, (low, high) in intervals(predicted, ["a"] * 5).items():
        assert low == pytest.approx(getattr(scores, name)), name
        assert high == pytest.approx(low), name


def test_equal_patients_have_no_width():
    found = intervals(shifted(0, 2.5, 20) * 4, list("aaabbbcccddd"))
    assert found["average_overlap"] == pytest.approx((4 / 9, 4 / 9))
    assert found["robustness"] == pytest.approx((1 / 3, 1 / 3))
    assert found["distance_mean"] == pytest.approx((7.5, 7.5))
    assert found["distance_median"] == pytest.approx((2.5, 2.5))


def test_two_patients_by_hand():
    """A quarter of the draws has the first twice, a quarter the second twice."""
    found = intervals(shifted(1, 2, 4), ["first", "second", "second"])
    assert found["distance_median"] == (1, 3)  # of 1, 1; of 1, 2, 4; of 2, 2, 4, 4
    assert found["distance_mean"] == (1, 3)
    assert found["close"] == (0.5, 1)
    assert found["distance_p90"] == pytest.approx((1, 4))


def test_draws_without_a_success_leave_accuracy_out():
    found = intervals([TRUE, *shifted(20)], ["a", "b"])
    assert found["average_overlap"] == (0, 1)
    assert found["accuracy"] == (1, 1)
    nothing = intervals([None, None], ["a", "b"])
    assert nothing["robustness"] == (1, 1)
    assert np.isnan([nothing[name] for name in ("accuracy", "distance_mean")]).all()


def test_interval_of_many_is_that_of_the_normal_distribution():
    rng = np.random.default_rng(3)
    distances = rng.uniform(0, 4, 400)
    low, high = intervals(shifted(*distances), [str(n) for n in range(400)])["distance_mean"]
    assert high - low == pytest.approx(2 * 1.96 * distances.std() / 20, rel=0.1)
    assert low < distances.mean() < high


def test_lesions_of_one_patient_count_as_one():
    """Ten equal lesions of each patient say no more than one: the interval is sqrt(10) wider."""
    distances = np.repeat(np.random.default_rng(4).uniform(0, 4, 30), 10)
    patients = [str(number // 10) for number in range(300)]
    widths = [
        np.diff(intervals(shifted(*distances), who)["average_overlap"])[0]
        for who in (patients, [str(number) for number in range(300)])
    ]
    assert widths[0] == pytest.approx(np.sqrt(10) * widths[1], rel=0.15)


def test_interval_is_the_same_each_time():
    predicted, patients = shifted(0, 1, 2, 3, 5, 8), list("abcdef")
    assert intervals(predicted, patients) == intervals(predicted, patients)


def test_interval_of_a_paired_difference():
    better = np.array([0.1, 0.1, 0.1, 0.1])
    assert mean_interval(better, list("aabb")) == pytest.approx((0.1, 0.1))
    assert mean_interval([0, 1, 1, 1], list("abbb")) == (0, 1)
    assert mean_interval([0, 1, 1, 1], list("aaaa")) == (0.75, 0.75)

"""The losses, against numbers that were written out."""

from __future__ import annotations

import math
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

from MammoTrackerLib.networks.losses import centreness, eiou, focal, tracking_loss

pytestmark = pytest.mark.train


def truth(templates: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return centres, boxes and presence of lesions in the search patch."""
    centers = np.array([[112, 48], [48, 112]], np.float32)[:templates]
    half = np.array([[18, 24], [30, 12]], np.float32)[:templates]
    return centers, np.concatenate([centers - half, centers + half], 1), np.ones(templates, "f4")


def test_focal_by_hand():
    """Cross-entropy times |target - p| ** gamma, at p = 1/2, 3/4 and far out."""
    third = math.log(3)
    np.testing.assert_allclose(focal(np.float32(0), np.float32(1)), math.log(2) / 4, rtol=1e-5)
    np.testing.assert_allclose(focal(np.float32(0), np.float32(0)), math.log(2) / 4, rtol=1e-5)
    np.testing.assert_allclose(
        focal(np.float32(third), np.float32(1)), math.log(4 / 3) / 16, rtol=1e-5
    )
    np.testing.assert_allclose(
        focal(np.float32(third), np.float32(0), 1.0), 0.75 * math.log(4), rtol=1e-5
    )
    entropy = -(0.25 * math.log(0.75) + 0.75 * math.log(0.25))
    np.testing.assert_allclose(
        focal(np.float32(third), np.float32(0.25)), 0.25 * entropy, rtol=1e-5
    )
    np.testing.assert_allclose(focal(np.float32(third), np.float32(0.75)), 0, atol=1e-9)
    np.testing.assert_allclose(focal(np.float32(-80), np.float32(1)), 80, rtol=1e-5)


@pytest.mark.parametrize(
    ("distances", "expected"),
    [
        ((5, 5, 5, 5), 1),
        ((2, 9, 2, 9), 1),
        ((1, 2, 3, 2), math.sqrt(1 / 3)),
        ((3, 2, 1, 8), math.sqrt(1 / 3 * 1 / 4)),
        ((0, 4, 4, 4), 0),
        ((-3, 4, 9, 4), 0),
    ],
)
def test_centreness_is_equation_1(distances: tuple[float, ...], expected: float):
    found = centreness(np.array(distances, np.float32))
    assert float(found) == pytest.approx(expected, abs=2e-3 if expected == 0 else 1e-5)


@pytest.mark.parametrize(
    ("predicted", "target", "expected"),
    [
        ((0, 0, 4, 4), (0, 0, 4, 4), 0),
        # Apart: IoU 0; centres 4 apart in an enclosing 6 x 2; same sizes.
        ((0, 0, 2, 2), (4, 0, 6, 2), 1 + 16 / 40),
        # Nested: IoU 4/16; same centre; each side 2 shorter in an enclosing 4 x 4.
        ((1, 1, 3, 3), (0, 0, 4, 4), 1 - 4 / 16 + 4 / 16 + 4 / 16),
        # Overlapping: IoU 4/20; centres (2, 1) apart in an enclosing 6 x 4; heights 4 and 2.
        ((0, 0, 4, 4), (2, 2, 6, 4), 1 - 4 / 20 + 5 / 52 + 0 + 4 / 16),
    ],
)
def test_eiou_is_equation_3(
    predicted: tuple[float, ...], target: tuple[float, ...], expected: float
):
    one, other = np.array(predicted, np.float32), np.array(target, np.float32)
    assert float(eiou(one, other)) == pytest.approx(expected, abs=1e-5)
    assert float(eiou(other, one)) == pytest.approx(expected, abs=1e-5)


def test_eiou_pulls_boxes_that_do_not_touch():
    box = tf.constant([[0.0, 0.0, 2.0, 2.0]])
    with tf.GradientTape() as tape:
        tape.watch(box)
        loss = eiou(box, tf.constant([[10.0, 0.0, 12.0, 2.0]]))
    gradient = tape.gradient(loss, box).numpy()[0]
    assert gradient[0] + gradient[2] < 0
    assert gradient[1] + gradient[3] == pytest.approx(0, abs=1e-6)


def gaussian(i: int, j: int, center: tuple[float, float], sigma: float) -> float:
    squared = ((8 * (j + 1) - center[0]) ** 2 + (8 * (i + 1) - center[1]) ** 2) / 64
    return math.exp(-squared / (2 * sigma**2))


def test_tracking_loss_written_out():
    """One lesion at (24, 32) in a box of 24 x 16 around (26, 30), on 6 x 5 cells."""
    rng = np.random.default_rng(8)
    classification, centre_logits = rng.normal(-1, 1, (2, 1, 6, 5)).astype("f4")
    distances = rng.uniform(4, 20, (1, 6, 5, 4)).astype("f4")
    center, box = (24.0, 32.0), (14.0, 22.0, 38.0, 38.0)
    cls = place = ctr = near_sum = reg = weight_sum = wanted_sum = 0.0
    total = sum(math.exp(v) for v in classification.ravel())
    for i, j in np.ndindex(6, 5):
        x, y = 8 * (j + 1), 8 * (i + 1)
        logit = float(classification[0, i, j])
        p, heat = 1 / (1 + math.exp(-logit)), gaussian(i, j, center, 0.8)
        cls -= abs(heat - p) ** 2 * (heat * math.log(p) + (1 - heat) * math.log(1 - p))
        wanted = gaussian(i, j, center, 1.0)
        wanted_sum += wanted
        place -= wanted * (logit - math.log(total))
        left, top, right, bottom = x - box[0], y - box[1], box[2] - x, box[3] - y
        inside = min(left, top, right, bottom) > 0
        target = (
            math.sqrt(min(left, right) / max(left, right) * min(top, bottom) / max(top, bottom))
            if inside
            else 0.0
        )
        q = 1 / (1 + math.exp(-float(centre_logits[0, i, j])))
        near = 1.0 if inside else wanted
        near_sum += near
        ctr -= near * abs(target - q) * (target * math.log(q) + (1 - target) * math.log(1 - q))
        d = distances[0, i, j]
        weight = gaussian(i, j, center, 1.5)
        weight_sum += weight
        found = np.array([x - d[0], y - d[1], x + d[2], y + d[3]], np.float32)
        reg += weight * float(eiou(found, np.array(box, np.float32)))
    expected = {
        "cls": cls,
        "place": place / wanted_sum,
        "ctr": ctr / near_sum,
        "reg": reg / weight_sum,
    }
    parts = tracking_loss(
        (classification, centre_logits, distances),
        np.array([center], np.float32),
        np.array([box], np.float32),
        np.ones(1, np.float32),
    )
    for name, value in expected.items():
        assert float(parts[name]) == pytest.approx(value, rel=1e-3), name
    assert float(parts["loss"]) == pytest.approx(
        expected["cls"] + 0.5 * expected["place"] + 0.5 * expected["ctr"] + expected["reg"],
        rel=1e-3,
    )


def test_tracking_loss_of_a_perfect_box_is_zero():
    centers, boxes, present = truth(1)
    points = 8.0 * (np.arange(24) + 1)
    x, y = np.meshgrid(points, points)
    x0, y0, x1, y1 = boxes[0]
    distances = np.stack([x - x0, y - y0, x1 - x, y1 - y], axis=-1)[None].astype("f4")
    maps = np.zeros((1, 24, 24), np.float32)
    parts = tracking_loss((maps, maps, distances), centers, boxes, present)
    assert float(parts["reg"]) == pytest.approx(0, abs=1e-4)


def test_an_absent_lesion_only_counts_as_background():
    centers, boxes, _ = truth(1)
    rng = np.random.default_rng(9)
    maps = rng.normal(-2, 1, (2, 1, 24, 24)).astype("f4")
    distances = np.full((1, 24, 24, 4), 10, np.float32)
    parts = tracking_loss((maps[0], maps[1], distances), centers, boxes, np.zeros(1, "f4"))
    expected = np.asarray(focal(maps[0], np.zeros_like(maps[0]))).sum()
    assert float(parts["cls"]) == pytest.approx(expected, rel=1e-4)
    assert [float(parts[name]) for name in ("place", "ctr", "reg")] == [0, 0, 0]
    assert float(parts["loss"]) == pytest.approx(expected, rel=1e-4)

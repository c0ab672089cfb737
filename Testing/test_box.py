"""Tests of Box."""

from __future__ import annotations

import dataclasses

import pytest

from MammoTrackerLib.box import Box
from MammoTrackerLib.errors import MammoTrackerError


def test_size_center_and_area_are_half_open():
    box = Box(10, 20, 40, 30)
    assert (box.width, box.height, box.area) == (30, 10, 300)
    assert box.center == (25, 25)
    assert box.as_tuple() == (10, 20, 40, 30)


def test_from_center_is_the_way_back():
    box = Box(1.5, -2, 8, 9)
    assert Box.from_center(*box.center, box.width, box.height) == box


def test_scaled_by_different_factors():
    assert Box(1, 2, 3, 4).scaled(2, 10) == Box(2, 20, 6, 40)


@pytest.mark.parametrize(
    ("other", "iou"),
    [
        (Box(0, 0, 10, 10), 1),
        (Box(5, 0, 15, 10), 50 / 150),
        (Box(2, 2, 4, 7), 10 / 100),
        (Box(5, 5, 15, 15), 25 / 175),
        (Box(10, 0, 20, 10), 0),
        (Box(20, 20, 30, 30), 0),
        (Box(-5, 20, 15, 30), 0),
    ],
)
def test_iou_both_ways(other: Box, iou: float):
    box = Box(0, 0, 10, 10)
    assert box.iou(other) == pytest.approx(iou)
    assert other.iou(box) == pytest.approx(iou)


@pytest.mark.parametrize(
    "corners",
    [(5, 0, 5, 10), (0, 5, 10, 5), (10, 0, 5, 10), (0, 10, 10, 5)],
)
def test_empty_or_reversed_is_refused(corners: tuple[float, ...]):
    with pytest.raises(MammoTrackerError, match="empty or reversed.*x0 < x1"):
        Box(*corners)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_not_finite_is_refused(value: float):
    with pytest.raises(MammoTrackerError, match="four finite numbers"):
        Box(0, 0, value, 10)


def test_box_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Box(0, 0, 1, 1).x0 = 5


@pytest.mark.parametrize(
    ("box", "moved"),
    [
        (Box(10, 10, 20, 20), Box(10, 10, 20, 20)),
        (Box(-4, 10, 6, 20), Box(-4, 10, 6, 20)),
        (Box(-30, 10, -20, 20), Box(0, 10, 10, 20)),
        (Box(95, 60, 125, 70), Box(70, 40, 100, 50)),
        (Box(-900, 10, 300, 20), Box(0, 10, 100, 20)),
    ],
)
def test_a_box_is_moved_onto_the_image(box: Box, moved: Box):
    assert box.onto(100, 50) == moved

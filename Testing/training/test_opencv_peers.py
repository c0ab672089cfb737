"""OpenCV's correlation and CSRT tracker find a lesion again."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from made_up_test_set import LESION, SPACING, TRUTH, pair_of

from MammoTrackerLib import Box
from Training.opencv_peers import Small, correlation, csrt, find_by_correlation


@pytest.mark.parametrize(("register", "mirrored"), [(False, False), (True, False), (True, True)])
def test_correlation_finds_the_lesion(register: bool, mirrored: bool) -> None:
    found = correlation(register)(*pair_of(mirrored=mirrored))(LESION)
    truth = Box(250 - TRUTH.x1, TRUTH.y0, 250 - TRUTH.x0, TRUTH.y1) if mirrored else TRUTH
    assert found.as_tuple() == pytest.approx(truth.as_tuple(), abs=2)
    assert found.iou(truth) > 0.8


def test_correlation_looks_only_as_far_as_told() -> None:
    image = Small.of(pair_of()[0])
    rolled = replace(image, pixels=np.roll(image.pixels, (0, 30), (0, 1)))
    box = image.box_from(LESION, (SPACING, SPACING))
    far = find_by_correlation(image, rolled, box, np.inf)
    assert far.center[0] - box.center[0] == 30
    near = find_by_correlation(image, rolled, box, 20 * image.spacing[0])
    assert abs(near.center[0] - box.center[0]) <= 20


def test_correlation_gives_up_where_nothing_can_be_compared() -> None:
    image = Small.of(pair_of()[0])
    tiny = replace(image, pixels=image.pixels[:10, :10])
    black = replace(image, pixels=np.zeros_like(image.pixels))
    box = image.box_from(LESION, (SPACING, SPACING))
    for current in (tiny, black):
        assert find_by_correlation(image, current, box, np.inf) is None


@pytest.mark.skipif(not hasattr(cv2, "TrackerCSRT_create"), reason="needs opencv-contrib")
def test_csrt_follows_a_shift() -> None:
    found = csrt(True)(*pair_of())(LESION)
    assert found.iou(TRUTH) > 0.6

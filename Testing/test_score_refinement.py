"""Score refinement: patches, and corrected boxes."""

from __future__ import annotations

import numpy as np
import pytest

from MammoTrackerLib import Box
from MammoTrackerLib.score_refinement import corrected, refinement_side
from MammoTrackerLib.settings import PAPER, Settings


def test_corrected_moves_and_scales():
    box = corrected(Box(10, 20, 30, 30), np.array([0.5, -0.2, np.log(2), np.log(0.5)]))
    assert box.as_tuple() == pytest.approx((10, 20.5, 50, 25.5))


def test_patches_fit_the_lesion_within_the_range():
    settings = Settings()
    assert refinement_side(2, settings) == settings.refinement_mm[0]
    assert refinement_side(16, settings) == pytest.approx(40)
    assert refinement_side(44, settings) == settings.refinement_mm[1]
    assert {refinement_side(mm, PAPER) for mm in (2, 16, 80)} == {110.0}

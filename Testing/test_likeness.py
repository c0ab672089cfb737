"""Whether two registered mammograms show one breast in one view."""

from __future__ import annotations

import numpy as np
import pytest

from MammoTrackerLib import Mammogram
from MammoTrackerLib.global_search import align

PAIR = "do not look like one breast"


@pytest.fixture(scope="module")
def films(mammogram_paths) -> dict[str, Mammogram]:
    return {view: Mammogram.read(path, 0.05) for view, path in mammogram_paths.items()}


def test_tissue_of_one_breast_agrees(prior, follow_up):
    alignment = align(prior, follow_up.mammogram)
    assert alignment.agreement > 0.6
    assert not alignment.warnings


@pytest.mark.parametrize(("one", "other"), [("rcc", "lcc"), ("rcc", "rmlo"), ("lmlo", "lcc")])
def test_another_breast_or_view_does_not(films, one, other):
    alignment = align(films[one], films[other])
    assert alignment.agreement < 0.35
    assert any(PAIR in warning for warning in alignment.warnings)


def test_a_little_breast_says_nothing(prior):
    rows, columns = prior.pixels.shape
    strip = Mammogram(np.ascontiguousarray(prior.pixels[: rows // 8]), prior.spacing)
    alignment = align(strip, strip)
    assert np.isnan(alignment.agreement)
    assert not any(PAIR in warning for warning in alignment.warnings)

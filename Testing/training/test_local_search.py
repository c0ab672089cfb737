"""The local search's score."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tiny_training import LESION

from MammoTrackerLib.local_search import Layers, search
from MammoTrackerLib.settings import Settings


@pytest.mark.parametrize(("centreness", "expected"), [(True, 0.25), (False, 0.5)])
def test_without_centreness_the_score_is_the_classification(moved_pair, centreness, expected):
    def half_everywhere(templates, searches, _sizes):
        n, cells = len(templates), searches.shape[1] // 8
        maps = np.zeros((n, cells, cells))
        return maps, maps, np.full((n, cells, cells, 4), 20.0)

    prior, current, alignment = moved_pair
    images = (
        Layers.of(prior, alignment.prior_breast, alignment.prior_factor, 0.28),
        Layers.of(current, alignment.current_breast, alignment.current_factor, 0.28),
    )
    settings = dataclasses.replace(Settings(), centreness=centreness)
    ((best, *_),) = search(half_everywhere, *images, [LESION], alignment, settings)
    assert best.score == best.tracking_score == pytest.approx(expected)

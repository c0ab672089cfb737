"""What a synthetic pair marks can be seen."""

from __future__ import annotations

import dataclasses

import numpy as np
from still_scenes import STILL

from Training.pasted import paste
from Training.sources import SPACING_MM, generated_source


def test_a_vanished_lesion_stands_out_of_the_tissue_around_it():
    """By three standard deviations of it; one that stays need not."""
    source = generated_source(4)
    at = np.array(source.breast.shape[::-1]) * SPACING_MM * [0.3, 0.5]
    difficulty = dataclasses.replace(STILL, lesion=1.0, vanished=1.0)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        pasted = paste(rng, source, at, difficulty)
        reach = round(pasted.lesion.reach / SPACING_MM)
        x, y = (at / SPACING_MM).astype(int)
        around = source.pixels[y - reach : y + reach, max(x - reach, 0) : x + reach]
        shown = pasted.prior_factor * pasted.lesion.contrast
        assert shown > 2.7 * around[around > 0].std()
        assert shown >= pasted.lesion.contrast
    stays = dataclasses.replace(difficulty, vanished=0.0)
    assert paste(np.random.default_rng(0), source, at, stays).prior_factor == 1

"""What a synthetic pair marks can be seen, and goes as often as asked."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from still_scenes import STILL

from Training.pasted import CLEAR, FAINTEST, SPECK, VISIBLE, Pasted, paste, tissue_spread
from Training.sources import SPACING_MM, Source, generated_source


@pytest.fixture(scope="module")
def source() -> Source:
    return generated_source(4)


def test_a_vanished_lesion_stands_out_of_the_tissue_around_it(source: Source):
    """By three standard deviations of it; one that stays need not."""
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


def pasted_in(source: Source, seed: int, **chances: float) -> tuple[Pasted, float]:
    """Return something pasted, and what it must add there to be clearly seen."""
    at = np.array(source.breast.shape[::-1]) * SPACING_MM * [0.3, 0.5]
    d = dataclasses.replace(STILL, lesion=0.5, landmark=0.6, **chances)
    pasted = paste(np.random.default_rng(seed), source, at, d)
    if pasted.is_landmark:
        return pasted, SPECK
    reach = 0 if pasted.lesion is None else pasted.lesion.reach
    return pasted, max(VISIBLE, CLEAR * tissue_spread(source, at, reach))


def test_single_calcifications_and_faint_lesions_go_as_well(source: Source):
    """What goes and what stays stand out alike, some of them by a third only."""
    there: dict[str, list[bool]] = {}
    shown: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(300):
        pasted, clear = pasted_in(source, seed, gone=0.5)
        there.setdefault(pasted.lesion.kind if pasted.lesion else "tissue", []).append(pasted.there)
        if pasted.lesion is None:
            continue
        before = pasted.prior_factor * pasted.lesion.contrast / clear
        assert before > FAINTEST - 1e-9
        assert pasted.prior_factor >= 1
        shown[pasted.there].append(before)
        if pasted.is_landmark:
            assert pasted.factor == pasted.prior_factor
        else:
            assert 0.2 < pasted.factor / pasted.prior_factor < 5
    assert all(there.pop("tissue"))
    assert set(there) == {"mass", "calcification", "landmark"}
    assert all(0.3 < np.mean(values) < 0.7 for values in there.values())
    for values in shown.values():
        assert np.min(values) < 0.45
        assert 0.5 < np.median(values) < 1.2
    assert abs(np.median(shown[True]) - np.median(shown[False])) < 0.15


def test_single_calcifications_stay_unless_all_can_go(source: Source):
    landmarks = 0
    for seed in range(40):
        pasted, _ = pasted_in(source, seed, vanished=1.0)
        assert pasted.there == (pasted.kind == "tissue")
        if pasted.is_landmark:
            assert pasted.prior_factor == pasted.factor == 1
        landmarks += pasted.is_landmark
    assert landmarks > 4

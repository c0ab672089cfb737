"""Whole synthetic pairs say the truth about where the lesions are."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from still_scenes import STILL, content

from Training import exposure, synthetic_pairs
from Training.sources import SPACING_MM, Source
from Training.synthetic_pairs import make_pair


@pytest.mark.parametrize("seed", range(3))
def test_boxes_of_a_whole_pair_show_the_same_tissue(monkeypatch: pytest.MonkeyPatch, seed: int):
    monkeypatch.setattr(exposure, "expose", lambda image, rng, pixel_mm: image)
    monkeypatch.setattr(synthetic_pairs, "WHOLE", STILL)
    y, x = (np.mgrid[:700, :400].astype("f4") + 0.5) * np.float32(SPACING_MM)
    breast = np.ones_like(x)
    nothing = Source(0 * x, breast, "nothing")
    seen = []
    for ramp in (x, y):
        pair = make_pair(np.random.default_rng(seed), Source(ramp, breast, "ramp"), [nothing])
        assert set(pair.kinds) == {"tissue"}
        assert len(pair.kinds) == 4
        seen.append(
            [
                [content(image, np.array(box.center), 0)[0, 0] for box in boxes]
                for image, boxes in (
                    (pair.prior, pair.prior_boxes),
                    (pair.current, pair.current_boxes),
                )
            ]
        )
    here, there = np.transpose(seen, (1, 2, 0))
    np.testing.assert_allclose(there, here, atol=0.3)
    assert np.ptp(here, axis=0).max() > 10


def test_lesions_of_a_whole_pair_are_there_or_gone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exposure, "expose", lambda image, rng, pixel_mm: image)
    difficulty = dataclasses.replace(STILL, lesion=1.0, vanished=0.4)
    monkeypatch.setattr(synthetic_pairs, "WHOLE", difficulty)
    flat = Source(np.full((700, 400), 0.5, "f4"), np.ones((700, 400), "f4"), "flat")
    kinds, gone = [], 0
    for seed in range(6):
        pair = make_pair(np.random.default_rng(seed), flat, [flat])
        kinds += pair.kinds
        for prior, current in zip(pair.prior_boxes, pair.current_boxes, strict=True):
            x0, y0, x1, y1 = (round(v) for v in prior.as_tuple())
            assert pair.prior[y0:y1, x0:x1].max() > 0.53
            gone += current is None
            if current is not None:
                x0, y0, x1, y1 = (round(v) for v in current.as_tuple())
                assert pair.current[y0:y1, x0:x1].max() > 0.52
        if all(box is None for box in pair.current_boxes):
            assert pair.current.max() < 0.51
        assert all(0.2 <= s <= 0.281 for s in pair.spacings_mm)
    assert {"mass", "calcification"} == set(kinds)
    assert 0 < gone < len(kinds)


def test_single_calcifications_of_a_whole_pair_go_as_well(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exposure, "expose", lambda image, rng, pixel_mm: image)
    monkeypatch.setattr(synthetic_pairs, "WHOLE", STILL)
    flat = Source(np.full((700, 400), 0.5, "f4"), np.ones((700, 400), "f4"), "flat")
    specks = []
    for seed in range(4):
        pair = make_pair(np.random.default_rng(seed), flat, [flat], gone=0.5)
        for kind, box, prior in zip(pair.kinds, pair.current_boxes, pair.prior_boxes, strict=True):
            x0, y0, x1, y1 = (round(v) for v in prior.as_tuple())
            assert (pair.prior[y0:y1, x0:x1].max() > 0.55) == (kind == "speck")
            if box is not None:
                x0, y0, x1, y1 = (round(v) for v in box.as_tuple())
                assert (pair.current[y0:y1, x0:x1].max() > 0.55) == (kind == "speck")
            if kind == "speck":
                specks.append(box is not None)
            else:
                assert kind == "tissue" and box is not None
    assert set(specks) == {True, False}

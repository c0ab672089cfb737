"""Whole synthetic series say the truth about where the lesions are, how large, and since when."""

from __future__ import annotations

import numpy as np
import pytest
from still_scenes import STILL, content

from Training import exposure, synthetic_pairs, synthetic_series
from Training.changes import Field
from Training.sources import SPACING_MM, Source
from Training.synthetic_series import GROWTH, SHRINKAGE, drifted, make_series

FLAT = Source(np.full((700, 400), 0.5, "f4"), np.ones((700, 400), "f4"), "flat")


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch):
    """Expose nothing, and lay nothing over the tissue."""
    monkeypatch.setattr(exposure, "expose", lambda image, rng, pixel_mm: image)
    for module in (synthetic_pairs, synthetic_series):
        monkeypatch.setattr(module, "WHOLE", STILL)


@pytest.mark.parametrize("seed", range(2))
def test_boxes_of_tissue_show_the_same_on_every_exam(monkeypatch, seed):
    monkeypatch.setattr(synthetic_series, "LESION", 0.0)
    monkeypatch.setattr(synthetic_pairs, "add_layer", lambda image, *layer: image)
    y, x = (np.mgrid[:700, :400].astype("f4") + 0.5) * np.float32(SPACING_MM)
    breast = np.ones_like(x)
    nothing = Source(0 * x, breast, "nothing")
    seen = []
    for ramp in (x, y):
        rng = np.random.default_rng(seed)
        series = make_series(rng, Source(ramp, breast, "ramp"), [nothing], 5)
        assert len(series.images) == len(series.years) == 5
        assert {lesion.kind for lesion in series.lesions} == {"tissue"}
        seen.append(
            [
                [content(image, np.array(box.center), 0)[0, 0]
                 for image, box in zip(series.images, lesion.boxes, strict=True)]
                for lesion in series.lesions
            ]
        )  # fmt: skip
    shown = np.transpose(seen, (1, 2, 0))
    np.testing.assert_allclose(shown - shown[:, :1], 0, atol=0.3)
    assert np.ptp(shown[:, 0], axis=0).max() > 10


def test_lesions_grow_appear_or_go_as_is_said(monkeypatch):
    monkeypatch.setattr(synthetic_series, "CHANGES_PRESENCE", 0.6)
    monkeypatch.setattr(synthetic_series, "LESION", 1.0)
    lowest, highest = np.log([SHRINKAGE[0], GROWTH[1]])
    changes, absent, ends = [], 0, set()
    for seed in range(8):
        count = 4 + seed % 3
        series = make_series(np.random.default_rng(seed), FLAT, [FLAT], count)
        assert np.all(np.diff(series.years) > 0.7) and series.years[0] == 0
        for lesion in series.lesions:
            assert lesion.boxes[series.marked] is not None
            there = np.array([box is not None for box in lesion.boxes])
            assert np.abs(np.diff(there)).sum() <= 1, "it appears or goes once"
            absent += (~there).sum()
            ends |= {(bool(there[0]), bool(there[-1]))}
            for image, box in zip(series.images, lesion.boxes, strict=True):
                if box is not None:
                    x0, y0, x1, y1 = (round(value) for value in box.as_tuple())
                    assert image[y0:y1, x0:x1].max() > 0.55
            sides = [
                np.log(box.longest_side((mm, mm)))
                for box, mm in zip(lesion.boxes, series.spacings_mm, strict=True)
                if box is not None
            ]
            steps = np.diff(sides)
            assert np.all(steps > -0.02) or np.all(steps < 0.02), "it only grows or only shrinks"
            changes.append(sides[-1] - sides[0])
    assert absent > 5 and len(ends) > 1
    assert min(changes) >= lowest - 0.05 and max(changes) <= highest + 0.05
    assert np.mean(np.abs(changes) < 0.03) > 0.1 and max(changes) > 0.2


def test_a_lesion_that_is_not_there_is_not_seen(monkeypatch):
    monkeypatch.setattr(synthetic_series, "LESION", 1.0)
    monkeypatch.setattr(
        synthetic_series, "there", lambda rng, count, marked: np.arange(count) == marked
    )
    series = make_series(np.random.default_rng(3), FLAT, [FLAT], 4, lesions=2)
    for k, image in enumerate(series.images):
        assert (image.max() > 0.55) == (k == series.marked)


def test_exams_drift():
    """Neighbours lie more alike than those far apart, which differ as the two of a pair do."""
    rng = np.random.default_rng(0)
    middle = np.array([50.0, 80.0])

    def drawn() -> Field:
        elastic = rng.normal(0, 1, (8, 8, 2)).astype("f4")
        matrix = np.eye(2) + rng.normal(0, 0.1, (2, 2))
        return Field(middle + rng.normal(0, 6, 2), matrix, elastic, 100.0, rng.normal(0, 1e-3, 2))

    fields = [drawn()]
    for _ in range(4000):
        fields.append(drifted(fields[-1], drawn(), middle))
    bases = np.array([field.base for field in fields])
    assert np.std(bases[:, 0]) == pytest.approx(6, rel=0.1)
    near, far = (np.std(bases[k:, 0] - bases[:-k, 0]) for k in (1, 8))
    assert near == pytest.approx(6, rel=0.1) and far == pytest.approx(6 * 2**0.5, rel=0.1)
    assert np.std([field.elastic[3, 3, 0] for field in fields]) == pytest.approx(1, rel=0.1)

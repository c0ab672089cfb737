"""How well sizes repeat, fitted to sizes whose error is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_up_series import followed

from MammoTrackerLib import MammoTrackerError, Status
from MammoTrackerLib.growth import ANY_TYPE, error_mm
from MammoTrackerLib.history import LesionHistory
from Training.size_errors import (
    covered,
    differences,
    fit_repeatability,
    fit_shared,
    sizes,
    together,
)


def test_the_error_covers_what_it_says():
    rng = np.random.default_rng(1)
    true = rng.uniform(5, 30, 4000)
    predicted = true * np.exp(rng.normal(0, np.hypot(0.05, 0.4 / true)))
    parts = fit_repeatability(np.stack([predicted, true], axis=1))
    errors = np.array([error_mm(side, parts) for side in predicted])
    wrong = np.abs(np.log(predicted / true)) * predicted
    assert np.mean(wrong <= errors) == pytest.approx(0.95, abs=0.01)
    assert parts["mm"] == pytest.approx(1.96 * 0.4, abs=0.4)
    assert parts["share"] == pytest.approx(1.96 * 0.05, abs=0.04)
    with pytest.raises(MammoTrackerError, match="more series"):
        fit_repeatability(np.ones((3, 2)))


def test_sizes_are_of_lesions_at_the_right_place_that_did_or_did_not_change():
    stays = followed([10, 10, 10.1], [10, 11, 12], [1, 0.9, 0.1])
    grows = followed([10, 12, None], [10, 11, 12], [1, 0.9, 0.9], "calcification")
    elsewhere = followed([10, 10], [10, 11], [1, 0.9], moved=11)
    tissue = followed([10, 10], [10, 11], [1, 0.9], "tissue")
    lesions = [stays, grows, elsewhere, tissue]
    np.testing.assert_allclose(together(sizes(lesions, ANY_TYPE)), [[11, 10]])
    np.testing.assert_allclose(together(sizes(lesions, ANY_TYPE, changed=True)), [[11, 12]])
    assert len(together(sizes(lesions, "calcification"))) == 0


def test_what_was_kept_from_the_registration_measures_no_size():
    lesion = followed([60, 60, 60], [60, 60, 60], [1, 0.9, 0.9])
    kept = replace(lesion.history.results[1].track, status=Status.REGISTRATION)
    results = list(lesion.history.results)
    results[1] = replace(results[1], track=kept)
    lesion = replace(lesion, history=LesionHistory(0, tuple(results)))
    assert len(together(sizes([lesion], ANY_TYPE))) == 1


@pytest.mark.parametrize("shared", [0.0, 0.6])
def test_what_sizes_of_a_lesion_share_of_their_error_is_fitted(shared):
    rng = np.random.default_rng(2)
    true = rng.uniform(5, 30, (1500, 1)) * np.ones(4)
    both, own = rng.normal(0, 0.06, (1500, 1)), rng.normal(0, 0.06, (1500, 4))
    predicted = true * np.exp(np.sqrt(shared) * both + np.sqrt(1 - shared) * own)
    measured = list(np.stack([predicted, true], axis=-1))
    parts = fit_shared(measured, fit_repeatability(together(measured)))
    assert parts["shared"] == pytest.approx(shared, abs=0.12)
    assert covered(differences(measured, parts), parts) == pytest.approx(0.95, abs=0.02)


def test_two_exams_alone_do_not_tell_what_sizes_share():
    alone = [np.array([[10.0, 10.0]])] * 40
    assert fit_shared(alone, {"mm": 1.0, "share": 0.1})["shared"] == 0

"""What is measured on series, and what is fitted on them."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from made_up_series import followed
from rich.console import Console

from MammoTrackerLib import MammoTrackerError
from MammoTrackerLib.growth import ANY_TYPE
from MammoTrackerLib.history import presence
from MammoTrackerLib.networks.card import WEIGHTS, read_card
from Training import measure_series
from Training.followed_series import Followed
from Training.measure_series import fit_presence


def many(count: int) -> list[Followed]:
    """Make lesions that stay or grow, and half of them vanish; sizes repeat to 5 % and 0.3 mm."""
    rng = np.random.default_rng(0)
    lesions = []
    for number in range(count):
        side, growth = rng.uniform(5, 25), (1.0, 1.5)[number % 2]
        error = rng.normal(0, np.hypot(0.05, 0.3 / side), 3)
        true = [side, side * growth**0.5, side * growth]
        predicted = [side, *(np.array(true[1:]) * np.exp(error[1:]))]
        scores = [1.0, rng.uniform(0.9, 1), rng.uniform(0.8, 1)]
        if number % 4 > 1:
            true[2], scores[2] = None, rng.uniform(0.3, 0.9)
        lesions.append(followed(true, predicted, scores, ("mass", "calcification")[number % 3 > 0]))
    return lesions


def test_presence_is_fitted_to_the_highest_score_beyond():
    coefficients = fit_presence(many(80))
    assert presence(0.99, coefficients) > 0.9 > 0.5 > presence(0.6, coefficients)
    with pytest.raises(MammoTrackerError, match="appears or goes"):
        fit_presence([followed([10, 10], [10, 10], [1, 1])])


def test_the_program_prints_and_writes_into_the_card(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "weights"
    shutil.copytree(WEIGHTS, folder)
    monkeypatch.setattr(measure_series, "collect", lambda path, tracker: many(200))
    manifest = tmp_path / "manifest.csv"
    assert measure_series.main([str(manifest), "--weights", str(folder), "--write"]) == 0
    shown = capsys.readouterr().out
    for text in ("followed", "difference", "called so", "called growth", "within the error"):
        assert text in shown
    card = read_card(folder)
    assert set(card["repeatability"]) == {"any", "mass", "calcification"}
    assert set(card["repeatability"]["mass"]) == {"mm", "share", "shared"}
    assert len(card["presence"]) == 2
    before = card
    assert measure_series.main([str(manifest), "--weights", str(folder)]) == 0
    assert read_card(folder) == before


def test_a_manifest_that_cannot_be_read_is_said(tmp_path, capsys):
    assert measure_series.main([str(tmp_path / "none.csv")]) == 2
    assert "There is no file" in capsys.readouterr().err


def test_growth_is_counted_by_what_is_true(capsys):
    repeatability = {ANY_TYPE: {"mm": 0.0, "share": 0.1}}
    lesions = [
        followed([10, 15], [10, 14], [1, 0.9]),
        followed([10, 13], [10, 10.5], [1, 0.9]),
        followed([10, 10], [10, 12], [1, 0.9]),
        followed([10, 11], [10, 15], [1, 0.9]),
    ]
    measure_series.print_growth(lesions, repeatability, Console(width=140))
    line = next(x for x in capsys.readouterr().out.splitlines() if "any" in x)
    assert "50.0 %" in line and "100.0 %" in line

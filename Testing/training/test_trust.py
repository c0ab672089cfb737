"""What statuses, probability and sizes are worth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from rich.console import Console

from MammoTrackerLib import Box
from MammoTrackerLib.command.scores import Lesion
from Training.methods import FULL
from Training.trust import (
    calibration_error,
    groups,
    is_right,
    print_trust,
    size_changes,
)


def tracked(
    pair: str, side: float | None, found: float, chance: float, off: float = 0.0, kind: str = "mass"
):
    """A row and its lesion of 10 mm: its true and its found side in mm, and how far it is off."""
    truth = None if side is None else Box.from_center(50, 50, side * 10, side * 10)
    box = Box.from_center(50 + off * 10, 50, found * 10, found * 10)
    row = {"prior_x0": "0", "prior_y0": "0", "prior_x1": "100", "prior_y1": "100"}
    row |= {"pair_id": pair, "lesion_id": "0", "prior_spacing_mm": "0.1"}
    status = "found" if chance >= 0.7 else "not found"
    return row, Lesion(kind, pair, f"woman {pair}", truth, (0.1, 0.1), status, {FULL: box}, chance)


def test_lesions_that_went_are_told_from_pairs_that_are_none():
    rows = [
        tracked("a", 10, 10, 0.9), tracked("a", None, 10, 0.2), tracked("b", None, 10, 0.1),
    ]  # fmt: skip
    assert {name: len(lesions) for name, lesions in groups(rows).items()} == {
        "there": 1, "went": 1, "not a pair": 1,
    }  # fmt: skip


def test_a_reader_who_says_that_a_lesion_is_not_there_says_it_of_a_right_pair():
    row, lesion = tracked("a", None, 10, 0.2)
    row["decision"] = "not there"
    assert list(groups([(row, lesion)])) == ["went"]


def test_an_answer_within_3_mm_is_right():
    assert is_right(tracked("a", 10, 10, 0.9, off=2.9)[1])
    assert not is_right(tracked("a", 10, 10, 0.9, off=3.1)[1])
    assert not is_right(tracked("a", None, 10, 0.9)[1])


def test_calibration_error_of_known_probabilities():
    rng = np.random.default_rng(0)
    chance = rng.random(20000)
    right = rng.random(20000) < chance
    assert calibration_error(chance, right) < 0.02
    assert calibration_error(np.full(100, 0.95), np.arange(100) < 65) == pytest.approx(0.3)
    # What counts twice counts as two.
    chance, right = np.array([0.95, 0.95]), np.array([True, False])
    assert calibration_error(chance, right, np.array([3.0, 1.0])) == pytest.approx(0.2)


def test_size_changes_are_of_large_masses_at_their_place():
    rows = [
        tracked("a", 12, 11, 0.9), tracked("b", 12, 11, 0.9, off=7),
        tracked("c", 12, 11, 0.9, kind="tissue"),
    ]  # fmt: skip
    assert size_changes(rows) == [(math.log(1.2), pytest.approx(math.log(1.1)), "woman a")]


def test_what_is_printed_and_drawn(capsys, tmp_path):
    changes = np.linspace(0.8, 1.3, 6)
    rows = [tracked(f"p{k}", 10 * c, 10 * c**0.5, 0.9) for k, c in enumerate(changes)]
    rows += [tracked("w", None, 10, 0.1), tracked("v", None, 10, 0.85)]
    print_trust(Console(width=150), rows, tmp_path / "reliability.png")
    printed = capsys.readouterr().out
    assert "6: 1.000" in printed and "1: 0.500" in printed
    of_masses = "change of the longest side, masses of 8 mm and more"
    assert f"Slope of the predicted on the true {of_masses}: 0.50" in printed
    assert f"Slope of the true on the predicted {of_masses}: 2.00" in printed
    assert "Expected calibration error: 0.194" in printed
    assert (tmp_path / "reliability.png").read_bytes().startswith(b"\x89PNG")

"""The probability is fitted on answers that have evidence, of weights with both networks."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from MammoTrackerLib import MammoTrackerError
from MammoTrackerLib.confidence import EVIDENCE
from MammoTrackerLib.networks.card import (
    CONVERTED,
    TRACKING_FILE,
    WEIGHTS,
    read_card,
    write_card,
)
from Training import calibrate


@pytest.fixture
def tracking_alone(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    names = TRACKING_FILE, CONVERTED[TRACKING_FILE]
    for name in names:
        shutil.copy(WEIGHTS / name, folder)
    card = read_card()
    sums = {name: card["sha256"][name] for name in names}
    write_card(folder, {"version": "test", "sha256": sums, "made_from": card["made_from"]})
    return folder


def test_tracking_weights_alone_have_no_probability_to_fit(tracking_alone: Path, capsys):
    before = (tracking_alone / "weights.json").read_text()
    assert calibrate.main([str(tracking_alone / "m.csv"), "--weights", str(tracking_alone)]) == 2
    assert "no similarity network" in capsys.readouterr().err
    assert (tracking_alone / "weights.json").read_text() == before


def test_manifests_without_any_evidence_are_said(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(calibrate, "read_manifest", lambda *_, **__: [])
    values, *flags = calibrate.collect(tmp_path, None)
    assert values.shape == (0, len(EVIDENCE)) and all(flag.dtype == bool for flag in flags)
    assert calibrate.main([str(tmp_path / "m.csv"), "--weights", str(WEIGHTS)]) == 2
    assert "check their boxes" in capsys.readouterr().err


def test_a_pair_that_cannot_be_tracked_is_left_out_and_said(tmp_path: Path, monkeypatch, capsys):
    rows = [{"pair_id": name} for name in ("p1", "p2")]
    asked = []

    def read_exam(folder: Path, row: dict, name: str):
        asked.append(row["pair_id"])
        raise MammoTrackerError("It cannot be read.")

    monkeypatch.setattr(calibrate, "read_manifest", lambda *_, **__: rows)
    monkeypatch.setattr(calibrate, "pairs_of", lambda rows: [[row] for row in rows])
    monkeypatch.setattr(calibrate, "read_exam", read_exam)
    values, *_ = calibrate.collect(tmp_path, None)
    assert len(values) == 0 and asked == ["p1", "p2"]
    assert "Pair p2 is left out: It cannot be read." in capsys.readouterr().err


def test_lesions_that_went_are_weighed_as_the_share_that_is_asked_for():
    there, went = np.array([True] * 9 + [False]), np.array([False] * 9 + [True])
    weights = calibrate.weights_of(there, went, 0.25)
    assert weights[9] / weights.sum() == pytest.approx(0.25)
    assert (calibrate.weights_of(there, went, None) == 1).all()

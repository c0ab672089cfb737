"""Networks become files for LiteRT."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from MammoTrackerLib.networks.card import CONVERTED, WEIGHTS, read_card
from MammoTrackerLib.networks.with_litert import LiteRTNetworks
from MammoTrackerLib.settings import Settings
from Training import convert


def test_what_ships_is_what_its_weights_give(tmp_path: Path):
    """Not byte by byte, since another TensorFlow may write another file."""
    for name in CONVERTED:
        shutil.copy(WEIGHTS / name, tmp_path)
    card = {"sha256": {name: read_card()["sha256"][name] for name in CONVERTED}}
    convert.convert(tmp_path, card, Settings())
    assert card["made_from"] == read_card()["made_from"]
    rng = np.random.default_rng(0)
    templates, searches, pairs = (
        rng.uniform(-1, 1, (1, side, side, 3)).astype("f4") for side in (160, 304, 192)
    )
    new, shipped = (
        [*networks.tracking(templates, searches, np.full((1, 2), 30, "f4"))]
        + [*networks.similarity(pairs, pairs[:, ::-1], [1])]
        for networks in (LiteRTNetworks(tmp_path, card), LiteRTNetworks(WEIGHTS, read_card()))
    )
    for output, same in zip(new, shipped, strict=True):
        np.testing.assert_allclose(output, same, rtol=1e-4, atol=1e-4)


def test_a_file_that_lost_its_weights_is_noticed(tmp_path: Path, monkeypatch):
    for name in CONVERTED:
        shutil.copy(WEIGHTS / name, tmp_path)
    monkeypatch.setattr(convert, "as_tflite", lambda network, inputs: b"nothing but a graph")
    with pytest.raises(RuntimeError, match="lost the weights"):
        convert.convert(tmp_path, {"sha256": read_card()["sha256"]}, Settings())

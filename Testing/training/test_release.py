"""The settings of a run go with its weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_training import TINY, parsed

from MammoTrackerLib import LesionTracker, MammoTrackerError
from MammoTrackerLib.networks.runtime import SIMILARITY_FILE, TRACKING_FILE
from Training import program, release


def test_settings_of_another_version_are_refused(tmp_path: Path):
    (tmp_path / "weights.json").write_text('{"settings": {"no_such_setting": 1}}')
    with pytest.raises(MammoTrackerError, match="another version"):
        LesionTracker(weights=tmp_path)


def test_refinement_settings_come_from_the_similarity_networks_run(tmp_path: Path):
    for name, options in (("a", []), ("b", ["--refinement-px=64", "--nms-iou=0.5"])):
        program.write_card(parsed("--run", str(tmp_path / name), *TINY, *options))
    files = [(tmp_path / "a" / TRACKING_FILE), (tmp_path / "b" / SIMILARITY_FILE)]
    for file in files:
        file.write_bytes(b"any")
    release.main([*map(str, files), "--version=test", "--out", str(tmp_path / "out")])
    card = json.loads((tmp_path / "out" / "weights.json").read_text())
    assert set(card["sha256"]) == {TRACKING_FILE, SIMILARITY_FILE}
    settings = LesionTracker(weights=tmp_path / "out").settings
    assert (settings.refinement_px, settings.nms_iou) == (64, 0.7)

"""The weights are found, verified and loaded."""

import json
import shutil

import pytest

from MammoTrackerLib import LesionTracker, MammoTrackerError
from MammoTrackerLib.networks import runtime
from MammoTrackerLib.networks.runtime import SIMILARITY_FILE, TRACKING_FILE, WEIGHTS, verify_weights


def test_a_gpu_that_is_too_small_for_a_batch_tracks_one_by_one(monkeypatch):
    import tensorflow as tf

    ran = []

    def run(self, lesions):
        ran.append(lesions)
        if lesions > 1:
            raise tf.errors.ResourceExhaustedError(None, None, "no memory")

    monkeypatch.setattr(runtime, "_has_gpu", lambda: True)
    monkeypatch.setattr(runtime.Networks, "run", run)
    small = LesionTracker().load()
    assert ran == [1, 16]
    assert small.lesions_at_once == 1


def copy_of_weights(folder):
    for name in ("weights.json", TRACKING_FILE, SIMILARITY_FILE):
        shutil.copyfile(WEIGHTS / name, folder / name)
    return folder


def test_the_weights_that_ship_are_whole_and_small():
    card = verify_weights()
    assert set(card["sha256"]) == {TRACKING_FILE, SIMILARITY_FILE}
    assert sum((WEIGHTS / name).stat().st_size for name in card["sha256"]) < 15e6


def test_changed_weights_are_refused(tmp_path):
    copy_of_weights(tmp_path)
    data = bytearray((tmp_path / TRACKING_FILE).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / TRACKING_FILE).write_bytes(data)
    with pytest.raises(MammoTrackerError, match="checksum"):
        LesionTracker(weights=tmp_path).load()


def test_missing_weights_are_refused(tmp_path):
    with pytest.raises(MammoTrackerError, match="missing"):
        LesionTracker(weights=tmp_path / "nowhere").load()
    copy_of_weights(tmp_path)
    (tmp_path / SIMILARITY_FILE).unlink()
    with pytest.raises(MammoTrackerError, match="missing"):
        LesionTracker(weights=tmp_path).load()


def test_a_damaged_card_is_refused(tmp_path):
    copy_of_weights(tmp_path)
    (tmp_path / "weights.json").write_text(json.dumps({"sha256": {}}))
    with pytest.raises(MammoTrackerError):
        LesionTracker(weights=tmp_path).load()

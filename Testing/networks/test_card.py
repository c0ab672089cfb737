"""The card of the weights: what it says, and that nobody edited it."""

import hashlib
import json
import shutil
from dataclasses import replace

import pytest

from MammoTrackerLib import LesionTracker, MammoTrackerError
from MammoTrackerLib.networks.card import (
    CONVERTED,
    SIMILARITY_FILE,
    TRACKING_FILE,
    WEIGHTS,
    is_converted,
    read_card,
    settings_of,
    verified,
    write_card,
)
from MammoTrackerLib.settings import Settings


@pytest.fixture
def folder(tmp_path):
    """A copy of the weights that ship, to be damaged."""
    return shutil.copytree(WEIGHTS, tmp_path / "weights")


def damage(path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_the_weights_that_ship_are_whole_small_and_converted():
    card = read_card()
    assert set(card["sha256"]) == {*CONVERTED, *CONVERTED.values()}
    for name, checksum in card["sha256"].items():
        assert hashlib.sha256(verified(WEIGHTS, card, name).read_bytes()).hexdigest() == checksum
    assert sum((WEIGHTS / name).stat().st_size for name in card["sha256"]) < 15e6
    assert card["made_from"] == {new: card["sha256"][old] for old, new in CONVERTED.items()}
    assert is_converted(WEIGHTS, card, settings_of(card))


def edits() -> dict:
    def calibration(card):
        card["calibration"]["coefficients"][0][0] += 1e-5

    def threshold(card):
        card["calibration"]["found_score"] = 0.1

    def no_calibration(card):
        del card["calibration"]

    def checksum(card):
        card["sha256"]["tracking.tflite"] = "0" * 64

    def origin(card):
        card["made_from"]["tracking.tflite"] = "0" * 64

    def settings(card):
        card["settings"] = {"wide_mm": 1.0}

    def version(card):
        card["version"] = "9"

    def digest(card):
        card["digest"] = "0" * 64

    def no_digest(card):
        del card["digest"]

    return {name: edit for name, edit in locals().items()}


@pytest.mark.parametrize("edit", edits().values(), ids=edits())
def test_an_edited_card_is_refused(folder, edit):
    card = json.loads((folder / "weights.json").read_text())
    edit(card)
    (folder / "weights.json").write_text(json.dumps(card, indent=2))
    with pytest.raises(MammoTrackerError, match="weights.json .* was changed"):
        LesionTracker(weights=folder)


def test_the_order_and_the_spaces_of_a_card_do_not_count(folder):
    card = json.loads((folder / "weights.json").read_text())
    (folder / "weights.json").write_text(json.dumps(dict(reversed(card.items()))))
    assert read_card(folder) == read_card()


def test_a_card_that_is_written_is_read(tmp_path):
    card = {"version": "1", "sha256": {TRACKING_FILE: "0" * 64}, "settings": {"zooms": [1.0, 2.0]}}
    write_card(tmp_path, card)
    assert read_card(tmp_path) == card
    assert settings_of(card) == Settings(zooms=(1.0, 2.0))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"sha256": {}}', '{"sha256": []}', '{"version": "1"}']
)
def test_a_damaged_card_is_refused(tmp_path, text):
    (tmp_path / "weights.json").write_text(text)
    with pytest.raises(MammoTrackerError, match="missing or incomplete"):
        LesionTracker(weights=tmp_path)


def test_missing_weights_are_refused(tmp_path):
    with pytest.raises(MammoTrackerError, match="missing"):
        LesionTracker(weights=tmp_path / "nowhere")


def test_settings_of_another_version_are_refused(tmp_path):
    write_card(tmp_path, {"sha256": {TRACKING_FILE: "0" * 64}, "settings": {"colour": 1}})
    with pytest.raises(MammoTrackerError, match="another version"):
        LesionTracker(weights=tmp_path)


def test_a_damaged_file_is_refused_where_it_is_loaded(folder):
    damage(folder / CONVERTED[SIMILARITY_FILE])
    with pytest.raises(MammoTrackerError, match="similarity.tflite is damaged"):
        LesionTracker(weights=folder, runtime="litert").load()
    shutil.copy(WEIGHTS / CONVERTED[SIMILARITY_FILE], folder)
    damage(folder / TRACKING_FILE)  # which LiteRT does not load
    LesionTracker(weights=folder, runtime="litert").load()
    with pytest.raises(MammoTrackerError, match="tracking.weights.h5 is damaged"):
        verified(folder, read_card(folder), TRACKING_FILE)


def test_files_of_other_weights_or_sizes_are_not_taken_for_converted(folder):
    card, settings = read_card(folder), Settings()
    assert is_converted(folder, card, settings)
    assert is_converted(folder, card, replace(settings, max_candidates=3, wide_mm=1))
    assert not is_converted(folder, card, replace(settings, search_px=320))
    other = {**card, "sha256": {**card["sha256"], TRACKING_FILE: "0" * 64}}
    assert not is_converted(folder, other, settings)
    (folder / CONVERTED[TRACKING_FILE]).unlink()
    assert not is_converted(folder, card, settings)

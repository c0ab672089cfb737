"""Real pairs are cut so that the lesion is where the scene says, and train the network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import read_table, write_table
from tiny_training import KERAS_WARNINGS, LESION, SHIFT, TINY, parsed

from MammoTrackerLib import Box
from MammoTrackerLib.networks.card import TRACKING_FILE
from Training import program, real_pairs, train_tracking
from Training.real_pairs import RealPairs, cut_scene
from Training.sources import SPACING_MM
from Training.train_tracking import batch_of

pytestmark = KERAS_WARNINGS


def write_manifest(folder: Path, pair, rows: list[dict[str, object]]) -> Path:
    for name, mammogram in zip(("prior", "current"), pair[:2], strict=True):
        cv2.imwrite(str(folder / f"{name}.png"), mammogram.pixels.astype(np.uint16))
    common = {
        "pair_id": 1, "lesion_id": 1, "lesion_type": "mass", "prior": "prior.png",
        "current": "current.png", "prior_spacing_mm": SPACING_MM,
        "current_spacing_mm": SPACING_MM, "patient": "A", "present": 1,
    }  # fmt: skip
    moved = Box(LESION.x0 + SHIFT[0], LESION.y0 + SHIFT[1], LESION.x1 + SHIFT[0],
                LESION.y1 + SHIFT[1])  # fmt: skip
    for exam, box in (("prior", LESION), ("current", moved)):
        for name, value in zip(("x0", "y0", "x1", "y1"), box.as_tuple(), strict=True):
            common[f"{exam}_{name}"] = value
    return write_table(folder / "manifest.csv", [common | row for row in rows])


def test_real_pairs(tmp_path: Path, moved_pair, monkeypatch: pytest.MonkeyPatch, capsys):
    manifest = write_manifest(tmp_path, moved_pair, [
        {}, {"lesion_id": 2, "present": 0, "current_x0": ""}, {"prior": "nowhere.png"},
        {"current_x0": ""}, {"prior_x1": 400, "prior_x0": 10},
        {"prior_x0": 9000, "prior_x1": 9060}, {"current_y0": -60, "current_y1": -10},
        {"current_x0": 293, "current_x1": 328},
    ])  # fmt: skip
    arguments = parsed(*TINY, "--pairs", str(manifest), "--run", str(tmp_path / "run"), "--batch=2")
    settings = program.settings_of(arguments)
    pairs = RealPairs.prepare(arguments, settings)
    assert "6 of 8 rows cannot be used" in capsys.readouterr().out
    rows = read_table(tmp_path / "run" / "skipped.csv")
    skipped = {row["row"]: row["reason"] for row in rows}
    assert sorted(skipped) == ["4", "5", "6", "7", "8", "9"]
    assert "nowhere.png" in skipped["4"]
    assert "current_x0" in skipped["5"]
    assert "longer" in skipped["6"]
    assert "outside the prior" in skipped["7"] and "outside the current" in skipped["8"]
    assert "no breast in the box on the current" in skipped["9"]

    assert pairs.steps_per_epoch == 1
    for step in range(4):
        scenes = pairs.scenes(step)
        again = RealPairs(pairs.lesions, settings, arguments.seed, 2).scenes(step)
        assert sorted(float(scene.present[0]) for scene in scenes) == [0, 1]
        for scene, same in zip(scenes, again, strict=True):
            for name in ("search", "templates", "sizes", "centers", "boxes", "present", "kinds"):
                array = getattr(scene, name)
                assert array.dtype == np.float32
                np.testing.assert_array_equal(array, getattr(same, name))
        assert [a.shape for a in batch_of(scenes, settings)] == [
            (2, 64, 64, 3), (2, 96, 96, 3), (2, 2), (2, 2), (2, 4), (2,)
        ]  # fmt: skip

    for name in ("ZOOM", "GAMMA", "NOISE"):
        monkeypatch.setattr(real_pairs, name, 0)
    places = []
    for seed in range(12):
        scene = cut_scene(np.random.default_rng(seed), pairs.lesions[0], settings)
        (x, y), (x0, y0, x1, y1) = scene.centers[0], scene.boxes[0]
        assert (x, y) == pytest.approx(((x0 + x1) / 2, (y0 + y1) / 2), abs=1e-3)
        assert scene.present == 1
        half = 12
        template = scene.templates_raw[0, 32 - half : 32 + half, 32 - half : 32 + half, 0]
        found = cv2.matchTemplate(scene.search_raw[..., 0], template, cv2.TM_CCOEFF_NORMED)
        _, likeness, _, place = cv2.minMaxLoc(found)
        assert likeness > 0.9
        np.testing.assert_allclose(np.array(place) + half, (x, y), atol=3)
        places.append((x, y))
    assert np.std(places, axis=0).min() > 3

    monkeypatch.setattr(real_pairs, "align", None)  # all that is slow is in the cache
    again = RealPairs.prepare(arguments, settings)
    np.testing.assert_array_equal(again.lesions[0].registered, pairs.lesions[0].registered)


@pytest.mark.usefixtures("tiny")
def test_train_on_real_pairs(tmp_path: Path, moved_pair):
    manifest = write_manifest(tmp_path, moved_pair, [{}, {"lesion_id": 2, "present": 0}])
    run = tmp_path / "run"
    options = [option for option in TINY if "steps-per-epoch" not in option]
    train_tracking.main(["--run", str(run), *options, "--pairs", str(manifest)])
    assert program.finished_steps(run) == 2
    assert (run / TRACKING_FILE).exists()


@pytest.mark.usefixtures("tiny")
def test_a_manifest_without_usable_rows_is_refused(tmp_path: Path, moved_pair):
    manifest = write_manifest(tmp_path, moved_pair, [{"prior": "nowhere.png"}])
    with pytest.raises(SystemExit, match="no row"):
        train_tracking.main(["--run", str(tmp_path / "run"), *TINY, "--pairs", str(manifest)])


def test_negatives_are_trained_on_as_they_are_tracked(tmp_path: Path, moved_pair):
    """An image whose air is bright is read as its positive."""
    images = []
    for name in ("as it is", "negative"):
        folder = tmp_path / name
        folder.mkdir()
        pair = moved_pair[:2]
        if name == "negative":
            top = pair[1].pixels.max()
            pair = pair[0], replace(pair[1], pixels=top - pair[1].pixels)
        manifest = write_manifest(folder, pair, [{}])
        arguments = parsed(*TINY, "--pairs", str(manifest), "--run", str(folder / "run"))
        (lesion,) = RealPairs.prepare(arguments, program.settings_of(arguments)).lesions
        images.append(real_pairs.read_layers(lesion.current).image)
    straight, turned = (image.astype(float) / image.max() for image in images)
    np.testing.assert_allclose(straight, turned, atol=0.02)

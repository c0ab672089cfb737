"""The tracking network is trained with every kind of template, and its weights track."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from command_line import read_table
from still_scenes import STILL
from tiny_training import KERAS_WARNINGS, LESION, TINY, parsed, values

from MammoTrackerLib import LesionTracker, MammoTrackerError
from MammoTrackerLib.networks.card import SIMILARITY_FILE, TRACKING_FILE, WEIGHTS
from MammoTrackerLib.networks.similarity import SimilarityNetwork
from MammoTrackerLib.networks.tracking import TrackingNetwork
from MammoTrackerLib.settings import PAPER, Settings
from Training import program, release, train_similarity, train_tracking
from Training.difficulty import HARD
from Training.sources import generated_source
from Training.synthetic_scenes import make_scene
from Training.train_tracking import batch_of

pytestmark = KERAS_WARNINGS


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    "options",
    [["--template-input=crop-and-resize", "--no-centreness"], ["--template-input=masked"],
     ["--precision=mixed_float16"]],
    ids=["crop-and-resize without centre-ness", "masked", "mask-guided in mixed precision"],
)  # fmt: skip
def test_train_release_and_track(tmp_path: Path, moved_pair, options: list[str]):
    run, folder = tmp_path / "run", tmp_path / "weights"
    train_tracking.main(["--run", str(run), *TINY, *options])
    (row,) = read_table(run / "log.csv")
    parts = [float(row[name]) for name in ("cls", "reg", "ctr")]
    assert all(np.isfinite(parts))
    counted = parts[:2] if "--no-centreness" in options else parts
    assert float(row["loss"]) == pytest.approx(sum(counted), rel=1e-5)

    release.main([str(run / TRACKING_FILE), "--version=test", "--out", str(folder)])
    assert not (folder / SIMILARITY_FILE).exists()
    tracker = LesionTracker(weights=folder, runtime="tensorflow")
    assert tracker.settings == program.settings_of(parsed(*TINY, *options))
    prior, current, alignment = moved_pair
    (track,) = tracker.track(prior, current, [LESION], alignment)
    assert 1 <= len(track.candidates) <= 3
    for candidate in track.candidates:
        assert candidate.similarity_score is None
        assert 0 < candidate.score == candidate.tracking_score <= 1
    assert track.score == track.candidates[0].score
    data = bytearray((folder / TRACKING_FILE).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / TRACKING_FILE).write_bytes(data)
    with pytest.raises(MammoTrackerError, match="checksum"):
        LesionTracker(weights=folder, runtime="tensorflow").load()


@pytest.mark.usefixtures("tiny")
def test_a_training_starts_from_what_is_named(tmp_path: Path):
    """Nothing is learned at a rate of 0, so that what comes out is what it began with."""
    start = WEIGHTS / TRACKING_FILE
    options = [o for o in TINY if "--start" not in o] + ["--rate=0"]
    train_tracking.main(["--run", str(tmp_path / "tracking"), f"--backbone={start}", *options])
    trained, shipped = TrackingNetwork(64, 3), TrackingNetwork(64, 3)
    trained.load_weights(tmp_path / "tracking" / TRACKING_FILE)
    shipped.load_weights(start)
    assert all(map(np.array_equal, values(trained.backbone), values(shipped.backbone)))
    assert not np.array_equal(trained.mix.kernel.numpy(), shipped.mix.kernel.numpy())

    similarity = WEIGHTS / SIMILARITY_FILE
    size = Settings().refinement_px
    train_similarity.main(
        ["--run", str(tmp_path / "similarity"), f"--tracking={start}", f"--start={similarity}",
         f"--refinement-px={size}", *options]
    )  # fmt: skip
    trained, shipped = SimilarityNetwork(size), SimilarityNetwork(size)
    trained.load_weights(tmp_path / "similarity" / SIMILARITY_FILE)
    shipped.load_weights(similarity)
    assert all(map(np.array_equal, values(trained), values(shipped)))


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("share", [0, 1])
def test_so_many_pasted_lesions_vanish(share: int):
    arguments = parsed(*TINY, f"--vanished={share}")
    make = train_tracking.synthetic_scenes(program.settings_of(arguments), arguments)
    scenes = [scene for step in range(12) for scene in make(step)]
    present, kinds = (np.concatenate([getattr(s, n) for s in scenes]) for n in ("present", "kinds"))
    assert kinds.any()  # of the template's own breast
    assert (present[kinds > 0] == 1 - share).all()
    assert present[kinds == 0].any()


@pytest.mark.usefixtures("tiny")
def test_single_calcifications_go_where_all_that_is_pasted_can(monkeypatch: pytest.MonkeyPatch):
    hard = dataclasses.replace(HARD, lesion=0.0, absent=0.0)
    monkeypatch.setattr(train_tracking, "HARD", hard)
    missing = []
    for option in ("--vanished=1", "--gone=1"):
        arguments = parsed(*TINY, option)
        make = train_tracking.synthetic_scenes(program.settings_of(arguments), arguments)
        scenes = [scene for step in range(12) for scene in make(step)]
        missing.append(1 - np.concatenate([scene.present for scene in scenes]).mean())
    assert missing[0] == 0
    assert 0.2 < missing[1] < 0.8  # about half of the boxes have one: those under 20 mm, mostly


@pytest.mark.parametrize("sizes", [(80.0, 512, 110.0, 1024), (44.8, 160, 85.12, 304)])
def test_the_network_is_given_sizes_in_search_pixels(sizes, monkeypatch: pytest.MonkeyPatch):
    """Without any change between the exams the box is as large as the lesion of the template."""
    names = ("template_mm", "template_px", "search_mm", "search_px")
    settings = dataclasses.replace(PAPER, **dict(zip(names, sizes, strict=True)))
    source = generated_source(1)
    scene = make_scene(np.random.default_rng(4), source, [source], settings, STILL)
    assert scene.sizes.max() < 0.7 * settings.template_px
    templates, searches, given, _, boxes, _ = batch_of([scene, scene], settings)
    assert templates.shape == (6, sizes[1], sizes[1], 3)
    assert searches.shape == (2, sizes[3], sizes[3], 3)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, boxes[:, 2:] - boxes[:, :2], rtol=0.03)

"""The similarity network is trained on candidates and crops that are what they are said to be."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from command_line import read_table
from still_scenes import STILL
from tiny_training import KERAS_WARNINGS, LESION, TINY

from MammoTrackerLib import Box, LesionTracker
from MammoTrackerLib.networks.card import SIMILARITY_FILE, TRACKING_FILE, WEIGHTS
from MammoTrackerLib.settings import PAPER, Settings
from Training import release, train_similarity, train_tracking
from Training.sources import generated_source
from Training.synthetic_scenes import make_scene

pytestmark = KERAS_WARNINGS


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("paper", [True, False], ids=["the paper's", "with corrected boxes"])
def test_train_and_release_the_similarity_network(tmp_path: Path, moved_pair, paper: bool):
    """The paper shows whole search patches; what ships shows the candidates, and corrects them."""
    options = [o for o in TINY if "--start" not in o] + ["--refinement-px=64"]
    options += ["--refinement-mm=36,36"] if paper else [
        "--refinement-mm=14,30", "--refinement-scale=2.5", "--refine-around-candidate",
        "--correct-boxes",
    ]  # fmt: skip
    tracking, run = tmp_path / "tracking", tmp_path / "similarity"
    train_tracking.main(["--run", str(tracking), *TINY])
    train_similarity.main(
        ["--run", str(run), "--tracking", str(tracking / TRACKING_FILE), *options]
    )
    (row,) = read_table(run / "log.csv")
    counted = float(row["similarity"]) + (0 if paper else float(row["box"]))
    assert float(row["loss"]) == pytest.approx(counted, rel=1e-5)
    assert 0 <= float(row["correct"]) <= 1
    files = str(tracking / TRACKING_FILE), str(run / SIMILARITY_FILE)
    release.main([*files, "--version=test", "--out", str(tmp_path / "weights")])
    tracker = LesionTracker(weights=tmp_path / "weights", runtime="tensorflow")
    prior, current, alignment = moved_pair
    (track,) = tracker.track(prior, current, [LESION], alignment)
    for candidate in track.candidates:
        assert 0 < candidate.similarity_score < 1
        assert (candidate.box == candidate.local_box) == paper


def test_candidates_are_labelled_by_iou():
    """Two elsewhere and two on the lesion (section 3.3); where it went, those are wrong as well."""
    rng = np.random.default_rng(0)
    sources = [generated_source(1)]
    for present in (1, 0):
        difficulty = dataclasses.replace(STILL, absent=1 - present)
        scene = make_scene(rng, sources[0], sources, Settings(), difficulty, 1)
        truth = Box(*scene.boxes[0].tolist())
        found = [truth, Box(5, 5, 60, 60)]
        chosen = train_similarity.pick(rng, scene, 0, found, np.array([30, 20]), 0.28)
        overlaps = [box.iou(truth) for box, _, _ in chosen]
        assert [distance for _, distance, _ in chosen] == ([1, 1, 0, 0] if present else [1] * 4)
        weights = [weight for _, _, weight in chosen]
        assert max(overlaps[:2]) < 0.3
        assert overlaps[2] == 1  # what the tracking network found there
        if present:
            assert weights == [1, 1, 0.5, 0.5 * (overlaps[3] > 0.5)]
        else:
            assert weights == [0.5] * 4


def test_boxes_do_not_tell_whether_the_lesion_is_there():
    """Else the network would learn how they are drawn, and not to look."""
    sources = [generated_source(1)]
    scene = make_scene(np.random.default_rng(0), sources[0], sources, Settings(), STILL, 1)
    truth = Box(*scene.boxes[0].tolist())
    gone = dataclasses.replace(scene, present=np.zeros(1))
    for found in ([], [Box.from_center(*truth.center, 1.2 * truth.width, truth.height)]):
        there, not_there = (
            train_similarity.pick(np.random.default_rng(1), s, 0, found, np.array([30, 20]), 0.28)
            for s in (scene, gone)
        )
        assert [box for box, _, _ in there] == [box for box, _, _ in not_there]


def test_candidates_do_not_tell_the_true_size():
    rng = np.random.default_rng(0)
    sources = [generated_source(1)]
    scene = make_scene(rng, sources[0], sources, Settings(), STILL, 1)
    truth = Box(*scene.boxes[0].tolist())
    for found, size in (
        ([Box.from_center(*truth.center, 1.4 * truth.width, truth.height)], 1.4 * truth.width),
        ([], 3 * truth.width),
    ):
        prior = np.array([3 * truth.width, truth.height])
        drawn = [
            box.width
            for _ in range(40)
            for box, distance, _ in train_similarity.pick(rng, scene, 0, found, prior, 0.28)
            if distance == 0
        ]
        assert np.exp(np.mean(np.log(drawn))) == pytest.approx(size, rel=0.03)


def test_the_papers_scenes_are_as_fine_as_its_patches():
    made = train_similarity.scene_settings(PAPER)
    assert (made.search_px, made.search_mm) == (1024, 110)
    assert made.template_mm / made.template_px == PAPER.template_mm / PAPER.template_px


def test_scenes_are_reduced_to_what_local_search_sees():
    rng = np.random.default_rng(0)
    sources = [generated_source(1)]
    settings = Settings()
    fine = make_scene(rng, sources[0], sources, train_similarity.scene_settings(settings), STILL, 2)
    scene = train_similarity.as_searched(fine, train_similarity.fineness(settings))
    side = settings.search_px
    assert scene.search.shape == (side, side, 3)
    assert fine.search_raw.shape == (2 * side, 2 * side, 2)
    x0, y0, x1, y1 = (round(v) for v in scene.boxes[0].tolist())
    breast = fine.search_raw[2 * y0 : 2 * y1, 2 * x0 : 2 * x1, 1]
    assert scene.search_raw[y0:y1, x0:x1, 1].mean() == pytest.approx(breast.mean(), abs=1e-3)
    assert scene.boxes * 2 == pytest.approx(fine.boxes)
    assert scene.sizes * 2 == pytest.approx(fine.sizes)
    template_px = scene.templates_raw.shape[1]
    assert template_px * 2 == fine.templates_raw.shape[1]
    box = Box.from_center(template_px / 2, template_px / 2, *scene.sizes[0].tolist())
    coarse, sharp = (
        train_similarity.crop_input(s.templates_raw[0], box.center, box, 1.5, 96, finer=times)
        for s, times in ((scene, 1), (fine, 2))
    )
    assert np.array_equal(coarse[..., 2], sharp[..., 2])
    assert np.corrcoef(coarse[..., 1].ravel(), sharp[..., 1].ravel())[0, 1] > 0.9


@pytest.mark.parametrize(("slid", "is_wrong"), [(2, False), (5, True), (30, False)])
def test_where_tissue_slid_from_the_lesion_is_a_wrong_place_though_it_overlaps(slid, is_wrong):
    sources = [generated_source(1)]
    scene = make_scene(np.random.default_rng(0), sources[0], sources, Settings(), STILL, 1)
    truth = Box.from_center(150, 150, 70, 60)
    decoy = np.array([[150, 150 - slid / 0.28]])
    scene = dataclasses.replace(scene, boxes=np.array([truth.as_tuple()]), decoys=decoy)
    found = [Box.from_center(151, 150, 66, 60), Box(5, 5, 60, 60)]
    args = scene, 0, found, np.array([30, 20]), 0.28
    (first, distance, weight), *others = train_similarity.pick(np.random.default_rng(1), *args)
    assert (distance, weight) == (1, 1)
    off = np.hypot(*(np.array(first.center) - decoy[0]))
    if is_wrong:
        assert off < 6
        assert first.iou(truth) > 0.3
        assert first.width == pytest.approx(66, rel=0.2)  # of what was found, as those on it
    else:
        assert off > 6
        assert first.iou(truth) < 0.3
    assert [distance for _, distance, _ in others] == [1, 0, 0]


def test_mirrored_batches_have_their_boxes_where_the_lesions_are():
    rng = np.random.default_rng(0)
    side = 40
    boxes = np.array([[-0.7, -0.5, 0.2, 0.6], [-0.3, -0.9, 0.8, 0.4]], np.float32)
    patches = np.zeros((2, side, side, 3), np.float32)
    for patch, box in zip(patches, boxes, strict=True):
        x0, y0, x1, y1 = np.round(box * 10 + side / 2).astype(int)
        patch[y0:y1, x0:x1] = 1
    batch = rng.normal(size=(1, side, side, 3)), patches, *rng.normal(size=(2, 2)), boxes, [1, 1]
    seen = set()
    for time in range(4):
        templates, patches, *same, boxes, _ = train_similarity.mirrored(batch, time)
        assert np.array_equal(same, batch[2:4])
        seen.add(templates[0, 3, 5, 0])
        for patch, box in zip(patches, boxes, strict=True):
            rows, columns = np.nonzero(patch[..., 0])
            shown = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            assert np.allclose((np.array(shown) - side / 2) / 10, box, atol=1e-6)
    assert len(seen) == 4


@pytest.mark.usefixtures("tiny")
def test_batches_are_used_again_also_where_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    options = [*TINY[:-1], "--repeats=3", "--steps-per-epoch=7", "--workers=1"]
    parser = train_similarity.options()
    arguments = train_similarity.parse(
        parser, ["--run", str(tmp_path), "--tracking", str(WEIGHTS / TRACKING_FILE), *options]
    )

    def steps(done: int) -> list[tuple[int, int]]:
        monkeypatch.setattr(train_tracking, "finished_steps", lambda run: done)
        return list(
            train_tracking.start_batches(
                Settings(), arguments, lambda number, scenes: number,
                again=lambda made, time: (made, time),
            )
        )  # fmt: skip

    whole = steps(0)[:7]
    assert whole == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0)]
    assert steps(4)[:3] == whole[4:]


@pytest.mark.parametrize("finer", [1, 2])
def test_crops_are_centred_and_scaled(finer):
    raw = np.zeros((100, 100, 2), np.float32)
    raw[..., 1] = 1
    raw[40:60, 20:40, 0] = 1
    raw = raw.repeat(finer, axis=0).repeat(finer, axis=1)
    crop = train_similarity.crop_input(raw, (30, 50), Box(20, 40, 40, 60), 0.5, 64, finer=finer)
    mask, image = crop[..., 2], crop[..., 1]
    assert mask.sum() == pytest.approx(40 * 40)
    inside = image[13:51, 13:51]
    assert inside.min() > 0.9
    assert image[:11].max() < -0.9
    assert image[53:].max() < -0.9

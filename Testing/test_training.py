"""The training programs: resumable, the settings go with the weights, every kind of pair works."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import keras
import numpy as np
import pytest
from keras import layers, ops

from MammoTrackerLib import Box, LesionTracker, Mammogram, MammoTrackerError
from MammoTrackerLib.global_search import align
from MammoTrackerLib.local_search import Layers, search
from MammoTrackerLib.networks.runtime import SIMILARITY_FILE, TRACKING_FILE, WEIGHTS
from MammoTrackerLib.networks.similarity import SimilarityNetwork
from MammoTrackerLib.networks.tracking import TrackingNetwork
from MammoTrackerLib.patches import BLANK, network_input, normalise
from MammoTrackerLib.settings import PAPER, TEMPLATE_INPUTS, Settings
from Training import loop, program, real_pairs, release, train_similarity, train_tracking
from Training.difficulty import Difficulty
from Training.real_pairs import RealPairs, cut_scene
from Training.sources import SPACING_MM, generated_source
from Training.synthetic_scenes import make_scene
from Training.train_tracking import batch_of

CONFIGS = Path(train_tracking.__file__).parent / "configs"
STEPS, FREEZE = 6, 4
TINY = [
    "--template-mm=24", "--template-px=64", "--search-mm=36", "--search-px=96",
    "--correlation-px=3", "--zooms=1", "--no-mirror", "--max-candidates=3", "--max-lesion-mm=24",
    "--batch=1", "--templates=2", "--epochs=1", "--steps-per-epoch=1",
    f"--start={WEIGHTS / TRACKING_FILE}",
]  # fmt: skip

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning",
    "ignore:.*fork:DeprecationWarning",
    "ignore:Even though the .tf.config.experimental_run_functions_eagerly:UserWarning",
)


class Toy(keras.Model):
    """As small as something with a backbone can be."""

    def __init__(self) -> None:
        super().__init__(name="toy")
        early, late = layers.Dense(4, name="Conv1_toy"), layers.Dense(4, name="late")
        self.backbone = keras.Sequential([keras.Input((3,)), early, late])
        self.head = layers.Dense(1)
        self.head(keras.Input((4,)))
        self.built = True
        rng = np.random.default_rng(0)  # the same under every backend
        self.set_weights([rng.normal(0, 0.5, w.shape) for w in self.weights])

    def call(self, inputs):
        return self.head(self.backbone(inputs))[:, 0]


def toy_loss(network, x, y):
    error = network(x) - y
    return {"loss": ops.mean(error**2), "off": ops.mean(ops.abs(error))}


def toy_batch(step: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(step)
    return rng.normal(size=(4, 3)).astype("f4"), rng.normal(size=4).astype("f4")


def train_toy(run: Path, *options: str) -> Toy:
    parser = argparse.ArgumentParser()
    program.add_arguments(parser, epochs=2, batch=4)
    arguments = program.parse(
        parser, ["--run", str(run), "--steps-per-epoch=3", "--rate=0.01", *options]
    )
    run.mkdir(exist_ok=True)
    steps = range(program.finished_steps(run), 6)
    batches = program.start_workers(toy_batch, steps, 2)
    loop.prepare(arguments)
    network = Toy()
    loop.fit(network, toy_loss, ("off",), batches, arguments)
    return network


def kill_while_saving(number: int) -> None:
    """Make this process kill itself before the checkpoint of that step is in place."""
    replace = os.replace

    def replace_or_die(source, target):
        nonlocal number
        number -= Path(target).name == program.CHECKPOINT
        if number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    os.replace = replace_or_die


def values(network: keras.Model) -> list[np.ndarray]:
    return [v.numpy() for v in network.trainable_variables]


def run_script(script: str, folder: Path, variables: dict | None = None):
    """Run lines of Python with this file as ``t``, and wait until all its processes are gone."""
    start = f"import pathlib, test_training as t; folder = pathlib.Path({str(folder)!r}); "
    path = os.pathsep.join(str(Path(__file__).parents[k]) for k in range(2))
    return subprocess.run(
        [sys.executable, "-c", start + script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": path} | (variables or {}), text=True, timeout=300,
    )  # fmt: skip


ALL = ("--average=0.8", "--warmup-steps=2", "--final-rate=0.1", f"--freeze-after={FREEZE}",
       "--weight-decay=0.01", "--clip=0.5", "--backbone-rate=0.004")  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that went through."""
    run = tmp_path_factory.mktemp("run")
    train_toy(run, *ALL)
    return run


def assert_same_run(run: Path, other: Path) -> None:
    np.testing.assert_allclose(
        np.load(run / program.CHECKPOINT), np.load(other / program.CHECKPOINT), rtol=1e-5, atol=1e-7
    )
    networks = [Toy(), Toy()]
    for network, folder in zip(networks, (run, other), strict=True):
        network.load_weights(folder / "toy.weights.h5")
    for one, same in zip(*map(values, networks), strict=True):
        np.testing.assert_allclose(one, same, rtol=1e-5, atol=1e-7)


def test_a_run_that_was_killed_goes_on_where_it_was(whole: Path, tmp_path: Path):
    """SIGKILL while the checkpoint of step 3 is written: only that step is lost."""
    killed = run_script("t.kill_while_saving(3); t.train_toy(folder, *t.ALL)", tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stdout
    assert program.finished_steps(tmp_path) == 2
    train_toy(tmp_path, *ALL)
    assert program.finished_steps(tmp_path) == STEPS
    assert_same_run(tmp_path, whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_told_to_stop_saves_its_last_step(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    """Although checkpoints are rare; after the early layers were frozen."""
    steps = iter(range(1, 10))

    class Stopper(loop.Saver):
        def on_train_batch_end(self, batch, logs=None):
            if next(steps) == FREEZE + 1:
                os.kill(os.getpid(), number)
            super().on_train_batch_end(batch, logs)

    monkeypatch.setattr(loop, "Saver", Stopper)
    handler = signal.getsignal(number)
    with pytest.raises(SystemExit) as stopped:
        train_toy(tmp_path, *ALL, "--checkpoint-steps=100")
    assert stopped.value.code == 128 + number
    assert signal.getsignal(number) is handler
    assert program.finished_steps(tmp_path) == FREEZE + 1
    monkeypatch.undo()
    train_toy(tmp_path, *ALL)
    assert_same_run(tmp_path, whole)


def test_a_finished_run_is_left_as_it_is(whole: Path):
    before = np.load(whole / program.CHECKPOINT)
    network = train_toy(whole, *ALL)
    np.testing.assert_array_equal(np.load(whole / program.CHECKPOINT), before)
    assert np.abs(network.head.kernel.numpy()).max() > 0


def test_log_and_tensorboard(whole: Path):
    with (whole / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    # An epoch in which layers are frozen is logged before and after.
    assert [int(row["step"]) for row in rows] == [3, FREEZE, STEPS]
    assert [int(row["epoch"]) for row in rows] == [1, 2, 2]
    assert all(float(row["loss"]) > 0 and float(row["off"]) > 0 for row in rows)
    assert list((whole / "tensorboard").rglob("*tfevents*"))


def test_a_checkpoint_of_other_options_is_refused(whole: Path):
    with pytest.raises(MammoTrackerError, match="other options"):
        train_toy(whole)


def saved_weights(run: Path) -> Toy:
    network = Toy()
    network.load_weights(run / "toy.weights.h5")
    return network


def test_the_moving_average_is_what_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen, save = [], loop.save_checkpoint
    monkeypatch.setattr(
        loop, "save_checkpoint",
        lambda model, *rest: (seen.append(values(model.network)), save(model, *rest)),
    )  # fmt: skip
    network = train_toy(tmp_path, "--average=0.7")
    assert len(seen) == STEPS
    mean = seen[0]
    for now in seen[1:]:
        mean = [0.7 * m + 0.3 * v for m, v in zip(mean, now, strict=True)]
    for found, expected, last in zip(
        values(saved_weights(tmp_path)), mean, values(network), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-6)
        np.testing.assert_array_equal(last, seen[-1].pop(0))
        assert np.abs(found - last).max() > 1e-4


def test_without_an_average_the_weights_are_saved(tmp_path: Path):
    network = train_toy(tmp_path)
    for found, expected in zip(values(saved_weights(tmp_path)), values(network), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_heads_and_backbone_have_their_rates(tmp_path: Path):
    """Adam's first step is as long as the rate, whatever the gradient."""
    before = Toy()
    after = train_toy(tmp_path, "--epochs=1", "--steps-per-epoch=1", "--backbone-rate=0.001")
    moved = [np.abs(b - a).max() for b, a in zip(values(before), values(after), strict=True)]
    np.testing.assert_allclose(moved, [0.001] * 4 + [0.01] * 2, rtol=0.01)


def test_frozen_layers_rest(tmp_path: Path):
    first = train_toy(tmp_path, "--epochs=1", "--freeze-after=3")
    kept, late = first.backbone.layers[0].kernel.numpy(), first.backbone.layers[1].kernel.numpy()
    last = train_toy(tmp_path, "--epochs=2", "--freeze-after=3")
    np.testing.assert_array_equal(last.backbone.layers[0].kernel.numpy(), kept)
    assert np.abs(last.backbone.layers[1].kernel.numpy() - late).max() > 1e-3


def test_workers_change_nothing():
    results = [list(program.start_workers(lambda k: k * k, range(3, 14), n)) for n in (1, 3)]
    assert results[0] == results[1] == [k * k for k in range(3, 14)]


def fail_at_five(step: int) -> int:
    if step == 5:
        raise MammoTrackerError("This one is damaged.")
    return step


def test_a_workers_error_is_raised():
    results = program.start_workers(fail_at_five, range(9), 2)
    assert [next(results) for _ in range(5)] == list(range(5))
    with pytest.raises(MammoTrackerError, match="damaged"):
        next(results)


def test_a_worker_that_was_killed_is_told():
    results = program.start_workers(lambda step: os.kill(os.getpid(), signal.SIGKILL), range(2), 1)
    with pytest.raises(MammoTrackerError, match="killed"):
        next(results)


def parsed(*argv: str) -> argparse.Namespace:
    return program.parse(train_tracking.options(), ["--run", "unused", *argv])


def test_the_defaults_are_the_papers():
    arguments = parsed()
    assert program.settings_of(arguments) == PAPER
    assert (arguments.rate, arguments.epochs, arguments.batch) == (5e-5, 50, 16)
    assert arguments.backbone_rate is arguments.freeze_after is None
    assert arguments.average == arguments.clip == arguments.weight_decay == 0
    assert (arguments.warmup_steps, arguments.final_rate, arguments.place_weight) == (0, 1, 0)


def test_the_shipped_configuration_is_that_of_the_weights():
    arguments = parsed(f"--config={CONFIGS / 'shipped.json'}")
    assert program.settings_of(arguments) == Settings() == LesionTracker().settings
    assert arguments.epochs * arguments.steps_per_epoch == 2400
    config = f"--config={CONFIGS / 'shipped-similarity.json'}"
    arguments = train_similarity.options()
    arguments = program.parse(arguments, ["--run=x", "--tracking=y", config])
    # From a lower score than at run time, so that easy lesions have wrong candidates too.
    expected = dataclasses.replace(Settings(), min_tracking_score=0.01)
    assert program.settings_of(arguments) == expected
    assert arguments.epochs * arguments.steps_per_epoch == 600


@pytest.mark.parametrize("template_input", TEMPLATE_INPUTS)
@pytest.mark.parametrize("centreness", [True, False])
def test_rows_of_table_3_are_one_configuration_and_two_options(template_input, centreness):
    options = [f"--template-input={template_input}", *["--no-centreness"] * (not centreness)]
    settings = program.settings_of(parsed(f"--config={CONFIGS / 'table3.json'}", *options))
    assert (settings.template_input, settings.centreness) == (template_input, centreness)
    assert (settings.template_px, settings.search_px) == (160, 304)


def test_the_command_line_wins_over_the_configuration(tmp_path: Path):
    path = tmp_path / "own.json"
    path.write_text('{"rate": 0.25, "centreness": false, "zooms": [0.5, 2], "batch": 3}')
    arguments = parsed("--rate=0.5", f"--config={path}")
    assert arguments.rate == 0.5
    assert (arguments.centreness, arguments.zooms, arguments.batch) == (False, (0.5, 2.0), 3)


@pytest.mark.parametrize("text", ['{"no such option": 1}', '{"batch": "many"}', "[]", "{", None,
                                  '{"template-input": "whole"}'])  # fmt: skip
def test_a_wrong_configuration_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture, text):
    path = tmp_path / "own.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit):
        parsed(f"--config={path}")
    assert "error" in capsys.readouterr().err


def test_unknown_template_inputs_are_refused():
    with pytest.raises(MammoTrackerError, match="template input"):
        Settings(template_input="whole")


def test_a_run_of_other_settings_is_refused(tmp_path: Path):
    arguments = parsed("--run", str(tmp_path))
    program.write_card(arguments)
    program.write_card(arguments)
    with pytest.raises(MammoTrackerError, match="other settings"):
        program.write_card(parsed("--run", str(tmp_path), "--template-px=256"))
    assert program.read_settings(tmp_path)["template_px"] == 512


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_several_gpus_need_jax(monkeypatch: pytest.MonkeyPatch, backend: str):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    with pytest.raises(MammoTrackerError, match="JAX"):
        loop.prepare(parsed("--data-parallel"))


def textured(side: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    raw = cv2.GaussianBlur(rng.normal(0, 1, (side, side)).astype("f4"), (0, 0), 2) + 1
    breast = np.ones((side, side), np.float32)
    breast[:, : side // 8] = 0
    return raw, breast


def test_three_template_inputs():
    """Figure 2 of the paper."""
    raw, breast = textured(128)
    box = Box(40, 56, 72, 104)
    inside = np.s_[56:104, 40:72]
    guided, masked, cropped = (
        network_input(raw, breast, box, kind)
        for kind in ("mask-guided", "masked", "crop-and-resize")
    )
    plain = normalise(raw, breast)
    np.testing.assert_array_equal(guided[..., :2], plain)
    assert guided[..., 2].sum() == guided[inside][..., 2].sum() == box.area

    np.testing.assert_array_equal(masked[inside][..., :2], plain[inside])
    outside = np.ones((128, 128), bool)
    outside[inside] = False
    assert (masked[outside] == np.array([*BLANK, 0], np.float32)).all()

    # All of the box and nothing else, stretched 4 times across and 2 2/3 down.
    stretched = cv2.resize(raw[inside], (128, 128), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(
        cropped[8:-8, 8:-8], network_input(stretched, np.ones_like(stretched))[8:-8, 8:-8], atol=0.1
    )
    assert not cropped[..., 2].any()
    for kind in TEMPLATE_INPUTS:
        np.testing.assert_array_equal(network_input(raw, breast, None, kind)[..., :2], plain)


def as_mammogram(shift: tuple[int, int] = (0, 0)) -> Mammogram:
    """Return a made-up breast, moved by whole pixels to the right and down."""
    source = generated_source(3)
    rows, columns = source.pixels.shape
    image = np.zeros((rows + 60, columns + 30), np.uint16)
    x, y = shift
    image[20 + y : 20 + y + rows, x : x + columns] = 20000 * (source.pixels + 0.4) * source.breast
    return Mammogram(image, SPACING_MM)


LESION, SHIFT = Box(110, 280, 170, 330), (0, 24)


@pytest.fixture(scope="module")
def pair():
    prior, current = as_mammogram(), as_mammogram(SHIFT)
    return prior, current, align(prior, current)


@pytest.mark.parametrize(("centreness", "expected"), [(True, 0.25), (False, 0.5)])
def test_without_centreness_the_score_is_the_classification(pair, centreness, expected):
    def half_everywhere(inputs):
        n, cells = len(inputs[0]), inputs[1].shape[1] // 8
        maps = np.zeros((n, cells, cells))
        return maps, maps, np.full((n, cells, cells, 4), 20.0)

    prior, current, alignment = pair
    images = (
        Layers.of(prior, alignment.prior_breast, alignment.prior_factor, 0.28),
        Layers.of(current, alignment.current_breast, alignment.current_factor, 0.28),
    )
    settings = dataclasses.replace(Settings(), centreness=centreness)
    ((best, *_),) = search(half_everywhere, *images, [LESION], alignment, settings)
    assert best.score == best.tracking_score == pytest.approx(expected)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch):
    """Train on two made-up breasts, without compiling."""
    import tensorflow as tf

    sources = [generated_source(seed) for seed in (1, 2)]
    monkeypatch.setattr(
        train_tracking, "training_sources", lambda *_: (sources, np.array([0.5, 0.5]))
    )
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
    keras.config.set_dtype_policy("float32")


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    "options",
    [["--template-input=crop-and-resize", "--no-centreness"], ["--template-input=masked"],
     ["--precision=mixed_float16"]],
    ids=["crop-and-resize without centre-ness", "masked", "mask-guided in mixed precision"],
)  # fmt: skip
def test_train_release_and_track(tmp_path: Path, pair, options: list[str]):
    run, folder = tmp_path / "run", tmp_path / "weights"
    train_tracking.main(["--run", str(run), *TINY, *options])
    with (run / "log.csv").open() as file:
        (row,) = csv.DictReader(file)
    parts = [float(row[name]) for name in ("cls", "reg", "ctr")]
    assert all(np.isfinite(parts))
    counted = parts[:2] if "--no-centreness" in options else parts
    assert float(row["loss"]) == pytest.approx(sum(counted), rel=1e-5)

    release.main([str(run / TRACKING_FILE), "--version=test", "--out", str(folder)])
    assert not (folder / SIMILARITY_FILE).exists()
    tracker = LesionTracker(weights=folder)
    assert tracker.settings == program.settings_of(parsed(*TINY, *options))
    prior, current, alignment = pair
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
        LesionTracker(weights=folder).load()


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("paper", [True, False], ids=["the paper's", "with corrected boxes"])
def test_train_and_release_the_similarity_network(tmp_path: Path, pair, paper: bool):
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
    with (run / "log.csv").open() as file:
        (row,) = csv.DictReader(file)
    counted = float(row["similarity"]) + (0 if paper else float(row["box"]))
    assert float(row["loss"]) == pytest.approx(counted, rel=1e-5)
    assert 0 <= float(row["correct"]) <= 1
    files = str(tracking / TRACKING_FILE), str(run / SIMILARITY_FILE)
    release.main([*files, "--version=test", "--out", str(tmp_path / "weights")])
    tracker = LesionTracker(weights=tmp_path / "weights")
    prior, current, alignment = pair
    (track,) = tracker.track(prior, current, [LESION], alignment)
    for candidate in track.candidates:
        assert 0 < candidate.similarity_score < 1
        assert (candidate.box == candidate.local_box) == paper


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


def test_weights_to_begin_with_are_named_once(capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit):
        parsed("--run=run", "--start=one.weights.h5", "--backbone=other.weights.h5")
    assert "not allowed with argument" in capsys.readouterr().err


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


def test_candidates_are_labelled_by_iou():
    """Two on the lesion and two elsewhere, or four elsewhere where it is not (section 3.3)."""
    rng = np.random.default_rng(0)
    sources = [generated_source(1)]
    for present in (1, 0):
        difficulty = dataclasses.replace(STILL, absent=1 - present)
        scene = make_scene(rng, sources[0], sources, Settings(), difficulty, 1)
        truth = Box(*scene.boxes[0].tolist())
        found = [truth, Box(5, 5, 60, 60)]
        chosen = train_similarity.pick(rng, scene, 0, found, np.array([30, 20]))
        overlaps = [box.iou(truth) for box, _, _ in chosen]
        assert [distance for _, distance, _ in chosen] == ([1, 1, 0, 0] if present else [1] * 4)
        weights = [weight for _, _, weight in chosen]
        if present:
            assert max(overlaps[:2]) < 0.3
            assert weights[:2] == [1, 1]
            assert weights[2:] == [0.5 * (overlap > 0.5) for overlap in overlaps[2:]]
        else:
            assert weights == [0.5] * 4
            assert max(overlaps) > 0.3  # where the lesion would be, nothing is to be found


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
            for box, distance, _ in train_similarity.pick(rng, scene, 0, found, prior)
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


STILL = Difficulty(**{field.name: 0 for field in dataclasses.fields(Difficulty)})


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
    path = folder / "manifest.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(common))
        writer.writeheader()
        writer.writerows(common | row for row in rows)
    return path


def test_real_pairs(tmp_path: Path, pair, monkeypatch: pytest.MonkeyPatch, capsys):
    manifest = write_manifest(tmp_path, pair, [
        {}, {"lesion_id": 2, "present": 0, "current_x0": ""}, {"prior": "nowhere.png"},
        {"current_x0": ""}, {"prior_x1": 400, "prior_x0": 10},
    ])  # fmt: skip
    arguments = parsed(*TINY, "--pairs", str(manifest), "--run", str(tmp_path / "run"), "--batch=2")
    settings = program.settings_of(arguments)
    pairs = RealPairs.prepare(arguments, settings)
    assert "3 of 5 rows cannot be used" in capsys.readouterr().out
    with (tmp_path / "run" / "skipped.csv").open() as file:
        skipped = {row["row"]: row["reason"] for row in csv.DictReader(file)}
    assert sorted(skipped) == ["4", "5", "6"]
    assert "nowhere.png" in skipped["4"]
    assert "current_x0" in skipped["5"]
    assert "longer" in skipped["6"]

    assert pairs.steps_per_epoch == 1
    for step in range(4):
        scenes = pairs.scenes(step)
        again = RealPairs(pairs.lesions, settings, arguments.seed, 2).scenes(step)
        assert sorted(float(scene.present[0]) for scene in scenes) == [0, 1]
        for scene, same in zip(scenes, again, strict=True):
            for field in dataclasses.fields(scene):
                array = getattr(scene, field.name)
                assert array.dtype == np.float32
                np.testing.assert_array_equal(array, getattr(same, field.name))
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
def test_train_on_real_pairs(tmp_path: Path, pair):
    manifest = write_manifest(tmp_path, pair, [{}, {"lesion_id": 2, "present": 0}])
    run = tmp_path / "run"
    options = [option for option in TINY if "steps-per-epoch" not in option]
    train_tracking.main(["--run", str(run), *options, "--pairs", str(manifest)])
    assert program.finished_steps(run) == 2
    assert (run / TRACKING_FILE).exists()


@pytest.mark.usefixtures("tiny")
def test_a_manifest_without_usable_rows_is_refused(tmp_path: Path, pair):
    manifest = write_manifest(tmp_path, pair, [{"prior": "nowhere.png"}])
    with pytest.raises(SystemExit, match="no row"):
        train_tracking.main(["--run", str(tmp_path / "run"), *TINY, "--pairs", str(manifest)])


def run_network(out: Path) -> None:
    """Write what the networks that ship make of any input."""
    tracking, similarity = TrackingNetwork(128), SimilarityNetwork(96)
    tracking.load_weights(WEIGHTS / TRACKING_FILE)
    similarity.load_weights(WEIGHTS / SIMILARITY_FILE)
    rng = np.random.default_rng(0)
    shapes = (2, 128, 128, 3), (1, 96, 96, 3)
    patches = [rng.uniform(-1, 1, shape).astype("f4") for shape in shapes]
    outputs = tracking.predict_on_batch((*patches, np.full((2, 2), 30, "f4")))
    templates, candidates = (rng.uniform(-1, 1, (n, 96, 96, 3)).astype("f4") for n in (1, 2))
    for masks in (templates, candidates):
        masks[..., 2] = 0
        masks[:, 30:60, 25:65, 2] = 1
    outputs += similarity.predict_on_batch((templates, candidates))
    np.savez(out, *(ops.convert_to_numpy(output) for output in outputs))


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_does_the_same(whole: Path, tmp_path: Path, backend: str):
    """It trains the same weights, which load under TensorFlow, and runs the network alike."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    done = run_script(
        "t.train_toy(folder, *t.ALL); t.run_network(folder / 'other.npz')", tmp_path,
        {"KERAS_BACKEND": backend},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert_same_run(tmp_path, whole)
    run_network(tmp_path / "this.npz")
    with np.load(tmp_path / "this.npz") as this, np.load(tmp_path / "other.npz") as other:
        for name in this.files:
            np.testing.assert_allclose(this[name], other[name], rtol=1e-3, atol=1e-3)

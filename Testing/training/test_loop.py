"""Training can be stopped at any step, and goes on to the same weights."""

from __future__ import annotations

import argparse
import csv
import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from keras import layers, ops
from tiny_training import KERAS_WARNINGS, parsed, values

from MammoTrackerLib import MammoTrackerError
from MammoTrackerLib.networks.card import SIMILARITY_FILE, TRACKING_FILE, WEIGHTS
from MammoTrackerLib.networks.similarity import SimilarityNetwork
from MammoTrackerLib.networks.tracking import TrackingNetwork
from Training import loop, program

pytestmark = KERAS_WARNINGS
STEPS, FREEZE = 6, 4


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


def run_script(script: str, folder: Path, variables: dict | None = None):
    """Run lines of Python with this file as ``t``, and wait until all its processes are gone."""
    start = f"import pathlib, test_loop as t; folder = pathlib.Path({str(folder)!r}); "
    path = os.pathsep.join(str(Path(__file__).parents[k]) for k in (0, 2))
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


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_several_gpus_need_jax(monkeypatch: pytest.MonkeyPatch, backend: str):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    with pytest.raises(MammoTrackerError, match="JAX"):
        loop.prepare(parsed("--data-parallel"))


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

"""The networks on TensorFlow: the second opinion on LiteRT, batches on a GPU, others' settings."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from MammoTrackerLib import Box, LesionTracker, MammoTrackerError, Status
from MammoTrackerLib.command.simulate import FILM_LESION, read_film, simulate_follow_up
from MammoTrackerLib.global_search import align
from MammoTrackerLib.networks import with_keras
from MammoTrackerLib.networks.card import (
    SIMILARITY_FILE,
    TRACKING_FILE,
    WEIGHTS,
    read_card,
    write_card,
)
from MammoTrackerLib.settings import Settings

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def pair():
    prior = read_film()
    current = simulate_follow_up(prior, [FILM_LESION]).mammogram
    return prior, current, align(prior, current)


@pytest.fixture(scope="module")
def boxes() -> list[Box]:
    large = Box.from_center(900, 2500, Settings().max_lesion_mm / 0.05 + 2, 400)
    other = Box.from_center(FILM_LESION.center[0] + 60, FILM_LESION.center[1] - 300, 150, 120)
    return [other, large, FILM_LESION, FILM_LESION]


@pytest.fixture(scope="module")
def tracks(pair, boxes):
    """What TensorFlow says, one lesion at a time."""
    tracker = LesionTracker(runtime="tensorflow")
    assert tracker.load().name == "TensorFlow"
    return [tracker.track(*pair[:2], [box], pair[2])[0] for box in boxes]


def assert_same(one, other, pixels: float, score: float) -> None:
    assert (one.prior_box, one.status) == (other.prior_box, other.status)
    assert one.box.as_tuple() == pytest.approx(other.box.as_tuple(), abs=pixels)
    assert one.score == pytest.approx(other.score, abs=score)
    assert len(one.candidates) == len(other.candidates)
    for candidate, same in zip(one.candidates, other.candidates, strict=True):
        assert candidate.box.as_tuple() == pytest.approx(same.box.as_tuple(), abs=pixels)


def test_litert_says_the_same(pair, boxes, tracks):
    for track, same in zip(
        LesionTracker(runtime="litert").track(*pair[:2], boxes, pair[2]), tracks, strict=True
    ):
        assert_same(track, same, pixels=0.01, score=1e-4)


def test_lesions_tracked_together_are_those_tracked_alone(pair, boxes, tracks, monkeypatch):
    """As on a GPU, where the last batch is filled up; a lesion that is too large is in between."""
    monkeypatch.setattr(with_keras, "_device", lambda: "GPU: Graphics Card 7")
    monkeypatch.setattr(with_keras, "LESIONS_ON_GPU", 3)
    together = LesionTracker(runtime="tensorflow")
    found = together.track(*pair[:2], boxes, pair[2])
    assert together.networks.lesions_at_once == 3
    assert found[1].status is Status.REGISTRATION
    for track, alone in zip(found, tracks, strict=True):
        assert_same(track, alone, pixels=0.01, score=1e-3)


def test_a_gpu_that_is_too_small_for_a_batch_tracks_one_by_one(monkeypatch):
    ran = []

    def run(self, lesions):
        ran.append(lesions)
        if lesions > 1:
            raise tf.errors.ResourceExhaustedError(None, None, "no memory")

    monkeypatch.setattr(with_keras, "_device", lambda: "GPU: Graphics Card 7")
    monkeypatch.setattr(with_keras.KerasNetworks, "run", run)
    small = LesionTracker(runtime="tensorflow").load()
    assert ran == [1, 16]
    assert small.lesions_at_once == 1


def test_a_gpu_is_named_and_its_memory_not_taken_whole(monkeypatch):
    grows = []
    gpu = tf.config.PhysicalDevice("/GPU:0", "GPU")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [gpu])
    monkeypatch.setattr(
        tf.config.experimental, "set_memory_growth", lambda gpu, grow: grows.append((gpu, grow))
    )
    monkeypatch.setattr(
        tf.config.experimental,
        "get_device_details",
        lambda gpu: {"device_name": "Graphics Card 7"},
    )
    assert with_keras._device() == "GPU: Graphics Card 7"
    assert grows == [(gpu, True)]


RUN = """
import sys
from MammoTrackerLib import LesionTracker
import numpy as np
{before}
networks = LesionTracker(runtime="tensorflow").load()
rng = np.random.default_rng(0)
def patches(n, side): return rng.uniform(-1, 1, (n, side, side, 3)).astype("f4")
outputs = networks.tracking(patches(6, 160), patches(6, 304), np.full((6, 2), 30, "f4"))
outputs += networks.similarity(patches(1, 192), patches(2, 192), [2])
print(networks.name, *(o.dtype for o in outputs))
print(*(f"{{float(abs(o).mean()):.5f}}" for o in outputs))
{after}
"""


def run(folder, before: str = "", after: str = "", **variables: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KERAS")}
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(before=before, after=after)],
        env={**environment, **variables, "HOME": str(folder)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> str:
    return run(tmp_path_factory.mktemp("home"))


def test_settings_of_keras_of_the_users_account_do_not_count(tmp_path, undisturbed):
    (tmp_path / ".keras").mkdir()
    settings = {
        "floatx": "float16",
        "epsilon": 0.1,
        "backend": "torch",
        "image_data_format": "channels_first",
    }
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps(settings))
    after = "import os; assert os.environ['KERAS_BACKEND'] == 'jax'"
    found = run(tmp_path, after=after, KERAS_BACKEND="jax", KERAS_HOME=str(tmp_path / ".keras"))
    assert found == undisturbed
    assert undisturbed.startswith("TensorFlow float32")


def test_settings_of_another_program_in_the_process_stay_its_own(tmp_path, undisturbed):
    before = (
        "import keras\n"
        "keras.config.set_floatx('float16')\n"
        "keras.config.set_image_data_format('channels_first')\n"
        "keras.config.set_dtype_policy('mixed_float16')"
    )
    after = (
        "assert keras.config.floatx() == 'float16'\n"
        "assert keras.config.image_data_format() == 'channels_first'\n"
        "assert keras.config.dtype_policy().name == 'mixed_float16'"
    )
    assert run(tmp_path, before, after) == undisturbed


def test_candidates_of_several_lesions_are_filled_up_and_cut_again():
    networks = LesionTracker(runtime="tensorflow").load()
    networks._similarity, seen = None, []

    def similarity(inputs):
        seen.append(inputs)
        return [inputs[1][:, 0, 0, 0]]

    networks._similarity = similarity
    candidates = np.arange(6, dtype=np.float32).reshape(6, 1, 1, 1)
    (output,) = networks.similarity(np.zeros((3, 1, 1, 1)), candidates, [2, 1, 3])
    assert output.tolist() == [0, 1, 2, 3, 4, 5]
    assert seen[0][1].ravel().tolist() == [0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 4, 5, 5, 5]


def test_a_network_of_an_earlier_version_is_told(tmp_path):
    """Its converted file still runs with LiteRT, but Keras has no such layers any more."""
    folder = shutil.copytree(WEIGHTS, tmp_path / "weights")
    shutil.copy(folder / TRACKING_FILE, folder / SIMILARITY_FILE)
    card = read_card(folder)
    card["sha256"][SIMILARITY_FILE] = card["sha256"][TRACKING_FILE]
    write_card(folder, card)
    with pytest.raises(MammoTrackerError, match="of an earlier version.*with LiteRT"):
        LesionTracker(weights=folder, runtime="tensorflow").load()

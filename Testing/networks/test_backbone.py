"""The backbone."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tensorflow as tf

from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.networks.backbone import build_backbone, load_imagenet

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def backbone() -> keras.Model:
    keras.utils.set_random_seed(1)
    return build_backbone("backbone")


def test_backbone_shapes(backbone: keras.Model):
    fine, coarse = backbone(np.zeros((2, 96, 160, 3), np.float32))
    assert fine.shape == (2, 12, 20, 32)
    assert coarse.shape == (2, 6, 10, 96)


@pytest.mark.parametrize(
    ("index", "stride", "side", "cell"), [(0, 8, 128, (7, 6)), (1, 16, 320, (9, 8))]
)
def test_a_backbone_cell_sees_the_pixels_around_its_place(
    backbone: keras.Model, index: int, stride: int, side: int, cell: tuple[int, int]
):
    image = tf.constant(np.random.default_rng(0).uniform(-1, 1, (1, side, side, 3)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(image)
        value = tf.reduce_sum(backbone(image)[index][0, cell[0], cell[1]])
    seen = np.abs(tape.gradient(value, image).numpy()[0]).sum(axis=-1) > 0
    for axis, number in ((1, cell[0]), (0, cell[1])):
        places = np.flatnonzero(seen.any(axis=axis))
        assert 0 < places[0] < places[-1] < side - 1
        assert (places[0] + places[-1] + 1) / 2 == stride * (number + 1) - 0.5


def test_batch_normalisation_is_frozen(backbone: keras.Model):
    norms = [la for la in backbone.layers if isinstance(la, keras.layers.BatchNormalization)]
    before = [v.numpy() for layer in norms for v in layer.variables]
    backbone(np.random.default_rng(0).normal(3, 2, (2, 64, 64, 3)).astype("f4"), training=True)
    after = [v.numpy() for layer in norms for v in layer.variables]
    assert len(norms) > 30
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    trainable = {id(v) for v in backbone.trainable_variables}
    assert not trainable & {id(v) for layer in norms for v in layer.variables}


def test_imagenet_stem_sees_grey_and_starts_blind_to_the_mask(tmp_path: Path):
    keras.utils.set_random_seed(4)
    source = keras.applications.MobileNetV2(
        input_shape=(64, 64, 3), include_top=False, weights=None
    )
    for layer in source.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            mean = np.random.default_rng(5).normal(0, 0.1, layer.moving_mean.shape)
            layer.moving_mean.assign(mean)
    classifier = keras.Sequential([source, keras.layers.GlobalAveragePooling2D()])
    classifier.save(tmp_path / "classifier.keras")
    backbone = build_backbone("loaded")
    load_imagenet(backbone, tmp_path / "classifier.keras")

    rng = np.random.default_rng(6)
    grey, mask = rng.uniform(-1, 1, (2, 1, 64, 64, 1)).astype("f4")
    for name in ("Conv1", "block_12_add"):
        expected = keras.Model(source.input, source.get_layer(name).output)(
            np.concatenate([grey, grey, grey], axis=-1)
        )
        found = keras.Model(backbone.input, backbone.get_layer(name).output)(
            np.concatenate([grey, grey, mask], axis=-1)
        )
        varies = np.asarray(expected).std(axis=(0, 1, 2)).mean()
        assert varies > 0
        np.testing.assert_allclose(found, expected, atol=0.01 * varies)


def test_imagenet_weights_that_cannot_be_had_are_said(tmp_path):
    (tmp_path / "none.keras").write_text("no network")
    with pytest.raises(MammoTrackerError, match="--imagenet"):
        load_imagenet(build_backbone("tested"), tmp_path / "none.keras")

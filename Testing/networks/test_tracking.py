"""The tracking network: shapes, symmetries, and that it learns."""

from __future__ import annotations

import math
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tensorflow as tf

from MammoTrackerLib.networks.backbone import build_backbone
from MammoTrackerLib.networks.losses import tracking_loss
from MammoTrackerLib.networks.tracking import TrackingNetwork, central, depthwise_correlation
from MammoTrackerLib.settings import Settings

TEMPLATE_PX, SEARCH_PX = 128, 160

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def backbone() -> keras.Model:
    keras.utils.set_random_seed(1)
    return build_backbone("backbone")


@pytest.fixture(scope="module")
def network() -> TrackingNetwork:
    """Random weights, also where training starts from zero; tests leave them alone."""
    return new_network(2)


@pytest.fixture(scope="module")
def other_network() -> TrackingNetwork:
    """Another network, whose weights tests may change."""
    return new_network(99)


def new_network(seed: int) -> TrackingNetwork:
    keras.utils.set_random_seed(seed)
    network = TrackingNetwork(TEMPLATE_PX)
    batch = random_batch(1, 1)
    network(batch)
    awaken(network.backbone, batch[1])
    kernel = network.distances.kernel
    kernel.assign(np.random.default_rng(seed).normal(0, 0.02, kernel.shape))
    return network


def awaken(backbone: keras.Model, images: np.ndarray) -> None:
    """Set batch normalisation by images; else random layers let next to nothing through."""
    norms = [la for la in backbone.layers if isinstance(la, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.trainable, layer.momentum = True, 0.0
    backbone(images, training=True)
    for layer in norms:
        layer.trainable, layer.momentum = False, 0.999


def random_batch(searches: int, templates: int, seed: int = 0) -> tuple:
    rng = np.random.default_rng(seed)
    n = searches * templates
    places = rng.integers(40, 120, (searches, 2))
    return (
        rng.uniform(-1, 1, (n, TEMPLATE_PX, TEMPLATE_PX, 3)).astype("f4"),
        np.concatenate([object_at(SEARCH_PX, x, y) for x, y in places]),
        rng.uniform(10, 60, (n, 2)).astype("f4"),
    )


def outputs_of(network: TrackingNetwork, batch: tuple) -> list[np.ndarray]:
    return [np.asarray(output) for output in network(batch)]


def object_at(side: int, x: int, y: int) -> np.ndarray:
    """Return (1, side, side, 3) zeros with one textured square of 48 pixels around x, y."""
    image = np.zeros((1, side, side, 3), np.float32)
    texture = np.random.default_rng(3).uniform(-1, 1, (48, 48, 3))
    image[0, y - 24 : y + 24, x - 24 : x + 24] = texture
    return image


@pytest.mark.parametrize("template_px", [96, 128, 160, 512])
@pytest.mark.parametrize(("stride", "size"), [(8, 7), (8, 3), (16, 3), (16, 5)])
def test_central_cells_surround_the_middle_of_the_patch(template_px: int, stride: int, size: int):
    """The middle cell is the one that stands for the patch's middle, at 8 (or 16) (i + 1)."""
    cells = template_px // stride
    y, x = np.meshgrid(np.arange(cells), np.arange(cells), indexing="ij")
    features = np.stack([x, y], axis=-1)[None]
    kept = central(features, size, stride, template_px)
    assert kept.shape == (1, size, size, 2)
    np.testing.assert_array_equal(
        stride * (kept[0, size // 2, size // 2] + 1), (template_px / 2, template_px / 2)
    )
    np.testing.assert_array_equal(np.diff(kept[0, 0, :, 0]), 1)
    np.testing.assert_array_equal(np.diff(kept[0, :, 0, 1]), 1)


@pytest.mark.parametrize("size", [3, 7])
def test_depthwise_correlation_equals_the_sum_written_out(size: int):
    rng = np.random.default_rng(7)
    search = rng.normal(size=(3, 9, 8, 4)).astype("f4")
    kernel = rng.normal(size=(3, size, size, 4)).astype("f4")
    half = size // 2
    padded = np.pad(search, ((0, 0), (half, half), (half, half), (0, 0)))
    expected = np.zeros_like(search)
    for n, i, j, c in np.ndindex(search.shape):
        expected[n, i, j, c] = (
            padded[n, i : i + size, j : j + size, c] * kernel[n, :, :, c]
        ).sum() / size
    np.testing.assert_allclose(depthwise_correlation(search, kernel), expected, atol=1e-4)


@pytest.mark.parametrize(("index", "stride", "size"), [(0, 8, 7), (1, 16, 7)])
def test_the_correlation_peaks_at_the_cell_of_the_object(
    backbone: keras.Model, index: int, stride: int, size: int
):
    """An object in the middle of the template, and at (x, y) in the search patch."""
    x, y = 160, 112
    template = np.asarray(backbone(object_at(160, 80, 80))[index])
    search = np.asarray(backbone(object_at(256, x, y))[index])
    empty = np.asarray(backbone(np.zeros((1, 256, 256, 3), np.float32))[index])
    template, search = (maps - np.median(empty, axis=(1, 2)) for maps in (template, search))
    search = search - (empty - np.median(empty, axis=(1, 2)))  # what the border alone does
    peak = np.asarray(depthwise_correlation(search, central(template, size, stride, 160)))[0]
    i, j = np.unravel_index(peak.sum(axis=-1).argmax(), peak.shape[:2])
    assert (stride * (j + 1), stride * (i + 1)) == (x, y)


def test_shapes_of_the_shipped_sizes_before_training():
    template_px, search_px = Settings.template_px, Settings.search_px
    network = TrackingNetwork(template_px, Settings.correlation_px)
    patch = np.zeros((2, template_px, template_px, 3), np.float32)
    search = np.zeros((1, search_px, search_px, 3), np.float32)
    kernels = network.encode_template(patch)
    assert [tuple(k.shape) for k in kernels] == [(2, 7, 7, 64), (2, 3, 3, 64), (2, 7, 7, 96)]
    classification, centre, distances = network((patch, search, np.float32([[20, 44]] * 2)))
    assert classification.shape == centre.shape == (2, 38, 38)
    assert distances.shape == (2, 38, 38, 4)
    # The template's size everywhere, and hardly a lesion anywhere.
    np.testing.assert_allclose(
        distances, np.broadcast_to([10, 22, 10, 22], (2, 38, 38, 4)), rtol=1e-5
    )
    assert np.asarray(classification).mean() < -2


@pytest.mark.parametrize(("searches", "templates"), [(1, 1), (1, 3), (2, 2)])
def test_shapes_of_a_smaller_size(network: TrackingNetwork, searches: int, templates: int):
    n, cells = searches * templates, SEARCH_PX // 8
    classification, centre, distances = network(random_batch(searches, templates))
    assert classification.shape == centre.shape == (n, cells, cells)
    assert distances.shape == (n, cells, cells, 4)


def test_distances_are_positive_and_bounded(network: TrackingNetwork):
    kernel = network.distances.kernel.numpy()
    templates, searches, sizes = random_batch(1, 1)
    try:
        network.distances.kernel.assign(kernel * 1000)
        distances = outputs_of(network, (templates, searches, sizes))[2]
    finally:
        network.distances.kernel.assign(kernel)
    factor = distances / (np.concatenate([sizes, sizes], axis=1)[:, None, None] / 2)
    assert factor.min() == pytest.approx(math.exp(-2.5), rel=1e-4)
    assert factor.max() == pytest.approx(math.exp(2.5), rel=1e-4)


def test_moving_the_search_image_moves_the_maps_by_whole_cells(network: TrackingNetwork):
    """By 16 pixels to the right and 32 down: two cells and four cells."""
    template, _, sizes = random_batch(1, 1)
    first = outputs_of(network, (template, object_at(256, 120, 112), sizes))
    moved = outputs_of(network, (template, object_at(256, 136, 144), sizes))
    for one, other in zip(first, moved, strict=True):
        inner = one[:, 8:20, 8:20]

        def difference(down: int, right: int, inner=inner, other=other) -> float:
            window = other[:, 8 + down : 20 + down, 8 + right : 20 + right]
            return np.abs(window - inner).max() / np.ptp(inner, axis=(1, 2)).max()

        assert difference(4, 2) < 0.1  # the border is felt
        for down, right in ((3, 2), (5, 2), (4, 1), (4, 3), (2, 4), (0, 0)):
            assert difference(down, right) > 3 * difference(4, 2)


def test_a_lesion_does_not_depend_on_the_others(network: TrackingNetwork):
    """Each search patch goes with its own successive templates."""
    templates, searches, sizes = random_batch(2, 2)
    together = outputs_of(network, (templates, searches, sizes))
    for first, *_, last in together:
        assert np.abs(first - last).max() > 0.05 * np.ptp(first)
    for k in range(4):
        alone = outputs_of(
            network, (templates[k : k + 1], searches[k // 2 : k // 2 + 1], sizes[k : k + 1])
        )
        for one, other in zip(alone, together, strict=True):
            np.testing.assert_allclose(one[0], other[k], atol=1e-3 * np.ptp(one))


def test_the_size_and_the_mask_are_seen(network: TrackingNetwork):
    templates, _, sizes = random_batch(1, 1)
    searches = object_at(SEARCH_PX, 80, 80)
    plain = outputs_of(network, (templates, searches, sizes))[0]
    assert np.abs(outputs_of(network, (templates, searches, sizes * 2))[0] - plain).max() > 1e-4
    masked = templates.copy()
    masked[:, 40:90, 40:90, 2] = 1
    assert np.abs(outputs_of(network, (masked, searches, sizes))[0] - plain).max() > 1e-4


def test_the_network_is_deterministic(network: TrackingNetwork):
    batch = random_batch(1, 2)
    for one, other in zip(outputs_of(network, batch), outputs_of(network, batch), strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_come_back_from_a_file(
    network: TrackingNetwork, other_network: TrackingNetwork, tmp_path: Path
):
    path = tmp_path / "tracking.weights.h5"
    network.save_weights(path)
    batch = random_batch(1, 2)
    expected = outputs_of(network, batch)
    assert np.abs(outputs_of(other_network, batch)[0] - expected[0]).max() > 0.01
    other_network.load_weights(path)
    for found, wanted in zip(outputs_of(other_network, batch), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def truth(templates: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return centres, boxes and presence of lesions in the search patch."""
    centers = np.array([[112, 48], [48, 112]], np.float32)[:templates]
    half = np.array([[18, 24], [30, 12]], np.float32)[:templates]
    return centers, np.concatenate([centers - half, centers + half], 1), np.ones(templates, "f4")


def test_every_weight_gets_a_gradient(network: TrackingNetwork):
    templates, searches, sizes = random_batch(1, 2)
    with tf.GradientTape() as tape:
        outputs = network((templates, searches, sizes), training=True)
        loss = tracking_loss(outputs, *truth(2))["loss"]
    variables = network.trainable_variables
    gradients = tape.gradient(loss, [v.value for v in variables])
    assert len(variables) > 60
    for variable, gradient in zip(variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all(), variable.path
        assert np.abs(gradient).max() > 0, variable.path


def window(features: np.ndarray, stride: int, size: int, centers: np.ndarray) -> np.ndarray:
    """Return the (n, size, size, C) features around each centre."""
    half = size // 2
    padded = np.pad(features[0], ((half, half), (half, half), (0, 0)))
    cells = [(round(y / stride) - 1, round(x / stride) - 1) for x, y in centers]
    return np.stack([padded[i : i + size, j : j + size] for i, j in cells])


def test_the_head_learns_two_lesions(other_network: TrackingNetwork):
    """Templates whose features are those of the search patch at the lesion."""
    network = other_network
    centers, boxes, present = truth(2)
    sizes = boxes[:, 2:] - boxes[:, :2]
    rng = np.random.default_rng(10)
    fine = rng.normal(size=(1, 20, 20, 64)).astype("f4")
    coarse = rng.normal(size=(1, 10, 10, 96)).astype("f4")
    kernels = [
        window(fine, 8, 7, centers), window(fine, 8, 3, centers), window(coarse, 16, 7, centers)
    ]  # fmt: skip
    features = [np.repeat(fine, 2, axis=0), np.repeat(coarse, 2, axis=0)]
    layers = [network.mix, network.mix_norm, network.size_embedding, *network.tower]
    layers += [*network.tower_norms, network.box_tower, network.box_norm]
    layers += [network.classification, network.centreness, network.distances]
    variables = [v for layer in layers for v in layer.trainable_variables]
    optimizer = keras.optimizers.Adam(3e-3)
    optimizer.build(variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            outputs = network.head(kernels, features, sizes)
            parts = tracking_loss(outputs, centers, boxes, present)
        optimizer.apply(tape.gradient(parts["loss"], [v.value for v in variables]), variables)
        return parts

    history = [{name: float(value) for name, value in step().items()} for _ in range(100)]
    for name in ("cls", "place", "ctr", "reg", "loss"):
        assert history[-1][name] < 0.7 * history[0][name], name
    for scores, center in zip(network.head(kernels, features, sizes)[0], centers, strict=True):
        i, j = np.unravel_index(np.argmax(scores), scores.shape)
        assert (8 * (j + 1), 8 * (i + 1)) == tuple(center)

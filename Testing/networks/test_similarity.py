"""The similarity network."""

from __future__ import annotations

import numpy as np
import pytest

from MammoTrackerLib import Box
from MammoTrackerLib.score_refinement import corrected
from MammoTrackerLib.settings import Settings

SIDE = 128

pytestmark = pytest.mark.train


def textured(rng: np.random.Generator) -> np.ndarray:
    from scipy import ndimage

    image = ndimage.gaussian_filter(rng.normal(size=(3 * SIDE, 3 * SIDE)), 4)
    return (image / image.std() / 3).astype(np.float32)


def patch(image: np.ndarray, center: tuple[float, float], scale: float, box: Box) -> np.ndarray:
    """Magnify the image around a point by a scale, and draw a box of the patch as mask."""
    from scipy import ndimage

    from MammoTrackerLib.patches import box_mask

    half = SIDE / 2 - 0.5
    offset = np.array(center)[::-1] - half / scale
    cut = ndimage.affine_transform(image, np.full(2, 1 / scale), offset, (SIDE, SIDE), order=1)
    return np.stack([cut, cut, box_mask(box, SIDE)], axis=-1)


def test_local_correlation_peaks_at_the_shift():
    from MammoTrackerLib.networks.cells import local_correlation

    rng = np.random.default_rng(0)
    first = rng.normal(size=(1, 12, 12, 128)).astype(np.float32)
    second = np.roll(first, (1, -2), axis=(1, 2))  # one cell down, two to the left
    maps = np.asarray(local_correlation(first, second, 2))[0, 3:-3, 3:-3]
    assert (maps.argmax(-1) == 3 * 5 + 0).all()


def test_a_turned_correlation_is_that_of_the_other_way():
    from MammoTrackerLib.networks.cells import local_correlation, turned_correlation

    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 2, 6, 7, 3)).astype(np.float32)
    turned = turned_correlation(local_correlation(first, second, 2), 2)
    assert np.allclose(turned, local_correlation(second, first, 2), atol=1e-6)


def test_shipped_network_corrects_shift_and_scale():
    """On plain texture, which it never saw, most of an error goes away, in every direction."""
    from MammoTrackerLib.networks.card import SIMILARITY_FILE, WEIGHTS
    from MammoTrackerLib.networks.similarity import SimilarityNetwork

    network = SimilarityNetwork(SIDE)
    network.load_weights(WEIGHTS / SIMILARITY_FILE)
    rng = np.random.default_rng(1)
    box = Box.from_center(SIDE / 2, SIDE / 2, 52, 52)
    before, after = [], []
    for _ in range(4):
        image = textured(rng)
        template = patch(image, (190, 190), 1.0, box)
        for dx, dy, growth in ((6, 0, 1), (-6, 3, 1), (0, 0, 1.15), (0, -6, 0.87)):
            found = patch(image, (190 + dx / growth, 190 + dy / growth), growth, box)
            truth = Box.from_center(SIDE / 2 - dx, SIDE / 2 - dy, 52 * growth, 52 * growth)
            _, correction = network((template[None], found[None]))
            before.append(box.iou(truth))
            after.append(corrected(box, np.asarray(correction)[0]).iou(truth))
    assert np.mean(after) > np.mean(before) + 0.25 * (1 - np.mean(before))


def test_corrections_are_the_same_both_ways():
    """What is a shift and a growth from the prior on is their inverse from the current back."""
    from MammoTrackerLib.networks.similarity import SimilarityNetwork

    network = SimilarityNetwork(SIDE)
    rng = np.random.default_rng(2)
    (last,) = network.band_growth.get_weights()
    network.band_growth.set_weights([rng.normal(0, 0.1, last.shape)])  # it begins with 0
    image = textured(rng)
    box = Box.from_center(SIDE / 2, SIDE / 2, 52, 40)
    one, other = patch(image, (190, 190), 1.0, box), patch(image, (194, 188), 1.1, box)
    there, back = (
        np.asarray(network((a[None], b[None]))[1])[0] for a, b in ((one, other), (other, one))
    )
    assert np.abs(there).max() > 1e-4
    assert there == pytest.approx(-back, abs=1e-5)


def test_what_a_box_holds_counts_wherever_it_lies_in_it():
    from MammoTrackerLib.networks.cells import in_box, pooled_in

    mask = np.zeros((2, 64, 64, 1), np.float32)
    mask[:, 16:40, 24:40] = 1  # cells 4 to 9 and 6 to 9, each with its neighbours
    inside = np.asarray(in_box(mask, 4))
    rows, columns = np.nonzero(inside[0, ..., 0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 10, 5, 10)
    features = np.zeros((2, 16, 16, 3), np.float32)
    features[0, 4, 6, 0] = features[1, 9, 9, 0] = 5  # a speck, in two places of the box
    features[:, 0, 0, 1] = 9  # outside
    features[..., 2] = -1
    pooled = np.asarray(pooled_in(features, inside))
    np.testing.assert_allclose(pooled[0], pooled[1])
    np.testing.assert_allclose(pooled[0, 3:], [5, 0, -1])
    np.testing.assert_allclose(pooled[0, 1:3], [0, -1], atol=1e-4)


def test_bands_lie_across_the_box_and_beyond():
    from MammoTrackerLib.networks.cells import BAND_STEP, BANDS, across_box

    side, stride = 64, 4
    masks = np.zeros((3, side, side, 1), np.float32)
    masks[0, 22:42, 12:52] = 1  # 40 x 20 pixels
    masks[1, 31:33, 31:33] = 1  # smaller than a cell
    masks[2] = 1  # nothing beyond
    place = stride * (np.arange(side // stride) + 0.5) - side / 2
    x, y = np.meshgrid(place, place)
    features = np.stack([1 + 0 * x, x, y, np.abs(y) > 12, np.abs(x) < 8], axis=-1)
    bands = np.asarray(across_box(np.stack([features.astype(np.float32)] * 3), masks))
    assert bands.shape == (3, 2, BANDS, 5)
    assert np.allclose(bands[..., 0], 1, atol=1e-5)
    steps = BAND_STEP * (np.arange(BANDS) - BANDS // 2)
    inside = np.abs(steps * 20) < 29
    assert np.allclose(bands[0, 0, inside, 1], 20 * steps[inside], atol=0.5)
    assert np.allclose(bands[0, 1, :, 2], 10 * steps, atol=2)
    # As long as the box, and no longer.
    assert np.allclose(bands[0, 0, :, 2], 0, atol=1e-5)
    assert bands[0, 0, :, 3].max() < 1e-3
    assert np.allclose(bands[0, 1, :, 4], 16 / 40, atol=0.01)
    assert np.isfinite(bands).all()


def test_the_shipped_network_sees_a_disc_grow_on_tissue_that_stays():
    from scipy import ndimage

    from MammoTrackerLib.networks.card import SIMILARITY_FILE, WEIGHTS
    from MammoTrackerLib.networks.similarity import SimilarityNetwork
    from MammoTrackerLib.patches import network_input

    side, radius = Settings().refinement_px, 38
    network = SimilarityNetwork(side)
    network.load_weights(WEIGHTS / SIMILARITY_FILE)
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] + 0.5 - side / 2
    breast, growths, predicted = np.ones((side, side)), (0.75, 1, 1.3), []
    for _ in range(3):
        tissue = sum(
            share * (blurred / blurred.std())
            for share, sigma in ((0.12, 4), (0.04, 1.5))
            for blurred in [ndimage.gaussian_filter(rng.normal(size=(side, side)), sigma)]
        )
        patches = []
        for growth in growths:
            disc = 0.4 / (1 + np.exp((np.hypot(x, y) - radius * growth) / 2))
            noise = rng.normal(0, 0.02, (side, side))
            box = Box.from_center(side / 2, side / 2, *[2 * radius] * 2)
            patches.append(network_input(0.5 + tissue + disc + noise, breast, box))
        _, correction = network((patches[1][None], np.stack(patches)))
        predicted.append(np.exp(np.asarray(correction)[:, 2:].mean(axis=1)))
    less, same, more = np.mean(predicted, axis=0)
    assert same == pytest.approx(1, abs=0.02)
    assert less < 0.83  # 0.85 and 1.15 before the profiles across the box
    assert more > 1.19


def test_the_shipped_network_misses_a_speck_that_went():
    """The same tissue on both, with and without the one bright spot in the middle of the box."""
    from scipy import ndimage

    from MammoTrackerLib.networks.card import SIMILARITY_FILE, WEIGHTS
    from MammoTrackerLib.networks.similarity import SimilarityNetwork
    from MammoTrackerLib.patches import network_input

    side = Settings().refinement_px
    network = SimilarityNetwork(side)
    network.load_weights(WEIGHTS / SIMILARITY_FILE)
    rng = np.random.default_rng(0)
    logits = []
    for _ in range(4):
        tissue = ndimage.gaussian_filter(rng.normal(size=(side, side)), 5)
        tissue = 0.5 + 0.15 * tissue / tissue.std()
        y, x = np.mgrid[:side, :side] + 0.5 - side / 2
        with_speck = tissue + 0.6 * np.exp(-(x**2 + y**2) / 8)
        box, breast = Box.from_center(side / 2, side / 2, 50, 50), np.ones((side, side))
        there, gone = (network_input(image, breast, box) for image in (with_speck, tissue))
        distance, _ = network((there[None], np.stack([there, gone])))
        logits.append(np.asarray(distance))
    same, without = np.mean(logits, axis=0)
    assert without > same + 1

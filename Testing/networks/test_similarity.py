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
    from MammoTrackerLib.networks.similarity import local_correlation

    rng = np.random.default_rng(0)
    first = rng.normal(size=(1, 12, 12, 128)).astype(np.float32)
    second = np.roll(first, (1, -2), axis=(1, 2))  # one cell down, two to the left
    maps = np.asarray(local_correlation(first, second, 2))[0, 3:-3, 3:-3]
    assert (maps.argmax(-1) == 3 * 5 + 0).all()


def test_a_turned_correlation_is_that_of_the_other_way():
    from MammoTrackerLib.networks.similarity import local_correlation, turned_correlation

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
    image = textured(np.random.default_rng(2))
    box = Box.from_center(SIDE / 2, SIDE / 2, 52, 40)
    one, other = patch(image, (190, 190), 1.0, box), patch(image, (194, 188), 1.1, box)
    there, back = (
        np.asarray(network((a[None], b[None]))[1])[0] for a, b in ((one, other), (other, one))
    )
    assert np.abs(there).max() > 1e-4
    assert there == pytest.approx(-back, abs=1e-5)


def test_what_a_box_holds_counts_wherever_it_lies_in_it():
    from MammoTrackerLib.networks.similarity import in_box, pooled_in

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

"""Train the similarity network on the tracking network's candidates.

``python -m Training.train_similarity --msynth FOLDER --tracking FILE --run runs/similarity``
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import cv2
import numpy as np
from scipy import special

from MammoTrackerLib.box import Box
from MammoTrackerLib.local_search import STRIDE
from MammoTrackerLib.patches import network_input
from MammoTrackerLib.settings import Settings

from .loop import add_arguments, fit
from .synthesis import Scene
from .train_tracking import batch_of, start_producers, training_sources

POSITIVE_IOU, NEGATIVE_IOU = 0.5, 0.3
NEGATIVES = 2
LEAST_SCORE = 0.01


def candidates_of(outputs, index: int, settings: Settings) -> list[Box]:
    """Return the tracking network's boxes for one template, best first, after suppression.

    As in section 3.3, but from a lower score, so that easy lesions have wrong candidates too.
    """
    classification, centre_logits, distances = (o[index] for o in outputs)
    score = special.expit(classification) * special.expit(centre_logits)
    kept: list[Box] = []
    for cell in np.argsort(-score, axis=None)[:60]:
        row, column = np.unravel_index(cell, score.shape)
        if score[row, column] < LEAST_SCORE and kept:
            break
        x, y = STRIDE * (column + 1), STRIDE * (row + 1)
        left, top, right, bottom = (float(d) for d in distances[row, column])
        box = Box(x - left, y - top, x + right, y + bottom)
        if all(box.iou(other) <= settings.nms_iou for other in kept):
            kept.append(box)
    return kept


def jittered(rng: np.random.Generator, box: Box, spread: float) -> Box:
    """Move and resize a box at random, by a share of its sides."""
    x, y = box.center
    shift = rng.normal(0, spread, 2) * (box.width, box.height)
    scale = np.exp(rng.normal(0, spread, 2))
    return Box.from_center(x + shift[0], y + shift[1], box.width * scale[0], box.height * scale[1])


def pick(rng: np.random.Generator, scene: Scene, k: int, found: list[Box]) -> list[tuple[Box, int]]:
    """Choose one positive (where there is one) and two negatives for a template.

    Returns
    -------
    list of (Box, int)
        Three boxes in search pixels, each with its distance: 0 the lesion, 1 another place.
    """
    truth = Box(*(float(v) for v in scene.boxes[k]))
    overlap = [box.iou(truth) * scene.present[k] for box in found]
    wrong = [b for b, o in zip(found, overlap, strict=True) if o < NEGATIVE_IOU][:6]
    side = scene.search.shape[0]
    while len(wrong) < NEGATIVES + 1:
        place = rng.uniform(0.2, 0.8, 2) * side
        box = jittered(rng, Box.from_center(*place, truth.width, truth.height), 0.1)
        if box.iou(truth) * scene.present[k] < NEGATIVE_IOU:
            wrong.append(box)
    chosen = [(wrong[int(j)], 1) for j in rng.permutation(len(wrong))[:NEGATIVES]]
    if not scene.present[k]:
        return [*chosen, (wrong[0], 1)]
    right = [b for b, o in zip(found, overlap, strict=True) if o > POSITIVE_IOU]
    positive = right[0] if right and rng.random() < 0.6 else jittered(rng, truth, 0.08)
    if positive.iou(truth) <= POSITIVE_IOU:
        positive = truth
    return [*chosen, (positive, 0)]


def crop_input(raw: np.ndarray, center: tuple[float, float], box: Box, side: int) -> np.ndarray:
    """Cut a network input of `side` pixels around a point of a raw patch; 0 outside."""
    shift = np.array([[1, 0, side / 2 - center[0]], [0, 1, side / 2 - center[1]]])
    image, breast = (
        cv2.warpAffine(np.ascontiguousarray(raw[..., k]), shift, (side, side)) for k in range(2)
    )
    x, y = shift[:, 2]
    return network_input(image, breast, Box(box.x0 + x, box.y0 + y, box.x1 + x, box.y1 + y))


def similarity_batch(rng, tracking, scenes: list[Scene], settings: Settings):
    """Run the tracking network on scenes and cut its candidates.

    Returns
    -------
    tuple of numpy.ndarray
        Templates (n, s, s, 3), candidates (3 n, s, s, 3), distances (3 n,).
    """
    outputs = [np.asarray(o) for o in tracking(batch_of(scenes)[:3], training=False)]
    side, per_scene = settings.refinement_px, len(scenes[0].sizes)
    templates, patches, distances = [], [], []
    for index in range(len(scenes) * per_scene):
        scene, k = scenes[index // per_scene], index % per_scene
        middle = (settings.template_px / 2, settings.template_px / 2)
        box = Box.from_center(*middle, *(float(v) for v in scene.sizes[k]))
        templates.append(crop_input(scene.templates_raw[k], middle, box, side))
        for box, distance in pick(rng, scene, k, candidates_of(outputs, index, settings)):
            patches.append(crop_input(scene.search_raw, box.center, box, side))
            distances.append(distance)
    return tuple(np.array(a, np.float32) for a in (templates, patches, distances))


def main() -> None:
    """Train, with a checkpoint every 200 steps; a run that was stopped continues."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_arguments(parser, steps=900, scenes=4)
    parser.add_argument("--tracking", type=Path, required=True, help="tracking.weights.h5")
    arguments = parser.parse_args()

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    cv2.setNumThreads(0)  # its threads do not survive the fork of the workers
    settings = Settings()
    next_scenes = start_producers(*training_sources(arguments.msynth), settings, arguments)

    import keras
    from keras import ops

    from MammoTrackerLib.networks.similarity import SimilarityNetwork
    from MammoTrackerLib.networks.tracking import TrackingNetwork

    def loss(network, templates, patches, distances):
        logits = network((templates, patches), training=True)
        entropy = ops.maximum(logits, 0) - logits * distances + ops.softplus(-ops.abs(logits))
        right = ops.cast((logits > 0) == (distances > 0.5), "float32")
        return {"loss": ops.mean(entropy), "correct": ops.mean(right)}

    keras.utils.set_random_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    tracking = TrackingNetwork(settings.template_px, settings.correlation_px)
    tracking.load_weights(arguments.tracking)
    network = SimilarityNetwork()
    network.backbone.set_weights(tracking.backbone.get_weights())
    fit(
        network, loss, lambda: similarity_batch(rng, tracking, next_scenes(), settings), arguments,
        freeze_after=0,
    )  # fmt: skip


if __name__ == "__main__":
    main()

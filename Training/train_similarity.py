"""Train the similarity network on the tracking network's candidates.

``python -m Training.train_similarity --pairs train.csv --tracking FILE --run runs/similarity``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from scipy import special

from MammoTrackerLib.box import Box
from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.local_search import STRIDE
from MammoTrackerLib.patches import block_mean, keep_specks, network_input
from MammoTrackerLib.score_refinement import refinement_side
from MammoTrackerLib.settings import Settings

from .program import add_arguments, parse, settings_of
from .synthetic_scenes import Scene
from .train_tracking import start_batches

POSITIVE_IOU, NEGATIVE_IOU, LEAST_IOU = 0.5, 0.3, 0.1
PARTS = ("similarity", "correct", "box", "iou", "iou_before")
MOST_CELLS, MOST_WRONG = 60, 6
MISLED_MM = 3.0, 12.0
"""How far tissue has to have slid from a lesion, and at most, for its place to be a wrong one."""


def candidates_of(outputs, index: int, settings: Settings) -> list[Box]:
    """Return the tracking network's boxes for one template, best first (section 3.3).

    Non-maximum suppression above `settings.nms_iou`, scores from `settings.min_tracking_score`
    on; at least one.
    """
    classification, centre_logits, distances = (o[index] for o in outputs)
    score = special.expit(classification)
    if settings.centreness:
        score = score * special.expit(centre_logits)
    kept: list[Box] = []
    for cell in np.argsort(-score, axis=None)[:MOST_CELLS]:
        row, column = np.unravel_index(cell, score.shape)
        if score[row, column] < settings.min_tracking_score and kept:
            break
        x, y = STRIDE * (column + 1), STRIDE * (row + 1)
        left, top, right, bottom = (float(d) for d in distances[row, column])
        box = Box(x - left, y - top, x + right, y + bottom)
        if all(box.iou(other) <= settings.nms_iou for other in kept):
            kept.append(box)
    return kept


def jittered(rng: np.random.Generator, box: Box, shift: float, spread: float) -> Box:
    """Move a box by N(0, shift) search pixels, and scale its sides by e^N(0, spread)."""
    x, y = box.center + rng.normal(0, shift, 2)
    scale = np.exp(rng.normal(0, spread, 2))
    return Box.from_center(x, y, box.width * scale[0], box.height * scale[1])


def pick(
    rng: np.random.Generator,
    scene: Scene,
    k: int,
    found: list[Box],
    prior: np.ndarray,
    pixel_mm: float,
) -> list[tuple[Box, float, float]]:
    """Choose two boxes elsewhere, and two where the lesion is or, if it went, was.

    Those have the size that the tracking network found or, if it did not, the prior's (2,) in
    search pixels: a size drawn around the true one would tell the truth. Where tissue slid away
    from the lesion by more than 3 mm, one of the boxes elsewhere is there, even if it overlaps.

    Returns
    -------
    list of (Box, float, float)
        Four boxes in search pixels, each with its distance (0 the lesion, 1 another place or no
        lesion) and its weight in the similarity's loss: negatives count twice as much as positives
        of a lesion that is there, and nothing in between counts (section 3.3).
    """
    truth = Box(*(float(v) for v in scene.boxes[k]))
    here = scene.present[k] > 0
    size = (truth.width * truth.height) ** 0.5
    overlap = [box.iou(truth) for box in found]
    wrong = [b for b, o in zip(found, overlap, strict=True) if o < NEGATIVE_IOU][:MOST_WRONG]
    side = scene.search_raw.shape[0]
    while len(wrong) < 2:
        box = Box.from_center(*(rng.uniform(0.2, 0.8, 2) * side), truth.width, truth.height)
        box = jittered(rng, box, 0, 0.1)
        if box.iou(truth) < NEGATIVE_IOU:
            wrong.append(box)
    chosen = [(wrong[int(j)], 1, 1 if here else 0.5) for j in rng.permutation(len(wrong))[:2]]
    near = [b for b, o in zip(found, overlap, strict=True) if o > NEGATIVE_IOU]
    sides = (near[0].width, near[0].height) if near else prior.tolist()
    slid = np.hypot(*(scene.decoys[k] - truth.center)) * pixel_mm
    if MISLED_MM[0] < slid < MISLED_MM[1]:
        box = Box.from_center(*scene.decoys[k], *sides)
        chosen[0] = (jittered(rng, box, 1.5, 0.05), 1, chosen[0][2])
    for attempt in range(2):
        if near and attempt == 0:
            box = near[0]
        else:
            far = rng.random() < 0.3
            box = Box.from_center(*truth.center, *sides)
            box = jittered(rng, box, (6 if far else 2.5) + 0.05 * size, 0.05)
        counts = 0.5 * (not here or box.iou(truth) > POSITIVE_IOU)
        chosen.append((box, 0 if here else 1, counts))
    return chosen


def crop_input(raw: np.ndarray, center: tuple[float, float], box: Box, scale: float, side: int,
               template_input: str = "mask-guided", finer: int = 1) -> np.ndarray:  # fmt: skip
    """Cut a network input of `side` pixels around a point; 0 outside.

    The point, the box and `scale`, the side of one of its pixels, are in units of `finer` raw
    pixels.
    """
    x, y = side / 2 - np.asarray(center) / scale
    matrix = finer * scale * np.array([[1, 0, -x], [0, 1, -y]])
    matrix[:, 2] += finer * scale / 2 - 0.5  # from continuous pixels to pixel centres
    image, breast = (
        cv2.warpAffine(
            np.ascontiguousarray(raw[..., k]), matrix, (side, side),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        )
        for k in range(2)
    )  # fmt: skip
    inside = Box(box.x0 / scale + x, box.y0 / scale + y, box.x1 / scale + x, box.y1 / scale + y)
    return network_input(image, breast, inside, template_input)


def fineness(settings: Settings) -> int:
    """Return how many times finer than the local search's patches scenes are made.

    Twice where the score refinement has finer patches: mammograms with large pixels are not
    reduced, so that it sees them sharper than others.
    """
    finest = settings.refinement_mm[0] / settings.refinement_px
    return 2 if finest < settings.search_mm / settings.search_px else 1


def scene_settings(settings: Settings) -> Settings:
    """Return settings of finer scenes, with enough around a lesion for the largest patch."""
    pixel, finer = settings.template_mm / settings.template_px, fineness(settings)
    side = 16 * round(max(settings.refinement_mm[1], settings.template_mm) / pixel / 16)
    return replace(
        settings,
        template_px=finer * side,
        template_mm=side * pixel,
        search_px=finer * settings.search_px,
    )


def as_searched(scene: Scene, finer: int) -> Scene:
    """Reduce a finer scene's patches, as a mammogram is reduced."""
    if finer == 1:
        return scene

    def reduced(raw: np.ndarray) -> np.ndarray:
        image, breast = np.moveaxis(raw, -1, 0)
        return np.stack(
            [keep_specks(image, finer, finer), block_mean(breast, finer, finer)], axis=-1
        )

    return replace(
        scene,
        search_raw=reduced(scene.search_raw),
        templates_raw=np.stack([reduced(raw) for raw in scene.templates_raw]),
        sizes=scene.sizes / finer,
        centers=scene.centers / finer,
        boxes=scene.boxes / finer,
        decoys=scene.decoys / finer,
    )


def similarity_batch(
    rng: np.random.Generator, tracking: Callable, scenes: list[Scene], settings: Settings
) -> tuple[np.ndarray, ...]:
    """Run the tracking network on scenes and cut its candidates.

    Parameters
    ----------
    rng
        Chooses among the candidates, and how fine either exam is that they are cut from.
    tracking
        What `TrackingNetwork.call` does, on arrays.
    scenes
        Made with `scene_settings`.
    settings
        Of the tracker.

    Returns
    -------
    tuple of numpy.ndarray
        Templates (n, s, s, 3), candidates (4 n, s, s, 3), distances (4 n,), weights (4 n,), the
        true boxes (4 n, 4) in sides of the candidate from its centre, and 1 where they are to be
        learned (4 n,).
    """
    finer, sharp = fineness(settings), [scene for scene in scenes for _ in scene.sizes]
    scenes = [as_searched(scene, finer) for scene in scenes]
    lesions = [(scene, k) for scene in scenes for k in range(len(scene.sizes))]
    middle = scenes[0].templates_raw.shape[1] / 2
    boxes = [
        Box.from_center(middle, middle, *(float(v) for v in scene.sizes[k])) for scene, k in lesions
    ]
    inputs = [
        crop_input(
            scene.templates_raw[k], box.center, box, 1.0, settings.template_px,
            settings.template_input,
        )
        for (scene, k), box in zip(lesions, boxes, strict=True)
    ]  # fmt: skip
    searches = np.stack([scene.search for scene in scenes])
    sizes = np.concatenate([scene.sizes for scene in scenes]) * settings.search_per_template_pixel
    outputs = tracking((np.array(inputs, np.float32), searches, sizes.astype(np.float32)))
    outputs = [np.asarray(output) for output in outputs]
    side, search_side = settings.refinement_px, settings.search_px
    template_mm = settings.template_mm / settings.template_px
    search_mm = settings.search_mm / settings.search_px
    templates, patches, targets = [], [], []
    for index, ((scene, k), box) in enumerate(zip(lesions, boxes, strict=True)):
        patch_mm = refinement_side(max(box.width, box.height) * template_mm, settings) / side
        (prior, prior_finer), (current, current_finer) = (
            (sharp[index], finer) if rng.random() < 0.5 else (scene, 1) for _ in range(2)
        )
        templates.append(
            crop_input(
                prior.templates_raw[k], box.center, box, patch_mm / template_mm, side,
                finer=prior_finer,
            )
        )  # fmt: skip
        truth = Box(*(float(v) for v in scene.boxes[k]))
        found = candidates_of(outputs, index, settings)
        for candidate, distance, weight in pick(rng, scene, k, found, sizes[index], search_mm):
            x, y = candidate.center
            shown = (x, y) if settings.refine_around_candidate else (search_side / 2,) * 2
            patches.append(
                crop_input(
                    current.search_raw, shown, candidate, patch_mm / search_mm, side,
                    finer=current_finer,
                )
            )  # fmt: skip
            true_box = np.array(truth.as_tuple()) - [x, y, x, y]
            true_box /= [candidate.width, candidate.height] * 2
            learn = scene.present[k] * (distance == 0) * (candidate.iou(truth) > LEAST_IOU)
            targets.append((distance, weight, *true_box, learn))
    targets = np.array(targets, np.float32)
    return (
        np.array(templates), np.array(patches), targets[:, 0], targets[:, 1], targets[:, 2:6],
        targets[:, 6],
    )  # fmt: skip


def mirrored(batch: tuple[np.ndarray, ...], time: int) -> tuple[np.ndarray, ...]:
    """Mirror what `similarity_batch` returns: not at all, in x, in y, in both, and so on."""
    templates, patches, distances, weights, boxes, learn = batch
    in_x, in_y = time % 2, time // 2 % 2
    turn = np.s_[:, :: -1 if in_y else 1, :: -1 if in_x else 1]
    x0, y0, x1, y1 = boxes.T
    if in_x:
        x0, x1 = -x1, -x0
    if in_y:
        y0, y1 = -y1, -y0
    boxes = np.stack([x0, y0, x1, y1], axis=1)
    return templates[turn], patches[turn], distances, weights, boxes, learn


def similarity_loss(network, templates, patches, distances, weights, boxes, learn) -> dict:
    """Binary cross-entropy of the distances (section 3.3), and EIoU of the corrected boxes.

    The boxes are not in the paper; `Settings.correct_boxes` False leaves them out.
    """
    from keras import ops

    from MammoTrackerLib.networks.losses import eiou, iou
    from MammoTrackerLib.networks.similarity import repeated

    def near(array):
        """Take the two candidates of each template that lie on the lesion, if it is there."""
        by_template = ops.reshape(array, (-1, 4, *array.shape[1:]))[:, 2:]
        return ops.reshape(by_template, (-1, *array.shape[1:]))

    encoded, found = network.backbone(templates), network.backbone(patches)
    masks = repeated(templates[..., 2:], patches), patches[..., 2:]
    matches, outlines = network.matches(encoded, found), network.outlines(encoded, found)
    logits = network.compare(encoded, found, masks, matches)
    entropy = ops.maximum(logits, 0) - logits * distances + ops.softplus(-ops.abs(logits))
    entropy = ops.sum(entropy * weights) / ops.sum(weights)
    right = ops.cast((logits > 0) == (distances > 0.5), "float32")
    right = ops.sum(right * weights) / ops.sum(weights)
    corrections = network.correct(*([near(a) for a in part] for part in (masks, matches, outlines)))
    boxes, learn = near(boxes), near(learn)
    centers, halves = corrections[:, :2], ops.exp(corrections[:, 2:]) / 2
    corrected = ops.concatenate([centers - halves, centers + halves], axis=-1)
    before = ops.convert_to_tensor([[-0.5, -0.5, 0.5, 0.5]]) + 0 * boxes

    def mean(values):
        return ops.sum(values * learn) / (ops.sum(learn) + 1e-6)

    return {
        "similarity": entropy,
        "correct": right,
        "box": mean(eiou(corrected, boxes)),
        "iou": mean(iou(corrected, boxes)),
        "iou_before": mean(iou(before, boxes)),
    }


def options() -> argparse.ArgumentParser:
    """Return the command line of this program."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_arguments(parser, epochs=5, batch=8)
    parser.add_argument(
        "--tracking",
        type=Path,
        required=True,
        metavar="FILE.weights.h5",
        help="weights of the tracking network",
    )
    parser.add_argument("--repeats", type=int, default=1, metavar="TIMES", help="how many steps "
                        "use a batch, mirrored each time: for slow processors")  # fmt: skip
    parser.add_argument("--start", type=Path, metavar="FILE.weights.h5", help="weights to go "
                        "on from; else the backbone is that of --tracking")  # fmt: skip
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Train; a run that was interrupted goes on."""
    try:
        train(parse(options(), argv))
    except MammoTrackerError as error:
        sys.exit(str(error))


def train(arguments: argparse.Namespace) -> None:
    """Train as the options say."""
    settings = settings_of(arguments)

    def batch(step: int, scenes: list[Scene], ask: Callable) -> tuple[np.ndarray, ...]:
        return similarity_batch(
            np.random.default_rng([arguments.seed, step]), ask, scenes, settings
        )

    batches = start_batches(
        scene_settings(settings), arguments, batch,
        answer=lambda inputs: tracking.predict_on_batch(inputs), again=mirrored,
    )  # fmt: skip

    from MammoTrackerLib.networks.similarity import SimilarityNetwork
    from MammoTrackerLib.networks.tracking import TrackingNetwork

    from .loop import fit, load_weights, prepare

    prepare(arguments)
    tracking = TrackingNetwork(settings.template_px, settings.correlation_px)
    load_weights(tracking, arguments.tracking)
    network = SimilarityNetwork(settings.refinement_px)
    if arguments.start:
        load_weights(network, arguments.start)
    else:
        network.backbone.set_weights(tracking.backbone.get_weights())

    def loss(network, *batch):
        parts = similarity_loss(network, *batch)
        return parts | {"loss": parts["similarity"] + settings.correct_boxes * parts["box"]}

    fit(network, loss, PARTS, batches, arguments)


if __name__ == "__main__":
    main()

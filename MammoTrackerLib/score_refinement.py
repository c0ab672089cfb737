"""Score refinement: the similarity network scores candidates (section 3.3), corrects boxes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from .box import Box
from .global_search import Alignment
from .local_search import Layers
from .patches import PatchFrame
from .settings import Settings
from .track import Candidate

GRID = 4096
"""Patches are cut around whole parts of a pixel, so many to a pixel."""


def refinement_side(longest_mm: float, settings: Settings) -> float:
    """Side in mm of the patches in which a lesion of this longest side is compared."""
    low, high = settings.refinement_mm
    return min(max(settings.refinement_scale * longest_mm, low), high)


def corrected(box: Box, correction: np.ndarray) -> Box:
    """Apply a correction (4,): of the centre in sides of the box, of its sides' logarithms."""
    x, y = box.center
    return Box.from_center(
        x + correction[0] * box.width,
        y + correction[1] * box.height,
        box.width * np.exp(correction[2]),
        box.height * np.exp(correction[3]),
    )


def refine(
    network: Callable,
    prior: Layers,
    current: Layers,
    boxes: Sequence[Box],
    candidates: Sequence[tuple[Candidate, ...]],
    alignment: Alignment,
    settings: Settings,
) -> list[tuple[Candidate, ...]]:
    """Give every candidate its similarity score, 1 - distance, and correct its box; in one batch.

    The patches are as large as the lesion needs, so that borders are compared at one scale
    whatever the lesion's size. The correction goes beyond the paper.

    `network` runs a `SimilarityNetwork` with its weights: called with the templates, the candidates
    of all lesions and how many each has, it gives arrays. The other parameters are those of
    `local_search.search`, which found these candidates of each lesion.

    Returns
    -------
    list of tuple of Candidate
        In the order given.
    """
    templates, frames, patches = [], [], []
    for box, found in zip(boxes, candidates, strict=True):
        side_mm = refinement_side(box.longest_side(prior.spacing), settings)
        side_px = settings.refinement_px
        templates.append(
            prior.network_input(PatchFrame.around(box.center, prior.spacing, side_mm, side_px), box)
        )
        registered = alignment.map_points(np.array(box.center))[0]
        for candidate in found:
            center = registered
            if settings.refine_around_candidate:
                # So that runtimes whose candidates differ in the last digits see one patch.
                center = np.round(np.multiply(candidate.box.center, GRID)) / GRID
            frame = PatchFrame.around(
                center,
                current.spacing,
                side_mm,
                side_px,
                alignment.matrix,
                is_sideways=alignment.is_sideways,
            )
            frames.append(frame)
            patches.append(current.network_input(frame, candidate.box))
    counts = [len(found) for found in candidates]
    outputs = network(np.array(templates, np.float32), np.array(patches, np.float32), counts)
    logits, corrections = (output.astype(np.float64) for output in outputs)
    similarity = 1 / (1 + np.exp(logits))
    results = zip(frames, similarity, corrections, strict=True)
    return [
        tuple(
            _refined(candidate, *result, settings.correct_boxes)
            for candidate, result in zip(found, itertools.islice(results, len(found)), strict=True)
        )
        for found in candidates
    ]


def _refined(
    candidate: Candidate,
    frame: PatchFrame,
    similarity: float,
    correction: np.ndarray,
    is_corrected: bool,
) -> Candidate:
    box = candidate.box
    if is_corrected:
        box = frame.box_to_image(corrected(frame.box_to_patch(box), correction))
    return replace(candidate, box=box, similarity_score=float(similarity), local_box=candidate.box)

"""Score refinement: the similarity network scores candidates (section 3.3), corrects boxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .box import Box
from .global_search import Alignment
from .local_search import Layers
from .patches import PatchFrame
from .settings import Settings
from .track import Candidate


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
    box: Box,
    candidates: tuple[Candidate, ...],
    alignment: Alignment,
    settings: Settings,
) -> tuple[Candidate, ...]:
    """Give every candidate its similarity score, 1 - distance, and correct its box.

    The patches are as large as the lesion needs, so that borders are compared at one scale
    whatever the lesion's size. The correction goes beyond the paper.

    `network` is a `SimilarityNetwork` with its weights; the other parameters are those of
    `local_search.search`, whose candidates these are.

    Returns
    -------
    tuple of Candidate
        In the order given.
    """
    longest = max(box.width * prior.spacing[0], box.height * prior.spacing[1])
    side_mm, side_px = refinement_side(longest, settings), settings.refinement_px
    template = prior.network_input(
        PatchFrame.around(box.center, prior.spacing, side_mm, side_px), box
    )
    registered = alignment.map_points(np.array(box.center))[0]
    frames, patches = [], []
    for candidate in candidates:
        center = candidate.box.center if settings.refine_around_candidate else registered
        frame = PatchFrame.around(center, current.spacing, side_mm, side_px, alignment.matrix)
        frames.append(frame)
        patches.append(current.network_input(frame, candidate.box))
    # One shape for every lesion, so that the network is compiled once.
    patches += patches[-1:] * (settings.max_candidates - len(patches))
    logits, corrections = network((template[None], np.array(patches, np.float32)))
    similarity = 1 / (1 + np.exp(np.asarray(logits, np.float64)))
    corrections = np.asarray(corrections, np.float64)
    refined = []
    for k, (candidate, frame) in enumerate(zip(candidates, frames, strict=True)):
        box = candidate.box
        if settings.correct_boxes:
            box = frame.box_to_image(corrected(frame.box_to_patch(box), corrections[k]))
        refined.append(
            replace(
                candidate,
                box=box,
                similarity_score=float(similarity[k]),
                local_box=candidate.box,
            )
        )
    return tuple(refined)

"""Score refinement: the similarity network scores the candidates (paper, section 3.3)."""

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


def refine(
    network: Callable,
    prior: Layers,
    current: Layers,
    box: Box,
    candidates: tuple[Candidate, ...],
    alignment: Alignment,
    settings: Settings,
) -> tuple[Candidate, ...]:
    """Give every candidate its similarity score, 1 - distance.

    `network` is a `SimilarityNetwork` with its weights; the other parameters are those of
    `local_search.search`, whose candidates these are.

    Returns
    -------
    tuple of Candidate
        In the order given.
    """
    side_mm, side_px = settings.refinement_mm, settings.refinement_px
    template = prior.network_input(
        PatchFrame.around(box.center, prior.spacing, side_mm, side_px), box
    )
    registered = alignment.map_points(np.array(box.center))[0]
    patches = []
    for candidate in candidates:
        center = candidate.box.center if settings.refine_around_candidate else registered
        frame = PatchFrame.around(center, current.spacing, side_mm, side_px, alignment.matrix)
        patches.append(current.network_input(frame, candidate.box))
    # One shape for every lesion, so that the network is compiled once.
    patches += patches[-1:] * (settings.max_candidates - len(patches))
    logits = network((template[None], np.array(patches, np.float32)))
    similarity = 1 / (1 + np.exp(np.asarray(logits, np.float64)))
    return tuple(
        replace(candidate, similarity_score=float(score))
        for candidate, score in zip(candidates, similarity, strict=False)
    )

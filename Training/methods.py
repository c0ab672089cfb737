"""The methods that the paper's tables compare, and how each tracks the lesions of a manifest."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import SimpleITK as sitk
from rich.console import Console
from rich.progress import track as progress

from MammoTrackerLib import Box, LesionTracker, Mammogram, MammoTrackerError, Track
from MammoTrackerLib.command.scores import Lesion, lesion_of
from MammoTrackerLib.command.tables.cells import is_present
from MammoTrackerLib.command.tables.columns import FAILED
from MammoTrackerLib.global_search import Alignment, align

from .manifest import Row, box_of, pairs_of, read_exam, read_manifest

AFFINE = "affine"
SPLINE = "affine + spline"
SIAMFC = "SiamFC++ style"
TRACKING = "mask-guided tracking"
FULL = "MammoTracker"
PAPER_RANKING = "tracking x similarity"


def affine_box(alignment: Alignment, box: Box) -> Box:
    """Map a box by the affine part of an alignment alone."""
    affine = sitk.AffineTransform(2)
    affine.SetMatrix(alignment.matrix.ravel().tolist())
    affine.SetTranslation(alignment.offset.tolist())
    return replace(alignment, transform=affine).map_box(box)


def local_search_box(track: Track) -> Box:
    """Return what the local search alone answers: the box of the best tracking score."""
    if not track.candidates:
        return track.registration_box
    best = max(track.candidates, key=lambda candidate: candidate.tracking_score)
    return best.box if best.local_box is None else best.local_box


def paper_box(track: Track) -> Box:
    """Return the box of the best tracking x similarity score (paper, section 3.3)."""
    if not track.candidates:
        return track.registration_box
    return max(track.candidates, key=lambda candidate: candidate.score).box


def track_pair(
    trackers: dict[str, LesionTracker], prior: Mammogram, current: Mammogram, boxes: Sequence[Box]
) -> list[tuple[Track, dict[str, Box]]]:
    """Track a pair's lesions by every method.

    Parameters
    ----------
    trackers
        `FULL` is the one to judge; others, of other weights, give their local search's box.
    prior, current, boxes
        As for `LesionTracker.track`.

    Returns
    -------
    list
        For each box the track of `FULL`, and the box of every method.
    """
    alignment = align(prior, current)
    tracks = {
        name: tracker.track(prior, current, boxes, alignment, force=True)
        for name, tracker in trackers.items()
    }
    result = []
    for number, (box, track) in enumerate(zip(boxes, tracks[FULL], strict=True)):
        answers = {
            AFFINE: affine_box(alignment, box),
            SPLINE: track.registration_box,
            TRACKING: local_search_box(track),
            PAPER_RANKING: paper_box(track),
            FULL: track.box,
        }
        answers |= {
            name: local_search_box(others[number])
            for name, others in tracks.items()
            if name != FULL
        }
        result.append((track, answers))
    return result


def wrong_currents(pairs: Sequence[list[Row]]) -> Iterator[list[Row]]:
    """Yield, for each pair, the next one of another patient.

    Raises
    ------
    MammoTrackerError
        If there is no other, or a patient is not known.
    """
    whose = [pair[0].get("patient") for pair in pairs]
    if not all(whose):
        raise MammoTrackerError(
            "Wrong pairs need the column patient, since two pairs may be of one woman: fill it."
        )
    for number in range(len(pairs)):
        others = chain(range(number + 1, len(pairs)), range(number))
        other = next((k for k in others if whose[k] != whose[number]), None)
        if other is None:
            raise MammoTrackerError("Wrong pairs need at least two patients.")
        yield pairs[other]


def track_all(
    manifest: Path, trackers: dict[str, LesionTracker], wrong_pairs: bool = False
) -> list[tuple[Row, Lesion]]:
    """Track every row of a manifest; only one pair's images are in memory.

    Parameters
    ----------
    manifest
        As for `mammotracker batch`, with true boxes.
    trackers
        As for `track_pair`.
    wrong_pairs
        Give every prior the current of another patient, where nothing can be found.

    Returns
    -------
    list
        Each row with its lesion. A pair that cannot be read or aligned is said so, and its
        lesions have failed.
    """
    pairs = pairs_of(read_manifest(manifest, needs_truth=not wrong_pairs))
    currents = wrong_currents(pairs) if wrong_pairs else pairs
    methods = (AFFINE, SPLINE, *trackers, TRACKING, PAPER_RANKING)
    result = []
    if wrong_pairs:  # what a reader decided is of the true one
        pairs = [[row | {"decision": ""} for row in rows] for rows in pairs]
    steps = progress(
        list(zip(pairs, currents, strict=True)), "Tracking", console=Console(stderr=True)
    )
    for rows, other in steps:
        there = [not wrong_pairs and is_present(row) for row in rows]
        truths = [box_of(row, "current") if is_there else None
                  for row, is_there in zip(rows, there, strict=True)]  # fmt: skip
        spacing = (1.0, 1.0)
        try:
            prior = read_exam(manifest.parent, rows[0], "prior")
            current = read_exam(manifest.parent, other[0], "current")
            spacing = current.spacing
            boxes = [box_of(row, "prior") for row in rows]
            tracked = [
                (track.status.value, answers, track.score)
                for track, answers in track_pair(trackers, prior, current, boxes)
            ]
        except MammoTrackerError as error:
            print(f"Pair {rows[0]['pair_id']} failed: {error}", file=sys.stderr)
            tracked = [(FAILED, dict.fromkeys(methods), math.nan)] * len(rows)
        for row, truth, (status, answers, chance) in zip(rows, truths, tracked, strict=True):
            result.append((row, lesion_of(row, truth, spacing, status, answers, chance)))
    return result

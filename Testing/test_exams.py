"""Exams are read once, each pair is aligned once, and little of them is kept."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from MammoTrackerLib import LesionTracker, MammoTrackerError, exams
from MammoTrackerLib.command.simulate import FILM_LESION
from MammoTrackerLib.exams import Exam, Exams
from MammoTrackerLib.global_search import align


def test_a_pair_is_aligned_and_a_lesion_tracked_once_as_from_the_images(
    prior, follow_up, monkeypatch
):
    tracker, aligned = LesionTracker(), []
    real = exams.align_reduced
    monkeypatch.setattr(
        exams, "align_reduced", lambda *images: aligned.append(images) or real(*images)
    )
    both = Exams(tracker, [prior, lambda: follow_up.mammogram])
    (track,) = both.track(0, 1, [FILM_LESION])
    assert both.track(0, 1, [FILM_LESION])[0] is track
    assert len(aligned) == 1
    (direct,) = tracker.track(prior, follow_up.mammogram, [FILM_LESION])
    assert track == direct
    expected = align(prior, follow_up.mammogram)
    np.testing.assert_array_equal(both.alignment(0, 1).matrix, expected.matrix)
    back = both.alignment(1, 0)
    assert back is both.alignment(1, 0) and back is not both.alignment(0, 1)


def test_of_thirty_exams_a_few_megabytes_each_are_kept(prior):
    """Thirty of 3328 x 4096 pixels of 0.07 mm stay far under 1 GB."""
    tracker = LesionTracker()
    pixels = np.random.default_rng(0).random((4096, 3328), np.float32)
    image = replace(prior, pixels=pixels, spacing=(0.07, 0.07))
    tracemalloc.start()
    kept = Exam.of(image, tracker)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept.size == (3328, 4096) and kept.spacing == image.spacing
    assert kept.header.view == "MLO"
    assert size < 12e6


@pytest.mark.parametrize("count", [0, 1, 31])
def test_two_to_thirty_exams_are_taken(prior, count):
    with pytest.raises(MammoTrackerError, match="2 to 30"):
        Exams(LesionTracker(), [prior] * count)

"""The answer about a lesion."""

from __future__ import annotations

import json

import numpy as np

from MammoTrackerLib import Box, Candidate, Status, Track
from MammoTrackerLib.command.simulate import FILM_LESION


def test_a_track_survives_json():
    candidates = (
        Candidate(Box(np.float32(0.1), 2, 3.7, 1e3), np.float32(0.3), 1 / 3),
        Candidate(Box(5, 6, 7, 8), 0.1),
    )
    for status in Status:
        track = Track(
            FILM_LESION, candidates[0].box, 0.1, status, "Why.", candidates, Box(1, 2, 3, 4)
        )
        assert Track.from_dict(json.loads(json.dumps(track.as_dict()))) == track

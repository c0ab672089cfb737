"""The answer about a lesion."""

from __future__ import annotations

import json

import numpy as np

from MammoTrackerLib import Box, Candidate, Status, Track
from MammoTrackerLib.command.simulate import FILM_LESION
from MammoTrackerLib.track import as_decimals, as_percent


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


def test_no_estimate_is_shown_as_certain():
    chances = (0.9999, 0.991, 0.99, 0.62, 0.01, 0.004)
    assert [as_percent(c) for c in chances] == [">99 %", ">99 %", "99 %", "62 %", "1 %", "<1 %"]
    assert [as_decimals(c) for c in chances] == ["0.99", "0.99", "0.99", "0.62", "0.01", "0.01"]
    # What the user decided is, and where nothing was looked for there is no estimate.
    assert as_percent(1.0) == "100 %" and as_decimals(0.0) == "0.00"


def test_a_probability_is_not_rounded_up_to_a_threshold():
    assert (as_percent(0.7999), as_decimals(0.7999)) == ("79 %", "0.79")
    assert (as_percent(0.29), as_decimals(0.8)) == ("29 %", "0.80")

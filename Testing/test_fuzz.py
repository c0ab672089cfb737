"""Damaged files: nothing but MammoTrackerError comes of them."""

from __future__ import annotations

import fuzz


def test_damaged_files():
    outcomes, problems = fuzz.run(300)
    assert problems == []
    assert outcomes["read"] + outcomes["refused"] == 300
    assert min(outcomes["read"], outcomes["refused"]) > 30

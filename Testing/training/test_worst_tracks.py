"""The worst tracks are drawn, where they are, and first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_test_set import SPACING, TRUTH, moved, run_evaluate
from PIL import Image, ImageColor

from MammoTrackerLib.command.scores import Lesion
from Training import worst_tracks
from Training.manifest import read_manifest
from Training.methods import FULL, SPLINE


def count(image: np.ndarray, color: str) -> int:
    return int((image == ImageColor.getrgb(color)).all(-1).sum())


def test_worst_tracks_are_drawn(test_set: Path, tmp_path: Path) -> None:
    folder = tmp_path / "worst"
    folder.mkdir()
    (folder / "worst-09.png").write_bytes(b"of another run")
    (folder / "mine.txt").write_text("mine")
    output = run_evaluate(test_set, "--weights", tmp_path / "30", "--worst", folder)
    assert "The 4 worst tracks are drawn" in output
    assert sorted(path.name for path in folder.iterdir()) == [
        "mine.txt",
        *(f"worst-{n:02d}.png" for n in range(1, 5)),
    ]
    with Image.open(folder / "worst-01.png") as file:
        image = np.array(file.convert("RGB"))
    panels = image[30:530, :500], image[30:530, 520:]
    # 20 pixels of 0.4 mm in a field of 40 mm on 500 pixels: sides of 100 pixels, 2 wide.
    green, yellow = worst_tracks.COLORS["true"], worst_tracks.COLORS["tracker"]
    assert count(panels[0], green) == pytest.approx(800, rel=0.05)
    assert count(panels[0], yellow) == 0
    places = {}
    for name, color in worst_tracks.COLORS.items():
        places[name] = np.flatnonzero((panels[1] == ImageColor.getrgb(color)).all(-1).any(0))
        assert len(places[name]) > 50, name
    # The answer is 30 pixels, 12 mm, too far to the right.
    assert places["tracker"].max() - places["true"].max() == pytest.approx(150, abs=3)


def test_worst_come_first(test_set: Path, tmp_path: Path) -> None:
    def lesion(off: float) -> Lesion:
        boxes = {FULL: moved(TRUTH, off), SPLINE: TRUTH}
        return Lesion("mass", "0", "", TRUTH, (SPACING, SPACING), "found", boxes)

    row = read_manifest(test_set)[0]
    gone = replace(lesion(90), truth=None)
    tracked = [(row, lesion(off)) for off in (1, 60, *range(2, 12))] + [(row, gone)]
    drawn = []
    original = worst_tracks.draw_track
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worst_tracks, "draw_track", lambda *a: drawn.append(a[4]) or original(*a))
        assert worst_tracks.draw_worst(test_set, tracked, tmp_path / "worst") == 10
    assert drawn[0] == "1. row 2: mass, found, 24.0 mm off, IoU 0.00"
    assert drawn[1].startswith("2. row 12: mass, found, 4.4 mm off")
    assert len(drawn) == 10

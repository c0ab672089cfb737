"""A manifest of small made-up breasts, and a tracker to evaluate on it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from command_line import write_table
from scipy import ndimage

from MammoTrackerLib import Box, Mammogram, Status, Track
from MammoTrackerLib.settings import Settings
from MammoTrackerLib.track import Candidate
from Training import evaluate

SPACING = 0.4
LESION = Box(85, 150, 105, 170)
SHIFT = (6.0, 10.0)
TRUTH = Box(91, 160, 111, 180)
CORNERS = ("x0", "y0", "x1", "y1")


def breast(seed: int, shift: Sequence[float] = (0, 0)) -> np.ndarray:
    """Draw a breast at the left edge with a lesion, moved by (x, y) pixels: (350, 250) uint16."""
    y, x = np.mgrid[:350, :250].astype(float)
    x, y = x - shift[0], y - shift[1]
    texture = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(450, 350)), 6)
    texture = ndimage.map_coordinates(texture / texture.std(), [y + 50, x + 50], order=1)
    inside = (x / 190) ** 2 + ((y - 165) / 145) ** 2 < 1
    blob = np.exp(-((x - 94.5) ** 2 + (y - 159.5) ** 2) / (2 * 5**2))
    return np.where(inside, 8000 + 1200 * texture + 5000 * blob, 0).astype(np.uint16)


def pair_of(mirrored: bool = False) -> tuple[Mammogram, Mammogram]:
    current = breast(0, SHIFT)
    return (
        Mammogram(breast(0).astype(float), SPACING),
        Mammogram((current[:, ::-1] if mirrored else current).astype(float), SPACING),
    )


def write_manifest(folder: Path, rows: list[dict]) -> Path:
    return write_table(folder / "manifest.csv", rows)


def manifest_row(pair: int, lesion: int, kind: str, patient: str, present: str = "") -> dict:
    row = {
        "pair_id": pair,
        "lesion_id": lesion,
        "prior": f"{pair}_prior.png",
        "current": f"{pair}_current.png",
        "prior_spacing_mm": SPACING,
        "current_spacing_mm": SPACING,
        "lesion_type": kind,
        "patient": patient,
        "present": present,
    }
    truth = ("",) * 4 if present == "0" else TRUTH.as_tuple()
    row |= {f"prior_{name}": value for name, value in zip(CORNERS, LESION.as_tuple(), strict=True)}
    return row | {f"current_{name}": value for name, value in zip(CORNERS, truth, strict=True)}


def write_test_set(folder: Path) -> Path:
    """Four pairs of three patients; two lesions on the first; the last lesion is gone."""
    for pair in range(4):
        for name, shift in (("prior", (0, 0)), ("current", SHIFT)):
            image = sitk.GetImageFromArray(breast(pair, shift))
            sitk.WriteImage(image, str(folder / f"{pair}_{name}.png"))
    return write_manifest(
        folder,
        [
            manifest_row(0, 0, "mass", "A"),
            manifest_row(0, 1, "calcification", "A"),
            manifest_row(1, 0, "mass", "A"),
            manifest_row(2, 0, "mass", "B", "1"),
            manifest_row(3, 0, "mass", "C", "0"),
        ],
    )


def moved(box: Box, x: float) -> Box:
    return Box(box.x0 + x, box.y0, box.x1 + x, box.y1)


class StandIn:
    """A tracker that answers what its weights' name says: the place in pixels off to the right.

    Its local search is 10 pixels farther off, and the similarity prefers a place 5 farther off.
    """

    def __init__(self, weights: Path | None = None) -> None:
        self.off = float(weights.name) if weights else 0.0
        self.settings = Settings(template_input="masked", centreness=self.off != 20)

    def track(self, prior, current, boxes, alignment, force) -> list[Track]:  # noqa: ANN001
        assert force
        candidates = tuple(
            Candidate(moved(TRUTH, self.off + off), score, similarity)
            for off, score, similarity in ((0, 0.5, 0.5), (10, 0.9, 0.1), (5, 0.6, 0.9))
        )
        return [
            Track(box, candidates[0].box, 0.5, Status.FOUND, "", candidates, alignment.map_box(box))
            for box in boxes
        ]


def run_evaluate(manifest: Path, *arguments: object) -> str:
    """Run the program with the stand-in; returns what it prints."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as screen:
        patch.setattr(evaluate, "LesionTracker", StandIn)
        patch.setattr(sys, "argv", ["evaluate", str(manifest), *map(str, arguments)])
        evaluate.main()
    return screen.getvalue()

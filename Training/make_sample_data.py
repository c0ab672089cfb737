"""Make the sample data that ship with the Slicer module from a film and its simulated follow-up.

``python -m Training.make_sample_data``
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from MammoTrackerLib.command.outputs import Geometry, track_as_markup
from MammoTrackerLib.command.simulate import (
    FILM_LESION,
    FILM_SPACING,
    read_film,
    simulate_follow_up,
)
from MammoTrackerLib.mammogram import Mammogram
from MammoTrackerLib.patches import block_mean
from MammoTrackerLib.track import Status, Track

FOLDER = Path(__file__).parents[1] / "MammoTracker" / "Resources" / "SampleData"
FACTOR = 3
SPACING_MM = FACTOR * FILM_SPACING[0]


def main() -> None:
    """Write both images at 0.15 mm with 8 bit, the lesion's ROI, and its true box."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    film = read_film()
    follow_up = simulate_follow_up(film, [FILM_LESION])
    for name, mammogram in (("Prior", film), ("Current", follow_up.mammogram)):
        pixels = block_mean(mammogram.pixels, FACTOR, FACTOR)
        low, high = np.percentile(pixels, [0.1, 99.9])
        grey = np.round(np.clip((pixels - low) / (high - low), 0, 1) * 255).astype(np.uint8)
        image = sitk.GetImageFromArray(grey[None])
        image.SetSpacing((SPACING_MM, SPACING_MM, 1.0))
        sitk.WriteImage(image, str(FOLDER / f"MammoTracker{name}.nrrd"), useCompression=True)
        if name == "Prior":
            prior = Mammogram(grey, SPACING_MM)
    box = FILM_LESION.scaled(1 / FACTOR, 1 / FACTOR)
    truth = follow_up.boxes[0].scaled(1 / FACTOR, 1 / FACTOR)
    geometry = Geometry.of(FOLDER / "MammoTrackerPrior.nrrd", prior)
    marked = Track(box, box, 1.0, Status.FOUND, "", (), box)
    markup = track_as_markup(1, marked, geometry)
    roi = markup["markups"][0]
    for item in (roi, *roi["controlPoints"]):
        item["description"] = "Box drawn by hand around a mass"
    (FOLDER / "MammoTrackerLesion.mrk.json").write_text(json.dumps(markup, indent=2) + "\n")
    boxes = {"prior_box": box.as_tuple(), "current_box": truth.as_tuple()}
    rounded = {name: [round(value, 3) for value in values] for name, values in boxes.items()}
    (FOLDER / "truth.json").write_text(json.dumps(rounded, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Write held-out synthetic pairs and their manifest, for ``mammotracker batch``.

``python -m Training.make_pairs --msynth FOLDER --folder FOLDER --spacing 0.07 --out DIR``
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import cv2
import numpy as np

from .sources import SPACING_MM, read_films, read_folder, read_msynth
from .synthesis import make_pair
from .train_tracking import held_out

COLUMNS = (
    "pair_id lesion_id prior current prior_spacing_mm current_spacing_mm lesion_type "
    "prior_x0 prior_y0 prior_x1 prior_y1 current_x0 current_y0 current_x1 current_y1"
).split()


def main() -> None:
    """Write PNG images of 16 bit at 0.2 mm, and ``manifest.csv``."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--msynth", type=Path, help="M-SYNTH folder; its held-out models are used")
    parser.add_argument("--folder", type=Path, help="images of women never trained on")
    parser.add_argument("--spacing", type=float, default=0.07, help="of --folder, in mm")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    sources = read_folder(arguments.folder, arguments.spacing) if arguments.folder else []
    if arguments.msynth:
        sources += [s for s in read_msynth(arguments.msynth) if held_out(s)]
    if not sources:
        parser.error("give --folder or --msynth")
    arguments.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(arguments.seed)
    films = read_films()
    with (arguments.out / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(arguments.pairs):
            pair = make_pair(rng, sources[number % len(sources)], films + sources)
            names = [f"{number:03d}_{exam}.png" for exam in ("prior", "current")]
            for name, image in zip(names, (pair.prior, pair.current), strict=True):
                scaled = np.clip((image + 0.1) / 1.4, 0, 1) * (image != 0) * 65535
                cv2.imwrite(str(arguments.out / name), scaled.astype(np.uint16))
            lesions = zip(pair.prior_boxes, pair.current_boxes, pair.kinds, strict=True)
            for lesion, (prior, current, kind) in enumerate(lesions):
                values = [f"{v:.2f}" for v in prior.as_tuple() + current.as_tuple()]
                writer.writerow([number, lesion, *names, SPACING_MM, SPACING_MM, kind, *values])


if __name__ == "__main__":
    main()

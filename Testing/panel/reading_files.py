"""Manifests and results of a reading list that tests open: the sample pair under several names."""

from __future__ import annotations

import csv
from pathlib import Path

from sample_pair import SAMPLE, SPACING_MM, TRUTH, box_in

from MammoTrackerLib import Box
from MammoTrackerLib.command.readers.reviewed import REVIEWED_COLUMNS
from MammoTrackerLib.command.tables.columns import BOX_COLUMNS, MANIFEST_COLUMNS, PAIRS
from MammoTrackerLib.command.tables.rows import read_rows

PRIOR_BOX = box_in(SAMPLE / "MammoTrackerLesion.mrk.json")
OTHER = Box(150, 600, 220, 680)
"""A second place for a lesion."""
CASES = {
    "one": [("mass", "found", 0.95), ("calcs", "uncertain", 0.6)],
    "two": [("mass", "not found", 0.02)],
    "three": [("mass", "found", 0.9)],
}
"""Lesions by case, with status and probability: worst first are two, one, three."""


def write_pairs(folder: Path, cases: dict = CASES, **images: str) -> tuple[Path, Path]:
    """Write a manifest and its results; returns their paths.

    Lesions without a status were not tracked. `images` are files that take the place of a case's
    current mammogram.
    """
    rows, results = [], []
    for case, lesions in cases.items():
        for number, (lesion, status, score) in enumerate(lesions):
            box = PRIOR_BOX.as_tuple()
            if number:
                box = Box.from_center(*(200 + 30 * number, 700), 40, 40).as_tuple()
            row = {
                "pair_id": case, "lesion_id": lesion,
                "prior": SAMPLE / "MammoTrackerPrior.nrrd",
                "current": images.get(case, SAMPLE / "MammoTrackerCurrent.nrrd"),
                "prior_spacing_mm": SPACING_MM, "current_spacing_mm": SPACING_MM,
                "lesion_type": "mass" if lesion == "mass" else "calcification",
            }  # fmt: skip
            rows.append(row | dict(zip(MANIFEST_COLUMNS[-4:], box, strict=True)))
            if status:
                places = f"{_cell(TRUTH)} 0.5; {_cell(OTHER)} 0.25"
                results.append(
                    {
                        "pair_id": case,
                        "lesion_id": lesion,
                        "status": status,
                        "score": f"{score:.4f}",
                        "message": "It was looked for.",
                        "candidates": places,
                        **dict(zip(BOX_COLUMNS, _texts(TRUTH), strict=True)),
                    }  # fmt: skip
                )
    return (
        write(folder / "manifest.csv", MANIFEST_COLUMNS, rows),
        write(folder / "results.csv", PAIRS.results, results),
    )


def write(path: Path, columns, rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def _texts(box: Box) -> list[str]:
    return [f"{value:.3f}" for value in box.as_tuple()]


def _cell(box: Box) -> str:
    return " ".join(_texts(box))


def decided(path: Path) -> dict[tuple[str, str], str]:
    """Return the decisions in a reviewed table, by case and lesion."""
    if not path.exists():
        return {}
    rows = read_rows(path, REVIEWED_COLUMNS)
    return {(row["pair_id"], row["lesion_id"]): row["decision"] for row in rows}


def row_of(path: Path, case: str, lesion: str = "mass") -> dict[str, str]:
    """Return a row of a reviewed table."""
    rows = read_rows(path, REVIEWED_COLUMNS)
    return next(r for r in rows if (r["pair_id"], r["lesion_id"]) == (case, lesion))

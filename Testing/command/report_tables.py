"""Rows of a manifest and made-up results of them, for the tests of the report."""

from __future__ import annotations

from command_line import SPACING, Pair

from MammoTrackerLib import Box
from MammoTrackerLib.command.tables.columns import MANIFEST_COLUMNS, RESULT_COLUMNS

CORNERS = ("x0", "y0", "x1", "y1")
SHOWN = {
    "found": (True, True),
    "uncertain": (True, True),
    "not found": (False, True),
    "kept from registration": (False, True),
    "failed": (False, False),
}
"""Of each status, whether the answer and registration's box are shown."""


def row_of(pair: Pair, name: str, lesion: str, lesion_type: str = "mass") -> dict:
    """Return a manifest's row on a pair's PNG files."""
    row = dict.fromkeys(MANIFEST_COLUMNS, "")
    row |= {"pair_id": name, "lesion_id": lesion, "lesion_type": lesion_type}
    row |= {"prior": str(pair.prior), "current": str(pair.current)}
    row |= {"prior_spacing_mm": SPACING, "current_spacing_mm": SPACING}
    return row | {f"prior_{n}": v for n, v in zip(CORNERS, pair.box.as_tuple(), strict=True)}


def result_of(
    row: dict, box: Box, score: float, status: str = "found", moved: float = 5.0, message: str = ""
) -> dict:
    """Return the row's result; `moved` is how far registration is off in x, in pixels."""
    result = dict.fromkeys(RESULT_COLUMNS, "")
    result |= {"pair_id": row["pair_id"], "lesion_id": row["lesion_id"], "status": status}
    result |= {"message": message or f"It is {status}.", "seconds": "0.1", "fingerprint": "f"}
    if status == "failed":
        return result
    values = box.as_tuple()
    result |= {"score": score} | dict(zip(CORNERS, values, strict=True))
    there = (values[0] + moved, values[1], values[2] + moved, values[3])
    return result | {f"registration_{n}": v for n, v in zip(CORNERS, there, strict=True)}

"""The columns of the tables of `batch`, and what names a row in them."""

from __future__ import annotations

from dataclasses import dataclass

from ...track import Status

ID_COLUMNS = ("pair_id", "lesion_id")
IMAGE_COLUMNS = ("prior", "current", "prior_spacing_mm", "current_spacing_mm")
"""Rows that are alike in them are of one pair of images."""
BOX_COLUMNS = ("x0", "y0", "x1", "y1")
PRIOR_BOX_COLUMNS = tuple(f"prior_{name}" for name in BOX_COLUMNS)
MANIFEST_COLUMNS = (*ID_COLUMNS, *IMAGE_COLUMNS, "lesion_type", *PRIOR_BOX_COLUMNS)
TRUTH_COLUMNS = tuple(f"current_{name}" for name in BOX_COLUMNS)
REGISTRATION_COLUMNS = tuple(f"registration_{name}" for name in BOX_COLUMNS)
ANSWER_COLUMNS = (
    *ID_COLUMNS,
    "status",
    *BOX_COLUMNS,
    "score",
    *REGISTRATION_COLUMNS,
    "seconds",
    "message",
)
RESULT_COLUMNS = (*ANSWER_COLUMNS, "candidates", "fingerprint")
HISTORY_COLUMNS = (
    *("years", "status", "score", "there", "by_user", "reached_from", *BOX_COLUMNS),
    *("longest_mm", "error_mm", "area_mm2"),
    *("change_mm", "change_percent", "change_percent_low", "change_percent_high"),
    *("change_verdict", "total_mm", "total_percent", "total_percent_low", "total_percent_high"),
    *("total_verdict", "percent_per_year", "doubling_days", "message"),
)
"""Of a lesion on an exam. A change is that from the exam before on which the lesion was found; the
total, the growth per year and the doubling time are from the first exam to the last."""
FAILED = "failed"
STATUSES = (*(status.value for status in Status), FAILED)


@dataclass(frozen=True)
class Layout:
    """The columns of a manifest and of its results, and those that name a row in both."""

    manifest: tuple[str, ...]
    results: tuple[str, ...]
    ids: tuple[str, ...]


PAIRS = Layout(MANIFEST_COLUMNS, RESULT_COLUMNS, ID_COLUMNS)
_SERIES_IDS = ("exam_group", "lesion_id", "exam")
SERIES = Layout(
    (*_SERIES_IDS, "spacing_mm", "date", "lesion_type", *BOX_COLUMNS),
    (
        *(*_SERIES_IDS, "number", *HISTORY_COLUMNS[:-1]),
        *("seconds", "message", "candidates", "fingerprint"),
    ),
    _SERIES_IDS,
)

"""The reviewed table: what a reader said of each lesion, in a manifest of pairs with true boxes."""

from __future__ import annotations

from .tables import MANIFEST_COLUMNS, TRUTH_COLUMNS

ACCEPTED, CORRECTED, REJECTED = "accepted", "corrected", "rejected"
NOT_THERE, CANNOT_TELL = "not there", "cannot tell"
DECISIONS = (ACCEPTED, CORRECTED, REJECTED, NOT_THERE, CANNOT_TELL)
"""Accepted and corrected have a true box, not there has none and present 0; the others have no
truth, as the reader did not say where the lesion is."""
REVIEWED_COLUMNS = (
    *MANIFEST_COLUMNS,
    *TRUTH_COLUMNS,
    "patient",
    "present",
    "status",
    "score",
    *("decision", "reader", "reviewed_at", "comment"),
)
"""A row is a lesion that was decided, in the manifest's order. Of a series, the prior is the exam
on which the lesion is marked, and there is a row for each other exam. Status and score are the
tracker's."""

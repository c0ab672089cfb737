"""Which images of an archive can be tracked: one an exam, of each breast and view of a patient."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from ...exams import MOST_EXAMS

REPORT = "structured report"
DUPLICATE = "the same image again (SOPInstanceUID)"
_TABLES = """
CREATE TEMP TABLE image (
    id INTEGER PRIMARY KEY, path, reason, patient, uid, sources, side, view, date, time, special,
    for_processing, is_synthetic, columns, rows, spacing_x, spacing_y, orientation,
    marked DEFAULT 0
);
INSERT INTO image
    SELECT NULL, path, reason, patient, uid, sources, side, view, date, time, special,
        for_processing, is_synthetic, columns, rows, spacing_x, spacing_y, orientation, 0
    FROM file WHERE NOT is_report ORDER BY path;
CREATE INDEX image_uid ON image (uid);
CREATE TEMP TABLE name (name, id);
"""
_REASONS = {
    DUPLICATE: "uid IS NOT NULL AND EXISTS (SELECT 1 FROM image AS other WHERE "
    "other.uid = image.uid AND other.reason IS NULL AND other.id < image.id)",
    "no PatientID": "patient IS NULL",
    "unknown side": "side IS NULL",
    "unknown view": "view IS NULL",
    "unknown date": "date IS NULL",
    "unknown size or pixel spacing": "columns IS NULL OR rows IS NULL OR spacing_x IS NULL",
}
_GROUP = "PARTITION BY patient, side, view"
_BEST = "marked DESC, for_processing, is_synthetic, time DESC, path DESC"
_NEW_EXAMS = """
INSERT INTO exam
    SELECT patient, side, view, date,
        (SELECT coalesce(MAX(known.number), 0) FROM exam AS known
            WHERE (known.patient, known.side, known.view) = (image.patient, image.side, image.view))
        + ROW_NUMBER() OVER (PARTITION BY patient, side, view ORDER BY date)
    FROM image WHERE reason IS NULL AND NOT EXISTS (SELECT 1 FROM exam AS known
        WHERE (known.patient, known.side, known.view, known.date)
        = (image.patient, image.side, image.view, image.date))
"""
_CHOSEN = (
    "id NOT IN (SELECT id FROM (SELECT id, ROW_NUMBER() OVER ("
    f"{_GROUP}, date ORDER BY {_BEST}) AS place FROM image WHERE reason IS NULL) WHERE place = 1)"
)


class Image(NamedTuple):
    """An image that can be tracked.

    Attributes
    ----------
    id
        Its number, for `marks`.
    patient
        The patient's running number, from 1.
    side, view, date
        L or R, CC, MLO, ...; the date as YYYY-MM-DD.
    path
        Below the archive's folder.
    size, spacing
        (columns, rows), and (x, y) in mm.
    exam
        The exam's number in its breast and view, from 1, in the order of the dates but for exams
        that came later.
    """

    id: int
    patient: int
    side: str
    view: str
    date: str
    path: str
    size: tuple[int, int]
    spacing: tuple[float, float]
    exam: int


def gather_images(database: sqlite3.Connection) -> None:
    """Make the table ``image`` of all that is no report, and ``name``: by what marks refer to it.

    That is its SOP Instance UID, or its path without one, and those of the images with the same
    pixels that it was made from.
    """
    for statement in _TABLES.split(";"):
        database.execute(statement)
    _leave_out(database, {DUPLICATE: _REASONS[DUPLICATE]})
    database.execute("INSERT INTO name SELECT coalesce(uid, path), id FROM image")
    rows = database.execute("SELECT id, sources FROM image WHERE sources <> ''").fetchall()
    for number, sources in rows:
        database.executemany(
            "INSERT INTO name VALUES (?, ?)", [(uid, number) for uid in sources.split()]
        )
    database.execute("CREATE INDEX name_name ON name (name)")
    database.execute("CREATE INDEX name_id ON name (id)")


def choose_images(database: sqlite3.Connection, has_marks: bool) -> None:
    """Give every image that cannot be tracked the reason, and number the patients of the others.

    Of several images of one breast and view at one exam, which is one day, the one that is marked
    counts, then one for presentation, then one that was not computed from tomosynthesis, then the
    last, since a view is repeated where the one before was not good. The patients' numbers are
    kept; new patients get those that follow, in the order of their first files. So are those of
    exams, as pairs and what was decided of them are named after them.

    Parameters
    ----------
    database
        After `gather_images` and, if there are marks, the table ``mark`` of `marks`.
    has_marks
        Whether only breasts and views with a mark are wanted.
    """
    if has_marks:
        database.execute(
            "UPDATE image SET marked = 1 WHERE id IN "
            "(SELECT name.id FROM mark CROSS JOIN name ON name.name = mark.name)"
        )
    database.execute(
        "UPDATE image SET reason = special || ' view' WHERE reason IS NULL AND special <> ''"
    )
    _leave_out(database, _REASONS)
    database.execute("CREATE INDEX image_exam ON image (patient, side, view, date, for_processing)")
    presentation = (
        f"for_processing AND {_CHOSEN} AND EXISTS (SELECT 1 FROM image AS other "
        "WHERE other.reason IS NULL AND NOT other.for_processing AND "
        "(other.patient, other.side, other.view, other.date) = "
        "(image.patient, image.side, image.view, image.date))"
    )
    reasons = {
        "for processing, where there is one for presentation": presentation,
        "another image of that breast and view on one day": _CHOSEN,
        "one exam only of that breast and view": _of_groups("COUNT(*)", "= 1"),
        # As an anonymiser makes them that gives all women one PatientID.
        f"more than {MOST_EXAMS} exams of one PatientID's breast and view": _of_groups(
            "COUNT(*)", f"> {MOST_EXAMS}"
        ),
    }
    if has_marks:
        reasons["no box in that breast and view"] = _of_groups("MAX(marked)", "= 0")
    _leave_out(database, reasons)
    database.execute(
        "INSERT OR IGNORE INTO patient (digest) SELECT patient FROM image WHERE reason IS NULL "
        "GROUP BY patient HAVING patient NOT IN (SELECT digest FROM patient) ORDER BY MIN(id)"
    )
    database.execute(_NEW_EXAMS)


def _leave_out(database: sqlite3.Connection, reasons: dict[str, str]) -> None:
    for reason, condition in reasons.items():
        database.execute(
            f"UPDATE image SET reason = ? WHERE reason IS NULL AND ({condition})", (reason,)
        )


def _of_groups(value: str, condition: str) -> str:
    return (
        f"id IN (SELECT id FROM (SELECT id, {value} OVER ({_GROUP}) AS value FROM image "
        f"WHERE reason IS NULL) WHERE value {condition})"
    )


def chosen_images(database: sqlite3.Connection) -> Iterator[Image]:
    """Yield the images that can be tracked, by patient, side, view and date."""
    for row in database.execute(
        "SELECT id, patient.number, side, view, date, path, columns, rows, spacing_x, spacing_y, "
        "exam.number FROM image JOIN patient ON image.patient = digest "
        "JOIN exam USING (patient, side, view, date) "
        "WHERE reason IS NULL ORDER BY patient.number, side, view, date"
    ):
        yield Image(*row[:6], row[6:8], row[8:10], row[10])


def reasons_of(database: sqlite3.Connection) -> Counter[str]:
    """Count the files that are no images to track, by the reason; reports are not among them."""
    counts = Counter(
        dict(
            database.execute(
                "SELECT reason, COUNT(*) FROM image WHERE reason IS NOT NULL GROUP BY reason"
            )
        )
    )
    for reason, count in database.execute(
        "SELECT reason, COUNT(*) FROM file WHERE is_report AND reason <> ? GROUP BY reason",
        (REPORT,),
    ):
        counts[reason] += count
    return counts

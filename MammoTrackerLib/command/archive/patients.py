"""Whose the running numbers of patients in a manifest are: a table for its owner's eyes."""

from __future__ import annotations

import csv
import os
from contextlib import ExitStack
from pathlib import Path

from ...output_folder import OutputFolder
from ...reading.archive import read_patient
from ..tables.cells import text_cell

PATIENT_COLUMNS = ("patient", "patient_id", "issuer")


def _lists_patients(path: Path) -> bool:
    with path.open("rb") as file:
        return file.readline(100).decode("ascii", "replace").strip() == ",".join(PATIENT_COLUMNS)


def write_patients(path: Path, folder: Path, database: object) -> None:
    """Write whose the running numbers in the manifest are; only its owner may read it."""
    has_embed = database.execute("SELECT 1 FROM temp.sqlite_master WHERE name = 'embed'").fetchone()
    empi = "(SELECT empi FROM embed WHERE embed.key = image.key)" if has_embed else "NULL"
    query = (
        f"SELECT number, MIN(path), {empi} FROM image JOIN patient ON patient = digest "
        "WHERE reason IS NULL GROUP BY number ORDER BY number"
    )
    with ExitStack() as stack:
        part = stack.enter_context(OutputFolder(path.parent, is_own=_lists_patients)) / path.name
        file = stack.enter_context(
            open(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w",
                 newline="", encoding="utf-8")
        )  # fmt: skip
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(PATIENT_COLUMNS)
        for number, image, known in database.execute(query):
            identity = (known, "") if known else read_patient(folder / image)
            writer.writerow([f"p{number:06d}", *map(text_cell, identity)])

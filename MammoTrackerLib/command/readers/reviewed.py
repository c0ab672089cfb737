"""The reviewed table: what a reader said of each lesion, in a manifest of pairs with true boxes."""

from __future__ import annotations

import csv
import datetime
import math
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from ...box import Box
from ...errors import MammoTrackerError
from ...output_folder import cannot_write
from ...temporary import lock
from ..tables.cells import box_cells, plain, read_box, text_cell
from ..tables.columns import MANIFEST_COLUMNS, TRUTH_COLUMNS
from ..tables.rows import Row, read_rows

ACCEPTED, CORRECTED, REJECTED = "accepted", "corrected", "rejected"
NOT_THERE, CANNOT_TELL = "not there", "cannot tell"
DECISIONS = (ACCEPTED, CORRECTED, REJECTED, NOT_THERE, CANNOT_TELL)
"""Accepted and corrected have a true box, not there has none and present 0; the others have no
truth, as the reader did not say where the lesion is."""
UNDECIDED = ""
"""In place of a decision, where there is only a comment so far."""
REVIEWED_COLUMNS = (
    *MANIFEST_COLUMNS,
    *TRUTH_COLUMNS,
    "patient",
    "present",
    "status",
    "score",
    *("decision", "reader", "reviewed_at", "comment"),
)
"""A row is a lesion that was decided, or that has only a comment so far (decision, present, box and
reviewed_at are then empty), in the manifest's order. Of a series, the prior is the exam on which
the lesion is marked, and there is a row for each other exam. Status and score are the tracker's."""

_WITH_BOX = (ACCEPTED, CORRECTED)
_PRESENT = {ACCEPTED: "1", CORRECTED: "1", NOT_THERE: "0"}
_LONGEST_NAME = 60


def table_of(results: Path, reader: str) -> Path:
    """Return the reviewed table of a reader, beside the results.

    Raises
    ------
    MammoTrackerError
        If the reader's name cannot be part of a file's name.
    """
    if any(not (c.isalnum() or c in " -_.") for c in reader) or len(reader) > _LONGEST_NAME:
        raise MammoTrackerError(
            "The reader's name becomes part of a file's name: give up to "
            f"{_LONGEST_NAME} letters, digits, spaces, points, - or _, or leave it empty."
        )
    return results.with_name(f"reviewed-{reader}.csv" if reader else "reviewed.csv")


def key_of(row: Mapping[str, str]) -> tuple[str, str]:
    """Return what tells a row of a reviewed table, or of a manifest of pairs, from others."""
    return text_cell(row["pair_id"]), text_cell(row["lesion_id"])


class ReviewedTable:
    """What one reader decided, on the disk as soon as it is decided.

    The file is locked as long as the table is open, by a file beside it, and is replaced as a
    whole, so that there is never half of one.

    Parameters
    ----------
    path
        The table; if it exists, it is gone on with.
    reader
        The reader's name, or "".
    places
        Where in the manifest a lesion is, by `key_of` its row.
    fits
        Tells whether a row of the table is about the lesion at a place.
    find
        Finds the place of a row by its images, since a manifest that was numbered anew may have
        another pair under its name; None if that does not tell. The row gets its new name.

    Attributes
    ----------
    rows
        The rows of the lesions that are decided or commented on, by their places.

    Raises
    ------
    MammoTrackerError
        If another program has it open, or it is damaged, another reader's, not about this
        manifest, or no reviewed table. It is then left as it was.
    """

    def __init__(
        self,
        path: Path,
        reader: str,
        places: Mapping[tuple[str, str], int],
        fits: Callable[[int, Mapping[str, str]], bool],
        find: Callable[[Mapping[str, str]], int | None] = lambda row: None,
    ) -> None:
        self.path = Path(os.path.realpath(path))
        self._reader = text_cell(reader)
        self.rows: dict[int, dict[str, str]] = {}
        self._is_behind = False
        self._lock, self._lock_path = _locked(self.path)
        try:
            self._read(places, fits, find)
            self._seen = _state(self.path)
        except BaseException:
            self.close()
            raise

    def _read(self, places: Mapping, fits: Callable, find: Callable) -> None:
        if not os.path.lexists(self.path):
            return
        names = {place: name for (name, _), place in places.items()}
        for row in read_rows(self.path, REVIEWED_COLUMNS):
            where = f"{self.path}, line {row.line}"
            if set(row) - set(REVIEWED_COLUMNS):
                raise MammoTrackerError(
                    f"{self.path} has further columns, which would be lost: it is not a table of "
                    "the reading list alone. Move it away, or delete these columns."
                )
            _check(row, where)
            if row["reader"] not in (self._reader, plain(self._reader)):
                raise MammoTrackerError(
                    f"{where}: another reader decided this. Give that name, or another one."
                )
            place = find(row)
            if place is None:
                place = places.get(key_of(row))
            if place is None or not fits(place, row):
                raise MammoTrackerError(
                    f"{where}: this lesion is not in the manifest, or has another box or other "
                    "exams there. Move the table away, or open the manifest that it is about."
                )
            if place in self.rows:
                raise MammoTrackerError(f"{where}: the lesion is there twice. Delete one row.")
            self.rows[place] = row | {"pair_id": names[place]}

    def write(self, place: int, row: Mapping[str, str]) -> None:
        """Put a lesion's row, as `reviewed_row` made it, in place of its last one.

        Raises
        ------
        MammoTrackerError
            If it cannot be written: it is then written with the next row, or at the end.
        """
        self.rows[place] = {**row, "reader": self._reader}
        self._rewrite()

    def remove(self, place: int) -> None:
        """Remove a lesion's row: nothing is said about it any more.

        Raises
        ------
        MammoTrackerError
            As `write`.
        """
        if self.rows.pop(place, None) is not None:
            self._rewrite()

    def close(self) -> None:
        """Let others open the table; write first what could not be written before."""
        if self._is_behind:
            with suppress(MammoTrackerError):
                self._rewrite()
        with suppress(OSError):
            if os.name != "nt":  # first, as nobody else may open it meanwhile
                self._lock_path.unlink()
            self._lock.close()
            if os.name == "nt":
                self._lock_path.unlink()

    def _rewrite(self) -> None:
        self._is_behind = True
        new = self.path.with_name(f".{self.path.name}.new")
        if _state(self.path) not in (self._seen, None):
            raise MammoTrackerError(
                f"{self.path} was changed by another program, whose changes would be lost: close "
                "the list, and open it again."
            )
        try:
            with new.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, REVIEWED_COLUMNS, restval="", lineterminator="\n")
                writer.writeheader()
                writer.writerows(self.rows[place] for place in sorted(self.rows))
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, self.path)
            _sync(self.path.parent)
        except OSError as error:
            with suppress(OSError):
                new.unlink()
            raise cannot_write(self.path, error) from None
        self._seen, self._is_behind = _state(self.path), False


def reviewed_row(decision: str, box: Box | None, comment: str) -> dict[str, str]:
    """Make the cells of a row that say what was decided, now.

    Parameters
    ----------
    decision
        One of `DECISIONS`, or `UNDECIDED`.
    box
        Where the lesion is on the current mammogram; only needed where the decision has a box.
    comment
        The reader's words.
    """
    cells = dict.fromkeys(TRUTH_COLUMNS, "")
    if decision in _WITH_BOX:
        cells = box_cells(box, TRUTH_COLUMNS)
    now = datetime.datetime.now(datetime.timezone.utc)
    return cells | {
        "present": _PRESENT.get(decision, ""),
        "decision": decision,
        "reviewed_at": now.isoformat(timespec="seconds") if decision else "",
        "comment": text_cell(comment),
    }


def _check(row: Row, where: str) -> None:
    """Refuse a row that the reading list did not write so."""
    try:
        box = read_box(row, TRUTH_COLUMNS)
        score = float(row["score"] or 0)
    except (MammoTrackerError, ValueError):
        raise _damaged(where) from None
    decision = row["decision"]
    if decision == UNDECIDED:
        is_whole = bool(row["comment"]) and not row["reviewed_at"]
    else:
        is_whole = decision in DECISIONS and _is_time(row["reviewed_at"])
    if (
        not is_whole
        or (box is None) == (decision in _WITH_BOX)
        or row["present"] != _PRESENT.get(decision, "")
        or not math.isfinite(score)
    ):
        raise _damaged(where)


def _is_time(text: str) -> bool:
    try:
        return datetime.datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _damaged(where: str) -> MammoTrackerError:
    return MammoTrackerError(
        f"{where}: decision, box, present, score or reviewed_at is not as the reading list writes "
        "it. Mend the row, or move the table away."
    )


def _locked(path: Path) -> tuple[BinaryIO, Path]:
    """Open and lock the file that stands for a table, which itself is replaced at each decision."""
    lock_path = path.with_name(f"{path.name}.lock")
    try:
        while True:
            file = lock_path.open("ab")
            if lock(file) is False:
                file.close()
                raise MammoTrackerError(
                    f"{path} is open in another program: close its list there, or give another "
                    "reader's name."
                )
            # Whoever made the file may have removed it before it was locked here.
            if os.name == "nt" or _state(lock_path, file.fileno()):
                return file, lock_path
            file.close()
    except OSError as error:
        raise cannot_write(path, error) from None


def _state(path: Path, descriptor: int | None = None) -> tuple | None:
    """Return what changes with a file's content, or None if there is none, or another one open."""
    try:
        about = os.stat(path)
        if descriptor is not None and about.st_ino != os.fstat(descriptor).st_ino:
            return None
    except OSError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns


def _sync(folder: Path) -> None:
    """Have the disk keep that a file was replaced."""
    with suppress(OSError):  # not every system lets a folder be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

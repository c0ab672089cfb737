"""What was read of an archive, on the disk beside the manifest: a crash loses seconds, not hours.

It is an SQLite database that only its owner may read. It holds paths, dates and digests of patient
IDs, no names and no IDs; whoever has it and a list of IDs may not compare them without its key.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ...errors import MammoTrackerError
from ...output_folder import cannot_write
from ...reading.archive import Found
from .files import File

_VERSION = 5  # to be raised when what is read of a file changes
_COMMIT_S = 2.0
_COLUMNS = ("path", "size", "changed_ns", "seen", *Found._fields)


class Inventory:
    """What was read of an archive's files, for its manifest; locked while it is open.

    To who runs the command, its file is the manifest's journal.

    Parameters
    ----------
    path
        Its file.
    folder
        The archive; an inventory is of one.
    resume
        Go on with what is there.

    Attributes
    ----------
    database
        Its connection, for queries: table ``file`` has the fields of `File` and `Found`.
    key
        What digests are made with.

    Raises
    ------
    MammoTrackerError
        If it is there and not to be resumed, is in use, or is of another archive or version.
    """

    def __init__(self, path: Path, folder: Path, resume: bool) -> None:
        self._path = path
        is_new = not os.path.lexists(path)
        if not is_new and not resume:
            raise MammoTrackerError(
                f"{path} is there, from a run that was interrupted: go on with it by --resume, or "
                "delete it."
            )
        try:
            if is_new:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            self.database = sqlite3.connect(path, timeout=0.5, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise _failure(path, error) from None
        try:
            self._open(str(folder.absolute()))
        except sqlite3.Error as error:
            self.database.close()
            raise _failure(path, error) from None
        except MammoTrackerError:
            self.database.close()
            raise

    def _open(self, folder: str) -> None:
        database = self.database
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("BEGIN EXCLUSIVE")
        database.execute("CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT)")
        database.execute(
            f"CREATE TABLE IF NOT EXISTS file ({', '.join(_COLUMNS)}, PRIMARY KEY (path))"
        )
        database.execute(
            "CREATE TABLE IF NOT EXISTS patient (number INTEGER PRIMARY KEY, digest UNIQUE)"
        )
        # What exams and lesions are called, which is not to change when others come.
        database.execute(
            "CREATE TABLE IF NOT EXISTS exam "
            "(patient, side, view, date, number, PRIMARY KEY (patient, side, view, date))"
        )
        database.execute(
            "CREATE TABLE IF NOT EXISTS lesion "
            "(patient, lesion, name, PRIMARY KEY (patient, lesion))"
        )
        if self.get("version") is None:
            self.set("version", str(_VERSION))
            self.set("folder", folder)
            self.set("key", secrets.token_hex(16))
        if self.get("version") == "1":  # which had no absences
            database.execute("ALTER TABLE file ADD COLUMN absences")
        if self.get("version") in ("1", "2", "3", "4"):  # all is read again; patients' numbers stay
            database.execute("UPDATE file SET size = NULL")
            self.set("version", str(_VERSION))
        if self.get("version") != str(_VERSION):
            raise MammoTrackerError(
                f"{self._path} is of another version: delete it, or choose another name for the "
                "manifest."
            )
        if self.get("folder") != folder:
            raise MammoTrackerError(
                f"{self._path} is of another folder: give that one, or choose another name for the "
                "manifest."
            )
        self.key = bytes.fromhex(self.get("key"))
        self._run = str(int(self.get("run") or 0) + 1)
        self.set("run", self._run)
        self._commit()

    def get(self, name: str) -> str | None:
        """Return a note; None if it was not made."""
        row = self.database.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return row and row[0]

    def set(self, name: str, value: str) -> None:
        """Make a note."""
        self.database.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, value))

    def _commit(self) -> None:
        self.database.execute("COMMIT")
        self.database.execute("BEGIN")
        self._committed = time.monotonic()

    def unread(self, files: Iterator[File], with_marks: bool) -> Iterator[File]:
        """Yield the files that are not in it, or changed since; keep note of the others.

        A report whose marks are asked for, and were not read, is yielded, too.
        """
        known = "SELECT size, changed_ns, is_report AND marks IS NULL FROM file WHERE path = ?"
        for file in files:
            row = self.database.execute(known, (file.path,)).fetchone()
            if row is None or row[:2] != file[1:] or (with_marks and row[2]):
                yield file
            else:
                self.database.execute(
                    "UPDATE file SET seen = ? WHERE path = ?", (self._run, file.path)
                )

    def add(self, file: File, found: Found) -> None:
        """Keep what was found in a file."""
        values = found._replace(
            marks=None if found.marks is None else json.dumps(found.marks),
            left_out=json.dumps(found.left_out or {}),
            absences=json.dumps(found.absences or []),
        )
        self.database.execute(
            f"INSERT OR REPLACE INTO file VALUES ({', '.join('?' * len(_COLUMNS))})",
            (*file, self._run, *values),
        )
        if time.monotonic() - self._committed > _COMMIT_S:
            self._commit()

    def finish_walk(self) -> None:
        """Forget the files that are no longer there."""
        self.database.execute("DELETE FROM file WHERE seen <> ?", (self._run,))
        self._commit()

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self.database.execute("COMMIT")
        self.database.close()

    def __enter__(self) -> Inventory:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, _: object) -> None:
        self.close()
        if isinstance(error, sqlite3.Error):
            raise _failure(self._path, error) from None


def _failure(path: Path, error: Exception) -> MammoTrackerError:
    if isinstance(error, OSError):
        return cannot_write(path, error)
    if "locked" in str(error):
        return MammoTrackerError(
            f"Another run is writing {path}: wait until it is done, or choose another name."
        )
    if any(word in str(error) for word in ("full", "readonly", "unable to open", "I/O")):
        return MammoTrackerError(
            f"Cannot write {path}: make room on the disk, or choose another folder."
        )
    return MammoTrackerError(f"{path} is damaged, or no journal: delete it, and start again.")

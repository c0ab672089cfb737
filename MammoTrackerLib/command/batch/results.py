"""The results of `batch` on the disk: locked, whole rows, and only of what the manifest says."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from ...errors import MammoTrackerError
from ...output_folder import cannot_write
from ...temporary import lock
from ..tables.cells import has_ids_of
from ..tables.columns import FAILED, PAIRS, Layout
from ..tables.rows import read_groups, read_rows


class OtherRows(MammoTrackerError):
    """The results are whole, but some of their rows are not what the manifest says now."""


class Results:
    """The table of results: locked while it is open, and never left with half a row.

    A table that did not exist (``is_new``) goes again if an error comes before its first row,
    unless it ``is_needed`` by the journal.
    """

    is_needed = False

    def __init__(self, out: Path, resume: bool, layout: Layout = PAIRS) -> None:
        self._out, self._resume, self._layout = out, resume, layout

    def __enter__(self) -> Results:
        out = self._out
        self.is_new = not os.path.lexists(out)
        self._end = 0
        try:
            if not self.is_new:
                self._check_existing()
            self._file = out.open("x+b" if self.is_new else "r+b", buffering=0)
            is_mine = lock(self._file) is not False
            # Whoever made the file may have removed it before it was locked here.
            if is_mine and (
                os.name == "nt" or os.path.samestat(os.fstat(self._file.fileno()), os.stat(out))
            ):
                return self
            self._file.close()
        except FileExistsError:
            pass
        except OSError as error:
            raise cannot_write(out, error) from None
        raise MammoTrackerError(
            f"Another run is writing {out}: wait until it is done, or choose another name."
        )

    def __exit__(self, kind: type | None, *_: object) -> None:
        is_unused = kind and self.is_new and self._end <= len(_line(self._layout.results))
        is_unused = is_unused and not self.is_needed
        with suppress(OSError):
            if is_unused and os.name != "nt":  # first, as nobody else may open it meanwhile
                self._out.unlink()
            self._file.close()
            if is_unused and os.name == "nt":
                self._out.unlink()

    def rows_of(self, manifest: Path, fingerprint: Callable[..., str]) -> int:
        """Count the rows that are done, cut off one that is not, and write a header if needed.

        Raises
        ------
        MammoTrackerError
            If this is no table of results; `OtherRows` if it is one of another manifest or other
            files.
        """
        out, columns = self._out, self._layout.results
        end = self._end_of_lines()
        self._file.seek(0)
        head = self._file.read(len(_line(columns)) + 8).removeprefix(b"\xef\xbb\xbf")
        is_cut = end == 0 and _line(columns).startswith(head)
        if not is_cut and head.splitlines()[0] != _line(columns).rstrip():
            raise MammoTrackerError(
                f"{out} is not a results file of `mammotracker batch` in this version: choose "
                "another name."
            )
        done = 0
        if not is_cut:
            rows = read_groups(manifest, self._layout)
            for result in read_rows(out, columns, complete=True):
                if not result.is_finished:
                    break
                row, group = next(rows, (None, []))
                if row is None or not has_ids_of(result, row, self._layout.ids):
                    raise OtherRows(
                        f"{out} does not belong to {manifest}: its row {done + 1} is another one. "
                        "Choose another name for the results."
                    )
                if result["fingerprint"] != fingerprint(row, group):
                    raise OtherRows(
                        f"Row {done + 1} of {out} was made from another box, spacing or image, "
                        "with another --force, or by another version. Choose another name, or "
                        "delete that row and those after it, to have them done anew."
                    )
                done += 1
        self.cut(end)
        return done

    def cut(self, end: int) -> None:
        """Keep so many bytes; of 0, leave the header."""
        try:
            self._file.truncate(end)
        except OSError as error:
            raise cannot_write(self._out, error) from None
        self._end = end
        if end == 0:
            self.append(_line(self._layout.results))

    def append(self, lines: bytes) -> None:
        """Add whole lines, all of them or nothing.

        Raises
        ------
        MammoTrackerError
            If they cannot be written, or another program removed, replaced or changed the table.
        """
        try:
            mine, there = os.fstat(self._file.fileno()), os.stat(self._out)
            is_same = os.path.samestat(mine, there) or there.st_size == self._end
            is_mine = is_same and mine.st_size == self._end
        except OSError:
            is_mine = False
        if not is_mine:
            raise MammoTrackerError(
                f"{self._out} was removed or changed by another program while this run was writing "
                "it: leave it to the run, and go on by --resume."
            )
        _append(self._file, self._end, lines, self._out)
        self._end += len(lines)

    def _check_existing(self) -> None:
        if not self._out.is_file():
            raise MammoTrackerError(f"{self._out} is no file: choose another name.")
        if not self._resume:
            raise MammoTrackerError(
                f"{self._out} exists already: go on with it by --resume, or choose another name."
            )

    def _end_of_lines(self) -> int:
        """Find where the last finished line ends."""
        end = self._file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            self._file.seek(start)
            newline = self._file.read(end - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
        return end


class Journal:
    """Rows that were done before their turn: in a file beside the results until theirs comes.

    What a killed run left in it is used again, where it was made from what the manifest says now.
    The results must be open, which locks the journal, too.

    Parameters
    ----------
    results, out
        The table of results, of which `rows_of` has been called, and its file.
    done
        How many rows it has.

    Attributes
    ----------
    next_row
        The first row that is not in the results, counted from 0.
    kept, written, failed
        How many rows an earlier run left in the journal, how many are new, and failed of these.
    """

    def __init__(self, results: Results, out: Path, done: int, layout: Layout = PAIRS) -> None:
        self._results, self._layout, self.next_row = results, layout, done
        self.kept = self.written = self.failed = 0
        self._path = journal_of(out)
        self._places: dict[int, tuple[int, int]] = {}

    def __enter__(self) -> Journal:
        try:
            self._file = self._path.open("w+b" if self._results.is_new else "a+b", buffering=0)
            self._left = self._left_rows()
        except OSError as error:
            raise cannot_write(self._path, error) from None
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._file.close()
        if kind is None or not self._places and not self._left:
            with suppress(OSError):
                self._path.unlink()

    def recalls(
        self,
        rows: Sequence[tuple[int, dict[str, str]]],
        group: Sequence[dict[str, str]],
        fingerprint: Callable[..., str],
    ) -> bool:
        """Whether a killed run left the results of all these rows, made from what they say now."""
        places = [self._left.pop(number, None) for number, _ in rows]
        if None in places:
            return False
        for place, (_, row) in zip(places, rows, strict=True):
            try:
                cells = next(csv.reader([self._line(place).decode("utf-8")], strict=True))
                result = dict(zip(("number", *self._layout.results), cells, strict=True))
            except (ValueError, csv.Error):
                return False
            if not has_ids_of(result, row, self._layout.ids):
                return False
            if result["fingerprint"] != fingerprint(row, group):
                return False
        self._places |= {number: place for (number, _), place in zip(rows, places, strict=True)}
        self.kept += len(rows)
        self._catch_up()
        return True

    def write(self, first: int, results: Sequence[dict[str, str]]) -> None:
        """Take the results of rows that follow each other, all of them or nothing."""
        lines = [_line([row.get(name, "") for name in self._layout.results]) for row in results]
        if first == self.next_row:
            self._results.append(b"".join(lines))
            self.next_row += len(lines)
        else:
            lines = [b"%d,%s" % (first + k, line) for k, line in enumerate(lines)]
            self._results.is_needed = True
            end = self._file.seek(0, os.SEEK_END)
            _append(self._file, end, b"".join(lines), self._path)
            for k, line in enumerate(lines):
                self._places[first + k] = end, len(line)
                end += len(line)
        self.written += len(results)
        self.failed += sum(row["status"] == FAILED for row in results)
        self._catch_up()

    def _catch_up(self) -> None:
        was_there = bool(self._places)
        while self.next_row in self._places:
            line = self._line(self._places.pop(self.next_row))
            self._results.append(line.partition(b",")[2])
            self.next_row += 1
        if was_there and not self._places and not self._left:
            self._file.truncate(0)

    def _line(self, place: tuple[int, int]) -> bytes:
        self._file.seek(place[0])
        return self._file.read(place[1])

    def _left_rows(self) -> dict[int, tuple[int, int]]:
        """Find the rows that a killed run left, and cut off one that is not whole."""
        places, end = {}, 0
        with self._path.open("rb") as file:
            for line in file:
                number = line.partition(b",")[0]
                if not (line.endswith(b"\n") and number.isdigit() and len(number) < 16):
                    break
                if int(number) >= self.next_row:
                    places[int(number)] = end, len(line)
                end += len(line)
        self._file.truncate(end if places else 0)
        return places


def journal_of(out: Path) -> Path:
    """Return the path of the journal beside a table of results."""
    return out.with_name(f"{out.name}.journal")


class Note:
    """A file beside the results that says which row is being worked on, until the run ends.

    It stays when the program is killed, so that the next run knows which row it was.
    """

    def __init__(self, out: Path) -> None:
        self._path = out.with_name(f"{out.name}.unfinished")

    def deaths(self, number: int) -> int:
        """How often the program died while it worked on this row."""
        try:
            note = json.loads(self._path.read_text(encoding="utf-8"))
            return int(note["tries"]) if note["row"] == number else 0
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def write(self, number: int, tries: int) -> None:
        with suppress(OSError):  # it helps only after a crash
            self._path.write_text(json.dumps({"row": number, "tries": tries}), encoding="utf-8")

    def remove(self) -> None:
        with suppress(OSError):
            self._path.unlink()


def _append(file: BinaryIO, end: int, content: bytes, path: Path) -> None:
    """Write all of the content at the end of a file, or nothing.

    Raises
    ------
    MammoTrackerError
        If it cannot be written.
    """
    file.seek(end)
    left = content
    try:
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        with suppress(OSError):
            file.truncate(end)
        raise cannot_write(path, error) from None


def _line(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8")

"""The rows of results, found for those of a table by all that tells them apart, in any order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ...errors import MammoTrackerError
from .cells import plain, read_box, text_cell
from .columns import BOX_COLUMNS, IMAGE_COLUMNS, PRIOR_BOX_COLUMNS, SERIES, STATUSES
from .fingerprints import image_marks, made_from_another, marks_of, numbers_mark, steps_of
from .rows import Row, layout_of, read_rows

_SAID = ("status", "score", *BOX_COLUMNS)


class Answers:
    """A table of results, of which rows are found by names, boxes, spacings and images.

    Results of an earlier version do not tell their boxes, spacings and images: there, names must
    do.

    Parameters
    ----------
    results
        Written by `mammotracker batch`, perhaps not to the end; in any order since.
    columns
        Those that it must have.
    table
        The manifest, or reviewed table, whose rows are answered.
    reads_images
        Whether `find` reads images, which takes milliseconds each, to see whether they are the
        same; else `check_images` is to be called before an answer is shown.

    Attributes
    ----------
    layout
        That of the results.

    Raises
    ------
    MammoTrackerError
        As `read_results`.
    """

    def __init__(
        self, results: Path, columns: Sequence[str], table: Path, reads_images: bool = True
    ) -> None:
        self._results, self._table = results, table
        self._folder = os.path.realpath(table.parent)
        self._marks, self._reads_images = image_marks(table.parent), reads_images
        self._taken: dict[int, int] = {}
        self._differing: dict[int, tuple[int, str]] = {}
        self.layout = layout_of(results)
        self._named: dict[tuple[str, ...], list[Row]] = {}
        for row in read_results(results, columns):
            name = _name(*(row[name] for name in self.layout.ids[:2]))
            self._named.setdefault(name, []).append(row)

    @property
    def unused(self) -> list[int]:
        """The lines of results that `find` has not returned so far."""
        lines = (answer.line for answers in self._named.values() for answer in answers)
        return sorted(line for line in lines if line not in self._taken)

    def find(self, row: Row) -> Row | None:
        """Return the row of results that answers a row; None if there is none.

        A reviewed table has the rows of a series as pairs, of which the pair_id is ``GROUP: A>B``.
        Of a row that has none, `check` tells in the end whether it was changed since.

        Raises
        ------
        MammoTrackerError
            If several rows of results may be its answer, or a box cannot be read.
        """
        if self.layout is SERIES:
            is_pair = "exam_group" not in row
            group = row["pair_id"].rpartition(": ")[0] if is_pair else row["exam_group"]
            named = self._named.get(_name(group, row["lesion_id"]), [])
            found = _of_image(named, self._steps(row["current" if is_pair else "exam"]))
        else:
            found = named = self._named.get(_name(row["pair_id"], row["lesion_id"]), [])
        differences = {answer.line: self._difference(answer, row, named) for answer in found}
        fitting = [answer for answer in found if not differences[answer.line]]
        if fitting:
            return self._chosen(fitting, row)
        for line, what in differences.items():
            self._differing.setdefault(line, (row.line, what))
        return None

    def check(self) -> None:
        """Refuse rows of results that are of no row that was asked for, only of one of that name.

        Raises
        ------
        MammoTrackerError
            If there is one: its row has another box, other spacings or other images now. Or if
            there are results, but of no row that was asked for.
        """
        for line, (of_row, what) in self._differing.items():
            if line not in self._taken:
                where, now = f"{self._results}, line {line}", f"{self._table}, line {of_row},"
                raise made_from_another(where, what, now)
        if self._named and not self._taken:
            raise MammoTrackerError(
                f"{self._results} does not belong to {self._table}: they have no row in common. "
                "Give the results of this table, or of the one that was reviewed."
            )

    def check_images(self, answer: Row, images: Sequence[str]) -> None:
        """Refuse an answer that was made from others than the images of these names are now.

        Raises
        ------
        MammoTrackerError
            If it was.
        """
        if self._is_of_others(answer, images):
            where = f"{self._results}, line {answer.line}"
            raise made_from_another(where, "image", str(self._table))

    def _is_of_others(self, answer: Row, images: Sequence[str]) -> bool:
        _, known = marks_of(answer.get("fingerprint", ""))
        return bool(known) and self._marks(images) not in ("", known)

    def _difference(self, answer: Row, row: Row, named: Sequence[Row]) -> str:
        """Say in what a row differs from the one that was answered; "" if in nothing."""
        numbers, _ = marks_of(answer.get("fingerprint", ""))
        names = [row["exam"]] if "exam_group" in row else [row["prior"], row["current"]]
        if self.layout is SERIES and "exam_group" not in row:
            names = names[1:]
            try:
                is_marked_so = _is_marked_so(row, named)
            except MammoTrackerError as error:
                where = f"{self._table}, line {row.line}, or its lesion in {self._results}"
                raise MammoTrackerError(f"{where}: {error}") from None
            if not is_marked_so:
                return "box"
        elif numbers and numbers != numbers_mark(row):
            return "box or spacing"
        return "image" if self._reads_images and self._is_of_others(answer, names) else ""

    def _chosen(self, fitting: list[Row], row: Row) -> Row:
        images = [row[name] for name in ("exam", *IMAGE_COLUMNS[:2]) if name in row]
        known = self._reads_images and self._marks(images) or tuple(map(self._steps, images))
        identity = hash((known, numbers_mark(row)))
        is_one = all(fitting[0][name] == other[name] for other in fitting for name in _SAID)
        if is_one:
            fitting.sort(key=lambda answer: answer.line in self._taken)
            for answer in fitting:
                if self._taken.setdefault(answer.line, identity) == identity:
                    return answer
        lines = ", ".join(map(str, sorted(answer.line for answer in fitting)))
        raise MammoTrackerError(
            f"{self._table}, line {row.line}: nothing tells whether {self._results}, line {lines}, "
            "is the answer to it or to another row, or which of them is. Delete rows that are "
            f"there twice, or give each lesion a {' and '.join(self.layout.ids[:2])} of its own, "
            "and track it again."
        )

    def _steps(self, name: str) -> tuple[str, ...]:
        return steps_of(name, self._folder)


def read_results(results: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Read the rows of results, perhaps of a batch that is still at work.

    Raises
    ------
    MammoTrackerError
        As `read_rows`, or if a row has no status.
    """
    for row in read_rows(results, columns, complete=True):
        if row["status"] not in STATUSES:
            raise MammoTrackerError(
                f"{results}, line {row.line}, column status: it is none of "
                f"{', '.join(STATUSES)}. Give the file that `mammotracker batch` wrote."
            )
        yield row


def _name(*names: str) -> tuple[str, ...]:
    return tuple(text_cell(plain(name)) for name in names)


def _of_image(answers: Sequence[Row], image: tuple[str, ...]) -> list[Row]:
    """Return those of an image: its path ends as theirs, as far up as they say it."""
    ends = {answer.line: steps_of(plain(answer["exam"])) for answer in answers}
    fitting = {end for end in ends.values() if end and image[-len(end) :] == end}
    longest = max(fitting, key=len, default=None)
    return [answer for answer in answers if ends[answer.line] == longest]


def _is_marked_so(row: Mapping[str, str], of_lesion: Sequence[Row]) -> bool:
    """Whether a reviewed row's lesion is marked as its results say, where they do."""
    asked = read_box(row, PRIOR_BOX_COLUMNS)
    marked = [read_box(answer, BOX_COLUMNS) for answer in of_lesion if answer["by_user"] == "1"]
    marked = [box for box in marked if box is not None]
    return asked is None or not marked or any(map(asked.is_at, marked))

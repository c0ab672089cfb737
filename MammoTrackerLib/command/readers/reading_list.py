"""The reading list: the cases of a manifest, their order, and what a reader decides about them."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...box import Box
from ...errors import MammoTrackerError
from ...track import Status, Track
from ..tables.cells import path_cell, plain, read_box, read_date, read_spacing, text_cell
from ..tables.columns import PRIOR_BOX_COLUMNS, TRUTH_COLUMNS
from ..tables.fingerprints import image_comparer, steps_of
from .cases import Case, Cases, Exam, Item
from .reviewed import UNDECIDED, ReviewedTable, reviewed_row, table_of

WORST_FIRST, AS_LISTED = "worst first", "as listed"


class ReadingList:
    """A manifest's cases with their results, and the reader's decisions, which are on the disk.

    Parameters
    ----------
    manifest, results
        As for `Cases`.
    reader
        The reader's name, or "".

    Attributes
    ----------
    cases, items, left_out
        As in `Cases`: an item is what there is to decide.

    Raises
    ------
    MammoTrackerError
        As `Cases`, or if `ReviewedTable` refuses the decisions that are there.
    """

    def __init__(self, manifest: Path, results: Path, reader: str = "") -> None:
        self.manifest, self._home = manifest, os.path.realpath(manifest.parent)
        read = Cases(manifest, results)
        self.cases, self.items, self.left_out = read.cases, read.items, read.left_out
        self._answers, self._is_one_image = read.answers, image_comparer()
        self._by_images: dict[tuple, list[int]] = {}
        path = table_of(results, reader)
        self._folder = os.path.dirname(os.path.realpath(path))
        self._table = ReviewedTable(path, reader, read.places, self._fits, self._find)
        for case in self.cases:
            case.undecided = sum(not self.is_decided(item) for item in case.items)

    @property
    def path(self) -> Path:
        """Where the decisions are."""
        return self._table.path

    @property
    def decided(self) -> int:
        """How many of the items are decided."""
        return sum(row["decision"] != UNDECIDED for row in self._table.rows.values())

    def image(self, exam: Exam) -> tuple[Path, float | None]:
        """Return an exam's file, and its pixel size where the manifest gives one.

        Raises
        ------
        MammoTrackerError
            If the row has no file, or no proper pixel size.
        """
        if not exam.name:
            raise MammoTrackerError("The manifest has no file for an exam of this case.")
        return self.manifest.parent / exam.name, read_spacing(exam.spacing)

    def date(self, exam: Exam) -> datetime.date | None:
        """Return the date that the manifest gives an exam.

        Raises
        ------
        MammoTrackerError
            If it is none.
        """
        return read_date(exam.date)

    def ordered(self, order: str) -> list[Case]:
        """Return the cases `WORST_FIRST` or `AS_LISTED`; those that nobody tracked come last."""
        if order == AS_LISTED:
            return list(self.cases)
        return sorted(self.cases, key=lambda case: case.worst)

    def next_undecided(self, cases: Sequence[Case], after: Case | None) -> Case | None:
        """Return the first case after one in which something is undecided, or before it; or None.

        The case itself is only returned if it is the only one.
        """
        start = cases.index(after) + 1 if after in cases else 0
        for case in (*cases[start:], *cases[:start]):
            if case.undecided:
                return case
        return None

    def decision_of(self, item: Item) -> tuple[str, Box | None, str]:
        """Return what was decided, or `UNDECIDED`, its box, and the comment."""
        row = self._table.rows.get(item.place)
        if row is None:
            return UNDECIDED, None, ""
        box = read_box(row, TRUTH_COLUMNS)
        return row["decision"], box, plain(row["comment"])

    def track_of(self, item: Item) -> Track | None:
        """Return the tracker's answer; where the results lack it, as it was when it was decided.

        Raises
        ------
        MammoTrackerError
            As `Item.track`, or if it was made from other images than the manifest has now.
        """
        track = item.track
        if track is not None:
            images = [exam.name for exam in item.pair]
            is_series = "exam" in item.answer  # whose row is of one exam
            self._answers.check_images(item.answer, images[1:] if is_series else images)
            return track
        box = self.decision_of(item)[1]
        if box is None:
            return None
        row = self._table.rows[item.place]
        known = [status for status in Status if status.value == row["status"]]
        status = known[0] if known else Status.UNCERTAIN
        return Track(item.prior_box, box, float(row["score"] or 0), status, "", (), box)

    def is_decided(self, item: Item) -> bool:
        row = self._table.rows.get(item.place)
        return row is not None and row["decision"] != UNDECIDED

    def decide(
        self,
        item: Item,
        decision: str,
        box: Box | None = None,
        answer: tuple[str, str] | None = None,
    ) -> None:
        """Keep what the reader says, on the disk when this returns.

        Parameters
        ----------
        item
            What it is about.
        decision
            One of `reviewed.DECISIONS`.
        box
            Where the lesion is, if it was accepted or corrected.
        answer
            Status and score of the tracker, if it answered anew.

        Raises
        ------
        MammoTrackerError
            If it cannot be written.
        """
        comment = self.decision_of(item)[2]
        item.case.undecided -= not self.is_decided(item)
        row = self._row(item) | reviewed_row(decision, box, comment)
        if answer is not None:
            row |= dict(zip(("status", "score"), answer, strict=True))
        self._table.write(item.place, row)

    def undecide(self, item: Item) -> None:
        """Forget a decision; the comment stays.

        Raises
        ------
        MammoTrackerError
            As `decide`.
        """
        if self.is_decided(item):
            item.case.undecided += 1
            self._write_undecided(item, self.decision_of(item)[2])

    def comment(self, item: Item, text: str) -> None:
        """Keep the reader's words about an item, which may be undecided; on the disk, too.

        Raises
        ------
        MammoTrackerError
            As `decide`.
        """
        text = " ".join(text.split())
        if text == self.decision_of(item)[2]:
            return
        if self.is_decided(item):
            row = self._table.rows[item.place]
            self._table.write(item.place, row | {"comment": text_cell(text)})
        else:
            self._write_undecided(item, text)

    def _write_undecided(self, item: Item, comment: str) -> None:
        if comment:
            self._table.write(item.place, self._row(item) | reviewed_row(UNDECIDED, None, comment))
        else:
            self._table.remove(item.place)

    def close(self) -> None:
        """Let others open the decisions."""
        self._table.close()

    def _row(self, item: Item) -> dict[str, str]:
        """Return what the table of decisions says about an item before it is decided."""
        (prior, current), answer = item.pair, item.answer
        return {
            "pair_id": text_cell(item.pair_id),
            "lesion_id": text_cell(item.lesion_id),
            "prior": self._path_cell(prior.name),
            "current": self._path_cell(current.name),
            "prior_spacing_mm": prior.spacing,
            "current_spacing_mm": current.spacing,
            "lesion_type": text_cell(item.lesion_type),
            **dict(zip(PRIOR_BOX_COLUMNS, item.box, strict=True)),
            "patient": text_cell(item.patient),
            "status": answer["status"] if answer else "",
            "score": answer["score"] if answer else "",
        }

    def _path_cell(self, name: str) -> str:
        """Return an image's path, relative to the table of decisions, for its cell.

        It has / as separator, which every system reads.
        """
        if not name or os.path.isabs(name):
            return name
        path = os.path.join(self._home, name)
        try:
            path = os.path.relpath(path, self._table.path.parent).replace(os.sep, "/")
        except ValueError:  # on another drive
            return path
        return path_cell(path)

    def _fits(self, place: int, row: Mapping[str, str]) -> bool:
        """Whether a row of decisions has the boxes and exams of an item, wherever these lie now."""
        item = self.items[place]
        try:
            box = read_box(row, PRIOR_BOX_COLUMNS)
        except MammoTrackerError:
            return False
        if box is None or not box.is_at(item.prior_box):
            return False
        return all(
            self._is_one_image(
                os.path.join(self._folder, row[column]),
                os.path.join(self._home, exam.name),
            )
            for column, exam in zip(("prior", "current"), item.pair, strict=True)
        )

    def _find(self, row: Mapping[str, str]) -> int | None:
        """Find the item of a row of decisions by its images, whatever its pair is called now."""
        if not self._by_images:
            for item in self.items:
                images = (steps_of(exam.name, self._home) for exam in item.pair)
                key = (text_cell(item.lesion_id), *images)
                self._by_images.setdefault(key, []).append(item.place)
        images = (steps_of(row[column], self._folder) for column in ("prior", "current"))
        key = (text_cell(plain(row["lesion_id"])), *images)
        places = [place for place in self._by_images.get(key, []) if self._fits(place, row)]
        return places[0] if len(places) == 1 else None

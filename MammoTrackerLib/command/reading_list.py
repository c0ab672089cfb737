"""The reading list: a manifest's lesions with their results, in cases, and what is decided."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..box import Box
from ..errors import MammoTrackerError
from ..track import Candidate, Status, Track
from .follow import read_date
from .reviewed import ReviewedTable, key_of, plain, reviewed_row, table_of
from .tables import (
    BOX_COLUMNS,
    FAILED,
    MANIFEST_COLUMNS,
    PAIRS,
    REGISTRATION_COLUMNS,
    SERIES,
    Layout,
    layout_of,
    read_box,
    read_candidates,
    read_rows,
    read_spacing,
    text_cell,
)

NOT_TRACKED = "not tracked yet"
WORST_FIRST, AS_LISTED = "worst first", "as in the manifest"
_PRIOR_BOX = tuple(f"prior_{name}" for name in BOX_COLUMNS)
_SAME_PLACE_PX = 0.001
_STATUSES = [*(status.value for status in Status), FAILED]


@dataclass(slots=True, eq=False)
class Answer:
    """What the results say about a lesion on an exam, in the words of their cells."""

    status: str
    score: str
    box: tuple[str, ...]
    registration: tuple[str, ...]
    candidates: str
    message: str


@dataclass(slots=True, eq=False)
class Exam:
    """A mammogram of a case, in the words of the manifest's cells."""

    name: str
    spacing: str
    date: str = ""


@dataclass(slots=True, eq=False)
class Item:
    """A lesion on an exam other than the one on which it is marked: what there is to decide."""

    place: int
    case: Case
    pair_id: str
    lesion_id: str
    lesion_type: str
    patient: str
    marked: int
    exam: int
    box: tuple[str, ...]
    answer: Answer | None = None

    @property
    def status(self) -> str:
        """The tracker's answer, or that it failed or has not been given yet."""
        return NOT_TRACKED if self.answer is None else self.answer.status

    @property
    def score(self) -> float | None:
        """The probability that the answer is right; None without one."""
        if self.answer is None or not self.answer.score or self.answer.status == FAILED:
            return None
        return float(self.answer.score)

    @property
    def prior_box(self) -> Box:
        """Where the lesion is marked."""
        return read_box(dict(zip(BOX_COLUMNS, self.box, strict=True)), BOX_COLUMNS)

    @property
    def track(self) -> Track | None:
        """The tracker's answer; None where there is none.

        Raises
        ------
        MammoTrackerError
            If the results hold something else than boxes and candidates.
        """
        answer = self.answer
        if answer is None or answer.status == FAILED:
            return None
        box = read_box(dict(zip(BOX_COLUMNS, answer.box, strict=True)), BOX_COLUMNS)
        if box is None:
            raise MammoTrackerError(
                "The results have no box for this lesion: give the file that `mammotracker batch` "
                "wrote."
            )
        cells = dict(zip(BOX_COLUMNS, answer.registration, strict=True))
        candidates = tuple(Candidate(*one) for one in read_candidates(answer.candidates))
        return Track(
            self.prior_box,
            box,
            self.score or 0.0,
            Status(answer.status),
            plain(answer.message),
            candidates,
            read_box(cells, BOX_COLUMNS) or box,
        )


@dataclass(slots=True, eq=False)
class Case:
    """A pair or series, and its lesions."""

    name: str
    exams: list[Exam] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    undecided: int = 0

    @property
    def worst(self) -> float:
        """The lowest probability of an answer; 2 where there is no answer at all."""
        return min((item.score for item in self.items if item.score is not None), default=2.0)


class ReadingList:
    """A manifest's cases with their results, and the reader's decisions, which are on the disk.

    Of a series, a lesion is marked on the last exam of the manifest for which it has a box, and is
    to be decided on each other one. Exams are numbered as the manifest lists them.

    Parameters
    ----------
    manifest
        As for `mammotracker batch`, of pairs or series.
    results
        Written by `mammotracker batch`; those of a run that has not ended are enough.
    reader
        The reader's name, or "".

    Attributes
    ----------
    cases
        In the manifest's order.
    items
        All that is to be decided, in the manifest's order.
    left_out
        How many rows have no box to start from.

    Raises
    ------
    MammoTrackerError
        If a file cannot be read, the results are not those of the manifest, or `ReviewedTable`
        refuses the decisions that are there.
    """

    def __init__(self, manifest: Path, results: Path, reader: str = "") -> None:
        self.manifest = manifest
        self.cases: list[Case] = []
        self.items: list[Item] = []
        self.left_out = 0
        self._comments: dict[int, str] = {}
        layout = layout_of(manifest)
        rows: dict[tuple[str, ...], Item | None] = {}
        if layout is PAIRS:
            self._read_pairs(rows)
        else:
            self._read_series(rows)
        _read_results(results, manifest, layout, rows)
        places = self._places()
        self._table = ReviewedTable(table_of(results, reader), reader, places, self._fits)
        for case in self.cases:
            case.undecided = sum(item.place not in self._table.rows for item in case.items)

    @property
    def path(self) -> Path:
        """Where the decisions are."""
        return self._table.path

    @property
    def decided(self) -> int:
        """How many of the items are decided."""
        return len(self._table.rows)

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
        """Return what was decided, or "", its box, and the comment."""
        row = self._table.rows.get(item.place)
        if row is None:
            return "", None, self._comments.get(item.place, "")
        box = read_box(row, [f"current_{name}" for name in BOX_COLUMNS])
        return row["decision"], box, plain(row["comment"])

    def known_answer(self, item: Item) -> tuple[str, str]:
        """Return status and score as they were when the item was decided; else empty texts."""
        row = self._table.rows.get(item.place, {})
        return row.get("status", ""), row.get("score", "")

    def is_decided(self, item: Item) -> bool:
        return item.place in self._table.rows

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
        self._comments.pop(item.place, None)
        row = self._row(item) | reviewed_row(decision, box, comment)
        if answer is not None:
            row |= dict(zip(("status", "score"), answer, strict=True))
        self._table.write(item.place, row)

    def undecide(self, item: Item) -> None:
        """Forget a decision; the comment stays until the list is closed.

        Raises
        ------
        MammoTrackerError
            As `decide`.
        """
        if self.is_decided(item):
            self._comments[item.place] = self.decision_of(item)[2]
            item.case.undecided += 1
            self._table.remove(item.place)

    def comment(self, item: Item, text: str) -> None:
        """Keep the reader's words about an item, with its decision.

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
            self._comments[item.place] = text

    def close(self) -> None:
        """Let others open the decisions."""
        self._table.close()

    def _read_pairs(self, rows: dict) -> None:
        cases: dict[tuple[str, ...], Case] = {}
        columns = ("pair_id", "prior", "current", "prior_spacing_mm", "current_spacing_mm")
        for row in read_rows(self.manifest, MANIFEST_COLUMNS):
            key = key_of(row)
            _check_new(key, rows, self.manifest, row)
            rows[key] = None
            box = tuple(row[name] for name in _PRIOR_BOX)
            if not all(box):
                self.left_out += 1
                continue
            _check_box(box, self.manifest, row)
            values = tuple(row[name] for name in columns)
            case = cases.get(values)
            if case is None:
                name, prior, current, *spacings = values
                exams = [Exam(prior, spacings[0]), Exam(current, spacings[1])]
                case = cases[values] = Case(name, exams)
                self.cases.append(case)
            rows[key] = self._add(case, case.name, row, (0, 1), box)

    def _read_series(self, rows: dict) -> None:
        groups: dict[str, list[Mapping[str, str]]] = {}
        for row in read_rows(self.manifest, SERIES.manifest):
            key = tuple(text_cell(row[name]) for name in SERIES.ids)
            _check_new(key, rows, self.manifest, row)
            rows[key] = None
            groups.setdefault(row["exam_group"], []).append(row)
        for name, group in groups.items():
            self._add_series(name, group, rows)

    def _add_series(self, name: str, group: list, rows: dict) -> None:
        exams = {row["exam"]: Exam(row["exam"], row["spacing_mm"], row["date"]) for row in group}
        numbers = {exam: number for number, exam in enumerate(exams)}
        case = Case(name, list(exams.values()))
        marked: dict[str, tuple[int, tuple[str, ...]]] = {}
        for row in group:
            box, number = tuple(row[column] for column in BOX_COLUMNS), numbers[row["exam"]]
            if all(box):
                _check_box(box, self.manifest, row)
                if number >= marked.get(row["lesion_id"], (-1, ()))[0]:
                    marked[row["lesion_id"]] = number, box
        for row in group:
            number = numbers[row["exam"]]
            on, box = marked.get(row["lesion_id"], (None, ()))
            if on is None:
                self.left_out += 1
            elif on != number:
                key = tuple(text_cell(row[column]) for column in SERIES.ids)
                pair = f"{name}: {on + 1}>{number + 1}"
                rows[key] = self._add(case, pair, row, (on, number), box)
        if case.items:
            self.cases.append(case)

    def _add(
        self, case: Case, pair_id: str, row: Mapping, exams: tuple[int, int], box: tuple[str, ...]
    ) -> Item:
        item = Item(
            len(self.items),
            case,
            pair_id,
            row["lesion_id"],
            row["lesion_type"],
            row.get("patient", ""),
            *exams,
            box,
        )
        self.items.append(item)
        case.items.append(item)
        return item

    def _places(self) -> dict[tuple[str, str], int]:
        places: dict[tuple[str, str], int] = {}
        for item in self.items:
            key = text_cell(item.pair_id), text_cell(item.lesion_id)
            if key in places:
                raise MammoTrackerError(
                    f"{self.manifest} has two rows that would have one name in the table of "
                    "decisions: give each series and lesion a name of its own."
                )
            places[key] = item.place
        return places

    def _row(self, item: Item) -> dict[str, str]:
        """Return what the table of decisions says about an item before it is decided."""
        prior, current = item.case.exams[item.marked], item.case.exams[item.exam]
        answer = item.answer
        return {
            "pair_id": text_cell(item.pair_id),
            "lesion_id": text_cell(item.lesion_id),
            "prior": self._path_cell(prior.name),
            "current": self._path_cell(current.name),
            "prior_spacing_mm": prior.spacing,
            "current_spacing_mm": current.spacing,
            "lesion_type": text_cell(item.lesion_type),
            **dict(zip(_PRIOR_BOX, item.box, strict=True)),
            "patient": text_cell(item.patient),
            "status": answer.status if answer else "",
            "score": answer.score if answer else "",
        }

    def _path_cell(self, name: str) -> str:
        """Return an image's path, relative to the table of decisions, for its cell."""
        if not name or os.path.isabs(name):
            return name
        path = os.path.join(os.path.realpath(self.manifest.parent), name)
        try:
            path = os.path.relpath(path, self._table.path.parent)
        except ValueError:  # on another drive
            return path
        return path if text_cell(path) == path else os.path.join(os.curdir, path)

    def _fits(self, place: int, row: Mapping[str, str]) -> bool:
        """Whether a row of decisions has the boxes and exams of an item, wherever these lie now."""
        item = self.items[place]
        try:
            box = read_box(row, _PRIOR_BOX)
        except MammoTrackerError:
            return False
        if box is None or max(
            abs(a - b) for a, b in zip(box.as_tuple(), item.prior_box.as_tuple(), strict=True)
        ) > _SAME_PLACE_PX:
            return False
        exams = item.case.exams[item.marked], item.case.exams[item.exam]
        return all(
            os.path.basename(row[column]) == os.path.basename(exam.name)
            for column, exam in zip(("prior", "current"), exams, strict=True)
        )


def _check_new(key: tuple[str, ...], rows: Iterable, manifest: Path, row) -> None:
    if key in rows:
        names = "pair_id and lesion_id" if len(key) == 2 else "exam_group, lesion_id and exam"
        raise MammoTrackerError(
            f"{manifest}, line {row.line}: {names} are those of a row before. Give each lesion a "
            "name of its own, so that decisions can be told apart."
        )


def _check_box(box: tuple[str, ...], manifest: Path, row) -> None:
    try:
        read_box(dict(zip(BOX_COLUMNS, box, strict=True)), BOX_COLUMNS)
    except MammoTrackerError:
        raise MammoTrackerError(
            f"{manifest}, line {row.line}: the lesion's box is no box: give four numbers, x0 < x1 "
            "and y0 < y1."
        ) from None


def _read_results(results: Path, manifest: Path, layout: Layout, rows: dict) -> None:
    """Give the items their answers."""
    columns = (*layout.ids, "status", *BOX_COLUMNS, "score", "message")
    seen = set()
    for row in read_rows(results, columns, complete=True):
        key = tuple(text_cell(plain(row[name])) for name in layout.ids)
        where = f"{results}, line {row.line}"
        if key not in rows or key in seen:
            what = "is there twice" if key in seen else f"is not in {manifest}"
            raise MammoTrackerError(
                f"{where}: the lesion {what}. Give the manifest and the results that "
                "`mammotracker batch` made of it."
            )
        seen.add(key)
        item = rows[key]
        if item is None:
            continue
        _check_answer(row, where)
        item.answer = Answer(
            row["status"],
            row["score"],
            tuple(row[name] for name in BOX_COLUMNS),
            tuple(row.get(name, "") for name in REGISTRATION_COLUMNS),
            row.get("candidates", ""),
            row["message"],
        )


def _check_answer(row: Mapping[str, str], where: str) -> None:
    status, score = row["status"], row["score"]
    try:
        is_right = status == FAILED or 0 <= float(score) <= 1
    except ValueError:
        is_right = False
    if status not in _STATUSES or not is_right:
        raise MammoTrackerError(
            f"{where}: status or score is not as `mammotracker batch` writes it. Give the file "
            "that it wrote."
        )

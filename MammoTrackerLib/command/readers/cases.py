"""The cases of a reading list: pairs and series of a manifest, their lesions, and the results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...box import Box
from ...errors import MammoTrackerError
from ...pair import in_order
from ...track import Candidate, Status, Track
from ..tables.cells import plain, read_box, read_candidates, text_cell
from ..tables.columns import (
    BOX_COLUMNS,
    FAILED,
    IMAGE_COLUMNS,
    MANIFEST_COLUMNS,
    PAIRS,
    PRIOR_BOX_COLUMNS,
    REGISTRATION_COLUMNS,
    SERIES,
    STATUSES,
    Layout,
)
from ..tables.fingerprints import made_from_another, marks_of, numbers_mark
from ..tables.rows import Row, filled, layout_of, read_rows
from .reviewed import key_of

NOT_TRACKED = "not tracked yet"


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


class Cases:
    """A manifest's cases with their results; only short records of both are kept.

    Of a series, a lesion is marked on the last exam for which it has a box, and is to be decided on
    each other one. Which is the last say the results, since a batch knows the files' dates, too;
    of a series that is not tracked yet, the manifest's dates, or its order. Exams are numbered as
    the manifest lists them.

    Parameters
    ----------
    manifest
        As for `mammotracker batch`, of pairs or series.
    results
        Written by `mammotracker batch`; those of a run that has not ended are enough.

    Attributes
    ----------
    cases, items
        In the manifest's order.
    left_out
        How many rows have no box to start from.

    Raises
    ------
    MammoTrackerError
        If a file cannot be read, or the results are not those of the manifest.
    """

    def __init__(self, manifest: Path, results: Path) -> None:
        self._manifest = manifest
        self.cases: list[Case] = []
        self.items: list[Item] = []
        self.left_out = 0
        layout = layout_of(manifest)
        rows: dict[tuple[str, ...], Item | None] = {}
        marks: dict[tuple[str, ...], str] = {}
        if layout is PAIRS:
            self._read_pairs(rows, marks)
        else:
            self._read_series(rows, marks, _order_of(results))
        _read_results(results, manifest, layout, rows, marks)

    def _read_pairs(self, rows: dict, marks: dict) -> None:
        cases: dict[tuple[str, ...], Case] = {}
        columns = ("pair_id", *IMAGE_COLUMNS)
        for row in read_rows(self._manifest, MANIFEST_COLUMNS):
            key = key_of(row)
            _check_new(key, rows, self._manifest, row)
            rows[key], marks[key] = None, numbers_mark(row)
            box = tuple(row[name] for name in PRIOR_BOX_COLUMNS)
            if not _is_box(box):
                self.left_out += 1
                continue
            values = tuple(row[name] for name in columns)
            case = cases.get(values)
            if case is None:
                name, prior, current, *spacings = values
                exams = [Exam(prior, spacings[0]), Exam(current, spacings[1])]
                case = cases[values] = Case(name, exams)
                self.cases.append(case)
            rows[key] = self._add(case, case.name, row, (0, 1), box)

    def _read_series(self, rows: dict, marks: dict, order: Mapping[tuple[str, str], int]) -> None:
        groups: dict[str, list[Mapping[str, str]]] = {}
        for row in read_rows(self._manifest, SERIES.manifest):
            key = tuple(text_cell(row[name]) for name in SERIES.ids)
            _check_new(key, rows, self._manifest, row)
            rows[key], marks[key] = None, numbers_mark(row)
            groups.setdefault(row["exam_group"], []).append(row)
        for name, group in groups.items():
            self._add_series(name, filled(group), rows, order)

    def _add_series(self, name: str, group: list, rows: dict, order: Mapping) -> None:
        exams = {row["exam"]: Exam(row["exam"], row["spacing_mm"], row["date"]) for row in group}
        numbers = {exam: number for number, exam in enumerate(exams)}
        case = Case(name, list(exams.values()))
        names = list(exams)
        places = {exam: order.get((text_cell(name), text_cell(exam))) for exam in exams}
        if None not in places.values():
            names.sort(key=places.get)
        else:
            names = [names[k] for k in in_order([exam.date for exam in case.exams])]
        marked: dict[str, tuple[int, tuple[str, ...]]] = {}
        for row in sorted(group, key=lambda row: names.index(row["exam"])):
            box = tuple(row[column] for column in BOX_COLUMNS)
            if _is_box(box):  # on the last exam with one, as for the batch
                marked[row["lesion_id"]] = numbers[row["exam"]], box
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


def _check_new(key: tuple[str, ...], rows: Iterable, manifest: Path, row: Row) -> None:
    if key in rows:
        names = "pair_id and lesion_id" if len(key) == 2 else "exam_group, lesion_id and exam"
        raise MammoTrackerError(
            f"{manifest}, line {row.line}: {names} are those of a row before. Give each lesion a "
            "name of its own, so that decisions can be told apart."
        )


def _is_box(cells: tuple[str, ...]) -> bool:
    try:
        return read_box(dict(zip(BOX_COLUMNS, cells, strict=True)), BOX_COLUMNS) is not None
    except MammoTrackerError:  # the batch said so in its results
        return False


def _order_of(results: Path) -> dict[tuple[str, str], int]:
    """Return the places of exams in their series, in time, by the names of both."""
    order = {}
    for row in read_rows(results, SERIES.ids, complete=True):
        number = row.get("number", "")
        if number.isdecimal() and len(number) < 9:
            order[tuple(text_cell(plain(row[name])) for name in ("exam_group", "exam"))] = int(
                number
            )
    return order


def _read_results(
    results: Path, manifest: Path, layout: Layout, rows: dict, marks: Mapping
) -> None:
    """Give the items their answers; `marks` are of the manifest's rows."""
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
        made_from, _ = marks_of(row.get("fingerprint", ""))
        if made_from and made_from != marks[key]:
            raise made_from_another(where, "box or spacing", str(manifest))
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
    if status not in STATUSES or not is_right:
        raise MammoTrackerError(
            f"{where}: status or score is not as `mammotracker batch` writes it. Give the file "
            "that it wrote."
        )

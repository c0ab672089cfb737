"""The cases of a reading list: pairs and series of a manifest, their lesions, and the results."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ...box import Box
from ...errors import MammoTrackerError
from ...pair import in_order
from ...track import Candidate, Status, Track
from ..tables.answers import Answers
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
)
from ..tables.rows import Row, filled, layout_of, read_rows

NOT_TRACKED = "not tracked yet"


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
    answer: Row | None = None

    @property
    def status(self) -> str:
        """The tracker's answer, or that it failed or has not been given yet."""
        return NOT_TRACKED if self.answer is None else self.answer["status"]

    @property
    def score(self) -> float | None:
        """The probability that the answer is right; None without one."""
        if self.answer is None or not self.answer["score"] or self.answer["status"] == FAILED:
            return None
        return float(self.answer["score"])

    @property
    def pair(self) -> tuple[Exam, Exam]:
        """The exams on which it is marked, and to be decided."""
        return self.case.exams[self.marked], self.case.exams[self.exam]

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
        if answer is None or answer["status"] == FAILED:
            return None
        box = read_box(answer, BOX_COLUMNS)
        if box is None:
            raise MammoTrackerError(
                "The results have no box for this lesion: give the file that `mammotracker batch` "
                "wrote."
            )
        candidates = read_candidates(answer.get("candidates", ""))
        return Track(
            self.prior_box,
            box,
            self.score or 0.0,
            Status(answer["status"]),
            plain(answer["message"]),
            tuple(Candidate(*one) for one in candidates),
            read_box(answer, REGISTRATION_COLUMNS) or box,
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
    """A manifest's cases with their results.

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
    places
        Where an item is, by its `key_of` in a reviewed table.
    answers
        The results, of which no image has been compared.
    left_out
        How many rows have no box to start from.

    Raises
    ------
    MammoTrackerError
        If a file cannot be read, or the results are not those of the manifest.
    """

    def __init__(self, manifest: Path, results: Path) -> None:
        self._manifest, self._results = manifest, results
        self.cases: list[Case] = []
        self.items: list[Item] = []
        self.places: dict[tuple[str, str], int] = {}
        self.left_out = 0
        layout = layout_of(manifest)
        columns = (*layout.ids, "status", *BOX_COLUMNS, "score", "message")
        self.answers = Answers(results, columns, manifest, reads_images=False)
        if layout is PAIRS:
            self._read_pairs()
        else:
            self._read_series()
        self.answers.check()
        if self.answers.unused:
            raise MammoTrackerError(
                f"{results}, line {self.answers.unused[0]}: the lesion is not in {manifest}, or "
                "is there twice. Give the manifest and the results that `mammotracker batch` made "
                "of it."
            )

    def _read_pairs(self) -> None:
        cases: dict[tuple[str, ...], Case] = {}
        columns = ("pair_id", *IMAGE_COLUMNS)
        for row in read_rows(self._manifest, MANIFEST_COLUMNS):
            box, item = tuple(row[name] for name in PRIOR_BOX_COLUMNS), None
            if _is_box(box):
                values = tuple(row[name] for name in columns)
                case = cases.get(values)
                if case is None:
                    name, prior, current, *spacings = values
                    exams = [Exam(prior, spacings[0]), Exam(current, spacings[1])]
                    case = cases[values] = Case(name, exams)
                    self.cases.append(case)
                item = self._add(case, case.name, row, (0, 1), box)
            else:
                self.left_out += 1
            answer = self.answers.find(row)
            if item is not None:
                item.answer = self._checked(answer)

    def _read_series(self) -> None:
        groups: dict[str, list[Row]] = {}
        for row in read_rows(self._manifest, SERIES.manifest):
            groups.setdefault(row["exam_group"], []).append(row)
        for name, group in groups.items():
            self._add_series(name, group)

    def _add_series(self, name: str, group: list[Row]) -> None:
        answers = [self.answers.find(row) for row in group]
        for row, whole in zip(group, filled(group), strict=True):
            row.update(whole)
        exams = {row["exam"]: Exam(row["exam"], row["spacing_mm"], row["date"]) for row in group}
        numbers = {exam: number for number, exam in enumerate(exams)}
        case = Case(name, list(exams.values()))
        names = list(exams)
        places = {}
        for row, answer in zip(group, answers, strict=True):
            place = answer.get("number", "") if answer else ""
            if place.isdecimal() and len(place) < 9:
                places[row["exam"]] = int(place)
        if len(places) == len(names):
            names.sort(key=places.get)
        else:
            names = [names[k] for k in in_order([exam.date for exam in case.exams])]
        marked: dict[str, tuple[int, tuple[str, ...]]] = {}
        for row in sorted(group, key=lambda row: names.index(row["exam"])):
            box = tuple(row[column] for column in BOX_COLUMNS)
            if _is_box(box):  # on the last exam with one, as for the batch
                marked[row["lesion_id"]] = numbers[row["exam"]], box
        for row, answer in zip(group, answers, strict=True):
            number = numbers[row["exam"]]
            on, box = marked.get(row["lesion_id"], (None, ()))
            if on is None:
                self.left_out += 1
            elif on != number:
                item = self._add(case, f"{name}: {on + 1}>{number + 1}", row, (on, number), box)
                item.answer = self._checked(answer)
        if case.items:
            self.cases.append(case)

    def _add(
        self, case: Case, pair_id: str, row: Row, exams: tuple[int, int], box: tuple[str, ...]
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
        key = text_cell(pair_id), text_cell(row["lesion_id"])
        if self.places.setdefault(key, item.place) != item.place:
            names = "exam_group, lesion_id and exam" if "exam" in row else "pair_id and lesion_id"
            raise MammoTrackerError(
                f"{self._manifest}, line {row.line}: {names} are those of a row before. Give each "
                "lesion a name of its own, so that decisions can be told apart."
            )
        self.items.append(item)
        case.items.append(item)
        return item

    def _checked(self, answer: Row | None) -> Row | None:
        """Return an answer; refuse one that `batch` did not write so."""
        with suppress(ValueError):
            if answer is None or answer["status"] == FAILED:
                return answer
            if 0 <= float(answer["score"]) <= 1:
                return answer
        raise MammoTrackerError(
            f"{self._results}, line {answer.line}, column score: it is not as `mammotracker batch` "
            "writes it. Give the file that it wrote."
        )


def _is_box(cells: tuple[str, ...]) -> bool:
    try:
        return read_box(dict(zip(BOX_COLUMNS, cells, strict=True)), BOX_COLUMNS) is not None
    except MammoTrackerError:  # the batch said so in its results
        return False

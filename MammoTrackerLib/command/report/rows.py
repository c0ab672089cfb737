"""What a report says of each row of results, and what its picture shows."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

from ...box import Box
from ...errors import MammoTrackerError
from ...metrics import center_distance
from ...track import Status
from ..tables.answers import Answers, read_results
from ..tables.cells import one_line, read_box, read_spacing
from ..tables.columns import (
    ANSWER_COLUMNS,
    BOX_COLUMNS,
    FAILED,
    IMAGE_COLUMNS,
    PAIRS,
    PRIOR_BOX_COLUMNS,
    REGISTRATION_COLUMNS,
    SERIES,
    Layout,
)
from ..tables.rows import Row, by_series, filled, read_groups
from .pictures import TILE, Card, Shown, draw_cards

PICTURES = "pictures"
COLUMNS = (
    *("pair", "lesion", "exam", "type", "status", "score", "shift", "change", "before", "after"),
    *("message", "picture", "boxes", "field", "turn", "note"),
)
"""Of a row of the page: sizes and the shift in mm, the change of size in per cent."""
_ANSWERED = (Status.FOUND.value, Status.UNCERTAIN.value)
_IN_A_FOLDER = 1000
_TOGETHER = 256
"""At most as many lesions of a pair are drawn in one go."""
_PATH = re.compile(
    r"(?<![^\s'\"(])(?:[A-Za-z]:)?[/\\](?=\S)"
    r"(?:.*[/\\](?=\S))?"  # names have spaces, too, so up to the last separator that there is
    r"[^/\\]*?(?=: | (?:is|are|has|holds|names|does|became) |\.?$)"
)
"""What may be a path in a message, and how our messages go on after one: rather too much of it than
a part of a name is left."""
_VERSION_OF_PICTURES = 1
_FARTHEST_PX = 1e6


@dataclass
class Entry:
    """A row of results, the manifest's row that it answers, and that one's place, from 0."""

    place: int
    results: Path
    answer: Row
    asked: dict[str, str] | None

    def number(self, column: str) -> float | None:
        text = self.answer.get(column, "")
        with suppress(ValueError):
            value = float(text) if text else None
            if value is None or math.isfinite(value):
                return value
        raise self._wrong(column)

    def box(self, columns: Sequence[str]) -> Box | None:
        box = _box(self.answer, columns)
        if box is None and any(self.answer[name] for name in columns):
            raise self._wrong(columns[0])
        return box

    @property
    def exam(self) -> int:
        """Its number in a series, from 1; 0 where that failed."""
        return int(self.number("number") or 0)

    def _wrong(self, column: str) -> MammoTrackerError:
        return MammoTrackerError(
            f"{self.results}, line {self.answer.line}, column {column}: it is not what "
            "`mammotracker batch` writes. Make the results anew."
        )


def page_rows(entries: Sequence[Entry], folder: Path, layout: Layout, out: Path) -> Iterator[list]:
    """Make the page's rows; pictures are drawn meanwhile, of images in the manifest's folder."""

    def groups() -> Iterator[tuple[list[tuple[dict, Card | None]], list[Card | None]]]:
        for group in _groups(entries, layout):
            if layout is SERIES:
                made = _of_series(group, out)
            else:
                made = [_of_pair(entry, out) for entry in group]
            yield made, [card for _, card in made]

    with closing(draw_cards(folder, groups())) as drawn:
        for made, shown in drawn:
            for (values, card), what in zip(made, shown, strict=True):
                yield _finished(values, card, what or {}, out)


def read_entries(
    results: Path, manifest: Path | None, layout: Layout
) -> tuple[list[Entry], int, int]:
    """Read the results, with the manifest's rows, and in their order, if there is one.

    Returns
    -------
    tuple
        What the page is about; how many rows of the manifest, and of the results, are left over.

    Raises
    ------
    MammoTrackerError
        As `read_results`, or if `Answers` refuses a row.
    """
    own = ("number", "status", "score", "by_user", "reached_from", "message")
    needed = ANSWER_COLUMNS if layout is PAIRS else (*SERIES.ids, *own, *BOX_COLUMNS)
    if manifest is None:
        rows = enumerate(read_results(results, needed))
        return [Entry(number, results, row, None) for number, row in rows], 0, 0
    answers, entries, without = Answers(results, needed, manifest), [], 0
    known, said = [], {}
    for number, (row, group) in enumerate(read_groups(manifest, layout)):
        if group is not known:
            known = group
            said = {other.line: whole for other, whole in zip(group, filled(group), strict=True)}
        answer = answers.find(row)
        if answer is None:
            without += 1
        else:
            entries.append(Entry(number, results, answer, said.get(row.line, row)))
    answers.check()
    return entries, without, len(answers.unused)


def _groups(entries: Sequence[Entry], layout: Layout) -> Iterator[list[Entry]]:
    """Put together what is drawn in one go: the lesions of a pair, or a series."""
    if layout is SERIES and entries:
        yield from by_series(entries, entries[0].results, lambda entry: entry.answer)
        return

    def images(entry: Entry) -> tuple[str, ...]:
        return tuple(entry.asked[name] for name in IMAGE_COLUMNS) if entry.asked else ()

    for _, group in groupby(entries, images):
        while together := list(islice(group, _TOGETHER)):
            yield together


def _of_pair(entry: Entry, out: Path) -> tuple[dict, Card | None]:
    """Return what is shown of a lesion, and what is drawn."""
    asked = entry.asked
    values = _common(entry, "pair_id", [asked[name] for name in IMAGE_COLUMNS[:2]] if asked else [])
    registration = entry.box(REGISTRATION_COLUMNS)
    values["registration"] = registration
    if asked is None:
        return values, None
    prior, current = ((asked[name], asked[f"{name}_spacing_mm"]) for name in ("prior", "current"))
    values["marked"] = _box(asked, PRIOR_BOX_COLUMNS)
    values["spacings"] = prior[1], current[1]
    found, said = values["found"], entry.answer["message"]
    return values, Card(
        prior, current, values["marked"], found, registration, found or registration, said,
        _picture(out, entry, asked),
    )  # fmt: skip


def _of_series(entries: list[Entry], out: Path) -> list[tuple[dict, Card | None]]:
    """Return the same of each lesion on each exam but the one on which it is marked."""
    marked: dict[str, Entry] = {}
    for entry in entries:
        lesion, asked = entry.answer["lesion_id"], entry.asked
        is_marked = entry.answer["by_user"] == "1"
        if asked is not None:
            is_marked = _box(asked, BOX_COLUMNS) is not None
        if is_marked and (lesion not in marked or entry.exam >= marked[lesion].exam):
            marked[lesion] = entry
    files = list(dict.fromkeys((entry.asked or entry.answer)["exam"] for entry in entries))
    made = []
    for entry in entries:
        first = marked.get(entry.answer["lesion_id"])
        if entry is first:
            continue
        values = _common(entry, "exam_group", files)
        if entry.exam:
            since = "" if first is None else f", marked on {first.exam}"
            values["exam"] = f"exam {entry.exam}{since}"
        if entry.answer["by_user"] == "1":
            values |= {"score": None, "message": "Given by the reader."}
        made.append((values, None))
        if entry.asked is None:
            continue
        where, lesion = entry.asked, None
        if first is not None:
            where, lesion = first.asked, _box(first.asked, BOX_COLUMNS)
        values["marked"] = lesion
        values["spacings"] = where["spacing_mm"], entry.asked["spacing_mm"]
        box = entry.box(BOX_COLUMNS)
        kept = box if values["status"] == Status.REGISTRATION.value else None
        is_direct = first is not None and entry.answer["reached_from"] == str(first.exam)
        said = entry.answer["message"] if is_direct else None
        card = Card(
            (where["exam"], where["spacing_mm"]), (entry.asked["exam"], entry.asked["spacing_mm"]),
            lesion, values["found"], kept, box, said, _picture(out, entry, entry.asked, where),
        )  # fmt: skip
        made[-1] = values, card
    return made


def _common(entry: Entry, name: str, files: Sequence[str]) -> dict:
    """Return what is shown of every row; texts are shown as texts, whatever they hold."""
    answer, ids = entry.answer, entry.asked or entry.answer
    has_score = answer["status"] not in (Status.REGISTRATION.value, FAILED)
    return {
        "pair": one_line(ids[name]),
        "lesion": one_line(ids["lesion_id"]),
        "exam": "",
        "type": one_line(ids.get("lesion_type", "")),
        "status": answer["status"],
        "score": entry.number("score") if has_score else None,
        "message": _without_paths(answer["message"], files),
        "found": entry.box(BOX_COLUMNS) if answer["status"] in _ANSWERED else None,
    }


def _finished(values: dict, card: Card | None, shown: Shown, out: Path) -> list:
    """Return a row of the page, in the order of `COLUMNS`."""
    if "error" in shown:
        raise MammoTrackerError(
            f"Cannot write to {out}: {shown['error']}. Choose another folder, or make room."
        )
    given = [_spacing(text) for text in values.get("spacings", ("", ""))]
    prior, current = (a or b for a, b in zip(shown.get("spacing", given), given, strict=True))
    found, marked = values["found"], values.get("marked")
    values |= {name: shown.get(name) for name in ("boxes", "field", "turn", "note")}
    values["picture"] = card.path.relative_to(out).as_posix() if shown.get("boxes") else ""
    if marked is not None and prior:
        values["before"] = round(marked.longest_side(prior), 2)
    if found is not None and current:
        values["after"] = round(found.longest_side(current), 2)
        if values.get("registration") is not None:
            values["shift"] = round(center_distance(values["registration"], found, current), 2)
    if values.get("before") and values.get("after"):
        values["change"] = round(100 * (values["after"] / values["before"] - 1), 1)
    return [values.get(name) for name in COLUMNS]


def _picture(out: Path, entry: Entry, *asked: dict[str, str]) -> Path:
    """Name a picture after all that it is made from, so that one that is there can be kept."""
    cells = [sorted(row.items()) for row in (entry.answer, *asked)]
    made_from = [_VERSION_OF_PICTURES, TILE, entry.place, *cells]
    name = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:20]
    return out / PICTURES / f"{entry.place // _IN_A_FOLDER:04d}" / f"{name}.jpg"


def _box(row: dict[str, str], columns: Sequence[str]) -> Box | None:
    """Read a box; None also where the cells hold none that can be on an image."""
    try:
        box = read_box(row, columns)
    except MammoTrackerError:
        return None
    return None if box is None or max(map(abs, box.as_tuple())) > _FARTHEST_PX else box


def _spacing(text: str) -> tuple[float, float] | None:
    with suppress(MammoTrackerError):
        spacing = read_spacing(text)
        return None if spacing is None else (spacing, spacing)
    return None


def _without_paths(message: str, names: Sequence[str]) -> str:
    """Take files' names out of a message: whoever sees the page need not know them."""
    for name in {one_line(name) for name in names} - {""}:
        parts = [re.escape(part) for part in re.split(r"[/\\]+", name) if part]
        whole = r"[/\\]+".join(parts)
        message = re.sub(rf"(?<!\w)(?:[A-Za-z]:)?[/\\].*?{whole}(?!\w)", "(image)", message)
        if "." in name or len(parts) > 1:
            message = re.sub(rf"(?<!\w){whole}(?!\w)", "(image)", message)
    return _PATH.sub("(file)", message)

"""The command `manifest`: all pairs or series of an archive that can be tracked, as a table."""

from __future__ import annotations

import csv
import hashlib
import itertools
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ...errors import MammoTrackerError
from ...output_folder import OutputFolder
from ...reading.lesions import POINT_MM
from ..readers.reviewed import NOT_THERE
from ..tables.cells import box_cells, path_cell, text_cell
from ..tables.columns import (
    BOX_COLUMNS,
    MANIFEST_COLUMNS,
    PAIRS,
    PRIOR_BOX_COLUMNS,
    SERIES,
    TRUTH_COLUMNS,
)
from ..tables.parquet import is_parquet
from .files import File, read_files, walk
from .inventory import Inventory
from .marks import ImageMark, Marks, check_tables
from .patients import write_patients
from .trackable import Image, choose_images, chosen_images, gather_images, reasons_of

if TYPE_CHECKING:
    from rich.console import Console

Exam = tuple[Image, dict[str, ImageMark], set[str]]
"""An exam of a breast in a view: its image, its lesions by their names, and the names of those that
are not on it, as a user said."""
Row = dict[str, object]
_NOT_THERE = {"present": "0", "decision": NOT_THERE}
"""As a reviewed table has it, which is how training knows that a reader looked for the lesion."""


def run_manifest(
    folder: Path,
    out: Path,
    console: Console,
    series: bool = False,
    boxes: Path | None = None,
    reports: bool = False,
    embed_tables: Path | None = None,
    workers: int = 1,
    resume: bool = False,
    patients: Path | None = None,
) -> None:
    """Write all pairs or series of an archive that can be tracked, and print what was left out.

    Headers are read by processes, and kept in a journal beside the manifest, with which an
    interrupted run goes on, and a later one reads only what is new. Memory does not grow with the
    archive.

    Parameters
    ----------
    folder
        The archive: a folder of DICOM files.
    out
        The manifest to write; `mammotracker batch` takes it.
    console
        Where the counts are printed.
    series
        Write series, else pairs: each marked exam with each other; without boxes, each exam with
        the next one.
    boxes, reports, embed_tables
        Where the lesions are from, at most one of them: a table, the structured reports in the
        archive, or the folder of EMBED's tables. With one of them, only what has a box is written.
    workers
        Number of processes that read headers.
    resume
        Go on with the journal, and replace the manifest.
    patients
        A table that says whose the running numbers are, for its owner's eyes only.

    Raises
    ------
    MammoTrackerError
        If the folder or a table cannot be read, the manifest cannot be written, was changed since
        it was written, or has no row.
    """
    if not os.path.isdir(folder):
        raise MammoTrackerError(f"{folder} is no folder: give the one that holds the archive.")
    if is_parquet(out):
        raise MammoTrackerError(f"A manifest is written as CSV: give {out} a name in .csv.")
    journal_path = out.with_name(f"{out.name}.journal")
    for path in (out, patients) if not resume else ():
        if path is not None and os.path.lexists(path):
            raise MammoTrackerError(
                f"{path} exists already: choose another name, or give --resume to read only what "
                "is new, and write it anew."
            )
    if resume and os.path.lexists(out) and not os.path.lexists(journal_path):
        raise MammoTrackerError(
            f"{out} exists already, without {journal_path.name}: choose another name."
        )
    if patients is not None and os.path.realpath(patients) == os.path.realpath(out):
        raise MammoTrackerError("Give --patients another name than --out: it is not for others.")
    check_tables(boxes, embed_tables)
    base = _base(folder, out)
    own = [out, journal_path, journal_path.with_name(journal_path.name + "-journal")]
    own += [patients] if patients else []
    with Inventory(journal_path, folder, resume) as inventory:
        _check_unchanged(out, inventory)
        left_out = _read_headers(inventory, folder, own, reports, workers)
        database = inventory.database
        gather_images(database)
        marks = Marks(database)
        has_marks = boxes is not None or reports or embed_tables is not None
        report_count = marks.add_reports() if reports else None
        if boxes is not None:
            marks.add_table(boxes, folder)
        if embed_tables is not None:
            marks.add_embed(embed_tables, folder, inventory.key)
        choose_images(database, has_marks)
        totals: Counter[str] = Counter()
        rows = _rows(database, marks, has_marks, series, base, totals)
        layout = SERIES if series else PAIRS
        columns = layout.manifest if series else (*MANIFEST_COLUMNS, *TRUTH_COLUMNS)
        columns = (*columns, *(_NOT_THERE if marks.has_absences and not series else ()))
        first = next(rows, None)
        if first is not None:
            _write(out, (*columns, "patient"), itertools.chain([first], rows), inventory)
        marks.count_unused()
        if patients is not None and first is not None:
            write_patients(patients, folder, database)
        left_out += reasons_of(database)
        _print_left_out(console, "Files that are not in it", left_out)
        if has_marks:
            _print_left_out(console, "Marks that are not in it", marks.left_out)
    if report_count is not None:
        print(f"{report_count} structured reports were read.")
    if marks.points:
        print(f"Around points, boxes of {POINT_MM:g} mm were put: {marks.points}.")
    if first is None:
        raise MammoTrackerError("There is nothing to track: see above what was left out.")
    what = "series" if series else "pairs"
    print(
        f"{totals['rows']} rows written to {out}: {totals['groups']} {what} of "
        f"{totals['patients']} patients, {totals['lesions']} lesions."
    )
    if not has_marks:
        names = BOX_COLUMNS if series else PRIOR_BOX_COLUMNS
        print(
            f"They have no boxes yet: fill {names[0]} to {names[-1]} before `mammotracker batch`."
        )


def _base(folder: Path, out: Path) -> str:
    """Return what comes before a path of the archive in the manifest."""
    home, place = os.path.realpath(out.parent), os.path.realpath(folder)
    try:
        base = os.path.relpath(place, home)
    except ValueError:  # on another disk of Windows
        base = place
    base = base.replace(os.sep, "/")
    if not base.isprintable():
        raise MammoTrackerError(
            f"The name of the folder {folder!a} cannot be in a table: give it another name."
        )
    return base


def _check_unchanged(out: Path, inventory: Inventory) -> None:
    """Refuse to replace a manifest that somebody has filled in."""
    if os.path.lexists(out):
        written = (inventory.get("written") or "").split()
        if not out.is_file() or _digest(out) not in written:
            raise MammoTrackerError(
                f"{out} was changed since it was written: choose another name for the new one."
            )


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()


def _read_headers(
    inventory: Inventory, folder: Path, own: Sequence[Path], with_marks: bool, workers: int
) -> Counter[str]:
    """Read what the inventory does not know yet; returns how many are no files to read, by why."""
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    left_out: Counter[str] = Counter()
    ours = {os.path.realpath(path) for path in own}

    def files() -> Iterator[File]:
        names = {path.name for path in own}
        for file in walk(folder, left_out):
            name = PurePosixPath(file.path).name
            if name in names and os.path.realpath(folder / file.path) in ours:
                continue
            yield file

    progress = Progress(
        TextColumn("{task.description}"),
        TextColumn("{task.completed} headers"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    with progress:
        bar = progress.add_task("Reading", total=None)
        unread = inventory.unread(files(), with_marks)
        for file, found in read_files(folder, unread, inventory.key, with_marks, workers):
            inventory.add(file, found)
            progress.advance(bar)
    inventory.finish_walk()
    return left_out


def _rows(
    database: sqlite3.Connection,
    marks: Marks,
    has_marks: bool,
    series: bool,
    base: str,
    totals: Counter[str],
) -> Iterator[Row]:
    """Yield the manifest's rows, those of one pair or series together, and count them."""
    make, id_column = _pair_rows, "pair_id"
    if series:
        make, id_column = partial(_series_rows, has_dates=marks.has_dates), "exam_group"
    for number, of_patient in groupby(chosen_images(database), lambda image: image.patient):
        marked = [(image, marks.on(image)) for image in of_patient]
        names = _names(marked, number, database)
        patient = f"p{number:06d}"
        groups = set()
        for (side, view), group in groupby(marked, lambda exam: (exam[0].side, exam[0].view)):
            together = list(group)
            lesions = {mark.lesion for _, found in together for mark in found}
            exams = []
            for image, found in together:
                known = {names[mark.lesion]: mark for mark in found}
                # A series has no way to say it.
                others = set() if series else lesions - {mark.lesion for mark in found}
                absent = {names[lesion] for lesion in marks.absent_from(image, others)}
                exams.append((image, known, absent))
            if series:
                _drop_points(exams, marks)
            for row in make(f"{patient}-{side}-{view}", exams, has_marks, base):
                totals["rows"] += 1
                groups.add(row[id_column])
                yield row | {"patient": patient}
        totals["groups"] += len(groups)
        totals["patients"] += bool(groups)
        totals["lesions"] += len(names)


def _drop_points(exams: Sequence[Exam], marks: Marks) -> None:
    """Leave out where a lesion is a mere point, if it has a size on another exam of its series.

    It would have grown from the box around the point. Of points alone the last one stays, as the
    mark from which the lesion is followed.
    """
    for lesion in dict.fromkeys(name for _, known, _ in exams for name in known):
        of_lesion = [known for _, known, _ in exams if lesion in known]
        sized = [known for known in of_lesion if not known[lesion].is_point]
        for known in of_lesion:
            if known[lesion].is_point and (sized or known is not of_lesion[-1]):
                known[lesion] = replace(known[lesion], box=None)
                marks.points -= 1
                marks.left_out["points of a lesion that is marked on another exam"] += 1


def _names(
    marked: Sequence[tuple[Image, list[ImageMark]]], patient: int, database: sqlite3.Connection
) -> dict[str, str]:
    """Give a patient's lesions their names: a user's own, else numbers that no user gave.

    A number stays with its lesion when others come, as decisions go by it.
    """
    keys = {}
    for image, found in marked:
        for mark in found:
            # A mark without a name is known by its place.
            place = f"#{image.path} {mark.box.as_tuple()}"
            keys.setdefault(mark.lesion, place if mark.lesion.startswith("#") else mark.lesion)
    names = {lesion: text_cell(lesion[1:]) for lesion in keys if lesion.startswith("=")}
    given = set(names.values())
    known = "SELECT lesion, name FROM lesion WHERE patient = ?"
    numbers = dict(database.execute(known, (patient,)))
    taken = given.union(numbers.values())
    free = (str(number) for number in itertools.count(1) if str(number) not in taken)
    for lesion, key in keys.items():
        if lesion not in names:
            names[lesion] = numbers.get(key, "")
            if not names[lesion] or names[lesion] in given:
                names[lesion] = next(free)
                new = (patient, key, names[lesion])
                database.execute("INSERT OR REPLACE INTO lesion VALUES (?, ?, ?)", new)
    return names


def _types(exams: Sequence[Exam]) -> dict[str, str]:
    """Return the lesions of some exams, each with its type where one of them says it."""
    types: dict[str, str] = {}
    for _, lesions, _ in exams:
        for lesion, mark in lesions.items():
            types[lesion] = types.get(lesion) or text_cell(mark.lesion_type)
    return types


def _pair_rows(name: str, exams: Sequence[Exam], has_marks: bool, base: str) -> Iterator[Row]:
    types = _types(exams)
    pairs = itertools.permutations(exams, 2) if has_marks else itertools.pairwise(exams)
    for (prior, lesions, _), (current, known, absent) in pairs:
        row = {
            "pair_id": f"{name}-{prior.exam}-{current.exam}",
            "prior": _cell(base, prior),
            "current": _cell(base, current),
        }
        if not has_marks:
            yield row | {"lesion_id": "1"}
        for lesion, mark in lesions.items():
            cells = row | {"lesion_id": lesion, "lesion_type": types[lesion]}
            cells |= box_cells(mark.box, PRIOR_BOX_COLUMNS)
            cells |= _NOT_THERE if lesion in absent else {}
            yield cells | (box_cells(known[lesion].box, TRUTH_COLUMNS) if lesion in known else {})


def _series_rows(
    name: str, exams: Sequence[Exam], has_marks: bool, base: str, has_dates: bool
) -> Iterator[Row]:
    types = _types(exams) if has_marks else {"1": ""}
    for lesion, lesion_type in types.items():
        for image, lesions, _ in exams:
            row = {
                "exam_group": name,
                "lesion_id": lesion,
                "exam": _cell(base, image),
                "date": image.date if has_dates else "",
                "lesion_type": lesion_type,
            }
            box = lesions[lesion].box if lesion in lesions else None
            yield row | (box_cells(box, BOX_COLUMNS) if box is not None else {})


def _cell(base: str, image: Image) -> str:
    return path_cell(str(PurePosixPath(base, image.path)))


def _write(out: Path, columns: Sequence[str], rows: Iterable[Row], inventory: Inventory) -> None:
    with OutputFolder(out.parent) as folder:
        part = folder / out.name
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        new, before = _digest(part), inventory.get("written") or ""
        inventory.set("written", f"{before} {new}")
    inventory.set("written", new)


def _print_left_out(console: Console, title: str, counts: Counter[str]) -> None:
    from rich.table import Table

    table = Table(title=title, header_style="bold", title_justify="left")
    table.add_column("count", justify="right")
    table.add_column("why")
    for reason, count in counts.most_common():
        if count:
            table.add_row(str(count), reason)
    if table.row_count:
        console.print(table)

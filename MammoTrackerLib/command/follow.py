"""The command `follow`: lesions of one exam on all the others, and how they grew."""

from __future__ import annotations

import datetime
import functools
import json
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ..box import Box
from ..errors import MammoTrackerError
from ..exams import Exam, Exams, check_count
from ..growth import DAYS_A_YEAR, growth
from ..mammogram import Mammogram, spacing_pair
from ..marked import MarkedLesion, follow_marked
from ..memory import keep_freed_memory
from ..orientation import UNTURNED, nearest_turn
from ..output_folder import OutputFolder
from ..pair import in_order, of_exam, one_image, series_problems
from ..reading import read_mammogram
from ..reading.geometry import Geometry
from ..reading.header import other_spacing
from ..reading.lesions import Lesion, LesionMarks, read_lesions
from ..tracker import LesionTracker
from .drawings.drawing import as_range
from .drawings.growth_plot import draw_growth
from .drawings.strip import Strip, answer, draw_strip, summary
from .history_files import LESION_FILES, history_as_json, is_own_history, write_history_csv
from .outputs import quiet_framework, track_as_markup
from .sr import FILE_NAME, check_files, write_sr
from .sr_groups import decisions_on
from .tables.cells import one_line, read_date

_MOST_IN_A_LINE = 8


def run_follow(
    paths: Sequence[Path],
    on: Path,
    boxes: Sequence[Box],
    lesions: Path | None,
    spacings: Sequence[float],
    dates: Sequence[str],
    out: Path,
    force: bool,
    report: bool,
    console: Console,
) -> None:
    """Follow lesions through exams, and write what is known about them into a folder.

    Parameters
    ----------
    paths
        The exams' files; they are followed in the order of their dates, and one without a date
        in its place among them.
    on
        Which of them the boxes, or a mask or .mrk.json file of lesions, are of.
    boxes, lesions
        The lesions: boxes in pixels, or a file that marks them (see `read_lesions`).
    spacings, dates
        Spacings in mm: one for all exams whose files do not say it, or one for each, which counts
        before the file's. Dates, YYYY-MM-DD: one for each; an empty text leaves the file's. Both
        may be empty.
    out
        The folder.
    force
        Go on though laterality or view differ.
    report
        Write a DICOM SR, too.
    console
        Where the results are shown.

    Raises
    ------
    MammoTrackerError
        If the input cannot be used, or the folder not be written.
    """
    keep_freed_memory()
    check_count(len(paths))
    readers = _readers(paths, spacings, dates)
    marked_as = _place(paths, on)
    if report:
        check_files(paths)
    with OutputFolder(out, LESION_FILES, is_own_history) as folder, quiet_framework():
        tracker = LesionTracker()
        given = [Exam.of(read(), tracker) for read in readers]
        order = in_order([exam.header.date for exam in given])
        if order != sorted(order):  # said first, since exams are counted so in errors, too
            print(say_order(order))
        exams = Exams(tracker, [given[k] for k in order])
        remarks = remarks_on(exams, force)
        on_exam = order.index(marked_as)
        found = [LesionMarks(Lesion(box, on_exam)) for box in boxes]
        if lesions is not None:
            read, said = _read_marks(lesions, exams, on_exam, paths[marked_as])
            found, remarks = found + read, remarks + said
        pointed = [marks.pointed for marks in found]
        firsts = [marks.first for marks in found]
        marked = [(_marked(marks), marks.first.lesion_type) for marks in found]
        strips = followed(exams, marked, force, pointed)
        remarks += _doubts(exams, {first.exam for first in firsts})
        years = years_since_first([exam.header.date for exam in exams])
        content = history_as_json(exams, years, order, strips, remarks)
        (folder / "history.json").write_text(json.dumps(content, indent=2) + "\n")
        write_history_csv(strips, years, folder / "history.csv")
        for k, exam in enumerate(exams):
            geometry = Geometry.of(paths[order[k]], exam.header)
            for number, strip in enumerate(strips, 1):
                markup = track_as_markup(number, strip.history.results[k].track, geometry)
                path = folder / f"lesion-{number}-exam-{k + 1}.mrk.json"
                path.write_text(json.dumps(markup, indent=2) + "\n")
        upright = firsts[0].exam
        turns = [
            nearest_turn(exams.alignment(upright, k).matrix) if k != upright else UNTURNED
            for k in range(len(exams))
        ]
        sorted_readers = [readers[k] for k in order]
        pictures = as_range(draw_strip(sorted_readers, strips, years, turns, folder / "strip.png"))
        draw_growth(strips, years, folder / "growth.png")
        if report:
            write_sr(
                folder / FILE_NAME,
                [paths[k] for k in order],
                [exam.header for exam in exams],
                [strip.history for strip in strips],
                [first.tracking for first in firsts],
                [first.lesion_type for first in firsts],
                decisions_on((k, mark) for k, marks in enumerate(found) for mark in marks.placed),
                pointed,
            )
    for remark in remarks:
        print(f"Warning: {remark}", file=sys.stderr)
    _print_strips(console, strips)
    print(
        f"Written to {one_line(str(out))}: history.json, history.csv, {pictures}, growth.png, "
        f"lesion-N-exam-K.mrk.json for 3D Slicer{f', {FILE_NAME}' if report else ''}."
    )


def remarks_on(exams: Exams, force: bool) -> list[str]:
    """Say what may be wrong with a series or was guessed of its files.

    Raises
    ------
    MammoTrackerError
        If laterality or view differ, unless it is forced.
    """
    problems = series_problems([exam.header for exam in exams])
    for problem in problems:
        if problem.blocks and not force:
            raise MammoTrackerError(problem.message)
    remarks = [problem.message for problem in problems]
    seen: dict[bytes, int] = {}
    for number, exam in enumerate(exams, 1):
        first = seen.setdefault(exam.reduced.image.tobytes(), number)
        if first != number and one_image(first, number) not in remarks:
            remarks.append(one_image(first, number))
    return remarks + [text for n, e in enumerate(exams, 1) for text in of_exam(n, e.remarks)]


def _doubts(exams: Exams, marked: Collection[int]) -> list[str]:
    """Say what is implausible about the registration of exams with those that lesions are on."""
    return [
        f"From exam {source + 1} to exam {k + 1}: {text}"
        for source in sorted(marked)
        for k in range(len(exams))
        if k != source
        for text in exams.alignment(source, k).warnings
    ]


def followed(
    exams: Exams,
    lesions: Sequence[tuple[MarkedLesion, str]],
    force: bool,
    pointed: Sequence[Collection[int]] = (),
) -> list[Strip]:
    """Follow and measure lesions, each with its type where known; in order.

    `pointed` are, for each, the exams that `growth` calls so.
    """
    histories = dict(follow_marked(exams, [lesion for lesion, _ in lesions], force))
    spacings = [exam.spacing for exam in exams]
    dates = [exam.header.date for exam in exams]
    repeatability = exams.tracker.repeatability
    grown = [
        growth(
            histories[k], spacings, dates, repeatability, lesion_type,
            pointed[k] if pointed else (),
        )
        for k, (_, lesion_type) in enumerate(lesions)
    ]  # fmt: skip
    return [Strip(histories[k], one) for k, one in enumerate(grown)]


def say_order(order: Sequence[int]) -> str:
    """Return the sentence for the user on how exams, as they were given, are counted."""
    shown = " ".join(str(k + 1) for k in order)
    return f"In the order of their dates, the exams are, as given: {shown}."


def years_since_first(dates: Sequence[datetime.date | None]) -> list[float | None]:
    """Return the years since the first exam; None where its date or the first one is unknown."""
    first = dates[0]
    return [None if None in (first, date) else (date - first).days / DAYS_A_YEAR for date in dates]


def read_exam(
    path: Path, spacing: float | None, date: datetime.date | None, is_for_all: bool = False
) -> Mammogram:
    """Read an exam; a date that is given counts before the file's, and so does a spacing.

    A spacing for all exams counts where the file says none.
    """
    read = _read_with_own_spacing if is_for_all else Mammogram.read
    mammogram = read(path, spacing)
    if date in (None, mammogram.date):
        return mammogram
    remarks = mammogram.remarks
    if mammogram.date is not None:
        remarks += ("The file has another date than the one that was given, which counts.",)
    return replace(mammogram, date=date, remarks=remarks)


def _read_with_own_spacing(path: Path, otherwise: float) -> Mammogram:
    mammogram = read_mammogram(path, None, otherwise)
    if not other_spacing(spacing_pair(otherwise), mammogram.spacing):
        return mammogram
    remark = (
        "The file says how large its pixels are, and not as the spacing for all exams, which was "
        "not used here: give one for each exam to overrule the files."
    )
    return replace(mammogram, remarks=(*mammogram.remarks, remark))


def _readers(
    paths: Sequence[Path], spacings: Sequence[float], dates: Sequence[str]
) -> list[Callable[[], Mammogram]]:
    if len(spacings) not in (0, 1, len(paths)):
        raise MammoTrackerError(
            f"There are {len(paths)} exams, but {len(spacings)} numbers after --spacing: give one "
            "for all of them, or one for each."
        )
    if len(dates) not in (0, len(paths)):
        raise MammoTrackerError(
            f"There are {len(paths)} exams, but {len(dates)} dates after --dates: give one for "
            "each, in the exams' order."
        )
    known = [_date_of(k, text) for k, text in enumerate(dates, 1)] or [None] * len(paths)
    is_for_all = len(spacings) == 1
    sides = list(spacings) * (len(paths) if is_for_all else 1) or [None] * len(paths)
    return [
        functools.partial(read_exam, *values, is_for_all)
        for values in zip(paths, sides, known, strict=True)
    ]


def _date_of(exam: int, text: str) -> datetime.date | None:
    try:
        return read_date(text)
    except MammoTrackerError:
        raise MammoTrackerError(
            f"What --dates says of exam {exam}, as given, is no date: give it as YYYY-MM-DD."
        ) from None


def _place(paths: Sequence[Path], on: Path) -> int:
    """Return which of the exams a path is."""
    same = [k for k, path in enumerate(paths) if path == on]
    same = same or [k for k, path in enumerate(paths) if path.absolute() == on.absolute()]
    if len(same) != 1:
        raise MammoTrackerError(
            "Give as --on the file of one of the exams, as it stands among them."
        )
    return same[0]


def _read_marks(
    path: Path, exams: Exams, on_exam: int, on_path: Path
) -> tuple[list[LesionMarks], list[str]]:
    """Read lesions, and remarks. One that is marked on several exams is one lesion."""
    headers = [exam.header for exam in exams]
    file = read_lesions(path, headers, on_exam, Geometry.of(on_path, headers[on_exam]))
    found, remarks = file.joined()
    return found, [*file.remarks, *remarks]


def _marked(marks: LesionMarks) -> MarkedLesion:
    decided = {exam: mark and mark.box for exam, mark in marks.others.items()}
    return MarkedLesion(marks.first.exam, marks.first.box, decided)


def _print_strips(console: Console, strips: Sequence[Strip]) -> None:
    """Print a row a lesion or, of more exams than a line can show, a row a lesion and exam."""
    count = len(strips[0].history.results)
    is_wide = count <= _MOST_IN_A_LINE
    names = [f"exam {number}" for number in range(1, count + 1)] if is_wide else ["exam", "answer"]
    table = Table("lesion", *names, "what became of it", header_style="bold")
    for number, strip in enumerate(strips, 1):
        cells = _cells(strip)
        if is_wide:
            table.add_row(str(number), *("\n".join(cell) for cell in cells), summary(strip))
            continue
        for k, cell in enumerate(cells, 1):
            said = summary(strip) if k == 1 else ""
            table.add_row(str(number), str(k), ", ".join(cell), said, end_section=k == count)
    console.print(table)


def _cells(strip: Strip) -> list[list[str]]:
    """Return in words the answer on each exam and, where there is one, its size."""
    return [
        [answer(strip, k)] + ([] if size is None else [f"{size.longest_mm:.1f} mm"])
        for k, size in enumerate(strip.growth.sizes)
    ]

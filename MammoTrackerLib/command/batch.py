"""Many pairs: a table of lesions in, a table of results out."""

from __future__ import annotations

import csv
import functools
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..box import Box
from ..errors import MammoTrackerError
from ..global_search import Alignment, align
from ..mammogram import Mammogram
from ..output_folder import cannot_write
from ..pair import check_pair
from ..tracker import LesionTracker
from .outputs import quiet_framework

MANIFEST_COLUMNS = (
    "pair_id",
    "lesion_id",
    "prior",
    "current",
    "prior_spacing_mm",
    "current_spacing_mm",
    "lesion_type",
    "prior_x0",
    "prior_y0",
    "prior_x1",
    "prior_y1",
)
TRUTH_COLUMNS = ("current_x0", "current_y0", "current_x1", "current_y1")
BOX_COLUMNS = ("x0", "y0", "x1", "y1")
REGISTRATION_COLUMNS = tuple(f"registration_{name}" for name in BOX_COLUMNS)
RESULT_COLUMNS = (
    "pair_id",
    "lesion_id",
    "status",
    *BOX_COLUMNS,
    "score",
    *REGISTRATION_COLUMNS,
    "seconds",
    "message",
)
FAILED = "failed"


def run_batch(manifest: Path, out: Path, resume: bool = False, force: bool = False) -> None:
    """Track every lesion of a table, and write a row of results for each, in order.

    Rows are written as they are done, and only two pairs are in memory, so that tables may
    be of any length. A row that fails says why in its ``message``, and the rest go on. With
    status "not found", the box is only the best guess.

    Parameters
    ----------
    manifest
        Table with `MANIFEST_COLUMNS`; paths in it are relative to it.
    out
        The table to write, with `RESULT_COLUMNS`.
    resume
        Go on with the results of an interrupted run.
    force
        Track although laterality or view differ.

    Raises
    ------
    MammoTrackerError
        If the manifest cannot be read, lacks columns, or the results exist already, belong
        to another table, or cannot be written.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    total = sum(1 for _ in read_rows(manifest, MANIFEST_COLUMNS))
    done = _rows_done(manifest, out, resume)
    tracker = LesionTracker()
    if done != total:
        with quiet_framework():
            tracker.load()
    find = _row_tracker(tracker, manifest.parent, force)
    failed = 0
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    try:
        with out.open("a", newline="", encoding="utf-8") as file, progress:
            writer = csv.DictWriter(file, RESULT_COLUMNS, lineterminator="\n")
            if done is None:
                writer.writeheader()
            bar = progress.add_task("Tracking", total=total, completed=done or 0)
            for number, row in enumerate(read_rows(manifest, MANIFEST_COLUMNS)):
                if number < (done or 0):
                    continue
                result = find(row)
                failed += result["status"] == FAILED
                writer.writerow(result)
                file.flush()
                progress.advance(bar)
    except OSError as error:
        raise cannot_write(out, error) from None
    written = total - (done or 0)
    kept = f", {done} kept from before" if done else ""
    print(f"{written} rows written to {out} ({failed} failed{kept}).")


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """Read a table row by row; a missing cell is an empty text."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise MammoTrackerError(
                    f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}: "
                    "give a comma-separated table with a header line."
                )
            for row in reader:
                yield {name: value.strip() for name, value in row.items() if name is not None}
    except FileNotFoundError:
        raise MammoTrackerError(f"There is no file {path}.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "it is not a comma-separated text in UTF-8"
        raise MammoTrackerError(f"Cannot read {path}: {reason}.") from None


def _rows_done(manifest: Path, out: Path, resume: bool) -> int | None:
    """Count the rows of an interrupted run, after cutting off a line that was not finished.

    Returns None if there is no results file to go on with.
    """
    if not out.exists():
        _check_can_write(out)
        return None
    if not resume:
        raise MammoTrackerError(
            f"{out} exists already: go on with it by --resume, or choose another name."
        )
    try:
        with out.open("rb+") as file:
            end = file.seek(0, os.SEEK_END)
            while end > 0:
                start = max(0, end - 65536)
                file.seek(start)
                newline = file.read(end - start).rfind(b"\n")
                if newline >= 0:
                    end = start + newline + 1
                    break
                end = start
            file.seek(0)
            header = ",".join(RESULT_COLUMNS).encode() + b"\n"
            start = file.read(len(header))
            if start != header and not (end == 0 and header.startswith(start)):
                raise MammoTrackerError(
                    f"{out} is not a results file of `mammotracker batch`: choose another name."
                )
            file.truncate(end)
    except OSError as error:
        raise cannot_write(out, error) from None
    if end == 0:
        return None
    done = 0
    rows = read_rows(manifest, MANIFEST_COLUMNS)
    for result in read_rows(out, RESULT_COLUMNS):
        row = next(rows, None)
        if row is None or any(
            one_line(row[name]) != result[name] for name in ("pair_id", "lesion_id")
        ):
            raise MammoTrackerError(
                f"{out} does not belong to {manifest}: its row {done + 1} is another one. "
                "Choose another name for the results."
            )
        done += 1
    return done


def _check_can_write(out: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise cannot_write(out, error) from None


def _row_tracker(
    tracker: LesionTracker, folder: Path, force: bool
) -> Callable[[dict[str, str]], dict[str, object]]:
    """Make the function that turns a row of the manifest into a row of results.

    It keeps the last two pairs, read and aligned, so that memory does not grow.
    """

    @functools.lru_cache(maxsize=2)
    def pair(
        prior_name: str, current_name: str, prior_spacing: str, current_spacing: str
    ) -> tuple[Mammogram, Mammogram, Alignment]:
        prior = Mammogram.read(folder / prior_name, read_spacing(prior_spacing))
        current = Mammogram.read(folder / current_name, read_spacing(current_spacing))
        if not force:
            check_pair(prior, current)
        return prior, current, align(prior, current)

    def find(row: dict[str, str]) -> dict[str, object]:
        start = time.perf_counter()
        result: dict[str, object] = {name: one_line(row[name]) for name in ("pair_id", "lesion_id")}
        try:
            box = read_box(row, [f"prior_{name}" for name in BOX_COLUMNS])
            if box is None:
                raise MammoTrackerError("The row has no box: fill prior_x0 to prior_y1.")
            for name in ("prior", "current"):
                if not row[name]:
                    raise MammoTrackerError(f"The row has no file in the column {name}.")
            prior, current, alignment = pair(
                row["prior"], row["current"], row["prior_spacing_mm"], row["current_spacing_mm"]
            )
            (track,) = tracker.track(prior, current, [box], alignment, force=force)
            result |= {
                "status": track.status.value,
                "score": f"{track.score:.4f}",
                "message": one_line(" ".join((track.reason, *alignment.warnings))),
            }
            result |= _rounded(BOX_COLUMNS, track.box)
            result |= _rounded(REGISTRATION_COLUMNS, track.registration_box)
        except MammoTrackerError as error:
            result |= {"status": FAILED, "message": one_line(str(error))}
        except Exception as error:  # one damaged file must not end a run of days
            result |= {
                "status": FAILED,
                "message": f"Unexpected {type(error).__name__}: run `mammotracker track` on "
                "this row's pair to see where.",
            }
        result["seconds"] = f"{time.perf_counter() - start:.3f}"
        return result

    return find


def read_spacing(text: str) -> float | None:
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise MammoTrackerError(
            f"The spacing {text!r} is no number: give mm, or leave the cell empty."
        ) from None


def read_box(row: dict[str, str], columns: Sequence[str]) -> Box | None:
    """Read a box from four cells; None if all are missing or empty."""
    cells = [row.get(name, "") for name in columns]
    if not any(cells):
        return None
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError:
        raise MammoTrackerError(
            f"{columns[0]} to {columns[-1]} are {', '.join(cells)}: give four numbers."
        ) from None
    return Box(*numbers)


def _rounded(columns: Sequence[str], box: Box) -> dict[str, str]:
    return {name: f"{value:.3f}" for name, value in zip(columns, box.as_tuple(), strict=True)}


def one_line(text: str) -> str:
    return " ".join(text.split())

"""Many pairs or series: a table of lesions in, one of results out, and how an ended run goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ...errors import MammoTrackerError
from ..tables.cells import failed_row
from ..tables.columns import Layout
from ..tables.fingerprints import fingerprints
from ..tables.parquet import csv_of, is_parquet, pack, require_pyarrow, unpack
from ..tables.rows import layout_of, read_groups
from .cluster import connected, require_distributed, track_manifest
from .results import Journal, Note, OtherRows, Results, journal_of
from .rows import RowProcess
from .take_over import take_over

DEATHS = 2
"""How often the program may die while it works on a row, before that row is failed."""


def run_batch(
    manifest: Path,
    out: Path,
    resume: bool = False,
    force: bool = False,
    workers: int = 1,
    scheduler: str = "",
) -> None:
    """Track every lesion of a table, and write a row of results for each, in order.

    Rows are written as they are done, and each process has only two pairs in memory, so that
    tables may be of any length. A row that fails says why in its ``message``, and the rest go on;
    so does one that ends the process in which it is read. With status "not found", the box is
    only the best guess.

    Parameters
    ----------
    manifest
        Table with the columns of `PAIRS` or of `SERIES`; paths in it are relative to it.
    out
        The table to write, as Parquet if its name ends so, else as CSV. While a run writes it, it
        is locked.
    resume
        Go on with the results of an interrupted run.
    force
        Track although laterality or view differ.
    workers
        How many processes track side by side; 0 for as many as the machine has cores and memory
        for. One needs no Dask.
    scheduler
        Instead, the address of a scheduler of Dask, whose workers track.

    Raises
    ------
    MammoTrackerError
        If the manifest cannot be read, lacks columns, or the results exist already, belong
        to another table, are written by another run, or cannot be written; or if the workers
        cannot be had.
    """
    is_alone = workers == 1 and not scheduler
    if not is_alone:
        require_distributed()
    layout = layout_of(manifest)
    total = sum(1 for _ in read_groups(manifest, layout))
    table = out
    if is_parquet(out):
        require_pyarrow()
        table = csv_of(out)
        if os.path.isfile(out) and not resume:
            raise MammoTrackerError(
                f"{out} exists already: go on with it by --resume, or choose another name."
            )
        if os.path.isfile(out) and not os.path.lexists(table):
            unpack(out, table, layout)
    fingerprint = fingerprints(manifest.parent, force)
    console = Console(stderr=True)
    with Results(table, resume, layout) as results:
        say = partial(console.print, soft_wrap=True, highlight=False, markup=False)
        note = Note(table)
        try:
            done = results.rows_of(manifest, fingerprint)
        except OtherRows as problem:
            say(take_over(results, table, manifest, layout, fingerprint, problem))
            done = 0
            note.remove()  # which numbers the rows as they were
        with ExitStack() as stack:
            progress = _progress(console)
            bar = progress.add_task("Tracking", total=total, completed=done)
            journal = stack.enter_context(Journal(results, table, done, layout))

            def advance() -> None:
                progress.update(bar, completed=done + journal.kept + journal.written)

            if is_alone:
                stack.enter_context(progress)
                _track_here(manifest, layout, force, results, note, journal, advance)
            else:
                client = stack.enter_context(connected(workers, scheduler, say))
                stack.enter_context(progress)
                track_manifest(client, manifest, layout, force, journal, advance)
            kept = done + journal.kept
        if table is not out:
            pack(table, out, layout)
    with suppress(OSError):
        journal_of(table).unlink(missing_ok=True)
        if table is not out:
            table.unlink()
    of_before = f", {kept} kept from before" if kept else ""
    print(f"{journal.written} rows written to {out} ({journal.failed} failed{of_before}).")
    if journal.failed:
        print("Their messages in that table say why.")


def _track_here(
    manifest: Path,
    layout: Layout,
    force: bool,
    results: Results,
    note: Note,
    journal: Journal,
    advance: Callable[[], None],
) -> None:
    """Track row by row in one process."""
    fingerprint = fingerprints(manifest.parent, force)
    done, deaths = journal.next_row, None
    with ExitStack() as stack:
        rows = RowProcess(manifest.parent, force)
        stack.callback(rows.close)
        stack.callback(note.remove)
        for number, (row, group) in enumerate(read_groups(manifest, layout)):
            if number < done or journal.recalls([(number, row)], group, fingerprint):
                advance()
                continue
            made_from = fingerprint(row, group)
            tries = 0
            if deaths is None:  # the first row of this run may be the one at which another died
                tries = deaths = 0 if results.is_new else note.deaths(number)
            if tries >= DEATHS:
                result = failed_row(
                    row,
                    f"The process died while this row was worked on, {DEATHS} times: a file "
                    "may be damaged, or memory ran out. Track it alone to see.",
                    0.0,
                )
            else:
                note.write(number, tries + 1)
                result = rows.find(row, group)
            journal.write(number, [result | {"fingerprint": made_from}])
            advance()


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} rows/s" if task.speed else "")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )

"""Many pairs or series: a table of lesions in, one of results out, and how an ended run goes on."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from .results import Note, Results, fingerprints
from .rows import RowProcess
from .tables import FAILED, failed_row, layout_of, read_groups, read_rows

DEATHS = 2
"""How often the program may die while it works on a row, before that row is failed."""


def run_batch(manifest: Path, out: Path, resume: bool = False, force: bool = False) -> None:
    """Track every lesion of a table, and write a row of results for each, in order.

    Rows are written as they are done, and only two pairs are in memory, so that tables may
    be of any length. A row that fails says why in its ``message``, and the rest go on; so does
    one that ends the process in which it is read. With status "not found", the box is only the
    best guess.

    Parameters
    ----------
    manifest
        Table with the columns of `tables.PAIRS` or `tables.SERIES`; paths in it are relative to it.
    out
        The table to write. While a run writes it, it is locked.
    resume
        Go on with the results of an interrupted run.
    force
        Track although laterality or view differ.

    Raises
    ------
    MammoTrackerError
        If the manifest cannot be read, lacks columns, or the results exist already, belong
        to another table, are written by another run, or cannot be written.
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

    layout = layout_of(manifest)
    total = sum(1 for _ in read_rows(manifest, layout.manifest))
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    fingerprint = fingerprints(manifest.parent, force)
    failed = written = 0
    with Results(out, resume, layout) as results:
        done = results.rows_of(manifest, fingerprint)
        note = Note(out)
        deaths = 0 if results.is_new else note.deaths(done)
        with ExitStack() as stack:
            rows = RowProcess(manifest.parent, force)
            stack.callback(rows.close)
            stack.callback(note.remove)
            stack.enter_context(progress)
            bar = progress.add_task("Tracking", total=total, completed=done)
            for number, (row, group) in enumerate(read_groups(manifest, layout)):
                if number < done:
                    continue
                made_from = fingerprint(row, group)
                if number == done and deaths >= DEATHS:
                    result = failed_row(
                        row,
                        f"The process died while this row was worked on, {DEATHS} times: a file "
                        "may be damaged, or memory ran out. Track it alone to see.",
                        0.0,
                    )
                else:
                    note.write(number, deaths + 1 if number == done else 1)
                    result = rows.find(row, group)
                results.write(result | {"fingerprint": made_from})
                failed += result["status"] == FAILED
                written += 1
                progress.advance(bar)
    kept = f", {done} kept from before" if done else ""
    print(f"{written} rows written to {out} ({failed} failed{kept}).")

"""The report: a page that shows a table of results, each lesion with its picture."""

from __future__ import annotations

import base64
import datetime
import hashlib
import html
import json
import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TextIO

from ... import __version__
from ...errors import MammoTrackerError
from ...output_folder import cannot_write
from ...temporary import lock
from ..tables.cells import one_line
from ..tables.columns import SERIES
from ..tables.rows import layout_of
from .pictures import TILE, shown_by
from .rows import COLUMNS, PICTURES, page_rows, read_entries

PAGE = "index.html"
_OWN_PAGE = "<!doctype html>\n<!-- MammoTracker report -->\n"
_OWN_PICTURE = re.compile(r"[0-9a-f]{20}\.(jpg|part)")


def run_report(results: Path, manifest: Path | None, out: Path) -> None:
    """Write a folder with a page that shows results; it needs neither a server nor a network.

    Pictures stay when the program is ended, and the next run goes on; the page is written last.
    Only what an earlier run wrote is replaced or removed.

    Parameters
    ----------
    results
        What `mammotracker batch` wrote, also while it is still at work.
    manifest
        Its table, which says where the images are; None for a report without pictures, shifts and
        changes of size.
    out
        The folder.

    Raises
    ------
    MammoTrackerError
        If a table cannot be read, they do not belong together (see `Answers`), the folder
        cannot be written, holds an ``index.html`` of somebody else, or another run is writing it.
    """
    layout = layout_of(results)
    entries, left, unused = read_entries(results, manifest, layout)
    folder = Path() if manifest is None else manifest.parent
    about = {
        "made": datetime.date.today().isoformat(),
        "version": __version__,
        "series": layout is SERIES,
        "pictures": manifest is not None,
        "left": left,
        "tile": TILE,
    }
    page, part = out / PAGE, out / f"{PAGE}.part"
    _check_free(page)
    _check_free(part)
    count, kept = 0, set()
    is_new = not os.path.exists(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with (
            _own_file(part) as file,
            closing(page_rows(entries, folder, layout, out)) as rows,
        ):
            before, after = _frame(about)
            file.write(before)
            for row in _with_progress(rows, len(entries)):
                file.write((",\n" if count else "\n") + _json(row))
                count += 1
                kept.add(row[COLUMNS.index("picture")])
            file.write(after)
        os.replace(part, page)
    except OSError as error:
        raise cannot_write(out, error) from None
    finally:
        if is_new:
            with suppress(OSError):
                out.rmdir()  # which only does it if there is nothing in it
    kept.discard("")
    _remove_outdated(out, kept)
    what = "lesions on exams" if layout is SERIES else "lesions"
    print(f"{one_line(str(page))}: {count} {what}, {len(kept)} pictures.")
    if left:
        print(f"{left} rows of the manifest have no result yet.")
    if unused:
        print(
            f"{unused} rows of the results were left out, because the manifest does not have them."
        )


@contextmanager
def _own_file(path: Path) -> Iterator[TextIO]:
    """Open a file for this run alone; it stays if the block ends without an error.

    Raises
    ------
    MammoTrackerError
        If another run has it.
    """
    with path.open("a+", encoding="utf-8", newline="\n") as file:
        if lock(file.buffer) is False:
            raise MammoTrackerError(
                f"Another run is writing {path.parent}: wait until it is done, or choose another "
                "folder."
            )
        file.truncate(0)
        try:
            yield file
        except BaseException:
            if os.name != "nt":  # first, as nobody else may open it meanwhile
                path.unlink()
            raise


def _check_free(page: Path) -> None:
    """Refuse to replace what no run of this command wrote."""
    if not os.path.lexists(page):
        return
    with suppress(OSError, ValueError):
        if page.is_file():
            with page.open(encoding="utf-8", newline="") as file:
                if file.read(len(_OWN_PAGE)) in ("", _OWN_PAGE):
                    return
    raise MammoTrackerError(
        f"{page} is no report of an earlier run: move it away, or choose another folder."
    )


def _with_progress(rows: Iterator[list], total: int) -> Iterator[list]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("Drawing", total=total)
        for row in rows:
            yield row
            progress.advance(bar)
        progress.update(bar, completed=total)  # the exams that are marked have no card


def _frame(about: dict) -> tuple[str, str]:
    """Return what comes before and after the rows in the page.

    Style and programs are in the page itself and known by their hash: the page's policy lets
    nothing else run or load, whatever a table holds.
    """
    here = Path(__file__).parent / "page_files"
    page = (here / PAGE).read_text(encoding="utf-8")
    for name in ("report.css", "charts.js", "cards.js", "report.js"):
        text = "\n" + (here / name).read_text(encoding="utf-8")
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        page = page.replace(f"{{{{hash of {name}}}}}", f"'sha256-{digest}'")
        page = page.replace(f"{{{{{name}}}}}", text)
    page = page.replace("{{version}}", html.escape(__version__))
    data = f'{{"about": {_json(about)},\n"columns": {_json(COLUMNS)},\n"rows": ['
    before, after = page.split("{{data}}")
    return _OWN_PAGE + before + data, "\n]}" + after


def _json(value: object) -> str:
    """Write JSON that no text in it can leave: it stands in the page's HTML."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return re.sub("[<>&]", lambda match: f"\\u{ord(match[0]):04x}", text)


def _remove_outdated(out: Path, kept: set[str]) -> None:
    """Remove pictures of earlier runs that the page does not show."""
    for file in (out / PICTURES).glob("[0-9][0-9][0-9][0-9]*/*"):
        name = file.relative_to(out).as_posix()
        if name in kept or not _OWN_PICTURE.fullmatch(file.name):
            continue
        with suppress(OSError):
            if file.suffix == ".part" or shown_by(file) is not None:
                file.unlink()
                file.parent.rmdir()  # which only does it if there is nothing in it

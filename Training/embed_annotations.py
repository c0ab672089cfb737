"""Annotations of lesions on EMBED's images: a table of one's own, or what readers reviewed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from MammoTrackerLib.box import Box
from MammoTrackerLib.command.readers.reviewed import REVIEWED_COLUMNS
from MammoTrackerLib.command.tables.cells import is_present, read_box
from MammoTrackerLib.command.tables.columns import PRIOR_BOX_COLUMNS, TRUTH_COLUMNS
from MammoTrackerLib.command.tables.rows import Row, read_rows
from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.reading.embed import LESION_TYPES, Unusable, image_key

ANNOTATION_COLUMNS = "case image lesion_type layout x0 y0 x1 y1 roi".split()
SKIPPED_COLUMNS = ("table", "row", "image", "reason", "detail")
LAYOUTS = ("dicom", "embed_png")


class Skipped(list):
    """The rows that were not used, each in the order of `SKIPPED_COLUMNS`."""

    def add(self, table: str, row: int, image: str, reason: str, detail: str = "") -> None:
        self.append((table, row, image, reason, detail))


@dataclass(frozen=True)
class Annotation:
    """One lesion on one image: a row of the annotations table, or a ROI of EMBED's."""

    table: str
    row: int
    case: str
    key: str
    box: tuple[float, ...] | None  # (x0, y0, x1, y1); None: the image's own ROI
    layout: str = "embed_png"
    roi: int | None = None  # which one, from 1
    lesion_type: str = ""


def read_annotations(path: Path, skipped: Skipped) -> list[Annotation]:
    """Read a table with `ANNOTATION_COLUMNS`, or a reviewed one; adds to `skipped`.

    Raises
    ------
    MammoTrackerError
        If it cannot be read, or lacks columns.
    """
    if not path.exists():
        raise MammoTrackerError(
            f"There is no file {path}: give your own table as --annotations, and the folder of "
            "EMBED's as --tables."
        )
    if _is_reviewed(path):
        return _read_reviewed(path, skipped)
    annotations: dict[tuple[str, str], Annotation] = {}
    for cells in read_rows(path, ANNOTATION_COLUMNS):
        try:
            item = _annotation(cells)
            if (item.case, item.key) in annotations:
                raise Unusable("second row of one case on one image", item.case)
            annotations[item.case, item.key] = item
        except Unusable as problem:
            skipped.add("annotations", cells.line, image_key(cells["image"]), *problem.args)
    return list(annotations.values())


def _annotation(cells: Row) -> Annotation:
    case, key, kind = cells["case"], image_key(cells["image"]), cells["lesion_type"]
    if not case or not key:
        raise Unusable("no case or no image", "")
    if kind not in ("", *LESION_TYPES):
        raise Unusable("unknown lesion type", kind)
    corners = [cells[name] for name in ("x0", "y0", "x1", "y1")]
    try:
        if not any(corners):
            roi = int(cells["roi"]) if cells["roi"] else None
            return Annotation("annotations", cells.line, case, key, None, "embed_png", roi, kind)
        box = Box(*(float(corner) for corner in corners)).as_tuple()
    except (ValueError, MammoTrackerError):
        raise Unusable("malformed box or roi", " ".join((*corners, cells["roi"]))) from None
    if cells["layout"] not in LAYOUTS:
        raise Unusable("unknown layout", cells["layout"])
    return Annotation("annotations", cells.line, case, key, box, cells["layout"], None, kind)


def _is_reviewed(path: Path) -> bool:
    try:
        next(read_rows(path, ("pair_id", "prior", "current", "decision")), None)
    except MammoTrackerError:
        return False  # reading it says what is wrong
    return True


def _read_reviewed(path: Path, skipped: Skipped) -> list[Annotation]:
    """Read what readers decided: the lesion's box on the prior, and on the current if it is there.

    A case is a lesion of a patient. Where several rows have the same image, what was marked there
    counts before what was only found again.
    """
    marked: dict[tuple[str, str], Annotation] = {}
    found: dict[tuple[str, str], Annotation] = {}
    for row in read_rows(path, REVIEWED_COLUMNS):
        key = _key(path, row["prior"])
        try:
            for items, item in zip((marked, found), _of_row(path, row), strict=False):
                known = items.setdefault((item.case, item.key), item)
                if known.box != item.box:
                    skipped.add("annotations", row.line, item.key,
                                "another box of one case on one image", item.case)  # fmt: skip
        except Unusable as problem:
            skipped.add("annotations", row.line, key, *problem.args)
    return list((found | marked).values())


def _of_row(path: Path, row: Row) -> Iterator[Annotation]:
    """Yield what is known of a reviewed lesion: on its prior, then on its current."""
    case = f"{row['patient'] or row['pair_id']}-{row['lesion_id']}"
    kind = row["lesion_type"] if row["lesion_type"] in LESION_TYPES else ""
    if not row["prior"] or not row["current"]:
        raise Unusable("no case or no image", "")
    try:
        is_there = is_present(row)
        boxes = read_box(row, PRIOR_BOX_COLUMNS), read_box(row, TRUTH_COLUMNS)
    except MammoTrackerError as error:
        raise Unusable("malformed box or roi", str(error)) from None
    if boxes[0] is None:
        raise Unusable("no box on the prior", case)
    if is_there and boxes[1] is None:
        raise Unusable("the reader did not say where it is", case)
    for exam, box in zip(("prior", "current"), boxes if is_there else boxes[:1], strict=False):
        yield Annotation(
            "annotations", row.line, case, _key(path, row[exam]), box.as_tuple(), "dicom", None,
            kind,
        )  # fmt: skip


def _key(path: Path, image: str) -> str:
    """Return an image's path from the cohort's folder on; in the table it is relative to that."""
    return image_key(os.path.abspath(path.parent / image))

"""Boxes of lesions in an archive: of its structured reports, of a table, or of EMBED's tables."""

from __future__ import annotations

import itertools
import json
import os
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ...box import Box
from ...errors import MammoTrackerError
from ...pair import check_box_on
from ...reading import embed
from ...reading.archive import digest
from ...reading.lesions import LEFT_OUT, mark_box
from ..tables.cells import read_box
from ..tables.columns import BOX_COLUMNS
from ..tables.rows import Row, read_rows
from .trackable import REPORT, Image

_PREDICTED = "predicted by MammoTracker itself"
_OFF = "outside of their image, or of a size that no lesion has"
_WITHOUT_BOX = "rows without a box"
_ABSENCE = "that say that the lesion is not there"
_OF_REPORTS = (
    "SELECT uid, marks, left_out, absences FROM file WHERE is_report AND reason = ? ORDER BY path"
)
_INSERT = "INSERT INTO mark VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True)
class ImageMark:
    """A lesion on an image.

    Attributes
    ----------
    lesion
        The same on all images of a lesion of one patient; begins with = if a user named it.
    lesion_type
        "mass", "calcification", what a user's table says, or "".
    box
        In the image's pixels; None where a manifest leaves it out.
    is_point
        Whether it was put around a point, so that its size is made up.
    """

    lesion: str
    lesion_type: str
    box: Box | None
    is_point: bool = False


class Marks:
    """The marks of an archive, each by the name of an image that `trackable` knows.

    Attributes
    ----------
    left_out
        How many marks are not used, by the reason.
    points
        How many boxes were put around points.
    has_dates
        Whether the images' dates are from a table, and not from their files.
    """

    has_dates = False

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.left_out: Counter[str] = Counter()
        self.points = self._used = self._used_absences = 0
        database.execute(
            "CREATE TEMP TABLE mark "
            "(id INTEGER PRIMARY KEY, name, lesion, kind, x0, y0, x1, y1, is_box)"
        )
        database.execute("CREATE INDEX mark_name ON mark (name)")
        database.execute("CREATE TEMP TABLE absence (name, lesion, UNIQUE (name, lesion))")

    def add_reports(self) -> int:
        """Take the marks of the archive's reports; returns how many reports there are."""
        seen: set[str] = set()
        count = 0
        for uid, marks, left_out, absences in self._database.execute(
            _OF_REPORTS, (REPORT,)
        ).fetchall():
            if uid in seen:
                again = "in a report that is there again (SOPInstanceUID)"
                self.left_out[again] += len(json.loads(marks)) + len(json.loads(absences))
                continue
            seen |= {uid} if uid else set()
            count += 1
            for kind, number in json.loads(left_out).items():
                self.left_out[LEFT_OUT.get(kind, _PREDICTED)] += number
            self._database.executemany(
                _INSERT,
                [
                    (name, lesion, kind, *bounds, False)
                    for name, *bounds, lesion, kind in json.loads(marks)
                ],
            )
            self._database.executemany(
                "INSERT OR IGNORE INTO absence VALUES (?, ?)", json.loads(absences)
            )
        return count

    def add_table(self, path: Path, folder: Path) -> None:
        """Take the boxes of a table: image (a path or SOP Instance UID), x0 to y1, lesion_id, ...

        Parameters
        ----------
        path
            The table; paths in it are relative to it, or to the archive.
        folder
            The archive.

        Raises
        ------
        MammoTrackerError
            If it cannot be read, or a box is none.
        """
        for row, box in _rows_with_boxes(path):
            if box is None:
                self.left_out[_WITHOUT_BOX] += 1
                continue
            lesion = f"={row['lesion_id']}" if row.get("lesion_id") else ""
            name = self._name_of(row["image"], path.parent, folder)
            kind = row.get("lesion_type", "")
            self._database.execute(_INSERT, (name, lesion, kind, *box.as_tuple(), True))

    def _name_of(self, image: str, table_folder: Path, folder: Path) -> str:
        """Return by what a table's image goes: a file of the archive, else the text as it is."""
        places = itertools.product(
            dict.fromkeys((image, image.replace("\\", "/"))),  # as Windows writes it
            (table_folder, folder),
            (os.path.abspath, os.path.realpath),
        )
        for name, place, full in places:
            try:
                path = os.path.relpath(full(os.path.join(place, name)), full(folder))
            except ValueError:  # another disk of Windows, or no path
                continue
            found = self._database.execute(
                "SELECT coalesce(uid, path) FROM file WHERE path = ?",
                (path.replace(os.sep, "/"),),
            ).fetchone()
            if found:
                return found[0]
        return image

    def add_embed(self, tables: Path, folder: Path, key: bytes) -> None:
        """Take EMBED's own ROIs, and what its metadata says of each image.

        That counts before the headers: patient, side, view and date; images that cannot be used,
        and those that have no row, are left out. Of the ROIs, those that were marked on their
        image (match_level 1) are taken. The lesion type is that of the findings of the exam on
        that side, where they name one only.

        Parameters
        ----------
        tables
            Folder of EMBED's tables.
        folder
            The archive; its files are known by their names and the two folders above.
        key
            What digests are made with.

        Raises
        ------
        MammoTrackerError
            If a table is missing or lacks columns.
        """
        self.has_dates = True
        database = self._database
        above = folder.absolute().as_posix()
        database.create_function(
            "embed_key", 1, lambda path: _embed_key(f"{above}/{path}"), deterministic=True
        )
        database.execute(
            "CREATE TEMP TABLE embed (key PRIMARY KEY, reason, empi, patient, date, side, view)"
        )
        database.execute("ALTER TABLE image ADD COLUMN key")
        database.execute("UPDATE image SET key = embed_key(path)")
        database.execute("CREATE INDEX image_key ON image (key)")
        rois = self._read_metadata(tables, key)
        database.execute(
            "UPDATE image SET reason = 'no row in EMBED''s metadata' WHERE reason IS NULL "
            "AND key NOT IN (SELECT key FROM embed)"
        )
        database.execute(
            "UPDATE image SET (patient, date, side, view, reason) = (SELECT patient, date, side, "
            "view, 'EMBED''s metadata: ' || reason FROM embed WHERE embed.key = image.key) "
            "WHERE reason IS NULL"
        )
        self._place_rois(tables, rois)

    def _read_metadata(self, tables: Path, key: bytes) -> dict[str, list[tuple]]:
        """Keep what the metadata says of the archive's images; returns the ROIs' exams by image."""
        database = self._database
        rois: dict[str, list[tuple]] = {}
        known = "SELECT 1 FROM image WHERE key = ?"
        for _, cells in embed.read_table(tables / embed.METADATA, embed.METADATA_COLUMNS):
            image = _embed_key(cells["anon_dicom_path"])
            if database.execute(known, (image,)).fetchone() is None:
                continue
            reason = None
            try:
                embed.check_image(cells)
            except embed.Unusable as problem:
                reason = problem.args[0]
            empi = embed.whole(cells["empi_anon"])
            added = database.execute(
                "INSERT OR IGNORE INTO embed VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    image, reason, empi, digest(key, empi, "EMBED") if empi else None,
                    _date(cells["study_date_anon"]), cells["ImageLateralityFinal"],
                    cells["ViewPosition"].upper(),
                ),
            )  # fmt: skip
            if not added.rowcount:
                continue
            try:
                boxes, primary = embed.read_rois(
                    cells["ROI_coords"], cells["num_roi"], cells.get(embed.LEVELS)
                )
            except embed.Unusable as problem:
                self.left_out[f"of EMBED: {problem.args[0]}"] += 1
                continue
            distinct = embed.distinct_rois(boxes, primary)
            self.left_out["again on one image"] += len(boxes) - len(distinct)
            for k in distinct:
                if primary[k]:
                    is_of_png = embed.LEVELS in cells
                    found = embed.whole(cells["acc_anon"]), boxes[k], is_of_png
                    rois.setdefault(image, []).append(found)
                else:
                    self.left_out["of EMBED: carried over from another image"] += 1
        return rois

    def _place_rois(self, tables: Path, rois: dict[str, list[tuple]]) -> None:
        """Bring ROIs to the pixels of their images, and give them types."""
        findings = defaultdict(list)
        exams = {exam for found in rois.values() for exam, *_ in found}
        for _, cells in embed.read_table(tables / embed.CLINICAL, embed.CLINICAL_COLUMNS):
            if embed.whole(cells["acc_anon"]) in exams:
                try:
                    exam, side, kinds = embed.read_finding(cells)
                    findings[exam].append((side, kinds))
                except embed.Unusable:
                    continue
        where = (
            "SELECT coalesce(uid, path), columns, rows, orientation, side, view FROM image "
            "WHERE key = ? AND columns IS NOT NULL AND side IS NOT NULL"
        )
        for image, found in rois.items():
            row = self._database.execute(where, (image,)).fetchone()
            for exam, corners, is_of_png in found:
                if row is None:
                    self.left_out["on an image that was left out"] += 1
                    continue
                name, columns, rows, orientation, side, view = row
                kinds = set()
                for of_side, named in findings[exam]:
                    kinds |= named if embed.is_on_side(of_side, side) else set()
                try:
                    if is_of_png:
                        size = columns, rows
                        corners = embed.dicom_corners(corners, size, orientation, side, view)
                except embed.Unusable:
                    self.left_out["of EMBED: on a view that it may not mirror"] += 1
                    continue
                kind = next(iter(kinds)) if len(kinds) == 1 else ""
                self._database.execute(_INSERT, (name, "", kind, *corners, True))

    def on(self, image: Image) -> list[ImageMark]:
        """Return the lesions on an image, each once; what cannot be one is counted."""
        found: dict[str, ImageMark] = {}
        boxes = set()
        for number, lesion, kind, *bounds, is_box in self._database.execute(
            "SELECT DISTINCT mark.id, lesion, kind, x0, y0, x1, y1, is_box FROM name "
            "CROSS JOIN mark ON mark.name = name.name WHERE name.id = ? ORDER BY mark.id",
            (image.id,),
        ):
            self._used += 1
            placed = _placed(bounds, image, is_box)
            if isinstance(placed, str):
                self.left_out[placed] += 1
                continue
            box, is_point = placed
            if lesion in found or (not lesion and box in boxes):
                self.left_out["again on one image"] += 1
                continue
            self.points += is_point
            boxes.add(box)
            name = lesion or f"#{number}"
            found[name] = ImageMark(name, kind, box, is_point)
        return list(found.values())

    @property
    def has_absences(self) -> bool:
        """Whether a user said in a report that a lesion is not on an image."""
        return self._database.execute("SELECT 1 FROM absence").fetchone() is not None

    def absent_from(self, image: Image, lesions: Iterable[str]) -> set[str]:
        """Return which of these lesions are not on an image, as a user said."""
        lesions = set(lesions)
        if not lesions:
            return lesions
        said = self._database.execute(
            "SELECT lesion FROM name JOIN absence ON absence.name = name.name WHERE name.id = ?",
            (image.id,),
        )
        found = {lesion for (lesion,) in said} & lesions
        self._used_absences += len(found)
        return found

    def count_unused(self) -> None:
        """Count the marks that `on` was not asked for, and what `absent_from` did not return."""
        (absences,) = self._database.execute("SELECT COUNT(*) FROM absence").fetchone()
        self.left_out[_ABSENCE] += max(absences - self._used_absences, 0)
        total, elsewhere = self._database.execute(
            "SELECT COUNT(*), COUNT(*) FILTER (WHERE name NOT IN (SELECT name FROM name)) FROM mark"
        ).fetchone()
        self.left_out["on no image of the archive"] += elsewhere
        self.left_out["on an image that was left out"] += total - elsewhere - self._used


def _embed_key(path: str) -> str:
    """Return the end of a path, which tells EMBED's files apart; its beginning is of a disk."""
    return "/".join(path.replace("\\", "/").split("/")[-3:])


def check_tables(boxes: Path | None, embed_tables: Path | None) -> None:
    """Refuse tables that `Marks` would, which is known before headers are read for hours.

    Raises
    ------
    MammoTrackerError
        If one is missing, lacks columns, or has a box that is none.
    """
    if boxes is not None:
        for _ in _rows_with_boxes(boxes):
            pass
    if embed_tables is not None:
        next(embed.read_table(embed_tables / embed.METADATA, embed.METADATA_COLUMNS), None)
        next(embed.read_table(embed_tables / embed.CLINICAL, embed.CLINICAL_COLUMNS), None)


def _rows_with_boxes(path: Path) -> Iterator[tuple[Row, Box | None]]:
    for row in read_rows(path, ("image", *BOX_COLUMNS)):
        try:
            yield row, read_box(row, BOX_COLUMNS)
        except MammoTrackerError as error:
            raise MammoTrackerError(f"{path}, line {row.line}: {error}") from None


def _placed(bounds: list[float], image: Image, is_box: bool) -> tuple[Box, bool] | str:
    if not is_box:
        placed = mark_box(bounds, image.size, image.spacing)
        return LEFT_OUT[placed] if isinstance(placed, str) else placed
    try:
        box = Box(*bounds)
        check_box_on(box, image.size, image.spacing, "the image")
        return box, False
    except MammoTrackerError:
        return _OFF


def _date(text: str) -> str | None:
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError:
        return None

"""EMBED's tables: which of its images can be used, their ROIs, and what its findings are."""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..box import Box
from ..errors import MammoTrackerError

METADATA, CLINICAL = "EMBED_OpenData_metadata.csv", "EMBED_OpenData_clinical.csv"
METADATA_COLUMNS = (
    "empi_anon acc_anon study_date_anon anon_dicom_path FinalImageType ImageLateralityFinal "
    "ViewPosition spot_mag num_roi ROI_coords match_level"
).split()
LEVELS = "match_level"
"""The column that EMBED's newer tables lack: their ROIs are in the pixels of the DICOM file, those
of the others in the pixels of EMBED's PNG."""
_OF_NEWER = "num_ROI"
"""What these call num_roi, by which they are known."""
TYPE_COLUMNS = {
    "mass": ("massshape", "massmargin", "massdens"),
    "calcification": ("calcfind", "calcdistri"),
}
LESION_TYPES = tuple(TYPE_COLUMNS)
_NO_MASS = ("A", "B", "F", "Q", "S", "T", "V")
"""What massshape says of asymmetries and architectural distortions, by EMBED's legend."""
CLINICAL_COLUMNS = ("acc_anon", "side", *(c for columns in TYPE_COLUMNS.values() for c in columns))
NO_ROI = ("", "()", "[]")
ZERO = ("", "0", "0.0")
ONE_LESION_IOU = 0.5
_MIRRORED_VIEWS = ("CC", "ML", "MLO")

Corners = tuple[float, float, float, float]
"""x0, y0, x1, y1."""


class Unusable(Exception):
    """Why a row cannot be used: the reason, and its detail, which may quote the table."""


def read_table(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row's number (the header is 1) and the named cells, one row in memory.

    Rows of EMBED's newer tables are without `LEVELS`.

    Raises
    ------
    MammoTrackerError
        If the file is missing, is no comma-separated table, or lacks columns.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            own = {name: name for name in columns}
            if _OF_NEWER in header:
                own = {n: _OF_NEWER if n == "num_roi" else n for n in columns if n != LEVELS}
            missing = [name for name in own.values() if name not in header]
            if missing:
                raise MammoTrackerError(
                    f"{path.name} lacks the column{'s' * (len(missing) > 1)} "
                    f"{', '.join(missing)}: give the whole table, with its header line."
                )
            places = [(name, header.index(known)) for name, known in own.items()]
            for row, cells in enumerate(reader, 2):
                cells += [""] * (len(header) - len(cells))
                yield row, {name: cells[place].strip() for name, place in places}
    except FileNotFoundError:
        raise MammoTrackerError(
            f"There is no file {path}: give the folder of EMBED's tables (--tables, or "
            "--embed-tables of `mammotracker manifest`)."
        ) from None
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "it is not a comma-separated table"
        raise MammoTrackerError(f"Cannot read {path}: {reason}.") from None


def image_key(path: str) -> str:
    """Cut a path before its folder ``cohort_N``, because EMBED's start with its own disks."""
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    cohorts = [place for place, part in enumerate(parts) if part.startswith("cohort_")]
    return "/".join(parts[cohorts[-1] if cohorts else 0 :])


def read_rois(
    coordinates: str, count: str, levels: str | None
) -> tuple[tuple[Corners, ...], tuple[bool, ...]]:
    """Read ROI_coords (ymin, xmin, ymax, xmax each), num_roi and match_level, if there is one.

    Returns
    -------
    boxes, primary
        In the pixels that `LEVELS` tells; and whether each was marked on this image (match_level
        1), as all are where nothing else is known.

    Raises
    ------
    Unusable
        If they are malformed, or disagree.
    """
    try:
        found = ast.literal_eval(coordinates) if coordinates not in NO_ROI else ()
        boxes = tuple(
            Box(*(float(value) for value in (x0, y0, x1, y1))).as_tuple()
            for y0, x0, y1, x1 in found
        )
        same = not count or float(count) == len(boxes)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, MammoTrackerError):
        raise Unusable("malformed ROI", coordinates) from None
    if levels is None:
        primary = (True,) * len(boxes)
    else:
        primary = tuple(int(level) == 1 for level in re.findall(r"\d+", levels))
    if not same or len(primary) != len(boxes):
        detail = f"{len(boxes)} boxes, num_roi {count}, match_level {levels}"
        raise Unusable("ROI_coords, num_roi and match_level disagree", detail)
    return boxes, primary


def distinct_rois(boxes: Sequence[Corners], primary: Sequence[bool]) -> list[int]:
    """Return the places of an image's ROIs that mark another lesion than those returned before.

    EMBED has many a lesion twice on an image: marked on it and on its synthetic view, or drawn
    anew. Those marked on this image come first.
    """
    kept: list[int] = []
    for k in sorted(range(len(boxes)), key=lambda k: not primary[k]):
        if all(Box(*boxes[k]).iou(Box(*boxes[other])) < ONE_LESION_IOU for other in kept):
            kept.append(k)
    return kept


def check_image(cells: dict[str, str], spot_views: bool = False) -> None:
    """Refuse an image of the metadata that cannot be used.

    Raises
    ------
    Unusable
        That says why.
    """
    if not all(cells[name] for name in ("anon_dicom_path", "empi_anon", "acc_anon")):
        raise Unusable("no path, patient or exam", "")
    if cells["FinalImageType"] != "2D":
        raise Unusable("not a 2D image", cells["FinalImageType"])
    if cells["spot_mag"] not in ZERO and not spot_views:
        raise Unusable("spot or magnification view", "")
    if cells["ImageLateralityFinal"] not in ("L", "R"):
        raise Unusable("unknown laterality", cells["ImageLateralityFinal"])
    if not cells["ViewPosition"]:
        raise Unusable("unknown view", "")


def whole(identifier: str) -> str:
    """Undo what pandas makes of a whole number where a column has gaps."""
    return identifier.removesuffix(".0")


def read_finding(cells: dict[str, str]) -> tuple[str, str, set[str]]:
    """Read a row of the clinical table: its exam, its side, and the lesion types it names.

    Raises
    ------
    Unusable
        If its side is none.
    """
    if cells["side"] not in ("L", "R", "B", ""):
        raise Unusable("unknown side", cells["side"])
    if cells["massshape"] in _NO_MASS:
        cells = cells | {"massshape": ""}
    kinds = {kind for kind, names in TYPE_COLUMNS.items() if any(cells[n] for n in names)}
    return whole(cells["acc_anon"]), cells["side"], kinds


def is_on_side(finding: str, laterality: str) -> bool:
    """Whether a finding of this side (L, R, B for both, or unknown) may be on this breast."""
    return finding in (laterality, "B", "")


def dicom_corners(
    corners: Corners, size: tuple[int, int], orientation: str, laterality: str, view: str
) -> Corners:
    """Bring a ROI from the pixels of EMBED's own PNG to those of the DICOM file.

    EMBED's own conversion mirrors CC, ML and MLO alone: where PatientOrientation starts with P
    and, without that tag, right breasts.

    Parameters
    ----------
    corners
        The ROI in pixels of the PNG.
    size
        (columns, rows) of the DICOM file.
    orientation
        First letter of its PatientOrientation; empty without that tag.
    laterality, view
        As the metadata has them.

    Raises
    ------
    Unusable
        If it cannot be told whether EMBED mirrors the view.
    """
    x0, y0, x1, y1 = corners
    backwards = orientation == "P"
    if view in _MIRRORED_VIEWS:
        if backwards or (not orientation and laterality == "R"):
            return size[0] - x1, y0, size[0] - x0, y1
    elif backwards:
        raise Unusable("EMBED may not mirror this view: give the box in DICOM pixels", "")
    return corners

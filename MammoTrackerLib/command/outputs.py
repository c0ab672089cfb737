"""What the command writes for one pair: tracks.json, and ROIs for 3D Slicer."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..box import Box
from ..reading.geometry import Geometry
from ..track import Status, Track, described
from .sr import FILE_NAME, is_own_report

if TYPE_CHECKING:
    from ..global_search import Alignment
    from ..mammogram import Header, Mammogram

_MARKUPS_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/"
    "Resources/Schema/markups-schema-v1.0.3.json#"
)
COORDINATES = "x0, y0, x1, y1 in pixels from the image's top-left corner"
_MARKUP_KEYS = {
    *("type", "name", "coordinateSystem", "coordinateUnits", "locked", "labelFormat", "roiType"),
    *("fixedNumberOfControlPoints", "insideOut", "controlPoints", "description", "center"),
    *("orientation", "size"),
}


def tracks_as_json(
    prior: Mammogram,
    current: Mammogram,
    alignment: Alignment,
    tracks: Sequence[Track],
    remarks: Sequence[str] = (),
) -> dict:
    """Make the content of ``tracks.json``; remarks are what may be wrong with the pair."""
    from .. import __version__

    return {
        "version": __version__,
        "coordinates": COORDINATES,
        "prior": image_as_json(prior),
        "current": image_as_json(current),
        "remarks": list(remarks),
        "alignment": {"dice": float(alignment.dice), "warnings": list(alignment.warnings)},
        "tracks": [
            {
                "lesion": number,
                "status": track.status.value,
                "reason": track.reason,
                "score": float(track.score),
                "prior_box": box_as_json(track.prior_box, prior),
                "box": box_as_json(track.box, current),
                "registration_box": box_as_json(track.registration_box, current),
                "candidates": candidates_as_json(track, current),
            }
            for number, track in enumerate(tracks, 1)
        ],
    }


def image_as_json(image: Header | Mammogram) -> dict:
    """Describe an exam: its size, pixels, laterality and view."""
    columns, rows = image.size
    return {
        "rows": rows,
        "columns": columns,
        "spacing_mm": list(image.spacing),
        "laterality": image.laterality,
        "view": image.view,
    }


def box_as_json(box: Box, image: Header | Mammogram) -> dict:
    """Describe a box in pixels and in mm."""
    width, height = size_mm(box, image)
    return {
        "pixels": [round(number, 3) for number in box.as_tuple()],
        "width_mm": round(width, 3),
        "height_mm": round(height, 3),
    }


def candidates_as_json(track: Track, image: Header | Mammogram) -> list[dict]:
    """Describe where else a lesion may be, the best place first."""
    return [
        {
            "box": box_as_json(candidate.box, image),
            "tracking_score": float(candidate.tracking_score),
            "similarity_score": None
            if candidate.similarity_score is None
            else float(candidate.similarity_score),
        }
        for candidate in track.candidates
    ]


def track_as_markup(number: int, track: Track, geometry: Geometry) -> dict:
    """Make a Slicer Markups document; a lesion that was not found is an ROI that is not placed."""
    found = track.status is not Status.NOT_FOUND
    name = f"Lesion {number}" + ("" if track.status is Status.FOUND else f" ({track.status.value})")
    description = described(track.status.value, track.score, track.reason)
    markup = {
        "type": "ROI",
        "name": name,
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": False,
        "fixedNumberOfControlPoints": False,
        "labelFormat": "%N",
        "roiType": "Box",
        "insideOut": False,
        "controlPoints": [],
        "description": description,
    }
    if found:
        center = geometry.center(track.box)
        markup |= {
            "center": center,
            "orientation": geometry.orientation(),
            "size": geometry.size(track.box),
            "controlPoints": [
                {
                    "id": "1",
                    "label": name,
                    "description": description,
                    "position": center,
                    "orientation": [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0],
                    "selected": True,
                    "locked": False,
                    "visibility": True,
                    "positionStatus": "defined",
                }
            ],
        }
    return {"@schema": _MARKUPS_SCHEMA, "markups": [markup]}


def is_own_result(file: Path) -> bool:
    """Whether `mammotracker track` wrote this file, and nobody changed it in Slicer since."""
    if file.name == "overlay.png" and is_own_result(file.with_name("tracks.json")):
        return True
    return is_own_output(file, "tracks.json", "tracks", r"lesion-([1-9][0-9]*)\.mrk\.json")


def is_own_output(file: Path, record: str, key: str, roi: str) -> bool:
    """Whether a file is a picture, report, record or ROI of the command.

    The record has a name and a key in it; a pattern has the ROIs' names, and a lesion's number.
    """
    try:
        if file.suffix == ".png":
            return is_own_picture(file)
        if file.suffix == ".dcm":
            return file.name == FILE_NAME and is_own_report(file)
        content = json.loads(file.read_bytes())
        if file.name == record:
            return content["coordinates"] == COORDINATES and key in content
        return _is_own_roi(content, re.fullmatch(roi, file.name)[1])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _is_own_roi(content: dict, number: str) -> bool:
    """Whether this is what `track_as_markup` made of a lesion; other content raises an error."""
    (markup,) = content["markups"]
    return (
        set(content) == {"@schema", "markups"}
        and set(markup) <= _MARKUP_KEYS
        and re.fullmatch(rf"Lesion {number}( \(.*\))?", markup["name"]) is not None
    )


def is_own_picture(file: Path) -> bool:
    """Whether a picture says that it is of MammoTracker, and has a name that such ones get."""
    from PIL import Image

    if not re.fullmatch(r"[a-z]+(-[1-9][0-9]*)?\.png", file.name):
        return False
    try:
        with Image.open(file, formats=["PNG"]) as picture:
            return picture.info.get("Software") == "MammoTracker"
    except (OSError, ValueError, Image.DecompressionBombError):  # another's, or damaged
        return False


def size_mm(box: Box, mammogram: Header | Mammogram) -> tuple[float, float]:
    """Return a box's width and height in mm."""
    return box.width * mammogram.spacing[0], box.height * mammogram.spacing[1]


@contextmanager
def quiet_framework() -> Iterator[None]:
    """Keep the messages of LiteRT, TensorFlow and image readers off the screen.

    No setting turns all of them off. Whoever sets TF_CPP_MIN_LOG_LEVEL sees them.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    sys.stderr.flush()
    screen = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(screen, 2)
        os.close(screen)

"""What the command writes for one pair: the folder, tracks.json, and ROIs for 3D Slicer."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..box import Box
from ..track import Status, Track

if TYPE_CHECKING:
    from ..global_search import Alignment
    from ..mammogram import Mammogram

_MARKUPS_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/"
    "Resources/Schema/markups-schema-v1.0.3.json#"
)
_COORDINATES = "x0, y0, x1, y1 in pixels from the image's top-left corner"
_MARKUP_KEYS = {
    *("type", "name", "coordinateSystem", "coordinateUnits", "locked", "labelFormat", "roiType"),
    *("fixedNumberOfControlPoints", "insideOut", "controlPoints", "description", "center"),
    *("orientation", "size"),
}
_ROI_THICKNESS_MM = 10.0


def tracks_as_json(
    prior: Mammogram,
    current: Mammogram,
    alignment: Alignment,
    tracks: Sequence[Track],
    remarks: Sequence[str] = (),
) -> dict:
    """Make the content of ``tracks.json``; remarks are what may be wrong with the pair."""
    from .. import __version__

    def image(mammogram: Mammogram) -> dict:
        rows, columns = mammogram.pixels.shape
        return {
            "rows": rows,
            "columns": columns,
            "spacing_mm": list(mammogram.spacing),
            "laterality": mammogram.laterality,
            "view": mammogram.view,
        }

    def box(value: Box, mammogram: Mammogram) -> dict:
        width, height = size_mm(value, mammogram)
        return {
            "pixels": [round(number, 3) for number in value.as_tuple()],
            "width_mm": round(width, 3),
            "height_mm": round(height, 3),
        }

    return {
        "version": __version__,
        "coordinates": _COORDINATES,
        "prior": image(prior),
        "current": image(current),
        "remarks": list(remarks),
        "alignment": {"dice": float(alignment.dice), "warnings": list(alignment.warnings)},
        "tracks": [
            {
                "lesion": number,
                "status": track.status.value,
                "reason": track.reason,
                "score": float(track.score),
                "prior_box": box(track.prior_box, prior),
                "box": box(track.box, current),
                "registration_box": box(track.registration_box, current),
                "candidates": [
                    {
                        "box": box(candidate.box, current),
                        "tracking_score": float(candidate.tracking_score),
                        "similarity_score": None
                        if candidate.similarity_score is None
                        else float(candidate.similarity_score),
                    }
                    for candidate in track.candidates
                ],
            }
            for number, track in enumerate(tracks, 1)
        ],
    }


class Geometry:
    """Where 3D Slicer puts the pixels of an image file: LPS, in mm."""

    def __init__(
        self, origin: Sequence[float], x_axis: Sequence[float], y_axis: Sequence[float]
    ) -> None:
        self.origin, self.x_axis, self.y_axis = origin, x_axis, y_axis

    @classmethod
    def of(cls, path: Path, mammogram: Mammogram) -> Geometry:
        """Read the header as ITK, and so Slicer, does.

        Files in which ITK finds no spacing (1 mm) get that of the mammogram: in Slicer the
        user has to enter it too, in the module Volumes.
        """
        import SimpleITK as sitk

        reader = sitk.ImageFileReader()
        try:
            str(path).encode("utf-8")  # ITK ends the process over other names
            reader.SetFileName(str(path))
            reader.ReadImageInformation()
            dimension = reader.GetDimension()
            spacing, origin = reader.GetSpacing(), reader.GetOrigin()
            direction = reader.GetDirection()
            # As in reading: the slice may be coronal or sagittal.
            used = [axis for axis, length in enumerate(reader.GetSize()) if length > 1]
        except (RuntimeError, UnicodeEncodeError):
            dimension, spacing, origin, direction = 2, (1, 1), (0, 0), (1, 0, 0, 1)
            used = [0, 1]
        sides = [spacing[axis] for axis in used]
        if sides == [1, 1]:
            sides = mammogram.spacing
        missing = [0.0] * (3 - dimension)
        x_axis, y_axis = (
            [direction[row * dimension + axis] * side for row in range(dimension)]
            for axis, side in zip(used, sides, strict=True)
        )
        return cls(*([*values, *missing][:3] for values in (origin, x_axis, y_axis)))

    def center(self, box: Box) -> list[float]:
        # ITK's origin is the centre of the first pixel, a box's is that pixel's corner.
        x, y = (value - 0.5 for value in box.center)
        return [
            origin + x * along_x + y * along_y
            for origin, along_x, along_y in zip(self.origin, self.x_axis, self.y_axis, strict=True)
        ]

    def size(self, box: Box) -> list[float]:
        return [
            box.width * math.hypot(*self.x_axis),
            box.height * math.hypot(*self.y_axis),
            _ROI_THICKNESS_MM,
        ]

    def orientation(self) -> list[float]:
        """Return the 3 x 3 matrix, row by row, whose columns are the ROI's axes.

        They point right and anterior for an image without orientation, as Slicer's own do.
        """
        x, y = (
            [-value / math.hypot(*axis) for value in axis] for axis in (self.x_axis, self.y_axis)
        )
        z = [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]]
        return [value for row in zip(x, y, z, strict=True) for value in row]


def track_as_markup(number: int, track: Track, geometry: Geometry) -> dict:
    """Make a Slicer Markups document; a lesion that was not found is an ROI that is not placed."""
    found = track.status is not Status.NOT_FOUND
    name = f"Lesion {number}" + ("" if track.status is Status.FOUND else f" ({track.status.value})")
    description = f"{track.status.value}, score {track.score:.2f}: {track.reason}"
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
    try:
        if file.suffix == ".png":
            return _is_own_picture(file) or is_own_result(file.with_name("tracks.json"))
        content = json.loads(file.read_bytes())
        if file.name == "tracks.json":
            return content["coordinates"] == _COORDINATES
        number = re.fullmatch(r"lesion-([1-9][0-9]*)\.mrk\.json", file.name)[1]
        (markup,) = content["markups"]
        return (
            set(content) == {"@schema", "markups"}
            and set(markup) <= _MARKUP_KEYS
            and re.fullmatch(rf"Lesion {number}( \(.*\))?", markup["name"]) is not None
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _is_own_picture(file: Path) -> bool:
    from PIL import Image

    with Image.open(file) as picture:
        return picture.info.get("Software") == "MammoTracker"


def size_mm(box: Box, mammogram: Mammogram) -> tuple[float, float]:
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

"""Boxes, points and outlines in files of Slicer's markups."""

from __future__ import annotations

import json

import numpy as np
import pytest

from MammoTrackerLib import Box, Status, Track
from MammoTrackerLib.command.outputs import track_as_markup
from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.reading.geometry import Geometry
from MammoTrackerLib.reading.markups import read_markups

PLAIN = Geometry([0, 0, 0], [0.07, 0, 0], [0, 0.1, 0])
GEOMETRIES = {
    "plain": PLAIN,
    "flipped": Geometry([5, -3, 2], [0.07, 0, 0], [0, -0.1, 0]),
    "coronal": Geometry([5, -3, 2], [0.07, 0, 0], [0, 0, -0.1]),
    "oblique": Geometry([1, 2, 3], [0.06, 0.08, 0], [0.08, -0.06, 0]),
}
BOX = Box(10.5, 20, 30, 50.25)


def write(path, *markups):
    path.write_text(json.dumps({"markups": list(markups)}))
    return path


def roi(box=BOX, geometry=PLAIN, status=Status.FOUND) -> dict:
    track = Track(box, box, 0.9, status, "a reason", (), box)
    return track_as_markup(1, track, geometry)["markups"][0]


def points(kind: str, *positions, **attributes) -> dict:
    placed = [{"position": list(position), "positionStatus": "defined"} for position in positions]
    return {"type": kind, "coordinateSystem": "LPS", "controlPoints": placed, **attributes}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_what_the_command_writes_is_read(tmp_path, name):
    path = write(tmp_path / "a.mrk.json", roi(geometry=GEOMETRIES[name]))
    (bounds,) = read_markups(path, GEOMETRIES[name])
    np.testing.assert_allclose(bounds, BOX.as_tuple(), atol=1e-6)


def test_ras(tmp_path):
    """Slicer writes LPS, unless a user has changed that; axes run along the other way, too."""
    markup = roi()
    for name in ("center", "orientation"):
        flip = [-1, -1, 1] if name == "center" else [-1] * 6 + [1] * 3
        markup[name] = [a * b for a, b in zip(markup[name], flip, strict=True)]
    (bounds,) = read_markups(
        write(tmp_path / "a.json", markup | {"coordinateSystem": "RAS"}), PLAIN
    )
    np.testing.assert_allclose(bounds, BOX.as_tuple(), atol=1e-6)


def test_several_and_what_is_not_placed(tmp_path):
    other = Box(1, 2, 30, 40)
    path = write(tmp_path / "a.json", roi(), roi(status=Status.NOT_FOUND), roi(other))
    found = read_markups(path, PLAIN)
    np.testing.assert_allclose(found, [BOX.as_tuple(), other.as_tuple()], atol=1e-6)


def test_points_and_curves(tmp_path):
    # 0.07 and 0.1 mm a pixel, and half a pixel from the origin to the corner
    corners = [(0.7, 1.0, 0), (1.4, 1.0, 9), (1.4, 3.0, 0)]
    unplaced = points("Fiducial", (0, 0, 0))
    unplaced["controlPoints"][0]["positionStatus"] = "undefined"
    path = write(
        tmp_path / "a.json", points("Fiducial", *corners[:2]), unplaced,
        points("Line", *corners[:2]),
    )  # fmt: skip
    expected = [
        (10.5, 10.5, 10.5, 10.5), (20.5, 10.5, 20.5, 10.5),
        (10.5, 7, 20.5, 14),  # of 0.7 mm, around it
    ]  # fmt: skip
    np.testing.assert_allclose(read_markups(path, PLAIN), expected, atol=1e-6)


@pytest.mark.parametrize("turn", [0, 0.3, np.pi / 4])
@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_a_line_is_a_diameter_however_it_lies(tmp_path, geometry, turn):
    along = np.array([np.cos(turn), np.sin(turn)]) * 3
    sides = np.array([np.hypot(*geometry.x_axis[:2]), np.linalg.norm(geometry.y_axis)])
    ends = [
        np.array(geometry.center(Box.from_center(*([60, 50] + sign * along / sides), 1, 1)))
        for sign in (-1, 1)
    ]
    (bounds,) = read_markups(write(tmp_path / "a.json", points("Line", *ends)), geometry)
    reach = 3 / sides
    np.testing.assert_allclose(bounds, [*([60, 50] - reach), *([60, 50] + reach)], atol=1e-6)


IRREGULAR = [(6 * np.cos(angle), 4 * np.sin(angle), 0) for angle in (0, 0.3, 1.5, 2.0, 3.5, 5.5)]
# What a vtkMRMLMarkupsClosedCurveNode or vtkMRMLMarkupsCurveNode of Slicer draws.
DRAWN = {
    "ClosedCurve": (-5.9877, -3.0281, 6.2719, 4.5334),
    "Curve": (-6.2676, -2.8222, 6.2805, 4.5276),
}


@pytest.mark.parametrize("kind", DRAWN)
def test_a_curve_is_as_large_as_slicer_draws_it(tmp_path, kind):
    geometry = Geometry([0, 0, 0], [1, 0, 0], [0, 1, 0])
    (bounds,) = read_markups(write(tmp_path / "a.json", points(kind, *IRREGULAR)), geometry)
    np.testing.assert_allclose(np.array(bounds) - 0.5, DRAWN[kind], atol=0.01)


def test_four_points_around_a_lesion_outline_all_of_it(tmp_path):
    geometry = Geometry([0, 0, 0], [0.1, 0, 0], [0, 0.1, 0])
    corners = [
        (20 + 6 * x, 20 + 6 * y, 0)
        for x, y in ((0.7071, 0.7071), (-0.7071, 0.7071), (-0.7071, -0.7071), (0.7071, -0.7071))
    ]
    (bounds,) = read_markups(write(tmp_path / "a.json", points("ClosedCurve", *corners)), geometry)
    assert bounds[2] - bounds[0] == pytest.approx(117, abs=1), "12 mm, not 8.5"


def test_other_kinds_are_refused(tmp_path):
    with pytest.raises(MammoTrackerError, match="mark no lesion"):
        read_markups(write(tmp_path / "a.json", points("Plane", (0, 0, 0))), PLAIN)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b'{"markups": 1}', b'{"markups": [1]}',
        b'{"markups": {"type": "ROI"}}', b'{"markups": [{"type": ["ROI"]}]}', b"[" * 100_000,
        b'{"markups": [{"type": "Doe^Jane"}]}\0', b"1" * 5000,
    ],
)  # fmt: skip
def test_damaged_files(tmp_path, content):
    (tmp_path / "a.mrk.json").write_bytes(content)
    with pytest.raises(MammoTrackerError) as raised:
        read_markups(tmp_path / "a.mrk.json", PLAIN)
    assert "Jane" not in str(raised.value)


@pytest.mark.parametrize(
    "change",
    [
        {"center": [float("nan"), 0, 0]}, {"center": [1e300, 0, 0]}, {"center": [0, 0]},
        {"center": "Doe^Jane"}, {"size": None}, {"size": [1, 2, 3, 4]}, {"orientation": [1, 0]},
        {"coordinateSystem": "Doe^Jane"}, {"controlPoints": [{"position": [10**400, 0, 0]}]},
        {"controlPoints": [3]}, {"controlPoints": 7}, {"size": [{}, {}, {}]},
    ],
)  # fmt: skip
def test_impossible_rois(tmp_path, change):
    with pytest.raises(MammoTrackerError) as raised:
        read_markups(write(tmp_path / "a.mrk.json", roi() | change), PLAIN)
    assert "Jane" not in str(raised.value) and str(raised.value).isprintable()


@pytest.mark.parametrize("units", ["um", "pixel", ["um", "UCUM", "micrometer"]])
def test_coordinates_in_another_unit_are_refused(tmp_path, units):
    path = tmp_path / "a.mrk.json"
    write(path, roi() | {"coordinateUnits": ["mm", "UCUM", "millimeter"]})
    assert len(read_markups(path, PLAIN)) == 1
    write(path, roi() | {"coordinateUnits": units})
    with pytest.raises(MammoTrackerError, match="coordinates in mm"):
        read_markups(path, PLAIN)


def test_too_many(tmp_path):
    many = points("Fiducial", *((0, 0, 0),) * 2000)
    with pytest.raises(MammoTrackerError, match="damaged"):
        read_markups(write(tmp_path / "a.json", many), PLAIN)

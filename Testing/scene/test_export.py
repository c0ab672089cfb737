"""The export of the results: which files, with which names, and what is left alone."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from mrml import SQUARE, add_lesion, add_volume, make_track

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")


from MammoTrackerLib import MammoTrackerError  # noqa: E402
from MammoTrackerLib import scene as bridge  # noqa: E402


def test_export(scene, pair, tmp_path):
    prior, current = pair
    for name in ("A/B: 1", "a/b: 1", "results"):
        roi = bridge.show_track(add_lesion(scene, prior, SQUARE, name), current, make_track())
    (tmp_path / "lesion-7.mrk.json").write_text("the user's own")
    files = bridge.export(prior, current, tmp_path / "new" / "out")
    assert [file.name for file in files] == [
        "results.csv", "A_B_ 1.mrk.json", "a_b_ 1 2.mrk.json", "results.mrk.json",
        "A_B_ 1 (current).mrk.json", "a_b_ 1 (current) 2.mrk.json", "results (current).mrk.json",
    ]  # fmt: skip
    assert all(file.is_file() for file in files)
    with files[0].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["Lesion"] for row in rows] == ["A/B: 1", "a/b: 1", "results"]
    assert rows[0]["Score"] == "0.4711"
    markup = json.loads(files[-1].read_text())["markups"][0]
    assert (markup["type"], markup["controlPoints"][0]["positionStatus"]) == ("ROI", "defined")
    np.testing.assert_allclose(markup["size"], roi.GetSize())

    bridge.export(prior, current, tmp_path)
    assert (tmp_path / "lesion-7.mrk.json").read_text() == "the user's own"
    (tmp_path / "file").write_text("")
    with pytest.raises(MammoTrackerError, match="Cannot write"):
        bridge.export(prior, current, tmp_path / "file" / "below")


def test_export_of_a_series(scene, tmp_path):
    exams = [add_volume(scene, name=name) for name in ("Doe^Jane", "b", "c")]
    lesion = add_lesion(scene, exams[1], SQUARE, "Mass")
    bridge.show_track(lesion, exams[0], make_track())
    bridge.show_track(lesion, exams[2], make_track())
    files = bridge.export_series(exams, [lesion], tmp_path / "out")
    assert [file.name for file in files] == [
        "results.csv", "Mass (exam 1).mrk.json", "Mass.mrk.json", "Mass (exam 3).mrk.json",
    ]  # fmt: skip
    assert all("Doe" not in file.read_text() for file in files)
    with files[0].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["Status"] for row in rows] == ["found", "marked", "found"]


@pytest.mark.parametrize("letter", ["x", "é", "乳"])
def test_long_names_make_short_files(scene, pair, tmp_path, letter):
    prior, current = pair
    for _ in range(2):
        bridge.show_track(add_lesion(scene, prior, SQUARE, 300 * letter), current, make_track())
    files = bridge.export(prior, current, tmp_path)
    assert len(set(files)) == 5
    assert all(file.is_file() and len(file.name.encode()) <= 120 for file in files)
    assert sum("(current)" in file.name for file in files) == 2


def test_no_spreadsheet_runs_a_name(scene, pair, tmp_path):
    prior, current = pair
    lesion = add_lesion(scene, prior, SQUARE, "=1+1\nb")
    bridge.show_track(lesion, current, make_track())
    files = bridge.export(prior, current, tmp_path / "pair")
    files += bridge.export_series([prior, current], [lesion], tmp_path / "series")
    for path in (file for file in files if file.name == "results.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            assert {row["Lesion"] for row in csv.DictReader(file)} == {"'=1+1 b"}

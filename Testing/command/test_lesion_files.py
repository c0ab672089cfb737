"""Lesions of files, and reports, as a user of the command gives and gets them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from command_line import OUTPUTS, SPACING, Pair, assert_refused
from sr_files import (
    cad_report,
    finding,
    group,
    image,
    number,
    own,
    report,
    scoord,
    tracking,
    write_report,
)

from MammoTrackerLib import Box, Mammogram
from MammoTrackerLib import exams as series_exams
from MammoTrackerLib.command.cli import main
from MammoTrackerLib.reading.lesions import read_lesions


@pytest.fixture
def exams(pair: Pair) -> list[str]:
    return [str(pair.prior_dicom), str(pair.current_dicom)]


def corners(pair: Pair) -> list[float]:
    box = pair.box
    return [box.x0, box.y0, box.x1, box.y0, box.x1, box.y1, box.x0, box.y1]


def tracked(out: Path) -> list[dict]:
    return json.loads((out / "tracks.json").read_text())["tracks"]


def write_lesions(pair: Pair, path: Path) -> Path:
    """Write the pair's lesion as a file of the kind that its name says."""
    prior = Mammogram.read(pair.prior_dicom)
    instance = prior.instance_uids[0]
    outline = scoord("POLYLINE", corners(pair), instance)
    if path.name == "sr.dcm":
        return write_report(path, report(group(*tracking("1.2.3"), outline)))
    if path.name == "cad.dcm":
        return write_report(path, cad_report([instance], finding("density", outline)))
    if path.name.endswith(".json"):
        # As the module writes it: the first pixel's centre is at the origin.
        x, y = ((value - 0.5) * SPACING for value in pair.box.center)
        size = [pair.box.width * SPACING, pair.box.height * SPACING, 10]
        point = {"position": [x, y, 0], "positionStatus": "defined"}
        roi = {"type": "ROI", "coordinateSystem": "LPS", "center": [x, y, 0], "size": size,
               "orientation": [-1, 0, 0, 0, -1, 0, 0, 0, 1], "controlPoints": [point]}  # fmt: skip
        path.write_text(json.dumps({"markups": [roi]}))
        return path
    pixels = np.zeros(prior.size[::-1], np.uint8)
    x0, y0, x1, y1 = (round(value) for value in pair.box.as_tuple())
    pixels[y0:y1, x0:x1] = 255
    sitk.WriteImage(sitk.GetImageFromArray(pixels), str(path))
    return path


@pytest.mark.parametrize("name", ["sr.dcm", "cad.dcm", "roi.mrk.json", "mask.png", "mask.nii.gz"])
def test_lesions_of_a_file(pair: Pair, exams: list[str], tmp_path: Path, name: str) -> None:
    file = write_lesions(pair, tmp_path / name)
    out = tmp_path / "out"
    assert main(["track", *exams, "--lesions", str(file), "--out", str(out)]) == 0
    assert {one.name for one in out.iterdir()} == OUTPUTS
    (track,) = tracked(out)
    assert track["prior_box"]["pixels"] == pytest.approx(pair.box.as_tuple(), abs=0.51)


def test_boxes_and_a_file_together_and_a_report(
    pair: Pair, exams: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("highdicom")
    prior = Mammogram.read(pair.prior_dicom)
    point = scoord("POINT", list(pair.box.center), prior.instance_uids[0])
    elsewhere = group(scoord("POLYLINE", corners(pair), "1.2.3.4"))
    content = report(group(*tracking("1.2.3"), point), elsewhere)
    file = write_report(tmp_path / "marks.dcm", content)
    argv = ["track", *exams, *pair.box_arguments, "--lesions", str(file), "--sr"]
    assert main([*argv, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert "lesions.dcm" in said.out
    assert "a box of 10 mm was put around them: 1 of the marks" in said.err
    assert "1 on other images" in said.err
    assert len(json.loads((tmp_path / "out" / "tracks.json").read_text())["remarks"]) >= 2

    found = read_lesions(tmp_path / "out" / "lesions.dcm", [Mammogram.read(e) for e in exams])
    on_prior = [lesion for lesion in found.lesions if lesion.exam == 0]
    assert on_prior[1].tracking == "1.2.3"
    assert on_prior[0].box.as_tuple() == pytest.approx(pair.box.as_tuple(), abs=1e-3)
    for track, lesion in zip(tracked(tmp_path / "out"), on_prior, strict=True):
        matching = [m for m in found.lesions if m.exam == 1 and m.tracking == lesion.tracking]
        assert len(matching) == (track["status"] != "not found")
        for match in matching:
            assert match.box.as_tuple() == pytest.approx(track["box"]["pixels"], abs=0.01)
    header = pydicom.dcmread(tmp_path / "out" / "lesions.dcm")
    assert header.PatientID == "SECRET^NAME"
    assert "SECRET" not in said.out + said.err


def test_a_run_without_report_removes_that_of_the_run_before(
    pair: Pair, exams: list[str], tmp_path: Path
) -> None:
    pytest.importorskip("highdicom")
    argv = ["track", *exams, *pair.box_arguments, "--out", str(tmp_path)]
    (tmp_path / "lesions.csv").write_text("mine")
    for report_option, is_there in (("--sr", True), ("--sr", True), ("", False)):
        assert main([*argv, *filter(None, [report_option])]) == 0
        assert (tmp_path / "lesions.dcm").exists() == is_there
    assert (tmp_path / "lesions.csv").read_text() == "mine"
    (tmp_path / "lesions.dcm").write_bytes(pair.prior_dicom.read_bytes())
    assert main([*argv, "--sr"]) == 2
    assert (tmp_path / "lesions.dcm").read_bytes() == pair.prior_dicom.read_bytes()


def test_what_cannot_be(
    pair: Pair, exams: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    out = ["--out", str(tmp_path / "out")]
    assert_refused(["track", *exams, *out], capsys, "give --box or --lesions")
    nothing = ["--lesions", str(tmp_path / "nothing.dcm")]
    assert_refused(["track", *exams, *nothing, *out], capsys, "no file")
    mammogram = ["--lesions", str(pair.current_dicom)]
    assert_refused(["track", *exams, *mammogram, *out], capsys, "no mask of lesions")
    pictures = [str(pair.prior), str(pair.current), "--prior-spacing", "0.2"]
    pictures += ["--current-spacing", "0.2"]
    marks = ["--lesions", str(write_lesions(pair, tmp_path / "sr.dcm"))]
    assert_refused(["track", *pictures, *marks, *out], capsys, "has no SOPInstanceUID")
    pytest.importorskip("highdicom")
    with_report = ["track", *pictures, *pair.box_arguments, "--sr", *out]
    assert_refused(with_report, capsys, "exam 1 (", "exam 2 (", "current.png")
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with_report = ["track", *exams, *pair.box_arguments, "--sr", *out]
    assert_refused(with_report, capsys, "needs the Python package highdicom")
    assert not (tmp_path / "out").exists()


def test_follow_takes_and_gives_reports(
    pair: Pair, exams: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("highdicom")
    file = write_lesions(pair, tmp_path / "sr.dcm")
    out = tmp_path / "out"
    argv = ["follow", *exams, "--on", exams[0], "--lesions", str(file), "--sr", "--out", str(out)]
    assert main(argv) == 0
    found = read_lesions(out / "lesions.dcm", [Mammogram.read(exam) for exam in exams])
    assert {lesion.tracking for lesion in found.lesions} == {"1.2.3"}
    assert found.lesions[0].box.as_tuple() == pytest.approx(pair.box.as_tuple(), abs=1e-3)
    # What it predicted itself is no decision of the user's when the report is read again.
    again = tmp_path / "again"
    argv = ["follow", *exams, "--on", exams[0], "--lesions", str(out / "lesions.dcm")]
    capsys.readouterr()
    assert main([*argv, "--out", str(again)]) == 0
    assert "predicted" not in capsys.readouterr().err
    (lesion,) = json.loads((again / "history.json").read_text())["lesions"]
    assert [result["by_user"] for result in lesion["exams"]] == [True, False]
    assert main([*argv, "--out", str(out)]) == 0
    assert not (out / "lesions.dcm").exists()


@pytest.mark.parametrize("command", ["track", "follow"])
def test_a_prediction_that_counts_as_marked_is_said(
    pair: Pair, exams: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    uid = Mammogram.read(exams[0]).instance_uids[0]
    predicted = own("STATUS", "FOUND"), scoord("POLYLINE", corners(pair), uid)
    file = write_report(tmp_path / "sr.dcm", report(group(*tracking("1.2.3"), *predicted)))
    argv = [command, *exams, "--lesions", str(file), "--out", str(tmp_path / "out")]
    more = ["--on", exams[0]] if command == "follow" else []
    assert main(argv + more) == 0
    assert "1 box was predicted by MammoTracker" in capsys.readouterr().err
    # Nor does a report make a user's mark of it.
    pytest.importorskip("highdicom")
    assert main([*argv, *more, "--sr"]) == 0
    again = str(tmp_path / "out" / "lesions.dcm")
    capsys.readouterr()
    assert main(["track", *exams, "--lesions", again, "--out", str(tmp_path / "again")]) == 0
    assert "1 box was predicted by MammoTracker" in capsys.readouterr().err


def test_exams_are_aligned_with_those_alone_that_lesions_are_on(
    pair: Pair, exams: list[str], tmp_path: Path, monkeypatch
) -> None:
    """Not with --on, if a report marks them elsewhere; so the film strip is turned as that exam."""
    align, aligned = series_exams.align_reduced, []
    monkeypatch.setattr(
        series_exams, "align_reduced", lambda *given: aligned.append(given) or align(*given)
    )
    uid = Mammogram.read(exams[1]).instance_uids[0]
    file = write_report(tmp_path / "sr.dcm", report(group(scoord("POLYLINE", corners(pair), uid))))
    argv = ["follow", *exams, "--on", exams[0], "--lesions", str(file)]
    assert main([*argv, "--out", str(tmp_path / "out")]) == 0
    assert len(aligned) == 1


@pytest.mark.parametrize("command", ["track", "follow"])
def test_what_the_user_said_is_the_same_in_the_next_report(
    pair: Pair, exams: list[str], tmp_path: Path, command: str
) -> None:
    pytest.importorskip("highdicom")
    images = [Mammogram.read(exam) for exam in exams]
    said = ["CORRECTED", "DRAWN"]
    groups = [
        group(*tracking("1.2.3"), own("STATUS", "FOUND"), own("DECISION", decision),
              number("length"), scoord("POLYLINE", corners(pair), image.instance_uids[0]))
        for decision, image in zip(said, images, strict=True)
    ]  # fmt: skip
    file = write_report(tmp_path / "sr.dcm", report(*groups))
    argv = [command, *exams, "--lesions", str(file), "--sr", "--out", str(tmp_path / "out")]
    assert main(argv + (["--on", exams[0]] if command == "follow" else [])) == 0
    lesions = read_lesions(tmp_path / "out" / "lesions.dcm", images).lesions
    # A pair is tracked from the prior alone.
    now = said if command == "follow" else [said[0], ""]
    assert [lesion.decision for lesion in lesions] == now


def test_a_point_has_no_size_beside_an_outline(
    pair: Pair, exams: list[str], tmp_path: Path
) -> None:
    """Nor did a lesion grow from the box that was put around it."""
    uids = [Mammogram.read(exam).instance_uids[0] for exam in exams]
    truth = pair.truth
    point = scoord("POINT", list(pair.box.center), uids[0])
    outline = scoord("POLYLINE", [truth.x0, truth.y0, truth.x1, truth.y0, truth.x1, truth.y1,
                                  truth.x0, truth.y1], uids[1])  # fmt: skip
    alone = group(*tracking("1.2.4"), scoord("POINT", [90, 700], uids[0]))
    groups = [group(*tracking("1.2.3"), point), alone, group(*tracking("1.2.3"), outline)]
    file = write_report(tmp_path / "sr.dcm", report(*groups))
    out = tmp_path / "out"
    argv = ["follow", *exams, "--on", exams[0], "--lesions", str(file), "--out", str(out)]
    assert main(argv) == 0
    lesion, alone = json.loads((out / "history.json").read_text())["lesions"]
    assert (alone["marked_on"], lesion["marked_on"]) == (1, 2)
    assert [result["by_user"] for result in lesion["exams"]] == [True, True]
    assert lesion["exams"][0]["box"]["pixels"] == pytest.approx(
        Box.from_center(*pair.box.center, 50, 50).as_tuple(), abs=0.01
    )
    assert lesion["exams"][0]["size"] is None and lesion["overall"] is None
    assert alone["exams"][0]["size"]["longest_mm"] == pytest.approx(10)


def test_follow_takes_over_that_a_lesion_is_not_there(
    pair: Pair, exams: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it takes over a confirmed box; a group of another lesion, or of no exam, is named."""
    pytest.importorskip("highdicom")
    uids = [Mammogram.read(exam).instance_uids[0] for exam in exams]
    absent = own("DECISION", "ABSENT")
    groups = [
        group(*tracking("1.2.3"), own("DECISION", "MARKED"),
              scoord("POLYLINE", corners(pair), uids[0])),
        # Also where it has the box that was shown.
        group(*tracking("1.2.3"), own("STATUS", "FOUND"), absent,
              scoord("POLYLINE", corners(pair), uids[1])),
    ]  # fmt: skip
    file = write_report(tmp_path / "sr.dcm", report(*groups))
    argv = ["follow", *exams, "--on", exams[0], "--lesions"]
    assert main([*argv, str(file), "--sr", "--out", str(tmp_path / "out")]) == 0
    assert "group" not in capsys.readouterr().err
    again = str(tmp_path / "out" / "lesions.dcm")
    assert main([*argv, again, "--out", str(tmp_path / "again")]) == 0
    for out in ("out", "again"):
        (lesion,) = json.loads((tmp_path / out / "history.json").read_text())["lesions"]
        told = [(result["by_user"], result["status"]) for result in lesion["exams"]]
        assert told == [(True, "found"), (True, "not found")]

    groups += [group(*tracking(uid), absent, image(of)) for uid, of in
               (("1.9", uids[1]), ("1.2.3", uids[0]), ("1.2.3", "1.2.3.4"))]  # fmt: skip
    write_report(file, report(*groups))
    capsys.readouterr()
    assert main([*argv, str(file), "--out", str(tmp_path / "out")]) == 0
    said = "3 groups of the report say that the lesion is not there, which was not used."
    assert said in capsys.readouterr().err
    argv = ["track", *exams, "--lesions", str(file), "--out", str(tmp_path / "track")]
    assert main(argv) == 0
    assert "4 groups of the report say" in capsys.readouterr().err
    (track,) = tracked(tmp_path / "track")
    assert track["status"] == "found"

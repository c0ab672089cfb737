"""The batch script: an installed copy of it tracks the sample; and what it refuses."""

from __future__ import annotations

import importlib.util

import pytest
from command_line import read_table
from installed_copy import ROOT, install, run_installed
from sample_pair import SAMPLE, SPACING_MM, TRUTH, box_in, write_exam

SCRIPT = "Scripts/track_pair.py"


def test_the_batch_script_tracks_in_an_installed_copy(tmp_path, shell):
    stand_in = type(shell).__module__
    installed = tmp_path / "qt-scripted-modules"
    install(installed)
    current = tmp_path / "current.dcm"
    write_exam(current, "Current", 2021)
    # As Slicer does: the file's text, as the program, between its start and its exit.
    code = f"""
sys.path.append({str(ROOT / "Testing")!r})
import {stand_in}
{stand_in}.start()
import slicer
slicer.app.commandOptions().runPythonAndExit = True
__file__ = {str(installed / SCRIPT)!r}
exec(open(__file__).read(), globals())
assert slicer.app.exitCodes == [0], slicer.app.exitCodes
"""
    out = tmp_path / "new" / "out"
    done = run_installed(
        installed, code,
        "--prior", str(SAMPLE / "MammoTrackerPrior.nrrd"), "--current", str(current),
        "--roi", str(SAMPLE / "MammoTrackerLesion.mrk.json"), "--out", str(out),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Lesion 1: found." in done.stdout
    assert {path.name for path in out.iterdir()} == {
        "results.csv", "overlay.png", "Lesion 1.mrk.json", "Lesion 1 (current).mrk.json",
    }  # fmt: skip
    box = box_in(out / "Lesion 1 (current).mrk.json")
    assert box.iou(TRUTH) >= 0.5
    (row,) = read_table(out / "results.csv")
    assert row["Status"] == "found"
    assert float(row["Width (mm)"]) == pytest.approx(box.width * SPACING_MM, abs=0.06)
    from PIL import Image

    with Image.open(out / "overlay.png") as picture:
        assert picture.width == 1280


@pytest.fixture
def batch(script, tmp_path):
    """Run the batch script in this process on the sample, with some arguments changed."""

    def run(**changed) -> int:
        arguments = {
            "prior": SAMPLE / "MammoTrackerPrior.nrrd",
            "current": SAMPLE / "MammoTrackerCurrent.nrrd",
            "roi": SAMPLE / "MammoTrackerLesion.mrk.json",
            "out": tmp_path / "out",
        } | changed
        pairs = [(f"--{name.replace('_', '-')}", str(value)) for name, value in arguments.items()]
        code = script.main([text for pair in pairs for text in pair])
        assert not (tmp_path / "out").exists()
        return code

    return run


@pytest.fixture
def script(shell):
    """The batch script, in this process."""
    location = ROOT / "MammoTracker" / SCRIPT
    spec = importlib.util.spec_from_file_location("track_pair", location)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    yield script
    shell.scene.Clear()


def test_a_lesion_is_followed_through_exams(script, tmp_path, capsys):
    """As in the installed copy, but here."""
    names = {2021: "Current", 2019: "Prior", 2020: "Prior"}
    exams = [write_exam(tmp_path / f"{year}.dcm", name, year) for year, name in names.items()]
    out, roi = tmp_path / "out", str(SAMPLE / "MammoTrackerLesion.mrk.json")
    arguments = ["--exams", *map(str, exams), "--on", str(exams[1]), "--roi", roi]
    assert script.main([*arguments, "--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {
        "results.csv", "strip.png", "growth.png", "Lesion 1.mrk.json",
        "Lesion 1 (exam 2).mrk.json", "Lesion 1 (exam 3).mrk.json",
    }  # fmt: skip
    rows = read_table(out / "results.csv")
    assert [row["Status"] for row in rows] == ["marked", "found", "found"]
    assert [row["Years"] for row in rows] == ["0.00", "1.00", "2.00"]
    assert box_in(out / "Lesion 1 (exam 3).mrk.json").iou(TRUTH) >= 0.5
    printed = capsys.readouterr().out
    assert "Lesion 1 on 2021.dcm: found." in printed and "Lesion 1 on 2019.dcm" not in printed


def test_a_pair_or_exams_and_not_both(script, tmp_path, capsys):
    roi, out = str(SAMPLE / "MammoTrackerLesion.mrk.json"), str(tmp_path / "out")
    image = str(SAMPLE / "MammoTrackerPrior.nrrd")
    for arguments in (
        [],
        ["--prior", image],
        ["--exams", image, image, "--prior", image],
        ["--exams", image, image, "--prior", image, "--current", image],
    ):
        assert script.main([*arguments, "--roi", roi, "--out", out]) == 2
        assert "--prior and --current, or --exams" in capsys.readouterr().err
    assert script.main(["--exams", image, image, "--on", "x", "--roi", roi, "--out", out]) == 2
    assert "--on must be one of" in capsys.readouterr().err


def test_a_missing_file_is_said(batch, capsys, tmp_path):
    assert batch(current=tmp_path / "nothing.dcm") == 2
    assert "There is no file" in capsys.readouterr().err


def test_a_file_of_another_kind_is_said(batch, capsys):
    assert batch(prior=SAMPLE / "README.md") == 2
    assert "cannot read" in capsys.readouterr().err.splitlines()[-1]


def test_unknown_spacing_is_asked_for(batch, capsys, tmp_path):
    import SimpleITK as sitk

    image = sitk.ReadImage(str(SAMPLE / "MammoTrackerCurrent.nrrd"))
    image.SetSpacing((1, 1, 1))
    path = tmp_path / "current.nrrd"
    sitk.WriteImage(image, str(path))
    assert batch(current=path) == 2
    assert "give --current-spacing in mm" in capsys.readouterr().err
    assert batch(current=path, current_spacing=9) == 2
    assert "9 mm" in capsys.readouterr().err


def test_a_file_without_an_roi_is_said(batch, capsys, tmp_path, shell):
    import slicer

    point = shell.scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    point.AddControlPoint(1, 2, 3)
    path = tmp_path / "point.mrk.json"
    assert slicer.util.saveNode(point, str(path))
    assert batch(roi=path) == 2
    assert "holds no ROI" in capsys.readouterr().err


def test_exams_of_two_breasts_are_refused(batch, capsys, tmp_path):
    write_exam(tmp_path / "prior.dcm", "Prior", 2020, "L")
    write_exam(tmp_path / "current.dcm", "Current", 2021, "R")
    assert batch(prior=tmp_path / "prior.dcm", current=tmp_path / "current.dcm") == 2
    assert "laterality" in capsys.readouterr().err


def test_missing_packages_are_said_before_anything_is_read(batch, capsys, tmp_path, monkeypatch):
    from MammoTrackerPanel import installer

    monkeypatch.setattr(installer, "missing", lambda: ["ai-edge-litert>=2.1"])
    assert batch(prior=tmp_path / "nothing") == 2
    assert "under Setup" in capsys.readouterr().err


def test_wrong_arguments_end_with_2(batch, capsys):
    assert batch(bogus=1) == 2
    assert "usage:" in capsys.readouterr().err

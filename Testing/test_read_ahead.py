"""Exams that are read ahead: as `Mammogram.read` gives them, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sample_pair import SAMPLE, SPACING_MM, write_exam

from MammoTrackerLib import Mammogram, MammoTrackerError
from MammoTrackerLib.read_ahead import read_exams

PRIOR = SAMPLE / "MammoTrackerPrior.nrrd"


def test_pixels_come_as_they_are_in_the_smallest_type(tmp_path):
    dicom = write_exam(tmp_path / "exam.dcm", "Current", 2020)
    images = [[str(PRIOR), None], [str(dicom), 0.2]]
    for (path, spacing), told in zip(images, read_exams(images, tmp_path, "a"), strict=True):
        expected = Mammogram.read(path, spacing)
        pixels = np.load(told["file"])
        assert np.array_equal(pixels, expected.pixels) and pixels.dtype.kind == "u"
        assert tuple(told["spacing"]) == expected.spacing
        low, high = told["window"]
        assert expected.pixels.min() <= low < high <= expected.pixels.max()
    assert {path.name for path in tmp_path.glob("*.npy")} == {"a-0.npy", "a-1.npy"}


@pytest.mark.parametrize("change", [-0.5, 70_000, 0.25])
def test_pixels_that_are_no_small_whole_numbers_stay_as_they_are(tmp_path, change):
    import SimpleITK as sitk

    image = np.arange(400 * 300, dtype=np.float32).reshape(400, 300) % 256 + change
    picture = sitk.GetImageFromArray(image)
    picture.SetSpacing((0.1, 0.1))
    sitk.WriteImage(picture, str(tmp_path / "image.nrrd"))
    (told,) = read_exams([[str(tmp_path / "image.nrrd"), None]], tmp_path, "a")
    assert np.array_equal(np.load(told["file"]), image)


def test_one_that_cannot_be_read_is_said(tmp_path):
    with pytest.raises(MammoTrackerError, match="There is no file"):
        read_exams([[str(tmp_path / "gone.dcm"), None]], tmp_path, "a")


def answers(commands: list[dict]) -> list[dict]:
    done = subprocess.run(
        [sys.executable, "-m", "MammoTrackerLib.read_ahead"],
        input="".join(json.dumps(command) + "\n" for command in commands),
        capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_process_answers_each_command_and_ends_with_its_stdin(tmp_path):
    def command(name: str, folder: Path, path: Path) -> dict:
        return {"case": name, "folder": str(folder), "images": [[str(path), SPACING_MM]]}

    told = answers(
        [
            command("0", tmp_path, PRIOR),
            command("1", tmp_path, tmp_path / "gone.png"),
            command("2", tmp_path / "no folder", PRIOR),
            command("3", tmp_path, PRIOR),
        ]
    )
    assert [answer["case"] for answer in told] == ["0", "1", "2", "3"]
    assert "There is no file" in told[1]["error"] and "make room" in told[2]["error"]
    assert np.load(told[3]["exams"][0]["file"]).shape == Mammogram.read(PRIOR).pixels.shape

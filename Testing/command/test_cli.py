"""The command, as a user runs it: one pair."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from command_line import COMMAND, OUTPUTS, SPACING, STATUSES, Pair, assert_refused
from PIL import Image

from MammoTrackerLib import Box, Mammogram
from MammoTrackerLib.command import cli
from MammoTrackerLib.command.cli import main
from MammoTrackerLib.command.simulate import write_dicom
from MammoTrackerLib.metrics import center_distance


def test_version_is_printed_without_loading_networks() -> None:
    code = (
        "import sys; from MammoTrackerLib.command.cli import main\n"
        "try: main(['--version'])\n"
        "finally: assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("mammotracker ")


def test_track_finds_the_lesion_and_writes_everything(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    out = tmp_path / "new" / "folder"
    command = [*COMMAND, "track", *pair.arguments, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert {file.name for file in out.iterdir()} == OUTPUTS
    result = json.loads((out / "tracks.json").read_text())
    (track,) = result["tracks"]
    assert track["status"] in STATUSES
    assert track["status"] in done.stdout
    assert not done.stderr or done.stderr.startswith("Warning: ")
    assert result["current"]["spacing_mm"] == pytest.approx([SPACING, SPACING])
    assert track["prior_box"]["pixels"] == pytest.approx(pair.box.as_tuple(), abs=1e-3)
    assert track["prior_box"]["width_mm"] == pytest.approx(pair.box.width * SPACING, abs=1e-3)
    found = Box(*track["box"]["pixels"])
    assert center_distance(found, pair.truth, (SPACING, SPACING)) < 5
    assert found.iou(pair.truth) > 0.2

    shown = done.stdout + done.stderr + (out / "tracks.json").read_text()
    shown += (out / "lesion-1.mrk.json").read_text()
    shown = re.sub(r"\d+\.\d+", "", shown)  # the digits of a number are no year
    for secret in ("SECRET", "2023", "2024"):
        assert secret not in shown


@pytest.mark.parametrize("name", ["current_dicom", "current"])
def test_markup_is_where_itk_puts_the_pixels(pair: Pair, tmp_path: Path, name: str) -> None:
    current = getattr(pair, name)
    spacings = ["--prior-spacing", "0.2", "--current-spacing", "0.2"]
    argv = [str(pair.prior), str(current), *pair.box_arguments, *spacings]
    assert main(["track", *argv, "--out", str(tmp_path)]) == 0
    (track,) = json.loads((tmp_path / "tracks.json").read_text())["tracks"]
    (markup,) = json.loads((tmp_path / "lesion-1.mrk.json").read_text())["markups"]
    assert (markup["type"], markup["roiType"]) == ("ROI", "Box")
    if track["status"] == "not found":
        assert not markup["controlPoints"]
        return
    image = sitk.ReadImage(str(current))
    if current.suffix == ".png":
        image.SetSpacing([SPACING, SPACING])
    dimension = image.GetDimension()
    axes = np.array(markup["orientation"]).reshape(3, 3)
    center, size = np.array(markup["center"]), np.array(markup["size"])
    assert size[2] >= 1
    corners = []
    for sign in (-0.5, 0.5):
        point = center + axes @ (sign * size * [1, 1, 0])
        index = image.TransformPhysicalPointToContinuousIndex(point[:dimension].tolist())
        corners.append(np.array(index[:2]) + 0.5)
    box = [*np.min(corners, axis=0), *np.max(corners, axis=0)]
    np.testing.assert_allclose(box, track["box"]["pixels"], atol=0.01)


def test_second_run_replaces_the_first(pair: Pair, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("mine")
    two = [*pair.arguments, *pair.box_arguments]
    assert main(["track", *two, "--out", str(tmp_path)]) == 0
    assert (tmp_path / "lesion-2.mrk.json").exists()
    assert len(json.loads((tmp_path / "tracks.json").read_text())["tracks"]) == 2
    assert main(["track", *pair.arguments, "--out", str(tmp_path)]) == 0
    assert {file.name for file in tmp_path.iterdir()} == OUTPUTS | {"note.txt"}


@pytest.mark.parametrize(
    ("box", "words"),
    [
        (["10", "10", "10", "30"], ["empty or reversed"]),
        (["30", "10", "10", "30"], ["empty or reversed"]),
        (["nan", "10", "10", "30"], ["finite"]),
        (["5000", "5000", "5100", "5100"], ["box"]),
        (["-300", "10", "-200", "30"], ["box"]),
    ],
)
def test_bad_boxes(
    pair: Pair,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    box: list[str],
    words: list[str],
) -> None:
    out = tmp_path / "out"
    argv = ["track", *pair.arguments[:2], "--box", *box, "--out", str(out)]
    assert_refused(argv, capsys, *words)
    assert not list(tmp_path.iterdir())


def test_bad_images(pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    text = tmp_path / "text.png"
    text.write_text("no image")
    truncated = tmp_path / "truncated.dcm"
    truncated.write_bytes(pair.current_dicom.read_bytes()[:300_000])
    black = tmp_path / "black.png"
    sitk.WriteImage(sitk.Image(300, 400, sitk.sitkUInt16), str(black))
    before = sorted(tmp_path.iterdir())
    for current in (text, truncated, black, tmp_path / "missing.dcm", tmp_path):
        argv = ["track", str(pair.prior_dicom), str(current), *pair.box_arguments]
        assert_refused([*argv, "--current-spacing", "0.2", "--out", str(out)], capsys)
    argv = ["track", str(pair.prior_dicom), str(pair.current), *pair.box_arguments]
    assert_refused([*argv, "--out", str(out)], capsys, "spacing")
    assert sorted(tmp_path.iterdir()) == before


def test_other_breast_needs_force(
    pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = replace(Mammogram.read(pair.current_dicom), laterality="R")
    write_dicom(other, tmp_path / "other.dcm", "SIMULATED")
    out = tmp_path / "out"
    argv = ["track", str(pair.prior_dicom), str(tmp_path / "other.dcm"), *pair.box_arguments]
    argv += ["--out", str(out)]
    assert_refused(argv, capsys, "force")
    assert not out.exists()
    assert main([*argv, "--force"]) == 0
    assert (out / "tracks.json").exists()


def test_place_that_cannot_be_written(
    pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for out in (file, file / "below"):
        assert_refused(["track", *pair.arguments, "--out", str(out)], capsys, "Cannot write")
    assert file.read_text() == "mine"


def test_names_that_no_disk_takes_are_said(results: Path, manifest: Path, capsys) -> None:
    name = "n" * 300
    for argv, words in (
        (["report", str(results), "--out", name], "Cannot write"),
        (["evaluate", str(manifest), str(results), "--plot", f"{name}.png"], "Cannot write"),
        (["manifest", name, "--out", "m.csv"], "no folder"),
        (["batch", str(manifest), "--out", f"{name}.parquet"], "Cannot write"),
        (["agreement", name, name], "Cannot read"),
    ):
        if "--plot" not in argv or find_spec("matplotlib"):
            assert_refused(argv, capsys, words)


def test_what_the_system_refuses_anywhere_is_said_without_the_files_name(
    monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/data/Doe Jane/x.png")

    monkeypatch.setitem(cli._RUN, "agreement", refuse)
    assert main(["agreement", "a", "b"]) == 2
    said = capsys.readouterr().err
    assert "Permission denied" in said and "Doe" not in said and "report it" not in said


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_full_disk_leaves_the_old_results(pair: Pair, tmp_path: Path) -> None:
    import resource

    before = {name: b"of the run before" for name in OUTPUTS}
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    done = subprocess.run(
        [*COMMAND, "track", *pair.arguments, "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert done.returncode == 2
    assert "Cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_files_of_the_user_stay(pair: Pair, tmp_path: Path) -> None:
    argv = ["track", *pair.arguments, *pair.box_arguments, "--out", str(tmp_path)]
    assert main(argv) == 0
    second = tmp_path / "lesion-2.mrk.json"
    as_slicer_saves = json.loads(second.read_text())
    as_slicer_saves["markups"][0]["display"] = {"visibility": True}
    mine = {
        "lesion-prior.mrk.json": "mine",
        "lesion-02.mrk.json": second.read_text(),
        "lesion-3.mrk.json": second.read_text(),
        "lesion-4.mrk.json": json.dumps(as_slicer_saves),
        "lesion-5.mrk.json": "[" * 100_000,
        "lesion-6.mrk.json": "",
        "lesion-.mrk.json": "mine",
    }
    for name, text in mine.items():
        (tmp_path / name).write_text(text)
    pictures = "overlay-mine.png", "overlay-2.png", "lesion-2.png"
    for name in pictures:
        Image.new("L", (9, 9)).save(tmp_path / name)
    shutil.copy(tmp_path / "overlay.png", tmp_path / "overlay-before.png")
    assert main(["track", *pair.arguments, "--out", str(tmp_path)]) == 0
    kept = {*mine, *pictures, "overlay-before.png"}
    assert {file.name for file in tmp_path.iterdir()} == OUTPUTS | kept
    assert {name: (tmp_path / name).read_text() for name in mine} == mine


@pytest.mark.parametrize("name", sorted(OUTPUTS))
@pytest.mark.parametrize("kind", ["foreign", "folder"])
def test_no_result_replaces_what_the_command_did_not_write(
    pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, kind: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    if kind == "folder":
        (out / name).mkdir()
    elif name == "overlay.png":
        shutil.copy(pair.prior, out / name)
    else:
        (out / name).write_text('{"markups": [{"type": "ROI", "name": "Lesion 1", "display": {}}]}')
    about = os.stat(out / name)
    assert_refused(["track", *pair.arguments, "--out", str(out)], capsys, "Cannot write", name)
    now = os.stat(out / name)
    assert [path.name for path in out.iterdir()] == [name]
    assert (now.st_ino, now.st_mtime_ns) == (about.st_ino, about.st_mtime_ns)


def test_what_may_be_wrong_with_the_pair_is_said(
    pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = replace(
        Mammogram.read(pair.current_dicom), patient_id="ANOTHER^NAME", date=date(1999, 1, 1)
    )
    write_dicom(odd, tmp_path / "current.dcm", "SIMULATED")
    out = tmp_path / "out"
    argv = [str(pair.prior_dicom), str(tmp_path / "current.dcm"), *pair.box_arguments]
    assert main(["track", *argv, "--out", str(out)]) == 0
    remarks = json.loads((out / "tracks.json").read_text())["remarks"]
    said = capsys.readouterr()
    assert len(remarks) == 2
    assert "patient IDs" in remarks[0] and "taken after" in remarks[1]
    for remark in remarks:
        assert f"Warning: {remark}" in said.err
    shown = said.out + said.err + "".join(path.read_text() for path in out.glob("*.json"))
    for secret in ("SECRET", "ANOTHER", "1999"):
        assert secret not in shown


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_nothing_or_the_next_one_clears_it(
    pair: Pair, tmp_path: Path, number: int
) -> None:
    out, temporary = tmp_path / "out", tmp_path / "temporary"
    temporary.mkdir()
    many = pair.box_arguments * 400
    argv = [*COMMAND, "track", *pair.arguments, *many, "--out", str(out)]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    process = subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE, text=True)
    while not (list(tmp_path.glob(".mammotracker-*")) and list(temporary.iterdir())):
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.5)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == (143 if number == signal.SIGTERM else -number)
    assert said == ""
    if number == signal.SIGKILL:
        assert list(tmp_path.glob(".mammotracker-*"))
        argv = [*COMMAND, "track", *pair.arguments, "--out", str(out)]
        assert subprocess.run(argv, env=environment, capture_output=True).returncode == 0
        shutil.rmtree(out)
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]
    assert not list(temporary.iterdir())


def test_what_readers_print_is_not_shown(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    real = Mammogram.read.__func__

    def read(cls: type, path: Path, spacing: float | None = None) -> Mammogram:
        warnings.warn("Invalid value: DOE^JANE", stacklevel=2)
        logging.getLogger("a reader").warning("DOE^JANE")
        os.write(2, b"DOE^JANE")
        return real(cls, path, spacing)

    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    monkeypatch.setattr(Mammogram, "read", classmethod(read))
    assert main(["track", *pair.arguments, "--out", str(tmp_path)]) == 0
    captured = capfd.readouterr()
    assert "DOE" not in captured.out + captured.err

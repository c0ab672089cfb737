"""The command as a user calls it: real images, real networks, real files."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from MammoTrackerLib import Box, Mammogram
from MammoTrackerLib.command import batch, benchmark
from MammoTrackerLib.command.cli import main
from MammoTrackerLib.command.simulate import FILM_LESION, read_film, simulate_follow_up, write_dicom
from MammoTrackerLib.metrics import center_distance
from MammoTrackerLib.networks import runtime

COMMAND = [sys.executable, "-m", "MammoTrackerLib.command.cli"]
STATUSES = {"found", "uncertain", "not found", "kept from registration"}
SPACING = 0.2
OUTPUTS = {"tracks.json", "lesion-1.mrk.json", "overlay.png"}


@dataclass(frozen=True)
class Pair:
    """Image files of a real film at 0.2 mm and of its simulated follow-up, and the truth."""

    prior: Path
    current: Path
    prior_dicom: Path
    current_dicom: Path
    box: Box
    truth: Box

    @property
    def arguments(self) -> list[str]:
        return [str(self.prior_dicom), str(self.current_dicom), *self.box_arguments]

    @property
    def box_arguments(self) -> list[str]:
        return ["--box", *(str(value) for value in self.box.as_tuple())]


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("pair")
    film = read_film()
    rows, columns = (side // 4 * 4 for side in film.pixels.shape)
    small = film.pixels[:rows, :columns].reshape(rows // 4, 4, columns // 4, 4).mean((1, 3))
    prior = replace(film, pixels=small, spacing=(SPACING, SPACING), patient_id="SECRET^NAME")
    box = FILM_LESION.scaled(0.25, 0.25)
    follow_up = simulate_follow_up(prior, [box])
    for name, mammogram in (("prior", prior), ("current", follow_up.mammogram)):
        image = sitk.GetImageFromArray(mammogram.pixels.astype(np.uint16))
        sitk.WriteImage(image, str(folder / f"{name}.png"))
        write_dicom(mammogram, folder / f"{name}.dcm", "SIMULATED")
    return Pair(
        folder / "prior.png",
        folder / "current.png",
        folder / "prior.dcm",
        folder / "current.dcm",
        box,
        follow_up.boxes[0],
    )


@pytest.fixture(scope="session")
def manifest(pair: Pair) -> Path:
    """A table beside the images: two lesions of one pair, a missing file, the pair again."""
    path = pair.prior.parent / "manifest.csv"
    corners = ("x0", "y0", "x1", "y1")
    good = {
        "prior": "prior.png",
        "current": "current.png",
        "prior_spacing_mm": SPACING,
        "current_spacing_mm": SPACING,
        "lesion_type": "mass",
    }
    good |= {f"prior_{name}": v for name, v in zip(corners, pair.box.as_tuple(), strict=True)}
    good |= {f"current_{name}": v for name, v in zip(corners, pair.truth.as_tuple(), strict=True)}
    dicom = good | {
        "prior": "prior.dcm",
        "current": "current.dcm",
        "prior_spacing_mm": "",
        "current_spacing_mm": "",
    }
    rows = [
        good | {"pair_id": "a", "lesion_id": "1"},
        good | {"pair_id": "a", "lesion_id": "1"},
        good | {"pair_id": "b", "lesion_id": "1", "prior": "missing.png"},
        good | {"pair_id": "c", "lesion_id": "1", "prior_x1": 0},
        dicom | {"pair_id": "d", "lesion_id": "Ä, 2"},
    ]
    write_table(path, rows)
    return path


@pytest.fixture(scope="session")
def results(manifest: Path) -> Path:
    """Give what one run of `batch` writes for the manifest."""
    path = manifest.with_name("results.csv")
    assert main(["batch", str(manifest), "--out", str(path)]) == 0
    return path


def write_table(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def without_seconds(path: Path) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in read_table(path)]


def assert_refused(argv: list[str], capsys: pytest.CaptureFixture[str], *words: str) -> None:
    assert main(argv) == 2
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert lines[-1].startswith("mammotracker: ")
    assert "Traceback" not in captured.err
    for word in words:
        assert word in lines[-1]


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


def test_batch_aligns_a_pair_once(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aligned = []
    real = batch.align
    monkeypatch.setattr(batch, "align", lambda *images: aligned.append(images) or real(*images))
    assert main(["batch", str(manifest), "--out", str(tmp_path / "results.csv")]) == 0
    assert len(aligned) == 2, "two lesions of one pair, and the same pair as DICOM"


def test_batch_goes_on_after_failures(results: Path) -> None:
    rows = read_table(results)
    assert list(rows[0]) == (
        "pair_id,lesion_id,status,x0,y0,x1,y1,score,registration_x0,registration_y0,"
        "registration_x1,registration_y1,seconds,message"
    ).split(",")
    assert [(row["pair_id"], row["lesion_id"]) for row in rows] == [
        ("a", "1"),
        ("a", "1"),
        ("b", "1"),
        ("c", "1"),
        ("d", "Ä, 2"),
    ]
    assert [row["status"] == "failed" for row in rows] == [False, False, True, True, False]
    assert "missing.png" in rows[2]["message"]
    assert "reversed" in rows[3]["message"]
    assert rows[2]["x0"] == rows[2]["score"] == ""
    assert {row["status"] for row in rows if row["score"]} <= STATUSES
    assert float(rows[0]["seconds"]) > 0


def test_batch_gives_what_track_gives(results: Path, pair: Pair, tmp_path: Path) -> None:
    assert main(["track", *pair.arguments, "--out", str(tmp_path / "track")]) == 0
    (track,) = json.loads((tmp_path / "track" / "tracks.json").read_text())["tracks"]
    row = read_table(results)[4]
    assert [float(row[name]) for name in ("x0", "y0", "x1", "y1")] == track["box"]["pixels"]
    assert row["status"] == track["status"]


@pytest.mark.parametrize("keep", ["nothing", "half a header", "rows", "half a row", "everything"])
def test_resume_gives_what_one_run_gives(
    manifest: Path, results: Path, tmp_path: Path, keep: str
) -> None:
    resumed = tmp_path / "resumed.csv"
    lines = results.read_bytes().splitlines(keepends=True)
    resumed.write_bytes(
        {
            "nothing": b"",
            "half a header": lines[0][:30],
            "rows": b"".join(lines[:4]),
            "half a row": b"".join(lines[:5]) + lines[5][:15],
            "everything": b"".join(lines),
        }[keep]
    )
    assert main(["batch", str(manifest), "--out", str(resumed), "--resume"]) == 0
    assert without_seconds(resumed) == without_seconds(results)


def test_batch_keeps_other_results(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.csv"
    header = (
        "pair_id,lesion_id,status,x0,y0,x1,y1,score,registration_x0,registration_y0,"
        "registration_x1,registration_y1,seconds,message\n"
    )
    for content in ("my notes\n", "my notes", header + "other,1,failed" + 11 * "," + "\n"):
        out.write_text(content)
        assert_refused(["batch", str(manifest), "--out", str(out)], capsys, "--resume")
        assert_refused(["batch", str(manifest), "--out", str(out), "--resume"], capsys)
        assert out.read_text() == content


def test_bad_manifests(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "results.csv"
    broken = tmp_path / "broken.csv"
    rows = [{k: v for k, v in row.items() if k != "prior_y1"} for row in read_table(manifest)]
    write_table(broken, rows)
    assert_refused(["batch", str(broken), "--out", str(out)], capsys, "prior_y1")
    broken.write_bytes(b"\xff\x00\xfe" * 100)
    assert_refused(["batch", str(broken), "--out", str(out)], capsys)
    broken.write_bytes(b"")
    assert_refused(["batch", str(broken), "--out", str(out)], capsys, "pair_id")
    assert_refused(["batch", str(tmp_path), "--out", str(out)], capsys)
    assert_refused(["batch", str(tmp_path / "none.csv"), "--out", str(out)], capsys)
    assert_refused(["batch", str(manifest), "--out", str(tmp_path / "no" / "x.csv")], capsys)
    assert not out.exists()


def evaluation(tmp_path: Path) -> tuple[Path, Path]:
    """Eight lesions of three patients.

    A hit, one moved by half, a failure, one without truth, one not found; one far off though
    called found; and two that are not there: one called found, one not found.
    """
    image = sitk.GetImageFromArray(np.arange(120_000, dtype=np.float32).reshape(400, 300))
    image.SetSpacing([0.1, 0.1])
    sitk.WriteImage(image, str(tmp_path / "image.mha"))
    blank = dict.fromkeys(("current_x0", "current_y0", "current_x1", "current_y1"), "")
    truth = {"current_x0": 10, "current_y0": 10, "current_x1": 30, "current_y1": 20}
    gone = blank | {"present": "0"}
    base = {
        "prior": "image.mha",
        "current": "image.mha",
        "prior_spacing_mm": "",
        "current_spacing_mm": "",
        "prior_x0": 1,
        "prior_y0": 1,
        "prior_x1": 9,
        "prior_y1": 9,
        "present": "",
    }
    far = {"x0": 100, "y0": 10, "x1": 120, "y1": 20}
    hit = {"x0": 10, "y0": 10, "x1": 30, "y1": 20}
    half = {"x0": 20, "y0": 10, "x1": 40, "y1": 20}
    rows, results = [], []
    for number, (kind, patient, true, status, box, registration, spacing) in enumerate(
        [
            ("mass", "1", truth, "found", hit, half, ""),
            ("mass", "2", truth | {"present": "1"}, "uncertain", half, far, "0.2"),
            ("[calc]", "3", truth, "failed", {}, {}, ""),
            ("mass", "1", blank, "found", hit, hit, ""),
            ("[calc]", "3", truth, "not found", far, hit, ""),
            ("[calc]", "3", truth, "found", far, hit, "0.2"),
            ("mass", "2", gone, "found", hit, hit, ""),
            ("mass", "2", gone | truth, "not found", hit, hit, ""),
        ]
    ):
        identity = {"pair_id": "p", "lesion_id": number}
        rows.append(
            identity
            | base
            | true
            | {"lesion_type": kind, "current_spacing_mm": spacing, "patient": patient}
        )
        placed = {name: box.get(name, "") for name in far}
        placed |= {f"registration_{name}": registration.get(name, "") for name in far}
        results.append(
            identity | placed | {"status": status, "score": "", "seconds": "0.1", "message": ""}
        )
    write_table(tmp_path / "manifest.csv", rows)
    write_table(tmp_path / "results.csv", results)
    return tmp_path / "manifest.csv", tmp_path / "results.csv"


def cells(output: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in output.splitlines()
        if line.startswith("│")
    ]


def test_evaluate_counts_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest, results = evaluation(tmp_path)
    assert main(["evaluate", str(manifest), str(results)]) == 0
    output = capsys.readouterr().out
    table = cells(output)
    # Half of the box is missed: IoU 1/3; moved by 10 pixels of 0.1 or 0.2 mm; far is 90 pixels.
    # AUC: above 0 to 0.33 for IoU 1/3; above 0 to 0.99 for IoU 1.
    numbers = [row for row in table if row[0] in ("tracker", "registration")]
    assert numbers == [
        ["tracker", "0", "0", "0.667", "0.667", "0.000", "1.00", "1.00", "1.80", "1.000", "0.665"],
        ["registration", "0", "-"]
        + ["0.167", "0.333", "0.500", "9.50", "9.50", "16.30", "0.500", "0.168"],
        ["tracker", "1", "1", "0.000", "-", "1.000", "13.50", "13.50", "17.10", "0.000", "0.000"],
        ["registration", "1", "-"]
        + ["0.667", "1.000", "0.333", "0.00", "0.00", "0.00", "0.667", "0.663"],
        ["tracker", "1", "1", "0.267", "0.667", "0.600", "7.25", "5.50", "15.30", "0.400", "0.266"],
        ["registration", "1", "-"]
        + ["0.467", "0.778", "0.400", "4.75", "0.50", "12.90", "0.600", "0.465"],
    ]
    assert [row[0] for row in table if "patient" in row[0]] == [
        "2 lesions, 2 patients",
        "3 lesions, 1 patient",
        "5 lesions, 3 patients",
    ]
    below = table[table.index(numbers[0]) + 1]
    assert below[3:7] == ["0.333-1.000", "0.333-1.000", "0.000-0.000", "0.00-2.00"]
    assert "1 rows were skipped" in output
    assert "(3 patients)" in output
    assert "no sample" in output


def test_evaluate_says_what_the_statuses_are_worth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, results = evaluation(tmp_path)
    assert main(["evaluate", str(manifest), str(results)]) == 0
    output = capsys.readouterr().out
    assert cells(output)[-5:] == [
        ["found", "2", "1", "1"],
        ["uncertain", "1", "0", "0"],
        ["not found", "1", "0", "1"],
        ["kept from registration", "0", "0", "0"],
        ["failed", "1", "-", "0"],
    ]
    lines = output.splitlines()
    found = next(line for line in lines if "called found" in line)
    assert found.startswith("Of 3 called found, 2 (66.7 %, interval ")
    assert found.endswith(" are more than 10 mm off or not there.")
    missed = next(line for line in lines if "called not found" in line)
    assert missed.startswith("Of 5 lesions that are there, 1 (20.0 %, interval ")


def test_evaluate_without_patients_draws_pairs_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, results = evaluation(tmp_path)
    rows = [{k: v for k, v in row.items() if k != "patient"} for row in read_table(manifest)]
    write_table(manifest, rows)
    assert main(["evaluate", str(manifest), str(results)]) == 0
    output = capsys.readouterr().out
    assert "5 lesions, 1 pair" in output
    assert "5 rows without a patient" in output


def test_evaluate_of_lesions_that_are_all_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, results = evaluation(tmp_path)
    write_table(manifest, read_table(manifest)[6:])
    write_table(results, read_table(results)[6:])
    assert main(["evaluate", str(manifest), str(results)]) == 0
    output = capsys.readouterr().out
    assert "AO" not in output
    assert "Of 1 called found, 1 (100.0 %) are more than 10 mm off or not there." in output
    argv = ["evaluate", str(manifest), str(results), "--plot", str(tmp_path / "plot.png")]
    assert_refused(argv, capsys, "plot")


def test_evaluate_draws_success_plots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    manifest, results = evaluation(tmp_path)
    argv = ["evaluate", str(manifest), str(results), "--plot"]
    assert main([*argv, str(tmp_path / "plot.png")]) == 0
    picture = sitk.ReadImage(str(tmp_path / "plot.png"))
    assert picture.GetWidth() > 2.5 * picture.GetHeight(), "three panels"
    capsys.readouterr()
    assert_refused([*argv, str(tmp_path / "none" / "plot.png")], capsys, "Cannot write")
    assert_refused([*argv, str(tmp_path / "plot.docx")], capsys, ".png")


def test_success_plots_need_matplotlib(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, results = evaluation(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    argv = ["evaluate", str(manifest), str(results), "--plot", str(tmp_path / "plot.png")]
    assert_refused(argv, capsys, "pip install matplotlib")


def test_evaluate_refuses_what_does_not_belong_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, results = evaluation(tmp_path)
    rows, answers = read_table(manifest), read_table(results)
    other = tmp_path / "other.csv"

    write_table(other, answers[::-1])
    assert_refused(["evaluate", str(manifest), str(other)], capsys, "does not belong")
    write_table(other, [*answers, answers[0]])
    assert_refused(["evaluate", str(manifest), str(other)], capsys, "more rows")
    write_table(other, [{k: v for k, v in row.items() if k != "current_x0"} for row in rows])
    assert_refused(["evaluate", str(other), str(results)], capsys, "current_x0")
    write_table(other, [rows[0] | {"current_x0": "left"}, *rows[1:]])
    assert_refused(["evaluate", str(other), str(results)], capsys, "Row 1", "left")
    write_table(other, [rows[0], rows[1] | {"present": "yes"}, *rows[2:]])
    assert_refused(["evaluate", str(other), str(results)], capsys, "Row 2", "present", "yes")
    write_table(
        other,
        [
            row
            | dict.fromkeys(("current_x0", "current_y0", "current_x1", "current_y1"), "")
            | {"present": "1"}
            for row in rows
        ],
    )
    assert_refused(["evaluate", str(other), str(results)], capsys, "nothing to evaluate")


def test_evaluate_says_what_is_not_done_yet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, results = evaluation(tmp_path)
    write_table(results, read_table(results)[:2])
    assert main(["evaluate", str(manifest), str(results)]) == 0
    assert "6 rows have no result yet" in capsys.readouterr().out


def test_benchmark_measures_every_step(pair: Pair) -> None:
    done = subprocess.run(
        [*COMMAND, "benchmark", *pair.arguments], capture_output=True, text=True, check=True
    )
    rows = {row[0]: row[1:] for row in cells(done.stdout)}
    for step in ("read both images", "align (global search)", "load the networks", "first lesion"):
        assert float(rows[step][0]) > 0
        assert float(rows[step][2]) > 10
    assert float(rows["SimpleITK affine"][0]) > 0


def test_benchmark_times_a_batch_where_there_is_a_gpu(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = benchmark.Task(
        str(pair.prior_dicom), str(pair.current_dicom), None, None, pair.box.as_tuple()
    )
    monkeypatch.setattr(runtime, "_has_gpu", lambda: True)
    monkeypatch.setattr(runtime, "LESIONS_ON_GPU", 2)
    *_, together = benchmark._measure_mammotracker(task)
    assert together.step == "networks alone, 2 lesions"
    assert together.wall_s > 0


def test_benchmark_needs_all_or_nothing(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(["benchmark", str(pair.prior_dicom)], capsys, "--box")

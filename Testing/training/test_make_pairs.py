"""Pairs are written as asked, of women never trained on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import read_table

from MammoTrackerLib.command.tables.columns import BOX_COLUMNS, SERIES
from MammoTrackerLib.command.tables.rows import layout_of
from MammoTrackerLib.errors import MammoTrackerError
from Training import make_pairs, train_tracking
from Training.sources import (
    HELD_OUT_SEED,
    Source,
    for_validation,
    generated_source,
    held_out,
    read_folder,
)


def breast_image() -> np.ndarray:
    """Return (900, 1200) of 8 bit: a breast below its chest wall."""
    source = generated_source(3)
    image = np.clip(255 * cv2.resize(np.rot90(source.pixels, -1), (1200, 900)), 0, 255)
    return image.astype(np.uint8)


@pytest.fixture(autouse=True)
def threads():
    """What the program does to OpenCV's threads is undone."""
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of two women's images."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), np.rot90(breast_image()))
    return folder


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_pairs_do_not_depend_on_the_number_of_workers(tmp_path: Path, images: Path):
    for name, options in (
        ("one", ["--pairs", "2", "--wrong", "2", "--workers", "1"]),
        ("two", ["--pairs", "2", "--wrong", "2", "--workers", "2"]),
        ("other", ["--pairs", "1", "--seed", "2", "--sheet", str(tmp_path / "sheet.png")]),
    ):
        out = ["--folder", str(images), "--spacing", "0.08", "--out", str(tmp_path / name)]
        make_pairs.main([*out, *options])
    one, two, other = (written(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert one["0000_prior.png"] != other["0000_prior.png"]
    assert cv2.imread(str(tmp_path / "sheet.png")).std() > 10

    rows = read_table(tmp_path / "one" / "manifest.csv")
    right = [row for row in rows if not row["pair_id"].startswith("wrong")]
    wrong = [row for row in rows if row["pair_id"].startswith("wrong")]
    assert len(right) == len(wrong) > 4
    patient = {row["current"]: row["patient"] for row in right}
    assert set(patient.values()) == {"a", "b"}
    for row in rows:
        assert row["lesion_type"] in ("mass", "calcification", "tissue")
        assert all(row[f"prior_{side}"] for side in BOX_COLUMNS)
        assert all(row[f"current_{side}"] for side in BOX_COLUMNS) == (row["present"] == "1")
        assert 0.13 < float(row["prior_spacing_mm"]) < 0.2
        image = cv2.imread(str(tmp_path / "one" / row["prior"]), cv2.IMREAD_ANYDEPTH)
        assert image.dtype == np.uint16
        assert float(row["prior_x1"]) <= image.shape[1]
        assert float(row["prior_y1"]) <= image.shape[0]
    for row in wrong:
        assert row["present"] == "0"
        assert patient[row["current"]] != row["patient"]
        assert patient[row["prior"].replace("prior", "current")] == row["patient"]


def test_women_of_pairs_are_never_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One of two M-SYNTH models is held out; seeds are others; films are for training alone."""
    for name in ("P5_Dfatty_L5.0_X1.jpg", "P6_Dfatty_L5.0_X1.jpg"):
        cv2.imwrite(str(tmp_path / name), breast_image())
    film = Source(np.zeros((5, 5), "f4"), np.ones((5, 5), "f4"), "film-1", 0.14)
    for module in (make_pairs, train_tracking):
        monkeypatch.setattr(module, "read_films", lambda to_mm: [film])
    monkeypatch.setattr(make_pairs, "GENERATED", 2)
    for_pairs = make_pairs.pair_sources(None, 0.07, tmp_path, trained_on=False)
    of_trained = make_pairs.pair_sources(None, 0.07, tmp_path, trained_on=True)
    training, _ = train_tracking.training_sources(tmp_path, generated=2)
    assert {s.woman for s in for_pairs} == {
        "msynth-P5", f"generated-{HELD_OUT_SEED}", f"generated-{HELD_OUT_SEED + 1}",
    }  # fmt: skip
    assert all(held_out(source) for source in for_pairs)
    assert {s.woman for s in for_pairs if for_validation(s)} == {
        "msynth-P5", f"generated-{HELD_OUT_SEED + 1}",
    }  # fmt: skip
    women = {source.woman for source in training}
    assert women == {"film-1", "msynth-P6", "generated-0", "generated-1"}
    assert {source.woman for source in of_trained} == women
    assert {source.spacing_mm for source in for_pairs + of_trained} == {0.14}


def test_a_folder_is_read_as_women_by_name(tmp_path: Path):
    for name in ("a_1.png", "a_2.PNG", "b.jpeg"):
        cv2.imwrite(str(tmp_path / name), np.rot90(breast_image()))
    (tmp_path / "notes.txt").write_text("no image")
    found = make_pairs.pair_sources(tmp_path, 0.1, None, trained_on=False)
    assert [source.woman for source in found] == ["a", "a", "b"]
    np.testing.assert_allclose(found[0].pixels.shape[0] * 0.14, 120, atol=3)
    (tmp_path / "broken.png").write_text("no image either")
    with pytest.raises(MammoTrackerError, match="broken"):
        read_folder(tmp_path, 0.1)
    with pytest.raises(MammoTrackerError, match="has no image"):
        read_folder(tmp_path / "none", 0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pairs=0"], "1 or more"),
        (["--workers=0"], "1 or more"),
        (["--gone=2"], "a number from 0 to 1"),
        (["--msynth=none"], "none has no image"),
    ],
)
def test_options_that_cannot_be_are_said(tmp_path: Path, capsys, options, message):
    with pytest.raises(SystemExit):
        make_pairs.main(["--out", str(tmp_path / "out"), *options])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_wrong_pairs_need_two_women():
    row = {"patient": "a", "current": "x", "current_spacing_mm": "0.14", "pair_id": "0"}
    with pytest.raises(MammoTrackerError, match="two women"):
        make_pairs.wrong_rows([[row], [row]], 1)


def test_rolled_pairs_of_cesm_tell_where_every_layer_went(tmp_path: Path):
    """Test and validation women differ; without a roll the manifest has no such columns."""
    images = tmp_path / "images"
    images.mkdir()
    for number in (3, 140, 160):
        image = cv2.cvtColor(np.rot90(breast_image()), cv2.COLOR_GRAY2BGR)
        cv2.imwrite(str(images / f"normal_left_IM{number:04d}.jpg"), image)
    seen = {}
    for name, options in (
        ("test", ["--rolled", "9"]),
        ("validation", ["--validation"]),
    ):
        out = tmp_path / name
        make_pairs.main(["--cesm", str(images), "--pairs", "1", "--out", str(out), *options])
        seen[name] = read_table(out / "manifest.csv")
    assert {row["patient"] for row in seen["test"]} == {"cesm-0160"}
    assert {row["patient"] for row in seen["validation"]} == {"cesm-0140"}
    assert "layer" not in seen["validation"][0]
    for row in seen["test"]:
        k = row["layer"]
        assert 0 <= float(row[f"layer{k}_share"]) <= 1
        if row["present"] == "1":
            x, y = (
                (float(row[f"current_{axis}0"]) + float(row[f"current_{axis}1"])) / 2
                for axis in "xy"
            )
            away = np.hypot(float(row[f"layer{k}_x"]) - x, float(row[f"layer{k}_y"]) - y)
            assert away * float(row["current_spacing_mm"]) < 3
    wrong = make_pairs.wrong_rows([seen["test"], seen["validation"]], 1)
    assert not any(name.startswith("layer") for row in wrong for name in row)


def test_all_that_is_pasted_can_be_gone(tmp_path: Path, images: Path):
    """Single calcifications have a type of their own then."""
    out = tmp_path / "out"
    make_pairs.main(
        ["--folder", str(images), "--spacing", "0.08", "--out", str(out), "--pairs", "4",
         "--gone", "1"]
    )  # fmt: skip
    rows = read_table(out / "manifest.csv")
    assert {row["lesion_type"] for row in rows} >= {"speck", "tissue"}
    for row in rows:
        assert (row["present"] == "1") == (row["lesion_type"] == "tissue")
        assert bool(row["current_x0"]) == (row["lesion_type"] == "tissue")


def test_series_are_written_with_a_row_a_lesion_and_exam(tmp_path: Path, images: Path):
    for workers in ("1", "2"):
        make_pairs.main(
            ["--folder", str(images), "--spacing", "0.08", "--out", str(tmp_path / workers),
             "--pairs", "2", "--series", "2", "3", "--workers", workers,
             "--sheet", str(tmp_path / "sheet.png")]
        )  # fmt: skip
    one, two = (written(tmp_path / workers) for workers in ("1", "2"))
    assert one == two
    assert cv2.imread(str(tmp_path / "sheet.png")).std() > 10
    manifest = tmp_path / "1" / "manifest.csv"
    assert layout_of(manifest) is SERIES
    rows = read_table(manifest)
    assert set(SERIES.manifest) <= set(rows[0])
    for group in ("0000", "0001"):
        own = [row for row in rows if row["exam_group"] == group]
        exams = sorted({row["exam"] for row in own})
        assert 2 <= len(exams) <= 3
        assert {path for path in one if path.startswith(group)} == set(exams)
        for lesion in {row["lesion_id"] for row in own}:
            mine = [row for row in own if row["lesion_id"] == lesion]
            assert [row["exam"] for row in mine] == exams
            assert [row["date"] for row in mine] == sorted(row["date"] for row in mine)
            (marked,) = (row for row in mine if row["x0"])
            assert marked["present"] == "1" and marked["x0"] == marked["true_x0"]
            assert all((row["true_x0"] != "") == (row["present"] == "1") for row in mine)


@pytest.mark.parametrize("more", [["--series", "5", "4"], ["--series", "1", "4"],
                                  ["--series", "2", "4", "--wrong", "3"],
                                  ["--series", "2", "4", "--gone", "0.3"]])  # fmt: skip
def test_series_that_make_no_sense_are_refused(tmp_path: Path, more: list[str]):
    with pytest.raises(SystemExit):
        make_pairs.main(["--out", str(tmp_path), *more])

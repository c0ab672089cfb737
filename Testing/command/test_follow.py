"""`mammotracker follow`: what it writes, and what it refuses."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from command_line import SPACING, Pair, cells, read_table
from PIL import Image
from rich.console import Console

from MammoTrackerLib import Box, Mammogram, Status, Track
from MammoTrackerLib.command import follow
from MammoTrackerLib.command.cli import main
from MammoTrackerLib.command.drawings.strip import Strip
from MammoTrackerLib.command.history_files import COLUMNS
from MammoTrackerLib.command.simulate import simulate_follow_up, write_dicom
from MammoTrackerLib.growth import growth
from MammoTrackerLib.history import ExamResult, LesionHistory, by_user
from MammoTrackerLib.metrics import center_distance

DATES = [datetime.date(2019, 3, 2), datetime.date(2021, 5, 1), datetime.date(2022, 11, 30)]


@pytest.fixture(scope="module")
def series(pair: Pair, tmp_path_factory) -> tuple[list[Path], list[Box]]:
    """Three exams as DICOM, the last mirrored, and the true boxes."""
    folder = tmp_path_factory.mktemp("series")
    first = replace(Mammogram.read(pair.prior_dicom), patient_id="SECRET^NAME")
    images, boxes = [first], [pair.box]
    for seed, grown in ((1, 1.1), (2, 1.5)):
        later = simulate_follow_up(first, [pair.box], grown, seed)
        images.append(later.mammogram)
        boxes.append(later.boxes[0])
    width = first.pixels.shape[1]
    images[2] = replace(images[2], pixels=images[2].pixels[:, ::-1].copy())
    boxes[2] = Box(width - boxes[2].x1, boxes[2].y0, width - boxes[2].x0, boxes[2].y1)
    paths = [folder / f"{k}.dcm" for k in range(3)]
    for image, date, path in zip(images, DATES, paths, strict=True):
        write_dicom(replace(image, date=date), path, "SIMULATED")
    return paths, boxes


def arguments(paths: list[Path], on: Path, box: Box, out: Path, *more: str) -> list[str]:
    numbers = [str(value) for value in box.as_tuple()]
    shown = [str(path) for path in paths]
    return ["follow", *shown, "--on", str(on), "--box", *numbers, "--out", str(out), *more]


@pytest.fixture(scope="module")
def out(series, tmp_path_factory) -> Path:
    """The output for exams given in a wrong order, marked on the one in the middle."""
    paths, boxes = series
    folder = tmp_path_factory.mktemp("out") / "history"
    given = [paths[2], paths[0], paths[1]]
    assert main(arguments(given, paths[1], boxes[1], folder)) == 0
    return folder


def test_files_are_written_and_nothing_of_the_patient_is_in_them(out):
    rois = {f"lesion-1-exam-{k}.mrk.json" for k in (1, 2, 3)}
    named = {path.name for path in out.iterdir()}
    assert named == {"history.json", "history.csv", "strip.png", "growth.png"} | rois
    for path in out.iterdir():
        content = path.read_bytes()
        for secret in (b"SECRET", b"2019", b"2021", b"2022"):
            assert secret not in content or path.suffix == ".png", path.name
    for name in ("strip.png", "growth.png"):
        with Image.open(out / name) as picture:
            assert picture.info == {"Software": "MammoTracker"}
            assert np.asarray(picture).std() > 10


def test_exams_are_followed_in_the_order_of_their_dates(out, series):
    _, boxes = series
    content = json.loads((out / "history.json").read_text())
    assert [exam["given_as"] for exam in content["exams"]] == [2, 3, 1]
    assert [exam["years"] for exam in content["exams"]] == pytest.approx(
        [0, 2.165, 3.748], abs=0.01
    )
    (lesion,) = content["lesions"]
    assert lesion["marked_on"] == 2 and lesion["new"] is None and lesion["gone"] is None
    for exam, true in zip(lesion["exams"], boxes, strict=True):
        assert exam["status"] == "found"
        box = Box(*exam["box"]["pixels"])
        assert center_distance(box, true, (SPACING, SPACING)) < 3
    assert [exam["by_user"] for exam in lesion["exams"]] == [False, True, False]
    assert [exam["reached_from"] for exam in lesion["exams"]] == [[2], [], [2]]
    assert len(lesion["steps"]) == 2 and lesion["overall"]["first"] == 1


def test_the_table_has_a_row_a_lesion_and_exam(out):
    rows = read_table(out / "history.csv")
    assert list(rows[0]) == list(COLUMNS)
    assert [row["exam"] for row in rows] == ["1", "2", "3"]
    assert rows[1]["error_mm"] == "0.00" and float(rows[0]["error_mm"]) > 0
    assert rows[0]["change_mm"] == "" and rows[2]["change_mm"] != ""
    assert {row["total_verdict"] for row in rows} != {""}


def test_rois_lie_on_the_lesion_of_each_exam(out, series):
    _, boxes = series
    for k, true in enumerate(boxes, 1):
        (markup,) = json.loads((out / f"lesion-1-exam-{k}.mrk.json").read_text())["markups"]
        x, y = (SPACING * (value - 0.5) for value in true.center)
        assert np.hypot(markup["center"][0] - x, markup["center"][1] - y) < 3
        assert markup["description"].startswith("found, score ")


def test_a_second_run_replaces_its_own_files_and_no_other(out, series):
    paths, boxes = series
    again = out.parent / "again"
    two = arguments(paths[:2], paths[1], boxes[1], again)
    again.mkdir()
    kept = again / "lesion-1-exam-9.mrk.json"
    kept.write_text('{"markups": [{"name": "mine"}]}')
    assert main(arguments(paths, paths[1], boxes[1], again)) == 0
    assert main(two) == 0
    names = {path.name for path in again.iterdir()}
    assert "lesion-1-exam-2.mrk.json" in names and "lesion-1-exam-3.mrk.json" not in names
    assert kept.exists()
    (again / "history.csv").write_text("my table\n")
    assert main(two) == 2


def test_images_without_dates_are_followed_as_given(pair: Pair, tmp_path, capsys):
    more = ["--spacing", str(SPACING)]
    images = [pair.current, pair.prior]
    given = arguments(images, pair.prior, pair.box, tmp_path / "out", *more)
    assert main(given) == 0
    content = json.loads((tmp_path / "out" / "history.json").read_text())
    assert [exam["given_as"] for exam in content["exams"]] == [1, 2]
    assert [exam["years"] for exam in content["exams"]] == [None, None]
    assert content["lesions"][0]["overall"]["years"] is None
    dated = arguments(
        images, pair.prior, pair.box, tmp_path / "dated", *more, "--dates", "2021-05-01",
        "2020-05-01",
    )  # fmt: skip
    assert main(dated) == 0
    content = json.loads((tmp_path / "dated" / "history.json").read_text())
    assert [exam["given_as"] for exam in content["exams"]] == [2, 1]
    assert "as given: 2 1" in capsys.readouterr().out


def test_what_has_a_date_is_in_order_also_beside_exams_without(pair: Pair, tmp_path, capsys):
    """So that no growth is called shrinkage."""
    images = [tmp_path / f"{k}.png" for k in range(3)]
    for image, source in zip(images, (pair.current, pair.prior, pair.prior), strict=True):
        image.write_bytes(source.read_bytes())
    more = ["--spacing", str(SPACING), "--dates", "2021-05-01", "", "2020-05-01"]
    assert main(arguments(images, images[2], pair.box, tmp_path / "out", *more)) == 0
    content = json.loads((tmp_path / "out" / "history.json").read_text())
    assert [exam["given_as"] for exam in content["exams"]] == [3, 2, 1]
    assert content["lesions"][0]["overall"]["years"] == pytest.approx(1, abs=0.01)
    said = capsys.readouterr()
    assert "as given: 3 2 1" in said.out
    assert "The date of exam 2 is unknown" in said.err


def test_a_date_that_contradicts_the_file_is_said(pair: Pair, tmp_path, capsys):
    """As of dates in another order than the exams."""
    images = [pair.prior_dicom, pair.current_dicom]
    own = [Mammogram.read(image).date.isoformat() for image in images]
    for dates, count in ((own, 0), (own[::-1], 2), (["", own[1]], 0)):
        argv = arguments(images, images[0], pair.box, tmp_path / "out", "--dates", *dates)
        assert main(argv) == 0
        said = capsys.readouterr()
        assert said.err.count("The file has another date") == count
        assert not [date for date in own if date in said.err + said.out]


def test_a_spacing_for_all_is_for_the_files_that_lack_one(pair: Pair, tmp_path, capsys):
    images = [pair.prior, pair.current_dicom]
    for spacings, said in (
        (["0.2"], ""),
        (["0.2", "0.2"], ""),
        (["0.1"], "exam 2: The file says how large its pixels are"),
        (["0.2", "0.1"], "exam 2: The file says that its pixels have another size"),
    ):
        out = tmp_path / "-".join(spacings)
        argv = arguments(images, pair.prior, pair.box, out, "--spacing", *spacings)
        assert main(argv) == 0
        err = capsys.readouterr().err
        assert said in err and (said or "The file says" not in err)
        exams = json.loads((out / "history.json").read_text())["exams"]
        counts = [float(spacings[0]), float((spacings[1:] or [SPACING])[0])]
        assert [exam["spacing_mm"][0] for exam in exams] == counts


def test_an_exam_that_does_not_fit_is_said(pair: Pair, mammogram_paths, tmp_path, capsys):
    """As by `track`: also where no header tells the view."""
    view = Mammogram.read(mammogram_paths["rcc"], 0.05).pixels[::4, ::4]
    other = tmp_path / "cc.png"
    Image.fromarray(view.astype(np.uint16)).save(other)
    images = [pair.prior, pair.current, other]
    argv = arguments(images, pair.prior, pair.box, tmp_path / "out", "--spacing", str(SPACING))
    assert main(argv) == 0
    said = capsys.readouterr().err
    assert "From exam 1 to exam 3: These two do not look like one breast" in said
    assert "to exam 2" not in said
    remarks = json.loads((tmp_path / "out" / "history.json").read_text())["remarks"]
    assert any("From exam 1 to exam 3" in remark for remark in remarks)


def test_exams_of_an_error_are_counted_in_an_order_that_is_said(series, tmp_path, capsys):
    paths, boxes = series
    other = pydicom.dcmread(paths[0])
    other.ImageLaterality, other.StudyDate = "R", "20180101"
    for keyword in ("SeriesDate", "ContentDate", "AcquisitionDate"):
        setattr(other, keyword, other.StudyDate)
    other.save_as(tmp_path / "other.dcm")
    given = [*paths[1:], tmp_path / "other.dcm"]
    assert main(arguments(given, paths[1], boxes[1], tmp_path / "out")) == 2
    said = capsys.readouterr()
    assert "exam 1 is R, and that of exam 2 is L" in said.err
    assert "as given: 3 1 2" in said.out


def test_one_image_twice_is_said(pair: Pair, tmp_path, capsys):
    copy = tmp_path / "copy.png"
    copy.write_bytes(pair.current.read_bytes())
    images = [pair.prior, pair.current, copy]
    argv = arguments(images, pair.prior, pair.box, tmp_path / "out", "--spacing", str(SPACING))
    assert main(argv) == 0
    said = capsys.readouterr().err
    assert "Exams 2 and 3 are one image" in said and said.count("one image") == 1


def test_lesions_come_from_a_mask(pair: Pair, tmp_path):
    mask = np.zeros(Mammogram.read(pair.prior, SPACING).pixels.shape, np.uint8)
    x0, y0, x1, y1 = (round(value) for value in pair.box.as_tuple())
    mask[y0:y1, x0:x1] = 1
    mask[y1 + 60 : y1 + 100, x0:x1] = 2
    Image.fromarray(mask).save(tmp_path / "mask.png")
    given = ["follow", str(pair.prior), str(pair.current), "--on", str(pair.prior)]
    given += ["--spacing", str(SPACING), "--lesions", str(tmp_path / "mask.png")]
    assert main([*given, "--out", str(tmp_path / "out")]) == 0
    rows = read_table(tmp_path / "out" / "history.csv")
    assert [row["lesion"] for row in rows] == ["1", "1", "2", "2"]
    assert float(rows[0]["x0"]) == pytest.approx(x0)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "no lesion to look for"),
        (["--box", "1", "1", "50", "50", "--on", "other.png"], "one of the exams"),
        (["--box", "1", "1", "50", "50", "--spacing", "0.1", "0.1", "0.1"], "3 numbers"),
        (["--box", "1", "1", "50", "50", "--dates", "2020-01-01"], "1 dates"),
        (["--box", "1", "1", "50", "50", "--dates", "2020-01-01", "SECRET"], "YYYY-MM-DD"),
        (["--box", "1", "1", "2", "2", "--spacing", str(SPACING)], "too small"),
    ],
)
def test_what_cannot_be_followed_is_said(pair: Pair, tmp_path, capsys, more, message):
    given = ["follow", str(pair.prior), str(pair.current), "--on", str(pair.prior)]
    assert main([*given, "--out", str(tmp_path / "out"), *more]) == 2
    error = capsys.readouterr().err
    assert message in error and "SECRET" not in error
    assert not (tmp_path / "out").exists()


def test_thirty_exams_can_be_read_on_the_screen(capsys):
    box = Box(10, 10, 110, 90)
    found = ExamResult(Track(box, box, 0.9, Status.FOUND, "", (), box), (0,), False, 0.9)
    kept = replace(found, track=replace(found.track, status=Status.REGISTRATION, score=0.0))
    history = LesionHistory(0, (by_user(box, box), *[found] * 28, kept))
    strip = Strip(history, growth(history, [(0.1, 0.1)] * 30, [None] * 30))
    follow._print_strips(Console(width=80), [strip, strip])
    rows = [row for row in cells(capsys.readouterr().out) if row[1].isdigit()]
    assert [row[:2] for row in rows] == [[str(n), str(k)] for n in (1, 2) for k in range(1, 31)]
    assert [row[2] for row in rows[28:31]] == [
        "found 90 %, 10.0 mm", "kept from registration", "marked, 10.0 mm",
    ]  # fmt: skip


def test_too_many_exams_are_refused_before_they_are_read(pair, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Mammogram, "read", None)
    paths = [tmp_path / f"{number}.dcm" for number in range(31)]
    assert main(arguments(paths, paths[0], pair.box, tmp_path / "out")) == 2
    assert "2 to 30" in capsys.readouterr().err


def test_one_exam_alone_is_refused(pair: Pair, tmp_path, capsys):
    given = arguments([pair.prior_dicom], pair.prior_dicom, pair.box, tmp_path / "out")
    assert main(given) == 2
    assert "2 to 30" in capsys.readouterr().err


def test_a_report_that_cannot_be_is_refused_before_tracking(pair, tmp_path, capsys, monkeypatch):
    pytest.importorskip("highdicom")
    monkeypatch.setattr(Mammogram, "read", None)  # so that an exam that is read is an error
    given = ["follow", str(pair.prior_dicom), str(pair.current), "--on", str(pair.prior_dicom)]
    given += ["--box", "1", "1", "50", "50", "--sr", "--out", str(tmp_path / "out")]
    assert main(given) == 2
    assert "missing of exam 2" in capsys.readouterr().err

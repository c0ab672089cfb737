"""The report's folder: what it says of each row, its pictures, and what becomes of both."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import COMMAND, SPACING, Pair, assert_refused, read_table, write_table
from killing_reader import environment
from PIL import Image
from report_tables import CORNERS, SHOWN, result_of, row_of

from MammoTrackerLib import Box
from MammoTrackerLib.command.cli import main
from MammoTrackerLib.command.report import pictures as report_pictures
from MammoTrackerLib.command.report.pictures import TILE, Card, card_drawer
from MammoTrackerLib.command.report.rows import COLUMNS, _without_paths
from MammoTrackerLib.command.tables.columns import RESULT_COLUMNS, SERIES
from MammoTrackerLib.metrics import center_distance
from MammoTrackerLib.orientation import TURNS, UNTURNED, turned


def page_of(folder: Path) -> tuple[dict, list[dict]]:
    """Return what the page knows of the whole, and its rows."""
    text = (folder / "index.html").read_text(encoding="utf-8")
    data = text.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    content = json.loads(data)
    assert content["columns"] == list(COLUMNS)
    return content["about"], [dict(zip(COLUMNS, row, strict=True)) for row in content["rows"]]


def report(results: Path, manifest: Path | None, out: Path) -> list[dict]:
    more = [] if manifest is None else ["--manifest", str(manifest)]
    assert main(["report", str(results), *more, "--out", str(out)]) == 0
    assert not list(out.rglob("*.part"))
    return page_of(out)[1]


def tables(folder: Path, rows: list[dict], answers: list[dict]) -> tuple[Path, Path]:
    write_table(folder / "manifest.csv", rows)
    write_table(folder / "results.csv", answers)
    return folder / "results.csv", folder / "manifest.csv"


def made_up(pair: Pair, folder: Path, count: int = 3) -> tuple[Path, Path]:
    rows = [row_of(pair, f"p{k}", str(k)) for k in range(count)]
    return tables(folder, rows, [result_of(row, pair.truth, 0.9) for row in rows])


def tiles(path: Path) -> np.ndarray:
    """Return both squares of a picture: (2, rows, columns)."""
    with Image.open(path) as picture:
        assert picture.size == (2 * TILE, TILE) and picture.mode == "L"
        pixels = np.array(picture, float)
    return np.stack([pixels[:, :TILE], pixels[:, TILE:]])


def test_real_results_of_pairs(manifest, results, tmp_path):
    rows = report(results, manifest, tmp_path / "report")
    asked, answers = read_table(manifest), read_table(results)
    assert [row["pair"] for row in rows] == [row["pair_id"] for row in asked]
    assert rows[4]["lesion"] == "Ä, 2"
    for row, given, answer in zip(rows, asked, answers, strict=True):
        assert row["status"] == answer["status"] and row["type"] == "mass"
        if row["status"] == "failed":
            assert row["score"] is row["shift"] is row["change"] is None
            continue
        box = Box(*(float(answer[name]) for name in CORNERS))
        registered = Box(*(float(answer[f"registration_{name}"]) for name in CORNERS))
        prior = Box(*(float(given[f"prior_{name}"]) for name in CORNERS))
        spacing = SPACING, SPACING
        assert row["score"] == float(answer["score"])
        assert row["shift"] == pytest.approx(center_distance(box, registered, spacing), abs=0.01)
        before, after = (b.longest_side(spacing) for b in (prior, box))
        assert row["change"] == pytest.approx(100 * (after / before - 1), abs=0.2)
        assert tiles(tmp_path / "report" / row["picture"]).std((1, 2)).min() > 10
        assert not row["note"] and row["boxes"][3]
    missing = rows[2]
    assert missing["status"] == "failed" and "current image" not in missing["note"]
    assert "prior image cannot be read" in missing["note"]
    text = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    for hidden in ("missing.png", "prior.png", ".dcm", "/tmp", str(manifest.parent), "SECRET"):
        assert hidden not in text


@pytest.mark.parametrize("turn", TURNS)
def test_a_turned_image_lies_as_the_prior(turn, pair, tmp_path):
    """Whatever the current image was turned by for tracking, its square looks as if it was not."""
    x, y = 60, 90
    shape = np.array(Image.open(pair.current)).shape
    field = np.random.default_rng(1).integers(0, 255, (shape[0] // 8, shape[1] // 8))
    image = np.kron(field, np.ones((8, 8))).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "prior.png")
    # Stored so that turning it gives the image again.
    stored = turned(image, tuple(zip(*turn, strict=True)))
    assert (turned(stored, turn) == image).all()
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "current.png")

    def place(box: Box) -> Box:
        marks = np.zeros(image.shape, bool)
        marks[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] = True
        rows, columns = np.nonzero(turned(marks, tuple(zip(*turn, strict=True))))
        return Box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)

    answer, registration = Box(x, y, x + 40, y + 24), Box(x + 24, y - 16, x + 56, y + 8)
    said = (
        "" if turn == UNTURNED else f"Found. The current image was {TURNS[turn]} to fit the prior."
    )
    files = [(name, str(SPACING)) for name in ("prior.png", "current.png")]
    draw = card_drawer(tmp_path)
    path = tmp_path / "picture.jpg"
    shown = draw(
        Card(*files, answer, place(answer), place(registration), place(answer), said, path)
    )
    assert shown["note"] == "" and shown["turn"] == ("" if turn == UNTURNED else TURNS[turn])
    prior, current = tiles(path)
    if turn[0][0] == 0:  # of quarter turns the message leaves two, and noise has no chest wall
        options = [current, current[::-1, ::-1]]
        assert min(np.abs(prior - option).mean() for option in options) < 4
        return
    assert np.abs(prior - current).mean() < 4
    assert shown["boxes"][1] == pytest.approx(shown["boxes"][0])
    half, middle = 16 * SPACING / shown["field"], np.array([x + 40 - x - 20, y - 4 - y - 12])
    centre = 0.5 + middle * SPACING / shown["field"]
    assert shown["boxes"][2] == pytest.approx(
        [*(centre - [half, half * 0.75]), *(centre + [half, half * 0.75])], abs=1e-3
    )


def test_what_is_shown_of_each_status(pair, tmp_path):
    rows = [row_of(pair, "p", status) for status in SHOWN]
    answers = [result_of(row, pair.truth, 0.4, status=row["lesion_id"]) for row in rows]
    shown = {row["status"]: row for row in report(*tables(tmp_path, rows, answers), tmp_path / "r")}
    for status, (has_answer, has_registration) in SHOWN.items():
        _, answer, registration, is_drawn = shown[status]["boxes"]
        assert (answer is not None, registration is not None) == (has_answer, has_registration)
        assert is_drawn == has_registration
        assert (shown[status]["shift"] is not None) == has_answer
    assert shown["kept from registration"]["score"] is None, "it has none, and 0 stands for that"
    assert shown["not found"]["score"] == 0.4


def test_boxes_of_a_manifest_that_are_none_have_no_picture(pair, tmp_path):
    rows = [row_of(pair, "p", str(k)) for k in range(4)]
    rows[0]["prior_x1"], rows[1]["prior_x0"], rows[2]["prior_x1"] = "", "SECRET", "1e308"
    answers = [result_of(row, pair.truth, 0.9, status="failed") for row in rows]
    *bad, good = report(*tables(tmp_path, rows, answers), tmp_path / "r")
    assert [row["note"] for row in bad] == ["The lesion has no box."] * 3
    assert good["picture"] and good["boxes"][0] and not good["boxes"][3]
    assert "SECRET" not in (tmp_path / "r" / "index.html").read_text()


def test_series_are_shown_beside_the_marked_exam(pair, tmp_path):
    ids = {"exam_group": "s", "lesion_id": "1", "spacing_mm": SPACING, "lesion_type": "mass"}
    box = dict(zip(CORNERS, pair.box.as_tuple(), strict=True))
    # The type stands where the box does.
    unsaid = {"lesion_type": ""}
    exams = [(pair.current, "2022-01-01", unsaid), (pair.prior, "2020-01-01", box)]
    rows = [ids | {"exam": str(name), "date": date} | dict.fromkeys(CORNERS, "") | where
            for name, date, where in exams]  # fmt: skip
    rows.append(rows[1] | {"exam_group": "t", "exam": "gone/away.dcm"})
    write_table(tmp_path / "series.csv", rows)
    results = tmp_path / "results.csv"
    assert main(["batch", str(tmp_path / "series.csv"), "--out", str(results)]) == 0
    assert list(read_table(results)[0]) == list(SERIES.results)
    (found, *others) = report(results, tmp_path / "series.csv", tmp_path / "report")
    assert (found["exam"], found["status"], found["pair"]) == ("exam 2, marked on 1", "found", "s")
    assert tiles(tmp_path / "report" / found["picture"]).std((1, 2)).min() > 10
    assert found["change"] is not None and found["shift"] is None and found["boxes"][1]
    assert found["type"] == "mass"
    assert not others, "of the other series there is only the marked exam"
    assert "away" not in (tmp_path / "report" / "index.html").read_text()
    (alone,) = [row for row in report(results, None, tmp_path / "plain") if row["pair"] == "s"]
    assert alone["exam"] == found["exam"] and not alone["picture"]


def test_without_a_manifest_there_are_statuses_and_probabilities(results, tmp_path):
    rows = report(results, None, tmp_path / "report")
    assert [row["status"] for row in rows] == [row["status"] for row in read_table(results)]
    assert not any(row["picture"] or row["shift"] for row in rows)
    assert page_of(tmp_path / "report")[0]["pictures"] is False
    assert not (tmp_path / "report" / "pictures").exists()
    assert "missing.png" not in (tmp_path / "report" / "index.html").read_text()


def test_a_series_without_its_manifest_names_no_file(tmp_path):
    row = dict.fromkeys(SERIES.results, "") | {"exam_group": "g", "lesion_id": "1"}
    row |= {"status": "failed", "message": "There is no file Doe Jane/x 1.png."}
    write_table(tmp_path / "results.csv", [row | {"exam": f"Doe Jane/x {k}.png"} for k in (1, 2)])
    shown = report(tmp_path / "results.csv", None, tmp_path / "report")
    assert {row["message"] for row in shown} == {"There is no file (image)."}


def test_rows_of_a_series_may_have_been_sorted(pair, tmp_path, capsys):
    """As by a spreadsheet: with the manifest each row finds its own, without it that is said."""
    box = dict(zip(CORNERS, pair.box.as_tuple(), strict=True))
    rows, answers = [], []
    for group in ("s", "t"):
        for number, where in ((1, box), (2, dict.fromkeys(CORNERS, ""))):
            ids = {"exam_group": group, "lesion_id": "1", "exam": f"{group}/{number}.png"}
            rows.append(dict.fromkeys(SERIES.manifest, "") | ids | where)
            answer = dict.fromkeys(SERIES.results, "") | ids | box | {"number": number}
            answer |= {"status": "found", "score": 0.9, "reached_from": 1}
            answers.append(answer | {"by_user": 2 - number, "message": f"of {ids['exam']}"})
    write_table(tmp_path / "manifest.csv", rows)
    results = tmp_path / "results.csv"
    for order in ((0, 1, 2, 3), (3, 0, 2, 1)):
        write_table(results, [answers[k] for k in order])
        shown = report(results, tmp_path / "manifest.csv", tmp_path / "r")
        assert [(row["pair"], row["exam"]) for row in shown] == [
            ("s", "exam 2, marked on 1"), ("t", "exam 2, marked on 1"),
        ]  # fmt: skip
    argv = ["report", str(results), "--out", str(tmp_path / "alone")]
    assert_refused(argv, capsys, "line 4", "sort the table by exam_group")


def test_a_batch_at_work_is_reported_as_far_as_it_is(pair, tmp_path):
    results, manifest = made_up(pair, tmp_path)
    results.write_text("".join(results.read_text().splitlines(keepends=True)[:3]) + "p2,2,fou")
    rows = report(results, manifest, tmp_path / "report")
    assert len(rows) == 2 and page_of(tmp_path / "report")[0]["left"] == 1
    header = ",".join(RESULT_COLUMNS) + "\n"
    results.write_text(header)
    assert report(results, manifest, tmp_path / "report") == []


def test_a_second_run_keeps_pictures_and_removes_its_own_outdated_ones(pair, tmp_path):
    results, manifest = made_up(pair, tmp_path)
    out = tmp_path / "report"
    rows = report(results, manifest, out)
    first, second, third = (out / row["picture"] for row in rows)
    (first.parent / "holiday.jpg").write_bytes(b"mine")
    (first.parent / f"{'0' * 20}.jpg").write_bytes(b"mine, too")
    (first.parent / f"{'1' * 20}.part").write_bytes(b"half a picture")
    for file in (first, third):
        os.utime(file, (1, 1))
    second.write_bytes(second.read_bytes()[:100])  # cut short on another disk
    assert report(results, manifest, out) == rows
    assert first.stat().st_mtime == third.stat().st_mtime == 1
    assert tiles(second).std() > 10
    lines = results.read_text().splitlines(keepends=True)
    results.write_text("".join(lines[:2]))
    assert report(results, manifest, out) == rows[:1]
    left = sorted(file.name for file in first.parent.iterdir())
    assert left == sorted([first.name, "holiday.jpg", f"{'0' * 20}.jpg"])
    again = read_table(results)
    again[0]["x1"] = float(again[0]["x1"]) + 9
    write_table(results, again)
    (row,) = report(results, manifest, out)
    assert out / row["picture"] != first and not first.exists(), "another box, another picture"


def test_nothing_of_others_is_replaced(pair, tmp_path, capsys):
    results, manifest = made_up(pair, tmp_path, 1)
    out = tmp_path / "report"
    arguments = ["report", str(results), "--manifest", str(manifest), "--out", str(out)]
    out.mkdir()
    (out / "index.html").write_text("<!doctype html><p>My page")
    assert_refused(arguments, capsys, "no report of an earlier run")
    assert list(out.iterdir()) == [out / "index.html"]
    (out / "index.html").unlink()
    (out / "index.html").mkdir()
    assert_refused(arguments, capsys, "no report of an earlier run")
    (out / "index.html").rmdir()
    (out / "pictures").write_text("mine")
    assert_refused(arguments, capsys, "Cannot write to")
    assert [file.name for file in out.iterdir()] == ["pictures"]
    (out / "pictures").unlink()
    out.rmdir()
    out.write_text("mine")
    assert_refused(arguments, capsys, "Cannot write to")
    assert out.read_text() == "mine"


def test_a_second_run_on_a_folder_is_refused(pair, tmp_path, capsys):
    from MammoTrackerLib.temporary import lock

    results, _ = made_up(pair, tmp_path, 1)
    out = tmp_path / "report"
    out.mkdir()
    with (out / "index.html.part").open("wb") as other:
        assert lock(other)
        assert_refused(["report", str(results), "--out", str(out)], capsys, "Another run")
    assert len(report(results, None, out)) == 1


def test_tables_that_cannot_be_reported_are_refused(pair, tmp_path, capsys):
    results, manifest = made_up(pair, tmp_path)
    out = tmp_path / "report"
    arguments = ["report", str(results), "--manifest", str(manifest), "--out", str(out)]
    good = read_table(results)
    for change, words in (
        ({"status": "cured"}, "column status"),
        ({"score": "SECRET"}, "column score"),
        ({"score": "nan"}, "column score"),
        ({"x0": "SECRET"}, "column x0"),
        ({"x1": "1e308"}, "column x0"),
        ({"registration_x1": "-1e9"}, "column registration_x0"),
    ):
        write_table(results, [good[0], good[1] | change, good[2]])
        assert_refused(arguments, capsys, words)
        assert not (out / "index.html").exists() and not (out / "index.html.part").exists()
    write_table(results, [row | {"pair_id": "other"} for row in good])
    assert_refused(arguments, capsys, "does not belong")
    assert_refused(["report", str(manifest), "--out", str(out)], capsys, "lacks the column")
    assert_refused(["report", str(tmp_path / "no"), "--out", str(out)], capsys, "no file")


def test_a_file_that_ends_or_hangs_its_reader_costs_only_its_pictures(pair, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", environment(tmp_path)["PYTHONPATH"])
    monkeypatch.setattr(report_pictures, "LONGEST_PICTURES_S", 3.0)
    rows = [row_of(pair, "good", "1"), row_of(pair, "bad", "1"), row_of(pair, "bad", "2")]
    rows += [row_of(pair, "slow", "1"), row_of(pair, "last", "1")]
    for row, name in zip(rows, ("", "kill.png", "kill.png", "hang.png", ""), strict=True):
        if name:
            (tmp_path / name).write_bytes(pair.current.read_bytes())
            row["current"] = name
    made = tables(tmp_path, rows, [result_of(row, pair.truth, 0.9) for row in rows])
    good, bad, other, slow, last = report(*made, tmp_path / "report")
    assert good["picture"] and last["picture"] and not good["note"]
    assert not (bad["picture"] or other["picture"] or slow["picture"])
    assert "was ended" in bad["note"] and "was ended" in other["note"]
    assert "took too long" in slow["note"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals as on POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_ended_run_leaves_no_page_and_the_next_goes_on(number, pair, tmp_path):
    results, manifest = made_up(pair, tmp_path, 250)
    out = tmp_path / "report"
    arguments = ["report", str(results), "--manifest", str(manifest), "--out", str(out)]
    run = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.DEVNULL, env=os.environ)
    try:
        deadline = time.monotonic() + 60
        while len(list(out.rglob("*.jpg"))) < 5 and time.monotonic() < deadline:
            time.sleep(0.02)
        run.send_signal(number)
        run.wait(20)
    finally:
        run.kill()
    assert not (out / "index.html").exists()
    kept = {file: file.stat().st_mtime_ns for file in out.rglob("*.jpg")}
    assert 5 <= len(kept) < 250
    rows = report(results, manifest, out)
    assert all(file.stat().st_mtime_ns == then for file, then in kept.items())
    assert len({row["picture"] for row in rows}) == len(list(out.rglob("*.jpg"))) == 250


@pytest.mark.parametrize(
    ("message", "names", "shown"),
    [
        ("There is no file /data/a b/c.png.", ["a b/c.png"], "There is no file (image)."),
        ("There is no file /my data/x/c.png.", ["x/c.png"], "There is no file (image)."),
        ("There is no file C:\\My data\\c.png.", ["c.png"], "There is no file (image)."),
        ("Cannot read ../up/c.dcm: damaged.", ["../up/c.dcm"], "Cannot read (image): damaged."),
        ("Cannot read /data/found: it is cut.", ["found"], "Cannot read (image): it is cut."),
        ("One was found.", ["found"], "One was found."),
        ("See /var/log/x.txt, or '/etc/y'.", [], "See (file)."),
        ("No file /data/Doe Jane 1950-02-03/x y.png.", [], "No file (file)."),
        ("Cannot read /data/Doe, Jane/x.png: it is cut.", [], "Cannot read (file): it is cut."),
        ("/data/O'Doe (Jane)/Dr. x.y.dcm: it is cut. See 0.7.", [], "(file): it is cut. See 0.7."),
        ("C:\\Doe Jane\\IM 1: X is damaged.", [], "(file): X is damaged."),
        ("Cannot read /data/Doe, Jane: it is cut.", [], "Cannot read (file): it is cut."),
        ("/data/Dr. Doe is a film.", [], "(file) is a film."),
        ("In /data/Doe, Jane.dcm, X is cut.", [], "In (file) is cut."),
        ("\\\\server\\Doe Jane\\IM1 is a film: 3 / 4 mm.", [], "(file) is a film: 3 / 4 mm."),
        ("Left and/or right, 3 / 4 mm.", ["a.png"], "Left and/or right, 3 / 4 mm."),
        ("A c.png that (is) [x", ["(is) [x"], "A c.png that (is) [x"),
    ],
)
def test_messages_name_no_file(message, names, shown):
    assert _without_paths(message, names) == shown

"""The circle: an archive is proposed, tracked and reviewed, and what was reviewed trains."""

from __future__ import annotations

import datetime
import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import read_table, write_table
from made_up_embed import Embed
from made_up_test_set import LESION, SPACING, StandIn, breast, run_evaluate
from tiny_training import KERAS_WARNINGS, TINY, parsed

from MammoTrackerLib import Box, Mammogram
from MammoTrackerLib.command.cli import main
from MammoTrackerLib.command.readers.reviewed import REVIEWED_COLUMNS
from MammoTrackerLib.command.simulate import write_dicom
from MammoTrackerLib.command.tables.columns import BOX_COLUMNS, RESULT_COLUMNS, TRUTH_COLUMNS
from MammoTrackerLib.networks.card import WEIGHTS
from MammoTrackerLib.reading.embed import CLINICAL, METADATA
from Training import calibrate, program
from Training.manifest import read_manifest
from Training.real_pairs import RealPairs

pytestmark = KERAS_WARNINGS
SHIFTS = {1: (6.0, 10.0), 2: (-4.0, 6.0), 3: (0.0, 0.0)}
"""Of the exams, in pixels; lesions are marked on the third."""
DECISIONS = ("accepted", "corrected", "not there", "rejected", "cannot tell", "?", "accepted", "")
"""With a question mark, there is only a comment; without anything, there is no row."""


def moved(exam: int) -> Box:
    x, y = SHIFTS[exam]
    return Box(LESION.x0 + x, LESION.y0 + y, LESION.x1 + x, LESION.y1 + y)


class Agreeing(StandIn):
    """With what the registration says of each candidate, as the tracker's own have."""

    has_similarity = True

    def __init__(self, weights: Path | None = None) -> None:
        super().__init__()

    def load(self) -> Agreeing:
        return self

    def track(self, *arguments, **more):
        return [
            replace(track, candidates=tuple(replace(c, agreement=0.9) for c in track.candidates))
            for track in super().track(*arguments, **more)
        ]


@pytest.fixture(scope="module")
def circle(tmp_path_factory) -> Embed:
    """Four women with three exams in EMBED's layout; her mass is marked on the last."""
    embed = Embed(tmp_path_factory.mktemp("circle"))
    for patient in range(10000001, 10000005):
        for exam, shift in SHIFTS.items():
            key = embed.image(patient, exam)
            date = datetime.date(2012 + exam, 3, 7)
            pixels = breast(patient, shift).astype(float)
            image = Mammogram(pixels, SPACING, "L", "CC", date, str(patient))
            write_dicom(image, embed.root / key, "made up")
        x0, y0, x1, y1 = LESION.as_tuple()
        embed.metadata[-1] |= {
            "num_roi": 1, "ROI_coords": f"(({y0}, {x0}, {y1}, {x1}),)", "match_level": "[1]"
        }  # fmt: skip
        embed.finding(3, "L", patient, massshape="O")
    tables = embed.folder / "tables"
    tables.mkdir()
    write_table(tables / METADATA, embed.metadata)
    columns = list(dict.fromkeys(name for row in embed.clinical for name in row))
    more = "side massshape massmargin massdens calcfind calcdistri".split()
    write_table(tables / CLINICAL, embed.clinical, list(dict.fromkeys([*columns, *more])))
    return embed


@pytest.fixture(scope="module")
def manifest(circle) -> Path:
    path = circle.folder / "work" / "manifest.csv"
    path.parent.mkdir()
    tables = str(circle.folder / "tables")
    argv = ["manifest", str(circle.root), "--out", str(path), "--embed-tables", tables]
    assert main(argv) == 0
    return path


def exam_of(path: str) -> int:
    return int(Path(path).name.removeprefix("1.2.")[0])


@pytest.fixture(scope="module")
def reviewed(circle, manifest) -> tuple[Path, Path]:
    """Results, 2 pixels off, and in another folder what a reader said of most of them."""
    results, table = manifest.with_name("results.csv"), circle.folder / "read" / "reviewed.csv"
    table.parent.mkdir()
    rows, answers = [], []
    for row, decision in zip(read_table(manifest), DECISIONS, strict=True):
        true = moved(exam_of(row["current"]))
        found = Box(true.x0 + 2, true.y0, true.x1 + 2, true.y1).as_tuple()
        ids = {name: row[name] for name in ("pair_id", "lesion_id")}
        answer = ids | {"status": "found", "score": "0.9", "seconds": "1", "message": "clear"}
        answer |= dict(zip(BOX_COLUMNS, found, strict=True))
        answers.append(
            answer | dict(zip((f"registration_{n}" for n in BOX_COLUMNS), found, strict=True))
        )
        for name in ("prior", "current"):
            row[name] = os.path.relpath(manifest.parent / row[name], table.parent)
        row |= {"status": "found", "score": "0.9", "decision": decision, "reader": "me"}
        row |= {"decision": "", "comment": "why?"} if decision == "?" else {}
        row |= {"present": {"not there": "0", "accepted": "1", "corrected": "1"}.get(decision, "")}
        box = {"accepted": found, "corrected": true.as_tuple()}.get(decision, [""] * 4)
        rows.append(row | dict(zip(TRUTH_COLUMNS, box, strict=True)))
    write_table(results, answers, RESULT_COLUMNS)
    said = [row for row in rows if row["decision"] or row.get("comment")]
    return results, write_table(table, said, REVIEWED_COLUMNS)


def test_embed_is_proposed_with_its_rois_and_types(manifest):
    rows = read_table(manifest)
    assert [(exam_of(row["prior"]), exam_of(row["current"])) for row in rows] == [
        (3, 1),
        (3, 2),
    ] * 4
    assert {row["patient"] for row in rows} == {f"p{n:06d}" for n in range(1, 5)}
    for row in rows:
        assert row["lesion_type"] == "mass"
        assert [float(row[f"prior_{name}"]) for name in BOX_COLUMNS] == list(LESION.as_tuple())
        assert (manifest.parent / row["current"]).is_file()


def test_a_reviewed_table_is_evaluated(reviewed, capsys):
    results, table = reviewed
    assert main(["evaluate", str(table), str(results)]) == 0
    said = capsys.readouterr().out
    assert "3 rows were skipped, because they have no true box" in said
    assert "1 rows of the results were skipped" in said
    assert "3 lesions, 3 patients" not in said and "3 lesions, 2 patients" in said


def test_of_accepted_boxes_it_is_said_that_they_are_the_trackers_own(reviewed):
    assert "2 true boxes are the tracker's own" in run_evaluate(reviewed[1])


def test_a_reviewed_table_calibrates(reviewed, capsys):
    values, right, there, went = calibrate.collect(reviewed[1], Agreeing())
    assert values.shape == (5, 7)
    assert there.tolist() == [True, True, False, True, True]
    assert went.tolist() == [False, False, True, False, False]
    assert right.tolist()[2:4] == [False, False], "what a reader rejected was wrong"
    assert "2 of 7 rows" in capsys.readouterr().out
    assert len(read_manifest(reviewed[1], needs_truth=False)) == 7


def test_where_no_pair_is_wrong_others_are_made(reviewed, tmp_path, monkeypatch, capsys):
    """Without them, most pairs of two women could be called found."""
    shutil.copy(WEIGHTS / "weights.json", tmp_path)
    monkeypatch.setattr(calibrate, "LesionTracker", Agreeing)
    assert calibrate.main([str(reviewed[1]), "--weights", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "another woman's current" in said and "12 lesions, 4 there" in said
    values, *flags = calibrate.collect(reviewed[1], Agreeing(), wrong_pairs=True)
    assert len(values) == 7 and not np.any(flags)


def test_a_reviewed_table_trains(reviewed, tmp_path, capsys):
    argv = [*TINY, "--pairs", str(reviewed[1]), "--run", str(tmp_path), "--workers=1"]
    arguments = parsed(*argv)
    pairs = RealPairs.prepare(arguments, program.settings_of(arguments))
    assert [lesion.current_box is not None for lesion in pairs.lesions] == [True, True, False, True]
    assert pairs.lesions[1].current_box == moved(2)
    assert "3 of 7 rows cannot be used" in capsys.readouterr().out
    reasons = Counter(row["reason"] for row in read_table(tmp_path / "skipped.csv"))
    assert reasons == {"The row has no true box: fill current_x0 to current_y1.": 3}
    (scene,) = pairs.scenes(0)
    assert np.isfinite(scene.search_raw).all()


def test_a_reviewed_table_annotates_embed(circle, reviewed, tmp_path):
    circle.out = tmp_path / "out"
    paths = {"--tables": circle.folder / "tables", "--images": circle.root,
             "--annotations": reviewed[1], "--out": circle.out}  # fmt: skip
    from Training.embed import main as embed_main

    argv = [str(part) for pair in paths.items() for part in pair] + ["--workers", "1"]
    assert embed_main(argv) == 0
    # Of the first woman, the mass is on three exams; of the fourth, on two.
    cases = Counter(row["lesion_id"] for row in circle.pairs())
    assert cases == {"p000001-1": 6, "p000004-1": 2}
    for row in circle.pairs():
        for exam in ("prior", "current"):
            x0, *_ = (float(row[f"{exam}_{name}"]) for name in BOX_COLUMNS)
            known = [moved(k).x0 for k in SHIFTS] + [moved(1).x0 + 2]
            assert min(abs(x0 * 0.07 / SPACING - x) for x in known) < 0.5
    assert circle.reasons() == {
        ("annotations", "the reader did not say where it is"): 3,
        ("annotations", "its case has one exam only in this view"): 1,
        ("metadata", "ROI of no case: no annotation in this breast and view"): 1,
    }

"""The pairs and series of an archive: all that can be tracked, and why the rest cannot."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from command_line import assert_refused, cells, read_table, write_table
from dicom_files import item
from made_up_archive import Archive, add_nuisance, uid_of

from MammoTrackerLib.command.cli import main
from MammoTrackerLib.command.tables.columns import MANIFEST_COLUMNS, PAIRS, SERIES, TRUTH_COLUMNS
from MammoTrackerLib.command.tables.rows import read_rows

BOX = (10, 20, 22, 30)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


def run(archive: Archive, *more: object, out: str = "manifest.csv") -> list[dict[str, str]]:
    path = archive.folder.parent / out
    argv = ["manifest", str(archive.folder), "--out", str(path), "--workers", "1"]
    assert main([*argv, *map(str, more)]) == 0
    return read_table(path)


def counts(output: str) -> dict[str, int]:
    return {row[1]: int(row[0]) for row in cells(output) if row[0].isdigit()}


def names(rows: list[dict[str, str]], *columns: str) -> list[tuple[str, ...]]:
    return [tuple(Path(row[name]).name.removesuffix(".dcm") for name in columns) for row in rows]


def test_pairs_without_boxes_are_those_of_exams_that_follow_each_other(archive, capsys):
    archive.exams(2, 2014, 2010, 2012)
    archive.exams(2, 2010, 2012, view="MLO")
    archive.exams(1, 2010, 2012, side="R")
    rows = run(archive)
    assert list(rows[0]) == [*MANIFEST_COLUMNS, *TRUTH_COLUMNS, "patient"]
    assert names(rows, "pair_id", "prior", "current", "patient") == [
        ("p000001-R-CC-1-2", "2010RCC", "2012RCC", "p000001"),
        ("p000002-L-CC-1-2", "2010LCC", "2012LCC", "p000002"),
        ("p000002-L-CC-2-3", "2012LCC", "2014LCC", "p000002"),
        ("p000002-L-MLO-1-2", "2010LMLO", "2012LMLO", "p000002"),
    ]
    assert {row["prior_x0"] for row in rows} == {""}
    folder = archive.folder.parent
    assert all((folder / row["prior"]).is_file() for row in rows)
    assert "fill prior_x0 to prior_y1" in capsys.readouterr().out


def test_what_is_left_out_is_counted_and_nothing_of_a_patient_is_said(archive, capsys):
    expected = add_nuisance(archive)
    rows = run(archive)
    said = capsys.readouterr()
    assert counts(said.out) == expected
    assert names(rows, "prior", "current") == [("repeated2010", "repeated2012")]
    text = (archive.folder.parent / "manifest.csv").read_text()
    journal = (archive.folder.parent / "manifest.csv.journal").read_bytes()
    for secret in ("SECRET", "Doe", "hospital", "19501224"):
        assert secret not in said.out + said.err + text
        assert secret.encode() not in journal
    assert "2010-" not in text and "20120229" not in text
    mode = os.stat(archive.folder.parent / "manifest.csv.journal").st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_series_have_a_row_an_exam_and_lesion(archive):
    first, _, last = archive.exams(1, 2010, 2012, 2014)
    archive.report("sr/1", (first, BOX, "1.2.3"), (last, BOX, "1.2.3"), (last, (1, 2, 9, 9), None))
    rows = run(archive, "--series", "--sr")
    assert list(rows[0]) == [*SERIES.manifest, "patient"]
    assert names(rows, "exam_group", "lesion_id", "exam", "x0") == [
        ("p000001-L-CC", "1", "2010LCC", "10.000"),
        ("p000001-L-CC", "1", "2012LCC", ""),
        ("p000001-L-CC", "1", "2014LCC", "10.000"),
        ("p000001-L-CC", "2", "2010LCC", ""),
        ("p000001-L-CC", "2", "2012LCC", ""),
        ("p000001-L-CC", "2", "2014LCC", "1.000"),
    ]
    rows = run(archive, "--series", out="without.csv")
    assert names(rows, "lesion_id", "exam", "x0") == [
        ("1", "2010LCC", ""),
        ("1", "2012LCC", ""),
        ("1", "2014LCC", ""),
    ]


@pytest.mark.parametrize("options", [[], ["--series"]])
def test_more_exams_than_a_woman_has_are_of_several_women(archive, capsys, options):
    archive.exams(1, *range(1980, 2015))
    archive.exams(2, *range(1980, 2010))
    rows = run(archive, *options)
    assert len(rows) == (30 if options else 29)
    reason = "more than 30 exams of one PatientID's breast and view"
    assert counts(capsys.readouterr().out) == {reason: 35}


def test_a_marked_exam_is_paired_with_every_other_and_known_boxes_are_the_truth(archive, capsys):
    first, second, _ = archive.exams(1, 2010, 2012, 2014)
    archive.exams(2, 2010, 2012)
    archive.report("sr/1", (first, BOX, "1.2.3"), (second, (11, 21, 23, 31), "1.2.3"))
    archive.report("sr/2", (second, (30, 30, 40, 40), None))
    rows = run(archive, "--sr")
    assert names(rows, "pair_id", "lesion_id", "prior_x0", "current_x0") == [
        ("p000001-L-CC-1-2", "1", "10.000", "11.000"),
        ("p000001-L-CC-1-3", "1", "10.000", ""),
        ("p000001-L-CC-2-1", "1", "11.000", "10.000"),
        ("p000001-L-CC-2-1", "2", "30.000", ""),
        ("p000001-L-CC-2-3", "1", "11.000", ""),
        ("p000001-L-CC-2-3", "2", "30.000", ""),
    ]
    said = capsys.readouterr().out
    assert counts(said) == {"no box in that breast and view": 2}
    assert "2 structured reports were read" in said
    assert list(read_rows(archive.folder.parent / "manifest.csv", PAIRS.manifest))


def test_where_a_lesion_is_not_is_a_truth_too(archive, capsys):
    first, second, third = archive.exams(1, 2010, 2012, 2014)
    (other, _) = archive.exams(1, 2010, 2012, view="MLO")
    archive.report("sr/1", (first, BOX, "1.2.3"), (second, None, "1.2.3"), (other, BOX, "1.7"))
    # Of another lesion, of one that is nowhere in this view or at all, and against a box.
    archive.report("sr/2", (second, None, None), (second, None, "1.7"), (third, None, "9.9"),
                   (first, None, "1.2.3"))  # fmt: skip
    rows = run(archive, "--sr")
    assert list(rows[0]) == [*MANIFEST_COLUMNS, *TRUTH_COLUMNS, "present", "decision", "patient"]
    assert names(rows, "pair_id", "current_x0", "present", "decision") == [
        ("p000001-L-CC-1-2", "", "0", "not there"),
        ("p000001-L-CC-1-3", "", "", ""),
        ("p000001-L-MLO-1-2", "", "", ""),
    ]
    assert counts(capsys.readouterr().out) == {"that say that the lesion is not there": 4}
    rows = run(archive, "--sr", "--series", out="series.csv")
    assert list(rows[0]) == [*SERIES.manifest, "patient"] and len(rows) == 5
    assert counts(capsys.readouterr().out) == {"that say that the lesion is not there": 5}


def test_boxes_of_a_table_go_by_path_or_uid(archive, capsys, tmp_path):
    archive.exams(1, 2010, 2012)
    archive.exams(2, 2010, 2012)
    archive.exams(3, 2010, 2012)
    box = dict(zip(("x0", "y0", "x1", "y1"), BOX, strict=True))
    table = tmp_path / "tables" / "boxes.csv"
    table.parent.mkdir()
    rows = [
        {"image": "1/2010LCC.dcm", "lesion_id": "mine", "lesion_type": "mass"},
        {"image": "..\\\\archive\\\\1\\\\2012LCC.dcm", "lesion_id": "mine", "lesion_type": "mass"},
        {"image": uid_of("2/2010LCC.dcm"), "lesion_id": "", "lesion_type": "=1+1"},
        {"image": str(archive.folder / "3/2010LCC.dcm"), "lesion_id": "1", "lesion_type": ""},
        {"image": str(archive.folder / "3/2010LCC.dcm"), "lesion_id": "", "lesion_type": ""},
        {"image": str(archive.folder / "3/2010LCC.dcm"), "lesion_id": "2", "x0": 15},
        {"image": "nowhere.dcm", "lesion_id": "", "lesion_type": ""},
        {"image": "3/2012LCC.dcm", "lesion_id": "", "x0": 900, "x1": 950},
        {"image": "3/2012LCC.dcm", "lesion_id": "", **dict.fromkeys(box, "")},
    ]
    write_table(table, [{"lesion_type": ""} | box | row for row in rows])
    found = run(archive, "--boxes", table)
    assert names(found, "prior", "patient", "lesion_id", "lesion_type", "current_x0") == [
        ("2010LCC", "p000001", "mine", "mass", "10.000"),
        ("2012LCC", "p000001", "mine", "mass", "10.000"),
        ("2010LCC", "p000002", "1", "'=1+1", ""),
        ("2010LCC", "p000003", "1", "", ""),
        ("2010LCC", "p000003", "2", "", ""),
    ]
    assert counts(capsys.readouterr().out) == {
        "on no image of the archive": 1,
        "outside of their image, or of a size that no lesion has": 1,
        "rows without a box": 1,
        "again on one image": 1,
    }


def test_a_number_that_a_user_gave_is_no_other_lesion(archive, tmp_path):
    archive.exams(1, 2010, 2012)
    archive.exams(1, 2010, 2012, view="MLO")
    box = dict(zip(("x0", "y0", "x1", "y1"), BOX, strict=True))
    rows = [
        {"image": "1/2010LCC.dcm", "lesion_id": "", "lesion_type": ""},
        {"image": "1/2010LMLO.dcm", "lesion_id": "1", "lesion_type": ""},
        {"image": "1/2012LMLO.dcm", "lesion_id": "1", "lesion_type": "mass"},
    ]
    write_table(tmp_path / "boxes.csv", [row | box for row in rows])
    assert names(
        run(archive, "--boxes", tmp_path / "boxes.csv"), "prior", "lesion_id", "lesion_type"
    ) == [("2010LCC", "2", ""), ("2010LMLO", "1", "mass"), ("2012LMLO", "1", "mass")]


def test_boxes_on_a_duplicate_or_on_the_source_count(archive, tmp_path):
    (current,) = archive.exams(1, 2012)
    raw = archive.image("raw", 1, 2010, PresentationIntentType="FOR PROCESSING")
    from dicom_files import item

    source = item(ReferencedSOPInstanceUID=raw, ReferencedSOPClassUID="1.2.3")
    archive.image("made of it", 1, 2010, SourceImageSequence=source)
    archive.report("sr", (raw, BOX, None))
    assert names(run(archive, "--sr"), "prior") == [("made of it",)]
    copy = archive.folder / "z copy"
    copy.write_bytes((archive.folder / "1/2012LCC.dcm").read_bytes())
    box = dict(zip(("x0", "y0", "x1", "y1"), BOX, strict=True))
    write_table(tmp_path / "boxes.csv", [{"image": "z copy", **box}])
    rows = run(archive, "--boxes", tmp_path / "boxes.csv", out="other.csv")
    assert names(rows, "prior", "current") == [("2012LCC", "made of it")]


def test_the_image_that_is_marked_is_chosen_of_an_exam(archive):
    archive.exams(1, 2010, 2012)
    second = archive.image("1/2010 first", 1, 2010, AcquisitionTime="080000")
    archive.image("1/2010 synthetic", 1, 2010, ImageType=["DERIVED", "PRIMARY", "", "GENERATED_2D"],
                  AcquisitionTime="120000")  # fmt: skip
    archive.image("1/2010 last", 1, 2010, AcquisitionTime="090000")
    assert names(run(archive), "prior") == [("2010 last",)]
    archive.report("sr", (second, BOX, None))
    assert names(run(archive, "--sr", out="other.csv"), "prior") == [("2010 first",)]


def test_points_get_boxes_and_predictions_do_not_count(archive, capsys):
    uids = archive.exams(1, 2010, 2012)
    archive.report("sr", (uids[0], (20, 20, 20, 20), None), ("9.9", BOX, None))
    (row,) = run(archive, "--sr")
    assert float(row["prior_x1"]) - float(row["prior_x0"]) == pytest.approx(10 / 0.7, abs=0.01)
    said = capsys.readouterr().out
    assert "boxes of 10 mm" in said
    assert counts(said) == {"on no image of the archive": 1}


def test_a_point_is_no_size_that_a_lesion_of_a_series_had(archive, capsys):
    """Pairs keep it, as a place."""
    first, second, last = archive.exams(1, 2010, 2012, 2014)
    point = (20, 20, 20, 20)
    marks = [(first, BOX, "1.2.3"), (last, point, "1.2.3"),
             (first, point, "1.2.4"), (second, point, "1.2.4")]  # fmt: skip
    archive.report("sr", *marks)
    rows = run(archive, "--series", "--sr")
    assert names([row for row in rows if row["x0"]], "lesion_id", "exam") == [
        ("1", "2010LCC"),
        ("2", "2012LCC"),
    ]
    said = capsys.readouterr().out
    assert counts(said) == {"points of a lesion that is marked on another exam": 2}
    assert "boxes of 10 mm were put: 1." in said
    pairs = run(archive, "--sr", out="pairs.csv")
    assert sum(bool(row["current_x0"]) for row in pairs) == 4


def test_what_is_new_is_read_and_numbers_stay(archive, capsys):
    archive.exams(5, 2010, 2012)
    before = run(archive)
    archive.exams(1, 2010, 2012)
    archive.exams(5, 2014)
    capsys.readouterr()
    after = run(archive, "--resume")
    assert "3 headers" in capsys.readouterr().err
    assert after[: len(before)] == before
    assert [row["patient"] for row in after] == ["p000001", "p000001", "p000002"]
    (archive.folder / "5/2010LCC.dcm").unlink()
    assert names(run(archive, "--resume"), "prior") == [("2012LCC",), ("2010LCC",)]
    # The journal was made without the marks of reports.
    archive.report("sr", (uid_of("1/2010LCC.dcm"), BOX, None))
    run(archive, "--resume")
    assert len(run(archive, "--resume", "--sr")) == 1


def test_names_stay_when_older_exams_and_other_lesions_come(archive):
    uids = archive.exams(5, 2010, 2012)
    archive.report("sr", (uids[1], BOX, "1.2.3"))
    archive.report("other", (uids[1], [20, 8, 30, 18], None))
    columns = ("pair_id", "lesion_id", "prior", "current")
    before = names(run(archive, "--sr"), *columns)
    assert {name[:2] for name in before} == {
        ("p000001-L-CC-2-1", "1"), ("p000001-L-CC-2-1", "2"),
    }  # fmt: skip
    (older,) = archive.exams(5, 2008)
    archive.exams(5, 2010, 2012, view="MLO")
    archive.report("a", (older, BOX, None))
    archive.report("new", (older, [20, 20, 30, 30], "1.2.4"), (uids[0], BOX, "1.2.4"))
    after = names(run(archive, "--sr", "--resume"), *columns)
    assert set(before) <= set(after) and len(after) == len(set(after)) > len(before)
    assert {pair[-3:] for pair, *_ in after} == {"2-1", "2-3", "1-2", "1-3", "3-1", "3-2"}
    assert len({lesion for _, lesion, *_ in after}) == 4
    assert names(run(archive, "--sr", "--resume"), *columns) == after


def test_a_journal_of_an_earlier_version_is_read_again_and_numbers_stay(archive, tmp_path, capsys):
    archive.exams(5, 2010, 2012)
    first, second = archive.exams(7, 2010, 2012)
    archive.report("sr", (first, BOX, "1.2.3"), (second, None, "1.2.3"))
    before = run(archive, "--sr")
    archive.exams(1, 2010, 2012)
    for version in "4321":
        with closing(sqlite3.connect(tmp_path / "manifest.csv.journal")) as journal, journal:
            if version == "1":
                journal.execute("ALTER TABLE file DROP COLUMN absences")
            journal.execute("UPDATE file SET view = 'MLO', marks = NULL")
            journal.execute("UPDATE about SET value = ? WHERE name = 'version'", version)
        capsys.readouterr()
        assert run(archive, "--sr", "--resume") == before
        assert "7 headers" in capsys.readouterr().err
    with closing(sqlite3.connect(tmp_path / "manifest.csv.journal")) as journal, journal:
        journal.execute("UPDATE about SET value = '0' WHERE name = 'version'")
    argv = ["manifest", str(archive.folder), "--out", str(tmp_path / "manifest.csv"), "--resume"]
    assert_refused(argv, capsys, "of another version")


def test_a_view_that_was_computed_from_tomosynthesis_does_not_have_its_marks(archive, capsys):
    tomosynthesis = uid_of("volume")
    sources = item(
        ReferencedSOPInstanceUID=tomosynthesis,
        ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.13.1.3",
    )
    archive.image("2010", 1, 2010, SourceImageSequence=sources)
    archive.image("2012", 1, 2012)
    second = archive.exams(7, 2010, 2012)[1]
    archive.report("sr", (tomosynthesis, BOX, None), (second, BOX, None))
    assert names(run(archive, "--sr"), "prior") == [("2012LCC",)]
    assert counts(capsys.readouterr().out)["on no image of the archive"] == 1


def test_of_a_contrast_enhanced_exam_the_image_of_low_energy_counts(archive, capsys):
    archive.exams(1, 2010)
    of_contrast = ["DERIVED", "PRIMARY", "POST_CONTRAST"]
    archive.image("low", 1, 2012, ImageType=[*of_contrast, "", "LOW_ENERGY"])
    archive.image("recombined", 1, 2012, ImageType=[*of_contrast, "SUBTRACTION", ""])
    assert names(run(archive), "prior", "current") == [("2010LCC", "low")]
    assert counts(capsys.readouterr().out) == {"contrast view": 1}


def test_nothing_is_overwritten_by_mistake(archive, tmp_path, capsys):
    archive.exams(1, 2010, 2012)
    out = tmp_path / "manifest.csv"
    argv = ["manifest", str(archive.folder), "--out", str(out)]
    out.write_text("mine")
    assert_refused(argv, capsys, "exists already")
    assert_refused([*argv, "--resume"], capsys, "without manifest.csv.journal")
    out.unlink()
    rows = run(archive)
    assert_refused(argv, capsys, "exists already")
    write_table(out, [rows[0] | {"prior_x0": 1}])
    assert_refused([*argv, "--resume"], capsys, "was changed")
    out.unlink()
    assert_refused(argv, capsys, "interrupted", "--resume")
    (tmp_path / "elsewhere").mkdir()
    other = ["manifest", str(tmp_path / "elsewhere"), "--out", str(out), "--resume"]
    assert_refused(other, capsys, "another folder")
    (tmp_path / "manifest.csv.journal").write_bytes(b"x" * 5000)
    assert_refused([*argv, "--resume"], capsys, "damaged")
    assert_refused(["manifest", str(out), "--out", str(out)], capsys, "no folder")


def test_whose_the_numbers_are_is_written_for_the_owner_only(archive, tmp_path, capsys):
    archive.exams(7, 2010, 2012)
    archive.exams(3, 2010, 2012, IssuerOfPatientID="=here")
    private = tmp_path / "private" / "patients.csv"
    private.parent.mkdir()
    run(archive, "--patients", private)
    assert read_table(private) == [
        {"patient": "p000001", "patient_id": "SECRET-3", "issuer": "'=here"},
        {"patient": "p000002", "patient_id": "SECRET-7", "issuer": ""},
    ]
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    run(archive, "--patients", private, "--resume")
    assert len(read_table(private)) == 2
    private.write_text("mine")
    argv = ["manifest", str(archive.folder), "--out", str(tmp_path / "manifest.csv"), "--resume"]
    assert_refused([*argv, "--patients", str(private)], capsys, "not of an earlier run")
    assert private.read_text() == "mine"
    assert_refused([*argv, "--patients", str(tmp_path / "manifest.csv")], capsys, "another name")


def test_a_manifest_is_not_written_under_a_name_that_says_parquet(archive, tmp_path, capsys):
    archive.exams(1, 2010, 2012)
    argv = ["manifest", str(archive.folder), "--out", str(tmp_path / "m.parquet")]
    assert_refused(argv, capsys, "in .csv")
    assert os.listdir(tmp_path) == ["archive"]


def test_an_empty_archive_writes_nothing(archive, tmp_path, capsys):
    argv = ["manifest", str(archive.folder), "--out", str(tmp_path / "manifest.csv")]
    assert_refused(argv, capsys, "nothing to track")
    assert not (tmp_path / "manifest.csv").exists()


def test_the_output_may_be_in_the_archive_and_names_may_be_strange(archive):
    archive.exams(1, 2010)
    archive.image('=1 +1/a, "b" ;ä', 1, 2012)
    archive.image("= x/c", 1, 2014)
    path = archive.folder / "manifest.csv"
    for more in ([], ["--resume"]):
        assert main(["manifest", str(archive.folder), "--out", str(path), *more]) == 0
    rows = list(read_rows(path, PAIRS.manifest))
    assert len(rows) == 2
    for row in rows:
        assert (path.parent / row["prior"]).is_file() and (path.parent / row["current"]).is_file()
        assert not row["current"].startswith("=")


def test_a_large_archive_is_walked_by_several_processes(archive):
    for patient in range(12):
        archive.exams(patient, 2010, 2012, 2014)
    one = run(archive)
    path = archive.folder.parent / "two.csv"
    argv = ["manifest", str(archive.folder), "--out", str(path), "--workers", "3"]
    assert main(argv) == 0
    assert read_table(path) == one
    assert Counter(row["patient"] for row in one) == {f"p{n:06d}": 2 for n in range(1, 13)}


def test_a_batch_takes_the_manifest_as_it_is(pair, tmp_path):
    archive = tmp_path / "archive"
    archive.mkdir()
    for path in (pair.prior_dicom, pair.current_dicom):
        (archive / path.name).symlink_to(path)
    box = dict(zip(("x0", "y0", "x1", "y1"), pair.box.as_tuple(), strict=True))
    write_table(tmp_path / "boxes.csv", [{"image": "archive/prior.dcm", **box}])
    for more in ([], ["--series"]):
        name = f"manifest{len(more)}.csv"
        (row, *_) = run(Archive(archive), "--boxes", tmp_path / "boxes.csv", *more, out=name)
        results = tmp_path / f"results{len(more)}.csv"
        assert main(["batch", str(tmp_path / name), "--out", str(results)]) == 0
        answers = read_table(results)
        assert {answer["status"] for answer in answers} <= {"found", "uncertain"}
        assert answers[0]["lesion_id"] == row["lesion_id"]

"""EMBED's own ROIs become boxes in the pixels of its DICOM files."""

from __future__ import annotations

from pathlib import Path

from command_line import assert_refused, cells, read_table, write_table
from made_up_archive import Archive

from MammoTrackerLib.command.cli import main
from MammoTrackerLib.reading.embed import CLINICAL, CLINICAL_COLUMNS, METADATA, METADATA_COLUMNS

ROI, WIDTH = (10, 20, 22, 30), 48


class Embed(Archive):
    """An archive in EMBED's layout, and the rows of its metadata."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.metadata: list[dict] = []

    def exam(self, patient: int, year: int, rois: str = "", levels: str = "", **more) -> None:
        side, cells = more.get("side", "L"), more.pop("cells", {})
        key = f"cohort_1/{patient}/1.{year}.{patient}/1.2/{side}.dcm"  # study and series
        # What the headers say of patient and date does not count.
        self.image(key, 99, 1999, side, PatientOrientation=more.pop("orientation", ["A", "F"]))
        self.metadata.append(
            dict.fromkeys(METADATA_COLUMNS, "")
            | {
                "empi_anon": f"{patient}.0",
                "acc_anon": year * 100 + patient,
                "study_date_anon": f"{year}-03-07 00:00:00",
                "anon_dicom_path": f"/mnt/NAS2/mammo/{key}",
                "FinalImageType": "2D",
                "ImageLateralityFinal": side,
                "ViewPosition": "CC",
                "ROI_coords": rois or "()",
                "num_roi": "",
                "match_level": levels or "[]",
            }
            | cells
        )


def coordinates(*boxes: tuple[int, ...]) -> str:
    return str(tuple((y0, x0, y1, x1) for x0, y0, x1, y1 in boxes))


def run(embed: Embed, findings: list[dict], tmp_path: Path, *more: str) -> list[dict[str, str]]:
    tables = tmp_path / "tables"
    tables.mkdir()
    write_table(tables / METADATA, embed.metadata)
    write_table(tables / CLINICAL, [dict.fromkeys(CLINICAL_COLUMNS, "") | row for row in findings])
    argv = ["manifest", str(embed.folder), "--out", str(tmp_path / "m.csv"), "--workers", "1"]
    assert main([*argv, "--embed-tables", str(tables), *more]) == 0
    return read_table(tmp_path / "m.csv")


def test_rois_are_mirrored_typed_and_only_those_that_were_marked_there(tmp_path, capsys):
    embed = Embed(tmp_path / "images")
    for patient, more in (
        (1, {}),
        (2, {"side": "R", "orientation": ["P", "F"]}),
        (3, {"orientation": "", "side": "R"}),
    ):
        embed.exam(patient, 2012, coordinates(ROI), "[1]", **more)
        embed.exam(patient, 2014, coordinates(ROI), "[2]", **more)
    embed.exam(4, 2012, coordinates(ROI), "[1]")
    embed.exam(4, 2014, cells={"FinalImageType": "cview"})
    embed.exam(5, 2012, coordinates(ROI), "[1, 2]")
    embed.exam(5, 2014)
    embed.image("cohort_1/6/unknown.dcm", 6)
    findings = [
        {"acc_anon": "201201.0", "side": "L", "massshape": "O"},
        {"acc_anon": "201202", "side": "L", "massshape": "O"},
        {"acc_anon": "201202", "side": "B", "calcfind": "A"},
        {"acc_anon": "201202", "side": "R", "massshape": "S"},  # asymmetry
        {"acc_anon": "201203", "side": "", "calcfind": "A"},
        {"acc_anon": "201203", "side": "R", "massshape": "O"},
    ]
    rows = run(embed, findings, tmp_path)
    boxes = [[float(row[f"prior_{name}"]) for name in ("x0", "y0", "x1", "y1")] for row in rows]
    mirrored = [WIDTH - ROI[2], ROI[1], WIDTH - ROI[0], ROI[3]]
    assert boxes == [list(ROI), mirrored, mirrored]
    assert [row["lesion_type"] for row in rows] == ["mass", "calcification", ""]
    assert [row["patient"] for row in rows] == ["p000001", "p000002", "p000003"]
    assert all("1.2012." in row["prior"] for row in rows)
    counted = {row[1]: int(row[0]) for row in cells(capsys.readouterr().out) if row[0].isdigit()}
    assert counted == {
        "EMBED's metadata: not a 2D image": 1,
        "one exam only of that breast and view": 1,
        "no row in EMBED's metadata": 1,
        "no box in that breast and view": 2,
        "of EMBED: carried over from another image": 3,
        "of EMBED: ROI_coords, num_roi and match_level disagree": 1,
        "on an image that was left out": 1,
    }


def test_a_lesion_that_is_marked_twice_on_an_image_is_one(tmp_path, capsys):
    """As most of the lesions in the public notebook of EMBED that have two ROIs."""
    embed, again, other = Embed(tmp_path / "images"), (9, 19, 22, 33), (10, 2, 22, 12)
    embed.exam(1, 2012, coordinates(again, ROI, other), "[2, 1, 1]")
    embed.exam(1, 2014)
    rows = run(embed, [{"acc_anon": "201201", "side": "L"}], tmp_path)
    assert [float(row["prior_y0"]) for row in rows] == [20, 2]
    counted = {row[1]: int(row[0]) for row in cells(capsys.readouterr().out) if row[0].isdigit()}
    assert counted == {"again on one image": 1}


def test_rois_of_newer_tables_are_in_the_pixels_of_the_dicom(tmp_path):
    embed = Embed(tmp_path / "images")
    for year, rois in ((2012, "[[20, 10, 30, 22]]"), (2014, "[]")):
        embed.exam(1, year, rois, side="R", orientation=["P", "F"])
        embed.metadata[-1]["num_ROI"] = int(rois != "[]")
        del embed.metadata[-1]["num_roi"], embed.metadata[-1]["match_level"]
    (row,) = run(embed, [{"acc_anon": "201201", "side": "R"}], tmp_path)
    assert [float(row[f"prior_{name}"]) for name in ("x0", "y0", "x1", "y1")] == list(ROI)


def test_a_cohort_may_be_in_a_folder_of_another_name(tmp_path):
    embed = Embed(tmp_path / "images")
    embed.exam(1, 2012, coordinates(ROI), "[1]")
    embed.exam(1, 2014)
    embed.folder = (embed.folder / "cohort_1").rename(tmp_path / "my part")
    (row,) = run(embed, [{"acc_anon": "201201", "side": "L"}], tmp_path)
    assert row["prior"] == "my part/1/1.2012.1/1.2/L.dcm"


def test_series_have_the_dates_of_the_metadata_which_count_before_the_headers(tmp_path):
    embed = Embed(tmp_path / "images")
    embed.exam(1, 2014, coordinates(ROI), "[1]")
    embed.exam(1, 2012)
    rows = run(embed, [{"acc_anon": "201401", "side": "L"}], tmp_path, "--series")
    assert [row["date"] for row in rows] == ["2012-03-07", "2014-03-07"]


def test_tables_that_cannot_be_read_are_said_before_headers_are_read(tmp_path, capsys):
    archive = Archive(tmp_path / "images")
    archive.exams(1, 2010, 2012)
    argv = ["manifest", str(archive.folder), "--out", str(tmp_path / "m.csv")]
    assert_refused([*argv, "--embed-tables", str(tmp_path)], capsys, METADATA)
    write_table(tmp_path / METADATA, [dict.fromkeys(METADATA_COLUMNS, "")])
    assert_refused([*argv, "--embed-tables", str(tmp_path)], capsys, CLINICAL)
    boxes = tmp_path / "boxes.csv"
    good = {"image": "1/2010LCC.dcm", "x0": 1, "y0": 2, "x1": 9, "y1": 9}
    for rows, word in (([good, good | {"x1": "nine"}], "line 3"), ([{"file": "x"}], "image")):
        write_table(boxes, rows)
        assert_refused([*argv, "--boxes", str(boxes)], capsys, word)
    assert not (tmp_path / "m.csv.journal").exists()

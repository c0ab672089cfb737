"""A small made-up EMBED, with the real layout and column names, becomes the right pairs."""

from __future__ import annotations

import csv
import datetime
import os
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest

from MammoTrackerLib.command.batch import MANIFEST_COLUMNS, TRUTH_COLUMNS
from MammoTrackerLib.command.simulate import write_dicom
from MammoTrackerLib.mammogram import Mammogram
from Training.embed import (
    ANNOTATION_COLUMNS,
    CLINICAL,
    METADATA,
    METADATA_COLUMNS,
    main,
    read_table,
    split_place,
)

SPACING = 0.1
ROWS, COLUMNS = 70, 56
SQUARE = (8, 20, 20, 30)  # x0, y0, x1, y1 in DICOM pixels; not in the middle
DISKS = "/mnt/NAS2/mammo/anon_dicom/"
OTHER_METADATA = ["Unnamed: 0", "SeriesDescription", "png_path"]
OTHER_CLINICAL = ["empi_anon", "numfind", "desc", "path_severity", "asses"]
DISAGREE = "ROI_coords, num_roi and match_level disagree"
CLINICAL_COLUMNS = "acc_anon side massshape massmargin massdens calcfind calcdistri".split()


def bright_box(pixels: np.ndarray) -> tuple[int, ...]:
    rows, columns = np.nonzero(pixels > pixels.max() / 2)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def embed_layout(pixels: np.ndarray, side: str, view: str, orientation: str | None) -> np.ndarray:
    """Lay pixels out as EMBED's PNG conversion does."""
    flips = orientation[0] == "P" if orientation else side == "R"
    return np.fliplr(pixels) if flips and view in ("CC", "ML", "MLO") else pixels


class Embed:
    """Writes the tree, runs the program on it and reads what it wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root, self.out = folder, folder / "images", folder / "out"
        self.metadata: list[dict] = []
        self.clinical: list[dict] = []
        self.annotations: list[dict] = []

    def image(
        self,
        patient: int = 10000001,
        exam: int = 1,
        side: str = "L",
        view: str = "CC",
        orientation: str | None = "A",
        roi: bool = False,
        copy: int = 0,
        **cells,
    ) -> str:
        """Add an image with a bright square, and its row; returns its path below the root."""
        accession = f"{patient % 1000:03d}{exam:03d}8899"
        name = f"1.2.{exam}{side}{view}{copy}"
        key = f"cohort_1/{patient}/1.2.{accession}/{name}.dcm"
        date = datetime.date(2012 + exam, 3, 7)
        pixels = np.full((ROWS, COLUMNS), 100.0)
        pixels[: ROWS // 3] = 0
        pixels[SQUARE[1] : SQUARE[3], SQUARE[0] : SQUARE[2]] = 1000
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        write_dicom(Mammogram(pixels, SPACING, side, view, date, str(patient)), path, "made up")
        header = pydicom.dcmread(path)
        del header.PatientOrientation
        if orientation:
            header.PatientOrientation = [orientation, "F"]
        header.save_as(path)
        x0, y0, x1, y1 = bright_box(embed_layout(pixels, side, view, orientation))
        self.metadata.append(
            {
                "empi_anon": patient,
                "acc_anon": accession,
                "study_date_anon": f"{date} 00:00:00",
                "anon_dicom_path": DISKS + key,
                "FinalImageType": "2D",
                "ImageLateralityFinal": side,
                "ViewPosition": view,
                "spot_mag": "",
                "num_roi": int(roi),
                "ROI_coords": f"(({y0}, {x0}, {y1}, {x1}),)" if roi else "()",
                "match_level": "[1]" if roi else "[]",
                "Unnamed: 0": len(self.metadata),
                **cells,
            }
        )
        return key

    def annotate(self, case: str, image: str, kind: str = "mass", **cells) -> None:
        box = dict(zip(("x0", "y0", "x1", "y1"), SQUARE, strict=True))
        row = {"case": case, "image": image, "lesion_type": kind, "layout": "dicom", **box}
        self.annotations.append(row | cells)

    def finding(self, exam: int, side: str, patient: int = 10000001, **cells) -> None:
        accession = f"{patient % 1000:03d}{exam:03d}8899"
        self.clinical.append({"empi_anon": patient, "acc_anon": accession, "side": side, **cells})

    def case(self, name: str, kind: str = "mass", exams: int = 2, **image) -> list[str]:
        keys = [self.image(exam=exam, **image) for exam in range(1, exams + 1)]
        for key in keys:
            self.annotate(name, key, kind)
        return keys

    def run(self, *flags: str) -> int:
        tables = self.folder / "tables"
        tables.mkdir(exist_ok=True)
        for path, columns, rows in (
            (tables / METADATA, [*OTHER_METADATA, *METADATA_COLUMNS], self.metadata),
            (tables / CLINICAL, [*OTHER_CLINICAL, *CLINICAL_COLUMNS], self.clinical),
            (self.folder / "annotations.csv", ANNOTATION_COLUMNS, self.annotations),
        ):
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, columns)
                writer.writeheader()
                writer.writerows(rows)
        return self.program("--workers", "1", *flags)

    def program(self, *flags: str) -> int:
        paths = {
            "--tables": self.folder / "tables",
            "--images": self.root,
            "--annotations": self.folder / "annotations.csv",
            "--out": self.out,
        }
        return main([str(part) for pair in paths.items() for part in pair] + list(flags))

    def table(self, name: str) -> list[dict[str, str]]:
        with (self.out / name).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def pairs(self) -> list[dict[str, str]]:
        return self.table("train.csv") + self.table("test.csv")

    def reasons(self) -> Counter[tuple[str, str]]:
        return Counter((row["table"], row["reason"]) for row in self.table("skipped.csv"))

    def pngs(self) -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in (self.out / "images").iterdir()}


@pytest.fixture
def embed(tmp_path) -> Embed:
    return Embed(tmp_path)


def assert_on_the_square(embed: Embed, pair: dict[str, str]) -> None:
    for exam in ("prior", "current"):
        path = embed.out / pair[exam]
        pixels = Mammogram.read(path, float(pair[f"{exam}_spacing_mm"])).pixels
        assert pixels.shape == (round(ROWS / 0.7), round(COLUMNS / 0.7))
        box = [float(pair[f"{exam}_{name}"]) for name in ("x0", "y0", "x1", "y1")]
        np.testing.assert_allclose(box, bright_box(pixels), atol=1)


@pytest.mark.parametrize("layout", ["dicom", "embed_png"])
@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize(
    ("view", "orientation"),
    [
        ("CC", "A"),
        ("CC", "P"),
        ("CC", None),
        ("MLO", "P"),
        ("MLO", None),
        ("ML", None),
        ("LM", None),
        ("XCCL", "A"),
    ],
)
def test_boxes_land_on_the_lesion(embed, layout, side, view, orientation):
    where = {"side": side, "view": view, "orientation": orientation}
    prior = embed.image(exam=1, **where)
    embed.image(exam=2, roi=True, **where)
    cells = {}
    if layout == "embed_png":
        stored = np.zeros((ROWS, COLUMNS))
        stored[SQUARE[1] : SQUARE[3], SQUARE[0] : SQUARE[2]] = 1
        box = bright_box(embed_layout(stored, side, view, orientation))
        cells = dict(zip(("x0", "y0", "x1", "y1"), box, strict=True))
    embed.annotate("a", prior, layout=layout, **cells)

    assert embed.run() == 0

    forward, backward = embed.pairs()
    assert forward["prior"] == backward["current"] != forward["current"]
    assert_on_the_square(embed, forward)
    assert_on_the_square(embed, backward)
    assert embed.table("skipped.csv") == []


def test_manifests_are_what_batch_reads_and_name_no_patient(embed):
    embed.case("a", exams=2)
    embed.run()
    for name in ("train.csv", "test.csv"):
        header = (embed.out / name).read_text().splitlines()[0].split(",")
        assert header == [*MANIFEST_COLUMNS, *TRUTH_COLUMNS, "patient"]
    for pair in embed.pairs():
        assert pair["patient"] == "p0001"
        assert pair["lesion_type"] == "mass"
        assert (embed.out / pair["prior"]).is_file()
        assert "10000001" not in "".join(pair.values())


@pytest.mark.parametrize("workers", ["1", "2"])
def test_nothing_of_a_patient_is_printed(embed, capfd, workers):
    keys = embed.case("case-77", exams=3)
    embed.case("case-78", patient=10000002, exams=1)
    embed.annotate("case-79", "cohort_9/10000003/1.2.3/4.dcm")
    (embed.root / keys[0]).write_bytes(b"no mammogram")
    assert embed.run("--workers", workers) == 0
    output = "".join(capfd.readouterr())
    for word in ("1000000", "8899", "2013", "2014", "case-7", "1.2."):
        assert word not in output
    assert len(embed.pairs()) == 2


def test_all_ordered_pairs_of_different_exams(embed):
    embed.case("a", exams=3)
    embed.case("a", exams=2, view="MLO")
    embed.annotate("a", embed.image(exam=3, copy=1))  # a second image of one exam
    embed.run()
    pairs = embed.pairs()
    by_view = Counter(pair["pair_id"].split("-")[1] for pair in pairs)
    # CC: exams of 1, 1 and 2 images: 4 * 3 ordered pairs less the 2 within an exam.
    assert by_view == {"CC": 10, "MLO": 2}
    assert len({(pair["prior"], pair["current"]) for pair in pairs}) == 12
    assert {pair["pair_id"] for pair in pairs} >= {"a-CC-1-2", "a-CC-2-1", "a-MLO-1-2"}


def test_findings_are_joined_by_exam_and_side(embed):
    embed.case("left", kind="")
    embed.case("right", kind="", side="R")
    embed.case("both", kind="", patient=10000002)
    embed.case("open", kind="", patient=10000003)
    embed.case("given", patient=10000004)
    embed.finding(1, "L", massshape="O")
    embed.finding(2, "R", calcdistri="G")
    embed.finding(1, "B", patient=10000002, massdens="0")  # fat: a value, not an empty cell
    embed.finding(2, "", patient=10000003, calcfind="A")
    embed.finding(1, "L", patient=10000004, calcfind="A")
    for row in embed.clinical:
        row["acc_anon"] += ".0"
    embed.run()
    assert {pair["lesion_id"]: pair["lesion_type"] for pair in embed.pairs()} == {
        "left": "mass",
        "right": "calcification",
        "both": "mass",
        "open": "calcification",
        "given": "mass",
    }


def test_table_1_counts_cases_views_and_pairs(embed, capsys):
    train, test = [], []
    for patient in range(10000001, 10000100):
        (test if split_place(str(patient), 0) < 0.29 else train).append(patient)
    embed.case("a", exams=3, patient=train[0])
    embed.case("a", exams=2, patient=train[0], view="MLO")
    embed.case("b", exams=2, patient=train[1], side="R")
    embed.case("c", exams=2, patient=train[1], kind="calcification")
    embed.case("d", exams=4, patient=test[0], kind="calcification")
    embed.run()
    lines = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines()]
    names = ("Mass", "Calc.", "Total")
    rows = {line[0]: line[1:] for line in lines if line and line[0] in names}
    assert rows == {
        "Mass": "2 3 10 0 0 0 2 3 10".split(),
        "Calc.": "1 1 2 1 1 12 2 2 14".split(),
        "Total": "3 4 12 1 1 12 4 5 24".split(),
    }
    assert len(embed.table("train.csv")) == 12
    assert len(embed.table("test.csv")) == 12


def test_split_is_by_patient_and_keeps_to_its_seed(embed):
    def parts(*flags: str) -> dict[str, set[str]]:
        embed.run(*flags)
        tables = {name: embed.table(f"{name}.csv") for name in ("train", "test")}
        assert not {r["patient"] for r in tables["train"]} & {r["patient"] for r in tables["test"]}
        return {name: {row["lesion_id"] for row in rows} for name, rows in tables.items()}

    for patient in range(10000001, 10000013):
        embed.case(f"{patient}-l", patient=patient)
        embed.case(f"{patient}-r", patient=patient, side="R")
    first = parts("--test-share", "0.4")
    assert len(first["train"] | first["test"]) == 24
    assert {name[:8] for name in first["train"]}.isdisjoint(name[:8] for name in first["test"])
    assert first["test"]
    assert parts("--test-share", "0.4", "--seed", "1") != first

    embed.case("new", patient=10000099)
    again = parts("--test-share", "0.4")
    assert again["train"] - {"new"} == first["train"]
    assert again["test"] - {"new"} == first["test"]


def test_about_as_many_are_tested_as_in_the_paper():
    test = sum(split_place(str(patient), 0) < 0.29 for patient in range(20000))
    assert test == pytest.approx(0.29 * 20000, rel=0.03)


def test_spot_views_are_used_if_asked(embed):
    keys = [embed.image(exam=exam, spot_mag=mark) for exam, mark in ((1, "0.0"), (2, ""))]
    keys.append(embed.image(exam=3, spot_mag="1.0"))
    for key in keys:
        embed.annotate("a", key)
    embed.run()
    assert len(embed.pairs()) == 2
    assert embed.reasons()["metadata", "spot or magnification view"] == 1
    embed.run("--spot-views")
    assert len(embed.pairs()) == 6
    assert not embed.reasons()


def test_a_roi_is_named_by_its_number(embed):
    key = embed.image(exam=1, num_roi=2, match_level="[[2, 1]]")
    embed.metadata[-1]["ROI_coords"] = "((1, 2, 3, 4), (20, 8, 30, 20))"
    blank = dict.fromkeys(("x0", "y0", "x1", "y1", "layout"), "")
    embed.annotate("a", key, roi="2", **blank)
    embed.annotate("a", embed.image(exam=2))
    assert embed.run() == 0
    assert_on_the_square(embed, embed.pairs()[0])


def skip_cases():
    """Yield how to spoil a row of a good tree, and what has to be listed."""
    image_is_out = ("annotations", "its image is not usable")

    def cell(table: str, name: str, value: str):
        return lambda embed: getattr(embed, table)[0].update({name: value})

    for name, value, reason in (
        ("FinalImageType", "cview", "not a 2D image"),
        ("ImageLateralityFinal", "", "unknown laterality"),
        ("ViewPosition", "", "unknown view"),
        ("acc_anon", "", "no path, patient or exam"),
        ("spot_mag", "1", "spot or magnification view"),
    ):
        yield cell("metadata", name, value), ("metadata", reason), image_is_out
    yield lambda embed: embed.metadata.pop(0), image_is_out
    for name, value, reason in (
        ("case", "", "no case or no image"),
        ("lesion_type", "cyst", "unknown lesion type"),
        ("x0", "left", "malformed box or roi"),
        ("x1", "", "malformed box or roi"),
        ("x1", "3", "malformed box or roi"),
        ("layout", "png", "unknown layout"),
        ("y1", "70.5", "box outside the image"),
        ("x0", "-1", "box outside the image"),
    ):
        yield cell("annotations", name, value), ("annotations", reason)

    def no_box(embed, roi=""):
        embed.annotations[0].update(dict.fromkeys(("x0", "y0", "x1", "y1"), ""), roi=roi)

    yield no_box, ("annotations", "no box, and no such ROI")
    yield lambda embed: no_box(embed, "x"), ("annotations", "malformed box or roi")

    def two_rois(embed, roi):
        no_box(embed, roi)
        boxes = "((20, 8, 30, 20), (20, 8, 31, 21))"
        embed.metadata[0].update(ROI_coords=boxes, num_roi="2.0", match_level="[1, 1]")

    several = "no box, and several ROIs: give the number"
    yield lambda embed: two_rois(embed, ""), ("annotations", several)
    yield lambda embed: two_rois(embed, "0"), ("annotations", "no box, and no such ROI")
    yield lambda embed: two_rois(embed, "3"), ("annotations", "no box, and no such ROI")

    yield (
        lambda embed: embed.annotations.append(dict(embed.annotations[0])),
        ("annotations", "second row of one case on one image"),
    )
    yield (
        lambda embed: embed.metadata.append(dict(embed.metadata[0])),
        ("metadata", "second row of one image"),
    )
    for text in ("((1, 2, 3),)", "(1, 2, 3, 4)", "((1, 2", "((9, 9, 3, 3),)", "x", "(" * 9999):
        yield cell("metadata", "ROI_coords", text), ("metadata", "malformed ROI")
    yield cell("metadata", "num_roi", "1"), ("metadata", DISAGREE)
    yield cell("metadata", "ROI_coords", "((1, 2, 3, 4),)"), ("metadata", DISAGREE)

    def with_file(change):
        return lambda embed: change(embed.root / embed.annotations[0]["image"])

    def without(*keywords):
        def change(path):
            header = pydicom.dcmread(path)
            for keyword in keywords:
                del header[keyword]
            header.save_as(path)

        return with_file(change)

    broken = ("annotations", "DICOM file that cannot be used")
    yield with_file(os.remove), ("annotations", "missing file")
    yield with_file(lambda path: path.write_bytes(path.read_bytes()[:-500])), broken
    yield with_file(lambda path: path.write_bytes(b"")), broken
    yield without("PixelData"), broken
    spacing = "ImagerPixelSpacing", "PixelSpacing"
    yield without(*spacing), ("annotations", "no pixel spacing")

    def roi(patient=10000001, **cells):
        return lambda embed: embed.image(patient=patient, exam=7, roi=True, **cells)

    no_case = ("metadata", "ROI of no case: no annotation in this breast and view")
    yield roi(patient=10000002), no_case
    yield roi(side="R"), no_case
    yield roi(view="MLO"), no_case
    carried = "ROI carried over from another image: name it in the annotations"
    yield roi(match_level="[2]"), ("metadata", carried)
    unclear = ("metadata", "ROI of an unclear case: name it in the annotations")
    yield lambda embed: (roi()(embed), roi(copy=1)(embed)), unclear, unclear
    yield (
        lambda embed: (embed.annotate("b", embed.annotations[0]["image"]), roi()(embed)),
        unclear,
        ("annotations", "its case has one exam only in this view"),
    )

    def backwards(embed):
        for exam in (1, 2):
            key = embed.image(exam=exam, view="LM", orientation="P")
            embed.annotate("a", key, layout="embed_png")

    uncertain = "EMBED may not mirror this view: give the box in DICOM pixels"
    yield backwards, ("annotations", uncertain), ("annotations", uncertain)


@pytest.mark.parametrize(("spoil", "expected"), [(s, Counter(e)) for s, *e in skip_cases()])
def test_what_is_not_used_is_listed_with_its_reason(embed, capsys, spoil, expected):
    embed.case("a", exams=3)
    spoil(embed)
    assert embed.run() == 0
    assert embed.reasons() == expected
    output = capsys.readouterr().out
    for (table, reason), count in expected.items():
        assert f"{count}  {table}: {reason}" in output
    listed = {row["row"] for row in embed.table("skipped.csv") if row["table"] == "annotations"}
    used = 2 if "2" in listed else 3
    assert len(embed.pairs()) == used * (used - 1)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda e: e.annotate("a", e.image(exam=4, side="R")), "its case is in several breasts"),
        (lambda e: e.annotations[0].update(lesion_type="calcification"), "two lesion types"),
        (lambda e: [row.update(lesion_type="") for row in e.annotations[:2]], "neither mass nor"),
        (
            lambda e: (
                [row.update(lesion_type="") for row in e.annotations[:2]],
                e.finding(1, "L", massshape="O", calcfind="A"),
            ),
            "both mass and",
        ),
    ],
)
def test_a_case_that_contradicts_itself_is_listed_whole(embed, spoil, reason):
    embed.case("a")
    embed.case("good", patient=10000002)
    spoil(embed)
    embed.run()
    assert {pair["lesion_id"] for pair in embed.pairs()} == {"good"}
    listed = embed.table("skipped.csv")
    assert [row["image"] for row in listed] == [
        row["image"] for row in embed.annotations if row["case"] == "a"
    ]
    assert all(reason in row["reason"] for row in listed)


def test_skipped_rows_say_where_they_stand(embed):
    embed.case("a")
    key = embed.image(exam=3, roi=True, FinalImageType="cview")
    embed.finding(1, "left")
    embed.run()
    assert embed.table("skipped.csv") == [
        dict(table="metadata", row="4", image=key, reason="not a 2D image", detail="cview"),
        dict(table="clinical", row="2", image="", reason="unknown side", detail="left"),
    ]


def test_without_a_pair_the_reasons_are_written_all_the_same(embed, capsys):
    embed.case("a", exams=1)
    assert embed.run() == 2
    assert "no pair" in capsys.readouterr().err
    assert embed.reasons() == {("annotations", "its case has one exam only in this view"): 1}


def test_finished_images_are_kept_and_those_of_changed_files_are_not(embed):
    keys = embed.case("a", exams=3)
    embed.run()
    first = embed.pngs()
    expected = embed.pairs()
    assert len(first) == 3

    gone = sorted(first)[0]
    (embed.out / "images" / gone).rename((embed.out / "images" / gone).with_suffix(".part"))
    embed.run()
    second = embed.pngs()
    assert second.keys() == first.keys()
    assert second[gone] != first[gone]
    assert all(second[name] == first[name] for name in first if name != gone)
    assert embed.pairs() == expected

    header = pydicom.dcmread(embed.root / keys[0])
    header.ImagerPixelSpacing = header.PixelSpacing = [0.2, 0.2]
    header.save_as(embed.root / keys[0])
    embed.run()
    assert len(embed.pngs()) == 4
    pair = embed.pairs()[0]
    assert pair["prior"] not in [f"images/{name}" for name in first]
    assert float(pair["prior_x1"]) == pytest.approx(SQUARE[2] * 0.2 / 0.07, abs=1)


def test_several_processes_give_the_same(embed):
    embed.case("a", exams=3)
    embed.run()
    expected = embed.pairs(), sorted(embed.pngs())
    embed.out = embed.folder / "other"
    embed.run("--workers", "2")
    assert (embed.pairs(), sorted(embed.pngs())) == expected


def test_tables_are_read_row_by_row(tmp_path):
    path = tmp_path / METADATA
    filler = "x" * 400
    with path.open("w") as file:
        file.write(",".join(["other", *METADATA_COLUMNS]) + "\n")
        for number in range(20000):
            file.write(f"{filler},{number}" + "," * (len(METADATA_COLUMNS) - 1) + "\n")
    tracemalloc.start()
    rows = sum(1 for _ in read_table(path, METADATA_COLUMNS))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 20000
    assert peak < path.stat().st_size / 20


@pytest.mark.parametrize("name", [f"tables/{METADATA}", f"tables/{CLINICAL}", "annotations.csv"])
def test_a_missing_table_or_column_is_said(embed, capsys, name):
    embed.case("a")
    embed.run()
    path = embed.folder / name
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0].rsplit(",", 1)[0], *lines[1:]]))
    column = lines[0].rsplit(",", 1)[1]
    capsys.readouterr()
    assert embed.program() == 2
    assert f"{path.name} lacks the column {column}: give" in capsys.readouterr().err
    path.unlink()
    assert embed.program() == 2
    error = capsys.readouterr().err
    assert f"There is no file {path}" in error
    assert "--tables" in error


def test_paths_may_start_anywhere_and_have_a_series_folder(embed):
    first, second = embed.case("a")
    deep = first.replace("/1.2.1LCC0", "/1.2.series/1.2.1LCC0")
    (embed.root / deep).parent.mkdir()
    (embed.root / first).rename(embed.root / deep)
    embed.metadata[0]["anon_dicom_path"] = f"./images/{deep}"
    embed.annotations[0]["image"] = DISKS + deep
    embed.annotations[1]["image"] = second.replace("/", "\\")
    assert embed.run() == 0
    assert len(embed.pairs()) == 2

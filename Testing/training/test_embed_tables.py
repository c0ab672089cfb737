"""EMBED's tables say which lesion is where, and what of them cannot be used."""

from __future__ import annotations

import os
import tracemalloc
from collections import Counter

import pydicom
import pytest
from made_up_embed import DISKS, SQUARE, assert_on_the_square

from MammoTrackerLib.reading.embed import CLINICAL, METADATA, METADATA_COLUMNS, read_table

DISAGREE = "ROI_coords, num_roi and match_level disagree"


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


def test_a_roi_that_marks_the_same_lesion_again_needs_no_number(embed):
    for exam in (1, 2):
        key = embed.image(exam=exam, num_roi=2, match_level="[2, 1]")
        embed.metadata[-1]["ROI_coords"] = "((19, 9, 31, 24), (20, 8, 30, 20))"
    blank = dict.fromkeys(("x0", "y0", "x1", "y1", "layout"), "")
    embed.annotate("a", key, **blank)  # the other one's joins by itself
    assert embed.run() == 0
    assert len(embed.pairs()) == 2 and not embed.reasons()
    assert_on_the_square(embed, embed.pairs()[0])


def test_rois_of_newer_tables_are_in_the_pixels_of_the_dicom(embed):
    for exam in (1, 2):
        key = embed.image(exam=exam, side="R", orientation="P")
        x0, y0, x1, y1 = SQUARE
        embed.metadata[-1] |= {"num_ROI": 1, "ROI_coords": f"[[{y0}, {x0}, {y1}, {x1}]]"}
        del embed.metadata[-1]["num_roi"], embed.metadata[-1]["match_level"]
    embed.annotate("a", key, **dict.fromkeys(("x0", "y0", "x1", "y1", "layout"), ""))
    kept = [name for name in METADATA_COLUMNS if name not in ("num_roi", "match_level")]
    assert embed.run(metadata_columns=[*kept, "num_ROI"]) == 0
    assert len(embed.pairs()) == 2 and not embed.reasons()
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
        boxes = "((20, 8, 30, 20), (40, 8, 51, 21))"
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
                e.finding(1, "L", massshape="F"),  # focal asymmetry
            ),
            "neither mass nor",
        ),
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

"""EMBED's images are converted once, and boxes land on the lesion in their pixels."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from made_up_embed import COLUMNS, ROWS, SQUARE, assert_on_the_square, bright_box, embed_layout


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

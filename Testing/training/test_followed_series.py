"""Series with their truth are followed as their rows say, and rows that do not fit are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import write_table
from PIL import Image

from MammoTrackerLib import Box, LesionTracker, MammoTrackerError
from Training.followed_series import collect
from Training.make_pairs import SERIES_COLUMNS
from Training.sources import generated_source

BOX = ("110.00", "280.00", "170.00", "330.00")
SHIFTED = ("110.00", "290.00", "170.00", "340.00")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two exams of a made-up breast, the second 10 pixels lower."""
    folder, source = tmp_path_factory.mktemp("series"), generated_source(3)
    rows, columns = source.pixels.shape
    for number, down in enumerate((20, 30)):
        image = np.zeros((rows + 60, columns + 30), np.uint16)
        image[down : down + rows, :columns] = 20000 * (source.pixels + 0.4) * source.breast
        Image.fromarray(image).save(folder / f"{number}.png")
    return folder


def row(exam: int, lesion: str = "a", **cells: str) -> dict[str, str]:
    true = dict(
        zip(("true_x0", "true_y0", "true_x1", "true_y1"), (BOX, SHIFTED)[exam], strict=True)
    )
    known = {"exam_group": "g", "lesion_id": lesion, "patient": "w", "exam": f"{exam}.png",
             "spacing_mm": "0.28", "date": f"201{exam}-01-01", "lesion_type": "mass",
             "present": "1"}  # fmt: skip
    return known | true | cells


def marked(lesion: str = "a", exam: int = 0, **cells: str) -> dict[str, str]:
    box = dict(zip(("x0", "y0", "x1", "y1"), (BOX, SHIFTED)[exam], strict=True))
    return row(exam, lesion, **box, **cells)


def written(folder: Path, rows: list[dict[str, str]]) -> Path:
    return write_table(folder / "manifest.csv", rows, SERIES_COLUMNS)


@pytest.mark.parametrize("by_exam", [False, True])
def test_rows_may_go_by_lesion_or_by_exam(folder: Path, by_exam: bool):
    rows = [marked("a"), row(1, "a"), marked("b"), row(1, "b", present="0")]
    if by_exam:
        rows = [rows[k] for k in (0, 2, 1, 3)]
    first, second = collect(written(folder, rows), LesionTracker())
    assert first.truth == [Box(*map(float, BOX)), Box(*map(float, SHIFTED))]
    assert second.truth == [Box(*map(float, BOX)), None]
    assert first.history.marked == 0 and first.direct[0] is None and first.direct[1] is not None
    assert first.off(first.history.results[1].track, 1) < 3


NOT_TRUE = dict.fromkeys(("true_x0", "true_y0", "true_x1", "true_y1"), "")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(0), row(1)], "marked on one exam"),
        ([marked(), row(1), row(0, "b"), marked("b", 1)], "marked on one exam"),
        ([marked(), marked(exam=1)], "marked on one exam"),
        ([marked(), row(1), marked("b")], "each exam once"),
        ([marked(), row(1), row(1)], "each exam once"),
        ([marked(), row(1, **NOT_TRUE)], "true place is not given"),
        ([marked(present="0"), row(1)], "true place is not given"),
    ],
)
def test_rows_that_do_not_fit_are_refused_with_their_line(folder: Path, rows, message):
    with pytest.raises(MammoTrackerError, match=f"line 2: .*{message}"):
        collect(written(folder, rows), LesionTracker())

"""The whole tables, on small made-up breasts."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import cells, read_table
from made_up_test_set import TRUTH, run_evaluate, write_manifest
from PIL import Image


@pytest.fixture(scope="module")
def output(test_set: Path) -> str:
    """Give what the program prints for the manifest without options."""
    return run_evaluate(test_set)


def test_table_2_by_lesion_type_and_in_total(output: str) -> None:
    table = cells(output)
    assert [row[0] for row in table[:3]] == ["mass", "3 lesions, 2 patients", "affine"]
    table = [row for row in table if len(row) > 7]
    rows = [row for row in table if row[0] == "MammoTracker"]
    # Of 20 pixels (8 mm) square; "failed", "not found", AO, accuracy, robustness, mm, ...
    assert [row[1:7] for row in rows] == [["0", "0", "1.000", "1.000", "0.000", "0.00"]] * 3
    (tracking,) = {tuple(row[1:7]) for row in table if row[0] == "mask-guided tracking"}
    assert tracking == ("0", "-", "0.333", "0.333", "0.000", "4.00")
    (paper,) = {tuple(row[3:7]) for row in table if row[0] == "tracking x similarity"}
    assert paper == ("0.600", "0.600", "0.000", "2.00")
    registration = [row for row in table if row[0].startswith("affine")]
    assert [float(row[3]) > 0.5 for row in registration[:6]] == [True] * 6


def test_each_row_is_compared_with_the_one_above(output: str) -> None:
    assert "SiamFC++ style is left out" in output
    first = [row for row in cells(output) if len(row) == 4]
    rows = {(a[0], b[0]): (a[1:], b[1:]) for a, b in zip(first[::2], first[1::2], strict=False)}
    full = rows["MammoTracker", "minus mask-guided tracking"]
    assert full == (["+0.667"] * 3, ["+0.667 to +0.667"] * 3)
    assert ("mask-guided tracking", "minus affine + spline") in rows
    assert rows["tracking x similarity", "minus mask-guided tracking"][0] == ["+0.267"] * 3


def test_siamfc_has_a_row_of_its_own(test_set: Path, tmp_path: Path) -> None:
    output = run_evaluate(test_set, "--siamfc", tmp_path / "5")
    assert "left out" not in output
    (siamfc,) = {tuple(row[3:7]) for row in cells(output) if row[0] == "SiamFC++ style"
                 and len(row) > 4}  # fmt: skip
    assert siamfc == ("0.143", "0.143", "0.000", "6.00")
    assert "minus SiamFC++ style" in output


def test_table_3_has_a_row_for_each_configuration(test_set: Path, tmp_path: Path) -> None:
    output = run_evaluate(
        test_set, "--configs", f"masked={tmp_path / '5'}", f"no centre-ness={tmp_path / '20'}"
    )
    rows = {row[0]: row[1:] for row in cells(output) if len(row) == 7}
    assert rows["masked"] == ["yes", "masked", "0.143", "0.143", "0.000", "6.00"]
    assert rows["no centre-ness"] == ["no", "masked", "0.000", "-", "1.000", "12.00"]


@pytest.mark.parametrize("text", ["masked", "=folder", "MammoTracker=folder"])
def test_configurations_need_a_name_and_a_folder(test_set: Path, text: str) -> None:
    with pytest.raises(SystemExit):
        run_evaluate(test_set, "--configs", text)


def test_lesion_that_is_gone_counts_in_the_statuses_only(output: str) -> None:
    assert "4 lesions, 2 patients" in output
    assert "found: 5 of 5; more than 10 mm off: 0; not there: 1" in output
    assert "uncertain: 0 of 5\n" in output
    assert "Of 5 called found, 1 (20.0 %, interval 0.0-" in output
    assert "Of 4 lesions that are there, 0 (0.0 %) were called not found." in output


def test_wrong_pairs_have_statuses_only(test_set: Path) -> None:
    output = run_evaluate(test_set, "--wrong-pairs")
    assert "found: 5 of 5; not there: 5" in output
    assert "AO" not in output


def test_figure_4(test_set: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run_evaluate(test_set, "--plot", tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as image:
        assert image.width == pytest.approx(3 * image.height, rel=0.02)


def test_answers_that_followed_another_layer_are_told(test_set: Path, tmp_path: Path) -> None:
    """The lesion went 10 pixels (4 mm) to the right of where the stand-in sees it."""
    rows = read_table(test_set)
    x, y = TRUTH.center
    for row in rows:
        for name in ("prior", "current"):
            row[name] = str(test_set.parent / row[name])
        if row["present"] != "0":
            corners = {"current_x0": TRUTH.x0 + 10, "current_x1": TRUTH.x1 + 10}
            places = {"layer0_x": x + 10, "layer0_y": y, "layer1_x": x, "layer1_y": y + 2}
            row |= corners | {"layer": 0} | places
    output = run_evaluate(write_manifest(tmp_path, rows))
    assert "MammoTracker: 0% of 4 within 3 mm; 4 followed another layer, 4 of them called" in output
    assert "mask-guided tracking: 100% of 4 within 3 mm; 0 followed another layer." in output
    assert "followed another layer" not in run_evaluate(test_set)

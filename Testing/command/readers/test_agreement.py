"""Two readers compared: their decisions and their boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import assert_refused, cells, write_table

from MammoTrackerLib.command.cli import main
from MammoTrackerLib.command.readers.agreement import kappa
from MammoTrackerLib.command.readers.reviewed import REVIEWED_COLUMNS

TRUTH = ("current_x0", "current_y0", "current_x1", "current_y1")


def reviewed(path: Path, *decisions: tuple[str, tuple[float, ...] | None], **cells) -> Path:
    """Write a table: a lesion is a decision and its box.

    Of one that was not decided, there is a row if it has a comment ("?").
    """
    rows = []
    for number, (decision, box) in enumerate(decisions):
        if not decision:
            continue
        row = dict.fromkeys(REVIEWED_COLUMNS, "") | {
            "pair_id": f"pair {number}",
            "lesion_id": "1",
            "prior": "prior.png",
            "current": "current.png",
            "current_spacing_mm": "0.1",
            **{f"prior_{name}": k for k, name in enumerate(("x0", "y0", "x1", "y1"), 10)},
            "patient": f"p{number // 2}",
            "decision": decision.strip("?"),
            "comment": "why?" if decision == "?" else "",
        }
        rows.append(row | dict(zip(TRUTH, box or [""] * 4, strict=True)) | cells)
    return write_table(path, rows)


def test_decisions_and_boxes_are_compared(tmp_path, capsys):
    box, moved, far = (100, 100, 140, 120), (120, 100, 160, 120), (140, 100, 180, 120)
    a = reviewed(
        tmp_path / "a.csv", ("accepted", box), ("accepted", box), ("corrected", box),
        ("not there", None), ("not there", None), ("rejected", None), ("?", None),
        ("cannot tell", None), ("?", None),
    )  # fmt: skip
    b = reviewed(
        tmp_path / "b.csv", ("accepted", box), ("corrected", moved), ("corrected", far),
        ("not there", None), ("accepted", box), ("not there", None), ("accepted", box), ("?", None),
        ("?", None),
    )  # fmt: skip
    assert main(["agreement", str(a), str(b)]) == 0
    said = capsys.readouterr().out
    assert "6 lesions were decided by both, 1 only in A ('a.csv'), 1 only in B" in said
    table = cells(said)
    assert table[:4] == [
        ["there", "3", "0", "0", "0"],
        ["not there", "1", "1", "0", "0"],
        ["rejected", "0", "1", "0", "0"],
        ["cannot tell", "0", "0", "0", "0"],
    ]
    # By chance: 3 of 6 x 4 of 6 and 2 of 6 x 2 of 6, so (4/6 - 16/36) / (1 - 16/36) = 0.4.
    assert "Cohen's kappa: 0.400 (interval " in said
    assert "The same in 4 of 6 (66.7 %, interval " in said
    # Boxes 0, 2 and 4 mm apart; the second overlaps by half, so its IoU is a third.
    assert table[4] == ["distance of the centres, mm", "2.00", "2.00", "3.60", "0.667"]
    assert table[6] == ["IoU", "0.333", "0.444", "0.067", ""]
    assert "3 lesions, 1 accepted by both" in said
    assert "(3)" in said and "no sample" in said


def test_readers_who_always_say_the_same_have_no_kappa(tmp_path, capsys):
    a = reviewed(tmp_path / "a.csv", ("not there", None), ("not there", None))
    assert main(["agreement", str(a), str(a)]) == 0
    said = capsys.readouterr().out
    assert "kappa is not defined" in said
    assert "no lesion to which both gave a box" in said


def test_comments_alone_are_nothing_to_compare(tmp_path, capsys):
    a = reviewed(tmp_path / "a.csv", ("?", None), ("accepted", (1, 1, 5, 5)))
    b = reviewed(tmp_path / "b.csv", ("accepted", (1, 1, 5, 5)), ("?", None))
    assert_refused(["agreement", str(a), str(b)], capsys, "no lesion in common")


def test_the_order_of_rows_does_not_matter(tmp_path, capsys):
    box = (100, 100, 140, 120)
    a = reviewed(tmp_path / "a.csv", ("accepted", box), ("not there", None), ("rejected", None))
    b = tmp_path / "b.csv"
    lines = a.read_text().splitlines()
    b.write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    assert main(["agreement", str(a), str(b)]) == 0
    assert "The same in 3 of 3" in capsys.readouterr().out


def test_what_does_not_belong_together_is_refused(tmp_path, capsys):
    box = (100, 100, 140, 120)
    a = reviewed(tmp_path / "a.csv", ("accepted", box))
    for b, words in (
        (reviewed(tmp_path / "b.csv", ("accepted", box), pair_id="x"), ["in common"]),
        (reviewed(tmp_path / "c.csv", ("accepted", box), prior_x0="9"), ["line 2", "elsewhere"]),
        (reviewed(tmp_path / "d.csv", ("maybe", box)), ["line 2", "decision"]),
        (reviewed(tmp_path / "e.csv", *[("accepted", box)] * 2, pair_id="x"), ["line 3"]),
        (reviewed(tmp_path / "f.csv", ("accepted", (1, 2, 3, "x"))), ["line 2", "four numbers"]),
        (tmp_path / "none.csv", ["no file"]),
    ):
        assert_refused(["agreement", str(a), str(b)], capsys, *words)
    unknown = reviewed(tmp_path / "g.csv", ("accepted", box), current_spacing_mm="")
    assert_refused(["agreement", str(unknown), str(unknown)], capsys, "line 2", "current.png")


def test_kappa_by_hand():
    first, second = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    assert kappa(first, second, np.ones(4)) == pytest.approx(0.5)
    assert kappa(first, first, np.ones(4)) == 1
    assert kappa(first, 1 - first, np.ones(4)) == -1
    assert kappa(first, second, np.array([1, 0, 1, 1])) == 1


def test_other_images_under_the_same_names_are_no_common_lesion(tmp_path, capsys):
    box = (100, 100, 140, 120)
    a = reviewed(tmp_path / "a.csv", ("accepted", box), current="../x/Übung.png")
    # As another system writes it: its separators, and its letters.
    b = reviewed(tmp_path / "b.csv", ("accepted", box), current="C:\\y\\U\u0308bung.png")
    assert main(["agreement", str(a), str(b)]) == 0
    capsys.readouterr()
    b = reviewed(tmp_path / "b.csv", ("accepted", box), current="../x/other.png")
    assert_refused(
        ["agreement", str(a), str(b)], capsys, "column current", "another image", "line 2"
    )
    # Of images that can be read, the content counts: files of one name may be in many folders.
    for name in ("1", "2", "copy of 1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_text(name[-1])
    for name, is_refused in (("1", False), ("copy of 1", False), ("2", True), ("gone", False)):
        a = reviewed(tmp_path / "a.csv", ("accepted", box), current="1/x.png")
        b = reviewed(tmp_path / "b.csv", ("accepted", box), current=f"{name}/x.png")
        argv = ["agreement", str(a), str(b)]
        if is_refused:
            assert_refused(argv, capsys, "column current", "another image")
        else:
            assert main(argv) == 0

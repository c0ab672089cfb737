"""Every method tracks what a manifest has, one pair at a time."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest
from command_line import cells
from made_up_test_set import (
    LESION,
    SHIFT,
    SPACING,
    StandIn,
    breast,
    run_evaluate,
    write_manifest,
)

from MammoTrackerLib import Mammogram, MammoTrackerError
from MammoTrackerLib.global_search import align
from Training import methods
from Training.manifest import pairs_of, read_manifest


def test_wrong_pairs_are_of_other_patients(test_set: Path) -> None:
    pairs = pairs_of(read_manifest(test_set))
    assert [len(pair) for pair in pairs] == [2, 1, 1, 1]
    currents = [rows[0]["current"] for rows in methods.wrong_currents(pairs)]
    assert currents == ["2_current.png", "2_current.png", "3_current.png", "0_current.png"]
    with pytest.raises(MammoTrackerError, match="two patients"):
        list(methods.wrong_currents(pairs[:2]))
    unknown = [[row | {"patient": ""} for row in rows] for rows in pairs]
    with pytest.raises(MammoTrackerError, match="the column patient"):
        list(methods.wrong_currents(unknown))


def test_pair_that_cannot_be_read_has_failed(test_set: Path) -> None:
    rows = read_manifest(test_set)
    rows[2] = rows[2] | {"prior": "missing.png"}
    other = write_manifest(test_set.parent / ".", rows)
    try:
        output = run_evaluate(other)
    finally:
        rows[2]["prior"] = "1_prior.png"
        write_manifest(test_set.parent, rows)
    full = [row for row in cells(output) if row[0] == "MammoTracker" and len(row) > 4]
    assert [row[1:4] for row in full] == [
        ["1", "0", "0.667"],
        ["0", "0", "1.000"],
        ["1", "0", "0.750"],
    ]
    assert "failed: 1 of 5" in output


def test_only_one_pair_is_in_memory(test_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, seen, most = methods.read_exam, [], []

    def counted(*arguments: object) -> Mammogram:
        gc.collect()
        most.append(sum(one() is not None for one in seen))
        mammogram = read(*arguments)
        seen.append(weakref.ref(mammogram.pixels))
        return mammogram

    monkeypatch.setattr(methods, "read_exam", counted)
    for wrong in (False, True):
        tracked = methods.track_all(test_set, {methods.FULL: StandIn()}, wrong)
    assert not any(row["decision"] for row, _ in tracked), "what a reader said is of the true pair"
    assert len(seen) == 16
    assert max(most) <= 2, "the pair before may still be there while the next is read"


def test_affine_box_is_that_of_the_affine_registration() -> None:
    prior = Mammogram(breast(0).astype(float), SPACING)
    for current in (breast(0, SHIFT), breast(0, SHIFT)[:, ::-1]):
        current = Mammogram(current.astype(float), SPACING)
        expected = align(prior, current, spline=False).map_box(LESION)
        found = methods.affine_box(align(prior, current), LESION)
        assert found.as_tuple() == pytest.approx(expected.as_tuple(), abs=1e-6)

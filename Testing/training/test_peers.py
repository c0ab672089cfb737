"""Peers side by side: each in a process of its own, and those that fail."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from command_line import cells
from made_up_test_set import LESION, TRUTH, pair_of
from rich.console import Console

from MammoTrackerLib import Box, Mammogram
from MammoTrackerLib.command.registrations import register_simpleitk
from Training import peers


def test_map_box_scales_the_sides() -> None:
    spacings = (0.5, 0.25), (0.25, 0.5)

    def twice_as_wide(points: np.ndarray) -> np.ndarray:
        x, y = (points * spacings[0]).T
        return np.stack([2 * x + 3, y - 1], axis=1) / spacings[1]

    box = peers.map_box(twice_as_wide, Box(10, 20, 14, 28), *spacings)
    # In mm: x 5 to 7 becomes 13 to 17, y 5 to 7 becomes 4 to 6.
    assert box.as_tuple() == pytest.approx((52, 8, 68, 12))


def test_map_box_of_a_quarter_turn() -> None:
    spacing = 1.0, 1.0
    box = peers.map_box(lambda p: p[:, ::-1] * [-1, 1], Box(10, 20, 14, 30), spacing, spacing)
    assert box.as_tuple() == pytest.approx((-27, 7, -23, 17))


def test_simpleitk_follows_a_shift() -> None:
    find = peers.registration(register_simpleitk)(*pair_of())
    assert find(LESION).as_tuple() == pytest.approx(TRUTH.as_tuple(), abs=3)


def fails(prior: Mammogram, current: Mammogram):  # noqa: ANN201
    raise RuntimeError("does not converge")


def test_peers_side_by_side(
    test_set: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> None:
        raise ImportError

    truth = lambda box: TRUTH  # noqa: E731
    monkeypatch.setattr(peers, "in_own_process", lambda function, *arguments: function(*arguments))
    monkeypatch.setattr(
        peers,
        "PEERS",
        (
            ("perfect", "here", lambda: lambda prior, current: truth),
            ("absent", "nowhere", missing),
            ("failing", "here", lambda: fails),
            ("correlation", "here", partial(peers.correlation, True)),
        ),
    )
    peers.print_peers(test_set, Console(width=150))
    output = capsys.readouterr().out
    rows = {row[0]: row[1:] for row in cells(output) if row[0]}
    assert rows["perfect"][:6] == ["0", "1.000", "0.000", "0.00", "0.00", "1.000"]
    assert rows["failing"][:6] == ["4", "0.000", "1.000", "-", "-", "0.000"]
    assert rows["absent"] == ["-"] + 10 * [""]
    assert float(rows["correlation"][1]) > 0.8
    assert float(rows["correlation"][6]) > 0, "aligning takes time"
    assert float(rows["correlation"][10]) > 10, "MB"
    assert "absent: not installed (nowhere)." in output
    assert "failing: RuntimeError: does not converge" in output
    assert "2 patients" in output


def test_peer_runs_in_a_process_of_its_own(test_set: Path) -> None:
    run = peers.in_own_process(peers.run_peer, test_set, partial(peers.correlation, False))
    assert [box.iou(TRUTH) > 0.8 for box in run.boxes] == [True] * 4
    assert run.trouble == ""


def test_every_peer_of_the_issue_is_there() -> None:
    names = " ".join(name for name, _, _ in peers.PEERS)
    for name in ("SimpleITK", "ANTs affine", "SyN", "elastix", "NCC", "CSRT", "MammoTracker"):
        assert name in names

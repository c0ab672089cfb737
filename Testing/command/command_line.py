"""What the tests of the command share: a pair on disk, tables, refusals."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from MammoTrackerLib import Box
from MammoTrackerLib.command.cli import main

COMMAND = [sys.executable, "-m", "MammoTrackerLib.command.cli"]
STATUSES = {"found", "uncertain", "not found", "kept from registration"}
SPACING = 0.2
OUTPUTS = {"tracks.json", "lesion-1.mrk.json", "overlay.png"}


@dataclass(frozen=True)
class Pair:
    """Image files of a real film at 0.2 mm and of its simulated follow-up, and the truth."""

    prior: Path
    current: Path
    prior_dicom: Path
    current_dicom: Path
    box: Box
    truth: Box

    @property
    def arguments(self) -> list[str]:
        return [str(self.prior_dicom), str(self.current_dicom), *self.box_arguments]

    @property
    def box_arguments(self) -> list[str]:
        return ["--box", *(str(value) for value in self.box.as_tuple())]


def write_table(path: Path, rows: list[dict], columns: Sequence[str] = ()) -> Path:
    """Write a table whose columns are those of the first row, if none are given."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns or list(rows[0]), restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def without_seconds(path: Path) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in read_table(path)]


def assert_refused(argv: list[str], capsys: pytest.CaptureFixture[str], *words: str) -> None:
    assert main(argv) == 2
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert lines[-1].startswith("mammotracker: ")
    assert "Traceback" not in captured.err
    for word in words:
        assert word in lines[-1]


def cells(output: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in output.splitlines()
        if line.startswith("│")
    ]

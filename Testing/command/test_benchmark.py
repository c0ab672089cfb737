"""Time and memory of each step."""

from __future__ import annotations

import subprocess
import time

import pytest
from command_line import COMMAND, Pair, assert_refused, cells

from MammoTrackerLib.command import benchmark
from MammoTrackerLib.networks.with_litert import LiteRTNetworks


def test_benchmark_measures_every_step(pair: Pair) -> None:
    done = subprocess.run(
        [*COMMAND, "benchmark", *pair.arguments], capture_output=True, text=True, check=True
    )
    rows = {row[0]: row[1:] for row in cells(done.stdout)}
    for step in ("read both images", "align (global search)", "load the networks", "first lesion",
                 "process start to first result", "each further lesion"):  # fmt: skip
        assert float(rows[step][0]) > 0
        assert float(rows[step][2]) > 10
    assert float(rows["SimpleITK affine"][0]) > 0


def test_benchmark_times_a_batch_where_there_is_a_gpu(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = benchmark.Task(
        str(pair.prior_dicom), str(pair.current_dicom), None, None, pair.box.as_tuple()
    )
    ran = []
    monkeypatch.setattr(LiteRTNetworks, "lesions_at_once", 2)
    monkeypatch.setattr(LiteRTNetworks, "run", lambda self, lesions: ran.append(lesions), False)
    *_, together = benchmark._measure_mammotracker(task, "litert", time.time())
    assert together.step == "networks alone, 2 lesions"
    assert ran == [2]


def test_benchmark_needs_all_or_nothing(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(["benchmark", str(pair.prior_dicom)], capsys, "--box")

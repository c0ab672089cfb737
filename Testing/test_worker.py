"""The worker that the panel's process runs: its end, its device, its batches, its files."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import numpy as np

from MammoTrackerLib import Box, Status, Track
from MammoTrackerLib.command.simulate import read_film
from MammoTrackerLib.worker import take_mammogram, write_mammogram

ROOT = Path(__file__).parents[1]


def test_the_worker_ends_with_its_input(tmp_path):
    """So it never outlives the application."""
    done = subprocess.run(
        [sys.executable, "-m", "MammoTrackerLib.worker"],
        input=b"",
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_it_says_what_runs_the_networks(monkeypatch):
    from MammoTrackerLib import worker

    events = {}
    worker.Worker(lambda event, **values: events.update({event: values})).load()
    assert events["ready"]["runtime"].startswith("LiteRT ")
    assert events["ready"]["device"] == "CPU"
    networks = types.SimpleNamespace(name="TensorFlow", version="2.0", device="GPU: Card 7")
    monkeypatch.setattr(worker.LesionTracker, "load", lambda self: networks)
    worker.Worker(lambda event, **values: events.update({event: values})).load()
    ready = events["ready"]
    assert (ready["runtime"], ready["device"]) == ("TensorFlow 2.0", "GPU: Card 7")


def test_lesions_are_sent_batch_by_batch_where_there_is_a_gpu(monkeypatch, tmp_path):
    from MammoTrackerLib import worker

    monkeypatch.setattr(worker, "take_mammogram", lambda path: None)
    monkeypatch.setattr(worker, "check_box", lambda box, mammogram: None)
    alignment = types.SimpleNamespace(grid=lambda: np.zeros(1), warnings=(), dice=1.0)
    monkeypatch.setattr(worker, "align", lambda prior, current: alignment)
    batches, events = [], []

    def track(prior, current, boxes, alignment, force):
        batches.append(len(boxes))
        return [Track(box, box, 1.0, Status.FOUND, "", (), box) for box in boxes]

    answering = worker.Worker(lambda event, **values: events.append((event, values)))
    networks = types.SimpleNamespace(lesions_at_once=2)
    answering._tracker = types.SimpleNamespace(networks=networks, track=track)
    boxes = [Box(k, 0, k + 1, 1) for k in range(3)]
    answering.track(7, tmp_path, boxes, force=True)
    assert batches == [2, 1]
    tracks = [values for event, values in events if event == "track"]
    assert [values["index"] for values in tracks] == [0, 1, 2]
    assert [Track.from_dict(values["track"]).prior_box for values in tracks] == boxes


def test_a_mammogram_is_handed_over_without_its_patient(tmp_path):
    prior = read_film()
    path = tmp_path / "prior.npz"
    write_mammogram(prior, path)
    assert b"DEMO" not in path.read_bytes()
    again = take_mammogram(path)
    assert not path.exists()
    assert np.array_equal(again.pixels, prior.pixels)
    assert (again.spacing, again.laterality, again.view) == (prior.spacing, "L", "MLO")
    assert (again.patient_id, again.date) == (None, None)

"""The worker that the panel's process runs: its end, its device, its batches, its files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from MammoTrackerLib import Box, Mammogram, MammoTrackerError, Status, Track
from MammoTrackerLib.command.simulate import FILM_LESION, read_film
from MammoTrackerLib.history import LesionHistory
from MammoTrackerLib.marked import MarkedLesion
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


@pytest.mark.parametrize(
    ("orientation", "modifiers"), [(("P", "F"), ("spot", "rolled")), (None, ())]
)
def test_how_an_image_lies_is_handed_over(tmp_path, orientation, modifiers):
    image = replace(Mammogram(np.eye(400), 0.1), orientation=orientation, modifiers=modifiers)
    write_mammogram(image, tmp_path / "prior.npz")
    again = take_mammogram(tmp_path / "prior.npz")
    assert (again.orientation, again.modifiers) == (orientation, modifiers)


class Talk:
    """A worker in a process, and a pair that is handed over to it."""

    def __init__(self, folder: Path, pair: Path) -> None:
        self.folder, self.pair = folder, pair
        self.process = subprocess.Popen(
            [sys.executable, "-m", "MammoTrackerLib.worker"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def hand_over(self, *names: str) -> None:
        for name in names or ("prior", "current"):
            shutil.copy(self.pair / f"{name}.npz", self.folder)

    def send(self, command: object) -> None:
        line = command if isinstance(command, bytes) else json.dumps(command).encode()
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def until(self, *kinds: str) -> dict:
        while True:
            event = json.loads(self.process.stdout.readline())
            if event["event"] in kinds:
                return event

    def ask(self, command: object) -> dict:
        self.send(command)
        return self.until("error", "done", "ready")

    def track(self, **other: object) -> dict:
        box = list(FILM_LESION.as_tuple())
        command = {"command": "track", "id": 7, "boxes": [box], "force": False}
        return command | {"folder": str(self.folder)} | other

    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture(scope="module")
def handed_over(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    for name in ("prior", "current"):
        write_mammogram(read_film(), folder / f"{name}.npz")
    return folder


@pytest.fixture
def talk(tmp_path, handed_over):
    folder = tmp_path / "run"
    folder.mkdir()
    talk = Talk(folder, handed_over)
    yield talk
    talk.process.kill()
    talk.process.communicate()


def test_a_bad_command_is_answered_and_the_networks_are_kept(talk):
    assert talk.ask({"command": "load"})["event"] == "ready"
    for bad in (
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b"null",
        b'"track"',
        b"[1]",
        {},
        {"command": None},
        {"command": ["track"]},
        talk.track(command="trck"),
        talk.track(command="Load"),
    ):
        event = talk.ask(bad)
        assert (event["event"], event["fatal"]) == ("error", False)
        assert "command" in event["message"]
    for bad in (
        {"folder": None},
        {"folder": 3},
        {"folder": "\0"},
        {"folder": str(talk.folder / "missing")},
        {"boxes": None},
        {"boxes": [[1, 2, 3]]},
        {"boxes": [[1, 2, 3, "x"]]},
        {"boxes": [1]},
        {"boxes": [[1, 2, 3, None]]},
        {"boxes": [[1, 2, float("nan"), 4]]},
        {"boxes": [[1, 2, 10**400, 4]]},
        {"boxes": [[-900, 0, -800, 9]]},
        {"force": "no"},
        {"id": "x"},
    ):
        talk.hand_over()
        event = talk.ask(talk.track(**bad))
        assert (event["event"], event["fatal"]) == ("error", False), bad
        if "folder" not in bad:
            assert talk.left() == [], bad
    talk.hand_over()
    talk.send(talk.track())
    assert talk.until("aligned", "ready", "error")["event"] == "aligned", "loaded once"
    assert talk.until("done", "error")["event"] == "done"


@pytest.mark.parametrize("missing", ["prior", "current"])
def test_a_mammogram_that_is_missing_or_damaged_is_said_so(talk, missing):
    (other,) = {"prior", "current"} - {missing}
    talk.hand_over(other)
    event = talk.ask(talk.track())
    assert (event["event"], event["id"], event["fatal"]) == ("error", 7, False)
    assert "gone" in event["message"] and "room" not in event["message"]
    assert talk.left() == []
    whole = (talk.pair / f"{missing}.npz").read_bytes()
    for content in (b"", b"no zip", whole[: len(whole) // 2], b"PK\x03\x04" + whole[9:]):
        talk.hand_over(other)
        (talk.folder / f"{missing}.npz").write_bytes(content)
        event = talk.ask(talk.track())
        assert (event["event"], event["fatal"]) == ("error", False)
        assert "damaged" in event["message"]
        assert talk.left() == []
    talk.hand_over()
    assert talk.ask(talk.track())["event"] == "ready"


def test_what_is_no_mammogram_is_refused_and_deleted(tmp_path):
    path = tmp_path / "prior.npz"
    for content in (
        {"pixels": np.zeros((3, 3))},
        {"pixels": np.array([object()]), "spacing": 1, "laterality": "", "view": ""},
        {"pixels": np.eye(3), "spacing": np.array("x"), "laterality": "", "view": ""},
        {"pixels": np.eye(3), "spacing": np.array([np.nan, 1]), "laterality": "", "view": ""},
    ):
        np.savez(path, **content)
        with pytest.raises(MammoTrackerError):
            take_mammogram(path)
        assert not path.exists()
    with path.open("wb") as file:
        np.save(file, np.eye(3))
    with pytest.raises(MammoTrackerError):
        take_mammogram(path)


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("moment", ["progress", "aligned", "track"])
def test_a_worker_that_is_terminated_leaves_nothing(talk, moment):
    talk.hand_over()
    talk.send(talk.track(boxes=[list(FILM_LESION.as_tuple())] * 200))
    talk.until(moment)
    talk.process.terminate()
    talk.process.stdout.read()
    assert talk.process.wait(20) == -signal.SIGTERM
    assert talk.left() == []


def test_a_worker_to_which_nobody_listens_ends_and_leaves_nothing(talk):
    talk.hand_over()
    talk.send(talk.track(boxes=[list(FILM_LESION.as_tuple())] * 200))
    talk.until("aligned")
    talk.process.stdout.close()
    assert talk.process.wait(60) == 1
    assert talk.left() == []
    talk.process.stdout = None


def test_what_is_done_belongs_to_whoever_asked(talk):
    talk.hand_over()
    assert talk.ask(talk.track())["event"] == "ready"
    talk.until("done")
    talk.process.stdin.close()
    assert talk.process.wait(20) == 0
    assert talk.left() == ["grid.npy"]
    talk.process.stdin = None


def test_networks_that_do_not_load_are_fatal(monkeypatch):
    from MammoTrackerLib import worker

    def refuse(self):
        raise MammoTrackerError("The weights are damaged.")

    events = []
    monkeypatch.setattr(worker.LesionTracker, "load", refuse)
    answering = worker.Worker(lambda event, **values: events.append((event, values)))
    assert not answering.answer(b'{"command": "load"}')
    assert events[-1][1]["fatal"]


EXAMS = ["exam-0.npz", "exam-1.npz", "exam-2.npz"]


def hand_over_exams(talk) -> None:
    for name in EXAMS:
        shutil.copy(talk.pair / "prior.npz", talk.folder / name)


def follow_command(talk, **other: object) -> dict:
    lesions = [
        MarkedLesion(2, FILM_LESION, {0: None}).as_dict(),
        MarkedLesion(0, FILM_LESION, {1: FILM_LESION}).as_dict(),
    ]
    command = {"command": "follow", "id": 8, "exams": 3, "lesions": lesions, "force": False}
    return command | {"folder": str(talk.folder)} | other


def test_lesions_that_are_marked_on_different_exams_are_followed(talk):
    hand_over_exams(talk)
    talk.send(follow_command(talk))
    events = []
    while not events or events[-1]["event"] not in ("done", "error"):
        events.append(talk.until("progress", "registered", "history", "done", "error"))
    histories = {
        event["index"]: LesionHistory.from_dict(event["history"])
        for event in events
        if event["event"] == "history"
    }
    assert events[-1]["event"] == "done" and set(histories) == {0, 1}
    assert [result.by_user for result in histories[0].results] == [True, False, True]
    assert [result.by_user for result in histories[1].results] == [True, True, False]
    for history in histories.values():
        (answer,) = (result.track for result in history.results if not result.by_user)
        assert answer.box.iou(FILM_LESION) > 0.8
    told = [event["fraction"] for event in events if event["event"] == "progress" and event["id"]]
    assert told == sorted(told) and told[-1] < 1
    # On exam 3 the second lesion was looked for from where the user says that it is nearest.
    pairs = [(e["source"], e["target"]) for e in events if e["event"] == "registered"]
    assert pairs == [(2, 1)]
    assert talk.left() == ["grid-2-1.npy"]


def test_a_bad_command_to_follow_is_answered_and_leaves_no_file(talk):
    good = MarkedLesion(0, FILM_LESION).as_dict()
    for bad in (
        {"exams": None},
        {"exams": -1},
        {"exams": 10**9},
        {"lesions": None},
        {"lesions": [None]},
        {"lesions": [good | {"box": [1, 2, 3]}]},
        {"lesions": [good | {"exam": 3}]},
        {"lesions": [good | {"exam": "0"}]},
        {"lesions": [good | {"decided": [[7, None]]}]},
        {"lesions": [good | {"decided": 3}]},
        {"lesions": [good | {"decided": [[[], None]]}]},
        {"lesions": [good | {"box": [-900, 0, -800, 9]}]},
        {"force": 1},
        {"id": None},
    ):
        hand_over_exams(talk)
        event = talk.ask(follow_command(talk, **bad))
        while event["event"] == "ready":
            event = talk.until("error", "done")
        assert (event["event"], event["fatal"]) == ("error", False), bad
        if "exams" not in bad:
            assert talk.left() == [], bad
    hand_over_exams(talk)
    (talk.folder / EXAMS[1]).unlink()
    event = talk.ask(follow_command(talk))
    assert "exam-1.npz" in event["message"] and talk.left() == []

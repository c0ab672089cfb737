"""The tracker's process as the panel sees it, with the real worker in a real process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import types
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from MammoTrackerLib import Box, Candidate, MammoTrackerError, Status, Track
from MammoTrackerLib.command.simulate import FILM_LESION, read_film, simulate_follow_up
from MammoTrackerLib.worker import take_mammogram, write_mammogram

ROOT = Path(__file__).parents[1]
OTHER = Box(900, 1500, 1100, 1700)
SEVERAL_LOOKS = 0.35  # seconds in which a watched process is looked at more than once


class Recorded:
    """A process of the panel, and what it called back, in order."""

    def __init__(self, shell) -> None:
        from MammoTrackerPanel.tracker_process import TrackerProcess

        self.shell = shell
        self.process = TrackerProcess()
        self.events = []
        for name in ("Ready", "Progress", "Aligned", "Track", "Done", "Failed", "Log"):
            setattr(self.process, f"on{name}", self._recorder(name))

    def _recorder(self, name):
        return lambda *values: self.events.append((name, *values))

    def names(self, *wanted) -> list[str]:
        return [event[0] for event in self.events if event[0] in wanted]

    def of(self, name) -> list:
        return [event[1:] for event in self.events if event[0] == name]

    def log(self) -> str:
        return "\n".join(line for (line,) in self.of("Log"))

    def wait(self, condition, seconds=120) -> None:
        self.shell.wait(condition, seconds)

    def track(self, *arguments, **keywords) -> list:
        """Track, wait for the end, and return all events."""
        self.events.clear()
        self.process.track(*arguments, **keywords)
        self.wait(lambda: not self.process.running)
        return self.events

    def failure(self) -> str:
        (message,) = self.of("Failed")[0]
        assert self.names("Done", "Failed") == ["Failed"]
        return message


@pytest.fixture
def recorded(shell, tmp_path, monkeypatch):
    """A new process, whose temporary folders are in `tmp_path`."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    recorded = Recorded(shell)
    yield recorded
    recorded.process.stop()
    assert list(tmp_path.glob("MammoTracker-*")) == []


@pytest.fixture(scope="module")
def prior():
    return read_film()


@pytest.fixture(scope="module")
def follow_up(prior):
    return simulate_follow_up(prior, [FILM_LESION])


@pytest.fixture(scope="module")
def pair(prior, follow_up):
    return prior, follow_up.mammogram


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bröst 乳")


@pytest.fixture(scope="module")
def real(shell, folder):
    """The process with the real TensorFlow and weights, for all tests that need them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(folder))
        real = Recorded(shell)
        yield real
        real.process.stop()


@pytest.fixture(scope="module")
def first_run(real, pair):
    """The events of the first run, with two lesions."""
    return list(real.track(*pair, [FILM_LESION, OTHER]))


def is_alive(pid: int) -> bool:
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return bool(state.strip()) and not state.startswith("Z")


def pid_of(recorded) -> int:
    return recorded.process._child.pid


def test_finds_the_lesion_in_another_process(first_run, real, follow_up):
    (index, track), (other, _) = [event[1:] for event in first_run if event[0] == "Track"]
    assert (index, other) == (0, 1)
    assert track.prior_box == FILM_LESION
    assert track.status is Status.FOUND
    assert track.box.iou(follow_up.boxes[0]) > 0.5
    assert pid_of(real) != os.getpid()


def test_events_come_in_order_and_stream(first_run):
    names = [event[0] for event in first_run if event[0] not in ("Progress", "Log")]
    assert names == ["Ready", "Aligned", "Track", "Track", "Done"]
    fractions = [event[1] for event in first_run if event[0] == "Progress"]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] and fractions[-1] <= 1
    steps = [event[2] if event[0] == "Progress" else event[0] for event in first_run]
    assert steps.index("Track") < steps.index("Tracking lesion 2 of 2 ...")


def test_says_what_it_runs_on(first_run, real):
    (info,) = [event[1] for event in first_run if event[0] == "Ready"]
    assert info == real.process.info
    assert info["tensorflow"] == metadata.version("tensorflow")
    assert info["device"] == "CPU" or info["device"].startswith("GPU: ")
    assert info["weights"]


def test_the_registration_arrives_as_a_grid(first_run, pair, follow_up):
    ((grid, warnings),) = [event[1:] for event in first_run if event[0] == "Aligned"]
    rows, columns = pair[0].pixels.shape
    assert grid[0, 0, :2].tolist() == [0, 0]
    assert grid[-1, -1, :2].tolist() == [columns, rows]
    near = np.hypot(*(grid[..., :2] - FILM_LESION.center).T).T.argmin()
    node = grid.reshape(-1, 4)[near]
    off = (node[2:] - follow_up.map_points(node[None, :2])[0]) * pair[1].spacing
    assert np.hypot(*off) < 10
    assert warnings == []


def test_a_second_run_uses_the_same_process(first_run, real, pair):
    pid = pid_of(real)
    events = real.track(*pair, [OTHER])
    assert pid_of(real) == pid
    assert real.names("Ready", "Aligned", "Track", "Done") == ["Aligned", "Track", "Done"]
    assert not any("Loading" in event[2] for event in events if event[0] == "Progress")
    assert real.of("Track") == [(0, [event[2] for event in first_run if event[0] == "Track"][1])]


def test_the_application_goes_on_meanwhile(first_run, real, pair):
    from qt import QTimer

    clicks = []
    real.process.onAligned = lambda *_: QTimer.singleShot(0, lambda: clicks.append("click"))
    real.process.onTrack = lambda *_: clicks.append("track")
    try:
        real.track(*pair, [FILM_LESION, OTHER])
    finally:
        real.process.onAligned, real.process.onTrack = map(real._recorder, ("Aligned", "Track"))
    assert clicks == ["click", "track", "track"]


def test_a_pair_that_cannot_be_right_is_refused_and_the_process_stays(first_run, real, pair):
    prior, current = replace(pair[0], laterality="L"), replace(pair[1], laterality="R")
    pid = pid_of(real)
    real.track(prior, current, [FILM_LESION])
    assert "laterality" in real.failure()
    real.track(prior, current, [FILM_LESION], force=True)
    assert real.names("Track", "Done", "Failed") == ["Track", "Done"]
    real.track(*pair, [FILM_LESION, Box(-300, 10, -200, 100)])
    assert "outside the prior" in real.failure()
    assert real.of("Track") == []
    assert pid_of(real) == pid


def test_no_image_stays_on_the_disk_and_no_name_in_the_log(first_run, real, folder):
    assert [path.name for path in folder.rglob("*.np*")] == []
    assert "DEMO" not in real.log()
    if os.name == "posix":
        assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_cancel_in_the_middle_of_a_run_of_a_new_process(first_run, real, pair, folder):
    """The process has died unseen between two runs; the next one is another, and cancelled."""
    dead = pid_of(real)
    real.events.clear()
    os.kill(dead, signal.SIGKILL)
    real.shell.process(SEVERAL_LOOKS)
    assert real.events == []

    real.process.track(*pair, [FILM_LESION])
    pid = pid_of(real)
    assert pid != dead
    real.wait(lambda: real.of("Aligned"))
    assert real.names("Ready", "Aligned") == ["Ready", "Aligned"]
    real.process.cancel()
    seen = list(real.events)
    assert not real.process.running
    assert not is_alive(pid)
    assert list(folder.iterdir()) == []
    real.shell.process(SEVERAL_LOOKS)
    assert real.events == seen
    assert real.process.info


def fake_tensorflow(folder: Path, monkeypatch, code: str) -> None:
    """Put a module in TensorFlow's place, to die as TensorFlow can."""
    folder.joinpath("fake").mkdir()
    folder.joinpath("fake", "tensorflow.py").write_text(code, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder / "fake"))


def test_without_tensorflow_it_says_where_to_install_it(recorded, tmp_path, monkeypatch, pair):
    missing = "raise ModuleNotFoundError(\"No module named 'tensorflow'\", name='tensorflow')"
    fake_tensorflow(tmp_path, monkeypatch, missing)
    recorded.track(*pair, [FILM_LESION])
    assert "tensorflow is not installed" in recorded.failure()
    assert "Install" in recorded.failure()
    assert "ModuleNotFoundError" in recorded.log()


def test_a_broken_tensorflow_is_told_from_a_missing_one(recorded, tmp_path, monkeypatch, pair):
    fake_tensorflow(tmp_path, monkeypatch, "raise ImportError('DLL load failed')")
    recorded.track(*pair, [FILM_LESION])
    assert "does not start" in recorded.failure()
    assert "DLL load failed" in recorded.log()


def test_all_that_a_library_prints_is_log(recorded, tmp_path, monkeypatch, pair):
    """More than a pipe holds, in two streams, in any script, with no end of the last line."""
    fake_tensorflow(
        tmp_path,
        monkeypatch,
        "import os, sys\n"
        "for i in range(20000):\n"
        '    print(\'{"event": "done"} Größe 乳\', i, flush=i % 500 == 0)\n'
        "    print('µm', i, file=sys.stderr)\n"
        "sys.stdout.flush()\n"
        "os.write(2, b'\\xff the end')\n"
        "os._exit(3)\n",
    )
    recorded.track(*pair, [FILM_LESION])
    assert "exit code 3" in recorded.failure()
    log = recorded.log()
    assert '{"event": "done"} Größe 乳 19999' in log
    assert "µm 19999" in log
    assert "\N{REPLACEMENT CHARACTER} the end" in log


CRASH = "import ctypes\nctypes.string_at(0)"


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_crash_is_explained_and_the_next_run_starts_anew(recorded, tmp_path, monkeypatch, pair):
    fake_tensorflow(tmp_path, monkeypatch, CRASH)
    recorded.track(*pair, [FILM_LESION])
    assert "crashed (SIGSEGV)" in recorded.failure()
    assert "track again" in recorded.failure()
    assert "Fatal Python error" in recorded.log()

    hang = "import os, threading\nos.write(2, b'hangs\\n')\nthreading.Event().wait()"
    (tmp_path / "fake" / "tensorflow.py").write_text(hang)
    recorded.events.clear()
    recorded.process.track(*pair, [FILM_LESION])
    with pytest.raises(MammoTrackerError, match="already"):
        recorded.process.track(*pair, [FILM_LESION])
    recorded.wait(lambda: "hangs" in recorded.log())
    os.kill(pid_of(recorded), signal.SIGKILL)
    recorded.wait(lambda: not recorded.process.running)
    assert "was killed (SIGKILL)" in recorded.failure()


LAUNCHER = """#!/bin/sh
# Runs Python as a child of its own and hides how it crashed, as PythonSlicer does.
"{python}" "$@"
status=$?
[ $status -gt 128 ] && echo "exit abnormally" >&2 && exit 1
exit $status
"""


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
def test_through_a_launcher(recorded, tmp_path, monkeypatch, pair):
    program = tmp_path / "bin" / "PythonSlicer"
    program.parent.mkdir()
    program.write_text(LAUNCHER.format(python=sys.executable))
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    fake_tensorflow(tmp_path, monkeypatch, CRASH)
    recorded.track(*pair, [FILM_LESION])
    assert "crashed" in recorded.failure()
    assert "exit abnormally" in recorded.log()

    hang = "import os, threading\nos.write(2, b'pid %d\\n' % os.getpid())\nthreading.Event().wait()"
    (tmp_path / "fake" / "tensorflow.py").write_text(hang)
    recorded.events.clear()
    recorded.process.track(*pair, [FILM_LESION])
    recorded.wait(lambda: "pid " in recorded.log())
    python = int(recorded.log().rpartition("pid ")[2])
    assert python != pid_of(recorded)
    assert is_alive(python)
    recorded.process.cancel()
    recorded.wait(lambda: not is_alive(python), 5)


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
def test_a_python_that_cannot_start_is_an_error(recorded, tmp_path, monkeypatch, pair):
    program = tmp_path / "PythonSlicer"
    program.write_bytes(b"\x7fELF no program")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(MammoTrackerError, match="could not be started"):
        recorded.process.track(*pair, [FILM_LESION])
    assert not recorded.process.running


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


def test_a_gpu_is_named_and_its_memory_not_taken_whole(monkeypatch):
    from MammoTrackerLib import worker

    grows = []
    experimental = types.SimpleNamespace(
        set_memory_growth=lambda gpu, grow: grows.append((gpu.name, grow)),
        get_device_details=lambda gpu: {"device_name": "Graphics Card 7"},
    )
    config = types.SimpleNamespace(
        list_physical_devices=lambda kind: [types.SimpleNamespace(name=f"/{kind}:0")],
        experimental=experimental,
    )
    tensorflow = types.SimpleNamespace(config=config, __version__="2.0")
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)
    monkeypatch.setattr(worker.LesionTracker, "load", lambda self: None)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    events = {}
    worker.Worker(lambda event, **values: events.update({event: values})).load()
    assert events["ready"]["device"] == "GPU: Graphics Card 7"
    assert grows == [("/GPU:0", True)]


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


def test_a_track_survives_json():
    candidates = (
        Candidate(Box(np.float32(0.1), 2, 3.7, 1e3), np.float32(0.3), 1 / 3),
        Candidate(Box(5, 6, 7, 8), 0.1),
    )
    for status in Status:
        track = Track(
            FILM_LESION, candidates[0].box, 0.1, status, "Why.", candidates, Box(1, 2, 3, 4)
        )
        assert Track.from_dict(json.loads(json.dumps(track.as_dict()))) == track


def test_a_mammogram_is_handed_over_without_its_patient(prior, tmp_path):
    path = tmp_path / "prior.npz"
    write_mammogram(prior, path)
    assert b"DEMO" not in path.read_bytes()
    again = take_mammogram(path)
    assert not path.exists()
    assert np.array_equal(again.pixels, prior.pixels)
    assert (again.spacing, again.laterality, again.view) == (prior.spacing, "L", "MLO")
    assert (again.patient_id, again.date) == (None, None)

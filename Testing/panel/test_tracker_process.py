"""The tracker's process as the panel sees it, with the real worker in a real process."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from importlib import metadata

import numpy as np
import pytest
from recorded import CRASH, SEVERAL_LOOKS, Recorded, fake_runtime, is_alive, pid_of

from MammoTrackerLib import Box, MammoTrackerError, Status
from MammoTrackerLib.command.simulate import FILM_LESION
from MammoTrackerLib.marked import MarkedLesion

OTHER = Box(900, 1500, 1100, 1700)


@pytest.fixture(scope="module")
def films(prior, follow_up):
    return prior, follow_up.mammogram


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bröst 乳")


@pytest.fixture(scope="module")
def real(shell, folder):
    """The process with the real networks, for all tests that need them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(folder))
        real = Recorded(shell)
        yield real
        real.process.stop()


@pytest.fixture(scope="module")
def first_run(real, films):
    """The events of the first run, with two lesions."""
    return list(real.track(*films, [FILM_LESION, OTHER]))


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
    assert info["runtime"] == f"LiteRT {metadata.version('ai-edge-litert')}"
    assert info["device"] == "CPU"
    assert info["weights"]


def test_the_registration_arrives_as_a_grid(first_run, films, follow_up):
    ((grid, warnings),) = [event[1:] for event in first_run if event[0] == "Aligned"]
    rows, columns = films[0].pixels.shape
    assert grid[0, 0, :2].tolist() == [0, 0]
    assert grid[-1, -1, :2].tolist() == [columns, rows]
    near = np.hypot(*(grid[..., :2] - FILM_LESION.center).T).T.argmin()
    node = grid.reshape(-1, 4)[near]
    off = (node[2:] - follow_up.map_points(node[None, :2])[0]) * films[1].spacing
    assert np.hypot(*off) < 10
    assert warnings == []


def test_a_second_run_uses_the_same_process(first_run, real, films):
    pid = pid_of(real)
    events = real.track(*films, [OTHER])
    assert pid_of(real) == pid
    assert real.names("Ready", "Aligned", "Track", "Done") == ["Aligned", "Track", "Done"]
    assert not any("Loading" in event[2] for event in events if event[0] == "Progress")
    assert real.of("Track") == [(0, [event[2] for event in first_run if event[0] == "Track"][1])]


def test_the_application_goes_on_meanwhile(first_run, real, films):
    from qt import QTimer

    clicks = []
    real.process.onAligned = lambda *_: QTimer.singleShot(0, lambda: clicks.append("click"))
    real.process.onTrack = lambda *_: clicks.append("track")
    try:
        real.track(*films, [FILM_LESION, OTHER])
    finally:
        real.process.onAligned, real.process.onTrack = map(real._recorder, ("Aligned", "Track"))
    assert clicks == ["click", "track", "track"]


def test_a_pair_that_cannot_be_right_is_refused_and_the_process_stays(first_run, real, films):
    prior, current = replace(films[0], laterality="L"), replace(films[1], laterality="R")
    pid = pid_of(real)
    real.track(prior, current, [FILM_LESION])
    assert "laterality" in real.failure()
    real.track(prior, current, [FILM_LESION], force=True)
    assert real.names("Track", "Done", "Failed") == ["Track", "Done"]
    real.track(*films, [FILM_LESION, Box(-300, 10, -200, 100)])
    assert "outside the prior" in real.failure()
    assert real.of("Track") == []
    assert pid_of(real) == pid


def test_lesions_are_followed_through_exams_that_are_read_one_by_one(
    first_run, real, films, follow_up, folder
):
    prior, current = films
    read = []

    def reader(image):
        return lambda: read.append(image) or image

    exams = [reader(image) for image in (prior, current, prior)]
    lesion = MarkedLesion(2, FILM_LESION, {0: FILM_LESION})
    events = real.follow(exams, [lesion])
    assert read == [prior, current, prior]
    names = [event[0] for event in events if event[0] not in ("Progress", "Log")]
    assert names == ["Registered", "History", "Done"]
    fractions = [event[1] for event in events if event[0] == "Progress"]
    assert fractions == sorted(fractions) and fractions[-1] <= 1
    ((index, history),) = real.of("History")
    assert (index, history.marked) == (0, 2)
    assert [result.by_user for result in history.results] == [True, False, True]
    assert history.results[1].track.box.iou(follow_up.boxes[0]) > 0.5
    ((source, target, grid, warnings),) = real.of("Registered")
    assert (source, target, warnings) == (2, 1, []) and grid.shape[2] == 4
    assert [path.name for path in folder.rglob("*.np*")] == []


def test_an_exam_that_cannot_be_read_ends_the_run_not_the_process(first_run, real, films, folder):
    def broken():
        raise MammoTrackerError("An exam was deleted.")

    pid = pid_of(real)
    real.follow([films[0], broken, films[1]], [MarkedLesion(0, FILM_LESION)])
    assert real.failure() == "An exam was deleted." and pid_of(real) == pid
    assert [path.name for path in folder.rglob("*.np*")] == []
    real.follow([films[0], films[1], films[1]], [MarkedLesion(0, OTHER)])
    assert real.names("History", "Done", "Failed") == ["History", "Done"]


def test_no_image_stays_on_the_disk_and_no_name_in_the_log(first_run, real, folder):
    assert [path.name for path in folder.rglob("*.np*")] == []
    assert "DEMO" not in real.log()
    if os.name == "posix":
        assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_cancel_in_the_middle_of_a_run_of_a_new_process(first_run, real, films, folder):
    """The process has died unseen between two runs; the next one is another, and cancelled."""
    dead = pid_of(real)
    real.events.clear()
    os.kill(dead, signal.SIGKILL)
    real.shell.process(SEVERAL_LOOKS)
    assert real.events == []

    real.process.track(*films, [FILM_LESION])
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


def test_without_its_runtime_it_says_where_to_install_it(recorded, monkeypatch, films):
    monkeypatch.setenv("MAMMOTRACKER_RUNTIME", "tensorflow")
    recorded.track(*films, [FILM_LESION])
    assert "tensorflow is not installed" in recorded.failure()
    assert "Install" in recorded.failure()


def test_a_broken_runtime_is_told_from_a_missing_one(recorded, tmp_path, monkeypatch, films):
    fake_runtime(tmp_path, monkeypatch, "raise ImportError('DLL load failed')")
    recorded.track(*films, [FILM_LESION])
    assert "do not start (ai-edge-litert)" in recorded.failure()
    assert "DLL load failed" in recorded.log()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_crash_is_explained_and_the_next_run_starts_anew(recorded, tmp_path, monkeypatch, films):
    library = fake_runtime(tmp_path, monkeypatch, CRASH)
    recorded.track(*films, [FILM_LESION])
    assert "crashed (SIGSEGV)" in recorded.failure()
    assert "track again" in recorded.failure()
    assert "Fatal Python error" in recorded.log()

    hang = "import os, threading\nos.write(2, b'hangs\\n')\nthreading.Event().wait()"
    library.write_text(hang)
    recorded.events.clear()
    recorded.process.track(*films, [FILM_LESION])
    with pytest.raises(MammoTrackerError, match="already"):
        recorded.process.track(*films, [FILM_LESION])
    recorded.wait(lambda: "hangs" in recorded.log())
    os.kill(pid_of(recorded), signal.SIGKILL)
    recorded.wait(lambda: not recorded.process.running)
    assert "was killed (SIGKILL)" in recorded.failure()

"""Temporary folders: gone after use, and what a killed process left is cleared by the next."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from MammoTrackerLib import temporary
from MammoTrackerLib.temporary import (
    lock,
    private_temporary_files,
    temporary_folder,
    tidy_end,
)

ROOT = Path(__file__).parents[1]
HOLD = """
import sys, tempfile, time
from pathlib import Path
from MammoTrackerLib.temporary import private_temporary_files, temporary_folder, tidy_end
with tidy_end(), temporary_folder(Path(sys.argv[1]), ".mine-") as folder, private_temporary_files():
    (folder / "image").write_text("pixels")
    tempfile.mkdtemp()
    print("ready", flush=True)
    time.sleep(60)
"""


def hold(home: Path) -> subprocess.Popen:
    """Start a process that holds a temporary folder in `home`, and temporary files there."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(home), "TEMP": str(home), "TMP": str(home)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline().strip() == b"ready"
    return process


def names(home: Path) -> set[str]:
    return {entry.name for entry in home.iterdir()}


def test_a_folder_goes_with_the_block_also_after_an_error(tmp_path):
    with pytest.raises(ValueError), temporary_folder(tmp_path, ".mine-") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_text("")
        raise ValueError
    assert names(tmp_path) == set()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_sigterm_leaves_nothing_and_says_so_in_the_status(tmp_path):
    for number in (signal.SIGTERM, signal.SIGHUP):
        process = hold(tmp_path)
        process.send_signal(number)
        assert process.wait(20) == 128 + number
        assert names(tmp_path) == set()


def test_what_a_killed_process_left_is_cleared_but_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    users = tmp_path / ".mine-notes"
    users.mkdir()
    (users / "note").write_text("mine")
    (tmp_path / ".mine-file").write_text("mine")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mammotracker.lock").write_text("")
    (tmp_path / ".mine-link").symlink_to(outside)
    kept = names(tmp_path)

    dead, alive = hold(tmp_path), hold(tmp_path)
    before = names(tmp_path)
    assert len(before) == len(kept) + 4
    dead.kill()
    dead.wait()
    with temporary_folder(tmp_path, ".mine-"), private_temporary_files():
        pass
    assert len(names(tmp_path)) == len(kept) + 2, "those of the living process stay"
    alive.kill()
    alive.wait()
    with temporary_folder(tmp_path, ".mine-"), private_temporary_files():
        pass
    assert names(tmp_path) == kept
    assert names(outside) == {"mammotracker.lock"}


def test_without_locks_only_old_folders_are_cleared(tmp_path, monkeypatch):
    monkeypatch.setattr(temporary, "lock", lambda file: None)
    for name in (".mine-new", ".mine-old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mammotracker.lock").write_text("")
    then = time.time() - 2 * 24 * 3600
    os.utime(tmp_path / ".mine-old", (then, then))
    with temporary_folder(tmp_path, ".mine-"):
        pass
    assert names(tmp_path) == {".mine-new"}


def test_what_was_left_in_the_middle_of_making_or_removing_is_cleared(tmp_path):
    for name in (".mine-new", ".mine-empty", ".mine-users"):
        (tmp_path / name).mkdir()
    (tmp_path / ".mine-users" / "note").write_text("mine")
    then = time.time() - 100
    for name in (".mine-empty", ".mine-users"):
        os.utime(tmp_path / name, (then, then))
    with temporary_folder(tmp_path, ".mine-") as folder:
        (folder / "a").write_text("")
        (folder / "b").mkdir()
        (folder / "c").symlink_to(tmp_path / ".mine-users")
    assert names(tmp_path) == {".mine-new", ".mine-users"}
    assert names(tmp_path / ".mine-users") == {"note"}


def test_a_removal_that_is_interrupted_has_left_the_lock(tmp_path, monkeypatch):
    def interrupted(folder: Path, ignore_errors: bool) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt), temporary_folder(tmp_path, ".mine-") as folder:
        (folder / "image").write_text("pixels")
    assert names(folder) == {"mammotracker.lock"}


def test_a_file_is_locked_once(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with path.open("r+b") as one, path.open("r+b") as other:
        assert lock(one) is True
        assert lock(other) is False
    with path.open("r+b") as again:
        assert lock(again) is True


def test_temporary_files_are_private_and_go(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with private_temporary_files():
        left = Path(tempfile.mkdtemp())
        assert left.parent.parent == tmp_path
    assert names(tmp_path) == set()
    assert tempfile.tempdir == str(tmp_path)


def test_no_place_for_temporary_files_is_no_reason_to_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with private_temporary_files():
        assert tempfile.tempdir == str(tmp_path / "missing")


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_who_ignores_a_signal_keeps_ignoring_it():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with tidy_end():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)

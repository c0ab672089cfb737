"""Headers are read by processes: what ends or hangs one is said, and no other file is lost."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from command_line import COMMAND, cells, read_table
from made_up_archive import Archive

from MammoTrackerLib import MammoTrackerError
from MammoTrackerLib.command.archive import files as archive_file
from MammoTrackerLib.command.archive.files import File, read_files, walk
from MammoTrackerLib.command.child import Child
from MammoTrackerLib.command.cli import main

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")

_CODE = """
import os, time
from pathlib import Path
from MammoTrackerLib.reading import archive
real = archive.first_bytes

def first_bytes(path):
    if path.name == "ends":
        os.abort()
    if path.name == "hangs":
        time.sleep(1000)
    if path.name == "ends once" and not path.with_name("ended").exists():
        path.with_name("ended").touch()
        os.abort()
    if path.name == "slow":
        time.sleep(0.3)
    return real(path)

archive.first_bytes = first_bytes
from MammoTrackerLib.command.archive import files as command
command.LONGEST_FILE_S = 3.0
"""


def start(folder: Path, code: str, *more: str) -> subprocess.Popen:
    (folder / "sitecustomize.py").write_text(code)
    root = str(Path(__file__).parents[3])
    argv = ["manifest", str(folder / "archive"), "--out", str(folder / "out.csv"), *more]
    return subprocess.Popen(
        [*COMMAND, *argv],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), root])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_files_are_walked_by_name_and_links_to_folders_are_not_followed(tmp_path):
    for name in ("b/2", "b/10", "a", "c/d/e"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x" * len(name))
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    (tmp_path / "linked").symlink_to(tmp_path / "a")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    left_out = Counter()
    files = list(walk(tmp_path, left_out))
    assert [(file.path, file.size) for file in files] == [
        ("a", 1), ("linked", 1), ("b/10", 4), ("b/2", 3), ("c/d/e", 5)
    ]  # fmt: skip
    assert left_out == {"link to a folder": 1, "no regular file": 1}
    with pytest.raises(MammoTrackerError, match="Cannot open"):
        list(walk(tmp_path / "nowhere", left_out))


def test_a_file_that_ends_or_hangs_its_reader_is_said_and_the_rest_go_on(tmp_path):
    archive = Archive(tmp_path / "archive")
    archive.exams(1, *range(2000, 2004))
    for name in ("1/ends", "2/hangs", "3/ends once"):
        archive.image(name, 2, 2000 + int(name[0]))
    process = start(tmp_path, _CODE, "--workers", "2")
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert "Traceback" not in error and "Fatal" not in error
    assert {(row[0], row[1]) for row in cells(out)} >= {
        ("1", "ends the process that reads it"),
        ("1", "takes over 60 s to read"),
    }
    assert len(read_table(tmp_path / "out.csv")) == 3


def test_a_walk_that_is_killed_goes_on_and_ends_as_if_it_had_not_been(tmp_path):
    archive = Archive(tmp_path / "archive")
    for patient in range(5):
        archive.exams(patient, 2010, 2012)
        archive.image(f"{patient}/slow", patient, 2014)
    for wait_s, number in ((1.2, signal.SIGKILL), (2.4, signal.SIGTERM), (1.8, signal.SIGKILL)):
        more = ["--resume"] if (tmp_path / "out.csv.journal").exists() else []
        process = start(tmp_path, _CODE, "--workers", "1", *more)
        time.sleep(wait_s)
        process.send_signal(number)
        process.communicate(timeout=60)
    if not (tmp_path / "out.csv").exists():
        process = start(tmp_path, "", "--workers", "1", "--resume")
        assert process.wait(60) == 0
    argv = ["manifest", str(tmp_path / "archive"), "--out", str(tmp_path / "undisturbed.csv")]
    assert main(argv) == 0
    assert (tmp_path / "out.csv").read_text() == (tmp_path / "undisturbed.csv").read_text()


def test_two_runs_do_not_write_one_manifest(tmp_path, capsys):
    archive = Archive(tmp_path / "archive")
    archive.exams(1, 2010, 2012)
    for number in range(20):
        archive.image(f"{number}/slow", 1, 1990)
    process = start(tmp_path, _CODE, "--workers", "1")
    while not (tmp_path / "out.csv.journal").exists():
        time.sleep(0.05)
    time.sleep(0.5)
    argv = ["manifest", str(tmp_path / "archive"), "--out", str(tmp_path / "out.csv"), "--resume"]
    assert main(argv) == 2
    assert "Another run is writing" in capsys.readouterr().err
    assert process.wait(60) == 0


def test_a_reader_that_cannot_start_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_file, "_serve", print)
    with pytest.raises(MammoTrackerError, match="could not be started"):
        list(read_files(tmp_path, iter([File("a", 1, 1)]), b"key", False, 1))


def end_when_asked(connection, *_arguments):
    connection.send(True)
    connection.recv()


def test_a_reader_that_cannot_start_again_is_said(tmp_path, monkeypatch):
    started = []

    def once(_serve, *arguments):
        if started:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        started.append(Child(end_when_asked, *arguments))
        return started[0]

    monkeypatch.setattr(archive_file, "Child", once)
    with pytest.raises(MammoTrackerError, match="could not be started"):
        list(read_files(tmp_path, iter([File("a", 1, 1)]), b"key", False, 1))
    assert not started[0].process.is_alive()

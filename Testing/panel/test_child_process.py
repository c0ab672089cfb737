"""A program beside the application, as the tracker's process runs it: output, launcher, failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from recorded import CRASH, fake_runtime, is_alive, pid_of

from MammoTrackerLib import Box, Mammogram, MammoTrackerError

ROOT = Path(__file__).parents[2]
FILM, BOX = Mammogram(np.eye(8), 0.1, "L", "MLO"), Box(1, 1, 3, 3)
LAUNCHER = """#!/bin/sh
# Runs Python as a child of its own and hides how it crashed, as PythonSlicer does.
"{python}" "$@"
status=$?
[ $status -gt 128 ] && echo "exit abnormally" >&2 && exit 1
exit $status
"""


def test_all_that_a_library_prints_is_log(recorded, tmp_path, monkeypatch):
    """More than a pipe holds, in two streams, in any script, with no end of the last line."""
    fake_runtime(
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
    recorded.track(FILM, FILM, [BOX])
    assert "exit code 3" in recorded.failure()
    log = recorded.log()
    assert '{"event": "done"} Größe 乳 19999' in log
    assert "µm 19999" in log
    assert "\N{REPLACEMENT CHARACTER} the end" in log


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
def test_through_a_launcher(recorded, tmp_path, monkeypatch):
    program = tmp_path / "bin" / "PythonSlicer"
    program.parent.mkdir()
    program.write_text(LAUNCHER.format(python=sys.executable))
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    library = fake_runtime(tmp_path, monkeypatch, CRASH)
    recorded.track(FILM, FILM, [BOX])
    assert "crashed" in recorded.failure()
    assert "exit abnormally" in recorded.log()

    hang = "import os, threading\nos.write(2, b'pid %d\\n' % os.getpid())\nthreading.Event().wait()"
    library.write_text(hang)
    recorded.events.clear()
    recorded.process.track(FILM, FILM, [BOX])
    recorded.wait(lambda: "pid " in recorded.log())
    python = int(recorded.log().rpartition("pid ")[2])
    assert python != pid_of(recorded)
    assert is_alive(python)
    recorded.process.cancel()
    recorded.wait(lambda: not is_alive(python), 5)


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
def test_a_python_that_cannot_start_is_an_error(recorded, tmp_path, monkeypatch):
    program = tmp_path / "PythonSlicer"
    program.write_bytes(b"\x7fELF no program")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(MammoTrackerError, match="could not be started"):
        recorded.process.track(FILM, FILM, [BOX])
    assert not recorded.process.running


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_what_a_killed_application_left_goes_with_the_next_process(shell, tmp_path, monkeypatch):
    from MammoTrackerPanel.child_process import ChildProcess

    program = (
        "import sys, time; from pathlib import Path\n"
        "from MammoTrackerLib.temporary import temporary_folder\n"
        "with temporary_folder(Path(sys.argv[1]), 'MammoTracker-') as folder:\n"
        "    (folder / 'prior.npz').touch(); print(flush=True); time.sleep(60)"
    )
    killed = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    )
    killed.stdout.readline()
    killed.kill()
    killed.wait()
    (left,) = tmp_path.iterdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    child = ChildProcess(["-c", "input()"], ROOT)
    assert [*tmp_path.iterdir()] == [child.folder] != [left]
    child.kill()
    assert [*tmp_path.iterdir()] == []

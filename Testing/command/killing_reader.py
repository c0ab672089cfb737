"""A reader that dies, in every process that is started with the environment that this gives."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
_CODE = """
import ctypes, os, signal, time
from pathlib import Path
from MammoTrackerLib.mammogram import Mammogram

real = Mammogram.read.__func__

def read(cls, path, spacing=None):
    name = Path(path).name
    if name.startswith("crash"):
        ctypes.string_at(0)
    if name.startswith("abort"):
        os.abort()
    if name.startswith("hang"):
        time.sleep(1000)
    was_read = Path(__file__).with_name("was-read")
    if name.startswith("kill") or name.startswith("once") and not was_read.exists():
        was_read.touch()
        os.kill(os.getppid() if name.endswith("-batch.png") else os.getpid(), signal.SIGKILL)
        time.sleep(1000)
    return real(cls, path, spacing)

Mammogram.read = classmethod(read)
from MammoTrackerLib.command.batch import rows
rows.LONGEST_ROW_S = 3.0 if os.environ.get("HURRY") else rows.LONGEST_ROW_S
"""


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Make the environment of processes in which reading a file named crash*, ... ends badly."""
    (folder / "sitecustomize.py").write_text(_CODE)
    own = {
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "PYTHONDONTWRITEBYTECODE": "1",  # beside the files of the test
    }
    return {**os.environ, **own, **more}

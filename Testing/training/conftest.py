"""What the tests of training share."""

from __future__ import annotations

from pathlib import Path

import pytest


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


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch):
    """Train on two made-up breasts, without compiling, and release without converting."""
    import keras
    import numpy as np
    import tensorflow as tf

    from Training import release, train_tracking
    from Training.sources import generated_source

    sources = [generated_source(seed) for seed in (1, 2)]
    monkeypatch.setattr(
        train_tracking, "training_sources", lambda *_: (sources, np.array([0.5, 0.5]))
    )
    monkeypatch.setattr(release, "convert", lambda *_: None)
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def moved_pair():
    """A made-up breast, the same moved by `tiny_training.SHIFT`, and their alignment."""
    from tiny_training import SHIFT, as_mammogram

    from MammoTrackerLib.global_search import align

    prior, current = as_mammogram(), as_mammogram(SHIFT)
    return prior, current, align(prior, current)

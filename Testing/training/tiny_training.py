"""A training as small as can be: its options, and the breast of a pair to try it on."""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from MammoTrackerLib import Box, Mammogram
from MammoTrackerLib.networks.card import TRACKING_FILE, WEIGHTS
from Training import program, train_tracking
from Training.sources import SPACING_MM, generated_source

TINY = [
    "--template-mm=24", "--template-px=64", "--search-mm=36", "--search-px=96",
    "--correlation-px=3", "--zooms=1", "--no-mirror", "--max-candidates=3", "--max-lesion-mm=24",
    "--batch=1", "--templates=2", "--epochs=1", "--steps-per-epoch=1",
    f"--start={WEIGHTS / TRACKING_FILE}",
]  # fmt: skip
KERAS_WARNINGS = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning",
    "ignore:.*fork:DeprecationWarning",
    "ignore:Even though the .tf.config.experimental_run_functions_eagerly:UserWarning",
)
LESION, SHIFT = Box(110, 280, 170, 330), (0, 24)


def parsed(*argv: str) -> argparse.Namespace:
    return program.parse(train_tracking.options(), ["--run", "unused", *argv])


def as_mammogram(shift: tuple[int, int] = (0, 0)) -> Mammogram:
    """Return a made-up breast, moved by whole pixels to the right and down."""
    source = generated_source(3)
    rows, columns = source.pixels.shape
    image = np.zeros((rows + 60, columns + 30), np.uint16)
    x, y = shift
    image[20 + y : 20 + y + rows, x : x + columns] = 20000 * (source.pixels + 0.4) * source.breast
    return Mammogram(image, SPACING_MM)


def values(network) -> list[np.ndarray]:
    return [v.numpy() for v in network.trainable_variables]

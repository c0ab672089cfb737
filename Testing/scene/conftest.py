"""What the tests of the scene share: a scene, and a pair in it."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from mrml import AS_READ, COLUMNS, LAYOUTS, PARENTS, ROTATION, ROWS, add_linear, add_volume

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")
vtk = pytest.importorskip("vtk")


@pytest.fixture(scope="session")
def the_scene():
    if "real_slicer" in sys.modules:
        yield slicer.mrmlScene
        return
    app = pytest.importorskip("trame_slicer.core").SlicerApp()
    yield app.scene


@pytest.fixture
def scene(the_scene):
    yield the_scene
    the_scene.Clear(False)


@pytest.fixture(params=LAYOUTS)
def layout(request) -> dict:
    return LAYOUTS[request.param]


@pytest.fixture(params=PARENTS)
def parent(request, scene):
    matrix = PARENTS[request.param]
    if matrix is None:
        return None
    return add_linear(scene, matrix, parent=add_linear(scene, ROTATION.T, shift=(1, 2, 3)))


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).integers(100, 4000, (ROWS, COLUMNS)).astype(np.uint16)


@pytest.fixture
def pair(scene):
    prior = add_volume(scene, name="prior")
    current = add_volume(
        scene, name="current", spacing=(0.25, 0.25, 1), directions=np.diag([1, -1, -1]),
        parent=add_linear(scene, ROTATION),
    )  # fmt: skip
    return prior, current


@pytest.fixture(params=["as read", "moved"])
def large_pair(request, scene):
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 99, shape).astype(np.uint8) for shape in ((240, 160), (280, 190))]
    moved = request.param == "moved"
    prior = add_volume(
        scene, images[0], spacing=(0.4, 0.5, 1), name="prior",
        directions=ROTATION @ np.diag([1, -1, 1]) if moved else AS_READ,
        parent=add_linear(scene, 1.2 * ROTATION) if moved else None,
    )  # fmt: skip
    current = add_volume(
        scene, images[1], spacing=(0.35, 0.45, 1), name="current",
        directions=np.diag([1, -1, -1]) if moved else AS_READ,
        parent=add_linear(scene, np.diag([-1.0, 1, 1]), parent=add_linear(scene, ROTATION.T))
        if moved else None,
    )  # fmt: skip
    return prior, current

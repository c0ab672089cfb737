"""Weights are released with their settings, their checksums, and the files for LiteRT."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_training import TINY, parsed

from MammoTrackerLib import LesionTracker
from MammoTrackerLib.networks.card import CONVERTED, SIMILARITY_FILE, TRACKING_FILE, read_card
from MammoTrackerLib.networks.similarity import SimilarityNetwork
from MammoTrackerLib.networks.tracking import TrackingNetwork
from Training import program, release


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Weights of two runs with settings of their own, never trained."""
    tmp_path, files = tmp_path_factory.mktemp("runs"), []
    for name, options in (("a", []), ("b", ["--refinement-px=64", "--nms-iou=0.5"])):
        arguments = parsed("--run", str(tmp_path / name), *TINY, *options)
        program.write_card(arguments)
        tracking = TrackingNetwork(arguments.template_px, arguments.correlation_px)
        network, file = (
            (tracking, TRACKING_FILE) if name == "a" else (SimilarityNetwork(64), SIMILARITY_FILE)
        )
        network.save_weights(tmp_path / name / file)
        files.append(str(tmp_path / name / file))
    return files


@pytest.fixture(scope="module")
def released(runs: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("released")
    release.main([*runs, "--version=test", "--out", str(out)])
    return out


def test_released_weights_track_with_either_runtime(released: Path):
    card = read_card(released)
    assert set(card["sha256"]) == {*CONVERTED, *CONVERTED.values()}
    assert card["made_from"] == {new: card["sha256"][old] for old, new in CONVERTED.items()}
    for runtime, name in (("litert", "LiteRT"), ("tensorflow", "TensorFlow")):
        assert LesionTracker(weights=released, runtime=runtime).load().name == name


def test_refinement_settings_come_from_the_similarity_networks_run(released: Path):
    settings = LesionTracker(weights=released).settings
    assert (settings.refinement_px, settings.nms_iou) == (64, 0.7)


def test_tracking_weights_may_be_released_alone(runs: list[str], tmp_path: Path):
    release.main([runs[0], "--version=test", "--out", str(tmp_path / "out")])
    assert not LesionTracker(weights=tmp_path / "out").load().has_similarity


def test_weights_that_do_not_fit_are_refused(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
):
    (tmp_path / TRACKING_FILE).write_bytes(b"any")
    files = [str(tmp_path / TRACKING_FILE), "--version=test", "--out", str(tmp_path / "out")]
    assert release.main(files) == 2
    assert "does not fit" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_weights_that_are_not_there_are_said_before_anything_is_written(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
):
    files = [runs[0], str(tmp_path / "none.h5"), "--version=test", "--out", str(tmp_path / "out")]
    assert release.main(files) == 2
    assert "There is no file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

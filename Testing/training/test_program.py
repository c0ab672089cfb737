"""Options come from the command line and configurations, and workers bring what is asked for."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from pathlib import Path

import pytest
from tiny_training import KERAS_WARNINGS, parsed

from MammoTrackerLib import LesionTracker, MammoTrackerError
from MammoTrackerLib.settings import PAPER, TEMPLATE_INPUTS, Settings
from Training import program, train_similarity, train_tracking

pytestmark = KERAS_WARNINGS
CONFIGS = Path(program.__file__).parent / "configs"


def test_workers_change_nothing():
    results = [list(program.start_workers(lambda k: k * k, range(3, 14), n)) for n in (1, 3)]
    assert results[0] == results[1] == [k * k for k in range(3, 14)]


def test_workers_ask_what_only_the_program_knows():
    """Each waits for its own answers, and their order does not depend on who asks first."""

    def make(step, ask):
        return step, ask(step) + ask(10 * step)

    for workers in (1, 3):
        results = program.start_workers(make, range(7), workers, answer=lambda number: -number)
        assert list(results) == [(step, -11 * step) for step in range(7)]


def fail_at_five(step: int) -> int:
    if step == 5:
        raise MammoTrackerError("This one is damaged.")
    return step


def test_a_workers_error_is_raised():
    results = program.start_workers(fail_at_five, range(9), 2)
    assert [next(results) for _ in range(5)] == list(range(5))
    with pytest.raises(MammoTrackerError, match="damaged"):
        next(results)


def test_a_worker_that_was_killed_is_told():
    results = program.start_workers(lambda step: os.kill(os.getpid(), signal.SIGKILL), range(2), 1)
    with pytest.raises(MammoTrackerError, match="killed"):
        next(results)


def test_a_worker_that_was_killed_while_another_was_waited_for_is_told():
    def die_second(step: int) -> int:
        if step == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.3)
        return step

    results = program.start_workers(die_second, range(4), 2)
    assert next(results) == 0
    with pytest.raises(MammoTrackerError, match="killed"):
        list(results)


def test_the_defaults_are_the_papers():
    arguments = parsed()
    assert program.settings_of(arguments) == PAPER
    assert (arguments.rate, arguments.epochs, arguments.batch) == (5e-5, 50, 16)
    assert arguments.backbone_rate is arguments.freeze_after is None
    assert arguments.average == arguments.clip == arguments.weight_decay == 0
    assert (arguments.warmup_steps, arguments.final_rate, arguments.place_weight) == (0, 1, 0)


def test_the_shipped_configuration_is_that_of_the_weights():
    arguments = parsed(f"--config={CONFIGS / 'shipped.json'}")
    assert program.settings_of(arguments) == Settings() == LesionTracker().settings
    assert arguments.epochs * arguments.steps_per_epoch == 2400
    config = f"--config={CONFIGS / 'shipped-similarity.json'}"
    arguments = train_similarity.options()
    arguments = program.parse(arguments, ["--run=x", "--tracking=y", config])
    # From a lower score than at run time, so that easy lesions have wrong candidates too.
    expected = dataclasses.replace(Settings(), min_tracking_score=0.01)
    assert program.settings_of(arguments) == expected
    assert arguments.epochs * arguments.steps_per_epoch == 600


@pytest.mark.parametrize("template_input", TEMPLATE_INPUTS)
@pytest.mark.parametrize("centreness", [True, False])
def test_rows_of_table_3_are_one_configuration_and_two_options(template_input, centreness):
    options = [f"--template-input={template_input}", *["--no-centreness"] * (not centreness)]
    settings = program.settings_of(parsed(f"--config={CONFIGS / 'table3.json'}", *options))
    assert (settings.template_input, settings.centreness) == (template_input, centreness)
    assert (settings.template_px, settings.search_px) == (160, 304)


def test_the_command_line_wins_over_the_configuration(tmp_path: Path):
    path = tmp_path / "own.json"
    path.write_text('{"rate": 0.25, "centreness": false, "zooms": [0.5, 2], "batch": 3}')
    arguments = parsed("--rate=0.5", f"--config={path}")
    assert arguments.rate == 0.5
    assert (arguments.centreness, arguments.zooms, arguments.batch) == (False, (0.5, 2.0), 3)


@pytest.mark.parametrize("text", ['{"no such option": 1}', '{"batch": "many"}', "[]", "{", None,
                                  '{"template-input": "whole"}'])  # fmt: skip
def test_a_wrong_configuration_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture, text):
    path = tmp_path / "own.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit):
        parsed(f"--config={path}")
    assert "error" in capsys.readouterr().err


def test_a_run_of_other_settings_is_refused(tmp_path: Path):
    arguments = parsed("--run", str(tmp_path))
    program.write_card(arguments)
    program.write_card(arguments)
    with pytest.raises(MammoTrackerError, match="other settings"):
        program.write_card(parsed("--run", str(tmp_path), "--template-px=256"))
    assert program.read_settings(tmp_path)["template_px"] == 512


def test_weights_to_begin_with_are_named_once(capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit):
        parsed("--run=run", "--start=one.weights.h5", "--backbone=other.weights.h5")
    assert "not allowed with argument" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--workers=0", "--workers must be 1 or more"),
        ("--batch=0", "--batch must be"),
        ("--steps-per-epoch=0", "--steps-per-epoch must be"),
        ("--checkpoint-steps=-1", "--checkpoint-steps must be"),
        ("--gone=1.5", "--gone is a share"),
        ("--vanished=-0.1", "--vanished is a share"),
        ("--growth=0.6", "--growth is a deviation: give a number from 0 to 0.5"),
        ("--start=none.weights.h5", "no file none.weights.h5"),
        ("--backbone=none.weights.h5", "no file none.weights.h5"),
        ("--msynth=none", "none has no image P<model>"),
        ("--cesm=none", "none has no image CLASS_SIDE"),
    ],
)
def test_options_that_cannot_be_are_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, message: str
):
    monkeypatch.setattr(train_tracking, "read_films", lambda to_mm: [])
    with pytest.raises(SystemExit, match=message):
        train_tracking.main(["--run", str(tmp_path / "run"), option])
    assert not (tmp_path / "run").exists()


def test_weights_of_other_sizes_are_refused(tmp_path: Path):
    import keras

    from Training.loop import load_weights

    def network(units: int) -> keras.Model:
        return keras.Sequential([keras.Input((2,)), keras.layers.Dense(units)])

    network(3).save_weights(tmp_path / "a.weights.h5")
    load_weights(network(3), tmp_path / "a.weights.h5")
    with pytest.raises(MammoTrackerError, match="same settings"):
        load_weights(network(4), tmp_path / "a.weights.h5")
    (tmp_path / "b.weights.h5").write_text("no weights")
    with pytest.raises(MammoTrackerError, match="same settings"):
        load_weights(network(3), tmp_path / "b.weights.h5")

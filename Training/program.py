"""What both training programs share before Keras is loaded: options, settings and workers."""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np

from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.settings import PAPER, TEMPLATE_INPUTS, Settings

from .difficulty import HARD

CHECKPOINT = "checkpoint.npy"
"""The number of steps, then all weights and the optimizer's state, float32."""
MOST_GROWTH = 0.5
RUN_CARD = "run.json"
EPOCH_PAIRS = 13752
"""Training pairs of the paper's table 1: as long is an epoch of synthetic pairs."""


def add_arguments(parser: argparse.ArgumentParser, epochs: int, batch: int) -> None:
    """Add the options that both training programs have; the defaults are the paper's."""
    add = parser.add_argument
    add("--config", type=Path, metavar="FILE.json", help="options by name; those given here win")
    add("--run", type=Path, required=True, help="folder of the weights, the checkpoint and the log")
    add("--seed", type=int, default=0)
    add("--workers", type=int, default=2, help="processes that make pairs; changes no result")

    data = parser.add_argument_group("data").add_argument
    data("--pairs", type=Path, metavar="MANIFEST.csv", help="real pairs with their true boxes, "
         "as `mammotracker batch` reads them; else synthetic pairs are made")  # fmt: skip
    data("--cache", type=Path, metavar="DIR", help="where reduced images and alignments of --pairs "
         "are kept; else in the run's folder")  # fmt: skip
    data("--msynth", type=Path, metavar="DIR", help="M-SYNTH images for synthetic pairs")
    data("--cesm", type=Path, metavar="DIR", help="low-energy images of the CDD-CESM for synthetic "
         "pairs")  # fmt: skip
    data("--batch", type=int, default=batch, help="search patches per step")
    data("--templates", type=int, default=1, help="lesions per synthetic search patch")
    data("--vanished", type=float, metavar="SHARE", help="of the lesions pasted into synthetic "
         "pairs, those that are gone on the current; else as `difficulty.HARD` has it")  # fmt: skip
    data("--gone", type=float, default=0.0, metavar="SHARE", help="of all that is pasted into "
         "synthetic pairs, single calcifications and faint lesions too, what is gone on the "
         "current; instead of --vanished")  # fmt: skip
    data("--growth", type=float, default=HARD.growth, metavar="DEVIATION", help="of the logarithm "
         "of the growth of lesions that are pasted into synthetic pairs and stay")  # fmt: skip
    data("--rolled", type=float, default=0.0, metavar="SHARE", help="of the synthetic search "
         "patches, those whose tissue lies in layers that slide")  # fmt: skip
    data("--epochs", type=int, default=epochs)
    data("--steps-per-epoch", type=int, help="else once through --pairs; of synthetic pairs as "
         "many as the paper trained on")  # fmt: skip

    fit = parser.add_argument_group("optimisation").add_argument
    fit("--rate", type=float, default=5e-5, help="learning rate of Adam")
    fit("--backbone-rate", type=float, help="of the backbone; else as --rate")
    fit("--warmup-steps", type=int, default=0, help="over which the rates rise from 5 percent")
    fit("--final-rate", type=float, default=1.0, help="share of the rates a cosine ends at")
    fit("--weight-decay", type=float, default=0.0, help="decoupled, as in AdamW")
    fit("--clip", type=float, default=0.0, help="norm to which each gradient is clipped; 0: not")
    fit("--average", type=float, default=0.0, help="momentum of the moving average of the weights "
        "that is saved; 0: the weights themselves")  # fmt: skip
    fit(
        "--freeze-after",
        type=int,
        metavar="STEPS",
        help="then the backbone's first blocks, where most of the time goes, are left alone",
    )
    fit("--precision", default="float32", choices=("float32", "mixed_float16", "mixed_bfloat16"))
    fit("--data-parallel", action=argparse.BooleanOptionalAction, default=False,
        help="share each batch among all GPUs (KERAS_BACKEND=jax only)")  # fmt: skip
    fit("--checkpoint-steps", type=int, default=1, help="how often all that is needed to go on "
        "is written, besides when the program is told to stop")  # fmt: skip

    tracker = parser.add_argument_group(
        "tracker", "Written beside the weights: what LesionTracker runs them with. See "
        "MammoTrackerLib/settings.py.",
    ).add_argument  # fmt: skip
    for field in dataclasses.fields(Settings):
        name, value = "--" + field.name.replace("_", "-"), getattr(PAPER, field.name)
        if isinstance(value, bool):
            tracker(name, action=argparse.BooleanOptionalAction, default=value)
        elif isinstance(value, tuple):
            tracker(name, type=_numbers, default=value, metavar="A,B,...")
        elif field.name == "template_input":
            tracker(name, choices=TEMPLATE_INPUTS, default=value)
        else:
            tracker(name, type=type(value), default=value)


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(number) for number in text.split(","))


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line, and the options of ``--config`` as if they stood before it."""
    argv = list(sys.argv[1:] if argv is None else argv)
    config = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    config.add_argument("--config", type=Path)
    path = config.parse_known_args(argv)[0].config
    if path is not None:
        try:
            options = json.loads(path.read_text())
            argv = [_as_option(*item) for item in options.items()] + argv
        except (OSError, ValueError, AttributeError) as error:
            parser.error(f"cannot read {path}: {error}")
    return parser.parse_args(argv)


def _as_option(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    if isinstance(value, list):
        value = ",".join(map(str, value))
    return f"--{name}={value}"


def check_arguments(arguments: argparse.Namespace) -> None:
    """Refuse numbers and files that cannot be, before anything is read or made.

    Raises
    ------
    MammoTrackerError
        If so.
    """
    for name in ("workers", "batch", "templates", "epochs", "steps_per_epoch", "checkpoint_steps",
                 "repeats"):  # fmt: skip
        number = getattr(arguments, name, None)
        if number is not None and number < 1:
            raise MammoTrackerError(f"--{name.replace('_', '-')} must be 1 or more.")
    for name in ("vanished", "gone", "rolled"):
        if not 0 <= (getattr(arguments, name) or 0) <= 1:
            raise MammoTrackerError(f"--{name} is a share: give a number from 0 to 1.")
    if not 0 <= arguments.growth <= MOST_GROWTH:
        raise MammoTrackerError(
            f"--growth is a deviation: give a number from 0 to {MOST_GROWTH:g}."
        )
    for name in ("tracking", "start", "backbone"):
        file = getattr(arguments, name, None)
        if file is not None and not file.is_file():
            raise MammoTrackerError(
                f"There is no file {file}: give weights that a run saved as --{name}."
            )


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Return the tracker's settings that the options name."""
    names = (field.name for field in dataclasses.fields(Settings))
    return Settings(**{name: getattr(arguments, name) for name in names})


def write_card(arguments: argparse.Namespace) -> None:
    """Write what a run is trained with into its folder, for `Training.release`.

    Raises
    ------
    MammoTrackerError
        If the folder holds a run with other settings.
    """
    settings = dataclasses.asdict(settings_of(arguments))
    options = {name: value for name, value in vars(arguments).items() if name not in settings}
    card = json.dumps({"settings": settings, "options": options}, indent=2, default=str)
    arguments.run.mkdir(parents=True, exist_ok=True)
    before = read_settings(arguments.run)
    if before is not None and before != json.loads(card)["settings"]:
        raise MammoTrackerError(
            f"{arguments.run} holds a run with other settings: choose another folder, or the "
            f"settings of its {RUN_CARD}."
        )
    (arguments.run / RUN_CARD).write_text(card + "\n")


def read_settings(folder: Path) -> dict | None:
    """Return what weights were trained with, as JSON holds it; None if it is not known.

    `folder` is that of a run, or one that `Training.release` made.
    """
    for name in (RUN_CARD, "weights.json"):
        if (folder / name).exists():
            return json.loads((folder / name).read_text()).get("settings")
    return None


def finished_steps(run: Path) -> int:
    """Return how many steps of a run are saved."""
    checkpoint = run / CHECKPOINT
    return int(np.load(checkpoint, mmap_mode="r")[0]) if checkpoint.exists() else 0


def start_workers(
    make: Callable[..., Any],
    steps: range,
    workers: int,
    answer: Callable[[Any], Any] | None = None,
) -> Iterator[Any]:
    """Start processes that make what each step needs; to be called before Keras is loaded.

    What a step gets depends on ``make`` and the step's number alone, not on how many workers
    there are nor on where a run was interrupted. The processes end with the steps, or when this
    process is gone.

    Parameters
    ----------
    make
        From a step's number to anything that can be pickled. Where there is ``answer``, it also
        takes a function that asks it: only this process has the networks.
    steps
        The numbers, in order.
    workers
        How many processes; each makes one result ahead.
    answer
        From a question to its answer, both of them anything that can be pickled; called in this
        process, while it waits for a result.

    Returns
    -------
    iterator
        Of the results, in the order of the steps. An error of a worker is raised here.
    """
    context = multiprocessing.get_context("fork")
    ends: list[Connection] = []
    for worker in range(workers):
        end, of_worker = context.Pipe()
        ends.append(end)
        context.Process(
            target=_work,
            args=(make, steps[worker::workers], of_worker, ends, answer is not None),
            daemon=True,
        ).start()
        of_worker.close()

    def results() -> Iterator[Any]:
        made: dict[Connection, Any] = {}
        for number in range(len(steps)):
            wanted = ends[number % workers]
            while wanted not in made:
                if wanted.closed:
                    raise MammoTrackerError(
                        "A process that makes pairs was killed: give it more memory, or fewer "
                        "--workers."
                    )
                # The others' questions are answered meanwhile, their next results left in the pipe.
                for end in wait([end for end in ends if end not in made and not end.closed]):
                    try:
                        is_question, value = end.recv()
                    except (EOFError, ConnectionResetError):
                        end.close()
                        continue
                    if is_question:
                        end.send(answer(value))
                    else:
                        made[end] = value
            result = made.pop(wanted)
            if isinstance(result, Exception):
                raise result
            yield result

    return results()


def _work(
    make: Callable[..., Any],
    steps: range,
    end: Connection,
    others: list[Connection],
    may_ask: bool,
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the training alone
    for other in others:  # else a worker would never learn that the training is gone
        other.close()

    def ask(question: Any) -> Any:
        end.send((True, question))
        return end.recv()

    try:
        for step in steps:
            end.send((False, make(step, ask) if may_ask else make(step)))
    except (BrokenPipeError, EOFError, ConnectionResetError):
        pass
    except MammoTrackerError as error:
        end.send((False, error))
    except Exception as error:
        traceback.print_exc()
        end.send((False, RuntimeError(f"a worker failed: {error}")))

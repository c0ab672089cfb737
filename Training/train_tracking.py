"""Train the tracking network, with the paper's settings unless others are named.

``python -m Training.train_tracking --pairs train.csv --run runs/tracking`` for real pairs;
``--msynth FOLDER`` in place of ``--pairs`` for synthetic ones.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.memory import keep_freed_memory
from MammoTrackerLib.settings import Settings

from .difficulty import EASY, HARD, losing
from .program import (
    EPOCH_PAIRS,
    add_arguments,
    check_arguments,
    finished_steps,
    parse,
    settings_of,
    start_workers,
    write_card,
)
from .real_pairs import RealPairs
from .sources import (
    SPACING_MM,
    Source,
    draw_lines,
    drawn_size,
    generated_source,
    held_out,
    read_cesm,
    read_films,
    read_msynth,
    resampled,
)
from .synthetic_scenes import Scene, make_scene

PARTS = ("cls", "place", "ctr", "reg")


def training_sources(
    msynth: Path | None,
    cesm: Path | None = None,
    to_mm: float = SPACING_MM,
    generated: int = 16,
) -> tuple[list[Source], np.ndarray]:
    """Read all that is trained on, in pixels of `to_mm`, and how often each image is drawn.

    Films make 62 %, M-SYNTH (with lines drawn on) 30 % and generated textures 8 %; with the
    CDD-CESM, which then makes 55 %, they are 22, 16 and 7 %.
    """
    films = read_films(to_mm)
    models = [s for s in read_msynth(msynth, to_mm) if not held_out(s)] if msynth else []
    rng = np.random.default_rng(0)
    models = [draw_lines(s, rng) if rng.random() < 0.8 else s for s in models]
    textures = [generated_source(seed) for seed in range(generated)]
    if to_mm != SPACING_MM:
        textures = [resampled(source, to_mm) for source in textures]
    breasts = [s for s in read_cesm(cesm, to_mm) if not held_out(s)] if cesm else []
    shares = (0.22, 0.16, 0.07, 0.55) if breasts else (0.62, 0.30, 0.08, 0.0)
    groups = list(zip((films, models, textures, breasts), shares, strict=True))
    weights = np.concatenate([np.full(len(g), share / max(len(g), 1)) for g, share in groups])
    return films + models + textures + breasts, weights / weights.sum()


def synthetic_scenes(
    settings: Settings, arguments: argparse.Namespace, easy_steps: int = 0
) -> Callable[[int], list[Scene]]:
    """Read the sources; returns what makes the scenes of a step, in any process."""
    hard = HARD
    if arguments.vanished is not None:
        hard = replace(HARD, vanished=arguments.vanished)
    hard = replace(hard, rolled=arguments.rolled, growth=arguments.growth)
    hard = losing(hard, arguments.gone)
    to_mm = min(SPACING_MM, settings.search_mm / settings.search_px)
    sources, weights = training_sources(arguments.msynth, arguments.cesm, to_mm)

    def make(step: int) -> list[Scene]:
        rng = np.random.default_rng([arguments.seed, step])
        difficulty = EASY if step < easy_steps else hard
        chosen = rng.choice(len(sources), arguments.batch, p=weights)
        return [
            make_scene(
                rng, drawn_size(rng, sources[k]), sources, settings, difficulty, arguments.templates
            )
            for k in chosen
        ]

    return make


def scenes_of(
    settings: Settings, arguments: argparse.Namespace, easy_steps: int = 0
) -> Callable[[int], list[Scene]]:
    """Return what makes the scenes of a step, of real pairs or of synthetic ones.

    Sets ``arguments.steps_per_epoch`` where it was not given.
    """
    if arguments.pairs is None:
        make = synthetic_scenes(settings, arguments, easy_steps)
        once = EPOCH_PAIRS // (arguments.batch * arguments.templates)
    else:
        real = RealPairs.prepare(arguments, settings)
        make, once = real.scenes, real.steps_per_epoch
    arguments.steps_per_epoch = arguments.steps_per_epoch or max(1, once)
    return make


def start_batches(
    settings: Settings,
    arguments: argparse.Namespace,
    batch: Callable[..., tuple[np.ndarray, ...]],
    easy_steps: int = 0,
    answer: Callable | None = None,
    again: Callable | None = None,
) -> Iterator[tuple[np.ndarray, ...]]:
    """Begin or go on with a run: write its card, and start the processes that make its batches.

    To be called before Keras is loaded. Sets ``arguments.steps_per_epoch`` as `scenes_of` does.

    Parameters
    ----------
    settings
        Of the scenes.
    arguments
        Of the program.
    batch
        From a step's number, its scenes, and what asks ``answer`` if there is one, to its batch.
    easy_steps
        As `synthetic_scenes` takes it.
    answer
        As `start_workers` takes it.
    again
        From a batch and a number, from 0 on, to what the steps get that use it: the program has
        the option ``--repeats`` then. `batch` gets the number of a batch, not of a step.

    Returns
    -------
    iterator
        The batches of the steps that are left.

    Raises
    ------
    MammoTrackerError
        If an option or what it names cannot be used, or the folder holds another run.
    """
    check_arguments(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    keep_freed_memory()
    cv2.setNumThreads(0)  # its threads do not survive the fork of the workers
    make = scenes_of(settings, arguments, easy_steps)
    write_card(arguments)
    total = arguments.epochs * arguments.steps_per_epoch
    first, repeats = finished_steps(arguments.run), arguments.repeats if again else 1
    numbers = range(first // repeats, -(-total // repeats))
    batches = start_workers(
        lambda number, *ask: batch(number, make(number), *ask), numbers, arguments.workers, answer
    )
    if again is None:
        return batches
    used = (again(made, time) for made in batches for time in range(repeats))
    return islice(used, first % repeats, None)


def batch_of(scenes: list[Scene], settings: Settings) -> tuple[np.ndarray, ...]:
    """Stack scenes: templates, searches, sizes (in search pixels), centers, boxes, present."""
    sizes = np.concatenate([s.sizes for s in scenes]) * settings.search_per_template_pixel
    return (
        np.concatenate([s.templates for s in scenes]),
        np.stack([s.search for s in scenes]),
        sizes.astype(np.float32),
        *(
            np.concatenate([getattr(s, name) for s in scenes])
            for name in ("centers", "boxes", "present")
        ),
    )


def options() -> argparse.ArgumentParser:
    """Return the command line of this program."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_arguments(parser, epochs=50, batch=16)
    begin = parser.add_mutually_exclusive_group().add_argument
    begin("--imagenet", default="imagenet", metavar="FILE.keras",
          help="Keras file of a MobileNetV2; else Keras downloads it")  # fmt: skip
    begin("--start", type=Path, metavar="FILE.weights.h5", help="weights to go on from")
    begin("--backbone", type=Path, metavar="FILE.weights.h5",
          help="weights of which the backbone alone is taken")  # fmt: skip
    parser.add_argument("--easy-steps", type=int, default=0, help="synthetic pairs that differ "
                        "less in the first steps")  # fmt: skip
    for name, weight in zip(PARTS, (1.0, 0.0, 1.0, 1.0), strict=True):
        parser.add_argument(f"--{name}-weight", type=float, default=weight, help={
            "cls": "of the classification loss",
            "place": "of the cross-entropy over all places (not in the paper)",
            "ctr": "of the centre-ness loss; 0 with --no-centreness",
            "reg": "of the EIoU loss",
        }[name])  # fmt: skip
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Train; a run that was interrupted goes on."""
    try:
        train(parse(options(), argv))
    except MammoTrackerError as error:
        sys.exit(str(error))


def train(arguments: argparse.Namespace) -> None:
    """Train as the options say."""
    settings = settings_of(arguments)
    batches = start_batches(
        settings, arguments, lambda _, scenes: batch_of(scenes, settings), arguments.easy_steps
    )

    from MammoTrackerLib.networks.backbone import load_imagenet
    from MammoTrackerLib.networks.losses import tracking_loss
    from MammoTrackerLib.networks.tracking import TrackingNetwork

    from .loop import fit, load_weights, prepare

    weights = {name: getattr(arguments, f"{name}_weight") for name in PARTS}
    if not settings.centreness:
        weights["ctr"] = 0.0

    def loss(network, templates, searches, sizes, centers, boxes, present):
        outputs = network((templates, searches, sizes), training=True)
        parts = tracking_loss(outputs, centers, boxes, present)
        return parts | {"loss": sum(weights[name] * parts[name] for name in PARTS)}

    prepare(arguments)
    network = TrackingNetwork(settings.template_px, settings.correlation_px)
    if arguments.start:
        load_weights(network, arguments.start)
    elif arguments.backbone:
        trained = TrackingNetwork(settings.template_px, settings.correlation_px)
        load_weights(trained, arguments.backbone)
        network.backbone.set_weights(trained.backbone.get_weights())
    else:
        load_imagenet(network.backbone, arguments.imagenet)
    fit(network, loss, PARTS, batches, arguments)


if __name__ == "__main__":
    main()

"""Train the tracking network on synthetic temporal pairs.

``python -m Training.train_tracking --msynth FOLDER --imagenet FILE --run runs/tracking``
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from MammoTrackerLib.settings import Settings

from .loop import add_arguments, finished_steps, fit
from .sources import Source, draw_lines, generated_source, read_films, read_msynth
from .synthesis import EASY, HARD, Scene, make_scene

HELD_OUT_MODELS = 5
"""Every M-SYNTH model whose number is divisible by this is held out."""


def held_out(source: Source) -> bool:
    """Whether a source belongs to the test women."""
    kind, _, name = source.woman.partition("-")
    return kind == "msynth" and int(name[1:]) % HELD_OUT_MODELS == 0


def training_sources(msynth: Path | None, generated: int = 16) -> tuple[list[Source], np.ndarray]:
    """Read all that is trained on, and how often each image is drawn.

    Films make 62 %, M-SYNTH (with lines drawn on) 30 % and generated textures 8 %.
    """
    films = read_films()
    models = [s for s in read_msynth(msynth) if not held_out(s)] if msynth else []
    rng = np.random.default_rng(0)
    models = [draw_lines(s, rng) if rng.random() < 0.8 else s for s in models]
    textures = [generated_source(seed) for seed in range(generated)]
    groups = [(films, 0.62), (models, 0.30), (textures, 0.08)]
    weights = np.concatenate([np.full(len(g), share / max(len(g), 1)) for g, share in groups])
    return films + models + textures, weights / weights.sum()


def start_producers(
    sources: list[Source],
    weights: np.ndarray,
    settings: Settings,
    arguments: argparse.Namespace,
    easy_steps: int = 0,
) -> Callable[[], list[Scene]]:
    """Start the processes that make scenes; returns what gives the next step's list of them."""
    context = multiprocessing.get_context("fork")
    queue = context.Queue(6)
    easy_each = easy_steps // arguments.workers
    for worker in range(arguments.workers):
        seed = [arguments.seed, worker, finished_steps(arguments.run)]
        context.Process(
            target=_produce,
            args=(queue, seed, sources, weights, settings, arguments.scenes, easy_each),
            daemon=True,
        ).start()
    return queue.get


def _produce(queue, seed, sources, weights, settings, scenes, easy) -> None:
    rng = np.random.default_rng(seed)
    for made in itertools.count():
        difficulty = EASY if made < easy else HARD
        chosen = rng.choice(len(sources), scenes, p=weights)
        queue.put([make_scene(rng, sources[k], sources, settings, difficulty) for k in chosen])


def batch_of(scenes: list[Scene]) -> tuple[np.ndarray, ...]:
    """Stack scenes: templates, searches, sizes, centers, boxes, present."""
    return (
        np.concatenate([s.templates for s in scenes]),
        np.stack([s.search for s in scenes]),
        *(
            np.concatenate([getattr(s, name) for s in scenes])
            for name in ("sizes", "centers", "boxes", "present")
        ),
    )


def main() -> None:
    """Train, with a checkpoint every 200 steps; a run that was stopped continues."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_arguments(parser, steps=4500, scenes=5)
    parser.add_argument("--imagenet", default="imagenet", help="Keras file of a MobileNetV2")
    parser.add_argument("--start", type=Path, help="weights of an earlier run to go on from")
    parser.add_argument("--easy-steps", type=int, default=400)
    parser.add_argument("--freeze-after", type=int, default=700)
    arguments = parser.parse_args()

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    cv2.setNumThreads(0)  # its threads do not survive the fork of the workers
    settings = Settings()
    easy = max(0, arguments.easy_steps - finished_steps(arguments.run))
    next_scenes = start_producers(*training_sources(arguments.msynth), settings, arguments, easy)

    import keras

    from MammoTrackerLib.networks.backbone import load_imagenet
    from MammoTrackerLib.networks.losses import tracking_loss
    from MammoTrackerLib.networks.tracking import TrackingNetwork

    def loss(network, templates, searches, sizes, centers, boxes, present):
        outputs = network((templates, searches, sizes), training=True)
        return tracking_loss(outputs, centers, boxes, present)

    keras.utils.set_random_seed(arguments.seed)
    network = TrackingNetwork(settings.template_px, settings.correlation_px)
    if arguments.start:
        network.load_weights(arguments.start)
    else:
        load_imagenet(network.backbone, arguments.imagenet)
    fit(network, loss, lambda: batch_of(next_scenes()), arguments, arguments.freeze_after)


if __name__ == "__main__":
    main()

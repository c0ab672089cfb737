"""Train the tracking network on synthetic temporal pairs.

``python -m Training.train_tracking --msynth FOLDER --imagenet FILE --run runs/tracking``
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from pathlib import Path

import cv2
import numpy as np

from MammoTrackerLib.settings import Settings

from .sources import Source, draw_lines, generated_source, read_films, read_msynth
from .synthesis import EASY, HARD, make_scene

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


def produce(queue, seed: int, sources, weights, settings: Settings, scenes: int, easy: int) -> None:
    """Put batches of scenes into the queue, for ever; the first `easy` steps are easy ones."""
    rng = np.random.default_rng(seed)
    made = 0
    while True:
        difficulty = EASY if made < easy else HARD
        batch = []
        for _ in range(scenes):
            source = sources[rng.choice(len(sources), p=weights)]
            batch.append(make_scene(rng, source, sources, settings, difficulty))
        made += 1
        queue.put(
            (
                np.concatenate([s.templates for s in batch]),
                np.stack([s.search for s in batch]),
                *(
                    np.concatenate([getattr(s, name) for s in batch]).astype(np.float32)
                    for name in ("sizes", "centers", "boxes", "present")
                ),
            )
        )


def main() -> None:
    """Train, with a checkpoint every 200 steps; a run that was stopped continues."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--msynth", type=Path, help="folder of M-SYNTH images")
    parser.add_argument("--imagenet", default="imagenet", help="Keras file of a MobileNetV2")
    parser.add_argument("--run", type=Path, required=True, help="folder of checkpoints and log")
    parser.add_argument("--steps", type=int, default=4500)
    parser.add_argument("--easy-steps", type=int, default=400)
    parser.add_argument("--freeze-after", type=int, default=700)
    parser.add_argument("--scenes", type=int, default=5, help="search patches per step")
    parser.add_argument("--rate", type=float, default=8e-4, help="learning rate of the heads")
    parser.add_argument("--trunk-rate", type=float, default=1.2e-4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    run: Path = arguments.run
    run.mkdir(parents=True, exist_ok=True)
    state_file = run / "state.json"
    state = json.loads(state_file.read_text()) if state_file.exists() else {"step": 0}

    cv2.setNumThreads(0)  # its threads do not survive the fork of the workers
    sources, weights = training_sources(arguments.msynth)
    settings = Settings()
    context = multiprocessing.get_context("fork")
    queue = context.Queue(6)
    easy_left = max(0, (arguments.easy_steps - state["step"]) // arguments.workers)
    for worker in range(arguments.workers):
        seed = arguments.seed + 1000 * worker + 100_003 * state["step"] + 17
        context.Process(
            target=produce,
            args=(queue, seed, sources, weights, settings, arguments.scenes, easy_left),
            daemon=True,
        ).start()

    import keras
    import tensorflow as tf

    from MammoTrackerLib.networks.backbone import load_imagenet
    from MammoTrackerLib.networks.losses import tracking_loss
    from MammoTrackerLib.networks.tracking import TrackingNetwork

    keras.utils.set_random_seed(arguments.seed)
    network = TrackingNetwork(settings.template_px, settings.correlation_px)
    first = queue.get()
    network((first[0], first[1], first[2]))
    load_imagenet(network.backbone, arguments.imagenet)

    trunk_names = {id(v) for v in network.backbone.trainable_variables}
    trunk = [v for v in network.trainable_variables if id(v) in trunk_names]
    heads = [v for v in network.trainable_variables if id(v) not in trunk_names]
    # The stem up to block_2 is left alone after the first phase: most of the time is spent there.
    early = {"Conv1"} | {f"{name}" for name in ("expanded_conv", "block_1", "block_2")}
    late = [v for v in trunk if not any(name in v.path for name in early)]

    def schedule(peak: float):
        return keras.optimizers.schedules.CosineDecay(
            peak * 0.05, arguments.steps - 100, alpha=0.02, warmup_target=peak, warmup_steps=100
        )

    optimizers = [
        keras.optimizers.AdamW(schedule(rate), weight_decay=1e-4, clipnorm=5.0)
        for rate in (arguments.rate, arguments.trunk_rate)
    ]
    optimizers[0].build(heads)
    optimizers[1].build(trunk)
    average = [tf.Variable(v.value, trainable=False) for v in heads + trunk]
    checkpoint = tf.train.Checkpoint(
        heads=heads_list(heads), trunk=heads_list(trunk), average=average,
        optimizer_heads=optimizers[0], optimizer_trunk=optimizers[1],
    )  # fmt: skip
    manager = tf.train.CheckpointManager(checkpoint, str(run), max_to_keep=2)
    if manager.latest_checkpoint:
        checkpoint.restore(manager.latest_checkpoint).expect_partial()

    def make_step(trunk_variables):
        frozen = [v for v in trunk if not any(v is w for w in trunk_variables)]

        @tf.function
        def step(templates, searches, sizes, centers, boxes, present):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch([v.value for v in heads + trunk_variables])
                outputs = network((templates, searches, sizes), training=True)
                parts = tracking_loss(outputs, centers, boxes, present)
            gradients = tape.gradient(parts["loss"], [v.value for v in heads + trunk_variables])
            optimizers[0].apply(gradients[: len(heads)], heads)
            by_id = dict(zip(map(id, trunk_variables), gradients[len(heads) :], strict=True))
            zeros = {id(v): tf.zeros(v.shape) for v in frozen}
            optimizers[1].apply([by_id.get(id(v), zeros.get(id(v))) for v in trunk], trunk)
            decay = tf.minimum(0.995, tf.cast(optimizers[0].iterations, tf.float32) / 200)
            for mean, variable in zip(average, heads + trunk, strict=True):
                mean.assign(decay * mean + (1 - decay) * variable.value)
            return parts

        return step

    steps = {False: make_step(trunk), True: make_step(late)}
    log = (run / "log.csv").open("a")
    started, sums, count = time.time(), {}, 0
    for number in range(state["step"] + 1, arguments.steps + 1):
        batch = [tf.constant(a) for a in queue.get()]
        parts = steps[number > arguments.freeze_after](*batch)
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + float(value)
        count += 1
        if number % 20 == 0:
            means = " ".join(f"{name}={value / count:.4f}" for name, value in sums.items())
            line = f"{number},{(time.time() - started) / count:.3f}s,waiting={queue.qsize()},{means}"
            print(line, file=log, flush=True)
            started, sums, count = time.time(), {}, 0
        if number % 200 == 0 or number == arguments.steps:
            manager.save()
            state_file.write_text(json.dumps({"step": number}))
            kept = [v.numpy() for v in heads + trunk]
            for variable, mean in zip(heads + trunk, average, strict=True):
                variable.assign(mean)
            network.save_weights(run / "tracking.weights.h5")
            for variable, value in zip(heads + trunk, kept, strict=True):
                variable.assign(value)


def heads_list(variables):
    """Return the TensorFlow variables behind Keras's, for a checkpoint."""
    return [v.value for v in variables]


if __name__ == "__main__":
    main()

"""The training loop that both programs share: resumable, with an averaged copy that is saved."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

EARLY_LAYERS = ("Conv1", "expanded_conv", "block_1_", "block_2_")
AVERAGE_DECAY = 0.995
CHECKPOINT_STEPS = 200
LOG_STEPS = 20


def add_arguments(parser: argparse.ArgumentParser, steps: int, scenes: int) -> None:
    """Add the options that both training programs have."""
    parser.add_argument("--msynth", type=Path, help="folder of M-SYNTH images")
    parser.add_argument("--run", type=Path, required=True, help="folder of checkpoints and log")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--scenes", type=int, default=scenes, help="search patches per step")
    parser.add_argument("--rate", type=float, default=8e-4, help="learning rate of the heads")
    parser.add_argument("--trunk-rate", type=float, default=1.2e-4, help="and of the backbone")
    parser.add_argument("--workers", type=int, default=2, help="processes that make pairs")
    parser.add_argument("--seed", type=int, default=0)


def finished_steps(run: Path) -> int:
    """Return how many steps of a run are saved."""
    state = run / "state.json"
    return json.loads(state.read_text())["step"] if state.exists() else 0


def fit(
    network,
    loss: Callable,
    next_batch: Callable[[], tuple],
    arguments: argparse.Namespace,
    freeze_after: int,
) -> None:
    """Train until ``arguments.steps``, from the last checkpoint of ``arguments.run``.

    AdamW with a rate for the heads and one for the backbone, warm-up, cosine decay, gradients
    clipped at 5. After ``freeze_after`` steps the backbone's first blocks, where most of the time
    goes, are left alone. What is saved as ``NAME.weights.h5`` is a moving average.

    Parameters
    ----------
    network
        Built, with a ``backbone``.
    loss
        (network, *batch) -> dict of scalars with "loss" among them.
    next_batch
        Gives the arrays of a step.
    arguments
        Of `add_arguments`.
    freeze_after
        In steps.
    """
    import keras
    import tensorflow as tf

    run: Path = arguments.run
    run.mkdir(parents=True, exist_ok=True)
    in_trunk = {id(v) for v in network.backbone.trainable_variables}
    trunk = [v for v in network.trainable_variables if id(v) in in_trunk]
    heads = [v for v in network.trainable_variables if id(v) not in in_trunk]
    late = [v for v in trunk if not any(name in v.path for name in EARLY_LAYERS)]

    def optimizer(peak: float, variables: list) -> keras.optimizers.Optimizer:
        warmup = min(100, arguments.steps // 10)
        rate = keras.optimizers.schedules.CosineDecay(
            peak * 0.05, arguments.steps - warmup, alpha=0.02, warmup_target=peak,
            warmup_steps=warmup,
        )  # fmt: skip
        result = keras.optimizers.AdamW(rate, weight_decay=1e-4, clipnorm=5.0)
        result.build(variables)
        return result

    for_heads, for_trunk = optimizer(arguments.rate, heads), optimizer(arguments.trunk_rate, trunk)
    average = [tf.Variable(v.value, trainable=False) for v in heads + trunk]
    checkpoint = tf.train.Checkpoint(
        heads=[v.value for v in heads], trunk=[v.value for v in trunk], average=average,
        optimizer_heads=for_heads, optimizer_trunk=for_trunk,
    )  # fmt: skip
    manager = tf.train.CheckpointManager(checkpoint, str(run), max_to_keep=2)
    if manager.latest_checkpoint:
        checkpoint.restore(manager.latest_checkpoint).expect_partial()

    def make_step(trained: list):
        """Make the step that trains the heads and these backbone variables."""
        chosen = heads + trained

        @tf.function
        def step(*batch):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch([v.value for v in chosen])
                parts = loss(network, *batch)
            gradients = tape.gradient(parts["loss"], [v.value for v in chosen])
            by_id = dict(zip(map(id, chosen), gradients, strict=True))
            for_heads.apply([by_id[id(v)] for v in heads], heads)
            # The optimizer wants every variable; those left alone get no gradient.
            for_trunk.apply([by_id.get(id(v), tf.zeros(v.shape)) for v in trunk], trunk)
            decay = tf.minimum(AVERAGE_DECAY, tf.cast(for_heads.iterations, tf.float32) / 200)
            for mean, variable in zip(average, heads + trunk, strict=True):
                mean.assign(decay * mean + (1 - decay) * variable.value)
            return parts

        return step

    steps = {False: make_step(trunk), True: make_step(late)}
    log = (run / "log.csv").open("a")
    started, sums = time.time(), {}
    for number in range(finished_steps(run) + 1, arguments.steps + 1):
        parts = steps[number > freeze_after](*map(tf.constant, next_batch()))
        for name, value in parts.items():
            sums.setdefault(name, []).append(float(value))
        if number % LOG_STEPS == 0:
            count = len(sums["loss"])
            means = " ".join(f"{name}={sum(v) / count:.4f}" for name, v in sums.items())
            print(f"{number},{(time.time() - started) / count:.3f}s,{means}", file=log, flush=True)
            started, sums = time.time(), {}
        if number % CHECKPOINT_STEPS == 0 or number == arguments.steps:
            manager.save()
            kept = [v.numpy() for v in heads + trunk]
            for variable, mean in zip(heads + trunk, average, strict=True):
                variable.assign(mean)
            network.save_weights(run / f"{network.name}.weights.h5")
            for variable, value in zip(heads + trunk, kept, strict=True):
                variable.assign(value)
            (run / "state.json").write_text(json.dumps({"step": number}))

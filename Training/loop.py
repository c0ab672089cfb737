"""The training loop of both programs: Keras's own `fit`, resumable after every step."""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
from keras import ops

from MammoTrackerLib.errors import MammoTrackerError

from .program import CHECKPOINT, finished_steps

EARLY_LAYERS = ("Conv1", "expanded_conv", "block_1_", "block_2_")
WARMUP_START = 0.05


def prepare(arguments: argparse.Namespace) -> None:
    """Set Keras's seed, precision and devices; to be called before a network is built.

    Raises
    ------
    MammoTrackerError
        If Keras cannot share a batch among GPUs with this backend, or not this batch.
    """
    keras.utils.set_random_seed(arguments.seed)
    keras.config.set_dtype_policy(arguments.precision)
    if not arguments.data_parallel:
        return
    if keras.backend.backend() != "jax":
        raise MammoTrackerError(
            "Keras's DataParallel knows the backend JAX only: set KERAS_BACKEND=jax."
        )
    devices = len(keras.distribution.list_devices())
    if arguments.batch % devices:
        raise MammoTrackerError(
            f"A batch of {arguments.batch} cannot be shared evenly among {devices} devices: "
            "choose a multiple."
        )
    keras.distribution.set_distribution(keras.distribution.DataParallel())


def load_weights(network: keras.Model, file: Path) -> None:
    """Load what a run saved.

    Raises
    ------
    MammoTrackerError
        If it does not fit the network.
    """
    try:
        network.load_weights(file)
    except (OSError, ValueError) as error:
        raise MammoTrackerError(
            f"{file} holds no weights of this network and of these sizes: give the file of a run "
            "with the same settings, or the settings of its run.json."
        ) from error


class Adam(keras.optimizers.Adam):
    """Adam with a lower or higher learning rate for some of the variables.

    Parameters
    ----------
    factors
        By which the rate is multiplied, one for each variable that will be trained.
    """

    def __init__(self, factors: Sequence[float], **options) -> None:
        super().__init__(**options)
        self.factors = tuple(factors)

    def update_step(self, gradient, variable, learning_rate) -> None:
        factor = self.factors[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * factor)

    def finalize_variable_values(self, var_list) -> None:
        """Leave the weights: `fit`, which may end in the middle, would replace them by the mean."""


class Training(keras.Model):
    """A network with its loss, so that `fit` can train it; its input is all of a batch.

    Parameters
    ----------
    network
        What is trained.
    loss
        (network, *batch) -> dict of scalars with "loss" among them.
    parts
        The names of the other scalars.
    shapes
        Of a batch's arrays: the same in every step, though Keras leaves the first axis open.
    """

    def __init__(
        self,
        network: keras.Model,
        loss: Callable[..., dict],
        parts: Sequence[str],
        shapes: Sequence[tuple[int, ...]],
    ) -> None:
        super().__init__(name="training", autocast=False)
        self.network = network
        self.loss_of = loss
        self.shapes = tuple(shapes)
        self.means = {name: keras.metrics.Mean(name=name) for name in parts}
        self.built = True

    def call(self, batch):
        arrays = [ops.reshape(a, shape) for a, shape in zip(batch, self.shapes, strict=True)]
        return self.loss_of(self.network, *arrays)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        for name, mean in self.means.items():
            mean.update_state(y_pred[name])
        return y_pred["loss"]

    def averaged_weights(self) -> list[np.ndarray]:
        """Return the moving average of each trained variable, or itself if none is kept."""
        variables = [v for v in self.optimizer.variables if v.path.endswith("_average")]
        return [v.numpy() for v in variables or self.network.trainable_variables]


class Saver(keras.callbacks.Callback):
    """Writes checkpoint, weights and log, and ends the training when it is told to stop."""

    def __init__(self, run: Path, step: int, every: int) -> None:
        super().__init__()
        self.run, self.step, self.every = run, step, every
        self.signal: int | None = None

    def told_to_stop(self, number: int, frame) -> None:
        self.signal = number

    def on_train_batch_end(self, batch, logs=None) -> None:
        self.step += 1
        if self.step % self.every == 0 or self.signal is not None:
            save_checkpoint(self.model, self.run, self.step)
        self.model.stop_training = self.signal is not None

    def on_epoch_end(self, epoch, logs=None) -> None:
        save_weights(self.model, self.run)
        row = {"step": self.step, "epoch": epoch + 1} | (logs or {})
        with (self.run / "log.csv").open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow(row)


def compile_for(model: Training, arguments: argparse.Namespace, frozen: bool) -> None:
    """Give a model its optimizer, which goes on from the one before, if any."""
    network = model.network
    before = {v.path: v for v in model.optimizer.variables} if model.compiled else {}
    if frozen:
        for layer in network.backbone.layers:
            if layer.name.startswith(EARLY_LAYERS):
                layer.trainable = False
    steps, warmup = arguments.epochs * arguments.steps_per_epoch, arguments.warmup_steps
    rate = keras.optimizers.schedules.CosineDecay(
        arguments.rate * (WARMUP_START if warmup else 1), max(1, steps - warmup),
        alpha=arguments.final_rate, warmup_target=arguments.rate if warmup else None,
        warmup_steps=warmup,
    )  # fmt: skip
    factor = 1.0 if arguments.backbone_rate is None else arguments.backbone_rate / arguments.rate
    backbone = {id(v) for v in network.backbone.trainable_variables}
    optimizer = Adam(
        [factor if id(v) in backbone else 1.0 for v in network.trainable_variables],
        learning_rate=rate, weight_decay=arguments.weight_decay or None,
        clipnorm=arguments.clip or None, use_ema=arguments.average > 0,
        ema_momentum=arguments.average, name="adam",
    )  # fmt: skip
    if arguments.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale")
    optimizer.build(network.trainable_variables)
    for variable in optimizer.variables:
        if variable.path in before:
            variable.assign(before[variable.path])
    model.compile(optimizer)


def all_variables(model: Training) -> list:
    """Return what a training needs to go on: the weights and the optimizer's state."""
    return [*model.network.variables, *model.optimizer.variables]


def save_checkpoint(model: Training, run: Path, step: int) -> None:
    """Write a checkpoint in one go: a kill leaves the old file or the new one."""
    # One array and no checksums, or it would take a tenth of a step's time.
    values = [v.numpy().ravel() for v in all_variables(model)]
    temporary = run / f"{CHECKPOINT}.part"
    with temporary.open("wb") as file:
        np.save(file, np.concatenate([[step], *values], dtype=np.float32))
    os.replace(temporary, run / CHECKPOINT)


def load_checkpoint(model: Training, run: Path) -> None:
    """Go on from a checkpoint.

    Raises
    ------
    MammoTrackerError
        If it is not one of this network and these options.
    """
    values = np.load(run / CHECKPOINT)[1:]
    variables = all_variables(model)
    ends = np.cumsum([int(np.prod(v.shape)) for v in variables])
    if ends[-1] != len(values):
        raise MammoTrackerError(
            f"{run} holds a run that was made with other options: repeat those, or choose "
            "another folder."
        )
    for variable, part in zip(variables, np.split(values, ends[:-1]), strict=True):
        variable.assign(part.reshape(variable.shape).astype(variable.dtype))


def save_weights(model: Training, run: Path) -> None:
    """Write the averaged weights as ``NAME.weights.h5``."""
    network = model.network
    kept = [v.numpy() for v in network.trainable_variables]
    for variable, mean in zip(network.trainable_variables, model.averaged_weights(), strict=True):
        variable.assign(mean)
    temporary = run / f"{network.name}.part.weights.h5"
    network.save_weights(temporary)
    os.replace(temporary, run / f"{network.name}.weights.h5")
    for variable, values in zip(network.trainable_variables, kept, strict=True):
        variable.assign(values)


def fit(
    network: keras.Model,
    loss: Callable[..., dict],
    parts: Sequence[str],
    batches: Iterator[tuple[np.ndarray, ...]],
    arguments: argparse.Namespace,
) -> None:
    """Train to the end, from where ``arguments.run`` was interrupted.

    Parameters
    ----------
    network
        Built, with a ``backbone``, after `prepare`.
    loss, parts
        As for `Training`.
    batches
        Those of the steps from ``finished_steps(arguments.run)`` on, in order.
    arguments
        Of `program.add_arguments`, with ``steps_per_epoch``.

    Raises
    ------
    SystemExit
        If SIGINT or SIGTERM ended the training, after the step that was under way.
    """
    run, per_epoch = arguments.run, arguments.steps_per_epoch
    total = arguments.epochs * per_epoch
    freeze = total if arguments.freeze_after is None else min(arguments.freeze_after, total)
    step = finished_steps(run)
    first = next(batches, ())
    batches = itertools.chain([first], batches)
    model = Training(network, loss, parts, [array.shape for array in first])
    compile_for(model, arguments, frozen=step > freeze)
    if step:
        load_checkpoint(model, run)
    saver = Saver(run, step, arguments.checkpoint_steps)
    callbacks = [
        saver,
        keras.callbacks.TensorBoard(run / "tensorboard", write_graph=False),
    ]
    handlers = {s: signal.signal(s, saver.told_to_stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        while step < total and saver.signal is None:
            if step == freeze:
                compile_for(model, arguments, frozen=True)
            left = (freeze if step < freeze else total) - step
            count = min(per_epoch - step % per_epoch, left)
            epochs = left // per_epoch if count == per_epoch else 1
            chosen = itertools.islice(batches, count * epochs)
            model.fit(
                ((batch,) for batch in chosen), steps_per_epoch=count, shuffle=False,
                initial_epoch=step // per_epoch, epochs=step // per_epoch + epochs,
                callbacks=callbacks,
            )  # fmt: skip
            step = saver.step
        save_weights(model, run)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if saver.signal is not None:
        print(f"Stopped after step {step} of {total}; the same command goes on from there.")
        raise SystemExit(128 + saver.signal)

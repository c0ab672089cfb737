"""The networks run by Keras on TensorFlow: on a GPU, or for sizes that have no converted file."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..errors import MammoTrackerError
from ..settings import Settings
from .card import SIMILARITY_FILE, TRACKING_FILE, verified

LESIONS_ON_GPU = 16
"""How many lesions of a pair run through the networks at once on a GPU; on a CPU each by itself, in
less memory."""


class KerasNetworks:
    """The tracking and the similarity network from their Keras weights, loaded and run once.

    So the first lesion is as fast as the next one.

    Parameters
    ----------
    folder, card
        The weights.
    settings
        Those that the weights were trained with.

    Attributes
    ----------
    name, version, device
        Of what runs the networks: "TensorFlow", its version, "CPU" or "GPU: " and which.
    lesions_at_once
        How many lesions of a pair are at most one batch: one, or 16 on a GPU.

    Raises
    ------
    ImportError
        If Keras or TensorFlow is not installed, or does not start.
    MammoTrackerError
        If the weights fail their checksums or do not fit the settings.

    Notes
    -----
    Settings of Keras in the user's account or of another program in this process (``keras.json``,
    ``KERAS_BACKEND``, precision, order of the axes) count for nothing. Only where Keras has been
    imported already, it stays on the backend that it is on.
    """

    def __init__(self, folder: Path, card: dict, settings: Settings) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with own_settings_of_keras():
            self._load(folder, card, settings)

    def _load(self, folder: Path, card: dict, settings: Settings) -> None:
        import keras

        from .similarity import SimilarityNetwork
        from .tracking import TrackingNetwork

        self._settings, self._is_tensorflow = settings, keras.backend.backend() == "tensorflow"
        if self._is_tensorflow:
            import tensorflow as tf

            self.name, self.version, self.device = "TensorFlow", tf.__version__, _device()
        else:
            self.name, self.version = f"Keras on {keras.backend.backend()}", keras.__version__
            self.device = "unknown"
        self.lesions_at_once = LESIONS_ON_GPU if self.device.startswith("GPU") else 1
        network = TrackingNetwork(settings.template_px, settings.correlation_px)
        per_lesion = (len(settings.passes),) * 3
        self._tracking = self._loaded(network, verified(folder, card, TRACKING_FILE), per_lesion)
        self._similarity = None
        if SIMILARITY_FILE in card["sha256"]:
            network = SimilarityNetwork(settings.refinement_px)
            per_lesion = (1, settings.max_candidates)
            path = verified(folder, card, SIMILARITY_FILE)
            self._similarity = self._loaded(network, path, per_lesion)
        self.run(1)
        if self.lesions_at_once > 1:
            import tensorflow as tf

            try:
                self.run(self.lesions_at_once)
            except tf.errors.ResourceExhaustedError:  # the GPU's memory is too small for so many
                self.lesions_at_once = 1

    @property
    def has_similarity(self) -> bool:
        """Whether the weights have a similarity network; else the tracking score is the score."""
        return self._similarity is not None

    def tracking(
        self, templates: np.ndarray, searches: np.ndarray, sizes: np.ndarray
    ) -> list[np.ndarray]:
        """Run the tracking network on every pass of some lesions: see `TrackingNetwork.call`."""
        return self._tracking((templates, searches, sizes))

    def similarity(
        self, templates: np.ndarray, candidates: np.ndarray, counts: list[int]
    ) -> list[np.ndarray]:
        """Compare the template of each lesion with its candidates, of which there are `counts`.

        Parameters
        ----------
        templates
            (lesions, side, side, 3).
        candidates
            (sum of counts, side, side, 3).

        Returns
        -------
        list of numpy.ndarray
            As `SimilarityNetwork.call`, for each candidate.
        """
        # One shape for every lesion, so that the network is compiled once.
        most = self._settings.max_candidates
        number = np.arange(most)
        ends = np.cumsum(counts)
        rows = [
            np.minimum(end - count + number, end - 1)
            for end, count in zip(ends, counts, strict=True)
        ]
        real = np.concatenate([number < count for count in counts])
        outputs = self._similarity((templates, candidates[np.concatenate(rows)]))
        return [output[real] for output in outputs]

    def _loaded(self, network, path: Path, per_lesion: tuple[int, ...]) -> Callable:  # noqa: ANN001
        """Load a network's weights; `per_lesion` is how long its inputs are for one lesion.

        Returns
        -------
        callable
            Runs it for one lesion, or for several, filled up to `lesions_at_once` by repeating the
            last: it is compiled for these two shapes only.
        """
        try:
            network.load_weights(path)
        except (OSError, ValueError) as error:
            raise MammoTrackerError(
                f"The weights file {path.name} does not fit these settings, or is of an earlier "
                "version: use the settings that it was trained with, or run the converted networks "
                "beside it with LiteRT."
            ) from error
        run = network.predict_on_batch
        if self._is_tensorflow:
            import tensorflow as tf

            run = tf.function(lambda inputs: network(inputs), autograph=False)

        def run_filled(inputs: tuple[np.ndarray, ...]) -> list[np.ndarray]:
            lesions = len(inputs[0]) // per_lesion[0]
            missing = self.lesions_at_once - lesions if lesions > 1 else 0
            filled = tuple(
                np.concatenate([a, np.repeat(a[-1:], missing * count, axis=0)])
                for a, count in zip(inputs, per_lesion, strict=True)
            )
            share = (lesions + missing) / lesions
            return [np.asarray(o)[: round(len(o) / share)] for o in run(filled)]

        return run_filled

    def run(self, lesions: int) -> None:
        """Run the networks once for so many lesions that show nothing: to warm up, or to time."""
        s = self._settings

        def patches(per_lesion: int, side: int) -> np.ndarray:
            return np.zeros((lesions * per_lesion, side, side, 3), np.float32)

        passes = len(s.passes)
        sizes = np.ones((lesions * passes, 2), np.float32)
        self._tracking((patches(passes, s.template_px), patches(passes, s.search_px), sizes))
        if self._similarity is not None:
            self._similarity(
                (patches(1, s.refinement_px), patches(s.max_candidates, s.refinement_px))
            )


@contextmanager
def own_settings_of_keras() -> Iterator[None]:
    """Let the block see Keras on TensorFlow, in single precision, whatever others have set."""
    names = ("KERAS_BACKEND", "KERAS_HOME")
    if "keras" not in sys.modules:
        before = {name: os.environ.get(name) for name in names}
        with tempfile.TemporaryDirectory(prefix="mammotracker-") as empty:
            os.environ.update(KERAS_BACKEND="tensorflow", KERAS_HOME=empty)
            try:
                import keras  # noqa: F401
            finally:
                for name, value in before.items():
                    os.environ.pop(name)
                    if value is not None:
                        os.environ[name] = value
    from keras import config

    before = config.floatx(), config.image_data_format(), config.dtype_policy()
    config.set_floatx("float32")
    config.set_image_data_format("channels_last")
    config.set_dtype_policy("float32")
    try:
        yield
    finally:
        config.set_floatx(before[0])
        config.set_image_data_format(before[1])
        config.set_dtype_policy(before[2])


def _device() -> str:
    """Name what TensorFlow runs on; of a GPU it takes only the memory that it needs."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:  # another program in this process has decided it
            pass
    if not gpus:
        return "CPU"
    details = tf.config.experimental.get_device_details(gpus[0])
    return f"GPU: {details.get('device_name', gpus[0].name)}"

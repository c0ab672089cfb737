"""The networks with their weights: finds them, verifies them, loads them, runs them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import MammoTrackerError
from ..settings import Settings

WEIGHTS = Path(__file__).parents[1] / "weights"
TRACKING_FILE, SIMILARITY_FILE = "tracking.weights.h5", "similarity.weights.h5"
LESIONS_ON_GPU = 16
"""How many lesions of a pair run through the networks at once on a GPU; on a CPU each by itself, in
less memory."""


def verify_weights(folder: Path = WEIGHTS) -> dict:
    """Check every weights file against the checksums of ``weights.json``.

    A similarity network is optional there: without it the tracking score is the score.

    Returns
    -------
    dict
        The content of ``weights.json``.

    Raises
    ------
    MammoTrackerError
        If a file is missing, or is not the one that was released.
    """
    try:
        card = json.loads((folder / "weights.json").read_text())
        checksums = card["sha256"]
        for name in (TRACKING_FILE, SIMILARITY_FILE):
            if name == SIMILARITY_FILE and name not in checksums:
                continue
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != checksums[name]:
                raise MammoTrackerError(
                    f"The weights file {name} is damaged or was changed (its checksum is wrong): "
                    "install MammoTracker again."
                )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MammoTrackerError(
            "The weights are missing or incomplete: install MammoTracker again."
        ) from error
    return card


def released_settings(folder: Path = WEIGHTS) -> Settings:
    """Return the settings that ``weights.json`` names; the defaults where it names none.

    Raises
    ------
    MammoTrackerError
        If the file is missing, or names settings that this version does not have.
    """
    try:
        values = json.loads((folder / "weights.json").read_text()).get("settings", {})
        # JSON has lists where the settings have tuples.
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return Settings(**values)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise MammoTrackerError(
            f"The weights in {folder} are missing, incomplete or of another version of "
            "MammoTracker: install it again, or choose another folder."
        ) from error


def _has_gpu() -> bool:
    """Whether TensorFlow runs the networks, on a GPU."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


class Networks:
    """The tracking and the similarity network, loaded, and run once.

    So the first lesion is as fast as the next one. A GPU is used if TensorFlow finds one.

    Parameters
    ----------
    settings
        Those that the weights were trained with.
    folder
        Of the weights.

    Attributes
    ----------
    tracking
        Called with the inputs of `TrackingNetwork`, for one lesion or for several.
    similarity
        Called with the inputs of `SimilarityNetwork`; None if the weights have none.
    calibration
        Of the weights: coefficients and thresholds of the probability, or None.
    lesions_at_once
        How many lesions of a pair are at most one batch: one, or 16 on a GPU.

    Raises
    ------
    MammoTrackerError
        If the weights fail their checksums or do not fit the settings.
    """

    def __init__(self, settings: Settings, folder: Path = WEIGHTS) -> None:
        card = verify_weights(folder)
        self.calibration: dict | None = card.get("calibration")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        from .similarity import SimilarityNetwork
        from .tracking import TrackingNetwork

        self._settings = s = settings
        self._folder = folder
        self.lesions_at_once = LESIONS_ON_GPU if _has_gpu() else 1
        network = TrackingNetwork(s.template_px, s.correlation_px)
        self.tracking = self._loaded(network, TRACKING_FILE, (len(s.passes),) * 3)
        self.similarity = None
        if SIMILARITY_FILE in card["sha256"]:
            network = SimilarityNetwork(s.refinement_px)
            self.similarity = self._loaded(network, SIMILARITY_FILE, (1, s.max_candidates))
        self.run(1)
        if self.lesions_at_once > 1:
            import tensorflow as tf

            try:
                self.run(self.lesions_at_once)
            except tf.errors.ResourceExhaustedError:  # the GPU's memory is too small for so many
                self.lesions_at_once = 1

    def _loaded(self, network, name: str, per_lesion: tuple[int, ...]) -> Callable:  # noqa: ANN001
        """Load a network's weights; `per_lesion` is how long its inputs are for one lesion.

        Returns
        -------
        callable
            Runs it for one lesion, or for several, filled up to `lesions_at_once` by repeating the
            last: it is compiled for these two shapes only.
        """
        import keras

        try:
            network.load_weights(self._folder / name)
        except (OSError, ValueError) as error:
            raise MammoTrackerError(
                f"The weights file {name} does not fit these settings: use the settings that "
                "it was trained with."
            ) from error
        run = network.predict_on_batch
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            run = tf.function(lambda inputs: network(inputs), autograph=False)

        def run_filled(inputs: tuple[np.ndarray, ...]):  # noqa: ANN202
            if len(inputs[0]) > per_lesion[0]:
                missing = self.lesions_at_once - len(inputs[0]) // per_lesion[0]
                inputs = tuple(
                    np.concatenate([a, np.repeat(a[-1:], missing * count, axis=0)])
                    for a, count in zip(inputs, per_lesion, strict=True)
                )
            return run(inputs)

        return run_filled

    def run(self, lesions: int) -> None:
        """Run the networks once for so many lesions that show nothing: to warm up, or to time."""
        s = self._settings

        def patches(per_lesion: int, side: int) -> np.ndarray:
            return np.zeros((lesions * per_lesion, side, side, 3), np.float32)

        passes = len(s.passes)
        sizes = np.ones((lesions * passes, 2), np.float32)
        outputs = self.tracking(
            (patches(passes, s.template_px), patches(passes, s.search_px), sizes)
        )
        if self.similarity is not None:
            pair = patches(1, s.refinement_px), patches(s.max_candidates, s.refinement_px)
            outputs = (*outputs, *self.similarity(pair))
        for output in outputs:
            np.asarray(output)

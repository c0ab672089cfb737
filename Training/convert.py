"""Networks that Keras trained, as files that LiteRT runs (``.tflite``)."""

from __future__ import annotations

import hashlib
from pathlib import Path

from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.networks.card import CONVERTED, SIMILARITY_FILE, TRACKING_FILE
from MammoTrackerLib.networks.with_keras import own_settings_of_keras
from MammoTrackerLib.settings import Settings

LEAST_BYTES = 1_000_000
"""A file without weights is smaller: a conversion can lose them in silence."""


def convert(folder: Path, card: dict, settings: Settings) -> None:
    """Write the converted file of each network of a folder, and note them in its card.

    The files hold 32 bit numbers and take inputs of batch size one, of these settings' sizes. The
    same weights give the same bytes.

    Raises
    ------
    MammoTrackerError
        If weights do not fit the settings.
    RuntimeError
        If a conversion lost the weights.
    """
    with own_settings_of_keras():
        _convert(folder, card, settings)


def _convert(folder: Path, card: dict, settings: Settings) -> None:
    from MammoTrackerLib.networks.similarity import SimilarityNetwork
    from MammoTrackerLib.networks.tracking import TrackingNetwork

    template, search, refined = (
        (1, side, side, 3)
        for side in (settings.template_px, settings.search_px, settings.refinement_px)
    )
    networks = {
        TRACKING_FILE: (
            lambda: TrackingNetwork(settings.template_px, settings.correlation_px),
            {"template": template, "search": search, "size": (1, 2)},
        ),
        SIMILARITY_FILE: (
            lambda: SimilarityNetwork(settings.refinement_px),
            {"template": refined, "candidate": refined},
        ),
    }
    card["made_from"] = {}
    for name, (make, inputs) in networks.items():
        if name not in card["sha256"]:
            continue
        network = make()
        try:
            network.load_weights(folder / name)
        except (OSError, ValueError) as error:
            raise MammoTrackerError(
                f"The weights file {name} does not fit the settings of its training: give the file "
                "with the run.json that lies beside it."
            ) from error
        content = as_tflite(network, inputs)
        if len(content) < LEAST_BYTES:
            raise RuntimeError(f"The conversion of {name} has lost the weights.")
        (folder / CONVERTED[name]).write_bytes(content)
        card["sha256"][CONVERTED[name]] = hashlib.sha256(content).hexdigest()
        card["made_from"][CONVERTED[name]] = card["sha256"][name]


def as_tflite(network, inputs: dict[str, tuple[int, ...]]) -> bytes:  # noqa: ANN001
    """Convert a network, called with one tuple, whose inputs have these names and shapes."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    specs = [tf.TensorSpec(shape, tf.float32, name=name) for name, shape in inputs.items()]
    function = tf.function(lambda *values: network(values), autograph=False)
    # Without this step the file has no weights. With it, nothing of the network need be saved
    # beside the function, which would take as long as all the rest.
    constant = convert_variables_to_constants_v2(function.get_concrete_function(*specs))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([constant], tf.Module())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter.convert()

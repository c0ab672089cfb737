"""The shared MobileNetV2 backbone of both networks."""

from __future__ import annotations

from pathlib import Path

import keras

from ..errors import MammoTrackerError

FINE, COARSE = "block_5_add", "block_12_add"
FINE_STRIDE, COARSE_STRIDE = 8, 16


def build_backbone(name: str, *earlier: str) -> keras.Model:
    """Build MobileNetV2 (paper, section 3.2) up to its stride-16 features.

    Batch normalisation is frozen: a batch holds a few crops of one mammogram.

    Parameters
    ----------
    name
        Of the model.
    *earlier
        Earlier layers whose outputs are wanted too, before the two others.

    Returns
    -------
    keras.Model
        (batch, H, W, 3) in [-1, 1] -> [(batch, H/8, W/8, 32), (batch, H/16, W/16, 96)].
        Cell i of the stride-s map is centred on pixel s * (i + 1) - 0.5.
    """
    full = keras.applications.MobileNetV2(
        input_shape=(None, None, 3), include_top=False, weights=None, name=name
    )
    outputs = [full.get_layer(layer).output for layer in (*earlier, FINE, COARSE)]
    backbone = keras.Model(full.input, outputs, name=name)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    return backbone


def load_imagenet(backbone: keras.Model, weights: str | Path = "imagenet") -> None:
    """Load ImageNet weights and turn the RGB stem into one for two grey channels and a mask.

    Parameters
    ----------
    backbone
        From `build_backbone`.
    weights
        ``"imagenet"`` (Keras downloads them) or a Keras file of a MobileNetV2 of width 1.0,
        whose layers have Keras's names.

    Raises
    ------
    MammoTrackerError
        If they cannot be downloaded, or the file cannot be read.
    """
    try:
        if str(weights) == "imagenet":
            source = keras.applications.MobileNetV2(include_top=False, weights="imagenet")
        else:
            source = keras.models.load_model(weights, compile=False)
    except Exception as error:  # Keras raises just that where there is no network
        raise MammoTrackerError(
            "The ImageNet weights cannot be had: give a Keras file of a MobileNetV2 as --imagenet."
        ) from error
    if str(weights) != "imagenet":
        source = next((layer for layer in source.layers if isinstance(layer, keras.Model)), source)
    for layer in backbone.layers:
        if layer.weights:
            values = source.get_layer(layer.name).get_weights()
            if layer.name == "Conv1":
                grey = values[0].sum(axis=2)
                values[0][:, :, 0] = grey / 2
                values[0][:, :, 1] = grey / 2
                values[0][:, :, 2] = 0
            layer.set_weights(values)

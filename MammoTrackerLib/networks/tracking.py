"""The mask-guided anchor-free tracking network (paper, section 3.2)."""

from __future__ import annotations

import keras
from keras import layers, ops

from .backbone import COARSE_STRIDE, FINE_STRIDE, build_backbone

FINE_CHANNELS, COARSE_CHANNELS, HEAD_CHANNELS = 64, 96, 96
SMALL_KERNEL = 3
MAX_LOG_SCALE = 2.5


def central(features, size: int, stride: int, patch_px: int):
    """Cut the size x size cells around the patch's centre from (batch, H, W, C) features."""
    middle = round((patch_px / 2 + 0.5) / stride - 1)
    start = middle - size // 2
    return features[:, start : start + size, start : start + size, :]


def depthwise_correlation(search, kernel):
    """Correlate each search map with its own template, channel by channel.

    Parameters
    ----------
    search
        (batch, H, W, C).
    kernel
        (batch, k, k, C), k odd.

    Returns
    -------
    tensor
        (batch, H, W, C), zero-padded at the border, divided by k.
    """
    batch, height, width, channels = ops.shape(search)
    size = kernel.shape[1]
    folded = ops.reshape(ops.transpose(search, (1, 2, 0, 3)), (1, height, width, -1))
    filters = ops.reshape(ops.transpose(kernel, (1, 2, 0, 3)), (size, size, -1, 1))
    result = ops.depthwise_conv(folded, filters, padding="same")
    result = ops.reshape(result, (height, width, batch, channels))
    return ops.transpose(result, (2, 0, 1, 3)) / size


def neck(channels: int) -> keras.Sequential:
    """1 x 1 convolution and group normalisation, separate for template and search."""
    return keras.Sequential(
        [layers.Conv2D(channels, 1, use_bias=False), layers.GroupNormalization(groups=8)]
    )


class TrackingNetwork(keras.Model):
    """Finds the template's lesion in the search patch.

    Parameters
    ----------
    template_px
        Side of the template patch in pixels.
    correlation_px
        Side of the template's central feature regions (section 3.2: 7).
    """

    def __init__(self, template_px: int, correlation_px: int = 7) -> None:
        # Sizes and distances in pixels need more digits than mixed precision's half has.
        super().__init__(name="tracking", autocast=False)
        self.template_px = template_px
        self.correlation_px = correlation_px
        self.backbone = build_backbone("tracking_backbone")
        self.template_fine, self.search_fine = neck(FINE_CHANNELS), neck(FINE_CHANNELS)
        self.template_coarse, self.search_coarse = neck(COARSE_CHANNELS), neck(COARSE_CHANNELS)
        self.coarse_up = layers.UpSampling2D(2, interpolation="bilinear")
        self.mix = layers.Conv2D(HEAD_CHANNELS, 1, use_bias=False)
        self.mix_norm = layers.GroupNormalization(groups=8)
        self.size_embedding = keras.Sequential(
            [layers.Dense(32, activation="relu"), layers.Dense(HEAD_CHANNELS)]
        )
        self.tower = [layers.SeparableConv2D(HEAD_CHANNELS, 3, padding="same") for _ in range(2)]
        self.tower_norms = [layers.GroupNormalization(groups=8) for _ in self.tower]
        self.box_tower = layers.SeparableConv2D(HEAD_CHANNELS, 3, padding="same")
        self.box_norm = layers.GroupNormalization(groups=8)
        self.classification = layers.Conv2D(
            1,
            3,
            padding="same",
            bias_initializer=keras.initializers.Constant(-4.0),
            dtype="float32",
        )
        self.centreness = layers.Conv2D(
            1,
            3,
            padding="same",
            bias_initializer=keras.initializers.Constant(-2.0),
            dtype="float32",
        )
        self.distances = layers.Conv2D(
            4, 3, padding="same", kernel_initializer="zeros", dtype="float32"
        )

        # Every layer is built here, so that weights can be loaded at once.
        fine, coarse = self.backbone.output
        for layer in (self.template_fine, self.search_fine):
            layer(fine)
        for layer in (self.template_coarse, self.search_coarse):
            layer(coarse)
        shapes = [(1, k, k, c) for k, c in (
            (correlation_px, FINE_CHANNELS), (SMALL_KERNEL, FINE_CHANNELS),
            (correlation_px, COARSE_CHANNELS), (16, FINE_CHANNELS), (8, COARSE_CHANNELS),
        )]  # fmt: skip
        inputs = [keras.Input(batch_shape=shape) for shape in shapes]
        self.head(inputs[:3], inputs[3:], keras.Input(batch_shape=(1, 2)))
        self.built = True

    def encode_template(self, patches):
        """Turn (n, template_px, template_px, 3) into the three correlation kernels."""
        fine, coarse = self.backbone(patches)
        fine, coarse = self.template_fine(fine), self.template_coarse(coarse)
        return (
            central(fine, self.correlation_px, FINE_STRIDE, self.template_px),
            central(fine, SMALL_KERNEL, FINE_STRIDE, self.template_px),
            central(coarse, self.correlation_px, COARSE_STRIDE, self.template_px),
        )

    def encode_search(self, patches):
        """Turn (n, search_px, search_px, 3) into its fine and coarse features."""
        fine, coarse = self.backbone(patches)
        return self.search_fine(fine), self.search_coarse(coarse)

    def head(self, kernels, features, sizes):
        """Compare templates with search features; see `call` for what comes out."""
        fine, coarse = features
        large, small, context = kernels
        maps = ops.concatenate(
            [
                depthwise_correlation(fine, large),
                depthwise_correlation(fine, small),
                self.coarse_up(depthwise_correlation(coarse, context)),
            ],
            axis=-1,
        )
        embedding = self.size_embedding(ops.log(sizes / self.template_px))[:, None, None, :]
        x = ops.relu(self.mix_norm(self.mix(maps)) + embedding)
        for convolution, norm in zip(self.tower, self.tower_norms, strict=True):
            x = x + ops.relu(norm(convolution(x)))
        box = ops.relu(self.box_norm(self.box_tower(x)))
        log_scale = ops.clip(self.distances(box), -MAX_LOG_SCALE, MAX_LOG_SCALE)
        half = ops.concatenate([sizes, sizes], axis=-1)[:, None, None, :] / 2
        return self.classification(x)[..., 0], self.centreness(x)[..., 0], half * ops.exp(log_scale)

    def call(self, inputs):
        """Run on a batch.

        Parameters
        ----------
        inputs : tuple
            Templates (n * t, template_px, template_px, 3); search patches
            (n, search_px, search_px, 3), each searched with its own t successive templates; and
            the lesions' width and height in search pixels (n * t, 2).

        Returns
        -------
        tuple
            Classification logits (n * t, h, w), centre-ness logits (n * t, h, w), and box
            distances left, top, right, bottom (n * t, h, w, 4) in search pixels, with
            h = w = search_px / 8. Cell (i, j) stands for the point (8 (j + 1), 8 (i + 1)).
        """
        templates, searches, sizes = inputs
        kernels = self.encode_template(templates)
        features = self.encode_search(searches)
        times = templates.shape[0] // searches.shape[0]
        features = [ops.repeat(feature, times, axis=0) for feature in features]
        return self.head(kernels, features, sizes)

"""The mask-guided similarity network (paper, section 3.3)."""

from __future__ import annotations

import keras
from keras import layers, ops

from .backbone import build_backbone
from .tracking import neck


class SimilarityNetwork(keras.Model):
    """Tells how far a candidate on the current mammogram is from the prior's lesion.

    Both patches carry a box as mask channel and go through one backbone; their features are
    subtracted.
    """

    def __init__(self) -> None:
        super().__init__(name="similarity")
        self.backbone = build_backbone("similarity_backbone")
        self.fine_neck, self.coarse_neck = neck(48), neck(96)
        self.down = layers.AveragePooling2D(2)
        self.tower = [layers.SeparableConv2D(96, 3, padding="same") for _ in range(2)]
        self.tower_norms = [layers.GroupNormalization(groups=8) for _ in self.tower]
        self.pool = layers.GlobalAveragePooling2D()
        self.peak = layers.GlobalMaxPooling2D()
        self.hidden = layers.Dense(64, activation="relu")
        self.logit = layers.Dense(1)
        fine, coarse = self.backbone.output
        self.fine_neck(fine), self.coarse_neck(coarse)
        self.compare(keras.Input(batch_shape=(1, 8, 8, 48 + 96)))
        self.built = True

    def encode(self, patches):
        """Turn (n, side, side, 3) into features (n, side / 16, side / 16, 144)."""
        fine, coarse = self.backbone(patches)
        return ops.concatenate([self.down(self.fine_neck(fine)), self.coarse_neck(coarse)], axis=-1)

    def call(self, inputs):
        """Compare templates with candidates.

        Parameters
        ----------
        inputs : tuple
            Templates (n, side, side, 3), and candidate patches (n * c, side, side, 3), each c
            successive ones of one template. Third channels are the masks.

        Returns
        -------
        tensor
            (n * c,) logits of the distance: sigmoid is 0 for the same lesion, 1 for another.
        """
        templates, candidates = inputs
        times = candidates.shape[0] // templates.shape[0]
        difference = self.encode(candidates) - ops.repeat(self.encode(templates), times, axis=0)
        return self.compare(difference)

    def compare(self, difference):
        """Turn feature differences (n, h, w, 144) into distance logits (n,)."""
        x = ops.concatenate([difference, ops.abs(difference)], axis=-1)
        for convolution, norm in zip(self.tower, self.tower_norms, strict=True):
            x = ops.relu(norm(convolution(x)))
        pooled = ops.concatenate([self.pool(x), self.peak(x)], axis=-1)
        return self.logit(self.hidden(pooled))[:, 0]

"""The mask-guided similarity network (paper, section 3.3), which also corrects boxes."""

from __future__ import annotations

import keras
from keras import layers, ops

from .backbone import FINE_STRIDE, build_backbone
from .cells import (
    BANDS,
    across_box,
    box_sides,
    in_box,
    local_correlation,
    pooled_in,
    turned_correlation,
)
from .tracking import neck

EDGE = "block_2_add"
MATCH_CHANNELS, MATCH_REACH, MATCH_STRIDE = 32, 4, 8
MATCH_MARGIN = 1.3
EDGE_CHANNELS, EDGE_STRIDE, FINE_CHANNELS = 32, 4, 48
BAND_CHANNELS = 16
LEAST_SLOPE, MOST_SLOPE = -0.5, 0.9


def repeated(templates, candidates):
    """Repeat what n templates have until each of n * c candidates has its template's."""
    return ops.repeat(templates, candidates.shape[0] // templates.shape[0], axis=0)


def weigh(logs, weights):
    """Weigh the mean of the logarithms (n, 2) of two sides, and what each differs from it."""
    mean = ops.mean(logs, axis=-1, keepdims=True)
    return weights[0] * mean + weights[1] * (logs - mean)


class SimilarityNetwork(keras.Model):
    """Tells how far a candidate on the current mammogram is from the prior's lesion.

    Both patches carry a box as mask channel and go through one backbone. Their features are
    subtracted for the similarity (section 3.3). What is not in the paper: the features around
    the box are also matched cell by cell, both ways, and the candidate's box is corrected by the
    shift and the two scales that fit the matches best, and by how far the lesion reaches on
    either patch, which profiles across its box show. The similarity also rests on what both
    boxes hold wherever it lies in them, down to single calcifications, and on how well the cells
    in them match: tissue that stayed looks alike though the lesion in it went.

    Parameters
    ----------
    side_px
        Side of both patches in pixels.
    """

    def __init__(self, side_px: int) -> None:
        super().__init__(name="similarity")
        self.side_px = side_px
        self.backbone = build_backbone("similarity_backbone", EDGE)
        self.edge_neck = neck(EDGE_CHANNELS)
        self.fine_neck, self.coarse_neck = neck(FINE_CHANNELS), neck(96)
        self.down = layers.AveragePooling2D(2)
        self.up = layers.UpSampling2D(2, interpolation="bilinear")
        self.tower = [layers.SeparableConv2D(96, 3, padding="same") for _ in range(2)]
        self.tower_norms = [layers.GroupNormalization(groups=8) for _ in self.tower]
        self.pool = layers.GlobalAveragePooling2D()
        self.peak = layers.GlobalMaxPooling2D()
        self.hidden = layers.Dense(64, activation="relu")
        self.logit = layers.Dense(1)
        self.match_mix = neck(MATCH_CHANNELS)
        self.match_context = layers.Conv2D(MATCH_CHANNELS, 3, padding="same", use_bias=False)
        self.match_norm = layers.GroupNormalization(groups=8)
        self.trust = keras.Sequential(
            [
                layers.Conv2D(32, 3, padding="same", activation="relu"),
                layers.Conv2D(1, 3, padding="same"),
            ]
        )
        self.band_necks = [neck(BAND_CHANNELS) for _ in range(2)]
        self.band_hidden = layers.Dense(48, activation="relu")
        self.band_growth = layers.Dense(1, use_bias=False, kernel_initializer="zeros")
        constant = keras.initializers.Constant
        self.sharpness = self.add_weight(shape=(), initializer=constant(2.0), name="sharpness")
        self.stiffness = self.add_weight(shape=(), initializer=constant(-3.0), name="stiffness")
        self.keep = self.add_weight(shape=(2,), initializer="zeros", name="keep")
        self.gain = self.add_weight(shape=(2,), initializer="ones", name="gain")

        # Every layer is built here, so that weights can be loaded at once.
        edge, fine, coarse = self.backbone.output
        features = [
            ops.zeros((1, side_px // s, side_px // s, output.shape[-1]))
            for s, output in ((4, edge), (8, fine), (16, coarse))
        ]
        masks = (ops.ones((1, side_px, side_px, 1)),) * 2
        matches = self.matches(features, features)
        self.compare(features, features, masks, matches)
        self.correct(masks, matches, self.outlines(features, features))
        self.built = True

    def call(self, inputs):
        """Compare templates with candidates.

        Parameters
        ----------
        inputs : tuple
            Templates (n, side, side, 3), and candidate patches (n * c, side, side, 3), each c
            successive ones of one template and centred on the candidate. Third channels are the
            masks.

        Returns
        -------
        tuple
            (n * c,) logits of the distance: sigmoid is 0 for the same lesion, 1 for another; and
            (n * c, 4) corrections of the candidates' boxes: of the centre x, y in sides of the
            candidate, of the logarithms of width and height.
        """
        templates, candidates = inputs
        encoded, found = self.backbone(templates), self.backbone(candidates)
        masks = repeated(templates[..., 2:], candidates), candidates[..., 2:]
        matches, outlines = self.matches(encoded, found), self.outlines(encoded, found)
        distances = self.compare(encoded, found, masks, matches)
        return distances, self.correct(masks, matches, outlines)

    def compare(self, templates, candidates, masks, matches):
        """Tell by subtraction (section 3.3), and by what the boxes hold, how far candidates are.

        Parameters
        ----------
        templates, candidates
            The backbone's features of n templates and n * c candidates.
        masks
            Of the templates, repeated, and of the candidates: (n * c, side, side, 1) each.
        matches
            From `matches`.

        Returns
        -------
        tensor
            (n * c,) logits of the distance.
        """
        necks = self.edge_neck, self.fine_neck, self.coarse_neck
        before, after = (
            [neck_(f) for neck_, f in zip(necks, features, strict=True)]
            for features in (templates, candidates)
        )
        before = [repeated(f, after[0]) for f in before]
        fine, coarse = (b - a for a, b in zip(before[1:], after[1:], strict=True))
        difference = ops.concatenate([self.down(fine), coarse], axis=-1)
        x = ops.concatenate([difference, ops.abs(difference)], axis=-1)
        for convolution, norm in zip(self.tower, self.tower_norms, strict=True):
            x = ops.relu(norm(convolution(x)))
        held = [
            ops.concatenate(
                [
                    pooled_in(f, in_box(mask, stride))
                    for f, stride in ((edge, EDGE_STRIDE), (fine, FINE_STRIDE))
                ],
                axis=-1,
            )
            for (edge, fine, _), mask in zip((before, after), masks, strict=True)
        ]
        missing = held[1] - held[0]
        pooled = [self.pool(x), self.peak(x), *held, missing, ops.abs(missing)]
        for correlation, mask in zip(matches[2:], masks, strict=True):
            best, inside = ops.max(correlation, axis=-1, keepdims=True), in_box(mask, MATCH_STRIDE)
            pooled += [pooled_in(best, inside), -pooled_in(-best, inside)[:, 1:],
                       ops.mean(best, axis=(1, 2))]  # fmt: skip
        return self.logit(self.hidden(ops.concatenate(pooled, axis=-1)))[:, 0]

    def describe(self, features):
        """Turn the backbone's features into unit-variance ones to match, (n, h, w, 32)."""
        edge, fine, coarse = features
        x = self.match_mix(ops.concatenate([self.down(edge), fine, self.up(coarse)], axis=-1))
        x = x + self.match_norm(self.match_context(ops.relu(x)))
        return x / ops.sqrt(ops.mean(x**2, axis=-1, keepdims=True) + 1e-3)

    def matches(self, templates, candidates):
        """Match each cell of a patch with those around its counterpart in the other.

        Parameters
        ----------
        templates, candidates
            The backbone's features of n templates and n * c candidates.

        Returns
        -------
        tuple
            (n * c, h, w, 32) of `describe` of the templates, repeated, and of the candidates; and
            (n * c, h, w, 81) `local_correlation` from the first to the second, and back.
        """
        found = self.describe(candidates)
        described = repeated(self.describe(templates), found)
        correlation = local_correlation(described, found, MATCH_REACH)
        return described, found, correlation, turned_correlation(correlation, MATCH_REACH)

    def outlines(self, templates, candidates):
        """Return what shows where a lesion ends, of the templates, repeated, and of the candidates.

        Parameters
        ----------
        templates, candidates
            The backbone's features of n templates and n * c candidates.

        Returns
        -------
        tuple
            (n * c, h, w, `BAND_CHANNELS`) at 4 and 8 pixels of the templates, then of the
            candidates.
        """
        before, after = (
            [neck_(f) for neck_, f in zip(self.band_necks, features[:2], strict=True)]
            for features in (templates, candidates)
        )
        return *(repeated(f, candidates[0]) for f in before), *after

    def correct(self, masks, matches, outlines):
        """Correct boxes by the mean of what matching says from the prior on, and back.

        Parameters
        ----------
        masks
            Of the templates, repeated, and of the candidates: (n, side, side, 1) each.
        matches, outlines
            Of the methods of that name, of these n candidates.

        Returns
        -------
        tensor
            (n, 4), as `call` returns it.
        """
        described, found, correlation, turned = matches
        sides = [box_sides(mask) for mask in masks]
        before = ops.log(sides[0] / sides[1])
        ways = ((described, found), (correlation, turned), masks, sides)
        both = [ops.concatenate(way, axis=0) for way in ways]
        moves, growths = self.match(*both)
        # Both patches are seen through the one's box, then through the other's.
        own = [ops.concatenate([outlines[k], outlines[k + 2]], axis=0) for k in (0, 1)]
        other = [ops.concatenate([outlines[k + 2], outlines[k]], axis=0) for k in (0, 1)]
        clues = [moves / both[3], growths, ops.concatenate([-before, before], axis=0)]
        growths = growths + self.grow(own, other, both[2], clues)
        count = found.shape[0]
        shift, growth = ((fit[:count] - fit[count:]) / 2 for fit in (moves, growths))
        # The prior's size, grown, but some of the candidate's is kept.
        scale = weigh(before, 1 - self.keep) + weigh(growth, self.gain)
        return ops.concatenate([shift / sides[1], scale], axis=-1)

    def grow(self, own, other, masks, clues):
        """Tell growth by how far the lesion reaches on both patches, seen through one's box.

        Parameters
        ----------
        own, other
            `outlines` of the patch whose box it is, and of the other.
        masks
            (n, side, side, 1) of that box.
        clues
            (n, 2) each, of axis x and y: what else tells of the growth.

        Returns
        -------
        tensor
            (n, 2) logarithms, to be added to the growth of width and height.
        """
        seen = [ops.stack(clues, axis=-1)]
        for features in (own[0], other[0], own[1], other[1]):
            profiles = across_box(features, masks)
            seen.append(ops.reshape(profiles, (masks.shape[0], 2, BANDS * BAND_CHANNELS)))
        return self.band_growth(self.band_hidden(ops.concatenate(seen, axis=-1)))[..., 0]

    def match(self, described, correlation, masks, sides):
        """Match the cells of a patch with another patch's, and fit a shift and two scales.

        Parameters
        ----------
        described, correlation
            (n, h, w, C) of `describe`, and what `local_correlation` says of them and the other's.
        masks, sides
            (n, side, side, 1) of the patch, and its boxes' sides (n, 2) in pixels.

        Returns
        -------
        tuple
            (n, 2) shift x, y of the patch's middle in pixels, and (n, 2) logarithms of the growth
            of width and height.
        """
        reach = MATCH_REACH
        mask = ops.average_pool(masks, MATCH_STRIDE, MATCH_STRIDE)
        share = ops.softmax(correlation * ops.exp(self.sharpness), axis=-1)
        steps = ops.cast(ops.arange(-reach, reach + 1) * MATCH_STRIDE, "float32")
        shifts = ops.reshape(ops.stack(ops.meshgrid(steps, steps, indexing="xy"), axis=-1), (-1, 2))
        shift = ops.matmul(share, shifts)
        spread = ops.matmul(share, shifts**2) - shift**2
        peak = ops.max(share, axis=-1, keepdims=True)
        scaled = [shift / MATCH_STRIDE, spread / MATCH_STRIDE**2]
        clues = ops.concatenate([mask, peak, *scaled, described], axis=-1)

        count = self.side_px // MATCH_STRIDE
        place = ops.cast(MATCH_STRIDE * (ops.arange(count) + 1), "float32") - self.side_px / 2
        x, y = ops.meshgrid(place, place, indexing="xy")
        reaches = MATCH_MARGIN * sides[:, None, None, :] / 2
        far = ops.maximum(ops.abs(x) / reaches[..., 0], ops.abs(y) / reaches[..., 1])
        weight = ops.sigmoid(self.trust(clues)[..., 0]) * ops.exp(-(far**4)) + 1e-6
        weight = weight / ops.sum(weight, axis=(1, 2), keepdims=True)

        moves, growths = [], []
        for axis, place in enumerate((x, y)):
            mean_place = ops.sum(weight * place, axis=(1, 2))
            mean_shift = ops.sum(weight * shift[..., axis], axis=(1, 2))
            offset = place - mean_place[:, None, None]
            covariance = ops.sum(weight * offset * shift[..., axis], axis=(1, 2))
            variance = ops.sum(weight * offset**2, axis=(1, 2))
            stiffness = ops.softplus(self.stiffness) * 10 * MATCH_STRIDE**2
            slope = covariance / (variance + stiffness)
            moves.append(mean_shift - slope * mean_place)
            growths.append(ops.log(1 + ops.clip(slope, LEAST_SLOPE, MOST_SLOPE)))
        return ops.stack(moves, axis=-1), ops.stack(growths, axis=-1)

"""Local search: the tracking network on a pair of patches gives candidate boxes (section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter

import numpy as np
from scipy import ndimage, special

from .box import Box
from .global_search import Alignment
from .mammogram import Mammogram
from .patches import PatchFrame, cut, network_input, reduce_to
from .settings import Settings
from .track import Candidate

STRIDE = 8
READOUT_MM = 1.0
SOFT_ARGMAX_MM = 4.0
AGREEING_MM = 3.0


@dataclass(frozen=True, eq=False)
class Layers:
    """A mammogram ready for cutting patches: reduced image and breast, with their factors."""

    image: np.ndarray
    factor: np.ndarray
    breast: np.ndarray
    breast_factor: np.ndarray
    spacing: tuple[float, float]

    @classmethod
    def of(
        cls,
        mammogram: Mammogram,
        breast: np.ndarray,
        breast_factor: np.ndarray,
        pixel_mm: float,
        is_negative: bool = False,
    ) -> Layers:
        """Reduce a mammogram to about the patches' pixels, a negative as its positive.

        `breast`, and whether it is a negative, come from the alignment. Nothing is darker than 0,
        as what is beyond the image will be.
        """
        if is_negative:
            mammogram = replace(mammogram, pixels=mammogram.pixels.max() - mammogram.pixels)
        image, factor = reduce_to(mammogram, pixel_mm, specks=True)
        if image.min() < 0:
            image = image - image.min()
        return cls(image, factor, breast.astype(np.float32), breast_factor, mammogram.spacing)

    def cut(self, frame: PatchFrame) -> tuple[np.ndarray, np.ndarray]:
        """Cut a patch's intensities and its share of breast, each (side_px, side_px)."""
        raw = cut(self.image, self.factor, frame)
        return raw, cut(self.breast, self.breast_factor, frame)

    def network_input(
        self, frame: PatchFrame, box: Box | None = None, template_input: str = "mask-guided"
    ) -> np.ndarray:
        """Cut a patch and make its three channels; `box`, in image pixels, marks the lesion."""
        marked = None if box is None else frame.box_to_patch(box)
        return network_input(*self.cut(frame), marked, template_input)


@dataclass(frozen=True, eq=False)
class _Readout:
    """The network's maps, averaged over passes, on a grid of mm around the registered point.

    `peaks` (n, 2) are the places, x and y, where each pass alone sees the lesion.
    """

    axis: np.ndarray
    score: np.ndarray
    log_place: np.ndarray
    sides: np.ndarray
    shift: np.ndarray
    peaks: np.ndarray


def _read_passes(outputs, passes, settings: Settings) -> _Readout:
    """Average the passes' maps on one grid; outputs as `TrackingNetwork.call` returns them."""
    reach = np.floor(settings.search_mm / 2 / max(settings.zooms))
    axis = np.arange(-reach, reach + READOUT_MM / 2, READOUT_MM)
    classification, centre_logits, distances = (np.asarray(o, np.float64) for o in outputs)
    flat = special.log_softmax(classification.reshape(len(passes), -1), axis=1)
    maps = np.stack([classification, centre_logits, flat.reshape(classification.shape)], axis=-1)
    maps = np.concatenate([maps, np.log(np.maximum(distances, 1e-3))], axis=-1)
    total, peaks = 0, []
    for values, (zoom, sign) in zip(maps, passes, strict=True):
        pixel_mm = settings.search_mm / zoom / settings.search_px
        columns = (sign * axis / pixel_mm + settings.search_px / 2) / STRIDE - 1
        rows = (axis / pixel_mm + settings.search_px / 2) / STRIDE - 1
        where = np.meshgrid(rows, columns, indexing="ij")
        read = [ndimage.map_coordinates(values[..., k], where, order=1, mode="nearest")
                for k in range(7)]  # fmt: skip
        if sign < 0:
            read[3], read[5] = read[5], read[3]
        read = np.stack(read, axis=-1)
        read[..., 3:] += np.log(pixel_mm)
        total = total + read
        row, column = np.unravel_index(read[..., 2].argmax(), read.shape[:2])
        peaks.append((axis[column], axis[row]))
    mean = total / len(passes)
    score = special.expit(mean[..., 0])
    if settings.centreness:
        score = score * special.expit(mean[..., 1])
    if np.isfinite(settings.prior_sigma_mm):
        squared = axis[:, None] ** 2 + axis[None, :] ** 2
        belief = -squared / (2 * settings.prior_sigma_mm**2)
        score = score * np.exp(belief)
        mean[..., 2] += belief
    left, top, right, bottom = np.moveaxis(np.exp(mean[..., 3:]), -1, 0)
    return _Readout(
        axis,
        score,
        mean[..., 2],
        np.stack([left + right, top + bottom], axis=-1),
        np.stack([right - left, bottom - top], axis=-1) / 2,
        np.array(peaks),
    )


def _soft_argmax(readout: _Readout, point: np.ndarray) -> np.ndarray:
    """Mean place (x, y) in mm of the softmax within 4 mm of a point."""
    x, y = np.meshgrid(readout.axis, readout.axis)
    near = (x - point[0]) ** 2 + (y - point[1]) ** 2 <= SOFT_ARGMAX_MM**2
    weight = special.softmax(readout.log_place[near])
    return np.array([weight @ x[near], weight @ y[near]])


def _suppress(readout: _Readout, settings: Settings) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Non-maximum suppression: the best cells as (point, sides, score), in mm."""
    points = np.stack(np.meshgrid(readout.axis, readout.axis), axis=-1).reshape(-1, 2)
    scores, sides = readout.score.ravel(), readout.sides.reshape(-1, 2)
    centers = points + readout.shift.reshape(-1, 2)
    order = np.argsort(-scores, kind="stable")
    order = order[: max(1, np.count_nonzero(scores > settings.min_tracking_score))]
    kept: list[int] = []
    low, high = centers - sides / 2, centers + sides / 2
    while order.size and len(kept) < settings.max_candidates:
        best, order = order[0], order[1:]
        kept.append(best)
        overlap = np.maximum(
            np.minimum(high[order], high[best]) - np.maximum(low[order], low[best]), 0
        ).prod(axis=1)
        union = sides[order].prod(axis=1) + sides[best].prod() - overlap
        order = order[overlap / union <= settings.nms_iou]
    return [(points[k], sides[k], float(scores[k])) for k in kept]


def search(
    network: Callable,
    prior: Layers,
    current: Layers,
    boxes: Sequence[Box],
    alignment: Alignment,
    settings: Settings,
) -> list[tuple[Candidate, ...]]:
    """Look for lesions, each around its registered point, in one batch.

    The search patch is cut through the affine map's matrix, so that the network sees both
    breasts at one scale and angle. The maps of all zooms, plain and mirrored, are averaged; a
    candidate's centre is the soft-argmax of the classification map within 4 mm of its cell, its
    sides come from the box distances.

    Parameters
    ----------
    network
        Runs a `TrackingNetwork` with its weights: called with its inputs, gives arrays.
    prior, current
        From `Layers.of`.
    boxes
        The lesions, in pixels of the prior.
    alignment
        Of this pair.
    settings
        The sizes the network was trained with.

    Returns
    -------
    list of tuple of Candidate
        For each lesion, best first, in pixels of the current; at least one, however low its score.
        Where the best tracking score is under `Settings.wide_below` and the outlines overlap by
        less than `Settings.wide_dice`, the registration may be lost: then places around the search
        patch are searched too, once each, and those from that score on join.
    """
    places = [alignment.map_points(np.array(box.center))[0] for box in boxes]
    inputs = [
        patches
        for box, place in zip(boxes, places, strict=True)
        for patches in _inputs_of(prior, current, box, place, alignment, settings)
    ]
    outputs = network(*(np.array(a, np.float32) for a in zip(*inputs, strict=True)))
    result = []
    for k, (box, place) in enumerate(zip(boxes, places, strict=True)):
        own = np.s_[k * len(settings.passes) : (k + 1) * len(settings.passes)]
        readout = _read_passes([output[own] for output in outputs], settings.passes, settings)
        found = _candidates(readout, place, current, alignment, settings)
        lost = found[0].tracking_score < settings.wide_below
        if lost and alignment.dice < settings.wide_dice:
            around = _search_around(network, prior, current, box, place, alignment, settings)
            found = _joined(found, around, settings)
        result.append(found)
    return result


def _inputs_of(
    prior: Layers,
    current: Layers,
    box: Box,
    place: np.ndarray,
    alignment: Alignment,
    settings: Settings,
) -> list[tuple[np.ndarray, np.ndarray, tuple[float, float]]]:
    """Cut template and search patch of every pass, with the lesion's size in search pixels."""
    ratio = settings.search_per_template_pixel
    inputs = []
    for zoom, passes in groupby(settings.passes, itemgetter(0)):
        frame = PatchFrame.around(
            box.center, prior.spacing, settings.template_mm / zoom, settings.template_px
        )
        template = prior.network_input(frame, box, settings.template_input)
        marked = frame.box_to_patch(box)
        patch = current.network_input(
            PatchFrame.around(
                place,
                current.spacing,
                settings.search_mm / zoom,
                settings.search_px,
                alignment.matrix,
            )  # fmt: skip
        )
        for _, sign in passes:
            size = marked.width * ratio, marked.height * ratio
            inputs.append((template[:, ::sign], patch[:, ::sign], size))
    return inputs


def _joined(
    found: tuple[Candidate, ...], around: list[Candidate], settings: Settings
) -> tuple[Candidate, ...]:
    """Join likely candidates from farther off, best first; of those that overlap, the best."""
    likely = [c for c in around if c.tracking_score >= settings.wide_below]
    best: list[Candidate] = []
    for candidate in sorted((*found, *likely), key=lambda c: -c.tracking_score):
        if all(candidate.box.iou(other.box) <= settings.nms_iou for other in best):
            best.append(candidate)
    return tuple(best[: settings.max_candidates])


def _candidates(
    readout: _Readout,
    place: np.ndarray,
    current: Layers,
    alignment: Alignment,
    settings: Settings,
) -> tuple[Candidate, ...]:
    """Turn the maps around a place of the current, in pixels, into candidates, best first."""
    to_image = PatchFrame.around(
        place, current.spacing, 1.0, 1, alignment.matrix, is_sideways=alignment.is_sideways
    )
    found = []
    for point, sides, score in _suppress(readout, settings):
        middle = _soft_argmax(readout, point)
        agreeing = np.hypot(*(readout.peaks - middle).T) <= AGREEING_MM
        box = to_image.box_to_image(Box.from_center(*(middle + 0.5), *sides))
        found.append(Candidate(box, score, agreement=float(agreeing.mean())))
    return tuple(found)


def _search_around(
    network: Callable,
    prior: Layers,
    current: Layers,
    box: Box,
    registered: np.ndarray,
    alignment: Alignment,
    settings: Settings,
) -> list[Candidate]:
    """Search patches on a circle around the registered point, each once and at scale 1.

    None of the usual passes saw the lesion there, so that the candidates' agreement is 0.
    """
    # As many as the usual passes, so that the network is compiled for one shape only.
    count = len(settings.passes)
    frame = PatchFrame.around(box.center, prior.spacing, settings.template_mm, settings.template_px)
    template = prior.network_input(frame, box, settings.template_input)
    frame_box, ratio = frame.box_to_patch(box), settings.search_per_template_pixel
    in_mm = PatchFrame.around(registered, current.spacing, 1.0, 1, alignment.matrix)
    angles = 2 * np.pi * np.arange(count) / count
    offsets = settings.wide_mm * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    places = in_mm.to_image(offsets + 0.5)
    patches = [
        current.network_input(
            PatchFrame.around(
                place, current.spacing, settings.search_mm, settings.search_px, alignment.matrix
            )
        )
        for place in places
    ]
    outputs = network(
        np.repeat(template[None], count, axis=0),
        np.array(patches, np.float32),
        np.full((count, 2), (frame_box.width * ratio, frame_box.height * ratio), np.float32),
    )
    once = replace(settings, zooms=(1.0,))
    found: list[Candidate] = []
    for k, place in enumerate(places):
        readout = _read_passes([o[k : k + 1] for o in outputs], [(1.0, 1)], once)
        found += _candidates(readout, place, current, alignment, settings)
    return [replace(candidate, agreement=0.0) for candidate in found]

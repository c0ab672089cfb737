"""What the similarity network does with the cells of its patches: correlate and pool them."""

from __future__ import annotations

from keras import ops

BANDS, BAND_STEP = 17, 0.2
"""Bands across a box whose means are compared, and how far apart, in halves of its side."""
BLANK_FEATURE = -30.0
"""Lower than any feature: stands for cells outside a box where the strongest inside is sought."""


def local_correlation(first, second, reach: int):
    """Correlate each cell with the cells around its counterpart, over all channels.

    Parameters
    ----------
    first, second
        (n, h, w, C).
    reach
        Largest shift in cells, along each axis.

    Returns
    -------
    tensor
        (n, h, w, (2 reach + 1) ** 2), zero-padded at the border.
    """
    return ops.stack(
        [ops.mean(first * moved, axis=-1) for moved in moved_cells(second, reach)], axis=-1
    )


def turned_correlation(correlation, reach: int):
    """Return what `local_correlation(second, first, reach)` is, from that of (first, second).

    What a cell has in common with one so many cells away, that one has with it the other way.
    """
    moved = moved_cells(correlation, reach)
    return ops.stack([cells[..., -1 - k] for k, cells in enumerate(moved)], axis=-1)


def moved_cells(cells, reach: int) -> list:
    """Move (n, h, w, C) by every shift of up to `reach` cells, rows first; zeros come in."""
    _, height, width, _ = cells.shape
    padded = ops.pad(cells, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    shifts = range(2 * reach + 1)
    return [padded[:, y : y + height, x : x + width] for y in shifts for x in shifts]


def box_sides(masks):
    """Width and height (n, 2) in pixels of the boxes in masks (n, s, s, 1)."""
    return ops.stack([ops.max(ops.sum(masks[..., 0], axis=k), axis=1) for k in (2, 1)], axis=-1)


def in_box(masks, stride: int):
    """Share (n, h, w, 1) of each cell of `stride` pixels and its neighbours that a box covers."""
    return ops.max_pool(ops.average_pool(masks, stride, stride), 3, 1, padding="same")


def pooled_in(features, inside):
    """Mean and maximum (n, 2 C) of features (n, h, w, C) over the cells of `in_box`."""
    mean = ops.sum(features * inside, axis=(1, 2)) / (ops.sum(inside, axis=(1, 2)) + 1e-3)
    kept = ops.where(inside > 0, features, BLANK_FEATURE)
    return ops.concatenate([mean, ops.max(kept, axis=(1, 2))], axis=-1)


def across_box(features, masks):
    """Mean of features in bands that lie across the middle of a box, along either axis.

    Parameters
    ----------
    features
        (n, h, h, C).
    masks
        (n, s, s, 1), each a box in the middle of its patch.

    Returns
    -------
    tensor
        (n, 2, `BANDS`, C): of axis x and y; the bands go from one end of the box to the other and
        beyond, and are as long as the box.
    """
    side, count = masks.shape[1], features.shape[1]
    stride = side // count
    place = ops.cast(stride * ops.arange(count), "float32") + (stride - side) / 2
    halves = ops.maximum(box_sides(masks), stride) / 2
    along = place / halves[..., None]
    bands = BAND_STEP * (ops.arange(BANDS, dtype="float32") - BANDS // 2)
    tent = ops.relu(1 - ops.abs(along[:, :, None] - bands[:, None]) / BAND_STEP)
    # Boxes of few cells: a band falls between two cells, but never is empty.
    tent = tent + 1e-4 * ops.exp(-((along[:, :, None] - bands[:, None]) ** 2))
    inside = ops.clip((1 - ops.abs(along)) * halves[..., None] / stride + 0.5, 0, 1) + 1e-6
    tent = tent / ops.sum(tent, axis=-1, keepdims=True)
    inside = inside / ops.sum(inside, axis=-1, keepdims=True)
    rows = ops.reshape(features, (features.shape[0], count, -1))
    columns = ops.matmul(inside[:, 1:], rows)  # the mean of the box's rows
    columns = ops.reshape(columns, (features.shape[0], 1, count, -1))
    rows = ops.matmul(inside[:, None, :1], features)  # and of its columns
    rows = ops.reshape(rows, (features.shape[0], 1, count, -1))
    return ops.matmul(tent, ops.concatenate([columns, rows], axis=1))

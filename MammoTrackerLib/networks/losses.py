"""Losses of the tracking network (paper, section 3.2)."""

from __future__ import annotations

import keras
from keras import ops

from .backbone import FINE_STRIDE


def focal(logits, target, gamma: float = 2.0):
    """Focal loss for targets between 0 and 1, element by element.

    Binary cross-entropy times ``|target - probability| ** gamma``.
    """
    probability = ops.sigmoid(logits)
    entropy = ops.maximum(logits, 0) - logits * target + ops.softplus(-ops.abs(logits))
    return ops.abs(target - probability) ** gamma * entropy


def centreness(distances):
    """Centre-ness of points with these box distances (equation 1).

    Parameters
    ----------
    distances
        (..., 4): left, top, right, bottom; negative outside the box.

    Returns
    -------
    tensor
        (...), 1 at the box's centre, 0 on its border and outside.
    """
    distances = ops.maximum(distances, 0)
    left, top, right, bottom = (distances[..., k] for k in range(4))
    across = ops.minimum(left, right) / (ops.maximum(left, right) + 1e-6)
    down = ops.minimum(top, bottom) / (ops.maximum(top, bottom) + 1e-6)
    return ops.sqrt(across * down + 1e-12)


def iou(predicted, target):
    """IoU of boxes (..., 4), x0, y0, x1, y1: (...)."""
    low = ops.maximum(predicted[..., :2], target[..., :2])
    high = ops.minimum(predicted[..., 2:], target[..., 2:])
    overlap = ops.prod(ops.maximum(high - low, 0), axis=-1)
    areas = [ops.prod(box[..., 2:] - box[..., :2], axis=-1) for box in (predicted, target)]
    return overlap / (areas[0] + areas[1] - overlap + keras.backend.epsilon())


def eiou(predicted, target):
    """EIoU loss of boxes (equation 3).

    Parameters
    ----------
    predicted, target
        (..., 4): x0, y0, x1, y1.

    Returns
    -------
    tensor
        (...): 1 - IoU + centre, width and height terms.
    """
    px0, py0, px1, py1 = (predicted[..., k] for k in range(4))
    tx0, ty0, tx1, ty1 = (target[..., k] for k in range(4))
    enclosing_w = ops.maximum(px1, tx1) - ops.minimum(px0, tx0)
    enclosing_h = ops.maximum(py1, ty1) - ops.minimum(py0, ty0)
    centre = ((px0 + px1 - tx0 - tx1) / 2) ** 2 + ((py0 + py1 - ty0 - ty1) / 2) ** 2
    small = keras.backend.epsilon()
    return (
        1
        - iou(predicted, target)
        + centre / (enclosing_w**2 + enclosing_h**2 + small)
        + ((px1 - px0) - (tx1 - tx0)) ** 2 / (enclosing_w**2 + small)
        + ((py1 - py0) - (ty1 - ty0)) ** 2 / (enclosing_h**2 + small)
    )


def tracking_loss(outputs, centres, boxes, present):
    """Total loss of the tracking network (equation 2), averaged over the batch.

    Classification is focal on a Gaussian of 0.8 cells around the lesion, plus half of the
    cross-entropy between the map's softmax and a Gaussian of 1 cell, which makes the map a
    distribution over places. Centre-ness is focal inside the box. EIoU is weighted by a
    Gaussian of 1.5 cells.

    Parameters
    ----------
    outputs
        What `TrackingNetwork` returns for n templates.
    centres
        (n, 2): x, y of the lesion in search pixels.
    boxes
        (n, 4): x0, y0, x1, y1 of the lesion in search pixels.
    present
        (n,): 1 where the lesion is in the search patch, else 0.

    Returns
    -------
    dict
        ``loss`` and its parts, scalars.
    """
    classification, centre_logits, distances = outputs
    _, height, width = classification.shape
    stride = FINE_STRIDE
    x = ops.cast(stride * (ops.arange(width) + 1), "float32")[None, None, :]
    y = ops.cast(stride * (ops.arange(height) + 1), "float32")[None, :, None]
    squared = (
        (x - centres[:, 0, None, None]) ** 2 + (y - centres[:, 1, None, None]) ** 2
    ) / stride**2
    here = present[:, None, None]

    heat = ops.exp(-squared / (2 * 0.8**2)) * here
    cls = ops.sum(focal(classification, heat), axis=(1, 2))

    wanted = ops.exp(-squared / 2)
    wanted = wanted / (ops.sum(wanted, axis=(1, 2), keepdims=True) + 1e-6)
    flat = ops.reshape(classification, (-1, height * width))
    log_softmax = ops.reshape(ops.log_softmax(flat, axis=-1), (-1, height, width))
    place = -ops.sum(wanted * log_softmax, axis=(1, 2)) * present

    x, y = x + 0 * y, y + 0 * x
    points = ops.stack([x, y, x, y], axis=-1)
    sign = ops.convert_to_tensor([1.0, 1.0, -1.0, -1.0])
    true_distances = (points - boxes[:, None, None, :]) * sign
    target = centreness(true_distances)
    inside = ops.cast(ops.min(true_distances, axis=-1) > 0, "float32") * here
    near = ops.maximum(inside, ops.exp(-squared / 2)) * here
    ctr = ops.sum(focal(centre_logits, target * here, 1.0) * near, axis=(1, 2)) / (
        ops.sum(near, axis=(1, 2)) + 1e-6
    )

    predicted = points - sign * distances
    weight = ops.exp(-squared / (2 * 1.5**2)) * here
    reg = ops.sum(
        weight * eiou(predicted, boxes[:, None, None, :] + ops.zeros_like(predicted)), axis=(1, 2)
    ) / (ops.sum(weight, axis=(1, 2)) + 1e-6)

    parts = {"cls": cls, "place": place, "ctr": ctr, "reg": reg}
    parts = {name: ops.mean(value) for name, value in parts.items()}
    parts["loss"] = parts["cls"] + 0.5 * parts["place"] + 0.5 * parts["ctr"] + parts["reg"]
    return parts

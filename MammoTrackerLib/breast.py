"""The breast's outline on a mammogram."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .box import Box

SKIN_PX, MIN_BREAST = 2, 0.5
MAX_FRAME_PX, FRAME_SHARE, FRAME_EVENNESS = 20, 0.7, 0.08
NO_AIR_LEVEL, NO_AIR_SPREAD, NO_AIR_GAP = 0.08, 0.1, 1.9
AIR_EVENNESS, MIN_AIR, MIN_AIR_RATIO, MAX_DARKEST = 0.04, 0.15, 4.0, 0.5
AIR_BORDER = (0.15, 0.9)
FILL_EVENNESS, BELOW_AIR, ABOVE_TISSUE, MIN_INNER_PX = 0.005, 0.02, 4.0, 30
SCAN_ANGLES = np.concatenate([np.arange(-15, 0, 0.25), np.arange(0.25, 15.25, 0.25)])
SCAN_PLACES, EDGE_PX, MAX_INSIDE = 2000, 1.5, 0.05


def without_outliers(image: np.ndarray) -> np.ndarray:
    """Clip what no tissue and no air is: dead and hot pixels, labels far brighter than tissue.

    One pixel far below the air would else pass for air, and the air for breast. So would the
    corners of a scan that was turned, which get the air's value.

    Parameters
    ----------
    image
        (rows, columns) intensities at pixels of about 1 mm.

    Returns
    -------
    numpy.ndarray
        (rows, columns); the image itself where nothing is clipped.
    """
    image = _with_air_beside(image)
    low, high = np.percentile(image, [0.5, 99])
    lowest, highest = low - BELOW_AIR * (high - low), high + ABOVE_TISSUE * (high - low)
    if low == high or (image.min() >= lowest and image.max() <= highest):
        return image
    return np.clip(image, low if image.min() < lowest else None, highest)


def _with_air_beside(image: np.ndarray) -> np.ndarray:
    """Give the padding beside a turned scan the air's value, if that is another one.

    Padding is even, has the image's lowest value, reaches the border and lies outside of a turned
    rectangle, as no air beside a breast does: that is in the corners of any rectangle around it.
    And there is brighter air.
    """
    lowest, high = image.min(), np.percentile(image, 99)
    is_low = image <= lowest + FILL_EVENNESS * (high - lowest)
    labels, _ = ndimage.label(is_low)
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    padding = is_low & np.isin(labels, border)
    shown = ~ndimage.binary_dilation(padding)
    if not padding.any() or not shown.any():
        return image
    low, high = np.percentile(image[shown], [0.5, 99])
    if low - lowest <= BELOW_AIR * (high - low):
        return image
    filled = np.where(shown, image, low)
    is_positive = not is_negative(filled)
    if is_positive and np.mean(image[shown] <= low + NO_AIR_SPREAD * (high - low)) < MIN_AIR:
        return image
    if not _is_beside_a_turned_scan(padding):  # last, since it takes longest
        return image
    if is_positive:
        return filled
    nearest = ndimage.distance_transform_edt(~shown, return_distances=False, return_indices=True)
    return image[tuple(nearest)]


def _is_beside_a_turned_scan(padding: np.ndarray) -> bool:
    """Whether what is beside the rest is beside a turned rectangle around it, which that fills."""
    scan = np.argwhere(~padding & ndimage.binary_dilation(padding, border_value=1))
    places = np.argwhere(padding)
    most = MAX_INSIDE * min(1, np.count_nonzero(~padding) / len(places))
    places = places[:: max(1, len(places) // SCAN_PLACES)]
    for angle in np.deg2rad(SCAN_ANGLES):
        axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        outline = scan @ axes
        ends = outline.min(axis=0) + EDGE_PX, outline.max(axis=0) - EDGE_PX
        inside = ((places @ axes > ends[0]) & (places @ axes < ends[1])).all(axis=1)
        if inside.mean() <= most:
            return True
    return False


def is_negative(image: np.ndarray) -> bool:
    """Tell whether air is bright and tissue dark, as in a MONOCHROME1 image exported as it is.

    Then the brightest is even, as air is, on 15 % of the image and of its border, but not on all of
    it, since there is a chest wall; and the darkest is not even: at most a fourth as much is as
    dark as it, and less than half of what is not air.

    Parameters
    ----------
    image
        (rows, columns) intensities at pixels of about 1 mm, without a film's frame.
    """
    low, high = np.percentile(image, [0.5, 99.5])
    near = AIR_EVENNESS * (high - low)
    air = image >= high - near
    border = np.concatenate([air[0], air[-1], air[:, 0], air[:, -1]])
    bright, dark = air.mean(), (image <= low + near).mean()
    return bool(
        low < high
        and bright >= max(MIN_AIR, MIN_AIR_RATIO * dark)
        and AIR_BORDER[0] <= border.mean() <= AIR_BORDER[1]
        and dark < MAX_DARKEST * (1 - bright)
    )


def positive(image: np.ndarray) -> np.ndarray:
    """Return an image with dense tissue bright: a negative's negative, or the image itself."""
    return image.max() + image.min() - image if is_negative(image) else image


def without_frame(image: np.ndarray) -> tuple[slice, slice]:
    """Find what lies inside a frame, as around scanned films, and inside of padding.

    From each side, up to 20 lines are cut off, to the last one that is evenly bright along 70 %
    of its length, and darker by as much just inside of it; so a frame may have one to four
    sides, and a black margin around it. A grey frame must be more even than any film, and differ
    from what is inside of it. Before that, all lines at the sides that hold nothing but
    the image's lowest value are cut off, if what is inside of them has air that is brighter.

    Parameters
    ----------
    image
        (rows, columns) intensities at pixels of about 1 mm.

    Returns
    -------
    tuple of slice
        The rows and the columns that are image; all of them where there is no frame.
    """
    rows, columns = _without_padding(image)
    inner_rows, inner_columns = _without_drawn_frame(image[rows, columns])
    return (
        slice(rows.start + inner_rows.start, rows.start + inner_rows.stop),
        slice(columns.start + inner_columns.start, columns.start + inner_columns.stop),
    )


def _without_padding(image: np.ndarray) -> tuple[slice, slice]:
    """Cut off lines at the sides that are lower than air, and the mixed one beside them."""
    whole = slice(0, image.shape[0]), slice(0, image.shape[1])
    is_fill = image <= image.min() + FILL_EVENNESS * np.ptp(image)
    ends = []
    for is_line in (is_fill.all(axis=1), is_fill.all(axis=0)):
        kept = np.flatnonzero(~is_line)
        if len(kept) < MIN_INNER_PX:
            return whole
        start, stop = int(kept[0]), int(kept[-1]) + 1
        ends.append(slice(start + (start > 0), stop - (stop < len(is_line))))
    inner = image[tuple(ends)]
    low, high = np.percentile(inner, [0.5, 99])
    return (ends[0], ends[1]) if low - image.min() > BELOW_AIR * (high - low) else whole


def _without_drawn_frame(image: np.ndarray) -> tuple[slice, slice]:
    """Cut off a frame, as `without_frame` does."""
    lowest, highest = np.percentile(image, [0.5, 99.8])
    even = FRAME_EVENNESS * (highest - lowest)
    bright = lowest + (highest - lowest) / 2
    ends = []
    for lines in (image, image.T):
        sides = []
        for side in (lines, lines[::-1]):
            outer = side[: min(MAX_FRAME_PX, len(side) // 4)]
            inner = side[2 : 2 + len(outer)]
            level = np.median(outer, axis=1, keepdims=True)
            inside = (np.abs(outer - level) <= even) & (outer - inner > even)
            is_last = (inside.mean(axis=1) >= FRAME_SHARE) & (level[:, 0] >= bright)
            drawn = (np.abs(outer - level) <= even / 4) & (np.abs(outer - inner) > even)
            is_grey = level[:, 0] > lowest + even
            is_last |= (drawn.mean(axis=1) >= FRAME_SHARE) & is_grey
            last = int(np.flatnonzero(is_last).max(initial=0))
            # A single line is no frame; the line inside of a frame shows both.
            sides.append(last + 2 if last else 0)
        ends.append(slice(sides[0], len(lines) - sides[1]))
    return ends[0], ends[1]


def breast_mask(image: np.ndarray) -> np.ndarray:
    """Separate the breast from the background, from labels and from a film's white frame.

    Otsu's threshold on log intensity, opened by two pixels, the component with the most light, its
    holes filled. Where the image shows no air, so that the threshold would part fat from gland, all
    of it is breast.

    Parameters
    ----------
    image
        (rows, columns) intensities at pixels of about 1 mm.

    Returns
    -------
    numpy.ndarray
        (rows, columns) bool; empty where nothing stands out.
    """
    shown = without_frame(image)
    mask = np.zeros(image.shape, bool)
    mask[shown] = _unframed_mask(positive(without_outliers(image[shown])))
    return mask


def _unframed_mask(image: np.ndarray) -> np.ndarray:
    log = np.log1p(np.maximum(image - image.min(), 0) * (1000 / max(np.ptp(image), 1e-6)))
    threshold = sitk.OtsuThreshold(sitk.GetImageFromArray(log.astype(np.float32)), 0, 1)
    above = sitk.GetArrayFromImage(threshold) > 0
    if not _shows_air(image, log, above):
        return np.ones(image.shape, bool)
    mask = np.pad(above, 2, mode="edge")
    mask = ndimage.binary_opening(mask, iterations=2)[2:-2, 2:-2]
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    light = np.bincount(labels.ravel(), weights=(image - image.min()).ravel())
    largest = np.argmax(light[1:]) + 1
    return ndimage.binary_fill_holes(labels == largest)


def _shows_air(image: np.ndarray, log: np.ndarray, above: np.ndarray) -> bool:
    """Whether what is under the threshold is dark, or even, or far from the rest, as air is."""
    if above.all() or not above.any():
        return True
    lowest = image.min()
    low, middle, high = (np.percentile(image[~above], [10, 50, 90]) - lowest) / max(
        np.percentile(image, 99) - lowest, 1e-6
    )
    gap = np.median(log[above]) - np.median(log[~above])
    return middle < NO_AIR_LEVEL or high - low < NO_AIR_SPREAD or gap > NO_AIR_GAP


def breast_share(box: Box, breast: np.ndarray, factor: np.ndarray) -> float:
    """Return how much of a box, as far as it is on the image, lies on the breast.

    What is up to two pixels of the outline outside of it counts as breast, since a lesion under
    the skin reaches to the air.

    Parameters
    ----------
    box
        In image pixels.
    breast
        (rows, columns) bool outline.
    factor
        (2,) x, y: image pixels per pixel of the outline.

    Returns
    -------
    float
        0 to 1; 0 for a box that is not on the image.
    """
    rows, columns = (
        np.clip(np.minimum(edges + 1, end) - np.maximum(edges, start), 0, 1)
        for edges, start, end in (
            (np.arange(breast.shape[0]), box.y0 / factor[1], box.y1 / factor[1]),
            (np.arange(breast.shape[1]), box.x0 / factor[0], box.x1 / factor[0]),
        )
    )
    area = rows.sum() * columns.sum()
    near = ndimage.binary_dilation(breast, iterations=SKIN_PX)
    return float(rows @ near @ columns / area) if area > 0 else 0.0


def is_on_breast(box: Box, breast: np.ndarray, factor: np.ndarray) -> bool:
    """Whether at least half of a box is breast, see `breast_share`, or no breast was made out."""
    return not breast.any() or breast_share(box, breast, factor) >= MIN_BREAST


def lean(breast: np.ndarray) -> float:
    """Return how far the breast's centre is right of the image's, as a share of the width.

    Parameters
    ----------
    breast
        (rows, columns) bool, with at least one pixel set.

    Returns
    -------
    float
        -0.5 to 0.5; negative if the breast lies at the left.
    """
    columns = breast.sum(axis=0)
    middle = np.average(np.arange(len(columns)), weights=columns)
    return float((middle - (len(columns) - 1) / 2) / len(columns))


def wall_is_left(image: np.ndarray) -> bool:
    """Tell on which side of a mammogram the chest wall is; the left one if one cannot say.

    Parameters
    ----------
    image
        (rows, columns) intensities at pixels of about 1 mm; brighter is denser tissue.
    """
    breast = breast_mask(image)
    return not breast.any() or lean(breast) <= 0

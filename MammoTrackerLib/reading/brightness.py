"""What a DICOM mammogram's stored values mean: brightness, denser tissue brighter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..errors import MammoTrackerError

if TYPE_CHECKING:
    import pydicom

_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2.1"
# Of the pixels, how many a window must show between its black and its white; and of the denser
# ones, how many not white, unless those are as even as a label or the air of a negative.
_SHOWN, _NOT_WHITE, _EVEN = 0.005, 0.02, 0.04
_MISSED = (
    "The file's window or VOI LUT (WindowCenter, VOILUTSequence) misses the pixels: "
    "another one, or none, was applied."
)


def brightness(values: np.ndarray, header: pydicom.Dataset) -> tuple[np.ndarray, tuple[str, ...]]:
    """Turn stored values into brightness, float32, denser tissue brighter.

    Every step maps a value whatever its place, so it is applied to the few possible
    values, and the pixels look theirs up.
    """
    lowest, highest = int(values.min()), int(values.max())
    # In strips, since numpy counts and looks up with eight bytes a pixel.
    strips = [np.s_[row : row + 256] for row in range(0, len(values), 256)]
    counts = np.zeros(highest - lowest + 1, np.int64)
    for strip in strips:
        counts += np.bincount(values[strip].ravel().astype(np.int64) - lowest, None, len(counts))
    levels = lowest + np.arange(len(counts))
    counts[_is_padding(levels, header)] = 0
    is_used = counts > 0
    if not is_used.any():
        raise MammoTrackerError("The image is empty: it holds padding alone.")
    remarks: tuple[str, ...] = ()
    is_raw = (
        header.get("PresentationIntentType") == "FOR PROCESSING"
        or header.get("SOPClassUID") == _FOR_PROCESSING
    )
    if is_raw:
        table = _log_density(_rescaled(levels, header), counts, header)
    else:
        table, remarks = _windowed(_rescaled(levels, header), counts, header)
        if header.PhotometricInterpretation == "MONOCHROME1":
            table = table[is_used].max() + table[is_used].min() - table
    table[~is_used] = table[is_used].min()
    table = table.astype(np.float32)
    pixels = np.empty(values.shape, np.float32)
    for strip in strips:
        pixels[strip] = table[values[strip].astype(np.int64) - lowest]
    return pixels, remarks


def _is_padding(levels: np.ndarray, header: pydicom.Dataset) -> np.ndarray:
    first = header.get("PixelPaddingValue")
    if first is None:
        return np.zeros(levels.shape, dtype=bool)
    last = header.get("PixelPaddingRangeLimit")
    # Either may be written as if the pixels had no sign, or one.
    is_signed = levels[0] < 0 or (header.get("PixelRepresentation") and levels[-1] < 2**15)
    lowest = -(2**15) if is_signed else 0
    low, high = sorted(
        (int(value) - lowest) % 2**16 + lowest for value in (first, first if last is None else last)
    )
    return (levels >= low) & (levels <= high)


def _rescaled(levels: np.ndarray, header: pydicom.Dataset) -> np.ndarray:
    if header.get("ModalityLUTSequence"):
        return _looked_up(levels, header.ModalityLUTSequence[0], header)
    slope = header.get("RescaleSlope")
    intercept = header.get("RescaleIntercept")
    return levels * float(1 if slope is None else slope) + float(intercept or 0)


def _windowed(
    values: np.ndarray, counts: np.ndarray, header: pydicom.Dataset
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Apply the first VOI LUT or window that shows something of the values, else none."""
    ends = np.array([-1e9, 1e9])
    remarks: tuple[str, ...] = ()
    for apply in _voi_functions(header):
        try:
            mapped = apply(np.concatenate([values, ends]))
        except (AttributeError, ValueError):
            continue  # without its data, or a width that DICOM forbids, often 0: the same as none
        table = mapped[: len(values)]
        if _shows(values, mapped, counts, header.PhotometricInterpretation == "MONOCHROME1"):
            return table, remarks
        remarks = (_MISSED,)
    return values, remarks


def _shows(values: np.ndarray, mapped: np.ndarray, counts: np.ndarray, is_inverted: bool) -> bool:
    """Whether a window shows something of the pixels: it maps their values, and then its ends."""
    place = (mapped[: len(values)] - mapped.min()) / max(np.ptp(mapped), 1e-6)
    if counts[(place > 1e-3) & (place < 1 - 1e-3)].sum() < _SHOWN * counts.sum():
        return False
    low, high = _quantiles(values, counts, (0.01, 0.99))
    is_dense, is_white = values > (low + high) / 2, place >= 1 - 1e-3
    if is_inverted:
        is_dense, is_white = values < (low + high) / 2, place <= 1e-3
    dense = np.where(is_dense, counts, 0)
    if dense[~is_white].sum() >= _NOT_WHITE * dense.sum():
        return True
    return np.ptp(_quantiles(values, dense, (0.25, 0.75))) < _EVEN * (high - low)


def _quantiles(values: np.ndarray, counts: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    order = np.argsort(values)
    sums = np.cumsum(counts[order])
    return values[order[np.searchsorted(sums, np.multiply(shares, sums[-1]))]]


def _voi_functions(header: pydicom.Dataset) -> Iterator[Callable[[np.ndarray], np.ndarray]]:
    from pydicom.pixels import apply_windowing

    for item in header.get("VOILUTSequence") or ():
        yield partial(_looked_up, item=item, header=header)
    if header.get("WindowCenter") is None or header.get("WindowWidth") is None:
        return
    if not header.get("VOILUTFunction"):
        header.VOILUTFunction = "LINEAR"
    for index in range(min(header["WindowCenter"].VM, header["WindowWidth"].VM)):
        yield partial(apply_windowing, ds=header, index=index)


def _looked_up(values: np.ndarray, item: pydicom.Dataset, header: pydicom.Dataset) -> np.ndarray:
    """Map values through a LUT, those beyond its ends to its ends (DICOM PS3.3 C.11.2.1.1).

    pydicom's own wraps values around where the LUT gives fewer bits than it takes. The first
    value has 16 bits, and whether one of them is a sign is told wrongly at times: it counts as
    what meets more of the values.
    """
    count, first, _ = (int(number) for number in item.LUTDescriptor)
    count = count % 2**16 or 2**16
    data = item.LUTData
    if isinstance(data, bytes):
        order = ">" if header.original_encoding[1] is False else "<"
        data = np.frombuffer(data, f"{order}u2" if len(data) >= 2 * count else "u1")
    lut = np.asarray(data, dtype=float)[:count]
    places = np.rint(values).astype(int) - first
    shifted = max(
        (places, places + 2**16, places - 2**16),
        key=lambda some: np.count_nonzero((some >= 0) & (some < len(lut))),
    )
    return lut[np.clip(shifted, 0, len(lut) - 1)]


def _log_density(values: np.ndarray, counts: np.ndarray, header: pydicom.Dataset) -> np.ndarray:
    """Turn values for processing, which follow the X-rays, into 0 (background) to 4095.

    PixelIntensityRelationshipSign 1 means that low values had few X-rays, so are dense;
    where it is missing, so does MONOCHROME1. The lowest 0.1 % of the signal is clipped:
    it is dead pixels and labels.
    """
    is_used = counts > 0
    sign = header.get("PixelIntensityRelationshipSign")
    if sign is None:
        sign = 1 if header.PhotometricInterpretation == "MONOCHROME1" else -1
    top, bottom = values[is_used].max(), values[is_used].min()
    signal = values if int(sign) == 1 else top + bottom - values
    if header.get("PixelIntensityRelationship") != "LOG":
        usable = np.where(signal > 0, counts, 0)
        share = np.cumsum(usable[np.argsort(signal)]) / max(usable.sum(), 1)
        floor = np.sort(signal)[min(np.searchsorted(share, 0.001), len(signal) - 1)]
        signal = np.log(np.maximum(signal, max(floor, 1e-6)))
    top, bottom = signal[is_used].max(), signal[is_used].min()
    return (top - signal) * (4095 / max(top - bottom, 1e-6))


def first_window(header: pydicom.Dataset) -> tuple[float, float] | None:
    values = []
    for keyword in ("WindowCenter", "WindowWidth"):
        value = header.get(keyword)
        if value is None or np.size(value) == 0:
            return None
        values.append(float(np.atleast_1d(value)[0]))
    center, width = values
    if header.get("PhotometricInterpretation") == "MONOCHROME1":
        # ITK takes stored values from the largest plus the lowest possible one, then rescales.
        ends = -1 if header.PixelRepresentation else 2**header.BitsStored - 1
        center = _rescaled(np.array([ends, 0]), header).sum() - center
    return (float(center), width) if width > 0 else None

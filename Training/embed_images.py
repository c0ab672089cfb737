"""EMBED's DICOM files as PNGs of 0.07 mm, and boxes in their pixels."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

from rich.console import Console
from rich.progress import track

from MammoTrackerLib.box import Box
from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.mammogram import Header, Mammogram
from MammoTrackerLib.output_folder import cannot_write
from MammoTrackerLib.reading.embed import Unusable, dicom_corners

from .embed_annotations import Annotation
from .embed_tables import Image

SPACING_MM = 0.07
_CONVERSION = 1  # to be raised when what `_convert` writes changes, so that old files go unused


@dataclass(frozen=True)
class Converted:
    """An image at 0.07 mm, and how to come to it from the pixels of its DICOM file."""

    file: str
    shape: tuple[int, int]  # (rows, columns) of the DICOM pixels
    factor: tuple[float, float]  # (x, y) pixels of the PNG per DICOM pixel
    orientation: str  # first letter of PatientOrientation; empty without that tag


def _convert(key: str, root: Path, folder: Path) -> Converted | tuple[str, str]:
    """Write one image as a 16-bit PNG of 0.07 mm, unless that is there.

    Returns the reason and its detail if the DICOM file cannot be used. The file's name depends
    on all that its pixels do, so that what is there cannot be of another file or kind.
    """
    import cv2
    import numpy as np

    source = root / key
    if not source.is_file():
        return "missing file", ""
    state = source.stat()
    settings = f"{_CONVERSION} {SPACING_MM} {key} {state.st_size} {state.st_mtime_ns}"
    target = folder / (hashlib.sha256(settings.encode()).hexdigest()[:16] + ".png")
    try:
        spacing = Header.read(source).spacing
        if spacing is None:
            return "no pixel spacing", ""
        mammogram = None if target.exists() else Mammogram.read(source, spacing)
        (rows, columns), orientation = _layout(source)
    except MammoTrackerError as error:
        return "DICOM file that cannot be used", str(error).replace(str(source), "the file")
    size = [
        round(count * mm / SPACING_MM) for count, mm in zip((columns, rows), spacing, strict=True)
    ]
    if mammogram is not None:
        pixels = mammogram.pixels
        method = cv2.INTER_AREA if size[0] * size[1] < pixels.size else cv2.INTER_LINEAR
        pixels = cv2.resize(pixels, size, interpolation=method)
        low, high = float(pixels.min()), float(pixels.max())
        pixels = np.round((pixels - low) * (65535 / max(high - low, 1e-6))).astype(np.uint16)
        part = target.with_suffix(".part")
        part.write_bytes(cv2.imencode(".png", pixels)[1])
        os.replace(part, target)
    return Converted(target.name, (rows, columns), (size[0] / columns, size[1] / rows), orientation)


def _layout(source: Path) -> tuple[tuple[int, int], str]:
    """Read (rows, columns) and the first letter of PatientOrientation of a sound DICOM file."""
    import pydicom

    tags = ["Rows", "Columns", "PatientOrientation"]
    # What pydicom warns of can repeat values of the header, so patient data.
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        header = pydicom.dcmread(source, force=True, stop_before_pixels=True, specific_tags=tags)
        orientation = (header.get("PatientOrientation") or [""])[0]
        return (header.Rows, header.Columns), orientation.strip()[:1].upper()


def convert_all(
    keys: Sequence[str], root: Path, out: Path, workers: int
) -> dict[str, Converted | tuple[str, str]]:
    """Convert the images of these keys to ``images/``; returns, by key, what `_convert` does."""
    folder = out / "images"
    tasks = keys, repeat(root), repeat(folder)
    console = Console(stderr=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            run = map
            if workers > 1:
                context = multiprocessing.get_context("spawn")
                run = stack.enter_context(ProcessPoolExecutor(workers, context)).map
            done = track(run(_convert, *tasks), "Images to 0.07 mm", len(keys), console=console)
            return dict(zip(keys, done, strict=True))
    except BrokenProcessPool:
        raise MammoTrackerError(
            "A process that converts images was ended, perhaps for want of memory: start again "
            "with fewer --workers. Finished images are kept."
        ) from None
    except OSError as error:
        raise cannot_write(folder, error) from None


def png_box(item: Annotation, image: Image, converted: Converted) -> Box:
    """Bring an annotation's box to the pixels of our PNG."""
    rows, columns = converted.shape
    x0, y0, x1, y1 = item.box
    if not (0 <= x0 < x1 <= columns and 0 <= y0 < y1 <= rows):
        raise Unusable("box outside the image", f"{item.box} in {columns} x {rows}")
    if item.layout == "embed_png":
        x0, y0, x1, y1 = dicom_corners(
            item.box, (columns, rows), converted.orientation, image.laterality, image.view
        )
    return Box(x0, y0, x1, y1).scaled(*converted.factor)

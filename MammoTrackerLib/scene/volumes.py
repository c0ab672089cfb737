"""Volume nodes as mammograms: their headers, their pixels, and which two are a pair."""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import slicer
from slicer.util import arrayFromVolume

from ..errors import MammoTrackerError
from ..mammogram import Header, Mammogram
from ..pair import image_key, special
from .nodes import attribute, set_attribute
from .raster import Raster

INVERTED_GREY = "vtkMRMLColorTableNodeInvertedGrey"
READ_FROM = "ReadFrom"
"""Names the attribute with the file of a volume whose voxels are brightness."""


def source_file(volume) -> Path | None:
    """Return the one file that the volume was read from, if it is still there."""
    own = attribute(volume, READ_FROM)
    instances = (volume.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    name = own or None
    if not name and len(instances) == 1 and database is not None:
        name = database.fileForInstance(instances[0])
    storage = volume.GetStorageNode()
    if not name and storage is not None and storage.GetNumberOfFileNames() <= 1:
        name = storage.GetFullNameFromFileName()
    return Path(name) if name and Path(name).is_file() else None


@functools.lru_cache(maxsize=4096)  # of less than a scene has, each look would read all again
def _read_header(path: Path, _changed_at: float) -> Header | None:
    try:
        return Header.read(path)
    except MammoTrackerError:
        return None


def _dicom_header(volume) -> Header | None:
    path = source_file(volume)
    return _read_header(path, path.stat().st_mtime) if path else None


def header_of(volume) -> Header:
    """Return what is known about a mammogram from its DICOM file, else from the volume node.

    What `set_spacing` was given wins, and where the file is not at hand, what `keep_spacing` kept.
    A volume of 1 mm x 1 mm has no known spacing, since that is what Slicer assumes where a file
    says nothing. Inverted is what is shown in the inverted
    grey: the voxels of a MONOCHROME1 file are not, since Slicer mirrors them when it reads.

    Raises
    ------
    MammoTrackerError
        If the volume is no single slice.
    """
    raster = Raster(volume)
    x, y, _ = raster.spacing
    display = volume.GetDisplayNode()
    header = _dicom_header(volume) or Header()
    header = replace(
        header,
        size=raster.size,
        # What refers to the file's image is not about a part of it.
        instance_uids=header.instance_uids if header.size == raster.size else (),
        inverted=display is not None and display.GetColorNodeID() == INVERTED_GREY,
        # It is about the values in the file, not about brightness.
        window=None if attribute(volume, READ_FROM) else header.window,
    )
    if header.spacing is None:
        header = replace(header, spacing=_kept_spacing(volume, (x, y)))
    is_set = bool(attribute(volume, "SpacingSet"))
    if is_set or (header.spacing is None and not x == y == 1):
        header = replace(header, spacing=(x, y))
    return header


def keep_spacing(volume) -> None:
    """Keep with the volume the pixel size that its file tells, for where a scene comes without it.

    Slicer does not know of magnification, and of no size but the detector's.
    """
    header = _dicom_header(volume)
    if header is not None and header.spacing is not None:
        x, y, _ = Raster(volume).spacing
        text = json.dumps([*header.spacing, x, y])
        if attribute(volume, "Spacing") != text:
            set_attribute(volume, "Spacing", text)


def _kept_spacing(volume, own: tuple[float, float]) -> tuple[float, float] | None:
    """Return what was kept, unless the volume's own spacing has become another one."""
    *kept, x, y = json.loads(attribute(volume, "Spacing") or "[0, 0]")
    return tuple(kept) if kept and np.allclose((x, y), own, rtol=1e-4, atol=0) else None


def mammogram_of(volume) -> Mammogram:
    """Make a mammogram of a volume.

    The pixels are those of its DICOM file, if it has one that fits the voxels, because only the
    file says how its values are to be understood; else they are the voxels.

    Raises
    ------
    MammoTrackerError
        If the volume is no single grey slice, is empty, or has no known spacing.
    """
    header = header_of(volume)
    if header.spacing is None:
        raise MammoTrackerError(
            "The pixel spacing of the volume is unknown: enter the size of a pixel in mm."
        )
    voxels = arrayFromVolume(volume).squeeze()
    read = _of_file(volume, header, voxels)
    if read is not None:
        pixels = read.pixels
    else:
        pixels = voxels.astype(np.float32)
        if header.inverted:
            pixels = pixels.max() + pixels.min() - pixels
    return Mammogram(
        pixels,
        header.spacing,
        header.laterality,
        header.view,
        header.date,
        header.patient_id,
        header.orientation,
        header.modifiers,
        () if read is None else read.remarks,
        header.instance_uids,
    )


def _of_file(volume, header: Header, voxels: np.ndarray) -> Mammogram | None:
    """Return what is read of the volume's DICOM file, unless the voxels are other ones."""
    known = _dicom_header(volume)
    if known is None:
        return None
    try:
        # A spacing that is the file's own was not given.
        spacing = None if known.spacing == header.spacing else header.spacing
        read = Mammogram.read(source_file(volume), spacing)
    except MammoTrackerError:
        return None
    pixels = read.pixels
    if pixels.shape != voxels.shape:
        return None
    # The file's values became brightness one by one, so equal voxels must be equally bright.
    lowest, highest = voxels.min().item(), voxels.max().item()
    if voxels.dtype.kind in "iu" and highest - lowest < 2**20:
        levels = voxels.astype(np.int64) - lowest
    else:
        levels = np.unique(voxels, return_inverse=True)[1].reshape(voxels.shape)
    brightness = np.empty(levels.max() + 1, np.float32)
    brightness[levels] = pixels
    return read if np.array_equal(brightness[levels], pixels) else None


def propose_pair(volumes: Iterable) -> tuple | None:
    """Choose the current mammogram, and the prior before it, among the loaded volumes.

    Both show one breast of one woman in one standard view: spot, magnified, implant-displaced or
    rolled views are not proposed. Where this holds for several pairs (other breast, other view),
    the one of the first volumes is chosen. None if no pair is clear: too little is known, or two
    volumes have the same date.

    Returns
    -------
    tuple or None
        (prior, current) volumes.
    """
    exams = defaultdict(lambda: defaultdict(list))
    seen = set()
    for volume in volumes:
        try:
            header = header_of(volume)
        except MammoTrackerError:
            continue
        key = image_key(header)
        if key and key in seen:  # the same image, loaded twice
            continue
        seen.add(key)
        image = header.patient_id, header.laterality, header.view
        if header.date is not None and None not in image and not special(header):
            exams[image][header.date].append(volume)
    for by_date in exams.values():
        newest = [by_date[date] for date in sorted(by_date)[-2:]]
        if [len(same_date) for same_date in newest] == [1, 1]:
            return newest[0][0], newest[1][0]
    return None


def apply_window(volume) -> None:
    """Show a volume in its DICOM file's window, if that has one."""
    window, display = header_of(volume).window, volume.GetDisplayNode()
    if window is not None and display is not None:
        center, width = window
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(width, center)

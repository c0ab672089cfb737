"""Mammogram: one mammogram's pixels, their size in mm, and what is needed to compare two exams."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .errors import MammoTrackerError

_LARGEST_SPACING_MM = 5.0
# Detectors and film scanners have square pixels; a file that was shrunk in one direction has not.
_LARGEST_ASPECT = 2.5
_LARGEST_SIDE_MM = 500.0
_LARGEST_PIXEL = 1e15
# A breast has 30 mm and more. What is smaller can be a piece of a mammogram, unless its pixels are
# finer than those of any detector, magnification views included.
_SMALLEST_SIDE_MM = 30.0
_FINEST_SPACING_MM = 0.025


@dataclass(frozen=True, eq=False, repr=False)
class Mammogram:
    """One two-dimensional mammogram.

    Attributes
    ----------
    pixels
        Array of shape (rows, columns); any real numbers are accepted and kept as float32,
        read-only. Brighter is denser tissue.
    spacing
        (x, y) mm per pixel, that is column spacing, then row spacing. One number is
        accepted for square pixels.
    laterality
        "L" or "R", where known.
    view
        "CC", "MLO", "ML", "LM", ..., where known.
    date
        Of the exam, where known.
    patient_id
        Only for comparing two exams; ``repr`` shows neither this nor the date.
    orientation
        Where the rows (to the right) and the columns (downward) point in the patient, as
        DICOM says it: ("A", "FR"), for example. None where it is unknown.
    modifiers
        What makes it no standard view, where the header tells: of "spot", "magnified",
        "implant displaced", "rolled", "cleavage", "axillary tail", "tangential", "axillary
        tissue", "nipple in profile", "anterior compression", "inframammary fold", "partial",
        "biopsy", "contrast" (made from two energies).
    remarks
        Sentences for the user on what had to be guessed to read the file.
    instance_uids
        By which DICOM objects refer to this image: its SOP Instance UID, then those of the images
        that it was made from pixel by pixel, such as the one for processing. Empty where unknown.

    Raises
    ------
    MammoTrackerError
        If the pixels are not a finite two-dimensional image, are all the same, or the
        spacing, the size that it gives the image, or the laterality makes no sense.
    """

    pixels: np.ndarray
    spacing: tuple[float, float]
    laterality: str | None = None
    view: str | None = None
    date: datetime.date | None = None
    patient_id: str | None = None
    orientation: tuple[str, str] | None = None
    modifiers: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    instance_uids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixels", _checked_pixels(self.pixels))
        object.__setattr__(self, "spacing", spacing_pair(self.spacing))
        check_size(self.pixels.shape, self.spacing)
        if self.laterality not in ("L", "R", None):
            raise MammoTrackerError("The laterality of a mammogram is 'L', 'R' or None.")

    def __repr__(self) -> str:
        rows, columns = self.pixels.shape
        return (
            f"Mammogram({rows} rows x {columns} columns, spacing={self.spacing} mm, "
            f"laterality={self.laterality!r}, view={self.view!r})"
        )

    @property
    def size(self) -> tuple[int, int]:
        """(columns, rows)."""
        rows, columns = self.pixels.shape
        return columns, rows

    @classmethod
    def read(
        cls, path: str | Path, spacing: float | tuple[float, float] | None = None
    ) -> Mammogram:
        """Read a mammography DICOM file, or a PNG, TIFF, JPEG, NIfTI, NRRD or MHA image.

        DICOM values go through the modality LUT or rescale, the first VOI LUT or window that
        shows something, and, for MONOCHROME1, inversion. Images for processing, whose values
        count X-rays, become minus their logarithm, from 0 to 4095. Rows and columns stay as
        they are stored: nothing is flipped.

        Parameters
        ----------
        path
            The file.
        spacing
            Pixel size in mm, one number or (x, y). Overrides what the file says, and is
            required where it says nothing. Only DICOM, NIfTI, NRRD and MHA files are
            believed, and of the latter three none that says 1 mm, which stands for unknown.
            A header reads no file but its own: the pixels of an MHD, NHDR or HDR file are in
            its folder and under its name.

        Raises
        ------
        MammoTrackerError
            If the file cannot be read, is no single two-dimensional grey image or no
            mammogram, is truncated or black, or its spacing is unknown.
        """
        from .reading import read_mammogram

        return read_mammogram(Path(path), spacing)


@dataclass(frozen=True, repr=False)
class Header:
    """What a mammogram's file says about it; its ``repr`` shows neither patient nor date.

    Attributes
    ----------
    spacing
        (x, y) mm per pixel of the breast; None if unknown.
    laterality, view, date, patient_id, orientation, modifiers, instance_uids
        As in `Mammogram`.
    window
        (centre, width) of the first window, in the values that ITK, and so Slicer, reads:
        rescaled, and for MONOCHROME1 mirrored. None if the file gives none.
    inverted
        Whether low values are shown bright: in a file, MONOCHROME1.
    size
        (columns, rows); None if unknown.
    """

    spacing: tuple[float, float] | None = None
    laterality: str | None = None
    view: str | None = None
    date: datetime.date | None = None
    patient_id: str | None = None
    window: tuple[float, float] | None = None
    inverted: bool = False
    orientation: tuple[str, str] | None = None
    modifiers: tuple[str, ...] = ()
    # Which image it is, not what is said of it.
    instance_uids: tuple[str, ...] = field(default=(), compare=False)
    size: tuple[int, int] | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"Header(spacing={self.spacing}, laterality={self.laterality!r}, view={self.view!r})"

    @classmethod
    def read(cls, path: str | Path) -> Header:
        """Read the header of a mammography DICOM file, without its pixels.

        A spacing that no mammogram has counts as unknown.

        Raises
        ------
        MammoTrackerError
            If the file cannot be read, or is no mammography DICOM file.
        """
        from .reading import read_header

        return read_header(Path(path))


def _checked_pixels(pixels: np.ndarray) -> np.ndarray:
    pixels = np.asarray(pixels)
    if pixels.ndim != 2 or pixels.size == 0:
        raise MammoTrackerError(
            "A mammogram is one two-dimensional grey image, "
            f"but this one has the shape {pixels.shape}."
        )
    if pixels.dtype.kind not in "buif":
        raise MammoTrackerError("The pixels of a mammogram must be real numbers.")
    pixels = pixels.astype(np.float32, copy=False).view()
    lowest, highest = pixels.min(), pixels.max()
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise MammoTrackerError(
            "The image has pixels that are infinite or not a number: give those pixels the value "
            "of air."
        )
    if max(-lowest, highest) > _LARGEST_PIXEL:
        raise MammoTrackerError(
            f"The image has pixels beyond {_LARGEST_PIXEL:g}, which stand for no value: give those "
            "pixels the value of air."
        )
    if lowest == highest:
        raise MammoTrackerError(
            "The image is empty: all its pixels are the same. Give another image."
        )
    pixels.flags.writeable = False
    return pixels


def spacing_pair(spacing: float | tuple[float, float]) -> tuple[float, float]:
    try:
        x, y = np.broadcast_to(np.asarray(spacing, dtype=float), (2,)).tolist()
    except (TypeError, ValueError):
        raise MammoTrackerError(
            "The spacing is one number of mm, or two: of the columns (x) and of the rows (y)."
        ) from None
    if not all(0 < value <= _LARGEST_SPACING_MM for value in (x, y)):
        raise MammoTrackerError(
            f"A pixel spacing of {x:g} x {y:g} mm is not a mammogram's: it must be above 0, "
            f"at most {_LARGEST_SPACING_MM:g}, and in mm (0.07, for example)."
        )
    if max(x, y) > _LARGEST_ASPECT * min(x, y):
        raise MammoTrackerError(
            f"A pixel spacing of {x:g} x {y:g} mm is not a mammogram's, whose pixels are square: "
            "give the true spacing in mm."
        )
    return x, y


def check_size(shape: tuple[int, int], spacing: tuple[float, float]) -> None:
    """Refuse a spacing in mm that makes an image of (rows, columns) no breast's size.

    Raises
    ------
    MammoTrackerError
        If the image is over 50 cm, or under 3 cm in pixels finer than any detector's.
    """
    sides = shape[1] * spacing[0], shape[0] * spacing[1]
    is_fine = min(spacing) < _FINEST_SPACING_MM and max(sides) < _SMALLEST_SIDE_MM
    if is_fine or max(sides) > _LARGEST_SIDE_MM:
        raise MammoTrackerError(
            f"With its pixel spacing, the image is {sides[0] / 10:.4g} x {sides[1] / 10:.4g} cm "
            "(width x height), which no mammogram is: give the true spacing in mm."
        )

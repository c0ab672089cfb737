"""A file as such: its first bytes, its size, and what is said of one that cannot be read."""

from __future__ import annotations

import stat
from pathlib import Path

from ..errors import MammoTrackerError

# 10 000 x 10 000 pixels are 20 x 20 cm at 0.02 mm, finer than any film was scanned; decoding them
# takes under 1.5 GB.
_MOST_PIXELS = 100_000_000
_MOST_BYTES = 4 * _MOST_PIXELS


def first_bytes(path: Path) -> bytes:
    """Return the beginning of a file: 352 bytes or fewer.

    Raises
    ------
    MammoTrackerError
        If it cannot be opened, is empty, or is no regular file: a pipe or a device never ends.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise MammoTrackerError(f"{path} is a folder: give one image file.")
        if not stat.S_ISREG(mode):
            raise MammoTrackerError(f"{path} is a pipe or a device: give an image file.")
        with path.open("rb") as file:
            head = file.read(352)
    except FileNotFoundError:
        raise MammoTrackerError(f"There is no file {path}.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is not valid"
        raise MammoTrackerError(f"Cannot open {path}: {reason}.") from None
    if not head:
        raise MammoTrackerError(f"The file {path} is empty.")
    return head


def check_amount(path: Path, pixel_count: int, byte_count: int) -> None:
    """Refuse what is no mammogram's size before any memory is taken for it."""
    if pixel_count > _MOST_PIXELS or byte_count > _MOST_BYTES:
        raise MammoTrackerError(
            f"{path} is too large for a mammogram, or damaged: an image may have up to "
            f"{_MOST_PIXELS // 1_000_000} million pixels, of {_MOST_BYTES // 1_000_000} MB."
        )


def no_image(path: Path) -> MammoTrackerError:
    return MammoTrackerError(
        f"{path} is not an image that can be read: give a mammography DICOM file, "
        "or a PNG, TIFF, JPEG, NIfTI, NRRD or MHA image."
    )


def truncated(path: Path) -> MammoTrackerError:
    return MammoTrackerError(
        f"The image in {path} is truncated or damaged: export or copy the file again."
    )


def no_spacing(path: Path) -> MammoTrackerError:
    return MammoTrackerError(
        f"{path} does not say how large its pixels are: give the spacing in mm."
    )

"""A file's first bytes, and what is said of a file that cannot be read."""

from __future__ import annotations

from pathlib import Path

from ..errors import MammoTrackerError


def first_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise MammoTrackerError(f"{path} is a folder: give one image file.")
        with path.open("rb") as file:
            head = file.read(132)
    except FileNotFoundError:
        raise MammoTrackerError(f"There is no file {path}.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is not valid"
        raise MammoTrackerError(f"Cannot open {path}: {reason}.") from None
    if not head:
        raise MammoTrackerError(f"The file {path} is empty.")
    return head


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

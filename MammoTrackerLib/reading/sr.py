"""Marks in DICOM structured reports: TID 1500, Mammography CAD (TID 4000), and others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MammoTrackerError
from .dicom import opened
from .files import first_bytes
from .sr_content import MOST_ITEMS, Reader, Report, TooMuchError

if TYPE_CHECKING:
    import pydicom

_CLASSES = "1.2.840.10008.5.1.4.1.1.88."
_MOST_BYTES = 16_000_000
_UNDEFINED = 0xFFFFFFFF
_DEFLATED = "1.2.840.10008.1.2.1.99"
_ITEM_TAGS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")


def is_report(path: Path) -> bool:
    """Whether a file is a DICOM structured report, by its header.

    Raises
    ------
    MammoTrackerError
        If it is no DICOM file that can be read.
    """
    with opened(path) as header:
        return _is_report(header)


def read_report(path: Path) -> Report:
    """Read the marks of a structured report of any origin.

    Marks are what its measurement groups, single image findings, or, outside of these, content
    items outline by SCOORD. What one of them marks on one image is one mark: its closed outlines;
    where it has none, its lines, of which a single one is a diameter; else its points.

    Raises
    ------
    MammoTrackerError
        If the file is no structured report, is damaged, or has more content than a report has.
    """
    first_bytes(path)
    with path.open("rb") as file:
        _amount(path)(file.read(_MOST_BYTES + 1))
    with opened(path, _amount(path), None) as header:
        if not _is_report(header):
            raise MammoTrackerError(
                f"{path} is no DICOM structured report: give one, or a mask or .mrk.json."
            )
        _check_whole(path, header)
        try:
            return Reader(header).report()
        except TooMuchError:
            raise _too_much(path) from None


def is_report_class(header: pydicom.Dataset) -> bool:
    """Whether a header names the class of a structured report."""
    return str(header.get("SOPClassUID") or "").startswith(_CLASSES)


def _is_report(header: pydicom.Dataset) -> bool:
    return is_report_class(header) or (
        header.get("Modality") == "SR" and "ContentSequence" in header
    )


def _check_whole(path: Path, header: pydicom.Dataset) -> None:
    """Refuse a file that ends within its content, of which pydicom reads what is there."""
    content = header.get_item("ContentSequence")
    if content is not None:
        length = getattr(content, "length", _UNDEFINED)  # of what was not interpreted yet
        is_deflated = header.file_meta.get("TransferSyntaxUID") == _DEFLATED
        if length == _UNDEFINED or is_deflated:  # their ends are looked for
            return
        if content.value_tell + length <= path.stat().st_size:
            return
    raise MammoTrackerError(f"{path} is truncated or damaged: export or copy the file again.")


def _amount(path: Path) -> Callable[[bytes], None]:
    """Return what refuses, part by part, content that takes more memory than any report needs."""
    size = items = 0

    def check(part: bytes) -> None:
        nonlocal size, items
        size += len(part)
        items += max(map(part.count, _ITEM_TAGS))
        if size > _MOST_BYTES or items > MOST_ITEMS:
            raise _too_much(path)

    return check


def _too_much(path: Path) -> MammoTrackerError:
    return MammoTrackerError(
        f"{path} is too large for a structured report, or damaged: a report may have up to "
        f"{_MOST_BYTES // 1_000_000} MB and {MOST_ITEMS} items."
    )

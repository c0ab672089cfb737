"""What a row of results was made from, in a few letters: by them it is kept, and matched."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import posixpath
import stat
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ... import __version__
from ...errors import MammoTrackerError
from ...networks.card import weights_mark
from .columns import BOX_COLUMNS, IMAGE_COLUMNS, PRIOR_BOX_COLUMNS

_SAMPLES, _SAMPLE_BYTES = 16, 8192
_LETTERS = 16
_MADE_FROM = (*IMAGE_COLUMNS, *PRIOR_BOX_COLUMNS)
_SERIES_MADE_FROM = ("lesion_id", "exam", "spacing_mm", "date", "lesion_type", *BOX_COLUMNS)
_NUMBERS = ("prior_spacing_mm", "current_spacing_mm", *PRIOR_BOX_COLUMNS)
_SERIES_NUMBERS = ("spacing_mm", *BOX_COLUMNS)


def fingerprints(folder: Path, force: bool) -> Callable[..., str]:
    """Make what gives a manifest's row a fingerprint of all that its result depends on.

    These are its boxes, spacings and images, of which 16 pieces and the size are looked at,
    whether it is forced, the version of the program, and its weights with their calibration. Called
    with the row and, of a series, the rows of all its exams and lesions. After that come two parts
    that only the row itself decides, for `marks_of`.
    """
    version = [__version__, weights_mark(), force]
    sample = _sampler(folder)

    def fingerprint(row: Mapping[str, str], group: Sequence[Mapping[str, str]] = ()) -> str:
        values = [_value(other, name) for other in group for name in _SERIES_MADE_FROM]
        images = list(dict.fromkeys(other["exam"] for other in group))
        if not group:
            values = [_value(row, name) for name in _MADE_FROM]
            images = [row["prior"], row["current"]]
        values += [part for image in images for part in sample(image)]
        own = [row["exam"]] if group else images
        return "-".join((_digest([*version, *values]), numbers_mark(row), _mark(sample, own)))

    return fingerprint


def marks_of(fingerprint: str) -> tuple[str, str]:
    """Return what a fingerprint says of the row alone.

    Returns
    -------
    tuple
        What `numbers_mark` and `image_marks` said; "" where a fingerprint does not tell: it was
        made by an earlier version, or the images could not be read.
    """
    parts = fingerprint.split("-")
    return (parts[1], parts[2]) if len(parts) == 3 else ("", "")


def numbers_mark(row: Mapping[str, str]) -> str:
    """Return a mark of a row's box and spacings, however their numbers are written."""
    columns = _SERIES_NUMBERS if "exam_group" in row else _NUMBERS
    return _digest([_value(row, name) for name in columns])


def made_from_another(where: str, what: str, now: str) -> MammoTrackerError:
    """Return the error of a row of results whose row has another box, spacing or image now."""
    return MammoTrackerError(
        f"{where}: it was made from another {what} than {now} has now. Give the table that was "
        "tracked, or go on by `mammotracker batch --resume`, which tracks such rows anew."
    )


def image_marks(folder: Path) -> Callable[[Sequence[str]], str]:
    """Make what gives images, by their names in a table of this folder, a mark of their content.

    It is "" where one cannot be read.
    """
    return functools.partial(_mark, _sampler(folder))


def image_comparer() -> Callable[[str | Path, str | Path], bool]:
    """Make what tells whether two paths are of one image.

    Where both can be read, their content tells; else their names, as folders may have moved.
    """
    mark = image_marks(Path())

    def is_one_image(*paths: str | Path) -> bool:
        first, second = (steps_of(os.path.abspath(path)) for path in paths)
        if first == second:
            return True
        if first[-1:] != second[-1:]:
            return False
        return len({mark([str(path).replace("\\", "/")]) for path in paths} - {""}) < 2

    return is_one_image


def steps_of(path: str, folder: str = "") -> tuple[str, ...]:
    """Return the steps of a path, in a folder if it is relative, however they are written."""
    path = os.path.join(folder, path.replace("\\", "/")).replace("\\", "/")
    path = posixpath.normpath(unicodedata.normalize("NFC", path))
    return tuple(step for step in path.split("/") if step not in ("", ".", ".."))


def _mark(sample: Callable[[str], list[str]], images: Sequence[str]) -> str:
    samples = [sample(image) for image in images]
    return _digest(samples) if all(len(one) > 1 for one in samples) else ""


def _sampler(folder: Path) -> Callable[[str], list[str]]:
    """Make what looks at a file's size and content; of one that cannot be read, it says that."""

    @functools.lru_cache(maxsize=64)
    def sample(name: str) -> list[str]:
        digest = hashlib.sha256()
        try:
            if not stat.S_ISREG(os.stat(folder / name).st_mode):
                return ["no file"]
            with open(folder / name, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                for part in range(_SAMPLES):
                    file.seek(max(0, size - _SAMPLE_BYTES) * part // (_SAMPLES - 1))
                    digest.update(file.read(_SAMPLE_BYTES))
        except (OSError, ValueError):
            return ["not read"]
        return [str(size), digest.hexdigest()]

    return sample


def _value(row: Mapping[str, str], column: str) -> str:
    """Return a cell, numbers in one way: spreadsheets leave out zeros that say nothing."""
    if column in _NUMBERS or column in _SERIES_NUMBERS:
        with suppress(ValueError):
            return repr(float(row[column]))
    return row[column]


def _digest(values: object) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:_LETTERS]

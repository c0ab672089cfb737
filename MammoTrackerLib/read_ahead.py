"""Exams that are read ahead in a process of its own: JSON lines on stdin and stdout."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from .errors import MammoTrackerError
from .mammogram import Mammogram
from .temporary import tidy_end

_SHARES = 0.1, 99.9
"""Per cent of the pixels that are darker than what is shown black and white."""
_FEWER = 4
"""Of so many rows and columns, one is looked at for these."""


def read_exams(images: list, folder: Path, name: str) -> list[dict]:
    """Read exams, and write their pixels into files.

    Parameters
    ----------
    images
        For each, its path and its pixel size in mm, or None to take the file's own.
    folder
        Where to write.
    name
        What the files' names begin with.

    Returns
    -------
    list of dict
        For each exam: its "file", an array of (rows, columns) in numpy's format, in the smallest
        type that holds the pixels as they are; its "spacing", (x, y) in mm; and its "window", the
        lowest and the highest brightness to be told apart.

    Raises
    ------
    MammoTrackerError
        If one cannot be read.
    OSError
        If one cannot be written.
    """
    described = []
    for number, (path, spacing) in enumerate(images):
        mammogram = Mammogram.read(path, spacing)
        file = folder / f"{name}-{number}.npy"
        np.save(file, _smallest(mammogram.pixels))
        sample = mammogram.pixels[::_FEWER, ::_FEWER]
        window = [float(value) for value in np.percentile(sample, _SHARES)]
        described.append({"file": str(file), "spacing": mammogram.spacing, "window": window})
    return described


def _smallest(pixels: np.ndarray) -> np.ndarray:
    """Return the pixels in the smallest type that holds them as they are."""
    if pixels.min() >= 0:
        for kind in (np.uint8, np.uint16):
            if pixels.max() <= np.iinfo(kind).max:
                whole = pixels.astype(kind)
                if np.array_equal(whole, pixels):
                    return whole
    return pixels


def _answer(command: dict) -> dict:
    name = command["case"]
    try:
        return {
            "case": name,
            "exams": read_exams(command["images"], Path(command["folder"]), name),
        }
    except MammoTrackerError as error:
        message = str(error)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        message = f"The exams cannot be handed over ({reason}): make room on the disk."
    except Exception as error:  # one damaged file must not end the list
        message = (
            f"Unexpected {type(error).__name__}: run `mammotracker track` on these exams to see "
            "where."
        )
    return {"case": name, "error": message}


def main() -> int:
    """Answer commands, one JSON object a line, until stdin ends.

    ``{"case": name, "folder": path, "images": [[path, spacing or null], ...]}`` is answered by
    ``{"case": name, "exams": [...]}`` as `read_exams` returns them, or by ``{"case": name,
    "error": sentence}``.

    Returns
    -------
    int
        The exit status: 0 after the end of stdin, 1 when nobody reads the answers any more.
    """
    # What libraries print must not come between the answers, so it goes to the log.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    write: Callable[[str], int] = answers.write
    with suppress(OSError), tidy_end():
        for line in iter(sys.stdin.buffer.readline, b""):
            write(json.dumps(_answer(json.loads(line))) + "\n")
            answers.flush()
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())

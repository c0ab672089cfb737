"""How the pixels of one mammogram lie against another's: mirrored, upside down or turned."""

from __future__ import annotations

import numpy as np

AXES = {"R": (0, -1), "L": (0, 1), "A": (1, -1), "P": (1, 1), "F": (2, -1), "H": (2, 1)}
"""The patient's axis and direction of each letter of PatientOrientation (DICOM C.7.6.1.1.1)."""

Turn = tuple[tuple[int, int], tuple[int, int]]
"""The (2, 2) matrix, of 0, 1 and -1, from x, y of a turned image to x, y of the stored one."""

UNTURNED: Turn = ((1, 0), (0, 1))
MIRRORED: Turn = ((-1, 0), (0, 1))
TURNS: dict[Turn, str] = {
    UNTURNED: "as it is stored",
    MIRRORED: "mirrored left to right",
    ((1, 0), (0, -1)): "mirrored top to bottom",
    ((-1, 0), (0, -1)): "turned by 180 degrees",
    ((0, 1), (-1, 0)): "turned by 90 degrees",
    ((0, -1), (1, 0)): "turned by 90 degrees",
    ((0, 1), (1, 0)): "turned by 90 degrees and mirrored",
    ((0, -1), (-1, 0)): "turned by 90 degrees and mirrored",
}
"""The eight ways to turn an image, and what is then said of it."""


def is_quarter(turn: Turn) -> bool:
    """Whether rows become columns."""
    return turn[0][0] == 0


def turned(image: np.ndarray, turn: Turn) -> np.ndarray:
    """Turn a (rows, columns) image; a view of it, whose pixels are the same."""
    image = image.T if is_quarter(turn) else image
    x, y = (sum(column) for column in zip(*turn, strict=True))
    return image[::y, ::x]


def turned_size(size: np.ndarray, turn: Turn) -> np.ndarray:
    """Return a width and height (2,) after a turn, or what else there is of x and y."""
    return size[::-1] if is_quarter(turn) else size


def stated_turn(prior: tuple[str, str] | None, current: tuple[str, str] | None) -> Turn | None:
    """Say how the current must be turned to lie as the prior, from what both headers say.

    Parameters
    ----------
    prior, current
        Where rows and columns point in the patient, as in `Mammogram.orientation`.

    Returns
    -------
    Turn or None
        None if one is not known, or they do not lie in one plane.
    """
    if prior is None or current is None:
        return None
    before, after = ([AXES.get(direction[:1]) for direction in way] for way in (prior, current))
    if None in (*before, *after):
        return None
    turn = tuple(
        tuple(was[1] * now[1] if was[0] == now[0] else 0 for was in before) for now in after
    )
    return turn if turn in TURNS else None


def nearest_turn(matrix: np.ndarray) -> Turn:
    """Return the turn that a linear map (2, 2) from one image to another comes nearest to."""
    return max(TURNS, key=lambda turn: float(np.sum(np.multiply(matrix, turn))))

"""Box: a rectangle in the pixels of one mammogram."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import MammoTrackerError


@dataclass(frozen=True)
class Box:
    """A lesion's bounding box.

    Continuous pixel coordinates: the origin is the top-left corner of the top-left
    pixel, x runs to the right, y down, and the box is half-open, so that
    ``width = x1 - x0``.

    Raises
    ------
    MammoTrackerError
        If a coordinate is not finite, or the box is empty or reversed.
    """

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in self.as_tuple()):
            raise MammoTrackerError("A box needs four finite numbers: x0, y0, x1, y1.")
        if self.x1 <= self.x0 or self.y1 <= self.y0:
            raise MammoTrackerError(
                f"The box {self} is empty or reversed: give x0 < x1 and y0 < y1, in pixels."
            )

    def __str__(self) -> str:
        return "({:.1f}, {:.1f}, {:.1f}, {:.1f})".format(*self.as_tuple())

    @classmethod
    def from_center(cls, x: float, y: float, width: float, height: float) -> Box:
        """Make the box of this width and height around a centre, all in pixels."""
        return cls(x - width / 2, y - height / 2, x + width / 2, y + height / 2)

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    @property
    def center(self) -> tuple[float, float]:
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    @property
    def area(self) -> float:
        return self.width * self.height

    def longest_side(self, spacing: tuple[float, float]) -> float:
        """Return the longer of both sides in mm, for pixels of this (x, y) spacing."""
        return max(self.width * spacing[0], self.height * spacing[1])

    def as_tuple(self) -> tuple[float, float, float, float]:
        return self.x0, self.y0, self.x1, self.y1

    def scaled(self, x_factor: float, y_factor: float) -> Box:
        """Return the box with its coordinates multiplied, as for an image of other pixels."""
        return Box(self.x0 * x_factor, self.y0 * y_factor, self.x1 * x_factor, self.y1 * y_factor)

    def onto(self, columns: int, rows: int) -> Box:
        """Return the box, moved onto an image of this size if its centre is outside of it."""
        x, y = self.center
        if 0 <= x <= columns and 0 <= y <= rows:
            return self
        width, height = min(self.width, columns), min(self.height, rows)
        x = min(max(x, width / 2), columns - width / 2)
        y = min(max(y, height / 2), rows - height / 2)
        return Box.from_center(x, y, width, height)

    def is_at(self, other: Box, within: float = 0.002) -> bool:
        """Whether no coordinate differs by more than some pixels, such as what tables round."""
        pairs = zip(self.as_tuple(), other.as_tuple(), strict=True)
        return all(abs(a - b) <= within for a, b in pairs)

    def iou(self, other: Box) -> float:
        """Intersection over union, 0 to 1."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        if width <= 0 or height <= 0:
            return 0.0
        intersection = width * height
        return intersection / (self.area + other.area - intersection)

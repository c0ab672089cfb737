"""The growth plot: each lesion's longest side over the years, with its error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ...growth import Size
from ...track import Status
from .drawing import BACKGROUND, MOST_HIGH, MUTED, TEXT, font, lesion_color, save, wrap
from .strip import Strip, summary

_SIZE = (1000, 560)
_FRAME = (70, 50, 970, 490)
_LEGEND_LINE = 19


def draw_growth(strips: Sequence[Strip], years: Sequence[float | None], path: Path) -> None:
    """Draw the longest sides of lesions over time into one PNG; the legend names the first 390.

    Bars are 95 % errors; squares are boxes of the user, circles those that were found, open ones
    uncertain. Without all dates, or all on one day, the exams are drawn at equal distances.

    Parameters
    ----------
    strips
        The lesions, in the order in which they are numbered, from 1.
    years
        Of the exams, since the first.
    path
        The PNG file to write.

    Raises
    ------
    MammoTrackerError
        If it cannot be written.
    """
    dated = None not in years and years[-1] > years[0]
    at = np.array(years if dated else range(len(years)), float)
    measured = [size for strip in strips for size in strip.growth.sizes if size is not None]
    top = max(size.longest_mm + size.error_mm for size in measured)
    y_step = _step(top / 6)
    top = y_step * np.ceil(top / y_step)
    x0, y0, x1, y1 = _FRAME
    scratch = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    legend = [
        (number, line)
        for number, strip in enumerate(strips, 1)
        for line in wrap(scratch, f"Lesion {number}: {summary(strip)}", x1 - x0 - 30, 14)
    ]
    fit = (MOST_HIGH - _SIZE[1]) // _LEGEND_LINE
    if len(legend) > fit:
        legend = [*legend[: fit - 1], (0, "...")]
    height = _SIZE[1] + _LEGEND_LINE * len(legend)
    canvas = Image.new("RGB", (_SIZE[0], height), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    span = at[-1] - at[0]

    def place(x: float, y: float) -> tuple[float, float]:
        inner = x0 + 25, x1 - 25
        return inner[0] + (x - at[0]) / span * (inner[1] - inner[0]), y1 - y / top * (y1 - y0)

    draw.text((x0, 16), "Longest side (mm), with its 95 % error", fill=TEXT, font=font(16))
    for value in np.arange(0, top + y_step / 2, y_step):
        y = place(at[0], value)[1]
        draw.line((x0, y, x1, y), fill="#2b2f36")
        draw.text((x0 - 8, y), f"{value:g}", fill=MUTED, font=font(14), anchor="rm")
    ticks = np.arange(0, at[-1] + 1e-9, _step(span / 8)) if dated else at
    for value in ticks:
        x = place(value, 0)[0]
        draw.line((x, y1, x, y1 + 5), fill=MUTED)
        text = f"{value:g}" if dated else f"{value + 1:.0f}"
        draw.text((x, y1 + 8), text, fill=MUTED, font=font(14), anchor="ma")
    title = "years since the first exam" if dated else "exam"
    draw.text(((x0 + x1) / 2, y1 + 28), title, fill=MUTED, font=font(14), anchor="ma")
    draw.line((x0, y1, x1, y1), fill=MUTED)

    shift = np.linspace(-1, 1, len(strips)) * min(3 * (len(strips) - 1), 12)
    for number, (strip, moved) in enumerate(zip(strips, shift, strict=True), 1):
        seen = [k for k, size in enumerate(strip.growth.sizes) if size is not None]
        points = [place(at[k], strip.growth.sizes[k].longest_mm) for k in seen]
        points = [(x + moved, y) for x, y in points]
        if len(points) > 1:
            draw.line(points, fill=lesion_color(number), width=2)
        for k, (x, y) in zip(seen, points, strict=True):
            size = strip.growth.sizes[k]
            scale = (y1 - y0) / top
            is_sure = strip.history.results[k].track.status is Status.FOUND
            _draw_point(draw, x, y, scale * size.error_mm, size, is_sure, lesion_color(number))
    for line, (number, text) in enumerate(legend):
        draw.text(
            (x0, y1 + 56 + _LEGEND_LINE * line),
            text,
            fill=lesion_color(number) if number else TEXT,
            font=font(14),
        )
    save(canvas, path)


def _draw_point(
    draw: ImageDraw.ImageDraw,
    x: float,
    y: float,
    error: float,
    size: Size,
    is_sure: bool,
    line_color: str,
) -> None:
    if error:
        draw.line((x, y - error, x, y + error), fill=line_color)
        for end in (y - error, y + error):
            draw.line((x - 4, end, x + 4, end), fill=line_color)
    shape = draw.rectangle if size.by_user else draw.ellipse
    fill = line_color if is_sure else BACKGROUND
    shape((x - 5, y - 5, x + 5, y + 5), fill=fill, outline=line_color, width=2)


def _step(least: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten from a number on."""
    power = 10.0 ** np.floor(np.log10(max(least, 1e-6)))
    return float(next(power * k for k in (1, 2, 5, 10) if power * k >= least * 0.999))

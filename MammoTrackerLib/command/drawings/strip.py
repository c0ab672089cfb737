"""The film strip: each lesion on every exam, in one scale and orientation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ...growth import Growth, duration, signed
from ...history import ABSENT, ExamResult, LesionHistory
from ...mammogram import Mammogram
from ...orientation import Turn, turned_size
from ...track import Status, as_percent
from .drawing import (
    BACKGROUND,
    MOST_HIGH,
    MUTED,
    TEXT,
    draw_box,
    field_mm,
    font,
    lesion_color,
    part_of,
    part_title,
    remove_parts,
    save,
    wrap,
    zoom,
)

_TILE = 184
_GAP = 10
_MARGIN = 14
_CAPTION = 58
_HEAD = 40
_TITLE = 46
_MOST_IN_A_LINE = 8
_MOST_TILES = 3000
"""That are in memory at once, 34 kB each."""
_Tile = tuple[Image.Image, "np.ndarray | None", bool]
"""A grey image, the box around its middle by half of its sides in pixels, and if it is dashed."""


@dataclass(frozen=True)
class Strip:
    """What is drawn of a lesion: its history and growth."""

    history: LesionHistory
    growth: Growth


def draw_strip(
    readers: Sequence[Callable[[], Mammogram]],
    strips: Sequence[Strip],
    years: Sequence[float | None],
    turns: Sequence[Turn],
    path: Path,
) -> list[Path]:
    """Draw the lesions on every exam into a PNG, or several of many lesions; eight exams a line.

    Further pictures of an earlier run go.

    Each tile is centred on the lesion and as wide as those of its other exams, in its own
    contrast, and turned as the exam on which it was marked. A lesion that was not found has no
    box; its tile shows the place where it was looked for.

    Parameters
    ----------
    readers
        One an exam; each is called once, or again where there are thousands of tiles.
    strips
        The lesions, in the order in which they are numbered, from 1.
    years
        Since the first exam; None where a date is unknown.
    turns
        How each exam lies against the one on which lesions are marked.
    path
        The PNG file to write; those after it are named as `part_of` says.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    MammoTrackerError
        If one cannot be written.
    """
    count, written = len(readers), []
    fit = max(1, (MOST_HIGH - _HEAD) // _block(count))
    at_once = max(1, _MOST_TILES // count // fit) * fit
    fields = [_field_mm(strip) for strip in strips]
    for first in range(0, len(strips), at_once):
        chosen = range(first, min(first + at_once, len(strips)))
        tiles = {}
        for exam, read in enumerate(readers):
            mammogram = read()
            for k in chosen:
                result = strips[k].history.results[exam]
                tiles[k, exam] = _tile(mammogram, result, fields[k], turns[exam])
        for start in chosen[::fit]:
            shown = chosen[start - first : start - first + fit]
            canvas = _picture(strips, shown, years, tiles)
            written.append(part_of(path, start // fit))
            save(canvas, written[-1])
    remove_parts(path, len(written))
    return written


def _block(exams: int) -> int:
    """Return how many pixels high a lesion's tiles are, with their captions and title."""
    return _TITLE + -(-exams // _MOST_IN_A_LINE) * (_TILE + _CAPTION)


def _picture(
    strips: Sequence[Strip],
    shown: Sequence[int],
    years: Sequence[float | None],
    tiles: dict[tuple[int, int], _Tile],
) -> Image.Image:
    """Draw some of the lesions, by their places."""
    in_line = min(len(years), _MOST_IN_A_LINE)
    block = _block(len(years))
    width = max(2 * _MARGIN + in_line * (_TILE + _GAP) - _GAP, 640)
    canvas = Image.new("RGB", (width, _HEAD + len(shown) * block + 6), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    title = "MammoTracker" + part_title(shown, len(strips))
    draw.text((_MARGIN, 10), title, fill=TEXT, font=font(16))
    draw.text(
        (width - _MARGIN, 12), "solid: by the user or found   dashed: not sure",
        fill=MUTED, font=font(14), anchor="ra",
    )  # fmt: skip
    for place, k in enumerate(shown):
        strip, color = strips[k], lesion_color(k + 1)
        top = _HEAD + place * block
        title = f"Lesion {k + 1}, field {_field_mm(strip):.0f} mm: {summary(strip)}"
        for line, text in enumerate(wrap(draw, title, width - 2 * _MARGIN, 15)[:2]):
            draw.text((_MARGIN, top + 4 + 19 * line), text, fill=color, font=font(15))
        for exam in range(len(years)):
            x = _MARGIN + exam % in_line * (_TILE + _GAP)
            y = top + _TITLE + exam // in_line * (_TILE + _CAPTION)
            image, half, is_dashed = tiles[k, exam]
            canvas.paste(image.convert("RGB"), (x, y))
            draw.rectangle((x, y, x + _TILE - 1, y + _TILE - 1), outline="#3c4043")
            if half is not None:
                middle = np.array([x, y]) + _TILE / 2
                draw_box(draw, (*(middle - half), *(middle + half)), color, is_dashed)
            for line, text in enumerate(_caption(strip, exam, years)):
                draw.text(
                    (x, y + _TILE + 3 + 17 * line), text,
                    fill=TEXT if line == 0 else MUTED, font=font(14 if line == 0 else 13),
                )  # fmt: skip
    return canvas


def summary(strip: Strip) -> str:
    """Say in a few words what became of a lesion."""
    parts = []
    new, gone = strip.history.new, strip.history.gone
    if new is not None:
        parts.append(f"new on exam {new[0] + 1} ({as_percent(new[1])})")
    if gone is not None:
        parts.append(f"gone on exam {gone[0] + 1} ({as_percent(gone[1])})")
    change = strip.growth.overall
    if change is not None:
        text = (
            f"{change.verdict}: {signed(change.percent)} % "
            f"({signed(change.percent_low)} to {signed(change.percent_high)} %)"
        )
        if change.years is not None:
            text += f" in {duration(change.years)}"
        if change.doubling_days is not None:
            text += f", volume doubles in {change.doubling_days:.0f} days"
        parts.append(text)
    return "; ".join(parts) or f"measured on exam {strip.history.marked + 1} alone"


def answer(strip: Strip, exam: int) -> str:
    """Say in a few words what is known of a lesion on an exam, by its index."""
    result = strip.history.results[exam]
    track, is_there = result.track, result.track.status is not Status.NOT_FOUND
    if exam == strip.history.marked:
        return "marked"
    if result.by_user and is_there:
        return "set by the user"
    if result.by_user:
        return "rejected by the user" if result.there else "not there, says the user"
    if not is_there and result.there < ABSENT:
        return f"not there {as_percent(1 - result.there)}"
    if not (track.candidates or track.score):  # nobody looked
        return track.status.value
    return f"{track.status.value} {as_percent(track.score)}"


def _field_mm(strip: Strip) -> float:
    return field_mm(size.longest_mm for size in strip.growth.sizes if size is not None)


def _tile(mammogram: Mammogram, result: ExamResult, side_mm: float, turn: Turn) -> _Tile:
    """Cut a lesion's tile out of an exam."""
    track = result.track
    has_box = track.status is not Status.NOT_FOUND
    box = track.box if has_box else track.registration_box
    image = Image.new("L", (_TILE, _TILE))
    if has_box or not result.by_user:  # else nothing says where it would be
        image = zoom(mammogram, box.center, side_mm, _TILE, turn)
    if not has_box:
        return image, None, False
    sides = turned_size(np.array([box.width, box.height]) * mammogram.spacing, turn)
    return image, sides / side_mm * _TILE / 2, track.status is not Status.FOUND


def _caption(strip: Strip, exam: int, years: Sequence[float | None]) -> list[str]:
    """Say under a tile when it was taken, how sure the box is, and how long the lesion."""
    when = f"exam {exam + 1}"
    if years[exam] is not None:
        when += f":  {duration(years[exam])}" if exam else ":  0 years"
    how, size = answer(strip, exam), strip.growth.sizes[exam]
    if size is None:
        return [when, how]
    error = f" ± {size.error_mm:.1f}" if size.error_mm else ""
    return [when, how, f"{size.longest_mm:.1f}{error} mm"]

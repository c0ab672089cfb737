"""One picture of a result: prior and current side by side, and a zoom on each lesion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from ...box import Box
from ...breast import wall_is_left
from ...errors import MammoTrackerError
from ...mammogram import Mammogram
from ...track import Status, Track, as_decimals
from ..outputs import size_mm
from .drawing import (
    BACKGROUND,
    MOST_HIGH,
    MUTED,
    TEXT,
    View,
    area_of,
    draw_box,
    draw_zoom,
    field_mm,
    font,
    lesion_color,
    part_of,
    part_title,
    remove_parts,
    save,
    thumbnail,
    wrap,
)

_WIDTH = 1280
_MARGIN = 12
_GAP = 8
_HEAD = 58
_PANEL_WIDTH = 336
_ZOOM = 276
_CELL_HEIGHT = _ZOOM + 66
_PANEL_HEIGHT = 2 * _CELL_HEIGHT - 16
_ZOOM_X = 2 * (_PANEL_WIDTH + _GAP) + _MARGIN


def draw_overlay(
    prior: Mammogram, current: Mammogram, tracks: Sequence[Track], path: Path
) -> list[Path]:
    """Draw the prior, the current mammogram and the tracks into a PNG, or several of many lesions.

    To the left, both breasts in one scale (mm); if their chest walls are on different sides,
    the current one is mirrored for display, and says so. To the right, and below from the
    third on, each lesion on the prior and on the current mammogram, again in one scale.
    The box of the tracker is solid, that of registration alone is dashed. A lesion that was
    not found gets no solid box.

    Parameters
    ----------
    prior, current
        The two mammograms.
    tracks
        The lesions, in the order in which they are numbered, from 1.
    path
        The PNG file to write, 1280 pixels wide; those after it, which have zooms only, are named
        as `part_of` says.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    MammoTrackerError
        If there is no track to draw.
    """
    if not tracks:
        raise MammoTrackerError("There is no lesion to draw: give at least one box.")
    is_left = wall_is_left(thumbnail(prior)[0])
    mirrored = is_left != wall_is_left(thumbnail(current)[0])
    left = View(prior, area_of(prior, [track.prior_box for track in tracks]))
    boxes = [box for track in tracks for box in (track.box, track.registration_box)]
    right = View(current, area_of(current, boxes), mirrored)

    most = (MOST_HIGH - _HEAD) // _CELL_HEIGHT
    # The two mammograms take the place of two zooms.
    shown = range(min(2 * most - 2, len(tracks)))
    places = [(_ZOOM_X, 0), (_ZOOM_X, 1)]
    places += [(x, row) for row in range(2, most) for x in (_MARGIN, _ZOOM_X)]
    canvas = _canvas(max(2, 1 + places[len(shown) - 1][1]), part_title(shown, len(tracks)))

    scale = min(
        min(_PANEL_WIDTH / view.width_mm, _PANEL_HEIGHT / view.height_mm) for view in (left, right)
    )
    for view, x, title in (
        (left, _MARGIN, "Prior"),
        (right, _MARGIN + _PANEL_WIDTH + _GAP, "Current"),
    ):
        _draw_panel(canvas, view, x, scale, title, is_left)
    draw = ImageDraw.Draw(canvas)

    for panel, boxes_of in ((left, _prior_boxes), (right, _current_boxes)):
        taken: list[tuple[float, float, float, float]] = []
        for number, track in enumerate(tracks, 1):
            for box, dashed in boxes_of(track):
                place = panel.on_canvas(box)
                draw_box(draw, place, lesion_color(number), dashed)
                taken += _edges(place)
        for number, track in enumerate(tracks, 1):
            anchor = track.prior_box if panel is left else _answer(track)
            text = str(number) if panel is left else f"{number}: {_verdict(track)}"
            _draw_tag(draw, text, panel.on_canvas(anchor), lesion_color(number), panel.frame, taken)

    written = []
    while True:
        for k, (x, row) in zip(shown, places, strict=False):
            _draw_lesion(canvas, left, right, k + 1, tracks[k], (x, _HEAD + row * _CELL_HEIGHT))
        written.append(part_of(path, len(written)))
        save(canvas, written[-1])
        shown = range(shown.stop, min(shown.stop + 2 * most, len(tracks)))
        if not shown:
            remove_parts(path, len(written))
            return written
        places = [(x, row) for row in range(most) for x in (_MARGIN, _ZOOM_X)]
        canvas = _canvas(1 + places[len(shown) - 1][1], part_title(shown, len(tracks)))


def _canvas(rows: int, title: str) -> Image.Image:
    canvas = Image.new("RGB", (_WIDTH, _HEAD + rows * _CELL_HEIGHT), BACKGROUND)
    _draw_legend(ImageDraw.Draw(canvas), title)
    return canvas


def _prior_boxes(track: Track) -> list[tuple[Box, bool]]:
    return [(track.prior_box, False)]


def _current_boxes(track: Track) -> list[tuple[Box, bool]]:
    boxes = [(track.registration_box, True)]
    if track.status in (Status.FOUND, Status.UNCERTAIN):
        boxes.append((track.box, False))
    return boxes


def _answer(track: Track) -> Box:
    """Return the box that may be shown: registration's where the tracker has no answer."""
    shown = track.status in (Status.FOUND, Status.UNCERTAIN)
    return track.box if shown else track.registration_box


def _verdict(track: Track) -> str:
    if track.status in (Status.FOUND, Status.UNCERTAIN):
        return f"{track.status.value} {as_decimals(track.score)}"
    return track.status.value


def _draw_panel(
    canvas: Image.Image, view: View, x: int, scale: float, title: str, wall_is_left: bool
) -> None:
    y, width, height = _HEAD, _PANEL_WIDTH, _PANEL_HEIGHT
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill="black")
    w, h = min(round(view.width_mm * scale), width), min(round(view.height_mm * scale), height)
    left = x if wall_is_left else x + width - w
    top = y + (height - h) // 2
    view.place(canvas, (left, top, left + w, top + h))

    mammogram = view.mammogram
    name = " ".join(part for part in (mammogram.laterality, mammogram.view) if part)
    spacing = " x ".join(f"{value:.3g}" for value in dict.fromkeys(mammogram.spacing))
    facts = "  ".join(
        part
        for part in (
            name,
            f"{spacing} mm pixels",
            "mirrored for display" if view.mirrored else "",
        )
        if part
    )
    draw.text((x, 30), title, fill=TEXT, font=font(18))
    offset = draw.textlength(title, font=font(18)) + 12
    draw.text((x + offset, 34), facts, fill=MUTED, font=font(14))

    bar = 20 * scale
    bar_x = x + width - 14 - bar if wall_is_left else x + 14
    draw.line((bar_x, y + height - 14, bar_x + bar, y + height - 14), fill=TEXT, width=2)
    draw.text((bar_x + bar / 2, y + height - 18), "20 mm", fill=TEXT, font=font(13), anchor="ms")


def _draw_legend(draw: ImageDraw.ImageDraw, title: str) -> None:
    draw.text((_MARGIN, 6), f"MammoTracker{title}", fill=TEXT, font=font(15))
    x = _WIDTH - _MARGIN
    for text, dashed in (("registration alone", True), ("tracker", False)):
        x -= draw.textlength(text, font=font(14))
        draw.text((x, 7), text, fill=MUTED, font=font(14))
        x -= 34
        draw_box(draw, (x, 8, x + 26, 21), TEXT, dashed)
        x -= 20


def _draw_tag(
    draw: ImageDraw.ImageDraw,
    text: str,
    box: tuple[float, float, float, float],
    color: str,
    frame: tuple[float, float, float, float],
    taken: list[tuple[float, float, float, float]],
) -> None:
    """Write a label beside a box: inside the frame, and where nothing else is if it can be."""
    letters = font(14)
    width, height = draw.textlength(text, font=letters) + 8, 19.0
    x0, y0, x1, y1 = box
    best, best_overlap = None, float("inf")
    for gap in (3, 3 + height, 3 + 2 * height, 3 + 4 * height):
        for x, y in (
            (x0, y0 - gap - height),
            (x0, y1 + gap),
            (x1 + gap, y0),
            (x0 - gap - width, y0),
            (x1 - width, y0 - gap - height),
            (x1 - width, y1 + gap),
        ):
            x = min(max(x, frame[0]), frame[2] - width)
            y = min(max(y, frame[1]), frame[3] - height)
            tag = (x, y, x + width, y + height)
            overlap = sum(_overlap(tag, other) for other in taken)
            if overlap < best_overlap:
                best, best_overlap = tag, overlap
        if best_overlap == 0:
            break
    assert best is not None
    draw.rectangle(best, fill="#000000", outline=color)
    draw.text((best[0] + 4, best[1] + height / 2), text, fill=color, font=letters, anchor="lm")
    taken.append(best)


def _edges(box: tuple[float, ...]) -> list[tuple[float, float, float, float]]:
    x0, y0, x1, y1 = box
    return [
        (x0, y0 - 1, x1, y0 + 2),
        (x0, y1 - 2, x1, y1 + 1),
        (x0 - 1, y0, x0 + 2, y1),
        (x1 - 2, y0, x1 + 1, y1),
    ]


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0.0) * max(height, 0.0)


def _draw_lesion(
    canvas: Image.Image,
    left: View,
    right: View,
    number: int,
    track: Track,
    place: tuple[int, int],
) -> None:
    """Draw one lesion on the prior and on the current mammogram, with a caption beneath."""
    x, y = place
    draw = ImageDraw.Draw(canvas)
    line_color = lesion_color(number)
    sizes = [size_mm(track.prior_box, left.mammogram), size_mm(_answer(track), right.mammogram)]
    side_mm = field_mm(map(max, sizes))
    for offset, view, box, boxes, title in (
        (0, left, track.prior_box, _prior_boxes(track), "prior"),
        (_ZOOM + _GAP, right, _answer(track), _current_boxes(track), "current"),
    ):
        frame = (x + offset, y, x + offset + _ZOOM, y + _ZOOM)
        zoom = draw_zoom(canvas, view.mammogram, box.center, side_mm, frame, view.mirrored)
        for shown, dashed in boxes:
            draw_box(draw, zoom.on_canvas(shown), line_color, dashed)
        draw.rectangle((x + offset, y, x + offset + _ZOOM - 1, y + _ZOOM - 1), outline="#3c4043")
        text = f"{number} {title}"
        if title == "current" and not any(not dashed for _, dashed in boxes):
            text = f"{number} {track.status.value}"
        draw.rectangle(
            (x + offset, y, x + offset + draw.textlength(text, font=font(14)) + 10, y + 20),
            fill="black",
        )
        draw.text((x + offset + 5, y + 10), text, fill=line_color, font=font(14), anchor="lm")

    size = "{:.0f} x {:.0f} mm".format(*sizes[0])
    if track.status is not Status.NOT_FOUND:
        size += " -> {:.0f} x {:.0f} mm".format(*sizes[1])
    lines = [f"{number}: {_verdict(track)}   {size}   field {side_mm:.0f} mm"]
    lines += wrap(draw, track.reason, 2 * _ZOOM + _GAP)[:2]
    for index, line in enumerate(lines):
        draw.text(
            (x, y + _ZOOM + 4 + 17 * index),
            line,
            fill=line_color if index == 0 else MUTED,
            font=font(14 if index == 0 else 13),
        )

"""One picture of a result: prior and current side by side, and a zoom on each lesion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from .box import Box
from .breast import breast_mask, wall_is_left
from .errors import MammoTrackerError
from .mammogram import Mammogram
from .track import Status, Track

COLORS = ("#ffd23f", "#4cc9f0", "#7ae582", "#ff8fab", "#ff9f1c", "#b8a1ff")

_WIDTH = 1280
_MARGIN = 12
_GAP = 8
_HEAD = 58
_PANEL_WIDTH = 336
_ZOOM = 276
_CELL_HEIGHT = _ZOOM + 66
_PANEL_HEIGHT = 2 * _CELL_HEIGHT - 16
_BACKGROUND = "#16181d"
_TEXT = "#e8eaed"
_MUTED = "#9aa0a6"


def draw_overlay(prior: Mammogram, current: Mammogram, tracks: Sequence[Track], path: Path) -> None:
    """Draw the prior, the current mammogram and the tracks into one PNG.

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
        The PNG file to write, 1280 pixels wide.

    Raises
    ------
    MammoTrackerError
        If there is no track to draw.
    """
    if not tracks:
        raise MammoTrackerError("There is no lesion to draw: give at least one box.")
    mirrored = wall_is_left(_thumbnail(prior)[0]) != wall_is_left(_thumbnail(current)[0])
    left = _View(prior, [track.prior_box for track in tracks])
    right = _View(
        current,
        [track.box for track in tracks] + [track.registration_box for track in tracks],
        mirrored,
    )

    zoom_x = 2 * (_PANEL_WIDTH + _GAP) + _MARGIN
    places = [(zoom_x, 0), (zoom_x, 1)]
    places += [(x, row) for row in range(2, len(tracks)) for x in (_MARGIN, zoom_x)]
    places = places[: len(tracks)]
    rows = max(2, 1 + places[-1][1])
    canvas = Image.new("RGB", (_WIDTH, _HEAD + rows * _CELL_HEIGHT), _BACKGROUND)
    draw = ImageDraw.Draw(canvas)

    scale = min(
        min(_PANEL_WIDTH / view.width_mm, _PANEL_HEIGHT / view.height_mm) for view in (left, right)
    )
    for view, x, title in (
        (left, _MARGIN, "Prior"),
        (right, _MARGIN + _PANEL_WIDTH + _GAP, "Current"),
    ):
        _draw_panel(canvas, view, x, scale, title)
    _draw_legend(draw)

    for panel, boxes_of in ((left, _prior_boxes), (right, _current_boxes)):
        taken: list[tuple[float, float, float, float]] = []
        for number, track in enumerate(tracks, 1):
            for box, dashed in boxes_of(track):
                place = panel.on_canvas(box)
                draw_box(draw, place, _color(number), dashed)
                taken += _edges(place)
        for number, track in enumerate(tracks, 1):
            anchor = track.prior_box if panel is left else _answer(track)
            text = str(number) if panel is left else f"{number}: {_verdict(track)}"
            _draw_tag(draw, text, panel.on_canvas(anchor), _color(number), panel.frame, taken)

    for number, (track, (x, row)) in enumerate(zip(tracks, places, strict=True), 1):
        _draw_lesion(canvas, left, right, number, track, (x, _HEAD + row * _CELL_HEIGHT))
    try:
        canvas.save(path, format="PNG")
    except OSError as error:
        raise MammoTrackerError(f"Cannot write {path}: {error.strerror or error}.") from None


class _View:
    """A part of a mammogram on the canvas."""

    def __init__(
        self, mammogram: Mammogram, boxes: Sequence[Box] = (), mirrored: bool = False
    ) -> None:
        self.mammogram = mammogram
        self.mirrored = mirrored
        self.wall_is_left = wall_is_left(_thumbnail(mammogram)[0]) != mirrored
        self.area = _area(mammogram, boxes)
        self.width_mm = self.area.width * mammogram.spacing[0]
        self.height_mm = self.area.height * mammogram.spacing[1]
        self.frame = (0.0, 0.0, 0.0, 0.0)

    def place(self, canvas: Image.Image, frame: tuple[float, float, float, float]) -> None:
        """Paste the area into a frame (x0, y0, x1, y1) of the canvas."""
        self.frame = frame
        size = round(frame[2] - frame[0]), round(frame[3] - frame[1])
        image = _render(self.mammogram, self.area, size)
        if self.mirrored:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        canvas.paste(image, (round(frame[0]), round(frame[1])))

    def on_canvas(self, box: Box) -> tuple[float, float, float, float]:
        """Map a box of the mammogram to (x0, y0, x1, y1) on the canvas, kept in the frame."""
        x0, y0, x1, y1 = self.frame
        u0, u1 = ((x - self.area.x0) / self.area.width for x in (box.x0, box.x1))
        v0, v1 = ((y - self.area.y0) / self.area.height for y in (box.y0, box.y1))
        if self.mirrored:
            u0, u1 = 1 - u1, 1 - u0
        return (
            min(max(x0 + u0 * (x1 - x0), x0), x1 - 2),
            min(max(y0 + v0 * (y1 - y0), y0), y1 - 2),
            max(min(x0 + u1 * (x1 - x0), x1), x0 + 2),
            max(min(y0 + v1 * (y1 - y0), y1), y0 + 2),
        )


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
        return f"{track.status.value} {track.score:.2f}"
    return track.status.value


def _color(number: int) -> str:
    return COLORS[(number - 1) % len(COLORS)]


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _thumbnail(mammogram: Mammogram) -> tuple[np.ndarray, int]:
    """Return the image at about 1 mm, and how many of its pixels one of these stands for."""
    step = max(1, round(1.0 / min(mammogram.spacing)))
    return mammogram.pixels[::step, ::step], step


def _window(pixels: np.ndarray) -> tuple[float, float]:
    """Intensities that are shown black and white."""
    sample = pixels[:: max(1, pixels.shape[0] // 512), :: max(1, pixels.shape[1] // 512)]
    low = float(sample.min())
    bright = sample[sample > low + 0.05 * (float(sample.max()) - low)]
    high = float(np.percentile(bright, 99.5)) if bright.size else low + 1
    return low, max(high, low + 1e-6)


def _area(mammogram: Mammogram, boxes: Sequence[Box]) -> Box:
    """Return the part of the image that holds the breast and all boxes, with some air."""
    rows, columns = mammogram.pixels.shape
    small, step = _thumbnail(mammogram)
    x0, y0, x1, y1 = 0.0, 0.0, float(columns), float(rows)
    found = ndimage.find_objects(breast_mask(small).astype(int))
    if found:
        where, air = found[0], 6 * step
        y0, y1 = where[0].start * step - air, where[0].stop * step + air
        x0, x1 = where[1].start * step - air, where[1].stop * step + air
    for box in boxes:
        air_x, air_y = 3 / mammogram.spacing[0], 3 / mammogram.spacing[1]
        x0, y0 = min(x0, box.x0 - air_x), min(y0, box.y0 - air_y)
        x1, y1 = max(x1, box.x1 + air_x), max(y1, box.y1 + air_y)
    return Box(max(x0, 0.0), max(y0, 0.0), min(x1, float(columns)), min(y1, float(rows)))


def _render(
    mammogram: Mammogram, area: Box, size: tuple[int, int], local: bool = False
) -> Image.Image:
    """Draw an area, which may reach over the image's edges, in grey levels at this size."""
    rows, columns = mammogram.pixels.shape
    x0, y0 = max(int(area.x0), 0), max(int(area.y0), 0)
    x1, y1 = min(int(np.ceil(area.x1)), columns), min(int(np.ceil(area.y1)), rows)
    image = Image.new("RGB", size, "black")
    if x1 <= x0 or y1 <= y0:
        return image
    part = mammogram.pixels[y0:y1, x0:x1]
    if local:
        low, high = (float(value) for value in np.percentile(part[::2, ::2], (0.5, 99.7)))
        high = max(high, low + 1e-6)
    else:
        low, high = _window(mammogram.pixels)
    grey = (np.clip((part - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    factor = size[0] / area.width, size[1] / area.height
    width, height = max(1, round((x1 - x0) * factor[0])), max(1, round((y1 - y0) * factor[1]))
    shrunk = Image.fromarray(grey).resize(
        (width, height), Image.Resampling.LANCZOS, reducing_gap=3.0
    )
    image.paste(shrunk, (round((x0 - area.x0) * factor[0]), round((y0 - area.y0) * factor[1])))
    return image


def _draw_panel(canvas: Image.Image, view: _View, x: int, scale: float, title: str) -> None:
    y, width, height = _HEAD, _PANEL_WIDTH, _PANEL_HEIGHT
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill="black")
    w, h = min(round(view.width_mm * scale), width), min(round(view.height_mm * scale), height)
    left = x if view.wall_is_left else x + width - w
    top = y + (height - h) // 2
    view.place(canvas, (left, top, left + w, top + h))
    view.frame = (float(left), float(top), float(left + w), float(top + h))

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
    draw.text((x, 30), title, fill=_TEXT, font=_font(18))
    offset = draw.textlength(title, font=_font(18)) + 12
    draw.text((x + offset, 34), facts, fill=_MUTED, font=_font(14))

    bar = 20 * scale
    bar_x = x + width - 14 - bar if view.wall_is_left else x + 14
    draw.line((bar_x, y + height - 14, bar_x + bar, y + height - 14), fill=_TEXT, width=2)
    draw.text((bar_x + bar / 2, y + height - 18), "20 mm", fill=_TEXT, font=_font(13), anchor="ms")


def _draw_legend(draw: ImageDraw.ImageDraw) -> None:
    draw.text((_MARGIN, 6), "MammoTracker", fill=_TEXT, font=_font(15))
    x = _WIDTH - _MARGIN
    for text, dashed in (("registration alone", True), ("tracker", False)):
        x -= draw.textlength(text, font=_font(14))
        draw.text((x, 7), text, fill=_MUTED, font=_font(14))
        x -= 34
        draw_box(draw, (x, 8, x + 26, 21), _TEXT, dashed)
        x -= 20


def draw_box(
    draw: ImageDraw.ImageDraw,
    box: tuple[float, float, float, float],
    color: str,
    dashed: bool,
) -> None:
    x0, y0, x1, y1 = box
    if not dashed:
        draw.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline="black", width=1)
        draw.rectangle(box, outline=color, width=2)
        return
    for ax, ay, bx, by in ((x0, y0, x1, y0), (x0, y1, x1, y1), (x0, y0, x0, y1), (x1, y0, x1, y1)):
        length = max(abs(bx - ax), abs(by - ay), 1e-6)
        for start in np.arange(0, length, 7.0):
            a, b = start / length, min(start + 4, length) / length
            draw.line(
                (
                    ax + (bx - ax) * a,
                    ay + (by - ay) * a,
                    ax + (bx - ax) * b,
                    ay + (by - ay) * b,
                ),
                fill=color,
                width=1,
            )


def _draw_tag(
    draw: ImageDraw.ImageDraw,
    text: str,
    box: tuple[float, float, float, float],
    color: str,
    frame: tuple[float, float, float, float],
    taken: list[tuple[float, float, float, float]],
) -> None:
    """Write a label beside a box: inside the frame, and where nothing else is if it can be."""
    font = _font(14)
    width, height = draw.textlength(text, font=font) + 8, 19.0
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
    draw.text((best[0] + 4, best[1] + height / 2), text, fill=color, font=font, anchor="lm")
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
    left: _View,
    right: _View,
    number: int,
    track: Track,
    place: tuple[int, int],
) -> None:
    """Draw one lesion on the prior and on the current mammogram, with a caption beneath."""
    x, y = place
    draw = ImageDraw.Draw(canvas)
    color = _color(number)
    sizes = [_size_mm(track.prior_box, left), _size_mm(_answer(track), right)]
    side_mm = max(30.0, 2.2 * max(max(size) for size in sizes))
    for offset, view, box, boxes, title in (
        (0, left, track.prior_box, _prior_boxes(track), "prior"),
        (_ZOOM + _GAP, right, _answer(track), _current_boxes(track), "current"),
    ):
        frame = (x + offset, y, x + offset + _ZOOM, y + _ZOOM)
        zoom = draw_zoom(canvas, view.mammogram, box.center, side_mm, frame, view.mirrored)
        for shown, dashed in boxes:
            draw_box(draw, zoom.on_canvas(shown), color, dashed)
        draw.rectangle((x + offset, y, x + offset + _ZOOM - 1, y + _ZOOM - 1), outline="#3c4043")
        text = f"{number} {title}"
        if title == "current" and not any(not dashed for _, dashed in boxes):
            text = f"{number} {track.status.value}"
        draw.rectangle(
            (x + offset, y, x + offset + draw.textlength(text, font=_font(14)) + 10, y + 20),
            fill="black",
        )
        draw.text((x + offset + 5, y + 10), text, fill=color, font=_font(14), anchor="lm")

    size = "{:.0f} x {:.0f} mm".format(*sizes[0])
    if track.status is not Status.NOT_FOUND:
        size += " -> {:.0f} x {:.0f} mm".format(*sizes[1])
    lines = [f"{number}: {_verdict(track)}   {size}   field {side_mm:.0f} mm"]
    lines += _wrap(draw, track.reason, 2 * _ZOOM + _GAP)[:2]
    for index, line in enumerate(lines):
        draw.text(
            (x, y + _ZOOM + 4 + 17 * index),
            line,
            fill=color if index == 0 else _MUTED,
            font=_font(14 if index == 0 else 13),
        )


def draw_zoom(
    canvas: Image.Image,
    mammogram: Mammogram,
    center: tuple[float, float],
    side_mm: float,
    frame: tuple[int, int, int, int],
    mirrored: bool = False,
) -> _View:
    """Draw the square of this side around a point into a frame, in its own contrast.

    Returns
    -------
    _View
        Its ``on_canvas`` says where a box of the mammogram is.
    """
    view = _View(mammogram, mirrored=mirrored)
    width, height = (side_mm / spacing for spacing in mammogram.spacing)
    view.area = Box.from_center(*center, width, height)
    view.frame = frame
    size = frame[2] - frame[0], frame[3] - frame[1]
    image = _render(mammogram, view.area, size, local=True)
    if mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    canvas.paste(image, frame[:2])
    return view


def _size_mm(box: Box, view: _View) -> tuple[float, float]:
    return box.width * view.mammogram.spacing[0], box.height * view.mammogram.spacing[1]


def _wrap(draw: ImageDraw.ImageDraw, text: str, width: float) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and draw.textlength(joined, font=_font(13)) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines

"""Parts of mammograms, and boxes on them, drawn on a canvas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from scipy import ndimage

from ...box import Box
from ...breast import breast_mask
from ...mammogram import Mammogram
from ...orientation import Turn, turned
from ...output_folder import cannot_write
from ..outputs import is_own_picture

COLORS = ("#ffd23f", "#4cc9f0", "#7ae582", "#ff8fab", "#ff9f1c", "#b8a1ff")
BACKGROUND, TEXT, MUTED = "#16181d", "#e8eaed", "#9aa0a6"
MOST_HIGH = 8000
"""Pixels; of higher pictures some programs show nothing. Further lesions are in further ones."""


class View:
    """A part of a mammogram on the canvas."""

    def __init__(self, mammogram: Mammogram, area: Box, mirrored: bool = False) -> None:
        self.mammogram, self.area, self.mirrored = mammogram, area, mirrored
        self.width_mm = area.width * mammogram.spacing[0]
        self.height_mm = area.height * mammogram.spacing[1]
        self.frame = (0, 0, 0, 0)

    def place(
        self, canvas: Image.Image, frame: tuple[int, int, int, int], local: bool = False
    ) -> None:
        """Paste the area into a frame (x0, y0, x1, y1) of the canvas."""
        self.frame = frame
        size = frame[2] - frame[0], frame[3] - frame[1]
        image = _render(self.mammogram, self.area, size, local)
        if self.mirrored:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        canvas.paste(image, frame[:2])

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


def draw_zoom(
    canvas: Image.Image,
    mammogram: Mammogram,
    center: tuple[float, float],
    side_mm: float,
    frame: tuple[int, int, int, int],
    mirrored: bool = False,
) -> View:
    """Draw the square of this side around a point into a frame, in its own contrast.

    Returns
    -------
    View
        Its ``on_canvas`` says where a box of the mammogram is.
    """
    view = View(mammogram, _square(mammogram, center, side_mm), mirrored)
    view.place(canvas, frame, local=True)
    return view


def zoom(
    mammogram: Mammogram, center: tuple[float, float], side_mm: float, size: int, turn: Turn
) -> Image.Image:
    """Return the square of this side around a point, turned, in its own contrast.

    It is grey, of size x size pixels.
    """
    image = _render(mammogram, _square(mammogram, center, side_mm), (size, size), local=True)
    return Image.fromarray(np.ascontiguousarray(turned(np.asarray(image)[..., 0], turn)))


def field_mm(sides_mm: Iterable[float]) -> float:
    """Return how wide a zoom on a lesion is to be, by its longest sides on all that is shown."""
    return max(30.0, 2.2 * max(sides_mm))


def _square(mammogram: Mammogram, center: tuple[float, float], side_mm: float) -> Box:
    width, height = (side_mm / spacing for spacing in mammogram.spacing)
    return Box.from_center(*center, width, height)


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


def lesion_color(number: int) -> str:
    """Return the colour of a lesion, counted from 1."""
    return COLORS[(number - 1) % len(COLORS)]


def wrap(draw: ImageDraw.ImageDraw, text: str, width: float, size: int = 13) -> list[str]:
    """Break a text into lines of at most a width, in letters of this size."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and draw.textlength(joined, font=font(size)) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines


def part_of(path: Path, part: int) -> Path:
    """Return the name of a part, from 0, of a picture: NAME.png, then NAME-2.png and so on."""
    return path.with_name(f"{path.stem}-{part + 1}{path.suffix}") if part else path


def remove_parts(path: Path, first: int) -> None:
    """Remove the parts of an earlier picture from one on, as far as they are its own."""
    with suppress(OSError):
        while is_own_picture(part_of(path, first)):
            part_of(path, first).unlink()
            first += 1


def part_title(shown: Sequence[int], count: int) -> str:
    """Say which of the lesions a picture shows, by their places; "" if that is all of them."""
    if len(shown) == count:
        return ""
    return f"   lesions {shown[0] + 1} to {shown[-1] + 1} of {count}"


def as_range(pictures: Sequence[Path]) -> str:
    """Name pictures of which each goes on with the one before, for a message."""
    names = [path.name for path in pictures]
    return ", ".join(names) if len(names) < 4 else f"{names[0]}, {names[1]} to {names[-1]}"


def save(canvas: Image.Image, path: Path) -> None:
    """Write a picture as a PNG that says which program drew it.

    Raises
    ------
    MammoTrackerError
        If it cannot be written.
    """
    about = PngInfo()
    about.add_text("Software", "MammoTracker")
    try:
        canvas.save(path, format="PNG", pnginfo=about)
    except OSError as error:
        raise cannot_write(path, error) from None


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def thumbnail(mammogram: Mammogram) -> tuple[np.ndarray, int]:
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


def area_of(mammogram: Mammogram, boxes: Sequence[Box]) -> Box:
    """Return the part of the image that holds the breast and all boxes, with some air."""
    rows, columns = mammogram.pixels.shape
    small, step = thumbnail(mammogram)
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

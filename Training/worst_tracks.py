"""Pictures of the tracks that are farthest off."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from MammoTrackerLib import Box, Mammogram
from MammoTrackerLib.command.drawings.drawing import draw_box, draw_zoom
from MammoTrackerLib.command.scores import Lesion
from MammoTrackerLib.output_folder import OutputFolder

from .manifest import Row, box_of, read_exam
from .methods import FULL, SPLINE

WORST = 10
COLORS = {"true": "#7ae582", "tracker": "#ffd23f", "registration": "#4cc9f0"}


def draw_worst(manifest: Path, tracked: Sequence[tuple[Row, Lesion]], folder: Path) -> int:
    """Draw the ten tracks whose centres are farthest off.

    To the left the prior with the lesion's box, to the right the current mammogram with the
    true box, that of `FULL`, and that of registration, dashed; both in one scale.

    Parameters
    ----------
    manifest
        Where the rows come from.
    tracked
        From `methods.track_all`.
    folder
        Where ``worst-01.png``, ... go; what a former run left there is replaced.

    Returns
    -------
    int
        How many were drawn.
    """
    known = [
        (lesion.distance(FULL), number, row, lesion)
        for number, (row, lesion) in enumerate(tracked, 1)
        if not np.isnan(lesion.distance(FULL))
    ]
    worst = sorted(known, key=lambda entry: -entry[0])[:WORST]
    with OutputFolder(folder, replaces=("worst-*.png",)) as temporary:
        for rank, (distance, number, row, lesion) in enumerate(worst, 1):
            prior, current = (
                read_exam(manifest.parent, row, exam) for exam in ("prior", "current")
            )
            caption = (
                f"{rank}. row {number}: {lesion.kind}, {lesion.status}, {distance:.1f} mm off, "
                f"IoU {lesion.boxes[FULL].iou(lesion.truth):.2f}"
            )
            picture = draw_track(prior, current, box_of(row, "prior"), lesion, caption)
            picture.save(temporary / f"worst-{rank:02d}.png")
    return len(worst)


def draw_track(
    prior: Mammogram, current: Mammogram, box: Box, lesion: Lesion, caption: str
) -> Image.Image:
    """Draw one lesion on the prior and on the current mammogram, 1020 pixels wide."""
    panel, gap, head, foot = 500, 20, 30, 30
    boxes = {
        "true": lesion.truth,
        "registration": lesion.boxes[SPLINE],
        "tracker": lesion.boxes[FULL],
    }
    corners = np.array([one.as_tuple() for one in boxes.values()])
    low, high = corners[:, :2].min(0), corners[:, 2:].max(0)
    extents = np.array([(high - low) * current.spacing, [box.width, box.height] * np.array(
        prior.spacing)])  # fmt: skip
    side_mm = max(40.0, 1.2 * extents.max())

    canvas = Image.new("RGB", (2 * panel + gap, head + panel + foot), "#16181d")
    draw = ImageDraw.Draw(canvas)
    left = draw_zoom(canvas, prior, box.center, side_mm, (0, head, panel, head + panel))
    right = draw_zoom(
        canvas,
        current,
        tuple((low + high) / 2),
        side_mm,
        (panel + gap, head, 2 * panel + gap, head + panel),
    )
    draw_box(draw, left.on_canvas(box), COLORS["true"], False)
    font = ImageFont.load_default(15)
    x = float(panel + gap)
    for name, shown in boxes.items():
        dashed = name == "registration"
        draw_box(draw, right.on_canvas(shown), COLORS[name], dashed)
        draw_box(draw, (x, head + panel + 8, x + 24, head + panel + 22), COLORS[name], dashed)
        draw.text((x + 32, head + panel + 15), name, COLORS[name], font, anchor="lm")
        x += 60 + draw.textlength(name, font=font)
    draw.text((6, head / 2), caption, "#e8eaed", font, anchor="lm")
    draw.text(
        (6, head + panel + 15),
        f"left: prior, right: current; each {side_mm:.0f} mm wide",
        "#9aa0a6",
        font,
        anchor="lm",
    )
    return canvas

"""The film strip and the growth plot show what a history says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from MammoTrackerLib import Box, Mammogram, Status, Track
from MammoTrackerLib.command.drawing import COLORS
from MammoTrackerLib.command.growth_plot import draw_growth
from MammoTrackerLib.command.strip import Strip, draw_strip, summary
from MammoTrackerLib.growth import growth
from MammoTrackerLib.history import ExamResult, LesionHistory
from MammoTrackerLib.orientation import MIRRORED, UNTURNED

IMAGE = Mammogram(np.pad(np.ones((300, 200)), ((100, 100), (0, 200))), 0.2)
LESION = Box(80, 200, 130, 250)


def strip(*found: Status | None, marked: int = 0) -> Strip:
    """Make a lesion's strip; None where it is not there."""
    results = []
    for k, status in enumerate(found):
        there = 0.1 if status is None else 1.0
        track = Track(LESION, LESION, there, status or Status.NOT_FOUND, "", (), LESION)
        results.append(ExamResult(track, (), k == marked, there))
    history = LesionHistory(marked, tuple(results))
    return Strip(history, growth(history, [IMAGE.spacing] * len(found), [None] * len(found)))


def drawn(path: Path, strips: list[Strip]) -> np.ndarray:
    count = len(strips[0].history.results)
    draw_strip([lambda: IMAGE] * count, strips, [None] * count, [UNTURNED] * count, path)
    return np.asarray(Image.open(path))


def colored(image: np.ndarray, number: int) -> np.ndarray:
    return (image == ImageColor.getrgb(COLORS[number - 1])).all(-1)


def test_found_uncertain_and_lost_boxes_differ(tmp_path):
    image = drawn(tmp_path / "a.png", [strip(Status.FOUND, Status.UNCERTAIN, None)])
    boxes = colored(image, 1)[90:280]
    counts = [boxes[:, x : x + 184].sum() for x in (14, 208, 402)]
    assert counts[0] > counts[1] > 0 == counts[2]


def test_every_exam_is_read_once_and_many_go_on_in_the_next_line(tmp_path):
    read = []
    strips = [strip(*[Status.FOUND] * 11), strip(*[Status.FOUND] * 11)]
    draw_strip(
        [lambda k=k: read.append(k) or IMAGE for k in range(11)], strips, [None] * 11,
        [UNTURNED] * 11, tmp_path / "a.png",
    )  # fmt: skip
    assert read == list(range(11))
    few = drawn(tmp_path / "b.png", [strip(*[Status.FOUND] * 8)] * 2)
    many = np.asarray(Image.open(tmp_path / "a.png"))
    assert many.shape[1] == few.shape[1] and many.shape[0] > 1.6 * few.shape[0]


def test_a_mirrored_exam_is_shown_as_the_marked_one(tmp_path):
    mirrored = replace(IMAGE, pixels=IMAGE.pixels[:, ::-1].copy())
    width = IMAGE.pixels.shape[1]
    box = Box(width - LESION.x1, LESION.y0, width - LESION.x0, LESION.y1)
    own = strip(Status.FOUND, Status.FOUND)
    other = replace(own.history.results[1], track=replace(own.history.results[1].track, box=box))
    both = replace(own, history=replace(own.history, results=(own.history.results[0], other)))
    draw_strip(
        [lambda: IMAGE, lambda: mirrored], [both], [None] * 2, [UNTURNED, MIRRORED],
        tmp_path / "a.png",
    )  # fmt: skip
    image = np.asarray(Image.open(tmp_path / "a.png")).astype(int)[86:270]
    assert np.abs(image[:, 16:196] - image[:, 210:390]).mean() < 3


def test_the_summary_says_what_became_of_a_lesion():
    assert summary(strip(None, Status.FOUND, marked=1)) == "new on exam 2 (90 %)"
    text = summary(strip(Status.FOUND, Status.FOUND, None))
    assert "gone on exam 3 (90 %)" in text
    assert "no change that can be measured: +0 % (-" in text


@pytest.mark.parametrize("years", [[0.0, 1.5, 4.0], [None, None, None]])
def test_the_plot_has_each_lesion_in_its_colour(tmp_path, years):
    strips = [
        strip(Status.FOUND, Status.UNCERTAIN, None),
        strip(None, None, Status.FOUND, marked=2),
    ]
    draw_growth(strips, years, tmp_path / "a.png")
    image = np.asarray(Image.open(tmp_path / "a.png"))
    for number in (1, 2):
        assert colored(image[:490], number).sum() > 60
        assert colored(image[490:], number).sum() > 60, "the legend"


@pytest.mark.parametrize("years", [[0.0, 0.0, 0.0], [None, None, None]])
def test_exams_of_one_day_stand_side_by_side_in_the_plot(tmp_path, years):
    """As those of archives that give all exams one date."""
    draw_growth([strip(*[Status.FOUND] * 3)], years, tmp_path / "a.png")
    seen = colored(np.asarray(Image.open(tmp_path / "a.png"))[:490], 1).any(axis=0)
    assert np.ptp(np.flatnonzero(seen)) > 800

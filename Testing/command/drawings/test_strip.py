"""The film strip and the growth plot show what a history says."""

from __future__ import annotations

import shutil
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor
from PIL.PngImagePlugin import PngInfo

from MammoTrackerLib import Box, Mammogram, Status, Track
from MammoTrackerLib.command.drawings import strip as strip_module
from MammoTrackerLib.command.drawings.drawing import COLORS, MOST_HIGH
from MammoTrackerLib.command.drawings.growth_plot import draw_growth
from MammoTrackerLib.command.drawings.strip import Strip, answer, draw_strip, summary
from MammoTrackerLib.command.history_files import LESION_FILES, is_own_history
from MammoTrackerLib.growth import growth
from MammoTrackerLib.history import ExamResult, LesionHistory
from MammoTrackerLib.orientation import MIRRORED, UNTURNED
from MammoTrackerLib.output_folder import OutputFolder

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
    exams = Status.FOUND, Status.UNCERTAIN, None, Status.REGISTRATION
    image = drawn(tmp_path / "a.png", [strip(*exams)])
    boxes = colored(image, 1)[90:280]
    counts = [boxes[:, x : x + 184].sum() for x in (14, 208, 402, 596)]
    assert counts[0] > counts[1] > 0 == counts[2] and counts[3] == counts[1]


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
    assert summary(strip(Status.NOT_FOUND, Status.FOUND, marked=1)) == "measured on exam 2 alone"


def test_the_answer_on_an_exam_in_words():
    said = strip(Status.FOUND, None, Status.UNCERTAIN)
    assert [answer(said, k) for k in range(3)] == ["marked", "not there 90 %", "uncertain 100 %"]
    kept = strip(Status.FOUND, Status.REGISTRATION, Status.NOT_FOUND, Status.FOUND, None)
    results = list(kept.history.results)
    for k in (1, 2):  # nobody looked, so that there is no probability
        results[k] = replace(results[k], track=replace(results[k].track, score=0.0))
    results[3:] = [
        replace(result, by_user=True, there=1.0 - k) for k, result in enumerate(results[3:])
    ]
    kept = replace(kept, history=replace(kept.history, results=tuple(results)))
    assert [answer(kept, k) for k in range(1, 5)] == [
        "kept from registration", "not found", "set by the user", "not there, says the user",
    ]  # fmt: skip


def test_a_rejected_box_is_not_said_to_be_no_lesion():
    for there, said in ((0.0, "not there, says the user"), (0.5, "rejected by the user")):
        own = strip(Status.FOUND, None)
        first, absent = own.history.results
        results = first, replace(absent, by_user=True, there=there)
        own = replace(own, history=replace(own.history, results=results))
        assert strip_module._caption(own, 1, [None, None]) == ["exam 2", said]


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


def test_many_lesions_go_on_in_further_pictures(tmp_path):
    """Of a picture of a hundred thousand lines, programs show nothing."""
    read = []
    lesions = [strip(Status.FOUND, Status.UNCERTAIN) for _ in range(60)]
    readers = [lambda k=k: read.append(k) or IMAGE for k in range(2)]
    written = draw_strip(readers, lesions, [None] * 2, [UNTURNED] * 2, tmp_path / "strip.png")
    assert [path.name for path in written] == ["strip.png", "strip-2.png", "strip-3.png"]
    assert read == [0, 1]
    alone = drawn(tmp_path / "alone.png", lesions[:27])
    for number, path in enumerate(written):
        image = np.asarray(Image.open(path))
        assert image.shape[0] <= MOST_HIGH and image.shape[1] == alone.shape[1]
        # Lesion 27 + n of the second picture stands as lesion n, in the colour of its own number.
        own = colored(image[86:270], (27 * number) % len(COLORS) + 1)
        assert (own == colored(alone[86:270], 1)).all()
    assert np.asarray(Image.open(written[2])).shape[0] < MOST_HIGH / 3
    draw_growth(lesions * 10, [None] * 2, tmp_path / "growth.png")
    assert np.asarray(Image.open(tmp_path / "growth.png")).shape[0] <= MOST_HIGH


def test_thousands_of_tiles_are_not_in_memory_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(strip_module, "_MOST_TILES", 60)
    read = []
    lesions = [strip(Status.FOUND, Status.FOUND)] * 60
    readers = [lambda k=k: read.append(k) or IMAGE for k in range(2)]
    written = draw_strip(readers, lesions, [None] * 2, [UNTURNED] * 2, tmp_path / "strip.png")
    assert len(written) == 3 and read == [0, 1] * 3


def test_further_pictures_of_an_earlier_run_go(tmp_path):
    lesions = [strip(Status.FOUND, Status.FOUND)] * 30
    draw = [lambda: IMAGE] * 2, lesions, [None] * 2, [UNTURNED] * 2
    draw_strip(*draw, tmp_path / "strip.png")
    Image.new("L", (9, 9)).save(tmp_path / "strip-3.png")
    copied = Path(shutil.copy(tmp_path / "strip.png", tmp_path / "strip-before.png"))
    with OutputFolder(tmp_path, LESION_FILES, is_own_history) as folder:
        draw_strip(draw[0], lesions[:1], *draw[2:], folder / "strip.png")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"strip.png", "strip-3.png", copied.name}


def test_further_pictures_go_also_where_they_are_drawn_in_place(tmp_path):
    """As by the panel's export, which writes into the user's folder."""
    lesions = [strip(Status.FOUND, Status.FOUND)] * 60
    drawn(tmp_path / "strip.png", lesions)
    Image.new("L", (9, 9)).save(tmp_path / "strip-4.png")
    drawn(tmp_path / "strip.png", lesions[:1])
    assert {path.name for path in tmp_path.iterdir()} == {"strip.png", "strip-4.png"}
    about = PngInfo()
    about.add_text("Comment", "x" * 2**21, zip=True)
    Image.new("L", (9, 9)).save(tmp_path / "strip-2.png", pnginfo=about)
    drawn(tmp_path / "strip.png", lesions[:1])
    header = (tmp_path / "strip-4.png").read_bytes()[:16] + 2 * struct.pack(">I", 10**5)
    header += b"\x08\0\0\0\0"
    header += struct.pack(">I", zlib.crc32(header[12:]))
    (tmp_path / "strip-2.png").write_bytes(header + struct.pack(">I", 0) + b"IDAT")
    drawn(tmp_path / "strip.png", lesions[:1])
    assert (tmp_path / "strip-2.png").exists()

"""The overlay shows what is an answer, and only that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from MammoTrackerLib import Box, Mammogram, MammoTrackerError, Status, Track
from MammoTrackerLib.command.drawings.drawing import COLORS, as_range
from MammoTrackerLib.command.drawings.overlay import draw_overlay


@pytest.fixture(scope="module")
def breast() -> Mammogram:
    y, x = np.mgrid[:600, :400]
    tissue = 1000 + 300 * np.sin(x / 17) * np.sin(y / 23)
    inside = (x / 260) ** 2 + ((y - 300) / 260) ** 2 < 1
    return Mammogram(np.where(inside, tissue, 0), 0.3, "L", "CC")


def a_track(status: Status = Status.FOUND, x: float = 100, reason: str = "Clear.") -> Track:
    return Track(
        Box(80, 200, 120, 240),
        Box(x, 280, x + 40, 320),
        0.83,
        status,
        reason,
        (),
        Box(60, 320, 100, 360),
    )


def draw(folder: Path, prior: Mammogram, current: Mammogram, *tracks: Track) -> np.ndarray:
    draw_overlay(prior, current, tracks, folder / "overlay.png")
    with Image.open(folder / "overlay.png") as image:
        return np.array(image)


def count(image: np.ndarray, color: str) -> int:
    return int((image == ImageColor.getrgb(color)).all(-1).sum())


def test_found_box_is_drawn_where_it_is(breast: Mammogram, tmp_path: Path) -> None:
    one, other = (draw(tmp_path, breast, breast, a_track(x=x)) for x in (100, 150))
    assert one.shape[1] == 1280
    assert (one != other).any(), "another answer must look different"
    # The current's panel starts at 356; the box's left edge moves by 50 pixels of the image.
    edges = [
        np.flatnonzero((image[60:700, 356:690] == ImageColor.getrgb(COLORS[0])).all(-1).sum(0) > 25)
        for image in (one, other)
    ]
    scale = 336 / ((260 + 18) * 0.3)
    assert edges[1].max() - edges[0].max() == pytest.approx(50 * 0.3 * scale, rel=0.1)


def test_guess_of_a_lesion_not_found_is_not_drawn(breast: Mammogram, tmp_path: Path) -> None:
    lost, elsewhere, found = (
        draw(tmp_path, breast, breast, a_track(status, x))
        for status, x in (
            (Status.NOT_FOUND, 100),
            (Status.NOT_FOUND, 150),
            (Status.FOUND, 100),
        )
    )
    np.testing.assert_array_equal(lost, elsewhere)
    assert count(lost, COLORS[0]) < count(found, COLORS[0])


def test_mirrored_image_is_shown_like_its_original(breast: Mammogram, tmp_path: Path) -> None:
    track = a_track()
    mirrored = replace(breast, pixels=breast.pixels[:, ::-1])
    flipped = replace(
        track,
        box=Box(400 - track.box.x1, track.box.y0, 400 - track.box.x0, track.box.y1),
        registration_box=Box(300, 320, 340, 360),
    )
    straight = draw(tmp_path, breast, breast, track)
    turned = draw(tmp_path, breast, mirrored, flipped)
    panel = np.s_[58:720, 356:692]
    difference = np.abs(straight[panel].astype(int) - turned[panel]).mean()
    assert difference < 2
    unflipped = draw(tmp_path, breast, mirrored, track)
    assert np.abs(straight[panel].astype(int) - unflipped[panel]).mean() > 2 * difference


def test_every_lesion_has_its_color(breast: Mammogram, tmp_path: Path) -> None:
    statuses = [*Status, Status.FOUND]
    tracks = [a_track(status, 60 + 30 * i, "Word " * 80) for i, status in enumerate(statuses)]
    image = draw(tmp_path, breast, breast, *tracks)
    for color in COLORS[: len(tracks)]:
        assert count(image, color) > 100
    assert image.shape[0] > draw(tmp_path, breast, breast, tracks[0]).shape[0]


def test_box_over_the_edge_and_other_spacing(breast: Mammogram, tmp_path: Path) -> None:
    coarse = Mammogram(breast.pixels[::2, ::3], (0.9, 0.6), "L", "CC")
    track = replace(a_track(), box=Box(-10, -5, 12, 8), registration_box=Box(-40, -40, -20, -20))
    assert draw(tmp_path, breast, coarse, track).shape[1] == 1280


def test_nothing_to_draw(breast: Mammogram, tmp_path: Path) -> None:
    with pytest.raises(MammoTrackerError, match="box"):
        draw_overlay(breast, breast, [], tmp_path / "overlay.png")
    assert not (tmp_path / "overlay.png").exists()


def test_many_lesions_go_on_in_further_pictures(breast: Mammogram, tmp_path: Path) -> None:
    tracks = [a_track(x=100 + k / 2) for k in range(100)]
    written = draw_overlay(breast, breast, tracks, tmp_path / "overlay.png")
    assert [path.name for path in written] == ["overlay.png", "overlay-2.png", "overlay-3.png"]
    assert as_range(written) == "overlay.png, overlay-2.png, overlay-3.png"
    assert (
        as_range([*written, Path("overlay-4.png")]) == "overlay.png, overlay-2.png to overlay-4.png"
    )
    for path, rows in zip(written, (23, 23, 5), strict=True):
        with Image.open(path) as image:
            assert image.size == (1280, 58 + 342 * rows)
            picture = np.array(image)
        assert picture[58 + 342 * (rows - 1) : -66].std() > 10, "the last row has zooms"

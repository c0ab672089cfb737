"""Pieces of a volume: where they are, how large, how bright, and which way round."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mrml import add_volume

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")

from MammoTrackerLib import Box  # noqa: E402
from MammoTrackerLib import scene as bridge  # noqa: E402
from MammoTrackerLib.orientation import MIRRORED, UNTURNED  # noqa: E402

SPOT = Box(40, 60, 50, 70)


@pytest.fixture
def volume(scene):
    """A breast at the left of 0.2 mm pixels, with a bright spot of 2 mm."""
    y, x = np.mgrid[:200, :160] + 0.5
    image = np.where((x / 120) ** 2 + ((y - 100) / 95) ** 2 < 1, 300.0, 0.0)
    image[60:70, 40:50] = 1000
    volume = add_volume(scene, image.astype(np.float32), spacing=(0.2, 0.2, 1))
    volume.GetDisplayNode().SetAutoWindowLevel(False)
    volume.GetDisplayNode().SetWindowLevel(1000, 500)
    return volume


def extent(picture: np.ndarray) -> list[int]:
    rows, columns = np.flatnonzero((picture > 180).any(1)), np.flatnonzero((picture > 180).any(0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@pytest.mark.parametrize(("side_mm", "side_px"), [(8, 40), (8, 100), (20, 50)])
def test_a_box_is_in_the_middle_in_the_scale_that_was_asked_for(volume, side_mm, side_px):
    picture = bridge.crop_around(volume, SPOT, side_mm, side_px, UNTURNED)
    assert picture.shape == (side_px, side_px) and picture.dtype == np.uint8
    size = 2 / side_mm * side_px
    expected = (side_px - size) / 2, (side_px + size) / 2
    np.testing.assert_allclose(extent(picture), np.tile(expected, 2).reshape(2, 2).T.ravel()[
        [0, 0, 2, 2]], atol=1.5)  # fmt: skip
    around = np.median(picture[: side_px // 5])
    assert around == pytest.approx(300 / 1000 * 255, abs=2), "as bright as on the screen"


def test_it_is_mirrored_and_black_off_the_image(volume):
    box = Box(-5, 60, 5, 70)
    plain = bridge.crop_around(volume, box, 24, 60, UNTURNED)
    assert not plain[:, :29].any() and plain[25:35, 35:].any()
    mirrored = bridge.crop_around(volume, box, 24, 60, MIRRORED)
    np.testing.assert_array_equal(mirrored, plain[:, ::-1])
    far = Box(-900, 60, -890, 70)
    assert not bridge.crop_around(volume, far, 24, 60, UNTURNED).any()


def test_inverted_images_are_shown_as_the_screen_does(volume):
    plain = bridge.crop_around(volume, SPOT, 8, 40, UNTURNED)
    volume.GetDisplayNode().SetAndObserveColorNodeID(bridge.INVERTED_GREY)
    inverted = bridge.crop_around(volume, SPOT, 8, 40, UNTURNED)
    assert np.abs(255 - inverted.astype(int) - plain).max() <= 1


def test_the_chest_wall_is_found_and_looked_for_again_in_another_image(volume):
    from slicer.util import arrayFromVolume, updateVolumeFromArray

    assert bridge.is_wall_left(volume)
    updateVolumeFromArray(volume, np.ascontiguousarray(arrayFromVolume(volume)[..., ::-1]))
    assert not bridge.is_wall_left(volume)


def test_a_volume_on_its_side_is_turned_as_the_headers_say(volume, monkeypatch):
    from slicer.util import arrayFromVolume

    from MammoTrackerLib.scene import crop

    image = arrayFromVolume(volume).squeeze()
    turned = add_volume(volume.GetScene(), image.T.copy(), spacing=(0.2, 0.2, 1))
    turned.GetDisplayNode().SetAutoWindowLevel(False)
    turned.GetDisplayNode().SetWindowLevel(1000, 500)
    ways = {volume.GetID(): ("A", "F"), turned.GetID(): ("F", "A")}
    header = crop.header_of
    monkeypatch.setattr(
        crop, "header_of", lambda v: replace(header(v), orientation=ways[v.GetID()])
    )
    place = Box(SPOT.y0, SPOT.x0, SPOT.y1, SPOT.x1)
    turn = bridge.turn_to_lie_as(turned, volume)
    picture = bridge.crop_around(turned, place, 24, 60, turn)
    np.testing.assert_array_equal(picture, bridge.crop_around(volume, SPOT, 24, 60, UNTURNED))

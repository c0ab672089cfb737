"""The side-by-side views, rendered off screen: what lies where, in which view, and how large."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_exams import (
    COLUMNS,
    LESION,
    MARK,
    ROWS,
    SIZE,
    SPACING,
    TEXT_COLOR,
    VIEWS,
    add_lesion,
    add_volume,
    bounds,
    color_mask,
    on_screen,
    outline,
    pixels,
    shift_grid,
    squares,
    track,
)
from slicer.util import updateVolumeFromArray

from MammoTrackerLib import Box, MammoTrackerError
from MammoTrackerLib import scene as bridge


def test_boxes_and_labels_are_in_their_own_view_only(views, picture) -> None:
    prior, current, other = add_volume(), add_volume(), add_volume()
    views.show(prior, current)
    plain = picture()
    lesion = add_lesion(prior)
    views.assign()
    before, now = picture()
    assert color_mask(before).any() and not color_mask(now).any()

    found = Box(160, 300, 200, 330)
    bridge.show_track(lesion, current, track(found))
    bridge.update_labels(prior, current)
    views.assign()
    before, now = picture()
    np.testing.assert_allclose(outline(before), on_screen(LESION), atol=1)
    np.testing.assert_allclose(outline(now), on_screen(found), atol=1)
    for view, without, box in zip((before, now), plain, (LESION, found), strict=True):
        x0, y0, x1, y1 = on_screen(box).round().astype(int)
        text = bounds(color_mask(view, TEXT_COLOR))
        assert y0 - 20 < text[1] < y0 - 10, "the label is above the box"
        inside = np.s_[y0 + 4 : y1 - 4, x0 + 4 : x1 - 4]
        covered = (view[inside] != without[inside]).any(-1).sum()
        assert covered <= 16, "the lesion is covered by more than the dot in its middle"

    # A lesion of another prior lies at the same place of the world.
    elsewhere = add_lesion(other, Box(10, 10, 40, 40))
    strange = bridge.show_track(elsewhere, other, track(Box(200, 10, 240, 40)))
    views.assign()
    for view, one in zip(picture(), (before, now), strict=True):
        np.testing.assert_array_equal(view, one)
    for roi in (elsewhere, strange):
        assert roi.GetDisplayNode().IsDisplayableInView("vtkMRMLSliceNodeRed")

    views.show(other, current)
    before, now = picture()
    np.testing.assert_allclose(outline(before), on_screen(Box(10, 10, 40, 40)), atol=1)
    assert not color_mask(now).any()


def test_preview_of_a_candidate_is_in_the_currents_view(views, picture) -> None:
    prior, current = add_volume(), add_volume(np.zeros((ROWS, COLUMNS)))
    views.show(prior, current)
    prediction = bridge.show_track(add_lesion(prior), current, track(Box(160, 300, 200, 330)))
    bridge.set_review(prediction, "rejected")
    views.assign()
    before, now = picture()
    assert now.max() == 0
    bridge.preview_candidate(prediction, 1)
    views.assign()
    with_preview = picture()
    np.testing.assert_array_equal(with_preview[0], before)
    assert bounds(with_preview[1].max(-1) > 50) == pytest.approx(
        on_screen(Box(160, 300, 200, 330)), abs=3
    )


def test_centre_on_lesion(layouts, views, picture) -> None:
    elsewhere = Box(20, 150, 44, 180)
    prior, current = add_volume(), add_volume(pixels(lesion=elsewhere))
    views.show(prior, current)
    views.centerOn(LESION, elsewhere)
    for view in picture():
        (square,) = squares(view)
        center = (square[:2] + square[2:]) / 2
        np.testing.assert_allclose(center, np.array(SIZE) / 2, atol=1)
        assert max(square[2:] - square[:2]) == pytest.approx(SIZE[0] / 5, rel=0.05)

    # Whole images again, and a box that is as large as the image needs no more than those.
    whole = picture_after(views.fit, picture)
    assert [len(squares(view)) for view in whole] == [2, 2]
    large = Box(0, 0, COLUMNS, ROWS)
    for view, one in zip(
        picture_after(lambda: views.centerOn(large, large), picture), whole, strict=True
    ):
        np.testing.assert_array_equal(view, one)


def picture_after(change, picture) -> tuple[np.ndarray, np.ndarray]:
    change()
    return picture()


def test_centre_on_lesion_of_one_exam_only(views, picture) -> None:
    shift = np.array([40, -20])
    moved = Box(*(LESION.as_tuple() + np.tile(shift, 2)))
    prior, current = add_volume(), add_volume(pixels(lesion=moved))
    views.show(prior, current)
    views.centerOn(LESION, None)
    before, now = picture()
    assert squares(before)[0].mean() == pytest.approx(np.mean(SIZE) / 2, abs=1)
    whole = on_screen(moved, zoom=SIZE[0] / 37.5 * SPACING)
    np.testing.assert_allclose(squares(now)[-1], whole, atol=1.5, err_msg="the centre stays")

    bridge.show_registration(prior, current, shift_grid(*shift))
    for boxes in ((LESION, None), (None, moved)):
        views.centerOn(*boxes)
        for view in picture():
            square = squares(view)[0]
            np.testing.assert_allclose((square[:2] + square[2:]) / 2, np.array(SIZE) / 2, atol=1)


@pytest.mark.parametrize("inverted", [False, True])
def test_hangings(views, picture, inverted: bool) -> None:
    def add(flipped: bool):
        image = pixels(flipped)
        volume = add_volume(1000 - image if inverted else image)
        if inverted:
            volume.GetDisplayNode().SetAndObserveColorNodeID(bridge.INVERTED_GREY)
        return volume

    left, right = add(False), add(True)

    def walls() -> list[str]:
        """Tell on which side each breast is, and check that the marks go with it."""
        sides = []
        for view in picture():
            mark, lesion = squares(view)
            is_left = mark[0] > lesion[2]
            expected = on_screen(LESION, mirrored=not is_left)
            np.testing.assert_allclose(lesion, expected, atol=1)
            sides.append("left" if is_left else "right")
        return sides

    for pair, side in (
        ((left, right), "left"),
        ((right, left), "right"),
        ((right, right), "right"),
    ):
        views.show(*pair)
        assert walls() == [side, side]
        views.facing = True
        assert walls() == ["left", "right"]
        views.facing = False
        assert walls() == [side, side]


def test_registered_prior_over_the_current(layouts, views, picture) -> None:
    shift = np.array([20, 30])
    prior, current = add_volume(), add_volume(pixels(lesion=Box(20, 150, 44, 180)))
    views.show(prior, current)
    views.showRegistration(1.0)
    _, plain = picture()
    assert len(squares(plain)) == 2, "there is no registration yet"
    bridge.show_registration(prior, current, shift_grid(*shift))
    for opacity, expected in ((1.0, [MARK, LESION]), (0.0, None), (None, None)):
        views.showRegistration(opacity)
        _, now = picture()
        if expected is None:
            np.testing.assert_array_equal(now, plain)
            continue
        for square, box in zip(squares(now), expected, strict=True):
            moved = Box(*(box.as_tuple() + np.tile(shift, 2)))
            np.testing.assert_allclose(square, on_screen(moved), atol=1.5)
    views.showRegistration(0.5)
    _, half = picture()
    x0, y0, x1, y1 = on_screen(MARK).astype(int)
    assert half[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3].mean() == pytest.approx(127, abs=8)

    views.show(prior, current)
    np.testing.assert_array_equal(picture()[1], half, err_msg="it stays while the pair is shown")
    views.show(current, prior)
    before, now = picture()
    np.testing.assert_array_equal(before, plain)
    np.testing.assert_allclose(squares(now)[0], on_screen(MARK), atol=1)


@pytest.mark.parametrize("width", [120, 400])
def test_the_names_of_the_views_are_not_cut(shell, layouts, views, width: int) -> None:
    import qt

    for name in ("MammoTrackerPrior", "MammoTrackerCurrent"):
        shell.resizeView(name, width, 300)
    views.show(add_volume(), add_volume())
    shell.process(0.2)
    for name, text in (("MammoTrackerPrior", "Prior"), ("MammoTrackerCurrent", "Current")):
        label = layouts.sliceWidget(name).findChild(qt.QLabel, "ViewLabel")
        assert label.text == text
        assert label.width >= label.sizeHint.width()


def test_a_result_that_was_loaded_is_in_the_currents_view_only(views, picture) -> None:
    prior, current = add_volume(), add_volume(np.zeros((ROWS, COLUMNS)))
    views.show(prior, current)
    plain = picture()
    roi = add_lesion(prior, Box(160, 300, 200, 330))
    roi.SetNthControlPointDescription(0, "found, score 0.97: One place looks like the lesion.")
    roi.SetAttribute("MammoTracker.Role", None)
    bridge.claim_new_rois(prior)
    views.assign()
    before, now = picture()
    np.testing.assert_array_equal(before, plain[0])
    np.testing.assert_allclose(outline(now), on_screen(Box(160, 300, 200, 330)), atol=1)


def test_volume_of_many_slices_is_refused(views, picture) -> None:
    views.show(add_volume(), add_volume())
    plain = picture()
    stack = add_volume()
    updateVolumeFromArray(stack, np.zeros((3, 40, 30)))
    with pytest.raises(MammoTrackerError, match="single slice"):
        views.show(add_volume(), stack)
    for view, one in zip(picture(), plain, strict=True):
        np.testing.assert_array_equal(view, one)


def test_closed_scene_is_forgotten(views, picture, tmp_path) -> None:
    import slicer

    views.centerOn(LESION, None)  # nothing is shown yet
    views.show(add_volume(), add_volume())
    slicer.mrmlScene.Clear(False)
    views.assign()
    views.fit()
    views.centerOn(LESION, LESION)
    views.showRegistration(0.5)
    views.facing = True
    with pytest.raises(MammoTrackerError):
        views.capture(tmp_path / "picture.png")
    views.show(add_volume(), add_volume(pixels(True)))
    for view, mirrored in zip(picture(), (False, True), strict=True):
        np.testing.assert_allclose(squares(view)[1], on_screen(LESION, mirrored=mirrored), atol=1)


def test_boxes_are_not_shown_on_what_the_user_puts_into_a_view(views, shell, picture, tmp_path):
    prior, current, other = add_volume(), add_volume(), add_volume()
    lesion = add_lesion(prior)
    bridge.show_track(lesion, current, track(Box(160, 300, 200, 330)))
    bridge.update_labels(prior, current)
    views.show(prior, current)
    before, now = picture()
    assert color_mask(before).any() and color_mask(now).any()
    composite = shell.compositeNode("MammoTrackerCurrent")
    composite.SetBackgroundVolumeID(other.GetID())
    shell.process(0.1)
    prediction = bridge.prediction_of(lesion, current)
    ours = [views._layoutManager.sliceWidget(name).mrmlSliceNode().GetID() for name in VIEWS]
    shown = prediction.GetDisplayNode().GetViewNodeIDs()
    assert shown and not set(ours) & set(shown)
    with pytest.raises(MammoTrackerError, match="side by side first"):
        views.capture(tmp_path / "no.png")
    views.show(prior, current)
    before, now = picture()
    assert color_mask(before).any() and color_mask(now).any()

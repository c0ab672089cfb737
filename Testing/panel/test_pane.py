"""One view, rendered off screen: where its image lies, at which scale, and when it is moved."""

from __future__ import annotations

import numpy as np
import pytest
from dicom_files import write_dicom
from drawn_exams import (
    GEOMETRIES,
    LESION,
    MARK,
    ROWS,
    SIZE,
    SPACING,
    VIEWS,
    add_lesion,
    add_volume,
    on_screen,
    outline,
    pixels,
    squares,
)
from slicer.util import arrayFromVTKMatrix

from MammoTrackerLib import Box
from MammoTrackerLib import scene as bridge


def by_slice_node(layouts, name: str, volume, box: Box) -> np.ndarray:
    """Where a box of a volume is, says the slice node."""
    node = layouts.sliceWidget(name).mrmlSliceNode()
    corners = bridge.Raster(volume).to_world([(box.x0, box.y0, 0), (box.x1, box.y1, 0)])
    to_xy = np.linalg.inv(arrayFromVTKMatrix(node.GetXYToRAS()))
    xyz = corners @ to_xy[:3, :3].T + to_xy[:3, 3]
    np.testing.assert_allclose(xyz[:, 2], 0, atol=1e-6, err_msg="the slice is not the image's")
    x, y = xyz[:, 0] + 0.5, node.GetDimensions()[1] - xyz[:, 1] - 0.5
    return np.array([x.min(), y.min(), x.max(), y.max()])


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_image_and_box_are_where_the_pixels_are(layouts, views, picture, geometry: dict) -> None:
    prior, current = add_volume(**geometry), add_volume()
    views.show(prior, current)
    for view, name, volume in zip(picture(), VIEWS, (prior, current), strict=True):
        for square, box in zip(squares(view), (MARK, LESION), strict=True):
            np.testing.assert_allclose(square, on_screen(box), atol=1)
            np.testing.assert_allclose(square, by_slice_node(layouts, name, volume, box), atol=1)
    add_lesion(prior)
    views.assign()
    np.testing.assert_allclose(outline(picture()[0]), on_screen(LESION), atol=1)


@pytest.mark.parametrize("magnified", [False, True])
def test_one_scale_in_true_millimetres(views, picture, tmp_path, magnified: bool) -> None:
    """A mark of one size on the breast has one size on the screen."""
    prior = add_volume()
    current = add_volume(np.kron(pixels(), np.ones((1, 2))), spacing=(SPACING / 2, SPACING, 1))
    factor = 1.0
    if magnified:
        import slicer

        # The volume has the detector's pixels, as Slicer reads them; on the breast they are 0.8 of
        # that, which only the header tells.
        factor = 0.8
        path = tmp_path / "current.dcm"
        write_dicom(
            path,
            pixels().astype(np.uint16),
            ImagerPixelSpacing=[SPACING, SPACING / 2],
            EstimatedRadiographicMagnificationFactor=1.25,
        )
        storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
        storage.SetFileName(str(path))
        current.SetAndObserveStorageNodeID(storage.GetID())
    assert bridge.header_of(current).spacing == pytest.approx(
        (SPACING / 2 * factor, SPACING * factor)
    )

    def sizes() -> list[np.ndarray]:
        return [squares(view)[-1][2:] - squares(view)[-1][:2] for view in picture()]

    views.show(prior, current)
    before, now = sizes()
    np.testing.assert_allclose(now, before * factor, atol=1.5)
    wide = Box(2 * LESION.x0, LESION.y0, 2 * LESION.x1, LESION.y1)
    views.centerOn(LESION, wide)
    before, now = sizes()
    np.testing.assert_allclose(now, before * factor, atol=1.5)
    width = (LESION.x1 - LESION.x0) * SPACING / 37.5 * SIZE[0]
    assert before[0] == pytest.approx(width, abs=1.5), "a fifth of the view"


def test_mirroring_keeps_what_the_user_looks_at(layouts, views, picture) -> None:
    prior, current = add_volume(), add_volume()
    views.show(prior, current)
    views.centerOn(LESION, LESION)
    node = layouts.sliceWidget("MammoTrackerCurrent").mrmlSliceNode()
    width, height, depth = node.GetFieldOfView()
    node.SetFieldOfView(width * 1.5, height * 1.5, depth)
    node.SetSliceOrigin(1.0, 2.0, 0.0)
    _, straight = picture()
    views.facing = True
    _, mirrored = picture()
    straight, mirrored = squares(straight)[0], squares(mirrored)[0]
    np.testing.assert_allclose(mirrored[1::2], straight[1::2], atol=1)
    np.testing.assert_allclose(mirrored[2::-2], SIZE[0] - straight[::2], atol=1)


def test_views_follow_the_window_until_the_user_moves_them(shell, layouts, views, picture) -> None:
    prior, current = add_volume(), add_volume()
    views.show(prior, current)

    def resize(*size: int) -> None:
        for name in VIEWS:
            shell.resizeView(name, *size)
        shell.process()

    def check(box: Box, size, **where) -> None:
        for view in picture():
            assert view.shape[1::-1] == size
            np.testing.assert_allclose(
                squares(view)[-1], on_screen(box, size=size, **where), atol=1.5
            )

    resize(500, 320)
    check(LESION, (500, 320), zoom=320 / ROWS)
    views.centerOn(LESION, LESION)
    resize(400, 300)
    zoom = 300 / (5 * LESION.width)
    check(LESION, (400, 300), zoom=zoom, center=LESION.center)

    node = layouts.sliceWidget("MammoTrackerCurrent").mrmlSliceNode()
    width, height, depth = node.GetFieldOfView()
    node.SetFieldOfView(2 * width, 2 * height, depth)
    resize(400, 600)
    # Slicer keeps what is seen from top to bottom.
    before, now = (squares(view)[-1] for view in picture())
    np.testing.assert_allclose(before[3] - before[1], 2 * zoom * LESION.height, atol=2)
    np.testing.assert_allclose(now[3] - now[1], zoom * LESION.height, atol=2)


def test_slicers_own_resets_keep_the_orientation(layouts, views, picture) -> None:
    prior, current = add_volume(pixels(True), **GEOMETRIES["mirroring parent"]), add_volume()
    views.show(prior, current)
    add_lesion(prior, MARK)
    views.assign()
    whole = picture()
    logic = layouts.sliceWidget("MammoTrackerCurrent").sliceLogic()
    application = logic.GetMRMLApplicationLogic()
    selection = application.GetSelectionNode()
    selection.SetActiveVolumeID(prior.GetID())
    application.PropagateVolumeSelection()
    application.FitSliceToBackground(False)
    for name in VIEWS:
        logic = layouts.sliceWidget(name).sliceLogic()
        logic.RotateSliceToLowestVolumeAxes()
        logic.FitSliceToBackground()
    for view, one in zip(picture(), whole, strict=True):
        for square, other in zip(squares(view), squares(one), strict=True):
            np.testing.assert_allclose(square, other, atol=1)

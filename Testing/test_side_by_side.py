"""The side-by-side views, rendered off screen: what lies where, in which view, and how large."""

from __future__ import annotations

import numpy as np
import pytest
from dicom_files import write_dicom
from PIL import Image
from scipy import ndimage

from MammoTrackerLib import Box, Candidate, MammoTrackerError, Status, Track
from MammoTrackerLib.breast import wall_is_left

slicer = pytest.importorskip("slicer", reason="needs the wheels of the Slicer libraries")
vtk = pytest.importorskip("vtk")

from slicer.util import arrayFromVTKMatrix, updateVolumeFromArray, vtkMatrixFromArray  # noqa: E402

from MammoTrackerLib import scene as bridge  # noqa: E402

COLUMNS, ROWS, SPACING = 300, 400, 0.25
LESION = Box(60, 220, 90, 240)  # 7.5 x 5 mm
MARK = Box(140, 80, 160, 90)
VIEWS = "MammoTrackerPrior", "MammoTrackerCurrent"
SIZE = 360, 480
LESION_COLOR = (1.0, 0.84, 0.1)
TEXT_COLOR = (1.0, 1.0, 0.7)


@pytest.fixture
def layouts(shell):
    """The application's layout manager, in another layout; views of the pair have one size."""
    from MammoTrackerPanel.side_by_side import LAYOUT_ID, layoutDescription

    manager = slicer.app.layoutManager()
    node = manager.layoutLogic().GetLayoutNode()
    if not node.IsLayoutDescription(LAYOUT_ID):
        node.AddLayoutDescription(LAYOUT_ID, layoutDescription())
    manager.setLayout(LAYOUT_ID)
    for name in VIEWS:
        shell.resizeView(name, *SIZE)
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutNone)
    return manager


@pytest.fixture
def views(shell, layouts):
    """Views that start without a pair."""
    from MammoTrackerPanel.side_by_side import SideBySide

    red = slicer.vtkMRMLSliceNode()
    red.SetLayoutName("Red")
    red = shell.scene.AddNode(red)
    views = SideBySide(layouts)
    yield views
    views.removeObservers()
    layouts.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutNone)
    shell.scene.RemoveNode(red)
    shell.scene.Clear()
    shell.process()


def pixels(flipped: bool = False, lesion: Box = LESION) -> np.ndarray:
    """A breast at the left, with the lesion and, outside of it, a mark; nothing symmetric."""
    y, x = np.mgrid[:ROWS, :COLUMNS] + 0.5
    image = np.where((x / 130) ** 2 + ((y - 190) / 170) ** 2 < 1, 400.0, 0.0)
    for box in (lesion, MARK):
        image[(x > box.x0) & (x < box.x1) & (y > box.y0) & (y < box.y1)] = 1000
    return (image[:, ::-1] if flipped else image).astype(np.float32)


def add_volume(
    image: np.ndarray | None = None,
    directions=((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
    spacing=(SPACING, SPACING, 1.0),
    parent=None,
):
    """Add a volume; `directions` has the world's directions of x, y and across, as columns."""
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    updateVolumeFromArray(volume, (pixels() if image is None else image)[np.newaxis])
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(directions) * spacing
    matrix[:3, 3] = 11, -23, 5
    volume.SetIJKToRASMatrix(vtkMatrixFromArray(matrix))
    if parent is not None:
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        transform.SetMatrixTransformToParent(vtkMatrixFromArray(parent))
        volume.SetAndObserveTransformNodeID(transform.GetID())
    volume.CreateDefaultDisplayNodes()
    volume.GetDisplayNode().SetAutoWindowLevel(False)
    volume.GetDisplayNode().SetWindowLevel(1000, 500)
    return volume


def add_lesion(prior, box: Box = LESION, name: str = "Lesion 1"):
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    bridge.place_roi(roi, prior, box)
    bridge.claim_lesion(roi, prior)
    return roi


def track(box: Box) -> Track:
    return Track(LESION, box, 0.5, Status.FOUND, "", (Candidate(box, 0.5, 1.0),) * 2, box)


@pytest.fixture
def picture(views, tmp_path):
    """Return the two views as the user sees them: (rows, columns, 3) each."""

    def picture() -> tuple[np.ndarray, np.ndarray]:
        views.capture(tmp_path / "picture.png")
        with Image.open(tmp_path / "picture.png") as image:
            image = np.array(image)
        middle = image.shape[1] // 2
        return image[:, : middle - 2], image[:, middle + 2 :]

    return picture


def bounds(mask: np.ndarray) -> np.ndarray:
    """x0, y0, x1, y1 of what is set."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def squares(view: np.ndarray) -> list[np.ndarray]:
    """Bounds of the white squares, from the top."""
    labels, count = ndimage.label(view.min(axis=-1) > 180)
    found = [bounds(labels == label) for label in range(1, count + 1)]
    return sorted(
        (square for square in found if min(square[2:] - square[:2]) > 3), key=lambda b: b[1]
    )


def color_mask(view: np.ndarray, color=LESION_COLOR) -> np.ndarray:
    return (np.abs(view - 255.0 * np.array(color)) < 30).all(-1)


def outline(view: np.ndarray) -> np.ndarray:
    """Bounds of the middle of the ROI's line."""
    return bounds(color_mask(view)) + np.array([1, 1, -1, -1]) * 1.5


def on_screen(
    box: Box, center=(COLUMNS / 2, ROWS / 2), zoom=SIZE[1] / ROWS, size=SIZE, mirrored=False
):
    """Where a box of an image must be if this pixel is in the view's centre."""
    x = (np.array([box.x0, box.x1]) - center[0]) * zoom
    x = np.sort(-x if mirrored else x) + size[0] / 2
    y = (np.array([box.y0, box.y1]) - center[1]) * zoom + size[1] / 2
    return np.array([x[0], y[0], x[1], y[1]])


def by_slice_node(layouts, name: str, volume, box: Box) -> np.ndarray:
    """Where a box of a volume is, says the slice node."""
    node = layouts.sliceWidget(name).mrmlSliceNode()
    corners = bridge.Raster(volume).to_world([(box.x0, box.y0, 0), (box.x1, box.y1, 0)])
    to_xy = np.linalg.inv(arrayFromVTKMatrix(node.GetXYToRAS()))
    xyz = corners @ to_xy[:3, :3].T + to_xy[:3, 3]
    np.testing.assert_allclose(xyz[:, 2], 0, atol=1e-6, err_msg="the slice is not the image's")
    x, y = xyz[:, 0] + 0.5, node.GetDimensions()[1] - xyz[:, 1] - 0.5
    return np.array([x.min(), y.min(), x.max(), y.max()])


TURN = np.eye(4)
TURN[:3, :3] = [[0.6, -0.64, 0.48], [0.8, 0.48, -0.36], [0.0, 0.6, 0.8]]
TURN[:3, 3] = 40, 7, -60
GEOMETRIES = {
    "as read": {},
    "flipped": {"directions": ((1, 0, 0), (0, -1, 0), (0, 0, 1))},
    "upside down": {"directions": ((-1, 0, 0), (0, 1, 0), (0, 0, 1))},
    "turned by 90 degrees": {"directions": ((0, 1, 0), (-1, 0, 0), (0, 0, 1))},
    "sagittal": {"directions": ((0, 0, 1), (1, 0, 0), (0, -1, 0))},
    "parent": {"parent": TURN},
    "mirroring parent": {"parent": TURN @ np.diag([-1, 1, 1, 1])},
}


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


@pytest.mark.parametrize("magnified", [False, True])
def test_one_scale_in_true_millimetres(views, picture, tmp_path, magnified: bool) -> None:
    """A mark of one size on the breast has one size on the screen."""
    prior = add_volume()
    current = add_volume(np.kron(pixels(), np.ones((1, 2))), spacing=(SPACING / 2, SPACING, 1))
    factor = 1.0
    if magnified:
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


def shift_grid(x: float, y: float) -> np.ndarray:
    """A registration that moves everything by this many pixels."""
    nodes = np.stack(np.meshgrid(np.linspace(0, COLUMNS, 7), np.linspace(0, ROWS, 9)), axis=-1)
    return np.concatenate([nodes, nodes + (x, y)], axis=-1)


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


def test_views_of_another_size_are_one_picture(shell, views, tmp_path) -> None:
    views.show(add_volume(), add_volume())
    shell.resizeView("MammoTrackerPrior", 300, 200)
    views.capture(tmp_path / "picture.png")
    with Image.open(tmp_path / "picture.png") as image:
        image = np.array(image)
    assert image.shape == (SIZE[1], 300 + 4 + SIZE[0], 3)
    assert not image[200:, :300].any()
    zoom = 200 / ROWS
    np.testing.assert_allclose(
        squares(image[:200, :300])[0], on_screen(MARK, zoom=zoom, size=(300, 200)), atol=1
    )


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


def test_capture_leaves_out_what_slicer_writes_about_the_patient(layouts, views, picture) -> None:
    views.show(add_volume(), add_volume())
    plain = picture()
    text = vtk.vtkCornerAnnotation()
    text.SetText(2, "Doe, Jane")
    window = layouts.sliceWidget("MammoTrackerPrior").sliceView().renderWindow()
    window.GetRenderers().GetFirstRenderer().AddViewProp(text)
    try:
        for view, one in zip(picture(), plain, strict=True):
            np.testing.assert_array_equal(view, one)
        assert text.GetVisibility()
    finally:
        window.GetRenderers().GetFirstRenderer().RemoveViewProp(text)


def test_capture_says_what_is_wrong(views, tmp_path) -> None:
    with pytest.raises(MammoTrackerError, match="side by side"):
        views.capture(tmp_path / "picture.png")
    views.show(add_volume(), add_volume())
    with pytest.raises(MammoTrackerError, match="No such file"):
        views.capture(tmp_path / "missing" / "picture.png")
    assert not list(tmp_path.iterdir())


def test_capture_from_another_layout(layouts, views, picture) -> None:
    views.show(add_volume(), add_volume())
    plain = picture()
    layouts.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutNone)
    for view, one in zip(picture(), plain, strict=True):
        np.testing.assert_array_equal(view, one)


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


def test_wall_is_where_the_breast_is() -> None:
    image = pixels()[::4, ::4]
    assert wall_is_left(image)
    assert not wall_is_left(image[:, ::-1])
    label = image.copy()
    label[5:15, 60:74] = 5000
    assert wall_is_left(label), "a bright label at the other side is no breast"
    assert wall_is_left(np.zeros((10, 10))), "left, if one cannot say"

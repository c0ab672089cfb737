"""The picture of both views: their sizes, what it leaves out, and what can go wrong."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_exams import MARK, ROWS, SIZE, add_lesion, add_volume, on_screen, squares
from PIL import Image

from MammoTrackerLib import MammoTrackerError


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


def corner_text(layouts):
    return layouts.sliceWidget("MammoTrackerPrior").sliceView().cornerAnnotation()


def title_of_a_legend(layouts):
    import vtk

    legend = vtk.vtkScalarBarActor()
    legend.SetLookupTable(vtk.vtkLookupTable())
    window = layouts.sliceWidget("MammoTrackerPrior").sliceView().renderWindow()
    window.GetRenderers().GetFirstRenderer().AddViewProp(legend)
    return legend


@pytest.mark.parametrize("writer", [corner_text, title_of_a_legend])
def test_capture_leaves_out_what_slicer_writes_about_the_patient(
    shell, layouts, views, picture, writer
) -> None:
    views.show(add_volume(), add_volume())
    plain = picture()
    text = writer(layouts)
    if writer is corner_text:
        text.SetText(2, "Doe, Jane")
    else:
        text.SetTitle("Doe, Jane")
    view = layouts.sliceWidget("MammoTrackerPrior").sliceView()
    shown = []
    tag = view.renderWindow().AddObserver("EndEvent", lambda *_: shown.append(text.GetVisibility()))
    try:
        view.forceRender()
        assert shown[-1], "the text is on the screen"
        for now, before in zip(picture(), plain, strict=True):
            np.testing.assert_array_equal(now, before)
        shell.process(0.2)
        assert shown[-1], "and comes back on it"
    finally:
        view.renderWindow().RemoveObserver(tag)
        if writer is corner_text:
            text.ClearAllTexts()
        else:
            view.renderWindow().GetRenderers().GetFirstRenderer().RemoveViewProp(text)


def test_capture_leaves_out_the_handles(shell, layouts, views, picture) -> None:
    prior = add_volume()
    views.show(prior, add_volume())
    lesion = add_lesion(prior)
    views.assign()
    plain = picture()
    lesion.GetDisplayNode().SetHandlesInteractive(True)
    shell.process(0.2)
    for now, before in zip(picture(), plain, strict=True):
        np.testing.assert_array_equal(now, before)
    assert lesion.GetDisplayNode().GetHandlesInteractive()


def test_capture_says_what_is_wrong(views, tmp_path) -> None:
    with pytest.raises(MammoTrackerError, match="side by side"):
        views.capture(tmp_path / "picture.png")
    views.show(add_volume(), add_volume())
    with pytest.raises(MammoTrackerError, match="No such file"):
        views.capture(tmp_path / "missing" / "picture.png")
    assert not list(tmp_path.iterdir())


def test_capture_from_another_layout(layouts, views, picture) -> None:
    import slicer

    views.show(add_volume(), add_volume())
    plain = picture()
    layouts.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutNone)
    for view, one in zip(picture(), plain, strict=True):
        np.testing.assert_array_equal(view, one)

"""A picture of slice views beside each other, as a PNG."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

GAP_PX = 4
TEXTS = ("vtkCornerAnnotation", "vtkTextActor", "vtkScalarBarActor")
"""What Slicer writes the names of volumes with: corner texts, and titles of color legends."""


def writePicture(sliceWidgets, path) -> None:
    """Write what two slice views show, side by side, into one PNG.

    The handles of the ROIs are left out, and so are Slicer's own texts, which may be patients'
    names.

    Raises
    ------
    MammoTrackerError
        If the file cannot be written.
    """
    from MammoTrackerLib import MammoTrackerError

    with _withoutHandles():
        images = [_rendered(widget.sliceView()) for widget in sliceWidgets]
    height = max(image.shape[0] for image in images)
    gap = np.full((height, GAP_PX, 3), 96, np.uint8)
    # VTK's first row is the lowest one.
    prior, current = (
        np.pad(image, ((height - image.shape[0], 0), (0, 0), (0, 0))) for image in images
    )
    content = png(np.concatenate([prior, gap, current], axis=1))
    try:
        Path(path).write_bytes(content)
    except OSError as error:
        raise MammoTrackerError(
            _("Cannot write {path}: {reason}.").format(path=path, reason=error.strerror or error)
        ) from None


@contextmanager
def _withoutHandles():
    """Hide what ROIs are dragged by, which would cover small lesions in a picture."""
    displays = [
        display
        for display in slicer.util.getNodesByClass("vtkMRMLMarkupsROIDisplayNode")
        if display.GetHandlesInteractive()
    ]
    for display in displays:
        display.SetHandlesInteractive(False)
    try:
        yield
    finally:
        for display in displays:
            display.SetHandlesInteractive(True)


def _rendered(view) -> np.ndarray:
    """Return what a slice view shows, (rows, columns, 3) from the bottom, without texts."""
    window = view.renderWindow()
    renderers = window.GetRenderers()
    hidden = []
    for index in range(renderers.GetNumberOfItems()):
        props = renderers.GetItemAsObject(index).GetViewProps()
        for number in range(props.GetNumberOfItems()):
            prop = props.GetItemAsObject(number)
            if prop.GetVisibility() and any(map(prop.IsA, TEXTS)):
                hidden.append(prop)
    for prop in hidden:
        prop.SetVisibility(False)
    try:
        # The filter would ask the view's interactor, which leaves rendering to the view: it would
        # then read the frame before, texts and all.
        window.Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(window)
        grabber.ReadFrontBufferOff()
        grabber.ShouldRerenderOff()
        grabber.Update()
    finally:
        for prop in hidden:
            prop.SetVisibility(True)
        view.scheduleRender()
    image = grabber.GetOutput()
    width, height, _depth = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[..., :3]


def png(pixels: np.ndarray) -> bytes:
    """Return the PNG of pixels, (rows, columns, 3) uint8 from the bottom."""
    image = vtk.vtkImageData()
    image.SetDimensions(pixels.shape[1], pixels.shape[0], 1)
    values = np.ascontiguousarray(pixels).reshape(-1, 3)
    image.GetPointData().SetScalars(numpy_to_vtk(values, deep=True))
    writer = vtk.vtkPNGWriter()
    writer.SetInputData(image)
    writer.WriteToMemoryOn()
    writer.Write()
    return vtk_to_numpy(writer.GetResult()).tobytes()

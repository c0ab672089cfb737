"""Boxes of pixels and ROI nodes: from one to the other, and how ROIs are drawn."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from slicer.util import arrayFromVTKMatrix, updateVTKMatrixFromArray

from ..box import Box
from ..errors import MammoTrackerError
from ..pair import box_problem
from .nodes import ROI, TRANSFORM, VOLUME, exam_of, nodes_with, set_attribute
from .raster import Raster, image_axes, right_angled
from .volumes import header_of

THICKNESS_MM = 10.0
SAME_PX = 0.1
"""So far a box may be off, by rounding, from what it was before."""
_FLAT_PX = 1e-3
_CORNERS = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))
# Pairs of a box's corners that an edge joins.
_EDGES = np.array([(a, b) for a, b in itertools.combinations(range(8), 2) if a ^ b in (1, 2, 4)])


def is_placed(roi) -> bool:
    """Whether an ROI was drawn to its end."""
    needed = max(roi.GetRequiredNumberOfControlPoints(), 1)
    return (
        roi.GetNumberOfDefinedControlPoints() >= needed
        and sum(side > 0 for side in roi.GetSize()) >= 2
    )


def box_of(roi, volume) -> Box:
    """Return the box in the volume's pixels that bounds what its slice shows of an ROI.

    Raises
    ------
    MammoTrackerError
        If the ROI is not placed, is flat, or lies off the image.
    """
    if not is_placed(roi):
        raise MammoTrackerError(
            f"The ROI {roi.GetName()} has no place yet: draw a box around the lesion."
        )
    raster = Raster(volume)
    box = bounds_of(roi, volume, raster)
    if min(box.width, box.height) <= 2 * _FLAT_PX:
        raise MammoTrackerError(
            f"The ROI {roi.GetName()} is flat: draw a box around the lesion on the image."
        )
    columns, rows = raster.size
    if box.x1 <= 0 or box.y1 <= 0 or box.x0 >= columns or box.y0 >= rows:
        raise MammoTrackerError(
            f"The ROI {roi.GetName()} is outside the image: move it onto the lesion."
        )
    return box


def lesion_box(roi, volume) -> Box:
    """Return the box that `box_of` does, if a lesion can be followed from it.

    Raises
    ------
    MammoTrackerError
        If not; that names the ROI.
    """
    box, header = box_of(roi, volume), header_of(volume)
    problem = box_problem(box, header.size, header.spacing) if header.spacing else ""
    if problem:
        raise MammoTrackerError(f"The ROI {roi.GetName()} is {problem}. Change its box.")
    return box


def bounds_of(roi, volume, raster: Raster | None = None) -> Box:
    """Return the box that `box_of` does, also where that is off the image, or almost no box.

    `raster` is that of the volume, where it is at hand.
    """
    to_world = arrayFromVTKMatrix(roi.GetObjectToWorldMatrix())
    corners = (raster or Raster(volume)).from_world(
        _CORNERS * roi.GetSize() @ to_world[:3, :3].T + to_world[:3, 3]
    )
    # What a slice view shows of a tilted ROI is where its edges cross the slice. One that does
    # not cross it is seen along the slice's normal: a mammogram has no depth.
    start, end = corners[_EDGES].swapaxes(0, 1)
    crosses = start[:, 2] * end[:, 2] < 0
    start, end = start[crosses], end[crosses]
    share = start[:, 2:] / (start[:, 2:] - end[:, 2:])
    points = (start + share * (end - start) if crosses.any() else corners)[:, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    high = np.maximum(high, low + _FLAT_PX)
    return Box(*low.tolist(), *high.tolist())


def box_if_placed(roi) -> Box | None:
    """Return the box of a lesion or prediction on its own volume, or None if it has none there."""
    try:
        return box_of(roi, exam_of(roi))
    except MammoTrackerError:
        return None


def is_moved(box: Box | None, before: Box) -> bool:
    """Whether a box is another than before, by more than rounding; none is another one."""
    return box is None or not box.is_at(before, SAME_PX)


def center_mm(box: Box, volume) -> tuple[float, float] | None:
    """Return a box's centre in true mm from the image's top-left corner; None if unknown."""
    spacing = header_of(volume).spacing
    return None if spacing is None else box.scaled(*spacing).center


def unplace(roi) -> None:
    """Take away an ROI's place, so that it can be drawn again."""
    roi.RemoveAllControlPoints()


def place_roi(roi, volume, box: Box) -> None:
    """Put an ROI around a box of the volume's pixels.

    It moves along with the volume: it comes under the same parent transform, unless that is
    not linear, since an ROI cannot be bent. Its sides follow the pixels' axes, and it is at
    least 10 mm thick, so that slice views show it.
    """
    raster = Raster(volume)
    is_linear = raster.parent is None or raster.parent.IsTransformToWorldLinear()
    to_node = raster.to_volume if is_linear else raster.to_world
    x, y = box.center
    center, left, right, top, bottom, near, far = to_node(
        np.array(
            [(x, y, 0), (box.x0, y, 0), (box.x1, y, 0), (x, box.y0, 0), (x, box.y1, 0),
             (x, y, -0.5), (x, y, 0.5)]
        )
    )  # fmt: skip
    # Pixels without an orientation run to the left and to the back, an ROI's axes do not.
    across, up = left - right, top - bottom
    width, height = np.linalg.norm(across), np.linalg.norm(up)
    matrix = np.eye(4)
    matrix[:3] = np.column_stack([right_angled(across, up).T, center])

    was_modifying = roi.StartModify()
    roi.SetROIType(roi.ROITypeBox)
    roi.SetAndObserveTransformNodeID(raster.parent.GetID() if is_linear and raster.parent else None)
    roi.SetSize(width, height, max(np.linalg.norm(far - near), THICKNESS_MM))
    updateVTKMatrixFromArray(roi.GetObjectToNodeMatrix(), matrix)
    roi.EndModify(was_modifying)


def set_spacing(volume, mm: float) -> None:
    """Give a volume's pixels the size that the user typed; its ROIs stay on their pixels.

    The first pixel's centre stays where it is. Registrations of the volume are removed, since
    they were made with another pixel size.

    Raises
    ------
    MammoTrackerError
        If the volume is no single slice, or no mammogram has such pixels.
    """
    if not 0 < mm <= 5:
        raise MammoTrackerError(
            f"A pixel spacing of {mm:g} mm is not a mammogram's: it must be above 0 and at most "
            "5 mm (0.07, for example)."
        )
    scene = volume.GetScene()
    rois = nodes_with(scene, ROI, "lesion", Prior=volume)
    rois += nodes_with(scene, ROI, "prediction", Current=volume)
    boxes = [(roi, bounds_of(roi, volume)) for roi in rois if is_placed(roi)]
    spacing = list(volume.GetSpacing())
    x, y, _ = image_axes(volume)
    spacing[x] = spacing[y] = mm
    volume.SetSpacing(spacing)
    set_attribute(volume, "SpacingSet", "1")
    for roi, box in boxes:
        place_roi(roi, volume, box)
    for name in ("Prior", "Current"):
        for class_name, role in ((VOLUME, "warped"), (TRANSFORM, "registration")):
            for node in nodes_with(scene, class_name, role, **{name: volume}):
                scene.RemoveNode(node)


def display_of(roi):
    """Return how an ROI is shown; anew, as an outline, if the user has deleted that."""
    if roi.GetDisplayNode() is None:
        roi.CreateDefaultDisplayNodes()
        draw_as_outline(roi.GetDisplayNode())
    return roi.GetDisplayNode()


def paint(display, color: Sequence[float]) -> None:
    display.SetColor(*color)
    display.SetSelectedColor(*color)


def paint_like(roi, other) -> None:
    """Give an ROI the colour of another one."""
    paint(display_of(roi), display_of(other).GetSelectedColor())


def draw_as_outline(display) -> None:
    display.SetFillVisibility(False)
    display.SetPropertiesLabelVisibility(False)
    # Handles are as large as a small lesion: they are for the one that is being corrected.
    display.SetHandlesInteractive(False)
    # Else a disc covers the middle of the lesion.
    display.SetGlyphTypeFromString("Vertex2D")
    display.SetGlyphScale(0.1)


def show_only_in(node, view_node_ids: Sequence[str]) -> None:
    """Show a node in these views alone; in all views if there are none."""
    display = display_of(node)
    if list(display.GetViewNodeIDs()) != list(view_node_ids):
        display.SetViewNodeIDs(list(view_node_ids))

"""MRML: volumes to mammograms, ROI nodes to boxes and back, and results as nodes of the scene.

Pixels are those of `Box`; world is Slicer's, RAS in mm after all parent transforms. Every node
that belongs to MammoTracker has a role (an attribute), and refers to its volumes and to its
lesion by node references, so that saved scenes come back as they were.
"""

from __future__ import annotations

import csv
import functools
import itertools
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import slicer
import vtk
from scipy.interpolate import RegularGridInterpolator
from slicer.util import (
    arrayFromVolume,
    arrayFromVTKMatrix,
    updateVTKMatrixFromArray,
    vtkMatrixFromArray,
)
from vtk.util.numpy_support import numpy_to_vtk

from .box import Box
from .errors import MammoTrackerError
from .mammogram import Header, Mammogram
from .outputs import OutputFolder
from .track import Candidate, Status, Track

LESION_TYPES = ("mass", "calcification")
COLUMNS = (
    "Lesion", "Type", "Status", "Review", "Score", "Centre x (mm)", "Centre y (mm)", "Width (mm)",
    "Height (mm)", "Area (mm2)", "Longest (mm)", "Change (mm)", "Change (%)",
)  # fmt: skip
COLORS = (
    (1.0, 0.84, 0.1), (0.2, 0.85, 1.0), (1.0, 0.45, 0.75), (0.45, 1.0, 0.4),
    (1.0, 0.55, 0.15), (0.72, 0.55, 1.0), (0.2, 0.95, 0.75), (1.0, 0.35, 0.3),
)  # fmt: skip
LABEL_COLOR = (1.0, 1.0, 0.7)
THICKNESS_MM = 10.0
INVERTED_GREY = "vtkMRMLColorTableNodeInvertedGrey"
_ROI, _VOLUME = "vtkMRMLMarkupsROINode", "vtkMRMLScalarVolumeNode"
_TRANSFORM, _TABLE = "vtkMRMLTransformNode", "vtkMRMLTableNode"
_LABELS = "vtkMRMLMarkupsFiducialNode"
_PREFIX = "MammoTracker."
# Pairs of a box's corners, in the order of itertools.product, that an edge joins.
_EDGES = np.array([(a, b) for a, b in itertools.combinations(range(8), 2) if a ^ b in (1, 2, 4)])


# --- nodes with a role


def _get(node, name: str) -> str:
    return node.GetAttribute(_PREFIX + name) or ""


def _set(node, name: str, value: str) -> None:
    node.SetAttribute(_PREFIX + name, value)


def _reference(node, name: str):
    return node.GetNodeReference(_PREFIX + name)


def _nodes(scene, class_name: str, role: str, **references) -> list:
    """Return the nodes with this role that refer to these nodes, in the scene's order."""
    count = scene.GetNumberOfNodesByClass(class_name)
    return [
        node
        for node in (scene.GetNthNodeByClass(index, class_name) for index in range(count))
        if _get(node, "Role") == role
        and all(_reference(node, name) is target for name, target in references.items())
    ]


def _node(scene, class_name: str, role: str, **references):
    return next(iter(_nodes(scene, class_name, role, **references)), None)


def _new_node(scene, class_name: str, name: str, role: str, **references):
    """Add a node that has its role and references already when the scene reports it."""
    node = getattr(slicer, class_name)()
    node.SetName(name)
    _set(node, "Role", role)
    for reference, target in references.items():
        node.SetNodeReferenceID(_PREFIX + reference, target.GetID())
    return scene.AddNode(node)


def _do_not_save(node) -> None:
    node.SaveWithSceneOff()
    for index in range(node.GetNumberOfDisplayNodes()):
        node.GetNthDisplayNode(index).SaveWithSceneOff()


# --- volumes


def _axes(volume) -> tuple[int, int, int]:
    """Return which IJK axes are the columns (x), the rows (y), and the one across the slice."""
    image = volume.GetImageData()
    size = image.GetDimensions() if image else (0, 0, 0)
    across = [axis for axis in range(3) if size[axis] == 1]
    if min(size) == 0 or max(size) == 1:
        raise MammoTrackerError("The volume holds no image: load a mammogram.")
    if len(across) != 1:
        raise MammoTrackerError(
            "The volume is no single slice: select a two-dimensional mammogram "
            "(tomosynthesis is not supported)."
        )
    x, y = (axis for axis in range(3) if axis not in across)
    return x, y, across[0]


def _between(source, target) -> vtk.vtkGeneralTransform:
    """Return the map from below one transform node to below another; None is the world."""
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(source, target, transform)
    return transform


def _applied(transform: vtk.vtkAbstractTransform, points: np.ndarray) -> np.ndarray:
    return np.array([transform.TransformPoint(point) for point in points]).reshape(-1, 3)


class Raster:
    """Where the pixels of a volume lie.

    Points are (n, 3): x, y in pixels, then the distance from the slice in slice thicknesses.

    Attributes
    ----------
    size
        (columns, rows).
    spacing
        (x, y, thickness) in the volume's own mm.
    """

    def __init__(self, volume) -> None:
        axes = _axes(volume)
        size, spacing = volume.GetImageData().GetDimensions(), volume.GetSpacing()
        self.size = size[axes[0]], size[axes[1]]
        self.spacing = tuple(spacing[axis] for axis in axes)
        self.parent = volume.GetParentTransformNode()
        ijk_to_ras = vtk.vtkMatrix4x4()
        volume.GetIJKToRASMatrix(ijk_to_ras)
        self._matrix = arrayFromVTKMatrix(ijk_to_ras)[:, [*axes, 3]]
        # IJK counts from the centre of the first pixel, a box from its corner.
        self._matrix[:, 3] -= self._matrix[:, :2].sum(axis=1) / 2
        self._inverse = np.linalg.inv(self._matrix)

    def to_volume(self, points: np.ndarray) -> np.ndarray:
        """Map to the RAS of the volume itself, before its parent transform."""
        return np.asarray(points, float) @ self._matrix[:3, :3].T + self._matrix[:3, 3]

    def to_world(self, points: np.ndarray) -> np.ndarray:
        return _applied(_between(self.parent, None), self.to_volume(points))

    def from_world(self, points: np.ndarray) -> np.ndarray:
        points = _applied(_between(None, self.parent), points)
        return points @ self._inverse[:3, :3].T + self._inverse[:3, 3]


def right_angled(along: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Return three unit axes as rows: along the first vector, in the plane of both, across it."""
    x = along / np.linalg.norm(along)
    y = up - (up @ x) * x
    y /= np.linalg.norm(y)
    return np.stack([x, y, np.cross(x, y)])


def source_file(volume) -> Path | None:
    """Return the one file that the volume was read from, if it is still there."""
    instances = (volume.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    name = None
    if len(instances) == 1 and database is not None:
        name = database.fileForInstance(instances[0])
    storage = volume.GetStorageNode()
    if not name and storage is not None and storage.GetNumberOfFileNames() <= 1:
        name = storage.GetFullNameFromFileName()
    return Path(name) if name and Path(name).is_file() else None


@functools.lru_cache(maxsize=64)
def _read_header(path: Path, _changed_at: float) -> Header | None:
    try:
        return Header.read(path)
    except MammoTrackerError:
        return None


def _dicom_header(volume) -> Header | None:
    path = source_file(volume)
    return _read_header(path, path.stat().st_mtime) if path else None


def header_of(volume) -> Header:
    """Return what is known about a mammogram from its DICOM file, else from the volume node.

    What `set_spacing` was given wins. A volume of 1 mm x 1 mm has no known spacing, since that
    is what Slicer assumes where a file says nothing. Inverted is what is shown in the inverted
    grey: the voxels of a MONOCHROME1 file are not, since Slicer mirrors them when it reads.

    Raises
    ------
    MammoTrackerError
        If the volume is no single slice.
    """
    x, y, _ = Raster(volume).spacing
    display = volume.GetDisplayNode()
    header = replace(
        _dicom_header(volume) or Header(),
        inverted=display is not None and display.GetColorNodeID() == INVERTED_GREY,
    )
    is_set = bool(_get(volume, "SpacingSet"))
    if is_set or (header.spacing is None and not x == y == 1):
        header = replace(header, spacing=(x, y))
    return header


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
    rois = lesions(volume) + _nodes(scene, _ROI, "prediction", Current=volume)
    boxes = [(roi, _box(roi, volume)) for roi in rois if is_placed(roi)]
    spacing = list(volume.GetSpacing())
    x, y, _ = _axes(volume)
    spacing[x] = spacing[y] = mm
    volume.SetSpacing(spacing)
    _set(volume, "SpacingSet", "1")
    for roi, box in boxes:
        place_roi(roi, volume, box)
    for name in ("Prior", "Current"):
        for class_name, role in ((_VOLUME, "warped"), (_TRANSFORM, "registration")):
            for node in _nodes(scene, class_name, role, **{name: volume}):
                scene.RemoveNode(node)


def mammogram_of(volume) -> Mammogram:
    """Make a mammogram of a volume.

    The pixels are those of its DICOM file, if it has one that fits the voxels, because only the
    file says how its values are to be understood; else they are the voxels.

    Raises
    ------
    MammoTrackerError
        If the volume is no single grey slice, is empty, or has no known spacing.
    """
    header = header_of(volume)
    if header.spacing is None:
        raise MammoTrackerError(
            "The pixel spacing of the volume is unknown: enter the size of a pixel in mm."
        )
    voxels = arrayFromVolume(volume)
    if voxels.ndim > 3:
        raise MammoTrackerError(
            "The volume is a colour image: make a grey one of it (module Vector to Scalar Volume)."
        )
    voxels = voxels.squeeze()
    pixels = _file_pixels(volume, header, voxels)
    if pixels is None:
        pixels = voxels.astype(np.float32)
        if header.inverted:
            pixels = pixels.max() + pixels.min() - pixels
    return Mammogram(
        pixels, header.spacing, header.laterality, header.view, header.date, header.patient_id
    )


def _file_pixels(volume, header: Header, voxels: np.ndarray) -> np.ndarray | None:
    """Return the pixels of the volume's DICOM file, unless the voxels are other ones."""
    if _dicom_header(volume) is None:
        return None
    try:
        pixels = Mammogram.read(source_file(volume), header.spacing).pixels
    except MammoTrackerError:
        return None
    if pixels.shape != voxels.shape:
        return None
    # The file's values became brightness one by one, so equal voxels must be equally bright.
    lowest, highest = voxels.min().item(), voxels.max().item()
    if voxels.dtype.kind in "iu" and highest - lowest < 2**20:
        levels = voxels.astype(np.int64) - lowest
    else:
        levels = np.unique(voxels, return_inverse=True)[1].reshape(voxels.shape)
    brightness = np.empty(levels.max() + 1, np.float32)
    brightness[levels] = pixels
    return pixels if np.array_equal(brightness[levels], pixels) else None


def propose_pair(volumes: Iterable) -> tuple | None:
    """Choose the current mammogram, and the prior before it, among the loaded volumes.

    Both show one breast of one woman in one view. Where this holds for several pairs (other
    breast, other view), the one of the first volumes is chosen. None if no pair is clear: too
    little is known, or two volumes have the same date.

    Returns
    -------
    tuple or None
        (prior, current) volumes.
    """
    exams = defaultdict(lambda: defaultdict(list))
    for volume in volumes:
        try:
            header = header_of(volume)
        except MammoTrackerError:
            continue
        image = header.patient_id, header.laterality, header.view
        if header.date is not None and None not in image:
            exams[image][header.date].append(volume)
    for by_date in exams.values():
        newest = [by_date[date] for date in sorted(by_date)[-2:]]
        if [len(same_date) for same_date in newest] == [1, 1]:
            return newest[0][0], newest[1][0]
    return None


def apply_window(volume) -> None:
    """Show a volume in its DICOM file's window, if that has one."""
    window, display = header_of(volume).window, volume.GetDisplayNode()
    if window is not None and display is not None:
        center, width = window
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(width, center)


# --- boxes and ROI nodes


def is_placed(roi) -> bool:
    """Whether an ROI was drawn to its end."""
    needed = max(roi.GetRequiredNumberOfControlPoints(), 1)
    return (
        roi.GetNumberOfDefinedControlPoints() >= needed
        and sum(side > 0 for side in roi.GetSize()) >= 2
    )


def _box(roi, volume) -> Box:
    to_world = arrayFromVTKMatrix(roi.GetObjectToWorldMatrix())
    corners = np.array(list(itertools.product((-0.5, 0.5), repeat=3))) * roi.GetSize()
    corners = Raster(volume).from_world(corners @ to_world[:3, :3].T + to_world[:3, 3])
    # What a slice view shows of a tilted ROI is where its edges cross the slice. One that does
    # not cross it is seen along the slice's normal: a mammogram has no depth.
    start, end = corners[_EDGES].swapaxes(0, 1)
    crosses = start[:, 2] * end[:, 2] < 0
    start, end = start[crosses], end[crosses]
    share = start[:, 2:] / (start[:, 2:] - end[:, 2:])
    points = (start + share * (end - start) if crosses.any() else corners)[:, :2]
    return Box(*points.min(axis=0).tolist(), *points.max(axis=0).tolist())


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
    box = _box(roi, volume)
    columns, rows = Raster(volume).size
    if box.x1 <= 0 or box.y1 <= 0 or box.x0 >= columns or box.y0 >= rows:
        raise MammoTrackerError(
            f"The ROI {roi.GetName()} is outside the image: move it onto the lesion."
        )
    return box


def box_if_placed(roi) -> Box | None:
    """Return the box of a lesion or prediction on its own volume, or None if it has none there."""
    try:
        return box_of(roi, _reference(roi, "Prior") or _reference(roi, "Current"))
    except MammoTrackerError:
        return None


def center_mm(box: Box, volume) -> tuple[float, float]:
    """Return a box's centre in true mm from the image's top-left corner."""
    return box.scaled(*header_of(volume).spacing).center


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


# --- lesions of the prior


def lesions(prior) -> list:
    """Return the ROI nodes that mark lesions of this prior, in the scene's order."""
    return _nodes(prior.GetScene(), _ROI, "lesion", Prior=prior)


def unclaimed_rois(scene) -> list:
    """Return the ROI nodes that are neither lesions nor made by MammoTracker."""
    return _nodes(scene, _ROI, "")


def claim_lesion(roi, prior, lesion_type: str = "") -> None:
    """Make an ROI a lesion of this prior; a colour of its own it keeps."""
    _set(roi, "Role", "lesion")
    set_lesion_type(roi, lesion_type)
    roi.SetNodeReferenceID(_PREFIX + "Prior", prior.GetID())
    roi.CreateDefaultDisplayNodes()
    display = roi.GetDisplayNode()
    default = roi.GetScene().GetDefaultNodeByClass("vtkMRMLMarkupsDisplayNode") or type(display)()
    if display.GetSelectedColor() == default.GetSelectedColor():
        others = [other for other in lesions(prior) if other is not roi]
        used = [other.GetDisplayNode().GetSelectedColor() for other in others]
        free = [color for color in COLORS if color not in used]
        _paint(display, free[0] if free else COLORS[len(others) % len(COLORS)])
    _draw_as_outline(display)


def remove_lesion(roi) -> None:
    """Remove a lesion's ROI, and its predictions, from the scene."""
    scene = roi.GetScene()
    for prediction in _nodes(scene, _ROI, "prediction", Lesion=roi):
        scene.RemoveNode(prediction)
    scene.RemoveNode(roi)


def _paint(display, color: Sequence[float]) -> None:
    display.SetColor(*color)
    display.SetSelectedColor(*color)


def _draw_as_outline(display) -> None:
    display.SetFillVisibility(False)
    display.SetPropertiesLabelVisibility(False)
    # Handles are as large as a small lesion: they are for the one that is being corrected.
    display.SetHandlesInteractive(False)
    # Else a disc covers the middle of the lesion.
    display.SetGlyphTypeFromString("Vertex2D")
    display.SetGlyphScale(0.1)


def lesion_type(roi) -> str:
    """Return one of `LESION_TYPES`, or "" if none was set."""
    return _get(roi, "Type")


def set_lesion_type(roi, value: str) -> None:
    _set(roi, "Type", value)


# --- predictions on the current


def show_track(lesion, current, track: Track):
    """Show where a lesion was found: make its prediction on this current, or start it anew.

    Returns
    -------
    vtkMRMLMarkupsROINode
        In the lesion's colour, with score, status, reason and candidates as attributes. Of a
        lesion that was not found it has no place.
    """
    scene = current.GetScene()
    roi = prediction_of(lesion, current)
    if roi is None:
        roi = _new_node(scene, _ROI, "", "prediction", Lesion=lesion, Current=current)
    was_modifying = roi.StartModify()
    roi.SetName(_prediction_name(lesion))
    _set(roi, "Status", track.status.value)
    _set(roi, "Score", repr(float(track.score)))
    _set(roi, "Reason", track.reason)
    _set(roi, "Box", json.dumps(track.box.as_tuple()))
    _set(roi, "Candidates", json.dumps([candidate.as_dict() for candidate in track.candidates]))
    roi.CreateDefaultDisplayNodes()
    _paint(roi.GetDisplayNode(), lesion.GetDisplayNode().GetSelectedColor())
    _draw_as_outline(roi.GetDisplayNode())
    restore_prediction(roi)
    roi.EndModify(was_modifying)
    return roi


def _prediction_name(lesion) -> str:
    return f"{lesion.GetName()} (current)"


def predictions(prior, current) -> list:
    """Return the predictions of the prior's lesions on this current, in the lesions' order."""
    rois = (prediction_of(lesion, current) for lesion in lesions(prior))
    return [roi for roi in rois if roi is not None]


def prediction_of(lesion, current):
    """Return the ROI that shows this lesion on this current, or None."""
    return _node(current.GetScene(), _ROI, "prediction", Lesion=lesion, Current=current)


def lesion_of(prediction):
    """Return the lesion's ROI on the prior, or None if it was deleted."""
    return _reference(prediction, "Lesion")


def status_of(prediction) -> str:
    """Return the tracker's answer, a value of `Status`; the user's is `review_of`."""
    return _get(prediction, "Status")


def score_of(prediction) -> float:
    return float(_get(prediction, "Score"))


def reason_of(prediction) -> str:
    return _get(prediction, "Reason")


def review_of(prediction) -> str:
    """Return what the user said: "", "accepted", "corrected" or "rejected"."""
    return _get(prediction, "Review")


def set_review(prediction, review: str) -> None:
    """Set what the user says; a rejected prediction is hidden, any other shown."""
    _set(prediction, "Review", review)
    prediction.GetDisplayNode().SetVisibility(review != "rejected")


def candidates_of(prediction) -> list[Candidate]:
    """Return the tracker's candidates, best first; none where registration's box was kept."""
    return [Candidate.from_dict(item) for item in json.loads(_get(prediction, "Candidates"))]


def use_candidate(prediction, index: int) -> None:
    """Move a prediction to one of its candidates, as the user's correction.

    The first one is the tracker's own answer, so that it corrects only what was not found.
    """
    if index == 0 and status_of(prediction) != Status.NOT_FOUND.value:
        restore_prediction(prediction)
        return
    box = candidates_of(prediction)[index].box
    place_roi(prediction, _reference(prediction, "Current"), box)
    set_review(prediction, "corrected")


def restore_prediction(prediction) -> None:
    """Undo what the user did to a prediction; one that was not found loses its place."""
    if status_of(prediction) == Status.NOT_FOUND.value:
        unplace(prediction)
    else:
        box = Box(*json.loads(_get(prediction, "Box")))
        place_roi(prediction, _reference(prediction, "Current"), box)
    set_review(prediction, "")


def preview_of(current):
    """Return the ROI that previews a candidate, or None."""
    return _node(current.GetScene(), _ROI, "preview")


def preview_candidate(prediction, index: int | None):
    """Show one candidate in the views of its prediction, or with None no candidate any more.

    Returns
    -------
    vtkMRMLMarkupsROINode or None
        The one preview of the scene, which is locked, and not saved.
    """
    scene = prediction.GetScene()
    roi = _node(scene, _ROI, "preview")
    if index is None:
        if roi is not None:
            scene.RemoveNode(roi)
        return None
    if roi is None:
        roi = _new_node(scene, _ROI, "", "preview")
        roi.HideFromEditorsOn()
        roi.SetLocked(True)
        roi.CreateDefaultDisplayNodes()
        _draw_as_outline(roi.GetDisplayNode())
        roi.GetDisplayNode().SetHandlesInteractive(False)
        roi.GetDisplayNode().SetOpacity(0.6)
        _do_not_save(roi)
    roi.SetName(f"Candidate {index + 1}")
    like = prediction.GetDisplayNode()
    _paint(roi.GetDisplayNode(), like.GetSelectedColor())
    show_only_in(roi, like.GetViewNodeIDs())
    place_roi(roi, _reference(prediction, "Current"), candidates_of(prediction)[index].box)
    return roi


# --- registration


def registration_of(prior, current):
    """Return the transform node that takes the prior's world to the current's, or None."""
    scene = prior.GetScene()
    return _node(scene, _TRANSFORM, "registration", Prior=prior, Current=current)


def show_registration(prior, current, grid: np.ndarray):
    """Keep a pair's registration in the scene as a transform of world to world.

    Parameters
    ----------
    prior, current
        The volumes, at the places that they have now.
    grid
        As `Alignment.grid` returns it.

    Returns
    -------
    vtkMRMLTransformNode
        Its transform to the parent takes points of the prior to the current: bent by a grid of
        displacements, then linear. Up to 10 mm off the prior's slice, points keep their
        distance from it.
    """
    source, target = Raster(prior), Raster(current)
    grid = np.asarray(grid, float)
    rows, columns = grid.shape[:2]
    nodes = source.to_world(np.pad(grid[..., :2].reshape(-1, 2), ((0, 0), (0, 1))))

    # The transform's own grid has right angles. Wherever the prior's pixels do too, its nodes
    # are those of the given grid.
    axes = right_angled(nodes[columns - 1] - nodes[0], nodes[-columns] - nodes[0])
    extents = (nodes - nodes[0]) @ axes.T
    low, high = extents[:, :2].min(axis=0), extents[:, :2].max(axis=0)
    steps = np.stack(
        np.meshgrid(np.linspace(low[0], high[0], columns), np.linspace(low[1], high[1], rows)),
        axis=-1,
    ).reshape(-1, 2)
    nodes = nodes[0] + steps @ axes[:2]
    pixels = RegularGridInterpolator(
        (grid[:, 0, 1], grid[0, :, 0]), grid[..., 2:], bounds_error=False, fill_value=None
    )(source.from_world(nodes)[:, 1::-1])
    mapped = target.to_world(np.pad(pixels, ((0, 0), (0, 1))))

    depth = max(source.spacing[2], target.spacing[2], THICKNESS_MM)
    side = np.sign(axes[2] @ _normal(source))
    before = np.concatenate([nodes + offset * axes[2] for offset in (-depth, depth)])
    after = np.concatenate([mapped + offset * side * _normal(target) for offset in (-depth, depth)])
    # The best linear map apart, since VTK finds the inverse of small displacements alone: two
    # mammograms may face each other.
    linear, directions = np.eye(4), np.eye(4)
    directions[:3, :3] = axes.T
    linear[:3] = np.linalg.lstsq(
        np.pad(before, ((0, 0), (0, 1)), constant_values=1), after, rcond=None
    )[0].T
    unbent = (after - linear[:3, 3]) @ np.linalg.inv(linear[:3, :3]).T

    image = vtk.vtkImageData()
    image.SetDimensions(columns, rows, 2)
    image.SetOrigin(before[0])
    image.SetSpacing(*(high - low) / (columns - 1, rows - 1), 2 * depth)
    image.GetPointData().SetScalars(numpy_to_vtk(unbent - before, deep=True))
    bend = slicer.vtkOrientedGridTransform()
    bend.SetGridDirectionMatrix(vtkMatrixFromArray(directions))
    bend.SetDisplacementGridData(image)
    bend.SetInterpolationModeToCubic()  # as Slicer does with grids that it reads from a file
    transform = vtk.vtkGeneralTransform()
    transform.Concatenate(vtkMatrixFromArray(linear))
    transform.Concatenate(bend)

    node = registration_of(prior, current)
    if node is None:
        node = _new_node(
            prior.GetScene(), _TRANSFORM, "Prior to current registration", "registration",
            Prior=prior, Current=current,
        )  # fmt: skip
    node.SetAndObserveTransformToParent(transform)
    return node


def _normal(raster: Raster) -> np.ndarray:
    x, y = np.array(raster.size) / 2
    below, above = raster.to_world([(x, y, -0.5), (x, y, 0.5)])
    return (above - below) / np.linalg.norm(above - below)


def warped_prior(prior, current):
    """Return a volume that shows the prior's pixels where registration puts them.

    It shares the prior's image, and is not saved.

    Raises
    ------
    MammoTrackerError
        If there is no registration of the pair, or the prior is under a transform that is not
        linear.
    """
    registration = registration_of(prior, current)
    if registration is None:
        raise MammoTrackerError("This pair has no registration yet: track a lesion first.")
    scene, parent = prior.GetScene(), prior.GetParentTransformNode()
    to_world = vtk.vtkMatrix4x4()
    if parent is not None and not parent.GetMatrixTransformToWorld(to_world):
        raise MammoTrackerError(
            "The prior is under a transform that is not linear: harden it first "
            "(module Transforms)."
        )
    volume = _node(scene, _VOLUME, "warped", Prior=prior, Current=current)
    if volume is None:
        name = f"{prior.GetName()} (warped)"
        volume = _new_node(scene, _VOLUME, name, "warped", Prior=prior, Current=current)
        volume.HideFromEditorsOn()
        volume.CreateDefaultDisplayNodes()
        _do_not_save(volume)
    ijk_to_world = vtk.vtkMatrix4x4()
    prior.GetIJKToRASMatrix(ijk_to_world)
    vtk.vtkMatrix4x4.Multiply4x4(to_world, ijk_to_world, ijk_to_world)
    volume.SetIJKToRASMatrix(ijk_to_world)
    volume.SetAndObserveImageData(prior.GetImageData())
    volume.SetAndObserveTransformNodeID(registration.GetID())
    like, display = prior.GetDisplayNode(), volume.GetDisplayNode()
    if like is not None:
        display.SetAndObserveColorNodeID(like.GetColorNodeID())
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(like.GetWindow(), like.GetLevel())
    return volume


# --- table, labels and files


def results_table(prior, current):
    """Return the table node of this pair, or None."""
    return _node(prior.GetScene(), _TABLE, "results", Prior=prior, Current=current)


def update_table(prior, current):
    """Bring the table, and the names of the predictions, up to date with what the ROIs are now.

    Returns
    -------
    vtkMRMLTableNode
        `COLUMNS` of text, one row per prediction, measures in true mm from the current's
        top-left corner. A prediction without a place, or a rejected one, has no measures.
    """
    node = results_table(prior, current)
    if node is None:
        node = _new_node(
            prior.GetScene(), _TABLE, "MammoTracker results", "results",
            Prior=prior, Current=current,
        )  # fmt: skip
        node.SetLocked(True)
        node.SetUseColumnTitleAsColumnHeader(True)
        for name in COLUMNS:
            column = vtk.vtkStringArray()
            column.SetName(name)
            node.AddColumn(column)
    rows = [_table_row(roi, prior, current) for roi in predictions(prior, current)]
    if rows == _table_rows(node):
        return node
    was_modifying = node.StartModify()
    table = node.GetTable()
    table.SetNumberOfRows(len(rows))
    for row, texts in enumerate(rows):
        for column, text in enumerate(texts):
            table.SetValue(row, column, vtk.vtkVariant(text))
    table.Modified()
    node.EndModify(was_modifying)
    return node


def _table_rows(node) -> list[list[str]]:
    table = node.GetTable()
    return [
        [table.GetValue(row, column).ToString() for column in range(table.GetNumberOfColumns())]
        for row in range(table.GetNumberOfRows())
    ]


def _table_row(prediction, prior, current) -> list[str]:
    lesion = lesion_of(prediction)
    prediction.SetName(_prediction_name(lesion))
    row = [lesion.GetName(), lesion_type(lesion), status_of(prediction), review_of(prediction)]
    is_registration = status_of(prediction) == Status.REGISTRATION.value
    row.append("" if is_registration else f"{score_of(prediction):.2f}")
    measures = [""] * (len(COLUMNS) - len(row))
    if is_placed(prediction) and review_of(prediction) != "rejected":
        box = _box_mm(prediction, current)
        longest = max(box.width, box.height)
        measures[:6] = [
            f"{value:.1f}"
            for value in (*box.center, box.width, box.height, box.area, longest)
        ]  # fmt: skip
        if is_placed(lesion):
            before = _box_mm(lesion, prior)
            before = max(before.width, before.height)
            measures[6:] = [f"{longest - before:+.1f}", f"{100 * (longest / before - 1):+.0f}"]
    return row + measures


def _box_mm(roi, volume) -> Box:
    return _box(roi, volume).scaled(*header_of(volume).spacing)


def update_labels(prior, current) -> None:
    """Write names, statuses and scores at the top edges of the ROIs that are shown."""
    before = [(roi, roi.GetName()) for roi in lesions(prior)]
    now = [(roi, _label(roi)) for roi in predictions(prior, current)]
    for volume, labels in ((prior, before), (current, now)):
        node = _node(volume.GetScene(), _LABELS, "label", Volume=volume)
        if node is None:
            node = _new_label_node(volume)
        raster = Raster(volume)
        wanted = []
        for roi, text in labels:
            if is_placed(roi) and roi.GetDisplayNode().GetVisibility():
                box = _box(roi, volume)
                (place,) = raster.to_world([(box.center[0], box.y0, 0)])
                wanted.append((text, place))
        _show_labels(node, wanted)


def _show_labels(node, wanted: list[tuple[str, np.ndarray]]) -> None:
    """Change only what is other than wanted, since each change draws the views again."""
    was_modifying = node.StartModify()
    while node.GetNumberOfControlPoints() > len(wanted):
        node.RemoveNthControlPoint(node.GetNumberOfControlPoints() - 1)
    for index, (text, place) in enumerate(wanted):
        if index >= node.GetNumberOfControlPoints():
            node.AddControlPointWorld(vtk.vtkVector3d(*place), text)
        if node.GetNthControlPointLabel(index) != text:
            node.SetNthControlPointLabel(index, text)
        shown = [0.0, 0.0, 0.0]
        node.GetNthControlPointPositionWorld(index, shown)
        if not np.allclose(shown, place, atol=1e-3):
            node.SetNthControlPointPositionWorld(index, *place)
    node.EndModify(was_modifying)


def _label(prediction) -> str:
    name, status = lesion_of(prediction).GetName(), status_of(prediction)
    if review_of(prediction):
        return f"{name}  {review_of(prediction)}"
    if status == Status.REGISTRATION.value:
        return f"{name}  {status}"
    return f"{name}  {status} {score_of(prediction):.2f}"


def _new_label_node(volume):
    node = _new_node(
        volume.GetScene(), _LABELS, "MammoTracker labels", "label",
        Volume=volume,
    )  # fmt: skip
    node.HideFromEditorsOn()
    node.SetLocked(True)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    _paint(display, LABEL_COLOR)
    display.SetGlyphTypeFromString("Vertex2D")
    display.SetGlyphScale(0.1)
    display.SetPointLabelsVisibility(True)
    return node


def show_only_in(node, view_node_ids: Sequence[str]) -> None:
    """Show a node in these views alone; in all views if there are none."""
    display = node.GetDisplayNode()
    if list(display.GetViewNodeIDs()) != list(view_node_ids):
        display.SetViewNodeIDs(list(view_node_ids))


def export(prior, current, folder: str | Path) -> list[Path]:
    """Write the table as ``results.csv`` and each ROI as a ``.mrk.json`` named like its lesion.

    Returns
    -------
    list of Path
        The files, all of which were written.

    Raises
    ------
    MammoTrackerError
        If the folder cannot be written; it is then as it was.
    """
    folder = Path(folder)
    names: list[str] = []
    with OutputFolder(folder, replaces=None) as temporary:
        names.append("results.csv")
        with (temporary / names[0]).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([COLUMNS, *_table_rows(update_table(prior, current))])
        for roi in lesions(prior) + predictions(prior, current):
            names.append(_file_name(roi.GetName(), names))
            storage = slicer.vtkMRMLMarkupsROIJsonStorageNode()
            storage.SetFileName(str(temporary / names[-1]))
            if not storage.WriteData(roi):
                raise MammoTrackerError(
                    f"The ROI {roi.GetName()} could not be written: choose another folder."
                )
    return [folder / name for name in names]


def _file_name(name: str, taken: Iterable[str]) -> str:
    stem = re.sub(r"[^\w ()+-]", "_", name).strip() or "Lesion"
    taken = {other.casefold() for other in taken}
    numbers = itertools.chain([""], (f" {number}" for number in itertools.count(2)))
    names = (f"{stem}{number}.mrk.json" for number in numbers)
    return next(file for file in names if file.casefold() not in taken)

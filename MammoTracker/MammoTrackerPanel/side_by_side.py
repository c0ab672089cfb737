"""The views of a pair: prior left, current right, as they are stored, in one scale."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

PRIOR_VIEW, CURRENT_VIEW = "MammoTrackerPrior", "MammoTrackerCurrent"
LAYOUT_ID = 8341
LESION_SHARE = 0.2
CLOSEST_MM = 25.0
GAP_PX = 4


def layoutDescription() -> str:
    """Return the layout's XML: two slice views beside each other."""
    # No orientation property: it would make anatomical axes the view's default orientation.
    views = "".join(
        f'<item><view class="vtkMRMLSliceNode" singletontag="{name}">'
        f'<property name="viewlabel" action="default">{label}</property>'
        f'<property name="viewcolor" action="default">{color}</property>'
        "</view></item>"
        for name, label, color in (
            (PRIOR_VIEW, _("Prior"), "#7A8CA3"),
            (CURRENT_VIEW, _("Current"), "#4FA3D1"),
        )
    )
    return f'<layout type="horizontal" split="true">{views}</layout>'


class SideBySide(VTKObservationMixin):
    """Shows a prior and a current mammogram so that they can be compared.

    Parameters
    ----------
    layoutManager
        The application's qMRMLLayoutManager.
    """

    def __init__(self, layoutManager) -> None:
        VTKObservationMixin.__init__(self)
        self._layoutManager = layoutManager
        self._shown = ()
        self._boxes = None
        self._facing = False
        self._opacity = None
        self._walls = {}
        self._placePending = False

    def show(self, prior, current) -> None:
        """Switch to the layout, and show both volumes whole, each with its own ROIs only.

        Parameters
        ----------
        prior, current
            vtkMRMLScalarVolumeNode of one slice each.

        Raises
        ------
        MammoTrackerError
            If a volume is no single slice.
        """
        from MammoTrackerLib import scene

        panes = tuple(
            _Pane(self._layoutManager, name, volume)
            for name, volume in ((PRIOR_VIEW, prior), (CURRENT_VIEW, current))
        )
        self._switchLayout()
        if any(pane.widget is None for pane in panes):
            return  # the layout manager makes no views while the scene is being read
        self.removeObservers()
        self._shown = panes
        for group, pane in enumerate(panes, LAYOUT_ID):
            pane.adopt(group)
            scene.apply_window(pane.volume)
            self.addObserver(pane.node, vtk.vtkCommand.ModifiedEvent, self._onSliceNodeModified)
        self.showRegistration(self._opacity)
        self.assign()
        self.fit()

    @property
    def facing(self) -> bool:
        """Whether the breasts face each other; else both point the way that the prior does."""
        return self._facing

    @facing.setter
    def facing(self, facing: bool) -> None:
        if facing == self._facing:
            return
        self._facing = facing
        panes = self._panes()
        for pane, isMirrored in zip(panes, self._mirrorings(panes), strict=True):
            pane.lookAt(pane.center(), pane.mmPerPixel(), isMirrored)

    def fit(self) -> None:
        """Show both mammograms whole."""
        self._boxes = None
        self._place()

    def centerOn(self, priorBox, currentBox) -> None:
        """Centre both views on a lesion, in one scale, so that it fills a fifth of a view.

        Parameters
        ----------
        priorBox, currentBox
            `Box` in pixels of the prior and of the current mammogram. For one that is None,
            the view shows where the registration puts the other one, or stays where it is if
            there is no registration.
        """
        if priorBox or currentBox:
            self._boxes = priorBox, currentBox
            self._place()

    def assign(self) -> None:
        """Show each ROI and label of the pair in its own view only, and others in neither.

        To be called whenever ROIs were added.
        """
        from MammoTrackerLib import scene

        panes = self._panes()
        if not panes:
            return
        prior, current = (pane.volume for pane in panes)
        lesions, predictions = scene.lesions(prior), scene.predictions(prior, current)
        ours = [pane.node.GetID() for pane in panes]
        elsewhere = [
            node.GetID()
            for node in slicer.util.getNodesByClass("vtkMRMLAbstractViewNode")
            if node.GetID() not in ours
        ]
        for node in slicer.util.getNodesByClass("vtkMRMLMarkupsNode"):
            role = node.GetAttribute("MammoTracker.Role")
            if not role or node.GetDisplayNode() is None:
                continue
            labelled = node.GetNodeReference("MammoTracker.Volume")
            if node in lesions or labelled is prior:
                views = ours[:1]
            elif node in predictions or role == "preview" or labelled is current:
                views = ours[1:]
            else:
                views = elsewhere
            scene.show_only_in(node, views)

    def showRegistration(self, opacity: float | None) -> None:
        """Lay the registered prior over the current mammogram; None removes it.

        Parameters
        ----------
        opacity
            0 (only the current is seen) to 1 (only the prior). Without a registration
            nothing is laid over.

        Raises
        ------
        MammoTrackerError
            If the prior is under a transform that is not linear.
        """
        from MammoTrackerLib import scene

        self._opacity = opacity
        panes = self._panes()
        if not panes:
            return
        pair = [pane.volume for pane in panes]
        composite = panes[1].compositeNode
        if opacity is None or scene.registration_of(*pair) is None:
            composite.SetForegroundVolumeID(None)
        else:
            composite.SetForegroundVolumeID(scene.warped_prior(*pair).GetID())
            composite.SetForegroundOpacity(opacity)

    def capture(self, path) -> None:
        """Write what both views show, side by side, into one PNG.

        The handles of the ROIs are left out, and so are corner annotations, since Slicer
        writes patients' names into them.

        Raises
        ------
        MammoTrackerError
            If no pair is shown, or the file cannot be written.
        """
        from MammoTrackerLib import MammoTrackerError

        panes = self._panes()
        if not panes:
            raise MammoTrackerError(_("Show the exams side by side first."))
        if self._switchLayout() or self._placePending:
            slicer.app.processEvents()
        with _withoutHandles():
            images = [_rendered(pane.widget.sliceView().renderWindow()) for pane in panes]
        height = max(image.shape[0] for image in images)
        gap = np.full((height, GAP_PX, 3), 96, np.uint8)
        # VTK's first row is the lowest one.
        prior, current = (
            np.pad(image, ((height - image.shape[0], 0), (0, 0), (0, 0))) for image in images
        )
        png = _png(np.concatenate([prior, gap, current], axis=1))
        try:
            Path(path).write_bytes(png)
        except OSError as error:
            raise MammoTrackerError(
                _("Cannot write {path}: {reason}.").format(
                    path=path, reason=error.strerror or error
                )
            ) from None

    def _switchLayout(self) -> bool:
        """Make the layout the current one, and say whether it was not."""
        layout = self._layoutManager.layoutLogic().GetLayoutNode()
        if not layout.IsLayoutDescription(LAYOUT_ID):
            layout.AddLayoutDescription(LAYOUT_ID, layoutDescription())
        if layout.GetViewArrangement() == LAYOUT_ID:
            return False
        self._layoutManager.setLayout(LAYOUT_ID)
        return True

    def _panes(self) -> tuple:
        """Return both views, or none if no pair is shown or its volumes are gone."""
        if any(pane.volume.GetScene() is None or pane.widget is None for pane in self._shown):
            self.removeObservers()
            self._shown = ()
        return self._shown

    def _mirrorings(self, panes) -> list[bool]:
        """Return for each view whether the hanging asks for a mirrored image."""
        if not panes:
            return []
        priorWall, currentWall = (self._wallIsLeft(pane) for pane in panes)
        if self._facing:
            return [not priorWall, currentWall]
        return [False, priorWall != currentWall]

    def _wallIsLeft(self, pane) -> bool:
        from MammoTrackerLib.breast import wall_is_left

        image = pane.volume.GetImageData()
        key, changed = pane.volume.GetID(), image.GetMTime()
        if self._walls.get(key, (None, None))[0] != changed:
            self._walls[key] = changed, wall_is_left(pane.thumbnail())
        return self._walls[key][1]

    def _place(self) -> None:
        """Bring both views to what they were last asked to show."""
        panes = self._panes()
        if not panes or min(min(pane.dimensions()) for pane in panes) < 2:
            return
        mm = max(pane.fittingMmPerPixel() for pane in panes)
        if self._boxes is None:
            centers = [pane.imageCenter() for pane in panes]
        else:
            centers = self._centers(panes)
            longest = max(
                pane.longestMm(box)
                for pane, box in zip(panes, self._boxes, strict=True)
                if box is not None
            )
            narrowest = min(min(pane.dimensions()) for pane in panes)
            mm = min(mm, max(longest / LESION_SHARE, CLOSEST_MM) / narrowest)
        for pane, center, isMirrored in zip(panes, centers, self._mirrorings(panes), strict=True):
            pane.lookAt(center, mm, isMirrored)

    def _centers(self, panes) -> list[np.ndarray]:
        """Return the world point for each view's centre."""
        from MammoTrackerLib import scene

        centers = [
            None if box is None else pane.toWorld(box.center)
            for pane, box in zip(panes, self._boxes, strict=True)
        ]
        registration = scene.registration_of(*(pane.volume for pane in panes))
        if registration and centers[1] is None:
            centers[1] = registration.GetTransformToParent().TransformPoint(centers[0])
        elif registration and centers[0] is None:
            centers[0] = registration.GetTransformFromParent().TransformPoint(centers[1])
        return [
            pane.center() if center is None else np.array(center)
            for pane, center in zip(panes, centers, strict=True)
        ]

    def _onSliceNodeModified(self, _caller=None, _event=None) -> None:
        # Slicer's logics do not see a change that is made while they handle another one.
        if not self._placePending and any(pane.isResized() for pane in self._panes()):
            self._placePending = True
            qt.QTimer.singleShot(0, self._onResized)

    def _onResized(self) -> None:
        """Keep both mammograms whole, or the lesion centred, when the window changes its size.

        A view gets its real size only when Qt has laid it out, too. Once the user has zoomed or
        moved a view, its size is Slicer's business.
        """
        self._placePending = False
        panes = self._panes()
        if not any(pane.isMoved() for pane in panes):
            self._place()
        for pane in panes:
            pane.rememberSize()


class _Pane:
    """One slice view, and the mammogram in it.

    World is RAS in mm after all transforms; mm are true ones, of the breast.
    """

    def __init__(self, layoutManager, name: str, volume) -> None:
        from MammoTrackerLib import scene

        self._layoutManager = layoutManager
        self._name = name
        self.volume = volume
        header = scene.header_of(volume)
        self._spacing = np.array(header.spacing or scene.Raster(volume).spacing[:2])
        self._isInverted = header.inverted
        self._placed = None
        self._size = None

    @property
    def widget(self):
        """The qMRMLSliceWidget, or None."""
        return self._layoutManager.sliceWidget(self._name)

    @property
    def node(self):
        return self.widget.mrmlSliceNode()

    @property
    def compositeNode(self):
        return self.widget.sliceLogic().GetSliceCompositeNode()

    def adopt(self, group: int) -> None:
        """Show the volume, and keep the view apart from what other views do."""
        self.node.SetViewGroup(group)
        composite = self.compositeNode
        composite.SetLinkedControl(False)
        composite.SetHotLinkedControl(False)
        composite.SetDoPropagateVolumeSelection(False)
        composite.SetBackgroundVolumeID(self.volume.GetID())
        composite.SetForegroundVolumeID(None)
        composite.SetLabelVolumeID(None)

    def dimensions(self) -> tuple[int, int]:
        """Width and height of the view in screen pixels."""
        return tuple(self.node.GetDimensions()[:2])

    def thumbnail(self) -> np.ndarray:
        """Return the image at about 1 mm, dense tissue bright."""
        image = slicer.util.arrayFromVolume(self.volume).squeeze()
        step = max(1, round(1 / min(self._spacing)))
        image = image[::step, ::step].astype(np.float32)
        return -image if self._isInverted else image

    def toWorld(self, pixel) -> np.ndarray:
        """Map x, y in pixels of the image to the world."""
        from MammoTrackerLib import scene

        return scene.Raster(self.volume).to_world([(*pixel, 0)])[0]

    def imageCenter(self) -> np.ndarray:
        from MammoTrackerLib import scene

        return self.toWorld(np.array(scene.Raster(self.volume).size) / 2)

    def longestMm(self, box) -> float:
        return max(box.width * self._spacing[0], box.height * self._spacing[1])

    def fittingMmPerPixel(self) -> float:
        """Return the scale at which the whole image just fits into the view."""
        from MammoTrackerLib import scene

        return max(scene.Raster(self.volume).size * self._spacing / self.dimensions())

    def mmPerPixel(self) -> float:
        """Return the view's scale."""
        return self.node.GetFieldOfView()[1] / self.dimensions()[1] / self._axes()[1]

    def center(self) -> np.ndarray:
        """Return the world point of the image's slice that the view's centre shows."""
        origin = self.node.GetXYZOrigin()
        point = self.node.GetSliceToRAS().MultiplyPoint((origin[0], origin[1], 0, 1))[:3]
        normal = self._axes()[0][2]
        return point - normal * ((point - self.imageCenter()) @ normal)

    def _axes(self) -> tuple[np.ndarray, float, float]:
        """Return the slice's axes as rows, in the world, and its world mm per true mm.

        The axes are the image's: along a row of pixels, up along a column, and across. The last
        number is the slice's thickness in the world.
        """
        from MammoTrackerLib import scene

        raster = scene.Raster(self.volume)
        width, height = raster.size
        left, right, top, bottom, below, above = raster.to_world(
            [
                (0, height / 2, 0), (width, height / 2, 0), (width / 2, 0, 0),
                (width / 2, height, 0), (width / 2, height / 2, -0.5), (width / 2, height / 2, 0.5),
            ]
        )  # fmt: skip
        along, up = right - left, top - bottom
        axes = scene.right_angled(along, up)
        trueWidth, trueHeight = raster.size * self._spacing
        scale = np.sqrt((along @ axes[0]) * (up @ axes[1]) / (trueWidth * trueHeight))
        return axes, scale, abs((above - below) @ axes[2])

    def lookAt(self, center: np.ndarray, mm: float, isMirrored: bool) -> None:
        """Centre the view on a world point, at a scale in mm per screen pixel."""
        axes, scale, thickness = self._axes()
        if isMirrored:
            axes[0] *= -1
        node = self.node
        sliceToRAS = np.eye(4)
        sliceToRAS[:3] = np.column_stack([axes.T, center])
        wasModifying = node.StartModify()
        slicer.util.updateVTKMatrixFromArray(node.GetSliceToRAS(), sliceToRAS)
        node.SetSliceOrigin(0, 0, 0)
        width, height = self.dimensions()
        node.SetFieldOfView(width * mm * scale, height * mm * scale, thickness)
        node.UpdateMatrices()
        node.EndModify(wasModifying)
        self._placed = self._state()
        self.rememberSize()

    def _state(self) -> tuple:
        """Return what zooming and moving changes, and resizing does not."""
        node = self.node
        matrix = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
        return (node.GetFieldOfView()[1], *node.GetXYZOrigin(), *matrix.ravel())

    def isMoved(self) -> bool:
        return self._placed is not None and not np.allclose(self._state(), self._placed)

    def isResized(self) -> bool:
        return self.dimensions() != self._size

    def rememberSize(self) -> None:
        self._size = self.dimensions()


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


def _rendered(window) -> np.ndarray:
    """Return what a render window shows, (rows, columns, 3) from the bottom, without texts."""
    renderers = window.GetRenderers()
    hidden = []
    for index in range(renderers.GetNumberOfItems()):
        props = renderers.GetItemAsObject(index).GetViewProps()
        for number in range(props.GetNumberOfItems()):
            prop = props.GetItemAsObject(number)
            if prop.IsA("vtkCornerAnnotation") and prop.GetVisibility():
                hidden.append(prop)
    for prop in hidden:
        prop.SetVisibility(False)
    try:
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(window)
        grabber.ReadFrontBufferOff()
        grabber.ShouldRerenderOn()
        grabber.Update()
    finally:
        for prop in hidden:
            prop.SetVisibility(True)
    image = grabber.GetOutput()
    width, height, _depth = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[..., :3]


def _png(pixels: np.ndarray) -> bytes:
    image = vtk.vtkImageData()
    image.SetDimensions(pixels.shape[1], pixels.shape[0], 1)
    image.GetPointData().SetScalars(numpy_to_vtk(pixels.reshape(-1, 3), deep=True))
    writer = vtk.vtkPNGWriter()
    writer.SetInputData(image)
    writer.WriteToMemoryOn()
    writer.Write()
    return vtk_to_numpy(writer.GetResult()).tobytes()

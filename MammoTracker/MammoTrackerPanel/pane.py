"""One slice view with one mammogram in it: what it shows, at which scale, which way round."""

from __future__ import annotations

import numpy as np
import slicer


class Pane:
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

    def isShowing(self) -> bool:
        """Whether the volume is in the view, and the user has chosen no other one for it."""
        return self.compositeNode.GetBackgroundVolumeID() == self.volume.GetID()

    def dimensions(self) -> tuple[int, int]:
        """Width and height of the view in screen pixels."""
        return tuple(self.node.GetDimensions()[:2])

    def toWorld(self, pixel) -> np.ndarray:
        """Map x, y in pixels of the image to the world."""
        from MammoTrackerLib import scene

        return scene.Raster(self.volume).to_world([(*pixel, 0)])[0]

    def imageCenter(self) -> np.ndarray:
        from MammoTrackerLib import scene

        return self.toWorld(np.array(scene.Raster(self.volume).size) / 2)

    def longestMm(self, box) -> float:
        return box.longest_side(self._spacing)

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

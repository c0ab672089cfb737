"""The views of a pair: prior left, current right, as they are stored, in one scale."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from .layout import CURRENT_VIEW, LAYOUT_ID, PRIOR_VIEW, isShown, switchTo
from .pane import Pane
from .picture import writePicture

NOWHERE = "vtkMRMLSliceNodeMammoTrackerNowhere"
"""Of no view: what is to be seen in no view needs a name, else it is in all."""
LESION_SHARE = 0.2
CLOSEST_MM = 25.0
PATIENCE_S = 5.0


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
        self._lesions = self._showing = None
        self._boxes = None
        self._facing = False
        self._opacity = None
        self._placePending = False
        self._hasTimeLine = False

    @property
    def hasTimeLine(self) -> bool:
        """Whether the time line is shown below the views."""
        return self._hasTimeLine

    @hasTimeLine.setter
    def hasTimeLine(self, hasTimeLine: bool) -> None:
        if hasTimeLine != self._hasTimeLine:
            isOurs = isShown(self._layoutManager, self._hasTimeLine)
            self._hasTimeLine = hasTimeLine
            if isOurs:  # the user has not chosen another layout
                self._switchLayout()

    def show(self, prior, current, titles: Sequence[str] | None = None) -> None:
        """Switch to the layout, and show both volumes whole, each with its own ROIs only.

        Parameters
        ----------
        prior, current
            vtkMRMLScalarVolumeNode of one slice each.
        titles
            What the views are called; prior and current, if nothing is given.

        Raises
        ------
        MammoTrackerError
            If a volume is no single slice.
        """
        from MammoTrackerLib import scene

        panes = tuple(
            Pane(self._layoutManager, name, volume)
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
            modified = vtk.vtkCommand.ModifiedEvent
            self.addObserver(pane.node, modified, self._onSliceNodeModified)
            self.addObserver(pane.compositeNode, modified, self._onLayersModified)
        self.entitle(titles)
        self.showRegistration(self._opacity)
        self.assign()
        self.fit()

    def entitle(self, titles: Sequence[str] | None = None) -> None:
        """Call the views by these titles, as `show` does."""
        titles = titles or (_("Prior"), _("Current"))
        for pane, title in zip(self._panes(), titles, strict=False):
            pane.node.SetLayoutLabel(title)
            # Else Slicer cuts a name down to two letters where the view is narrow.
            label = pane.widget.findChild(qt.QLabel, "ViewLabel")
            label.minimumWidth = label.sizeHint.width()

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

    def assign(self, lesions: Sequence | None = None) -> None:
        """Show each ROI and label of the pair in its own view only, and others in neither.

        To be called whenever ROIs were added.

        Parameters
        ----------
        lesions
            Those to show with their predictions, marked on any exam; those of the prior if none
            are given.
        """
        from MammoTrackerLib import scene

        panes = self._panes()
        if not panes:
            return
        prior, current = (pane.volume for pane in panes)
        self._lesions = lesions
        lesions = scene.lesions(prior) if lesions is None else lesions
        answers = scene.all_answers(lesions)
        left, right = ([own.get(v.GetID()) for own in answers] for v in (prior, current))
        ours = [pane.node.GetID() for pane in panes]
        elsewhere = [
            node.GetID()
            for node in slicer.util.getNodesByClass("vtkMRMLAbstractViewNode")
            if node.GetID() not in ours
        ] or [NOWHERE]
        # Where the user has put another volume, boxes would be at places that are not theirs.
        self._showing = [pane.isShowing() for pane in panes]
        shown = zip(ours, self._showing, strict=True)
        own = [[view] if isOwn else elsewhere for view, isOwn in shown]
        for node in slicer.util.getNodesByClass("vtkMRMLMarkupsNode"):
            role = node.GetAttribute("MammoTracker.Role")
            if not role or node.GetDisplayNode() is None:
                continue
            labelled = node.GetNodeReference("MammoTracker.Volume")
            if node in left or labelled is prior:
                views = own[0]
            elif node in right or role in ("preview", "result") or labelled is current:
                views = own[1]
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

    def requirePair(self) -> tuple:
        """Return both views; fail if they show something else than the pair.

        Raises
        ------
        MammoTrackerError
            If no pair is shown, or another image in its place.
        """
        from MammoTrackerLib import MammoTrackerError

        panes = self._panes()
        if not panes or not all(pane.isShowing() for pane in panes):
            raise MammoTrackerError(_("Show the exams side by side first."))
        return panes

    def capture(self, path) -> None:
        """Write what both views show, side by side, into one PNG.

        Raises
        ------
        MammoTrackerError
            If no pair is shown, or another image in its place, the window is not on the screen, or
            the file cannot be written.
        """
        from MammoTrackerLib import MammoTrackerError

        panes = self.requirePair()
        self._switchLayout()
        end = time.monotonic() + PATIENCE_S
        while not self._areDrawn() and time.monotonic() < end:
            slicer.app.processEvents()
        if any(_window(pane).GetNeverRendered() for pane in panes):
            raise MammoTrackerError(
                _("The views are not drawn yet: bring Slicer's window to the front, and try again.")
            )
        writePicture([pane.widget for pane in panes], path)

    def _areDrawn(self) -> bool:
        """Whether both views are on the screen, in the size and at the place that they will have.

        A view that is shown for the first time gets its size, and then its OpenGL, from Qt's
        event loop; until then it is black.
        """
        if self._placePending:
            return False
        for pane in self._shown:
            sizes = zip(_window(pane).GetSize(), pane.dimensions(), strict=True)
            if _window(pane).GetNeverRendered() or any(abs(a - b) > 1 for a, b in sizes):
                return False
        return all(pane.widget.sliceView().visible for pane in self._shown)

    def _switchLayout(self) -> None:
        """Make the layout the current one."""
        switchTo(self._layoutManager, self._hasTimeLine)

    def _panes(self) -> tuple:
        """Return both views, or none if no pair is shown or its volumes are gone."""
        if any(pane.volume.GetScene() is None or pane.widget is None for pane in self._shown):
            self.removeObservers()
            self._shown = ()
        return self._shown

    def _mirrorings(self, panes) -> list[bool]:
        """Return for each view whether the hanging asks for a mirrored image."""
        from MammoTrackerLib import scene

        if not panes:
            return []
        priorWall, currentWall = (scene.is_wall_left(pane.volume) for pane in panes)
        if self._facing:
            return [not priorWall, currentWall]
        return [False, priorWall != currentWall]

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

    def _onLayersModified(self, _caller=None, _event=None) -> None:
        panes = self._panes()
        if panes and [pane.isShowing() for pane in panes] != self._showing:
            self.assign(self._lesions)

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


def _window(pane: Pane):
    return pane.widget.sliceView().renderWindow()

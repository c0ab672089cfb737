"""The layouts of the views: two mammograms beside each other, and perhaps the time line below."""

from __future__ import annotations

from slicer.i18n import tr as _

from .film_strip import TAG
from .growth_plot import VIEW

PRIOR_VIEW, CURRENT_VIEW = "MammoTrackerPrior", "MammoTrackerCurrent"
LAYOUT_ID, TIME_LINE_LAYOUT_ID = 8341, 8342


def layoutDescription(hasTimeLine: bool = False) -> str:
    """Return a layout's XML: two slice views, and below them film strip and growth plot."""
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
    pair = f'<layout type="horizontal" split="true">{views}</layout>'
    if not hasTimeLine:
        return pair
    label = _("Growth")
    return (
        f'<layout type="vertical" split="true"><item splitSize="650">{pair}</item>'
        '<item splitSize="350"><layout type="horizontal" split="true">'
        f'<item splitSize="620"><{TAG}></{TAG}></item>'
        f'<item splitSize="380"><view class="vtkMRMLPlotViewNode" singletontag="{VIEW}">'
        f'<property name="viewlabel" action="default">{label}</property>'
        "</view></item></layout></item></layout>"
    )


def isShown(layoutManager, hasTimeLine: bool) -> bool:
    """Whether this layout is the current one."""
    layout = layoutManager.layoutLogic().GetLayoutNode()
    return layout.GetViewArrangement() == _layoutId(hasTimeLine)


def switchTo(layoutManager, hasTimeLine: bool) -> None:
    """Make this layout the current one."""
    layout, number = layoutManager.layoutLogic().GetLayoutNode(), _layoutId(hasTimeLine)
    if not layout.IsLayoutDescription(number):
        layout.AddLayoutDescription(number, layoutDescription(hasTimeLine))
    if layout.GetViewArrangement() != number:
        layoutManager.setLayout(number)


def _layoutId(hasTimeLine: bool) -> int:
    return TIME_LINE_LAYOUT_ID if hasTimeLine else LAYOUT_ID

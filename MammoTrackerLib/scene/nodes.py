"""Nodes of MammoTracker in the scene: their roles, references and attributes."""

from __future__ import annotations

from contextlib import contextmanager

import slicer

ROI, VOLUME = "vtkMRMLMarkupsROINode", "vtkMRMLScalarVolumeNode"
TRANSFORM = "vtkMRMLTransformNode"
PREFIX = "MammoTracker."


def attribute(node, name: str) -> str:
    return node.GetAttribute(PREFIX + name) or ""


def set_attribute(node, name: str, value: str) -> None:
    node.SetAttribute(PREFIX + name, value)


def referenced(node, name: str):
    return node.GetNodeReference(PREFIX + name)


def exam_of(roi):
    """Return the volume on which a lesion is marked, or which a prediction is about."""
    return referenced(roi, "Prior") or referenced(roi, "Current")


def nodes_with(scene, class_name: str, role: str, **references) -> list:
    """Return the nodes with this role that refer to these nodes, in the scene's order."""
    found = scene.GetNodesByClass(class_name)
    found.UnRegister(None)  # what it returns counts as one's own
    return [
        node
        for node in map(found.GetItemAsObject, range(found.GetNumberOfItems()))
        if attribute(node, "Role") == role
        and all(referenced(node, name) is target for name, target in references.items())
    ]


def node_with(scene, class_name: str, role: str, **references):
    return next(iter(nodes_with(scene, class_name, role, **references)), None)


def new_node(scene, class_name: str, name: str, role: str, **references):
    """Add a node that has its role and references already when the scene reports it."""
    node = getattr(slicer, class_name)()
    node.SetName(name)
    set_attribute(node, "Role", role)
    for reference, target in references.items():
        node.SetNodeReferenceID(PREFIX + reference, target.GetID())
    with placing_kept(scene):
        return scene.AddNode(node)


@contextmanager
def placing_kept(scene):
    """Let the user's next click in a view belong to what it does now, while markups are added.

    Slicer would make a new one that which is placed: a box that the user is drawing would end, and
    the click go into a result.
    """
    selection = scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    if selection is None:
        yield
        return
    kind, active = selection.GetActivePlaceNodeClassName(), selection.GetActivePlaceNodeID()
    was_modifying = selection.StartModify()
    try:
        yield
    finally:
        selection.SetReferenceActivePlaceNodeClassName(kind)
        selection.SetActivePlaceNodeID(active)
        selection.EndModify(was_modifying)


def do_not_save(node) -> None:
    node.SaveWithSceneOff()
    for index in range(node.GetNumberOfDisplayNodes()):
        node.GetNthDisplayNode(index).SaveWithSceneOff()


def remove_node(node) -> None:
    """Remove a node, with how it is shown and stored."""
    scene = node.GetScene()
    if scene is None:  # it went with another one
        return
    helpers = [node.GetNthDisplayNode(k) for k in range(_count(node, "GetNumberOfDisplayNodes"))]
    helpers += [node.GetNthStorageNode(k) for k in range(_count(node, "GetNumberOfStorageNodes"))]
    scene.RemoveNode(node)
    for helper in helpers:
        if helper is not None and helper.GetScene() is scene:
            scene.RemoveNode(helper)


def _count(node, name: str) -> int:
    return getattr(node, name)() if hasattr(node, name) else 0

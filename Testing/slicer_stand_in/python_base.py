"""Stand-ins for Slicer's Python base modules that its wheels do not have.

Checked against Slicer ``Base/Python/slicer``: ScriptedLoadableModule.py, i18n.py, packaging.py,
parameterNodeWrapper/{wrapper,serializers,guiConnectors,validators}.py, and against
``Modules/Scripted/SampleData/SampleData.py``.
"""

from __future__ import annotations

import sys
import typing
import unittest
from pathlib import Path
from types import ModuleType

import slicer


class ScriptedLoadableModule:
    def __init__(self, parent) -> None:
        self.parent = parent

    def resourcePath(self, name: str) -> str:
        return str(Path(self.parent.path).parent / "Resources" / name)


class ScriptedLoadableModuleWidget:
    def __init__(self, parent=None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.parent = parent
        self.layout = parent.layout()

    def resourcePath(self, name: str) -> str:
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / name)

    def setup(self) -> None:
        pass


class ScriptedLoadableModuleLogic:
    def __init__(self, parent=None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self):
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag(self.moduleName)
            node.SetName(self.moduleName)
            node = slicer.mrmlScene.AddNode(node)
        # Closing the scene may take the attribute away.
        node.SetAttribute("ModuleName", self.moduleName)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    def delayDisplay(self, message: str, requestedDelay=None, msec=None) -> None:
        slicer.util.delayDisplay(message, msec or 0)


class WithinRange:
    def __init__(self, minimum, maximum) -> None:
        self.minimum, self.maximum = minimum, maximum


def parameterNodeWrapper(cls: type) -> type:
    """Keep a class's annotated members in a scripted module node."""
    hints = typing.get_type_hints(cls, include_extras=True)
    types, limits = {}, {}
    for name, hint in hints.items():
        types[name] = typing.get_args(hint)[0] if typing.get_origin(hint) else hint
        limits[name] = [a for a in getattr(hint, "__metadata__", ()) if isinstance(a, WithinRange)]
    defaults = {name: getattr(cls, name, None) for name in hints}

    def isNode(name: str) -> bool:
        return issubclass(types[name], slicer.vtkMRMLNode)

    def read(self, name: str):
        node = self.parameterNode
        if isNode(name):
            return node.GetNodeReference(name)
        text = node.GetParameter(name)
        if text == "":
            return defaults[name]
        return text == "True" if types[name] is bool else types[name](text)

    def write(self, name: str, value) -> None:
        node = self.parameterNode
        if isNode(name):
            node.SetNodeReferenceID(name, value.GetID() if value else None)
            return
        for limit in limits[name]:
            if not limit.minimum <= value <= limit.maximum:
                raise ValueError(f"{name} must be within {limit.minimum} and {limit.maximum}")
        node.SetParameter(name, str(types[name](value)))

    def __init__(self, parameterNode) -> None:
        self.parameterNode = parameterNode
        self._guis, self._isUpdating = {}, False

    def connectGui(self, gui) -> int:
        widgets = {
            widget.property("SlicerParameterName"): widget
            for widget in vars(gui).values()
            if widget.property("SlicerParameterName")
        }
        connections = []
        for name, widget in widgets.items():
            get, put, signal = _access(widget)

            def changed(*_, name=name, get=get) -> None:
                if not self._isUpdating:
                    write(self, name, get())

            connections.append((signal, changed, put, name))
        tag = self.AddObserver("ModifiedEvent", lambda *_: show(self, connections))
        show(self, connections)
        for signal, changed, _put, _name in connections:
            signal.connect(changed)
        self._guis[tag] = connections
        return tag

    def show(self, connections) -> None:
        if self._isUpdating:
            return
        self._isUpdating = True
        for _signal, _changed, put, name in connections:
            put(read(self, name))
        self._isUpdating = False

    def disconnectGui(self, tag) -> None:
        for signal, changed, _put, _name in self._guis.pop(tag, ()):
            signal.disconnect(changed)
        if tag is not None:
            self.RemoveObserver(tag)

    for name in hints:
        setattr(
            cls,
            name,
            property(
                lambda self, name=name: read(self, name),
                lambda self, value, name=name: write(self, name, value),
            ),
        )
    cls.__init__, cls.connectGui, cls.disconnectGui = __init__, connectGui, disconnectGui
    for name in ("StartModify", "EndModify", "AddObserver", "RemoveObserver", "Modified"):
        setattr(cls, name, _forwarded(name))
    return cls


def _forwarded(name: str):
    return lambda self, *arguments: getattr(self.parameterNode, name)(*arguments)


def _access(widget):
    """Return how to read and write a widget, and its signal."""
    from PySide6.QtWidgets import QCheckBox

    from .widgets import ctkSliderWidget, qMRMLNodeComboBox

    if isinstance(widget, qMRMLNodeComboBox):
        return widget.currentNode, widget.setCurrentNode, widget.currentNodeChanged
    if isinstance(widget, QCheckBox):
        return (
            lambda: QCheckBox.isChecked(widget),
            lambda value: widget.setChecked(value),
            widget.toggled,
        )
    if isinstance(widget, ctkSliderWidget):
        return (
            lambda: widget.value,
            lambda value: setattr(widget, "value", value),
            widget.valueChanged,
        )
    raise TypeError(f"No parameter can be connected to a {type(widget).__name__} here.")


class SampleDataLogic:
    """The registry of sample data, and the loading of one with a downloader of its own."""

    @staticmethod
    def registerCustomSampleDataCategory(category, title) -> None:
        pass

    @staticmethod
    def registerCustomSampleDataSource(
        category="Custom", sampleName=None, uris=None, fileNames=None, nodeNames=None,
        customDownloader=None, thumbnailFileName=None, loadFileTypes=None, loadFiles=None,
        loadFileProperties=None, checksums=None, loadFileType=None,
    ) -> None:  # fmt: skip
        assert len(uris) == len(fileNames) == len(nodeNames)
        sources = slicer.modules.sampleDataSources.setdefault(category, {})
        sources[sampleName] = customDownloader
        assert thumbnailFileName is None or Path(thumbnailFileName).is_file(), thumbnailFileName


def pythonModules() -> dict[str, ModuleType]:
    """Make the modules, by the names that Slicer gives them."""

    def module(name: str, **members) -> ModuleType:
        result = ModuleType(name)
        vars(result).update(members)
        return result

    bases = (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    )
    made = [
        module("slicer.ScriptedLoadableModule", **{base.__name__: base for base in bases}),
        module("slicer.i18n", tr=lambda text: text, translate=lambda _context, text: text),
        module(
            "slicer.parameterNodeWrapper",
            parameterNodeWrapper=parameterNodeWrapper,
            WithinRange=WithinRange,
        ),
        module("SampleData", SampleDataLogic=SampleDataLogic),
    ]
    modules = {one.__name__: one for one in made}
    for name, one in modules.items():
        if name.startswith("slicer."):
            setattr(slicer, name.split(".")[1], one)
    sys.modules.update(modules)
    return modules

"""`slicer.parameterNodeWrapper`: typed access to a module's parameter node, tied to widgets.

Values are stored as Slicer stores them: node references for nodes, named parameters for the rest.
"""

from __future__ import annotations

import dataclasses
import pathlib
import typing

import slicer
import vtk
from PySide6 import QtWidgets

from . import ctk_widgets, mrml_widgets

SlicerParameterNamePropertyName = "SlicerParameterName"


@dataclasses.dataclass
class Default:
    value: object


@dataclasses.dataclass
class Decimals:
    value: int


@dataclasses.dataclass
class SingleStep:
    value: float


class WithinRange:
    def __init__(self, minimum: float, maximum: float) -> None:
        self.minimum, self.maximum = minimum, maximum

    def validate(self, value: float) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value} is not within {self.minimum} and {self.maximum}")


class Minimum:
    def __init__(self, minimum: float) -> None:
        self.minimum = minimum

    def validate(self, value: float) -> None:
        if value < self.minimum:
            raise ValueError(f"{value} is below {self.minimum}")


class Maximum:
    def __init__(self, maximum: float) -> None:
        self.maximum = maximum

    def validate(self, value: float) -> None:
        if value > self.maximum:
            raise ValueError(f"{value} is above {self.maximum}")


class _Parameter:
    """One member of a wrapper class: its type, default and limits."""

    def __init__(self, name: str, hint: object, default: object) -> None:
        self.name = name
        self.kind, *self.annotations = (
            typing.get_args(hint) if typing.get_origin(hint) is typing.Annotated else (hint,)
        )
        self.is_node = isinstance(self.kind, type) and issubclass(self.kind, slicer.vtkMRMLNode)
        zeros = {bool: False, int: 0, float: 0, str: "", pathlib.Path: pathlib.Path()}
        if not self.is_node and self.kind not in zeros:
            raise TypeError(f"Unable to create serializer for member {name}: {self.kind}")
        given = [item.value for item in self.annotations if isinstance(item, Default)]
        first = given[0] if given else zeros.get(self.kind)
        self.default = first if default is dataclasses.MISSING else default

    def read(self, node) -> object:
        if not node.HasParameter(self.name):
            self.write(node, self.default)
        if self.is_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        return text == "True" if self.kind is bool else self.kind(text)

    def write(self, node, value: object) -> None:
        allowed = (int, float) if self.kind is float else self.kind
        if not (self.is_node and value is None) and not isinstance(value, allowed):
            raise TypeError(f"{self.name} is {self.kind.__name__}, not {type(value).__name__}")
        for annotation in self.annotations:
            if hasattr(annotation, "validate"):
                annotation.validate(value)
        was_modifying = node.StartModify()
        if self.is_node:
            node.SetParameter(self.name, "")
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
        else:
            node.SetParameter(self.name, str(value))
        node.EndModify(was_modifying)

    def annotation(self, kind: type):
        return next((item for item in self.annotations if isinstance(item, kind)), None)


class _Link:
    """The way between one widget and one parameter."""

    def __init__(self, widget, parameter: _Parameter) -> None:
        self.widget, self.slot = widget, None
        kind, spin_boxes = parameter.kind, (QtWidgets.QDoubleSpinBox,)
        is_slider = type(widget) is ctk_widgets.ctkSliderWidget
        if type(widget) is QtWidgets.QCheckBox and kind is bool:
            self.signal, self.read, self.write = widget.toggled, widget.isChecked, widget.setChecked
        elif type(widget) is mrml_widgets.qMRMLNodeComboBox and parameter.is_node:
            widget.nodeTypes = [kind.__name__]
            self.signal = widget.currentNodeChanged
            self.read, self.write = widget.currentNode, widget.setCurrentNode
        elif type(widget) is ctk_widgets.ctkPathLineEdit and kind is pathlib.Path:
            self.signal = widget.currentPathChanged
            self.read = lambda: pathlib.Path(widget.currentPath)
            self.write = lambda value: widget.setCurrentPath(str(value))
        elif type(widget) is QtWidgets.QLineEdit and kind is str:
            self.signal, self.read, self.write = widget.textChanged, widget.text, widget.setText
        elif (is_slider or type(widget) in spin_boxes) and kind in (float, int):
            self.signal, self.write = widget.valueChanged, widget.setValue
            self.read = (lambda: kind(widget.value)) if is_slider else lambda: kind(widget.value())
            self._limit(parameter, is_slider)
        else:
            raise RuntimeError(
                f"Unable to create GUI connector from datatype '{kind}' to widget type "
                f"'{type(widget)}'."
            )

    def _limit(self, parameter: _Parameter, is_slider: bool) -> None:
        limits = parameter.annotation(WithinRange)
        if limits is None and is_slider:
            raise RuntimeError("Cannot have a connection to ctkSliderWidget without WithinRange.")
        settings = {}
        if limits is not None:
            settings |= {"minimum": limits.minimum, "maximum": limits.maximum}
        for kind, name in ((Decimals, "decimals"), (SingleStep, "singleStep")):
            annotation = parameter.annotation(kind)
            if annotation is not None:
                settings[name] = annotation.value
        for name, value in settings.items():
            if is_slider:
                setattr(self.widget, name, value)
            else:
                getattr(self.widget, f"set{name[0].upper()}{name[1:]}")(value)

    def connect(self, slot) -> None:
        self.slot = slot
        self.signal.connect(slot)

    def disconnect(self) -> None:
        self.signal.disconnect(self.slot)


class _Wrapper:
    """What the decorator adds to the class."""

    allParameters: typing.ClassVar[dict[str, _Parameter]] = {}

    def __init__(self, parameterNode, prefix: str | None = None) -> None:
        if parameterNode is None:
            raise AssertionError("a parameter node is needed")
        self.parameterNode = parameterNode
        self._guis = {}
        self._updating = False
        for parameter in self.allParameters.values():
            parameter.read(parameterNode)

    def getValue(self, name: str) -> object:
        return self._parameter(name).read(self.parameterNode)

    def setValue(self, name: str, value: object) -> None:
        self._parameter(name).write(self.parameterNode, value)

    def default(self, name: str) -> Default:
        return Default(self._parameter(name).default)

    def _parameter(self, name: str) -> _Parameter:
        if name not in self.allParameters:
            raise ValueError(f"Cannot find a param with the given name: {name}")
        return self.allParameters[name]

    def connectGui(self, gui) -> int:
        widgets = (
            gui.findChildren(QtWidgets.QWidget)
            if isinstance(gui, QtWidgets.QWidget)
            else vars(gui).values()
        )
        names = ((widget.property(SlicerParameterNamePropertyName), widget) for widget in widgets)
        return self.connectParametersToGui({name: widget for name, widget in names if name})

    def connectParametersToGui(self, mapping: dict) -> int:
        links = {name: _Link(widget, self._parameter(name)) for name, widget in mapping.items()}
        for name, link in links.items():
            link.write(self.getValue(name))
            link.connect(lambda *_values, name=name, link=link: self._from_gui(name, link))
        observer = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._to_gui())
        tag = max(self._guis, default=-1) + 1
        self._guis[tag] = links, observer
        return tag

    def disconnectGui(self, guiTag: int) -> None:
        links, observer = self._guis.pop(guiTag, ({}, None))
        for link in links.values():
            link.disconnect()
        if observer is not None:
            self.RemoveObserver(observer)

    def _from_gui(self, name: str, link: _Link) -> None:
        if not self._updating:
            with slicer.util.NodeModify(self):
                self.setValue(name, link.read())

    def _to_gui(self) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            with slicer.util.NodeModify(self):
                for links, _observer in list(self._guis.values()):
                    for name, link in links.items():
                        link.write(self.getValue(name))
        finally:
            self._updating = False

    def StartModify(self) -> int:
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified: int) -> int:
        return self.parameterNode.EndModify(wasModified)

    def AddObserver(self, event, callback, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()


def parameterNodeWrapper(classtype=None):
    """Make a class with typed members into a wrapper of a parameter node."""
    if classtype is None:
        return parameterNodeWrapper
    members = {"allParameters": {}}
    for name, hint in typing.get_type_hints(classtype, include_extras=True).items():
        if hasattr(_Wrapper, name):
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
        default = getattr(classtype, name, dataclasses.MISSING)
        parameter = members["allParameters"][name] = _Parameter(name, hint, default)
        members[name] = property(
            lambda self, parameter=parameter: parameter.read(self.parameterNode),
            lambda self, value, parameter=parameter: parameter.write(self.parameterNode, value),
        )
    return type(classtype.__name__, (classtype, _Wrapper), {**members, "__init__": _Wrapper.__init__})


def isParameterNodeWrapper(classOrObj) -> bool:
    kind = classOrObj if isinstance(classOrObj, type) else type(classOrObj)
    return issubclass(kind, _Wrapper)

"""Loads .ui files with promoted CTK and MRML widgets, their properties and connections."""

from __future__ import annotations

from xml.etree import ElementTree

from PySide6 import QtCore, QtUiTools, QtWidgets


class QUiLoader(QtUiTools.QUiLoader):
    """Qt's own loader, which makes the stand-ins where the file promotes a widget."""

    classes: dict[str, type] = {}

    def createWidget(
        self, class_name: str, parent: QtWidgets.QWidget | None = None, name: str = ""
    ) -> QtWidgets.QWidget:
        if class_name not in self.classes:
            if class_name not in self.availableWidgets():
                raise RuntimeError(f"The window has no stand-in for the widget {class_name}.")
            return super().createWidget(class_name, parent, name)
        widget = self.classes[class_name](parent)
        widget.setObjectName(name)
        return widget

    def load(self, file: QtCore.QFile) -> QtWidgets.QWidget:
        root = ElementTree.fromstring(bytes(file.readAll().data()))
        connections = root.find("connections")
        if connections is not None:
            root.remove(connections)
        properties = list(self._promoted_properties(root))
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(root))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        widget = super().load(buffer)
        by_name = {child.objectName(): child for child in widget.findChildren(QtCore.QObject)}
        by_name[widget.objectName()] = widget
        for name, key, value in properties:
            setattr(by_name[name], key, value)
        for connection in connections if connections is not None else ():
            text = {element.tag: element.text for element in connection}
            sender, receiver = by_name[text["sender"]], by_name[text["receiver"]]
            slot = getattr(receiver, text["slot"].partition("(")[0])
            _signal(sender, text["signal"]).connect(slot)
        return widget

    def _promoted_properties(self, root: ElementTree.Element):
        """Take out the properties that Qt does not know, as (widget, property, value)."""
        for widget in root.iter("widget"):
            kind = self.classes.get(widget.get("class"))
            if kind is None:
                continue
            for element in widget.findall("property"):
                name = element.get("name")
                if element.get("stdset") == "0":
                    continue
                if isinstance(_member(kind, name), property):
                    widget.remove(element)
                    yield widget.get("name"), name, _value(kind, element[0])
                elif kind.staticMetaObject.indexOfProperty(name) < 0:
                    raise RuntimeError(f"{kind.__name__} has no property {name!r}.")


def _member(kind: type, name: str):
    return next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)


def _value(kind: type, element: ElementTree.Element):
    text = element.text or ""
    if element.tag == "bool":
        return text == "true"
    if element.tag == "stringlist":
        return [string.text or "" for string in element]
    if element.tag in ("set", "enum"):
        value = 0
        for flag in text.split("|"):
            value |= getattr(kind, flag.rpartition("::")[2])
        return value
    convert = {"number": int, "double": float, "string": str}
    return convert[element.tag](text)


def _signal(sender: QtCore.QObject, signature: str) -> QtCore.SignalInstance:
    if hasattr(sender, "_signal"):
        return sender._signal(signature)
    if sender.metaObject().indexOfSignal(signature) < 0:
        raise RuntimeError(f"{sender.objectName()} has no signal {signature}.")
    return getattr(sender, signature.partition("(")[0])

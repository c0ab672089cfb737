"""Qt as Slicer's Python gives it: the module `qt`, property syntax, connections by signature."""

from __future__ import annotations

from types import ModuleType
from typing import ClassVar

import shibokensupport.feature
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

TRUE_PROPERTY = 0x02


def use_property_syntax(*names: str) -> None:
    """Let modules read and write Qt properties as attributes (``label.text = "x"``).

    Stricter than PythonQt, where the setters can be called too. Other modules, tests among them,
    keep PySide's own methods (``label.text()``).
    """
    for name in names:
        shibokensupport.feature.pyside_feature_dict[name] = TRUE_PROPERTY


def prepare() -> None:
    """Switch PySide's per-module syntax on; modules of this package keep the methods."""
    QtCore.__init_feature__()
    for name in ("pythonqt", "ctk_widgets", "mrml_widgets", "ui_loader", "slice_views"):
        shibokensupport.feature.pyside_feature_dict[f"{__package__}.{name}"] = 0
    for name in ("application", "modules", "parameter_node", "main_window", "display"):
        shibokensupport.feature.pyside_feature_dict[f"{__package__}.{name}"] = 0
    shibokensupport.feature.pyside_feature_dict[__package__] = 0
    use_property_syntax("slicer.util")
    # `name` is what PythonQt calls objectName.
    QtCore.QObject.name = property(_name, _set_name)


def _name(self: QtCore.QObject) -> str:
    return self.objectName()


def _set_name(self: QtCore.QObject, name: str) -> None:
    self.setObjectName(name)


def module(replaced: dict) -> ModuleType:
    """Return the module `qt`: all of PySide's names, some replaced."""
    qt = ModuleType("qt")
    for part in (QtCore, QtGui, QtWidgets, QtUiTools):
        vars(qt).update({name: value for name, value in vars(part).items() if name[0] != "_"})
    vars(qt).update(replaced)
    return qt


class RealMembers:
    """Mix-in of the stand-ins for C++ classes: only what the real class has can be used.

    `SIGNALS` maps the signatures that the real class declares to the attributes that carry them.
    Helpers of the stand-ins start with an underscore.
    """

    SIGNALS: ClassVar[dict[str, str]] = {}

    def __getattribute__(self, name: str):
        # PySide answers these two itself, whatever a subclass defines.
        if name in ("connect", "disconnect"):
            return super().__getattribute__(f"_{name}")
        return super().__getattribute__(name)

    def __setattr__(self, name: str, value: object) -> None:
        if name[0] != "_" and not hasattr(type(self), name):
            raise AttributeError(f"{type(self).__name__} has no property {name!r}")
        super().__setattr__(name, value)

    def _connect(self, signature: str, slot) -> bool:
        self._signal(signature).connect(slot)
        return True

    def _disconnect(self, signature: str, slot) -> bool:
        self._signal(signature).disconnect(slot)
        return True

    def _signal(self, signature: str) -> QtCore.SignalInstance:
        for kind in type(self).__mro__:
            name = vars(kind).get("SIGNALS", {}).get(signature)
            if name:
                return getattr(self, name)
        if (
            isinstance(self, QtCore.QObject)
            and self.metaObject().indexOfSignal(QtCore.QMetaObject.normalizedSignature(signature))
            >= 0
        ):
            return getattr(self, signature.partition("(")[0])
        raise AttributeError(f"{type(self).__name__} has no signal {signature!r}")


def stored(name: str, default: object) -> property:
    """Return a property of a stand-in that only keeps what is set."""
    key = f"_{name}"
    return property(
        lambda self: self.__dict__.get(key, default),
        lambda self, value: self.__dict__.__setitem__(key, value),
    )

"""The Python packages that the command needs: tried first, so that one that is missing is named."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ..errors import MammoTrackerError

_MODULES = ("numpy", "scipy.ndimage", "PIL.Image", "SimpleITK", "pydicom", "rich.console")
"""First what others import, so that the right one is named."""


def check_packages() -> None:
    """Import what every command needs.

    Raises
    ------
    MammoTrackerError
        If a package is missing, or does not start: of another Python, for example.
    """
    for name in _MODULES:
        try:
            import_module(name)
        except Exception as error:  # what is not made for this Python fails in many ways
            raise MammoTrackerError(
                f"The Python package {name.partition('.')[0]} does not start "
                f"({type(error).__name__}): install it again, or see whether PYTHONPATH names the "
                "packages of another Python or program."
            ) from error


def require(message: str, *modules: str) -> ModuleType:
    """Import what not everybody has installed; return its last module, or raise the message."""
    try:
        return [import_module(name) for name in modules][-1]
    except Exception as error:  # what is not made for this Python fails in many ways
        raise MammoTrackerError(message) from error

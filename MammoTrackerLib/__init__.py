"""MammoTracker: finds the lesion of a prior mammogram again on the current one.

Importing the package is light: its parts are imported when they are first asked for, networks and
their framework when a `LesionTracker` first needs them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .box import Box
    from .errors import MammoTrackerError
    from .history import LesionHistory, follow
    from .mammogram import Mammogram
    from .track import Candidate, Status, Track
    from .tracker import LesionTracker

__version__ = "0.16.0"
__all__ = [
    "Box",
    "Candidate",
    "LesionHistory",
    "LesionTracker",
    "MammoTrackerError",
    "Mammogram",
    "Status",
    "Track",
    "follow",
]
_FILES = {
    "Box": "box",
    "Candidate": "track",
    "LesionHistory": "history",
    "LesionTracker": "tracker",
    "MammoTrackerError": "errors",
    "Mammogram": "mammogram",
    "Status": "track",
    "Track": "track",
    "follow": "history",
}


def __getattr__(name: str) -> object:
    # So that the command can say in a sentence which package does not start.
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_FILES[name]}", __name__), name)

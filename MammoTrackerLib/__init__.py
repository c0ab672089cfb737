"""MammoTracker: finds the lesion of a prior mammogram again on the current one.

Importing the package is light: networks and their framework are loaded when a
`LesionTracker` first needs them.
"""

from .box import Box
from .errors import MammoTrackerError
from .mammogram import Mammogram
from .track import Candidate, Status, Track
from .tracker import LesionTracker

__version__ = "0.4.0"
__all__ = [
    "Box",
    "Candidate",
    "LesionTracker",
    "MammoTrackerError",
    "Mammogram",
    "Status",
    "Track",
]

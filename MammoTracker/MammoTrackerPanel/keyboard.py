"""The panel's keys: from lesion to lesion and exam to exam, and what one decides about them."""

from __future__ import annotations

import qt
import slicer

KEYS = {
    "nextLesion": "N",
    "previousLesion": "Shift+N",
    "nextExam": ".",
    "previousExam": ",",
    "accept": "A",
    "reject": "X",
    "nextCandidate": "C",
    "useCandidate": "U",
    "notThere": "T",
    "cannotTell": "K",
    "comment": "M",
    "nextCase": "J",
    "previousCase": "B",
}
"""By what they do. Where text is typed, they write letters."""


class Keyboard:
    """Calls what belongs to a key, while the module is open.

    Parameters
    ----------
    actions
        What to call, by the names in `KEYS`.
    """

    def __init__(self, actions: dict) -> None:
        self._shortcuts = []
        window = slicer.util.mainWindow()
        for name, key in KEYS.items() if window else ():
            shortcut = qt.QShortcut(window)
            shortcut.key = qt.QKeySequence(key)
            shortcut.activated.connect(actions[name])
            self._shortcuts.append(shortcut)
        self.enable(False)

    def enable(self, enabled: bool) -> None:
        """Listen to the keys, or no longer."""
        for shortcut in self._shortcuts:
            shortcut.enabled = enabled

    def remove(self) -> None:
        """Leave the keys to others for good."""
        for shortcut in self._shortcuts:
            shortcut.enabled = False
            shortcut.deleteLater()
        self._shortcuts = []

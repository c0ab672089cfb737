"""The networks run by LiteRT: one pass of one lesion, or one candidate, at a time, on the CPU."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np

from .card import CONVERTED, SIMILARITY_FILE, TRACKING_FILE, verified


class LiteRTNetworks:
    """The tracking and the similarity network from their ``.tflite`` files.

    Attributes and methods are those of `KerasNetworks`; the answers are the same to 1e-4 pixels.

    Parameters
    ----------
    folder, card
        The weights; `is_converted` must hold for them.

    Raises
    ------
    ImportError
        If LiteRT is not installed, or does not start.
    MammoTrackerError
        If the weights fail their checksums.
    """

    name = "LiteRT"
    device = "CPU"
    lesions_at_once = 1

    def __init__(self, folder: Path, card: dict) -> None:
        import ai_edge_litert

        self.version = getattr(ai_edge_litert, "__version__", "")
        self._tracking = _Model(verified(folder, card, CONVERTED[TRACKING_FILE]))
        self._similarity = None
        if SIMILARITY_FILE in card["sha256"]:
            self._similarity = _Model(verified(folder, card, CONVERTED[SIMILARITY_FILE]))

    @property
    def has_similarity(self) -> bool:
        return self._similarity is not None

    def tracking(
        self, templates: np.ndarray, searches: np.ndarray, sizes: np.ndarray
    ) -> list[np.ndarray]:
        return self._tracking.run(template=templates, search=searches, size=sizes)

    def similarity(
        self, templates: np.ndarray, candidates: np.ndarray, counts: list[int]
    ) -> list[np.ndarray]:
        return self._similarity.run(
            template=np.repeat(templates, counts, axis=0), candidate=candidates
        )


class _Model:
    """A network in a ``.tflite`` file, for inputs of batch size one.

    An interpreter has one place for what goes in and comes out, and threads of its own: only one
    thread of a program may use it at a time, and a forked process needs another.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        # By process; those of others cannot be closed without their threads.
        self._interpreters: dict = {}
        self._open()

    def _open(self) -> None:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(self._path), num_threads=_cores())
        interpreter.allocate_tensors()
        self._interpreters[os.getpid()] = interpreter.get_signature_runner()

    def run(self, **inputs: np.ndarray) -> list[np.ndarray]:
        """Run the network on each item of the inputs, and stack what comes out."""
        results = []
        for items in zip(*inputs.values(), strict=True):
            named = {k: np.ascontiguousarray(v[None]) for k, v in zip(inputs, items, strict=True)}
            with self._lock:
                if os.getpid() not in self._interpreters:
                    self._open()
                outputs = self._interpreters[os.getpid()](**named)
            results.append([outputs[key][0] for key in sorted(outputs)])
        return [np.stack(output) for output in zip(*results, strict=True)]


def _cores() -> int:
    """How many cores this process may use, up to 4: more do not help networks so small.

    As many as OMP_NUM_THREADS says, if it says so.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal():
        return min(max(int(asked), 1), 4)
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), 4)
    return min(os.cpu_count() or 1, 4)

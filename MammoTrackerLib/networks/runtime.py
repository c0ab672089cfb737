"""What runs the networks: LiteRT, or TensorFlow where there is a GPU or nothing else will do."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from pathlib import Path

from ..errors import MammoTrackerError
from ..settings import Settings
from .card import is_converted
from .with_keras import KerasNetworks
from .with_litert import LiteRTNetworks

RUNTIMES = ("auto", "litert", "tensorflow")
VARIABLE = "MAMMOTRACKER_RUNTIME"
_PACKAGES = {"litert": ("ai_edge_litert",), "tensorflow": ("tensorflow", "keras")}
Networks = LiteRTNetworks | KerasNetworks


def open_networks(settings: Settings, folder: Path, card: dict, runtime: str = "auto") -> Networks:
    """Load the networks of a folder of weights.

    Parameters
    ----------
    settings
        Those that the weights were trained with.
    folder, card
        The weights, and what `read_card` says of them.
    runtime
        "litert", "tensorflow" or "auto": what the environment variable ``MAMMOTRACKER_RUNTIME``
        says, else TensorFlow where it is installed and finds an NVIDIA GPU, else LiteRT, else
        TensorFlow.

    Raises
    ------
    MammoTrackerError
        If there is no such runtime, it is not installed or does not start, or the weights fail
        their checksums, do not fit the settings, or have no files for this runtime.
    """
    has_converted = is_converted(folder, card, settings)
    chosen = choose(runtime, has_converted)
    try:
        if chosen == "litert":
            return LiteRTNetworks(folder, card)
        networks = KerasNetworks(folder, card, settings)
        was_free = asked_for(runtime) == "auto" and has_converted and is_installed("litert")
        if was_free and networks.device == "CPU":  # TensorFlow finds no GPU, though there is one
            return LiteRTNetworks(folder, card)
        return networks
    except ImportError as error:
        packages = " and ".join(_PACKAGES[chosen]).replace("_", "-")
        raise MammoTrackerError(
            f"The Python packages that run the networks do not start ({packages}): install them "
            f"again, or choose the other runtime by the environment variable {VARIABLE}."
        ) from error


def choose(runtime: str, has_converted: bool) -> str:
    """Decide between "litert" and "tensorflow": see `open_networks`.

    Parameters
    ----------
    runtime
        What was asked for.
    has_converted
        Whether there are files for LiteRT, see `is_converted`.

    Raises
    ------
    MammoTrackerError
        If it does not exist, is not installed, or cannot run these weights.
    """
    asked = asked_for(runtime)
    if asked == "litert" and not has_converted:
        raise MammoTrackerError(
            "LiteRT cannot run these weights or settings, for which there are no .tflite files: "
            "use TensorFlow, or write them with `python -m Training.release`."
        )
    if asked == "auto":
        has_tensorflow = is_installed("tensorflow")
        if has_tensorflow and has_nvidia_gpu():
            return "tensorflow"
        if has_converted and (is_installed("litert") or not has_tensorflow):
            asked = "litert"
        else:
            asked = "tensorflow"
    if not is_installed(asked):
        package = {"litert": "ai-edge-litert", "tensorflow": "tensorflow"}[asked]
        raise MammoTrackerError(
            f"The Python package {package} is not installed: run `pip install {package}`, or, in "
            "Slicer, press Install in Setup."
        )
    return asked


def asked_for(runtime: str) -> str:
    """Return the runtime that was asked for, here or by the environment variable.

    Raises
    ------
    MammoTrackerError
        If there is no such runtime.
    """
    asked = runtime
    if asked == "auto":
        asked = os.environ.get(VARIABLE, "").strip().lower() or "auto"
    if asked not in RUNTIMES:
        raise MammoTrackerError(
            f"There is no runtime {asked!r}: choose one of {', '.join(RUNTIMES)}."
        )
    return asked


def is_installed(runtime: str) -> bool:
    """Whether a runtime's packages are there, without importing them."""
    return all(
        name in sys.modules or importlib.util.find_spec(name) is not None
        for name in _PACKAGES[runtime]
    )


def has_nvidia_gpu() -> bool:
    """Ask NVIDIA's driver whether there is a GPU that programs may use."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
        count = ctypes.c_int(0)
        return driver.cuInit(0) == driver.cuDeviceGetCount(ctypes.byref(count)) == 0 < count.value
    except (OSError, AttributeError):
        return False

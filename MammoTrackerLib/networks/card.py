"""The card of a folder of weights (``weights.json``): version, checksums, settings, calibration."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ..errors import MammoTrackerError
from ..settings import Settings

WEIGHTS = Path(__file__).parents[1] / "weights"
TRACKING_FILE, SIMILARITY_FILE = "tracking.weights.h5", "similarity.weights.h5"
CONVERTED = {TRACKING_FILE: "tracking.tflite", SIMILARITY_FILE: "similarity.tflite"}
"""What LiteRT reads, made of the weights that Keras reads."""
ANY_TYPE = "any"
UNMEASURED = {ANY_TYPE: {"mm": 1.0, "share": 0.5, "shared": 0.0}}
"""The repeatability, by type of lesion (`growth.error_mm`), where the card has none."""


def read_card(folder: Path = WEIGHTS) -> dict:
    """Read ``weights.json``, and check that nobody edited it.

    Returns
    -------
    dict
        "version"; "sha256", the checksum of each file; perhaps "made_from", for each converted
        file the checksum of what it was made of; perhaps "settings", "calibration", "repeatability"
        and "presence".

    Raises
    ------
    MammoTrackerError
        If the file is missing or incomplete, or is not as it was written: its digest is wrong.
    """
    try:
        card = json.loads((folder / "weights.json").read_text(encoding="utf-8"))
        written, has_network = card.pop("digest", None), card["sha256"][TRACKING_FILE]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MammoTrackerError(
            f"The weights in {folder} are missing or incomplete: install MammoTracker again, or "
            "choose another folder."
        ) from error
    if not has_network or written != _digest(card):
        raise MammoTrackerError(
            f"The file weights.json in {folder} was changed (its digest is wrong): install "
            "MammoTracker again, or write weights of your own with `python -m Training.release`."
        )
    return card


def weights_mark() -> str:
    """Return a mark of the weights that ship and of all that their card says."""
    return _digest(read_card())


def write_card(folder: Path, card: dict) -> None:
    """Write ``weights.json``, with a digest over the whole of it."""
    text = json.dumps({**card, "digest": _digest(card)}, indent=2)
    (folder / "weights.json").write_text(text + "\n", encoding="utf-8")


def _digest(card: dict) -> str:
    return hashlib.sha256(json.dumps(card, sort_keys=True).encode()).hexdigest()


def verified(folder: Path, card: dict, name: str) -> Path:
    """Return the path of a weights file whose checksum is that of the card.

    Raises
    ------
    MammoTrackerError
        If the file is missing, or is not the one that was released.
    """
    path = folder / name
    try:
        checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise MammoTrackerError(
            f"The weights file {name} is missing: install MammoTracker again."
        ) from error
    if checksum != card["sha256"].get(name):
        raise MammoTrackerError(
            f"The weights file {name} is damaged or was changed (its checksum is wrong): "
            "install MammoTracker again."
        )
    return path


def settings_of(card: dict) -> Settings:
    """Return the settings that a card names; the defaults where it names none.

    Raises
    ------
    MammoTrackerError
        If it names settings that this version does not have.
    """
    try:
        # JSON has lists where the settings have tuples.
        values = card.get("settings", {})
        return Settings(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    except (TypeError, AttributeError) as error:
        raise MammoTrackerError(
            "The weights are of another version of MammoTracker: install it again, or choose "
            "another folder."
        ) from error


def is_converted(folder: Path, card: dict, settings: Settings) -> bool:
    """Whether a folder has converted files of all its networks, and for these sizes."""
    sums, made_from = card["sha256"], card.get("made_from", {})
    released = settings_of(card)
    return all(
        new in sums and made_from.get(new) == sums[old] and (folder / new).is_file()
        for old, new in CONVERTED.items()
        if old in sums
    ) and all(
        getattr(settings, name) == getattr(released, name)
        for name in ("template_px", "search_px", "correlation_px", "refinement_px")
    )

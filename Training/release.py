"""Put trained weights into a folder that LesionTracker reads, converted, with their card.

``python -m Training.release TRACKING.weights.h5 [SIMILARITY.weights.h5] --version VERSION``
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.networks.card import (
    SIMILARITY_FILE,
    TRACKING_FILE,
    WEIGHTS,
    settings_of,
    write_card,
)

from .convert import convert
from .program import read_settings

OF_REFINEMENT = ("refinement_", "refine_", "correct_boxes")
"""How the names of those settings begin that only the similarity network is tied to."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns 0, or 2 for weights that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tracking", type=Path, help="beside it, the run.json of its training")
    parser.add_argument("similarity", type=Path, nargs="?", help="else tracking alone is used")
    parser.add_argument("--version", required=True)
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="else over those that ship")
    arguments = parser.parse_args(argv)
    try:
        release(arguments)
    except MammoTrackerError as error:
        print(f"release: {error}", file=sys.stderr)
        return 2
    return 0


def release(arguments: argparse.Namespace) -> None:
    """Copy the files, convert them for LiteRT, and write ``weights.json``.

    Raises
    ------
    MammoTrackerError
        If a file is missing, or does not fit the settings of its training.
    """
    files = {TRACKING_FILE: arguments.tracking}
    settings = read_settings(arguments.tracking.parent)
    if arguments.similarity is not None:
        files[SIMILARITY_FILE] = arguments.similarity
        other = read_settings(arguments.similarity.parent)
        if settings is not None and other is not None:
            settings |= {k: v for k, v in other.items() if k.startswith(OF_REFINEMENT)}
    for file in files.values():
        if not file.is_file():
            raise MammoTrackerError(f"There is no file {file}: give the weights that a run saved.")

    card: dict = {"version": arguments.version, "sha256": {}}
    if settings is not None:
        card["settings"] = settings
    # What cannot be used leaves the folder as it was.
    with tempfile.TemporaryDirectory() as made:
        for name, file in files.items():
            copy = Path(shutil.copyfile(file, Path(made) / name))
            card["sha256"][name] = hashlib.sha256(copy.read_bytes()).hexdigest()
        convert(Path(made), card, settings_of(card))
        arguments.out.mkdir(parents=True, exist_ok=True)
        for copy in Path(made).iterdir():
            shutil.copyfile(copy, arguments.out / copy.name)
    write_card(arguments.out, card)


if __name__ == "__main__":
    sys.exit(main())

"""Put trained weights into the package, with their checksums.

``python -m Training.release TRACKING.weights.h5 SIMILARITY.weights.h5 --version VERSION``
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path

from MammoTrackerLib.tracker import SIMILARITY_FILE, TRACKING_FILE, WEIGHTS


def main() -> None:
    """Copy both files and write ``weights.json``."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tracking", type=Path)
    parser.add_argument("similarity", type=Path)
    parser.add_argument("--version", required=True)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    checksums = {}
    for name, file in (
        (TRACKING_FILE, arguments.tracking),
        (SIMILARITY_FILE, arguments.similarity),
    ):
        if file.resolve() != (arguments.out / name).resolve():
            shutil.copyfile(file, arguments.out / name)
        checksums[name] = hashlib.sha256((arguments.out / name).read_bytes()).hexdigest()
    card = {"version": arguments.version, "sha256": checksums}
    (arguments.out / "weights.json").write_text(json.dumps(card, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Tracks a lesion from a real mammogram to its simulated follow-up with the real command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from MammoTrackerLib import Box
from MammoTrackerLib.command.simulate import (
    FILM_LESION,
    FILM_SPACING,
    read_film,
    simulate_follow_up,
    write_dicom,
)
from MammoTrackerLib.metrics import center_distance

FOLDER = Path("demo")
FILM = (
    "Digitised film of CBIS-DDSM (CC BY 3.0), left MLO. The date and the pixel spacing of "
    f"{FILM_SPACING[0]} mm are assumed: the film's own header has none."
)


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    print("Reading a real film of CBIS-DDSM, and simulating its follow-up ...", flush=True)
    prior = read_film()
    follow_up = simulate_follow_up(prior, [FILM_LESION])
    write_dicom(prior, FOLDER / "prior.dcm", FILM)
    write_dicom(
        follow_up.mammogram,
        FOLDER / "current.dcm",
        f"SIMULATED follow-up, not a real exam: warped, exposed and noised from: {FILM}",
    )

    command = ["mammotracker", "track", str(FOLDER / "prior.dcm"), str(FOLDER / "current.dcm")]
    command += ["--box", *(f"{value:g}" for value in FILM_LESION.as_tuple())]
    command += ["--out", str(FOLDER)]
    print("$ " + " ".join(command), flush=True)
    command[0] = str(Path(sys.executable).with_name("mammotracker"))
    failure = subprocess.run(command, check=False).returncode
    if failure:
        return failure

    (track,) = json.loads((FOLDER / "tracks.json").read_text())["tracks"]
    (truth,) = follow_up.boxes
    table = Table("", "IoU with the truth", "distance of the centres", header_style="bold")
    for name, box in (
        ("tracker", Box(*track["box"]["pixels"])),
        ("registration alone", Box(*track["registration_box"]["pixels"])),
        ("same place as on the prior", FILM_LESION),
    ):
        distance = center_distance(box, truth, follow_up.mammogram.spacing)
        table.add_row(name, f"{box.iou(truth):.2f}", f"{distance:.1f} mm")
    Console().print(table)
    print("The follow-up is SIMULATED from the real film, so the true place is known; sizes in")
    print(f"mm assume pixels of {FILM_SPACING[0]} mm. The film is one that the networks learned")
    print("from. So this shows that the program runs, not how well it does on real exams: see")
    print("README.md for that.")
    print(f"Picture: {FOLDER / 'overlay.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

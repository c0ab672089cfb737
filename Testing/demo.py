"""Tracks a lesion from a real mammogram to simulated follow-ups with the real commands."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from MammoTrackerLib import Box, Mammogram
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
SIMULATED = f"SIMULATED follow-up, not a real exam: warped, exposed and noised from: {FILM}"
LATER = ((1.3, 2, datetime.date(2025, 2, 20)), (1.5, 3, datetime.date(2026, 3, 4)))
"""Growth since the film, seed and date of two more exams."""


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    print("Reading a real film of CBIS-DDSM, and simulating its follow-up ...", flush=True)
    prior = read_film()
    follow_up = simulate_follow_up(prior, [FILM_LESION])
    write_dicom(prior, FOLDER / "prior.dcm", FILM)
    write_dicom(follow_up.mammogram, FOLDER / "current.dcm", SIMULATED)
    failure = run(
        "track", FOLDER / "prior.dcm", FOLDER / "current.dcm", "--box", *FILM_LESION.as_tuple(),
        "--out", FOLDER,
    )  # fmt: skip
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
    return follow(prior, [FILM_LESION, truth])


def follow(film: Mammogram, boxes: list[Box]) -> int:
    """Simulate two more exams, and follow the lesion from the last one back to the film."""
    print("\nSimulating two more exams, on which the lesion has grown ...", flush=True)
    paths = [FOLDER / "prior.dcm", FOLDER / "current.dcm"]
    for growth, seed, date in LATER:
        later = simulate_follow_up(film, [FILM_LESION], growth, seed)
        boxes += later.boxes
        paths.append(FOLDER / f"later-{date.year}.dcm")
        write_dicom(replace(later.mammogram, date=date), paths[-1], SIMULATED)
    marked = [round(value) for value in boxes[-1].as_tuple()]
    failure = run(
        "follow", *paths, "--on", paths[-1], "--box", *marked, "--out", FOLDER / "history"
    )
    if failure:
        return failure
    (lesion,) = json.loads((FOLDER / "history" / "history.json").read_text())["lesions"]
    table = Table("exam", "distance of the centres", "longest side", "true", header_style="bold")
    for exam, true in zip(lesion["exams"], boxes, strict=True):
        distance = center_distance(Box(*exam["box"]["pixels"]), true, film.spacing)
        size = exam["size"]["longest_mm"] if exam["size"] else float("nan")
        table.add_row(
            str(exam["exam"]), f"{distance:.1f} mm", f"{size:.1f} mm",
            f"{true.longest_side(film.spacing):.1f} mm",
        )  # fmt: skip
    Console().print(table)
    print("One film and three exams that are SIMULATED from it, the lesion marked on the last.")
    print(f"Pictures: {FOLDER / 'history' / 'strip.png'}, {FOLDER / 'history' / 'growth.png'}")
    return 0


def run(*arguments: object) -> int:
    """Show and run a command of the package; returns its exit code."""
    shown = [f"{word:g}" if isinstance(word, float) else str(word) for word in arguments]
    print("$ mammotracker " + " ".join(shown), flush=True)
    program = str(Path(sys.executable).with_name("mammotracker"))
    return subprocess.run([program, *shown], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

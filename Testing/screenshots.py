"""Draw the pictures of the tutorial: the real panel and views, on the sample pair."""

from __future__ import annotations

import datetime
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import slicer_stand_in
from PIL import Image
from sample_pair import SAMPLE, box_in
from scipy.ndimage import gaussian_filter

from MammoTrackerLib import Box, Mammogram
from MammoTrackerLib.command.batch.run import run_batch
from MammoTrackerLib.command.cli import main as mammotracker
from MammoTrackerLib.command.simulate import simulate_follow_up, write_dicom

DOCS = Path(__file__).parents[1] / "Docs"
WIDTH, HEIGHT, FRAME = 1280, 1100, 150
"""Of the report's picture, and as much as a window's frame can take of its height."""


def main() -> int:
    shell = slicer_stand_in.start()
    panel = shell.openModule("MammoTracker")
    import MammoTracker

    prior, current, _ = MammoTracker.loadSamplePair()
    ui = panel.ui
    ui.priorSelector.setCurrentNode(prior)
    ui.currentSelector.setCurrentNode(current)
    shell.process(0.5)
    shell.click(ui.addLesionButton)
    shell.clickPixel(prior, 236, 968)
    shell.clickPixel(prior, 296, 1022)
    shell.process(0.5)
    shell.screenshot(DOCS / "exams.png")

    shell.click(ui.trackAllButton)
    shell.wait(lambda: not panel.tracking.running, 180)
    ui.examsCollapsibleButton.collapsed = True
    shell.screenshot(DOCS / "results.png")

    ui.lesionsCollapsibleButton.collapsed = True
    ui.trackCollapsibleButton.collapsed = True
    shell.click(ui.sideBySideButton)
    shell.click(ui.registrationCheckBox)
    shell.screenshot(DOCS / "registration.png")

    shell.scene.Clear()
    shell.process(0.5)
    with tempfile.TemporaryDirectory() as folder:
        box = load_series(shell, Path(folder))
        shell.wait(lambda: len(panel.exams.series) == 4)
        for section in (ui.lesionsCollapsibleButton, ui.trackCollapsibleButton):
            section.collapsed = False
        last = panel.exams.pair[0]
        shell.click(ui.addLesionButton)
        shell.clickPixel(last, box.x0, box.y0)
        shell.clickPixel(last, box.x1, box.y1)
        shell.process(0.5)
        shell.click(ui.trackAllButton)
        shell.wait(lambda: not panel.tracking.running, 180)
        shell.process(0.5)
        for section in (ui.lesionsCollapsibleButton, ui.trackCollapsibleButton):
            section.collapsed = True
        shell.screenshot(DOCS / "series.png")
    shell.scene.Clear()
    shell.process(0.5)
    with tempfile.TemporaryDirectory() as folder:
        draw_reading_list(shell, panel, Path(folder))
        draw_report(Path(folder))
    panel.cleanup()
    print(
        "Drawn into Docs: exams.png, results.png, registration.png, series.png, reading-list.png, "
        "report.png"
    )
    return 0


def draw_reading_list(shell, panel, folder: Path) -> None:
    """Draw the list of a batch of simulated pairs, of which some lesions are decided."""
    ui = panel.ui
    ui.manifestPathLineEdit.currentPath = str(write_pairs(folder))
    ui.readingResultsPathLineEdit.currentPath = str(folder / "results.csv")
    ui.readerLineEdit.text = "Reader 1"
    shell.click(ui.readingOpenButton)
    for key in ("T", "X", "K", "A", "A"):
        shell.wait(lambda: ui.notThereButton.enabled)
        shell.press(key)
        shell.process(1.0)
        shell.wait(lambda: not ui.readingLabel.text.startswith("The exams are being read"))
    shell.process(1.0)
    shell.press("C")
    shell.screenshot(DOCS / "reading-list.png")
    shell.click(ui.readingOpenButton)


def draw_report(folder: Path) -> None:
    """Draw the report of the same batch, in Chromium."""
    browser = shutil.which("chromium")
    if browser is None:
        sys.exit("Install Debian's chromium to draw the report.")
    page = folder / "report"
    mammotracker(
        ["report", str(folder / "results.csv"), "--manifest", str(folder / "manifest.csv"),
         "--out", str(page)]
    )  # fmt: skip
    subprocess.run(
        [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
         "--disable-background-networking", f"--user-data-dir={folder / 'browser'}",
         f"--window-size={WIDTH},{HEIGHT + FRAME}", "--virtual-time-budget=5000",
         f"--screenshot={folder / 'report.png'}", (page / "index.html").as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    with Image.open(folder / "report.png") as picture:
        picture.convert("RGB").crop((0, 0, WIDTH, HEIGHT)).save(DOCS / "report.png")


def write_pairs(folder: Path) -> Path:
    """Write pairs of the sample's film and simulated follow-ups, and track them in a batch.

    On every other follow-up the lesion fades.
    """
    film = Mammogram.read(SAMPLE / "MammoTrackerPrior.nrrd")
    box = box_in(SAMPLE / "MammoTrackerLesion.mrk.json")
    names = ["pair_id", "lesion_id", "prior", "current", "prior_spacing_mm", "current_spacing_mm"]
    names += ["lesion_type", "prior_x0", "prior_y0", "prior_x1", "prior_y1"]
    lines = [",".join(names)]
    for number in range(1, 8):
        follow_up = simulate_follow_up(film, [box], 1 + 0.1 * number, number)
        pixels = follow_up.mammogram.pixels.copy()
        if number % 2 == 0:
            place = follow_up.boxes[0]
            place = Box.from_center(*place.center, 3 * place.width, 3 * place.height)
            x0, y0, x1, y1 = (max(0, round(value)) for value in place.as_tuple())
            pixels[y0:y1, x0:x1] = gaussian_filter(pixels, 10 * number)[y0:y1, x0:x1]
        exams = ("prior", 2021, film.pixels), ("current", 2023, pixels)
        for name, year, pixels in exams:
            day = datetime.date(year, 5, 1)
            exam = Mammogram(pixels, film.spacing, "L", "MLO", day, f"PAIR{number}")
            path = folder / f"{number}-{name}.dcm"
            write_dicom(exam, path, "Simulated from a film of CBIS-DDSM")
        lesions = [("mass", "mass", box), ("density", "", Box(236, 968, 296, 1022))]
        lesions = lesions[: 1 + number % 2]
        for lesion, kind, place in lesions:
            cells = [f"pair {number}", lesion, f"{number}-prior.dcm", f"{number}-current.dcm"]
            cells += ["", "", kind, *(f"{value:.2f}" for value in place.as_tuple())]
            lines.append(",".join(cells))
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    run_batch(manifest, folder / "results.csv")
    return manifest


def load_series(shell, folder: Path) -> Box:
    """Load four exams, the sample's film and simulated follow-ups; returns the lesion on the last.

    In the simulation it grows by half.
    """
    film = Mammogram.read(SAMPLE / "MammoTrackerPrior.nrrd")
    box = box_in(SAMPLE / "MammoTrackerLesion.mrk.json")
    images, boxes = [film.pixels], [box]
    for seed, growth in enumerate((1.12, 1.3, 1.5), 1):
        follow_up = simulate_follow_up(film, [box], growth, seed)
        images.append(follow_up.mammogram.pixels)
        boxes += follow_up.boxes
    for year, pixels in zip((2018, 2020, 2021, 2023), images, strict=True):
        day = datetime.date(year, 5, 1)
        exam = Mammogram(pixels, film.spacing, "L", "MLO", day, "SIMULATED")
        path = folder / f"{year}.dcm"
        write_dicom(exam, path, "Simulated from a film of CBIS-DDSM")
        shell.loadDicom(path)
    return boxes[-1]


if __name__ == "__main__":
    sys.exit(main())

"""Draw the pictures of the tutorial: the real panel and views, on the sample pair."""

from __future__ import annotations

import datetime
import sys
import tempfile
from pathlib import Path

import slicer_stand_in
from sample_pair import SAMPLE, box_in

from MammoTrackerLib import Box, Mammogram
from MammoTrackerLib.command.simulate import simulate_follow_up, write_dicom

DOCS = Path(__file__).parents[1] / "Docs"


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
    panel.cleanup()
    print("Drawn into Docs: exams.png, results.png, registration.png, series.png")
    return 0


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

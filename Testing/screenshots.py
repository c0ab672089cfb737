"""Draw the pictures of the tutorial: the real panel and views, on the sample pair."""

from __future__ import annotations

import sys
from pathlib import Path

import slicer_stand_in

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
    panel.cleanup()
    print("Drawn into Docs: exams.png, results.png, registration.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())

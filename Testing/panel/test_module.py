"""The module as a user meets it: the real panel in a window, clicked, on a real mammogram."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from panel_steps import rows_of, track
from sample_pair import TRUTH

ROOT = Path(__file__).parents[2]


def test_an_empty_panel_says_what_to_do(panel, shell):
    ui = panel.ui
    assert "Select a prior" in ui.pairLabel.text
    for button in (ui.trackAllButton, ui.cancelButton, ui.exportButton, ui.addLesionButton):
        assert not button.enabled


def test_a_pair_is_shown_side_by_side(panel, shell, pair):
    prior, current, lesion = pair
    assert shell.shownVolumes() == [prior, current]
    assert panel.ui.lesionsTable.item(0, 0).text() == lesion.GetName()
    assert panel.ui.trackAllButton.enabled
    shell.screenshot("/tmp/module-pair.png")


def test_export_writes_table_boxes_and_picture(panel, shell, pair, tmp_path):
    track(panel, shell)
    panel.ui.exportPathLineEdit.currentPath = str(tmp_path)
    shell.click(panel.ui.exportButton)
    assert "4 files" in panel.ui.exportLabel.text
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file))[1:] == rows_of(panel)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "results.csv", "side-by-side.png", "Lesion 1.mrk.json", "Lesion 1 (current).mrk.json",
    }  # fmt: skip


def test_a_saved_scene_comes_back_as_it_was(panel, shell, pair, tmp_path):
    import slicer

    from MammoTrackerLib import scene

    prior, current, _ = pair
    track(panel, shell)
    (prediction,) = scene.predictions(prior, current)
    x, y = scene.box_of(prediction, current).center
    shell.drag(current, (x, y), (x + 15, y - 10))
    box, rows = scene.box_of(prediction, current), rows_of(panel)
    assert rows[0][3] == "corrected"
    path = tmp_path / "scene.mrb"
    assert slicer.util.saveScene(str(path))
    shell.scene.Clear()
    shell.process(0.3)
    assert rows_of(panel) == [] and panel.ui.lesionsTable.rowCount == 0
    slicer.util.loadScene(str(path))
    shell.wait(lambda: len(rows_of(panel)) == 1)
    assert rows_of(panel) == rows
    prior, current = panel.exams.pair
    (prediction,) = scene.predictions(prior, current)
    assert scene.box_of(prediction, current).as_tuple() == pytest.approx(box.as_tuple(), abs=0.01)
    assert scene.registration_of(prior, current)
    panel.results.select(prediction)
    shell.click(panel.ui.restoreButton)
    assert scene.box_of(prediction, current).iou(TRUTH) > 0.5


def test_closing_the_scene_resets_the_panel(panel, shell, pair):
    track(panel, shell)
    shell.scene.Clear()
    shell.process(0.3)
    ui = panel.ui
    assert panel.exams.pair == (None, None)
    assert rows_of(panel) == [] and ui.lesionsTable.rowCount == 0
    assert ui.statusLabel.text == "" and ui.progressBar.value == 0
    assert not ui.trackAllButton.enabled and not ui.acceptButton.enabled


def test_the_registered_prior_is_laid_over_the_current(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, current, _ = pair
    assert not panel.ui.registrationCheckBox.enabled
    track(panel, shell)
    shell.click(panel.ui.registrationCheckBox)
    composite = shell.compositeNode("MammoTrackerCurrent")
    assert composite.GetForegroundVolumeID() == scene.warped_prior(prior, current).GetID()
    panel.ui.opacitySlider.value = 0.25
    assert composite.GetForegroundOpacity() == pytest.approx(0.25)
    shell.click(panel.ui.registrationCheckBox)
    assert composite.GetForegroundVolumeID() is None


def test_the_modules_own_test_passes_beside_views_that_are_drawn(panel, shell, pair, tmp_path):
    """LiteRT in this process, in which the software OpenGL has drawn already."""
    import MammoTracker

    panel.views.capture(tmp_path / "views.png")
    MammoTracker.MammoTrackerTest().runTest()
    assert shell.messages.pop() == "Test passed"


def test_views_are_drawn_after_tracking_in_the_same_process(tmp_path):
    """The other way round: LiteRT is loaded before the software OpenGL."""
    program = (
        "import sys; from MammoTrackerLib import LesionTracker; LesionTracker().load(); "
        "import slicer_stand_in; shell = slicer_stand_in.start(); import MammoTracker; "
        "MammoTracker.MammoTrackerTest().runTest(); print(shell.messages.pop()); "
        "from MammoTrackerPanel.side_by_side import SideBySide; import slicer; "
        "prior, current, lesion = MammoTracker.loadSamplePair(); "
        "views = SideBySide(slicer.app.layoutManager()); views.show(prior, current); "
        "shell.process(); views.capture(sys.argv[1])"
    )
    folders = [ROOT / "Testing", ROOT, ROOT / "MammoTracker"]
    path = os.pathsep.join(map(str, folders))
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "views.png")],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.stdout.split("\n")[-2:] == ["Test passed", ""], run.stderr[-2000:]
    assert run.returncode == 0
    assert (tmp_path / "views.png").stat().st_size > 10_000

"""The panel's exams: proposed, swapped, forced, refused, and given a pixel size."""

from __future__ import annotations

import pytest
from panel_steps import choose
from sample_pair import write_exam

from MammoTrackerLib import Box


def test_dicom_exams_are_proposed_as_a_pair(panel, shell, tmp_path):
    prior = shell.loadDicom(write_exam(tmp_path / "a.dcm", "Prior", 2020))
    current = shell.loadDicom(write_exam(tmp_path / "b.dcm", "Prior", 2021))
    shell.wait(lambda: panel.exams.pair == (prior, current))
    assert "L MLO" in panel.ui.pairLabel.text
    assert "12 months apart" in panel.ui.pairLabel.text
    shell.scene.Clear()


def test_swapped_dates_are_said_and_mended_by_one_click(panel, shell, tmp_path):
    later = shell.loadDicom(write_exam(tmp_path / "a.dcm", "Prior", 2021))
    earlier = shell.loadDicom(write_exam(tmp_path / "b.dcm", "Prior", 2020))
    choose(panel, shell, later, earlier)
    assert "after the current" in panel.ui.pairLabel.text
    shell.click(panel.ui.swapButton)
    assert panel.exams.pair == (earlier, later)
    assert not panel.ui.swapButton.visible
    shell.scene.Clear()


def test_another_breast_blocks_until_it_is_forced(panel, shell, tmp_path):
    left = shell.loadDicom(write_exam(tmp_path / "a.dcm", "Prior", 2020))
    right = shell.loadDicom(write_exam(tmp_path / "b.dcm", "Prior", 2021, "R"))
    choose(panel, shell, left, right)
    mark(panel, shell, left, Box(300, 400, 380, 480))
    assert "laterality is L" in panel.ui.pairLabel.text
    assert not panel.ui.trackAllButton.enabled
    shell.click(panel.ui.forceCheckBox)
    assert panel.ui.trackAllButton.enabled
    shell.scene.Clear()


@pytest.mark.parametrize("index", [0, 1], ids=["prior", "current"])
def test_no_other_image_takes_the_place_of_a_deleted_one(panel, shell, pair, index):
    shell.scene.RemoveNode(pair[index])
    shell.process(0.4)
    assert panel.exams.pair[index] is None
    assert panel.exams.pair[1 - index] is pair[1 - index]
    assert "Select a prior and a current" in panel.ui.pairLabel.text


def test_a_volume_of_several_slices_is_refused(panel, shell, pair):
    import numpy as np
    import slicer

    stack = slicer.util.addVolumeFromArray(np.zeros((3, 40, 40), np.uint8), name="Stack")
    choose(panel, shell, pair[0], stack)
    assert "no single slice" in panel.ui.pairLabel.text
    assert not panel.ui.trackAllButton.enabled and not panel.ui.forceCheckBox.visible


def test_unknown_spacing_asks_for_a_number_and_keeps_boxes_on_their_pixels(panel, shell, pair):
    from MammoTrackerLib import scene

    prior, current, lesion = pair
    box = scene.box_of(lesion, prior)
    prior.SetSpacing(1, 1, 1)
    scene.place_roi(lesion, prior, box)
    panel.enter()
    ui = panel.ui
    assert ui.spacingWidget.visible and not ui.trackAllButton.enabled
    assert not ui.currentSpacingSpinBox.enabled
    ui.priorSpacingSpinBox.value = 0.15
    shell.click(ui.spacingButton)
    assert prior.GetSpacing()[:2] == pytest.approx((0.15, 0.15))
    assert scene.box_of(lesion, prior).as_tuple() == pytest.approx(box.as_tuple(), abs=0.01)
    assert not ui.spacingWidget.visible and ui.trackAllButton.enabled


def mark(panel, shell, volume, box: Box) -> None:
    import slicer

    from MammoTrackerLib import scene

    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Lesion 1")
    scene.place_roi(roi, volume, box)
    shell.wait(lambda: roi in panel.lesions.rois)

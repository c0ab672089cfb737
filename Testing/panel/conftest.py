"""What the tests of the panel share: the open panel, the views, and a process that is recorded."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def nothing_raises(request):
    """What a click or an event calls must not fail, also where nobody is there to catch it."""
    yield
    if "shell" in request.fixturenames:
        errors = request.getfixturevalue("shell").errors
        found = errors[:]
        errors.clear()
        assert found == []


@pytest.fixture(scope="module")
def panel(shell):
    """The module's widget, opened once; its worker stays up from test to test."""
    return shell.openModule("MammoTracker")


@pytest.fixture
def pair(shell, panel):
    """The sample pair, selected; afterwards the scene is closed."""
    from panel_steps import choose

    import MammoTracker

    prior, current, lesion = MammoTracker.loadSamplePair()
    choose(panel, shell, prior, current)
    yield prior, current, lesion
    shell.scene.Clear()
    shell.process()


@pytest.fixture(scope="session")
def exam_files(tmp_path_factory):
    """Four exams of one woman as DICOM files, by year; two images take turns."""
    from sample_pair import write_exam

    folder = tmp_path_factory.mktemp("exams")
    years = {2019: "Current", 2020: "Prior", 2022: "Prior", 2024: "Current"}
    return {y: write_exam(folder / f"{y}.dcm", name, y) for y, name in years.items()}


@pytest.fixture
def series(panel, shell, exam_files):
    """The four exams, loaded in another order than that of their dates, as they are proposed."""
    exams = {year: shell.loadDicom(exam_files[year]) for year in (2022, 2019, 2020, 2024)}
    exams = [exams[year] for year in sorted(exams)]
    shell.wait(lambda: panel.exams.series == exams)
    yield exams
    shell.scene.Clear()
    shell.process(0.3)


@pytest.fixture
def followed(panel, shell, series):
    """A lesion that is marked on the last exam, with answers on all others, and one on the first.

    Returns
    -------
    tuple
        The exams, the lesions.
    """
    import slicer
    from sample_pair import TRUTH

    from MammoTrackerLib import Box, Candidate, Status, Track, scene
    from MammoTrackerLib.history import ExamResult, LesionHistory, by_user

    def found(box, status=Status.FOUND):
        track = Track(TRUTH, box, 0.9, status, "Here.", (Candidate(box, 0.9),) * 2, box)
        return ExamResult(track, (3,), False, 0.1 if status is Status.NOT_FOUND else 0.9)

    lesions = []
    smaller = Box.from_center(*TRUTH.center, TRUTH.width / 2, TRUTH.height / 2)
    for name, exam, box, results in (
        ("Mass", 3, TRUTH, [found(TRUTH, Status.NOT_FOUND), found(smaller), found(TRUTH), None]),
        ("Calcs", 0, smaller, [None, found(smaller), found(TRUTH), found(TRUTH)]),
    ):
        roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
        scene.place_roi(roi, series[exam], box)
        scene.claim_lesion(roi, series[exam])
        results = tuple(by_user(box, box) if one is None else one for one in results)
        scene.show_history(roi, series, LesionHistory(exam, results))
        lesions.append(roi)
    panel.exams.look()
    shell.process(0.3)
    return series, lesions


@pytest.fixture
def layouts(shell):
    """The application's layout manager, in another layout; views of the pair have one size."""
    import slicer
    from drawn_exams import SIZE, VIEWS
    from MammoTrackerPanel.layout import LAYOUT_ID, layoutDescription

    manager = slicer.app.layoutManager()
    node = manager.layoutLogic().GetLayoutNode()
    if not node.IsLayoutDescription(LAYOUT_ID):
        node.AddLayoutDescription(LAYOUT_ID, layoutDescription())
    manager.setLayout(LAYOUT_ID)
    for name in VIEWS:
        shell.resizeView(name, *SIZE)
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutNone)
    return manager


@pytest.fixture
def views(shell, layouts):
    """Views that start without a pair."""
    import slicer
    from MammoTrackerPanel.side_by_side import SideBySide

    red = slicer.vtkMRMLSliceNode()
    red.SetLayoutName("Red")
    red = shell.scene.AddNode(red)
    views = SideBySide(layouts)
    yield views
    views.removeObservers()
    layouts.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutNone)
    shell.scene.RemoveNode(red)
    shell.scene.Clear()
    shell.process()


@pytest.fixture
def picture(views, tmp_path):
    """Return the two views as the user sees them: (rows, columns, 3) each."""

    def picture() -> tuple[np.ndarray, np.ndarray]:
        views.capture(tmp_path / "picture.png")
        with Image.open(tmp_path / "picture.png") as image:
            image = np.array(image)
        middle = image.shape[1] // 2
        return image[:, : middle - 2], image[:, middle + 2 :]

    return picture


@pytest.fixture
def recorded(shell, tmp_path, monkeypatch):
    """A new process, whose temporary folders are in `tmp_path`."""
    from recorded import Recorded

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    recorded = Recorded(shell)
    yield recorded
    recorded.process.stop()
    assert list(tmp_path.glob("MammoTracker-*")) == []

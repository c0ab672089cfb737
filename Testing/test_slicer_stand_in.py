"""The stand-in for Slicer: its likeness to the real one, and what takes a process of its own."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from reading_files import decided, write_pairs

ROOT = Path(__file__).parents[1]
SHOW = """
import sys
from pathlib import Path
import slicer_stand_in
shell = slicer_stand_in.start()
shell.addModulePath("MammoTracker")
import slicer, MammoTracker
from MammoTrackerPanel.side_by_side import SideBySide
from MammoTrackerLib import MammoTrackerError
prior, current, lesion = MammoTracker.loadSamplePair()
views = SideBySide(slicer.app.layoutManager())
"""


def run(program: str, path: Path, status: int = 0) -> str:
    folders = [ROOT / "Testing", ROOT, ROOT / "MammoTracker"]
    run = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert run.returncode == status, run.stderr[-2000:]
    return run.stdout


def interface(package: str) -> dict[str, str]:
    """Return what a Shell alone offers: methods with their signatures, and attributes."""
    tree = ast.parse((ROOT / "Testing" / package / "__init__.py").read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    (shell,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Shell")
    functions += [node for node in shell.body if isinstance(node, ast.FunctionDef)]
    found = {
        f.name: f"({ast.unparse(f.args)}) -> {ast.unparse(f.returns) if f.returns else ''}"
        for f in functions
        if not f.name.startswith("_")
    }
    for node in ast.walk(shell):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if ast.unparse(node.value) == "self" and not node.attr.startswith("_"):
                found[node.attr] = "attribute"
    return found


def test_the_shell_of_the_real_slicer_offers_the_same():
    offered = interface("slicer_stand_in")
    assert {"start", "click", "clickPixel", "window", "module"} <= set(offered)
    assert interface("real_slicer") == offered


def test_the_tests_of_panel_and_scene_do_without_the_stand_in():
    rooms = (ROOT / "Testing" / room for room in ("panel", "scene"))
    for path in (path for room in rooms for path in room.glob("*.py")):
        assert "slicer_stand_in" not in path.read_text(encoding="utf-8"), path
        assert "PySide6" not in path.read_text(encoding="utf-8"), path


@pytest.fixture
def needs_the_wheels():
    pytest.importorskip("trame_slicer", reason="needs the wheels of the Slicer libraries")
    pytest.importorskip("PySide6")


def test_views_are_drawn_after_tracking_in_the_same_process(needs_the_wheels, tmp_path):
    """LiteRT is loaded before the software OpenGL."""
    program = (
        "from MammoTrackerLib import LesionTracker; LesionTracker().load()\n" + SHOW
        + "MammoTracker.MammoTrackerTest().runTest(); print(shell.messages.pop())\n"
        "prior, current, lesion = MammoTracker.loadSamplePair()\n"
        "views.show(prior, current); shell.process(); views.capture(sys.argv[1])\n"
    )  # fmt: skip
    assert run(program, tmp_path / "views.png").split("\n")[-2:] == ["Test passed", ""]
    assert (tmp_path / "views.png").stat().st_size > 10_000


def test_the_first_picture_is_not_black(needs_the_wheels, tmp_path):
    """It is taken before Qt has shown the views."""
    run(SHOW + "views.show(prior, current); views.capture(sys.argv[1])", tmp_path / "first.png")
    from PIL import Image

    with Image.open(tmp_path / "first.png") as picture:
        halves = [picture.crop((x, 0, x + 300, 300)) for x in (0, picture.width - 300)]
        assert all(half.convert("L").getextrema()[1] > 100 for half in halves)


def test_no_picture_without_a_window(needs_the_wheels, tmp_path):
    program = (
        SHOW + "shell.window.hide(); views.show(prior, current)\n"
        "try: views.capture(sys.argv[1])\n"
        "except MammoTrackerError as error: print(error)\n"
    )
    assert "bring Slicer's window to the front" in run(program, tmp_path / "hidden.png")
    assert not (tmp_path / "hidden.png").exists()


def test_closing_the_application_while_placing(needs_the_wheels, tmp_path):
    """It need not leave the module first."""
    program = (
        SHOW + "panel = shell.openModule('MammoTracker')\n"
        "panel.ui.priorSelector.setCurrentNode(prior)\n"
        "panel.ui.currentSelector.setCurrentNode(current); shell.process(0.5)\n"
        "shell.click(panel.ui.addLesionButton); panel.exit = lambda: None\n"
        "shell.closeModule()\n"
        "print(len(slicer.util.getNodesByClass('vtkMRMLMarkupsROINode')), shell.errors)\n"
    )
    assert run(program, tmp_path).splitlines()[-1] == "1 []"


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_decision_of_the_reading_list_survives_the_applications_death(needs_the_wheels, tmp_path):
    write_pairs(tmp_path)
    program = (
        "import os, signal, sys; from pathlib import Path; import slicer_stand_in\n"
        "shell = slicer_stand_in.start(); panel = shell.openModule('MammoTracker')\n"
        "ui, folder = panel.ui, Path(sys.argv[1])\n"
        "ui.manifestPathLineEdit.currentPath = str(folder / 'manifest.csv')\n"
        "ui.readingResultsPathLineEdit.currentPath = str(folder / 'results.csv')\n"
        "shell.click(ui.readingOpenButton)\n"
        "shell.wait(lambda: ui.cannotTellButton.enabled and panel.exams.isComplete, 60)\n"
        "shell.press('T'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run(program, tmp_path, -signal.SIGKILL)
    assert decided(tmp_path / "reviewed.csv") == {("two", "mass"): "not there"}

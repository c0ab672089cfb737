"""The extension as it is installed: its files, its metadata, its sample, its batch script."""

from __future__ import annotations

import ast
import csv
import hashlib
import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from MammoTrackerLib import Box, Mammogram
from MammoTrackerLib.command.simulate import FILM_LESION, FILM_SPACING, write_dicom

ROOT = Path(__file__).parents[1]
MODULES = ("MammoTracker", "MammoTrackerLib")
RESOURCES = ROOT / "MammoTracker" / "Resources"
SAMPLE = RESOURCES / "SampleData"
SCRIPT = "Scripts/track_pair.py"
SPACING_MM = 0.15
CHECKSUMS = {
    "MammoTrackerCurrent.nrrd": "cb5909548ffe2e3ef60ba5018742bcc7abe1c1dfa49acebeebb9d5e0b815fe72",
    "MammoTrackerLesion.mrk.json": "f6de8f659dffa3b1441ef9dae9e868999d4e125b5d2e7be7d26d728627ac4ba4",  # noqa: E501
    "MammoTrackerPrior.nrrd": "51e2edd52ad09c133f2efef594d31771d3de2f3690b033e7239316ef18ab6f7d",
    "truth.json": "0bb90a3f9162d88e04d4c3e6391d07dff209d4e3c11fc42c656f5e05298e14a9",
}

# What Slicer has, and can import quickly while it starts.
LIGHT = {"slicer", "vtk", "qt", "ctk", "SimpleITK", "numpy", "scipy"}
OURS = {"MammoTracker", "MammoTrackerLib", "MammoTrackerPanel"}
# Rooms and files that are imported by functions, when the user has asked for them.
HEAVY_ROOMS = ("MammoTrackerLib/command/", "MammoTrackerLib/networks/")
LIGHT_FILES = {"MammoTrackerLib/networks/__init__.py", "MammoTrackerLib/networks/runtime.py"}


# --- the CMake lists


def commands(folder: Path) -> list[tuple[str, list[str]]]:
    """Read a CMakeLists.txt: the name and the arguments of each command, variables replaced."""
    text = re.sub(r'("[^"]*")|#[^\n]*', r"\1", (folder / "CMakeLists.txt").read_text())
    variables: dict[str, list[str]] = {}
    found = []
    for name, inside in re.findall(r'(\w+)\s*\(((?:"[^"]*"|[^()"])*)\)', text):
        arguments = []
        for quoted, bare in re.findall(r'"([^"]*)"|([^\s"]+)', inside):
            list_of = re.fullmatch(r"\$\{(\w+)\}", bare)
            if list_of and list_of[1] in variables:
                arguments += variables[list_of[1]]
            else:
                replace = lambda match: " ".join(variables.get(match[1], [match[0]]))  # noqa: E731
                arguments.append(re.sub(r"\$\{(\w+)\}", replace, quoted or bare))
        if name == "set":
            variables[arguments[0]] = arguments[1:]
        found.append((name, arguments))
    return found


def arguments_of(folder: Path, name: str) -> list[str]:
    (arguments,) = (arguments for command, arguments in commands(folder) if command == name)
    return arguments


def listed(module: str) -> dict[str, list[str]]:
    """Return what slicerMacroBuildScriptedModule is given, by keyword."""
    given: dict[str, list[str]] = {}
    for argument in arguments_of(ROOT / module, "slicerMacroBuildScriptedModule"):
        if argument in ("NAME", "SCRIPTS", "RESOURCES", "WITH_SUBDIR", "WITH_GENERIC_TESTS"):
            given[argument] = values = []
        else:
            values.append(argument)
    return given


def metadata() -> dict[str, str]:
    settings = (arguments for name, arguments in commands(ROOT) if name == "set")
    return {name: " ".join(values) for name, *values in settings}


def install(target: Path) -> None:
    """Copy what the lists name to where Slicer's macro puts it, in its qt-scripted-modules."""
    for module in MODULES:
        lists = listed(module)
        home = target / module if "WITH_SUBDIR" in lists else target
        for file in lists["SCRIPTS"] + lists["RESOURCES"]:
            (home / file).parent.mkdir(parents=True, exist_ok=True)
            (home / file).write_bytes((ROOT / module / file).read_bytes())


def files_of(module: str) -> set[str]:
    folder = ROOT / module
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != "CMakeLists.txt"
    }


def test_both_folders_are_built():
    added = [arguments[0] for name, arguments in commands(ROOT) if name == "add_subdirectory"]
    assert sorted(added) == sorted(MODULES)
    assert "WITH_SUBDIR" in listed("MammoTrackerLib")
    assert "WITH_SUBDIR" not in listed("MammoTracker")


@pytest.mark.parametrize("module", MODULES)
def test_every_file_is_listed_and_every_listed_file_exists(module):
    lists = listed(module)
    assert lists["NAME"] == [module]
    names = lists["SCRIPTS"] + lists["RESOURCES"]
    assert sorted(names) == sorted(files_of(module))
    assert all((name in lists["SCRIPTS"]) == name.endswith(".py") for name in names)


def test_the_tests_are_registered():
    assert "WITH_GENERIC_TESTS" in listed("MammoTracker")
    module = ROOT / "MammoTracker"
    assert arguments_of(module, "slicer_add_python_unittest") == ["SCRIPT", "MammoTracker.py"]


# --- what Slicer loads


def slicer_loads() -> list[str]:
    names = [f"{module}/{name}" for module in MODULES for name in listed(module)["SCRIPTS"]]
    return [name for name in names if not is_heavy(name)]


def is_heavy(name: str) -> bool:
    return name.startswith(HEAVY_ROOMS) and name not in LIGHT_FILES


def at_file_scope(path: Path) -> list[ast.stmt]:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return [node for node in body if not is_if(node, "TYPE_CHECKING")]


def is_if(node: ast.stmt, condition: str) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == condition


@pytest.mark.parametrize("name", slicer_loads())
def test_nothing_heavy_is_imported_at_file_scope(name):
    allowed = set(sys.stdlib_module_names) | LIGHT | OURS
    for node in at_file_scope(ROOT / name):
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= allowed
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module.split(".")[0] in allowed
        elif isinstance(node, ast.ImportFrom):
            home = (ROOT / name).parents[node.level - 1].relative_to(ROOT).as_posix()
            parts = [node.module] if node.module else [alias.name for alias in node.names]
            for part in parts:
                assert not is_heavy(f"{home}/{part.replace('.', '/')}.py")


@pytest.mark.parametrize("name", slicer_loads())
def test_no_code_runs_when_a_file_is_imported(name):
    definitions = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    for node in at_file_scope(ROOT / name):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_main = is_if(node, "__name__ == '__main__'")
        if isinstance(node, ast.Assign | ast.AnnAssign):
            calls = [call for call in ast.walk(node) if isinstance(call, ast.Call)]
            roots = {ast.unparse(call.func).split(".")[0] for call in calls}
            assert not roots & {"slicer", "qt", "ctk", "open", "print"}
        else:
            assert isinstance(node, definitions) or is_text or is_main, ast.unparse(node)


def test_only_the_scene_imports_slicer():
    for name in listed("MammoTrackerLib")["SCRIPTS"]:
        tree = ast.parse((ROOT / "MammoTrackerLib" / name).read_text(encoding="utf-8"))
        imported = {
            (alias.name if isinstance(node, ast.Import) else node.module or "").split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert not imported & {"qt", "ctk"}
        assert "slicer" not in imported or name.startswith("scene/"), name


# --- metadata and requirements


def test_metadata_says_what_the_extension_is():
    values = metadata()
    description = values["EXTENSION_DESCRIPTION"]
    assert "US 11,410,309" in description
    assert len(re.findall(r"\.( |$)", description)) <= 2
    assert values["EXTENSION_DEPENDS"] == "NA"
    # CMake takes a semicolon for the end of an item, and drops what follows.
    assert not any(";" in value for value in values.values())


def test_icon_and_screenshots_are_where_the_metadata_says():
    values = metadata()
    addresses = [values["EXTENSION_ICONURL"], *values["EXTENSION_SCREENSHOTURLS"].split()]
    for address in addresses:
        assert (ROOT / address.partition("/main/")[2]).is_file(), address
    from PIL import Image

    with Image.open(RESOURCES / "Icons" / "MammoTracker.png") as icon:
        assert icon.size == (128, 128)


def test_the_catalog_entry_agrees_with_the_metadata():
    entry = json.loads((ROOT / "MammoTracker.json").read_text())
    assert entry["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.1.json#")
    fields = {"$schema", "category", "scm_url", "scm_revision", "tier", "build_dependencies"}
    assert set(entry) == fields
    values = metadata()
    assert entry["category"] == values["EXTENSION_CATEGORY"]
    assert entry["scm_url"].removesuffix(".git") == values["EXTENSION_HOMEPAGE"]
    assert entry["build_dependencies"] == []
    module = (ROOT / "MammoTracker" / "MammoTracker.py").read_text(encoding="utf-8")
    assert f'translate("qSlicerAbstractCoreModule", "{entry["category"]}")' in module


def test_requirements_agree_with_the_package():
    lines = (RESOURCES / "requirements.txt").read_text().splitlines()
    wanted = [Requirement(line) for line in lines if line and not line.startswith("#")]
    package = [Requirement(line) for line in importlib.metadata.requires("mammotracker")]
    # The command's tables are not for Slicer, and SimpleITK is Slicer's own.
    package = [
        item
        for item in package
        if not item.marker and item.name.lower() not in ("rich", "simpleitk")
    ]
    assert {item.name: item.specifier for item in wanted} == {
        item.name: item.specifier for item in package
    }


# --- the sample


@pytest.mark.parametrize("name", CHECKSUMS)
def test_the_sample_is_the_one_that_was_made(name):
    assert hashlib.sha256((SAMPLE / name).read_bytes()).hexdigest() == CHECKSUMS[name]


def test_the_sample_is_small_and_says_where_it_is_from():
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) < 2.5e6
    readme = (SAMPLE / "README.md").read_text()
    for fact in ("CC BY", "CBIS-DDSM", "simulated", "weights were trained"):
        assert fact in readme


def test_the_marked_lesion_is_that_of_the_film():
    truth = json.loads((SAMPLE / "truth.json").read_text())
    shrink = FILM_SPACING[0] / SPACING_MM
    expected = FILM_LESION.scaled(shrink, shrink).as_tuple()
    assert truth["prior_box"] == pytest.approx(expected, abs=1e-3)
    assert box_in(SAMPLE / "MammoTrackerLesion.mrk.json").as_tuple() == pytest.approx(
        expected, abs=1e-3
    )
    for name in ("Prior", "Current"):
        mammogram = Mammogram.read(SAMPLE / f"MammoTracker{name}.nrrd")
        assert mammogram.spacing == pytest.approx((SPACING_MM, SPACING_MM))


def box_in(path: Path) -> Box:
    """Read an ROI file of an image that lies as the sample does: its first pixel at the origin."""
    (roi,) = json.loads(path.read_text())["markups"]
    assert roi["coordinateSystem"] == "LPS"
    x, y, _ = (value / SPACING_MM + 0.5 for value in roi["center"])
    return Box.from_center(x, y, *(side / SPACING_MM for side in roi["size"][:2]))


def truth_box() -> Box:
    return Box(*json.loads((SAMPLE / "truth.json").read_text())["current_box"])


# --- the installed copy


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("installed") / "qt-scripted-modules"
    install(folder)
    return folder


def run_installed(installed: Path, code: str, *arguments: str) -> subprocess.CompletedProcess:
    """Run code that sees the installed copy and no file of the checkout."""
    start = (
        "import sys\n"
        f"sys.path[:] = [{str(installed)!r}, *(p for p in sys.path if p != {str(ROOT)!r})]\n"
    )
    check = (
        "\nfor name, module in list(sys.modules.items()):\n"
        f"    if name.split('.')[0] in {OURS!r}:\n"
        f"        assert module.__file__.startswith({str(installed)!r}), module.__file__\n"
    )
    return subprocess.run(
        [sys.executable, "-I", "-c", start + code + check, *arguments],
        cwd=installed, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_an_installed_copy_imports_light_and_tracks(installed):
    code = """
import json
from MammoTrackerLib import Box, LesionTracker, Mammogram, worker
heavy = {"tensorflow", "keras", "pydicom", "PIL", "rich"} & set(sys.modules)
assert not heavy, heavy
prior, current = (
    Mammogram.read(f"Resources/SampleData/MammoTracker{name}.nrrd")
    for name in ("Prior", "Current")
)
truth = json.load(open("Resources/SampleData/truth.json"))
(track,) = LesionTracker().track(prior, current, [Box(*truth["prior_box"])])
print(json.dumps([track.status.value, track.box.iou(Box(*truth["current_box"]))]))
"""
    done = run_installed(installed, code)
    assert done.returncode == 0, done.stderr
    status, overlap = json.loads(done.stdout.splitlines()[-1])
    assert status == "found"
    assert overlap >= 0.5


def test_the_batch_script_tracks_in_an_installed_copy(installed, tmp_path, shell):
    stand_in = type(shell).__module__
    current = tmp_path / "current.dcm"
    write_exam(current, "Current", 2021)
    # As Slicer does: the file's text, as the program, between its start and its exit.
    code = f"""
sys.path.append({str(ROOT / "Testing")!r})
import {stand_in}
{stand_in}.start()
import slicer
slicer.app.commandOptions().runPythonAndExit = True
__file__ = {str(installed / SCRIPT)!r}
exec(open(__file__).read(), globals())
assert slicer.app.exitCodes == [0], slicer.app.exitCodes
"""
    out = tmp_path / "new" / "out"
    done = run_installed(
        installed, code,
        "--prior", str(SAMPLE / "MammoTrackerPrior.nrrd"), "--current", str(current),
        "--roi", str(SAMPLE / "MammoTrackerLesion.mrk.json"), "--out", str(out),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Lesion 1: found." in done.stdout
    assert {path.name for path in out.iterdir()} == {
        "results.csv", "overlay.png", "Lesion 1.mrk.json", "Lesion 1 (current).mrk.json",
    }  # fmt: skip
    box = box_in(out / "Lesion 1 (current).mrk.json")
    assert box.iou(truth_box()) >= 0.5
    with (out / "results.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["Status"] == "found"
    assert float(row["Width (mm)"]) == pytest.approx(box.width * SPACING_MM, abs=0.06)
    from PIL import Image

    with Image.open(out / "overlay.png") as picture:
        assert picture.width == 1280


def write_exam(path: Path, name: str, year: int, laterality: str = "L") -> None:
    import datetime

    image = Mammogram.read(SAMPLE / f"MammoTracker{name}.nrrd")
    date = datetime.date(year, 3, 1)
    exam = Mammogram(image.pixels, image.spacing, laterality, "MLO", date, "TEST")
    write_dicom(exam, path, "A test")


# --- what the batch script refuses


@pytest.fixture
def batch(shell, tmp_path):
    """Run the batch script in this process on the sample, with some arguments changed."""
    location = ROOT / "MammoTracker" / SCRIPT
    spec = importlib.util.spec_from_file_location("track_pair", location)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def run(**changed) -> int:
        arguments = {
            "prior": SAMPLE / "MammoTrackerPrior.nrrd",
            "current": SAMPLE / "MammoTrackerCurrent.nrrd",
            "roi": SAMPLE / "MammoTrackerLesion.mrk.json",
            "out": tmp_path / "out",
        } | changed
        pairs = [(f"--{name.replace('_', '-')}", str(value)) for name, value in arguments.items()]
        code = script.main([text for pair in pairs for text in pair])
        assert not (tmp_path / "out").exists()
        return code

    yield run
    shell.scene.Clear()


def test_a_missing_file_is_said(batch, capsys, tmp_path):
    assert batch(current=tmp_path / "nothing.dcm") == 2
    assert "There is no file" in capsys.readouterr().err


def test_a_file_of_another_kind_is_said(batch, capsys):
    assert batch(prior=SAMPLE / "README.md") == 2
    assert "cannot read" in capsys.readouterr().err.splitlines()[-1]


def test_unknown_spacing_is_asked_for(batch, capsys, tmp_path):
    import SimpleITK as sitk

    image = sitk.ReadImage(str(SAMPLE / "MammoTrackerCurrent.nrrd"))
    image.SetSpacing((1, 1, 1))
    path = tmp_path / "current.nrrd"
    sitk.WriteImage(image, str(path))
    assert batch(current=path) == 2
    assert "give --current-spacing in mm" in capsys.readouterr().err
    assert batch(current=path, current_spacing=9) == 2
    assert "9 mm" in capsys.readouterr().err


def test_a_file_without_an_roi_is_said(batch, capsys, tmp_path, shell):
    import slicer

    point = shell.scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    point.AddControlPoint(1, 2, 3)
    path = tmp_path / "point.mrk.json"
    assert slicer.util.saveNode(point, str(path))
    assert batch(roi=path) == 2
    assert "holds no ROI" in capsys.readouterr().err


def test_exams_of_two_breasts_are_refused(batch, capsys, tmp_path):
    write_exam(tmp_path / "prior.dcm", "Prior", 2020, "L")
    write_exam(tmp_path / "current.dcm", "Current", 2021, "R")
    assert batch(prior=tmp_path / "prior.dcm", current=tmp_path / "current.dcm") == 2
    assert "laterality" in capsys.readouterr().err


def test_missing_packages_are_said_before_anything_is_read(batch, capsys, tmp_path, monkeypatch):
    from MammoTrackerPanel import installer

    monkeypatch.setattr(installer, "missing", lambda: ["tensorflow>=2.16,<3"])
    assert batch(prior=tmp_path / "nothing") == 2
    assert "under Setup" in capsys.readouterr().err


def test_wrong_arguments_end_with_2(batch, capsys):
    assert batch(bogus=1) == 2
    assert "usage:" in capsys.readouterr().err

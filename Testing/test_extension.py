"""The extension as it is installed: its files, its metadata, its sample."""

from __future__ import annotations

import ast
import graphlib
import hashlib
import importlib.metadata
import json
import re
import sys
from pathlib import Path

import pytest
from installed_copy import (
    MODULES,
    OURS,
    ROOT,
    arguments_of,
    commands,
    install,
    listed,
    run_installed,
)
from packaging.requirements import Requirement
from sample_pair import SAMPLE, SPACING_MM, box_in

from MammoTrackerLib import Mammogram
from MammoTrackerLib.command.simulate import FILM_LESION, FILM_SPACING

RESOURCES = ROOT / "MammoTracker" / "Resources"
CHECKSUMS = {
    "MammoTrackerCurrent.nrrd": "cb5909548ffe2e3ef60ba5018742bcc7abe1c1dfa49acebeebb9d5e0b815fe72",
    "MammoTrackerLesion.mrk.json": "f6de8f659dffa3b1441ef9dae9e868999d4e125b5d2e7be7d26d728627ac4ba4",  # noqa: E501
    "MammoTrackerPrior.nrrd": "51e2edd52ad09c133f2efef594d31771d3de2f3690b033e7239316ef18ab6f7d",
    "truth.json": "0bb90a3f9162d88e04d4c3e6391d07dff209d4e3c11fc42c656f5e05298e14a9",
}

# What Slicer has, and can import quickly while it starts.
LIGHT = {"slicer", "vtk", "qt", "ctk", "SimpleITK", "numpy", "scipy"}
# What is imported by functions, when the user has asked for it.
KERAS = ("backbone", "cells", "losses", "similarity", "tracking")
HEAVY = ("MammoTrackerLib/command/", *(f"MammoTrackerLib/networks/{name}.py" for name in KERAS))


# --- the CMake lists


def metadata() -> dict[str, str]:
    settings = (arguments for name, arguments in commands(ROOT) if name == "set")
    return {name: " ".join(values) for name, *values in settings}


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
    return name.startswith(HEAVY)


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


def imports_of(path: Path) -> set[Path]:
    """Return the files of ours that a file imports at file scope."""
    found = set()
    for node in at_file_scope(path):
        if isinstance(node, ast.ImportFrom):
            home = path.parents[node.level - 1] if node.level else ROOT
            module = home.joinpath(*(node.module or "").split("."))
            places = [module, *(module / alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            places = [ROOT.joinpath(*alias.name.split(".")) for alias in node.names]
        else:
            continue
        for place in places:
            found |= {f for f in (place.with_suffix(".py"), place / "__init__.py") if f.is_file()}
    # A package hands on names of its files, which may import their neighbours.
    return found - {path, path.parent / "__init__.py"}


def test_no_two_files_import_each_other():
    files = [f for folder in (*MODULES, "Training") for f in (ROOT / folder).rglob("*.py")]
    graph = {file: imports_of(file) & set(files) for file in files}
    assert any(graph.values())
    list(graphlib.TopologicalSorter(graph).static_order())  # raises where there is a circle


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
        if "extra ==" not in str(item.marker) and item.name.lower() not in ("rich", "simpleitk")
    ]
    assert sorted(map(str, wanted)) == sorted(map(str, package))


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


# --- the installed copy


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("installed") / "qt-scripted-modules"
    install(folder)
    return folder


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

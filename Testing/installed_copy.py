"""What the CMake lists name, and a copy of it as Slicer installs it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULES = ("MammoTracker", "MammoTrackerLib")
OURS = {"MammoTracker", "MammoTrackerLib", "MammoTrackerPanel"}


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


def install(target: Path) -> None:
    """Copy what the lists name to where Slicer's macro puts it, in its qt-scripted-modules."""
    for module in MODULES:
        lists = listed(module)
        home = target / module if "WITH_SUBDIR" in lists else target
        for file in lists["SCRIPTS"] + lists["RESOURCES"]:
            (home / file).parent.mkdir(parents=True, exist_ok=True)
            (home / file).write_bytes((ROOT / module / file).read_bytes())


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

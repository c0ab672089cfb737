"""Packages that do not start, as of another Python."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from command_line import COMMAND, Pair

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("package", ["numpy", "rich", "SimpleITK", "pydicom", "scipy", "PIL"])
@pytest.mark.parametrize("code", ["raise ImportError('DOE^JANE')", "print 'Python 2'"])
def test_packages_of_another_python_are_said_in_a_sentence(
    pair: Pair, tmp_path: Path, package: str, code: str
) -> None:
    broken, out = tmp_path / "site-packages", tmp_path / "out"
    (broken / package).mkdir(parents=True)
    (broken / package / "__init__.py").write_text(code)
    done = subprocess.run(
        [*COMMAND, "track", *pair.arguments, "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(broken)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("mammotracker: ") and done.stderr.count("\n") == 1, done.stderr
    assert f"package {package} " in done.stderr and "PYTHONPATH" in done.stderr
    assert "DOE" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["site-packages"]

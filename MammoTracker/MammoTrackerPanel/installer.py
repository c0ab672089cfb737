"""Installs the Python packages that tracking needs, once the user has agreed."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

if TYPE_CHECKING:
    from packaging.requirements import Requirement

REQUIREMENTS = Path(__file__).parent.parent / "Resources" / "requirements.txt"
BUILT_BY_SLICER = ("SimpleITK", "vtk")
KEPT = ("numpy", "scipy", "pydicom", *BUILT_BY_SLICER)
RUNTIMES = {"LiteRT": "ai-edge-litert", "TensorFlow": "tensorflow"}
DOWNLOAD_MB, DISK_MB = 40, 90
"""What LiteRT and all that comes with it take, rounded up; a Mac with an Intel processor needs
TensorFlow in its place, which is 20 times as much."""


def missing() -> list[str]:
    """Return the lines of requirements.txt that the installed packages do not satisfy."""
    return [str(requirement) for requirement in _requirements() if not _isSatisfied(requirement)]


def outOfDate() -> str:
    """Say what to do where Slicer has imported a version that it had before; "" if nothing.

    That of a package which was brought up to date by an installation, as pydicom is in 5.10.
    """
    for requirement in _requirements():
        version = getattr(sys.modules.get(requirement.name), "__version__", None)
        if version and not requirement.specifier.contains(version, prereleases=True):
            return _("Restart Slicer, which still uses {package} {version}.").format(
                package=requirement.name, version=version
            )
    return ""


def runtimes() -> str:
    """Return name and version of what is installed to run the networks, without importing it."""
    versions = {name: _version(package) for name, package in RUNTIMES.items()}
    return ", ".join(f"{name} {version}" for name, version in versions.items() if version)


def weights_version() -> str:
    """Return the version of the weights that ship, or "" if they are missing."""
    import MammoTrackerLib

    card = Path(MammoTrackerLib.__file__).parent / "weights" / "weights.json"
    try:
        return json.loads(card.read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError):
        return ""


class InstallError(Exception):
    """Nothing was installed; the message says why, and what to do."""


def install(wheels: Path | None = None) -> None:
    """Ask the user, then let Slicer install what is missing, with its own progress and log.

    Parameters
    ----------
    wheels
        A folder of wheels to take in place of the network.

    Raises
    ------
    InstallError
        If the user does not agree, or it failed.
    """
    lines = missing()
    if not lines:
        return
    if not _isAgreed(lines, wheels):
        raise InstallError(_("Nothing was installed. Tracking needs these packages."))
    reason = ""
    with tempfile.TemporaryDirectory(prefix="MammoTracker-") as folder, _pipTakes(wheels):
        constraints = Path(folder, "constraints.txt")
        constraints.write_text(_constraints(), encoding="utf-8")
        try:
            _installBySlicer(lines, constraints)
        except (subprocess.CalledProcessError, RuntimeError, OSError) as error:
            reason = str(error)
    importlib.invalidate_caches()
    if missing():
        raise InstallError(_advice(lines, wheels, reason))


def _isAgreed(lines: list[str], wheels: Path | None) -> bool:
    isLarge = any(_requirement(line).name == "tensorflow" for line in lines)
    size = 20 * DOWNLOAD_MB if isLarge else DOWNLOAD_MB
    source = (
        _("from the folder {folder}").format(folder=wheels)
        if wheels
        else _("from the Python package index (up to {size} MB)").format(size=size)
    )
    return slicer.util.confirmOkCancelDisplay(
        _(
            "MammoTracker needs Python packages that are not installed yet. Install them into "
            "Slicer's Python, {source}? They take up to {disk} MB on the disk."
        ).format(source=source, disk=size * DISK_MB // DOWNLOAD_MB),
        _("MammoTracker - Install Python Packages"),
        detailedText="\n".join(lines),
    )


def _installBySlicer(lines: list[str], constraints: Path) -> None:
    try:
        from slicer.packaging import pip_ensure
    except ImportError:  # Slicer before 5.12
        slicer.util.pip_install([*lines, "--constraint", str(constraints)])
    else:
        pip_ensure(
            [_requirement(line) for line in lines],
            constraints=constraints,
            prompt_install=False,  # asked before, with the size
            requester="MammoTracker",
        )


def _requirement(line: str) -> Requirement:
    try:
        from packaging.requirements import Requirement
    except ImportError:
        from pip._vendor.packaging.requirements import Requirement
    return Requirement(line)


def _requirements() -> list[Requirement]:
    """Return the requirements of this system."""
    lines = (
        line.partition("#")[0].strip()
        for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    )
    requirements = [_requirement(line) for line in lines if line]
    return [r for r in requirements if r.marker is None or r.marker.evaluate()]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except (metadata.PackageNotFoundError, OSError):  # there, but without what says its version
        return None


def _isSatisfied(requirement: Requirement) -> bool:
    version = _version(requirement.name)
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def _pins() -> list[str]:
    """Return the requirements that are satisfied, at the very versions that are installed."""
    return [
        _pin(requirement.name, _version(requirement.name))
        for requirement in _requirements()
        if _isSatisfied(requirement)
    ]


def _pin(package: str, version: str) -> str:
    # A local version, as in 1.0+local, is on no index; the public one stands for it too.
    return f"{package}=={version.partition('+')[0]}"


def _constraints() -> str:
    """Return pip constraints that keep what Slicer has, unless it is what is missing."""
    required = {requirement.name.lower() for requirement in _requirements()}
    kept = [(name, _version(name)) for name in KEPT if name.lower() not in required]
    pins = [_pin(name, version) for name, version in kept if version]
    return "\n".join([*_pins(), *pins]) + "\n"


@contextmanager
def _pipTakes(wheels: Path | None) -> Iterator[None]:
    """Let pip processes take packages from a folder alone, if one is given."""
    # As an address, because pip splits this variable at spaces.
    values = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels.absolute().as_uri()} if wheels else {}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _advice(lines: list[str], wheels: Path | None, reason: str) -> str:
    """Say what failed, and what the user, or the IT department, can do about it."""
    # What Slicer built itself may be on no index, and nothing that is missing needs it.
    pins = [pin for pin in _pins() if pin.partition("==")[0] not in BUILT_BY_SLICER]
    packages = " ".join(f'"{line}"' for line in [*lines, *pins])
    command = f"python -m pip download --only-binary :all: --dest wheels {packages}"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    first = (
        _("The folder {folder} may not hold all packages that are needed.").format(folder=wheels)
        if wheels
        else _(
            "Behind a firewall, ask your IT department to let this computer reach the Python "
            "package index over HTTPS; behind a proxy, the environment variable HTTPS_PROXY must "
            "be set before Slicer starts, and PIP_CERT where the proxy has a certificate of its "
            "own."
        )
    )
    return _(
        "The packages could not be installed ({reason}); the log that Slicer showed says why. "
        "{first} Slicer's folder must be writable, with {disk} MB of room.\n\n"
        "Without a network, on another computer with the same system and Python {python}, run\n\n"
        "{command}\n\ncopy the folder wheels to this computer, give it as the folder of wheels, "
        "and press Install again."
    ).format(
        reason=reason or _("no error"), first=first, disk=DISK_MB, python=python, command=command
    )

"""Installs the Python packages that tracking needs, once the user has agreed."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from .child_process import ChildProcess

if TYPE_CHECKING:
    from packaging.requirements import Requirement

REQUIREMENTS = Path(__file__).parent.parent / "Resources" / "requirements.txt"
BUILT_BY_SLICER = ("SimpleITK", "vtk")
KEPT = ("numpy", "scipy", "pydicom", *BUILT_BY_SLICER)
REPORT_BYTES = 10_000_000


def missing() -> list[str]:
    """Return the lines of requirements.txt that the installed packages do not satisfy."""
    return [str(requirement) for requirement in _requirements() if not _isSatisfied(requirement)]


def tensorflow_version() -> str | None:
    """Return the version of TensorFlow that is installed, without importing it."""
    return _version("tensorflow")


def weights_version() -> str:
    """Return the version of the weights that ship, or "" if they are missing."""
    import MammoTrackerLib

    card = Path(MammoTrackerLib.__file__).parent / "weights" / "weights.json"
    try:
        return json.loads(card.read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError):
        return ""


class Installer:
    """Downloads what is missing, then lets Slicer install it.

    The download runs in a process of its own, can be cancelled, and leaves Slicer's Python as
    it is. The callbacks are attributes: ``onLog(line)``; then ``onFinished()``, or
    ``onFailed(message, log)``, also when the user does not agree.
    """

    def __init__(self) -> None:
        self.onLog: Callable[[str], None] = _ignore
        self.onFinished: Callable[[], None] = _ignore
        self.onFailed: Callable[[str, str], None] = _ignore
        self._child: ChildProcess | None = None
        self._isInstalling = False
        self._reported = 0
        self._log: list[str] = []

    @property
    def running(self) -> bool:
        return self._child is not None or self._isInstalling

    def install(self, wheels: Path | None = None) -> None:
        """Ask the user, then download and install what is missing.

        Parameters
        ----------
        wheels
            A folder of wheels to take in place of the network.
        """
        if self.running:
            return
        self._log.clear()
        lines = missing()
        if not lines:
            self.onFinished()
            return
        if not self._isAgreed(lines, wheels):
            self.onFailed(_("Nothing was installed. Tracking needs these packages."), "")
            return
        self._download(lines, wheels)

    def cancel(self) -> None:
        """Stop the download at once and delete it; no callback comes after this.

        What is being installed already cannot be stopped: half of it would be useless.
        """
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _isAgreed(self, lines: list[str], wheels: Path | None) -> bool:
        source = (
            _("from the folder {folder}").format(folder=wheels)
            if wheels
            else _("from the Python package index (about 600 MB)")
        )
        return slicer.util.confirmOkCancelDisplay(
            _(
                "MammoTracker needs Python packages that are not installed yet. Install them into "
                "Slicer's Python, {source}?"
            ).format(source=source),
            _("MammoTracker - Install Python Packages"),
            detailedText="\n".join(lines),
        )

    def _download(self, lines: list[str], wheels: Path | None) -> None:
        """Start to collect all wheels, dependencies included, in a temporary folder."""
        arguments = [
            *("-m", "pip", "download", "--disable-pip-version-check", "--no-input"),
            *("--no-cache-dir", "--progress-bar", "off", "--only-binary", ":all:"),
            *("--dest", "wheels", "--constraint", "constraints.txt"),
            *(("--no-index", "--find-links", str(wheels.absolute())) if wheels else ()),
            *lines,
        ]
        try:
            self._child = ChildProcess(arguments, files={"constraints.txt": _constraints()})
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self.onFailed(
                _("The download could not be started ({reason}): make room on the disk.").format(
                    reason=reason
                ),
                "",
            )
            return
        self._reported = 0
        self._child.onLog = self._child.onOutput = self._onLine
        self._child.onPoll = self._reportSize
        self._child.onExit = lambda status: self._onDownloaded(status, lines, wheels)
        self._child.watch()

    def _onLine(self, line: str) -> None:
        self._log.append(line)
        self.onLog(line)

    def _reportSize(self) -> None:
        """Say how far the download is: pip keeps what it downloads in the child's folder."""
        size = 0
        for folder, folders, names in os.walk(self._child.folder):
            if "wheels" in folders:
                folders.remove("wheels")  # copies of what was counted
            for name in names:
                with suppress(OSError):
                    size += os.path.getsize(os.path.join(folder, name))
        if size >= self._reported + REPORT_BYTES:
            self._reported = size
            self.onLog(_("{size:.0f} MB downloaded").format(size=size / 1e6))

    def _onDownloaded(self, status: int, lines: list[str], wheels: Path | None) -> None:
        if status != 0:
            self.cancel()
            errors = [line for line in self._log if line.startswith("ERROR: ")]
            reason = errors[-1].removeprefix("ERROR: ") if errors else f"pip: {status}"
            self._fail(_downloadAdvice(lines, wheels, reason))
            return
        self._isInstalling = True
        try:
            self._install(lines, self._child.folder)
        except (subprocess.CalledProcessError, RuntimeError, OSError) as error:
            self._onLine(str(error))
        finally:
            self._isInstalling = False
            self.cancel()
        importlib.invalidate_caches()
        if missing():
            self._fail(
                _(
                    "The packages were downloaded, but not installed. Ask your IT department for "
                    "the right to write into Slicer's folder and 3 GB of room on its disk, then "
                    "press Install again. The log, and the one that Slicer showed, say more."
                )
            )
        else:
            self.onFinished()

    def _install(self, lines: list[str], folder: Path) -> None:
        """Let Slicer install what was downloaded; shows its own progress."""
        self._onLine(_("Installing ..."))
        constraints = folder / "constraints.txt"
        with _pipTakesOnly(folder / "wheels"):
            try:
                from slicer.packaging import pip_ensure
            except ImportError:  # Slicer before 5.11
                slicer.util.pip_install([*lines, "--constraint", str(constraints)])
            else:
                pip_ensure(
                    [_requirement(line) for line in lines],
                    constraints=constraints,
                    prompt_install=False,  # asked before the download
                    requester="MammoTracker",
                )

    def _fail(self, message: str) -> None:
        self.onFailed(message, "\n".join(self._log))


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
    except metadata.PackageNotFoundError:
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
def _pipTakesOnly(folder: Path) -> Iterator[None]:
    """Let pip processes take packages from a folder alone for the time of the block."""
    # As an address, because pip splits this variable at spaces.
    values = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": folder.as_uri()}
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


def _downloadAdvice(lines: list[str], wheels: Path | None, reason: str) -> str:
    """Say what failed, and what the user, or the IT department, can do about it."""
    # What Slicer built itself may be on no index, and nothing that is missing needs it.
    pins = [pin for pin in _pins() if pin.partition("==")[0] not in BUILT_BY_SLICER]
    packages = " ".join(f'"{line}"' for line in [*lines, *pins])
    command = f"python -m pip download --only-binary :all: --dest wheels {packages}"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if wheels:
        return _(
            "The folder {folder} does not hold all packages that are needed ({reason}). Fill it "
            "on a computer with the same system and Python {python}:\n\n{command}"
        ).format(folder=wheels, reason=reason, python=python, command=command)
    return _(
        "The packages could not be downloaded ({reason}). Nothing was installed. Ask your IT "
        "department to let this computer reach the Python package index over HTTPS; behind a "
        "proxy, the environment variable HTTPS_PROXY must be set before Slicer starts, and "
        "PIP_CERT where the proxy has a certificate of its own.\n\n"
        "Or, on another computer with the same system and Python {python}, run\n\n{command}\n\n"
        "copy the folder wheels to this computer, give it as the folder of wheels, and press "
        "Install again."
    ).format(reason=reason, python=python, command=command)


def _ignore(*_arguments: object) -> None:
    """Stand in for a callback that nobody set."""

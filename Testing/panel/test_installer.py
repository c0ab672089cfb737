"""Installing the Python packages: real pip, tiny wheels, and Slicer's two ways to install."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import types
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]


def write_wheel(folder: Path, name: str, version: str, requires=()) -> Path:
    """Write a wheel that holds one empty module."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    files = {
        f"{name}.py": b"",
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(data)}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return wheel


class Index(BaseHTTPRequestHandler):
    """A package index over a folder of wheels."""

    def do_GET(self):
        folder = self.server.folder
        wheel = folder / self.path.rpartition("/")[2]
        self.send_response(200)
        if wheel.suffix == ".whl":
            data = wheel.read_bytes()
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", len(data))
            self.end_headers()
            self.wfile.write(data)
            return
        project = self.path.strip("/").rpartition("/")[2]
        links = [f'<a href="/files/{w.name}">{w.name}</a>' for w in folder.glob(f"{project}-*")]
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!DOCTYPE html>\n" + "\n".join(links).encode())

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serve(folder: Path):
    """Serve an index on this computer."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        server.folder = folder
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple/"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def setup(shell, tmp_path, monkeypatch):
    """An installer in a Slicer of its own, whose requirements are the tiny `lesion` and `breast`.

    `breast` 1.0 is installed, `lesion`, which needs it, is not.
    """
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "0")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    index = tmp_path / "index"
    write_wheel(index, "lesion", "1.5", ["breast"])
    write_wheel(index, "lesion", "2.0", ["breast"])
    write_wheel(index, "breast", "1.0")
    write_wheel(index, "breast", "3.0")
    zipfile.ZipFile(index / "breast-1.0-py3-none-any.whl").extractall(site)

    from MammoTrackerPanel import installer

    requirements = tmp_path / "requirements.txt"
    requirements.write_text(
        "# What tracking needs\nlesion>=1.2,<2  # the newest 1\n\nbreast\nSimpleITK\n"
        'absent; sys_platform == "nowhere"\n'
    )
    monkeypatch.setattr(installer, "REQUIREMENTS", requirements)
    calls = []
    answers = SimpleNamespace(installs=True, error=None)

    def installIt(lines, constraints):
        assert len(shell.messages) == 1, "the user was asked once, before"
        calls.append((lines, os.environ.get("PIP_NO_INDEX")))
        if answers.error:
            raise answers.error
        if answers.installs:
            pip_install("--constraint", constraints, *lines, site)

    def pip_ensure(requirements, constraints=None, prompt_install=True, requester=None):
        assert not prompt_install
        assert requester == "MammoTracker"
        installIt([str(requirement) for requirement in requirements], constraints)

    def pip_install_of_slicer(requirements):
        *lines, option, constraints = requirements
        assert option == "--constraint"
        installIt(lines, constraints)

    import slicer.util

    monkeypatch.setattr(slicer.util, "pip_install", pip_install_of_slicer)
    packaging = types.ModuleType("slicer.packaging")
    packaging.pip_ensure = pip_ensure
    monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)

    def install(wheels=None) -> str:
        """Return what was said about a failure."""
        shell.messages.clear()
        try:
            installer.install(wheels)
        except installer.InstallError as error:
            return str(error)
        return ""

    yield SimpleNamespace(
        module=installer,
        install=install,
        calls=calls,
        answers=answers,
        index=index,
        site=site,
        shell=shell,
    )
    shell.messages.clear()
    shell.answers.clear()
    assert list((tmp_path / "temporary").iterdir()) == []


def pip_install(*arguments) -> None:
    *what, site = map(str, arguments)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", site, "--upgrade"]
    subprocess.run([*command, *what], check=True, capture_output=True)


def is_installed(setup, name: str) -> bool:
    return (setup.site / f"{name}.py").exists()


def test_says_what_is_missing(setup):
    assert setup.module.missing() == ["lesion<2,>=1.2"]
    setup.module.REQUIREMENTS.write_text("breast>=2\nbreast<2\n")
    assert setup.module.missing() == ["breast>=2"]


def test_what_slicer_imported_before_it_was_brought_up_to_date_is_said(setup, monkeypatch):
    """As pydicom 2 of Slicer 5.10, whose place a newer one takes on the disk."""
    old = types.ModuleType("breast")
    monkeypatch.setitem(sys.modules, "breast", old)
    for requirement, version in (("breast", "0.9"), ("breast>=1", "1.0"), ("breast>=1", None)):
        setup.module.REQUIREMENTS.write_text(requirement)
        old.__version__ = version
        assert setup.module.outOfDate() == ""
    old.__version__ = "0.9"
    assert setup.module.missing() == []
    assert setup.module.outOfDate() == "Restart Slicer, which still uses breast 0.9."


def test_nothing_is_imported_or_started_before_the_user_asks():
    script = """
import sys, types
for name in ("qt", "slicer", "slicer.i18n"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["slicer.i18n"].tr = str
sys.modules["slicer"].util = None  # asking would fail
sys.path.insert(0, "MammoTracker")
import subprocess
subprocess.Popen = None
from MammoTrackerPanel import installer
from MammoTrackerPanel.tracker_process import TrackerProcess
installer.REQUIREMENTS = __import__("pathlib").Path(sys.argv[1])
TrackerProcess()
print(installer.missing(), installer.weights_version(), installer.runtimes(), sep=";")
assert not {"ai_edge_litert", "tensorflow", "pip", "PIL", "pydicom"} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, os.devnull],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    from importlib.metadata import version

    card = json.loads((ROOT / "MammoTrackerLib" / "weights" / "weights.json").read_text())
    lines, weights, runtimes = done.stdout.strip().split(";")
    assert (lines, weights) == ("[]", card["version"])
    assert runtimes.startswith(f"LiteRT {version('ai-edge-litert')}")


def test_without_consent_nothing_happens(setup):
    setup.shell.answers.append(False)
    assert "Nothing was installed" in setup.install()
    (question,) = setup.shell.messages
    assert question.splitlines()[-1] == "lesion<2,>=1.2"
    assert re.search(r"up to 40 MB.*up to 90 MB on the disk", question)
    assert setup.calls == []
    assert not is_installed(setup, "lesion")


def test_the_size_is_that_of_tensorflow_where_nothing_else_will_do(setup):
    setup.module.REQUIREMENTS.write_text("tensorflow==2.0\n")
    setup.shell.answers.append(False)
    setup.install()
    (question,) = setup.shell.messages
    assert re.search(r"up to 800 MB.*up to 1800 MB on the disk", question)


def test_nothing_is_asked_when_nothing_is_missing(setup):
    setup.module.REQUIREMENTS.write_text("breast\n")
    assert setup.install() == ""
    assert setup.shell.messages == []
    assert setup.calls == []


@pytest.mark.parametrize("is_old_slicer", [False, True])
def test_installs_from_the_index_and_keeps_what_slicer_has(setup, monkeypatch, is_old_slicer):
    if is_old_slicer:
        monkeypatch.delitem(sys.modules, "slicer.packaging")
    with serve(setup.index) as url:
        monkeypatch.setenv("PIP_INDEX_URL", url)
        assert setup.install() == ""
    assert len(setup.shell.messages) == 1
    assert setup.calls == [(["lesion<2,>=1.2"], None)]
    assert setup.module._version("lesion") == "1.5"
    assert setup.module._version("breast") == "1.0"


def test_installs_from_a_folder_without_any_network(setup, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    wheels = setup.index.rename(tmp_path / "the wheels of bröst")
    assert setup.install(wheels) == ""
    assert is_installed(setup, "lesion")
    assert setup.calls == [(["lesion<2,>=1.2"], "1")]
    assert "the wheels of bröst" in setup.shell.messages[0]
    assert "PIP_NO_INDEX" not in os.environ
    assert "PIP_FIND_LINKS" not in os.environ


def test_an_incomplete_folder_is_said(setup):
    (setup.index / "breast-1.0-py3-none-any.whl").unlink()
    (setup.site / "breast-1.0.dist-info" / "METADATA").unlink()
    message = setup.install(setup.index)
    assert str(setup.index) in message
    assert "may not hold all packages" in message


def test_without_network_it_says_what_to_ask_for_and_that_works(setup, monkeypatch, tmp_path):
    """The command of the message is run where there is a network, and its folder is given."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    message = setup.install()
    for words in ("IT department", "HTTPS", "HTTPS_PROXY", "PIP_CERT", "with 90 MB of room"):
        assert words in message

    command = re.search(r"^python (-m pip download .*)$", message, re.MULTILINE)[1]
    other = tmp_path / "other computer"
    other.mkdir()
    with serve(setup.index) as url:
        monkeypatch.setenv("PIP_INDEX_URL", url)
        subprocess.run([sys.executable, *shlex.split(command)], cwd=other, check=True)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    assert setup.install(other / "wheels") == ""
    assert setup.module._version("breast") == "1.0"


@pytest.mark.parametrize("error", [None, subprocess.CalledProcessError(1, "pip install")])
def test_an_installation_that_fails_says_so(setup, error):
    """Without an error too: in testing mode, Slicer skips the installation."""
    setup.answers.installs, setup.answers.error = False, error
    message = setup.install(setup.index)
    assert "could not be installed" in message
    assert "must be writable" in message

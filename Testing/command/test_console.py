"""A console that is closed, full, knows only ASCII, or goes away stops no work."""

from __future__ import annotations

import io
import json
import os
import subprocess
from pathlib import Path

import pytest
from command_line import COMMAND, OUTPUTS, Pair, assert_refused

from MammoTrackerLib.command import cli
from MammoTrackerLib.command.console import Stream

ROOT = Path(__file__).parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="a shell")


def shell(line: str, *arguments: str, **env: str) -> subprocess.CompletedProcess:
    """Run a line of shell in which "$@" is the command with its arguments."""
    return subprocess.run(
        ["bash", "-c", line, "bash", *COMMAND, *arguments],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
    )


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@posix
@pytest.mark.parametrize(
    ("line", "status"),
    [
        ('"$@" >&-', 0),
        ('"$@" 2>&-', 0),
        ('"$@" <&- >&- 2>&-', 0),
        ('"$@" >/dev/full', 2),
        ('"$@" 2>/dev/full', 0),
        ('set -o pipefail; "$@" 2>&1 | true', 0),
        ('LC_ALL=C PYTHONUTF8=0 PYTHONIOENCODING=ascii "$@"', 0),
        ('LC_ALL=C PYTHONUTF8=0 PYTHONIOENCODING=latin-1 "$@"', 0),
        ('TMPDIR=/nonexistent/folder "$@"', 0),
    ],
)
def test_track_goes_on_whatever_the_console_is(pair: Pair, tmp_path, line, status):
    out = tmp_path / "süß 乳 \udce9 \x1b[31m"
    done = shell(line, "track", *pair.arguments, "--out", os.fsencode(out))
    assert done.returncode == status, done.stderr
    assert files(out) == OUTPUTS
    assert b"Traceback" not in done.stderr and b"Exception" not in done.stderr
    assert b"\x1b[31m" not in done.stdout + done.stderr
    if status:
        assert b"mammotracker: Cannot write to the console: No space left" in done.stderr


@posix
@pytest.mark.parametrize(
    ("line", "status"),
    [
        ('"$@" <&- >&- 2>&-', 0),
        ('"$@" >/dev/full 2>/dev/full', 2),
        ('"$@" 2>&1 | true; exit ${PIPESTATUS[0]}', 0),
    ],
)
def test_batch_goes_on_whatever_the_console_is(manifest, results, tmp_path, line, status):
    out = tmp_path / "out.csv"
    done = shell(line, "batch", str(manifest), "--out", str(out))
    assert done.returncode == status
    assert b"Traceback" not in done.stderr
    assert out.read_text().count("\n") == results.read_text().count("\n")
    assert files(tmp_path) == {"out.csv"}


@posix
@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_a_full_console_is_said_in_a_sentence(argument):
    done = shell('"$@" >/dev/full', argument)
    assert done.returncode == 2
    assert done.stderr.startswith(b"mammotracker: Cannot write to the console: No space left")


def test_a_stream_writes_what_its_encoding_knows_and_never_raises():
    raw = io.BytesIO()
    stream = Stream(io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    assert stream.write("a\u00e9\udce9") == 3
    assert raw.getvalue() == b"a\\xe9\\udce9"
    assert stream.encoding == "ascii"
    broken = Stream(open(os.devnull))  # not open for writing
    broken.write("x")
    broken.flush()
    assert broken.failure


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("DOE^JANE"), ["Unexpected ValueError", "test_console.py"]),
        (MemoryError(), ["memory"]),
        (OSError(28, "No space left on device"), ["No space left on device", "disk has room"]),
        (ModuleNotFoundError("No module", name="DOE^JANE"), ["Unexpected ModuleNotFoundError"]),
    ],
)
def test_what_nobody_expected_is_one_sentence_without_its_text(monkeypatch, capsys, error, words):
    def fail(arguments):
        raise error

    monkeypatch.setitem(cli._RUN, "benchmark", fail)
    assert_refused(["benchmark"], capsys, *words)


def test_the_message_is_on_one_line(tmp_path, capsys):
    name = "a\nb\x1b]0;title\x07.dcm"
    argv = ["track", name, name, "--box", "1", "1", "9", "9", "--out", str(tmp_path / "out")]
    assert cli.main(argv) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "\x1b" not in said and "\x07" not in said


def test_tracks_json_is_read_where_the_locale_is_not_utf8(pair, tmp_path):
    done = shell('LC_ALL=C PYTHONUTF8=0 "$@"', "track", *pair.arguments, "--out", str(tmp_path))
    assert done.returncode == 0
    assert json.loads((tmp_path / "tracks.json").read_text())["remarks"] == []

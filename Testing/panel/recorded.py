"""A process of the panel whose callbacks are recorded, and what may take LiteRT's place."""

from __future__ import annotations

import subprocess
from pathlib import Path

SEVERAL_LOOKS = 0.35  # seconds in which a watched process is looked at more than once
CRASH = "import ctypes\nctypes.string_at(0)"


class Recorded:
    """A process of the panel, and what it called back, in order."""

    def __init__(self, shell) -> None:
        from MammoTrackerPanel.tracker_process import TrackerProcess

        self.shell = shell
        self.process = TrackerProcess()
        self.events = []
        names = "Ready Progress Aligned Track Registered History Done Failed Log"
        for name in names.split():
            setattr(self.process, f"on{name}", self._recorder(name))

    def _recorder(self, name):
        return lambda *values: self.events.append((name, *values))

    def names(self, *wanted) -> list[str]:
        return [event[0] for event in self.events if event[0] in wanted]

    def of(self, name) -> list:
        return [event[1:] for event in self.events if event[0] == name]

    def log(self) -> str:
        return "\n".join(line for (line,) in self.of("Log"))

    def wait(self, condition, seconds=120) -> None:
        self.shell.wait(condition, seconds)

    def track(self, *arguments, **keywords) -> list:
        """Track, wait for the end, and return all events."""
        self.events.clear()
        self.process.track(*arguments, **keywords)
        self.wait(lambda: not self.process.running)
        return self.events

    def follow(self, *arguments, **keywords) -> list:
        """Follow, wait for the end, and return all events."""
        self.events.clear()
        self.process.follow(*arguments, **keywords)
        self.wait(lambda: not self.process.running)
        return self.events

    def failure(self) -> str:
        (message,) = self.of("Failed")[0]
        assert self.names("Done", "Failed") == ["Failed"]
        return message


def pid_of(recorded) -> int:
    return recorded.process._child.pid


def is_alive(pid: int) -> bool:
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return bool(state.strip()) and not state.startswith("Z")


def fake_runtime(folder: Path, monkeypatch, code: str) -> Path:
    """Put a package in LiteRT's place, to die as a library can; return its file."""
    file = folder / "fake" / "ai_edge_litert" / "__init__.py"
    file.parent.mkdir(parents=True)
    file.write_text(code, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder / "fake"))
    return file

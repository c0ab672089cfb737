"""The panel's setup: what is installed, and that nothing is installed without consent."""

from __future__ import annotations

import pytest


@pytest.fixture
def incomplete(monkeypatch):
    """A package is missing, until the list that is returned is emptied."""
    from MammoTrackerPanel import installer

    lines = ["ai-edge-litert>=2.1"]
    monkeypatch.setattr(installer, "missing", lambda: list(lines))
    return lines


def test_tracking_asks_first(panel, shell, pair, incomplete):
    shell.answers.append(False)
    shell.click(panel.ui.trackAllButton)
    assert "MB" in shell.messages.pop()
    assert not panel.tracking.running and not panel.installation.running
    assert "Nothing was installed" in panel.ui.installLabel.text
    assert not panel.ui.setupCollapsibleButton.collapsed
    assert panel.ui.installButton.visible


def test_tracking_goes_on_once_everything_is_installed(panel, shell, pair, incomplete, monkeypatch):
    from MammoTrackerPanel import installer

    running = []

    def install(wheels):
        running.append((panel.installation.running, panel.ui.trackAllButton.enabled))
        assert not panel.installation.onInstall()  # a click while Slicer shows its progress
        incomplete.clear()

    monkeypatch.setattr(installer, "install", install)
    shell.click(panel.ui.trackAllButton)
    assert running == [(True, False)]
    assert not panel.installation.running
    assert panel.tracking.running
    shell.wait(lambda: not panel.tracking.running, 60)
    assert panel.ui.runtimeLabel.text.startswith("LiteRT ")
    assert panel.ui.deviceLabel.text == "CPU"
    panel.installation.show()
    assert not panel.ui.installButton.visible
    assert panel.ui.installLabel.text == "Everything that tracking needs is installed."


def test_nothing_is_tracked_until_slicer_uses_what_is_installed(panel, shell, pair, monkeypatch):
    from MammoTrackerPanel import installer

    monkeypatch.setattr(installer, "outOfDate", lambda: "Restart Slicer.")
    shell.click(panel.ui.trackAllButton)
    assert not panel.tracking.running
    assert panel.ui.statusLabel.text == "Restart Slicer."
    panel.installation.show()
    assert panel.ui.installLabel.text == "Restart Slicer."
    monkeypatch.undo()
    panel.installation.show()

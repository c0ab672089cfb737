"""The panel's setup: nothing is installed that the user does not agree to."""

from __future__ import annotations


def test_without_tensorflow_tracking_asks_first(panel, shell, pair, monkeypatch):
    from MammoTrackerPanel import installer

    monkeypatch.setattr(installer, "missing", lambda: ["tensorflow>=2.16"])
    shell.answers.append(False)
    shell.click(panel.ui.trackAllButton)
    assert shell.messages.pop()
    assert not panel.tracking.running and not panel.installation.running

"""What a user does at the panel, and what the results' table then shows."""

from __future__ import annotations


def choose(panel, shell, prior, current) -> None:
    panel.ui.priorSelector.setCurrentNode(prior)
    panel.ui.currentSelector.setCurrentNode(current)
    shell.wait(lambda: panel.exams.pair == (prior, current))
    shell.process(0.3)


def track(panel, shell) -> None:
    shell.click(panel.ui.trackAllButton)
    assert panel.tracking.running
    shell.wait(lambda: not panel.tracking.running, 120)


def rows_of(panel) -> list[list[str]]:
    model = panel.ui.resultsTableView.model()
    return [
        [model.index(row, column).data() or "" for column in range(model.columnCount())]
        for row in range(model.rowCount())
    ]

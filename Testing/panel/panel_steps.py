"""What a user does at the panel, and what the results' table then shows."""

from __future__ import annotations

from sample_pair import TRUTH

from MammoTrackerLib import Box, Candidate, Status, Track


def choose(panel, shell, prior, current) -> None:
    panel.ui.priorSelector.setCurrentNode(prior)
    panel.ui.currentSelector.setCurrentNode(current)
    shell.wait(lambda: panel.exams.pair == (prior, current))
    shell.process(0.3)


def track(panel, shell) -> None:
    shell.click(panel.ui.trackAllButton)
    assert panel.tracking.running
    shell.wait(lambda: not panel.tracking.running, 120)


def details_of(prior, current) -> list[list[str]]:
    """Return the rows of the pair's table node."""
    from MammoTrackerLib import scene

    table = scene.results_table(prior, current).GetTable()
    return [
        [table.GetValue(row, column).ToString() for column in range(table.GetNumberOfColumns())]
        for row in range(table.GetNumberOfRows())
    ]


def rows_of(panel) -> list[list[str]]:
    """Return the rows of the panel's table: lesion, change, and a cell for each exam."""
    table = panel.ui.resultsTableView
    model = table.model()
    return [
        [table.verticalHeaderItem(row).text()]
        + [model.index(row, column).data() or "" for column in range(model.columnCount())]
        for row in range(model.rowCount())
    ]


def open_list(panel, shell, manifest, results, reader: str = "") -> None:
    """Open a reading list, and wait until its first case is shown, or it is said why it is not."""
    ui = panel.ui
    ui.manifestPathLineEdit.currentPath = str(manifest)
    ui.readingResultsPathLineEdit.currentPath = str(results)
    ui.readerLineEdit.text = reader
    shell.click(ui.readingOpenButton)
    shell.wait(lambda: not ui.readingLabel.text.startswith("The exams are"), 60)


def comment(panel, text: str) -> None:
    """Type a comment on what is selected in a reading list, without Return at its end."""
    panel.ui.commentLineEdit.text = text
    panel.ui.commentLineEdit.setFocus()


def show(panel, lesion, current, answer: Track):
    """Show an answer as the tracker's, select its row, and return its ROI."""
    from MammoTrackerLib import scene

    prediction = scene.show_track(lesion, current, answer)
    panel.results.refresh()
    panel.results.select(prediction)
    return prediction


def answer(lesion, prior) -> Track:
    from MammoTrackerLib import scene

    other = Box(TRUTH.x0 - 60, TRUTH.y0 - 90, TRUTH.x1 - 60, TRUTH.y1 - 90)
    places = (Candidate(TRUTH, 0.9), Candidate(other, 0.4))
    return Track(scene.box_of(lesion, prior), TRUTH, 0.9, Status.FOUND, "Here.", places, TRUTH)

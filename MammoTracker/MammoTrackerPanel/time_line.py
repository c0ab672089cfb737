"""The time line below the views: a lesion's film strip, and the plot of its growth."""

from __future__ import annotations

from .film_strip import FilmStrip
from .growth_plot import GrowthPlot


class TimeLine:
    """Shows one lesion through all exams.

    Parameters
    ----------
    layoutManager
        The application's qMRMLLayoutManager.
    onChosen
        Called with the lesion and the volume whose picture or point was clicked.
    """

    def __init__(self, layoutManager, onChosen) -> None:
        self._lesion = None
        self.strip = FilmStrip(lambda volume: onChosen(self._lesion, volume))
        self.plot = GrowthPlot(layoutManager, lambda volume: onChosen(self._lesion, volume))
        self.removeObservers = self.plot.removeObservers

    def show(self, lesion, volumes: list, shown) -> None:
        """Show a lesion on these exams, and mark the one that is shown beside the marked one."""
        from MammoTrackerLib import scene

        self._lesion = lesion
        self.strip.show(lesion, volumes, scene.exam_titles(volumes))
        self.plot.show(lesion, volumes)
        self.strip.select(shown)
        self.plot.select(shown)

"""A case of a reading list in the scene, as if its lesions had been tracked here."""

from __future__ import annotations

from slicer.i18n import tr as _


class CaseView:
    """The nodes of one case, and which item each of them is about.

    Parameters
    ----------
    readingList
        The `ReadingList` with the results and decisions.
    case
        The case.
    exams
        As `CaseReader.take` returns them.

    Attributes
    ----------
    volumes
        The exams, in the case's order.

    Raises
    ------
    MammoTrackerError
        If the results hold something else than answers. Nothing of the case is then in the scene.
    """

    def __init__(self, readingList, case, exams: list) -> None:
        from MammoTrackerLib import MammoTrackerError, scene

        self._list, self._case = readingList, case
        # Before anything is in the scene, since it may be damaged.
        tracks = [readingList.track_of(item) for item in case.items]
        dates = [readingList.date(exam) for exam in case.exams]
        self.volumes, self._lesions = [], {}
        names = _names(case)
        try:
            for name, exam, read, date in zip(names, case.exams, exams, dates, strict=True):
                path, _spacing = readingList.image(exam)
                volume = scene.add_exam(name, path, read.pixels, read.spacing, read.window, date)
                self.volumes.append(volume)
            scene.keep_series(scene.by_date(self.volumes))
            for item, track in zip(case.items, tracks, strict=True):
                self._add(item, track)
        except MammoTrackerError:
            self.remove()
            raise

    def _add(self, item, track) -> None:
        """Put a lesion into the scene, its answer, and what was decided."""
        from MammoTrackerLib import scene

        key = item.lesion_id, item.marked
        lesion = self._lesions.get(key)
        if lesion is None:
            others = list(self._lesions.values())
            marked = self.volumes[item.marked]
            lesion = scene.add_marked(
                marked, item.lesion_id, item.prior_box, item.lesion_type, others
            )
            self._lesions[key] = lesion
        decision, box, _comment = self._list.decision_of(item)
        if track is not None:
            scene.show_answer(lesion, self.volumes[item.exam], track, decision, box)

    def isWhole(self) -> bool:
        """Whether all exams are in the scene still."""
        return all(volume.GetScene() for volume in self.volumes)

    def lesionOf(self, item):
        """Return the ROI of an item's lesion, or None if it was deleted."""
        lesion = self._lesions.get((item.lesion_id, item.marked))
        return lesion if lesion is not None and lesion.GetScene() else None

    def predictionOf(self, item):
        """Return the ROI of an item's answer, or None."""
        from MammoTrackerLib import scene

        lesion, volume = self.lesionOf(item), self.volumes[item.exam]
        if lesion is None or volume.GetScene() is None:
            return None
        return scene.prediction_of(lesion, volume)

    def itemOf(self, lesion, volume):
        """Return what is about this lesion on this exam, or None."""
        for item in self._case.items:
            if self.lesionOf(item) is lesion and self.volumes[item.exam] is volume:
                return item
        return None

    def remove(self) -> None:
        """Take the case out of the scene."""
        from MammoTrackerLib import scene

        scene.remove_exams(self.volumes, self._lesions.values())
        self.volumes, self._lesions = [], {}


def _names(case) -> list[str]:
    """Return names for the volumes of a case."""
    count = len(case.exams)
    if count == 2:
        kinds = [_("prior"), _("current")]
    else:
        kinds = [_("exam {number}").format(number=number) for number in range(1, count + 1)]
    return [f"{case.name} {kind}" for kind in kinds]

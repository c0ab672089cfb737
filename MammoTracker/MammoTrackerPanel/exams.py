"""The panel's exams: which they are, what is wrong with them, and what mends it."""

from __future__ import annotations

from dataclasses import replace

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from .exam_list import ExamList
from .plain_text import plain

FORCIBLE = {"laterality", "view"}
"""Kinds of problems of a pair that the user may know better."""


class Exams(VTKObservationMixin):
    """Proposes exams, shows what is wrong with them, and lets the user swap, force or scale them.

    Two are always shown: on the first of them, lesions are marked. All exams of that breast in
    that view are a series, on which lesions are followed.

    Parameters
    ----------
    ui
        The panel's widgets.
    onShown
        Called without arguments when what belongs to the pair is to be shown.
    onForced
        Called without arguments when the user forces the pair, or no longer does.
    onNew
        Called without arguments when two exams were selected, or got another pixel size.

    Attributes
    ----------
    parameters
        The module's parameter node, where the pair is selected, or None.
    pair
        The volume on which lesions are marked, the prior of two, and the one beside it, the
        current of two; either may be None.
    series
        The volumes on which lesions are followed, the pair among them, by date; two are the pair.
    """

    def __init__(self, ui, onShown, onForced, onNew) -> None:
        VTKObservationMixin.__init__(self)
        self._ui = ui
        self._onShown = onShown
        self._onNew = onNew
        self._lookPending = False
        self.parameters = None
        self.pair = None, None
        self.series = []
        self._proposed = self._leaving = None
        # Apart, since what has been observed is kept until all of a mixin's observers go.
        self._followed, self._changes = [], VTKObservationMixin()
        self._asked = []
        self._remarked, self._remarks = [], []
        self._list, self._listed = ExamList(ui, self._onChosen), []
        ui.swapButton.clicked.connect(self.onSwap)
        ui.spacingButton.clicked.connect(self.onSetSpacing)
        ui.forceCheckBox.toggled.connect(lambda _checked: onForced())
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self._onRemoving)
        self.addObserver(scene, scene.NodeAddedEvent, self.lookSoon)
        self.addObserver(scene, scene.NodeRemovedEvent, self.lookSoon)
        # What is drawn with Slicer's own tools has no place yet when it is added.
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        self.addObserver(interaction, interaction.InteractionModeChangedEvent, self.lookSoon)

    @property
    def isComplete(self) -> bool:
        """Whether two exams are selected."""
        prior, current = self.pair
        return bool(prior and current and prior is not current)

    @property
    def isSeries(self) -> bool:
        """Whether there are more than two exams."""
        return len(self.series) > 2

    @property
    def titles(self) -> list[str] | None:
        """What the two views are called; those of a pair in time have names of their own."""
        from MammoTrackerLib import scene

        if not self.isSeries and scene.are_in_order(self.series):
            return None
        titles = dict(zip(self.series, scene.exam_titles(self.series), strict=True))
        marked, beside = (titles[volume] for volume in self.pair)
        return [_("Marked: {exam}").format(exam=marked), beside]

    @property
    def isForced(self) -> bool:
        return self._ui.forceCheckBox.checked

    @property
    def isReady(self) -> bool:
        """Whether exams are selected that can be tracked, or that the user forces."""
        return self.isComplete and not any(
            problem.blocks and not (self.isForced and problem.kind in FORCIBLE)
            for problem in self._problems()
        )

    def lookSoon(self, _caller=None, _event=None) -> None:
        """Look at the scene once it has come to rest."""
        # Nodes arrive in bursts, and DICOM attributes after them.
        if not self._lookPending and not slicer.mrmlScene.IsClosing():
            self._lookPending = True
            qt.QTimer.singleShot(200, self.look)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onRemoving(self, _caller, _event, node) -> None:
        """Select nothing in place of an exam that goes; a selector alone would take another."""
        if node in self._selected():
            self._select(*(None if volume is node else volume for volume in self._selected()))
        elif node in self.series:
            self._leaving = node
            # Where the module is left, the pair is still what was selected last.
            self.pair = tuple(None if volume is node else volume for volume in self.pair)
            self._show()

    def look(self) -> None:
        """Propose a pair if none is selected, and show what belongs to the pair."""
        from MammoTrackerLib import scene

        self._lookPending, self._leaving = False, None
        if not self.parameters:
            return
        scene.remove_stranded(slicer.mrmlScene)
        self.pair = self._selected()
        isUntouched = self.pair == self._proposed and not scene.lesions(self.pair[0])
        if self.pair == (None, None) or isUntouched:
            pair = self._proposedPair()
            if pair and pair != self.pair:
                self._proposed = pair
                self._select(*pair)
                return
        self._show()

    def _proposedPair(self) -> tuple | None:
        """Return the two latest exams; of more than two, the last is the one to mark lesions on."""
        from MammoTrackerLib import scene

        volumes = self._volumes()
        pair = scene.propose_pair(volumes)
        return pair[::-1] if pair and len(scene.series_of(pair, volumes)) > 2 else pair

    def update(self) -> None:
        """Show the pair that is selected now, if it is another one."""
        pair = self._selected()
        if pair != self.pair:
            before, self.pair = self.series, pair
            self._findSeries()
            if not self.isSeries or self.series != before:
                self._ui.forceCheckBox.checked = False
                # What was tracked and written was of other exams.
                self._ui.statusLabel.text = self._ui.exportLabel.text = ""
                self._ui.progressBar.value = 0
            self._show()
            if self.isComplete:
                self._onNew()

    def select(self, marked, beside) -> None:
        """Show another two exams, of which lesions are marked on the first."""
        if self.parameters and (marked, beside) != self._selected():
            self._select(marked, beside)

    def _selected(self) -> tuple:
        parameters = self.parameters
        return (parameters.priorVolume, parameters.currentVolume) if parameters else (None, None)

    def _select(self, prior, current) -> None:
        with slicer.util.NodeModify(self.parameters):
            self.parameters.priorVolume, self.parameters.currentVolume = prior, current

    def _findSeries(self) -> None:
        """Find the exams that belong to the pair, and list those that may."""
        from MammoTrackerLib import MammoTrackerError, scene

        self.series, like = [volume for volume in self.pair if volume], []
        if self.isComplete:
            try:
                like = scene.exams_like(self.pair[0], self._volumes())
                series = scene.series_of(self.pair, self._volumes())
            except MammoTrackerError:  # one of the pair is no single slice, which is said
                like, series = [], []
            if len(series) > 2:
                self.series = series
        # What the user has forced into the series is listed, too.
        strange = [volume for volume in self.series if volume not in like] if like else []
        self._listed = scene.by_date([*like, *strange]) if strange else like
        self._list.show(self._listed, self.series)
        self._follow([*like, *self.series])

    def _follow(self, volumes: list) -> None:
        """Look anew when one of these is renamed, moved, or gets other pixels."""
        volumes = list(dict.fromkeys(volumes))
        if volumes != self._followed:
            self._changes.removeObservers()
            self._followed = volumes
            for volume in volumes:
                for event in (vtk.vtkCommand.ModifiedEvent, volume.TransformModifiedEvent):
                    self._changes.addObserver(volume, event, self.lookSoon)

    def removeObservers(self, method=None) -> None:
        VTKObservationMixin.removeObservers(self, method)
        self._changes.removeObservers()

    def _onChosen(self, volume, isChosen: bool) -> None:
        """Take an exam into the series, or out of it; others take its place in the pair."""
        from MammoTrackerLib import scene

        scene.choose_exam(volume, isChosen, self.pair)
        if volume in self.pair and not isChosen:
            others = [other for other in self.series if other not in self.pair]
            kept = [other for other in self.pair if other is not volume]
            if others:
                self.select(*kept, others[-1])
                return
            scene.choose_exam(volume, True)
        self._show()

    def _problems(self) -> list:
        """Return what is wrong with the exams, as far as the headers tell."""
        from MammoTrackerLib import MammoTrackerError, scene
        from MammoTrackerLib.pair import PairProblem, pair_problems, series_problems

        if not all(self.pair):
            return []
        volumes = self.series if self.isSeries else self.pair
        try:
            headers = [scene.header_of(volume) for volume in volumes]
            # Where a scene comes without its files, it knows the time between its exams.
            dates = scene.dates_of(volumes, headers)
            headers = [replace(h, date=date) for h, date in zip(headers, dates, strict=True)]
            return series_problems(headers) if self.isSeries else pair_problems(*headers)
        except MammoTrackerError as error:
            return [PairProblem(str(error), True, "image")]

    def remark(self, remarks: list[str]) -> None:
        """Say below the selectors what was guessed of these exams' files, and is doubtful now."""
        self._remarked, self._remarks = self.series, remarks
        self._show()

    def _doubts(self) -> list[str]:
        """Return what registration made doubtful about the exams beside the marked one."""
        from MammoTrackerLib import scene

        marked, doubts = self.pair[0], []
        for number, volume in enumerate(self.series, 1):
            for doubt in scene.doubts_of(marked, volume):
                pair = sorted((number, self.series.index(marked) + 1))
                text = _("Exams {first} and {second}: {doubt}") if self.isSeries else "{doubt}"
                doubts.append(text.format(first=pair[0], second=pair[1], doubt=doubt))
        return doubts

    def _show(self) -> None:
        from MammoTrackerLib import scene

        self._findSeries()
        ui, problems = self._ui, self._problems()
        kinds = {problem.kind for problem in problems}
        prior, current = self.pair
        if prior and prior is current:
            ui.pairLabel.text = _("Prior and current are the same image: select two exams.")
        elif not all(self.pair):
            ui.pairLabel.text = _("Select a prior and a current mammogram.")
        else:
            # Where an exam without a date stands here is said apart.
            doubts = [problem.message for problem in problems if problem.kind != "no date"]
            doubts += self._remarks if self._remarked == self.series else []
            doubts += self._doubts()
            doubts += self._unordered()
            doubts = list(dict.fromkeys(doubts)) or [self._summary()]
            ui.pairLabel.text = "\n".join(doubts) + self._hidden()
        ui.priorLabel.text = _("Marked on:") if self.isSeries else _("Prior:")
        ui.currentLabel.text = _("Beside it:") if self.isSeries else _("Current:")
        ui.forceCheckBox.visible = bool(kinds & FORCIBLE)
        ui.pairWidget.visible = self.isComplete
        ui.spacingWidget.visible = "spacing" in kinds
        if "spacing" in kinds:
            asked, before = self._spacingBoxes(), self._asked
            self._asked = [volume for volume, _box in asked]
            ui.currentSpacingSpinBox.visible = len(asked) > 1
            for number, (volume, box) in enumerate(asked):
                known = scene.header_of(volume).spacing
                box.enabled = known is None
                # Else the user may be typing.
                if known or before[number : number + 1] != [volume]:
                    box.value = known[0] if known else 0.0
        self._onShown()

    def _unordered(self) -> list[str]:
        """Return what there is to say where nobody knows in which order exams were taken."""
        from MammoTrackerLib import MammoTrackerError, scene

        try:
            dates = scene.dates_of(self.series) if self.isSeries else []
        except MammoTrackerError:
            return []
        numbers = [str(number) for number, date in enumerate(dates, 1) if date is None]
        if not numbers:
            return []
        text = _(
            "Without a date: exam {numbers}. Such exams come last, in the order in which they were "
            "loaded: make sure that it is that of their dates."
        )
        return [text.format(numbers=", ".join(numbers))]

    def _hidden(self) -> str:
        """Return what there is to say of lesions that are not listed, but marked on such exams."""
        from MammoTrackerLib import scene

        shown = self.series if self.isSeries else self.pair[:1]
        others = [volume for volume in self._listed if volume not in shown]
        count = sum(len(scene.lesions(volume)) for volume in others)
        text = _("Not listed, since on other exams that may show this breast: {n} of the lesions.")
        return "\n" + text.format(n=count) if count else ""

    def _summary(self) -> str:
        from MammoTrackerLib import scene

        prior, current = (scene.header_of(volume) for volume in self.pair)
        parts = [" ".join(filter(None, (current.laterality, current.view)))]
        years = scene.years_of(self.series) if self.isSeries else None
        if self.isSeries:
            parts.append(_("{n} exams").format(n=len(self.series)))
            if years:
                parts.append(_("{years:.1f} years").format(years=max(years)))
        elif prior.date and current.date:
            months = (current.date - prior.date).days / 30.44
            parts.append(_("{months:.0f} months apart").format(months=months))
        summary = ", ".join(filter(None, parts))
        return summary or _("The files do not say which breast, view and date they show.")

    def _spacingBoxes(self) -> list[tuple]:
        """Return volumes with the box for the pixel size of each.

        They are the pair, or the first two exams of a series of which it is unknown: these may be
        others than those that are shown.
        """
        from MammoTrackerLib import scene

        boxes = self._ui.priorSpacingSpinBox, self._ui.currentSpacingSpinBox
        volumes = self.pair
        if self.isSeries:
            volumes = [v for v in self.series if scene.header_of(v).spacing is None]
        return list(zip(volumes, boxes, strict=False))

    def onSwap(self) -> None:
        """Exchange prior and current."""
        prior, current = self.pair
        self._select(current, prior)

    def onSetSpacing(self) -> None:
        """Give the mammograms the pixel size that the user typed."""
        from MammoTrackerLib import MammoTrackerError, scene

        try:
            for volume, box in self._spacingBoxes():
                if box.enabled and box.value > 0:
                    scene.set_spacing(volume, box.value)
        except MammoTrackerError as error:
            slicer.util.errorDisplay(plain(str(error)))
        self._show()
        self._onNew()

    def _volumes(self) -> list:
        """Return the volumes of the scene but one that is about to leave it."""
        volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        return [volume for volume in volumes if volume is not self._leaving]

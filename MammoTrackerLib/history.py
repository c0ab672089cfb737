"""LesionHistory: one lesion on all exams of a breast in one view, marked on any of them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .box import Box
from .errors import MammoTrackerError
from .exams import Exam, Exams
from .lesion_size import MarkedSize
from .mammogram import Mammogram
from .metrics import center_distance
from .pair import check_box_on, check_series
from .track import Status, Track, as_percent

if TYPE_CHECKING:
    from .tracker import LesionTracker

SURE, FROM = 0.95, 0.9
"""From which probability on an exam is not reached on another way, too, and from which on other
exams are reached from it."""
AGREE_MM = 5.0
LEAST_CHANCE = 1e-3
ABSENT = 0.5
"""Under this probability of being there, a lesion counts as new or gone."""


@dataclass(frozen=True)
class ExamResult:
    """A lesion on one exam.

    Attributes
    ----------
    track
        The lesion (``prior_box``, on the exam on which it was marked) and where it is here
        (``box``, in pixels of this exam). Where the user decided, and on the marked exam: the
        user's box, score 1, found, without candidates; where the user says that it is not there:
        not found, score 0.
    sources
        The exams (indices) from which it was reached; empty where the user decided.
    by_user
        Whether the user marked, accepted, corrected or drew the box, or said that there is none.
    there
        Probability that the lesion is on this exam at all, 0 to 1: the highest on this exam and
        those beyond it, seen from the exam on which it was marked.
    """

    track: Track
    sources: tuple[int, ...]
    by_user: bool
    there: float

    def as_dict(self) -> dict:
        """Return the result as JSON can hold it, with exact numbers."""
        return {
            "track": self.track.as_dict(),
            "sources": list(self.sources),
            "by_user": self.by_user,
            "there": float(self.there),
        }

    @classmethod
    def from_dict(cls, values: dict) -> ExamResult:
        """Make the result again that `as_dict` described."""
        return cls(
            Track.from_dict(values["track"]),
            tuple(values["sources"]),
            values["by_user"],
            values["there"],
        )


@dataclass(frozen=True)
class LesionHistory:
    """A lesion on all exams of one breast in one view.

    Attributes
    ----------
    marked
        Index of the exam on which the user marked it.
    results
        One an exam, in the exams' order.
    """

    marked: int
    results: tuple[ExamResult, ...]

    @property
    def new(self) -> tuple[int, float] | None:
        """The first exam that shows it, and the probability that the nearest seen before does not.

        None if no exam before was seen without it.
        """
        shown, absent = self._seen()
        before = [k for k in absent if k < shown[0]]
        return (shown[0], 1 - self.results[before[-1]].there) if before else None

    @property
    def gone(self) -> tuple[int, float] | None:
        """The first exam after all that show it on which it was missed, and how likely it is gone.

        None if no exam after was seen without it.
        """
        shown, absent = self._seen()
        after = [k for k in absent if k > shown[-1]]
        return (after[0], 1 - self.results[after[0]].there) if after else None

    def _seen(self) -> tuple[list[int], list[int]]:
        """Return which exams show it, and which do not; of others nobody knows: just `ABSENT`."""
        there = list(enumerate(result.there for result in self.results))
        return [k for k, p in there if p > ABSENT], [k for k, p in there if p < ABSENT]

    def as_dict(self) -> dict:
        """Return the history as JSON can hold it, with exact numbers."""
        return {"marked": self.marked, "results": [result.as_dict() for result in self.results]}

    @classmethod
    def from_dict(cls, values: dict) -> LesionHistory:
        """Make the history again that `as_dict` described."""
        return cls(values["marked"], tuple(map(ExamResult.from_dict, values["results"])))


@dataclass(frozen=True)
class Way:
    """How an exam was reached: from which, the answer, and the product of the scores on the way."""

    source: int
    track: Track
    chance: float


def follow(
    tracker: LesionTracker,
    exams: Exams | Sequence[Mammogram | Exam | Callable[[], Mammogram]],
    boxes: Sequence[Box],
    marked: int,
    decided: Mapping[int, Mapping[int, Box | None]] | None = None,
    force: bool = False,
) -> list[LesionHistory]:
    """Find lesions that are marked on one exam on all the others.

    Every exam is reached from the one on which a lesion is marked, or from the nearest before and
    after it on which the user decided. Where the answer is not sure, it is reached from the
    nearest exams with a sure one, too; the likeliest way counts. The size of a mass that stands out
    is measured against the user's box by `lesion_size.MarkedSize`, too.

    Parameters
    ----------
    tracker
        Keeps its networks.
    exams
        2 to 30 mammograms of one breast in one view, in the order of their dates. Functions that
        read one are called once each, so that all of them need little memory. `Exams` also keep
        their alignments for another call.
    boxes
        The lesions, in pixels of ``exams[marked]``.
    marked
        Index of the exam on which they are marked.
    decided
        ``decided[k][exam]`` is where the user says that lesion k is on an exam, in its pixels (an
        answer accepted or corrected, a box drawn), or None: not there. Nothing of it is changed,
        and the exams between are reached from the nearest of these.
    force
        Follow although laterality or view differ.

    Returns
    -------
    list of LesionHistory
        One a lesion, in order.

    Raises
    ------
    MammoTrackerError
        If the exams or a box cannot be right.
    """
    if not isinstance(exams, Exams):
        exams = Exams(tracker, exams)
    if not 0 <= marked < len(exams):
        raise MammoTrackerError(
            f"The lesions are marked on exam {marked + 1}, but there are {len(exams)} exams."
        )
    fixed = [{**(decided or {}).get(k, {}), marked: box} for k, box in enumerate(boxes)]
    if not all(0 <= number < len(exams) for known in fixed for number in known):
        raise MammoTrackerError(
            f"Something was decided about an exam that is not one of the {len(exams)} exams."
        )
    check_series([exam.header for exam in exams], force)
    for known in fixed:
        for number, box in known.items():
            if box is not None:
                exam = exams[number]
                check_box_on(box, exam.size, exam.spacing, f"exam {number + 1}")

    ways = _reached(exams, [_from_anchors(known, len(exams)) for known in fixed], fixed)
    further = [_from_sure(found, known) for found, known in zip(ways, fixed, strict=True)]
    boxes_on = [
        {k: box for k, box in known.items() if box is not None}
        | {k: _likeliest(found).track.box for k, found in reached.items()}
        for known, reached in zip(fixed, ways, strict=True)
    ]
    for reached, more in zip(ways, _reached(exams, further, boxes_on, ways), strict=True):
        for k, found in more.items():
            reached[k] += found
    return [
        _history(exams, marked, box, known, reached)
        for box, known, reached in zip(boxes, fixed, ways, strict=True)
    ]


def _likeliest(ways: Sequence[Way]) -> Way:
    return max(ways, key=lambda way: way.chance)


def _from_anchors(known: Mapping[int, Box | None], count: int) -> list[tuple[int, int]]:
    """Pair each exam without a decision with the nearest before and after it that has a box."""
    anchors = [k for k, box in sorted(known.items()) if box is not None]
    pairs = []
    for k in (k for k in range(count) if k not in known):
        before = [a for a in anchors if a < k][-1:]
        after = [a for a in anchors if a > k][:1]
        pairs += [(a, k) for a in before + after]
    return pairs


def _from_sure(
    ways: Mapping[int, list[Way]], known: Mapping[int, Box | None]
) -> list[tuple[int, int]]:
    """Pair each exam that is not reached for sure with the nearest that are, on either side."""
    best = {k: _likeliest(found) for k, found in ways.items()}
    found = sorted(k for k, way in best.items() if way.chance >= FROM)
    pairs = []
    for k, way in best.items():
        if way.chance >= SURE:
            continue
        for side in ([s for s in found if s < k][-1:], [s for s in found if s > k][:1]):
            # Where the user decided nearer to this exam, that way was gone before.
            between = [range(s + 1, k) if s < k else range(k + 1, s) for s in side]
            if side and not any(known.get(b) is not None for b in between[0]):
                pairs.append((side[0], k))
    return pairs


def _reached(
    exams: Exams,
    pairs: Sequence[Sequence[tuple[int, int]]],
    boxes: Sequence[Mapping[int, Box]],
    ways: Sequence[Mapping[int, list[Way]]] | None = None,
) -> list[dict[int, list[Way]]]:
    """Go the ways (source, exam) of each lesion; lesions that share one are tracked at once."""
    lesions = defaultdict(list)
    for lesion, own in enumerate(pairs):
        for pair in own:
            lesions[pair].append(lesion)
    result: list[dict[int, list[Way]]] = [defaultdict(list) for _ in pairs]
    for (source, target), chosen in sorted(lesions.items()):
        tracks = exams.track(source, target, [boxes[k][source] for k in chosen])
        for k, track in zip(chosen, tracks, strict=True):
            chance = track.score
            if ways is not None:
                chance *= _likeliest(ways[k][source]).chance
            result[k][target].append(Way(source, track, chance))
    return result


def _history(
    exams: Exams,
    marked: int,
    lesion: Box,
    known: Mapping[int, Box | None],
    ways: Mapping[int, list[Way]],
) -> LesionHistory:
    sizes: dict[int, MarkedSize] = {}
    results = {
        k: by_user(lesion, known[k])
        if k in known
        else _measured(_combined(lesion, ways[k], exams, k), known, ways[k], exams, k, sizes)
        for k in range(len(exams))
    }
    # A lesion that is on an exam farther from where it is marked is on those between, too.
    for side in (range(marked), range(len(exams) - 1, marked, -1)):
        highest, seen_on = 0.0, 0
        for k in side:
            result = results[k]
            if result.there >= highest:
                highest, seen_on = result.there, k
            if not result.by_user:
                there = presence(highest, exams.tracker.presence)
                is_lost = result.track.status is Status.NOT_FOUND
                if is_lost and all(_is_off(way, exams, k) for way in ways[k]):
                    there = max(there, ABSENT)  # the exam does not show where it would be
                results[k] = _with_presence(result, there, seen_on, exams.tracker.thresholds[1])
    return LesionHistory(marked, tuple(results[k] for k in range(len(exams))))


def _is_off(way: Way, exams: Exams, number: int) -> bool:
    """Whether a lesion's place, by the registration on a way, is beyond an exam's image."""
    x, y = exams.alignment(way.source, number).map_box(way.track.prior_box).center
    columns, rows = exams[number].size
    return not (0 <= x <= columns and 0 <= y <= rows)


def _measured(
    result: ExamResult,
    known: Mapping[int, Box | None],
    ways: Sequence[Way],
    exams: Exams,
    number: int,
    sizes: dict[int, MarkedSize],
) -> ExamResult:
    """Correct the size of what was found, against the user's box on the exam that it is near.

    `sizes` keeps how large the lesion is there.
    """
    if not result.track.candidates:
        return result
    anchor = next(way.source for way in ways if way.source in known)
    matrix = exams.alignment(anchor, number).matrix
    if anchor not in sizes:
        sizes[anchor] = MarkedSize.of(exams[anchor], known[anchor])
    box = sizes[anchor].resized(exams[number], result.track.box, matrix)
    return replace(result, track=replace(result.track, box=box))


def presence(chance: float, coefficients: Sequence[float] | None) -> float:
    """Return the probability that a lesion is on an exam.

    Where scores are no probabilities nothing tells that a lesion is not there: at least `ABSENT`.

    Parameters
    ----------
    chance
        The highest score of the exam and those beyond it; 1 where the user says that it is there.
    coefficients
        Of a logistic regression on its logit; 0 and 1 leave it as it is. None for scores that are
        no probabilities.
    """
    if coefficients is None:
        return max(chance, ABSENT)
    if chance >= 1:
        return 1.0
    bias, slope = coefficients
    chance = min(max(chance, LEAST_CHANCE), 1 - LEAST_CHANCE)
    return 1 / (1 + math.exp(-bias - slope * math.log(chance / (1 - chance))))


def _with_presence(result: ExamResult, there: float, seen_on: int, sure: float) -> ExamResult:
    """Give a result the probability that the lesion is there, and say so where it counts."""
    track, more = result.track, ""
    if not track.candidates:  # nobody looked: it is too large, or its place is beyond the image
        return replace(result, there=max(there, ABSENT))
    if there < ABSENT:
        more = f" It is probably not there ({as_percent(1 - there)})."
    elif track.status is Status.NOT_FOUND and there > ABSENT:
        more = f" It should be there, since exam {seen_on + 1} shows it: look yourself."
    elif there < sure and track.status is Status.FOUND:
        more = f" It may not be there ({as_percent(1 - there)})."
    if there < sure and track.status is Status.FOUND:
        track = replace(track, status=Status.UNCERTAIN)
    return replace(result, track=replace(track, reason=track.reason + more), there=there)


def _combined(lesion: Box, ways: Sequence[Way], exams: Exams, number: int) -> ExamResult:
    """Take the likeliest way to an exam, and say where others lead elsewhere."""
    best = _likeliest(ways)
    spacing = exams[number].spacing
    uncertain, found = exams.tracker.thresholds
    same, apart = [], []
    for way in ways:
        off = center_distance(way.track.box, best.track.box, spacing)
        (same if off <= AGREE_MM else apart).append(way)
    status, reason = best.track.status, best.track.reason
    if best.chance < best.track.score:
        reason = f"{reason} In all, from exam {best.source + 1}: {as_percent(best.chance)}."
        if best.chance < found and status is Status.FOUND:
            status = Status.UNCERTAIN
        if best.chance < uncertain:
            status = Status.NOT_FOUND
    rivals = [way for way in apart if way.chance >= uncertain]
    if rivals and status in (Status.FOUND, Status.UNCERTAIN):
        status = Status.UNCERTAIN
        names = " and ".join(f"exam {way.source + 1}" for way in rivals)
        reason += f" From {names} another place was found: look yourself."
    track = replace(best.track, prior_box=lesion, score=best.chance, status=status, reason=reason)
    return ExamResult(track, tuple(sorted(way.source for way in same)), False, best.chance)


def by_user(lesion: Box, box: Box | None) -> ExamResult:
    """Make the result that the user decided: a lesion's box on an exam, or None where it is not."""
    if box is None:
        track = Track(lesion, lesion, 0.0, Status.NOT_FOUND, "Said not to be there.", (), lesion)
        return ExamResult(track, (), True, 0.0)
    track = Track(lesion, box, 1.0, Status.FOUND, "As marked.", (), box)
    return ExamResult(track, (), True, 1.0)

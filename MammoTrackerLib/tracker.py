"""LesionTracker: global search, local search and score refinement, in this order."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from pathlib import Path

from .box import Box
from .breast import is_on_breast
from .confidence import FAR_DOUBT, NEAR_CM, doubt, evidence, probability, rival_share
from .errors import MammoTrackerError
from .global_search import Alignment, align
from .local_search import Layers, search
from .mammogram import Mammogram
from .metrics import center_distance
from .networks.card import UNMEASURED, WEIGHTS, read_card, settings_of
from .networks.runtime import Networks, asked_for, open_networks
from .pair import check_box, check_pair
from .score_refinement import refine
from .settings import Settings
from .track import Candidate, Status, Track, as_percent

RIVAL_SHARE = 0.7


def rank(candidates: Sequence[Candidate], similarity_weight: float) -> tuple[Candidate, ...]:
    """Sort candidates by tracking score x similarity score ** weight, best first.

    Those that were not refined have the tracking score alone.
    """

    def worth(candidate: Candidate) -> float:
        similarity = candidate.similarity_score
        return candidate.tracking_score * (
            1 if similarity is None else similarity**similarity_weight
        )

    return tuple(sorted(candidates, key=worth, reverse=True))


def _is_on_prior(box: Box, alignment: Alignment) -> bool:
    return is_on_breast(box, alignment.prior_breast, alignment.prior_factor)


def _is_on_current(box: Box, alignment: Alignment) -> bool:
    """Whether a box's centre is on the image, and at least half of the box is breast."""
    is_on_image = box.onto(*alignment.current_size) == box
    return is_on_image and is_on_breast(box, alignment.current_breast, alignment.current_factor)


class LesionTracker:
    """Finds lesions of a prior mammogram on the current one.

    Parameters
    ----------
    settings
        Must fit the weights; if not given, those that the weights were trained with.
    weights
        Folder of the weights; those that ship if not given.
    runtime
        What runs the networks: "litert", "tensorflow", or "auto", which takes what the environment
        variable ``MAMMOTRACKER_RUNTIME`` says; without it TensorFlow where it is installed and
        there is an NVIDIA GPU, else LiteRT.

    Raises
    ------
    MammoTrackerError
        If the card of the weights is missing, incomplete or changed, or there is no such runtime.

    Attributes
    ----------
    networks
        None before they are loaded, by `load` or when first needed; then they are kept.

    Notes
    -----
    Results are deterministic for the same input, weights and runtime. LiteRT's and TensorFlow's
    differ by less than 0.01 pixels. Threads may share a tracker, whose networks they run one at a
    time; other processes may be given it.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        weights: Path | None = None,
        runtime: str = "auto",
    ) -> None:
        self.weights = WEIGHTS if weights is None else Path(weights)
        self._card = read_card(self.weights)
        self.settings = settings or settings_of(self._card)
        self.runtime = asked_for(runtime)
        self.networks: Networks | None = None
        self._prepared: tuple[tuple, Layers, Layers] | None = None

    def __getstate__(self) -> dict:
        """For another process, which loads the networks anew."""
        return {**self.__dict__, "networks": None, "_prepared": None}

    def load(self) -> Networks:
        """Load the networks, if they are not loaded yet.

        Raises
        ------
        MammoTrackerError
            If the weights fail their checksums or do not fit the settings, or the runtime is not
            installed or does not start.
        """
        if self.networks is None:
            self.networks = open_networks(self.settings, self.weights, self._card, self.runtime)
        return self.networks

    def track(
        self,
        prior: Mammogram,
        current: Mammogram,
        boxes: Sequence[Box],
        alignment: Alignment | None = None,
        force: bool = False,
    ) -> list[Track]:
        """Track lesions from the prior to the current mammogram.

        Parameters
        ----------
        prior, current
            Two exams of one breast in one view.
        boxes
            The lesions, in pixels of the prior.
        alignment
            Of this very pair, if it was made before; else it is made here, once for all boxes.
        force
            Track although laterality or view differ.

        Returns
        -------
        list of Track
            One per box, in order.

        Raises
        ------
        MammoTrackerError
            If the pair, a box or the alignment cannot be right.
        """
        if not force:
            check_pair(prior, current)
        for box in boxes:
            check_box(box, prior)
        self.load()
        if alignment is None:
            alignment = align(prior, current)
        elif not alignment.fits(prior, current):
            raise MammoTrackerError(
                "The alignment is of another pair: align these two mammograms, or give none."
            )
        prepared = self._prepared  # which another thread may replace
        pair = alignment, weakref.ref(prior), weakref.ref(current)
        if prepared is None or prepared[0] != pair:
            template_mm, search_mm = self.pixels_mm
            inverted = alignment.are_negative
            breast, factor = alignment.prior_breast, alignment.prior_factor
            before = Layers.of(prior, breast, factor, template_mm, inverted[0])
            breast, factor = alignment.current_breast, alignment.current_factor
            after = Layers.of(current, breast, factor, search_mm, inverted[1])
            self._prepared = prepared = pair, before, after
        return self.track_layers(boxes, alignment, *prepared[1:])

    @property
    def thresholds(self) -> tuple[float, float]:
        """Below which score a lesion is not found, and from which on it is."""
        s, calibration = self.settings, self._card.get("calibration")
        if calibration is None:
            return s.uncertain_score, s.found_score
        return calibration["uncertain_score"], calibration["found_score"]

    @property
    def presence(self) -> tuple[float, float] | None:
        """The coefficients of `history.presence`; None where a score is no probability."""
        if "presence" in self._card:
            return tuple(self._card["presence"])
        return (0.0, 1.0) if "calibration" in self._card else None

    @property
    def repeatability(self) -> dict:
        """How well sizes repeat with these weights, see `growth.error_mm`."""
        return self._card.get("repeatability", UNMEASURED)

    @property
    def pixels_mm(self) -> tuple[float, float]:
        """Sides of a pixel in mm that `Layers` of a prior and of a current have."""
        s = self.settings
        return s.template_mm / s.template_px, s.search_mm / s.search_px

    def track_layers(
        self, boxes: Sequence[Box], alignment: Alignment, prior: Layers, current: Layers
    ) -> list[Track]:
        """Track as `track` does, from what is kept of both; nothing is checked."""
        count = self.load().lesions_at_once
        groups = [boxes[k : k + count] for k in range(0, len(boxes), count)]
        return [
            track
            for group in groups
            for track in self._track_group(group, alignment, prior, current)
        ]

    def _track_group(
        self, boxes: Sequence[Box], alignment: Alignment, prior: Layers, current: Layers
    ) -> list[Track]:
        """Track lesions in one batch, as many as are tracked at once."""
        s, networks = self.settings, self.load()
        searched = [
            box
            for box in boxes
            if box.longest_side(prior.spacing) <= s.max_lesion_mm and _is_on_prior(box, alignment)
        ]
        found = {}
        if searched:
            candidates = search(networks.tracking, prior, current, searched, alignment, s)
            if networks.has_similarity:
                candidates = refine(
                    networks.similarity, prior, current, searched, candidates, alignment, s
                )
            found = dict(zip(searched, candidates, strict=True))
        return [self._track_of(box, found.get(box), alignment) for box in boxes]

    def _track_of(
        self, box: Box, candidates: tuple[Candidate, ...] | None, alignment: Alignment
    ) -> Track:
        """Choose among a lesion's candidates; without any it keeps the registration's box."""
        settings, registered = self.settings, alignment.map_box(box)
        size = alignment.current_size
        shown = registered.onto(*size)
        if not _is_on_prior(box, alignment):
            reason = "There is no breast in the box on the prior: check the box's coordinates."
            reason = " ".join([reason, *alignment.warnings])
            return Track(box, shown, 0.0, Status.NOT_FOUND, reason, (), shown)
        if shown != registered:
            beyond = "Registration expects it beyond the edge of the current image."
        elif not _is_on_current(registered, alignment):
            beyond = "Registration expects it in the air beside the breast on the current image."
        else:
            beyond = ""
        remarks = list(alignment.remarks)
        if candidates is None:
            status = Status.NOT_FOUND if beyond else Status.REGISTRATION
            kept = (
                f"The lesion is longer than {settings.max_lesion_mm:g} mm, so that the "
                "registration's box is kept."
            )
            reason = " ".join([beyond or kept, *alignment.warnings, *remarks])
            return Track(box, shown, 0.0, status, reason, (), shown)
        candidates = rank(candidates, settings.similarity_weight)
        candidates = tuple(c for c in candidates if _is_on_current(c.box, alignment))
        if not candidates:
            reason = beyond or "What looks most like the lesion lies in the air beside the breast."
            reason = " ".join([reason, *alignment.warnings, *remarks])
            return Track(box, shown, 0.0, Status.NOT_FOUND, reason, (), shown)
        score, why = candidates[0].score, "the best place is only somewhat alike"
        calibration = self._card.get("calibration")
        if calibration is not None:
            coefficients = calibration["coefficients"]
            values = evidence(candidates, registered, alignment)
            score = float(probability(values, coefficients))
            why = doubt(values, coefficients)
        status, reason = self._judge(score, why, candidates, alignment)
        far_mm = center_distance(candidates[0].box, registered, alignment.current_spacing)
        if beyond and status is not Status.FOUND:
            remarks.insert(0, beyond)
        elif status is not Status.NOT_FOUND and far_mm > 10 * NEAR_CM and FAR_DOUBT not in reason:
            remarks.insert(
                0, f"It is {far_mm:.0f} mm from where registration expects it: check the place."
            )
        reason = " ".join([reason, *remarks])
        return Track(box, candidates[0].box, score, status, reason, candidates, shown)

    def _judge(
        self, score: float, why: str, candidates: tuple[Candidate, ...], alignment: Alignment
    ) -> tuple[Status, str]:
        """Say the status and its reason; `why` one may doubt is the end of a sentence."""
        uncertain, found = self.thresholds
        is_calibrated = "calibration" in self._card
        what = f"probability {as_percent(score)}" if is_calibrated else f"score {score:.2f}"
        remarks = list(alignment.warnings)
        best, *others = candidates
        if rival_share(best, others) > RIVAL_SHARE:
            remarks.append(
                "Another place looks almost as much like the lesion: see the candidates."
            )
        if score < uncertain:
            reason = f"No place looks like the lesion ({what}): {why}."
            return Status.NOT_FOUND, " ".join([reason, *alignment.warnings])
        if score < found:
            unsure = f"Not sure ({what}): {why}."
            return Status.UNCERTAIN, " ".join([unsure, *remarks])
        if not is_calibrated and remarks:
            return Status.UNCERTAIN, " ".join(remarks)
        return Status.FOUND, " ".join([f"One place looks like the lesion ({what}).", *remarks])

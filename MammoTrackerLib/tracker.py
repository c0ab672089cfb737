"""LesionTracker: global search, local search and score refinement, in this order."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .box import Box
from .confidence import evidence, probability, rival_share
from .errors import MammoTrackerError
from .global_search import Alignment, align
from .local_search import Layers, search
from .mammogram import Header, Mammogram
from .score_refinement import refine
from .settings import Settings
from .track import Candidate, Status, Track

WEIGHTS = Path(__file__).parent / "weights"
RIVAL_SHARE = 0.7
TRACKING_FILE, SIMILARITY_FILE = "tracking.weights.h5", "similarity.weights.h5"
LESIONS_ON_GPU = 16
"""How many lesions of a pair run through the networks at once on a GPU; on a CPU each by itself, in
less memory."""


@dataclass(frozen=True)
class PairProblem:
    """Why two mammograms may be no pair of prior and current.

    Attributes
    ----------
    message
        A sentence for the user.
    blocks
        Whether tracking makes no sense; laterality and view can be forced nevertheless.
    kind
        "laterality", "view", "patient", "dates" or "spacing".
    """

    message: str
    blocks: bool
    kind: str


def pair_problems(prior: Header | Mammogram, current: Header | Mammogram) -> list[PairProblem]:
    """Compare what two mammograms' headers say; what is unknown is no problem but the spacing.

    Returns
    -------
    list of PairProblem
        Those that block first.
    """
    problems = [
        PairProblem(
            f"The {name}'s pixel spacing is unknown: enter the size of a pixel in mm.",
            True,
            "spacing",
        )
        for name, mammogram in (("prior", prior), ("current", current))
        if mammogram.spacing is None
    ]
    for kind in ("laterality", "view"):
        values = getattr(prior, kind), getattr(current, kind)
        if None not in values and values[0] != values[1]:
            message = (
                f"The prior's {kind} is {values[0]} and the current's {values[1]}: select two "
                "mammograms of one breast in one view, or force it if a header is wrong."
            )
            problems.append(PairProblem(message, True, kind))
    if None not in (prior.patient_id, current.patient_id) and (
        prior.patient_id != current.patient_id
    ):
        message = (
            "The two mammograms have different patient IDs: make sure that they show one woman."
        )
        problems.append(PairProblem(message, False, "patient"))
    if None not in (prior.date, current.date) and prior.date >= current.date:
        when = "on the day of" if prior.date == current.date else "after"
        message = f"The prior was taken {when} the current: make sure that they are not swapped."
        problems.append(PairProblem(message, False, "dates"))
    return problems


def check_pair(prior: Mammogram, current: Mammogram) -> None:
    """Refuse two mammograms that cannot show one lesion in one view.

    Raises
    ------
    MammoTrackerError
        If both headers give a laterality, or a view, and they differ.
    """
    for problem in pair_problems(prior, current):
        if problem.blocks:
            raise MammoTrackerError(problem.message)


def check_box(box: Box, mammogram: Mammogram) -> None:
    """Refuse a box that does not lie on the mammogram; one cut by the image's edge does.

    Raises
    ------
    MammoTrackerError
        If the box's centre is outside the image.
    """
    rows, columns = mammogram.pixels.shape
    x, y = box.center
    if not (0 <= x <= columns and 0 <= y <= rows):
        raise MammoTrackerError(
            f"The box {box} is outside the prior, which has {columns} x {rows} pixels "
            "(width x height): give x0 y0 x1 y1 inside it."
        )


def verify_weights(folder: Path = WEIGHTS) -> dict:
    """Check every weights file against the checksums of ``weights.json``.

    A similarity network is optional there: without it the tracking score is the score.

    Returns
    -------
    dict
        The content of ``weights.json``.

    Raises
    ------
    MammoTrackerError
        If a file is missing, or is not the one that was released.
    """
    try:
        card = json.loads((folder / "weights.json").read_text())
        checksums = card["sha256"]
        for name in (TRACKING_FILE, SIMILARITY_FILE):
            if name == SIMILARITY_FILE and name not in checksums:
                continue
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != checksums[name]:
                raise MammoTrackerError(
                    f"The weights file {name} is damaged or was changed (its checksum is wrong): "
                    "install MammoTracker again."
                )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MammoTrackerError(
            "The weights are missing or incomplete: install MammoTracker again."
        ) from error
    return card


def released_settings(folder: Path = WEIGHTS) -> Settings:
    """Return the settings that ``weights.json`` names; the defaults where it names none.

    Raises
    ------
    MammoTrackerError
        If the file is missing, or names settings that this version does not have.
    """
    try:
        values = json.loads((folder / "weights.json").read_text()).get("settings", {})
        # JSON has lists where the settings have tuples.
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return Settings(**values)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise MammoTrackerError(
            f"The weights in {folder} are missing, incomplete or of another version of "
            "MammoTracker: install it again, or choose another folder."
        ) from error


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


def _has_gpu() -> bool:
    """Whether TensorFlow runs the networks, on a GPU."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


class LesionTracker:
    """Finds lesions of a prior mammogram on the current one.

    Parameters
    ----------
    settings
        Must fit the weights; if not given, those that the weights were trained with.
    weights
        Folder of the weights; those that ship if not given.

    Raises
    ------
    MammoTrackerError
        If no settings are given and the weights do not say theirs.

    Attributes
    ----------
    lesions_at_once
        How many lesions of a pair are at most one batch for the networks: one, or 16 on a GPU.

    Notes
    -----
    The networks are loaded by `load`, or when first needed, and then kept. Results are
    deterministic for the same input and weights. A GPU is used if TensorFlow finds one.
    """

    def __init__(self, settings: Settings | None = None, weights: Path | None = None) -> None:
        self.weights = WEIGHTS if weights is None else Path(weights)
        self.settings = settings or released_settings(self.weights)
        self._tracking = None
        self._similarity = None
        self._calibration: dict | None = None
        self.lesions_at_once = 1
        self._prepared: tuple[Alignment, Layers, Layers] | None = None

    def load(self) -> None:
        """Load the networks and run them once, so that the first lesion is as fast as the next.

        Raises
        ------
        MammoTrackerError
            If the weights fail their checksums or do not fit the settings.
        """
        if self._tracking is not None:
            return
        card = verify_weights(self.weights)
        self._calibration = card.get("calibration")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        from .networks.similarity import SimilarityNetwork
        from .networks.tracking import TrackingNetwork

        s = self.settings
        self.lesions_at_once = LESIONS_ON_GPU if _has_gpu() else 1
        network = TrackingNetwork(s.template_px, s.correlation_px)
        tracking = self._loaded(network, TRACKING_FILE, (len(s.passes),) * 3)
        if SIMILARITY_FILE in card["sha256"]:
            network = SimilarityNetwork(s.refinement_px)
            self._similarity = self._loaded(network, SIMILARITY_FILE, (1, s.max_candidates))
        self._tracking = tracking
        self.run_networks(1)
        if self.lesions_at_once > 1:
            import tensorflow as tf

            try:
                self.run_networks(self.lesions_at_once)
            except tf.errors.ResourceExhaustedError:  # the GPU's memory is too small for so many
                self.lesions_at_once = 1

    def _loaded(self, network, name: str, per_lesion: tuple[int, ...]) -> Callable:  # noqa: ANN001
        """Load a network's weights; `per_lesion` is how long its inputs are for one lesion.

        Returns
        -------
        callable
            Runs it for one lesion, or for several, filled up to `lesions_at_once` by repeating the
            last: it is compiled for these two shapes only.
        """
        import keras

        try:
            network.load_weights(self.weights / name)
        except (OSError, ValueError) as error:
            raise MammoTrackerError(
                f"The weights file {name} does not fit these settings: use the settings that "
                "it was trained with."
            ) from error
        run = network.predict_on_batch
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            run = tf.function(lambda inputs: network(inputs), autograph=False)

        def run_filled(inputs: tuple[np.ndarray, ...]):  # noqa: ANN202
            if len(inputs[0]) > per_lesion[0]:
                missing = self.lesions_at_once - len(inputs[0]) // per_lesion[0]
                inputs = tuple(
                    np.concatenate([a, np.repeat(a[-1:], missing * count, axis=0)])
                    for a, count in zip(inputs, per_lesion, strict=True)
                )
            return run(inputs)

        return run_filled

    def run_networks(self, lesions: int) -> None:
        """Run the networks once for so many lesions that show nothing: to warm up, or to time."""
        s = self.settings

        def patches(per_lesion: int, side: int) -> np.ndarray:
            return np.zeros((lesions * per_lesion, side, side, 3), np.float32)

        passes = len(s.passes)
        sizes = np.ones((lesions * passes, 2), np.float32)
        outputs = self._tracking(
            (patches(passes, s.template_px), patches(passes, s.search_px), sizes)
        )
        if self._similarity is not None:
            pair = patches(1, s.refinement_px), patches(s.max_candidates, s.refinement_px)
            outputs = (*outputs, *self._similarity(pair))
        for output in outputs:
            np.asarray(output)

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
            If the pair or a box cannot be right.
        """
        if not force:
            check_pair(prior, current)
        for box in boxes:
            check_box(box, prior)
        self.load()
        if alignment is None:
            alignment = align(prior, current)
        if self._prepared is None or self._prepared[0] is not alignment:
            template_mm = self.settings.template_mm / self.settings.template_px
            search_mm = self.settings.search_mm / self.settings.search_px
            self._prepared = (
                alignment,
                Layers.of(prior, alignment.prior_breast, alignment.prior_factor, template_mm),
                Layers.of(current, alignment.current_breast, alignment.current_factor, search_mm),
            )
        count = self.lesions_at_once
        groups = [boxes[k : k + count] for k in range(0, len(boxes), count)]
        return [track for group in groups for track in self._track_group(group, *self._prepared)]

    def _track_group(
        self, boxes: Sequence[Box], alignment: Alignment, prior: Layers, current: Layers
    ) -> list[Track]:
        """Track lesions in one batch, as many as are tracked at once."""
        s = self.settings
        searched = [box for box in boxes if box.longest_side(prior.spacing) <= s.max_lesion_mm]
        found = {}
        if searched:
            candidates = search(self._tracking, prior, current, searched, alignment, s)
            if self._similarity is not None:
                candidates = refine(
                    self._similarity, prior, current, searched, candidates, alignment, s
                )
            found = dict(zip(searched, candidates, strict=True))
        return [self._track_of(box, found.get(box), alignment) for box in boxes]

    def _track_of(
        self, box: Box, candidates: tuple[Candidate, ...] | None, alignment: Alignment
    ) -> Track:
        """Choose among a lesion's candidates; without any it keeps the registration's box."""
        settings, registered = self.settings, alignment.map_box(box)
        if candidates is None:
            return Track(
                box, registered, 0.0, Status.REGISTRATION,
                f"The lesion is longer than {settings.max_lesion_mm:g} mm, so that the "
                "registration's box is kept.",
                (), registered,
            )  # fmt: skip
        candidates = rank(candidates, settings.similarity_weight)
        score = candidates[0].score
        if self._calibration is not None:
            coefficients = self._calibration["coefficients"]
            values = evidence(candidates, registered, alignment)
            score = float(probability(values, coefficients))
        status, reason = self._judge(score, candidates, alignment)
        return Track(box, candidates[0].box, score, status, reason, candidates, registered)

    def _judge(
        self, score: float, candidates: tuple[Candidate, ...], alignment: Alignment
    ) -> tuple[Status, str]:
        found, uncertain = self.settings.found_score, self.settings.uncertain_score
        what = f"score {score:.2f}"
        if self._calibration is not None:
            found = self._calibration["found_score"]
            uncertain = self._calibration["uncertain_score"]
            what = f"probability {100 * score:.0f} %"
        remarks = list(alignment.warnings)
        best, *others = candidates
        if rival_share(best, others) > RIVAL_SHARE:
            remarks.append(
                "Another place looks almost as much like the lesion: see the candidates."
            )
        if score < uncertain:
            return Status.NOT_FOUND, f"No place looks like the lesion ({what})."
        if score < found:
            doubt = f"The best place is only somewhat alike ({what})."
            return Status.UNCERTAIN, " ".join([doubt, *remarks])
        if self._calibration is None and remarks:
            return Status.UNCERTAIN, " ".join(remarks)
        return Status.FOUND, " ".join([f"One place looks like the lesion ({what}).", *remarks])

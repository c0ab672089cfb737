"""Settings: every number of the three steps, with the paper's value beside each."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import MammoTrackerError

TEMPLATE_INPUTS = ("mask-guided", "crop-and-resize", "masked")


@dataclass(frozen=True)
class Settings:
    """Sizes and thresholds of the tracker.

    The defaults are those of the weights that ship; `PAPER` holds the paper's own. Patches are
    square. A network can only be run with the sizes, the template input and the centre-ness that
    it was trained with.

    Attributes
    ----------
    template_mm, template_px
        Side of the template patch, cut around the lesion on the prior (section 3.1: 80 mm at
        512 px).
    search_mm, search_px
        Side of the search patch, cut around the registered point on the current mammogram
        (section 3.1: 110 mm at 1024 px).
    refinement_mm, refinement_px, refinement_scale
        Side of both patches of the score refinement: so many times the lesion's longest side,
        but within this range (section 3.3: always the local search's patches, at 512 px).
    refine_around_candidate
        Whether the score refinement cuts its patch around the candidate box. The paper shows
        the whole search patch, with the candidate as its mask.
    correct_boxes
        Whether the score refinement also corrects the candidates' boxes (the paper: no).
    correlation_px
        Side of the template's central features that are correlated (section 3.2: 7).
    template_input
        What the template shows (figure 2): "crop-and-resize" (a), the lesion's box alone, with
        its sides stretched to those of the patch; "mask-guided" (b), the patch and the box as
        mask channel; "masked" (c), the patch with everything outside the box blanked.
    centreness
        Whether the tracking score is centre-ness x classification, or classification alone
        (table 3).
    zooms
        Scales at which the local search is run and averaged (the paper: once).
    mirror
        Whether each scale is also run on the mirrored patches (the paper: no).
    prior_sigma_mm
        Standard deviation of a Gaussian belief around the registered point that multiplies
        the tracking score; infinite for none (the paper: none).
    wide_below, wide_dice, wide_mm
        If the best tracking score is lower than the first, and the breasts' outlines overlap by
        less than the second (Dice) after registration, search patches are also cut around points
        at this distance from the registered one, in as many directions as there are passes; what
        reaches the first there is a candidate too (the paper: never).
    nms_iou, min_tracking_score
        Non-maximum suppression and the least score of a candidate (section 3.3: 0.7, 0.05).
    max_candidates
        Number of candidates that are refined and reported.
    similarity_weight
        Candidates are ranked by tracking score x similarity score ** this (section 3.3: 1). At 0
        the local search alone chooses the place.
    max_lesion_mm
        A lesion of which a side is longer keeps the registration's box (section 3.1: the
        template size).
    found_score, uncertain_score
        A lesion is called found from the first score on, and not found below the second. The
        score is tracking score x similarity score of the chosen candidate. Weights with a
        calibration bring thresholds of their own, for the probability.

    Raises
    ------
    MammoTrackerError
        If there is no such template input.
    """

    template_mm: float = 44.8
    template_px: int = 160
    search_mm: float = 85.12
    search_px: int = 304
    refinement_mm: tuple[float, float] = (20.0, 67.2)
    refinement_px: int = 192
    refinement_scale: float = 2.5
    refine_around_candidate: bool = True
    correct_boxes: bool = True
    correlation_px: int = 7
    template_input: str = "mask-guided"
    centreness: bool = True
    zooms: tuple[float, ...] = (0.85, 1.0, 1.2)
    mirror: bool = True
    prior_sigma_mm: float = float("inf")
    wide_below: float = 0.15
    wide_dice: float = 0.95
    wide_mm: float = 45.0
    nms_iou: float = 0.7
    min_tracking_score: float = 0.05
    max_candidates: int = 5
    similarity_weight: float = 1.0
    max_lesion_mm: float = 44.8
    found_score: float = 0.15
    uncertain_score: float = 0.05

    def __post_init__(self) -> None:
        if self.template_input not in TEMPLATE_INPUTS:
            raise MammoTrackerError(
                f"There is no template input {self.template_input}: choose one of "
                f"{', '.join(TEMPLATE_INPUTS)}."
            )

    @property
    def passes(self) -> tuple[tuple[float, int], ...]:
        """The runs of the local search for one lesion: each one's zoom, and -1 if mirrored."""
        signs = (1, -1) if self.mirror else (1,)
        return tuple((zoom, sign) for zoom in self.zooms for sign in signs)

    @property
    def search_per_template_pixel(self) -> float:
        """How many pixels of the search patch one pixel of the template patch is long."""
        return (self.template_mm / self.template_px) / (self.search_mm / self.search_px)


PAPER = Settings(
    template_mm=80.0,
    template_px=512,
    search_mm=110.0,
    search_px=1024,
    refinement_mm=(110.0, 110.0),
    refinement_px=512,
    refine_around_candidate=False,
    correct_boxes=False,
    zooms=(1.0,),
    mirror=False,
    wide_below=0.0,
    max_candidates=100,
    similarity_weight=1.0,
    max_lesion_mm=80.0,
)

"""The affine map of two mammograms: by gradient descent, by block matching, or of other turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk

from .block_matching import block_matched
from .likeness import Anchors, Overlay
from .likeness import dice as dice_of
from .orientation import UNTURNED, Turn
from .reduced import Picture, Reduced
from .start import Rotated, rotations, usual_start, wide_starts

SCALE_RANGE, MAX_SCALE_RATIO, MAX_ROTATION = (0.8, 1.3), 1.3, 25.0
MAX_DICE_LOSS, WIDE_STARTS = 0.06, 4
MIN_AGREEMENT, LIKELY_AGREEMENT, SURE_AGREEMENT, CLEAR_AGREEMENT = 0.3, 0.4, 0.5, 0.7
MIN_AGREEMENT_GAIN, MIN_MATCHED_GAIN = 0.1, 0.05
MIN_WORTH, MIN_GAIN, MIN_TURN_GAIN, MIN_TURN_DICE = 7.0, 1.1, 1.2, 0.9


@dataclass(frozen=True, eq=False)
class Fit:
    """An affine map of the prior to the turned current, where it began, and how well it fits."""

    turn: Turn
    moving: Picture
    start: sitk.AffineTransform
    affine: sitk.AffineTransform
    stage: str
    dice: float
    worth: float
    anchors: Anchors

    @property
    def agreement(self) -> float:
        return self.anchors.agreement()


def best_fit(fixed: Picture, after: Reduced, turn: Turn) -> Fit:
    """Find the affine map of the prior to the current.

    Parameters
    ----------
    fixed
        The prior.
    after
        The current as it is stored.
    turn
        How it lies by what headers and outlines say.
    """
    rotated, moving = rotations(fixed), Picture.of(after, turn)
    best = _matched(fixed, _fitted(fixed, moving, turn, usual_start(rotated, moving)))
    if best.agreement >= SURE_AGREEMENT:
        return best
    stored = moving if turn == UNTURNED else Picture.of(after)
    other = _best_of_all(fixed, rotated, stored, after, best)
    return best if other is best else _matched(fixed, other)


def _fitted(fixed: Picture, moving: Picture, turn: Turn, start: sitk.AffineTransform) -> Fit:
    """Refine a start by the two affine stages."""
    affine, stage = start, "start"
    dice = dice_of(fixed, moving, affine)
    for name in ("coarse", "affine"):
        try:
            tried = _register_affine(fixed, moving, affine, coarse=name == "coarse")
        except RuntimeError:  # ITK gives up where the images do not overlap
            continue
        overlap = dice_of(fixed, moving, tried)
        if _is_plausible(tried) and overlap >= dice - MAX_DICE_LOSS:
            affine, stage, dice = tried, name, overlap
    overlay = Overlay.of(fixed, moving, affine)
    return Fit(turn, moving, start, affine, stage, dice, overlay.likeness(), overlay.anchors())


def _matched(fixed: Picture, fit: Fit) -> Fit:
    """Match blocks where few anchor points agree; take that if more of them do then.

    They are matched from the fit, and if that does not do, from its start: where few points agree
    the affine stages may have led away. Where two fifths agree then, the map's scales may be
    implausible, and where half do, the outlines may overlap less.
    """
    best = fit
    for first in dict.fromkeys((fit.affine, fit.start)):  # one, where both stages failed
        if best.agreement >= CLEAR_AGREEMENT:
            break
        affine = block_matched(fixed, fit.moving, first)
        if affine is None:
            break
        overlay = Overlay.of(fixed, fit.moving, affine)
        anchors = overlay.anchors()
        agreement = anchors.agreement()
        if not agreement > max(MIN_AGREEMENT, best.agreement + MIN_MATCHED_GAIN):
            continue
        dice = dice_of(fixed, fit.moving, affine)
        is_likely = _is_plausible(affine) or agreement >= LIKELY_AGREEMENT
        is_sound = is_likely and dice >= fit.dice - MAX_DICE_LOSS
        if is_sound or agreement >= SURE_AGREEMENT:
            best = replace(
                fit,
                affine=affine,
                stage="affine",
                dice=dice,
                worth=overlay.likeness(),
                anchors=anchors,
            )
    return best


def _best_of_all(
    fixed: Picture, rotated: Sequence[Rotated], stored: Picture, after: Reduced, usual: Fit
) -> Fit:
    """Try other places, images that show a part of the breast, and all turns of the current.

    Where the usual fit agrees more than two different breasts do, its turn is right, or the best
    start's: a breast may look alike upside down. The fit with clearly most agreement is taken; or,
    where too little breast is shared to say, the one whose tissue is most alike. Where the usual
    fit is no better than nonsense, blocks are matched for the best start's turn, too.
    """
    best, starts = usual, wide_starts(rotated, stored)
    likely = starts[0].turn
    if usual.agreement >= MIN_AGREEMENT:
        starts = [start for start in starts if start.turn in (usual.turn, likely)]
    for start in starts[:WIDE_STARTS]:
        moving = usual.moving if start.turn == usual.turn else Picture.of(after, start.turn)
        fit = _fitted(fixed, moving, start.turn, start.affine)
        if start.turn == likely != usual.turn and usual.agreement < MIN_AGREEMENT:
            fit = _matched(fixed, fit)
        if _is_better(fit, best, MIN_AGREEMENT_GAIN if best is usual else 0.0):
            best = fit
    return best


def _is_better(fit: Fit, other: Fit, gain: float) -> bool:
    is_turned = fit.turn != other.turn  # nonsense is as much alike in any turn
    is_likely = fit.stage == "affine" and fit.dice >= MIN_TURN_DICE
    if is_turned and not (is_likely or fit.agreement >= SURE_AGREEMENT):
        return False
    if not np.isnan(fit.agreement + other.agreement):
        return fit.agreement > max(MIN_AGREEMENT, other.agreement + gain)
    worth = fit.worth / (MIN_TURN_GAIN if is_turned else 1.0)
    return worth > max((MIN_GAIN if gain else 1.0) * other.worth, MIN_WORTH)


def _is_plausible(affine: sitk.AffineTransform) -> bool:
    """Tell whether a change between two exams can explain the map."""
    matrix = np.array(affine.GetMatrix()).reshape(2, 2)
    if np.linalg.det(matrix) <= 0:  # flips the breast
        return False
    left, scales, right = np.linalg.svd(matrix)
    rotation = left @ right
    degrees = np.degrees(np.arctan2(rotation[1, 0], rotation[0, 0]))
    return bool(
        scales[0] <= SCALE_RANGE[1]
        and scales[1] >= SCALE_RANGE[0]
        and scales[0] / scales[1] <= MAX_SCALE_RATIO
        and abs(degrees) <= MAX_ROTATION
    )


def _method(shrink: int, sigma: float, mask: sitk.Image | None) -> sitk.ImageRegistrationMethod:
    """Correlation at one resolution; one thread, so that the result is always the same."""
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsCorrelation()
    if mask is not None:
        method.SetMetricFixedMask(mask)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetShrinkFactorsPerLevel([shrink])
    method.SetSmoothingSigmasPerLevel([sigma])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    return method


def _register_affine(
    prior: Picture, current: Picture, initial: sitk.AffineTransform, coarse: bool
) -> sitk.AffineTransform:
    if coarse:
        fixed, moving, step, iterations = prior.coarse, current.coarse, 4.0, 40
        method = _method(4, 2.0, None)
    else:
        fixed, moving, step, iterations = prior.fine, current.fine, 1.0, 30
        method = _method(2, 1.0, prior.mask)
    method.SetOptimizerAsRegularStepGradientDescent(step, 0.05, iterations, 0.5)
    method.SetOptimizerScalesFromPhysicalShift()
    result = sitk.AffineTransform(initial)
    method.SetInitialTransform(result, inPlace=True)
    method.Execute(fixed, moving)
    return result

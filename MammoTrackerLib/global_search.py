"""Global search: registration of two mammograms (paper, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from .affine import (
    MAX_DICE_LOSS,
    MIN_AGREEMENT,
    Fit,
    best_fit,
)
from .box import Box
from .likeness import Overlay
from .likeness import dice as dice_of
from .mammogram import Mammogram
from .orientation import MIRRORED, TURNS, UNTURNED, Turn, is_quarter, stated_turn, turned
from .reduced import Picture, Reduced, side
from .thin_plate import thin_plate

PLAUSIBLE_DICE, PARTIAL_SHARE = 0.93, 0.6


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where the prior's points are on the current mammogram.

    Attributes
    ----------
    matrix, offset
        (2, 2) and (2,): the affine map from millimetres of the prior to millimetres of the
        current, both from the image's top-left corner.
    transform
        The whole map as a SimpleITK transform of the same millimetres: the affine map, after
        a thin-plate spline where one was accepted.
    prior_spacing, current_spacing
        (x, y) in mm.
    prior_size
        (columns, rows) of the prior.
    prior_breast, current_breast
        (rows, columns) bool outlines, and how many image pixels one of theirs stands for:
        ``prior_factor``, ``current_factor`` (x, y).
    stage
        The last step that was accepted: "start", "coarse", "affine" or "thin-plate
        spline".
    dice
        Overlap of the two breast outlines after alignment, 0 to 1.
    agreement
        Share of anchor points in the tissue that moved as those around them did, 0 to 1 (see
        `likeness.Overlay`): about a fifth on two different breasts; NaN where one cannot say.
    warnings
        Sentences about what is implausible; empty for a plausible result.
    remarks
        Sentences about what was done to make the images fit.
    is_sideways
        Whether one image lies on its side, so that widths become heights.
    are_negative
        Whether the prior, and whether the current, shows dense tissue dark.
    """

    matrix: np.ndarray
    offset: np.ndarray
    transform: sitk.Transform
    prior_spacing: tuple[float, float]
    current_spacing: tuple[float, float]
    prior_size: tuple[int, int]
    prior_breast: np.ndarray
    current_breast: np.ndarray
    prior_factor: np.ndarray
    current_factor: np.ndarray
    stage: str
    dice: float
    agreement: float
    warnings: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    is_sideways: bool = False
    are_negative: tuple[bool, bool] = (False, False)

    @property
    def current_size(self) -> tuple[int, int]:
        """(columns, rows) of the current, but for a rest of less than an outline's pixel."""
        columns, rows = self.current_breast.shape[::-1] * np.asarray(self.current_factor)
        return int(columns), int(rows)

    def fits(self, prior: Mammogram, current: Mammogram) -> bool:
        """Whether these have the sizes and spacings of the two that were aligned."""
        shown = tuple(np.floor_divide(current.size, self.current_factor).tolist())
        known = self.prior_size, self.current_breast.shape[::-1]
        spacings = self.prior_spacing, self.current_spacing
        return (known, spacings) == ((prior.size, shown), (prior.spacing, current.spacing))

    def map_points(self, points: np.ndarray) -> np.ndarray:
        """Map (n, 2) x, y pixels of the prior to (n, 2) pixels of the current.

        Beyond the pixels that were registered the affine map goes on, where the spline would end
        with a jump.
        """
        points = np.atleast_2d(np.asarray(points, float))
        inside = np.clip(points, 0, self.prior_breast.shape[::-1] * self.prior_factor)
        mapped = [self.transform.TransformPoint(p) for p in (inside * self.prior_spacing).tolist()]
        mapped = np.array(mapped).reshape(-1, 2)
        mapped += (points - inside) * self.prior_spacing @ self.matrix.T
        return mapped / self.current_spacing

    def map_box(self, box: Box) -> Box:
        """Map a box: its centre as a point, its sides by the affine map's scale along each."""
        x, y = self.map_points(np.array(box.center))[0]
        x_scale, y_scale = np.linalg.norm(self.matrix, axis=0)
        width = box.width * x_scale * self.prior_spacing[0]
        height = box.height * y_scale * self.prior_spacing[1]
        if self.is_sideways:
            width, height = height, width
        return Box.from_center(
            x, y, width / self.current_spacing[0], height / self.current_spacing[1]
        )

    def grid(self, step_mm: float = 5.0) -> np.ndarray:
        """Sample the map at a regular grid of nodes, the outer ones on the prior's edges.

        Parameters
        ----------
        step_mm
            The largest distance of neighbouring nodes.

        Returns
        -------
        numpy.ndarray
            (rows, columns, 4) float64: x, y in pixels of the prior, then x, y in pixels of
            the current.
        """
        counts = np.ceil(np.multiply(self.prior_size, self.prior_spacing) / step_mm).astype(int) + 1
        x, y = (np.linspace(0, n, count) for n, count in zip(self.prior_size, counts, strict=True))
        nodes = np.stack(np.meshgrid(x, y), axis=-1)
        return np.concatenate(
            [nodes, self.map_points(nodes.reshape(-1, 2)).reshape(nodes.shape)], axis=-1
        )


def align(prior: Mammogram, current: Mammogram, spline: bool = True) -> Alignment:
    """Register two mammograms of one breast and view.

    The paper's affine registration on shrunken images (section 3.1), made robust: local contrast
    in place of intensity, a start from correlation over all shifts, two affine stages, blocks of
    tissue that are matched where few anchor points agree, then a thin-plate spline through those
    that do. A stage whose result is implausible, or aligns the outlines worse, is undone.
    A pair whose images face opposite ways is registered after mirroring the current.

    Parameters
    ----------
    prior, current
        Of one breast in one view; `tracker.check_pair` checks what the headers say.
    spline
        Whether to follow the anchor points.

    Returns
    -------
    Alignment
        Deterministic for the same input.
    """
    return align_reduced(Reduced.of(prior), Reduced.of(current), spline)


def align_reduced(before: Reduced, after: Reduced, spline: bool = True) -> Alignment:
    """Register as `align` does, from what is kept of the prior and the current."""
    sitk.ProcessObject.GlobalWarningDisplayOff()
    fixed = Picture.of(before)
    best = best_fit(fixed, after, _usual_turn(before, after))
    transform, dice, agreement = best.affine, best.dice, best.agreement
    if spline and best.agreement >= MIN_AGREEMENT:
        transform, dice, agreement = _with_spline(fixed, best, before)
    stage = best.stage if transform is best.affine else "thin-plate spline"
    warnings = _negatives(before, after) + _warnings(stage, dice, agreement, fixed, best)
    remarks = []
    if best.turn != UNTURNED:
        remarks.append(f"The current image was {TURNS[best.turn]} to fit the prior.")
    # From the whole stored images' corners, not those of the pictures.
    back = sitk.AffineTransform(2)
    linear = np.array(best.turn)
    extent = best.moving.size[::-1] if is_quarter(best.turn) else best.moving.size
    corner = after.corner + extent / 2 - linear @ best.moving.size / 2
    back.SetMatrix(linear.ravel().astype(float).tolist())
    back.SetTranslation(corner.tolist())
    parts = [transform]
    if best.turn != UNTURNED or corner.any():
        parts.insert(0, back)
    if before.corner.any():
        parts.append(sitk.TranslationTransform(2, (-before.corner).tolist()))
    offset = np.array(best.affine.TransformPoint((-before.corner).tolist()))
    return Alignment(
        matrix=linear @ np.array(best.affine.GetMatrix()).reshape(2, 2),
        offset=linear @ offset + corner,
        transform=sitk.CompositeTransform(parts) if len(parts) > 1 else transform,
        prior_spacing=before.image_spacing,
        current_spacing=after.image_spacing,
        prior_size=before.image_size,
        prior_breast=before.whole_breast,
        current_breast=after.whole_breast,
        prior_factor=before.factor,
        current_factor=after.factor,
        stage=stage,
        dice=dice,
        agreement=agreement,
        warnings=tuple(warnings),
        remarks=tuple(remarks),
        is_sideways=is_quarter(best.turn),
        are_negative=(before.is_negative, after.is_negative),
    )


def _usual_turn(before: Reduced, after: Reduced) -> Turn:
    """Say how the current lies, by the headers and by the side on which the breasts are.

    Headers that turn the breast away from the side where the prior's is are not believed.
    """
    stated = stated_turn(before.orientation, after.orientation)
    if stated is not None and side(before.breast) * side(turned(after.breast, stated)) >= 0:
        return stated
    return MIRRORED if side(before.breast) * side(after.breast) < 0 else UNTURNED


def _with_spline(fixed: Picture, fit: Fit, before: Reduced) -> tuple[sitk.Transform, float, float]:
    """Follow the anchor points, if that is sound: the map, the outlines' overlap, the agreement."""
    spline = thin_plate(fit.anchors, fixed, before)
    if spline is not None:
        composite = sitk.CompositeTransform([fit.affine, spline])
        overlap = dice_of(fixed, fit.moving, composite)
        if overlap >= fit.dice - MAX_DICE_LOSS:
            agreement = Overlay.of(fixed, fit.moving, composite).anchors().agreement()
            return composite, overlap, agreement
    return fit.affine, fit.dice, fit.agreement


def _negatives(before: Reduced, after: Reduced) -> list[str]:
    return [
        f"The {name} looks like a negative (bright air), and was read as its positive: check it."
        for name, image in (("prior", before), ("current", after))
        if image.is_negative
    ]


def _warnings(stage: str, dice: float, agreement: float, fixed: Picture, fit: Fit) -> list[str]:
    """Say what is implausible."""
    warnings = []
    if agreement < MIN_AGREEMENT:
        warnings.append(
            "These two do not look like one breast in one view: only "
            f"{100 * agreement:.0f} % of the anchor points in the tissue agree; check the pair."
        )
    if stage in ("start", "coarse"):
        warnings.append("The affine registration failed; a coarser alignment is used.")
    smaller, larger = sorted((fixed.breast_mm2, fit.moving.breast_mm2))
    if smaller < PARTIAL_SHARE * larger:
        warnings.append(
            f"One image shows under {100 * PARTIAL_SHARE:.0f} % of the breast that the other "
            "shows, or a pixel spacing is wrong; check the place."
        )
    if dice < PLAUSIBLE_DICE:
        warnings.append(
            f"The breast outlines overlap by only {dice:.2f} after alignment; check the pair."
        )
    return warnings

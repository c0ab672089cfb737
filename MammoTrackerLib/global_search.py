"""Global search: registration of two mammograms (paper, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import fft, ndimage

from .box import Box
from .breast import breast_mask, lean
from .errors import MammoTrackerError
from .mammogram import Mammogram
from .patches import reduce_to

GRID_MM = 1.1
COARSE_SIGMA_MM, FINE_SIGMA_MM = 8.0, 4.0
START_MM = 4.5
START_ANGLES = (-14.0, -7.0, 0.0, 7.0, 14.0)
MIN_IMAGE_OVERLAP, MIN_BREAST_OVERLAP = 0.45, 0.60
SCALE_RANGE, MAX_SCALE_RATIO, MAX_ROTATION = (0.8, 1.3), 1.3, 25.0
MAX_DICE_LOSS = 0.06
MIN_LEAN, MIN_BREAST_SHARE = 0.03, 0.02
MIN_SIDE_PX = 8
BSPLINE_GRID_MM, BSPLINE_MAX_MM, BSPLINE_MIN_JACOBIAN = 40.0, 20.0, 0.4
PLAUSIBLE_DICE = 0.93


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
        a B-spline where one was accepted.
    prior_spacing, current_spacing
        (x, y) in mm.
    prior_size
        (columns, rows) of the prior.
    prior_breast, current_breast
        (rows, columns) bool outlines, and how many image pixels one of theirs stands for:
        ``prior_factor``, ``current_factor`` (x, y).
    stage
        The last step that was accepted: "start", "coarse", "affine" or "B-spline".
    dice
        Overlap of the two breast outlines after alignment, 0 to 1.
    warnings
        Sentences about what is implausible; empty for a plausible result.
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
    warnings: tuple[str, ...]

    def map_points(self, points: np.ndarray) -> np.ndarray:
        """Map (n, 2) x, y pixels of the prior to (n, 2) pixels of the current.

        Beyond the pixels that were registered the affine map goes on, where a B-spline would
        end with a jump.
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
        return Box.from_center(
            x,
            y,
            box.width * x_scale * self.prior_spacing[0] / self.current_spacing[0],
            box.height * y_scale * self.prior_spacing[1] / self.current_spacing[1],
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


@dataclass(frozen=True, eq=False)
class _Picture:
    """A mammogram reduced for registration; images in mm from the top-left corner."""

    breast: np.ndarray
    factor: np.ndarray
    spacing: np.ndarray
    coarse: sitk.Image
    fine: sitk.Image
    mask: sitk.Image


def _to_sitk(array: np.ndarray, spacing: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(s) for s in spacing])
    image.SetOrigin([float(s) / 2 for s in spacing])
    return image


def _feature(log: np.ndarray, breast: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Local contrast inside the breast, plus 0.5, so that tissue is compared, not exposure."""
    weight = breast.astype(np.float32)

    def smooth(image: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(image, sigma[::-1], truncate=3.0)

    norm = np.maximum(smooth(weight), 1e-3)
    mean = smooth(log * weight) / norm
    deviation = np.sqrt(np.maximum(smooth(log**2 * weight) / norm - mean**2, 0)) + 0.02
    return (np.clip((log - mean) / deviation, -2.5, 2.5) + 0.5) * weight


def _picture(mammogram: Mammogram, flip: bool = False) -> _Picture:
    image, factor = reduce_to(mammogram, GRID_MM)
    if min(image.shape) < MIN_SIDE_PX:
        raise MammoTrackerError(
            f"An image is only {min(image.shape) * GRID_MM:.0f} mm wide or high: too small "
            "for a mammogram. Check the file and the pixel spacing."
        )
    if flip:
        image = image[:, ::-1]
    breast = breast_mask(image)
    spacing = factor * np.asarray(mammogram.spacing)
    log = np.log1p(np.maximum(image - image.min(), 0) * (1000 / np.ptp(image)))
    values = log[breast] if breast.any() else log.ravel()
    low, high = np.percentile(values, [2, 98])
    log = ((log - low) / max(high - low, 1e-6)).astype(np.float32)
    return _Picture(
        breast,
        factor,
        spacing,
        _to_sitk(_feature(log, breast, COARSE_SIGMA_MM / spacing), spacing),
        _to_sitk(_feature(log, breast, FINE_SIGMA_MM / spacing), spacing),
        _to_sitk(breast.astype(np.uint8), spacing),
    )


def _side(breast: np.ndarray) -> int:
    """Return -1 if the breast lies at the image's left, 1 at its right, 0 if one cannot say."""
    if breast.sum() < MIN_BREAST_SHARE * breast.size:
        return 0
    side = lean(breast)
    return int(np.sign(side)) if abs(side) >= MIN_LEAN else 0


def _spectra(image: np.ndarray, breast: np.ndarray, shape: list[int]) -> np.ndarray:
    """Fourier transforms of the image's support, the image, its square and the breast."""
    return fft.rfft2(np.stack([np.ones_like(image), image, image**2, breast]), shape)


def _best_shift(prior, current, prior_breast, current_breast, spectra, shape):
    """Normalised cross-correlation over all shifts, with enough overlap.

    All images in float64; `spectra` are the current's, of this padded shape. Returns the score
    and the shift (y, x) in pixels that takes prior to current.
    """
    ones_c, image_c, square_c, breast_c = spectra
    ones_p, image_p, square_p, breast_p = np.conj(_spectra(prior, prior_breast, shape))
    products = [
        ones_p * ones_c, image_p * ones_c, ones_p * image_c, square_p * ones_c,
        ones_p * square_c, image_p * image_c, breast_p * ones_c, ones_p * breast_c,
    ]  # fmt: skip
    count, sum_p, sum_c, squares_p, squares_c, product, breast_p, breast_c = fft.irfft2(
        np.stack(products), shape
    )
    count = np.maximum(count, 1)
    variances = (squares_p - sum_p**2 / count) * (squares_c - sum_c**2 / count)
    score = (product - sum_p * sum_c / count) / np.sqrt(np.maximum(variances, 1e-6))
    enough = count >= MIN_IMAGE_OVERLAP * min(prior.size, current.size)
    enough &= breast_p >= MIN_BREAST_OVERLAP * prior_breast.sum()
    enough &= breast_c >= MIN_BREAST_OVERLAP * current_breast.sum()
    score = np.where(enough, score, -1)
    peak = np.array(np.unravel_index(np.argmax(score), score.shape))
    shift = np.where(peak >= np.array(current.shape), peak - np.array(shape), peak)
    return float(score.max()), shift.astype(float)


def _start(prior: _Picture, current: _Picture) -> sitk.AffineTransform:
    """Find rotation and shift on images of 4.5 mm pixels, by correlation over all shifts."""
    shrunk = [
        [sitk.BinShrink(sitk.Cast(image, sitk.sitkFloat64), [4, 4]) for image in images]
        for images in ((prior.coarse, prior.mask), (current.coarse, current.mask))
    ]
    extents = [np.array(p.coarse.GetSize()) * p.coarse.GetSpacing() for p in (prior, current)]

    def on_grid(which: int, transform: sitk.Transform) -> list[np.ndarray]:
        size = [max(1, int(np.ceil(side / START_MM))) for side in extents[which]]
        return [
            sitk.GetArrayFromImage(
                sitk.Resample(
                    image, size, transform, sitk.sitkLinear, [START_MM / 2] * 2, [START_MM] * 2
                )
            )
            for image in shrunk[which]
        ]

    moving, moving_breast = on_grid(1, sitk.Transform(2, sitk.sitkIdentity))
    middle = [float(side / 2) for side in extents[0]]
    best_score, best = -2.0, sitk.AffineTransform(2)
    spectra = None
    for angle in START_ANGLES:
        turn = sitk.Euler2DTransform(middle, float(np.deg2rad(angle)))
        turned, turned_breast = on_grid(0, turn.GetInverse())
        if spectra is None:
            shape = [
                fft.next_fast_len(a + b - 1, real=True)
                for a, b in zip(turned.shape, moving.shape, strict=True)
            ]
            spectra = _spectra(moving, moving_breast, shape)
        score, shift = _best_shift(turned, moving, turned_breast, moving_breast, spectra, shape)
        if score > best_score:
            affine = sitk.AffineTransform(2)
            affine.SetMatrix(turn.GetMatrix())
            affine.SetCenter(turn.GetCenter())
            affine.SetTranslation([float(s) for s in shift[::-1] * START_MM])
            best_score, best = score, affine
    return best


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
    prior: _Picture, current: _Picture, initial: sitk.AffineTransform, coarse: bool
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


def _register_bspline(
    prior: _Picture, current: _Picture, affine: sitk.AffineTransform
) -> sitk.BSplineTransform:
    extent = np.array(prior.fine.GetSize()) * prior.fine.GetSpacing()
    mesh = [max(1, round(side / BSPLINE_GRID_MM)) for side in extent]
    spline = sitk.BSplineTransformInitializer(prior.fine, mesh, 3)
    method = _method(2, 1.0, prior.mask)
    method.SetOptimizerAsLBFGS2(numberOfIterations=8, lineSearchMaximumEvaluations=5)
    method.SetMovingInitialTransform(affine)
    method.SetInitialTransform(spline, inPlace=True)
    method.Execute(prior.fine, current.fine)
    return spline


def _bspline_is_sound(spline: sitk.BSplineTransform, prior: _Picture) -> bool:
    field = sitk.TransformToDisplacementField(
        spline, sitk.sitkVectorFloat64, prior.fine.GetSize(), prior.fine.GetOrigin(),
        prior.fine.GetSpacing(), prior.fine.GetDirection(),
    )  # fmt: skip
    jacobian = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(field))
    moved = np.linalg.norm(sitk.GetArrayFromImage(field), axis=-1)[prior.breast]
    return moved.max() <= BSPLINE_MAX_MM and jacobian[prior.breast].min() >= BSPLINE_MIN_JACOBIAN


def _dice(prior: _Picture, current: _Picture, transform: sitk.Transform) -> float:
    """Overlap of the outlines, counting only what both images show."""
    coded = sitk.Resample(current.mask + 1, prior.mask, transform, sitk.sitkNearestNeighbor, 0)
    coded = sitk.GetArrayFromImage(coded)  # 0 beyond the current, 1 background, 2 breast
    a, b = prior.breast & (coded > 0), coded == 2
    return float(2 * (a & b).sum() / max(a.sum() + b.sum(), 1))


def _implausible(affine: sitk.AffineTransform) -> str | None:
    """Say what no change between two exams can explain."""
    matrix = np.array(affine.GetMatrix()).reshape(2, 2)
    if np.linalg.det(matrix) <= 0:
        return "flips the breast"
    left, scales, right = np.linalg.svd(matrix)
    if scales[0] > SCALE_RANGE[1] or scales[1] < SCALE_RANGE[0]:
        return "changes the scale too much"
    if scales[0] / scales[1] > MAX_SCALE_RATIO:
        return "stretches the breast too much"
    rotation = left @ right
    if abs(np.degrees(np.arctan2(rotation[1, 0], rotation[0, 0]))) > MAX_ROTATION:
        return "turns the breast too far"
    return None


def align(prior: Mammogram, current: Mammogram, bspline: bool = True) -> Alignment:
    """Register two mammograms of one breast and view.

    The paper's affine registration on shrunken images (section 3.1), made robust: local contrast
    in place of intensity, a start from correlation over all shifts, two affine stages, then a
    stiff B-spline. A stage whose result is implausible, or aligns the outlines worse, is undone.
    A pair whose images face opposite ways is registered after mirroring the current.

    Parameters
    ----------
    prior, current
        Of one breast in one view; `tracker.check_pair` checks what the headers say.
    bspline
        Whether to refine by a B-spline of 40 mm.

    Returns
    -------
    Alignment
        Deterministic for the same input.
    """
    sitk.ProcessObject.GlobalWarningDisplayOff()
    fixed, moving = _picture(prior), _picture(current)
    flip = _side(fixed.breast) * _side(moving.breast) < 0
    if flip:
        moving = _picture(current, flip=True)
    width = moving.fine.GetSize()[0] * moving.fine.GetSpacing()[0]

    affine, stage, warnings = _start(fixed, moving), "start", []
    dice = _dice(fixed, moving, affine)
    for name in ("coarse", "affine"):
        try:
            tried = _register_affine(fixed, moving, affine, coarse=name == "coarse")
        except RuntimeError:  # ITK gives up where the images do not overlap
            continue
        overlap = _dice(fixed, moving, tried)
        if _implausible(tried) is None and overlap >= dice - MAX_DICE_LOSS:
            affine, stage, dice = tried, name, overlap
    if stage != "affine":
        warnings.append("The affine registration failed; a coarser alignment is used.")
    transform: sitk.Transform = affine
    if bspline and stage == "affine" and fixed.breast.any():
        try:
            spline = _register_bspline(fixed, moving, affine)
        except RuntimeError:
            spline = None
        if spline is not None and _bspline_is_sound(spline, fixed):
            composite = sitk.CompositeTransform([affine, spline])
            overlap = _dice(fixed, moving, composite)
            if overlap >= dice - MAX_DICE_LOSS:
                transform, stage, dice = composite, "B-spline", overlap
    if dice < PLAUSIBLE_DICE:
        warnings.append(
            f"The breast outlines overlap by only {dice:.2f} after alignment; check the pair."
        )

    matrix = np.array(affine.GetMatrix()).reshape(2, 2)
    offset = np.array(affine.TransformPoint((0.0, 0.0)))
    if flip:
        mirror = sitk.AffineTransform(2)
        mirror.SetMatrix([-1.0, 0.0, 0.0, 1.0])
        mirror.SetTranslation([width, 0.0])
        transform = sitk.CompositeTransform([mirror, transform])
        matrix = np.diag([-1.0, 1.0]) @ matrix
        offset = np.array([width - offset[0], offset[1]])
    return Alignment(
        matrix=matrix,
        offset=offset,
        transform=transform,
        prior_spacing=prior.spacing,
        current_spacing=current.spacing,
        prior_size=prior.pixels.shape[::-1],
        prior_breast=fixed.breast,
        current_breast=moving.breast[:, ::-1] if flip else moving.breast,
        prior_factor=fixed.factor,
        current_factor=moving.factor,
        stage=stage,
        dice=dice,
        warnings=tuple(warnings),
    )

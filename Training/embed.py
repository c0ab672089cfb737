"""Turn EMBED's tables and a table of prior annotations into temporal lesion pairs.

``python -m Training.embed --tables DIR --images DIR --annotations FILE.csv --out DIR``
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import permutations, product
from pathlib import Path

from rich.console import Console
from rich.table import Table

from MammoTrackerLib.box import Box
from MammoTrackerLib.command.tables.columns import MANIFEST_COLUMNS, TRUTH_COLUMNS
from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.output_folder import OutputFolder
from MammoTrackerLib.reading.embed import LESION_TYPES, Unusable

from .embed_annotations import SKIPPED_COLUMNS, Annotation, Skipped
from .embed_images import SPACING_MM, Converted, convert_all, png_box
from .embed_tables import in_two_exams, read_lesions

TEST_SHARE = 0.29  # the paper's: 212 of 730 cases
PAIR_COLUMNS = (*MANIFEST_COLUMNS, *TRUTH_COLUMNS, "patient")


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
        Table with `embed_annotations.ANNOTATION_COLUMNS`, or one that readers reviewed.
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
        marks, images, others = read_lesions(tables, annotations, spot_views, skipped)
    groups = in_two_exams(marks, images, skipped)

    marks = [item for group in groups.values() for item in group]
    converted = convert_all(sorted({item.key for item in marks}), root, out, workers)
    boxes: dict[Annotation, Box] = {}
    for item in marks:
        try:
            result = converted[item.key]
            if not isinstance(result, Converted):
                raise Unusable(*result)
            boxes[item] = png_box(item, images[item.key], result)
        except Unusable as problem:
            skipped.add(item.table, item.row, item.key, *problem.args)
    groups = in_two_exams(boxes, images, skipped)

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
    with OutputFolder(out) as folder:
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

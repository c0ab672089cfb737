"""EMBED's tables and annotations put together: which lesion is where on which image."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from MammoTrackerLib.reading.embed import (
    CLINICAL,
    CLINICAL_COLUMNS,
    LEVELS,
    METADATA,
    METADATA_COLUMNS,
    NO_ROI,
    ZERO,
    Unusable,
    check_image,
    distinct_rois,
    image_key,
    is_on_side,
    read_finding,
    read_rois,
    read_table,
    whole,
)

from .embed_annotations import Annotation, Skipped, read_annotations


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
    rois: tuple[tuple[float, ...], ...] = ()  # (x0, y0, x1, y1)
    primary: tuple[bool, ...] = ()  # whether each was marked on this image (match_level 1)
    layout: str = "embed_png"  # whose pixels the ROIs are in

    @property
    def lesions(self) -> list[int]:
        """The places of the ROIs of a lesion each; others mark one of these lesions again."""
        return distinct_rois(self.rois, self.primary)


def _read_images(
    path: Path, wanted: set[str], spot_views: bool, skipped: Skipped
) -> tuple[dict[str, Image | str], int]:
    """Read the metadata's rows that have a ROI or are wanted, and count the others.

    Returns, by key, the image, or the reason why it cannot be used.
    """
    images: dict[str, Image | str] = {}
    others = 0
    for row, cells in read_table(path, METADATA_COLUMNS):
        key = image_key(cells["anon_dicom_path"])
        roi_cells = [cells.get(name) for name in ("ROI_coords", "num_roi", LEVELS)]
        has_roi = roi_cells[0] not in NO_ROI or roi_cells[1] not in ZERO
        if not has_roi and key not in wanted:
            others += 1
            continue
        try:
            if key in images:
                raise Unusable("second row of one image", "")
            check_image(cells, spot_views)
        except Unusable as problem:
            images.setdefault(key, problem.args[0])
            skipped.add("metadata", row, key, *problem.args)
            continue
        rois: tuple[tuple, tuple] = (), ()
        try:
            if has_roi:
                rois = read_rois(*roi_cells)
        except Unusable as problem:  # the image may still have a box in the annotations
            skipped.add("metadata", row, key, *problem.args)
        images[key] = Image(
            row, key, whole(cells["empi_anon"]), whole(cells["acc_anon"]),
            cells["study_date_anon"], cells["ImageLateralityFinal"],
            cells["ViewPosition"].upper(), *rois, "embed_png" if LEVELS in cells else "dicom",
        )  # fmt: skip
    return images, others


def _read_findings(path: Path, exams: set[str], skipped: Skipped) -> dict[str, list[tuple]]:
    """Read the findings of these exams, by exam: (side, set of lesion types)."""
    findings = defaultdict(list)
    for row, cells in read_table(path, CLINICAL_COLUMNS):
        if whole(cells["acc_anon"]) not in exams:
            continue
        try:
            exam, side, kinds = read_finding(cells)
            findings[exam].append((side, kinds))
        except Unusable as problem:
            skipped.add("clinical", row, "", *problem.args)
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
                raise Unusable("its image is not usable", image)
            if item.box is None:
                number = item.roi
                if number is None:
                    if len(image.lesions) > 1:
                        raise Unusable("no box, and several ROIs: give the number", "")
                    number = next(iter(image.lesions), 0) + 1
                if not 1 <= number <= len(image.rois):
                    raise Unusable("no box, and no such ROI", "")
                item = replace(item, box=image.rois[number - 1], layout=image.layout)
            by_case[item.case].append(item)
        except Unusable as problem:
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
        counts[image.exam, image.laterality, image.view] += len(image.lesions)
    linked = []
    for image in with_rois:
        here = cases[image.patient, image.laterality, image.view]
        if image.key in named:
            continue
        if not here:
            reason = "ROI of no case: no annotation in this breast and view"
        elif len(here) > 1 or counts[image.exam, image.laterality, image.view] > 1:
            reason = "ROI of an unclear case: name it in the annotations"
        elif not image.primary[image.lesions[0]]:
            reason = "ROI carried over from another image: name it in the annotations"
        else:
            box = image.rois[image.lesions[0]]
            linked.append(Annotation("metadata", image.row, *here, image.key, box, image.layout))
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
                    if is_on_side(side, image.laterality):
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


def read_lesions(
    tables: Path, annotations: Path, spot_views: bool, skipped: Skipped
) -> tuple[list[Annotation], dict[str, Image | str], int]:
    """Read all tables; rows that cannot be used are added to `skipped`.

    Returns
    -------
    tuple
        The lesions, each with box and type; their images by key; and how many rows of the
        metadata have neither ROI nor annotation.
    """
    marks = read_annotations(annotations, skipped)
    named = {item.key for item in marks}
    images, others = _read_images(tables / METADATA, named, spot_views, skipped)
    marks = _with_boxes(marks, images, skipped)
    marks += _linked_rois(marks, named, images, skipped)
    exams = {images[item.key].exam for item in marks}
    findings = _read_findings(tables / CLINICAL, exams, skipped)
    return _with_types(marks, images, findings, skipped), images, others


def in_two_exams(
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

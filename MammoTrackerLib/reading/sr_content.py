"""What a structured report marks: its content, item by item.

Codes are those of DICOM PS3.16: TID 1500 has measurement groups, Mammography CAD (TID 4000) single
image findings, which composite features relate to each other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pydicom

SCHEME = "99MAMMOTRACKER"
"""Of our own codes, which `command.sr_groups` explains."""

MOST_ITEMS = 60_000
# Those of CR, DX and mammography; of tomosynthesis and projections of it; of secondary capture.
_X_RAY = tuple(
    f"1.2.840.10008.5.1.4.1.1.{part}." for part in ("1", "13.1.3", "13.1.4", "13.1.5", "7")
)
_DEEPEST = 40
_LARGEST_COORDINATE = 1e6
_GROUP, _SINGLE_FINDING, _COMPOSITE = "125007", "111059", "111015"
_FINDING, _RENDERING_INTENT, _NOT_SHOWN = "121071", "111056", "111152"
_TRACKING_ID, _TRACKING_UID = "112039", "112040"
_LENGTH = "410668003"
_SEGMENTS = {"121191", "121214"}
_STATUS, _DECISION, _REJECTED, _ABSENT = "STATUS", "DECISION", "REJECTED", "ABSENT"
_KEPT = "REGISTRATION"
# Findings of DICOM PS3.16 CID 6014 that mark no lesion: regions of interest, the breast's outline,
# image quality, non-lesions, the nipple, the composition of the breast.
_NO_LESIONS = {
    "111099", "111100", "111101", "111102", "24142002", "T-04100", "129715009", "F-01710",
}  # fmt: skip
_TYPES = {
    "129769006": "calcification", "F-01775": "calcification", "111105": "calcification",
    "129770007": "calcification", "F-01776": "calcification", "111104": "calcification",
    # What CAD programs call a mass.
    "129793001": "mass", "F-01796": "mass",
    "4147007": "mass", "M-03000": "mass", "129788004": "mass", "F-01791": "mass",
}  # fmt: skip


@dataclass(frozen=True)
class Mark:
    """What a report marks on one image.

    Attributes
    ----------
    bounds
        x0, y0, x1, y1 in that image's pixels, as in `Box`: DICOM has the same origin, the top-left
        corner of the top-left pixel (PS3.3 C.18.6). A point has no width and no height.
    instance_uid
        SOP Instance UID of the image; "" if the report does not say it.
    tracking
        The lesion's Tracking Unique Identifier, or one made for a composite feature; else its
        Tracking Identifier if no other lesion on the image has that, else "". The same for a
        lesion on all of its images; it may hold anything, so it is never shown.
    lesion_type
        "mass", "calcification", or "" where the report says neither.
    is_predicted
        Whether MammoTracker itself predicted it, and no user said something of it.
    decision
        What the user of MammoTracker said of it, as a report of its own has it: "MARKED",
        "ACCEPTED", ...; "" in a report of others.
    """

    bounds: tuple[float, float, float, float]
    instance_uid: str = field(default="", repr=False)
    tracking: str = field(default="", repr=False)
    lesion_type: str = ""
    is_predicted: bool = False
    decision: str = field(default="", repr=False)


@dataclass(frozen=True)
class Absence:
    """That a lesion is not on an image, or not in a box there, as a user of MammoTracker said.

    Attributes
    ----------
    instance_uid, tracking
        As of a `Mark`.
    """

    instance_uid: str = field(default="", repr=False)
    tracking: str = field(default="", repr=False)


@dataclass(frozen=True)
class Report:
    """What a structured report marks.

    Attributes
    ----------
    marks
        In the report's order.
    left_out
        How many marks there are that are no place on an image, or no lesion, by what they are:
        "damaged", "hidden", "no lesion", "rejected", "three-dimensional", "segmentation".
    absences, rejections
        Where lesions are not, and where a box was rejected, in the report's order.
    """

    marks: tuple[Mark, ...]
    left_out: Counter[str]
    absences: tuple[Absence, ...] = ()
    rejections: tuple[Absence, ...] = ()


@dataclass(eq=False)
class _Group:
    """What belongs to one lesion while a report is read."""

    shapes: list[tuple[str, np.ndarray, str | None]] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    tracking_uid: str = ""
    tracking_id: str = ""
    finding: str = ""
    has_length: bool = False
    is_hidden: bool = False
    own_codes: dict[str, str] = field(default_factory=dict)
    is_single_finding: bool = False
    is_composite: bool = False
    parent: _Group | None = None


class TooMuchError(Exception):
    """More content, or deeper, than a report has."""


class Reader:
    """Goes through a report's content once, and gathers what each lesion has."""

    def __init__(self, root: pydicom.Dataset) -> None:
        self.root = root
        self.groups: list[_Group] = []
        self.images: set[str] = set()
        self.left_out: Counter[str] = Counter()
        self.count = 0

    def report(self) -> Report:
        self._visit(self.root, None, False, 0)
        marks = [mark for group in self.groups for mark in self._marks_of(group)]
        marks = list(dict.fromkeys(marks))
        absences, rejections = (
            list(dict.fromkeys(one for g in self.groups for one in self._absences_of(g, decision)))
            for decision in (_ABSENT, _REJECTED)
        )
        # Some programs call every lesion by the name of their tool, which is no identity then.
        uids = {group.tracking_uid for group in self.groups}
        uses = Counter((one.tracking, one.instance_uid) for one in (*marks, *absences))
        shared = {tracking for (tracking, _), count in uses.items() if count > 1} - uids
        marks, absences, rejections = (
            tuple(replace(one, tracking="") if one.tracking in shared else one for one in found)
            for found in (marks, absences, rejections)
        )
        return Report(marks, self.left_out, absences, rejections)

    def _visit(
        self, item: pydicom.Dataset, group: _Group | None, is_hidden: bool, depth: int
    ) -> None:
        self.count += 1
        if self.count > MOST_ITEMS or depth > _DEEPEST:
            raise TooMuchError
        kind, concept = str(item.get("ValueType") or ""), _code(item, "ConceptNameCodeSequence")
        if kind in ("SCOORD", "SCOORD3D"):
            self._add_shape(item, group or self._group(None, is_hidden), kind)
            return
        is_group = kind == "CONTAINER" and concept == _GROUP
        is_finding = kind in ("CODE", "CONTAINER") and concept == _SINGLE_FINDING
        children = list(item.get("ContentSequence") or ())
        if kind == "NUM" and _is_angle(item):  # also how an image's positioner stood
            self.left_out["no lesion"] += any(
                child.get("ValueType") == "SCOORD" for child in children
            )
            return
        is_hidden |= any(map(_is_not_shown, children))
        is_composite = kind == "CODE" and concept == _COMPOSITE
        # Outside of any group, a measurement or an observation is a lesion of its own.
        is_alone = group is None and kind not in ("", "CONTAINER", "IMAGE") and children
        if is_group or is_finding or is_composite or is_alone:
            group = self._group(group, is_hidden)
            group.is_single_finding, group.is_composite = is_finding, is_composite
            if is_finding:
                group.finding = _code(item, "ConceptCodeSequence")
        if group is not None:
            self._note(item, group, kind, concept)
        elif kind == "IMAGE":
            self.images.add(_instance(item))
        for child in children:
            self._visit(child, group, is_hidden, depth + 1)

    def _group(self, parent: _Group | None, is_hidden: bool) -> _Group:
        group = _Group(parent=parent, is_hidden=is_hidden)
        self.groups.append(group)
        return group

    def _note(self, item: pydicom.Dataset, group: _Group, kind: str, concept: str) -> None:
        """Keep what an item says of its lesion."""
        if kind == "UIDREF" and concept == _TRACKING_UID:
            group.tracking_uid = group.tracking_uid or str(item.get("UID") or "").strip()
        elif kind == "TEXT" and concept == _TRACKING_ID:
            group.tracking_id = group.tracking_id or str(item.get("TextValue") or "").strip()
        elif (
            kind == "CODE"
            and _code(item, "ConceptNameCodeSequence", "CodingSchemeDesignator") == SCHEME
        ):
            group.own_codes.setdefault(concept, _code(item, "ConceptCodeSequence"))
        elif kind == "NUM" and concept == _LENGTH:
            group.has_length = True
        elif kind == "CODE" and concept == _FINDING:
            group.finding = group.finding or _code(item, "ConceptCodeSequence")
        elif kind == "IMAGE":
            if concept in _SEGMENTS:
                self.left_out["segmentation"] += 1
            else:
                group.images.append(_instance(item))
                self.images.add(_instance(item))

    def _add_shape(self, item: pydicom.Dataset, group: _Group, kind: str) -> None:
        self.count += 1
        if kind == "SCOORD3D":
            self.left_out["three-dimensional"] += 1
            return
        try:
            shape = _shape(item)
        except (ValueError, TypeError, AttributeError):
            self.left_out["damaged"] += 1
            return
        group.shapes.append((*shape, self._image_of(item)))

    def _image_of(self, item: pydicom.Dataset) -> str | None:
        """Return the image on which coordinates are, also where it is named by its place."""
        for child in item.get("ContentSequence") or ():
            self.count += 1
            if str(child.get("ValueType") or "") != "IMAGE":
                child = self._referred(child)
            if child is not None and _instance(child):
                return _instance(child)
        return None

    def _referred(self, child: pydicom.Dataset) -> pydicom.Dataset | None:
        """Follow a reference to an item elsewhere in the report (DICOM PS3.3 C.17.3.2.5)."""
        places = child.get("ReferencedContentItemIdentifier")
        if places is None:
            return None
        item = self.root
        for place in [int(place) for place in np.atleast_1d(places)][1 : _DEEPEST + 1]:
            below = item.get("ContentSequence") or ()
            if not 1 <= place <= len(below):
                return None
            item = below[place - 1]
        return item if item.get("ValueType") == "IMAGE" else None

    def _absences_of(self, group: _Group, decision: str) -> Iterator[Absence]:
        if group.own_codes.get(_DECISION) != decision:
            return
        images = [image for *_, image in group.shapes if image] or group.images
        for image in images or [self._only_image(group)]:
            yield Absence(image, group.tracking_uid or group.tracking_id)

    def _marks_of(self, group: _Group) -> Iterator[Mark]:
        decision = group.own_codes.get(_DECISION)
        if decision == _REJECTED:
            self.left_out["rejected"] += 1
        if not group.shapes or decision in (_REJECTED, _ABSENT):
            return
        tracking = group.tracking_uid or group.tracking_id
        above = group.parent
        while above is not None:
            # The calcifications of a cluster are marked with it.
            if group.is_single_finding and above.is_single_finding and above.shapes:
                return
            # What CAD programs find again on another image or exam, they compose.
            if above.is_composite and not group.tracking_uid:
                tracking = self._composed_uid(above)
            above = above.parent
        if group.is_hidden or group.finding in _NO_LESIONS:
            self.left_out["hidden" if group.is_hidden else "no lesion"] += 1
            return
        on_images: dict[str, dict[str, list[np.ndarray]]] = {}
        for kind, points, image in group.shapes:
            on_image = on_images.setdefault(image or self._only_image(group), {})
            on_image.setdefault(kind, []).append(points)
        status = group.own_codes.get(_STATUS)
        # A box of ours without a size was put around a point.
        is_point = decision is not None and status not in (None, _KEPT) and not group.has_length
        for image, shapes in on_images.items():
            x0, y0, x1, y1 = _bounds(shapes)
            middle = (x0 + x1) / 2, (y0 + y1) / 2
            yield Mark(
                (*middle, *middle) if is_point else (x0, y0, x1, y1),
                image,
                tracking,
                _TYPES.get(group.finding, ""),
                status is not None and decision is None,
                decision or "",
            )

    def _composed_uid(self, composite: _Group) -> str:
        from pydicom.uid import generate_uid

        composite.tracking_uid = composite.tracking_uid or generate_uid(
            entropy_srcs=[str(self.root.get("SOPInstanceUID")), str(self.groups.index(composite))]
        )
        return composite.tracking_uid

    def _only_image(self, group: _Group) -> str:
        """Return the image that must be meant by coordinates which name none."""
        for images in (set(group.images), self.images, set(_evidence(self.root))):
            if len(images) == 1:
                return next(iter(images))
        return ""


def _evidence(root: pydicom.Dataset) -> Iterator[str]:
    """Yield the X-ray images that a report lists as what it rests on."""
    for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
        for study in root.get(keyword) or ():
            for series in study.get("ReferencedSeriesSequence") or ():
                for reference in series.get("ReferencedSOPSequence") or ():
                    sop_class = str(reference.get("ReferencedSOPClassUID") or "").strip()
                    if f"{sop_class}.".startswith(_X_RAY):
                        yield str(reference.get("ReferencedSOPInstanceUID") or "").strip()


def _code(item: pydicom.Dataset, keyword: str, part: str = "CodeValue") -> str:
    sequence = item.get(keyword)
    return str(sequence[0].get(part) or "").strip() if sequence else ""


def _is_not_shown(item: pydicom.Dataset) -> bool:
    if item.get("ValueType") != "CODE" or _code(item, "ConceptCodeSequence") != _NOT_SHOWN:
        return False
    return _code(item, "ConceptNameCodeSequence") == _RENDERING_INTENT


def _is_angle(item: pydicom.Dataset) -> bool:
    values = item.get("MeasuredValueSequence")
    return bool(values) and _code(values[0], "MeasurementUnitsCodeSequence") == "deg"


def _instance(item: pydicom.Dataset) -> str:
    references = item.get("ReferencedSOPSequence")
    uid = references[0].get("ReferencedSOPInstanceUID") if references else None
    return str(uid or "").strip()


def _shape(item: pydicom.Dataset) -> tuple[str, np.ndarray]:
    """Return "outline", "line" or "point", and the corners (n, 2) that bound it.

    Raises
    ------
    ValueError or TypeError
        If it has no coordinates, or such as no image has.
    """
    kind = str(item.get("GraphicType") or "").strip()
    numbers = np.atleast_1d(np.asarray(item.get("GraphicData"), float))
    if numbers.ndim != 1 or len(numbers) < 2 or len(numbers) % 2:
        raise ValueError("coordinates come in pairs")
    if not (np.abs(numbers) <= _LARGEST_COORDINATE).all():
        raise ValueError("coordinates that no image has")
    points = numbers.reshape(-1, 2)
    if kind == "POINT":
        return "point", points[:1]
    if kind == "MULTIPOINT":
        return "point", points
    if kind == "POLYLINE" and len(points) >= 2:
        return ("outline" if len(points) > 2 else "line"), points
    if kind == "CIRCLE" and len(points) == 2:
        radius = math.dist(*points)
        return "outline", np.array([points[0] - radius, points[0] + radius])
    if kind == "ELLIPSE" and len(points) == 4:
        center = points.mean(axis=0)
        reach = np.hypot(*((points[[1, 3]] - points[[0, 2]]) / 2))
        return "outline", np.array([center - reach, center + reach])
    raise ValueError("no kind of graphic with so many points")


def _bounds(shapes: dict[str, list[np.ndarray]]) -> tuple[float, float, float, float]:
    kind = next(kind for kind in ("outline", "line", "point") if kind in shapes)
    points = np.concatenate(shapes[kind])
    if kind == "line" and len(points) == 2:  # a diameter: of a circle, for all that is known
        points = np.array([points.mean(axis=0)] * 2) + [[-0.5], [0.5]] * np.array(
            math.dist(*points)
        )
    x0, y0, x1, y1 = (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())
    return x0, y0, x1, y1

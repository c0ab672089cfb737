"""DICOM structured reports that tests write item by item, in the layouts of several programs."""

from __future__ import annotations

from pathlib import Path

import pydicom
from pydicom import uid
from pydicom.dataset import FileMetaDataset

CODES = {
    "report": ("126000", "DCM", "Imaging Measurement Report"),
    "library": ("111028", "DCM", "Image Library"),
    "library group": ("126200", "DCM", "Image Library Group"),
    "measurements": ("126010", "DCM", "Imaging Measurements"),
    "group": ("125007", "DCM", "Measurement Group"),
    "tracking": ("112039", "DCM", "Tracking Identifier"),
    "tracking uid": ("112040", "DCM", "Tracking Unique Identifier"),
    "finding": ("121071", "DCM", "Finding"),
    "region": ("111030", "DCM", "Image Region"),
    "segment": ("121191", "DCM", "Referenced Segment"),
    "source": ("121112", "DCM", "Source of Measurement"),
    "length": ("410668003", "SCT", "Length"),
    "angle": ("1483009", "SCT", "Angle"),
    "mass": ("4147007", "SCT", "Mass"),
    "cad": ("111036", "DCM", "Mammography CAD Report"),
    "summary": ("111017", "DCM", "CAD Processing and Findings Summary"),
    "succeeded": ("111242", "DCM", "All algorithms succeeded; with findings"),
    "impression": ("111034", "DCM", "Individual Impression/Recommendation"),
    "single": ("111059", "DCM", "Single Image Finding"),
    "composite": ("111015", "DCM", "Composite Feature"),
    "intent": ("111056", "DCM", "Rendering Intent"),
    "required": ("111150", "DCM", "Presentation Required"),
    "optional": ("111151", "DCM", "Presentation Optional"),
    "not shown": ("111152", "DCM", "Not for Presentation"),
    "center": ("111010", "DCM", "Center"),
    "outline": ("111041", "DCM", "Outline"),
    "density": ("F-01796", "SRT", "Mammography breast density"),
    "cluster": ("129769006", "SCT", "Calcification Cluster"),
    "calcification": ("129770007", "SCT", "Individual Calcification"),
    "nipple": ("T-04100", "SRT", "Nipple"),
}


def code(name: str) -> list[pydicom.Dataset]:
    item = pydicom.Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = CODES[name]
    return [item]


def item(kind: str, relation: str = "CONTAINS", name: str | None = None, children=(), **attributes):
    """Make a content item; `attributes` are DICOM keywords."""
    dataset = pydicom.Dataset()
    dataset.RelationshipType, dataset.ValueType = relation, kind
    if name:
        dataset.ConceptNameCodeSequence = code(name)
    if kind == "CONTAINER":
        dataset.ContinuityOfContent = "SEPARATE"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    if children:
        dataset.ContentSequence = list(children)
    return dataset


def image(instance_uid: str, relation: str = "SELECTED FROM", name: str | None = None):
    reference = pydicom.Dataset()
    reference.ReferencedSOPClassUID = uid.DigitalMammographyXRayImageStorageForPresentation
    reference.ReferencedSOPInstanceUID = instance_uid
    return item("IMAGE", relation, name, ReferencedSOPSequence=[reference])


def scoord(graphic: str, data, instance_uid=None, relation="CONTAINS", name=None, children=None):
    if children is None:
        children = [image(instance_uid)] if instance_uid else []
    return item("SCOORD", relation, name, children, GraphicType=graphic, GraphicData=data)


def by_place(*places: int) -> pydicom.Dataset:
    """Make a reference to an item elsewhere in the report."""
    dataset = pydicom.Dataset()
    dataset.RelationshipType = "SELECTED FROM"
    dataset.ReferencedContentItemIdentifier = list(places)
    return dataset


def tracking(tracking_uid: str | None = None, identifier: str | None = "a lesion"):
    items = []
    if identifier:
        items.append(item("TEXT", "HAS OBS CONTEXT", "tracking", TextValue=identifier))
    if tracking_uid:
        items.append(item("UIDREF", "HAS OBS CONTEXT", "tracking uid", UID=tracking_uid))
    return items


def number(name: str, children=(), unit: str = "mm") -> pydicom.Dataset:
    value = pydicom.Dataset()
    value.NumericValue = "3"
    units = pydicom.Dataset()
    units.CodeValue, units.CodingSchemeDesignator, units.CodeMeaning = unit, "UCUM", unit
    value.MeasurementUnitsCodeSequence = [units]
    return item("NUM", "CONTAINS", name, children, MeasuredValueSequence=[value])


def group(*children) -> pydicom.Dataset:
    return item("CONTAINER", "CONTAINS", "group", children)


def own(concept: str, value: str) -> pydicom.Dataset:
    """Make what MammoTracker itself says of a lesion: its STATUS, or the user's DECISION."""
    codes = []
    for text in (concept, value):
        one = pydicom.Dataset()
        one.CodeValue, one.CodingSchemeDesignator, one.CodeMeaning = text, "99MAMMOTRACKER", text
        codes.append([one])
    return item("CODE", "CONTAINS", ConceptNameCodeSequence=codes[0], ConceptCodeSequence=codes[1])


def report(*groups, library=()) -> pydicom.Dataset:
    """Make a report of TID 1500 around measurement groups."""
    children = []
    if library:
        images = [image(instance_uid, "CONTAINS") for instance_uid in library]
        inner = item("CONTAINER", "CONTAINS", "library group", images)
        children.append(item("CONTAINER", "CONTAINS", "library", [inner]))
    children.append(item("CONTAINER", "CONTAINS", "measurements", groups))
    return item("CONTAINER", "CONTAINS", "report", children)


def finding(kind: str, *children, intent: str = "required") -> pydicom.Dataset:
    """Make a single image finding of a CAD program."""
    concept = item("CODE", "HAS CONCEPT MOD", "intent", ConceptCodeSequence=code(intent))
    return item(
        "CODE", "INFERRED FROM", "single", [concept, *children], ConceptCodeSequence=code(kind)
    )


def cad_report(images, *findings) -> pydicom.Dataset:
    """Make a Mammography CAD report, whose image library is its first item: 1\\1\\n are images."""
    library = item(
        "CONTAINER", "CONTAINS", "library", [image(instance, "CONTAINS") for instance in images]
    )
    impressions = [item("CONTAINER", "INFERRED FROM", "impression", [one]) for one in findings]
    summary = item(
        "CODE", "CONTAINS", "summary", impressions, ConceptCodeSequence=code("succeeded")
    )
    return item("CONTAINER", "CONTAINS", "cad", [library, summary])


def write_report(
    path: Path,
    content: pydicom.Dataset,
    sop_class: str = uid.ComprehensiveSRStorage,
    syntax: str = uid.ExplicitVRLittleEndian,
    **attributes,
) -> Path:
    header = pydicom.Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = syntax
    header.SOPClassUID, header.SOPInstanceUID = sop_class, uid.generate_uid()
    header.Modality = "SR"
    header.PatientName, header.PatientID = "Doe^Jane", "SECRET-ID"
    header.PatientBirthDate, header.StudyDate = "19501224", "20240229"
    header.update(content)
    del header.RelationshipType
    for keyword, value in attributes.items():
        setattr(header, keyword, value)
    header.save_as(
        path,
        implicit_vr=syntax == uid.ImplicitVRLittleEndian,
        little_endian=syntax != uid.ExplicitVRBigEndian,
        enforce_file_format=True,
    )
    return path

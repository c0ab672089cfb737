"""DICOM mammograms that tests write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom import uid
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate

SECRETS = ("Doe^Jane", "SECRET-ID", "20240229", "2024-02-29", "19501224")


def write_dicom(path: Path, values: np.ndarray, bits: int | None = None, frame=None, **attributes):
    """Write a mammogram; `attributes` are DICOM keywords, with None to leave one out.

    `TransferSyntaxUID` is one of them; the JPEG family's encoded image is given as `frame`.
    """
    syntax = attributes.pop("TransferSyntaxUID", uid.ExplicitVRLittleEndian)
    header = pydicom.Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = syntax
    header.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    header.SOPInstanceUID = uid.generate_uid()
    header.Modality = "MG"
    header.PatientName = "Doe^Jane"
    header.PatientID = "SECRET-ID"
    header.PatientBirthDate = "19501224"
    header.StudyDate = "20240229"
    header.ImageLaterality = "L"
    header.ViewPosition = "CC"
    header.ImagerPixelSpacing = [0.07, 0.07]
    header.Rows, header.Columns = values.shape
    header.SamplesPerPixel = 1
    header.PhotometricInterpretation = "MONOCHROME2"
    header.BitsAllocated = 8 * values.dtype.itemsize
    header.BitsStored = bits or header.BitsAllocated
    header.HighBit = header.BitsStored - 1
    header.PixelRepresentation = int(values.dtype.kind == "i")
    is_little_endian = syntax != uid.ExplicitVRBigEndian
    if frame is None:
        header.PixelData = values.astype(
            values.dtype.newbyteorder("<" if is_little_endian else ">")
        ).tobytes()
    else:
        header.PixelData = encapsulate([frame])
    header["PixelData"].VR = "OW" if values.dtype.itemsize == 2 and frame is None else "OB"
    for keyword, value in attributes.items():
        if value is None:
            delattr(header, keyword)
        else:
            setattr(header, keyword, value)
    if syntax == uid.RLELossless and frame is None:
        header.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        header.compress(uid.RLELossless, generate_instance_uid=False)
    header.save_as(
        path,
        implicit_vr=syntax == uid.ImplicitVRLittleEndian,
        little_endian=is_little_endian,
        enforce_file_format=True,
    )
    return path


def item(**attributes) -> list[pydicom.Dataset]:
    """Return a sequence of one item."""
    dataset = pydicom.Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return [dataset]

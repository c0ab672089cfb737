"""DICOM mammograms: headers, transfer syntaxes, what values mean, and bad files."""

from __future__ import annotations

import datetime
import logging
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_files import SECRETS, item, write_dicom
from pydicom import uid

from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.mammogram import Header, Mammogram
from MammoTrackerLib.reading.archive import read_file


def read_values(tmp_path: Path, values, **attributes) -> list[list[float]]:
    """Write the values as DICOM and return them as they are read."""
    path = write_dicom(tmp_path / "values.dcm", np.asarray(values), **attributes)
    return Mammogram.read(path).pixels.tolist()


def test_real_film_needs_a_spacing(mammogram_paths):
    with pytest.raises(MammoTrackerError, match="give the spacing in mm"):
        Mammogram.read(mammogram_paths["lcc"])


@pytest.mark.parametrize(("name", "laterality", "view"), [("lcc", "L", "CC"), ("rmlo", "R", "MLO")])
def test_real_film(mammogram_paths, name: str, laterality: str, view: str):
    mammogram = Mammogram.read(mammogram_paths[name], spacing=0.05)
    stored = pydicom.dcmread(mammogram_paths[name])
    assert np.array_equal(mammogram.pixels, stored.pixel_array)
    assert mammogram.spacing == (0.05, 0.05)
    assert (mammogram.laterality, mammogram.view) == (laterality, view)
    assert mammogram.date == datetime.datetime.strptime(stored.StudyDate, "%Y%m%d").date()
    assert mammogram.patient_id == stored.PatientID
    assert stored.PatientID not in repr(mammogram)


@pytest.mark.parametrize(
    "syntax",
    [
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.DeflatedExplicitVRLittleEndian,
        uid.RLELossless,
    ],
    ids=lambda syntax: syntax.name,
)
@pytest.mark.parametrize("kind", ["8 bit", "12 bit", "12 bit signed", "16 bit"])
def test_plain_and_rle(tmp_path, film, syntax, kind: str):
    values, bits = as_kind(film, kind)
    path = write_dicom(tmp_path / "a.dcm", values, bits, TransferSyntaxUID=syntax)
    assert np.array_equal(Mammogram.read(path).pixels, values)


def as_kind(film: np.ndarray, kind: str) -> tuple[np.ndarray, int]:
    bits = int(kind.split()[0])
    values = (film >> (16 - bits)).astype(np.uint8 if bits == 8 else np.uint16)
    if kind.endswith("signed"):
        values = values.astype(np.int16) - 2 ** (bits - 1)
    return values, bits


def jpeg_ls(values, bits):
    from imagecodecs import jpegls_encode

    return jpegls_encode(values)


def jpeg_lossless(values, bits):
    from imagecodecs import ljpeg_encode

    return ljpeg_encode(values, bitspersample=bits)


def jpeg_2000(values, bits):
    from imagecodecs import jpeg2k_encode

    return jpeg2k_encode(values, level=0, codecformat="J2K", reversible=True, bitspersample=bits)


@pytest.mark.parametrize(
    ("syntax", "encode", "kind"),
    [
        (uid.JPEGLSLossless, jpeg_ls, "8 bit"),
        (uid.JPEGLSLossless, jpeg_ls, "12 bit"),
        (uid.JPEGLSLossless, jpeg_ls, "16 bit"),
        (uid.JPEGLossless, jpeg_lossless, "12 bit"),
        (uid.JPEGLosslessSV1, jpeg_lossless, "12 bit"),
        (uid.JPEGLosslessSV1, jpeg_lossless, "16 bit"),
        (uid.JPEG2000Lossless, jpeg_2000, "8 bit"),
        (uid.JPEG2000Lossless, jpeg_2000, "12 bit"),
        (uid.JPEG2000Lossless, jpeg_2000, "12 bit signed"),
        (uid.JPEG2000Lossless, jpeg_2000, "16 bit"),
    ],
)
def test_lossless_jpeg_family(tmp_path, film, syntax, encode, kind: str):
    values, bits = as_kind(film, kind)
    path = write_dicom(
        tmp_path / "a.dcm", values, bits, encode(values, bits), TransferSyntaxUID=syntax
    )
    assert np.array_equal(Mammogram.read(path).pixels, values)


@pytest.mark.parametrize(
    ("syntax", "kind"),
    [
        (uid.JPEGBaseline8Bit, "8 bit"),
        (uid.JPEGExtended12Bit, "12 bit"),
        (uid.JPEGLSNearLossless, "12 bit"),
        (uid.JPEG2000, "12 bit"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_lossy_jpeg_family(tmp_path, film, syntax, kind: str):
    import imagecodecs

    values, bits = as_kind(film, kind)
    if syntax == uid.JPEGLSNearLossless:
        frame = imagecodecs.jpegls_encode(values, level=3)
    elif syntax == uid.JPEG2000:
        frame = imagecodecs.jpeg2k_encode(
            values, level=60, codecformat="J2K", reversible=False, bitspersample=bits
        )
    else:
        frame = imagecodecs.jpeg8_encode(values, level=95, bitspersample=bits)
    path = write_dicom(tmp_path / "a.dcm", values, bits, frame, TransferSyntaxUID=syntax)
    error = np.abs(Mammogram.read(path).pixels - values)
    assert error.mean() < 0.01 * 2**bits
    assert error.max() < 0.1 * 2**bits


def test_compressed_values_are_rescaled_once(tmp_path, film):
    values, bits = as_kind(film, "12 bit")
    path = write_dicom(
        tmp_path / "a.dcm",
        values,
        bits,
        jpeg_ls(values, bits),
        TransferSyntaxUID=uid.JPEGLSLossless,
        RescaleSlope=2,
        RescaleIntercept=-100,
    )
    assert np.array_equal(Mammogram.read(path).pixels, values * 2.0 - 100)


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
def test_without_preamble(tmp_path, film, syntax):
    path = write_dicom(tmp_path / "a.dcm", film, TransferSyntaxUID=syntax)
    path.write_bytes(path.read_bytes()[132:])
    assert np.array_equal(Mammogram.read(path).pixels, film)


@pytest.mark.parametrize("is_implicit", [True, False])
def test_without_file_meta(tmp_path, film, is_implicit: bool):
    header = pydicom.dcmread(write_dicom(tmp_path / "a.dcm", film))
    bare = pydicom.Dataset(header)
    bare.save_as(tmp_path / "bare", implicit_vr=is_implicit, little_endian=True)
    assert np.array_equal(Mammogram.read(tmp_path / "bare").pixels, film)


VALUES = np.array([[0, 1000], [2000, 4000]], dtype=np.uint16)


def test_values_stay_without_a_window(tmp_path):
    assert read_values(tmp_path, VALUES, bits=12) == VALUES.tolist()


def test_monochrome1_is_inverted(tmp_path):
    pixels = read_values(tmp_path, VALUES, bits=12, PhotometricInterpretation="MONOCHROME1")
    assert pixels == [[4000, 3000], [2000, 0]]


def test_rescale(tmp_path):
    pixels = read_values(tmp_path, VALUES, bits=12, RescaleSlope=0.5, RescaleIntercept=10)
    assert pixels == [[10, 510], [1010, 2010]]


WINDOW = {"WindowCenter": 1500.5, "WindowWidth": 2001}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"VOILUTFunction": ""},
        {"VOILUTFunction": "LINEAR_EXACT", "WindowCenter": 1500, "WindowWidth": 2000},
    ],
)
def test_linear_window(tmp_path, more: dict):
    """DICOM PS3.3 C.11.2.1.2.1: ((x - (c - 0.5)) / (w - 1) + 0.5) * range, ends clipped."""
    pixels = read_values(tmp_path, VALUES, bits=12, **WINDOW | more)
    assert pixels == [[0, pytest.approx(0.25 * 4095)], [pytest.approx(0.75 * 4095), 4095]]


@pytest.mark.parametrize(
    "window",
    [
        {"WindowCenter": 0, "WindowWidth": 0},
        {"WindowCenter": "", "WindowWidth": ""},
        {"WindowCenter": 5, "WindowWidth": 10, "VOILUTFunction": "CURVE"},
    ],
)
def test_window_that_dicom_forbids_is_none(tmp_path, window: dict):
    assert read_values(tmp_path, VALUES, bits=12, **window) == VALUES.tolist()


def test_first_of_several_windows_and_sigmoid(tmp_path):
    pixels = read_values(
        tmp_path,
        VALUES,
        bits=12,
        WindowCenter=[2000, 1],
        WindowWidth=[1000, 2],
        VOILUTFunction="SIGMOID",
    )
    expected = 4095 / (1 + np.exp(-4 * (VALUES - 2000.0) / 1000))
    np.testing.assert_allclose(pixels, expected, rtol=1e-5)


def test_window_of_monochrome1(tmp_path):
    inverted = WINDOW | {"PhotometricInterpretation": "MONOCHROME1"}
    pixels = read_values(tmp_path, VALUES, bits=12, **inverted)
    assert pixels == [[4095, pytest.approx(0.75 * 4095)], [pytest.approx(0.25 * 4095), 0]]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("missing", ["BitsStored", "PixelRepresentation"])
def test_window_where_the_header_does_not_say_how_values_are_stored(
    tmp_path, film, photometric: str, missing: str
):
    attributes = {"PhotometricInterpretation": photometric, "bits": 16}
    attributes |= {"WindowCenter": 30000, "WindowWidth": 20000}
    whole = write_dicom(tmp_path / "a.dcm", film, **attributes)
    lacking = write_dicom(tmp_path / "b.dcm", film, **attributes, **{missing: None})
    assert np.array_equal(Mammogram.read(lacking).pixels, Mammogram.read(whole).pixels)
    assert Header.read(lacking).window == Header.read(whole).window


@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize("depth", [8, 12, 16])
def test_voi_lut_goes_before_the_window(tmp_path, as_bytes: bool, depth: int):
    """Values up to 1000 get the first entry, those from 1999 on the last."""
    lut = np.linspace(0, 2**depth - 1, 1000).astype(np.uint16)
    voi = item(LUTDescriptor=[1000, 1000, depth], LUTData=lut.tobytes() if as_bytes else None)
    if not as_bytes:
        voi[0].add_new("LUTData", "US", lut.tolist())
    else:
        voi[0]["LUTData"].VR = "OW"
    voi[0]["LUTDescriptor"].VR = "US"
    values = [[0, 1000, 1500], [1998, 1999, 4000]]
    pixels = read_values(
        tmp_path,
        np.array(values, dtype=np.uint16),
        bits=12,
        VOILUTSequence=voi,
        WindowCenter=5,
        WindowWidth=10,
    )
    assert pixels == [[0, 0, lut[500]], [lut[998], lut[999], lut[999]]]


def test_modality_lut(tmp_path):
    table = item()
    table[0].add_new("LUTDescriptor", "US", [4, 0, 12])
    table[0].add_new("LUTData", "US", [10, 20, 30, 40])
    pixels = read_values(
        tmp_path, np.array([[0, 1], [3, 9]], dtype=np.uint8), ModalityLUTSequence=table
    )
    assert pixels == [[10, 20], [40, 40]]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_becomes_the_darkest(tmp_path, photometric: str):
    pixels = read_values(
        tmp_path,
        np.array([[4000, 500], [1000, 4095]], dtype=np.uint16),
        bits=12,
        PhotometricInterpretation=photometric,
        PixelPaddingValue=4095,
        PixelPaddingRangeLimit=4000,
    )
    assert pixels == (
        [[500, 1000], [500, 500]] if photometric == "MONOCHROME1" else [[500, 500], [1000, 500]]
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_for_processing_becomes_minus_logarithm(tmp_path, sign: int):
    """Each factor of ten in X-rays is one third of the range from 0 to 4095."""
    x_rays = np.array([[10, 100], [1000, 10000]], dtype=np.uint16)
    values = x_rays if sign == 1 else 10010 - x_rays
    pixels = read_values(
        tmp_path,
        values,
        bits=14,
        PresentationIntentType="FOR PROCESSING",
        PixelIntensityRelationship="LIN",
        PixelIntensityRelationshipSign=sign,
        WindowCenter=5,
        WindowWidth=10,
    )
    np.testing.assert_allclose(pixels, [[4095, 2730], [1365, 0]], rtol=1e-4, atol=0.01)


def test_for_processing_that_is_a_logarithm_already(tmp_path):
    pixels = read_values(
        tmp_path,
        np.array([[1, 2], [3, 4]], dtype=np.uint16),
        SOPClassUID="1.2.840.10008.5.1.4.1.1.1.2.1",
        PixelIntensityRelationship="LOG",
        PixelIntensityRelationshipSign=1,
    )
    np.testing.assert_allclose(pixels, [[4095, 2730], [1365, 0]], rtol=1e-6)


def test_dead_pixels_of_for_processing_do_not_take_the_range(tmp_path):
    values = np.full((100, 100), 5000, dtype=np.uint16)
    values[:50] = 500
    values[0, 0] = 0
    pixels = read_values(
        tmp_path,
        values,
        bits=14,
        PresentationIntentType="FOR PROCESSING",
        PixelIntensityRelationshipSign=1,
    )
    assert pixels[0][0] == pixels[10][10] == pytest.approx(4095)
    assert pixels[60][10] == 0


ROWS_FIRST = [0.1, 0.2]


@pytest.mark.parametrize(
    ("attributes", "spacing"),
    [
        ({"ImagerPixelSpacing": ROWS_FIRST}, (0.2, 0.1)),
        ({"ImagerPixelSpacing": None, "PixelSpacing": ROWS_FIRST}, (0.2, 0.1)),
        ({"ImagerPixelSpacing": ROWS_FIRST, "PixelSpacing": [0.5, 0.5]}, (0.2, 0.1)),
        (
            {"ImagerPixelSpacing": ROWS_FIRST, "EstimatedRadiographicMagnificationFactor": 1.25},
            (0.16, 0.08),
        ),
        (
            {
                "ImagerPixelSpacing": None,
                "PixelSpacing": ROWS_FIRST,
                "EstimatedRadiographicMagnificationFactor": 1.25,
            },
            (0.2, 0.1),
        ),
        ({"ImagerPixelSpacing": None, "NominalScannedPixelSpacing": ROWS_FIRST}, (0.2, 0.1)),
    ],
)
def test_dicom_spacing(tmp_path, film, attributes: dict, spacing: tuple[float, float]):
    mammogram = Mammogram.read(write_dicom(tmp_path / "a.dcm", film, **attributes))
    assert mammogram.spacing == pytest.approx(spacing)


@pytest.mark.parametrize(
    ("attributes", "spacing", "is_said"),
    [
        ({"PixelSpacing": [0.28, 0.28]}, 0.07, True),
        ({"PixelSpacing": [0.065, 0.065]}, 0.07, False),
        ({"PixelSpacing": [0.0389, 0.0389]}, 0.07, True),
        ({"PixelSpacing": [0.0389, 0.0389], "PixelSpacingCalibrationType": "GEOMETRY"}, 0.0389, 0),
        ({"PixelSpacing": [0.0389, 0.0389], "PixelSpacingCalibrationType": "FIDUCIAL"}, 0.0389, 0),
        ({"PixelSpacing": [0.28, 0.28], "PixelSpacingCalibrationType": "GEOMETRY"}, 0.07, True),
        (
            {"PixelSpacing": [0.07, 0.07], "EstimatedRadiographicMagnificationFactor": 1.8},
            0.07 / 1.8,
            False,
        ),
        ({"NominalScannedPixelSpacing": [0.2, 0.2]}, 0.07, True),
    ],
)
def test_sizes_of_the_pixels_that_do_not_fit_each_other(
    tmp_path, film, attributes, spacing, is_said
):
    path = write_dicom(tmp_path / "a.dcm", film, **attributes)
    mammogram = Mammogram.read(path)
    assert mammogram.spacing == Header.read(path).spacing == pytest.approx((spacing, spacing))
    assert ("magnified" in mammogram.modifiers) == (spacing < 0.05)
    assert len(mammogram.remarks) == is_said
    assert all("give the spacing" in remark for remark in mammogram.remarks)
    if is_said:
        assert len(Mammogram.read(path, spacing=0.28).remarks) == 1


def test_given_spacing_overrides_the_header(tmp_path, film):
    path = write_dicom(tmp_path / "a.dcm", film)
    own = Mammogram.read(path)
    for given, is_said in (
        ((0.3, 0.4), True),
        (own.spacing, False),
        (1.01 * own.spacing[0], False),
    ):
        read = Mammogram.read(path, spacing=given)
        assert read.spacing == (given if isinstance(given, tuple) else (given, given))
        said = [remark for remark in read.remarks if "another size than the one" in remark]
        assert len(said) == is_said and len(read.remarks) == len(own.remarks) + is_said


def test_dicom_without_spacing_is_refused(tmp_path, film):
    path = write_dicom(tmp_path / "a.dcm", film, ImagerPixelSpacing=None)
    with pytest.raises(MammoTrackerError, match="give the spacing in mm"):
        Mammogram.read(path)
    assert Mammogram.read(path, spacing=0.07).spacing == (0.07, 0.07)


@pytest.mark.parametrize(
    ("attributes", "laterality", "view"),
    [
        ({}, "L", "CC"),
        ({"ImageLaterality": None, "Laterality": "R"}, "R", "CC"),
        ({"ImageLaterality": "B", "ViewPosition": "MLO"}, None, "MLO"),
        ({"ImageLaterality": None, "ViewPosition": None}, None, None),
        ({"ViewPosition": None, "PatientOrientation": "MLO"}, "L", "MLO"),
        ({"ViewPosition": None, "PatientOrientation": ["A", "R"]}, "L", None),
        (
            {
                "ViewPosition": None,
                "ViewCodeSequence": item(CodeValue="399368009", CodingSchemeDesignator="SCT"),
            },
            "L",
            "MLO",
        ),
        (
            {
                "ViewPosition": None,
                "ViewCodeSequence": item(CodeValue="R-10242", CodingSchemeDesignator="SRT"),
            },
            "L",
            "CC",
        ),
        (
            {
                "ViewPosition": None,
                "ViewCodeSequence": item(CodeValue="Y", CodingSchemeDesignator="99X"),
            },
            "L",
            None,
        ),
    ],
)
def test_laterality_and_view(tmp_path, film, attributes: dict, laterality, view):
    mammogram = Mammogram.read(write_dicom(tmp_path / "a.dcm", film, **attributes))
    assert (mammogram.laterality, mammogram.view) == (laterality, view)


def test_date_and_patient(tmp_path, film):
    mammogram = Mammogram.read(write_dicom(tmp_path / "a.dcm", film))
    assert mammogram.date == datetime.date(2024, 2, 29)
    assert mammogram.patient_id == "SECRET-ID"
    assert not [secret for secret in SECRETS if secret in repr(mammogram) + str(mammogram)]


def test_missing_or_wrong_date_and_patient(tmp_path, film):
    path = write_dicom(tmp_path / "a.dcm", film, StudyDate="", PatientID="")
    mammogram = Mammogram.read(path)
    assert mammogram.date is None
    assert mammogram.patient_id is None


def enhanced(**attributes) -> dict:
    """Return what makes an enhanced file of one frame: its facts are in functional groups."""
    shared = item(
        PixelMeasuresSequence=item(PixelSpacing=ROWS_FIRST),
        PixelValueTransformationSequence=item(RescaleSlope=2, RescaleIntercept=1),
    )
    per_frame = item(FrameAnatomySequence=item(FrameLaterality="R"))
    return {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.13.1.3",
        "NumberOfFrames": 1,
        "ImageLaterality": None,
        "ImagerPixelSpacing": None,
        "SharedFunctionalGroupsSequence": shared,
        "PerFrameFunctionalGroupsSequence": per_frame,
        **attributes,
    }


def test_synthetic_2d_in_an_enhanced_file(tmp_path, film):
    image_type = ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]
    path = write_dicom(tmp_path / "a.dcm", film, **enhanced(ImageType=image_type))
    mammogram = Mammogram.read(path)
    assert np.array_equal(mammogram.pixels, film * 2.0 + 1)
    assert mammogram.spacing == (0.2, 0.1)
    assert mammogram.laterality == "R"


def slice_of_tomosynthesis(path: Path, film: np.ndarray) -> None:
    write_dicom(path, film, ImageType=["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "NONE"])


def tomosynthesis(path: Path, film: np.ndarray) -> None:
    write_dicom(path, film, NumberOfFrames=2, PixelData=film.tobytes() * 2)


def tomosynthesis_slice(path: Path, film: np.ndarray) -> None:
    write_dicom(path, film, **enhanced())


def chest_x_ray(path: Path, film: np.ndarray) -> None:
    write_dicom(path, film, Modality="DX")


def report(path: Path, film: np.ndarray) -> None:
    write_dicom(path, film, Modality="SR", PixelData=None)


def no_modality(path: Path, film: np.ndarray) -> None:
    write_dicom(path, film, Modality=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.7")


def no_pixels(path: Path, film: np.ndarray) -> None:
    write_dicom(path, film, PixelData=None)


def color(path: Path, film: np.ndarray) -> None:
    channels = np.dstack([film, film, film // 2]).tobytes()
    write_dicom(path, film, SamplesPerPixel=3, PhotometricInterpretation="RGB", PixelData=channels)


def black(path: Path, film: np.ndarray) -> None:
    write_dicom(path, film * 0)


def padding_alone(path: Path, film: np.ndarray) -> None:
    write_dicom(path, film * 0, PixelPaddingValue=0)


def truncated_header(path: Path, film: np.ndarray) -> None:
    content = write_dicom(path, film).read_bytes()
    path.write_bytes(content[: content.index(b"MONOCHROME2") + 5])


def truncated_plain(path: Path, film: np.ndarray) -> None:
    path.write_bytes(write_dicom(path, film).read_bytes()[:-100])


def truncated_deflated(path: Path, film: np.ndarray) -> None:
    write_dicom(path, film, TransferSyntaxUID=uid.DeflatedExplicitVRLittleEndian)
    path.write_bytes(path.read_bytes()[:-100])


def truncated_rle(path: Path, film: np.ndarray) -> None:
    write_dicom(path, film, TransferSyntaxUID=uid.RLELossless)
    path.write_bytes(path.read_bytes()[:-100])


def truncated_rle_frame(path: Path, film: np.ndarray) -> None:
    frame = next(
        pydicom.encaps.generate_frames(
            pydicom.dcmread(write_dicom(path, film, TransferSyntaxUID=uid.RLELossless)).PixelData,
            number_of_frames=1,
        )
    )
    write_dicom(path, film, frame=frame[: len(frame) // 2], TransferSyntaxUID=uid.RLELossless)


def truncated_jpeg_ls(path: Path, film: np.ndarray) -> None:
    frame = jpeg_ls(film, 16)
    write_dicom(path, film, frame=frame, TransferSyntaxUID=uid.JPEGLSLossless)
    path.write_bytes(path.read_bytes()[:-100])


def truncated_jpeg_ls_frame(path: Path, film: np.ndarray) -> None:
    frame = jpeg_ls(film, 16)[:5000]
    write_dicom(path, film, frame=frame, TransferSyntaxUID=uid.JPEGLSLossless)


def truncated_jpeg_2000_frame(path: Path, film: np.ndarray) -> None:
    frame = jpeg_2000(film, 16)[:5000]
    write_dicom(path, film, frame=frame, TransferSyntaxUID=uid.JPEG2000Lossless)


def wrong_rows(path: Path, film: np.ndarray) -> None:
    frame = jpeg_ls(film, 16)
    write_dicom(path, film, frame=frame, TransferSyntaxUID=uid.JPEGLSLossless, Rows=4000)


def wrong_spacing(path: Path, film: np.ndarray) -> None:
    write_dicom(path, film, ImagerPixelSpacing=[0, 0])


def unreadable_number(path: Path, film: np.ndarray) -> None:
    write_dicom(path, film, ImagerPixelSpacing=[0.0703, 0.0703])
    path.write_bytes(path.read_bytes().replace(b"0.0703", b"0.x7y3"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (slice_of_tomosynthesis, "is a slice or projection of tomosynthesis"),
        (tomosynthesis, "holds several frames"),
        (tomosynthesis_slice, "is tomosynthesis"),
        (chest_x_ray, "not a mammogram.*DX"),
        (report, "not a mammogram.*SR"),
        (no_modality, "not a mammogram.*missing"),
        (no_pixels, "truncated"),
        (color, "colour"),
        (black, "a.dcm: .* is empty"),
        (padding_alone, "a.dcm: .* is empty"),
        (truncated_header, "PhotometricInterpretation is unknown"),
        (truncated_plain, "truncated"),
        (truncated_deflated, "truncated|damaged"),
        (truncated_rle, "truncated"),
        (truncated_rle_frame, "truncated"),
        (truncated_jpeg_ls, "truncated"),
        (truncated_jpeg_ls_frame, "truncated"),
        (truncated_jpeg_2000_frame, "truncated"),
        (wrong_rows, "truncated or damaged"),
        (wrong_spacing, "ImagerPixelSpacing cannot"),
        (unreadable_number, "ImagerPixelSpacing cannot"),
    ],
)
def test_bad_dicom_says_one_sentence_without_patient_data(
    tmp_path, film, caplog, recwarn, make, message: str
):
    caplog.set_level(logging.DEBUG)
    make(tmp_path / "a.dcm", film)
    caplog.clear()
    recwarn.clear()
    with pytest.raises(MammoTrackerError, match=message) as raised:
        Mammogram.read(tmp_path / "a.dcm")
    text = str(raised.value)
    assert text.endswith(".")
    assert "\n" not in text
    said = text + caplog.text + "".join(str(warning.message) for warning in recwarn)
    assert not [secret for secret in SECRETS if secret in said]


@pytest.mark.parametrize("modality", ["CR", "DX", "OT"])
def test_radiography_of_the_breast_is_a_mammogram(tmp_path, film, modality: str):
    path = write_dicom(tmp_path / "a.dcm", film, Modality=modality, BodyPartExamined="BREAST")
    assert np.array_equal(Mammogram.read(path).pixels, film)
    assert Header.read(path).view == "CC"


def test_a_public_set_keeps_the_class_in_the_files_own_header_alone(tmp_path, film):
    path = write_dicom(tmp_path / "a.dcm", film)
    header = pydicom.dcmread(path)
    del header.SOPClassUID, header.Modality
    header.save_as(path)
    assert np.array_equal(Mammogram.read(path).pixels, film)
    assert read_file(path, b"key", False).reason is None


def test_odd_header_values_cause_no_warnings_or_log(tmp_path, film, caplog, recwarn):
    """What pydicom would say can repeat them."""
    path = write_dicom(
        tmp_path / "a.dcm", film, PatientID="SECRET-ID" * 9, StudyDate="2024x229", ViewPosition="?"
    )
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    recwarn.clear()
    assert Mammogram.read(path).date is None
    assert not caplog.text
    assert not recwarn.list


def test_header(tmp_path):
    path = write_dicom(
        tmp_path / "a.dcm", np.eye(4, dtype=np.uint16), ImagerPixelSpacing=[0.2, 0.1],
        EstimatedRadiographicMagnificationFactor=2, WindowCenter=[700, 5], WindowWidth=[300, 5],
    )  # fmt: skip
    assert Header.read(path) == Header(
        (0.05, 0.1),
        "L",
        "CC",
        datetime.date(2024, 2, 29),
        "SECRET-ID",
        (700, 300),
        False,
        None,
        ("magnified",),
    )
    assert not any(secret in repr(Header.read(path)) for secret in SECRETS)


def test_header_without_pixels(tmp_path):
    """A header is read without its pixels, so also where they are damaged."""
    path = write_dicom(tmp_path / "a.dcm", np.eye(40, dtype=np.uint16))
    path.write_bytes(path.read_bytes()[:-900])
    assert Header.read(path).view == "CC"
    with pytest.raises(MammoTrackerError, match="truncated"):
        Mammogram.read(path)


@pytest.mark.parametrize(
    "attributes",
    [
        {"ImagerPixelSpacing": None},
        {"ImagerPixelSpacing": [0, 0]},
        {"ImagerPixelSpacing": [70, 70]},
    ],
)
def test_header_without_a_spacing(tmp_path, attributes):
    path = write_dicom(tmp_path / "a.dcm", np.eye(4, dtype=np.uint16), **attributes)
    assert Header.read(path).spacing is None


@pytest.mark.parametrize(
    "window",
    [{}, {"WindowCenter": 5}, {"WindowCenter": 5, "WindowWidth": 0}, {"WindowCenter": [],
     "WindowWidth": []}],
)  # fmt: skip
def test_header_without_a_window(tmp_path, window):
    path = write_dicom(tmp_path / "a.dcm", np.eye(4, dtype=np.uint16), **window)
    assert Header.read(path).window is None


@pytest.mark.parametrize(("dtype", "bits"), [(np.uint16, 12), (np.uint16, 16), (np.int16, 16)])
@pytest.mark.parametrize("rescale", [(1, 0), (2, -5)])
def test_the_window_is_in_the_values_that_itk_reads(tmp_path, dtype, bits, rescale):
    values = np.arange(40, 72).reshape(4, 8).astype(dtype)
    slope, intercept = rescale
    path = write_dicom(
        tmp_path / "a.dcm", values, bits, PhotometricInterpretation="MONOCHROME1",
        RescaleSlope=slope, RescaleIntercept=intercept, WindowWidth=10,
        WindowCenter=slope * int(values[2, 3]) + intercept,
    )  # fmt: skip
    as_read = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0]
    header = Header.read(path)
    assert header.window == (as_read[2, 3], 10)
    assert header.inverted


def test_what_has_no_header(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.eye(8, dtype=np.uint8)), str(tmp_path / "a.png"))
    with pytest.raises(MammoTrackerError, match="no DICOM file"):
        Header.read(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("This is text, " * 20)
    with pytest.raises(MammoTrackerError, match="not an image"):
        Header.read(tmp_path / "a.txt")
    path = write_dicom(tmp_path / "ct.dcm", np.eye(4, dtype=np.uint16), Modality="CT")
    with pytest.raises(MammoTrackerError, match="not a mammogram"):
        Header.read(path)
    with pytest.raises(MammoTrackerError, match="no file"):
        Header.read(tmp_path / "missing.dcm")

"""Damaged files of every kind, made by chance and read in a process of their own.

    python Testing/fuzz.py 20000 [SEED]

reads so many, and prints what happened. What must not: a crash, more than 20 s or 1.5 GB, another
exception than MammoTrackerError, and the invented patient's name, ID or birth date in any output.
"""

from __future__ import annotations

import collections
import io
import json
import os
import random
import re
import select
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import SimpleITK as sitk
import sr_files as sr
from dicom_files import item, write_dicom
from PIL import Image
from pydicom import uid

from MammoTrackerLib.errors import MammoTrackerError
from MammoTrackerLib.mammogram import Header, Mammogram
from MammoTrackerLib.memory import peak_mb
from MammoTrackerLib.reading.geometry import Geometry
from MammoTrackerLib.reading.lesions import read_lesions

LONGEST_S = 20
LARGEST_BYTES = 1_500_000_000
# Parts of them would be found by chance.
SECRETS = ("Jane", "SECRET-ID", "19501224")
NUMBERS = (
    0, 1, -1, 2, 3, 7, 8, 12, 15, 16, 17, 32, 100, 127, 128, 255, 256, 348, 540, 4095, 32767, 32768,
    65535, 65536, 10**6, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**64, -(2**31), 1e308,
    -1e308, 1e-308, 5e-324, float("nan"), float("inf"), 0.07,
)  # fmt: skip
TEXTS = (
    "", " ", "LOCAL", "LIST", "/etc/passwd", "../a.raw", "a%03d.raw 1 9 1", "True", "False",
    "MET_DOUBLE", "MET_OTHER", "double", "block", "gzip", "bzip2", "hex", "ascii", "none",
    "(1,0,0) (0,1,0)", "MONOCHROME1", "PALETTE COLOR", "FOR PROCESSING", "LOG", "SIGMOID", "YES",
    "2008.11", "x" * 5000, "caf\u00e9", "\x1b[31m", "MLO\\CC",
)  # fmt: skip
KEYWORDS = (
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "SamplesPerPixel", "NumberOfFrames", "PhotometricInterpretation", "ImagerPixelSpacing",
    "PixelSpacing", "WindowCenter", "WindowWidth", "VOILUTFunction", "RescaleSlope",
    "RescaleIntercept", "PixelPaddingValue", "PixelPaddingRangeLimit", "PatientOrientation",
    "ViewPosition", "ImageLaterality", "StudyDate", "PatientID", "SOPClassUID", "Modality",
    "PresentationIntentType", "PixelIntensityRelationship", "PixelIntensityRelationshipSign",
    "EstimatedRadiographicMagnificationFactor", "DistanceSourceToDetector", "ImageType",
    "DistanceSourceToPatient", "VOILUTSequence", "ModalityLUTSequence", "ViewCodeSequence",
    "SharedFunctionalGroupsSequence", "PixelData", "SpecificCharacterSet", "SOPInstanceUID",
    "SourceImageSequence", "ContentSequence", "ValueType", "GraphicType", "GraphicData",
    "ConceptNameCodeSequence", "ConceptCodeSequence", "CodeValue", "ReferencedSOPSequence",
    "ReferencedSOPInstanceUID", "ReferencedContentItemIdentifier", "TextValue", "UID",
    "MeasuredValueSequence",
)  # fmt: skip
# Files of lesions have names that begin so.
LESIONS = "lesions-"
INSTANCE = "1.2.3.4"


def seeds(folder: Path) -> list[tuple[str, dict[str, bytes]]]:
    """Make a sound file of every kind: its name, and the content of it and of those beside it."""
    rng = np.random.default_rng(0)
    grey = (np.add.outer(np.arange(40), np.arange(56)) * 20 + rng.integers(0, 9, (40, 56))).astype(
        np.uint16
    )
    small = (grey >> 4).astype(np.uint8)
    made = [*_dicom_seeds(folder, grey, small), *_lesion_seeds(folder, grey)]
    color = np.repeat(small[..., None], 3, axis=-1)
    images = {"grey.png": small, "deep.png": grey, "grey.tif": small, "deep.tif": grey,
              "grey.jpg": small, "color.png": color, "color.jpg": color}  # fmt: skip
    for name, array in images.items():
        path = folder / name
        sitk.WriteImage(sitk.GetImageFromArray(array, isVector=array.ndim == 3), str(path))
        made.append((name, {name: path.read_bytes()}))
    alpha = np.dstack([small, np.full_like(small, 255)])
    for name in ("alpha.png", "alpha.tif"):
        Image.fromarray(alpha, "LA").save(folder / name)
        made.append((name, {name: (folder / name).read_bytes()}))
    for name, beside, is_compressed in (
        ("a.mha", (), False), ("z.mha", (), True), ("b.mhd", ("b.raw",), False),
        ("c.nrrd", (), False), ("y.nrrd", (), True), ("d.nhdr", ("d.raw",), False),
        ("e.nii", (), False), ("f.nii.gz", (), True), ("g.hdr", ("g.img",), False),
    ):  # fmt: skip
        image = sitk.GetImageFromArray(grey)
        image.SetSpacing((0.5, 0.5))
        image.SetMetaData("Comment", "Doe^Jane")
        sitk.WriteImage(image, str(folder / name), is_compressed)
        made.append((name, {part: (folder / part).read_bytes() for part in (name, *beside)}))
    return made


def _dicom_seeds(folder: Path, grey: np.ndarray, small: np.ndarray):
    lut = item(LUTDescriptor=[1000, 0, 12], LUTExplanation="Doe^Jane")
    lut[0].add_new("LUTData", "US", list(range(0, 4000, 4)))
    code = item(CodeValue="R-10226", CodingSchemeDesignator="SRT", CodeMeaning="Doe^Jane")
    code[0].ViewModifierCodeSequence = item(CodeValue="R-102D7", CodingSchemeDesignator="SRT")
    rich = {
        "WindowCenter": [700, 5], "WindowWidth": [900, 5], "RescaleSlope": 1,
        "RescaleIntercept": 0, "PixelPaddingValue": 0, "PatientOrientation": ["A", "FR"],
        "ImageType": ["ORIGINAL", "PRIMARY"], "ViewCodeSequence": code, "VOILUTSequence": lut,
        "ImageComments": "Doe^Jane", "InstitutionName": "SECRET-ID",
        "EstimatedRadiographicMagnificationFactor": 1.1, "PresentationIntentType": "FOR PROCESSING",
    }  # fmt: skip
    frames = {
        uid.JPEGLSLossless: imagecodecs.jpegls_encode(grey),
        uid.JPEGLSNearLossless: imagecodecs.jpegls_encode(grey, level=3),
        uid.JPEGLosslessSV1: imagecodecs.ljpeg_encode(grey, bitspersample=12),
        uid.JPEG2000Lossless: imagecodecs.jpeg2k_encode(
            grey, level=0, codecformat="J2K", reversible=True, bitspersample=12
        ),
        uid.JPEG2000: imagecodecs.jpeg2k_encode(grey, level=60, codecformat="J2K"),
        uid.JPEGExtended12Bit: imagecodecs.jpeg8_encode(grey, level=95, bitspersample=12),
        uid.JPEGBaseline8Bit: imagecodecs.jpeg8_encode(small, level=95),
    }
    if hasattr(imagecodecs, "htj2k_encode"):  # not for Python 3.10
        frames[uid.HTJ2KLossless] = imagecodecs.htj2k_encode(grey)
    plain = (
        uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian,
        uid.DeflatedExplicitVRLittleEndian, uid.RLELossless,
    )  # fmt: skip
    for number, syntax in enumerate([*plain, *frames]):
        values = small if syntax == uid.JPEGBaseline8Bit else grey
        path = folder / f"{number}.dcm"
        kept = rich if number % 2 else {**rich, "VOILUTSequence": [], "PresentationIntentType": ""}
        write_dicom(
            path, values, 8 if values is small else 12, frames.get(syntax),
            TransferSyntaxUID=syntax, **kept,
        )  # fmt: skip
        yield path.name, {path.name: path.read_bytes()}


def _lesion_seeds(folder: Path, grey: np.ndarray):
    outline = [5, 5, 30, 5, 30, 20, 5, 20]
    mass = sr.item("CODE", "CONTAINS", "finding", ConceptCodeSequence=sr.code("mass"))
    whole = sr.scoord("POLYLINE", outline, INSTANCE)
    first = sr.group(*sr.tracking("1.2.9", "Doe^Jane"), mass, whole)
    axes = [sr.number("length", [sr.scoord("POLYLINE", outline[:4], INSTANCE)])]
    content = sr.report(first, sr.group(*sr.tracking("1.2.8"), *axes), library=[INSTANCE])
    shapes = [sr.scoord("ELLIPSE", outline, INSTANCE), sr.scoord("CIRCLE", outline[:4], INSTANCE)]
    findings = [sr.finding("density", *shapes), sr.finding("cluster", whole)]
    cad = sr.cad_report([INSTANCE], *findings)
    for name, tree, syntax in (
        ("sr.dcm", content, uid.ExplicitVRLittleEndian),
        ("cad.dcm", cad, uid.ImplicitVRLittleEndian),
        ("deflated.dcm", content, uid.DeflatedExplicitVRLittleEndian),
        ("big.dcm", cad, uid.ExplicitVRBigEndian),
    ):  # fmt: skip
        path = sr.write_report(folder / f"{LESIONS}{name}", tree, syntax=syntax)
        yield path.name, {path.name: path.read_bytes()}
    mask = np.zeros_like(grey, np.uint8)
    mask[5:20, 5:30] = 1
    for name in ("mask.png", "mask.nrrd", "mask.nii"):
        path = folder / f"{LESIONS}{name}"
        sitk.WriteImage(sitk.GetImageFromArray(mask), str(path))
        yield path.name, {path.name: path.read_bytes()}
    point = {"position": [1.5, 1.5, 0], "positionStatus": "defined", "label": "Doe^Jane"}
    roi = {"type": "ROI", "coordinateSystem": "LPS", "center": [1.5, 1.5, 0], "size": [2, 2, 10],
           "orientation": [1, 0, 0, 0, 1, 0, 0, 0, 1], "controlPoints": [point]}  # fmt: skip
    name = f"{LESIONS}roi.mrk.json"
    markups = {"markups": [roi, {**roi, "type": "Fiducial"}]}
    yield name, {name: json.dumps(markups, indent=1).encode()}


def mutant(
    seeds: list[tuple[str, dict[str, bytes]]], index: int, seed: int
) -> tuple[str, dict[str, bytes]]:
    """Damage one of the seeds, always in the same way for the same numbers."""
    rng = random.Random(f"{seed} {index}")
    name, files = rng.choice(seeds)
    part = name if rng.random() < 0.8 else rng.choice(list(files))
    content = bytearray(files[part])
    if name.endswith(".dcm") and rng.random() < 0.4:
        content = bytearray(_with_other_elements(bytes(content), rng))
    if name.endswith((".mha", ".mhd", ".nrrd", ".nhdr")) and rng.random() < 0.6:
        content = bytearray(_with_other_fields(bytes(content), rng))
    elif rng.random() < 0.9:
        for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
            _damage(content, rng)
    return name, {**files, part: bytes(content)}


def _damage(content: bytearray, rng: random.Random) -> None:
    length = max(len(content), 1)
    at = rng.randrange(min(length, rng.choice((64, 400, 2000, length, length))))
    kind = rng.randrange(8)
    if kind < 3:
        content[at : at + 1] = bytes([rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))])
    elif kind == 3:
        number = rng.choice([number for number in NUMBERS if isinstance(number, int)])
        size, order = rng.choice((2, 4, 8)), rng.choice(("little", "big"))
        content[at : at + size] = (number % 2 ** (8 * size)).to_bytes(size, order)
    elif kind == 4:
        del content[at:]
    elif kind == 5:
        del content[at : at + rng.choice((1, 2, 4, 100))]
    elif kind == 6:
        content[at:at] = rng.randbytes(rng.choice((1, 2, 4, 100)))
    else:
        content[at:at] = content[at : at + rng.choice((4, 32, 1000))]


def _with_other_fields(content: bytes, rng: random.Random) -> bytes:
    """Change words of a header that is text."""
    lines = content.split(b"\n")
    count = next(
        (number for number, line in enumerate(lines) if not line or b"ElementDataFile" in line),
        len(lines) - 2,
    )
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(min(count + 1, len(lines)))
        words = re.split(rb"([ =:,()])", lines[at])
        value = str(rng.choice(NUMBERS)) if rng.random() < 0.6 else rng.choice(TEXTS)
        if rng.random() < 0.8:
            words[rng.randrange(len(words))] = value.encode()
            lines[at] = b"".join(words)
        elif rng.random() < 0.5:
            lines.insert(at, rng.choice(lines[: count + 1]))
        else:
            del lines[at]
    return b"\n".join(lines)


def _with_other_elements(content: bytes, rng: random.Random) -> bytes:
    """Change elements of a DICOM file, where pydicom can write what comes of it."""
    written = io.BytesIO()
    try:
        header = pydicom.dcmread(io.BytesIO(content))
        places = [header, *_nested(header)]
        for _ in range(rng.choice((1, 1, 2, 4))):
            place, keyword = rng.choice(places), rng.choice(KEYWORDS)
            value = rng.choice(NUMBERS) if rng.random() < 0.7 else rng.choice(TEXTS)
            if rng.random() < 0.2:
                place.pop(keyword, None)
            else:
                setattr(place, keyword, [value] * rng.choice((1, 2, 3)) if rng.random() < 0.3
                        else value)  # fmt: skip
        header.save_as(written)
    except Exception:  # what pydicom does not write, it does not read either
        return content
    return written.getvalue()


def _nested(dataset: pydicom.Dataset):
    for element in dataset:
        for part in element.value if element.VR == "SQ" else ():
            yield part
            yield from _nested(part)


def read_some(first: int, last: int, seed: int) -> None:
    """Read the mutants with these numbers, and print one line of JSON for each."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (8 * 10**9, 8 * 10**9))
    results = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print goes where the parent looks for names
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    with tempfile.TemporaryDirectory() as folder, pydicom.config.disable_value_validation():
        made = seeds(Path(folder))
        for index in range(first, last):
            name, files = mutant(made, index, seed)
            place = Path(folder, "mutant")
            place.mkdir(exist_ok=True)
            for part, content in files.items():
                (place / part).write_bytes(content)
            readers = (_lesions,) if name.startswith(LESIONS) else (_mammogram, Header.read)
            for read in readers:
                outcome = _outcome(read, place / name)
                if outcome not in ("read", "refused"):
                    break
            peak = round(peak_mb() * 2**20)
            if peak > LARGEST_BYTES:
                outcome = f"{peak / 1e9:.1f} GB"
            results.write(json.dumps([outcome, peak]) + "\n")
            if peak > LARGEST_BYTES:
                return  # the peak stays, so the next ones need another process


def _mammogram(path: Path) -> None:
    try:
        Mammogram.read(path)
    except MammoTrackerError:
        repr(Mammogram.read(path, 0.5))


def _lesions(path: Path) -> None:
    exam = Header((0.1, 0.1), instance_uids=(INSTANCE,), size=(56, 40))
    geometry = Geometry([0, 0, 0], [0.1, 0, 0], [0, 0.1, 0])
    repr(read_lesions(path, [exam], geometry=geometry))


def _outcome(read, path: Path) -> str:
    try:
        read(path)
    except MammoTrackerError as error:
        said = "".join(traceback.format_exception(error))
        if any(secret in said for secret in SECRETS):
            return f"a name in the message: {error}"
        return "refused" if str(error).isprintable() else "control characters in the message"
    except BaseException as error:
        return f"{type(error).__name__}: {traceback.format_exc()[-300:]}"
    return "read"


def run(count: int, seed: int = 0, first: int = 0) -> tuple[collections.Counter, list[str]]:
    """Read so many mutants; return how often which outcome was, and what must not be."""
    outcomes: collections.Counter = collections.Counter()
    problems: list[str] = []
    last = first + count
    while first < last:
        with tempfile.TemporaryFile() as said:
            child = subprocess.Popen(
                [sys.executable, __file__, "--read", str(first), str(last), str(seed)],
                stdout=subprocess.PIPE,
                stderr=said,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
            )
            begun, buffer, ending = first, b"", None
            while ending is None and first < last:
                ready, _, _ = select.select([child.stdout], [], [], LONGEST_S)
                part = os.read(child.stdout.fileno(), 2**16) if ready else b""
                if not part:
                    ending = "hang" if not ready else "end"
                *lines, buffer = (buffer + part).split(b"\n")
                for line in lines:
                    outcome, peak = json.loads(line)
                    outcomes["peak MB"] = max(outcomes["peak MB"], peak // 10**6)
                    if outcome in ("read", "refused"):
                        outcomes[outcome] += 1
                    else:
                        problems.append(f"{first}: {outcome}")
                        print(problems[-1], flush=True)
                    first += 1
            child.kill()
            status = child.wait()
            said.seek(0)
            text = said.read().decode("utf-8", "replace")
            if any(secret in text for secret in SECRETS):
                problems.append(f"{begun} to {first}: a name in the output: {text[-300:]}")
            if ending and first < last and not (problems and " GB" in problems[-1]):
                what = f"over {LONGEST_S} s" if ending == "hang" else f"crash, exit {status}"
                problems.append(f"{first}: {what}: {text[-300:]}")
                print(problems[-1], flush=True)
                first += 1
    return outcomes, problems


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--read"]:
        read_some(*(int(number) for number in arguments[1:]))
        return 0
    count, seed = int(arguments[0]), int((arguments[1:] or ["0"])[0])
    begun = time.monotonic()
    outcomes, problems = run(count, seed)
    for problem in problems:
        print(problem)
    print(f"{count} files in {time.monotonic() - begun:.0f} s: {dict(outcomes)}, "
          f"{len(problems)} problems")  # fmt: skip
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

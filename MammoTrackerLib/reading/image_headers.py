"""Headers of MetaImage, NRRD, NIfTI and PNG files, checked before ITK believes them."""

from __future__ import annotations

import gzip
import math
import re
import stat
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from ..errors import MammoTrackerError
from .files import check_amount, first_bytes, truncated

_LONGEST_LINE = 4096
_MOST_LINES = 1000
_LARGEST_NUMBER = 1e6
_MOST_PACKED = 1_000_000

_META_BITS = {
    "MET_CHAR": 8, "MET_UCHAR": 8, "MET_SHORT": 16, "MET_USHORT": 16, "MET_INT": 32,
    "MET_UINT": 32, "MET_LONG": 64, "MET_ULONG": 64, "MET_LONG_LONG": 64, "MET_ULONG_LONG": 64,
    "MET_FLOAT": 32, "MET_DOUBLE": 64,
}  # fmt: skip
# How many numbers, by the number of dimensions.
_META_NUMBERS = {
    "elementspacing": lambda n: n, "elementsize": lambda n: n, "offset": lambda n: n,
    "origin": lambda n: n, "position": lambda n: n, "centerofrotation": lambda n: n,
    "transformmatrix": lambda n: n * n, "rotation": lambda n: n * n, "orientation": lambda n: n * n,
    "elementmin": lambda n: 1, "elementmax": lambda n: 1, "elementnumberofchannels": lambda n: 1,
    "headersize": lambda n: 1, "compresseddatasize": lambda n: 1,
}  # fmt: skip
_NRRD_BITS = {
    8: "signed char|int8|int8_t|uchar|unsigned char|uint8|uint8_t",
    16: "short|short int|signed short|signed short int|int16|int16_t|ushort|unsigned short|"
    "unsigned short int|uint16|uint16_t",
    32: "int|signed int|int32|int32_t|uint|unsigned int|uint32|uint32_t|float",
    64: "longlong|long long|long long int|signed long long|signed long long int|int64|int64_t|"
    "ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t|double",
}
_NRRD_NUMBERS = (
    "spacings", "thicknesses", "axis mins", "axismins", "axis maxs", "axismaxs", "min", "max",
    "old min", "oldmin", "old max", "oldmax", "space directions", "space origin",
    "measurement frame",
)  # fmt: skip
_NRRD_ENCODINGS = ("raw", "txt", "text", "ascii", "hex", "gz", "gzip", "bz2", "bzip2")
_NIFTI_BITS = {
    2: 8, 256: 8, 4: 16, 512: 16, 8: 32, 768: 32, 16: 32, 64: 64, 1024: 64, 1280: 64,
    128: 24, 2304: 32, 32: 64, 1792: 128,
}  # fmt: skip


def check_header(path: Path, format_name: str) -> None:
    """Refuse a header that is damaged, claims too much, or names a file that is not its own.

    Raises
    ------
    MammoTrackerError
        That says which of these; none of the header's text is in it.
    """
    try:
        if format_name == "MetaImageIO":
            _check_meta(path)
        elif format_name == "NrrdImageIO":
            _check_nrrd(path)
        elif format_name == "NiftiImageIO":
            _check_nifti(path)
        elif format_name == "PNGImageIO":
            _check_png(path)
    except MammoTrackerError:
        raise
    except (ValueError, KeyError, OverflowError, struct.error, OSError, EOFError, zlib.error):
        raise truncated(path) from None


def _lines(path: Path) -> list[str]:
    """Return a header's lines, up to its end: the name of its pixels' file, or an empty line."""
    lines: list[str] = []
    with path.open("rb") as file:
        for _ in range(_MOST_LINES):
            line = file.readline(_LONGEST_LINE)
            if len(line) == _LONGEST_LINE or b"\0" in line:
                break
            text = line.decode("utf-8").strip()
            if not text:
                return lines
            lines.append(text)
            if text.lower().startswith("elementdatafile"):
                return lines
    raise truncated(path)


def _fields(path: Path, lines: list[str], pattern: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        match = re.fullmatch(pattern, line)
        if not match or match[1].lower() in fields:
            raise truncated(path)
        fields[match[1].lower()] = match[2]
    return fields


def _numbers(text: str) -> list[float]:
    numbers = [float(part) for part in text.split()]
    if not all(math.isfinite(number) and abs(number) < _LARGEST_NUMBER for number in numbers):
        raise ValueError("a number that is none of an image")
    return numbers


def _checked_sizes(path: Path, text: str, dimension: str, samples: int, bits: int) -> None:
    """Check the lengths of the axes; every one has its place, and there are 2 to 5 of them."""
    if not re.fullmatch("[2-5]", dimension):
        raise truncated(path)
    sizes = [int(part) for part in text.split()]
    if len(sizes) != int(dimension) or min(sizes) < 1 or not 1 <= samples <= 64:
        raise truncated(path)
    count = math.prod(sizes) * samples
    check_amount(path, math.prod(sizes), count * bits // 8)


def _check_own_file(path: Path, name: str) -> None:
    """Refuse another file than a header's own: in its folder, by its name, no link, no pipe."""
    name = name.removeprefix("./")
    if name != Path(name).name or not name.startswith(f"{path.stem}."):
        raise MammoTrackerError(
            f"{path} names another file as the one of its pixels, which is not read: it must be "
            "in the same folder and have the same name, but for its ending."
        )
    own = path.with_name(name)
    if not own.is_symlink() and not own.exists():
        raise MammoTrackerError(f"The file of the pixels of {path} is missing: copy it, too.")
    if own.is_symlink() or not stat.S_ISREG(own.stat().st_mode):
        raise MammoTrackerError(f"The pixels of {path} are in no regular file: copy them there.")


def _check_meta(path: Path) -> None:
    fields = _fields(path, _lines(path), r"([A-Za-z_]\w*)\s*=\s*(.*)")
    if list(fields)[-1] != "elementdatafile":
        raise truncated(path)
    dimension = fields["ndims"]
    keys = list(fields)
    samples = int(fields.get("elementnumberofchannels", "1"))
    _checked_sizes(path, fields["dimsize"], dimension, samples, _META_BITS[fields["elementtype"]])
    for key in fields.keys() & _META_NUMBERS.keys():
        if key == "compresseddatasize":
            if not 0 <= int(fields[key]) <= path.stat().st_size + 4 * 10**8:
                raise truncated(path)
            continue
        if len(_numbers(fields[key])) != _META_NUMBERS[key](int(dimension)):
            raise truncated(path)
    if keys.index("ndims") > keys.index("dimsize"):
        raise truncated(path)
    name = fields["elementdatafile"]
    if name.lower() != "local":
        _check_own_file(path, name)


def _check_nrrd(path: Path) -> None:
    lines = _lines(path)[1:]
    lines = [line for line in lines if not line.startswith("#") and ":=" not in line]
    fields = _fields(path, lines, r"([^:]+):\s*(.*)")
    bits = [bits for bits, names in _NRRD_BITS.items() if fields["type"] in names.split("|")]
    if not bits or fields["encoding"].lower() not in _NRRD_ENCODINGS:
        raise truncated(path)
    _checked_sizes(path, fields["sizes"], fields["dimension"], 1, bits[0])
    for key in fields.keys() & set(_NRRD_NUMBERS):
        _numbers(re.sub(r"none|[(),]", " ", fields[key]))
    for key in ("line skip", "lineskip", "byte skip", "byteskip"):
        if not -1 <= int(fields.get(key, "0")) <= _LARGEST_NUMBER:
            raise truncated(path)
    for key in ("data file", "datafile"):
        if key in fields:
            _check_own_file(path, fields[key])


def _check_png(path: Path) -> None:
    """Check the chunks' lengths, which libpng takes memory for, and how much text can unpack."""
    packed = 0
    for kind, length in _png_chunks(path):
        packed += length if kind in (b"iCCP", b"zTXt", b"iTXt") else 0
        if packed > _MOST_PACKED:
            raise truncated(path)


def has_png_chunk(path: Path, wanted: bytes) -> bool:
    """Whether a PNG file, of which the header was checked, has a chunk of this kind."""
    return any(kind == wanted for kind, _ in _png_chunks(path))


def _png_chunks(path: Path) -> Iterator[tuple[bytes, int]]:
    """Yield the kind and the length of each chunk."""
    left = path.stat().st_size - 8
    with path.open("rb") as file:
        file.seek(8)
        while left > 0:
            length, kind = struct.unpack(">I4s", file.read(8))
            left -= 12 + length
            if left < 0:
                raise truncated(path)
            yield kind, length
            if kind == b"IEND":
                return
            file.seek(length + 4, 1)


def is_nifti(path: Path) -> bool:
    """Whether a file of such a name begins as NIfTI or Analyze, and so its header does."""
    try:
        return _nifti_order(_nifti_head(path)) is not None
    except (OSError, EOFError, zlib.error, MammoTrackerError):
        return False


def _nifti_files(path: Path) -> tuple[Path, Path]:
    """Return the header and the pixels: one file, or two side by side."""
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return path, path
    stem = path.name[: name.rindex(".hdr" if ".hdr" in name else ".img")]
    found = [path.with_name(stem + ending) for ending in (".img", ".img.gz")]
    return path.with_name(f"{stem}.hdr"), next((some for some in found if some.exists()), found[0])


def _nifti_head(path: Path) -> bytes:
    header = _nifti_files(path)[0]
    head = first_bytes(header)
    if not head.startswith(b"\x1f\x8b"):
        with header.open("rb") as file:
            return file.read(544)
    with gzip.open(header) as file:
        return file.read(544)


def _nifti_order(head: bytes) -> str | None:
    for order in "<>":
        if head[:4] in (struct.pack(f"{order}i", 348), struct.pack(f"{order}i", 540)):
            return order
    return None


def _check_nifti(path: Path) -> None:
    header, pixels = _nifti_files(path)
    for file in {header, pixels} - {path}:
        _check_own_file(path, file.name)
    head = _nifti_head(path)
    order = _nifti_order(head)
    if order is None:
        raise truncated(path)

    def values(form: str, at: int) -> tuple:
        return struct.unpack_from(f"{order}{form}", head, at)

    if head[:4] == struct.pack(f"{order}i", 540):
        magic, (datatype, bits), dim = head[4:7], values("2h", 12), values("8q", 16)
        pixdim, (offset,), codes = values("8d", 104), values("q", 168), values("2i", 344)
        places = values("6d", 352), values("12d", 400)
    else:
        magic, (datatype, bits), dim = head[344:347], values("2h", 70), values("8h", 40)
        pixdim, (offset,), codes = values("8f", 76), values("f", 108), values("2h", 252)
        places = values("6f", 256), values("12f", 280)
    if (magic[:2] != b"n+") != (header != pixels) or _NIFTI_BITS.get(datatype) != bits:
        raise truncated(path)
    if not 1 <= dim[0] <= 7:
        raise truncated(path)
    sizes = dim[1 : dim[0] + 1]
    numbers = [*pixdim[1 : dim[0] + 1], offset]
    for code, place in zip(codes, places, strict=True):
        numbers += place if code > 0 else ()
    _numbers(" ".join(map(str, numbers)))
    if min(sizes) < 1 or offset < 0:
        raise truncated(path)
    check_amount(path, math.prod(sizes), math.prod(sizes) * bits // 8)
    _check_length(path, pixels, int(offset) + math.prod(sizes) * bits // 8)


def _check_length(path: Path, pixels: Path, needed: int) -> None:
    """Count a NIfTI file's bytes, which ITK does not; compressed ones only as far as needed."""
    with pixels.open("rb") as file:
        is_compressed = file.read(2) == b"\x1f\x8b"
    if is_compressed:
        length = 0
        with gzip.open(pixels) as file:
            while length < needed and (part := file.read(2**24)):
                length += len(part)
    else:
        length = pixels.stat().st_size
    if length < needed:
        raise truncated(path)

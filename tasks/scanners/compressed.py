"""Compressed files: what joblib unwraps by magic, not by name, is unwrapped here the same way."""

import zlib

from tasks.domain.severity import Severity
from tasks.scanners.expanding import (
    BROKEN_STREAM,
    CODECS,
    OPTIONAL,
    BombError,
    Inflater,
    expanded,
    is_readable,
)
from tasks.scanners.inspection import Inspection
from tasks.scanners.reading import View

_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x5d\x00\x00", "lzma_alone"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x28\xb5\x2f\xfd", "zstandard"),
)
_OPAQUE = (
    (b"Rar!\x1a\x07", "rar"),
    (b"\x1f\x9d", "compress"),
    (b"MSCF", "cab"),
    (b"xar!", "xar"),
    (b"LZIP", "lzip"),
    (b"!<arch>\n", "ar"),
)
ZFILE = b"ZF"
_ZFILE_HEAD = 21  # "ZF" and the length in hexadecimal, padded to 19 places


def codec_of(view: View) -> str | None:
    """Returns the codec by content, or None."""
    head = view.head(64)
    for magic, codec in _MAGIC:
        if head.startswith(magic):
            return codec
    if head.startswith(ZFILE) and head[2:4] == b"0x":
        return "zfile"
    return "zlib" if _is_zlib(head, view) else None


def opaque_of(view: View) -> str | None:
    """Returns the container that is recognised and not read."""
    head = view.head(16)
    return next((name for magic, name in _OPAQUE if head.startswith(magic)), None)


def inspect_compressed(view: View, inspection: Inspection) -> str:
    """Expands within the budget and reads what comes out."""
    codec = codec_of(view) or "zlib"
    if not is_readable(codec):
        package = OPTIONAL[codec].partition(".")[0]
        text = f"reading {codec} needs the package {package} (extra: scanners)"
        inspection.note("format.not_assessed", Severity.MEDIUM, text)
        return codec
    inner = view.part(_ZFILE_HEAD) if codec == "zfile" else view
    try:
        content = expanded(inner, "zlib" if codec == "zfile" else codec, inspection.budget)
    except BombError as reason:
        inspection.note("archive.bomb", Severity.HIGH, str(reason))
        return codec
    except BROKEN_STREAM as error:
        _prefix(inner, codec, inspection)
        text = f"the {codec} stream is broken: {error}"
        inspection.note("compressed.malformed", Severity.MEDIUM, text)
        return codec
    nested = inspection.inside(content, codec, around=inspection.around)
    return f"{nested}+{codec}" if nested in ("pickle", "joblib") else codec


def inspect_opaque(view: View, inspection: Inspection) -> str:
    """Says that a container was recognised and nobody looked inside."""
    name = opaque_of(view) or "container"
    text = f"{name} content is not read; hand the files in unpacked"
    inspection.note("format.not_assessed", Severity.MEDIUM, text)
    return name


def _is_zlib(head: bytes, view: View) -> bool:
    if len(head) < 6 or head[0] & 0x0F != 8 or head[0] >> 4 > 7 or int.from_bytes(head[:2]) % 31:
        return False
    if head[1] & 0x20:
        return False  # a preset dictionary, which no model loader has
    try:
        return bool(Inflater(15).decompress(view.read(0, 1 << 16), 1 << 12))
    except zlib.error:
        return False


def _prefix(view: View, codec: str, inspection: Inspection) -> None:
    """A reader gets everything up to the fault, so that part is read too."""
    make = CODECS["zlib" if codec == "zfile" else codec]
    try:
        piece = make().decompress(view.read(0, 1 << 20), 8 << 20)
    except BROKEN_STREAM:
        return
    inspection.inside(View.of_bytes(piece), f"{codec} prefix", around="bytes")

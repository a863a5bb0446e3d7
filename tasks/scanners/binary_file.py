"""Other binary kinds: programs are refused, pictures and tables pass when they are whole."""

import re
import struct
import zlib

from tasks.domain.severity import Severity
from tasks.scanners.inspection import Inspection
from tasks.scanners.reading import View

_PROGRAMS = (
    (b"\x7fELF", "an ELF program or library"),
    (b"\xcf\xfa\xed\xfe", "a Mach-O program"),
    (b"\xce\xfa\xed\xfe", "a Mach-O program"),
    (b"\xfe\xed\xfa\xcf", "a Mach-O program"),
    (b"\xca\xfe\xba\xbe", "Java byte code or a Mach-O program"),
    (b"\x00asm", "WebAssembly"),
    (b"dex\n", "Android byte code"),
    (b"BC\xc0\xde", "LLVM bitcode"),
    (b"\x4c\x00\x00\x00\x01\x14\x02", "a Windows link"),
    (b"\xd0\xcf\x11\xe0", "an OLE document that can hold macros"),
)
_OPAQUE = (
    (0, b"SQLite format 3\x00", "sqlite"),
    (0, b"ARROW1\x00\x00", "arrow"),
    (0, b"ORC", "orc"),
    (0, b"RDX", "r_data"),
    (0, b"Obj\x01", "avro"),
)
_PDF_ACTIVE = re.compile(rb"/(?:JavaScript|JS|Launch|OpenAction|AA|EmbeddedFile|RichMedia|XFA)\b")
_PYC = re.compile(
    rb"^(?:\x03\xf3\r\n|[\x00-\xff][\x0c-\x0e]\r\n[\x00-\x03]\x00\x00\x00)", re.DOTALL
)


def program_of(view: View) -> str | None:
    """Returns what kind of program this is, or None."""
    head = view.head(64)
    for magic, what in _PROGRAMS:
        if head.startswith(magic):
            return what
    if head[:2] == b"MZ" and len(head) == 64:
        at = struct.unpack_from("<L", head, 60)[0]
        return "a Windows program" if view.read(at, 2) in (b"PE", b"NE", b"LE") else None
    return "Python byte code" if _PYC.match(head) else None


def inspect_program(view: View, inspection: Inspection) -> str:
    """No model needs one."""
    text = f"{inspection.name} is {program_of(view)}; it must not travel in a bundle"
    inspection.note("file.executable_code", Severity.HIGH, text)
    return "program"


def picture_of(view: View) -> str | None:
    """Returns the picture, sound or table format by magic, or None."""
    head = view.head(16)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if head[:4] == b"RIFF" and head[8:12] in (b"WEBP", b"WAVE"):
        return head[8:12].decode().lower()
    if head[:4] == b"PAR1":
        return "parquet"
    return "pdf" if head.startswith(b"%PDF-") else None


def inspect_picture(view: View, inspection: Inspection) -> str:
    """Checks that the file ends where its format says, so that nothing hides behind."""
    kind = picture_of(view) or "png"
    if kind == "pdf":
        _pdf(view, inspection)
        return kind
    end = {"png": _png_end, "jpeg": _jpeg_end, "gif": _gif_end, "parquet": _parquet_end}.get(
        kind, _riff_end
    )(view)
    if end is None:
        inspection.note("file.malformed", Severity.MEDIUM, f"the {kind} breaks off")
    elif end < view.size and view.part(end).read(0, 1 << 16).strip(b"\x00\r\n\t "):
        text = f"{view.size - end} bytes follow the {kind}"
        inspection.note("file.trailing_bytes", Severity.MEDIUM, text, end)
        inspection.inside(view.part(end), "trailing bytes", around="bytes")
    return kind


def opaque_binary(view: View) -> str | None:
    """Returns a format that is recognised and not read."""
    head = view.head(32)
    return next((name for at, magic, name in _OPAQUE if head[at:].startswith(magic)), None)


def inspect_opaque_binary(view: View, inspection: Inspection) -> str:
    """Says so."""
    name = opaque_binary(view) or "unknown"
    inspection.note("format.not_assessed", Severity.LOW, f"{name} is recognised, but not read")
    return name


def _png_end(view: View) -> int | None:
    at = 8
    for _ in range(100_000):
        head = view.read(at, 8)
        if len(head) < 8:
            return None
        at += 12 + int.from_bytes(head[:4], "big")
        if head[4:] == b"IEND":
            return at if at <= view.size else None
        if at > view.size:
            return None
    return None


def _jpeg_end(view: View) -> int | None:
    tail = view.read(max(0, view.size - (1 << 20)), 1 << 20)
    at = tail.rfind(b"\xff\xd9")
    return None if at < 0 else max(0, view.size - (1 << 20)) + at + 2


def _gif_end(view: View) -> int | None:
    tail = view.read(max(0, view.size - (1 << 16)), 1 << 16)
    at = tail.rfind(b"\x00;")
    return None if at < 0 else max(0, view.size - (1 << 16)) + at + 2


def _riff_end(view: View) -> int | None:
    end = 8 + int.from_bytes(view.read(4, 4), "little")
    return end if end <= view.size else None


def _parquet_end(view: View) -> int | None:
    tail = view.read(view.size - 8, 8)
    if tail[4:] != b"PAR1":
        return None
    return view.size if int.from_bytes(tail[:4], "little") + 12 <= view.size else None


def _pdf(view: View, inspection: Inspection) -> None:
    seen: set[bytes] = set()
    data = view.read(0, 32 << 20)
    seen.update(_PDF_ACTIVE.findall(data))
    for found in list(re.finditer(rb"stream\r?\n", data))[:2000]:
        try:
            piece = zlib.decompressobj().decompress(data[found.end() :], 1 << 20)
        except zlib.error:
            continue
        seen.update(_PDF_ACTIVE.findall(piece))
    if seen := seen - {b"/OpenAction"} | (
        {b"/OpenAction"} & seen if b"/JavaScript" in seen else set()
    ):
        text = f"the PDF acts by itself: {', '.join(sorted(each.decode() for each in seen))}"
        inspection.note("file.active_document", Severity.MEDIUM, text)

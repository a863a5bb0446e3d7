"""7z archives: every file in them expanded within the budget and read by the same rules.

Only what the standard library expands is read (copy, LZMA, LZMA2, deflate, bzip2, branch filters);
other methods are told as not assessed, encrypted ones as encrypted.
"""

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable

from tasks.domain.severity import Severity
from tasks.scanners.expanding import (
    BROKEN_STREAM,
    BombError,
    Decompressor,
    Inflater,
    expanded_by,
)
from tasks.scanners.inspection import Inspection
from tasks.scanners.member_names import unsafe_name
from tasks.scanners.reading import View
from tasks.scanners.sevenzip_header import (
    BrokenSevenZip,
    Coder,
    Folder,
    Reader,
    Streams,
    read_header,
    read_streams,
)

MAGIC = b"7z\xbc\xaf\x27\x1c"
MOST_HEADER = 32 << 20
MOST_DICTIONARY = 256 << 20
_START = struct.Struct("<6s2sLQQL")
_BRANCH = {"03030103": lzma.FILTER_X86, "03030205": lzma.FILTER_POWERPC, "04": lzma.FILTER_X86}
_BRANCH |= {"03030501": lzma.FILTER_ARM, "03030701": lzma.FILTER_ARMTHUMB}
_ENCRYPTION = "06f10701"


class UnreadError(Exception):
    """A method that is not expanded here; the text names it."""


def looks_like_sevenzip(view: View) -> bool:
    """Answers whether the magic is there."""
    return view.head(6) == MAGIC


def inspect_sevenzip(view: View, inspection: Inspection) -> str:
    """Follows the header, then every file."""
    try:
        _read(view, inspection)
    except (BrokenSevenZip, *BROKEN_STREAM) as reason:
        inspection.note("sevenzip.malformed", Severity.MEDIUM, str(reason))
    except BombError as reason:
        inspection.note("archive.bomb", Severity.HIGH, str(reason))
    except UnreadError as reason:
        inspection.note("format.not_assessed", Severity.MEDIUM, f"7z: {reason}")
    return "7z"


def _read(view: View, inspection: Inspection) -> None:
    head = view.read(0, _START.size)
    if len(head) < _START.size:
        raise BrokenSevenZip("the start header is cut off")
    _, _, start_crc, offset, size, crc = _START.unpack(head)
    if zlib.crc32(head[12:]) != start_crc:
        raise BrokenSevenZip("the start header has another checksum than declared")
    if size > MOST_HEADER or _START.size + offset + size > view.size:
        raise BrokenSevenZip(f"a header of {size} bytes is declared")
    data = view.read(_START.size + offset, size)
    if zlib.crc32(data) != crc:
        raise BrokenSevenZip("the header has another checksum than declared")
    rest = view.size - _START.size - offset - size
    if rest:
        inspection.note("file.trailing_bytes", Severity.MEDIUM, f"{rest} bytes follow the archive")
        inspection.inside(view.part(view.size - rest), "trailing bytes", around="bytes")
    if not data:
        inspection.note("sevenzip.malformed", Severity.MEDIUM, "the archive holds no files")
        return
    streams, names = _header(view, data, inspection)
    _contents(view, streams, names, inspection)


def _header(view: View, data: bytes, inspection: Inspection) -> tuple[Streams, list[str]]:
    """A header may itself be packed, and that again."""
    for _ in range(4):
        reader = Reader(data)
        kind = reader.number()
        if kind == 1:
            return read_header(reader)
        if kind != 23:
            break
        streams = read_streams(reader)
        if len(streams.folders) != 1 or streams.folders[0].unpacked > MOST_HEADER:
            break
        content = _expand(view, streams, 0, 0, inspection)
        data = content.read(0, content.size)
    raise BrokenSevenZip("the header is none")


def _contents(view: View, streams: Streams, names: list[str], inspection: Inspection) -> None:
    packed = index = 0
    for number, folder in enumerate(streams.folders):
        inspection.budget.spend_entries(len(folder.parts))
        try:
            content = _expand(view, streams, number, packed, inspection)
        except UnreadError as reason:
            inspection.note("format.not_assessed", Severity.MEDIUM, f"7z: {reason}")
            content = None
        packed += folder.packed_streams
        at = 0
        for size in folder.parts:
            name = names[index] if index < len(names) else f"stream {index}"
            index += 1
            if unsafe := unsafe_name(name):
                inspection.note("archive.unsafe_name", Severity.HIGH, f"{name}: {unsafe}")
            if content is not None and size:
                inspection.inside(content.part(at, size), name)
            at += size


def _expand(view: View, streams: Streams, number: int, first: int, inspection: Inspection) -> View:
    folder = streams.folders[number]
    if first >= len(streams.packed):
        raise BrokenSevenZip("a folder has no packed bytes")
    start = _START.size + streams.start + sum(streams.packed[:first])
    size = streams.packed[first]
    if start + size > view.size:
        raise BrokenSevenZip("packed bytes lie outside of the file")
    source = view.part(start, size)
    make = _decompressor(folder, inspection)
    if make is None:
        return source
    return expanded_by(source, make, inspection.budget, most=folder.unpacked)


def _decompressor(folder: Folder, inspection: Inspection) -> Callable[[], Decompressor] | None:
    methods = [coder.method for coder in folder.coders]
    if _ENCRYPTION in methods:
        inspection.note("archive.encrypted", Severity.HIGH, "files in the archive are encrypted")
        raise UnreadError("its content is encrypted")
    if not folder.chain:
        raise UnreadError(f"methods {', '.join(methods)} are combined")
    if methods in (["00"], ["0"], [""]):
        return None
    if methods == ["040108"]:
        return lambda: Inflater(-15)
    if methods == ["040202"]:
        return bz2.BZ2Decompressor
    filters = [_filter(coder) for coder in folder.coders]
    return lambda: lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)


def _filter(coder: Coder) -> dict[str, int]:
    properties = coder.properties
    if coder.method in _BRANCH:
        return {"id": _BRANCH[coder.method]}
    if coder.method == "03" and len(properties) == 1:
        return {"id": lzma.FILTER_DELTA, "dist": properties[0] + 1}
    if coder.method == "030101" and len(properties) == 5 and properties[0] < 225:
        size, first = int.from_bytes(properties[1:], "little"), properties[0]
        chosen = {"id": lzma.FILTER_LZMA1, "lc": first % 9, "lp": first // 9 % 5, "pb": first // 45}
        return chosen | {"dict_size": _bounded(size)}
    if coder.method == "21" and len(properties) == 1 and properties[0] <= 40:
        bits = properties[0]
        return {"id": lzma.FILTER_LZMA2, "dict_size": _bounded((2 | bits & 1) << bits // 2 + 11)}
    raise UnreadError(f"method {coder.method} is not expanded here")


def _bounded(size: int) -> int:
    if size > MOST_DICTIONARY:
        raise UnreadError(f"a dictionary of {size} bytes is asked for")
    return max(size, 4096)

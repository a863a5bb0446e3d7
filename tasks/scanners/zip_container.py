"""A strict zip reader: any point on which two readers could disagree is a finding.

torch (miniz) reads the first of two members with one name, Python's zipfile the last; some
readers trust local headers, some the central directory. So both must agree, nothing may overlap,
nothing may hide between, before or behind the members.
Source: PKWARE APPNOTE 6.3.10.
"""

import dataclasses
import posixpath
import re
import struct
import unicodedata
import zlib
from collections.abc import Iterator

from tasks.domain.severity import Severity
from tasks.scanners.expanding import BROKEN_STREAM, BombError, expanded
from tasks.scanners.inspection import Inspection
from tasks.scanners.member_names import unsafe_name
from tasks.scanners.reading import BudgetSpent, View

TAIL_BYTES = 65_557  # the longest end record with its comment
MOST_RATIO = 200
LARGE_BYTES = 64 << 20
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_STORED, _METHODS = 0, {8: "deflate", 12: "bz2", 14: "lzma"}
_KNOWN_EXTRAS = frozenset(
    {0x0001, 0x0007, 0x000A, 0x000D, 0x5455, 0x5855, 0x7855, 0x7875, 0x4246, 0x4341, 0xD935}
)
_PLAIN_TEXT = re.compile(rb"[\t\n\r -~\x80-\xff]*")


class BrokenZip(Exception):  # noqa: N818  - becomes a finding
    """The central directory cannot be followed."""


@dataclasses.dataclass(frozen=True)
class Member:
    """One entry of the central directory, and where its bytes lie."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    header: int
    mode: int
    start: int = 0

    @property
    def is_folder(self) -> bool:
        """A folder has a slash at its end and no bytes; packed, nothing takes two bytes."""
        return self.name.endswith("/") and self.size == 0 and self.packed <= 2


@dataclasses.dataclass(frozen=True)
class Directory:
    """Members in the order of the central directory, which spans [start, end)."""

    members: tuple[Member, ...]
    start: int
    end: int


def find_end(view: View) -> int | None:
    """Returns the offset of the last end record, or None when this is no zip."""
    base = max(0, view.size - TAIL_BYTES)
    tail = view.read(base, TAIL_BYTES)
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        if len(tail) - at >= _END.size and _leads_to_directory(view, base + at, tail[at:]):
            return base + at
        at = tail.rfind(b"PK\x05\x06", 0, at)
    return None


def looks_like_zip(view: View) -> bool:
    """Answers whether any common reader would take this for a zip."""
    return view.head(4) in (b"PK\x03\x04", b"PK\x05\x06") or find_end(view) is not None


def read_directory(view: View, inspection: Inspection) -> Directory:
    """Reads the central directory, checks it against every local header, and notes each quarrel.

    Raises:
        BrokenZip: It cannot be followed at all.
        BudgetSpent: There are too many members.
    """
    end = find_end(view)
    if end is None:
        raise BrokenZip("there is no end record, so members can only be guessed")
    count, size, start, directory_end = _end_record(view, end, inspection)
    if count > inspection.budget.entries:
        inspection.note(
            "archive.too_many_entries", Severity.HIGH, f"{count} members are declared", end
        )
        raise BudgetSpent(f"{count} members are more than the scan reads")
    inspection.budget.spend_entries(count)
    if start + size != directory_end:
        _quarrel(inspection, "the central directory is not where the end record says", end)
        start = directory_end - size
    members = tuple(_members(view, start, directory_end, count, inspection))
    checked = tuple(_checked(view, member, inspection) for member in members)
    _check_side_bytes(view, start, directory_end, end, inspection)
    _check_names(checked, inspection)
    _check_layout(view, checked, start, inspection)
    return Directory(checked, start, directory_end)


def _check_side_bytes(
    view: View, start: int, directory_end: int, end: int, inspection: Inspection
) -> None:
    """Comments and foreign extra fields belong to no member; they are read all the same."""
    at = start
    while at + _CENTRAL.size <= directory_end:
        head = view.read(at, _CENTRAL.size)
        if len(head) < _CENTRAL.size or head[:4] != b"PK\x01\x02":
            break
        f = _CENTRAL.unpack(head)
        behind = at + _CENTRAL.size + f[10]
        for kind, data in _extras(view.read(behind, f[11])):
            if kind not in _KNOWN_EXTRAS:
                _side(View.of_bytes(data), f"extra field 0x{kind:04x}", inspection)
        _side(view.part(behind + f[11], f[12]), "member comment", inspection)
        at = behind + f[11] + f[12]
    _side(view.part(end + _END.size), "archive comment", inspection)


def _side(view: View, what: str, inspection: Inspection) -> None:
    if view.size < 4:
        return
    inspection.inside(view, what, around="bytes")
    data = view.read(0, 1 << 16)
    if what.endswith("comment") and not _PLAIN_TEXT.fullmatch(data):
        text = f"the {what} holds {view.size} bytes that are no plain text"
        inspection.note("zip.side_bytes", Severity.MEDIUM, text)


def member_view(
    view: View, member: Member, inspection: Inspection, *, numbers: bool = False
) -> View | None:
    """Returns the member's bytes, expanded within the budget; None when they cannot be had.

    ``numbers`` says that it holds a raw tensor, whose checksum matters less than its digest.
    """
    packed = view.part(member.start, member.packed)
    if member.method == _STORED:
        whole = packed.size == member.size
        if numbers and whole and not inspection.budget.may_checksum(packed.size):
            return packed
        return _matching(packed, member, inspection)
    if member.method not in _METHODS:
        inspection.note(
            "format.not_assessed", Severity.MEDIUM, f"{member.name}: method {member.method}"
        )
        return None
    opened = _opened(packed, member, inspection)
    return None if opened is None else _matching(opened, member, inspection)


def _opened(packed: View, member: Member, inspection: Inspection) -> View | None:
    if member.size > LARGE_BYTES and member.size > MOST_RATIO * max(member.packed, 1):
        _bomb(member, inspection)
        return None
    try:
        return expanded(packed, _METHODS[member.method], inspection.budget, most=member.size)
    except BombError as reason:
        inspection.note("archive.bomb", Severity.HIGH, f"{member.name}: {reason}", member.header)
    except BROKEN_STREAM as error:
        inspection.note("zip.malformed", Severity.MEDIUM, f"{member.name}: {error}")
    return None


def _bomb(member: Member, inspection: Inspection) -> None:
    ratio = member.size // max(member.packed, 1)
    text = f"{member.name} expands {ratio} times to {member.size} bytes"
    inspection.note("archive.bomb", Severity.HIGH, text, member.header)


def _matching(view: View, member: Member, inspection: Inspection) -> View:
    crc = 0
    for chunk in view.chunks():
        crc = zlib.crc32(chunk, crc)
    if view.size != member.size:
        _quarrel(inspection, f"{member.name} has {view.size} bytes, {member.size} declared", None)
    elif crc != member.crc:
        _quarrel(inspection, f"{member.name} has another CRC than declared", member.header)
    return view


def _leads_to_directory(view: View, at: int, record: bytes) -> bool:
    _, disk, start_disk, here, total, size, start, _ = _END.unpack_from(record)
    if (size, start, total) == (0, 0, 0) or 0xFFFFFFFF in (size, start) or total == 0xFFFF:
        return view.head(2) == b"PK" or view.read(at - 20, 4) == b"PK\x06\x07"
    del disk, start_disk, here
    return view.read(start, 4) == b"PK\x01\x02" or view.read(at - size, 4) == b"PK\x01\x02"


def _end_record(view: View, end: int, inspection: Inspection) -> tuple[int, int, int, int]:
    _, disk, start_disk, here, count, size, start, comment = _END.unpack(view.read(end, _END.size))
    rest = view.size - end - _END.size
    if rest != comment:
        _quarrel(inspection, f"{rest} bytes follow the end record, {comment} declared", end)
    if b"PK" in view.read(end + 4, TAIL_BYTES):
        _quarrel(inspection, "the zip comment holds more zip records", end)
    if disk or start_disk or here != count:
        _quarrel(inspection, "the zip says it is one of several disks", end)
    directory_end = end
    locator = view.read(end - 20, 20)
    if locator[:4] == b"PK\x06\x07":
        at = struct.unpack_from("<Q", locator, 8)[0]
        record = view.read(at, _END64.size)
        if len(record) < _END64.size or record[:4] != b"PK\x06\x06" or at + 56 != end - 20:
            _quarrel(inspection, "the zip64 end record is not where its locator says", end)
            raise BrokenZip("the zip64 end record cannot be followed")
        fields = _END64.unpack(record)
        wide = (fields[7], fields[8], fields[9])
        for narrow, value, limit in zip(
            (count, size, start), wide, (0xFFFF, *2 * (0xFFFFFFFF,)), strict=True
        ):
            if narrow not in (limit, value):
                _quarrel(inspection, "the two end records disagree", end)
        (count, size, start), directory_end = wide, at
    elif 0xFFFFFFFF in (size, start) or count == 0xFFFF:
        _quarrel(inspection, "zip64 values without a zip64 record", end)
        raise BrokenZip("the zip64 end record is missing")
    return count, size, start, directory_end


def _members(
    view: View, start: int, end: int, count: int, inspection: Inspection
) -> Iterator[Member]:
    at = start
    for _ in range(count):
        head = view.read(at, _CENTRAL.size)
        if len(head) < _CENTRAL.size or head[:4] != b"PK\x01\x02" or at >= end:
            raise BrokenZip("the central directory ends before its last member")
        f = _CENTRAL.unpack(head)
        names, extras, comments = f[10], f[11], f[12]
        raw = view.read(at + _CENTRAL.size, names)
        extra = view.read(at + _CENTRAL.size + names, extras)
        size, packed, header = _wide(extra, f[9], f[8], f[16])
        if 0x7075 in dict(_extras(extra)):
            _quarrel(inspection, f"{_named(raw, f[3])} carries a second name", at)
        yield Member(
            name=_named(raw, f[3]),
            raw_name=raw,
            flags=f[3],
            method=f[4],
            crc=f[7],
            packed=packed,
            size=size,
            header=header,
            mode=f[15] >> 16,
        )
        at += _CENTRAL.size + names + extras + comments
    if at != end:
        _quarrel(inspection, f"{end - at} bytes of the central directory are not members", at)


def _extras(extra: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        yield kind, extra[at + 4 : at + 4 + size]
        at += 4 + size


def _wide(extra: bytes, size: int, packed: int, header: int) -> tuple[int, int, int]:
    values = [size, packed, header]
    wide = dict(_extras(extra)).get(1, b"")
    at = 0
    for index, value in enumerate(values):
        if value == 0xFFFFFFFF and at + 8 <= len(wide):
            values[index] = struct.unpack_from("<Q", wide, at)[0]
            at += 8
    return values[0], values[1], values[2]


def _named(raw: bytes, flags: int) -> str:
    return raw.decode("utf-8" if flags & 0x800 else "cp437", "replace")


def _checked(view: View, member: Member, inspection: Inspection) -> Member:
    """Compares one member with its local header and finds where its bytes begin."""
    head = view.read(member.header, _LOCAL.size)
    if len(head) < _LOCAL.size or head[:4] != b"PK\x03\x04":
        raise BrokenZip(f"{member.name} has no local header")
    _, _, flags, method, _, _, crc, packed, size, names, extras = _LOCAL.unpack(head)
    raw = view.read(member.header + _LOCAL.size, names)
    extra = view.read(member.header + _LOCAL.size + names, extras)
    if size == 0xFFFFFFFF or packed == 0xFFFFFFFF:
        size, packed, _ = _wide(extra, size, packed, 0)
    later = bool(flags & 8)  # sizes and CRC follow the data
    pairs = (
        ("name", raw, member.raw_name),
        ("method", method, member.method),
        ("flags", flags & ~6, member.flags & ~6),
    )
    sums = (
        ("CRC", crc, member.crc),
        ("packed size", packed, member.packed),
        ("size", size, member.size),
    )
    quarrels = [what for what, local, central in pairs if local != central]
    quarrels += [
        what for what, local, central in sums if local != central and not (later and local == 0)
    ]
    if quarrels:
        text = f"{member.name}: local header and directory disagree on {', '.join(quarrels)}"
        _quarrel(inspection, text, member.header)
    if (flags | member.flags) & 0x2041:
        inspection.note(
            "zip.encrypted", Severity.HIGH, f"{member.name} is encrypted", member.header
        )
    start = member.header + _LOCAL.size + names + extras
    if start + member.packed > view.size:
        raise BrokenZip(f"{member.name} ends outside the file")
    return dataclasses.replace(member, start=start)


def _check_names(members: tuple[Member, ...], inspection: Inspection) -> None:
    seen: set[str] = set()
    for member in members:
        folded = posixpath.normpath(unicodedata.normalize("NFKC", member.name)).casefold()
        if folded in seen:
            _quarrel(inspection, f"{member.name} is there twice", member.header)
        seen.add(folded)
        if reason := unsafe_name(member.name):
            inspection.note(
                "archive.unsafe_name", Severity.HIGH, f"{member.name}: {reason}", member.header
            )
        if member.mode & 0o170000 == 0o120000:
            inspection.note(
                "archive.link", Severity.HIGH, f"{member.name} is a link", member.header
            )


def _check_layout(
    view: View, members: tuple[Member, ...], directory: int, inspection: Inspection
) -> None:
    """Members must fill the file from its first byte to the directory, each byte once."""
    at = 0
    for member in sorted(members, key=lambda each: each.header):
        gap = member.header - at
        if gap < 0:
            inspection.note(
                "zip.overlap",
                Severity.HIGH,
                f"{member.name} overlaps another member",
                member.header,
            )
        elif gap > 0:
            where = "before the first member" if at == 0 else f"before {member.name}"
            _quarrel(inspection, f"{gap} bytes {where} belong to no member", at)
        at = max(at, _member_end(view, member))
    if at != directory:
        _quarrel(inspection, f"{directory - at} bytes before the directory belong to no member", at)


def _member_end(view: View, member: Member) -> int:
    """Returns where a member ends, data descriptor included (with or without its signature)."""
    end = member.start + member.packed
    if not member.flags & 8:
        return end
    after = view.read(end, 24)
    skip = 4 if after[:4] == b"PK\x07\x08" else 0
    for layout in ("<LLL", "<LQQ"):
        size = struct.calcsize(layout)
        fields = after[skip : skip + size]
        if len(fields) == size and struct.unpack(layout, fields) == (
            member.crc,
            member.packed,
            member.size,
        ):
            return end + skip + size
    return end


def _quarrel(inspection: Inspection, text: str, offset: int | None) -> None:
    inspection.note("zip.ambiguous", Severity.HIGH, text, offset)

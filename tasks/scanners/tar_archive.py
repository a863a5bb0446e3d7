"""Tar archives: member names, links and devices as findings, members read in place.

Source: POSIX pax and GNU extensions. Nothing is unpacked to disk.
"""

from typing import NamedTuple

from tasks.domain.severity import Severity
from tasks.scanners.inspection import Inspection
from tasks.scanners.member_names import unsafe_name
from tasks.scanners.reading import View

BLOCK = 512
_LINKS = {b"1": "a hard link", b"2": "a symbolic link"}
_DEVICES = {b"3": "a character device", b"4": "a block device", b"6": "a named pipe"}


_PLAIN_KINDS = (b"0", b"\0", b"7", b"5")
_REPLACING = (b"size", b"GNU.sparse.name", b"GNU.sparse.major", b"GNU.sparse.map", b"hdrcharset")


class _Header(NamedTuple):
    name: str
    kind: bytes
    size: int
    target: str


def looks_like_tar(view: View) -> bool:
    """Answers whether the first block is a header with a right checksum."""
    block = view.head(BLOCK)
    return len(block) == BLOCK and any(block[:148]) and _checksum_holds(block)


def inspect_tar(view: View, inspection: Inspection) -> str:
    """Walks all members; a GNU or pax long name replaces the short one of the next header."""
    at, long_name, long_target = 0, "", ""
    seen: set[str] = set()
    while at + BLOCK <= view.size:
        block = view.read(at, BLOCK)
        if not block.strip(b"\x00"):
            _end(view, at, inspection)
            return "tar"
        header = _header(block)
        if header is None or at + BLOCK + header.size > view.size:
            inspection.note("tar.malformed", Severity.MEDIUM, "a header is broken or too long", at)
            return "tar"
        inspection.budget.spend_entries(1)
        content = view.part(at + BLOCK, header.size)
        if header.kind in b"LKxg" and header.kind:
            name, target = _long(header, content, at, inspection)
            long_name, long_target = name or long_name, target or long_target
        else:
            named = header._replace(
                name=long_name or header.name, target=long_target or header.target
            )
            _member(named, content, at, seen, inspection)
            long_name = long_target = ""
        at += BLOCK + -(-header.size // BLOCK) * BLOCK
    inspection.note("tar.malformed", Severity.MEDIUM, "the end mark is missing", at)
    return "tar"


def _member(
    header: _Header, content: View, at: int, seen: set[str], inspection: Inspection
) -> None:
    if reason := unsafe_name(header.name):
        inspection.note("archive.unsafe_name", Severity.HIGH, f"{header.name}: {reason}", at)
    if header.name.rstrip("/") in seen:
        inspection.note("tar.ambiguous", Severity.HIGH, f"{header.name} is there twice", at)
    seen.add(header.name.rstrip("/"))
    if what := (_LINKS | _DEVICES).get(header.kind):
        text = f"{header.name} is {what}" + (f" to {header.target}" if header.target else "")
        inspection.note("archive.link", Severity.HIGH, text, at)
        return
    if header.kind not in _PLAIN_KINDS:
        text = f"{header.name} is of kind {header.kind!r}, which readers unpack in different ways"
        inspection.note("tar.ambiguous", Severity.HIGH, text, at)
    if content.size:
        inspection.inside(content, header.name)


def _long(header: _Header, content: View, at: int, inspection: Inspection) -> tuple[str, str]:
    data = content.read(0, 1 << 16)
    if header.kind in (b"L", b"K"):
        text = data.rstrip(b"\x00").decode("utf-8", "replace")
        return (text, "") if header.kind == b"L" else ("", text)
    found = {"path": "", "linkpath": ""}
    for line in data.split(b"\n"):
        key, _, value = line.partition(b" ")[2].partition(b"=")
        if key in _REPLACING:
            text = f"an extended header replaces {key.decode()}, so readers differ on what follows"
            inspection.note("tar.ambiguous", Severity.HIGH, text, at)
        if key in (b"path", b"linkpath"):
            found[key.decode()] = value.decode("utf-8", "replace")
    return found["path"], found["linkpath"]


def _header(block: bytes) -> _Header | None:
    if not _checksum_holds(block):
        return None
    size = _number(block[124:136])
    if size is None or size < 0:
        return None
    name = block[:100].split(b"\x00")[0].decode("utf-8", "replace")
    prefix = block[345:500].split(b"\x00")[0].decode("utf-8", "replace")
    if block[257:263] == b"ustar\x00" and prefix:
        name = f"{prefix}/{name}"
    kind = block[156:157]
    target = block[157:257].split(b"\x00")[0].decode("utf-8", "replace")
    return _Header(name, kind, 0 if kind in (b"1", b"2", b"3", b"4", b"5", b"6") else size, target)


def _number(field: bytes) -> int | None:
    if field[:1] in (b"\x80", b"\xff"):
        return int.from_bytes(field[1:], "big")
    try:
        return int(field.strip(b" \x00") or b"0", 8)
    except ValueError:
        return None


def _checksum_holds(block: bytes) -> bool:
    stored = _number(block[148:156])
    if stored is None:
        return False
    rest = block[:148] + b" " * 8 + block[156:]
    # Some old writers summed signed characters, and readers accept both.
    return stored in (sum(rest), sum(byte - 256 if byte > 127 else byte for byte in rest))


def _end(view: View, at: int, inspection: Inspection) -> None:
    for chunk in view.part(at).chunks():
        if chunk.strip(b"\x00"):
            inspection.note("tar.trailing_bytes", Severity.HIGH, "bytes follow the end mark", at)
            return

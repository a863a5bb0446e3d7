"""GGUF: header, key-value pairs and tensor table walked within bounds; templates read as code.

Source: ggml ``docs/gguf.md``, versions 1 to 3.
"""

import struct

from tasks.domain.severity import Severity
from tasks.scanners.inspection import Inspection
from tasks.scanners.json_config import check_string
from tasks.scanners.reading import View

MOST_PAIRS, MOST_TENSORS, MOST_ITEMS, MOST_TEXT = 100_000, 1_000_000, 10_000_000, 1 << 24
_FIXED = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
MOST_ALIGNMENT = 65_536
BLOCKS = {
    0: (1, 4),
    1: (1, 2),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    9: (32, 36),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
    15: (256, 292),
    16: (256, 66),
    17: (256, 74),
    18: (256, 98),
    19: (256, 50),
    20: (32, 18),
    21: (256, 110),
    22: (256, 82),
    23: (256, 136),
    24: (1, 1),
    25: (1, 2),
    26: (1, 4),
    27: (1, 8),
    28: (1, 8),
    29: (256, 56),
    30: (1, 2),
    34: (256, 54),
    35: (256, 66),
    39: (32, 17),
}
"""Elements and bytes of one block, by ggml type number."""


class BrokenGguf(Exception):  # noqa: N818  - becomes a finding
    """A length or type cannot be."""


class _Reader:
    def __init__(self, view: View, order: str, wide: bool) -> None:
        self.view, self.order, self.at = view, order, 8
        self.length = "Q" if wide else "L"

    def number(self, code: str) -> int:
        size = struct.calcsize(self.order + code)
        data = self.view.read(self.at, size)
        if len(data) < size:
            raise BrokenGguf("the file ends inside its header")
        self.at += size
        return int(struct.unpack(self.order + code, data)[0])

    def text(self) -> str:
        size = self.number(self.length)
        if size > MOST_TEXT or self.at + size > self.view.size:
            raise BrokenGguf(f"a text of {size} bytes is declared")
        data = self.view.read(self.at, size)
        self.at += size
        return data.decode("utf-8", "replace")

    def skip(self, size: int) -> None:
        if self.at + size > self.view.size:
            raise BrokenGguf(f"{size} bytes are declared, {self.view.size - self.at} are left")
        self.at += size


def looks_like_gguf(view: View) -> bool:
    """Answers whether the magic is there, in either byte order."""
    return view.head(4) in (b"GGUF", b"FUGG")


def inspect_gguf(view: View, inspection: Inspection) -> str:
    """Walks the header and notes templates that reach out and tensors outside the file."""
    try:
        _walk(view, inspection)
    except BrokenGguf as reason:
        inspection.note("gguf.malformed", Severity.MEDIUM, str(reason))
    return "gguf"


def _walk(view: View, inspection: Inspection) -> None:
    version = int.from_bytes(view.read(4, 4), "little")
    order = "<" if version < 1 << 16 else ">"
    if order == ">":
        version = int.from_bytes(view.read(4, 4), "big")
    if not 1 <= version <= 3:
        raise BrokenGguf(f"version {version} does not exist")
    reader = _Reader(view, order, version > 1)
    tensors, pairs = reader.number(reader.length), reader.number(reader.length)
    if tensors > MOST_TENSORS or pairs > MOST_PAIRS:
        raise BrokenGguf(f"{tensors} tensors and {pairs} pairs are declared")
    seen: set[str] = set()
    alignment = 32
    for _ in range(pairs):
        key = reader.text()
        if key in seen:
            inspection.note(
                "gguf.duplicate_key", Severity.MEDIUM, f"{key} is there twice", reader.at
            )
        seen.add(key)
        kind = reader.number("L")
        if (key, kind) == ("general.alignment", 4):
            alignment = reader.number("L")
        else:
            _value(reader, kind, key, inspection, 0)
    if not 0 < alignment <= MOST_ALIGNMENT:
        raise BrokenGguf(f"an alignment of {alignment} is declared")
    ends = [_tensor(reader, view, inspection) for _ in range(tensors)]
    start = -(-reader.at // alignment) * alignment
    _check_end(view, start + max(ends, default=0) if tensors else reader.at, inspection)


def _value(reader: _Reader, kind: int, key: str, inspection: Inspection, depth: int) -> None:
    if kind in _FIXED:
        reader.skip(_FIXED[kind])
    elif kind == _STRING:
        _text(reader.text(), key, inspection)
    elif kind == _ARRAY and depth < 4:
        inner, count = reader.number("L"), reader.number(reader.length)
        if count > MOST_ITEMS:
            raise BrokenGguf(f"{key} declares {count} items")
        if inner in _FIXED:
            reader.skip(_FIXED[inner] * count)
            return
        for index in range(count):
            if not index % 4096:
                inspection.budget.check_clock()
            _value(reader, inner, key, inspection, depth + 1)
    else:
        raise BrokenGguf(f"{key} has type {kind}")


def _text(text: str, key: str, inspection: Inspection) -> None:
    check_string(text, key, inspection)
    lowered = text[:4096].lower()
    if "<script" in lowered or "javascript:" in lowered:
        inspection.note("text.active_content", Severity.MEDIUM, f"{key} holds web content", key)


def _tensor(reader: _Reader, view: View, inspection: Inspection) -> int:
    """Reads one entry; returns where its numbers end, counted from the start of all numbers."""
    name, rank = reader.text(), reader.number("L")
    if rank > 8:
        raise BrokenGguf(f"{name} has {rank} dimensions")
    elements = 1
    for _ in range(rank):
        elements *= reader.number(reader.length)
    kind = reader.number("L")
    offset = reader.number("Q")
    block, size = BLOCKS.get(kind, (1, 0))
    needed = -(-elements // block) * size
    if offset > view.size or elements > view.size * 16 or offset + needed > view.size:
        text = f"{name} declares {elements} elements at {offset}, outside the file"
        inspection.note("gguf.tensor_outside", Severity.HIGH, text, reader.at)
        return 0
    if kind not in BLOCKS:
        text = f"{name} has type {kind}, which is not known"
        inspection.note("gguf.unknown_type", Severity.MEDIUM, text, reader.at)
        return 0
    return offset + needed


def _check_end(view: View, end: int, inspection: Inspection) -> None:
    rest = view.part(end)
    if rest.size and rest.read(0, 1 << 16).strip(b"\0"):
        text = f"{rest.size} bytes follow the last tensor"
        inspection.note("file.trailing_bytes", Severity.MEDIUM, text, end)
        inspection.inside(rest, "trailing bytes", around="bytes")
    elif end > view.size and end - view.size >= MOST_ALIGNMENT:
        raise BrokenGguf(f"{end} bytes are declared, {view.size} are there")

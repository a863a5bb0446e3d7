"""GGUF: header, key-value pairs and tensor table walked within bounds; templates read as code.

Source: ggml ``docs/gguf.md``, versions 1 to 3.
"""

import struct

from tasks.domain.severity import Severity
from tasks.scanners.inspection import Inspection
from tasks.scanners.json_config import TEMPLATE_REACH, check_string
from tasks.scanners.reading import View

MOST_PAIRS, MOST_TENSORS, MOST_ITEMS, MOST_TEXT = 100_000, 1_000_000, 10_000_000, 1 << 24
_FIXED = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9


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
    for _ in range(pairs):
        key = reader.text()
        if key in seen:
            inspection.note(
                "gguf.duplicate_key", Severity.MEDIUM, f"{key} is there twice", reader.at
            )
        seen.add(key)
        _value(reader, reader.number("L"), key, inspection, 0)
    for _ in range(tensors):
        _tensor(reader, view, inspection)


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
    if "template" in key and (found := TEMPLATE_REACH.search(text)):
        detail = f"{key} reaches for {found.group()[:40]}"
        inspection.note("template.injection", Severity.HIGH, detail, key)
    check_string(text, key, inspection)
    lowered = text[:4096].lower()
    if "<script" in lowered or "javascript:" in lowered:
        inspection.note("text.active_content", Severity.MEDIUM, f"{key} holds web content", key)


def _tensor(reader: _Reader, view: View, inspection: Inspection) -> None:
    name, rank = reader.text(), reader.number("L")
    if rank > 8:
        raise BrokenGguf(f"{name} has {rank} dimensions")
    elements = 1
    for _ in range(rank):
        elements *= reader.number(reader.length)
    reader.number("L")
    offset = reader.number("Q")
    if offset > view.size or elements > view.size * 16:
        text = f"{name} declares {elements} elements at {offset}, outside the file"
        inspection.note("gguf.tensor_outside", Severity.HIGH, text, reader.at)

"""Protocol buffer wire format, read lazily: fields of one message, without copying payloads."""

from collections.abc import Iterator
from typing import NamedTuple

from tasks.scanners.reading import View

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class BrokenMessage(Exception):  # noqa: N818  - becomes a finding
    """The bytes do not follow the wire format."""


class Field(NamedTuple):
    """One field: its number, wire type, number value (or 0) and payload window (or empty)."""

    number: int
    kind: int
    value: int
    payload: View

    def text(self, most: int = 4096) -> str:
        """Returns the payload as text."""
        return self.payload.read(0, most).decode("utf-8", "replace")


def fields(view: View, most: int = 5_000_000) -> Iterator[Field]:
    """Yields the fields of one message in order.

    Raises:
        BrokenMessage: A tag, length or varint is impossible, or there are too many fields.
    """
    at, empty = 0, View.of_bytes(b"")
    window, base = b"", 0
    for _ in range(most):
        if at >= view.size:
            return
        if not base <= at < base + len(window) - 24:
            window, base = view.read(at, 4096), at
        tag, at = _varint(window, at - base, base)
        number, kind = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise BrokenMessage(f"field number {number}")
        if kind == VARINT:
            value, at = _varint(window, at - base, base)
            yield Field(number, kind, value, empty)
        elif kind == BYTES:
            size, at = _varint(window, at - base, base)
            if at + size > view.size:
                raise BrokenMessage(
                    f"field {number} declares {size} bytes, {view.size - at} are left"
                )
            yield Field(number, kind, 0, view.part(at, size))
            at += size
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
            if at + size > view.size:
                raise BrokenMessage(f"field {number} is cut off")
            yield Field(number, kind, 0, view.part(at, size))
            at += size
        else:
            raise BrokenMessage(f"wire type {kind}")
    raise BrokenMessage("too many fields")


def packed(field: Field, most: int = 64) -> list[int]:
    """Returns the numbers of a repeated varint field, packed or single."""
    if field.kind == VARINT:
        return [field.value]
    data, at = field.payload.read(0, most * 10), 0
    numbers: list[int] = []
    while at < len(data) and len(numbers) < most:
        value, at = _varint(data, at, 0)
        numbers.append(value)
    return numbers


def _varint(window: bytes, at: int, base: int) -> tuple[int, int]:
    value = 0
    for index in range(10):
        if at + index >= len(window):
            raise BrokenMessage("a number is cut off")
        byte = window[at + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, base + at + index + 1
    raise BrokenMessage("a number is longer than ten bytes")

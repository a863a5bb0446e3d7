"""FlatBuffers read in place: tables, vectors and texts by slot number, each access bounded.

Source: FlatBuffers binary format ("internals"); slot numbers come from each format's schema.
"""

import struct
from collections.abc import Iterator

from tasks.scanners.reading import View

MOST_ITEMS = 1_000_000
MOST_TEXT = 1 << 16


class BrokenBuffer(Exception):  # noqa: N818  - becomes a finding
    """An offset leads outside of the buffer."""


class Table:
    """One table: fields are found through its vtable."""

    def __init__(self, view: View, at: int) -> None:
        self.view, self.at = view, at
        self._vtable = at - _signed(view, at)
        self._slots = _unsigned(view, self._vtable, 2)

    @classmethod
    def root(cls, view: View) -> "Table":
        """Returns the table that the first four bytes lead to."""
        return cls(view, _unsigned(view, 0, 4))

    def number(self, slot: int, size: int, default: int = 0) -> int:
        """Returns an unsigned scalar of ``size`` bytes."""
        place = self._field(slot)
        return default if place is None else _unsigned(self.view, place, size)

    def table(self, slot: int) -> "Table | None":
        """Returns a table that this one refers to."""
        place = self._field(slot)
        return None if place is None else Table(self.view, place + _unsigned(self.view, place, 4))

    def text(self, slot: int) -> str:
        """Returns a text, cut at :data:`MOST_TEXT` bytes; empty when absent."""
        place = self._field(slot)
        return "" if place is None else _text(self.view, place + _unsigned(self.view, place, 4))

    def tables(self, slot: int) -> Iterator["Table"]:
        """Yields the tables of a vector."""
        for place in self._items(slot, 4):
            yield Table(self.view, place + _unsigned(self.view, place, 4))

    def data(self, slot: int) -> View | None:
        """Returns a vector of bytes as a window."""
        places = self._vector(slot)
        if places is None:
            return None
        start, count = places
        if start + count > self.view.size:
            raise BrokenBuffer(f"{count} bytes are declared at {start}")
        return self.view.part(start, count)

    def _items(self, slot: int, width: int) -> Iterator[int]:
        places = self._vector(slot)
        if places is None:
            return
        start, count = places
        if count > MOST_ITEMS or start + count * width > self.view.size:
            raise BrokenBuffer(f"{count} items are declared at {start}")
        yield from range(start, start + count * width, width)

    def _vector(self, slot: int) -> tuple[int, int] | None:
        place = self._field(slot)
        if place is None:
            return None
        start = place + _unsigned(self.view, place, 4)
        return start + 4, _unsigned(self.view, start, 4)

    def _field(self, slot: int) -> int | None:
        where = 4 + 2 * slot
        if where + 2 > self._slots:
            return None
        offset = _unsigned(self.view, self._vtable + where, 2)
        return self.at + offset if offset else None


def _unsigned(view: View, at: int, size: int) -> int:
    data = view.read(at, size)
    if len(data) < size:
        raise BrokenBuffer(f"an offset leads to {at}, outside of the buffer")
    return int.from_bytes(data, "little")


def _signed(view: View, at: int) -> int:
    data = view.read(at, 4)
    if len(data) < 4:
        raise BrokenBuffer(f"an offset leads to {at}, outside of the buffer")
    return int(struct.unpack("<i", data)[0])


def _text(view: View, at: int) -> str:
    size = _unsigned(view, at, 4)
    if at + 4 + size > view.size:
        raise BrokenBuffer(f"a text of {size} bytes is declared at {at}")
    return view.read(at + 4, min(size, MOST_TEXT)).decode("utf-8", "replace")

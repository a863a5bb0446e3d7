"""Fractal heaps of HDF5, in which groups with many links keep them (specification III.G).

The blocks of a heap hold link messages one after the other, with gaps where links were removed. So
they are read in order, byte by byte over gaps: that finds more than the index does, never less.
"""

from collections.abc import Callable, Iterator

MOST_BLOCKS = 65_536
MOST_BLOCK_BYTES = 16 << 20


class BrokenHeap(Exception):  # noqa: N818  - becomes a finding
    """The heap cannot be followed."""


class Heap:
    """One heap: where its direct blocks lie and how large they are."""

    def __init__(
        self, read: Callable[[int, int], bytes], address: int, sizes: tuple[int, int]
    ) -> None:
        """Reads the header.

        Args:
            read: Returns so many bytes at a file address, or raises.
            address: Where the header lies.
            sizes: Bytes of an address and of a length in this file.
        """
        self._read = read
        self._offsets, lengths = sizes
        head = read(address, 22 + 3 * self._offsets + 12 * lengths + 8)
        if head[:4] != b"FRHP":
            raise BrokenHeap("a fractal heap has no signature")
        self.packed = bool(int.from_bytes(head[7:9], "little"))
        self._checksum = 4 if head[9] & 2 else 0
        at = 14 + 10 * lengths + 2 * self._offsets
        self._width = int.from_bytes(head[at : at + 2], "little")
        self._start = int.from_bytes(head[at + 2 : at + 2 + lengths], "little")
        self._most = int.from_bytes(head[at + 2 + lengths : at + 2 + 2 * lengths], "little")
        at += 2 + 2 * lengths
        self._place = -(-int.from_bytes(head[at : at + 2], "little") // 8)
        self._root = int.from_bytes(head[at + 4 : at + 4 + self._offsets], "little")
        rows_at = at + 4 + self._offsets
        self._rows = int.from_bytes(head[rows_at : rows_at + 2], "little")
        if not 0 < self._width <= 1024 or not 0 < self._start <= self._most <= MOST_BLOCK_BYTES:
            raise BrokenHeap("a fractal heap has impossible sizes")

    def blocks(self) -> Iterator[bytes]:
        """Yields the content of every direct block that is there."""
        undefined = (1 << 8 * self._offsets) - 1
        waiting = [(self._root, self._rows, self._start)]
        for _ in range(MOST_BLOCKS):
            if not waiting:
                return
            address, rows, size = waiting.pop()
            if address == undefined:
                continue
            if not rows:
                yield self._direct(address, size)
            else:
                waiting += self._children(address, rows)
        raise BrokenHeap("a fractal heap has too many blocks")

    def _direct(self, address: int, size: int) -> bytes:
        block = self._read(address, size)
        if block[:4] != b"FHDB":
            raise BrokenHeap("a heap block has no signature")
        return block[5 + self._offsets + self._place + self._checksum :]

    def _children(self, address: int, rows: int) -> list[tuple[int, int, int]]:
        """Blocks double in size from the second row on; beyond the largest they are tables."""
        if rows > 64:
            raise BrokenHeap("a heap table has impossible rows")
        head = 5 + self._offsets + self._place
        table = self._read(address, head + rows * self._width * self._offsets)
        if table[:4] != b"FHIB":
            raise BrokenHeap("a heap table has no signature")
        found = []
        for index in range(rows * self._width):
            row = index // self._width
            size = self._start << max(row - 1, 0)
            at = head + index * self._offsets
            child = int.from_bytes(table[at : at + self._offsets], "little")
            inner = 0
            if size > self._most:
                inner = max((size // (self._start * self._width)).bit_length(), 1)
            found.append((child, inner, size))
        return found

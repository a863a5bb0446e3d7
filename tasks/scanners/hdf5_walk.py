"""The object tree of an HDF5 file, read from its own bytes: links, attributes, outside storage.

Source: HDF5 File Format Specification 3.0 (sections in the code). Every structure is read at its
address inside a bound of objects and bytes; what is visited once is not visited again, so cycles
end.
"""

import dataclasses
import struct
from collections.abc import Iterator

from tasks.scanners.hdf5_heap import BrokenHeap, Heap
from tasks.scanners.reading import Budget, View

MAGIC = b"\x89HDF\r\n\x1a\n"
MOST_OBJECTS = 200_000
MOST_MESSAGE = 1 << 16
MOST_VALUE = 64 << 20
UNDEFINED = (1 << 64) - 1
_DATASPACE, _LINK_INFO, _DATATYPE, _LINK, _EXTERNAL, _LAYOUT = 1, 2, 3, 6, 7, 8
_FILTERS, _ATTRIBUTE, _CONTINUE, _SYMBOLS, _ATTRIBUTE_INFO = 11, 12, 16, 17, 21
_HARD, _SOFT, _OUTSIDE = 0, 1, 64


class BrokenHdf5(Exception):  # noqa: N818  - becomes a finding
    """An address, length or signature cannot be."""


@dataclasses.dataclass(frozen=True)
class Fact:
    """One thing found.

    ``kind`` is attribute, soft, outside, storage, virtual, filter, dense or packed.
    """

    kind: str
    name: str
    value: bytes
    at: int


class Walk:
    """Yields facts about everything that can be reached from the root group."""

    def __init__(self, view: View, budget: Budget) -> None:
        self.view, self.budget = view, budget
        self.seen: set[int] = set()
        self.base = self.offsets = self.lengths = self.end = 0

    def facts(self) -> Iterator[Fact]:
        """Walks the whole tree.

        Raises:
            BrokenHdf5: Something cannot be followed; facts before it were yielded.
        """
        waiting = [("", self._root())]
        while waiting:
            path, address = waiting.pop()
            if address in self.seen:
                continue
            self.seen.add(address)
            self.budget.check_clock()
            if len(self.seen) > MOST_OBJECTS:
                raise BrokenHdf5(f"more than {MOST_OBJECTS} objects")
            for kind, flags, body, at in self._messages(address):
                for fact in self._facts(kind, flags, body, at, path):
                    if fact.kind == "object":
                        waiting.append((fact.name, int.from_bytes(fact.value, "little")))
                    else:
                        yield fact

    def number(self, data: bytes, at: int, size: int) -> int:
        """Reads a little-endian number.

        Raises:
            BrokenHdf5: The bytes end before.
        """
        if at < 0 or at + size > len(data):
            raise BrokenHdf5("a structure is cut off")
        return int.from_bytes(data[at : at + size], "little")

    def at(self, address: int, size: int) -> bytes:
        """Returns ``size`` bytes at a file address.

        Raises:
            BrokenHdf5: They lie outside of the file.
        """
        data = self.view.read(self.base + address, size)
        if len(data) < size:
            raise BrokenHdf5(f"address {address} lies outside the file")
        return data

    def _root(self) -> int:
        """Superblock versions 0 to 3 (section II)."""
        start = next(
            (at for at in (0, *(512 << n for n in range(20))) if self.view.read(at, 8) == MAGIC), 0
        )
        head = self.view.read(start, 128)
        version = self.number(head, 8, 1)
        if version in (0, 1):
            self.offsets, self.lengths = head[13], head[14]
            at = 24 + (4 if version == 1 else 0)
            root_at = at + 4 * self.offsets + self.offsets
        elif version in (2, 3):
            self.offsets, self.lengths = head[9], head[10]
            at, root_at = 12, 12 + 3 * self.offsets
        else:
            raise BrokenHdf5(f"superblock version {version} does not exist")
        if self.offsets not in (4, 8) or self.lengths not in (4, 8):
            raise BrokenHdf5("addresses have an impossible size")
        self.base = self.number(head, at, self.offsets)
        end = self.number(head, at + 2 * self.offsets, self.offsets)
        if self.base + end > self.view.size and self.base != start:
            raise BrokenHdf5("the file ends before the end that it declares")
        if end > self.view.size:
            raise BrokenHdf5(f"{end} bytes are declared, {self.view.size} are there")
        self.end = end
        return self.number(head, root_at, self.offsets)

    def _messages(self, address: int) -> Iterator[tuple[int, int, bytes, int]]:
        """Object headers of version 1 and 2, with their continuations (section IV.A.1)."""
        head = self.at(address, 16)
        if head[:4] == b"OHDR":
            yield from self._messages_2(address)
            return
        if head[0] != 1:
            raise BrokenHdf5(f"no object header at {address}")
        blocks = [(address + 16, self.number(head, 8, 4))]
        for _ in range(4096):
            if not blocks:
                return
            start, size = blocks.pop(0)
            at = start
            while at + 8 <= start + size:
                kind, length, flags = struct.unpack("<HHB3x", self.at(at, 8))
                body = self.at(at + 8, length)
                if kind == _CONTINUE:
                    blocks.append(
                        (
                            self.number(body, 0, self.offsets),
                            self.number(body, self.offsets, self.lengths),
                        )
                    )
                yield kind, flags, body, at
                at += 8 + length
        raise BrokenHdf5("an object header has too many blocks")

    def _messages_2(self, address: int) -> Iterator[tuple[int, int, bytes, int]]:
        flags = self.at(address + 5, 1)[0]
        at = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        blocks = [(at + width, int.from_bytes(self.at(at, width), "little"))]
        order = 2 if flags & 4 else 0
        for _ in range(4096):
            if not blocks:
                return
            start, size = blocks.pop(0)
            at = start
            while at + 4 + order <= start + size:
                kind, length, mark = struct.unpack("<BHB", self.at(at, 4))
                body = self.at(at + 4 + order, length)
                if kind == _CONTINUE:
                    where = self.number(body, 0, self.offsets)
                    count = self.number(body, self.offsets, self.lengths)
                    if self.at(where, 4) != b"OCHK":
                        raise BrokenHdf5("a continuation has no signature")
                    blocks.append((where + 4, max(count - 8, 0)))
                yield kind, mark, body, at
                at += 4 + order + length
        raise BrokenHdf5("an object header has too many blocks")

    def _facts(self, kind: int, flags: int, body: bytes, at: int, path: str) -> Iterator[Fact]:
        if flags & 2 and kind in (_ATTRIBUTE, _DATATYPE, _FILTERS):
            return  # shared: its content lies in another object or in a heap that is searched raw
        if kind == _SYMBOLS:
            yield from self._symbols(body, path)
        elif kind == _LINK:
            yield self._link(body, at, path)
        elif kind in (_LINK_INFO, _ATTRIBUTE_INFO):
            yield from self._dense(kind, body, at, path)
        elif kind == _ATTRIBUTE:
            yield from self._attribute(body, at, path)
        elif kind == _EXTERNAL:
            yield Fact("storage", path, body[:64], at)
        elif kind == _LAYOUT and body[:1] in (b"\x03", b"\x04") and body[1:2] == b"\x03":
            yield Fact("virtual", path, body[:64], at)
        elif kind == _FILTERS:
            yield Fact("filter", path, body, at)

    def _link(self, body: bytes, at: int, path: str) -> Fact:
        """Link messages (section IV.A.2.g)."""
        flags = self.number(body, 1, 1)
        where = 2
        kind = _HARD
        if flags & 8:
            kind, where = self.number(body, where, 1), where + 1
        where += (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
        width = 1 << (flags & 3)
        length, where = self.number(body, where, width), where + width
        name = f"{path}/{body[where : where + length].decode('utf-8', 'replace')}"
        rest = body[where + length :]
        if kind == _HARD:
            return Fact("object", name, rest[: self.offsets], at)
        value = rest[2 : 2 + self.number(rest, 0, 2)]
        return Fact({_SOFT: "soft", _OUTSIDE: "outside"}.get(kind, "outside"), name, value, at)

    def _dense(self, kind: int, body: bytes, at: int, path: str) -> Iterator[Fact]:
        """Many links or attributes live in a fractal heap; its blocks are handed on as bytes."""
        flags = self.number(body, 1, 1)
        wide = 8 if kind == _LINK_INFO else 2
        where = 2 + (wide if flags & 1 else 0)
        heap = self.number(body, where, self.offsets)
        if heap == UNDEFINED >> (64 - 8 * self.offsets):
            return
        try:
            yield from self._heaped(kind, heap, at, path)
        except BrokenHeap as reason:
            raise BrokenHdf5(str(reason)) from None

    def _heaped(self, kind: int, address: int, at: int, path: str) -> Iterator[Fact]:
        heap = Heap(self.at, address, (self.offsets, self.lengths))
        yield Fact("packed" if heap.packed else "dense", path, b"", at)
        for block in () if heap.packed or kind != _LINK_INFO else heap.blocks():
            where = 0
            while (where := block.find(b"\x01", where)) >= 0:
                size = self._link_size(block, where)
                if size:
                    yield self._link(block[where : where + size], at, path)
                where += size or 1

    def _link_size(self, block: bytes, at: int) -> int:
        """Returns how long the link message at ``at`` is, 0 when there is none."""
        flags = block[at + 1] if at + 1 < len(block) else 0xFF
        where, kind = at + 2, _HARD
        if flags & ~0x1F:
            return 0
        if flags & 8:
            kind, where = block[where] if where < len(block) else 255, where + 1
        where += (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
        width = 1 << (flags & 3)
        length = int.from_bytes(block[where : where + width], "little")
        where += width + length
        rest = self.offsets
        if kind != _HARD:
            rest = 2 + int.from_bytes(block[where : where + 2], "little")
        end = where + rest
        known = kind in (_HARD, _SOFT) or kind >= _OUTSIDE
        return end - at if known and 0 < length <= 65_535 and end <= len(block) else 0

    def _symbols(self, body: bytes, path: str) -> Iterator[Fact]:
        """Old groups: a version 1 B-tree of symbol nodes and a local heap of names (III.A, D)."""
        tree = self.number(body, 0, self.offsets)
        heap = self.number(body, self.offsets, self.offsets)
        head = self.at(heap, 8 + 2 * self.lengths + self.offsets)
        if head[:4] != b"HEAP":
            raise BrokenHdf5("a local heap has no signature")
        size = self.number(head, 8, self.lengths)
        names = self.at(
            self.number(head, 8 + 2 * self.lengths, self.offsets), min(size, MOST_VALUE)
        )
        for node in self._leaves(tree):
            yield from self._entries(node, names, path)

    def _leaves(self, tree: int) -> Iterator[int]:
        waiting = [tree]
        while waiting:
            address = waiting.pop()
            if address in self.seen:
                continue
            self.seen.add(address)
            head = self.at(address, 8 + 2 * self.offsets)
            if head[:4] == b"SNOD":
                yield address
                continue
            if head[:4] != b"TREE" or head[4] != 0:
                raise BrokenHdf5("a group's tree has no signature")
            used, pair = self.number(head, 6, 2), self.lengths + self.offsets
            keys = self.at(address + 8 + 2 * self.offsets, used * pair + self.lengths)
            waiting += [
                self.number(keys, index * pair + self.lengths, self.offsets)
                for index in range(used)
            ]
            if len(self.seen) > MOST_OBJECTS:
                raise BrokenHdf5(f"more than {MOST_OBJECTS} objects")

    def _entries(self, node: int, names: bytes, path: str) -> Iterator[Fact]:
        count = self.number(self.at(node, 8), 6, 2)
        size = 2 * self.offsets + 24
        table = self.at(node + 8, count * size)
        for index in range(count):
            entry = table[index * size : (index + 1) * size]
            name = f"{path}/{_text(names, self.number(entry, 0, self.offsets))}"
            if self.number(entry, 2 * self.offsets, 4) == 2:
                target = _text(names, self.number(entry, 2 * self.offsets + 8, 4))
                yield Fact("soft", name, target.encode(), node)
            else:
                yield Fact("object", name, entry[self.offsets : 2 * self.offsets], node)

    def _attribute(self, body: bytes, at: int, path: str) -> Iterator[Fact]:
        """Attribute messages of version 1 to 3 (section IV.A.2.m)."""
        version = self.number(body, 0, 1)
        name_size, type_size, space_size = struct.unpack("<3H", body[2:8].ljust(6, b"\0"))
        where = 9 if version == 3 else 8
        pad = 7 if version == 1 else 0
        name = body[where : where + name_size].split(b"\0")[0].decode("utf-8", "replace")
        where += name_size + pad & ~pad
        datatype = body[where : where + type_size]
        where += type_size + pad & ~pad
        where += space_size + pad & ~pad
        value = body[where:]
        if len(datatype) >= 8 and datatype[0] & 0x0F == 9:
            value = b"\0".join(self._variable(value))
        yield Fact("attribute", f"{path}@{name}", value, at)

    def _variable(self, data: bytes) -> Iterator[bytes]:
        """Values of variable length: a length, and a place in a global heap (section III.E)."""
        step = 8 + self.offsets
        for at in range(0, len(data) - step + 1, step):
            size = self.number(data, at, 4)
            heap = self.number(data, at + 4, self.offsets)
            index = self.number(data, at + 4 + self.offsets, 4)
            if size and heap:
                yield self._from_heap(heap, index)

    def _from_heap(self, heap: int, wanted: int) -> bytes:
        head = self.at(heap, 8 + self.lengths)
        if head[:4] != b"GCOL":
            raise BrokenHdf5("a global heap has no signature")
        end = heap + self.number(head, 8, self.lengths)
        at = heap + 8 + self.lengths
        while at + 8 + self.lengths <= end:
            entry = self.at(at, 8 + self.lengths)
            index, size = self.number(entry, 0, 2), self.number(entry, 8, self.lengths)
            if index == wanted:
                return self.at(at + 8 + self.lengths, min(size, MOST_VALUE))
            if index == 0:
                break
            at += 8 + self.lengths + (size + 7 & ~7)
        raise BrokenHdf5("a value is not in its heap")


def _text(names: bytes, at: int) -> str:
    return names[at : at + 4096].split(b"\0")[0].decode("utf-8", "replace")

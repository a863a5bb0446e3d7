"""The header of a 7z archive: packed streams, coders of each folder, sizes and names.

Source: 7-Zip ``DOC/7zFormat.txt`` (property numbers in the code). Every count is held against the
bytes that are there before anything is made for it.
"""

import dataclasses

MOST_ITEMS = 100_000
_END, _HEADER, _MAIN, _FILES, _PACK, _UNPACK, _SUBSTREAMS = 0, 1, 4, 5, 6, 7, 8
_SIZE, _CRC, _FOLDER, _UNPACK_SIZE, _STREAMS, _EMPTY, _NAMES = 9, 10, 11, 12, 13, 14, 17


class BrokenSevenZip(Exception):  # noqa: N818  - becomes a finding
    """The header cannot be followed."""


@dataclasses.dataclass(frozen=True)
class Coder:
    """One step of a folder: method number in hexadecimal, properties, inputs and outputs."""

    method: str
    properties: bytes
    simple: bool


@dataclasses.dataclass
class Folder:
    """Streams packed together: coders from the outermost, and sizes in the order of the header."""

    coders: list[Coder]
    packed_streams: int
    chain: bool
    turned: bool = False
    sizes: list[int] = dataclasses.field(default_factory=list)
    parts: list[int] = dataclasses.field(default_factory=list)

    @property
    def unpacked(self) -> int:
        """Returns the size of what the folder expands to."""
        return self.sizes[-1 if self.turned else 0] if self.sizes else 0


@dataclasses.dataclass
class Streams:
    """Where packed bytes begin, their sizes, and how they are packed."""

    start: int = 0
    packed: list[int] = dataclasses.field(default_factory=list)
    folders: list[Folder] = dataclasses.field(default_factory=list)


class Reader:
    """Reads the property list forward."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        """Returns the next bytes.

        Raises:
            BrokenSevenZip: There are fewer.
        """
        if count < 0 or self.at + count > len(self.data):
            raise BrokenSevenZip("the header is cut off")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self) -> int:
        """Leading one bits of the first byte say how many bytes follow."""
        first = self.take(1)[0]
        mask, value = 0x80, 0
        for index in range(8):
            if not first & mask:
                return value | (first & (mask - 1)) << 8 * index
            value |= self.take(1)[0] << 8 * index
            mask >>= 1
        return value

    def count(self) -> int:
        """A number of things, each of which takes at least one bit of the header."""
        value = self.number()
        if value > MOST_ITEMS or value > 8 * len(self.data):
            raise BrokenSevenZip(f"{value} items are declared")
        return value

    def expect(self, wanted: int) -> None:
        """Reads a property number that has to be there."""
        if (found := self.number()) != wanted:
            raise BrokenSevenZip(f"property {found} where {wanted} belongs")

    def bits(self, count: int) -> list[bool]:
        """Returns a vector of bits."""
        data = self.take(-(-count // 8))
        return [bool(data[index // 8] >> 7 - index % 8 & 1) for index in range(count)]

    def skip_digests(self, count: int) -> int:
        """Steps over checksums and returns how many there were."""
        defined = [True] * count if self.take(1)[0] else self.bits(count)
        self.take(4 * sum(defined))
        return sum(defined)


def read_streams(reader: Reader) -> Streams:
    """Reads one streams-info block."""
    streams = Streams()
    while (kind := reader.number()) != _END:
        if kind == _PACK:
            _pack(reader, streams)
        elif kind == _UNPACK:
            _unpack(reader, streams)
        elif kind == _SUBSTREAMS:
            _substreams(reader, streams)
        else:
            raise BrokenSevenZip(f"property {kind} among the streams")
    for folder in streams.folders:
        folder.parts = folder.parts or [folder.unpacked]
    return streams


def read_header(reader: Reader) -> tuple[Streams, list[str]]:
    """Reads a plain header: streams, and the names of the files that have content."""
    streams, names = Streams(), []
    while (kind := reader.number()) != _END:
        if kind == _MAIN:
            streams = read_streams(reader)
        elif kind == _FILES:
            names = _files(reader)
        else:
            raise BrokenSevenZip(f"property {kind} in the header")
    return streams, names


def _pack(reader: Reader, streams: Streams) -> None:
    streams.start = reader.number()
    count = reader.count()
    while (kind := reader.number()) != _END:
        if kind == _SIZE:
            streams.packed = [reader.number() for _ in range(count)]
        elif kind == _CRC:
            reader.skip_digests(count)
        else:
            raise BrokenSevenZip(f"property {kind} in the pack info")


def _unpack(reader: Reader, streams: Streams) -> None:
    reader.expect(_FOLDER)
    count = reader.count()
    if reader.take(1) != b"\0":
        raise BrokenSevenZip("folders lie in another stream")
    streams.folders = [_folder(reader) for _ in range(count)]
    reader.expect(_UNPACK_SIZE)
    for folder in streams.folders:
        folder.sizes = [reader.number() for _ in folder.coders]
    while (kind := reader.number()) != _END:
        if kind != _CRC:
            raise BrokenSevenZip(f"property {kind} in the unpack info")
        reader.skip_digests(count)


def _folder(reader: Reader) -> Folder:
    coders, inputs, outputs = [], 0, 0
    for _ in range(min(reader.count(), 33)):
        flags = reader.take(1)[0]
        method = reader.take(flags & 15).hex()
        ins, outs = (reader.count(), reader.count()) if flags & 16 else (1, 1)
        properties = reader.take(reader.count()) if flags & 32 else b""
        coders.append(Coder(method, properties, ins == outs == 1))
        inputs, outputs = inputs + ins, outputs + outs
    if not coders or outputs != len(coders):
        raise BrokenSevenZip("a folder has no coder, or one with several outputs")
    pairs = [(reader.number(), reader.number()) for _ in range(outputs - 1)]
    packed = inputs - len(pairs)
    if packed > 1:
        for _ in range(packed):
            reader.number()
    simple = all(coder.simple for coder in coders)
    forward = [(index, index + 1) for index in range(len(pairs))]
    backward = [(after, before) for before, after in forward]
    if pairs == backward != forward:
        return Folder(coders[::-1], max(packed, 1), simple, turned=True)
    return Folder(coders, max(packed, 1), simple and pairs == forward)


def _substreams(reader: Reader, streams: Streams) -> None:
    counts = [1] * len(streams.folders)
    kind = reader.number()
    if kind == _STREAMS:
        counts = [reader.count() for _ in streams.folders]
        kind = reader.number()
    for folder, count in zip(streams.folders, counts, strict=True):
        sizes = [reader.number() for _ in range(count - 1)] if kind == _SIZE else []
        folder.parts = [*sizes, folder.unpacked - sum(sizes)] if count else []
        if any(size < 0 for size in folder.parts):
            raise BrokenSevenZip("files are larger than what they lie in")
    if kind == _SIZE:
        kind = reader.number()
    if kind == _CRC:
        reader.skip_digests(sum(counts))
        kind = reader.number()
    if kind != _END:
        raise BrokenSevenZip(f"property {kind} among the substreams")


def _files(reader: Reader) -> list[str]:
    count = reader.count()
    names, empty = [""] * count, [False] * count
    while (kind := reader.number()) != _END:
        body = Reader(reader.take(reader.number()))
        if kind == _NAMES:
            if body.take(1) != b"\0":
                raise BrokenSevenZip("names lie in another stream")
            text = body.data[1:].decode("utf-16-le", "replace")
            names = (text.split("\0") + names)[:count]
        elif kind == _EMPTY:
            empty = body.bits(count)
    return [name for name, nothing in zip(names, empty, strict=True) if not nothing]

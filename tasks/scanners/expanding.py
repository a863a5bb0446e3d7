"""Decompression in small steps, each paid from the budget, so that no bomb ever goes off."""

import bz2
import importlib.util
import lzma
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from tasks.scanners.reading import Budget, View, spooled

STEP_BYTES = 1 << 18
FREE_BYTES = 64 << 20  # below this any ratio is harmless
MOST_RATIO = 200
_LZMA_MEMORY = 128 << 20
_WINDOW = 128 << 20


class BombError(Exception):
    """The bytes expand far beyond their own size; the text holds the numbers."""


class Decompressor(Protocol):
    """What bz2 and lzma offer; zlib is adapted to it."""

    @property
    def eof(self) -> bool:
        """Whether the end of the stream was seen."""

    @property
    def unused_data(self) -> bytes:
        """Input behind the end of the stream."""

    @property
    def needs_input(self) -> bool:
        """Whether everything given so far was read."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Returns at most ``max_length`` expanded bytes."""


class Inflater:
    """zlib with the interface of bz2 and lzma: unread input is kept for the next call."""

    def __init__(self, bits: int) -> None:
        self._stream = zlib.decompressobj(bits)
        self._kept = b""

    @property
    def eof(self) -> bool:
        """Whether the end of the stream was seen."""
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        """Input behind the end of the stream."""
        return self._stream.unused_data

    @property
    def needs_input(self) -> bool:
        """Whether everything given so far was read."""
        return not self._kept

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Returns at most ``max_length`` bytes; call again with b"" for the rest."""
        piece = self._stream.decompress(self._kept + data, max(max_length, 0))
        self._kept = self._stream.unconsumed_tail
        return piece


CODECS: dict[str, Callable[[], Decompressor]] = {
    "deflate": lambda: Inflater(-15),
    "zlib": lambda: Inflater(15),
    "gzip": lambda: Inflater(31),
    "bz2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LZMA_MEMORY),
    "lz4": lambda: _Lz4(),  # noqa: PLW0108 - defined below
    "zstandard": lambda: _Zstandard(),  # noqa: PLW0108
    "lzma_alone": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_LZMA_MEMORY),
}


BROKEN_STREAM = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, RuntimeError)
"""What the codecs raise on broken bytes; :class:`BombError` is told apart before."""
_SEVERAL = frozenset({"gzip", "bz2", "xz", "lz4", "zstandard"})
OPTIONAL = {"lz4": "lz4.frame", "zstandard": "zstandard"}
"""Codecs that need a library which is no part of the core installation."""


def expanded(view: View, codec: str, budget: Budget, *, most: int | None = None) -> View:
    """Returns the expanded bytes of all concatenated streams in ``view``.

    ``most`` is the declared size: one byte more is enough to prove a lie, so nothing beyond it is
    expanded. Raises ``BudgetSpent``, :class:`BombError`, or one of :data:`BROKEN_STREAM`.
    """
    if codec == "lzma":
        view, make = _zip_lzma(view)
    else:
        make = CODECS[codec]
    return spooled(_pieces(view, make, most, several=codec in _SEVERAL), budget)


def expanded_by(view: View, make: Callable[[], Decompressor], budget: Budget, *, most: int) -> View:
    """Does the same with a decompressor of the caller's, for one stream of a known size."""
    return spooled(_pieces(view, make, most, several=False), budget)


def _pieces(
    view: View, make: Callable[[], Decompressor], most: int | None, *, several: bool
) -> Iterator[bytes]:
    offset = total = 0
    while True:
        stream = make()
        while not stream.eof:
            data = view.read(offset, STEP_BYTES) if stream.needs_input else b""
            offset += len(data)
            piece = stream.decompress(data, STEP_BYTES)
            total += len(piece)
            _check_ratio(total, offset)
            if piece:
                yield piece
            if most is not None and total > most:
                return
            if not piece and not data and offset >= view.size:
                if total == most:
                    return  # a raw LZMA member may lack the end mark; its size says it is whole
                raise EOFError("the compressed stream ends too early")
        offset -= len(stream.unused_data)
        if offset >= view.size:
            return
        if not several:
            raise ValueError(f"{view.size - offset} bytes follow the compressed stream")


def _check_ratio(total: int, read: int) -> None:
    if total > FREE_BYTES and total > MOST_RATIO * read:
        raise BombError(f"its first {read} bytes expand to more than {total}")


def _zip_lzma(view: View) -> tuple[View, Callable[[], Decompressor]]:
    """A zip member's LZMA: version, length of properties, properties, raw stream (APPNOTE 5.8)."""
    head = view.head(9)
    if len(head) < 9 or struct.unpack_from("<H", head, 2)[0] != 5:
        raise ValueError("the LZMA properties are broken")
    first, dictionary = head[4], struct.unpack_from("<L", head, 5)[0]
    if first >= 225 or dictionary > _LZMA_MEMORY:
        raise ValueError("the LZMA properties ask for too much memory")
    chosen = {
        "id": lzma.FILTER_LZMA1,
        "dict_size": max(dictionary, 4096),
        "lc": first % 9,
        "lp": first // 9 % 5,
        "pb": first // 45,
    }
    return view.part(9), lambda: lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chosen])


def is_readable(codec: str) -> bool:
    """Answers whether this installation can expand ``codec``."""
    module = OPTIONAL.get(codec)
    return module is None or importlib.util.find_spec(module.partition(".")[0]) is not None


class _Lz4:
    """lz4 with the interface of bz2 and lzma: what is not there is bytes too."""

    def __init__(self) -> None:
        import lz4.frame  # noqa: PLC0415 - optional

        self._stream = lz4.frame.LZ4FrameDecompressor()

    @property
    def eof(self) -> bool:
        """Whether the end of the frame was seen."""
        return bool(self._stream.eof)

    @property
    def unused_data(self) -> bytes:
        """Input behind the end of the frame."""
        return self._stream.unused_data or b""

    @property
    def needs_input(self) -> bool:
        """Whether everything given so far was read."""
        return bool(self._stream.needs_input)

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Returns at most ``max_length`` expanded bytes."""
        return bytes(self._stream.decompress(data, max_length))


class _Zstandard:
    """zstandard with the interface of bz2 and lzma: input is given in slices, so output is too.

    A frame's window is bounded (128 MiB), and a block of four bytes gives 128 KiB at most, so that
    one slice gives no more than 32 MiB.
    """

    _SLICE = 1 << 10

    def __init__(self) -> None:
        import zstandard  # noqa: PLC0415 - optional

        self._error = zstandard.ZstdError
        self._stream = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
        self._kept = b""

    @property
    def eof(self) -> bool:
        """Whether the end of the frame was seen."""
        return bool(self._stream.eof)

    @property
    def unused_data(self) -> bytes:
        """Input behind the end of the frame."""
        return bytes(self._stream.unused_data) + self._kept if self.eof else b""

    @property
    def needs_input(self) -> bool:
        """Whether everything given so far was read."""
        return not self._kept

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Returns what the next slice of input expands to."""
        del max_length
        self._kept += data
        piece, self._kept = self._kept[: self._SLICE], self._kept[self._SLICE :]
        try:
            return bytes(self._stream.decompress(piece))
        except self._error as error:
            raise ValueError(str(error)) from None

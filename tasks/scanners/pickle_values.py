"""What the pickle interpreter keeps of a value: enough to know names, shapes and targets."""

import dataclasses
from collections.abc import Callable
from typing import Any

from tasks.scanners.reading import View


class Opaque:
    """A value whose content does not matter."""

    __slots__ = ()


OPAQUE = Opaque()


@dataclasses.dataclass(frozen=True, slots=True)
class Global:
    """An imported name."""

    module: str
    name: str

    @property
    def path(self) -> str:
        """``module.name``."""
        return f"{self.module}.{self.name}"


@dataclasses.dataclass(frozen=True, slots=True)
class Guarded(Global):
    """A name that is harmless in one use only; ``machine.guarded`` turns the checks on."""


@dataclasses.dataclass(frozen=True, slots=True)
class Blob:
    """A bytes argument, and the format it was read as when it was read at all."""

    size: int
    format: str


@dataclasses.dataclass(frozen=True, slots=True)
class Items:
    """A tuple; deep or long ones lose their items, never their depth.

    ``weight`` counts all values inside, shared ones each time: what hashing or printing costs.
    """

    items: tuple[Any, ...]
    depth: int
    weight: int = 1

    @classmethod
    def of(cls, items: list[Any]) -> "Items":
        """Builds the tuple and counts how deep it nests."""
        depth, weight = 1, len(items)
        for item in items:
            if type(item) is Items:
                weight += item.weight
                if item.depth >= depth:
                    depth = item.depth + 1
        return cls(tuple(items) if depth <= 8 and len(items) <= 64 else (), depth, weight)


class Known(dict[str, Any]):
    """A dict, as far as its keys are text and few; ``full`` says that more came than is kept."""

    __slots__ = ("full",)
    MOST = 64

    def __init__(self) -> None:
        super().__init__()
        self.full = False

    def store(self, key: Any, value: Any) -> None:
        """Keeps one item, a later one over an earlier one as Python does."""
        if not isinstance(key, str):
            return
        if len(self) < self.MOST or key in self:
            self[key] = value
        else:
            self.full = True

    def store_all(self, items: list[Any]) -> None:
        """Keeps keys and values that follow each other; many of them are not looked through."""
        if len(items) > 4 * self.MOST or self.full:
            self.full = True
            items = items[: 4 * self.MOST]
        for key, value in zip(items[::2], items[1::2], strict=False):
            self.store(key, value)


@dataclasses.dataclass(slots=True)
class Made:
    """The result of calling ``function``; ``state`` is what BUILD gave it."""

    function: Any
    arguments: Any
    state: Any = None


class Tape:
    """Reads a view forward, one megabyte at a time, and knows where it is."""

    def __init__(self, view: View, offset: int = 0, window: int = 1 << 20) -> None:
        self.view = view
        self.window = window
        self.base = offset
        self.buffer = b""
        self.at = 0

    @property
    def offset(self) -> int:
        """Position of the next byte in the view."""
        return self.base + self.at

    @offset.setter
    def offset(self, value: int) -> None:
        self.base, self.buffer, self.at = value, b"", 0

    def fill(self, count: int) -> bool:
        """Makes ``count`` bytes lie in the buffer; False when the view ends before."""
        if len(self.buffer) - self.at >= count:
            return True
        start = self.offset
        self.base, self.at = start, 0
        self.buffer = self.view.read(start, max(self.window, count))
        return len(self.buffer) >= count

    def take(self, count: int) -> bytes:
        """Returns the next ``count`` bytes.

        Raises:
            Truncated: There are fewer. Nothing is allocated for a declared size.
        """
        end = self.at + count
        if end > len(self.buffer):
            if count > self.view.size - self.offset or not self.fill(count):
                left = self.view.size - self.offset
                raise Truncated(f"{count} bytes are declared, {left} are left")
            end = self.at + count
        data = self.buffer[self.at : end]
        self.at = end
        return data

    def skip(self, count: int) -> int:
        """Moves over ``count`` bytes without reading them and returns where they began."""
        start = self.offset
        if count > self.view.size - start:
            raise Truncated(f"{count} bytes are declared, {self.view.size - start} are left")
        if self.at + count <= len(self.buffer):
            self.at += count
        else:
            self.offset = start + count
        return start

    def line(self, most: int = 4096) -> bytes:
        """Returns the bytes up to a newline, which it consumes; keeps only the first ``most``."""
        end = self.buffer.find(b"\n", self.at, self.at + most)
        if end >= 0:
            kept, self.at = self.buffer[self.at : end], end + 1
            return kept
        kept = b""
        while True:
            if not self.fill(1):
                raise Truncated("a line has no end")
            end = self.buffer.find(b"\n", self.at)
            piece = self.buffer[self.at : end if end >= 0 else len(self.buffer)]
            kept = (kept + piece[:most])[:most]
            if end >= 0:
                self.at = end + 1
                return kept
            self.at = len(self.buffer)


class Truncated(Exception):  # noqa: N818  - becomes a finding
    """The bytes end inside an opcode."""


class Malformed(Exception):  # noqa: N818  - becomes a finding
    """No unpickler would accept this."""


Handler = Callable[[Any], None]

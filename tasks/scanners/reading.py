"""Bounded reading: regular files only, no allocation from declared sizes, one budget per file."""

import dataclasses
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

CHUNK_BYTES = 1 << 20
MEMORY_BYTES = 32 << 20  # expanded bytes kept in memory before they spill to scratch

FREE_BYTES = 64 << 20  # below this any expansion is harmless
MOST_RATIO = 200


class BudgetSpent(Exception):  # noqa: N818  - an answer ("too much work"), not an error
    """One of the limits of :class:`Budget` is used up; the text says which and how much it was."""


class NotRegularError(Exception):
    """The path is a link, a pipe, a socket, a device or a folder; the text says which."""


@dataclasses.dataclass
class Budget:
    """Work that one file may cause, shared by everything nested inside it.

    The clock is a last resort: each other limit is reached first on any machine that meets
    the throughput in this folder's README, so equal bytes give equal findings.
    """

    expanded_bytes: int = 1 << 30
    entries: int = 20_000
    depth: int = 8
    opcodes: int = 40_000_000
    nested: int = 200_000
    checksums: int = 64 << 20
    seconds: float = 240.0
    root_bytes: int | None = None
    started: float = dataclasses.field(default_factory=time.monotonic)
    expanded: int = 0

    def spend_bytes(self, count: int) -> None:
        """Takes ``count`` expanded bytes."""
        self.expanded += count
        if self.expanded > self.expanded_bytes:
            raise BudgetSpent(f"it expands to more than {self.expanded_bytes} bytes")
        if self.root_bytes is not None and self.expanded > max(
            FREE_BYTES, MOST_RATIO * self.root_bytes
        ):
            raise BudgetSpent(f"{self.root_bytes} bytes expand to more than {self.expanded}")
        self.check_clock()

    def spend_entries(self, count: int) -> None:
        """Takes ``count`` members of containers."""
        self.entries -= count
        if self.entries < 0:
            raise BudgetSpent("it holds more members than the scan reads")

    def spend_opcodes(self, count: int) -> None:
        """Takes ``count`` pickle opcodes."""
        self.opcodes -= count
        if self.opcodes < 0:
            raise BudgetSpent("it holds more pickle opcodes than the scan follows")
        self.check_clock()

    def spend_nested(self) -> None:
        """Takes one nested reading."""
        self.nested -= 1
        if self.nested < 0:
            raise BudgetSpent("it holds more nested parts than the scan reads")

    def may_checksum(self, count: int) -> bool:
        """Answers whether a checksum over ``count`` bytes of raw numbers is still to be computed.

        A wrong one harms nobody who loads numbers; for hundreds of megabytes of them it would cost
        as much as half of their digest does.
        """
        self.checksums -= count
        return self.checksums >= 0

    def check_clock(self) -> None:
        """Stops work that takes too long."""
        if time.monotonic() - self.started > self.seconds:
            raise BudgetSpent(f"scanning took more than {self.seconds:g} seconds")


@dataclasses.dataclass(frozen=True)
class View:
    """A window on bytes that lie in memory or in a file; reading never goes past its end."""

    read_at: Callable[[int, int], bytes]
    start: int
    size: int

    @classmethod
    def of_bytes(cls, data: bytes) -> "View":
        """Looks at bytes in memory."""
        return cls(lambda offset, count: data[offset : offset + count], 0, len(data))

    @classmethod
    def of_file(cls, descriptor: int, size: int) -> "View":
        """Looks at an open file; the caller keeps ``descriptor`` open."""
        return cls(lambda offset, count: os.pread(descriptor, count, offset), 0, size)

    def read(self, offset: int, count: int) -> bytes:
        """Returns up to ``count`` bytes from ``offset``; fewer at the end, none outside."""
        if offset < 0 or offset >= self.size or count <= 0:
            return b""
        return self.read_at(self.start + offset, min(count, self.size - offset))

    def part(self, offset: int, size: int | None = None) -> "View":
        """Returns the window from ``offset``, cut to what is there."""
        offset = min(max(offset, 0), self.size)
        rest = self.size - offset
        return View(self.read_at, self.start + offset, rest if size is None else min(size, rest))

    def chunks(self, size: int = CHUNK_BYTES) -> Iterator[bytes]:
        """Yields all bytes in order."""
        for offset in range(0, self.size, size):
            yield self.read(offset, size)

    def head(self, count: int = 4096) -> bytes:
        """Returns the first bytes."""
        return self.read(0, count)


def open_regular(path: Path) -> tuple[int, int]:
    """Opens a regular file without following links or waiting for pipes.

    Returns:
        The descriptor (the caller closes it) and the size in bytes.

    Raises:
        NotRegularError: The path is anything but a regular file.
        OSError: It is missing or unreadable.
    """
    if not stat.S_ISREG(mode := path.lstat().st_mode):
        raise NotRegularError(_kind(mode))
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):  # swapped between lstat and open
        os.close(descriptor)
        raise NotRegularError(_kind(status.st_mode))
    return descriptor, status.st_size


class _Scratch:
    """An unlinked scratch file that closes when the last view on it is gone."""

    def __init__(self) -> None:
        descriptor, name = tempfile.mkstemp(prefix="expanded-")
        os.unlink(name)  # noqa: PTH108 - the name was ours for one line only
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)

    def write(self, data: bytes) -> None:
        """Appends all of ``data``."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]

    def read_at(self, offset: int, count: int) -> bytes:
        """Reads like ``pread``."""
        return os.pread(self.descriptor, count, offset)


def spooled(pieces: Iterable[bytes], budget: Budget) -> View:
    """Keeps expanded bytes, in memory while they are few, else in an unlinked scratch file."""
    kept: list[bytes] = []
    size = 0
    spill: _Scratch | None = None
    for piece in pieces:
        budget.spend_bytes(len(piece))
        size += len(piece)
        if spill is None and size > MEMORY_BYTES:
            spill = _Scratch()
            spill.write(b"".join(kept))
            kept.clear()
        if spill is None:
            kept.append(piece)
        else:
            spill.write(piece)
    return View.of_bytes(b"".join(kept)) if spill is None else View(spill.read_at, 0, size)


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a character device",
        stat.S_IFBLK: "a block device",
        stat.S_IFDIR: "a folder",
    }
    return kinds.get(stat.S_IFMT(mode), "not a regular file")

import errno
from collections.abc import Callable
from typing import Any

import pytest

from tasks.sandbox.reasons import FULL, MEMORY, OTHER, REFUSED, reason_of


def wrapped(inner: BaseException) -> BaseException:
    outer = ValueError("a library's own words")
    outer.__cause__ = inner
    return outer


def _explodes(*_: Any) -> Any:
    raise SystemExit


HostileError: Any = type(
    "HostileError",
    (OSError,),
    {
        "__bool__": _explodes,
        "__str__": _explodes,
        **dict.fromkeys(("__class__", "__cause__", "errno"), property(_explodes)),
    },
)
"""Every name that could be asked runs code."""


class Unhashable(int):
    def __hash__(self) -> int:
        raise SystemExit


def hostile_number() -> BaseException:
    error = OSError("no")
    error.errno = Unhashable(errno.EPERM)
    return error


REASONS: dict[str, tuple[Callable[[], BaseException], str]] = {
    "memory": (MemoryError, MEMORY),
    "memory behind a library": (lambda: wrapped(MemoryError()), MEMORY),
    "torch": (
        lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 274877906944"),
        MEMORY,
    ),
    "onnxruntime behind us": (
        lambda: wrapped(RuntimeError("Failed to allocate memory for requested buffer")),
        MEMORY,
    ),
    "a refused call": (lambda: OSError(errno.EPERM, "no"), REFUSED),
    "a refused file behind a library": (lambda: wrapped(OSError(errno.EACCES, "no")), REFUSED),
    "a read-only file system": (lambda: OSError(errno.EROFS, "no"), REFUSED),
    "a full disk": (lambda: OSError(errno.ENOSPC, "no"), FULL),
    "a file too large": (lambda: OSError(errno.EFBIG, "no"), FULL),
    "our own refusal has no number": (lambda: PermissionError("needs level L2"), OTHER),
    "a missing file": (lambda: OSError(errno.ENOENT, "no"), OTHER),
    "an ordinary error": (lambda: ValueError("shape"), OTHER),
    "hostile names": (lambda: HostileError(errno.EPERM, "no"), REFUSED),
    "a hostile number": (hostile_number, OTHER),
}


@pytest.mark.parametrize("name", REASONS)
def test_the_wall_behind_an_exception_is_found(name: str) -> None:
    make, reason = REASONS[name]
    assert reason_of(make()) == reason


def test_a_chain_that_bites_its_tail_ends() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__context__, second.__context__ = second, first
    assert reason_of(first) == OTHER

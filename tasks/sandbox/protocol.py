"""The face of the sandbox: what the trusted side may ask of a child, and what comes back.

A *procedure* is a function of this project that runs in the child, named by its id without the
leading ``tasks.``: ``attacks.evasion.linf_apgd`` is the function ``linf_apgd`` in
``tasks/attacks/evasion/linf_apgd.py``. Procedures live in ``scanners``, ``targets``, ``attacks``,
``detectors`` and ``intake``. What a child answers is a claim: the caller measures budgets, rates
and success again.
"""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.domain.frozen import Frozen

Array = NDArray[Any]
Values = Mapping[str, Any]
"""JSON values: None, bool, int, finite float, str, and lists and dicts of them."""


class Level(StrEnum):
    """How far the child is confined (security notes: README of this folder)."""

    L0 = "L0"  # nothing
    L1 = "L1"  # resource limits and wall clock only
    L2 = "L2"  # and no_new_privs, Landlock, seccomp, no capabilities, own process group
    L3 = "L3"  # and bubblewrap namespaces


class Limits(Frozen):
    """What one child may use."""

    memory_bytes: int = Field(default=4 << 30, gt=0)
    file_bytes: int = Field(default=1 << 30, gt=0)
    open_files: int = Field(default=256, gt=0)
    scratch_bytes: int = Field(default=256 << 20, gt=0)
    call_seconds: float = Field(default=300, gt=0)
    reply_bytes: int = Field(default=1 << 30, gt=0)
    threads: int = Field(default=1, gt=0)


class Probe(Frozen):
    """One escape tried by the self-test, and whether it was stopped."""

    name: str
    blocked: bool
    detail: str


class Reply(NamedTuple):
    """What a procedure returned: numeric arrays and JSON values, nothing else."""

    arrays: dict[str, Array]
    values: dict[str, Any]


class Session(Protocol):
    """One living child. Leaving the context kills its whole process group and reaps it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def open(self, procedure: str, **values: Any) -> dict[str, Any]:
        """Runs ``procedure(**values)`` in the child and keeps what it returns there.

        The kept object becomes the first argument of every later ``call``. Returns the object's
        ``describe()``, a dict of JSON values.

        Raises:
            ChildRaisedError: The procedure raised.
            ChildDiedError: The child died, by a signal or on its own.
            ChildTimeoutError: The deadline passed; the child is killed.
            ChildProtocolError: The child answered with something that is not an answer.
        """

    def call(
        self, procedure: str, arrays: Mapping[str, Array] | None = None, **values: Any
    ) -> Reply:
        """Runs ``procedure(kept, **arrays, **values)`` in the child.

        ``kept`` is left out when nothing was opened. Raises like :meth:`open`.
        """

    @property
    def attempts(self) -> dict[str, int]:
        """What the child asked the kernel for and was refused, by call: sockets, processes, walls.

        As the kernel told the parent, whatever the model says about it. Empty below level L2 and
        where the kernel cannot tell.
        """


class Sandbox(Protocol):
    """Makes children of one achieved level."""

    @property
    def level(self) -> Level:
        """The level that the self-test proved on this machine."""

    @property
    def probes(self) -> tuple[Probe, ...]:
        """Every escape that the self-test tried, for evidence."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Why no higher level was reached, which walls are lower and for what: for evidence."""

    def session(self, readable: tuple[Path, ...] = (), limits: Limits = Limits()) -> Session:
        """Starts a child that sees ``readable`` (read-only) and its own scratch, no more."""


def numeric(array: Array) -> Array:
    """Returns ``array`` if its dtype can travel (bool, integers, floats), C-contiguous.

    Raises:
        TypeError: The dtype is object, text, complex or structured.
    """
    if array.dtype.kind not in "biuf":
        raise TypeError(f"arrays of dtype {array.dtype} do not cross the sandbox boundary")
    return np.ascontiguousarray(array)

"""Opening the sandbox: the best level whose every escape was tried here and stopped."""

import compileall
import logging
import os
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from tasks.domain.errors import SandboxError
from tasks.sandbox.gpu import Gpu, find_gpu
from tasks.sandbox.identity import child_uid
from tasks.sandbox.places import places
from tasks.sandbox.procedures import ROOMS
from tasks.sandbox.protocol import Answering, Level, Limits, Probe
from tasks.sandbox.scratch import sweep
from tasks.sandbox.selftest import probes_of
from tasks.sandbox.session import ChildSession
from tasks.sandbox.syscalls import MACHINES
from tasks.sandbox.walls import Order, bubblewrap

_log = logging.getLogger(__name__)
_PREFER = "PROOFHOUSE_SANDBOX_PREFER"
_DOWNWARDS = (Level.L3, Level.L2, Level.L1, Level.L0)
_MEND = {
    Level.L3: "install bubblewrap and allow user namespaces (or run where they are allowed)",
    Level.L2: "use a kernel of 5.13 or newer with Landlock and seccomp, on x86_64 or aarch64",
    Level.L1: "allow setrlimit to lower RLIMIT_AS and RLIMIT_FSIZE",
    Level.L0: "nothing",
}


class Proof(NamedTuple):
    """What the self-test found."""

    level: Level
    probes: tuple[Probe, ...]
    notes: tuple[str, ...]


def open_sandbox(
    *,
    required: Level = Level.L2,
    scratch_root: Path | None = None,
    prefer: Level | None = None,
    gpu: bool = False,
    bfloat16: bool = False,
) -> "ProvedSandbox":
    """Returns a sandbox of the best level that this machine proves, at most ``prefer``.

    Args:
        required: Below this level, nothing is opened.
        scratch_root: Where children below L3 get their scratch; the system's temporary folder
            when None.
        prefer: Highest level to try; also the variable ``PROOFHOUSE_SANDBOX_PREFER``. A lower
            level is really lower, and says so.
        bfloat16: Gradient attacks on that GPU look in low precision.
        gpu: Let children use the NVIDIA GPU that this process was given; without one they compute
            on the CPU, loudly. Widens the walls: see :class:`tasks.sandbox.gpu.Gpu`.

    Raises:
        SandboxError: The machine proves less than ``required``; says what is missing.
    """
    highest = prefer or _preferred()
    sweep(scratch_root)
    _compile_procedures()
    given = _given_gpu(bfloat16=bfloat16) if gpu else None
    proof = _proof(highest, scratch_root, given)
    if proof.level < required:
        raise SandboxError(
            f"the sandbox reaches level {proof.level}, required is {required}. "
            f"{'; '.join(proof.notes)}. "
            f"To mend: {_MEND[required]}."
        )
    if gpu and given is None:
        proof = proof._replace(
            notes=(*proof.notes, "gpu: none to use, children compute on the CPU")
        )
    return ProvedSandbox(proof, scratch_root, given)


def _given_gpu(*, bfloat16: bool) -> Gpu | None:
    found, reason = find_gpu(os.environ.get("CUDA_VISIBLE_DEVICES"))
    if found is None:
        _log.warning("The profile gives children a GPU, but %s. They compute on the CPU.", reason)
    return found and found._replace(bfloat16=bfloat16)


@lru_cache
def _compile_procedures() -> None:
    # A child cannot write byte code, and most procedures are imported nowhere else: without this
    # every child of a source checkout would compile them again.
    if not sys.dont_write_bytecode:
        for room in sorted(ROOMS):
            compileall.compile_dir(Path(places().package, room), quiet=2, workers=1)


def _preferred() -> Level:
    wish = os.environ.get(_PREFER, Level.L3)
    try:
        return Level(wish)
    except ValueError:
        raise SandboxError(f"{_PREFER} is {wish!r}; it must be one of {', '.join(Level)}") from None


@lru_cache
def _proof(highest: Level, scratch_root: Path | None, gpu: Gpu | None) -> Proof:
    notes: list[str] = []
    if highest < Level.L3:
        notes.append(f"level {highest} was preferred; nothing higher was tried")
    for level in _DOWNWARDS[_DOWNWARDS.index(highest) :]:
        uid, note = child_uid(level, (*_given(scratch_root), *(gpu.nodes if gpu else ())))
        probes, failure = _tried(level, uid, scratch_root, gpu)
        if failure is None:
            return Proof(level, probes, (*notes, *note, *((gpu.note,) if gpu else ())))
        notes.append(f"{level}: {failure}")
    raise AssertionError("level L0 asks for nothing")


def _given(path: Path | None) -> tuple[str, ...]:
    return () if path is None else (str(path),)


def _tried(
    level: Level, uid: int | None, scratch_root: Path | None, gpu: Gpu | None
) -> tuple[tuple[Probe, ...], str | None]:
    machine = os.uname().machine
    if level >= Level.L2 and machine not in MACHINES:
        return (), f"there is no system call filter for {machine}"
    try:
        if level == Level.L3:
            bubblewrap()
        probes = probes_of(level, uid=uid, scratch_root=scratch_root, gpu=gpu)
    except OSError as error:
        return (), str(error)
    open_ways = [f"{probe.name} ({probe.detail})" for probe in probes if not probe.blocked]
    return probes, f"not stopped: {', '.join(open_ways)}" if open_ways else None


class ProvedSandbox:
    """Makes children of a level that the self-test proved (see ``protocol.Sandbox``)."""

    def __init__(self, proof: Proof, scratch_root: Path | None, gpu: Gpu | None = None) -> None:
        self._proof = proof
        self._gpu = gpu
        self._scratch_root = scratch_root
        self._base = scratch_root or Path(tempfile.gettempdir())

    @property
    def level(self) -> Level:
        """The level that the self-test proved on this machine."""
        return self._proof.level

    @property
    def probes(self) -> tuple[Probe, ...]:
        """Every escape that the self-test tried, for evidence."""
        return self._proof.probes

    @property
    def notes(self) -> tuple[str, ...]:
        """Why no higher level was reached, and what a reader of the evidence should know."""
        return self._proof.notes

    @property
    def _nodes(self) -> tuple[str, ...]:
        return self._gpu.nodes if self._gpu else ()

    def session(
        self,
        readable: tuple[Path, ...] = (),
        limits: Limits = Limits(),
        *,
        answering: Answering | None = None,
    ) -> ChildSession:
        """Starts a child that sees ``readable`` (read-only) and its own scratch, no more."""
        files = tuple(str(path.absolute()) for path in readable)
        order = Order(
            level=self.level,
            limits=limits,
            readable=files,
            scratch="",
            uid=child_uid(self.level, (*files, str(self._base), *self._nodes))[0],
            program="child",
            options={"bytes": limits.memory_bytes},
            gpu=self._gpu,
        )
        return ChildSession(order, scratch_root=self._scratch_root, answering=answering)

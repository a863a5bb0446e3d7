"""The system call filter: a list of what a computing process needs; everything else is refused.

Assembled here and loaded by ``prctl``: a library that runs helper programs to find its shared
object would break behind its own filter. The child needs no second, stricter filter after its
imports, because the launcher runs it in its own process: nothing is executed after this point.
Source: kernel documentation, ``userspace-api/seccomp_filter``; ``linux/bpf_common.h``.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterable, Mapping

from tasks.sandbox.kernel import prctl, syscall
from tasks.sandbox.syscalls import MACHINES, RULED, SET_UP, TOLD, Machine

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL, _ABOVE, _AT_LEAST, _HAS_ANY = 0x15, 0x25, 0x35, 0x45  # BPF_JMP | J.. | BPF_K
_RETURN, _AND = 0x06, 0x54  # BPF_RET | BPF_K, BPF_ALU | BPF_AND | BPF_K
_KILL, _ALLOW, _ERRNO, _TELL = 0x80000000, 0x7FFF0000, 0x00050000, 0x7FC00000
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_X32_BIT = 0x40000000

_AF_UNIX = 1
_CLONE_THREAD = 0x00010000
_CLONE_NEW = 0x7E020000  # every CLONE_NEW* flag that clone() understands
_PRCTL_ALLOWED = (3, 4, 15, 16, 21, 23, 38, 39, 41, 42, 0x53564D41)
# get/set dumpable, set/get name, get seccomp, read bounding set, set/get no_new_privs, huge pages,
# naming of memory. Not PR_SET_PDEATHSIG: the child must die with its parent.
_IOCTL_ALLOWED = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
# is it a terminal, how wide, bytes to read, (non-)blocking, close-on-exec
_UVM_CALLS = (0x30000001, 0x30000002)  # begin and end, the two that have numbers of their own
_LOWEST_TYPED, _TYPE_BITS, _NVIDIA_TYPE = 0x100, 0xFF00, ord("F") << 8
_FCNTL_DENIED = (8, 10, 15)  # F_SETOWN, F_SETSIG, F_SETOWN_EX: they send signals to strangers

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
_SET_MODE_FILTER, _NEW_LISTENER = 1, 1 << 3
LISTENER = 60
"""The descriptor at which a child keeps its filter's listener until the parent has fetched it."""

Instruction = tuple[int, int, int, int]
"""(code, jump if true, jump if false, operand), jumps counted from the next instruction."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def load(program: bytes) -> None:
    """Puts the filter over this process and its future threads; there is no way back.

    Raises:
        OSError: The kernel refused; ``no_new_privs`` must be set before.
    """
    held = _Program(len(program) // 8, program)
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(held))


def load_telling(program: bytes) -> None:
    """Loads a filter that tells; its listener is then the descriptor :data:`LISTENER`.

    Raises:
        OSError: The kernel cannot tell, or another filter over this process tells already.
    """
    held = _Program(len(program) // 8, program)
    number = MACHINES[os.uname().machine].calls["seccomp"]
    listener = syscall(number, _SET_MODE_FILTER, _NEW_LISTENER, ctypes.addressof(held))
    os.dup2(listener, LISTENER, inheritable=False)
    os.close(listener)


def filter_for(
    pid: int, machine: str | None = None, *, driver_calls: bool = False, tell: bool = False
) -> bytes:
    """Returns the filter of the process ``pid`` (its number as it sees itself).

    ``driver_calls`` lets the calls of NVIDIA's driver through, for a child that was given a GPU.
    ``tell`` leaves the refusal of the calls in :data:`tasks.sandbox.syscalls.TOLD` to a listener.

    Raises:
        NotImplementedError: There is no table for this processor.
    """
    name = machine or os.uname().machine
    if name not in MACHINES:
        raise NotImplementedError(f"no system call table for {name}")
    told = TOLD[name] if tell else {}
    return assemble(instructions(MACHINES[name], pid, driver_calls=driver_calls, told=told))


def assemble(program: Iterable[Instruction]) -> bytes:
    """Returns ``struct sock_filter[]``."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def instructions(
    machine: Machine, pid: int, *, driver_calls: bool = False, told: Mapping[str, int] = {}
) -> list[Instruction]:
    """Returns the program: processor first, then calls judged by argument, then the list."""
    program = [
        _load(_ARCH),
        (_EQUAL, 1, 0, machine.audit),
        _give(_KILL),
        _load(_NUMBER),
        (_AT_LEAST, 0, 1, _X32_BIT),
        _give(_KILL),
    ]
    for name in sorted(RULED):
        if name in machine.calls:
            rule = _driver_calls() if driver_calls and name == "ioctl" else _rule(name, pid)
            if name in told:
                rule = [_give(_TELL) if step == _refuse(errno.EPERM) else step for step in rule]
            program += [(_EQUAL, 0, len(rule), machine.calls[name]), *rule]
    for name in sorted(told.keys() - RULED):
        question = _other_than_local() if name == "socket" else [_give(_TELL)]
        program += [(_EQUAL, 0, len(question), told[name]), *question]
    for name in sorted(machine.calls.keys() - RULED - SET_UP):
        program += [(_EQUAL, 0, 1, machine.calls[name]), _give(_ALLOW)]
    return [*program, (_ABOVE, 0, 1, machine.newest), _refuse(errno.ENOSYS), _refuse(errno.EPERM)]


def _rule(name: str, pid: int) -> list[Instruction]:  # noqa: PLR0911  - one return per call
    match name:
        case "clone":  # threads only: neither a fork bomb nor a daemon can begin
            return [
                _argument(0),
                (_HAS_ANY, 0, 2, _CLONE_THREAD),
                (_HAS_ANY, 1, 0, _CLONE_NEW),
                _give(_ALLOW),
                _refuse(errno.EPERM),
            ]
        case "clone3":  # its flags lie in memory, out of a filter's sight: the C library falls back
            return [_refuse(errno.ENOSYS)]
        case "kill" | "tgkill":
            return _only((pid,))
        case "sched_setaffinity":
            return _only((0,))
        case "prctl":
            return _only(_PRCTL_ALLOWED)
        case "ioctl":
            return _only(_IOCTL_ALLOWED, argument=1, otherwise=errno.ENOTTY)
        case "fcntl":
            return _none_of(_FCNTL_DENIED, argument=1)
        case "prlimit64":  # reading limits, never setting them: the new value is a null pointer
            return [
                _argument(2),
                (_EQUAL, 0, 3, 0),
                _argument(2, high=True),
                (_EQUAL, 0, 1, 0),
                _give(_ALLOW),
                _refuse(errno.EPERM),
            ]
        case _:
            raise AssertionError(name)


def _other_than_local() -> list[Instruction]:
    # The C library asks local daemons for names of users and hosts, on behalf of honest libraries.
    return [_argument(0), (_EQUAL, 0, 1, _AF_UNIX), _refuse(errno.EPERM), _give(_TELL)]


def _driver_calls() -> list[Instruction]:
    """Judges ioctl where a GPU's nodes can be opened: by the numbers of NVIDIA's driver."""
    known = [*_IOCTL_ALLOWED, *_UVM_CALLS]
    tests: list[Instruction] = [
        (_EQUAL, len(known) - place + 3, 0, value) for place, value in enumerate(known)
    ]
    return [
        _argument(1),
        *tests,
        (_AT_LEAST, 0, 3, _LOWEST_TYPED),  # nvidia-uvm numbers its calls from 0, without a type
        (_AND, 0, 0, _TYPE_BITS),
        (_EQUAL, 1, 0, _NVIDIA_TYPE),
        _refuse(errno.ENOTTY),
        _give(_ALLOW),
    ]


def _only(
    values: tuple[int, ...], *, argument: int = 0, otherwise: int = errno.EPERM
) -> list[Instruction]:
    tests: list[Instruction] = [
        (_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)
    ]
    return [_argument(argument), *tests, _refuse(otherwise), _give(_ALLOW)]


def _none_of(values: tuple[int, ...], *, argument: int) -> list[Instruction]:
    tests: list[Instruction] = [
        (_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)
    ]
    return [_argument(argument), *tests, _give(_ALLOW), _refuse(errno.EPERM)]


def _argument(index: int, *, high: bool = False) -> Instruction:
    # Both processors are little-endian: the low half of a 64-bit argument comes first.
    return _load(_ARGUMENTS + 8 * index + (4 if high else 0))


def _load(offset: int) -> Instruction:
    return (_LOAD, 0, 0, offset)


def _give(action: int) -> Instruction:
    return (_RETURN, 0, 0, action)


def _refuse(number: int) -> Instruction:
    return _give(_ERRNO | number)

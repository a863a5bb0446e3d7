"""What the self-test's throw-away child tries: every way out that the walls should close.

Harmless where it succeeds. An attempt counts as stopped only if it was reported stopped: one that
kills or replaces the child counts as an escape. Standard library only.
"""

import contextlib
import ctypes
import errno
import json
import mmap
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from tasks.sandbox.seccomp import LISTENER

_CLONE_NEWUSER = 0x10000000
_PTRACE_PEEKDATA = 2
_REFUSALS = frozenset({errno.EPERM, errno.EACCES, errno.ENOSYS})

Options = Mapping[str, Any]


class Open(Exception):  # noqa: N818  - a way out, not an error
    """The attempt got through; the text says how far."""


def main(request: int, reply: int, options: Options) -> NoReturn:
    """Tries everything and writes one line of JSON for each: name, stopped, detail.

    Args:
        request: Not used; every program takes the same descriptors.
        reply: Descriptor to write to.
        options: What there is to reach for; see :data:`ATTEMPTS` and ``selftest.py``.
    """
    os.close(request)
    with contextlib.suppress(OSError):
        os.close(LISTENER)  # nobody listens: what would be told is refused at once
    for name, attempt in ATTEMPTS.items():
        stopped, detail = _tried(attempt, options)
        os.write(reply, json.dumps([name, stopped, detail]).encode() + b"\n")
    os._exit(0)


def _tried(attempt: Callable[[Options], None], options: Options) -> tuple[bool, str]:
    try:
        attempt(options)
    except Open as way:
        return False, str(way)
    except MemoryError:
        return True, "MemoryError"
    except OSError as error:
        return True, errno.errorcode.get(error.errno or 0, type(error).__name__)
    return False, "succeeded"


def _tcp(options: Options) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.connect(("127.0.0.1", options["tcp"]))


def _udp(options: Options) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"out", ("127.0.0.1", options["tcp"]))


def _abstract_socket(options: Options) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect("\0" + options["abstract"])


def _socket_pair(_: Options) -> None:
    for end in socket.socketpair():
        end.close()


def _read_outside(options: Options) -> None:
    Path(options["secret"]).read_bytes()


def _list_outside(options: Options) -> None:
    list(Path(options["folder"]).iterdir())


def _write_outside(options: Options) -> None:
    Path(options["folder"], "escaped").write_bytes(b"out")


def _change_outside(options: Options) -> None:
    Path(options["secret"]).chmod(0o777)


def _signal(options: Options) -> None:
    os.kill(options["victim"], 0)


def _ptrace(options: Options) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace(_PTRACE_PEEKDATA, options["victim"], None, None)
    _refused(ctypes.get_errno())


def _read_memory(options: Options) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    here = ctypes.create_string_buffer(8)
    local = (ctypes.c_size_t * 2)(ctypes.addressof(here), 8)
    libc.process_vm_readv(options["victim"], local, 1, local, 1, 0)
    _refused(ctypes.get_errno())


def _refused(number: int) -> None:
    # The kernel answers "no such address" or "not traced" only to those it lets ask.
    if number not in _REFUSALS:
        raise Open(f"only {errno.errorcode.get(number, number)}")
    raise OSError(number, os.strerror(number))


def _user_namespace(_: Options) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) < 0:
        raise OSError(ctypes.get_errno(), "unshare")


def _fork(_: Options) -> None:
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _daemon(_: Options) -> None:
    if (pid := os.fork()) == 0:
        os.setsid()
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.waitpid(pid, 0)


def _memory(options: Options) -> None:
    # A child with a GPU is limited in private memory only, see walls.py.
    kind = mmap.MAP_PRIVATE if options.get("private") else mmap.MAP_SHARED
    mmap.mmap(-1, options["memory"] + (1 << 20), flags=kind | mmap.MAP_ANONYMOUS).close()


def _big_file(options: Options) -> None:
    import signal  # noqa: PLC0415  - only here

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with Path("big").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, options["file"] + 1)


def _privileges(_: Options) -> None:
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    facts = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    wanted = {"CapEff": 0, "CapPrm": 0, "CapInh": 0, "CapAmb": 0, "NoNewPrivs": 1, "Seccomp": 2}
    wrong = [name for name, value in wanted.items() if int(facts.get(name, "-1"), 16) != value]
    if wrong:
        raise Open(", ".join(f"{name} {facts.get(name, 'unknown')}" for name in wrong))
    raise OSError(errno.EPERM, "no capabilities, no_new_privs, filtered")


def _namespaces(options: Options) -> None:
    shared = [
        name
        for name, link in options["namespaces"].items()
        if str(Path(f"/proc/self/ns/{name}").readlink()) == link
    ]
    if shared:
        raise Open(f"shares {', '.join(shared)}")
    raise OSError(errno.EPERM, "own namespaces")


def _shell(_: Options) -> None:
    for shell in ("/bin/sh", "/usr/bin/sh", "/bin/true"):
        try:
            os.execv(shell, [shell, "-c", "exit 0"])  # noqa: S606  - it must not succeed
        except FileNotFoundError:
            continue
    raise OSError(errno.ENOENT, "no shell in sight")


ATTEMPTS: dict[str, Callable[[Options], None]] = {
    "tcp_connect": _tcp,
    "udp_send": _udp,
    "abstract_socket": _abstract_socket,
    "socket_pair": _socket_pair,
    "read_outside": _read_outside,
    "list_outside": _list_outside,
    "write_outside": _write_outside,
    "change_mode_outside": _change_outside,
    "signal_stranger": _signal,
    "ptrace_stranger": _ptrace,
    "read_memory_of_stranger": _read_memory,
    "user_namespace": _user_namespace,
    "fork": _fork,
    "double_fork_setsid": _daemon,
    "memory_over_limit": _memory,
    "file_over_limit": _big_file,
    "privileges": _privileges,
    "namespaces": _namespaces,
    "exec_shell": _shell,  # last: where it succeeds, the child is gone
}
"""By name, in order. ``namespaces`` is asked of level L3 only."""

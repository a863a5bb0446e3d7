"""One child process and everything it owns on this machine: start, watch, end, reap."""

import contextlib
import fcntl
import json
import os
import resource
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from tasks.sandbox.printable import printable
from tasks.sandbox.protocol import Level
from tasks.sandbox.walls import Order, command, cpu_seconds, environment
from tasks.sandbox.witness import Witness, witness_of

_PIPE_BYTES = 1 << 20
_LOG_BYTES = 8 << 10
_CHUNK, _CHUNKS = 1 << 16, 32
_REAP_SECONDS = 5.0
_F_SETPIPE_SZ = 1031


class Pipes(NamedTuple):
    """The parent's ends, not blocking: requests go in, replies and the log come out."""

    request: int
    reply: int
    log: int


class Child:
    """A started child; :meth:`kill` is safe at any time and from any thread."""

    def __init__(self, order: Order) -> None:
        self.level = order.level
        self.limits = order.limits
        self.pid: int | None = None  # of the confined process, as this machine numbers it
        self.witness: Witness | None = None
        self._log = b""
        self._init_pid = 0
        self._ending = threading.Lock()
        self._init: int | None = None
        self.pipes, self._process = _start(order, self._read_info)

    def _read_info(self, info: int) -> None:
        # bubblewrap says who is first in the new pid namespace; whoever ends that one ends all.
        text = b""
        while chunk := os.read(info, 4096):
            text += chunk
        with contextlib.suppress(ValueError, KeyError, OSError):
            self._init_pid = int(json.loads(text)["child-pid"])
            self._init = os.pidfd_open(self._init_pid)

    def find(self) -> None:
        """Finds the confined process, once the child has said that its walls stand."""
        if self.level != Level.L3:
            self.pid = self._process.pid
        elif self._init is not None:
            self.pid = _only_child_of(self._init_pid)
        if self.pid is not None and self.level >= Level.L2:
            self.witness = witness_of(self.pid)

    def is_confined(self) -> bool:
        """Answers, from outside, whether the kernel holds the child as its level promises."""
        if self.level < Level.L2:
            return True
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{self.pid}/status").read_text(errors="replace").splitlines()
            facts = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
            filtered = facts.get("Seccomp") == "2" and facts.get("NoNewPrivs") == "1"
            return filtered and not int(facts.get("CapEff", "1"), 16)
        return False

    @property
    def log(self) -> str:
        """The last 8 KiB that the child printed, fit to show."""
        return printable(self._log.decode("utf-8", "replace"), most=_LOG_BYTES)

    def drain_log(self) -> bool:
        """Takes some of what the child printed; False when it can print no more."""
        for _ in range(_CHUNKS):  # bounded: one that prints for ever must still meet its deadline
            try:
                data = os.read(self.pipes.log, _CHUNK)
            except BlockingIOError:
                break
            if not data:
                return False
            self._log = (self._log + data)[-_LOG_BYTES:]
        return True

    def allow_cpu(self) -> None:
        """Raises the soft CPU limit by what one more call may use."""
        if self.pid is None:
            return
        with contextlib.suppress(OSError, ValueError):
            used = int(_cpu_seconds(self.pid))
            _, hard = resource.prlimit(self.pid, resource.RLIMIT_CPU)
            resource.prlimit(self.pid, resource.RLIMIT_CPU, (used + cpu_seconds(self.limits), hard))

    def cpu_seconds(self) -> float:
        """Returns the CPU time of the child so far (0 when that cannot be seen)."""
        with contextlib.suppress(OSError, ValueError):
            return _cpu_seconds(self.pid) if self.pid is not None else 0.0
        return 0.0

    def resident_bytes(self) -> int:
        """Returns how much memory the child holds now (0 when that cannot be seen)."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE")
        return 0

    def threads(self) -> int:
        """Returns how many threads the child runs (0 when that cannot be seen)."""
        with contextlib.suppress(OSError):
            return sum(1 for _ in Path(f"/proc/{self.pid}/task").iterdir())
        return 0

    def status(self) -> int | None:
        """Returns how the child ended (negative: by that signal), None while it lives."""
        code = self._process.poll()
        if code is not None and self.level == Level.L3 and code > 128:
            return 128 - code  # bubblewrap reports a signal the way shells do
        return code

    def wait(self, seconds: float) -> int | None:
        """Waits until the child has ended by itself, at most ``seconds``."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self.status()

    def kill(self) -> None:
        """Kills whatever is left of the child and reaps it; its pipes still hold what it wrote."""
        with self._ending:
            self._kill()

    def end(self) -> None:
        """Kills the child and closes its pipes; nobody may be reading them."""
        with self._ending:
            self._kill()
            pipes, self.pipes = self.pipes, Pipes(-1, -1, -1)
            for pipe in pipes:
                if pipe >= 0:
                    os.close(pipe)
            if self.witness is not None:
                self.witness.close()

    def _kill(self) -> None:
        if self._init is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init, signal.SIGKILL)
            _wait_for(self._init, _REAP_SECONDS)
            os.close(self._init)
            self._init = None
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_REAP_SECONDS)
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(_REAP_SECONDS)


def _start(order: Order, read_info: Callable[[int], None]) -> tuple[Pipes, subprocess.Popen[bytes]]:
    theirs_in, ours_in = os.pipe()
    ours_out, theirs_out = os.pipe()
    ours_log, theirs_log = os.pipe()
    ours_info, theirs_info = os.pipe()
    try:
        for wide in (ours_in, ours_out):
            with contextlib.suppress(OSError):  # beyond the user's quota of pipe pages
                fcntl.fcntl(wide, _F_SETPIPE_SZ, _PIPE_BYTES)
        line = command(order, request=theirs_in, reply=theirs_out, info=theirs_info)
        inherited = (theirs_in, theirs_out, theirs_info)
        process = (
            _spawner(os.getpid())
            .submit(_spawn, line, environment(order), inherited, theirs_log)
            .result()
        )
    except BaseException:
        for pipe in (ours_in, ours_out, ours_log, ours_info):
            os.close(pipe)
        raise
    finally:
        for pipe in (theirs_in, theirs_out, theirs_log, theirs_info):
            os.close(pipe)
    for pipe in (ours_in, ours_out, ours_log):
        os.set_blocking(pipe, False)
    if order.level == Level.L3:
        read_info(ours_info)
    os.close(ours_info)
    return Pipes(ours_in, ours_out, ours_log), process


def _spawn(
    line: list[str], environ: dict[str, str], inherited: tuple[int, ...], log: int
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603  - our own launcher, by absolute path
        line,
        env=environ,
        pass_fds=inherited,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


@lru_cache
def _spawner(owner: int) -> ThreadPoolExecutor:  # noqa: ARG001  - a forked copy gets its own
    # "Die with the parent" follows the thread that forked: a Dask worker thread may end before
    # its child should. This one thread lives as long as the process.
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="sandbox-spawner")


def _only_child_of(pid: int) -> int | None:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if int(_stat(int(entry.name))[1]) == pid:
                    return int(entry.name)
    return None


def _cpu_seconds(pid: int) -> float:
    user, system = _stat(pid)[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """Returns the fields after the name, which may hold anything: state, parent and so on."""
    text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    return text.rpartition(")")[2].split()


def _wait_for(pidfd: int, seconds: float) -> None:
    watch = select.poll()
    watch.register(pidfd, select.POLLIN)
    deadline = time.monotonic() + seconds
    while not watch.poll(max(0.0, deadline - time.monotonic()) * 1000):
        if time.monotonic() >= deadline:
            return

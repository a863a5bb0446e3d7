"""From a level and limits to a command line: what a child may see, and how it is started."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from tasks.sandbox.gpu import Gpu
from tasks.sandbox.launcher import Plan
from tasks.sandbox.places import WRITABLE_DEVICES, places
from tasks.sandbox.protocol import Level, Limits

_LAUNCHER = str(Path(__file__).with_name("launcher.py"))
_LONGEST_ARGUMENT = 100_000  # the kernel takes 131072 bytes
SCRATCH = "/scratch"
"""Where an L3 child finds its scratch: a file system of its own, gone with it."""


class Order(NamedTuple):
    """One child to start."""

    level: Level
    limits: Limits
    readable: tuple[str, ...]
    scratch: str  # its folder on this machine; unused by L3 children
    uid: int | None
    program: str
    options: Mapping[str, Any]
    gpu: Gpu | None = None


def command(order: Order, *, request: int, reply: int, info: int) -> list[str]:
    """Returns the command line that starts ``order``; the descriptors are inherited."""
    inside = order.level == Level.L3
    scratch = SCRATCH if inside else order.scratch
    plan: Plan = {
        "level": str(order.level),
        "parent": None if inside else os.getpid(),
        "request": request,
        "reply": reply,
        "limits": resource_limits(order),
        "readable": [*places().readable, *order.readable, *_gpu_readable(order)],
        "writable": [scratch, *WRITABLE_DEVICES, *(order.gpu.nodes if order.gpu else ())],
        "driver_calls": order.gpu is not None,
        "scratch": scratch,
        "uid": order.uid,
        "search": list(places().search),
        "package": places().package,
        "program": order.program,
        "options": dict(order.options),
    }
    text = json.dumps(plan)
    if len(text) > _LONGEST_ARGUMENT:
        raise ValueError(f"{len(order.readable)} readable paths are too many; name their folder")
    python = [places().interpreter, "-I", "-S", "-B", _LAUNCHER, text]
    return [*_namespaces(order, info), *python] if inside else python


def environment(order: Order) -> dict[str, str]:
    """Returns the child's whole environment: no credentials, no paths to anything of ours."""
    scratch = SCRATCH if order.level == Level.L3 else order.scratch
    threads = str(order.limits.threads)
    pools = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")
    return {
        "HOME": scratch,
        "TMPDIR": scratch,
        "JOBLIB_MULTIPROCESSING": "0",  # there are no other processes, and no warning about it
        "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime would report names and digests of models
        "USER": "sandbox",  # libraries that name a cache folder after the user ask here first
        "LANG": "C.UTF-8",
        "PROOFHOUSE_SANDBOX_LEVEL": str(order.level),
        **{f"{pool}_NUM_THREADS": threads for pool in pools},
        **(order.gpu.environment if order.gpu else {}),
    }


def resource_limits(order: Order) -> dict[str, int]:
    """Returns soft limits by their name in the resource module.

    CUDA reserves address space for all memory of all GPUs at once, so a child with a GPU is limited
    in what it may write to and call its own; what it shares is watched from outside.
    """
    limits = order.limits
    return {
        "RLIMIT_DATA" if order.gpu else "RLIMIT_AS": limits.memory_bytes,
        "RLIMIT_FSIZE": min(limits.file_bytes, limits.scratch_bytes),
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_CORE": 0,
        "RLIMIT_CPU": cpu_seconds(limits),
    }


def _gpu_readable(order: Order) -> tuple[str, ...]:
    return (*order.gpu.mounted, *order.gpu.facts) if order.gpu else ()


def cpu_seconds(limits: Limits) -> int:
    """Returns the CPU time one call may use: twice the wall clock, for each thread."""
    return int(2 * limits.call_seconds * limits.threads) + 10


def _namespaces(order: Order, info: int) -> list[str]:
    binary, version = bubblewrap()
    line = [binary, "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]
    if version >= (0, 8):
        line.append("--disable-userns")
    line += ["--cap-drop", "ALL", "--info-fd", str(info), "--proc", "/proc", "--dev", "/dev"]
    for path in (*places().mounted, *order.readable, *(order.gpu.mounted if order.gpu else ())):
        line += _mount(path)
    for node in order.gpu.nodes if order.gpu else ():
        line += ["--dev-bind", node, node]
    line += ["--size", str(order.limits.scratch_bytes), "--tmpfs", SCRATCH]
    return [*line, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", SCRATCH, "--"]


def _mount(path: str) -> list[str]:
    # /lib is a link on merged systems; a link must stay one, or its target would be mounted twice.
    if Path(path).is_symlink() and Path(path).parent == Path("/"):
        return ["--symlink", str(Path(path).readlink()), path]
    return ["--ro-bind", os.path.realpath(path), path]


@lru_cache
def bubblewrap() -> tuple[str, tuple[int, ...]]:
    """Returns the path and version of ``bwrap``.

    Raises:
        FileNotFoundError: It is not installed.
    """
    binary = shutil.which("bwrap", path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/local/bin")
    if binary is None:
        raise FileNotFoundError("bubblewrap (bwrap) is not installed")
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)  # noqa: S603  - the binary just found
    numbers = said.stdout.split()[-1].split(".")
    return binary, tuple(int(n) for n in numbers if n.isdigit())

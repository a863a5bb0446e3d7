"""The parent's half of the self-test: sets out what could be reached, and counts what was not.

An attempt without a report counts as an escape. Takes less than a second, once per process.
"""

import json
import os
import secrets
import select
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.sandbox.attempts import ATTEMPTS
from tasks.sandbox.gpu import Gpu
from tasks.sandbox.process import Child
from tasks.sandbox.protocol import Level, Limits, Probe
from tasks.sandbox.scratch import make_scratch, remove_scratch
from tasks.sandbox.walls import Order

_SECONDS = 10.0
_LIMITS = Limits(memory_bytes=1 << 30, file_bytes=1 << 20, scratch_bytes=1 << 20, call_seconds=10)
_NAMESPACES = ("ipc", "mnt", "net", "pid", "user", "uts")
_RESOURCES = ("memory_over_limit", "file_over_limit")


def probes_of(
    level: Level, *, uid: int | None, scratch_root: Path | None, gpu: Gpu | None = None
) -> tuple[Probe, ...]:
    """Runs a throw-away child at ``level`` that tries every escape the level should stop.

    Raises:
        OSError: The child could not be started, bubblewrap missing among others.
    """
    if level == Level.L0:
        return ()
    scratch = make_scratch(scratch_root, uid)
    try:
        with _bait() as options:
            options["private"] = gpu is not None
            said, log = _run(_order(level, str(scratch), uid, options)._replace(gpu=gpu))
            return tuple(
                _probe(name, said, log, Path(str(options["folder"]))) for name in asked_of(level)
            )
    finally:
        remove_scratch(scratch)


def asked_of(level: Level) -> tuple[str, ...]:
    """Returns the names of the attempts that a level must stop."""
    if level == Level.L0:
        return ()
    if level == Level.L1:
        return _RESOURCES
    return tuple(name for name in ATTEMPTS if name != "namespaces" or level == Level.L3)


def _order(level: Level, scratch: str, uid: int | None, options: Mapping[str, Any]) -> Order:
    return Order(
        level=level,
        limits=_LIMITS,
        readable=(),
        scratch=scratch,
        uid=uid,
        program="attempts",
        options=options,
    )


@contextmanager
def _bait() -> Iterator[dict[str, Any]]:
    """Sets out a listening port, an abstract socket, a readable secret, a writable folder."""
    abstract = f"proofhouse-{secrets.token_hex(8)}"
    with (
        tempfile.TemporaryDirectory(prefix="proofhouse-bait-") as folder,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as unix,
    ):
        unix.bind("\0" + abstract)
        unix.listen()
        secret = Path(folder, "secret")
        secret.write_bytes(b"not for children")
        Path(folder).chmod(0o777)
        yield {
            "tcp": tcp.getsockname()[1],
            "abstract": abstract,
            "secret": str(secret),
            "folder": folder,
            "victim": os.getpid(),
            "memory": _LIMITS.memory_bytes,
            "file": _LIMITS.file_bytes,
            "namespaces": {
                name: str(Path(f"/proc/self/ns/{name}").readlink()) for name in _NAMESPACES
            },
        }


def _run(order: Order) -> tuple[dict[str, tuple[bool, str]], str]:
    child = Child(order)
    try:
        lines = _until_end(child).splitlines()
        with os.fdopen(os.dup(child.pipes.log), "rb") as log:
            child.kill()
            printed = (log.read() or b"").decode("utf-8", "replace").strip()
    finally:
        child.end()
    said = (json.loads(line) for line in lines)
    return {name: (bool(stopped), str(detail)) for name, stopped, detail in said}, printed


def _until_end(child: Child) -> bytes:
    watch = select.poll()
    watch.register(child.pipes.reply, select.POLLIN)
    said, deadline = b"", time.monotonic() + _SECONDS
    while watch.poll(max(0.0, deadline - time.monotonic()) * 1000):
        chunk = os.read(child.pipes.reply, 1 << 16)
        if not chunk:
            break
        said += chunk
    return said[: said.rfind(b"\n") + 1]


def _probe(name: str, said: Mapping[str, tuple[bool, str]], log: str, folder: Path) -> Probe:
    stopped, detail = said.get(name, (False, f"no report: {log[-300:] or 'the child vanished'}"))
    # What can be measured from outside is not taken from the child's word.
    if name == "write_outside" and (folder / "escaped").exists():
        stopped, detail = False, "the file exists"
    return Probe(name=name, blocked=stopped, detail=detail)

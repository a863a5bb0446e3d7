"""Every way out of the sandbox, tried by a hostile model when it is asked (row 65)."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tasks.domain.errors import (
    ChildRaisedError,
)
from tasks.sandbox.opening import ProvedSandbox
from tasks.sandbox.protocol import Level
from tests.tasks.sandbox.hostile import wait_until_gone, write_pickle
from tests.tasks.sandbox.machine import sandbox_of

OPEN = "targets.unsafe_pickle.unsafe_pickle"
PREDICT = "targets.unsafe_pickle.predictions"
INPUTS = np.zeros((2, 3), np.float32)


@pytest.fixture(params=[Level.L3, Level.L2])
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ProvedSandbox]:
    scratch_root = tmp_path / "scratch"
    scratch_root.mkdir()
    yield sandbox_of(request.param, scratch_root)
    wait_until_gone(str(tmp_path), seconds=1)
    assert list(scratch_root.iterdir()) == []


WAYS_OUT = """
import ctypes, os, socket, subprocess, threading

def read(path): return lambda: open(path).read()
def write(path): return lambda: open(path, "w").write("out")
def connect(kind, family, address):
    return lambda: socket.socket(family, kind).connect(address)

WAYS = {
    "password file": read("/etc/passwd"),
    "shadow file": read("/etc/shadow"),
    "home": lambda: os.listdir(HOME),
    "parent's environment": read(f"/proc/{PARENT}/environ"),
    "parent's memory": read(f"/proc/{PARENT}/mem"),
    "project's neighbours": lambda: os.listdir(PROJECT),
    "overwrite the model": write(MODEL),
    "write beside the model": write(MODEL + ".new"),
    "remove the model": lambda: os.unlink(MODEL),
    "write to the source": write(PROJECT + "/tasks/owned.py"),
    "write to /": write("/owned"),
    "write to /tmp": write("/tmp/owned-by-hostile-model"),
    "write to shared memory": write("/dev/shm/owned-by-hostile-model"),
    "follow a link out": lambda: (os.symlink("/etc", "link"), open("link/passwd").read()),
    "hard link out": lambda: os.link(MODEL, "mine"),
    "make a device": lambda: os.mknod("device", 0o020666, os.makedev(1, 1)),
    "tcp": connect(socket.SOCK_STREAM, socket.AF_INET, ("127.0.0.1", PORT)),
    "tcp6": connect(socket.SOCK_STREAM, socket.AF_INET6, ("::1", PORT)),
    "udp": connect(socket.SOCK_DGRAM, socket.AF_INET, ("127.0.0.1", PORT)),
    "unix socket": connect(socket.SOCK_STREAM, socket.AF_UNIX, "/run/docker.sock"),
    "abstract socket": connect(socket.SOCK_STREAM, socket.AF_UNIX, "\\0abstract"),
    "raw packets": lambda: socket.socket(17, socket.SOCK_RAW),
    "netlink": lambda: socket.socket(16, socket.SOCK_RAW),
    "shell": lambda: os.execv("/bin/sh", ["sh"]),
    "subprocess": lambda: subprocess.run(["true"]),
    "system": lambda: 1 / (os.system("true") == 0),
    "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "fork": os.fork,
    "setsid": os.setsid,
    "setpgid": lambda: os.setpgid(0, 0),
    "kill parent": lambda: os.kill(PARENT, 9),
    "kill group": lambda: os.kill(0, 9),
    "kill everyone": lambda: os.kill(-1, 9),
    "kill my supervisor": lambda: os.kill(os.getppid(), 9),
    "become root": lambda: 1 / (os.geteuid() != 0) and os.setuid(0),
    "change root": lambda: os.chroot("."),
    "outlive the parent": lambda: syscall(157, 1, 0, 0, 0, 0),
    "owner of signals": lambda: __import__("fcntl").fcntl(1, 8, PARENT),
    "raise limits": lambda: __import__("resource").setrlimit(9, (-1, -1)),
    "memory file": lambda: os.memfd_create("x"),
    "user namespace": lambda: syscall(272, 0x10000000),
    "clone a process": lambda: syscall(56, 17, 0, 0, 0, 0),
    "clone3": lambda: syscall(435, 0, 0),
    "mount": lambda: syscall(165, 0, 0, 0, 0, 0),
    "keyring": lambda: syscall(250, 0, -3, 0, 0, 0),
    "bpf": lambda: syscall(321, 0, 0, 0),
    "io_uring": lambda: syscall(425, 1, 0),
    "perf": lambda: syscall(298, 0, 0, -1, -1, 0),
    "userfaultfd": lambda: syscall(323, 0),
    "ptrace": lambda: syscall(101, 16, PARENT, 0, 0),
    "load a module": lambda: syscall(175, 0, 0, 0),
    "shared segment": lambda: syscall(29, 0, 4096, 0o1600),
    "a call nobody knows": lambda: syscall(999),
}
LIBC = ctypes.CDLL(None, use_errno=True)
def syscall(*numbers):
    answer = LIBC.syscall(*(ctypes.c_long(n) for n in numbers))
    if answer < 0: raise OSError(ctypes.get_errno(), "refused")

class Model:
    def predict(self, inputs):
        escaped = []
        for name, way in WAYS.items():
            try: way()
            except (OSError, ValueError, ZeroDivisionError): continue
            escaped.append(name)
        raise ValueError("escaped by: " + ", ".join(escaped))
"""


def test_no_way_out_at_predict(sandbox: ProvedSandbox, tmp_path: Path) -> None:
    project = Path(__file__).parents[2]
    names = f"PARENT, PROJECT, HOME, PORT = {os.getpid()}, {str(project)!r}, '/root', 9\n"
    model = tmp_path / "model.pkl"
    source = f"{names}MODEL = {str(model)!r}\n{WAYS_OUT}"
    with sandbox.session((write_pickle(model, source, "Model()"),)) as session:
        described = session.open(OPEN, path=str(model))
        with pytest.raises(ChildRaisedError, match=r"ValueError: escaped by:$"):
            session.call(PREDICT, {"inputs": INPUTS})
    assert described["type"] == "hostile.Model"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.pkl", "scratch"]
    assert not Path("/tmp/owned-by-hostile-model").exists()  # noqa: S108  - as the attack names it

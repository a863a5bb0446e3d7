"""Child processes, ports and requirements of the real servers."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest


class Child:
    """A server in the foreground that dies with the test process, even when that is killed."""

    def __init__(self, command: Sequence[str], *, log: Path, env: Mapping[str, str]) -> None:
        self._command = ["setpriv", "--pdeathsig", "KILL", *command]
        self._log = log
        self._env = dict(env)
        self._process = self._spawn()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        self._process = self._spawn()

    def stop(self, how: signal.Signals = signal.SIGTERM, *, patience_seconds: float = 3) -> None:
        if not self.running:
            return
        self.thaw()
        self._process.send_signal(how)
        try:
            self._process.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._env
            )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(ready: Callable[[], bool], *, what: str, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} was not ready after {seconds:.0f} s")
        time.sleep(0.05)


def require(binaries: Sequence[str], *, what: str, switch: str, packages: str) -> None:
    """Skips when a server is not installed; fails instead where it must be."""
    missing = [name for name in binaries if shutil.which(name) is None]
    if not missing:
        return
    reason = f"{what} is not installed ({', '.join(missing)} missing): apt-get install {packages}"
    if os.environ.get("CI") or os.environ.get(switch) == "1":
        pytest.fail(reason)
    pytest.skip(reason)

"""Which processes still work for an installation."""

import os
import time
from pathlib import Path


def processes_of(home: Path) -> list[int]:
    """Every live process that works for this home, by its environment."""
    mark = f"PROOFHOUSE_HOME={home}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                environment = (entry / "environ").read_bytes()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue  # it ended while we looked, or is not ours to read
            if mark in environment.split(b"\0") and state != "Z":
                found.append(int(entry.name))
    return found


def wait_until_none_of(home: Path, *, seconds: float = 30) -> None:
    """Waits until nobody works for this home any more.

    Raises:
        TimeoutError: Somebody still does after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while left := processes_of(home):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still alive: {left}")
        time.sleep(0.05)

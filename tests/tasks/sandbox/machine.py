"""What this machine could prove: a level is skipped for a missing part, never for a failing one."""

import os
import subprocess
from pathlib import Path

import pytest

from tasks.sandbox import landlock
from tasks.sandbox.opening import ProvedSandbox, open_sandbox
from tasks.sandbox.protocol import Level
from tasks.sandbox.syscalls import MACHINES
from tasks.sandbox.walls import bubblewrap


def skip_without_parts_for(level: Level) -> None:
    """Skips the test when the kernel or bubblewrap cannot do what ``level`` is made of."""
    if level >= Level.L2 and (os.uname().machine not in MACHINES or not landlock.abi()):
        pytest.skip("this kernel has no Landlock, or there is no filter for this processor")
    if level == Level.L3 and not _has_namespaces():
        pytest.skip("bubblewrap is missing, or user namespaces are forbidden here")


def sandbox_of(level: Level, scratch_root: Path) -> ProvedSandbox:
    """Returns a sandbox of exactly ``level``."""
    skip_without_parts_for(level)
    return open_sandbox(required=level, prefer=level, scratch_root=scratch_root)


def _has_namespaces() -> bool:
    try:
        binary, _ = bubblewrap()
    except FileNotFoundError:
        return False
    line = [binary, "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    return subprocess.run(line, check=False, capture_output=True).returncode == 0

"""For procedures: refuse to do what is only safe behind walls."""

import os
from pathlib import Path

from tasks.sandbox.protocol import Level


def require_level(needed: Level) -> None:
    """Returns only in a child that is confined at ``needed`` or better.

    Below level L2 the environment is believed; from L2 on the kernel is asked as well.

    Raises:
        PermissionError: This process is not such a child.
    """
    level = os.environ.get("PROOFHOUSE_SANDBOX_LEVEL", Level.L0)
    if level < needed or (needed >= Level.L2 and not _is_filtered()):
        raise PermissionError(
            f"this needs a sandbox child of level {needed}; here the level is {level}. "
            "Run it through a session of open_sandbox()."
        )


def _is_filtered() -> bool:
    lines = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines()
    facts = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return facts.get("Seccomp") == "2" and facts.get("NoNewPrivs") == "1"

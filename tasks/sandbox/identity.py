"""Whom a child runs as. Root should become someone else, where the interpreter allows it."""

import os
import stat
from pathlib import Path

from tasks.sandbox.places import places
from tasks.sandbox.protocol import Level
from tasks.sandbox.scratch import CHILD_UID


def child_uid(level: Level, readable: tuple[str, ...] = ()) -> tuple[int | None, tuple[str, ...]]:
    """Returns the user to change to (None: stay) and what to note in the evidence about it.

    Only level L2 under root changes: without root nobody can, and at L3 the user namespace and the
    mounts already separate the child. Where the interpreter, a library or an input cannot be
    reached by the other user (an interpreter under ``/root``, say) the child stays root, without
    any capability.
    """
    if level != Level.L2 or os.geteuid() != 0:
        return None, ()
    needed = (places().interpreter, *places().search, places().package, *readable)
    closed = next((path for path in needed if not is_open_to_others(Path(path))), None)
    if closed is None:
        return CHILD_UID, ()
    return None, (
        f"L2: children stay root without capabilities, because only root reaches {closed}",
    )


def is_open_to_others(path: Path) -> bool:
    """Answers whether any user may read ``path`` (and list or enter it, if it is a folder)."""
    real = path.resolve()
    parents = all(folder.stat().st_mode & stat.S_IXOTH for folder in real.parents)
    needed = stat.S_IXOTH | stat.S_IROTH if real.is_dir() else stat.S_IROTH
    return parents and real.stat().st_mode & needed == needed

"""What this kernel and machine give the walls, one feature at a time, and how to get the rest."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tasks.sandbox import landlock
from tasks.sandbox.syscalls import MACHINES
from tasks.sandbox.walls import bubblewrap

_LANDLOCK_GAINS = {2: "moves", 3: "truncation", 4: "TCP", 5: "device calls", 6: "signals"}
"""By the ABI that brought it; the first one has files and folders."""
_UNLIMITED = 1 << 60
_SYSCTLS = {
    "user/max_user_namespaces": ("0", "sysctl user.max_user_namespaces=15000"),
    "kernel/unprivileged_userns_clone": ("0", "sysctl kernel.unprivileged_userns_clone=1"),
    "kernel/apparmor_restrict_unprivileged_userns": (
        "1",
        "add an AppArmor profile that gives bwrap the permission userns",
    ),
}
"""By path under /proc/sys: the value that forbids user namespaces, and how to allow them."""


class Feature(NamedTuple):
    """One part of the walls: what was found, whether it is enough, else how to mend it."""

    name: str
    found: str
    enough: bool
    remedy: str = ""


def features(*, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> tuple[Feature, ...]:
    """Returns every feature that a level above L1 is built of, in the order of need."""
    return (
        _processor(os.uname().machine),
        _landlock(landlock.abi()),
        _seccomp(proc),
        _bubblewrap(bubblewrap),
        _namespaces(proc),
        _memory_limit(proc, sys / "fs" / "cgroup"),
    )


def _processor(machine: str) -> Feature:
    known = machine in MACHINES
    return Feature(
        "processor",
        f"{machine}, {'system call table known' if known else 'no system call table'}",
        known,
        "" if known else f"run on {' or '.join(sorted(MACHINES))}",
    )


def _landlock(abi: int) -> Feature:
    if not abi:
        remedy = "use a kernel of 5.13 or newer and put landlock into its lsm= list"
        return Feature("landlock", "absent", enough=False, remedy=remedy)
    gains = ["files", *(what for since, what in _LANDLOCK_GAINS.items() if abi >= since)]
    return Feature("landlock", f"ABI {abi} ({', '.join(gains)})", enough=True)


def _seccomp(proc: Path) -> Feature:
    actions = _read(proc / "sys" / "kernel" / "seccomp" / "actions_avail")
    if "errno" in actions.split():
        return Feature("seccomp", "filters with errno", enough=True)
    # Some runtimes hide /proc/sys; the status of this process tells whether there are filters.
    if "\nSeccomp:" in _read(proc / "self" / "status"):
        return Feature("seccomp", "present (its actions are not shown here)", enough=True)
    remedy = "use a kernel built with CONFIG_SECCOMP_FILTER"
    return Feature("seccomp", "absent", enough=False, remedy=remedy)


def _bubblewrap(find: Callable[[], tuple[str, tuple[int, ...]]]) -> Feature:
    try:
        binary, version = find()
    except OSError:
        remedy = "apt-get install bubblewrap"
        return Feature("bubblewrap", "absent", enough=False, remedy=remedy)
    text = f"{'.'.join(map(str, version))} at {binary}"
    if version >= (0, 8):
        return Feature("bubblewrap", text, enough=True)
    return Feature("bubblewrap", f"{text}, nested namespaces left to the filter", enough=True)


def _namespaces(proc: Path) -> Feature:
    for name, (forbids, remedy) in _SYSCTLS.items():
        if _read(proc / "sys" / name).strip() == forbids:
            found = f"forbidden by {name.replace('/', '.')}"
            return Feature("user namespaces", found, enough=False, remedy=remedy)
    return Feature("user namespaces", "not forbidden by any sysctl", enough=True)


def _memory_limit(proc: Path, root: Path) -> Feature:
    """Looks for a bound over all children together; the walls bound each child alone."""
    limit = _limit_of(proc, root)
    if limit is not None and limit < _UNLIMITED:
        return Feature("cgroup", f"memory limit {limit / (1 << 30):.1f} GiB", enough=True)
    kind = "v2" if (root / "cgroup.controllers").exists() else "v1 or none"
    remedy = "limit the service's memory (systemd MemoryMax=, container limits)"
    return Feature("cgroup", f"{kind}, no memory limit over all children", False, remedy)


def _limit_of(proc: Path, root: Path) -> int | None:
    """Returns the smallest memory limit on the way from this process's cgroup to the root."""
    found: list[int] = []
    for line in _read(proc / "self" / "cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        name = "memory.max" if not controllers else "memory.limit_in_bytes"
        base = root if not controllers else root / "memory"
        if controllers and "memory" not in controllers.split(","):
            continue
        place = base / path.lstrip("/")
        for folder in (place, *place.parents):
            if text := _read(folder / name).strip():
                found += [int(text)] if text.isdigit() else []
            if folder == base:
                break
    return min(found, default=None)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

"""First code of every child: it confines itself, then runs what the plan names.

Started as a script by an isolated interpreter (``python -I -S -B launcher.py PLAN``), inside
bubblewrap at level L3. Walls go up here, after exec, so the parent needs no code between fork and
exec and may be a threaded Dask worker; the child goes on in the same process, so nothing has to be
executed behind the walls. Only the standard library is imported before they stand.
"""

import contextlib
import fcntl
import importlib.util
import json
import os
import resource
import sys
from pathlib import Path
from typing import TypedDict

LOWEST = 64
"""The pipes lie here or above: past the low numbers, which careless native code writes to, and past
the number at which the filter's listener is kept."""
FAILED = 97
"""Exit status when a wall could not be put up; the reason is on stderr."""


class Plan(TypedDict):
    """What the parent wants; see ``walls.py``, which writes it."""

    level: str
    parent: int | None  # parent's number, when the child can see it (not in a pid namespace)
    request: int
    reply: int
    limits: dict[str, int]  # name in the resource module -> soft limit
    readable: list[str]
    writable: list[str]
    driver_calls: bool  # a GPU's device nodes are among the writable ones
    scratch: str
    uid: int | None
    search: list[str]
    package: str
    program: str  # "child" or "attempts"
    options: dict[str, object]


def main() -> None:
    """Puts up the walls of the plan's level and hands over to the program."""
    plan: Plan = json.loads(sys.argv[1])
    try:
        find_package(plan["package"])
        for end in ("request", "reply"):  # whatever numbers a busy parent gave them
            plan[end] = fcntl.fcntl(plan[end], fcntl.F_DUPFD_CLOEXEC, LOWEST)
        confine(plan)
    except Exception as error:  # noqa: BLE001  - whatever failed, nothing untrusted may follow
        os.write(2, f"cannot confine: {type(error).__name__}: {error}\n".encode())
        os._exit(FAILED)
    sys.path.extend(plan["search"])
    program = importlib.import_module(f"tasks.sandbox.{plan['program']}")
    program.main(plan["request"], plan["reply"], plan["options"])


def find_package(folder: str) -> None:
    """Makes ``tasks`` importable from ``folder`` alone, without its neighbours."""
    spec = importlib.util.spec_from_file_location(
        "tasks", f"{folder}/__init__.py", submodule_search_locations=[folder]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tasks"] = module
    spec.loader.exec_module(module)


def confine(plan: Plan) -> None:
    """Puts up every wall that the plan's level has.

    Raises:
        OSError: The kernel refused one of them.
    """
    with contextlib.suppress(OSError):  # when memory runs out, this process goes, not the worker
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    os.umask(0o077)
    os.chdir(plan["scratch"])
    _close_all_but(plan["request"], plan["reply"])
    if plan["level"] == "L0":
        return
    _limit(plan["limits"])
    if plan["level"] != "L1":
        _wall_in(plan)


def _wall_in(plan: Plan) -> None:
    from tasks.sandbox import kernel, landlock  # noqa: PLC0415  - found since find_package

    if plan["uid"] is not None:
        os.setgroups([])
        os.setresgid(plan["uid"], plan["uid"], plan["uid"])
        os.setresuid(plan["uid"], plan["uid"], plan["uid"])
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # or /proc/self would belong to root
    kernel.drop_capabilities()
    if plan["parent"] is not None:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, 9)
        if os.getppid() != plan["parent"]:
            raise ProcessLookupError("the parent died")
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    own = f"/proc/{os.getpid()}"
    landlock.restrict([*plan["readable"], own], plan["writable"])
    _filter(plan["driver_calls"])


def _filter(driver_calls: bool) -> None:
    from tasks.sandbox import seccomp  # noqa: PLC0415  - found since find_package

    pid = os.getpid()
    try:
        seccomp.load_telling(seccomp.filter_for(pid, driver_calls=driver_calls, tell=True))
    except OSError:  # an old kernel, or a filter around this one that tells: the walls stand alike
        seccomp.load(seccomp.filter_for(pid, driver_calls=driver_calls))


def _limit(limits: dict[str, int]) -> None:
    for name, value in limits.items():
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # The parent raises the soft CPU limit before each call; the filter forbids it to the child.
        resource.setrlimit(kind, (soft, hard if name == "RLIMIT_CPU" else soft))


def _close_all_but(*kept: int) -> None:
    low = 3
    for descriptor in sorted(kept):
        os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, 1 << 20)


if __name__ == "__main__":
    main()

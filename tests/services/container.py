"""Runs a command the way an unprivileged container would: user, no capabilities, engine's filter.

``python container.py UID COMMAND …`` becomes the user (0: stays), forbids new privileges, refuses
what Docker's and containerd's default profiles refuse to those without CAP_SYS_ADMIN, and executes
the command.
"""

import errno
import os
import sys

from tasks.sandbox import kernel, seccomp
from tasks.sandbox.syscalls import MACHINES

_MORE = {
    "x86_64": {"mount": 165, "umount2": 166, "pivot_root": 155, "setns": 308, "bpf": 321,
               "keyctl": 250, "add_key": 248, "open_tree": 428, "move_mount": 429, "fsopen": 430},
    "aarch64": {"mount": 40, "umount2": 39, "pivot_root": 41, "setns": 268, "bpf": 280,
                "keyctl": 219, "add_key": 217, "open_tree": 428, "move_mount": 429, "fsopen": 430},
}  # fmt: skip
_LOAD, _EQUAL, _HAS_ANY, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_CLONE_NEW = 0x7E020000


def engine_filter(machine: str) -> bytes:
    """Returns a filter that allows everything but namespaces, mounts, keys and bpf."""
    calls = MACHINES[machine].calls
    program = [
        (_LOAD, 0, 0, 0),
        (_EQUAL, 0, 1, calls["clone3"]),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    ]
    for number in (calls["unshare"], *_MORE[machine].values()):
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    program += [
        (_EQUAL, 0, 3, calls["clone"]),
        (_LOAD, 0, 0, 16),
        (_HAS_ANY, 0, 1, _CLONE_NEW),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return seccomp.assemble(program)


def main() -> None:
    """Confines this process and becomes the command."""
    uid, command = int(sys.argv[1]), sys.argv[2:]
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    seccomp.load(engine_filter(os.uname().machine))
    os.execvp(command[0], command)  # noqa: S606  - the test's own command


if __name__ == "__main__":
    main()

"""Landlock: which files this process may touch, decided once and never widened.

Source: kernel documentation, ``userspace-api/landlock``; ``linux/landlock.h``.
"""

import os
import stat
import struct
from collections.abc import Iterable

from tasks.sandbox.kernel import syscall
from tasks.sandbox.syscalls import MACHINES

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_NEWEST_BIT = {1: 12, 2: 13, 3: 14, 4: 14, 5: 15}  # per ABI; later ones add no file rights
_TCP = 0b11  # bind, connect: handled and never granted
_SCOPES = 0b11  # abstract unix sockets, signals
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_MAKE_SPECIAL = (1 << 6) | (1 << 9) | (1 << 11)  # character device, socket, block device
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_QUERY_VERSION = 1
_PATH_BENEATH = 1


def abi() -> int:
    """Returns the Landlock version of this kernel, 0 when there is none."""
    try:
        return syscall(_number("landlock_create_ruleset"), None, 0, _QUERY_VERSION)
    except (OSError, KeyError):
        return 0


def restrict(readable: Iterable[str], writable: Iterable[str]) -> None:
    """Leaves this process nothing but ``readable`` and ``writable``.

    Paths that do not exist are skipped. TCP, abstract sockets and signals to the outside are
    denied as well, where the kernel can.

    Raises:
        OSError: The kernel has no Landlock, or refused; ``no_new_privs`` must be set before.
    """
    version = syscall(_number("landlock_create_ruleset"), None, 0, _QUERY_VERSION)
    handled = (2 << _NEWEST_BIT.get(version, 15)) - 1
    attributes = struct.pack("=Q", handled)
    if version >= 4:
        attributes += struct.pack("=Q", _TCP)
    if version >= 6:
        attributes += struct.pack("=Q", _SCOPES)
    ruleset = syscall(_number("landlock_create_ruleset"), attributes, len(attributes), 0)
    try:
        for path in readable:
            _allow(ruleset, path, _READ & handled)
        for path in writable:
            _allow(ruleset, path, handled & ~_EXECUTE & ~_MAKE_SPECIAL)
        syscall(_number("landlock_restrict_self"), ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _ON_FILES
        rule = struct.pack("=Qi", rights, place)
        syscall(_number("landlock_add_rule"), ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(place)


def _number(name: str) -> int:
    return MACHINES[os.uname().machine].calls[name]

"""Thin, checked calls into the kernel. Standard library only: the launcher runs on this."""

import ctypes
import os

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP = 1, 4, 24
PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def syscall(number: int, *arguments: int | bytes | None) -> int:
    """Makes one raw system call.

    Raises:
        OSError: The kernel refused, with its errno.
    """
    return _checked(
        _libc.syscall(
            ctypes.c_long(number),
            *(ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in arguments),
        )
    )


def prctl(option: int, *arguments: int) -> int:
    """Sets an attribute of this process; missing arguments are zero, as the kernel asks.

    Raises:
        OSError: The kernel refused, with its errno.
    """
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return _checked(_libc.prctl(ctypes.c_int(option), *(ctypes.c_ulong(a) for a in padded)))


def drop_capabilities() -> None:
    """Gives up every capability, for now and for ever; works for root and for others."""
    number = 0
    while True:
        try:
            prctl(PR_CAPBSET_DROP, number)
        except PermissionError:
            break  # not root: the bounding set matters only to programs this child cannot execute
        except OSError:
            break  # past the last capability that this kernel knows
        number += 1
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _checked(_libc.capset(header, nothing))


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer

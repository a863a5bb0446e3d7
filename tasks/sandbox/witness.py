"""The parent's view of what a child tried and was refused, even when the model kept quiet about it.

The filter does not answer certain calls itself: it asks whoever holds its listener. The parent
fetches the listener before the child is sent anything, answers "not permitted" to each, and counts.
It can only refuse; nobody can allow. Without a listener (an old kernel, a container that forbids
fetching it) the same calls fail all the same, and are not counted.
Source: kernel documentation, ``userspace-api/seccomp_filter``, "Userspace Notification".
"""

import contextlib
import errno
import fcntl
import os
import struct
from collections import Counter

from tasks.sandbox.kernel import syscall
from tasks.sandbox.seccomp import LISTENER
from tasks.sandbox.syscalls import TOLD

_PIDFD_GETFD = 438  # the same number on every processor
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_NOTICE, _ANSWER = struct.Struct("=QIIi60x"), struct.Struct("=QqiI")


class Witness:
    """Refuses and counts what one child asks the kernel for and must not have."""

    def __init__(self, listener: int) -> None:
        self.listener = listener
        self.attempts: Counter[str] = Counter()
        self._names = {number: name for name, number in TOLD[os.uname().machine].items()}

    def refuse_next(self) -> None:
        """Refuses the call that is waiting. To be used when the listener is readable."""
        notice = bytearray(_NOTICE.size)
        # The caller may be gone before it is heard or answered; then there is nothing to refuse.
        with contextlib.suppress(OSError):
            fcntl.ioctl(self.listener, _RECEIVE, notice)
            number, _, _, call = _NOTICE.unpack(notice)
            self.attempts[self._names.get(call, f"call {call}")] += 1
            fcntl.ioctl(self.listener, _SEND, _ANSWER.pack(number, 0, -errno.EPERM, 0))

    def close(self) -> None:
        """Lets go of the listener; whatever is still waiting fails."""
        if self.listener >= 0:
            os.close(self.listener)
            self.listener = -1


def witness_of(pid: int) -> Witness | None:
    """Returns the witness of the confined process ``pid``, None where its listener cannot be had.

    Must come before the child is sent anything: it closes its own end at the first request.
    """
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        return Witness(syscall(_PIDFD_GETFD, process, LISTENER, 0))
    except OSError:
        return None
    finally:
        os.close(process)

"""Bytes to and from a child until a deadline, whatever the child does with its ends."""

import contextlib
import os
import select
import time
from collections.abc import Callable

import numpy as np

from tasks.domain.errors import ChildIdleError, ChildSpinningError
from tasks.sandbox.frames import Array
from tasks.sandbox.process import Child

WATCH_SECONDS = 0.2
"""How often a busy child is looked after."""
_CHUNK = 1 << 18
_BUSY_SHARE = 0.05
"""One who computes gets more than this of a processor, however many others want it."""


class ClosedError(Exception):
    """The child closed its end, or died."""


class Wire:
    """One exchange with one child; every wait ends at the same deadline.

    Args:
        child: Whom to talk to; its log is drained on the way, so that printing never blocks it.
        seconds: Until the deadline, by the monotonic clock.
        watch: Called every 0.2 seconds while waiting; may raise to give up.
    """

    def __init__(self, child: Child, seconds: float, watch: Callable[[], None]) -> None:
        self._child = child
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._watch = watch
        self._watched = time.monotonic()
        self._half = self._deadline - seconds / 2
        self._cpu: float | None = None

    def has_unread(self) -> bool:
        """Answers whether the child wrote something that nobody asked for."""
        poll = select.poll()
        poll.register(self._child.pipes.reply, select.POLLIN)
        return any(event & select.POLLIN for _, event in poll.poll(0))

    def send(self, views: list[memoryview]) -> None:
        """Writes every byte.

        Raises:
            ClosedError: The child no longer reads.
            ChildTimeoutError: The deadline passed; the child is killed.
        """
        for view in views:
            sent = 0
            while sent < view.nbytes:
                self._wait(self._child.pipes.request, select.POLLOUT)
                with contextlib.suppress(BlockingIOError):
                    sent += self._write(view[sent : sent + _CHUNK])

    def receive(self, count: int) -> Array:
        """Returns exactly ``count`` bytes (uint8).

        Raises:
            ClosedError: The child closed its end before.
            ChildTimeoutError: The deadline passed; the child is killed.
        """
        # Not zeroed: memory is used only as far as the child really writes.
        buffer: Array = np.empty(count, np.uint8)
        view, got = memoryview(buffer.data), 0
        while got < count:
            self._wait(self._child.pipes.reply, select.POLLIN)
            with contextlib.suppress(BlockingIOError):
                read = os.readv(self._child.pipes.reply, [view[got:]])
                if not read:
                    raise ClosedError
                got += read
        return buffer

    def _write(self, view: memoryview) -> int:
        try:
            return os.write(self._child.pipes.request, view)
        except BrokenPipeError:
            raise ClosedError from None

    def _wait(self, pipe: int, event: int) -> None:
        poll = select.poll()
        poll.register(pipe, event)
        poll.register(self._child.pipes.log, select.POLLIN)
        witness = self._child.witness
        if witness is not None and witness.listener >= 0:
            poll.register(witness.listener, select.POLLIN)
        while True:
            self._look_after()
            left = max(0.0, min(WATCH_SECONDS, self._deadline - time.monotonic()))
            ready = dict(poll.poll(left * 1000))
            if self._child.pipes.log in ready and not self._child.drain_log():
                poll.unregister(self._child.pipes.log)
            if witness is not None and (heard := ready.get(witness.listener)):
                if heard & select.POLLIN:
                    witness.refuse_next()
                else:  # nobody is left behind this filter
                    poll.unregister(witness.listener)
            if pipe in ready:
                return

    def _look_after(self) -> None:
        now = time.monotonic()
        if now >= self._deadline:
            busy = self._is_busy(now)
            self._child.kill()
            text = f"the child did not answer within {self._seconds:g} seconds and was killed"
            raise (
                ChildSpinningError(f"{text}: it was computing")
                if busy
                else ChildIdleError(f"{text}: it was waiting")
            )
        if self._cpu is None and now >= self._half:
            # From here on imports are over: what it does now is what it would go on doing.
            self._half, self._cpu = now, self._child.cpu_seconds()
        if now - self._watched >= WATCH_SECONDS:
            self._watched = now
            self._watch()

    def _is_busy(self, now: float) -> bool:
        used = self._child.cpu_seconds() - (self._cpu or 0.0)
        return used > _BUSY_SHARE * (now - self._half)

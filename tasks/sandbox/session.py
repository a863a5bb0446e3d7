"""The parent's end of one child: asks, waits with a deadline, checks the answer, ends it."""

import contextlib
import os
import re
import select
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from tasks.domain.errors import (
    ChildDiedError,
    ChildError,
    ChildProtocolError,
    ChildRaisedError,
    ChildTimeoutError,
    SandboxError,
)
from tasks.sandbox import frames
from tasks.sandbox.child import HELLO
from tasks.sandbox.launcher import FAILED
from tasks.sandbox.process import Child
from tasks.sandbox.protocol import Array, Level, Reply, numeric
from tasks.sandbox.scratch import make_scratch, remove_scratch, used_bytes
from tasks.sandbox.walls import Order

_START_SECONDS = 60.0
_DEATH_SECONDS = 2.0
_WATCH_SECONDS = 0.2
_LOG_BYTES = 8 << 10
_CHUNK = 1 << 18
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\u1fff\u2c00-\ud7ff\uf900-\ufdff]+")
"""Control characters, terminal escapes, line and paragraph separators, bidirectional marks."""


class ChildSession:
    """One living child (see :class:`tasks.sandbox.protocol.Session`).

    Use from one thread at a time; only :meth:`close` may come from another.
    """

    def __init__(self, order: Order, *, scratch_root: Path | None = None) -> None:
        self._order = order
        self._scratch_root = scratch_root
        self._scratch: Path | None = None
        self._child: Child | None = None
        self._busy = threading.Lock()
        self._log = b""
        self._ended = "it was never started"
        self._asked = 0

    @property
    def pid(self) -> int | None:
        """The confined process as this machine numbers it, None when it is not alive."""
        return self._child.pid if self._child else None

    @property
    def log(self) -> str:
        """The last 8 KiB that the child printed, fit to show."""
        return printable(self._log.decode("utf-8", "replace"), most=_LOG_BYTES)

    def __enter__(self) -> Self:
        order = self._order
        if order.level != Level.L3:
            self._scratch = make_scratch(self._scratch_root, order.uid)
            order = order._replace(scratch=str(self._scratch))
        try:
            self._child = Child(order)
            self._await_walls()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def open(self, procedure: str, **values: Any) -> dict[str, Any]:
        """See :meth:`tasks.sandbox.protocol.Session.open`."""
        return self._ask("open", procedure, {}, values).values

    def call(
        self, procedure: str, arrays: Mapping[str, Array] | None = None, **values: Any
    ) -> Reply:
        """See :meth:`tasks.sandbox.protocol.Session.call`."""
        checked = {name: numeric(array) for name, array in (arrays or {}).items()}
        return self._ask("call", procedure, checked, values)

    def close(self) -> None:
        """Kills and reaps the child and removes its scratch. Safe twice, and from any thread.

        A call that is under way in another thread ends with ``ChildDiedError``.
        """
        if self._child is not None:
            self._child.kill()
        with self._busy:
            self._end("the session was closed")

    def _end(self, reason: str) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None
            self._ended = reason
        if self._scratch is not None:
            remove_scratch(self._scratch)
            self._scratch = None

    def _ask(
        self, do: str, procedure: str, arrays: Mapping[str, Array], values: Mapping[str, Any]
    ) -> Reply:
        self._asked += 1
        number = self._asked
        request = frames.encode(
            {"do": do, "id": number, "procedure": procedure, "values": values}, arrays
        )
        with self._busy:
            child = self._living()
            try:
                child.allow_cpu()
                message = self._exchange(child, request)
                return self._answer(message, number, procedure)
            except ChildRaisedError:
                raise
            except BaseException as error:
                self._end(f"it ended at {procedure}: {error}")
                raise

    def _living(self) -> Child:
        if self._child is None:
            raise ChildDiedError(f"the child no longer lives: {self._ended}")
        return self._child

    def _answer(self, message: frames.Message, number: int, procedure: str) -> Reply:
        match message.body:
            case {"id": int(answered), "raised": {"type": str(kind), "message": str(text)}} if (
                answered == number
            ):
                raise ChildRaisedError(
                    f"{procedure} raised {printable(kind, most=100)}: {printable(text)}"
                )
            case {"id": int(answered), "values": dict(values)} if answered == number:
                return Reply(message.arrays, values)
            case _:
                raise ChildProtocolError(f"the answer to {procedure} is not an answer to it")

    def _await_walls(self) -> None:
        child = self._living()
        wire = _Wire(self, child, time.monotonic() + _START_SECONDS)
        try:
            said = wire.receive(np.empty(len(HELLO), np.uint8)).tobytes()
        except ChildDiedError as error:
            if child.status() == FAILED:
                raise SandboxError(f"the child could not be confined: {self.log}") from error
            raise SandboxError(f"the child did not start: {error}") from error
        if said != HELLO:
            raise SandboxError("the child did not say that its walls stand")
        child.confirm()

    def _exchange(self, child: Child, request: list[memoryview]) -> frames.Message:
        wire = _Wire(self, child, time.monotonic() + self._order.limits.call_seconds)
        most = self._order.limits.reply_bytes
        if wire.has_unread():
            raise ChildProtocolError("the child spoke before it was asked")
        wire.send(request)
        try:
            header = wire.receive(np.empty(frames.HEADER.size, np.uint8)).tobytes()
            text, tensors = frames.lengths(header, most=most)
            body = frames.decode_body(wire.receive(np.empty(text, np.uint8)).tobytes())
            arrays = frames.decode_arrays(wire.receive(np.empty(tensors, np.uint8)))
        except frames.FrameError as error:
            raise ChildProtocolError(f"the child's answer {error}") from error
        return frames.Message(body, arrays)

    def died(self, child: Child) -> ChildError:
        """Says how a child ended that closed its pipe before it answered."""
        code = child.wait(_DEATH_SECONDS)
        if code is None:
            return ChildProtocolError("the child closed its pipe without an answer and lived on")
        how = f"by {_signal_name(-code)}" if code < 0 else f"with exit status {code}"
        said = f"; it last printed: {self.log[-500:]}" if self._log else ""
        return ChildDiedError(f"the child ended {how} before it answered{said}")

    def watch(self, child: Child) -> None:
        """Looks after what no resource limit covers.

        Raises:
            ChildDiedError: The child used more than it may; it is killed.
        """
        most = self._order.limits.threads * 16 + 48  # libraries keep pools of their own
        if child.threads() > most:
            child.kill()
            raise ChildDiedError(f"the child started more than {most} threads and was killed")
        if self._scratch is None:
            return
        used = used_bytes(self._scratch, child.pid)
        if used is None or used > self._order.limits.scratch_bytes:
            child.kill()
            raise ChildDiedError(
                f"the child filled its scratch ({self._order.limits.scratch_bytes} bytes) "
                "and was killed"
            )

    def keep_log(self, data: bytes) -> None:
        """Keeps the end of what the child prints."""
        self._log = (self._log + data)[-_LOG_BYTES:]


class _Wire:
    """Moves bytes both ways until a deadline, whatever the other side does."""

    def __init__(self, session: ChildSession, child: Child, deadline: float) -> None:
        self._session = session
        self._child = child
        self._deadline = deadline
        self._watched = time.monotonic()

    def has_unread(self) -> bool:
        watch = select.poll()
        watch.register(self._child.pipes.reply, select.POLLIN)
        return any(event & select.POLLIN for _, event in watch.poll(0))

    def send(self, views: list[memoryview]) -> None:
        for view in views:
            rest = view
            while rest.nbytes:
                count = self._when_ready(
                    self._child.pipes.request,
                    select.POLLOUT,
                    lambda r=rest: _written(self._child, r),
                )
                if count is None:
                    raise self._session.died(self._child)
                rest = rest[count:]

    def receive(self, buffer: Array) -> Array:
        rest = memoryview(buffer)
        while rest.nbytes:
            count = self._when_ready(
                self._child.pipes.reply,
                select.POLLIN,
                lambda r=rest: os.readv(self._child.pipes.reply, [r]),
            )
            if not count:
                raise self._session.died(self._child)
            rest = rest[count:]
        return buffer

    def _when_ready(self, pipe: int, event: int, act: Callable[[], int | None]) -> int | None:
        watch = select.poll()
        watch.register(pipe, event)
        watch.register(self._child.pipes.log, select.POLLIN)
        while True:
            now = time.monotonic()
            if now >= self._deadline:
                self._child.kill()
                seconds = self._session._order.limits.call_seconds
                raise ChildTimeoutError(
                    f"no answer within {seconds:g} seconds; the child is killed"
                )
            if now - self._watched > _WATCH_SECONDS:
                self._watched = now
                self._session.watch(self._child)
            ready = dict(watch.poll(min(_WATCH_SECONDS, self._deadline - now) * 1000 + 1))
            if self._child.pipes.log in ready and not self._drain_log():
                watch.unregister(self._child.pipes.log)
            if pipe in ready:
                with contextlib.suppress(BlockingIOError):
                    return act()

    def _drain_log(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._child.pipes.log, _CHUNK)
            self._session.keep_log(data)
            return bool(data)
        return True


def _written(child: Child, view: memoryview) -> int | None:
    try:
        return os.write(child.pipes.request, view[:_CHUNK])
    except BrokenPipeError:
        return None


def printable(text: str, *, most: int = 2000) -> str:
    """Returns ``text`` on one line, without control or direction characters, cut to ``most``."""
    shown = _UNPRINTABLE.sub(" ", text).strip()
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def _signal_name(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"

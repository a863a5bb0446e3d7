"""The parent's end of one child: asks, waits with a deadline, checks the answer, ends it."""

import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tasks.domain.errors import (
    ChildDiedError,
    ChildError,
    ChildForbiddenError,
    ChildMemoryError,
    ChildProtocolError,
    ChildRaisedError,
    ChildResidentError,
    ChildScratchError,
    ChildSignalledError,
    ChildStorageError,
    ChildStubbornError,
    ChildThreadsError,
    ProofhouseError,
    SandboxError,
)
from tasks.sandbox import frames, reasons
from tasks.sandbox.child import HELLO, READY
from tasks.sandbox.launcher import FAILED
from tasks.sandbox.printable import printable
from tasks.sandbox.process import Child
from tasks.sandbox.protocol import Answering, Array, Level, Reply, numeric
from tasks.sandbox.scratch import make_scratch, remove_scratch, used_bytes
from tasks.sandbox.walls import Order
from tasks.sandbox.wire import ClosedError, Wire

_START_SECONDS = 60.0
_DEATH_SECONDS = 2.0
_MOST_ATTEMPTS = 10_000
"""Each costs the parent a moment as well."""
_RAISED: dict[str, type[ChildRaisedError]] = {
    reasons.MEMORY: ChildMemoryError,
    reasons.REFUSED: ChildForbiddenError,
    reasons.FULL: ChildStorageError,
}


class ChildSession:
    """One living child (see :class:`tasks.sandbox.protocol.Session`).

    Use from one thread at a time; only :meth:`close` may come from another.
    """

    def __init__(
        self,
        order: Order,
        *,
        scratch_root: Path | None = None,
        answering: Answering | None = None,
    ) -> None:
        self._order = order
        self._answering = answering
        self._scratch_root = scratch_root
        self._scratch: Path | None = None
        self._child: Child | None = None
        self._busy = threading.Lock()
        self._ended = "it was never started"
        self._asked = 0
        self._ready = False
        self._attempts: Mapping[str, int] = {}

    @property
    def pid(self) -> int | None:
        """The confined process as this machine numbers it, None when it is not alive."""
        return self._child.pid if self._child else None

    @property
    def attempts(self) -> dict[str, int]:
        """See :meth:`tasks.sandbox.protocol.Session.attempts`."""
        return dict(self._attempts)

    def __enter__(self) -> Self:
        if self._child is not None:
            raise RuntimeError("this session is already entered")
        order = self._order
        self._attempts = {}
        try:
            if order.level != Level.L3:
                self._scratch = make_scratch(self._scratch_root, order.uid)
                order = order._replace(scratch=str(self._scratch))
            self._child = Child(order)
            self._ready = False
            self._await_walls(self._child)
        except OSError as error:
            self.close()
            raise SandboxError(f"the child could not be started: {error}") from error
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
        child = self._child
        if child is not None:
            child.kill()
        with self._busy:
            self._end("the session was closed")

    def _end(self, reason: str) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()
            self._ended = reason
        scratch, self._scratch = self._scratch, None
        if scratch is not None:
            remove_scratch(scratch)

    def _ask(
        self, do: str, procedure: str, arrays: Mapping[str, Array], values: Mapping[str, Any]
    ) -> Reply:
        self._asked += 1
        number = self._asked
        request = frames.encode(
            {"do": do, "id": number, "procedure": procedure, "values": values}, arrays
        )
        with self._busy:
            if self._child is None:
                raise ChildDiedError(f"there is no child to run {procedure}: {self._ended}")
            try:
                message = self._exchange(self._child, request, number)
                return _answer(message, number, procedure)
            except ChildRaisedError:
                raise
            except BaseException as error:
                # Out of step, out of bounds or interrupted: nothing it says later can be trusted.
                self._end(f"it ended at {procedure} ({error})")
                raise

    def _exchange(self, child: Child, request: list[memoryview], number: int) -> frames.Message:
        limits = self._order.limits
        if not self._ready:
            self._await_ready(child)
        wire = Wire(child, limits.call_seconds, lambda: self._look_after(child))
        if wire.has_unread():
            raise ChildProtocolError("the child spoke before it was asked")
        child.allow_cpu()
        try:
            wire.send(request)
            return self._heard_out(wire, number)
        except ClosedError:
            self._look_after(child)
            raise _death(child) from None

    def _heard_out(self, wire: Wire, number: int) -> frames.Message:
        """Answers what the child asks until it answers itself."""
        most = self._order.limits.reply_bytes
        message = _read(wire, most)
        while self._answering is not None and _is_question(message, number):
            asked = time.monotonic()
            answer = _answered(self._answering, message, number)
            # Our own time does not count against the child; how much it may ask is bounded by
            # whoever answers.
            wire.extend(time.monotonic() - asked)
            wire.send(answer)
            message = _read(wire, most)
        return message

    def _await_walls(self, child: Child) -> None:
        wire = Wire(child, _START_SECONDS, lambda: None)
        try:
            said = wire.receive(len(HELLO)).tobytes()
        except ClosedError:
            death = _death(child)
            why = child.log if child.status() == FAILED else str(death)
            raise SandboxError(f"the child could not be confined: {why}") from death
        child.find()
        if child.witness is not None:
            self._attempts = child.witness.attempts
        if said != HELLO or not child.is_confined():
            raise SandboxError("the child's walls cannot be seen from outside; it is not used")

    def _await_ready(self, child: Child) -> None:
        try:
            said = Wire(child, _START_SECONDS, lambda: None).receive(len(READY)).tobytes()
        except ClosedError:
            raise _death(child) from None
        if said != READY:
            raise ChildProtocolError("the child did not say that it is ready")
        self._ready = True

    def _look_after(self, child: Child) -> None:
        """Ends a child that uses too much of what no resource limit covers.

        Raises:
            ChildDiedError: It did, and was killed.
        """
        if sum(self._attempts.values()) > _MOST_ATTEMPTS:
            child.kill()
            raise ChildStubbornError(
                f"the child made more than {_MOST_ATTEMPTS} forbidden calls; it is killed"
            )
        limits = self._order.limits
        most_threads = 16 * limits.threads + 48  # libraries keep pools of their own
        if child.threads() > most_threads:
            child.kill()
            raise ChildThreadsError(f"the child ran more than {most_threads} threads; it is killed")
        if self._order.gpu and child.resident_bytes() > limits.memory_bytes:
            child.kill()
            raise ChildResidentError(
                f"the child held more than its {limits.memory_bytes} bytes of memory; it is killed"
            )
        if self._scratch is None:
            return
        used = used_bytes(self._scratch, child.pid)
        if used is None or used > limits.scratch_bytes:
            child.kill()
            raise ChildScratchError(
                f"the child filled its scratch of {limits.scratch_bytes} bytes; it is killed"
            )


def _read(wire: Wire, most: int) -> frames.Message:
    try:
        text, tensors = frames.lengths(wire.receive(frames.HEADER.size).tobytes(), most=most)
        body = frames.decode_body(wire.receive(text).tobytes())
        return frames.Message(body, frames.decode_arrays(wire.receive(tensors)))
    except frames.FrameError as error:
        raise ChildProtocolError(f"the child's answer {error}") from error


def _is_question(message: frames.Message, number: int) -> bool:
    match message.body:
        case {"id": int(n), "ask": dict()}:
            return n == number
    return False


def _answered(answering: Answering, message: frames.Message, number: int) -> list[memoryview]:
    try:
        reply = answering(message.arrays, message.body["ask"])
    except ProofhouseError as error:
        return frames.encode({"id": number, "refused": error.message}, {})
    return frames.encode({"id": number, "values": reply.values}, reply.arrays)


def _answer(message: frames.Message, number: int, procedure: str) -> Reply:
    match message.body:
        case {"id": int(n), "raised": {"type": str(kind), "message": str(text), **more}} if (
            n == number
        ):
            failure = _RAISED.get(str(more.get("why")), ChildRaisedError)
            raise failure(f"{procedure} raised {printable(kind, most=100)}: {printable(text)}")
        case {"id": int(n), "values": dict(values)} if n == number:
            return Reply(message.arrays, values)
        case _:
            raise ChildProtocolError(f"what came back from {procedure} is not an answer to it")


def _death(child: Child) -> ChildError:
    code = child.wait(_DEATH_SECONDS)
    child.drain_log()
    printed = child.log.partition("Extension modules:")[0][-500:].strip()
    said = f"; it last printed: {printed}" if printed else ""
    if code is None:
        return ChildProtocolError(f"the child closed its pipe unasked and lived on{said}")
    if code < 0:
        return ChildSignalledError(f"the child was ended by {_signal_name(-code)}{said}")
    return ChildDiedError(f"the child ended before it answered (exit status {code}){said}")


def _signal_name(number: int) -> str:
    try:
        return f"signal {number}, {signal.Signals(number).name}"
    except ValueError:
        return f"signal {number}"

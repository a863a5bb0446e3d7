"""The program behind the walls: reads a request, runs the procedure, writes the answer.

Everything here may be under the control of hostile code once a model is open. The parent trusts
none of it: a forged answer is a claim like any other.
"""

import contextlib
import ctypes.util
import faulthandler
import os
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from tasks.sandbox.lean import import_lean
from tasks.sandbox.seccomp import LISTENER

HELLO = b"standing\n"
"""Written once the walls stand, before anything heavy is imported."""
READY = b"ready...\n"
"""Written once requests can be served, so that a call's deadline is the procedure's own."""
_MESSAGE_CHARACTERS = 2000


def main(request: int, reply: int, options: dict[str, Any]) -> NoReturn:
    """Serves requests until the parent closes its end.

    Args:
        request: Descriptor to read from.
        reply: Descriptor to write to.
        options: ``bytes``, the longest request.
    """
    os.write(reply, HELLO)
    faulthandler.enable()  # a segmentation fault leaves its Python stack in the log
    _find_no_libraries()
    import_lean(gpu="CUDA_VISIBLE_DEVICES" in os.environ)
    # After the hello, and before hostile code may leave no descriptor to import with.
    from tasks.sandbox import asking, frames, procedures, protocol, reasons  # noqa: PLC0415

    os.write(reply, READY)
    _fill(request, memoryview(header := bytearray(frames.HEADER.size)))
    # The parent has its copy by now. Whoever held this one could answer in the parent's stead.
    with contextlib.suppress(OSError):
        os.close(LISTENER)
    bench = _Bench(procedures.procedure, protocol)
    while True:
        message = _receive(frames, request, bytes(header), int(options["bytes"]))
        number = message.body["id"]

        def asked(arrays: Any, values: Any, number: int = number) -> Any:
            _send(reply, frames.encode({"id": number, "ask": dict(values)}, arrays))
            _fill(request, memoryview(header))
            said = _receive(frames, request, bytes(header), int(options["bytes"]))
            if "refused" in said.body:
                raise asking.UnansweredError(said.body["refused"])
            return protocol.Reply(said.arrays, said.body["values"])

        try:
            with asking.answered_by(asked):
                body, arrays = bench.serve(message.body, message.arrays)
            answer = frames.encode({"id": number, **body}, arrays)
        except BaseException as error:  # noqa: BLE001  - SystemExit is an answer as well
            raised = _described(error, reasons.reason_of)
            answer = frames.encode({"id": number, "raised": raised}, {})
        _send(reply, answer)
        del message, answer
        _fill(request, memoryview(header))


def _find_no_libraries() -> None:
    # It runs ldconfig and compilers, which cannot be run here: the same answer without the attempt,
    # which would look like the model's.
    def nothing(name: str) -> str | None:  # noqa: ARG001
        return None

    ctypes.util.find_library = nothing


class _Bench:
    """Runs procedures, on the opened object when there is one."""

    def __init__(self, resolve: Callable[[str], Callable[..., Any]], protocol: Any) -> None:
        self._resolve = resolve
        self._protocol = protocol
        self._kept: tuple[Any, ...] = ()

    def serve(
        self, body: dict[str, Any], arrays: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        name, values = body["procedure"], body["values"]
        if body["do"] == "open":
            opened = self._resolve(name)(**values)
            described = opened.describe()
            self._kept = (opened,)
            return {"values": described}, {}
        result = self._resolve(name)(*self._kept, **arrays, **values)
        if not isinstance(result, self._protocol.Reply):
            raise TypeError(f"{name} returned {type(result).__name__}, not a Reply")
        checked = {key: self._protocol.numeric(array) for key, array in result.arrays.items()}
        return {"values": result.values}, checked


def _described(error: BaseException, reason_of: Callable[..., str]) -> dict[str, str]:
    try:
        text = str(error)[:_MESSAGE_CHARACTERS]
        text.encode()
    except BaseException:  # noqa: BLE001  - a hostile __str__
        text = "(its message cannot be shown)"
    return {"type": type(error).__name__[:200], "message": text, "why": reason_of(error)}


def _receive(frames: Any, request: int, header: bytes, most: int) -> Any:
    import numpy as np  # noqa: PLC0415  - after the hello

    text, tensors = frames.lengths(header, most=most)
    body = bytearray(text)
    _fill(request, memoryview(body))
    data = np.empty(tensors, np.uint8)
    if tensors:
        _fill(request, memoryview(data.data))
    return frames.Message(frames.decode_body(body), frames.decode_arrays(data))


def _fill(descriptor: int, view: memoryview) -> None:
    while view.nbytes:
        count = os.readv(descriptor, [view])
        if not count:
            os._exit(0)  # the parent is gone or done
        view = view[count:]


def _send(descriptor: int, views: Sequence[memoryview]) -> None:
    for view in views:
        rest = view
        while rest.nbytes:
            rest = rest[os.write(descriptor, rest) :]

"""The program behind the walls: reads a request, runs the procedure, writes the answer.

Everything here may be under the control of hostile code once a model is open. The parent trusts
none of it: a forged answer is a claim like any other.
"""

import faulthandler
import fcntl
import os
from collections.abc import Sequence
from typing import Any, NoReturn

HELLO = b"standing\n"
"""Written once the walls stand, before anything heavy is imported."""
_HIGH = 64
_MESSAGE_CHARACTERS = 2000


def main(request: int, reply: int, options: dict[str, Any]) -> NoReturn:
    """Serves requests until the parent closes its end.

    Args:
        request: Descriptor to read from.
        reply: Descriptor to write to.
        options: ``bytes``, the longest request.
    """
    # Out of the low numbers, which careless (not only hostile) native code writes to.
    request = fcntl.fcntl(request, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    reply = fcntl.fcntl(reply, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    os.write(reply, HELLO)
    faulthandler.enable()  # a segmentation fault leaves its Python stack in the log
    from tasks.sandbox import frames  # noqa: PLC0415  - numpy, after the hello

    kept: list[Any] = []
    while True:
        message = _receive(frames, request, int(options["bytes"]))
        try:
            body, arrays = _serve(kept, message.body, message.arrays)
            answer = frames.encode({"id": message.body["id"], **body}, arrays)
        except BaseException as error:  # noqa: BLE001  - SystemExit is an answer as well
            answer = frames.encode({"id": message.body["id"], "raised": _described(error)}, {})
        _send(reply, answer)
        del message, answer


def _serve(
    kept: list[Any], body: dict[str, Any], arrays: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    from tasks.sandbox.procedures import procedure  # noqa: PLC0415  - after the hello
    from tasks.sandbox.protocol import Reply, numeric  # noqa: PLC0415  - after the hello

    opening = body["do"] == "open"
    first = [] if opening else kept
    result = procedure(body["procedure"])(*first, **arrays, **body["values"])
    if opening:
        described = result.describe()
        kept[:] = [result]
        return {"values": described}, {}
    if not isinstance(result, Reply):
        raise TypeError(f"{body['procedure']} returned {type(result).__name__}, not a Reply")
    return {"values": result.values}, {k: numeric(v) for k, v in result.arrays.items()}


def _described(error: BaseException) -> dict[str, str]:
    try:
        text = str(error)[:_MESSAGE_CHARACTERS]
        text.encode()
    except BaseException:  # noqa: BLE001  - a hostile __str__
        text = "(its message cannot be shown)"
    return {"type": type(error).__name__[:200], "message": text}


def _receive(frames: Any, request: int, most: int) -> Any:
    import numpy as np  # noqa: PLC0415  - after the hello

    header = bytearray(frames.HEADER.size)
    _fill(request, memoryview(header))
    text, tensors = frames.lengths(bytes(header), most=most)
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

"""Strict JSON for configurations: bounded depth, no duplicate keys, every string in reach."""

import json
from collections.abc import Iterator
from typing import Any

from tasks.scanners.inspection import Inspection
from tasks.scanners.reading import View

MOST_BYTES = 64 << 20
MOST_DEPTH = 200


class BrokenJson(Exception):  # noqa: N818  - becomes a finding
    """The text is not the JSON that a strict reader accepts; ``kind`` says how."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def strict_json(data: bytes) -> tuple[Any, tuple[str, ...]]:
    """Returns the value and the keys that appear twice in one object.

    Raises:
        BrokenJson: ``kind`` is ``malformed`` or ``deep``.
    """
    doubled: list[str] = []

    def paired(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            names = [name for name, _ in pairs]
            doubled.extend(sorted({name for name in names if names.count(name) > 1})[:8])
        return made

    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=paired), tuple(doubled)
    except RecursionError:
        raise BrokenJson("deep", "objects are nested too deep to read") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise BrokenJson("malformed", str(error)) from None


def read_json(view: View, inspection: Inspection) -> tuple[Any, tuple[str, ...]]:
    """Reads a member or file as strict JSON; see :func:`strict_json`."""
    if view.size > MOST_BYTES:
        raise BrokenJson("malformed", f"{view.size} bytes of JSON are more than the scan reads")
    inspection.budget.check_clock()
    return strict_json(view.read(0, view.size))


def walk(value: Any) -> Iterator[tuple[str, Any, int]]:
    """Yields (dotted path, value, depth) of every node, without recursion."""
    waiting: list[tuple[str, Any, int]] = [("", value, 0)]
    while waiting:
        path, node, depth = waiting.pop()
        yield path, node, depth
        if isinstance(node, dict):
            waiting.extend(
                (f"{path}.{key}"[-200:], inner, depth + 1) for key, inner in node.items()
            )
        elif isinstance(node, list):
            waiting.extend(
                (f"{path}[{index}]"[-200:], inner, depth + 1) for index, inner in enumerate(node)
            )

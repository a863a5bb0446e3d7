"""JSON from strangers: RFC 8259 with caps, in linear time and bounded memory.

Refuses what parsers disagree about: doubled keys, NaN, infinity, numbers beyond 64 bits, lone
surrogates, other encodings than UTF-8.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from tasks.domain.errors import InvalidInputError
from tasks.intake.names import shown

MOST_DIGITS = 18
# Each match ends where the next may begin, so no byte is looked at twice: a string that never
# ends is one match up to the end of the text.
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)


class JsonCaps(NamedTuple):
    """How much a document may hold."""

    most_bytes: int = 8 << 20
    nodes: int = 500_000
    depth: int = 64


JSON_CAPS = JsonCaps()


def parse_json(data: bytes, *, place: str, caps: JsonCaps = JSON_CAPS) -> Any:
    """Returns the document as JSON values.

    Args:
        data: UTF-8 text.
        place: What the data is called in messages.
        caps: Limits, enforced before any value is built.

    Raises:
        InvalidInputError: Not UTF-8, not strict JSON, or more than the caps allow.
    """
    if len(data) > caps.most_bytes:
        raise InvalidInputError(
            f"{place} has {len(data)} bytes, {caps.most_bytes} are allowed. Shorten it."
        )
    try:
        text = data.decode("utf-8-sig")
        _count(text, caps)
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_small_int,
            parse_float=_finite,
        )
        _refuse_surrogates(value)
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{place} is not UTF-8 text (byte {error.start}).") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{place} is not strict JSON: {shown(str(error))}.") from error
    return value


def _count(text: str, caps: JsonCaps) -> None:
    depth = 0
    for nodes, match in enumerate(_TOKENS.finditer(text)):
        token = match[0][0]
        depth += (token in "[{") - (token in "]}")
        if depth > caps.depth:
            raise ValueError(f"nested deeper than {caps.depth}")
        if nodes > 2 * caps.nodes:
            raise ValueError(f"more than {caps.nodes} values")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        doubled = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # add() in "or" is the once-seen idiom
        raise ValueError(f"the key {doubled!r} is given twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _small_int(text: str) -> int:
    if len(text.lstrip("-")) > MOST_DIGITS:
        raise ValueError(f"an integer of {len(text)} digits does not fit 64 bits")
    return int(text)


def _finite(text: str) -> float:
    number = float(text) if len(text) <= 64 else float("inf")
    if number in {float("inf"), float("-inf")}:
        raise ValueError(f"the number {text[:24]} does not fit 64 bits")
    return number


def _refuse_surrogates(value: Any) -> None:
    for text in _strings(value):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("a text holds half of a surrogate pair") from None


def _strings(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, dict):
            waiting.extend(item)
            waiting.extend(item.values())

"""Strict JSON for signed bytes: what two parsers could read differently is refused.

The ledger reads what an attacker may have written, so limits are checked before values are built.
"""

import base64
import binascii
import json
import re
from typing import Any

from tasks.domain.frozen import canonical_json
from tasks.ledger.rejections import BadBase64Error, MalformedError, TooLargeError

MOST_BYTES = 64 << 20
MOST_DEPTH = 32
MOST_DIGITS = 19
# Strings are skipped whole, so brackets inside them do not count; possessive, hence linear.
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


def parse_strict(data: bytes, *, place: str, most_bytes: int = MOST_BYTES) -> Any:
    """Returns the JSON value of ``data``.

    Args:
        data: UTF-8 text.
        place: The object or claim that holds it, for messages.
        most_bytes: Longest text that is looked at.

    Raises:
        TooLargeError: More than ``most_bytes``.
        MalformedError: Not UTF-8, not JSON, a doubled key, NaN or infinity, an integer of more
            than 19 digits, or nested deeper than 32.
    """
    if len(data) > most_bytes:
        raise TooLargeError(f"{place} has {len(data)} bytes, at most {most_bytes} are read")
    try:
        _limit_depth(data)
        value: Any = json.loads(
            data.decode(),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_bounded,
            parse_float=_finite,
        )
    except UnicodeDecodeError as error:
        raise MalformedError(f"{place} is not UTF-8 (byte {error.start})") from error
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"{place} is not strict JSON: {str(error)[:200]}") from error
    return value


def parse_canonical(data: bytes, *, place: str, most_bytes: int = MOST_BYTES) -> Any:
    """Returns the JSON value, provided that ``data`` is its one canonical spelling.

    Raises:
        TooLargeError: As :func:`parse_strict`.
        MalformedError: As :func:`parse_strict`, or other spacing, order or escapes.
    """
    value = parse_strict(data, place=place, most_bytes=most_bytes)
    try:
        same = canonical_json(value) == data
    except ValueError:  # half of a surrogate pair cannot be written as UTF-8
        same = False
    if not same:
        raise MalformedError(f"{place} is not in canonical form: it was rewritten")
    return value


def decode_base64(text: object, *, place: str) -> bytes:
    """Returns the bytes of canonical standard base64.

    Raises:
        BadBase64Error: Not text, other alphabet, wrong padding, or spare bits that are not zero.
    """
    if not isinstance(text, str):
        raise BadBase64Error(f"{place} is not base64 text")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadBase64Error(f"{place} is not base64: {error}") from error
    if base64.b64encode(data).decode() != text:
        raise BadBase64Error(f"{place} is not canonical base64")
    return data


def _limit_depth(data: bytes) -> None:
    depth = 0
    for match in _TOKENS.finditer(data):
        token = match[0][:1]
        depth += (token in b"[{") - (token in b"]}")
        if depth > MOST_DEPTH:
            raise ValueError(f"nested deeper than {MOST_DEPTH}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:60]!r} is given twice")
        found[key] = value
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _bounded(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"an integer has {len(text)} digits, at most {MOST_DIGITS} are read")
    return int(text)


def _finite(text: str) -> float:
    if len(text) > 64 or abs(number := float(text)) == float("inf"):
        raise ValueError(f"the number {text[:24]} does not fit 64 bits")
    return number

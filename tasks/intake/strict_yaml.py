"""YAML from strangers: the JSON subset of YAML 1.2, capped, in linear time.

No tags, anchors, aliases, doubled keys, several documents, dates or sexagesimals: a scalar is
null, true, false, a number or text (YAML 1.2.2, section 10.3, without octal and ``.inf``). The
parser's events are read one by one, so that the caps hold before anything is built.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from tasks.domain.errors import InvalidInputError
from tasks.intake.names import shown

_INTEGER = re.compile(r"[-+]?[0-9]+")
_DECIMAL = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MOST_DIGITS = 18
"""Integers up to 18 digits fit 64 bits."""


class YamlCaps(NamedTuple):
    """How much a document may hold."""

    most_bytes: int = 1 << 20
    nodes: int = 50_000
    depth: int = 32


YAML_CAPS = YamlCaps()


def parse_yaml(data: bytes, *, place: str, caps: YamlCaps = YAML_CAPS) -> Any:
    """Returns the document as None, bool, int, float, str, lists and dicts with text keys.

    Args:
        data: UTF-8 text.
        place: What the data is called in messages.
        caps: Limits, all enforced before the value is built.

    Raises:
        InvalidInputError: Not UTF-8, not this subset, or more than the caps allow.
    """
    if len(data) > caps.most_bytes:
        raise InvalidInputError(
            f"{place} has {len(data)} bytes, {caps.most_bytes} are allowed. Shorten it."
        )
    try:
        return _Builder(place, caps).document(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{place} is not UTF-8 text (byte {error.start}).") from error
    except yaml.YAMLError as error:
        raise InvalidInputError(
            f"{place} is not plain YAML: {shown(_first_problem(error))}"
        ) from error


class _Builder:
    """Turns events into a value, counting as it goes."""

    def __init__(self, place: str, caps: YamlCaps) -> None:
        self._place = place
        self._caps = caps
        self._nodes = 0

    def document(self, text: str) -> Any:
        events: Iterator[yaml.Event] = yaml.parse(text, Loader=_LOADER)
        value: Any = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._refusal(event, "several documents in one file")
                value = self._node(next(events), events, depth=0)
        return value

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], *, depth: int) -> Any:
        self._check(event, depth)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, depth)
        return self._mapping(events, depth)

    def _sequence(self, events: Iterator[yaml.Event], depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self._node(event, events, depth=depth + 1))
        return items

    def _mapping(self, events: Iterator[yaml.Event], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self._node(event, events, depth=depth + 1)
            if not isinstance(key, str):
                raise self._refusal(event, f"the key {shown(str(key))} is not text; quote it")
            if key in found:
                raise self._refusal(event, f"the key {shown(key)!r} is given twice")
            found[key] = self._node(next(events), events, depth=depth + 1)
        return found

    def _check(self, event: yaml.Event, depth: int) -> None:
        self._nodes += 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self._refusal(event, "anchors and aliases are not allowed; write it out")
        if tag := getattr(event, "tag", None):
            raise self._refusal(event, f"the tag {shown(str(tag))} is not allowed")
        if self._nodes > self._caps.nodes:
            raise self._refusal(event, f"more than {self._caps.nodes} values")
        if depth > self._caps.depth:
            raise self._refusal(event, f"nested deeper than {self._caps.depth}")

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        text: str = event.value
        if not event.implicit[0]:  # quoted or block text is text
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            if len(text.lstrip("+-")) > MOST_DIGITS:
                raise self._refusal(event, f"the number {shown(text, 24)} is too large; quote it")
            return int(text)
        if len(text) <= 64 and _DECIMAL.fullmatch(text):
            return self._finite(event, float(text))
        return text

    def _finite(self, event: yaml.Event, number: float) -> float:
        if number in {float("inf"), float("-inf")}:
            raise self._refusal(event, "a number is too large for 64 bits")
        return number

    def _refusal(self, event: yaml.Event, why: str) -> InvalidInputError:
        line = event.start_mark.line + 1 if event.start_mark else 0
        return InvalidInputError(f"{self._place}, line {line}: {why}.")


def _first_problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f"line {mark.line + 1}: " if mark else ""
    return line + str(getattr(error, "problem", None) or error)

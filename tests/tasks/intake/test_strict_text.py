"""YAML and JSON from strangers: what is read, what is refused, and how fast."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tasks.domain.errors import InvalidInputError
from tasks.intake.names import is_invisible, mixes_scripts, name_problem, shown
from tasks.intake.strict_json import JsonCaps, parse_json
from tasks.intake.strict_yaml import YamlCaps, parse_yaml

Parse = Callable[[bytes], Any]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


def read_yaml(data: bytes) -> Any:
    return parse_yaml(data, place="it")


def refusal_of(read: Parse, data: bytes) -> str:
    try:
        read(data)
    except InvalidInputError as error:
        return error.message
    return ""


def read_json(data: bytes) -> Any:
    return parse_json(data, place="it")


@given(VALUES)
@settings(max_examples=150, deadline=None)
def test_json_reads_back_what_json_wrote(value: Any) -> None:
    assert read_json(json.dumps(value).encode()) == value


@given(VALUES)
@settings(max_examples=100, deadline=None)
def test_yaml_reads_json_alike(value: Any) -> None:
    # JSON is YAML but for surrogate pairs, so astral characters are left out.
    text = json.dumps(value)
    assume("\\ud" not in text)
    assert read_yaml(b"it: " + text.encode()) == {"it": value}


@given(st.binary(max_size=300))
@example(b"? [a]\n: b")
@example(b"%YAML 9.9\n---\na: b")
@example(b"\xff\xfe[\x001\x00]\x00")
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_a_value_or_one_clear_error(data: bytes) -> None:
    for read in (read_yaml, read_json):
        message = refusal_of(read, data)
        assert message == "" or message.startswith("it")
        assert message.replace("…", "").isascii()


@given(st.text("[]{}:,-&*!|>'\"\n #?%@ab01.~", max_size=200))
@settings(max_examples=300, deadline=None)
def test_yaml_soup_agrees_with_the_library_or_is_refused(text: str) -> None:
    try:
        mine = read_yaml(text.encode())
    except InvalidInputError:
        return
    theirs = yaml.load(text, Loader=yaml.CBaseLoader)  # noqa: S506 - builds only text
    assert _as_text(mine) == _as_text(theirs)


REFUSED: dict[str, tuple[Parse, bytes, str]] = {
    "yaml bomb": (read_yaml, b"a: &a [x]\nb: [*a, *a]", "anchors"),
    "yaml alias alone": (read_yaml, b"a: *b", "anchors"),
    "yaml python tag": (read_yaml, b"a: !!python/object/apply:os.system [ls]", "tag"),
    "yaml local tag": (read_yaml, b"a: !thing x", "tag"),
    "yaml binary tag": (read_yaml, b"a: !!binary aGk=", "tag"),
    "yaml doubled key": (read_yaml, b"a: 1\nb: 2\na: 3", "twice"),
    "yaml two documents": (read_yaml, b"a: 1\n---\nb: 2", "several documents"),
    "yaml number key": (read_yaml, b"1: a", "not text"),
    "yaml list key": (read_yaml, b"? [a]\n: b", "not text"),
    "yaml depth": (read_yaml, b"[" * 60 + b"]" * 60, "deeper"),
    "yaml depth, long": (read_yaml, b"[" * 500_000, "deeper"),
    "yaml block depth": (read_yaml, b"- " * 1000 + b"a", "deeper"),
    "yaml nodes": (read_yaml, b"[" + b"a," * 60_000 + b"]", "more than"),
    "yaml size": (read_yaml, b"a: " + b"x" * (2 << 20), "bytes"),
    "yaml huge integer": (read_yaml, b"a: " + b"9" * 100_000, "too large"),
    "yaml huge float": (read_yaml, b"a: 1e999", "too large"),
    "yaml utf-16": (read_yaml, "a: b".encode("utf-16"), "UTF-8"),
    "yaml control": (read_yaml, b"a: \x07", "plain YAML"),
    "yaml unbalanced": (read_yaml, b"a: [1, 2", "plain YAML"),
    "json doubled key": (read_json, b'{"a":1,"a":2}', "twice"),
    "json nan": (read_json, b'{"a":NaN}', "NaN"),
    "json infinity": (read_json, b"[-Infinity]", "Infinity"),
    "json huge float": (read_json, b"[1e999]", "64 bits"),
    "json huge integer": (read_json, b"[" + b"9" * 100_000 + b"]", "digits"),
    "json lone surrogate": (read_json, rb'["\ud800"]', "surrogate"),
    "json surrogate in a key": (read_json, rb'{"\udc00":1}', "surrogate"),
    "json depth": (read_json, b"[" * 10_000 + b"]" * 10_000, "deeper"),
    "json depth, never closed": (read_json, b'{"a":' * 500_000, "deeper"),
    "json nodes": (read_json, b"[" + b"1," * 1_100_000 + b"1]", "more than"),
    "json size": (read_json, b'"' + b"x" * (9 << 20) + b'"', "bytes"),
    "json trailing": (read_json, b"[] []", "strict JSON"),
    "json utf-16": (read_json, "[]".encode("utf-16"), "UTF-8"),
    "json comments": (read_json, b"[1] // no", "strict JSON"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_parsers_disagree_about_or_drown_in_is_refused_fast(name: str) -> None:
    read, data, word = REFUSED[name]
    start = time.process_time()
    with pytest.raises(InvalidInputError, match=word):
        read(data)
    assert time.process_time() - start < 2.0


SLOW = (
    '"' + '\\"' * 200_000,
    '"' + '\\"' * 200_000 + "\\",
    '"\\' * 200_000,
    '"' * 400_001,
    "[" + '"",' * 100_000,
)


@pytest.mark.parametrize("text", SLOW)
def test_hostile_strings_take_linear_time(text: str) -> None:
    start = time.process_time()
    with pytest.raises(InvalidInputError):
        read_json(text.encode())
    assert time.process_time() - start < 1.0


def test_scalars_are_those_of_yaml_one_point_two() -> None:
    text = (
        "{a: no, b: 1.0, c: '1', d: 2026-11-23, e: 1:30, f: ~, g: true, h: 1e3, i: 1.2.0, j: 0x1}"
    )
    assert read_yaml(text.encode()) == {
        "a": "no", "b": 1.0, "c": "1", "d": "2026-11-23", "e": "1:30", "f": None, "g": True,
        "h": 1000.0, "i": "1.2.0", "j": "0x1",
    }  # fmt: skip


def test_caps_can_be_chosen() -> None:
    with pytest.raises(InvalidInputError, match="deeper than 1"):
        parse_yaml(b"[[[]]]", place="it", caps=YamlCaps(depth=1))
    with pytest.raises(InvalidInputError, match="deeper than 1"):
        parse_json(b"[[]]", place="it", caps=JsonCaps(depth=1))


@given(st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_shown_text_is_printable_and_names_with_invisible_characters_are_refused(
    text: str,
) -> None:
    assert all(" " <= char <= "~" or char == "…" for char in shown(text))
    if any(is_invisible(char) for char in text):
        assert name_problem(text) is not None


def test_lookalikes_are_noticed_within_a_word_only() -> None:
    assert mixes_scripts("m\u043edel.onnx")  # the o is Cyrillic
    assert not mixes_scripts("модель_v2.onnx")
    assert not mixes_scripts("modèle-größe 模型.onnx")


def _as_text(value: Any) -> Any:
    """Forgets what plain scalars mean, which is where we and the library differ on purpose."""
    if isinstance(value, dict):
        return {key: _as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    return "scalar"

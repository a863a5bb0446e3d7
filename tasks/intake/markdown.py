"""Markdown from strangers, read as text: sections, stated facts, and what would act in a browser.

Nothing is rendered or fetched. Every pattern here is linear in the length of the text.
"""

import html
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from tasks.domain.errors import InvalidInputError
from tasks.intake.strict_yaml import parse_yaml

MOST_BYTES = 2 << 20
_MOST_LINE = 4_000
_LEVELS = 7
"""Six by number signs, and lines in bold below them."""
_ATX = re.compile(r" {0,3}(#{1,6})[ \t]+(\S.*)")
_BOLD_LINE = re.compile(r"\*\*([^*]{2,100})\*\*:?")
_STATED = re.compile(r"[\s>*+\-]{0,12}([A-Za-z][A-Za-z0-9 _\-/()]{0,40}?)[*_` ]{0,6}[:=|]([^\n]+)")
_ACTIVE = {
    "script": re.compile(r"<\s{0,9}/?\s{0,9}script\b"),
    "embedded content": re.compile(
        r"<\s{0,9}(?:iframe|object|embed|applet|base|form|link|meta|svg)\b"
    ),
    "event handler": re.compile(r"<[a-z][^<>]{0,500}[\s/\"']on[a-z]{3,20}\s{0,9}="),
    "script address": re.compile(r"(?:javascript|vbscript|data:text/html)\s{0,9}[:,;]"),
}  # fmt: skip
_REMOTE_IMAGE = re.compile(r"!\[[^\]\n]{0,300}\]\(\s{0,9}(?:https?:)?//|<img\b[^<>]{0,300}//")
_BLANKS = re.compile(r"[\x00-\x20\u200b-\u200f\ufeff]+")


class Section(NamedTuple):
    """A heading with everything below it, up to the next heading of its level."""

    heading: str
    level: int
    body: str


class Card(NamedTuple):
    """A document's front matter, its sections and its whole text."""

    front: dict[str, Any]
    sections: tuple[Section, ...]
    text: str


def parse_card(data: bytes, *, place: str) -> Card:
    """Reads a Markdown document with optional YAML front matter.

    Raises:
        InvalidInputError: Not UTF-8 text, longer than 2 MiB, or with broken front matter.
    """
    if len(data) > MOST_BYTES:
        raise InvalidInputError(f"{place} has {len(data)} bytes, {MOST_BYTES} are allowed.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{place} is not UTF-8 text (byte {error.start}).") from error
    lines = text.splitlines()
    end = _front_end(lines)
    front = (
        parse_yaml("\n".join(lines[1:end]).encode(), place=f"{place} front matter") if end else {}
    )
    body = lines[end + 1 :] if end else lines
    return Card(front if isinstance(front, dict) else {}, tuple(_sections(body)), "\n".join(body))


def stated(card: Card) -> Iterator[tuple[str, str]]:
    """Yields what the document states as ``key: value``, keys in lower case.

    From front matter, from lines and list items, and from two-column table rows.
    """
    for key, value in card.front.items():
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            yield key_of(key), str(value)
        elif isinstance(value, list) and all(isinstance(n, int) for n in value):
            yield key_of(key), "x".join(str(n) for n in value)
    for line in card.text.splitlines():
        plain = line[:_MOST_LINE].strip().removeprefix("|")
        if match := _STATED.match(plain):
            yield key_of(match[1]), match[2].strip(" |*_`\t")


def active_content(text: str) -> Iterator[str]:
    """Yields a name for each sort of content that would act if the text were rendered."""
    # Entities and blanks hide "javascript:" from a plain search, not from a browser.
    plain = html.unescape(text).lower()
    dense = _BLANKS.sub("", plain)
    for name, pattern in _ACTIVE.items():
        if pattern.search(dense if name == "script address" else plain):
            yield name


def remote_images(text: str) -> bool:
    """Answers whether showing the text would fetch something from elsewhere."""
    return _REMOTE_IMAGE.search(text) is not None


def _front_end(lines: list[str]) -> int:
    """Returns the line that closes the front matter, or 0 when there is none."""
    if not lines or lines[0].strip() != "---":
        return 0
    closing = (n for n, line in enumerate(lines[1:2000], start=1) if line.strip() == "---")
    end = next(closing, 0)
    # A rule above a heading is not front matter: that has keys.
    return end if any(":" in line for line in lines[1:end]) else 0


def _sections(lines: list[str]) -> Iterator[Section]:
    headings = list(_headings(lines))
    # Read backwards: where the nearest later heading of each level stands.
    nearest = [len(lines)] * (_LEVELS + 1)
    ends: list[int] = []
    for start, level, _ in reversed(headings):
        ends.append(min(nearest[: level + 1]))
        nearest[level] = start
    for (start, level, heading), end in zip(headings, reversed(ends), strict=True):
        yield Section(heading, level, "\n".join(lines[start + 1 : end]))


def _headings(lines: list[str]) -> Iterator[tuple[int, int, str]]:
    fenced = False
    for number, line in enumerate(lines):
        text = line[:_MOST_LINE].strip()
        if text.startswith(("```", "~~~")):
            fenced = not fenced
        elif fenced or not text:
            continue
        elif match := _ATX.match(line[:_MOST_LINE]):
            yield number, len(match[1]), match[2].rstrip("# ").strip("*_ ")
        elif number + 1 < len(lines) and _underline(lines[number + 1]):
            yield number, 1 if lines[number + 1].startswith("=") else 2, text
        elif match := _BOLD_LINE.fullmatch(text):
            yield number, _LEVELS, match[1].rstrip(":")


def _underline(line: str) -> bool:
    text = line.strip()
    return len(text) >= 3 and set(text) in ({"="}, {"-"})


def key_of(text: str) -> str:
    """Returns a key as it is compared: lower case, single blanks for dashes and underscores."""
    return " ".join(text.lower().replace("_", " ").replace("-", " ").split())

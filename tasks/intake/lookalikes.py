"""Package names that are nearly those of well-known packages: how typosquatters choose them."""

import functools
import re
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from packaging.utils import canonicalize_name

_LIST = Path(__file__).with_name("popular_packages.toml")
_SHORTEST, _LONGEST = 5, 60
"""Names shorter than this have too many honest neighbours to compare letter by letter."""
_CONFUSED = (("rn", "m"), ("vv", "w"), ("cl", "d"), ("0", "o"), ("1", "l"), ("i", "l"), ("5", "s"))
_AFFIX = re.compile(
    r"(?:python3?|py3?|lib|the|real|official|new|x)-?(.+)|"
    r"(.+?)-?(?:python3?|py3?|lib|dev|official|binary|pro|plus|cpu|gpu|cuda|x|[0-9]{1,3})"
)
# Rows of a keyboard: a neighbour in a row is the likeliest slip.
_ROWS = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {frozenset(pair) for row in _ROWS for pair in pairwise(row)}


class Lookalike(NamedTuple):
    """The well-known name and how another one resembles it. ``close`` means by more than affix."""

    known: str
    how: str
    close: bool


class _Names(NamedTuple):
    popular: frozenset[str]
    stand_ins: dict[str, str]
    bare: dict[str, str]
    skeletons: dict[str, str]
    words: dict[frozenset[str], str]
    forms: dict[str, list[str]]


def lookalike(name: str) -> Lookalike | None:
    """Returns the well-known package that a name resembles without being it, or None."""
    plain = canonicalize_name(name)
    names = _names()
    if plain in names.popular:
        return None
    ways = (
        (names.stand_ins.get(plain), "is often mistaken for it"),
        (names.bare.get(plain.replace("-", "")), "differs in separators"),
        (names.skeletons.get(_skeleton(plain)), "differs in letters that look alike"),
        (_reordered(plain, names), "has its words in another order"),
    )
    for known, how in ways:
        if known:
            return Lookalike(known, how, close=True)
    if near := _one_apart(plain, names):
        return Lookalike(near, _slip(plain, near), close=True)
    return _affixed(plain, names)


def _reordered(name: str, names: _Names) -> str | None:
    return names.words.get(frozenset(name.split("-"))) if "-" in name else None


@functools.cache
def _names() -> _Names:
    value = tomllib.loads(_LIST.read_text(encoding="utf-8"))
    groups = value["popular"].values()
    popular = frozenset(canonicalize_name(name) for group in groups for name in group)
    forms: dict[str, list[str]] = {}
    for name in popular:
        for form in _forms(name):
            forms.setdefault(form, []).append(name)
    return _Names(
        popular=popular,
        stand_ins=value["stand_ins"],
        bare={name.replace("-", ""): name for name in popular},
        skeletons={_skeleton(name): name for name in popular},
        words={frozenset(name.split("-")): name for name in popular if "-" in name},
        forms=forms,
    )


def _skeleton(name: str) -> str:
    text = name.replace("-", "")
    for seen, meant in _CONFUSED:
        text = text.replace(seen, meant)
    return text


def _one_apart(name: str, names: _Names) -> str | None:
    """Finds a well-known name one insertion, deletion, replacement or swap away (Damerau 1964).

    Two names one edit apart share a form with one letter deleted, so few need comparing.
    """
    if not _SHORTEST - 1 <= len(name) <= _LONGEST:
        return None
    near = {known for form in _forms(name) for known in names.forms.get(form, ())}
    found = sorted(known for known in near if _is_slip(name, known))
    # A slip on the keyboard explains more than any other letter.
    return min(found, key=lambda known: (_slip(name, known) != _KEYBOARD, known), default=None)


def _forms(name: str) -> set[str]:
    return {name} | {name[:n] + name[n + 1 :] for n in range(len(name))}


def _is_slip(name: str, known: str) -> bool:
    if len(known) < _SHORTEST:  # of short names only swapped letters say enough
        return len(name) == len(known) and _is_swap(name, known)
    start = next((n for n, (a, b) in enumerate(zip(name, known, strict=False)) if a != b), None)
    if start is None:
        return abs(len(name) - len(known)) == 1
    one, other = name[start:], known[start:]
    return one[1:] in {other, other[1:]} or one == other[1:] or _is_swap(one, other)


def _is_swap(one: str, other: str) -> bool:
    differing = [n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b]
    return (
        len(one) == len(other)
        and len(differing) == 2
        and differing[1] == differing[0] + 1
        and one[differing[0]] == other[differing[1]]
        and one[differing[1]] == other[differing[0]]
    )


_KEYBOARD = "is a slip of one key away"


def _slip(name: str, known: str) -> str:
    if len(name) == len(known):
        differing = [(a, b) for a, b in zip(name, known, strict=True) if a != b]
        if len(differing) == 1 and frozenset(differing[0]) in _NEIGHBOURS:
            return _KEYBOARD
    return "is one letter away"


def _affixed(name: str, names: _Names) -> Lookalike | None:
    match = _AFFIX.fullmatch(name[:100])
    core = next((part for part in match.groups() if part), "") if match else ""
    if len(core) >= 4 and core in names.popular:
        return Lookalike(core, "is its name with something added", close=False)
    return None

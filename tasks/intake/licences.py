"""Licence names and SPDX expressions: what they mean, and when two certainly disagree."""

import functools
import re
from collections.abc import Iterator
from typing import Any

# Short names that people write, by SPDX identifier (SPDX licence list 3.25).
_ALIASES = {
    "apache-2.0": ("apache 2", "apache2", "apache license 2.0", "apache license version 2.0",
                   "apache license, version 2.0", "apache 2.0", "apache software license 2.0"),
    "mit": ("mit license", "the mit license", "expat"),
    "bsd-3-clause": ("bsd 3 clause", "new bsd", "modified bsd", "bsd-3"),
    "bsd-2-clause": ("bsd 2 clause", "simplified bsd", "bsd-2"),
    "gpl-3.0": ("gpl v3", "gplv3", "gnu gpl v3", "gpl-3.0-only", "gpl-3.0-or-later"),
    "gpl-2.0": ("gpl v2", "gplv2", "gpl-2.0-only", "gpl-2.0-or-later"),
    "agpl-3.0": ("agpl v3", "agplv3", "agpl-3.0-only", "agpl-3.0-or-later"),
    "lgpl-3.0": ("lgpl v3", "lgplv3", "lgpl-3.0-only", "lgpl-3.0-or-later"),
    "mpl-2.0": ("mozilla public license 2.0", "mpl 2.0"),
    "cc-by-4.0": ("cc by 4.0", "creative commons attribution 4.0",
                  "creative commons attribution 4.0 international", "cc by"),
    "cc-by-sa-4.0": ("cc by sa 4.0", "cc by-sa 4.0", "cc by sa"),
    "cc-by-nc-4.0": ("cc by nc 4.0", "cc by-nc 4.0", "cc by nc 4.0 (non-commercial)", "cc by nc"),
    "cc-by-nc-sa-4.0": ("cc by nc sa 4.0", "cc by-nc-sa 4.0", "cc by nc sa"),
    "cc0-1.0": ("cc0", "public domain", "cc0 1.0", "public"),
    "odc-by-1.0": ("odc by",),
    "odbl-1.0": ("odbl", "open database license"),
    "unlicense": ("the unlicense",),
    "openrail": ("open rail",),
    "llama3.2": ("llama 3.2 community license",),
    "proprietary": ("commercial", "all rights reserved", "closed"),
}  # fmt: skip
_SEPARATORS = re.compile(r"[\s,_\-]+")
_ADDRESS = re.compile(
    r"https?://(?:www\.)?(?:spdx\.org/licenses|opensource\.org/licen[cs]es?|"
    r"choosealicense\.com/licenses|creativecommons\.org/(?:licenses|publicdomain))/([\w.+/\-]{1,60}?)"
    r"(?:\.html?|\.txt|/deed(?:\.\w+)?|/legalcode)?/?"
)
MOST_TEXT = 400
# How much a licence asks of whoever passes the work on; the index knows more words than steps.
FREE, SHARING, RESTRICTED = 0, 1, 2
_STEPS = {
    "Public Domain": FREE, "Permissive": FREE, "Copyleft Limited": SHARING, "Copyleft": SHARING,
    "Proprietary Free": RESTRICTED, "Commercial": RESTRICTED, "Free Restricted": RESTRICTED,
    "Source-available": RESTRICTED,
}  # fmt: skip


def spdx(text: str) -> str | None:
    """Returns the lower-case SPDX identifier that ``text`` certainly means, or None."""
    if len(text) > MOST_TEXT:
        return None
    plain = text.strip()
    if match := _ADDRESS.fullmatch(plain):
        plain = _creative(text, match[1].replace("/", "-"))
    if (known := _KNOWN.get(_plain(plain))) is not None:
        return known
    return plain.lower() if plain.lower() in _steps() else None


def expression_problem(text: str) -> str:
    """Returns why a text is no SPDX licence expression, or nothing.

    ``LicenseRef-`` and ``DocumentRef-`` names are allowed: they refer to a text elsewhere.
    """
    if len(text) > MOST_TEXT:
        return f"{len(text)} characters are no licence expression"
    if text.lower() in _steps():  # also identifiers that SPDX has since retired
        return ""
    parsed = _parsed(text)
    return parsed if isinstance(parsed, str) else ""


def contradicts(one: str | None, other: str | None) -> bool:
    """Answers whether two texts certainly name different licences; doubt is no contradiction.

    A choice (``MIT OR Apache-2.0``) agrees with each of its parts.
    """
    first, second = _choices(one or ""), _choices(other or "")
    return bool(first and second) and not first & second


def demands(text: str) -> int | None:
    """Returns what a licence asks: FREE, SHARING or RESTRICTED; None when it is not known.

    Of a choice the mildest counts, of a sum (``AND``) the strictest.
    """
    if (known := spdx(text)) is not None:
        return _steps().get(known)
    parsed = _parsed(text) if len(text) <= MOST_TEXT else ""
    return None if isinstance(parsed, str) else _weighed(parsed)


def _weighed(node: Any) -> int | None:
    parts = [_weighed(part) for part in node.args]
    known = [part for part in parts if part is not None]
    if not node.args:
        return _steps().get(str(node).partition(" ")[0].lower())
    if len(known) < len(parts):
        return None
    return min(known) if type(node).__name__ == "OR" else max(known)


def _choices(text: str) -> set[str]:
    """Returns the identifiers that one may choose from; empty when any is not certain."""
    if (known := spdx(text)) is not None:
        return {known}
    parts = re.split(r"\s+OR\s+", text.strip("() ")) if len(text) <= MOST_TEXT else []
    found = [spdx(part.strip("() ")) for part in parts] if len(parts) > 1 else []
    return {each for each in found if each} if found and all(found) else set()


def _creative(text: str, name: str) -> str:
    """Creative Commons addresses leave out the ``cc``."""
    if "creativecommons" not in text:
        return name
    return "cc0-1.0" if "publicdomain" in text else f"cc-{name}"


def _simplified(text: str) -> str:
    """Replaces what the parser does not know by a licence that it does.

    References to a text elsewhere, and retired identifiers with their exception in the name.
    """
    text = re.sub(r"\b(?:DocumentRef-[\w.\-]{1,100}:)?LicenseRef-[\w.\-]{1,100}", "MIT", text)
    return re.sub(r"\bGPL-([123]\.0)-with-[\w.\-]{1,60}", r"GPL-\1", text)


def _parsed(text: str) -> Any:
    """Returns the parsed expression, or what is wrong with it as text."""
    if text.count("(") > 20:
        return "nested too deep"
    try:
        parsed = _licensing().parse(_simplified(text), validate=True, strict=True)
    except Exception as error:  # noqa: BLE001 - the parser fails on odd texts in many ways
        return f"{type(error).__name__}: {error}"[:200]
    return "empty" if parsed is None else parsed


@functools.cache
def _licensing() -> Any:
    from license_expression import get_spdx_licensing  # noqa: PLC0415 - read once, when needed

    return get_spdx_licensing()


@functools.cache
def _steps() -> dict[str, int]:
    """Every SPDX identifier, in lower case, with what it asks."""
    from license_expression import get_license_index  # noqa: PLC0415 - read once, when needed

    steps = dict(_index(get_license_index()))
    for identifier, names in _ALIASES.items():
        # Old short names (GPL-3.0) ask what their successors ask.
        known = [steps[name] for name in (identifier, *names) if name in steps]
        if known:
            steps[identifier] = known[0]
    return steps | {"openrail": RESTRICTED, "proprietary": RESTRICTED, "llama3.2": RESTRICTED}


def _index(entries: list[dict[str, Any]]) -> Iterator[tuple[str, int]]:
    for entry in entries:
        names = [entry["spdx_license_key"], *entry["other_spdx_license_keys"]]
        for name in names:
            if name and entry["category"] in _STEPS:
                yield name.lower(), _STEPS[entry["category"]]


def _plain(text: str) -> str:
    return _SEPARATORS.sub(" ", text.strip().lower()).strip(" .")


_KNOWN = {
    _plain(name): identifier
    for identifier, names in _ALIASES.items()
    for name in (identifier, *names)
}

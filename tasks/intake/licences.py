"""Licence names: when two of them certainly mean different licences."""

import re

# Short names that people write, by SPDX identifier (SPDX licence list 3.25).
_ALIASES = {
    "apache-2.0": ("apache 2", "apache2", "apache license 2.0", "apache license version 2.0",
                   "apache license, version 2.0", "apache 2.0"),
    "mit": ("mit license", "the mit license", "expat"),
    "bsd-3-clause": ("bsd 3 clause", "new bsd", "modified bsd", "bsd-3"),
    "bsd-2-clause": ("bsd 2 clause", "simplified bsd", "bsd-2"),
    "gpl-3.0": ("gpl v3", "gplv3", "gnu gpl v3", "gpl-3.0-only", "gpl-3.0-or-later"),
    "gpl-2.0": ("gpl v2", "gplv2", "gpl-2.0-only", "gpl-2.0-or-later"),
    "agpl-3.0": ("agpl v3", "agplv3", "agpl-3.0-only", "agpl-3.0-or-later"),
    "lgpl-3.0": ("lgpl v3", "lgplv3", "lgpl-3.0-only", "lgpl-3.0-or-later"),
    "mpl-2.0": ("mozilla public license 2.0",),
    "cc-by-4.0": ("cc by 4.0", "creative commons attribution 4.0"),
    "cc-by-sa-4.0": ("cc by sa 4.0", "cc by-sa 4.0"),
    "cc-by-nc-4.0": ("cc by nc 4.0", "cc by-nc 4.0", "cc by nc 4.0 (non-commercial)"),
    "cc-by-nc-sa-4.0": ("cc by nc sa 4.0", "cc by-nc-sa 4.0"),
    "cc0-1.0": ("cc0", "public domain", "cc0 1.0"),
    "unlicense": ("the unlicense",),
    "openrail": ("open rail",),
    "proprietary": ("commercial", "all rights reserved", "closed"),
}  # fmt: skip
_SEPARATORS = re.compile(r"[\s,_\-]+")


def spdx(text: str) -> str | None:
    """Returns the lower-case SPDX identifier that ``text`` certainly means, or None."""
    return _KNOWN.get(_plain(text)) if len(text) <= 200 else None


def contradicts(one: str | None, other: str | None) -> bool:
    """Answers whether two texts certainly name different licences; doubt is no contradiction."""
    first, second = spdx(one or ""), spdx(other or "")
    return first is not None and second is not None and first != second


def _plain(text: str) -> str:
    return _SEPARATORS.sub(" ", text.strip().lower()).strip(" .")


_KNOWN = {
    _plain(name): identifier
    for identifier, names in _ALIASES.items()
    for name in (identifier, *names)
}

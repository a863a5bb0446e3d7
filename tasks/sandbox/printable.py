"""Words of a child, made fit to show: a log line or a terminal must not obey them."""

import re

_UNFIT = re.compile(
    r"[^\x20-\x7e\xa0-\u1fff\u2030-\u205e\u2070-\ud7ff\uf900-\ufdff]+|[\xad\u061c]+"
)
"""Control characters, escapes, line and paragraph separators, direction marks, private use."""


def printable(text: str, *, most: int = 2000) -> str:
    """Returns ``text`` on one line, unfit characters as one space, cut to ``most`` characters."""
    shown = _UNFIT.sub(" ", text).strip()
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"

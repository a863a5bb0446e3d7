"""Names a stranger chose: which ones are refused, and how any of them is shown to a person."""

import re
import unicodedata

MOST_NAME_BYTES = 255
_FORBIDDEN = {"\\": "a backslash", ":": "a colon", "/": "a slash"}
_WORD = re.compile(r"[^\W\d_]+")
_LOOKALIKES = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE")


def shown(text: str, most: int = 200) -> str:
    """Returns ``text`` safe to print: anything but printable ASCII is escaped, long text is cut.

    Homoglyphs, direction overrides, terminal codes and newlines become visible that way.
    """
    cut = text if len(text) <= most else text[:most] + "…"
    if cut.isascii() and cut.isprintable():
        return cut  # millions of values of a table come by here, and nearly all are so
    return "".join(char if " " <= char <= "~" or char == "…" else _escaped(char) for char in cut)


def name_problem(name: str) -> str | None:
    """Returns why one part of a path is refused, or None when it may stay.

    Args:
        name: A file or folder name, without separators.
    """
    if name in {"", ".", ".."}:
        return "is not a name"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "is not UTF-8"
    if size > MOST_NAME_BYTES:
        return f"is {size} bytes long, {MOST_NAME_BYTES} are allowed"
    for char in name:
        if char in _FORBIDDEN:
            return f"contains {_FORBIDDEN[char]}"
        if is_invisible(char):
            return f"contains the invisible character {_escaped(char)}"
    return None


def is_invisible(char: str) -> bool:
    """Answers whether a character steers the display instead of being seen.

    Control (Cc), format (Cf: direction overrides, zero width), line and paragraph separators.
    """
    return unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp", "Cs"}


def mixes_scripts(text: str) -> bool:
    """Answers whether one word of ``text`` mixes alphabets that look alike (Latin, Cyrillic …)."""
    return any(len(_scripts(word)) > 1 for word in _WORD.findall(text))


def _scripts(word: str) -> set[str]:
    names = (unicodedata.name(char, "").partition(" ")[0] for char in word)
    return {script for script in names if script in _LOOKALIKES}


def _escaped(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

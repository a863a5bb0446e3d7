"""Small words that several commands share."""

_MARKS = {
    "pass": "pass      ",
    "fail": "FAIL      ",
    "undecided": "undecided ",
    "not_applicable": "n/a       ",
    "not_available": "not avail.",
    "error": "ERROR     ",
}


def outcome_mark(outcome: str) -> str:
    """Returns an outcome in ten columns, loud when it needs eyes."""
    return _MARKS[outcome]


def visible(text: str) -> str:
    """Returns text as a terminal may have it: escapes, direction marks and the like are spelled.

    Vendors choose names and papers; no line of theirs may recolour, move or forge ours.
    """
    return "".join(char if char.isprintable() or char == "\n" else _spelled(char) for char in text)


def _spelled(char: str) -> str:
    return f"\\x{ord(char):02x}" if ord(char) < 0x100 else f"\\u{ord(char):04x}"

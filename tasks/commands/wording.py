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

"""Identifiers: one pattern for everything that lives in a catalog."""

import re
from typing import Annotated

from pydantic import StringConstraints

PATTERN = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$"
EntryId = Annotated[str, StringConstraints(pattern=PATTERN, max_length=100)]
"""Lower-case dotted path of at least two parts, for example ``evasion.linf_robust_accuracy``."""

_MATCHES = re.compile(PATTERN)


def is_entry_id(text: str) -> bool:
    """Answers whether ``text`` may name a catalog entry."""
    return len(text) <= 100 and _MATCHES.fullmatch(text) is not None

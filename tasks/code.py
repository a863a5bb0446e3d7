"""The digest of the sources that measure: part of every spec, so new code measures anew."""

import functools
from pathlib import Path

from tasks.domain.digest import Digest, digest_of, digest_of_file
from tasks.domain.frozen import canonical_json

MEASURING_ROOMS = (
    "attacks",
    "checks",
    "detectors",
    "domain",
    "intake",
    "sandbox",
    "scanners",
    "statistics",
    "targets",
)
KINDS = (".py", ".toml")
"""Code, and the lists of known names that scanners read beside it."""


@functools.cache
def code_digest() -> Digest:
    """Returns one digest over every source and table that can change what a check measures."""
    root = Path(__file__).parent
    files = (file for room in MEASURING_ROOMS for file in (root / room).rglob("*"))
    table = {
        file.relative_to(root).as_posix(): digest_of_file(file)
        for file in files
        if file.suffix in KINDS
    }
    return digest_of(canonical_json(table))

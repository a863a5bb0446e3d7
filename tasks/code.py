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


@functools.cache
def code_digest() -> Digest:
    """Returns one digest over every Python file that can change what a check measures."""
    root = Path(__file__).parent
    files = (file for room in MEASURING_ROOMS for file in (root / room).rglob("*.py"))
    table = {file.relative_to(root).as_posix(): digest_of_file(file) for file in files}
    return digest_of(canonical_json(table))

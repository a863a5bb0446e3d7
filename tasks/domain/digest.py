"""Digests: the names under which bytes are stored and referred to."""

import hashlib
import re
from pathlib import Path
from typing import Annotated, NewType

from pydantic import StringConstraints

Digest = NewType("Digest", str)
"""``sha256:`` followed by 64 lower-case hexadecimal digits."""

PATTERN = r"^sha256:[0-9a-f]{64}$"
DigestField = Annotated[Digest, StringConstraints(pattern=PATTERN)]
CHUNK_BYTES = 1 << 20


def is_digest(text: str) -> bool:
    """Answers whether ``text`` has the form of a digest."""
    return re.fullmatch(PATTERN, text) is not None


def digest_of(data: bytes) -> Digest:
    """Returns the digest of ``data``."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def digest_of_file(path: Path) -> Digest:
    """Returns the digest of the file at ``path``, read once in constant memory."""
    with path.open("rb") as stream:
        return Digest("sha256:" + hashlib.file_digest(stream, "sha256").hexdigest())


def hexadecimal(digest: Digest) -> str:
    """Returns the 64 digits without the algorithm's name."""
    return digest.removeprefix("sha256:")

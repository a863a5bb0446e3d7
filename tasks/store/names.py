"""Names that may reach a file system or a bucket; everything else is refused first."""

import re

from tasks.domain.digest import PATTERN, Digest, hexadecimal
from tasks.domain.errors import StoreError
from tasks.store.protocol import CLAIM_PATTERN

CLAIM_NAME_LIMIT = 512
"""Characters in a whole claim name; S3 keys end at 1024 bytes and a prefix needs room."""
CLAIM_PART_LIMIT = 128
"""Characters between two slashes; file names end at 255 bytes."""
CLAIM_BYTES_LIMIT = 1 << 20
"""Claims are small: digests and leases, never objects."""

_DIGEST = re.compile(PATTERN)
_CLAIM = re.compile(CLAIM_PATTERN)


def object_name(digest: Digest) -> str:
    """Returns the 64 hexadecimal digits under which an object lies.

    Raises:
        StoreError: ``digest`` is not a digest.
    """
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise StoreError(f"{str(digest)[:100]!r} is not a digest: sha256: and 64 digits expected")
    return hexadecimal(digest)


def claim_name(name: str) -> str:
    """Returns ``name`` when it may name a claim.

    Raises:
        StoreError: It is not a relative lower-case path of plain parts, or is too long.
    """
    if not is_claim_name(name):
        raise StoreError(
            f"{name[:100]!r} cannot name a claim: lower-case parts of letters, digits, '.', '_' "
            f"and '-' joined by '/', each at most {CLAIM_PART_LIMIT} characters"
        )
    return name


def is_claim_name(name: str) -> bool:
    """Answers whether ``name`` may name a claim."""
    return (
        len(name) <= CLAIM_NAME_LIMIT
        and _CLAIM.fullmatch(name) is not None
        and max(map(len, name.split("/"))) <= CLAIM_PART_LIMIT
    )


def claim_value(name: str, data: bytes) -> bytes:
    """Returns ``data`` when it is small enough to be claimed.

    Raises:
        StoreError: It belongs into an object.
    """
    if len(data) > CLAIM_BYTES_LIMIT:
        raise StoreError(
            f"claim {name} is {len(data)} bytes, the limit is {CLAIM_BYTES_LIMIT}: put the bytes "
            "as an object and claim their digest"
        )
    return data

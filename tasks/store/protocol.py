"""What every object store promises. Conformance: ``tests/conformance/test_store.py``.

Two kinds of names. *Objects* are addressed by the digest of their bytes, so writing one twice is
harmless and reading one proves itself. *Claims* are small write-once values under a chosen name;
of many concurrent writers exactly one wins, and every reader afterwards sees the winner's bytes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from pydantic import Field

from tasks.domain.digest import Digest, DigestField
from tasks.domain.frozen import Frozen

CLAIM_PATTERN = r"^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*$"
"""Claim names are relative lower-case paths; ``..`` and empty parts are refused."""


class ObjectRef(Frozen):
    """Where an object lies: its digest, size, and on S3 the version that was acknowledged."""

    digest: DigestField
    size_bytes: int = Field(ge=0)
    version: str | None = None


class Guarantees(Frozen):
    """What a store was *measured* to guarantee, by a probe on the real endpoint.

    ``worm`` is true only when deleting, shortening and downgrading a locked version were all
    refused. ``notes`` names each probe and its result, for evidence.
    """

    backend: str
    write_once_claims: bool
    versioned: bool
    worm: bool
    checksums: bool
    notes: tuple[str, ...] = ()


class ObjectStore(Protocol):
    """Bytes by digest, claims by name. All methods raise ``StoreError`` subclasses only.

    A store that keeps versions also has ``audit(digest) -> list[str]``: what someone did to an
    object since it was put (other bytes stacked on it, delete markers), in words.
    """

    def put(self, data: bytes) -> ObjectRef:
        """Stores ``data`` durably; returns after the store has acknowledged it."""

    def put_file(self, path: Path) -> ObjectRef:
        """Stores a file durably, in constant memory."""

    def get(self, digest: Digest, *, version: str | None = None) -> bytes:
        """Returns the bytes, after checking them against ``digest``.

        Raises:
            ObjectMissingError: Nothing is stored under ``digest``.
            ObjectCorruptError: Something else is.
        """

    def fetch(self, digest: Digest, destination: Path) -> None:
        """Writes the object to ``destination`` (which must not exist), checked like ``get``.

        Raises:
            FileExistsError: ``destination`` is there already; it is left as it is.
        """

    def has(self, digest: Digest) -> bool:
        """Answers whether an object is stored, without reading it."""

    def digests(self) -> Iterator[Digest]:
        """Yields every stored object, in no order."""

    def claim(self, name: str, data: bytes) -> bool:
        """Writes ``data`` under ``name`` unless something is there; True when this call won."""

    def claimed(self, name: str) -> bytes | None:
        """Returns what was claimed under ``name``, or None."""

    def claims(self, prefix: str = "") -> Iterator[str]:
        """Yields the names of all claims that start with ``prefix``, sorted."""

    def guarantees(self) -> Guarantees:
        """Probes the endpoint and says what it really guarantees."""

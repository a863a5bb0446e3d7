"""An object store in memory, for tests that are not about storage."""

import threading
from collections.abc import Iterator
from pathlib import Path

from tasks.domain.digest import Digest, digest_of
from tasks.domain.errors import ObjectCorruptError, ObjectMissingError
from tasks.store.names import claim_name, claim_value, object_name
from tasks.store.protocol import Guarantees, ObjectRef


class MemoryStore:
    """Keeps objects and claims in two dicts; tests may break them from the inside."""

    def __init__(self) -> None:
        self.objects: dict[Digest, bytes] = {}
        self.named: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def put(self, data: bytes) -> ObjectRef:
        digest = digest_of(data)
        self.objects.setdefault(digest, bytes(data))
        return ObjectRef(digest=digest, size_bytes=len(data))

    def put_file(self, path: Path) -> ObjectRef:
        return self.put(path.read_bytes())

    def get(self, digest: Digest, *, version: str | None = None) -> bytes:  # noqa: ARG002
        object_name(digest)
        if digest not in self.objects:
            raise ObjectMissingError(f"{digest} is not stored")
        if digest_of(self.objects[digest]) != digest:
            raise ObjectCorruptError(f"{digest} holds other bytes")
        return self.objects[digest]

    def fetch(self, digest: Digest, destination: Path) -> None:
        data = self.get(digest)
        with destination.open("xb") as stream:
            stream.write(data)

    def has(self, digest: Digest) -> bool:
        object_name(digest)
        return digest in self.objects

    def digests(self) -> Iterator[Digest]:
        yield from list(self.objects)

    def claim(self, name: str, data: bytes) -> bool:
        value = bytes(claim_value(claim_name(name), data))
        with self._lock:
            if name in self.named:
                return False
            self.named[name] = value
        return True

    def claimed(self, name: str) -> bytes | None:
        return self.named.get(claim_name(name))

    def claims(self, prefix: str = "") -> Iterator[str]:
        yield from sorted(name for name in self.named if name.startswith(prefix))

    def guarantees(self) -> Guarantees:
        return Guarantees(
            backend="memory", write_once_claims=True, versioned=False, worm=False, checksums=True
        )

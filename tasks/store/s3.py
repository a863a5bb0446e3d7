"""An object store on S3: AWS, Ceph and others, evidence optionally under Object Lock.

Objects lie under ``<prefix>sha256/<digest>``. In a versioned bucket anyone who may write can stack
another version or a delete marker on a key, locked or not, so "latest" proves nothing: ``put``
returns the version that was acknowledged, ``get`` checks every byte, and when the latest version is
missing or wrong it looks for one that is right.
"""

import base64
import functools
import hashlib
import io
import os
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from tasks.domain.digest import CHUNK_BYTES, Digest, hexadecimal
from tasks.domain.errors import (
    ObjectCorruptError,
    ObjectMissingError,
    StoreError,
    StoreNotAnsweringError,
)
from tasks.store.calls import Caller, Deadline
from tasks.store.claims import Claims
from tasks.store.content import Content, Nowhere, Upload, content_of
from tasks.store.durable import open_regular
from tasks.store.local import beside
from tasks.store.names import object_name
from tasks.store.probe import Place, probe_endpoint
from tasks.store.protocol import Guarantees, ObjectRef

SINGLE_PUT_LIMIT_BYTES = 5 << 30
"""Multipart uploads escape conditional writes and whole-object checksums, so none are made."""
_HEX = re.compile(r"[0-9a-f]{64}")


class Version(NamedTuple):
    """One version of a key as the store lists it."""

    id: str
    etag: str
    marker: bool
    modified: str


class S3Store:
    """Objects in one bucket, claims in another."""

    def __init__(self, place: Place, caller: Caller, claims: Claims) -> None:
        self._place = place
        self._client = place.client
        self._caller = caller
        self._claims = claims
        self._lock = threading.Lock()
        self._guarantees: Guarantees | None = None

    def put(self, data: bytes) -> ObjectRef:
        """Stores ``data``; returns the version that the store acknowledged."""
        return self._store(content_of(io.BytesIO(data)), io.BytesIO(data))

    def put_file(self, path: Path) -> ObjectRef:
        """Stores a file in constant memory.

        Raises:
            StoreError: It cannot be read, is larger than 5 GiB, or changed on the way.
        """
        try:
            with open_regular(path) as stream:
                before = os.fstat(stream.fileno())
                if before.st_size > SINGLE_PUT_LIMIT_BYTES:
                    raise StoreError(
                        f"{path} is {before.st_size} bytes; one S3 object holds at most "
                        f"{SINGLE_PUT_LIMIT_BYTES} when it is written in one piece"
                    )
                content = content_of(stream)
                ref = self._store(content, stream)
                after = os.fstat(stream.fileno())
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error}") from error
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise StoreError(f"{path} changed while it was stored; store it again")
        return ref

    def get(self, digest: Digest, *, version: str | None = None) -> bytes:
        """Returns the bytes after checking them.

        Raises:
            ObjectMissingError: Nothing is stored under ``digest``, or not that version.
            ObjectCorruptError: Only other bytes are.
        """
        sink = io.BytesIO()
        self._read(digest, version, sink)
        return sink.getvalue()

    def fetch(self, digest: Digest, destination: Path) -> None:
        """Writes the object to ``destination``, which appears only when its bytes are right."""
        with beside(destination) as sink:
            self._read(digest, None, sink)

    def has(self, digest: Digest) -> bool:
        """Answers whether any version of the object is stored."""
        try:
            self._head(digest)
        except ObjectMissingError:
            return self._versioned and any(not it.marker for it in self._versions(digest))
        return True

    def digests(self) -> Iterator[Digest]:
        """Yields every stored object, also those under a delete marker."""
        start, seen = f"{self._place.prefix}sha256/", ""
        for entry in self._listed(start):
            name = entry["Key"].removeprefix(start)
            if "ETag" in entry and name != seen and _HEX.fullmatch(name):
                seen = name
                yield Digest(f"sha256:{name}")

    def claim(self, name: str, data: bytes) -> bool:
        """Writes ``data`` under ``name`` unless something is there; True when this call won."""
        return self._claims.claim(name, data)

    def claimed(self, name: str) -> bytes | None:
        """Returns what was claimed under ``name``, or None."""
        return self._claims.claimed(name)

    def claims(self, prefix: str = "") -> Iterator[str]:
        """Yields the names of all claims that start with ``prefix``, sorted."""
        return self._claims.names(prefix)

    def audit(self, digest: Digest) -> list[str]:
        """Returns what someone did to the object since: other bytes stacked, or a delete marker."""
        if not self._versioned:
            return []
        versions = list(self._versions(digest))
        problems = [
            f"{digest}: delete marker {it.id} of {it.modified}" for it in versions if it.marker
        ]
        stored = [it for it in versions if not it.marker]
        wrong = self._wrong_etags(digest, stored) if len(stored) > 1 else set()
        problems += [
            f"{digest}: version {it.id} of {it.modified} holds other bytes"
            for it in stored
            if it.etag in wrong
        ]
        if stored and all(it.etag in wrong for it in stored):
            problems.append(f"{digest}: no version holds the right bytes")
        return problems

    def guarantees(self) -> Guarantees:
        """Probes the endpoint, once per process."""
        with self._lock:
            if self._guarantees is None:
                self._guarantees = probe_endpoint(self._place, self._caller, self._claims)
            return self._guarantees

    @functools.cached_property
    def _versioned(self) -> bool:
        answer = self._caller.call(
            "reading versioning",
            lambda _: self._client.get_bucket_versioning(Bucket=self._place.bucket),
        )
        return bool(answer.get("Status") == "Enabled")

    def _key(self, digest: Digest) -> str:
        return f"{self._place.prefix}sha256/{object_name(digest)}"

    def _head(self, digest: Digest) -> dict[str, Any]:
        key = self._key(digest)
        head: dict[str, Any] = self._caller.call(
            f"looking for {digest}",
            lambda _: self._client.head_object(Bucket=self._place.bucket, Key=key),
        )
        return head

    def _store(self, content: Content, stream: BinaryIO) -> ObjectRef:
        version = self._standing(content)
        if version is None:
            version = self._put(content, stream)
        return ObjectRef(
            digest=content.digest, size_bytes=content.size_bytes, version=version or None
        )

    def _standing(self, content: Content) -> str | None:
        """Returns the latest version when it already holds the content ("" without versions).

        The ETag is computed by the store from the bytes it received, so a stacked version of
        other bytes does not carry it. Where it is no MD5 (KMS), the object is written once more.
        """
        try:
            head = self._head(content.digest)
        except ObjectMissingError:
            return None
        same = head["ETag"].strip('"') == content.md5.hex()
        if not same or head["ContentLength"] != content.size_bytes:
            return None
        version = str(head.get("VersionId", ""))
        self._extend_lock(content.digest, version, head)
        return version

    def _extend_lock(self, digest: Digest, version: str, head: dict[str, Any]) -> None:
        lock, until = self._lock_arguments(), head.get("ObjectLockRetainUntilDate")
        if not lock or (until and lock["ObjectLockRetainUntilDate"] - until < timedelta(days=1)):
            return
        # A stricter lock that is already there may be extended, never weakened.
        strict = head.get("ObjectLockMode") == "COMPLIANCE"
        mode = "COMPLIANCE" if strict else lock["ObjectLockMode"]
        self._caller.call(
            f"extending the lock of {digest}",
            lambda _: self._client.put_object_retention(
                Bucket=self._place.bucket,
                Key=self._key(digest),
                VersionId=version,
                Retention={
                    "Mode": mode,
                    "RetainUntilDate": lock["ObjectLockRetainUntilDate"],
                },
            ),
        )

    def _lock_arguments(self) -> dict[str, Any]:
        settings = self._caller.settings
        if not settings.retention_days:
            return {}
        if not self.guarantees().worm:
            raise StoreError(
                f"{self._place.where} was asked to lock evidence for {settings.retention_days} "
                f"days, but does not keep locks: {'; '.join(self.guarantees().notes)}. Use a "
                "bucket with object lock, or set storage.retention_days to 0."
            )
        return {
            "ObjectLockMode": settings.retention_mode,
            "ObjectLockRetainUntilDate": datetime.now(UTC) + timedelta(settings.retention_days),
        }

    def _put(self, content: Content, stream: BinaryIO) -> str:
        lock = self._lock_arguments()
        raw = bytes.fromhex(hexadecimal(content.digest))

        def put(deadline: Deadline) -> str:
            stream.seek(0)
            answer = self._client.put_object(
                Bucket=self._place.bucket,
                Key=self._key(content.digest),
                Body=Upload(stream, deadline),
                ContentLength=content.size_bytes,
                ContentMD5=base64.b64encode(content.md5).decode(),  # Ceph 16 checks no other
                ChecksumSHA256=base64.b64encode(raw).decode(),
                **lock,
            )
            return str(answer.get("VersionId", ""))

        return self._caller.call(f"storing {content.digest}", put, size_bytes=content.size_bytes)

    def _read(self, digest: Digest, version: str | None, sink: BinaryIO) -> None:
        try:
            self._read_one(digest, version, sink)
        except (ObjectMissingError, ObjectCorruptError) as problem:
            if version is not None or not self._versioned:
                raise
            if not self._read_any(digest, sink):
                raise problem from None

    def _read_any(self, digest: Digest, sink: BinaryIO) -> bool:
        """Reads the oldest version with the right bytes: what came first was put by us."""
        tried: set[str] = set()
        for version in reversed(list(self._versions(digest))):
            if version.marker or version.etag in tried:
                continue
            tried.add(version.etag)
            try:
                self._read_one(digest, version.id, sink)
            except (ObjectMissingError, ObjectCorruptError):
                continue
            return True
        if tried:
            raise ObjectCorruptError(f"{digest} in {self._place.where}: no version has its bytes")
        return False

    def _read_one(self, digest: Digest, version: str | None, sink: BinaryIO) -> None:
        for _ in range(2):  # what was damaged on the way is whole the second time
            if self._download(digest, version, sink) == digest:
                return
        which = f"version {version}" if version else "the latest version"
        raise ObjectCorruptError(
            f"{digest} in {self._place.where}: {which} holds other bytes. Someone wrote over it; "
            "read by the version in the signed record, or restore it."
        )

    def _download(self, digest: Digest, version: str | None, sink: BinaryIO) -> Digest:
        arguments = {"Bucket": self._place.bucket, "Key": self._key(digest)}
        which = f"version {version[:100]}" if version else "the latest version"
        if version is not None:
            arguments["VersionId"] = version

        def download(deadline: Deadline) -> Digest:
            sink.seek(0)
            sink.truncate()
            answer = self._client.get_object(**arguments)
            deadline.allow(answer["ContentLength"])
            state = hashlib.sha256()
            while chunk := answer["Body"].read(CHUNK_BYTES):
                deadline.check()
                state.update(chunk)
                sink.write(chunk)
            return Digest("sha256:" + state.hexdigest())

        try:
            return self._caller.call(f"reading {which} of {digest}", download)
        except StoreNotAnsweringError:
            raise
        except StoreError as error:
            if version is not None and "InvalidArgument" in str(error):
                raise ObjectMissingError(f"{digest} has no version {version[:100]!r}") from error
            raise

    def _versions(self, digest: Digest) -> Iterator[Version]:
        key = self._key(digest)
        for entry in self._listed(key):
            if entry["Key"] == key:
                yield Version(
                    entry["VersionId"],
                    entry.get("ETag", ""),
                    marker="ETag" not in entry,
                    modified=entry["LastModified"].isoformat(),
                )

    def _wrong_etags(self, digest: Digest, versions: list[Version]) -> set[str]:
        """Reads one version of each ETag; returns those whose bytes are not the object's."""
        by_etag = {version.etag: version.id for version in versions}
        return {
            etag
            for etag, version in by_etag.items()
            if self._download(digest, version, Nowhere()) != digest
        }

    def _listed(self, start: str) -> Iterator[dict[str, Any]]:
        """Yields every object, version and delete marker whose key begins with ``start``."""
        if self._versioned:
            operation, marks = self._client.list_object_versions, _VERSION_MARKS
        else:
            operation, marks = self._client.list_objects_v2, _OBJECT_MARKS
        where: dict[str, str] = {}
        while True:
            ask = functools.partial(operation, Bucket=self._place.bucket, Prefix=start, **where)
            page = self._caller.call("listing objects", functools.partial(_once, ask))
            for part in ("Contents", "Versions", "DeleteMarkers"):
                yield from page.get(part, [])
            if not page.get("IsTruncated"):
                return
            where = {argument: page[field] for argument, field in marks.items() if field in page}


_VERSION_MARKS = {"KeyMarker": "NextKeyMarker", "VersionIdMarker": "NextVersionIdMarker"}
_OBJECT_MARKS = {"ContinuationToken": "NextContinuationToken"}


def _once(ask: Callable[[], dict[str, Any]], _: Deadline) -> dict[str, Any]:
    return ask()

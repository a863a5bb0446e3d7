"""An object store in a folder: the default, for one machine.

``sha256/ab/<digest>`` holds objects, ``claims/<name>=`` claims (the sign cannot occur in a name, so
a claim ``a`` and a claim ``a/b`` do not meet), ``tmp/`` what is being written. The folder's owner
can change anything in it: a local store detects tampering, it cannot prevent it.
"""

import contextlib
import errno
import hashlib
import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NoReturn

from tasks.domain.digest import CHUNK_BYTES, Digest, digest_of, digest_of_file
from tasks.domain.errors import ObjectCorruptError, ObjectMissingError, StoreError
from tasks.store.durable import Draft, open_regular, publish, sweep, sync_folder, temporary
from tasks.store.names import claim_name, claim_value, is_claim_name, object_name
from tasks.store.protocol import Guarantees, ObjectRef

_log = logging.getLogger(__name__)
_MARK = "="
_REMEDIES = {
    errno.ENOSPC: "The disk is full: free space, then run again.",
    errno.EDQUOT: "The disk quota is used up: free space, then run again.",
    errno.EACCES: "Permission is missing: give this user write access, or choose another store.",
    errno.EPERM: "The file system refuses hard links or writing: choose another store.",
    errno.EROFS: "The file system is read-only: choose another store.",
    errno.EFBIG: "The file is larger than this process or file system allows.",
}


class LocalStore:
    """Objects and claims under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._temporary = root / "tmp"
        sweep(self._temporary)

    def put(self, data: bytes) -> ObjectRef:
        """Stores ``data``; returns when it is on the disk."""
        digest = digest_of(data)
        if not self._holds(digest):
            with self._writing(str(digest)) as draft:
                draft.stream.write(data)
                self._publish(draft, digest)
        return ObjectRef(digest=digest, size_bytes=len(data))

    def put_file(self, path: Path) -> ObjectRef:
        """Stores a file in constant memory; reads it once, so it cannot change in between."""
        with _source(path) as source, self._writing(str(path)) as draft:
            digest, size = _copy(source, draft.stream)
            if not self._holds(digest):
                self._publish(draft, digest)
        return ObjectRef(digest=digest, size_bytes=size)

    def get(self, digest: Digest, *, version: str | None = None) -> bytes:  # noqa: ARG002 - one version only
        """Returns the bytes after checking them.

        Raises:
            ObjectMissingError: Nothing is stored under ``digest``.
            ObjectCorruptError: Something else is.
        """
        with self._reading(digest) as stream:
            data = stream.read()
        if digest_of(data) != digest:
            raise self._corrupt(digest)
        return data

    def fetch(self, digest: Digest, destination: Path) -> None:
        """Writes the object to ``destination``, which appears only when its bytes are right.

        Raises:
            FileExistsError: ``destination`` is there already.
            ObjectMissingError: Nothing is stored under ``digest``.
            ObjectCorruptError: Something else is.
        """
        with self._reading(digest) as source, beside(destination) as stream:
            found, _ = _copy(source, stream)
            if found != digest:
                raise self._corrupt(digest)

    def has(self, digest: Digest) -> bool:
        """Answers whether a file lies where the object belongs."""
        return self._path(digest).is_file()

    def digests(self) -> Iterator[Digest]:
        """Yields every stored object, in no order."""
        for path in (self.root / "sha256").glob("??/" + "?" * 64):
            with contextlib.suppress(StoreError):
                digest = Digest(f"sha256:{path.name}")
                object_name(digest)
                yield digest

    def claim(self, name: str, data: bytes) -> bool:
        """Writes ``data`` under ``name`` unless something is there; True when this call won."""
        destination = self._claim_path(name)
        claim_value(name, data)
        if destination.is_file():
            self._settled(destination)
            return False
        with self._writing(f"claim {name}") as draft:
            draft.stream.write(data)
            return publish(draft, destination)

    def claimed(self, name: str) -> bytes | None:
        """Returns what was claimed under ``name``, or None."""
        path = self._claim_path(name)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            _refused(f"claim {name} cannot be read", error)

    def claims(self, prefix: str = "") -> Iterator[str]:
        """Yields the names of all claims that start with ``prefix``, sorted."""
        root = self.root / "claims"
        start = root / prefix.rpartition("/")[0]
        if not is_claim_name(prefix.rstrip("/") or "all"):
            return
        names = (
            str(path.relative_to(root)).removesuffix(_MARK) for path in start.rglob("*" + _MARK)
        )
        yield from sorted(name for name in names if name.startswith(prefix) and is_claim_name(name))

    def audit(self, digest: Digest) -> list[str]:
        """Returns nothing: a folder keeps no versions that could be unexpected."""
        object_name(digest)
        return []

    def guarantees(self) -> Guarantees:
        """Tries the write-once claim on the real file system."""
        with self._writing("the probe") as draft:
            draft.stream.write(b"probe")
            probe = self._temporary / f"{uuid.uuid4().hex}.probe"
            try:
                first = publish(draft, probe)
                second = publish(draft, probe)
            finally:
                probe.unlink(missing_ok=True)
        return Guarantees(
            backend="local",
            write_once_claims=first and not second,
            versioned=False,
            worm=False,
            checksums=True,
            notes=(
                f"second claim of one name: {'taken' if second else 'refused'}",
                "objects: checked against their digest on every read",
                "deleting: possible for the folder's owner",
            ),
        )

    def _path(self, digest: Digest) -> Path:
        name = object_name(digest)
        return self.root / "sha256" / name[:2] / name

    def _claim_path(self, name: str) -> Path:
        return self.root / "claims" / (claim_name(name) + _MARK)

    def _holds(self, digest: Digest) -> bool:
        """Answers whether the object is there with the right bytes, durably."""
        path = self._path(digest)
        try:
            if not path.is_file() or digest_of_file(path) != digest:
                return False
        except OSError as error:
            _refused(f"{path} cannot be read", error)
        self._settled(path)
        return True

    def _settled(self, path: Path) -> None:
        # Another process may have linked the name a moment ago and not flushed it yet.
        with contextlib.suppress(OSError):  # a read-only folder has nothing to flush
            sync_folder(path.parent)

    def _publish(self, draft: Draft, digest: Digest) -> None:
        path = self._path(digest)
        if not publish(draft, path) and not self._holds(digest):
            _log.warning("%s held other bytes and was mended", path)
            publish(draft, path, replace=True)

    @contextlib.contextmanager
    def _writing(self, what: str) -> Iterator[Draft]:
        try:
            with temporary(self._temporary) as draft:
                yield draft
        except OSError as error:
            _refused(f"{what} cannot be stored in {self.root}", error)

    @contextlib.contextmanager
    def _reading(self, digest: Digest) -> Iterator[BinaryIO]:
        path = self._path(digest)
        try:
            stream = open_regular(path)
        except (FileNotFoundError, NotADirectoryError):
            raise ObjectMissingError(f"{digest} is not stored in {self.root}") from None
        except OSError as error:
            _refused(f"{path} cannot be read", error)
        with stream:
            yield stream

    def _corrupt(self, digest: Digest) -> ObjectCorruptError:
        return ObjectCorruptError(
            f"{self._path(digest)} does not hold the bytes of its name: the disk failed or someone "
            "changed it. Restore it from a backup, or put the original again."
        )


@contextlib.contextmanager
def beside(destination: Path) -> Iterator[BinaryIO]:
    """Lends a file next to ``destination``, which it becomes when the block ends well.

    Raises:
        FileExistsError: ``destination`` is there already.
        StoreError: It cannot be written.
    """
    if destination.exists():
        raise FileExistsError(f"{destination} exists already")
    part = destination.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with part.open("x+b") as stream:
            yield stream
        _give_name(part, destination)
    except FileExistsError:
        raise
    except OSError as error:
        _refused(f"{destination} cannot be written", error)
    finally:
        part.unlink(missing_ok=True)


def _give_name(part: Path, destination: Path) -> None:
    try:
        destination.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:  # no hard links here; unlike a claim, this name has one writer
        part.replace(destination)


def _source(path: Path) -> BinaryIO:
    try:
        return open_regular(path)
    except OSError as error:
        _refused(f"{path} cannot be read", error)


def _copy(source: BinaryIO, target: BinaryIO) -> tuple[Digest, int]:
    state, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK_BYTES):
        state.update(chunk)
        target.write(chunk)
        size += len(chunk)
    return Digest("sha256:" + state.hexdigest()), size


def _refused(what: str, error: OSError) -> NoReturn:
    reason = os.strerror(error.errno) if error.errno else str(error)
    remedy = _REMEDIES.get(error.errno or 0, "")
    raise StoreError(f"{what}: {reason}. {remedy}".rstrip()) from error

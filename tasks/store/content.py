"""What is put into S3, and the streams it travels through."""

import hashlib
import io
from typing import Any, BinaryIO, NamedTuple

from tasks.domain.digest import CHUNK_BYTES, Digest
from tasks.store.calls import Deadline


class Content(NamedTuple):
    """What is going to be put."""

    digest: Digest
    md5: bytes
    size_bytes: int


def content_of(stream: BinaryIO) -> Content:
    """Reads a stream to its end, once, in constant memory."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    while chunk := stream.read(CHUNK_BYTES):
        sha256.update(chunk)
        md5.update(chunk)
        size += len(chunk)
    return Content(Digest("sha256:" + sha256.hexdigest()), md5.digest(), size)


class Upload(io.RawIOBase):
    """A stream that notices when its upload takes too long."""

    def __init__(self, stream: BinaryIO, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def readable(self) -> bool:
        """Answers yes."""
        return True

    def seekable(self) -> bool:
        """Answers yes: botocore reads once to sign and once to send."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Reads on, unless the deadline has passed."""
        self._deadline.check()
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Moves."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Returns the position."""
        return self._stream.tell()


class Nowhere(io.BytesIO):
    """Takes bytes and keeps none."""

    def write(self, data: Any, /) -> int:
        """Counts and forgets."""
        return len(data)

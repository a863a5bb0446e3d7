"""A bundle in one file: .zip, .tar or .tar.gz, unpacked by rules instead of trust.

Every name, size and kind is checked before the first byte is written; what is written is counted
again, because archives lie about sizes. The unpacked folder then goes through the same survey as
any other folder.
"""

import errno
import gzip
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tasks.domain.errors import InvalidInputError, StoreError
from tasks.intake.names import name_problem, shown
from tasks.intake.quarantine import MOST_PROBLEMS, Quotas, refusal

_COPY_BYTES = 1 << 20
_MOST_RATIO = 1_100  # deflate cannot do better than 1032:1 (zlib technical notes)
_EOCD = struct.Struct("<4s4H2LH")
_EOCD64 = struct.Struct("<4sQ2H2L4Q")
# What the libraries raise on damaged or deliberately odd archives (RuntimeError also covers
# NotImplementedError, ValueError also broken text).
_DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, struct.error,
    RuntimeError, ValueError, OverflowError,
)  # fmt: skip
_DIRECTORY_BYTES = 700  # a central directory record with a long name and extra fields


def unpack(archive: Path, into: Path, *, quotas: Quotas) -> None:
    """Unpacks a bundle file into the empty folder ``into``.

    Raises:
        InvalidInputError: Not an archive we read, or one with names, kinds, sizes or contradictions
            that a plain bundle does not have. Nothing outside ``into`` is ever written.
        StoreError: The disk is full.
    """
    try:
        with archive.open("rb") as stream:
            start = stream.read(512)
            stream.seek(0)
            if start[:4] == b"PK\x03\x04":
                _unpack_zip(stream, into, quotas)
            elif start[:2] == b"\x1f\x8b":
                with gzip.GzipFile(fileobj=stream) as plain:
                    _unpack_tar(plain, into, quotas)
            elif start[257:262] == b"ustar":
                _unpack_tar(stream, into, quotas)
            else:
                raise InvalidInputError(
                    f"{shown(archive.name)} is neither a folder nor a .zip, .tar or .tar.gz file."
                )
    except _DAMAGE as error:
        raise InvalidInputError(
            f"{shown(archive.name)} is a damaged or ambiguous archive: {shown(str(error))}. Pack "
            "the bundle again with a common tool."
        ) from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise InvalidInputError(
            refusal(["the archive uses one name for a file and for a folder"])
        ) from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # an offset that no file has
            raise InvalidInputError(f"{shown(archive.name)} is a damaged archive.") from error
        raise StoreError(
            f"The archive could not be unpacked to {into}: {error.strerror or error}. Free some "
            "space, then try again."
        ) from error


def _unpack_zip(stream: IO[bytes], into: Path, quotas: Quotas) -> None:
    _refuse_large_directory(stream, quotas)
    with zipfile.ZipFile(stream) as archive:
        members = archive.infolist()
        _refuse_bad_names([item.filename for item in members], quotas)
        _refuse(_zip_problem(item) for item in members)
        _refuse(_overlap_problems(members, archive.start_dir))
        files = [item for item in members if not item.is_dir()]
        _refuse_sizes([item.file_size for item in files], quotas)
        for item in files:
            with archive.open(item) as content:
                _write(content, into / item.filename, item.file_size)


def _zip_problem(item: zipfile.ZipInfo) -> str:
    name, kind = shown(item.filename), stat.S_IFMT(item.external_attr >> 16)
    if item.orig_filename not in {item.filename, item.filename.rstrip("\0")}:
        return f"{name} has a hidden second name"
    if item.flag_bits & 0x1:
        return f"{name} is encrypted"
    if item.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        return f"{name} uses an uncommon compression"
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return f"{name} is a link or a special file"
    if item.file_size > max(1 << 20, _MOST_RATIO * item.compress_size):
        return f"{name} claims to grow more than {_MOST_RATIO} times"
    return ""


def _overlap_problems(members: list[zipfile.ZipInfo], directory: int) -> Iterator[str]:
    ordered = sorted(members, key=lambda item: item.header_offset)
    ends = [item.header_offset for item in ordered[1:]] + [directory]
    if ordered and ordered[0].header_offset != 0:
        yield "the archive hides bytes before its first member"
    for item, end in zip(ordered, ends, strict=True):
        if item.header_offset + 30 + len(item.filename) + item.compress_size > end:
            yield f"{shown(item.filename)} overlaps its neighbour"


def _refuse_large_directory(stream: IO[bytes], quotas: Quotas) -> None:
    """Reads the end record alone: the library would first read a million entries into memory."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - 65_557))
    tail = stream.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _EOCD.size:
        raise zipfile.BadZipFile("it has no end record")
    record = _EOCD.unpack_from(tail, at)
    entries, length = record[4], record[5]
    at64 = tail.rfind(b"PK\x06\x06", 0, at)
    if at64 >= 0:
        record64 = _EOCD64.unpack_from(tail, at64)
        entries, length = max(entries, record64[7]), max(length, record64[8])
        if length == 0xFFFFFFFF:
            length = record64[8]
    stream.seek(0)
    if entries == 0xFFFF and at64 >= 0:
        entries = _EOCD64.unpack_from(tail, at64)[7]
    if entries > quotas.files or length > quotas.files * _DIRECTORY_BYTES:
        raise InvalidInputError(refusal([f"more than {quotas.files} files in one archive"]))


class _Metered:
    """A stream that gives no more than promised, and never much at once.

    The tar reader takes extension headers into memory at their claimed size; nothing that a bundle
    needs is larger than one megabyte there.
    """

    def __init__(self, stream: Any, most: int) -> None:
        self._stream = stream
        self._left = most

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _COPY_BYTES:
            raise tarfile.ReadError("a header claims to be larger than a megabyte")
        data: bytes = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise InvalidInputError(refusal(["the archive unpacks to more than the quota"]))
        return data


def _unpack_tar(stream: Any, into: Path, quotas: Quotas) -> None:
    """Reads front to back, so each member is checked before it is written."""
    most = quotas.total_bytes + (quotas.files + 16) * 4 * tarfile.BLOCKSIZE
    seen: set[str] = set()
    total = 0
    # The mode is read-only; "|" forbids seeking back, so no byte is read twice.
    with tarfile.open(fileobj=_Metered(stream, most), mode="r|", errorlevel=2) as archive:  # type: ignore[call-overload]  # stubs want more of a stream than is used
        for item in archive:
            if len(seen) >= quotas.files:
                raise InvalidInputError(refusal([f"more than {quotas.files} files and folders"]))
            _refuse_bad_names([item.name, *([item.name] if item.name in seen else [])], quotas)
            seen.add(item.name)
            if item.isdir():
                continue
            if not item.isreg() or item.issparse():
                raise InvalidInputError(
                    refusal([f"{shown(item.name)} is a link, sparse or a special file"])
                )
            total += item.size
            _refuse_sizes([item.size, total - item.size], quotas, most_total=total)
            content = archive.extractfile(item)
            assert content is not None
            with content:
                _write(content, into / item.name, item.size)


def _refuse_bad_names(names: list[str], quotas: Quotas) -> None:
    _refuse(_path_problem(name, quotas) for name in names)
    plain = [name.removesuffix("/").removeprefix("./") for name in names]
    if len(set(plain)) != len(plain):
        raise InvalidInputError(refusal(["a name appears twice in the archive"]))


def _path_problem(name: str, quotas: Quotas) -> str:
    parts = name.removesuffix("/").removeprefix("./").split("/")
    if name in {".", "./"}:
        return ""
    if len(parts) > quotas.depth:
        return f"{shown(name)} lies too deep"
    why = next((why for part in parts if (why := name_problem(part))), None)
    return f"{shown(name)} leaves the bundle or {why}" if why else ""


def _refuse(problems: Iterator[str]) -> None:
    found = [problem for problem in problems if problem][:MOST_PROBLEMS]
    if found:
        raise InvalidInputError(refusal(found))


def _refuse_sizes(sizes: list[int], quotas: Quotas, *, most_total: int = 0) -> None:
    if max(sizes, default=0) > quotas.file_bytes and not most_total:
        raise InvalidInputError(refusal([f"a file of more than {quotas.file_bytes} bytes"]))
    if most_total and sizes[0] > quotas.file_bytes:
        raise InvalidInputError(refusal([f"a file of more than {quotas.file_bytes} bytes"]))
    if max(sum(sizes), most_total) > quotas.total_bytes:
        raise InvalidInputError(refusal([f"more than {quotas.total_bytes} bytes in all"]))


def _write(content: IO[bytes], place: Path, promised: int) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with place.open("xb") as copy:
        while chunk := content.read(min(_COPY_BYTES, promised - written + 1)):
            written += len(chunk)
            if written > promised:
                break
            copy.write(chunk)
    if written != promised:
        raise InvalidInputError(
            refusal([f"{shown(place.name)} holds more or less than the {promised} bytes it claims"])
        )

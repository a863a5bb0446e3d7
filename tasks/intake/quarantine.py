"""Into quarantine: every file of a bundle folder by digest, or nothing.

The folder is surveyed first, without opening a file: what is too much, too deep or not a plain
file is refused before one byte is copied. Then each file is opened once, without following links,
and hashed while it is copied, so that what was hashed is what is stored.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from tasks.domain.bundle import FileEntry
from tasks.domain.digest import CHUNK_BYTES, Digest
from tasks.domain.errors import InvalidInputError, StoreError
from tasks.domain.frozen import Frozen
from tasks.intake.names import name_problem, shown
from tasks.intake.scratch import scratch
from tasks.store.protocol import ObjectStore

MOST_PROBLEMS = 20
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening what has just become a FIFO must not wait for a writer.
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}


class Quotas(Frozen):
    """How much one bundle may be. Sizes are those that files claim, so sparse files count full."""

    total_bytes: int = Field(default=20 << 30, gt=0)
    file_bytes: int = Field(default=10 << 30, gt=0)
    files: int = Field(default=10_000, gt=0)
    depth: int = Field(default=16, gt=0)


QUOTAS = Quotas()


class Surveyed(NamedTuple):
    """A plain file as the survey saw it."""

    path: str
    identity: tuple[int, int]
    size_bytes: int


def quarantine(
    folder: Path, store: ObjectStore, *, quotas: Quotas, workspace: Path
) -> tuple[FileEntry, ...]:
    """Stores every file of ``folder`` and returns them sorted by path.

    Args:
        folder: The bundle; read, never changed.
        store: Where the bytes go.
        quotas: Refused beyond these before anything is copied.
        workspace: A folder for one spool file at a time; left as it was.

    Raises:
        InvalidInputError: The folder holds something else than plain files with plain names, more
            than the quotas, or a file that changes while it is read.
        StoreError: The disk or the store is full or does not answer.
    """
    root = _open_root(folder)
    try:
        surveyed = survey(root, quotas)
        with scratch(workspace, "spool") as spool:
            return tuple(_taken(root, file, store, spool / "file") for file in surveyed)
    except OSError as error:
        raise InvalidInputError(
            f"{shown(str(folder))} cannot be read: {error.strerror}. Check that every file of the "
            "bundle is readable, then try again."
        ) from error
    finally:
        os.close(root)


def survey(root: int, quotas: Quotas) -> tuple[Surveyed, ...]:
    """Lists the files below an open folder, sorted by path, without opening any.

    Raises:
        InvalidInputError: With every reason found (the first 20), when anything is refused.
    """
    found: list[Surveyed] = []
    problems: list[str] = []
    total = 0
    for seen, item in enumerate(_walk(root, "", quotas.depth), start=1):
        if seen > quotas.files:
            problems.append(f"more than {quotas.files} files and folders")
            break
        problem = item if isinstance(item, str) else _size_problem(item, quotas)
        if problem:
            problems.append(problem)
        elif isinstance(item, Surveyed):
            total += item.size_bytes
            found.append(item)
        if len(problems) >= MOST_PROBLEMS:
            break
    if total > quotas.total_bytes:
        problems.append(f"{total} bytes in all, {quotas.total_bytes} are allowed")
    if problems:
        raise InvalidInputError(refusal(problems))
    return tuple(sorted(found))


def refusal(problems: list[str]) -> str:
    """Builds the one message for everything that keeps a bundle out of quarantine."""
    return (
        f"The bundle is refused before copying: {'; '.join(problems)}. Hand in plain files only, "
        "within the quotas, with plain names."
    )


def _size_problem(file: Surveyed | None, quotas: Quotas) -> str:
    if file is not None and file.size_bytes > quotas.file_bytes:
        allowed = f"{quotas.file_bytes} a file are allowed"
        return f"{shown(file.path)} has {file.size_bytes} bytes, {allowed}"
    return ""


def _walk(folder: int, prefix: str, depth: int) -> Iterator[Surveyed | str | None]:
    """Yields files, problems as text, and None for each folder (it counts, too)."""
    with os.scandir(folder) as entries:
        for entry in entries:
            path = prefix + entry.name
            if why := name_problem(entry.name):
                yield f"{shown(path)} {why}"
                continue
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                yield Surveyed(path, (status.st_dev, status.st_ino), status.st_size)
            elif not stat.S_ISDIR(status.st_mode):
                kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no plain file")
                yield f"{shown(path)} is {kind}"
            elif depth <= 1:
                yield f"{shown(path)} lies too deep"
            else:
                yield None
                yield from _below(folder, entry.name, path, depth)


def _below(folder: int, name: str, path: str, depth: int) -> Iterator[Surveyed | str | None]:
    child = os.open(name, _FOLDER_FLAGS, dir_fd=folder)
    try:
        yield from _walk(child, f"{path}/", depth - 1)
    finally:
        os.close(child)


def _open_root(folder: Path) -> int:
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidInputError(
            f"{shown(str(folder))} is not a folder that can be read: {error.strerror}."
        ) from error


def _open_file(root: int, path: str) -> int:
    """Opens a file below ``root``, one part at a time, so that no swapped folder is followed."""
    *folders, name = path.split("/")
    current = os.dup(root)
    try:
        for part in folders:
            below = os.open(part, _FOLDER_FLAGS, dir_fd=current)
            os.close(current)
            current = below
        return os.open(name, _FILE_FLAGS, dir_fd=current)
    finally:
        os.close(current)


def _taken(root: int, file: Surveyed, store: ObjectStore, spool: Path) -> FileEntry:
    source = _open_file(root, file.path)
    try:
        before = os.fstat(source)
        unchanged = (before.st_dev, before.st_ino) == file.identity
        if not unchanged or not stat.S_ISREG(before.st_mode):
            raise _changed(file)
        digest, size = _spooled(source, spool, file.size_bytes)
        after = os.fstat(source)
    finally:
        os.close(source)
    if size != file.size_bytes or after.st_mtime_ns != before.st_mtime_ns:
        raise _changed(file)
    stored = store.put_file(spool)
    spool.unlink()
    if stored.digest != digest:
        raise StoreError(f"{shown(file.path)} was hashed as {digest}, stored as {stored.digest}.")
    return FileEntry(path=file.path, digest=digest, size_bytes=size)


def _spooled(source: int, spool: Path, most: int) -> tuple[Digest, int]:
    """Copies at most one byte more than expected, so that a growing file cannot fill the disk."""
    hasher, size = hashlib.sha256(), 0
    try:
        with spool.open("xb") as copy:
            while size <= most and (chunk := os.read(source, min(CHUNK_BYTES, most + 1 - size))):
                hasher.update(chunk)
                copy.write(chunk)
                size += len(chunk)
    except OSError as error:
        raise StoreError(
            f"The bundle could not be copied to {spool.parent}: {error.strerror}. Nothing of it "
            "was kept there. Free some space (or point PROOFHOUSE_HOME elsewhere), then try again."
        ) from error
    return Digest("sha256:" + hasher.hexdigest()), size


def _changed(file: Surveyed) -> InvalidInputError:
    return InvalidInputError(
        f"{shown(file.path)} changed while it was being read. Hand in a bundle that nothing else "
        "writes to."
    )

"""Files that are there completely and durably, or not at all.

A file is written beside its place, flushed to the disk, and only then linked to its name: readers
never see half of it, and of many writers exactly one creates the name. Stale temporary files are
told from live ones by a lock that dies with its owner, not by a clock.
"""

import contextlib
import fcntl
import os
import stat
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

SWEEP_AFTER_SECONDS = 60
"""A writer creates and locks its file within this time; younger files are left alone."""


class Draft(NamedTuple):
    """A file that is being written and has no name yet that counts."""

    stream: BinaryIO
    path: Path


@contextlib.contextmanager
def temporary(folder: Path) -> Iterator[Draft]:
    """Lends a new, locked file in ``folder``; it is gone afterwards, linked elsewhere or not.

    Raises:
        OSError: The folder cannot be written.
    """
    make_folder(folder)
    path = folder / f"{uuid.uuid4().hex}.part"
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o444)
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Draft(stream, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def publish(draft: Draft, destination: Path, *, replace: bool = False) -> bool:
    """Gives a draft its name, durably; False when the name was taken.

    Args:
        draft: The file, still open.
        destination: The name it gets, on the same file system.
        replace: Takes the name over instead; for mending only.

    Raises:
        OSError: The disk is full, read-only, or the file system has no hard links.
    """
    draft.stream.flush()
    os.fsync(draft.stream.fileno())
    make_folder(destination.parent)
    try:
        if replace:
            draft.path.replace(destination)
        else:
            destination.hardlink_to(draft.path)
    except FileExistsError:
        return False
    finally:
        # Also for the loser: whoever learns that a name is taken may rely on it after a power cut.
        sync_folder(destination.parent)
    return True


def make_folder(folder: Path) -> None:
    """Creates a folder and its parents, each durably."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Flushes the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_regular(path: Path) -> BinaryIO:
    """Opens a plain file for reading; a pipe or a device is refused instead of waited for.

    Raises:
        OSError: It cannot be read, or is not a plain file.
    """
    stream = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise OSError(f"{path} is not a plain file")
    return stream


def sweep(folder: Path) -> int:
    """Removes temporary files whose writer is dead; returns how many. Never raises."""
    removed = 0
    with contextlib.suppress(OSError):
        for path in folder.glob("*.part"):
            with contextlib.suppress(OSError):
                removed += _remove_if_stale(path)
    return removed


def _remove_if_stale(path: Path) -> bool:
    with path.open("rb") as stream:
        if time.time() - os.fstat(stream.fileno()).st_mtime < SWEEP_AFTER_SECONDS:
            return False
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while the writer lives
        path.unlink()
    return True

"""The child's folder on this machine, below level L3: made, measured, removed whatever it holds."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "proofhouse-scratch-"
MOST_ENTRIES = 20_000
"""Beyond this many files and folders a scratch counts as full."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 512
_LONGEST_PATH = 2048  # half of what the kernel takes, so that an entry's name still fits


def make_scratch(root: Path | None, uid: int | None) -> Path:
    """Makes an empty private folder, named after this process so that it can be swept later."""
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=root))
    if uid is not None:
        os.chown(folder, uid, uid)
    return folder.resolve()


def used_bytes(folder: Path, pid: int | None = None) -> int | None:
    """Returns what the scratch occupies, with files that ``pid`` holds open but unlinked.

    None when that cannot be measured: too many entries, or too deep to reach. Both mean "full".
    """
    try:
        return sum(_sizes(folder)) + sum(_unlinked(pid))
    except OverflowError:
        return None


def _sizes(folder: Path) -> Iterator[int]:
    waiting, seen = [str(folder)], 0
    while waiting:
        for entry in _entries(waiting.pop()):
            seen += 1
            if seen > MOST_ENTRIES:
                raise OverflowError
            with contextlib.suppress(FileNotFoundError):
                yield entry.stat(follow_symlinks=False).st_blocks * _BLOCK
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    if len(folder) > _LONGEST_PATH:
        raise OverflowError
    try:
        return list(os.scandir(folder))
    except (FileNotFoundError, PermissionError):
        return []  # the child is at work in there, or hides it; its files are few and bounded


def _unlinked(pid: int | None) -> Iterator[int]:
    if pid is None:
        return
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                held = link.stat()
                if stat.S_ISREG(held.st_mode) and held.st_nlink == 0:
                    yield held.st_blocks * _BLOCK


def remove_scratch(folder: Path) -> None:
    """Removes the folder and everything in it, however deep, never following a link.

    Walks down and back up ("..") with one open descriptor, so that neither the length of a path
    nor the depth of a tree matters. The child must be dead: nobody may move folders meanwhile.
    """
    try:
        here = os.open(folder, _FOLDER)
    except FileNotFoundError:
        return
    names: list[str] = []
    waiting = [_empty_of_files(here)]
    while waiting:
        if waiting[-1]:
            names.append(waiting[-1].pop())
            os.chmod(names[-1], 0o700, dir_fd=here)
            here = _step(here, names[-1])
            waiting.append(_empty_of_files(here))
        else:
            waiting.pop()
            if names:
                here = _step(here, "..")
                os.rmdir(names.pop(), dir_fd=here)
    os.close(here)
    folder.rmdir()


def _step(here: int, name: str) -> int:
    there = os.open(name, _FOLDER, dir_fd=here)
    os.close(here)
    return there


def _empty_of_files(here: int) -> list[str]:
    """Unlinks everything that is not a folder; returns the names of the folders."""
    folders = []
    for entry in list(os.scandir(here)):
        if entry.is_dir(follow_symlinks=False):
            folders.append(entry.name)
        else:
            os.unlink(entry.name, dir_fd=here)
    return folders


def sweep(root: Path | None = None) -> None:
    """Removes scratch folders whose process is gone: it was killed and could not do it itself."""
    base = root or Path(tempfile.gettempdir())
    for folder in base.glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        mine = not folder.is_symlink() and folder.lstat().st_uid in {os.geteuid(), *_dropped()}
        if owner.isdigit() and mine and not Path(f"/proc/{owner}").exists():
            with contextlib.suppress(OSError):
                remove_scratch(folder)


def _dropped() -> tuple[int, ...]:
    return (CHILD_UID,) if os.geteuid() == 0 else ()


CHILD_UID = 65_534
"""Whom root becomes for a child at level L2, when the interpreter can be reached that way."""

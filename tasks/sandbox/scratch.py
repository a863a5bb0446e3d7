"""The child's folder on this machine (below level L3): made, measured, removed whatever is in it."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "proofhouse-scratch-"
MOST_ENTRIES = 20_000
"""Beyond this many files and folders a scratch counts as full."""
_BLOCK = 512


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
        try:
            entries = list(os.scandir(waiting.pop()))
        except (FileNotFoundError, PermissionError):
            continue  # the child is at work in there; what it hides it can be asked about later
        except OSError as error:  # a path longer than the kernel takes
            raise OverflowError from error
        seen += len(entries)
        if seen > MOST_ENTRIES:
            raise OverflowError
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                yield entry.stat(follow_symlinks=False).st_blocks * _BLOCK
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def _unlinked(pid: int | None) -> Iterator[int]:
    if pid is None:
        return
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                held = os.stat(f"/proc/{pid}/fd/{name}")
                if stat.S_ISREG(held.st_mode) and held.st_nlink == 0:
                    yield held.st_blocks * _BLOCK


def remove_scratch(folder: Path) -> None:
    """Removes the folder and everything in it, however deep, never following a link.

    Folders are pulled up to the top one by one, so that neither the length of a path nor the depth
    of a tree matters.
    """
    number = 0
    while True:
        try:
            entries = list(os.scandir(folder))
        except FileNotFoundError:
            return
        if not entries:
            break
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                number = _flatten(Path(entry.path), folder, number)
            else:
                os.unlink(entry.path)
    os.rmdir(folder)


def _flatten(inner: Path, top: Path, number: int) -> int:
    inner.chmod(0o700)
    for entry in list(os.scandir(inner)):
        if entry.is_dir(follow_symlinks=False):
            os.chmod(entry.path, 0o700)  # moving a folder writes into it
            number += 1
            while (place := top / f"{number:x}").exists():
                number += 1
            os.rename(entry.path, place)
        else:
            os.unlink(entry.path)
    inner.rmdir()
    return number


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

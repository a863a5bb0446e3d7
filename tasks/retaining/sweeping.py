"""Removes leftovers that no living process uses; evidence is never touched.

Leftovers are entries of ``<home>/scratch`` (workspaces of killed runs) and reports laid out for
reading, which are written again from evidence whenever somebody asks.
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

DAY_SECONDS = 86_400


class Swept(NamedTuple):
    """How much was removed, and what could not be, in words."""

    entries: int
    size_bytes: int
    problems: tuple[str, ...]


def sweep(home: Path, *, days: float, reports_days: float, now: float | None = None) -> Swept:
    """Removes scratch older than ``days`` and laid-out reports older than ``reports_days``.

    Links are removed and never followed. An entry that changed inside the last ``days``, however
    deep, belongs to somebody and stays.
    """
    moment = time.time() if now is None else now
    entries = size = 0
    problems: list[str] = []
    for place, age in ((home / "scratch", days), (home / "reports", reports_days)):
        for entry in _entries(place):
            try:
                if moment - _last_change(entry) < age * DAY_SECONDS:
                    continue
                size += _size(entry)
                _remove(entry)
                entries += 1
            except OSError as error:
                problems.append(f"{entry}: {error.strerror or error}")
    return Swept(entries, size, tuple(problems))


def _entries(folder: Path) -> Iterator[Path]:
    if folder.is_dir() and not folder.is_symlink():
        yield from sorted(folder.iterdir())


def _last_change(entry: Path) -> float:
    times = [entry.lstat().st_mtime]
    if entry.is_dir() and not entry.is_symlink():
        times += [path.lstat().st_mtime for path in entry.rglob("*")]
    return max(times)


def _size(entry: Path) -> int:
    if entry.is_symlink() or not entry.is_dir():
        return entry.lstat().st_size
    return sum(path.lstat().st_size for path in entry.rglob("*") if path.is_file())


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()

"""The operator's offline copy of advisories: which of its documents mention which package.

A copy has tens of thousands of documents, and a night asks it about every asset. It is read through
once in a process; each question then opens the few documents that mention the package.
"""

import contextlib
import datetime as dt
import functools
import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from packaging.utils import canonicalize_name

from tasks.domain.errors import SettingsError

MOST_BYTES = 64 << 20
"""A larger document is not read, which is said."""
_MOST_FILES = 1_000_000
_MODIFIED = re.compile(rb'"modified"\s*:\s*"(\d{4}-\d\d-\d\d)')
_NAMED = re.compile(rb'"name"\s*:\s*"([^"\\\x00-\x1f]{1,200})"')

State = tuple[int, ...]


class AdvisoryCopy(NamedTuple):
    """A copy as it was read through."""

    path: Path
    documents: int
    newest: dt.date | None
    """Day of the latest change that any document tells of."""
    mentions: dict[str, tuple[str, ...]]
    """Canonical package name to the places of documents that mention it, in the copy's order."""
    oversized: tuple[str, ...] = ()
    """Documents that were not read."""

    def about(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yields place and bytes of every document that mentions a package of these names.

        Raises:
            SettingsError: The copy was taken away meanwhile.
        """
        wanted = {
            place for name in names for place in self.mentions.get(canonicalize_name(name), ())
        }
        if wanted:
            yield from _documents(self.path, wanted)


def open_copy(path: Path) -> AdvisoryCopy:
    """Returns the copy at ``path``: a file, folder or zip of OSV JSON; read again if it changed.

    Raises:
        SettingsError: There is nothing at ``path`` that could be read: the operator's mistake.
    """
    return _read_through(path, _state(path))


@functools.lru_cache(maxsize=2)
def _read_through(path: Path, state: State) -> AdvisoryCopy:  # noqa: ARG001  - another is read anew
    mentions: defaultdict[str, list[str]] = defaultdict(list)
    documents, newest = 0, b""
    for place, data in _documents(path):
        documents += 1
        newest = max([newest, *_MODIFIED.findall(data)])
        for name in {
            canonicalize_name(found.decode("utf-8", "replace")) for found in _NAMED.findall(data)
        }:
            mentions[name].append(place)
    if not documents:
        raise SettingsError(
            f"The advisory source {path} holds no OSV JSON. Point it at a .json file, a folder or "
            "a .zip of them, or leave the setting empty."
        )
    kept = {name: tuple(places) for name, places in mentions.items()}
    oversized = tuple(place for place, size in _sizes(path) if size > MOST_BYTES)
    return AdvisoryCopy(path, documents, _day(newest), kept, oversized)


def _state(path: Path) -> State:
    """Returns what changes whenever the copy does: sizes and times of its files."""
    files = _files(path) if path.is_dir() else [path]
    told = (file.stat() for file in files if file.exists())
    return tuple(
        number for each in told for number in (each.st_ino, each.st_size, each.st_mtime_ns)
    )


def _documents(path: Path, wanted: set[str] | None = None) -> Iterator[tuple[str, bytes]]:
    def is_read(place: str, size: int) -> bool:
        return size <= MOST_BYTES and (wanted is None or place in wanted)

    with _failing_clearly(path):
        places = [place for place, size in _sizes(path) if is_read(place, size)]
        if path.suffix == ".zip" and path.is_file():
            with zipfile.ZipFile(path) as archive:
                yield from ((place, archive.read(place)) for place in places)
        else:
            yield from ((place, Path(place).read_bytes()) for place in places)


def _sizes(path: Path) -> list[tuple[str, int]]:
    """Returns the documents of a copy with their sizes in bytes."""
    with _failing_clearly(path):
        if path.is_dir():
            return [(str(file), file.stat().st_size) for file in _files(path)]
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                entries = archive.infolist()[:_MOST_FILES]
            return [(e.filename, e.file_size) for e in entries if e.filename.endswith(".json")]
        return [(str(path), path.stat().st_size)]


@contextlib.contextmanager
def _failing_clearly(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise SettingsError(
            f"The advisory source {path} cannot be read: {error}. Correct the setting "
            "'advisories', or leave it empty."
        ) from error


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.json"))[:_MOST_FILES]


def _day(text: bytes) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text.decode())
    except ValueError:
        return None

"""Drops: bundles that somebody puts into a folder or under a prefix, to be taken in when complete.

A drop is one entry of the place: a folder, an archive, or a single file. ``NAME.ready`` beside it
says that it is complete; without one it is, when it has been quiet for a while and its manifest
names no file that is still missing. Names that start with a dot are nobody's drop.
"""

import errno
import os
import shutil
import stat
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol

from tasks.domain.digest import Digest, digest_of, digest_of_file
from tasks.domain.errors import InvalidInputError
from tasks.domain.frozen import canonical_json
from tasks.intake.manifest import MANIFEST, named_paths, parse_manifest
from tasks.intake.names import shown

READY = ".ready"
ASIDE = ".poison"
MOST_FILES = 10_000


class DropFile(NamedTuple):
    """One file of a drop: its path inside the drop (empty for a single file), size and mark.

    ``mark`` changes whenever the bytes may have: inode and times, or ETag and version.
    """

    path: str
    size_bytes: int
    mark: str
    changed: datetime


class Drop(NamedTuple):
    """One drop as a listing saw it."""

    name: str
    files: tuple[DropFile, ...]
    ready: bool

    @property
    def mark(self) -> Digest:
        """Equal marks: nobody touched the drop in between."""
        told = [[file.path, file.size_bytes, file.mark] for file in self.files]
        return digest_of(canonical_json([self.name, sorted(told)]))


class Patience(NamedTuple):
    """How long a drop must be quiet to count as complete, and when waiting for it ends."""

    settle: timedelta = timedelta(seconds=30)
    longest: timedelta = timedelta(days=1)


class DropPlace(Protocol):
    """Where drops come to."""

    def drops(self) -> tuple[Drop, ...]:
        """Lists the drops that are there now, by name."""

    def manifest(self, drop: Drop) -> bytes | None:
        """Returns the drop's ``bundle.yaml``, or None when it is no folder or has none (yet)."""

    def fetch(self, drop: Drop, into: Path) -> Path:
        """Returns the drop as a local path, copied below ``into`` where it has to be."""

    def set_aside(self, drop: Drop, reason: str) -> str:
        """Moves a drop that cannot be used out of the way, if it can; returns where to."""


def waiting_reason(drop: Drop, place: DropPlace, patience: Patience, now: datetime) -> str:
    """Returns why a drop is not complete yet; empty when it may be taken in.

    What its owner marked as ready, and what has been quiet for longer than anybody waits, is taken
    as it is: intake will say what is wrong with it.
    """
    if drop.ready:
        return ""
    if not drop.files:
        return "it is empty"
    quiet = now - max(file.changed for file in drop.files)
    if quiet < patience.settle:
        wanted = int(patience.settle.total_seconds())
        return f"it changed {max(0, int(quiet.total_seconds()))} s ago, {wanted} s of quiet count"
    if quiet >= patience.longest:
        return ""
    return _missing(drop, place)


def content_of(path: Path) -> Digest:
    """Returns the content address of a drop on disk: equal files under equal names are equal.

    Raises:
        InvalidInputError: There is something else than plain files in it.
    """
    mode = path.lstat().st_mode
    if not stat.S_ISDIR(mode):
        if not stat.S_ISREG(mode):
            raise InvalidInputError(f"{shown(path.name)} is no plain file or folder.")
        return digest_of_file(path)
    rows = [[name, digest_of_file(place)] for name, place in _plain_files(path)]
    return digest_of(canonical_json(rows))


class FolderPlace:
    """Drops in a local folder. Names that cannot be listed are left alone."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InvalidInputError(
                f"{shown(str(folder))} is no folder. Make it, or give s3://bucket/prefix."
            )
        self._folder = folder

    def drops(self) -> tuple[Drop, ...]:
        """Lists the entries of the folder."""
        entries = {entry.name: entry for entry in self._folder.iterdir()}
        return tuple(
            Drop(name, tuple(_listed(entry)), ready=name + READY in entries)
            for name, entry in sorted(entries.items())
            if not name.startswith(".") and not name.endswith(READY)
        )

    def manifest(self, drop: Drop) -> bytes | None:
        """Reads the manifest of a folder, when it is a plain file of sensible size."""
        path = self._folder / drop.name / MANIFEST
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_size > 1 << 20:
                return None
            return path.read_bytes()
        except OSError:
            return None

    def fetch(self, drop: Drop, into: Path) -> Path:  # noqa: ARG002 - a local drop is not copied
        """Returns the drop where it lies: intake copies every file by digest anyway."""
        return self._folder / drop.name

    def set_aside(self, drop: Drop, reason: str) -> str:
        """Moves the drop below ``.poison/`` with the reason beside it."""
        name = f"{drop.name[:180]}-{uuid.uuid4().hex[:8]}"
        target = self._folder / ASIDE / name
        try:
            target.parent.mkdir(exist_ok=True)
            shutil.move(self._folder / drop.name, target)
            (target.parent / f"{name}.reason.txt").write_text(reason + "\n", encoding="utf-8")
            (self._folder / (drop.name + READY)).unlink(missing_ok=True)
        except OSError as error:
            return "" if error.errno != errno.ENOENT else "elsewhere"
        return str(target)


def _missing(drop: Drop, place: DropPlace) -> str:
    """Names files that the manifest speaks of and that have not come."""
    there = {file.path for file in drop.files}
    if there == {""}:
        return ""
    data = place.manifest(drop)
    if data is None:
        return "" if MANIFEST in there else f"it has no {MANIFEST} yet"
    try:
        named = named_paths(parse_manifest(data))
    except InvalidInputError:
        return ""  # quiet and broken: intake says how
    late = sorted(set(named.values()) - there)
    return f"{MANIFEST} names files that have not come: {', '.join(late[:5])}" if late else ""


def _listed(entry: Path) -> Iterator[DropFile]:
    try:
        status = entry.lstat()
    except OSError:
        return  # somebody else took it
    if not stat.S_ISDIR(status.st_mode):
        yield _file("", status)
        return
    for count, path in enumerate(sorted(entry.rglob("*"))):
        try:
            status = path.lstat()
        except OSError:
            continue
        if count >= MOST_FILES:
            return
        if not stat.S_ISDIR(status.st_mode):
            yield _file(path.relative_to(entry).as_posix(), status)


def _file(path: str, status: os.stat_result) -> DropFile:
    # The time of change (ctime) cannot be set by whoever copies, unlike that of modification.
    size, changed = status.st_size, status.st_ctime_ns
    mark = f"{status.st_ino}:{changed}"
    return DropFile(path, size, mark, datetime.fromtimestamp(changed / 1e9, UTC))


def _plain_files(folder: Path) -> Sequence[tuple[str, Path]]:
    found: list[tuple[str, Path]] = []
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            continue
        if not stat.S_ISREG(mode):
            raise InvalidInputError(
                f"{shown(str(path.relative_to(folder)))} is no plain file. Hand in plain files."
            )
        found.append((path.relative_to(folder).as_posix(), path))
        if len(found) > MOST_FILES:
            raise InvalidInputError(f"more than {MOST_FILES} files in one drop.")
    return found

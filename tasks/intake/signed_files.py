"""Which files a signature speaks of, and how they differ from the ones that came."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tasks.domain.bundle import BundleSpec, FileEntry
from tasks.domain.digest import hexadecimal
from tasks.intake.envelope import Statement
from tasks.intake.names import shown

_MOST_NAMED = 5


class Coverage(NamedTuple):
    """What the signed list leaves out: the artifact itself, and any other files."""

    artifact: bool
    unsigned: tuple[str, ...]


class SignedFiles:
    """A signed list of files laid over the files of a bundle.

    Args:
        statement: The signed list.
        spec: The manifest, for the places of artifact and signature.
        files: What lies in quarantine.
    """

    def __init__(self, statement: Statement, spec: BundleSpec, files: Iterable[FileEntry]) -> None:
        self.statement = statement
        self._artifact = spec.model.artifact
        self._signature = spec.signature.path if spec.signature else ""
        self._files = {file.path: file for file in files}
        self.root = self._root()
        self._signed = {self._joined(item.name): item for item in statement.resources}

    def differences(self) -> list[str]:
        """Names what changed, went missing or was added under the signed folder."""
        missing = sorted(set(self._signed) - set(self._files))
        added = sorted(
            path for path in self._below() - set(self._signed) if not self._excused(path)
        )
        return [
            f"{len(paths)} {what}: {some(paths)}"
            for what, paths in (
                ("signed files are missing", missing),
                ("files differ from the signed ones", self._changed()),
                ("files were added after signing", added),
            )
            if paths
        ]

    def coverage(self) -> Coverage:
        """Says what the signature does not speak of."""
        artifact = self._artifact is None or self._artifact in self._signed
        unsigned = sorted(set(self._files) - set(self._signed) - {self._signature})
        return Coverage(artifact, tuple(unsigned))

    def shards(self) -> int:
        """Counts the shards that the signed files would have, so that none are hashed in vain."""
        if not self.statement.shard_bytes:
            return 0
        sizes = (self._files[name].size_bytes for name in self._signed if name in self._files)
        return sum(-(-size // self.statement.shard_bytes) for size in sizes)

    def placed(self) -> Iterator[tuple[str, FileEntry]]:
        """Yields every file of the signed folder with its name below that folder."""
        for path in sorted(self._below()):
            if path != self._signature:
                yield path.removeprefix(self.root), self._files[path]

    def lone(self) -> FileEntry | None:
        """Returns the artifact when it was signed alone, else None."""
        return self._files[self._artifact] if self.root == "." and self._artifact else None

    def _changed(self) -> list[str]:
        if not self.statement.plain:
            return []
        return sorted(
            path
            for path, item in self._signed.items()
            if path in self._files and hexadecimal(self._files[path].digest) != item.digest
        )

    def _below(self) -> set[str]:
        if self.root == ".":
            return set()
        return {path for path in self._files if path.startswith(self.root)}

    def _root(self) -> str:
        """Finds the folder that was signed: the one under which most signed names exist.

        The names and digests are signed, the folder's place in the bundle is not. Candidates are
        the bundle and the folders above the artifact; "." stands for the artifact alone.
        """
        parts = (self._artifact or "").split("/")[:-1]
        candidates = ["".join(f"{part}/" for part in parts[:n]) for n in range(len(parts) + 1)]
        names = [item.name for item in self.statement.resources]
        if names == ["."]:
            return "."
        return max(candidates, key=lambda root: sum(root + name in self._files for name in names))

    def _excused(self, path: str) -> bool:
        """The signature itself and what the signer chose to ignore; never the artifact."""
        if path == self._signature:
            return True
        name = path.removeprefix(self.root)
        return any(
            name == ignored or name.startswith(f"{ignored}/") for ignored in self.statement.ignored
        )

    def _joined(self, name: str) -> str:
        """Returns a signed name as a path of the bundle; "." is the artifact, signed alone."""
        return self._artifact or name if self.root == "." else self.root + name


def some(paths: Sequence[str]) -> str:
    """Names the first few of many paths, safe to print."""
    more = f" and {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else ""
    return ", ".join(shown(path, 80) for path in paths[:_MOST_NAMED]) + more
